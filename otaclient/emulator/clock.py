"""The emulator's clock: the system's, or one that a test drives by hand."""

import asyncio
import heapq
import itertools
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

    async def sleep(self, seconds: float) -> None:
        """Wait until so much of this clock's time has passed."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ms(self) -> int:
        """Return the present as UTC epoch milliseconds."""
        return time.time_ns() // 1_000_000

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await asyncio.sleep(seconds)


class ManualClock:
    """A clock that stands still until it is told to move on."""

    def __init__(self, start: datetime) -> None:
        self._now_ms = epoch_ms(start)
        self._sleepers: list[tuple[int, int, asyncio.Event]] = []
        self._numbers = itertools.count()

    def now_ms(self) -> int:
        """Return the instant that the clock stands at, as UTC epoch milliseconds."""
        return self._now_ms

    async def sleep(self, seconds: float) -> None:
        """Wait until the clock was told to move on by so much."""
        wake = asyncio.Event()
        heapq.heappush(self._sleepers, (self._now_ms + round(seconds * 1000), next(self._numbers), wake))
        self._wake()
        await wake.wait()

    def advance(self, seconds: float) -> None:
        """Move on by this many seconds, and wake whoever waits for an instant that has come.

        Raises:
            ValueError: The number is negative: an emulator's time never runs backwards.
        """
        if seconds < 0:
            raise ValueError(f"cannot advance the clock by {seconds} seconds: its time never runs backwards")
        self._now_ms += round(seconds * 1000)
        self._wake()

    def _wake(self) -> None:
        while self._sleepers and self._sleepers[0][0] <= self._now_ms:
            heapq.heappop(self._sleepers)[2].set()
