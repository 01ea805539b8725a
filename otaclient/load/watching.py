"""What is seen of one call while it runs: which requests it sent, and when. And how many it may send."""

import math
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import attrs

from otaclient.errors import ConfigurationError
from otaclient.events import AttemptFinished, AttemptStarted, Event, Listener, deliver
from otaclient.transport.clock import Clock
from otaclient.transport.limits import Limiter, Limits

__all__ = ["BareLimiter", "Watched", "Watcher", "watched"]

# What gets an access token, by whatever vendor.
_TOKENS: Final = "authenticate"


@attrs.define
class Watched:
    """What one call has done so far."""

    requests_allowed: int = 1
    requests: int = 0
    """Those that went out, or failed to reach anybody; what got it a token is not among them."""
    sent_at: float = math.nan
    """When the first of them went out, by the client's clock: ``time.monotonic()``."""
    attempts: list[AttemptFinished] = attrs.field(factory=list[AttemptFinished])
    """How they ended."""
    token_attempts: list[AttemptFinished] = attrs.field(factory=list[AttemptFinished])
    """What it took to get a token on the way."""
    turns: int = 0
    """How often it was allowed to send one."""

    def take_turn(self) -> None:
        """Allow a request.

        Raises:
            ConfigurationError: It is one more than the call was to make; it is not sent.
        """
        if self.turns >= self.requests_allowed:
            raise ConfigurationError(
                f"the call was to be {_times(self.requests_allowed)}, and needs another one, which was not sent: "
                "choose a call that needs no more, or allow more with Operation(requests=...)"
            )
        self.turns += 1


def _times(requests: int) -> str:
    return "one request" if requests == 1 else f"{requests} requests"


_CURRENT: Final[ContextVar[Watched | None]] = ContextVar("otaclient_load_watched", default=None)


@contextmanager
def watched(requests_allowed: int = 1) -> Generator[Watched]:
    """Watch a call of a client of :func:`open_bare`, and let it send no more requests than so many.

    For harnesses of your own; :class:`OpenModel` does it for each of its calls. ::

        with load.watched() as seen:
            job = await enos.jobs.get(job_id)
        print(seen.attempts[0].seconds)

    What is called inside is watched in this task and in those that it starts.

    Args:
        requests_allowed: How many requests may go out. The next is refused with a ``ConfigurationError``; those that
            get an access token do not count.
    """
    found = Watched(requests_allowed)
    token = _CURRENT.set(found)
    try:
        yield found
    finally:
        _CURRENT.reset(token)


class BareLimiter(Limiter):
    """Lets every request go at once: no slots, no pace, no pause. Only a call that is watched may not send too many."""

    waits = False

    def __init__(self, clock: Clock) -> None:
        super().__init__(Limits.unlimited(), clock)

    async def acquire(self, *, deadline: float) -> bool:
        """Return at once.

        Raises:
            ConfigurationError: The call that is watched has sent what it was to send.
        """
        current = _CURRENT.get()
        if current is not None:
            current.take_turn()
        return await super().acquire(deadline=deadline)


@attrs.frozen
class Watcher:
    """A listener that notes, for the call that is watched, which requests it sends; and hands every event on."""

    behind: Listener | None

    def __call__(self, event: Event) -> None:
        """Note an event, and hand it on."""
        current = _CURRENT.get()
        if current is not None:
            self._note(current, event)
        if self.behind is not None:
            deliver(self.behind, event)

    def _note(self, current: Watched, event: Event) -> None:
        is_for_token = event.operation == _TOKENS
        if isinstance(event, AttemptStarted) and not is_for_token:
            current.requests += 1
            if current.requests == 1:
                current.sent_at = event.sent_at
        elif isinstance(event, AttemptFinished):
            (current.token_attempts if is_for_token else current.attempts).append(event)
