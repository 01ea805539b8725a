"""The emulator's clock: the system's, or one that a test drives by hand."""

import time
from datetime import datetime
from typing import Protocol

__all__ = ["Clock", "ManualClock", "SystemClock", "epoch_ms"]


def epoch_ms(instant: datetime) -> int:
    """Return an aware instant as UTC epoch milliseconds, without rounding through a float.

    Raises:
        ValueError: The instant has no time zone.
    """
    if instant.tzinfo is None:
        raise ValueError(f"instant {instant.isoformat()} has no time zone; give an aware datetime, such as one in UTC")
    return int(instant.timestamp()) * 1000 + instant.microsecond // 1000


class Clock(Protocol):
    """Says what time it is for an emulator."""

    def now_ms(self) -> int:
        """Return the present as UTC epoch milliseconds."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present as UTC epoch milliseconds."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is told to move on."""

    def __init__(self, start: datetime) -> None:
        self._now_ms = epoch_ms(start)

    def now_ms(self) -> int:
        """Return the instant that the clock stands at, as UTC epoch milliseconds."""
        return self._now_ms

    def advance(self, seconds: float) -> None:
        """Move on by this many seconds.

        Raises:
            ValueError: The number is negative: an emulator's time never runs backwards.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance the clock by {seconds} seconds: its time never runs backwards")
        self._now_ms += round(seconds * 1000)
