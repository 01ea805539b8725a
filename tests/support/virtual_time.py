"""Time that passes when nobody has anything left to do: both sides of a loopback connection may live on it."""

import asyncio
import heapq
import itertools
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

# After so many turns of the event loop in which nothing came in, whatever could run has run.
_IDLE_TURNS = 25
_START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class VirtualClock:
    """A clock for the client and for the service. It moves on to the next sleeper's instant, when all is quiet.

    Args:
        is_quiet: Whether no request and no answer is on its way: what sockets hold, no event loop knows.
    """

    def __init__(self, is_quiet: Callable[[], bool] = lambda: True) -> None:
        self.is_quiet = is_quiet
        self.sleeping = 0
        self._seconds = 1000.0
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self._seconds

    def now(self) -> datetime:
        """Return the same instant as wall-clock time."""
        return _START + timedelta(seconds=self._seconds)

    def now_ms(self) -> int:
        """Return the same instant as an emulator counts."""
        return int(_START.timestamp() * 1000) + round(self._seconds * 1000)

    async def sleep(self, seconds: float) -> None:
        """Wait until the time has come."""
        wake = asyncio.Event()
        heapq.heappush(self._sleepers, (self._seconds + seconds, next(self._numbers), wake))
        self.sleeping += 1
        try:
            await wake.wait()
        finally:
            self.sleeping -= 1

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Let time pass for as long as this lasts."""
        driver = asyncio.create_task(self._drive())
        try:
            yield
        finally:
            driver.cancel()
            await asyncio.wait([driver])

    async def _drive(self) -> None:
        idle = 0
        while True:
            await asyncio.sleep(0)
            idle = idle + 1 if self.is_quiet() else 0
            if idle >= _IDLE_TURNS and self._sleepers:
                instant, _, wake = heapq.heappop(self._sleepers)
                self._seconds = max(self._seconds, instant)
                wake.set()
                idle = 0
