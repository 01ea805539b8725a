"""Whoever breaks a rule of the certified scan breaks a test: faults are put in one by one, and each must be noticed.

The checks are examples of each rule, existing tests called as functions, and then scans against the adversary, of which
``OTACLIENT_MUTATION_SCANS`` makes more.
"""

import asyncio
import inspect
import os
import random
import runpy
from collections import deque
from collections.abc import Callable, Sequence
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import anyio.lowlevel
import attrs
import pytest

import otaclient.fleet.scan  # noqa: F401 - so that there is something to come back to
from adversary.mutations import MUTATIONS, Mutation, Rule, loaded
from otaclient.errors import InvalidQueryError, PayloadError
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Markers, MarkerWindow, PageFacts, PageNumbers, PageWindow, Paging, Window
from support.adversary import Drift, Vendor, drive
from support.listing import ListBackend, ListSource
from support.registered import FIRST, RegisteredSource, rows_of, spread

SCANS = int(os.environ.get("OTACLIENT_MUTATION_SCANS", "200"))
pytestmark = pytest.mark.timeout(300)

PAGES = PageNumbers(largest_page=40, default_page=40)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
BOTH = (PAGES, MARKERS)
_UNIT = Path(__file__).parents[1] / "unit"


class EndlessError(Exception):
    """A walk asks for more than it can need."""


@attrs.define
class Followed:
    """What came of a walk."""

    windows: list[Window]
    seen: list[int]
    counts: dict[str, int]
    repairs: int

    @property
    def doubts(self) -> set[str]:
        """The names of the doubts."""
        return set(self.counts)

    @property
    def certified(self) -> bool:
        """Whether there is no doubt."""
        return not self.counts


Listing = list[int]
Before = Callable[[int, Listing], None]
"""Changes what is listed before the nth answer, from 1."""
Change = Callable[[int, Window, Listing, PageFacts], tuple[Listing, PageFacts]]
"""Changes the nth answer."""


def walk_of(
    code: Any, paging: Paging, *, concurrency: int, budget: float = 2.0, memory: int | None = None
) -> tuple[Any, Any]:
    """Return a certified walk, and its findings; with a negative budget, no repair is allowed."""
    kind = code.proof.Findings if budget >= 0 else type("Spent", (code.proof.Findings,), {"is_spent": True})
    findings = kind(max(0.0, budget))
    chain = code.chain.Chain(code.sightings.Sightings(memory))
    if isinstance(paging, PageNumbers):
        return code.certified_pages.CertifiedPageWalk(paging, chain, findings, concurrency=concurrency), findings
    return code.certified_markers.CertifiedMarkerWalk(paging, chain, findings, concurrency=concurrency), findings


def answer_of(rows: Listing, window: Window) -> tuple[Listing, PageFacts]:
    """Return what an honest vendor answers; rows are listed in falling order, or as they stand where pages count."""
    if isinstance(window, PageWindow):
        found = rows[(window.number - 1) * window.size : window.number * window.size]
        return found, PageFacts(rows=len(found), total=len(rows), number=window.number, size=window.size)
    below = [row for row in rows if window.marker is None or row < int(window.marker, 16)]
    found = below[window.offset : window.offset + window.size]
    return found, PageFacts(rows=len(found), total=len(rows), marker=f"{found[-1]:024x}" if found else None)


def follow(
    code: Any,
    paging: Paging,
    rows: Sequence[int],
    *,
    before: Before = lambda _number, _rows: None,
    change: Change = lambda _number, _window, found, facts: (found, facts),
    concurrency: int = 1,
    budget: float = 2.0,
    memory: int | None = None,
    most: int = 400,
    on_flight: Callable[[int], None] = lambda _flight: None,
) -> Followed:
    """Run a walk whose answers come in the order in which they were asked for."""
    walk, findings = walk_of(code, paging, concurrency=concurrency, budget=budget, memory=memory)
    listed = list(rows)
    windows: list[Window] = []
    seen: list[int] = []
    waiting: deque[tuple[Any, Listing, PageFacts]] = deque()
    while not walk.finished:
        while (ticket := walk.ready()) is not None:
            windows.append(ticket.window)
            if len(windows) > most:
                raise EndlessError
            before(len(windows), listed)
            waiting.append((ticket, *change(len(windows), ticket.window, *answer_of(listed, ticket.window))))
        assert waiting, "a walk that is not finished has something to read"
        on_flight(sum(not waits.dropped for waits, _, _ in waiting))
        ticket, found, facts = waiting.popleft()
        if ticket.dropped:
            continue
        ticket.raw = True
        ticket.facts = facts if walk.wants_facts(ticket) else None
        walk.arrived(ticket)
        ticket.facts = facts
        assert walk.next_arrived() is ticket
        if walk.judge(ticket, [str(row) for row in found]):
            seen.extend(found)
    counts = {doubt.name: count for doubt, count in findings.doubts.items()}
    return Followed(windows, seen, counts, findings.repairs)


