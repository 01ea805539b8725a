"""Envision EnOS, Connection Service API v2.1, as a backend of otaclient."""

from otaclient_enos.backend import EnosBackend, EnosPlugin
from otaclient_enos.config import EnosConfig

__all__ = ["EnosBackend", "EnosConfig", "EnosPlugin", "plugin"]

plugin = EnosPlugin()
"""What the entry point ``enos`` of the group ``otaclient.backends`` names."""
