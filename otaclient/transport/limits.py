"""How many requests at once, how many a second, and a pause for all when the vendor throttles."""

import math
from collections import deque
from typing import Any, ClassVar, Self

import anyio
import attrs

from otaclient.errors import ConfigurationError
from otaclient.transport.adaptive import AdaptiveWindow
from otaclient.transport.clock import Clock

__all__ = ["Limiter", "Limits"]


def _at_least_one(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and not (type(value) is int and value >= 1):
        raise ConfigurationError(
            f"Limits {field.name} is {value!r}: it must be a whole number from 1 up, or None for no limit"
        )


def _rate(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is None:
        return
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 < value < math.inf):
        raise ConfigurationError(
            f"Limits {field.name} is {value!r}: it must be a finite number above 0, or None for no limit"
        )


def _yes_or_no(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if type(value) is not bool:
        raise ConfigurationError(f"Limits {field.name} is {value!r}: it must be True or False")


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of one client; they hold across all its operations."""

    concurrency: int | None = attrs.field(default=32, validator=_at_least_one)
    """The most requests in flight; ``None`` for no limit."""
    requests_per_second: float | None = attrs.field(default=None, validator=_rate)
    """Evenly spaced, without bursts; ``None`` for no limit."""
    adaptive: bool = attrs.field(default=True, validator=_yes_or_no)
    """Whether fewer than ``concurrency`` are sent at once while the vendor throttles, or takes longer the more it is
    asked. ``False`` for always ``concurrency``; without a ``concurrency`` there is nothing to adapt."""

    @classmethod
    def unlimited(cls) -> Self:
        """Return limits that limit nothing, for harnesses that bring their own."""
        return cls(concurrency=None, adaptive=False)


class Limiter:
    """Admits requests within :class:`Limits`, in the order in which they ask.

    Waits for a turn are reserved rather than polled, so that the caller knows beforehand when its turn comes and need
    not wait for one that lies behind its deadline.
    """

    waits: ClassVar[bool] = True
    """Whether anybody may have to wait. Where not, as in a load test, a backend adds no pace of its own either."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._is_unlimited = limits.concurrency is None and limits.requests_per_second is None
        self._interval = 1.0 / limits.requests_per_second if limits.requests_per_second else 0.0
        self._adaptive = (
            AdaptiveWindow(limits.concurrency) if limits.adaptive and limits.concurrency is not None else None
        )
        self._slots = _Slots(limits.concurrency if self._adaptive is None else self._adaptive.window)
        self._next_turn = self._last_turn = -math.inf
        self._paused_until = -math.inf
        self._reservations = 0
        self._shift = 0.0  # by how much pauses have put off turns that were reserved, since the beginning
        # Whether everybody's turn is now: then nobody needs to look at the clock.
        self._is_free = not self._interval

    async def acquire(self, *, deadline: float) -> bool:
        """Wait for a slot and a turn; ``False`` when they would come only after ``deadline`` (then nothing is held)."""
        slots = self._slots
        if not (slots.take_now() or await self._wait_for_slot(deadline)):
            return False
        if self._is_free:
            return True
        try:
            admitted = await self._wait_for_turn(deadline)
        except BaseException:
            slots.give_back()
            raise
        if not admitted:
            slots.give_back()
        return admitted

    def release(self) -> None:
        """Give the slot back."""
        self._slots.give_back()

    def answered(self, operation: str, *, started_at: float, throttled: bool) -> None:
        """Learn from an answer, before its slot is given back; failures that tell nothing of the load are no answers.

        Args:
            operation: What was asked for.
            started_at: When it was sent, by the clock's ``monotonic``.
            throttled: Whether the vendor refused it for being one too many.
        """
        adaptive = self._adaptive
        if adaptive is None:
            return
        adaptive.answered(
            operation,
            started_at=started_at,
            throttled=throttled,
            in_flight=self._slots.taken,
            now=self._clock.monotonic(),
        )
        if adaptive.window != self._slots.most:
            self._slots.resize(adaptive.window)
        if adaptive.interval_seconds:
            self._is_free = False

    def pause(self, seconds: float) -> None:
        """Let nobody start for this many seconds: the vendor throttles, whoever asks. Unlimited means that, too."""
        if self._is_unlimited:
            return
        now = self._clock.monotonic()
        until = now + seconds
        if until <= self._paused_until:
            return
        # Whoever waits for a turn keeps its place and its distance to the others.
        first = max(now, self._paused_until, self._last_turn + self._spacing()[0])
        put_off = max(0.0, until - first)
        self._shift += put_off
        self._next_turn += put_off
        self._paused_until = until
        self._is_free = False

    def pause_beyond(self, deadline: float) -> float | None:
        """Return how many seconds of a pause are left that ends only after ``deadline``; ``None`` without such one."""
        return self._paused_until - self._clock.monotonic() if self._paused_until > deadline else None

    async def _wait_for_slot(self, deadline: float) -> bool:
        with anyio.move_on_after(deadline - self._clock.monotonic()) as scope:
            await self._slots.take()
        return not scope.cancelled_caught

    async def _wait_for_turn(self, deadline: float) -> bool:
        now = self._clock.monotonic()
        turn = max(now, self._next_turn, self._paused_until)
        if turn > deadline:
            return False
        interval, slack = self._spacing()
        self._next_turn = max(self._next_turn, turn - slack) + interval
        self._reservations += 1
        mine, shift = self._reservations, self._shift
        try:
            while turn > now:
                await self._clock.sleep(turn - now)
                now = self._clock.monotonic()
                # A pause may have begun, or grown, while this one waited.
                turn, shift = turn + self._shift - shift, self._shift
                if turn > deadline:
                    self._cancel_turn(mine, turn)
                    return False
        except BaseException:
            self._cancel_turn(mine, turn)
            raise
        self._last_turn = turn
        self._is_free = not interval and now >= max(self._next_turn, self._paused_until)
        return True

    def _cancel_turn(self, reservation: int, turn: float) -> None:
        if reservation == self._reservations:  # nobody has reserved one behind it
            self._next_turn = turn

    def _spacing(self) -> tuple[float, float]:
        """Return how far apart turns are, and how much of a delay the next ones may make good for."""
        adaptive = self._adaptive
        if adaptive is None or adaptive.interval_seconds <= self._interval:
            return self._interval, 0.0
        return adaptive.interval_seconds, 0.0 if self._interval else adaptive.slack_seconds


class _Slots:
    """A semaphore whose size may change, and which serves in order of arrival."""

    def __init__(self, most: int | None) -> None:
        self.most = math.inf if most is None else most
        self.taken = 0
        self._waiting: deque[anyio.Event] = deque()

    def take_now(self) -> bool:
        """Take a slot if there is one that nobody waits for."""
        if self.taken >= self.most or self._waiting:
            return False
        self.taken += 1
        return True

    async def take(self) -> None:
        """Wait for a slot and take it."""
        turn = anyio.Event()
        self._waiting.append(turn)
        try:
            await turn.wait()
        except BaseException:
            if turn.is_set():  # it was handed a slot in the moment in which it gave up
                self.give_back()
            else:
                self._waiting.remove(turn)
            raise

    def give_back(self) -> None:
        """Give a slot back, to whoever has waited longest."""
        self.taken -= 1
        self._hand_out()

    def resize(self, most: int) -> None:
        """Change how many there are; where there are fewer now, those that are taken stay taken."""
        self.most = most
        self._hand_out()

    def _hand_out(self) -> None:
        while self._waiting and self.taken < self.most:
            self.taken += 1
            self._waiting.popleft().set()
