"""Reading one's own writes where a vendor's searches lag behind: wait out the rest of the lag, and no more."""

from otaclient.transport.clock import Clock

__all__ = ["WriteLag"]


class WriteLag:
    """Knows when this client last wrote, and until when a search may not show it.

    Args:
        seconds: How long a vendor's searches may lag behind a write.
        clock: Measures and waits.
    """

    def __init__(self, seconds: float, clock: Clock) -> None:
        self.seconds = seconds
        self._clock = clock
        self._settled_at = float("-inf")

    def wrote(self) -> None:
        """Note that a write was just answered, or may have been carried out."""
        self._settled_at = self._clock.monotonic() + self.seconds

    async def settle(self) -> None:
        """Wait until every write so far can be read; at once where that time has passed."""
        while (left := self._settled_at - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
