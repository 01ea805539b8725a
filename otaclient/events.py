"""What happened, for tracers, load harnesses and progress bars. Events hold no secret."""

import logging
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import attrs

__all__ = [
    "AttemptFinished",
    "AttemptStarted",
    "DeviceChanged",
    "Event",
    "Listener",
    "PageRead",
    "Retrying",
    "Throttled",
    "TokenRenewed",
    "deliver",
]

_T = TypeVar("_T")
_log = logging.getLogger(__name__)


@attrs.frozen(kw_only=True)
class Event:
    """Something that happened at one backend."""

    backend: str
    operation: str


@attrs.frozen(kw_only=True)
class AttemptStarted(Event):
    """A request is about to be sent."""

    attempt: int
    queued_seconds: float
    """How long it waited for its turn: the service time comes apart from it."""


@attrs.frozen(kw_only=True)
class AttemptFinished(Event):
    """A request was answered, or failed."""

    attempt: int
    seconds: float
    """From sending to the whole answer."""
    status: int | None
    """``None`` where no whole answer came."""
    response_bytes: int
    """Size of the decompressed body."""
    error: str | None
    """The name of the error's class, or ``None`` on success."""


@attrs.frozen(kw_only=True)
class Retrying(Event):
    """An attempt failed and will be repeated."""

    attempt: int
    delay_seconds: float
    error: str
    """The name of the error's class."""


@attrs.frozen(kw_only=True)
class Throttled(Event):
    """The vendor rejected a request because there were too many."""

    retry_after_seconds: float | None


@attrs.frozen(kw_only=True)
class TokenRenewed(Event):
    """A new access token was obtained."""


@attrs.frozen(kw_only=True)
class PageRead(Event):
    """A scan read a page."""

    partition: str
    rows: int


@attrs.frozen(kw_only=True)
class DeviceChanged(Event):
    """A scan saw a device again, and it differed from the first sighting."""

    device_id: str


Listener: TypeAlias = Callable[[Event], object]


def deliver(listener: Callable[[_T], object], event: _T) -> None:
    """Hand an event to a listener; an exception in it is logged, never raised: watching must not break the work."""
    try:
        listener(event)
    except Exception:  # noqa: BLE001 - whatever a listener does wrong must not break the work
        _log.exception("a listener raised for %s", type(event).__name__)
