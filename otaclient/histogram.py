"""How long things took, in little memory, however many there were: counted in buckets of a known relative width."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

from otaclient.errors import ConfigurationError

__all__ = ["RELATIVE_ERROR", "Histogram"]

_BITS: Final = 7
_HALF: Final = 1 << _BITS
RELATIVE_ERROR: Final = 1 / _HALF
"""By how much a percentile may be told too high, at most; it is never told too low. Below 256 us it is within 1 us."""

_LARGEST_MICROSECONDS: Final = (1 << 48) - 1  # about nine years; what takes longer is counted as that


class Histogram:
    """Counts durations: to the microsecond below 256 us, within less than 1 % above; the largest and the sum exactly.

    Buckets are linear within each power of two, so there are at most a few thousand, whatever comes. Two histograms
    can be added up: those of several operations, or of several processes.
    """

    def __init__(self) -> None:
        self._buckets: dict[int, int] = {}
        self.count = 0
        self.largest_seconds = 0.0
        self.sum_seconds = 0.0

    def record(self, seconds: float) -> None:
        """Count a duration; one below 0, which only a clock that jumps can tell, counts as 0."""
        seconds = max(0.0, seconds)
        place = _place(min(math.ceil(seconds * 1e6 - 1e-6), _LARGEST_MICROSECONDS))
        self._buckets[place] = self._buckets.get(place, 0) + 1
        self.count += 1
        self.sum_seconds += seconds
        self.largest_seconds = max(self.largest_seconds, seconds)

    def percentile(self, percent: float) -> float | None:
        """Return the seconds within which so many percent ended; ``None`` where nothing was counted.

        Raises:
            ConfigurationError: The number is none from 0 to 100.
        """
        if not 0 <= percent <= 100:
            raise ConfigurationError(f"the percentile is {percent!r}: it must be from 0 to 100")
        if not self.count:
            return None
        # Rounded first: 99.9 % of 1000 are 999, and not the 999.0000000001 that floats make of it.
        wanted = max(1, math.ceil(round(self.count * percent / 100, 6)))
        seen = 0
        for place in sorted(self._buckets):
            seen += self._buckets[place]
            if wanted <= seen < self.count:
                return min(_upper_microseconds(place) / 1e6, self.largest_seconds)
        return self.largest_seconds

    @property
    def mean(self) -> float | None:
        """The mean in seconds; ``None`` where nothing was counted."""
        return self.sum_seconds / self.count if self.count else None

    def add(self, other: "Histogram") -> None:
        """Count whatever another one has counted."""
        for place, count in other._buckets.items():  # noqa: SLF001 - one of its kind
            self._buckets[place] = self._buckets.get(place, 0) + count
        self.count += other.count
        self.sum_seconds += other.sum_seconds
        self.largest_seconds = max(self.largest_seconds, other.largest_seconds)

    @classmethod
    def merged(cls, histograms: "Iterable[Histogram]") -> Self:
        """Return one that has counted whatever these have."""
        made = cls()
        for one in histograms:
            made.add(one)
        return made

    def as_json(self) -> dict[str, Any]:
        """Return everything as values that JSON knows; each bucket is its upper end in microseconds, and a count."""
        return {
            "count": self.count,
            "sum_seconds": self.sum_seconds,
            "largest_seconds": self.largest_seconds,
            "buckets": [[_upper_microseconds(place), self._buckets[place]] for place in sorted(self._buckets)],
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return the histogram that :meth:`as_json` told of.

        Raises:
            ConfigurationError: It does not tell of one.
        """
        made = cls()
        try:
            for upper, count in said["buckets"]:
                if _upper_microseconds(_place(int(upper))) != upper or int(count) < 1:
                    raise ValueError(f"a bucket [{upper!r}, {count!r}]")
                made._buckets[_place(upper)] = int(count)
            made.count = sum(made._buckets.values())
            made.sum_seconds = float(said["sum_seconds"])
            made.largest_seconds = float(said["largest_seconds"])
            if made.count != said["count"]:
                raise ValueError(f"buckets of {made.count} and a count of {said['count']!r}")
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(f"this is no histogram of a load test: {error}") from error
        return made


def _place(microseconds: int) -> int:
    """Return the number of the bucket: the power of two, and the part of it."""
    if microseconds < _HALF:
        return max(microseconds, 0)
    shift = microseconds.bit_length() - _BITS - 1
    return (shift + 1) * _HALF + (microseconds >> shift) - _HALF


def _upper_microseconds(place: int) -> int:
    """Return the largest value that belongs to a bucket."""
    if place < _HALF:
        return place
    shift, part = divmod(place, _HALF)
    return ((part + _HALF + 1) << (shift - 1)) - 1
