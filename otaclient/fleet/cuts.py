"""Where to cut a listing by time, so that the parts are about equally large: a search by counts. Pure.

The counts fall from the earliest instant to the latest, so a cut is found as a word in a dictionary is: count at a few
instants, look closer where a cut must lie, again at a few instants at once. Things are registered in bursts, hence the
instants of one look are spread over the whole gap, and only one of them stands where even spacing would put the cut.

Whatever is counted, and however wrong: cuts only decide how well the work is balanced, never what is read.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

import attrs

__all__ = ["CutSearch", "Slice"]

_MOST_LOOKS: Final = 5
"""How often one looks closer; each look takes the time of one answer."""

_FAIR_SHARE: Final = 0.1
"""How far a cut may lie from where the parts would be equal, as a share of a part."""

_SECOND: Final = timedelta(seconds=1)


@attrs.frozen
class Slice:
    """One part of a listing."""

    after: datetime | None
    """The cut where it begins; ``None`` for the open end."""
    before: datetime | None
    """The cut where it ends; ``None`` for the open end."""
    rows: int
    """How many rows the counts say."""


@attrs.frozen
class _Gap:
    """Two counted instants, in seconds, with nothing counted between them; ``above`` rows are newer than ``begin``."""

    begin: int
    end: int
    above: int
    below: int

    def misses(self, target: float) -> float:
        """Return how far the better end is from a wanted count."""
        return min(self.above - target, target - self.below)

    def evenly(self, target: float) -> int:
        """Return where a wanted count is reached if the gap's rows are spread evenly."""
        share = (self.above - target) / max(1, self.above - self.below)
        return min(max(self.begin + round((self.end - self.begin) * share), self.begin + 1), self.end - 1)


class CutSearch:
    """Finds instants that cut a listing into parts of about the same number of rows.

    Args:
        rows: How many rows there are.
        parts: How many parts are wanted; fewer come of it where many rows share an instant.
        earliest: Nothing, or little, is older.
        latest: Nothing, or little, is newer.
        most_counts: How many counts the search may cost.
        at_once: How many counts are made at the same time.
    """

    def __init__(
        self, rows: int, *, parts: int, earliest: datetime, latest: datetime, most_counts: int, at_once: int
    ) -> None:
        self._rows = rows
        self._parts = parts
        self._origin = earliest
        self._left = most_counts
        self._at_once = at_once
        self._looks_left = _MOST_LOOKS
        # Newer than the earliest instant is everything, newer than the latest nothing.
        self._newer = {0: rows, max(0, round((latest - earliest) / _SECOND)): 0}

    def next_instants(self) -> Sequence[datetime]:
        """Return the instants to count at next, all at once; none when the search is over."""
        wanted = self._wanted()
        if not wanted or not self._looks_left:
            return ()
        share = max(self._parts - 1, self._left // self._looks_left)
        each = min(share, self._left, self._at_once) // len(wanted)
        chosen = {second for gap, targets in wanted.items() for second in _spread(gap, targets, each)}
        self._looks_left -= 1
        self._left -= len(chosen)
        return [self._origin + second * _SECOND for second in sorted(chosen)]

    def counted(self, instant: datetime, newer: int | None) -> None:
        """Take in how many rows are newer than an instant; without a number, the search ends with what it knows."""
        if newer is None:
            self._looks_left = 0
        else:
            self._newer[round((instant - self._origin) / _SECOND)] = newer

    def slices(self) -> Sequence[Slice]:
        """Return the parts, the oldest first, as equally large as the counted instants allow; at least one."""
        low, high = self._rows // self._parts, self._rows
        cuts: list[tuple[int, int]] = []
        while high - low > max(1, low // 100):
            largest = (low + high) // 2
            packed = self._packed(largest)
            if packed is None:
                low = largest
            else:
                high, cuts = largest, packed
        instants = [None, *(self._origin + second * _SECOND for second, _ in cuts), None]
        counts = [self._rows, *(newer for _, newer in cuts), 0]
        ends = zip(pairwise(instants), pairwise(counts), strict=True)
        return [Slice(after, before, above - below) for (after, before), (above, below) in ends]

    def _known(self) -> list[tuple[int, int]]:
        """The counts, the earliest first, made to fall: rows come and go between two counts, and vendors err."""
        falling: list[tuple[int, int]] = []
        least = self._rows
        for second, newer in sorted(self._newer.items()):
            least = min(least, max(0, newer))
            falling.append((second, least))
        return falling

    def _wanted(self) -> dict[_Gap, list[float]]:
        """The gaps in which cuts lie that are not close enough to one of the ends, each with the counts wanted."""
        fair = _FAIR_SHARE * self._rows / self._parts
        gaps = [_Gap(begin, end, above, below) for (begin, above), (end, below) in pairwise(self._known())]
        wanted: dict[_Gap, list[float]] = {}
        for number in range(1, self._parts):
            target = self._rows * number / self._parts
            gap = next((gap for gap in gaps if gap.above >= target > gap.below), None)
            if gap is not None and gap.end - gap.begin > 1 and gap.misses(target) > fair:
                wanted.setdefault(gap, []).append(target)
        return wanted

    def _packed(self, largest: int) -> list[tuple[int, int]] | None:
        """Return cuts that leave no part larger than this; ``None`` where there are none, or too many."""
        cuts: list[tuple[int, int]] = []
        begin = self._rows
        for (second, above), (_, below) in pairwise(self._known()):
            if begin - below > largest:
                if above == begin or above - below > largest or len(cuts) + 2 > self._parts:
                    return None
                cuts.append((second, above))
                begin = above
        return cuts


def _spread(gap: _Gap, targets: Sequence[float], count: int) -> set[int]:
    """Return so many seconds within a gap, evenly spaced, but one for each target moved to where it is likeliest."""
    count = min(count, gap.end - gap.begin - 1)
    spaced = [gap.begin + (gap.end - gap.begin) * (place + 1) // (count + 1) for place in range(count)]
    for target in targets[:count]:
        likely = gap.evenly(target)
        nearest = min(range(count), key=lambda place: abs(spaced[place] - likely))
        spaced[nearest] = likely
    return set(spaced)
