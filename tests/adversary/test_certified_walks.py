"""The proof, by adversary: vendors whose rows come, go, jump and lie while a certified walk reads them.

The number of generated scans, over all tests of this file, is ``OTACLIENT_ADVERSARY_SCANS``; CI runs 20,000. More::

    OTACLIENT_ADVERSARY_SCANS=200000 python -m pytest tests/adversary --timeout 0
"""

import os
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, PayloadError
from otaclient.fleet.certified_markers import CertifiedMarkerWalk, expected_marker_reads
from otaclient.fleet.certified_pages import CertifiedPageWalk
from otaclient.fleet.chain import Chain
from otaclient.fleet.page_windows import expected_page_reads
from otaclient.fleet.proof import Findings
from otaclient.fleet.sightings import Sightings
from otaclient.reads import Markers, MarkerWindow, PageNumbers, PageWindow, Paging, Window
from support.adversary import Drift, Result, Vendor, drive

SCANS = int(os.environ.get("OTACLIENT_ADVERSARY_SCANS", "2000"))
# Thousands of scans take their time, more so on a busy machine and under a coverage tracer.
pytestmark = pytest.mark.timeout(900)

PAGES = PageNumbers(largest_page=50, default_page=50)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)


def scans(share: float) -> settings:
    """Run a share of all scans in one test."""
    suppressed = [HealthCheck.too_slow, HealthCheck.data_too_large]
    return settings(max_examples=max(10, int(SCANS * share)), deadline=None, suppress_health_check=suppressed)


def certified(
    paging: Paging, rows: int, drift: Drift, seed: int, *, concurrency: int = 8, exact: bool = True, **odd: Any
) -> Result:
    """Run one certified walk."""
    rng = random.Random(seed)
    findings = Findings(2.0)
    chain = Chain(Sightings() if exact else Sightings(2 * concurrency))
    walk = (
        CertifiedPageWalk(paging, chain, findings, concurrency=concurrency)
        if isinstance(paging, PageNumbers)
        else CertifiedMarkerWalk(paging, chain, findings, concurrency=concurrency)
    )
    return drive(walk, findings, Vendor(rows, drift, rng), rng, **odd)


PAGINGS = st.sampled_from([PAGES, MARKERS])
RATE = st.sampled_from([0.0, 0.2, 1.0, 4.0])
Burst = tuple[float, str, float]


def tenfold_once(bursts: list[Burst]) -> tuple[Burst, ...]:
    """Return bursts of which one at most makes ten rows of each: two make a hundred, and take most of all the time."""
    largest = [burst for burst in bursts if burst[2] == 9.0][:1]
    return tuple(burst if burst[2] < 9.0 or burst in largest else (*burst[:2], 1.0) for burst in bursts)


BURSTS = st.lists(
    st.tuples(
        st.floats(0, 8),
        st.sampled_from(["shrink", "grow head", "grow tail", "grow any"]),
        # Ten times the rows take ten times the time: one burst in seven.
        st.sampled_from([0.05, 0.05, 0.3, 0.3, 1.0, 1.0, 9.0]),
    ),
    max_size=2,
).map(tenfold_once)
ORDERED = st.builds(
    Drift, leave=RATE, join=RATE, join_at=st.sampled_from(["head", "tail", "any"]), rejoin=RATE, bursts=BURSTS
)


