"""Checks of how a walk ends: each takes the code under test, and fails where a rule is broken."""

from typing import Any

import attrs
import pytest

from adversary.following import BOTH, MARKERS, PAGES, Before, Change, Listing, falling, follow
from otaclient.errors import PayloadError
from otaclient.reads import MarkerWindow, PageFacts, PageNumbers, PageWindow, Paging, Window

__all__ = [
    "answers_to_other_questions_are_errors",
    "budgets_end_what_never_closes",
    "empty_targets_are_asked_twice",
    "ends_are_read_again_and_then_said",
    "growth_at_the_head_is_followed_or_said",
    "growth_at_the_tail_comes_to_an_end",
    "little_memory_forgets_nothing_that_matters",
    "no_reading_goes_on_for_ever",
    "pages_that_repeat_come_to_an_end",
]


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
        module._MOST_HEAD_READS = 2
        fast = follow(code, paging, falling(150), before=_grow(head, head + 4, 100))
        assert set(falling(150)) <= set(fast.seen)
        # Of pages, there is a gap between the two closing reads, and they did not come to known rows.
        assert fast.counts["CLOSING"] == (2 if paging is PAGES else 1)
        module._MOST_HEAD_READS = 200
        # Of what is new at the head, and stays, nothing is missed where some of it leaves between two closing reads.
        for at in range(head + 1, head + 9):
            left = follow(code, paging, falling(150), before=_grow_and_leave(head, at), concurrency=1)
            assert left.doubts or set(left.seen) >= {*falling(445)} - {*range(401, 431)}
        # Closing reads between which more rows came than a page holds do not meet: they go back, to row 0 if need be.
        if paging is PAGES:
            anew = follow(code, paging, falling(150), before=_grow(head, head + 2, 100))
            assert (anew.counts, set(anew.seen)) == ({}, set(falling(450)))


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
    # A tail that moved is read where it is now; where nobody knows, and what lies between is forgotten, it is said.
    head = len(follow(code, PAGES, falling(600)).windows) - 1
    moved = follow(code, PAGES, falling(600), before=_grow(head, head, 300), memory=2)
    assert (moved.counts, len(moved.windows)) == ({}, head + 10)

    def grow(number: int, rows: Listing) -> None:
        if number == head:
            rows[300:300] = range(2_000, 1_000, -1)

    assert "FORGOTTEN" in follow(code, PAGES, falling(600), before=grow, memory=2).doubts
    may_forget, code.chain.Chain.may_forget = code.chain.Chain.may_forget, lambda _chain, _rows: True
    held: list[Any] = []

    def note(chain: Any) -> None:
        held.append(chain)

    hold, code.chain.Chain.hold = code.chain.Chain.hold, note
    pages, markers = (follow(code, paging, falling(150)) for paging in BOTH)
    code.chain.Chain.may_forget, code.chain.Chain.hold = may_forget, hold
    assert len(held) == 2
    # With every page but the first, and where the tail begins.
    assert (pages.counts, markers.counts) == ({"FORGOTTEN": len(pages.windows)}, {"FORGOTTEN": 1})


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
    # Where nothing is listed one goes by that, whatever the vendor counts.
    for told in (10**30, None):
        counted = follow(code, MARKERS, rows, before=grow, change=_told(told, 1, 999), concurrency=8, most=200)
        assert "CLOSING" in counted.doubts
        assert set(rows) <= set(counted.seen)
    code.certified_markers._MOST_CHASES = 200
    assert "CLOSING" in end.doubts
    assert set(rows) <= set(end.seen)


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