def falling(count: int) -> Listing:
    """Return rows as they are listed: the newest first."""
    return list(range(count, 0, -1))


# --- examples of the rules -------------------------------------------------------------------------------------------


def quiet_listings_are_certified_at_the_planned_price(code: Any) -> None:
    """For totals around the borders: every row, no doubt, the planned windows, the closing reads, the first alone."""
    for paging in BOTH:
        for count in (0, 1, 19, 20, 21, 39, 40, 41, 75, 76, 77, 120, 200, 333):
            for concurrency in (1, 8):
                flights: list[int] = []
                end = follow(code, paging, falling(count), concurrency=concurrency, on_flight=flights.append)
                assert end.certified
                assert sorted(set(end.seen)) == sorted(falling(count))
                price = code.expected.walk_reads(count, paging, certify=True)
                assert (len(end.windows), end.repairs, flights[0]) == (price, 0, 1)
                assert end.windows[0] == _first(paging)
                if count >= 40:
                    assert end.windows[-2] == _first(paging)
                    assert _is_last(end.windows[-1], count)
                _check_overlap(end.windows[:-2])


def _first(paging: Paging) -> Window:
    return PageWindow(1, 40) if isinstance(paging, PageNumbers) else MarkerWindow(None, 20)


def _is_last(window: Window, count: int) -> bool:
    if isinstance(window, PageWindow):
        return (window.number - 1) * window.size <= count <= window.number * window.size
    return window.marker == f"{1:024x}"


def _check_overlap(windows: Sequence[Window]) -> None:
    covered, base = 40, MarkerWindow("", 20, -20)
    for window in windows[1:]:
        if isinstance(window, PageWindow):
            assert (window.number - 1) * window.size <= covered - 2
            covered = window.number * window.size
        elif window.marker == base.marker:
            assert window.offset <= base.offset + base.size - 2
            base = window
        else:
            assert window.offset == 0
            base = window


def what_cannot_get_on_is_refused(code: Any) -> None:
    """Pages that are too small, and overlaps as large as a page."""
    small = PageNumbers(largest_page=10, default_page=10)
    for paging, overlap in ((small, None), (PAGES, 40), (PAGES, 0), (MARKERS, 20), (MARKERS, 0)):
        options = code.plan.ProofOptions(overlap=overlap)
        with pytest.raises(InvalidQueryError, match="cannot overlap"):
            code.plan.walk_of(
                ListSource([]).partitions()[0], paging, code.proof.Findings(1), options,
                new_chain=lambda: code.chain.Chain(code.sightings.Sightings()), now=None,
            )  # fmt: skip


def gaps_weak_joins_and_repeats_are_repaired_or_said(code: Any) -> None:
    """By how many rows neighbours share: joined, repaired, and with no budget left a doubt by its name."""
    for paging, leaving, name in ((PAGES, 3, "WEAK_JOIN"), (PAGES, 4, "GAP"), (MARKERS, 1, "GAP"), (MARKERS, 2, "GAP")):

        def leave(number: int, rows: Listing, leaving: int = leaving) -> None:
            if number == 3:
                # The newest rows: page 1 is read, and below its marker so are the first rows.
                del rows[20 : 20 + leaving]

        repaired = follow(code, paging, falling(150), before=leave)
        assert repaired.certified
        assert repaired.repairs > 0
        assert list(dict.fromkeys(repaired.seen)) == falling(150)  # nothing behind a gap before what is in it
        doubtful = follow(code, paging, falling(150), before=leave, budget=-1.0)
        assert doubtful.doubts == {"BUDGET", name}
        assert doubtful.repairs == 0
    for paging in BOTH:
        for at in range(1, 9):
            twice = follow(code, paging, falling(150), change=_first_row_twice(at, at), budget=-1.0)
            assert (
                "REPEATED" in twice.doubts or "BUDGET" in twice.doubts or twice.certified is (at > len(twice.windows))
            )
            always = follow(code, paging, falling(150), change=_first_row_twice(at, 999))
            assert "REPEATED" in always.doubts or at > len(always.windows)


