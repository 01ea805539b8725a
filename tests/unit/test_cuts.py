"""Where a listing is cut, look by look: the instants that are counted, and the parts that come of the counts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from otaclient.fleet.cuts import CutSearch, Slice, _Gap, _spread

EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
WHOLE = _Gap(0, 100, 1000, 0)


def search(rows: int, *, parts: int, seconds: float = 100, most_counts: int = 60, at_once: int = 4) -> CutSearch:
    """Return a search over so many seconds."""
    latest = EARLIEST + timedelta(seconds=seconds)
    return CutSearch(rows, parts=parts, earliest=EARLIEST, latest=latest, most_counts=most_counts, at_once=at_once)


def look(searching: CutSearch, counts: Mapping[int, int | None] | None = None) -> list[int]:
    """Return the seconds at which to count next, after taking in what was counted."""
    for second, newer in (counts or {}).items():
        searching.counted(EARLIEST + timedelta(seconds=second), newer)
    return [int((instant - EARLIEST).total_seconds()) for instant in searching.next_instants()]


def parts_of(searching: CutSearch) -> list[tuple[int | None, int | None, int]]:
    """Return the parts, in seconds."""

    def second(instant: datetime | None) -> int | None:
        return None if instant is None else int((instant - EARLIEST).total_seconds())

    return [(second(part.after), second(part.before), part.rows) for part in searching.slices()]


@pytest.mark.parametrize(("target", "misses", "evenly"), [(1000, 0, 1), (750, 250, 25), (500, 500, 50), (0, 0, 99)])
def test_a_gap_knows_its_better_end_and_where_a_count_is_likeliest(target: int, misses: int, evenly: int) -> None:
    """Inside it, because at its ends is counted already."""
    assert (WHOLE.misses(target), WHOLE.evenly(target)) == (misses, evenly)


def test_a_gap_without_rows_is_no_division_by_zero() -> None:
    """Its first second is as good as any."""
    assert _Gap(10, 20, 50, 50).evenly(50) == 11


@pytest.mark.parametrize(
    ("gap", "targets", "count", "seconds"),
    [
        (WHOLE, [500], 4, {20, 50, 60, 80}),
        (WHOLE, [500], 1, {50}),
        (WHOLE, [900, 100], 1, {10}),
        (WHOLE, [667, 333], 7, {12, 25, 33, 50, 67, 75, 87}),
        (WHOLE, [500], 0, set()),
        (_Gap(50, 60, 900, 100), [500], 4, {52, 55, 56, 58}),
        (_Gap(50, 53, 900, 100), [500], 9, {51, 52}),
        (_Gap(50, 51, 900, 100), [500], 9, set()),
    ],
)
def test_instants_are_spread_over_a_gap(gap: _Gap, targets: Sequence[float], count: int, seconds: set[int]) -> None:
    """Evenly, but for one near each target, which moves to where that is likeliest; and whole seconds apart."""
    assert _spread(gap, targets, count) == seconds


def test_a_search_looks_closer_where_the_cut_must_lie() -> None:
    """Until one end of the gap is within a tenth of a part."""
    searching = search(1000, parts=2)
    assert look(searching) == [20, 50, 60, 80]
    assert look(searching, {20: 900, 50: 900, 60: 100, 80: 100}) == [52, 55, 56, 58]
    assert look(searching, {52: 800, 55: 551, 56: 449, 58: 300}) == []
    assert parts_of(searching) == [(None, 56, 551), (56, None, 449)]


def test_an_end_that_is_near_enough_is_taken() -> None:
    """A tenth of a part off, and the search is over; a row more, and it is not."""
    searching = search(1000, parts=2)
    assert look(searching) == [20, 50, 60, 80]
    assert look(searching, {20: 900, 50: 700, 60: 450, 80: 100}) == []
    assert parts_of(searching) == [(None, 60, 550), (60, None, 450)]
    searching = search(1000, parts=2)
    look(searching)
    assert look(searching, {20: 900, 50: 700, 60: 449, 80: 100}) == [52, 54, 56, 58]


def test_counts_are_shared_among_looks_and_gaps() -> None:
    """So few that each look has one of them; or as many at once as may be, by gaps."""
    searching = search(1000, parts=2, most_counts=5, at_once=32)
    assert look(searching) == [50]
    assert look(searching, {50: 900}) == [72]
    assert look(searching, {72: 100}) == [61]
    searching = search(900, parts=3, at_once=6)
    assert look(searching) == [14, 33, 42, 57, 67, 85]
    assert look(searching, {14: 890, 33: 470, 42: 465, 57: 460, 67: 450, 85: 10}) == [18, 23, 27, 73, 76, 80]


def test_without_a_number_the_search_ends_with_what_it_knows() -> None:
    """What was counted until then is used."""
    searching = search(1000, parts=2)
    look(searching)
    assert look(searching, {20: 900, 50: 800, 60: None, 80: 100}) == []
    assert parts_of(searching) == [(None, 50, 200), (50, None, 800)]
    assert parts_of(search(1000, parts=2)) == [(None, None, 1000)]


def test_counts_that_rise_or_are_beyond_all_are_made_to_fall() -> None:
    """Rows come and go between two counts, and vendors err."""
    searching = search(1000, parts=4)
    look(searching)
    look(searching, {20: 5000, 40: 600, 60: 700, 80: -3})
    assert parts_of(searching) == [(None, 60, 400), (60, None, 600)]


def test_a_listing_of_one_instant_is_one_part() -> None:
    """There is nothing to count."""
    assert look(search(1000, parts=2, seconds=1)) == []
    assert look(search(1000, parts=2, seconds=0)) == []
    assert search(1000, parts=2, seconds=0).slices() == [Slice(None, None, 1000)]
    assert look(search(1000, parts=2, seconds=2)) == [1]
    assert look(search(1000, parts=1)) == []


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (1, [(None, None, 1000)]),
        (2, [(None, 40, 450), (40, None, 550)]),
        (3, [(None, 30, 300), (30, 60, 350), (60, None, 350)]),
        (4, [(None, 30, 300), (30, 60, 350), (60, None, 350)]),
        (9, [(None, 30, 300), (30, 40, 150), (40, 60, 200), (60, 99, 330), (99, None, 20)]),
    ],
)
def test_parts_are_as_equal_as_the_counts_allow(parts: int, expected: list[tuple[int | None, int | None, int]]) -> None:
    """The largest is as small as can be, and there are no more than that takes."""
    searching = search(1000, parts=parts)
    look(searching, {10: 900, 20: 800, 30: 700, 40: 550, 60: 350, 99: 20})
    assert parts_of(searching) == expected
