"""The walk over ranges of registration time, for more reads at once than the markers of one walk allow.

Below one marker a vendor serves only so many offsets, and the next marker comes with the last of them: a walk by
markers has no use for more reads at once than that. Where the vendor can also list what was registered between two
instants, the listing is cut into such ranges, about equally large by the vendor's own counts. Each range is a walk of
its own, with its own beginning, end and proof, and neighbours overlap. So the cuts decide about speed, and about
nothing else: wherever they lie, every row is in a range that is read to its end.

When a row was registered never changes, so no row can move from one range to another while they are read.
"""

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from otaclient.fleet.cuts import CutSearch, Slice
from otaclient.fleet.proof import Findings
from otaclient.fleet.walks import Ticket, Tickets, Walk
from otaclient.reads import MarkerWindow, Partition

__all__ = ["COUNT_WINDOW", "RangedWalk", "Split"]

RANGES_OVERLAP: Final = timedelta(seconds=2)
"""How far neighbouring ranges overlap. Vendors know whole seconds, and whether an end belongs to its range is not
documented: a second to either side of the cut is enough, whichever they mean."""

_EARLIEST: Final = datetime(2016, 1, 1, tzinfo=UTC)
"""Where to begin the search for cuts. No platform with such a listing is older; a device that says it is would be in
the first range, which is open."""

# A smaller range costs more in closing reads than it gains. The search may cost this share of the reads, or so many.
_LEAST_ROWS: Final = 5_000
_SEARCH_SHARE: Final = 0.03
_LEAST_COUNTS: Final = 20

_TIMES_ENOUGH: Final = 2
"""Ranges that are read at once, as a multiple of those that are just enough for the concurrency: of a walk that hops or
begins or ends only one read is under way, and then the others must have use for the rest."""


COUNT_WINDOW: Final = MarkerWindow(None, 1)
"""The smallest window, for a read that is only made for the count which comes with it."""


