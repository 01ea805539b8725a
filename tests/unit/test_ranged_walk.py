"""A walk over ranges, step by step: when it splits, what it counts, and which range is read first."""

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import pytest

from otaclient.fleet.proof import Findings
from otaclient.fleet.ranges import COUNT_WINDOW, RANGES_OVERLAP, RangedWalk, Split
from otaclient.fleet.walks import Ticket, Tickets
from otaclient.reads import MarkerWindow, PageFacts, Partition
from otaclient.transport.http import HttpResponse

FIRST: Final = datetime(2024, 1, 1, tzinfo=UTC)
LAST: Final = datetime(2024, 1, 11, tzinfo=UTC)
PAGE: Final = 10
_BODY: Any = HttpResponse(status=200)


class Greedy:
    """A walk that has use for any number of reads."""

    finished = False

    def __init__(self) -> None:
        self._tickets = Tickets()

    def ready(self) -> Ticket | None:
        """Read one more page."""
        return self._tickets.hand_out(MarkerWindow(None, PAGE))

    def wants_facts(self, _ticket: Ticket, /) -> bool:
        """Nothing depends on them."""
        return False

    def arrived(self, _ticket: Ticket, /) -> None:
        """Whatever it is."""

    def next_arrived(self) -> Ticket | None:
        """The first one."""
        return self._tickets.next_arrived()

    def judge(self, ticket: Ticket, _keys: Sequence[str], /) -> bool:
        """All rows count."""
        self._tickets.judged(ticket)
        return True


class Driven:
    """A walk over rows of which the test says when they registered, in days after the first."""

    def __init__(self, days: Sequence[float], *, own: tuple[datetime | None, datetime | None] = (FIRST, LAST)) -> None:
        self._registered = sorted(FIRST + timedelta(days=day) for day in days)
        self.counted: list[datetime] = []
        self.walk = RangedWalk(
            lambda after, before: Partition(label="", filters=(after, before)),
            own,
            split=Split(largest_page=PAGE, concurrency=4, reads_at_once=2),
            findings=Findings(2.0),
            new_walk=lambda _findings: Greedy(),
            now=lambda: LAST,
        )

    def newer(self, instant: datetime) -> int:
        """Return how many rows registered after an instant."""
        return len(self._registered) - bisect_right(self._registered, instant)

    def answer(self, ticket: Ticket, facts: PageFacts) -> None:
        """Let a read come back, and judge it."""
        ticket.raw, ticket.facts = _BODY, facts
        self.walk.arrived(ticket)
        assert self.walk.next_arrived() is ticket
        self.walk.judge(ticket, [])

    def begin(self) -> None:
        """Answer the first read: a full page, and how many rows there are."""
        first = self.next_read()
        assert self.walk.ready() is not first
        assert self.walk.wants_facts(first)
        self.answer(first, PageFacts(rows=PAGE, total=len(self._registered)))

    def next_read(self) -> Ticket:
        """Return a read that may begin now."""
        ticket = self.walk.ready()
        assert ticket is not None
        return ticket

    def counts(self) -> list[Ticket]:
        """Return the counts that may be made now."""
        found: list[Ticket] = []
        while (ticket := self.walk.ready()) is not None and ticket.window is COUNT_WINDOW:
            assert ticket.partition is not None
            assert ticket.partition.filters[1] is None
            self.counted.append(ticket.partition.filters[0])
            found.append(ticket)
        return found

    def count(self, ticket: Ticket) -> None:
        """Answer a count."""
        assert self.walk.wants_facts(ticket)
        assert ticket.partition is not None
        self.answer(ticket, PageFacts(rows=1, total=self.newer(ticket.partition.filters[0])))

    def split(self) -> None:
        """Count until the search is over."""
        self.begin()
        while counts := self.counts():
            for ticket in counts:
                self.count(ticket)


def evenly(rows: int) -> list[float]:
    """Return registrations all along the ten days."""
    return [10 * (row + 0.5) / rows for row in range(rows)]


def rows_in(driven: Driven, ticket: Ticket) -> int:
    """Return how many rows the range of a read has."""
    assert ticket.partition is not None
    after, before = ticket.partition.filters
    return driven.newer(after or FIRST - timedelta(days=1)) - driven.newer(before or LAST + timedelta(days=1))


def test_the_range_with_most_left_goes_first() -> None:
    """Until it has no more left than the others: so all end at about the same time."""
    driven = Driven([*([3.0] * 12_000), *evenly(8_000)])
    driven.split()
    reads = [driven.next_read() for _ in range(1_800)]
    sizes = [rows_in(driven, ticket) for ticket in reads]
    largest = max(sizes)
    assert largest > 12_000
    alone = sizes.index(next(size for size in sizes if size != largest))
    second = sorted(set(sizes))[-2]
    assert alone == pytest.approx((largest - second) / PAGE, abs=20)
    assert set(sizes[alone : alone + 10]) > {largest}
    assert not driven.walk.wants_facts(reads[0])


def test_two_ranges_are_worth_a_search() -> None:
    """From twice the least size on; below, the first walk goes on."""
    driven = Driven(evenly(10_000))
    driven.split()
    parts = {driven.next_read().partition for _ in range(1_000)}
    older, newer = sorted((part.filters for part in parts if part is not None), key=lambda ends: ends[0] is not None)
    assert (older[0], newer[1], len(parts)) == (None, None, 2)
    assert older[1] - newer[0] == RANGES_OVERLAP
    assert newer[0] < FIRST + timedelta(days=5) < older[1] + timedelta(days=0.5)
    small = Driven(evenly(9_999))
    small.begin()
    assert small.next_read().partition is None


def test_what_cannot_be_cut_goes_on_as_one_walk() -> None:
    """All registered in one second: a range that is everything would only read the first page again."""
    driven = Driven([5.0] * 20_000)
    driven.split()
    assert driven.counted
    assert driven.next_read().partition is None


def test_the_next_look_waits_for_all_counts_of_this_one() -> None:
    """They say together where to look closer."""
    driven = Driven(evenly(20_000))
    driven.begin()
    first, *others = driven.counts()
    assert others
    driven.count(first)
    assert driven.walk.ready() is None
    assert not driven.walk.finished
    for ticket in others:
        driven.count(ticket)
    assert driven.walk.ready() is not None


def test_counts_are_made_at_whole_seconds() -> None:
    """The vendor knows no others, also where the query's own end is one."""
    driven = Driven(evenly(20_000), own=(FIRST + timedelta(microseconds=700), None))
    driven.split()
    assert driven.counted
    assert {instant.microsecond for instant in driven.counted} == {0}
