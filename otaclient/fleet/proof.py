"""What kept the proof of one walk from closing, and what the proof cost."""

from collections import Counter
from enum import StrEnum

__all__ = ["Doubt", "Findings"]

# Growth is not held against the budget, up to a tenfold fleet and so many reads: a fleet that grows faster than it can
# be read must not keep a scan for ever.
_GROWTH = 10
_GROWTH_READS = 1000
# How far reads that are no repairs may go on when the budget is used up: to the end, where one is near.
_UNREPAIRED = 1.2
_UNREPAIRED_READS = 50
# Beyond the budget, so that the proof of a small target is not given up for the price of a handful of requests.
_FREE_REPAIRS = 60


class Doubt(StrEnum):
    """Why a scan is not certified."""

    GAP = "gap: neighbouring reads share no rows, so rows between them may be missing"
    WEAK_JOIN = "weak join: neighbouring reads share only one row"
    REPEATED = "a row comes twice in one read, so the read proves nothing"
    ORDER = "contradiction: rows changed their order while they were read"
    END = "end: the last page does not agree with the vendor's total"
    ENDLESS = "end: the pages repeat and no end was reached"
    CLOSING = "closing read: new rows kept coming, faster than they could be read"
    FORGOTTEN = "dedupe=neighbours: a read went farther back than is remembered, so devices may have come twice"
    SHARED = "dedupe=neighbours: targets share devices, and not all are remembered, so devices may have come twice"
    BUDGET = "repair budget: closing the gaps would have taken more requests than allowed"


class Findings:
    """The doubts about one walk, and its budget.

    Args:
        repair_budget: The most reads beyond plain paging, as a share of those.
        whole: What these are a part of: it hears of every doubt, read and repair.
    """

    def __init__(self, repair_budget: float, *, whole: "Findings | None" = None) -> None:
        self._repair_budget = repair_budget
        self._whole = whole
        self._plain_reads = self._reads_of_seen = 1
        self._most_plain_reads: int | None = None
        self.doubts: Counter[Doubt] = Counter()
        self.reads = 0
        self.repairs = 0

    def note(self, doubt: Doubt) -> None:
        """Write down a reason against a certificate."""
        self.doubts[doubt] += 1
        if self._whole is not None:
            self._whole.note(doubt)

    def expect_plain(self, total: int | None, *, seen: int, largest_page: int) -> None:
        """Take in how many rows the vendor counts by now, ``None`` where it does not say, and how many were seen."""
        wanted = -(-max(total or 0, seen) // largest_page) + 1
        if self._most_plain_reads is None and total is not None:
            self._most_plain_reads = _GROWTH * wanted + _GROWTH_READS
        self._plain_reads = max(self._plain_reads, min(wanted, self._most_plain_reads or wanted))
        self._reads_of_seen = -(-seen // largest_page) + 1

    def end_is_near(self) -> None:
        """Take in that nothing lies much farther, whatever the vendor counts: from here on, this may grow tenfold."""
        most = _GROWTH * self._reads_of_seen + _GROWTH_READS
        self._most_plain_reads = min(most, self._most_plain_reads or most)
        self._plain_reads = min(self._plain_reads, self._most_plain_reads)

    def read(self, *, repair: bool) -> None:
        """Count a read."""
        self.reads += 1
        self.repairs += repair
        if self._whole is not None:
            self._whole.read(repair=repair)

    def part(self) -> "Findings":
        """Return the findings about one part of the walk, with a budget of its own."""
        return Findings(self._repair_budget, whole=self)

    @property
    def is_spent(self) -> bool:
        """Whether the repairs have used up their budget."""
        return self.reads > self._limit

    @property
    def is_exhausted(self) -> bool:
        """Whether so much was read, repairs or not, that no end is to be expected."""
        # The vendor's count may be anything: what was seen says more about how far one is.
        sensible = _GROWTH * self._reads_of_seen * (1 + self._repair_budget) + _GROWTH_READS
        return self.reads > min(_UNREPAIRED * self._limit + _UNREPAIRED_READS, sensible)

    @property
    def _limit(self) -> float:
        return self._plain_reads * (1 + self._repair_budget) + _FREE_REPAIRS
