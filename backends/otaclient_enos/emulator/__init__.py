"""An emulator of the over-the-air half of the EnOS Connection Service v2.1, and of the token service before it."""

from otaclient_enos.emulator.app import EnosEmulator

__all__ = ["EnosEmulator"]
