"""Time as a value that can be handed in, so that tests drive it by hand."""

import time
from datetime import UTC, datetime
from typing import Protocol

import anyio

__all__ = ["SYSTEM_CLOCK", "Clock", "SystemClock"]


class Clock(Protocol):
    """What the transport needs to know of time."""

    def monotonic(self) -> float:
        """Return seconds that only grow, for deadlines."""
        ...

    def now(self) -> datetime:
        """Return the wall-clock time, aware, UTC, for signatures and token expiry."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class SystemClock:
    """The machine's own clock."""

    def monotonic(self) -> float:
        """Return :func:`time.monotonic`."""
        return time.monotonic()

    def now(self) -> datetime:
        """Return the current time in UTC."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """Wait on the event loop."""
        await anyio.sleep(seconds)


SYSTEM_CLOCK = SystemClock()
