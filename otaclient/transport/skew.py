"""A machine's clock that is off: seen by the date of a server's answer, said, and put right where that is wanted."""

from datetime import datetime, timedelta
from typing import Final

import attrs

from otaclient.errors import AuthenticationError
from otaclient.transport.clock import Clock
from otaclient.transport.http import HttpResponse, http_date
from otaclient.transport.retry import Failure, Remedy

__all__ = ["LARGEST_SKEW_SECONDS", "CorrectedClock", "compared_with_clock", "skew_in_words", "skew_seconds"]

LARGEST_SKEW_SECONDS: Final = 60.0
"""Signatures carry the time, and are refused when it is far off (IoTDA: about 15 minutes; EnOS does not say). A drift
is told long before, but not what the whole seconds of a date and the way of an answer may explain."""

# A clock that was never set begins in 1970. What is further off is a fault of the server, and no calendar may hold it.
_MOST_SKEW_SECONDS: Final = 100 * 365 * 86_400.0

_REMEDY: Final = (
    "and the signature holds the time: set the clock, best by NTP, or set correct_clock_skew in the configuration"
)
_CORRECTED: Final = "which is made up for in what is signed from now on"


def skew_seconds(response: HttpResponse, now: datetime) -> float | None:
    """Return how far the clock that dated a response is ahead of ``now``; ``None`` without a usable date."""
    dated = http_date(response.headers.get("date", ""))
    skew = None if dated is None else (dated - now).total_seconds()
    return None if skew is None or abs(skew) > _MOST_SKEW_SECONDS else skew


def skew_in_words(skew: float) -> str:
    """Return how far this machine's clock is off, as the beginning of a sentence."""
    way = "behind" if skew > 0 else "ahead of"
    return f"this machine's clock is {abs(skew):,.0f} s {way} the server's"


class CorrectedClock:
    """A clock whose wall-clock time can be put right by a server's, for signatures. What it measures stays as it is.

    Whoever answers as the server then decides which time is signed: so it is for those who ask for it.
    """

    def __init__(self, inner: Clock) -> None:
        self._inner = inner
        self._ahead = timedelta()
        self._last: tuple[float, float] | None = None

    def correct(self, skew: float) -> None:
        """Move the time on by so many seconds, or back."""
        self._ahead += timedelta(seconds=skew)
        self._last = (self._inner.monotonic(), skew)

    def corrected_since(self, instant: float) -> float | None:
        """Return by how much the time was last moved, if not before an instant of ``monotonic``; else ``None``."""
        return self._last[1] if self._last is not None and self._last[0] >= instant else None

    def monotonic(self) -> float:
        """Return the inner clock's seconds."""
        return self._inner.monotonic()

    def now(self) -> datetime:
        """Return the corrected time."""
        return self._inner.now() + self._ahead

    async def sleep(self, seconds: float) -> None:
        """Wait as the inner clock does."""
        await self._inner.sleep(seconds)


def compared_with_clock(failure: Failure, response: HttpResponse, clock: Clock, *, signed_at: float) -> Failure:
    """Let the error of a refused signature say that this machine's clock is off, if it is; others stay as they are.

    Args:
        failure: What the vendor refused.
        response: Its answer, which is dated.
        clock: What told the time that was signed; a :class:`CorrectedClock` is put right.
        signed_at: When that was, in the clock's ``monotonic`` seconds.

    Returns:
        The failure; one that another attempt helps against, where the clock was put right.
    """
    if not isinstance(failure.error, AuthenticationError):
        return failure
    # Another call may have put it right since this one was signed.
    skew = clock.corrected_since(signed_at) if isinstance(clock, CorrectedClock) else None
    if skew is None:
        # The server looked at its clock at some moment in between.
        under_way = timedelta(seconds=clock.monotonic() - signed_at)
        skew = skew_seconds(response, clock.now() - under_way / 2)
        if skew is None or abs(skew) <= LARGEST_SKEW_SECONDS:
            return failure
        if isinstance(clock, CorrectedClock):
            clock.correct(skew)
    error, is_corrected = failure.error, isinstance(clock, CorrectedClock)
    error.message += f"; {skew_in_words(skew)}, {_CORRECTED if is_corrected else _REMEDY}"
    error.args = (error.message,)
    # Whoever is not let in has had nothing done: to ask again does no harm.
    return attrs.evolve(failure, remedy=Remedy.REPEAT_REJECTED) if is_corrected else failure
