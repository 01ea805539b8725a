"""Walks that prove nothing: every row once, whatever the order of the answers."""

import random
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.fleet.plan import TargetPlan
from otaclient.fleet.walks import PlainMarkerWalk, PlainPageWalk, Ticket, Walk, plain_walk
from otaclient.reads import Markers, MarkerWindow, PageFacts, PageWindow, Paging, RawPage, Window
from support.listing import MARKERS, PAGE_NUMBERS, ListSource


def at_once(coroutine: Coroutine[Any, Any, RawPage]) -> RawPage:
    """Run a coroutine that waits for nothing."""
    with pytest.raises(StopIteration) as done:
        coroutine.send(None)
    raw: RawPage = done.value.value
    return raw


def read_all(rows: list[int], paging: Paging, *, total: Any, seed: int, most: int = 500) -> tuple[list[str], int]:
    """Read one walk with answers in random order; returns the rows seen and the number of requests."""
    source = ListSource(rows, paging=paging)
    source.total = total
    partition = source.partitions()[0]
    walk, rng, requests = plain_walk(paging), random.Random(seed), 0
    seen: list[str] = []
    under_way: list[Ticket] = []
    while not walk.finished:
        while (ticket := walk.ready()) is not None:
            under_way.append(ticket)
        assert under_way, "a walk that is not finished has something to read"
        requests += 1
        assert requests < most, "a walk must end"
        ticket = under_way.pop(rng.randrange(len(under_way)))
        ticket.raw = at_once(source.fetch(partition, ticket.window))
        ticket.facts = source.facts(ticket.raw)
        walk.arrived(ticket)
        while (first := walk.next_arrived()) is not None and first.raw is not None:
            found: list[str] = [row.device_id for row in source.decode(first.raw).good]
            assert walk.judge(first, found)
            seen.extend(found)
    assert not under_way
    return seen, requests


TOTALS = st.sampled_from(
    [lambda rows: rows, lambda rows: None, lambda rows: 0, lambda rows: rows // 2, lambda rows: rows + 25]
)


@pytest.mark.parametrize("paging", [PAGE_NUMBERS, MARKERS])
@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 20, 49, 50, 51, 99, 100, 101])
@given(total=TOTALS, seed=st.integers(0, 1000))
def test_a_walk_reads_every_row_once(paging: Paging, count: int, total: Any, seed: int) -> None:
    """For any total, true or not, and any order of answers, the walk ends with every row seen exactly once."""
    seen, _ = read_all(list(range(count)), paging, total=total, seed=seed)
    assert sorted(seen) == sorted(f"d{number}" for number in range(count))


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (5, 1), (10, 2), (35, 4), (40, 5)])
def test_page_numbers_ask_for_no_more_than_needed(count: int, requests: int) -> None:
    """With a true total and a short last page, no page is asked for in vain; a full one needs a look behind it."""
    assert read_all(list(range(count)), PAGE_NUMBERS, total=lambda rows: rows, seed=1)[1] == requests


@pytest.mark.parametrize(("count", "requests"), [(0, 1), (5, 2), (10, 2), (35, 5), (100, 11)])
def test_markers_need_one_empty_page(count: int, requests: int) -> None:
    """With a true count the waste is the empty page that ends the walk."""
    assert read_all(list(range(count)), MARKERS, total=lambda rows: rows, seed=1)[1] == requests


def ready(walk: Walk) -> Window | None:
    """Return the next window."""
    ticket = walk.ready()
    return None if ticket is None else ticket.window


def answered(walk: Walk, ticket: Ticket | None, facts: PageFacts) -> None:
    """Let a read come back."""
    assert ticket is not None
    ticket.facts = facts
    walk.arrived(ticket)


def test_page_numbers_begin_alone_and_then_run_together() -> None:
    """The first page tells how many to expect; all of those may then be under way at once."""
    walk = PlainPageWalk(10)
    first = walk.ready()
    assert first is not None
    assert (first.window, ready(walk)) == (PageWindow(1, 10), None)
    answered(walk, first, PageFacts(rows=10, total=35))
    assert [ready(walk) for _ in range(4)] == [PageWindow(2, 10), PageWindow(3, 10), PageWindow(4, 10), None]
    assert not walk.finished


def test_markers_hop_on_the_last_offset_of_a_wave() -> None:
    """The first page goes alone, then all offsets below its marker; the next wave begins behind the last of them."""
    walk = PlainMarkerWalk(Markers(largest_page=10, default_page=10, largest_offset=20))
    first = walk.ready()
    assert first is not None
    assert (first.window, ready(walk)) == (MarkerWindow(None, 10), None)
    answered(walk, first, PageFacts(rows=10, total=1000, marker="ff"))
    assert [ready(walk), ready(walk)] == [MarkerWindow("ff", 10, 0), MarkerWindow("ff", 10, 10)]
    last = walk.ready()
    assert last is not None
    assert (last.window, ready(walk)) == (MarkerWindow("ff", 10, 20), None)
    answered(walk, last, PageFacts(rows=10, total=1000, marker="cc"))
    assert ready(walk) == MarkerWindow("cc", 10, 0)


def test_a_plan_reads_like_a_sentence() -> None:
    """The plan's summary names the walks, the page size and who filters what."""
    source = ListSource([1], [2], [3], [4])
    source.filtered_here = ("versions",)
    assert TargetPlan.of("plant", source).summary == (
        "plant devices.search: 4 walks (list 0, list 1, list 2, ...), 10 rows a page; the vendor filters nothing; "
        "filtered here: versions"
    )