def _first_row_twice(first: int, last: int) -> Change:
    def change(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
        return ([found[0], *found[:-1]] if first <= number <= last and len(found) > 2 else found), facts

    return change


def a_repeated_row_joins_nothing(code: Any) -> None:
    """A page with a row twice is read again where reads are joined by rows."""
    once = follow(code, PAGES, falling(150), change=_first_row_twice(3, 3))
    assert once.certified
    assert once.repairs == 1
    assert set(once.seen) == set(falling(150))
    for paging in BOTH:
        reads = len(follow(code, paging, falling(150)).windows)
        for at in (1, reads - 1):  # the first read, and the closing one at the head
            assert "REPEATED" in follow(code, paging, falling(150), change=_first_row_twice(at, at)).doubts
    assert "REPEATED" in follow(code, MARKERS, falling(150), change=_first_row_twice(2, 2)).doubts


def ends_are_read_again_and_then_said(code: Any) -> None:
    """Short and empty pages in the middle, totals that are wrong once or always."""
    for paging in BOTH:
        for at in range(1, 12):
            for rows in (0, 1, 7):
                cut = follow(code, paging, falling(190), change=_cut(at, rows))
                assert cut.certified or at == 1
                assert set(cut.seen) == set(falling(190))
                # An empty page at an offset is no end: the closing reads come when all is read, not before.
                is_at_offset = any(getattr(window, "offset", 0) for window in cut.windows[at - 1 : at])
                assert not is_at_offset or cut.windows.index(MarkerWindow(None, 20), 1) == len(cut.windows) - 2
        for told in (-3, 0, 60, 1000, None):
            lied = follow(code, paging, falling(190), change=_told(told, 1, 999))
            assert set(lied.seen) == set(falling(190))
            assert lied.doubts - {"ENDLESS"} == ({"END"} if paging is PAGES else set())
            for at in range(2, 12):
                assert follow(code, paging, falling(190), change=_told(told, at, at)).certified


def _cut(at: int, rows: int) -> Change:
    """Let one answer hold so many rows only, whatever it says about the total."""

    def change(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
        if number != at:
            return found, facts
        found = found[:rows]
        marker = f"{found[-1]:024x}" if found and facts.marker else None
        return found, attrs.evolve(facts, rows=len(found), marker=marker)

    return change


def _told(total: int | None, first: int, last: int) -> Change:
    def change(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
        return found, attrs.evolve(facts, total=total) if first <= number <= last else facts

    return change


def empty_targets_are_asked_twice(code: Any) -> None:
    """Two empty reads with total 0 are an empty target; anything else is read again, and then a doubt."""
    for paging in BOTH:
        empty = follow(code, paging, [])
        assert (empty.certified, len(empty.windows)) == (True, 2)
        once = follow(code, paging, falling(90), change=_nothing(1, 1, total=0))
        assert (once.certified, set(once.seen)) == (True, set(falling(90)))
        wrong = follow(code, paging, falling(90), change=_nothing(1, 2, total=90))
        assert (wrong.certified, set(wrong.seen)) == (True, set(falling(90)))
        for total in (90, None):
            assert follow(code, paging, [], change=_nothing(1, 999, total=total)).doubts == {"END"}
    gone = follow(code, PAGES, falling(90), before=lambda number, rows: rows.clear() if number > 1 else None)
    assert gone.doubts  # an empty page is never the end of a listing that was not empty
    for paging in BOTH:
        closing = follow(code, paging, falling(90), change=_empty_closing_head)
        assert closing.doubts == {"END"}


def _nothing(first: int, last: int, *, total: int | None) -> Change:
    def change(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
        return ([], PageFacts(rows=0, total=total)) if first <= number <= last else (found, facts)

    return change


def _empty_closing_head(number: int, window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
    is_head = window.number == 1 if isinstance(window, PageWindow) else window.marker is None
    return ([], PageFacts(rows=0, total=90)) if number > 1 and is_head else (found, facts)


def joins_are_to_the_last_joined_read(code: Any) -> None:
    """Rows of long ago that turn up again join nothing, and neither do a few known ones behind many new ones."""
    chain = code.chain.Chain(code.sightings.Sightings())
    for read in ("abcd", "cdef", "efgh"):
        chain.add(list(read))
    for read, joins in (("ghij", True), ("fghi", True), ("uvgh", True), ("abxy", False), ("uvwxyzgh", False)):
        assert chain.match(list(read)).joins is joins


def markers_join_at_offset_0_only(code: Any) -> None:
    """A read without a row in common joins on the last joined read's marker, and at its offset 0, or not at all."""
    for marker, offset, joins in ((131, 0, True), (131, 18, False), (150, 0, False), (99, 0, False)):
        walk, _ = walk_of(code, MARKERS, concurrency=4, budget=2.0)
        first = walk.ready()
        rows, first.facts = answer_of(falling(150), first.window)
        first.raw = True
        walk.arrived(first)
        assert walk.judge(first, [str(row) for row in rows])
        facts = PageFacts(rows=20, total=150, marker=f"{51:024x}")
        window = MarkerWindow(f"{marker:024x}", 20, offset)
        assert walk._judge_body(window, [str(row) for row in range(70, 50, -1)], facts) is joins


def pages_that_repeat_come_to_an_end(code: Any) -> None:
    """A vendor that always answers with its first rows, and echoes what it was asked."""

    def same(number: int, window: Window, _found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
        rows = falling(190)[: window.size]
        return rows, attrs.evolve(facts, rows=len(rows), total=190 if number < 40 else None)

    assert follow(code, PAGES, falling(190), change=same).doubts


def answers_to_other_questions_are_errors(code: Any) -> None:
    """Another page, another size, more rows than asked for, no marker, a marker that does not go down."""
    wrong: list[tuple[Paging, dict[str, Any]]] = [
        (PAGES, {"number": 7}), (PAGES, {"size": 39}), (PAGES, {"rows": 41}),
        (MARKERS, {"marker": None}), (MARKERS, {"marker": ""}), (MARKERS, {"marker": "f" * 24}),
    ]  # fmt: skip
    for paging, facts in wrong:
        for at in range(1, 6):
            if facts.get("marker") == "f" * 24 and at == 1:
                continue  # nothing is above the newest record

            def change(number: int, _window: Window, found: Listing, said: PageFacts) -> tuple[Listing, PageFacts]:
                return found, attrs.evolve(said, **facts) if number == at else said  # noqa: B023 - called at once

            with pytest.raises(PayloadError):
                follow(code, paging, falling(190), change=change)


def rows_that_jump_to_an_end_are_seen_or_said(code: Any) -> None:
    """Every tenth row jumps to the head, or to the tail, before every read: seen, or a doubt."""
    for concurrency in (1, 3):
        reads = len(follow(code, PAGES, falling(150), concurrency=concurrency).windows)
        for at in range(2, reads + 1):
            for row in range(1, 151, 10):
                for place in (0, 150):
                    end = follow(code, PAGES, falling(150), before=_jump(at, row, place), concurrency=concurrency)
                    assert end.doubts or set(end.seen) == set(falling(150))


def _jump(at: int, row: int, place: int) -> Before:
    def jump(number: int, rows: Listing) -> None:
        if number == at:
            rows.remove(row)
            rows.insert(place, row)

    return jump


def contradictions_are_said_in_every_phase(code: Any) -> None:
    """A page whose rows come in another order than before, whichever it is; and a row of long ago."""
    for paging in BOTH:
        reads = len(follow(code, paging, falling(190)).windows)
        for at in range(2, reads + 1):

            def turned(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
                return (found[::-1] if number == at else found), facts  # noqa: B023 - called at once

            end = follow(code, paging, falling(190), change=turned)
            assert len(set(end.seen)) == 190
            # A page right below a marker shares no row with those before: then nothing is known of its order.
            window = end.windows[at - 1]
            is_below = isinstance(window, MarkerWindow) and window.marker is not None and window.offset == 0
            assert "ORDER" in end.doubts or is_below

        def old(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
            return ([*found[:-1], 185] if number == 6 else found), facts

        assert "ORDER" in follow(code, paging, falling(190), change=old).doubts

    def turn(number: int, _window: Window, found: Listing, facts: PageFacts) -> tuple[Listing, PageFacts]:
        return (found[::-1] if number == 3 else found), facts

    # Rows above the third read leave before it: it joins nothing, and is read again in the right order.
    for paging, above in ((PAGES, slice(42, 56)), (MARKERS, slice(22, 36))):

        def leave(number: int, listed: Listing, above: slice = above) -> None:
            if number == 3:
                del listed[above]

        assert "ORDER" in follow(code, paging, falling(190), before=leave, change=turn).doubts


def growth_at_the_head_is_followed_or_said(code: Any) -> None:
    """New rows at the head are read until known ones come, closing reads are joined, and there is an end to them."""
    for paging in BOTH:
        head = len(follow(code, paging, falling(150)).windows) - 1
        for rows in (1, 25, 60, 100):
            for at in (head - 1, head):
                grown = follow(code, paging, falling(150), before=_grow(at, at, rows))
                assert grown.certified
                assert set(falling(150)) <= set(grown.seen)
                assert len(set(grown.seen)) == 150 + rows or at < head
        module = code.certified_pages if isinstance(paging, PageNumbers) else code.certified_markers
        module._MOST_HEAD_READS = 3
        much = follow(code, paging, falling(150), before=_grow(head, head, 300))
        assert ("CLOSING" in much.doubts, set(falling(150)) <= set(much.seen)) == (True, True)
        module._MOST_HEAD_READS = 200
        # Of what is new at the head, and stays, nothing is missed where some of it leaves between two closing reads.
        for at in range(head + 1, head + 9):
            left = follow(code, paging, falling(150), before=_grow_and_leave(head, at), concurrency=1)
            assert left.doubts or set(left.seen) >= {*falling(445)} - {*range(401, 431)}
        # Closing reads between which more rows came than a page holds do not meet.
        if paging is PAGES:
            assert "CLOSING" in follow(code, paging, falling(150), before=_grow(head, head + 2, 100)).doubts


def _grow(first: int, last: int, count: int) -> Before:
    def grow(number: int, rows: Listing) -> None:
        if first <= number <= last:
            rows[:0] = range(max(rows) + count, max(rows), -1)

    return grow


def _grow_and_leave(grow: int, leave: int) -> Before:
    def change(number: int, rows: Listing) -> None:
        if number == grow:
            rows[:0] = range(max(rows) + 300, max(rows), -1)
        if number == leave:
            del rows[5:50]

    return change


def little_memory_forgets_nothing_that_matters(code: Any) -> None:
    """With the latest reads in mind: many closing reads at the head do not make the tail unknown; else it is said."""
    for paging, rows in ((PAGES, 60), (MARKERS, 300)):
        head = len(follow(code, paging, falling(600)).windows) - 1
        burst = follow(code, paging, falling(600), before=_grow(head, head, rows), memory=2)
        assert (burst.counts, burst.repairs, set(burst.seen)) == ({}, 0, set(falling(600 + rows)))
    may_forget, code.chain.Chain.may_forget = code.chain.Chain.may_forget, lambda _chain, _rows: True
    held: list[Any] = []

    def note(chain: Any) -> None:
        held.append(chain)

    hold, code.chain.Chain.hold = code.chain.Chain.hold, note
    pages, markers = (follow(code, paging, falling(150)) for paging in BOTH)
    code.chain.Chain.may_forget, code.chain.Chain.hold = may_forget, hold
    assert len(held) == 2
    assert (pages.counts, markers.counts) == ({"FORGOTTEN": len(pages.windows) - 1}, {"FORGOTTEN": 1})


def no_reading_goes_on_for_ever(code: Any) -> None:
    """However many rows the vendor counts, and however many are seen: some number of reads is too much."""
    for total, seen in ((200, 200), (10**12, 200), (200, 10_000)):
        findings = code.proof.Findings(2.0)
        findings.expect_plain(200, seen=0, largest_page=40)
        findings.expect_plain(total, seen=seen, largest_page=40)
        reads = next((reads for reads in range(100_000) if findings.is_exhausted or findings.read(repair=False)), None)
        assert reads is not None
        assert reads > seen // 40


def growth_at_the_tail_comes_to_an_end(code: Any) -> None:
    """Records that keep coming behind the last one are chased for a while; whoever was there is seen."""

    def grow(number: int, rows: Listing) -> None:
        if number > 2:
            rows.extend(range(rows[-1] - 1, rows[-1] - 6, -1))

    rows = list(range(100_150, 100_000, -1))
    code.certified_markers._MOST_CHASES = 20
    end = follow(code, MARKERS, rows, before=grow, most=200)
    code.certified_markers._MOST_CHASES = 200
    assert "CLOSING" in end.doubts
    assert set(rows) <= set(end.seen)


def gaps_slow_the_walk_down_and_joins_speed_it_up(code: Any) -> None:
    """At a gap everything in flight is dropped; then few reads with much overlap, and in the end many with little."""
    flights: list[int] = []

    def leave(number: int, rows: Listing) -> None:
        if number == 130:
            del rows[:30]

    end = follow(code, PAGES, falling(9000), before=leave, concurrency=16, on_flight=flights.append)
    assert (end.certified, end.repairs) == (True, 1)
    assert set(falling(9000)) <= set(end.seen)
    after = next(place for place, flight in enumerate(flights) if place and flight < 16)
    assert flights[after] <= 8
    assert flights[after:].count(16) > 100
    shares = [_shared(one, other) for one, other in pairwise(end.windows[:-2])]
    back = shares.index(max(shares))
    assert (median(shares[:back]) <= 9, median(shares[back + 1 : back + 8]) >= 13, median(shares[-60:]) <= 10) == (
        True, True, True,
    )  # fmt: skip


def _shared(one: Window, other: Window) -> int:
    assert isinstance(one, PageWindow)
    assert isinstance(other, PageWindow)
    return one.number * one.size - (other.number - 1) * other.size


def budgets_end_what_never_closes(code: Any) -> None:
    """Gaps at every read: the walk ends with a doubt; without a gap the budget does not matter; growth is left out."""
    code.proof._FREE_REPAIRS = 0
    for paging, leaving in ((PAGES, 25), (MARKERS, 10)):

        def leave(_number: int, rows: Listing, leaving: int = leaving) -> None:
            del rows[:leaving]

        hurried = follow(code, paging, falling(3000), before=leave, budget=0.0, concurrency=4, most=900)
        assert "BUDGET" in hurried.doubts
        assert follow(code, paging, falling(3000), budget=0.0, concurrency=4, most=900).certified

    def grow(number: int, rows: Listing) -> None:
        if number < 150:
            rows.extend(range(rows[-1] - 1, rows[-1] - 41, -1))
        elif number in (160, 170):
            del rows[:60]

    grown = follow(code, PAGES, list(range(99_100, 99_000, -1)), before=grow, budget=0.5, most=2000)
    code.proof._FREE_REPAIRS = 60
    assert grown.certified
    assert grown.repairs >= 2


# --- examples through the scan ---------------------------------------------------------------------------------------


def scanning(code: Any, *sources: Any, **options: Any) -> Any:
    """Return a scan by the code under test."""
    targets: Any = [(ListBackend(source, label=f"b{n}"), DeviceUpgradeQuery()) for n, source in enumerate(sources)]
    return code.scan.scan(targets, **options)


def bounded(source: Any, most: int = 900) -> Any:
    """Let a source end a scan that asks too much of it, and answer one read sooner than another."""
    rng = random.Random(most)

    async def count() -> None:
        for _ in range(rng.randrange(1, 30)):
            await anyio.lowlevel.checkpoint()
        if len(source.asked) > most:
            raise EndlessError

    source.before_answer = count
    return source


def verdicts_are_earned(code: Any) -> None:
    """Breaks, doubts of a later walk, and scans without a proof."""

    async def verdicts() -> None:
        for leave_after in (0, 1, 100, 149):
            running = scanning(code, bounded(ListSource(range(150), paging=PAGES)))
            async with running:
                rows = aiter(running)
                for _ in range(leave_after):
                    await anext(rows)
                assert running.certificate.reasons == ("not finished",)
            assert (running.certificate.verdict, running.certificate.reasons) == ("uncertain", ("not finished",))
        lying = bounded(ListSource(range(120), paging=PAGES))
        lying.total = lambda rows: rows + 1000
        good = bounded(ListSource(range(500, 560), paging=PAGES))
        for sources, verdict in (((good,), "certified"), ((good, lying), "uncertain"), ((lying, good), "uncertain")):
            async with scanning(code, *sources) as running:
                assert len([row async for row in running]) == sum(len(source.walks[0]) for source in sources)
            assert running.certificate.verdict == verdict
        bad = bounded(ListSource(range(120), paging=PAGES))
        bad.bad = {40}
        async with scanning(code, bad, on_error="collect") as running:
            assert len([row async for row in running]) == 119
        assert running.certificate.verdict == "uncertain"

    asyncio.run(asyncio.wait_for(verdicts(), 30))


def each_device_is_handed_out_once(code: Any) -> None:
    """Rows leave while they are read: nobody is told of twice, and whoever was there is told of."""

    async def told() -> None:
        for dedupe in ("exact", "neighbours"):
            source = bounded(ListSource(range(1500), paging=PAGES))
            count = source.before_answer

            async def leave(source: Any = source, count: Any = count) -> None:
                await count()
                del source.walks[0][10:22]

            source.before_answer = leave
            async with scanning(code, source, dedupe=dedupe) as running:
                found = [row.device_id async for row in running]
            assert (running.certificate.verdict, running.certificate.repairs > 0) == ("certified", True)
            assert len(found) == len(set(found))
            assert {f"d{row}" for row in source.walks[0]} <= set(found)

    asyncio.run(asyncio.wait_for(told(), 30))


def ranges_are_whole(code: Any) -> None:
    """Every device of a listing read in ranges: in the second of a cut, beyond all bounds; and doubts of any range."""
    code.ranges._LEAST_ROWS = 60
    begin = 1_000_000
    ends = (FIRST + timedelta(seconds=begin), FIRST + timedelta(seconds=begin + 701))

    async def whole() -> None:
        for inclusive in (True, False):
            # One device in each second, so that every cut meets one.
            each = RegisteredSource(rows_of(range(begin + 1, begin + 701)), own=ends, inclusive=inclusive)
            async with scanning(code, bounded(each), concurrency=16) as running:
                assert len([row async for row in running]) == 700
            assert len(set(each.asked_between)) > 6
        outer = rows_of([-5_000_000, *range(10**9, 10**9 + 30)])
        # What has registered in one second cannot be cut: one range is much longer than the others.
        rows = [*outer, *rows_of([*spread("uniform", 500, random.Random(2)), *([10**8] * 500)])]
        async with scanning(code, bounded(RegisteredSource(rows)), concurrency=16) as running:
            assert {row.device_id async for row in running} == {f"d{row}" for row in rows}
        assert all(part.walk.finished for part in running._walkers[0].walk._parts)
        assert (running.certificate.verdict, running.certificate.duplicates > 0) == ("certified", True)
        async with scanning(code, bounded(_TwiceOnceCut(rows)), concurrency=16) as running:
            _ = [row async for row in running]
        assert running.certificate.verdict == "uncertain"

    asyncio.run(asyncio.wait_for(whole(), 30))


class _TwiceOnceCut(RegisteredSource):
    """Repeats a row of every large page as soon as ranges are read."""

    def _page(self, rows: list[int], window: Window) -> dict[str, Any]:
        page = super()._page(rows, window)
        found = page["rows"]
        if len(found) > 2 and self.asked_between[-1] != (None, None):
            page["rows"] = [found[0], *found[:-1]]
        return page


def the_tests_of(name: str) -> Callable[[Any], None]:
    """Return the check that the tests of a module hold, those that take no arguments."""

    def check(_code: Any) -> None:
        for label, test in runpy.run_path(str(_UNIT / name)).items():
            if not label.startswith("test_") or hasattr(test, "hypothesis"):
                continue
            if not inspect.signature(test).parameters:
                outcome = test()
                if inspect.iscoroutine(outcome):
                    asyncio.run(asyncio.wait_for(outcome, 20))

    check.__name__ = name
    return check


# --- the adversary ---------------------------------------------------------------------------------------------------


def adversary_scans(code: Any) -> None:
    """Rows come, go, jump to the ends and come back, totals lie and pages are cut: no wrong certificate, and an end."""
    certified = 0
    for seed in range(SCANS):
        rng = random.Random(seed)
        paging = BOTH[seed % 2]
        rows, rate = rng.choice([30, 90, 240, 400]), rng.choice([0.0, 0.5, 2.0, 5.0])
        drift = Drift(
            leave=rate,
            join=rng.choice([0.0, rate]),
            join_at=rng.choice(["head", "tail", "any"]),
            rejoin=rng.choice([0.0, rate / 2]),
            jump=rate if paging is PAGES and seed % 6 == 0 else 0,
            jump_to=rng.choice(["head", "tail"]),
            bursts=((rng.uniform(0, 6), rng.choice(["shrink", "grow head", "grow any"]), 0.3),) * (seed % 5 == 0),
        )
        short = 0.1 * (seed % 11 == 0 and paging is PAGES)
        walk, findings = walk_of(code, paging, concurrency=rng.choice([1, 4, 12]), budget=2.0)
        end = drive(
            walk, findings, Vendor(rows, drift, rng), rng,
            lie=(lambda total: total // 2) if seed % 7 == 0 else (lambda total: total),
            cut=_cutting(rng, short),
            most=3000,
        )  # fmt: skip
        certified += end.certified
        assert end.doubled == 0
        assert end.lost == 0 or not end.certified
        if drift == Drift(join_at=drift.join_at, jump_to=drift.jump_to) and seed % 7 and not short:
            # Nothing moves: the order of the answers costs nothing.
            assert (end.certified, end.calls) == (True, code.expected.walk_reads(rows, paging, certify=True))
    assert certified > 0.5 * SCANS


def _cutting(rng: random.Random, share: float) -> Callable[[Window, Listing], Listing]:
    return lambda _window, rows: rows[:-3] if rng.random() < share else rows


# In the order that notices most faults in the least time; what notices nothing that the others miss comes last.
CHECKS: tuple[Callable[[Any], None], ...] = (
    joins_are_to_the_last_joined_read,
    markers_join_at_offset_0_only,
    what_cannot_get_on_is_refused,
    empty_targets_are_asked_twice,
    the_tests_of("test_chain.py"),
    no_reading_goes_on_for_ever,
    a_repeated_row_joins_nothing,
    answers_to_other_questions_are_errors,
    growth_at_the_tail_comes_to_an_end,
    little_memory_forgets_nothing_that_matters,
    gaps_slow_the_walk_down_and_joins_speed_it_up,
    pages_that_repeat_come_to_an_end,
    verdicts_are_earned,
    contradictions_are_said_in_every_phase,
    the_tests_of("test_sightings.py"),
    gaps_weak_joins_and_repeats_are_repaired_or_said,
    ranges_are_whole,
    the_tests_of("test_scan.py"),
    each_device_is_handed_out_once,
    growth_at_the_head_is_followed_or_said,
    ends_are_read_again_and_then_said,
    adversary_scans,
    budgets_end_what_never_closes,
    rows_that_jump_to_an_end_are_seen_or_said,
    quiet_listings_are_certified_at_the_planned_price,
    the_tests_of("test_certified_scan.py"),
)


def noticed(code: Any) -> str | None:
    """Return the name of the first check that fails."""
    for check in CHECKS:
        try:
            check(code)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - a fault may show in any way
            return check.__name__
    return None


def test_the_rules_as_they_are_pass_every_check() -> None:
    """The checks notice nothing where nothing is broken."""
    with loaded(None) as code:
        for check in CHECKS:
            check(code)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.rule.name}: {mutation.what}")
def test_a_broken_rule_is_noticed(mutation: Mutation) -> None:
    """Some check fails."""
    with loaded(mutation) as code:
        assert noticed(code) is not None, f"nothing fails although the code has this fault: {mutation.what}"


def test_every_rule_is_broken_in_some_way() -> None:
    """The list of faults has one for each rule."""
    assert {mutation.rule for mutation in MUTATIONS} == set(Rule)
