"""Checks of how the reads of a walk join: each takes the code under test, and fails where a rule is broken."""

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import Any

import pytest

from adversary.following import BOTH, MARKERS, PAGES, Before, Change, Listing, answer_of, falling, follow, walk_of
from otaclient.errors import InvalidQueryError
from otaclient.reads import MarkerWindow, PageFacts, PageNumbers, PageWindow, Paging, Window
from support.listing import ListSource

__all__ = [
    "a_repeated_row_joins_nothing",
    "contradictions_are_said_in_every_phase",
    "gaps_slow_the_walk_down_and_joins_speed_it_up",
    "gaps_weak_joins_and_repeats_are_repaired_or_said",
    "joins_are_to_the_last_joined_read",
    "markers_join_at_offset_0_only",
    "quiet_listings_are_certified_at_the_planned_price",
    "rows_that_jump_to_an_end_are_seen_or_said",
    "what_cannot_get_on_is_refused",
]


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
