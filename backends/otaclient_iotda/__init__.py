"""Huawei Cloud IoTDA, API v5, as a backend of otaclient."""

from typing import TYPE_CHECKING, Final

from otaclient.protocols import BackendPlugin
from otaclient.session_backend import SessionPlugin
from otaclient_iotda.backend import IotdaBackend
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
    "OtaModule",
    "PasswordCredentials",
    "TargetOutcome",
    "TargetsRefusedError",
    "TokenCredentials",
    "plugin",
]

plugin: Final = SessionPlugin(IotdaBackend, config_type=IotdaConfig)
"""What the entry point ``iotda`` of the group ``otaclient.backends`` names."""

if TYPE_CHECKING:
    _conforms: BackendPlugin[IotdaConfig] = plugin
