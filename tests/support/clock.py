"""Time that passes only when a test says so, or when somebody sleeps."""

from datetime import UTC, datetime, timedelta

import anyio.lowlevel


class HandClock:
    """A clock on which a sleep passes at once, and is remembered."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self.seconds

    def now(self) -> datetime:
        """Return the same instant as wall-clock time."""
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass, and others run."""
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()
        self.seconds += seconds
