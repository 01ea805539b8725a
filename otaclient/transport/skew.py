"""A machine's clock that is off: seen by the date of a server's answer, said, and put right where that is wanted."""

from datetime import datetime, timedelta
from typing import Final

from otaclient.transport.clock import Clock
from otaclient.transport.http import HttpResponse, http_date

__all__ = ["LARGEST_SKEW_SECONDS", "CorrectedClock", "skew_in_words", "skew_seconds"]

LARGEST_SKEW_SECONDS: Final = 60.0
"""Signatures carry the time, and are refused when it is far off (IoTDA: about 15 minutes; EnOS does not say). A drift
is told long before, but not what the whole seconds of a date and the way of an answer may explain."""


def skew_seconds(response: HttpResponse, now: datetime) -> float | None:
    """Return how far the clock that dated a response is ahead of ``now``; ``None`` without a usable date."""
    dated = http_date(response.headers.get("date", ""))
    return None if dated is None else (dated - now).total_seconds()


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
