"""The pace of one operation that the vendor limits by itself, apart from all others."""

from typing import Final

from otaclient.transport.clock import Clock
from otaclient.transport.limits import Limiter, Limits

__all__ = ["SEARCHES_PER_SECOND", "PacedLimiter", "search_pace"]

SEARCHES_PER_SECOND: Final = 0.95
"""The vendor allows one flexible search a second for each account. A little less, because two that leave a second apart
may arrive closer to each other.

Source: Huawei Cloud IoTDA API reference, "Query Device List Flexibly".
"""


def search_pace(clock: Clock) -> Limiter:
    """Return what all clients of one account share that search flexibly."""
    return Limiter(Limits(concurrency=None, requests_per_second=SEARCHES_PER_SECOND), clock)


class PacedLimiter(Limiter):
    """A client's limiter behind a pace that several clients share.

    A turn is reserved: whoever's turn would come after the end of its time is turned away at once.
    """

    def __init__(self, behind: Limiter, pace: Limiter, clock: Clock) -> None:
        super().__init__(Limits.unlimited(), clock)
        self._behind = behind
        self._pace = pace

    async def acquire(self, *, deadline: float) -> bool:
        """Wait for a turn, and then for a slot of the client; ``False`` when they come only after ``deadline``."""
        # In this order: who waits for a turn must not hold a slot that other operations could use.
        return await self._pace.acquire(deadline=deadline) and await self._behind.acquire(deadline=deadline)

    def release(self) -> None:
        """Give the client's slot back."""
        self._behind.release()

    def pause(self, seconds: float) -> None:
        """Let nobody search for this many seconds; other operations are not concerned."""
        self._pace.pause(seconds)

    def pause_beyond(self, deadline: float) -> float | None:
        """Return what is left of a pause, of searches or of all operations; see :class:`Limiter`."""
        return self._pace.pause_beyond(deadline) or self._behind.pause_beyond(deadline)
