"""What an emulator has to do: requests under way, how long each took, and how many come in a second."""

from collections import Counter
from collections.abc import Callable, Iterable
from math import exp, log
from typing import Any, Final

__all__ = ["WINDOW_SECONDS", "LatencyHistogram", "Traffic"]

WINDOW_SECONDS: Final = 10
"""Over how many of the last whole seconds the rate is told."""

# Each class of times is 2 % wider than the one before, so that no percentile is off by more than 1 %.
_WIDTH: Final = log(1.02)
_SHORTEST_SECONDS: Final = 1e-6
_PERCENTILES: Final = {"p50_seconds": 0.5, "p90_seconds": 0.9, "p99_seconds": 0.99, "p999_seconds": 0.999}


class LatencyHistogram:
    """Counts times in classes, so that any number of them takes little room."""

    def __init__(self) -> None:
        self.count = 0
        self.total_seconds = 0.0
        self.max_seconds = 0.0
        self.classes: Counter[int] = Counter()
        """How many times fell into each class; -1 is that of times too short to tell apart."""

    def add(self, seconds: float) -> None:
        """Count a time."""
        self.count += 1
        self.total_seconds += seconds
        self.max_seconds = max(self.max_seconds, seconds)
        self.classes[-1 if seconds < _SHORTEST_SECONDS else int(log(seconds / _SHORTEST_SECONDS) / _WIDTH)] += 1

    @classmethod
    def merged(cls, histograms: "Iterable[LatencyHistogram]") -> "LatencyHistogram":
        """Return one histogram of the times of several."""
        found = cls()
        for one in histograms:
            found.count += one.count
            found.total_seconds += one.total_seconds
            found.max_seconds = max(found.max_seconds, one.max_seconds)
            found.classes.update(one.classes)
        return found

    def percentile(self, share: float) -> float:
        """Return the time that this share of the requests did not exceed, within 1 %; 0 without any request."""
        wanted, seen = share * self.count, 0
        for position in sorted(self.classes):
            seen += self.classes[position]
            if seen >= wanted:
                middle = 0.0 if position < 0 else _SHORTEST_SECONDS * exp((position + 0.5) * _WIDTH)
                return min(middle, self.max_seconds)
        return 0.0

    def summary(self) -> dict[str, Any]:
        """Return the count, and in seconds the mean, some percentiles and the longest, as JSON has them."""
        mean = self.total_seconds / self.count if self.count else 0.0
        shown = {name: self.percentile(share) for name, share in _PERCENTILES.items()}
        seconds = {"mean_seconds": mean, **shown, "max_seconds": self.max_seconds}
        return {"count": self.count, **{name: round(value, 6) for name, value in seconds.items()}}


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
        self.latencies: dict[str, LatencyHistogram] = {}
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
            self.latencies[operation] = LatencyHistogram()
        self.latencies[operation].add(max(0.0, self._seconds() - begun))

    def all_latencies(self) -> LatencyHistogram:
        """Return how long requests of all operations took that were answered."""
        return LatencyHistogram.merged(self.latencies.values())

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
