"""The arithmetic of the certified walk over page numbers: which page, how much overlap, how much in flight."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.fleet.certified_pages import CertifiedPageWalk, _Pace
from otaclient.fleet.chain import Chain
from otaclient.fleet.page_windows import widest_window
from otaclient.fleet.proof import Findings
from otaclient.fleet.sightings import Sightings
from otaclient.reads import PageNumbers
from support.messages import whole


@given(start=st.integers(0, 5_000), largest=st.integers(1, 120))
def test_no_other_page_that_begins_in_time_ends_farther(start: int, largest: int) -> None:
    """Of all pages of all sizes; of those that end there, it is the largest."""
    window = widest_window(start, largest)
    assert 1 <= window.size <= largest
    assert (window.number - 1) * window.size <= start < window.number * window.size
    ends = [((start // size + 1) * size, size) for size in range(1, largest + 1)]
    assert (window.number * window.size, window.size) == max(ends)


def paced(*steps: Callable[[_Pace], None], concurrency: int = 8, overlap: int = 4) -> tuple[int, int, int]:
    """Return the overlap, the flight and how far a repair reaches back, after some reads."""
    pace = _Pace(concurrency, 4, 27, overlap=overlap, flight=concurrency)
    for step in steps:
        step(pace)
    return pace.overlap, pace.flight, pace.back


def joined(nominal: int, shared: int) -> Callable[[_Pace], None]:
    """Return the step of a join."""
    return lambda pace: pace.joined(nominal=nominal, shared=shared)


MISSED = _Pace.missed


@pytest.mark.parametrize(
    ("steps", "overlap", "flight", "back"),
    [
        ((), 4, 8, 0),
        ((MISSED,), 16, 4, 20),
        ((MISSED, MISSED), 27, 4, 60),
        ((MISSED, MISSED, MISSED), 27, 4, 140),
        # The join that ends a repair says nothing about drift: how far that reached back was a guess.
        ((MISSED, joined(30, 2)), 16, 5, 0),
        ((MISSED, joined(30, 2), joined(10, 10)), 15, 6, 0),
        ((MISSED, joined(30, 2), joined(20, 10)), 19, 6, 0),
        ((joined(4, 4),), 4, 8, 0),
        ((joined(4, 2),), 7, 8, 0),
        ((joined(2, 4),), 7, 8, 0),
        ((joined(40, 0),), 27, 8, 0),
    ],
)
def test_overlap_and_flight_follow_how_fast_rows_move(
    steps: tuple[Callable[[_Pace], None], ...], overlap: int, flight: int, back: int
) -> None:
    """A gap doubles the one, halves the other and reaches farther back each time; joins bring both back slowly."""
    assert paced(*steps) == (overlap, flight, back)


@pytest.mark.parametrize(("concurrency", "flight"), [(1, 1), (3, 3), (4, 4), (9, 4), (20, 10)])
def test_a_gap_leaves_a_few_in_flight(concurrency: int, flight: int) -> None:
    """As far as that many are allowed."""
    assert paced(MISSED, concurrency=concurrency)[1] == flight


@pytest.mark.parametrize(
    ("largest", "overlap", "allowed"),
    [(39, 4, False), (40, 4, True), (40, 1, True), (40, 0, False), (50, 50, False), (50, 49, False), (200, 4, True)],
)
def test_pages_have_to_overlap_and_get_on(largest: int, overlap: int, allowed: bool) -> None:
    """Else nothing is read, and the message says what to do."""

    def walk() -> CertifiedPageWalk:
        paging = PageNumbers(largest_page=largest, default_page=largest)
        return CertifiedPageWalk(paging, Chain(Sightings()), Findings(2.0), concurrency=1, overlap=overlap)

    if allowed:
        assert not walk().finished
        return
    message = (
        f"scan(): pages of at most {largest} rows cannot overlap by {overlap} and still get on: give a smaller "
        "overlap, or ask for no proof (certify=False)"
    )
    with pytest.raises(InvalidQueryError, match=whole(message)):
        walk()
