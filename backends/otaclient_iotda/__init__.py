"""Huawei Cloud IoTDA, API v5, as a backend of otaclient."""

from otaclient_iotda.backend import IotdaBackend, IotdaPlugin
from otaclient_iotda.config import (
    AkSkCredentials,
    Credentials,
    IotdaConfig,
    PasswordCredentials,
    TokenCredentials,
)

__all__ = [
    "AkSkCredentials",
    "Credentials",
    "IotdaBackend",
    "IotdaConfig",
    "IotdaPlugin",
    "PasswordCredentials",
    "TokenCredentials",
    "plugin",
]

plugin = IotdaPlugin()
"""What the entry point ``iotda`` of the group ``otaclient.backends`` names."""
