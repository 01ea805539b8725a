"""The IoTDA emulator: the vendor's wire protocol over the simulated fleet."""

from otaclient_iotda.emulator.app import IotdaEmulator
from otaclient_iotda.emulator.auth import AccessKey
from otaclient_iotda.emulator.identity import IamUser

__all__ = ["AccessKey", "IamUser", "IotdaEmulator"]
