"""What happened, for tracers, load harnesses and progress bars. Events hold no secret."""

import logging
from collections.abc import Callable
from typing import TypeAlias, TypeVar

import attrs

__all__ = [
    "AttemptFinished",
    "AttemptStarted",
    "CallEvent",
    "CallFinished",
    "CallStarted",
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
class CallEvent(Event):
    """Something that happened within one call: a request with its repeats."""

    call: int
    """The number of the call, which its events have in common; no two calls of a process have the same."""


@attrs.frozen(kw_only=True)
class CallStarted(CallEvent):
    """A call began. Its events come in the task, and in the context, of whoever made it."""


@attrs.frozen(kw_only=True)
class CallFinished(CallEvent):
    """A call ended, however it did."""

    attempts: int
    """Requests that were sent for it."""
    seconds: float
    """From the beginning of the call, waits included."""
    error: str | None
    """The name of the error's class, ``CancelledError`` where it was cancelled, or ``None`` on success."""


@attrs.frozen(kw_only=True)
class AttemptStarted(CallEvent):
    """A request is about to be sent."""

    attempt: int
    queued_seconds: float
    """How long it waited for its turn: the service time comes apart from it."""
    sent_at: float
    """When, by the client's clock: ``time.monotonic()`` unless it was given another."""
    headers: dict[str, str] = attrs.field(factory=dict[str, str], repr=False, eq=False)
    """Empty. What a listener puts in here is sent along with the request, such as ``traceparent``; it cannot replace a
    header of the request's own."""


@attrs.frozen(kw_only=True)
class AttemptFinished(CallEvent):
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
    request_id: str | None
    """The vendor's name for the request, where the error or the answer's ``X-Request-Id`` tells it."""


@attrs.frozen(kw_only=True)
class Retrying(Event):
    """An attempt failed and will be repeated."""

    call: int | None
    """The number of the call; ``None`` where a write is sent again with another call, after it was looked for."""
    attempt: int
    delay_seconds: float
    error: str
    """The name of the error's class."""


@attrs.frozen(kw_only=True)
class Throttled(CallEvent):
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