@scans(0.6)
@given(
    paging=PAGINGS,
    rows=st.integers(0, 400),
    drift=ORDERED,
    concurrency=st.integers(1, 16),
    exact=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_with_the_order_kept_no_certificate_is_wrong(
    paging: Paging, rows: int, drift: Drift, concurrency: int, exact: bool, seed: int
) -> None:
    """Whatever comes and goes: under a certificate no row is lost that was listed throughout, and none is doubled."""
    result = certified(paging, rows, drift, seed, concurrency=concurrency, exact=exact)
    assert result.doubled == 0
    if result.certified:
        assert result.lost == 0


@scans(0.15)
@given(
    rows=st.integers(0, 400),
    rate=st.sampled_from([0.2, 1.0, 4.0]),
    to=st.sampled_from(["head", "tail"]),
    drift=ORDERED,
    seed=st.integers(0, 2**32),
)
def test_rows_that_jump_to_the_head_or_the_tail_are_not_lost(
    rows: int, rate: float, to: str, drift: Drift, seed: int
) -> None:
    """With the order broken in this way there is still no wrong certificate."""
    result = certified(PAGES, rows, Drift(jump=rate, jump_to=to, leave=drift.leave), seed)
    if result.certified:
        assert result.lost == 0


@scans(0.15)
@given(
    paging=PAGINGS,
    rows=st.integers(0, 300),
    lie=st.sampled_from([None, -5, 0, 1, 10**12, "half", "double", "stale"]),
    drift=ORDERED,
    seed=st.integers(0, 2**32),
)
def test_totals_that_lie(paging: Paging, rows: int, lie: Any, drift: Drift, seed: int) -> None:
    """A total that is absent, negative, low, high or stale leads to no wrong certificate and no endless scan."""

    def told(total: int) -> int | None:
        return {"half": total // 2, "double": 2 * total, "stale": rows}.get(lie, lie) if lie is not None else None

    result = certified(paging, rows, drift, seed, lie=told)
    if result.certified:
        assert result.lost == 0


@scans(0.1)
@given(
    rows=st.integers(1, 300),
    how=st.sampled_from(["short", "same page", "repeated row", "empty middle"]),
    drift=ORDERED,
    seed=st.integers(0, 2**32),
)
def test_vendors_that_answer_nonsense(rows: int, how: str, drift: Drift, seed: int) -> None:
    """Short middle pages, ignored page numbers and rows that come twice: no wrong certificate, and an end."""
    rng = random.Random(seed)
    first_page = list(range(50))

    def cut(window: Window, answered: list[int]) -> list[int]:
        if how == "short" and rng.random() < 0.2:
            return answered[: rng.randrange(len(answered) + 1)]
        if how == "same page" and isinstance(window, PageWindow):
            return first_page[: window.size]
        if how == "repeated row" and len(answered) > 2 and rng.random() < 0.3:
            return [answered[0], *answered[:-1]]
        if how == "empty middle" and rng.random() < 0.2:
            return []
        return answered

    result = certified(PAGES, rows, drift, seed, cut=cut)
    # A vendor that cuts a page and its total alike cannot be told from one that has no more rows: it takes both.
    if result.certified and how != "same page":
        assert result.lost == 0


@pytest.mark.parametrize("paging", [PAGES, MARKERS, PageNumbers(largest_page=200, default_page=50)])
@pytest.mark.parametrize("seed", [1, 2])
def test_without_drift_it_is_always_certified_at_the_expected_price(paging: Paging, seed: int) -> None:
    """For every total around the page borders: certified, nothing repeated, as many reads as the plan says."""
    largest = paging.largest_page
    borders = {0, 1, 2, *(n * largest + d for n in (1, 2, 3, 5, 6, 7, 12) for d in (-2, -1, 0, 1, 2))}
    for rows in sorted(borders):
        result = certified(paging, rows, Drift(), seed)
        expected = (
            expected_page_reads(rows, largest=largest, overlap=4)
            if isinstance(paging, PageNumbers)
            else expected_marker_reads(rows, paging)
        )
        assert (result.certified, result.lost, result.calls) == (True, 0, expected), rows


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
def test_an_answer_to_another_question_is_an_error(paging: Paging) -> None:
    """More rows than were asked for cannot be placed."""
    with pytest.raises(PayloadError, match="at most"):
        certified(PAGES, 300, Drift(), 1, cut=lambda _window, rows: [*rows, *range(1000, 1100)])
    if isinstance(paging, Markers):
        with pytest.raises(PayloadError, match="marker"):
            certified(paging, 300, Drift(), 1, cut=_without_marker)


def _without_marker(window: Window, rows: list[int]) -> list[int]:
    # The driver takes the marker from the vendor's rows; rows where the vendor has none have no marker.
    assert isinstance(window, MarkerWindow)
    return rows or [1]


@pytest.mark.parametrize("overlap", [0, 50, 99])
def test_an_overlap_that_leaves_nothing_is_refused(overlap: int) -> None:
    """An overlap as large as a page cannot get on."""
    with pytest.raises(InvalidQueryError, match="cannot overlap"):
        CertifiedPageWalk(PAGES, Chain(Sightings()), Findings(1), concurrency=2, overlap=overlap)
    if overlap != 0:
        with pytest.raises(InvalidQueryError, match="cannot overlap"):
            CertifiedMarkerWalk(MARKERS, Chain(Sightings()), Findings(1), concurrency=2, overlap=overlap)


def test_pages_that_are_too_small_are_refused() -> None:
    """Below some forty rows windows that overlap do not get on."""
    with pytest.raises(InvalidQueryError, match="pages of at most 10 rows"):
        CertifiedPageWalk(PageNumbers(largest_page=10, default_page=10), Chain(Sightings()), Findings(1), concurrency=2)


@pytest.mark.parametrize(("rate", "at_least"), [(16, 0.99), (64, 0.95)])
@pytest.mark.parametrize(
    ("leave", "join", "where"), [(1, 1, "any"), (1, 1, "head"), (1, 1, "tail"), (1, 0, "any"), (0, 1, "head")]
)
def test_heavy_drift_still_certifies(rate: int, at_least: float, leave: int, join: int, where: str) -> None:
    """20,000 devices, 32 reads in flight, many devices leaving and joining in the time of one answer."""
    paging = PageNumbers(largest_page=200, default_page=50)
    drift = Drift(leave=leave * rate, join=join * rate, join_at=where)
    results = [certified(paging, 20_000, drift, seed, concurrency=32) for seed in range(8)]
    assert sum(result.certified for result in results) >= at_least * len(results)
    assert not any(result.lost or result.doubled for result in results if result.certified)
