"""How many requests at once, how many a second, and a pause for all when the vendor throttles."""

from typing import Any, Self

import anyio
import attrs

from otaclient.errors import ConfigurationError
from otaclient.transport.clock import Clock

__all__ = ["Limiter", "Limits"]


def _positive(_instance: Any, field: "attrs.Attribute[Any]", value: float | None) -> None:
    if value is not None and not value > 0:
        raise ConfigurationError(f"Limits {field.name} is {value!r}: it must be above 0, or None for no limit")


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of one client; they hold across all its operations."""

    concurrency: int | None = attrs.field(default=32, validator=_positive)
    """The most requests in flight; ``None`` for no limit."""
    requests_per_second: float | None = attrs.field(default=None, validator=_positive)
    """Evenly spaced, without bursts; ``None`` for no limit."""

    @classmethod
    def unlimited(cls) -> Self:
        """Return limits that limit nothing, for harnesses that bring their own."""
        return cls(concurrency=None)


class Limiter:
    """Admits requests within :class:`Limits`.

    Waits are reserved rather than polled, so that the caller knows beforehand when its turn comes and need not wait for
    a turn that lies behind its deadline.
    """

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._limits = limits
        self._clock = clock
        self._unlimited = limits == Limits.unlimited()
        self._interval = 1.0 / limits.requests_per_second if limits.requests_per_second else 0.0
        self._next_turn = float("-inf")
        self._paused_until = float("-inf")
        self._slots: anyio.Semaphore | None = None

    async def acquire(self, *, deadline: float) -> bool:
        """Wait for a slot and a turn; ``False`` when they would come only after ``deadline`` (then nothing is held)."""
        if not await self._acquire_slot(deadline):
            return False
        try:
            admitted = await self._wait_for_turn(deadline)
        except BaseException:
            self.release()
            raise
        if not admitted:
            self.release()
        return admitted

    def release(self) -> None:
        """Give the slot back."""
        if self._slots is not None:
            self._slots.release()

    def pause(self, seconds: float) -> None:
        """Let nobody start for this many seconds: the vendor throttles, whoever asks. Unlimited means that, too."""
        if self._unlimited:
            return
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    async def _acquire_slot(self, deadline: float) -> bool:
        if self._limits.concurrency is None:
            return True
        if self._slots is None:
            self._slots = anyio.Semaphore(self._limits.concurrency, fast_acquire=True)
        try:
            self._slots.acquire_nowait()
        except anyio.WouldBlock:
            with anyio.move_on_after(deadline - self._clock.monotonic()):
                await self._slots.acquire()
                return True
            return False
        return True

    async def _wait_for_turn(self, deadline: float) -> bool:
        now = self._clock.monotonic()
        turn = max(now, self._next_turn, self._paused_until)
        if turn > deadline:
            return False
        self._next_turn = turn + self._interval
        while turn > now:
            await self._clock.sleep(turn - now)
            now = self._clock.monotonic()
            # A pause may have begun, or grown, while this one waited.
            turn = max(turn, self._paused_until)
            if turn > deadline:
                return False
        return True
