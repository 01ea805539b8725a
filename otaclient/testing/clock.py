"""Time that passes only when a test says so, or when somebody sleeps: the client's and the service's at once."""

from datetime import UTC, datetime, timedelta
from typing import Final

import anyio.lowlevel

from otaclient.emulator import ManualClock

__all__ = ["HandClock"]

_START: Final = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class HandClock:
    """A clock on which a sleep passes at once, and is remembered.

    It is the client's clock (:class:`otaclient.transport.clock.Clock`), and moves :attr:`service` along, which is an
    emulator's. So a job that takes hours is over in no time, and so is the wait for it.

    Args:
        start: The instant at which both begin, aware.
    """

    def __init__(self, start: datetime = _START) -> None:
        self._start = start
        self.seconds = 1000.0
        self.slept: list[float] = []
        """Every sleep of the client so far, in seconds."""
        self.service = ManualClock(start + timedelta(seconds=self.seconds))
        """The same time for an emulator."""

    def monotonic(self) -> float:
        """Return the seconds so far."""
        return self.seconds

    def now(self) -> datetime:
        """Return the same instant as wall-clock time."""
        return self._start + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        """Let the time pass for both, and others run."""
        self.slept.append(seconds)
        await anyio.lowlevel.checkpoint()
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        """Let the time pass for both, at once.

        Raises:
            ValueError: The number is negative.
        """
        self.service.advance(seconds)
        self.seconds += seconds
