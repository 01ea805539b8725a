"""What kept the proof of one walk from closing, and what the proof cost."""

from collections import Counter
from enum import StrEnum

__all__ = ["Doubt", "Findings"]

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
        self._plain_reads = 1
        self.doubts: Counter[Doubt] = Counter()
        self.reads = 0
        self.repairs = 0

    def note(self, doubt: Doubt) -> None:
        """Write down a reason against a certificate."""
        self.doubts[doubt] += 1
        if self._whole is not None:
            self._whole.note(doubt)

    def expect_plain(self, rows: int, *, largest_page: int) -> None:
        """Take in how many rows there are by now: growth is not held against the budget."""
        self._plain_reads = max(self._plain_reads, -(-rows // largest_page) + 1)

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
        return self.reads > self._plain_reads * (1 + self._repair_budget) + _FREE_REPAIRS
