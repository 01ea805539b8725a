"""Events as log records, with their fields beside the text."""

import logging
from collections.abc import Mapping
from typing import Any, Final

import attrs

from otaclient.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallStarted,
    DeviceChanged,
    Event,
    PageRead,
    Retrying,
    Throttled,
    TokenRenewed,
)

__all__ = ["LogListener"]

_LEVELS: Final[Mapping[type[Event], int]] = {
    CallStarted: logging.DEBUG,
    AttemptStarted: logging.DEBUG,
    AttemptFinished: logging.DEBUG,
    PageRead: logging.DEBUG,
    DeviceChanged: logging.DEBUG,
    CallFinished: logging.INFO,
    TokenRenewed: logging.INFO,
    Retrying: logging.WARNING,
    Throttled: logging.WARNING,
}
_PREFIX: Final = "ota_"
# What a listener may write into, and no news of its own.
_UNSAID: Final = frozenset({"headers"})


class LogListener:
    """Writes every event to a logger, the ordinary ones at ``DEBUG``, the ends of calls at ``INFO``, trouble higher up.

    Each field of an event becomes an attribute of the record: ``ota_event`` (the name of its class), ``ota_backend``,
    ``ota_operation``, ``ota_attempt``, ``ota_status``, ``ota_request_id`` and so on, for formatters that write JSON.

    Args:
        logger: Where to; ``otaclient.events`` unless given.
    """

    def __init__(self, logger: logging.Logger | None = None) -> None:
        self._logger = logging.getLogger("otaclient.events") if logger is None else logger

    def __call__(self, event: Event) -> None:
        """Write an event."""
        level = logging.WARNING if _has_failed(event) else _LEVELS.get(type(event), logging.INFO)
        if not self._logger.isEnabledFor(level):
            return
        fields = {name: value for name, value in _fields_of(event).items() if value is not None}
        shown = " ".join(f"{name}={value}" for name, value in fields.items() if name not in {"backend", "operation"})
        kind = type(event).__name__
        extra = {f"{_PREFIX}{name}": value for name, value in fields.items()} | {f"{_PREFIX}event": kind}
        self._logger.log(level, "%s %s: %s %s", event.backend, event.operation, kind, shown, extra=extra)


def _has_failed(event: Event) -> bool:
    return isinstance(event, CallFinished) and event.error is not None


def _fields_of(event: Event) -> dict[str, Any]:
    return {field.name: getattr(event, field.name) for field in attrs.fields(type(event)) if field.name not in _UNSAID}