@attrs.frozen(kw_only=True)
class Split:
    """Into how many ranges a listing is split."""

    largest_page: int
    concurrency: int
    """How many reads are wanted at once."""
    reads_at_once: int
    """How many of these one walk has use for."""

    @property
    def most_parts(self) -> int:
        """How many ranges there are at most; 1 where a single walk keeps all reads busy."""
        if self.concurrency <= self.reads_at_once:
            return 1
        return _TIMES_ENOUGH * -(-self.concurrency // self.reads_at_once)

    @property
    def least_rows(self) -> int:
        """From how many rows on a listing is split at all."""
        return 2 * _LEAST_ROWS

    def parts(self, rows: int) -> int:
        """Return how many ranges so many rows are split into."""
        return max(1, min(self.most_parts, rows // _LEAST_ROWS))

    def most_counts(self, rows: int) -> int:
        """Return how many counts the search for the cuts may cost."""
        return max(_LEAST_COUNTS, int(rows / self.largest_page * _SEARCH_SHARE))


@attrs.define(eq=False)
class _Part:
    """A walk over one range."""

    walk: Walk
    partition: Partition | None
    """``None``: everything."""
    rows_left: int = 0


class RangedWalk:
    """Reads one partition in ranges of registration time, or in one walk where it is small or cannot be cut.

    It begins as one walk over everything, whose first read tells how many rows there are. Few: it goes on. Many: it
    counts at some instants, cuts, and begins anew with a walk for each range.

    Args:
        between: Returns the part of the partition that registered between two instants.
        own_ends: Between which instants the partition lies by itself.
        split: Into how many ranges to split.
        findings: Takes the doubts of all ranges.
        new_walk: Returns a walk, given its findings.
        now: The wall clock.

    Raises:
        InvalidQueryError: The walks cannot be made.
    """

    def __init__(
        self,
        between: Callable[[datetime | None, datetime | None], Partition],
        own_ends: tuple[datetime | None, datetime | None],
        *,
        split: Split,
        findings: Findings,
        new_walk: Callable[[Findings], Walk],
        now: Callable[[], datetime],
    ) -> None:
        self._between = between
        self._own_ends = own_ends
        self._split = split
        self._findings = findings
        self._new_walk = new_walk
        self._now = now
        self._whole = _Part(new_walk(findings.part()), None)
        self._parts = [self._whole]
        self._decided = False
        self._search: CutSearch | None = None
        self._to_count: deque[datetime] = deque()
        self._counting: dict[Ticket, datetime] = {}
        self._counts = Tickets()

    @property
    def finished(self) -> bool:
        """Whether nothing more will be read."""
        # The counts, and the read that led to the search, are judged before any read of a range: see next_arrived.
        return self._search is None and all(part.walk.finished for part in self._parts)

    def ready(self) -> Ticket | None:
        """Return the next read that may begin now; the range with most left to read goes first."""
        if self._search is not None:
            return self._next_count()
        for part in sorted(self._parts, key=lambda part: -part.rows_left):
            ticket = part.walk.ready()
            if ticket is not None:
                ticket.partition = part.partition
                part.rows_left -= ticket.window.size
                return ticket
        return None

    def wants_facts(self, ticket: Ticket, /) -> bool:
        """Tell whether what comes next depends on what this page says about itself."""
        return self._search is not None or not self._decided or self._part_of(ticket).walk.wants_facts(ticket)

    def arrived(self, ticket: Ticket, /) -> None:
        """Take in a page: the first one decides whether to split, the counts where.

        Raises:
            PayloadError: The vendor's answer does not let one go on without losing rows.
        """
        facts = ticket.facts
        if self._search is not None:
            assert facts is not None
            self._search.counted(self._counting.pop(ticket), facts.total)
            self._go_on_counting(self._search)
            return
        self._part_of(ticket).walk.arrived(ticket)
        if not self._decided:
            assert facts is not None
            self._decided = True
            # A first page that is not full is all there is, whatever the count says.
            if facts.total is not None and facts.rows == ticket.window.size:
                self._begin_search(facts.total)

    def next_arrived(self) -> Ticket | None:
        """Return the next read to be judged, once it is there."""
        waiting = self._counts.next_arrived() or self._whole.walk.next_arrived()
        if waiting is not None:
            return waiting
        arrived = (part.walk.next_arrived() for part in self._parts)
        return next((ticket for ticket in arrived if ticket is not None), None)

    def judge(self, ticket: Ticket, keys: Sequence[str], /) -> bool:
        """Tell whether the rows of the next read count; those that came with a count do not."""
        if self._counts.next_arrived() is ticket:
            self._counts.judged(ticket)
            return False
        return self._part_of(ticket).walk.judge(ticket, keys)

    def _part_of(self, ticket: Ticket) -> _Part:
        return next((part for part in self._parts if part.partition is ticket.partition), self._whole)

    # --- where to cut ----------------------------------------------------------------------------------------------

    def _begin_search(self, rows: int) -> None:
        after, before = self._own_ends
        now = self._now()
        earliest = (_EARLIEST if after is None else after).replace(microsecond=0)
        latest = now if before is None else min(before, now)
        parts = self._split.parts(rows)
        if parts < 2 or earliest >= latest:
            return
        search = self._search = CutSearch(
            rows,
            parts=parts,
            earliest=earliest,
            latest=latest,
            most_counts=self._split.most_counts(rows),
            at_once=self._split.concurrency,
        )
        self._go_on_counting(search)

    def _go_on_counting(self, search: CutSearch) -> None:
        if self._counting or self._to_count:
            return
        self._to_count.extend(search.next_instants())
        if not self._to_count:
            slices, self._search = search.slices(), None
            if len(slices) > 1:
                self._parts = [self._part(cut) for cut in slices]

    def _next_count(self) -> Ticket | None:
        if not self._to_count:
            return None
        instant = self._to_count.popleft()
        self._findings.read(repair=False)
        ticket = self._counts.hand_out(COUNT_WINDOW)
        ticket.partition = self._between(instant, None)
        self._counting[ticket] = instant
        return ticket

    def _part(self, cut: Slice) -> _Part:
        after = None if cut.after is None else cut.after - RANGES_OVERLAP / 2
        before = None if cut.before is None else cut.before + RANGES_OVERLAP / 2
        return _Part(self._new_walk(self._findings.part()), self._between(after, before), cut.rows)
