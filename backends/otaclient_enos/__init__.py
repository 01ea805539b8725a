"""Envision EnOS, Connection Service API v2.1, as a backend of otaclient."""

from typing import TYPE_CHECKING, Final

from otaclient.protocols import BackendPlugin
from otaclient.session_backend import SessionPlugin
from otaclient_enos.backend import EnosBackend
from otaclient_enos.config import EnosConfig

__all__ = ["EnosBackend", "EnosConfig", "plugin"]

plugin: Final = SessionPlugin(EnosBackend, config_type=EnosConfig)
"""What the entry point ``enos`` of the group ``otaclient.backends`` names."""

if TYPE_CHECKING:
    _conforms: BackendPlugin[EnosConfig] = plugin
