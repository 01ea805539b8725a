"""A client that always has more to ask, and a vendor with a hidden capacity: events in order of time, no event loop."""

import heapq
import itertools
import math
import random
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from typing import Literal, Protocol

import attrs

Kind = Literal["at once", "queueing", "per second"]

# A refusal takes a fraction of the time of an answer; what its caller does next is the session's affair.
_REFUSAL_SECONDS = 0.002
_PAUSE_SECONDS = 0.5
_LONGEST_RETRY_SECONDS = 0.25
_CALLERS = 64


class Window(Protocol):
    """What decides how many requests are under way."""

    window: int
    interval_seconds: float
    slack_seconds: float

    def answered(self, operation: str, *, started_at: float, throttled: bool, in_flight: int, now: float) -> None:
        """Take in an answer."""


@attrs.define
class FixedWindow:
    """A window that nothing moves."""

    window: int
    interval_seconds: float = 0.0
    slack_seconds: float = 0.0

    def answered(self, operation: str, *, started_at: float, throttled: bool, in_flight: int, now: float) -> None:
        """Learn nothing."""


@attrs.define(kw_only=True)
class Service:
    """What a vendor bears. ``spread`` is by how much a service time may differ, as a share; ``None``: exponentially."""

    kind: Kind
    limit: int
    seconds: float = 0.1
    spread: float | None = 0.0
    busy: int = 0
    queue: deque[int] = attrs.field(factory=deque[int])
    second: int = -1
    accepted: int = 0

    def takes(self, rng: random.Random) -> float:
        """Return how long the next request is served."""
        if self.spread is None:
            return rng.expovariate(1 / self.seconds)
        return self.seconds * rng.uniform(1 - self.spread, 1 + self.spread)


class Simulation:
    """Callers that repeat one operation as fast as the window lets them.

    Like the session, it pauses for all after a refusal, and repeats the refused request a little later.
    """

    def __init__(self, service: Service, window: Window, *, seed: int = 0) -> None:
        self.now = 0.0
        self.service = service
        self.window = window
        self.served_at: list[float] = []
        self.refused_at: list[float] = []
        self._rng = random.Random(seed)
        self._events: list[tuple[float, int, Callable[[int], None], int]] = []
        self._numbers = itertools.count()
        self._waiting = deque(range(_CALLERS))
        self._started_at: dict[int, float] = {}
        self._in_flight = 0
        self._next_turn = self._paused_until = -math.inf

    def run(self, until: float) -> None:
        """Let time pass."""
        self._fill()
        while self._events and self._events[0][0] <= until:
            self.now, _, happens, caller = heapq.heappop(self._events)
            happens(caller)
        self.now = until

    def throughput(self, since: float, until: float) -> float:
        """Return how many requests were served a second."""
        return _between(self.served_at, since, until) / (until - since)

    def refused_share(self, since: float, until: float) -> float:
        """Return which share of the answers were refusals."""
        refused = _between(self.refused_at, since, until)
        return refused / max(1, refused + _between(self.served_at, since, until))

    def _after(self, seconds: float, happens: Callable[[int], None], caller: int) -> None:
        heapq.heappush(self._events, (self.now + seconds, next(self._numbers), happens, caller))

    def _fill(self) -> None:
        while self._waiting and self._in_flight < self.window.window:
            self._in_flight += 1
            self._reserve(self._waiting.popleft())

    def _reserve(self, caller: int) -> None:
        turn = max(self.now, self._next_turn, self._paused_until)
        self._next_turn = max(self._next_turn, turn - self.window.slack_seconds) + self.window.interval_seconds
        if turn > self.now:
            self._after(turn - self.now, self._turn_came, caller)
        else:
            self._start(caller)

    def _turn_came(self, caller: int) -> None:
        if self._paused_until > self.now:
            self._reserve(caller)
        else:
            self._start(caller)

    def _start(self, caller: int) -> None:
        self._started_at[caller] = self.now
        service = self.service
        if service.kind == "per second":
            if math.floor(self.now) != service.second:
                service.second, service.accepted = math.floor(self.now), 0
            service.accepted += 1
            is_served = service.accepted <= service.limit
        else:
            is_served = service.busy < service.limit
            if not is_served and service.kind == "queueing":
                service.queue.append(caller)
                return
        if is_served:
            service.busy += 1
            self._after(service.takes(self._rng), self._served, caller)
        else:
            self._after(_REFUSAL_SECONDS, self._refused, caller)

    def _served(self, caller: int) -> None:
        service = self.service
        service.busy -= 1
        while service.queue and service.busy < service.limit:
            service.busy += 1
            self._after(service.takes(self._rng), self._served, service.queue.popleft())
        self.served_at.append(self.now)
        self._answer(caller, throttled=False)
        self._return(caller)

    def _refused(self, caller: int) -> None:
        self.refused_at.append(self.now)
        self._paused_until = max(self._paused_until, self.now + _PAUSE_SECONDS)
        self._answer(caller, throttled=True)
        self._after(self._rng.uniform(0, _LONGEST_RETRY_SECONDS), self._return, caller)
        self._fill()

    def _answer(self, caller: int, *, throttled: bool) -> None:
        started_at = self._started_at[caller]
        self.window.answered(
            "devices.search", started_at=started_at, throttled=throttled, in_flight=self._in_flight, now=self.now
        )
        self._in_flight -= 1

    def _return(self, caller: int) -> None:
        self._waiting.append(caller)
        self._fill()


def _between(instants: list[float], since: float, until: float) -> int:
    return bisect_left(instants, until) - bisect_left(instants, since)
