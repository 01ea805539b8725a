"""Reading one's own writes where a vendor's searches lag behind: wait out the rest of the lag, and no more."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
import attrs

from otaclient.transport.clock import Clock

__all__ = ["WriteLag"]


@attrs.define
class _Turn:
    lock: anyio.Lock = attrs.field(factory=anyio.Lock)
    users: int = 0


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
        self._opened_at = clock.monotonic()
        self._turns: dict[str, _Turn] = {}

    def wrote(self) -> None:
        """Note that a write was just answered, or may have been carried out."""
        self._settled_at = self._clock.monotonic() + self.seconds

    async def settle_by(self, deadline: float, *, least_seconds: float = 0.0, since_before: bool = False) -> bool:
        """Wait until every write so far can be read; ``False``, at once, where a deadline would come before that.

        Args:
            deadline: In seconds of the clock's ``monotonic``.
            least_seconds: How long to wait at least.
            since_before: Whether what this program wrote before the client was opened, in an earlier run perhaps, must
                be readable as well.
        """
        until = max(self._settled_at, self._clock.monotonic() + least_seconds)
        if since_before:
            until = max(until, self._opened_at + self.seconds)
        if until > deadline:
            return False
        while (left := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(left)
        return True

    @asynccontextmanager
    async def turn(self, name: str, *, deadline: float) -> AsyncGenerator[bool]:
        """Wait until nobody else who shares this does what has that name, and keep others waiting meanwhile.

        ``False`` where that lasts beyond a deadline, in seconds of the clock's ``monotonic``: then nobody is kept
        waiting.
        """
        turn = self._turns.setdefault(name, _Turn())
        turn.users += 1
        try:
            with anyio.move_on_after(deadline - self._clock.monotonic()) as waiting:
                await turn.lock.acquire()
            if waiting.cancelled_caught:
                yield False
                return
            try:
                yield True
            finally:
                turn.lock.release()
        finally:
            turn.users -= 1
            if not turn.users:
                del self._turns[name]
