"""What an emulator has to do: requests under way, how long each took, and how many come in a second."""

from collections import Counter
from collections.abc import Callable
from typing import Final

from otaclient.histogram import Histogram

__all__ = ["WINDOW_SECONDS", "Traffic"]

WINDOW_SECONDS: Final = 10
"""Over how many of the last whole seconds the rate is told."""


class Traffic:
    """Watches the requests of one emulator.

    Args:
        seconds: Says what time it is, in seconds since any moment; it never runs backwards.
    """

    def __init__(self, seconds: Callable[[], float]) -> None:
        self._seconds = seconds
        self._started = self._since = seconds()
        self._arrivals: Counter[int] = Counter()
        self.in_flight: Counter[str] = Counter()
        """How many requests of each operation are under way."""
        self.unanswered = 0
        """How many ended without an answer, or in the middle of one: a fault cut them, or the client went."""
        self.latencies: dict[str, Histogram] = {}
        """By operation, how long requests took that were answered."""

    @property
    def uptime_seconds(self) -> float:
        """For how long it has been watched."""
        return self._seconds() - self._started

    @property
    def counted_seconds(self) -> float:
        """For how long it has been counted: since the beginning, or the last reset."""
        return self._seconds() - self._since

    def begin(self, operation: str) -> float:
        """Note that a request came in; return when."""
        now = self._seconds()
        self.in_flight[operation] += 1
        second = int(now)
        if second not in self._arrivals:
            for old in [one for one in self._arrivals if one < second - WINDOW_SECONDS]:
                del self._arrivals[old]
        self._arrivals[second] += 1
        return now

    def end(self, operation: str, begun: float, *, is_answered: bool) -> None:
        """Note that a request ended."""
        self.in_flight[operation] -= 1
        if not self.in_flight[operation]:
            del self.in_flight[operation]
        if not is_answered:
            self.unanswered += 1
            return
        if operation not in self.latencies:
            self.latencies[operation] = Histogram()
        self.latencies[operation].record(self._seconds() - begun)

    def all_latencies(self) -> Histogram:
        """Return how long requests of all operations took that were answered."""
        return Histogram.merged(self.latencies.values())

    def requests_per_second(self) -> float:
        """Return how many came in a second, over the last whole seconds; before there is one, over one second."""
        now = self._seconds()
        last = int(now)
        first = max(self._since, last - WINDOW_SECONDS)
        if last - first < 1:
            return self._arrivals.total() / max(1.0, now - self._since)
        return sum(self._arrivals[second] for second in range(int(first), last)) / (last - first)

    def reset(self) -> None:
        """Begin to count anew; what is under way stays under way."""
        self._since = self._seconds()
        self._arrivals.clear()
        self.unanswered = 0
        self.latencies = {}
