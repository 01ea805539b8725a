"""Huawei Cloud IoTDA, API v5, as a backend of otaclient."""

from otaclient_iotda.backend import IotdaBackend, IotdaPlugin
from otaclient_iotda.config import (
    AkSkCredentials,
    Credentials,
    IotdaConfig,
    PasswordCredentials,
    TokenCredentials,
)
from otaclient_iotda.records import DeviceSearchResult, OtaModule, TargetOutcome, TargetsRefusedError

__all__ = [
    "AkSkCredentials",
    "Credentials",
    "DeviceSearchResult",
    "IotdaBackend",
    "IotdaConfig",
    "IotdaPlugin",
    "OtaModule",
    "PasswordCredentials",
    "TargetOutcome",
    "TargetsRefusedError",
    "TokenCredentials",
    "plugin",
]

plugin = IotdaPlugin()
"""What the entry point ``iotda`` of the group ``otaclient.backends`` names."""
