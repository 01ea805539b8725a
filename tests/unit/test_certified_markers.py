"""The certified walk over markers: what is refused, and which offsets are read below a marker."""

import pytest

from otaclient.errors import InvalidQueryError
from otaclient.fleet.certified_markers import CertifiedMarkerWalk, expected_marker_reads
from otaclient.fleet.chain import Chain
from otaclient.fleet.proof import Findings
from otaclient.fleet.sightings import Sightings
from otaclient.reads import Markers, MarkerWindow, PageFacts
from support.messages import whole

MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)


def walk_of(overlap: int | None = None, *, concurrency: int = 9) -> CertifiedMarkerWalk:
    """Return a walk."""
    return CertifiedMarkerWalk(MARKERS, Chain(Sightings()), Findings(2.0), concurrency=concurrency, overlap=overlap)


@pytest.mark.parametrize("overlap", [-1, 0, 20, 21])
def test_an_overlap_that_leaves_nothing_of_a_page_is_refused(overlap: int) -> None:
    """Nothing is read, and the message says what to do."""
    message = (
        f"scan(): pages of at most 20 rows cannot overlap by {overlap} and still get on: give a smaller overlap, or "
        "ask for no proof (certify=False)"
    )
    with pytest.raises(InvalidQueryError, match=whole(message)):
        walk_of(overlap)


@pytest.mark.parametrize(
    ("overlap", "total", "offsets"),
    [
        (None, 10_000, [0, 18, 36, 54, 72, 90]),
        (2, 10_000, [0, 18, 36, 54, 72, 90]),
        (1, 10_000, [0, 19, 38, 57, 76, 95]),
        (19, 30, [0]),
        (19, 45, [0, 1, 2, 3, 4, 5]),
        (2, 40, [0]),
        (2, 41, [0, 18]),
        (2, 20, [0]),
        (2, 7, [0]),
        (2, None, [0, 18, 36, 54, 72, 90]),
    ],
)
def test_below_the_first_marker_offsets_overlap(overlap: int | None, total: int | None, offsets: list[int]) -> None:
    """As many as the vendor's count leaves, or allows; the first read goes alone."""
    walk = walk_of(overlap)
    first = walk.ready()
    assert first is not None
    assert (first.window, walk.ready()) == (MarkerWindow(None, 20), None)
    assert walk.wants_facts(first)
    first.facts = PageFacts(rows=20, total=total, marker="f0")
    walk.arrived(first)
    assert walk.judge(first, [f"d{number}" for number in range(20)])
    tickets = []
    while (ticket := walk.ready()) is not None:
        tickets.append(ticket)
    assert [ticket.window for ticket in tickets] == [MarkerWindow("f0", 20, offset) for offset in offsets]
    assert [walk.wants_facts(ticket) for ticket in tickets] == [False] * (len(offsets) - 1) + [True]


@pytest.mark.parametrize(
    ("total", "reads"),
    [(-1, 2), (0, 2), (1, 4), (20, 4), (21, 5), (40, 5), (41, 6), (130, 10), (131, 11), (240, 16), (241, 17)],
)
def test_the_price_without_drift(total: int, reads: int) -> None:
    """The first read, then six offsets for each hop of 110 rows, the empty page and the two closing reads."""
    assert expected_marker_reads(total, MARKERS) == reads
