"""Walks over ranges of registration time: where to cut, and that nothing is lost wherever the cuts lie."""

import random
from bisect import bisect_right
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import anyio.lowlevel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.fleet import ranges
from otaclient.fleet.cuts import CutSearch, Slice
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.scan import scan
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import MarkerWindow
from otaclient_iotda.plans import plan_devices
from support.listing import ListBackend
from support.registered import FIRST, NOW, SECONDS, RegisteredSource, row_at, rows_of, spread

LEAST_ROWS = 60


@pytest.fixture(autouse=True, scope="module")
def small_ranges() -> Iterator[None]:
    """Split small listings already, so that thousands of scans take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranges, "_LEAST_ROWS", LEAST_ROWS)
        yield


# --- where to cut ----------------------------------------------------------------------------------------------------


def cut(
    seconds: list[int], *, parts: int, most_counts: int = 60, at_once: int = 32, wrong: Any = lambda newer: newer
) -> tuple[list[Slice], int]:
    """Search for cuts; returns the parts and the number of counts."""
    listed = sorted(seconds)
    search = CutSearch(len(listed), parts=parts, earliest=FIRST, latest=NOW, most_counts=most_counts, at_once=at_once)
    counts = looks = 0
    while instants := search.next_instants():
        looks += 1
        counts += len(instants)
        assert len(instants) <= at_once
        assert list(instants) == sorted(set(instants))
        for instant in instants:
            assert FIRST < instant < NOW
            second = round((instant - FIRST).total_seconds())
            search.counted(instant, wrong(len(listed) - bisect_right(listed, second)))
    assert looks <= 5
    assert counts <= most_counts
    slices = list(search.slices())
    assert 1 <= len(slices) <= parts
    assert (slices[0].after, slices[-1].before) == (None, None)
    assert all(one.before == other.after is not None for one, other in pairwise(slices))
    cuts = [part.after for part in slices[1:] if part.after is not None]
    assert cuts == sorted(set(cuts))
    assert sum(part.rows for part in slices) == len(listed)
    return slices, counts


@pytest.mark.parametrize(
    ("rows", "counts"), [(10_000, 20), (34_000, 20), (35_000, 21), (100_000, 60), (1_000_000, 600)]
)
def test_the_search_for_cuts_is_cheap(rows: int, counts: int) -> None:
    """Three in a hundred of the reads at most, or twenty where that is more."""
    assert ranges.Split(largest_page=50, concurrency=32, reads_at_once=11).most_counts(rows) == counts


@pytest.mark.parametrize(
    ("kind", "most", "counts"), [("uniform", 1.1, 24), ("bursts", 1.2, 60), ("young", 1.1, 60), ("one hour", 5.0, 60)]
)
@pytest.mark.parametrize("seed", range(6))
def test_parts_are_about_equally_large(kind: str, most: float, counts: int, seed: int) -> None:
    """Evenly spread registrations need one look, bursts some more; an hour in ten years is found, if not cut finely."""
    slices, used = cut(spread(kind, 20_000, random.Random(seed)), parts=6)
    assert max(part.rows for part in slices) <= most * 20_000 / 6
    assert used <= counts


def test_what_registered_in_one_second_is_one_part() -> None:
    """Where no instant lies between the devices, there is nothing to cut."""
    assert cut(spread("one second", 20_000, random.Random(1)), parts=6)[0] == [Slice(None, None, 20_000)]


@given(
    seconds=st.lists(st.integers(1, SECONDS - 1), min_size=2, max_size=80),
    parts=st.integers(2, 9),
    most_counts=st.integers(0, 40),
    at_once=st.integers(1, 40),
    lie=st.sampled_from(["none", "lost", "negative", "random", "shrinking", "constant", "huge"]),
    seed=st.integers(0, 1000),
)
def test_counts_that_lie_make_bad_cuts_at_worst(
    seconds: list[int], parts: int, most_counts: int, at_once: int, lie: str, seed: int
) -> None:
    """Whatever is counted, the parts cover all time without a gap, and the search ends."""
    rng = random.Random(seed)

    def wrong(newer: int) -> int | None:
        told = {
            "none": newer,
            "lost": None if rng.random() < 0.2 else newer,
            "negative": -newer,
            "random": rng.randrange(-100, 1000),
            "shrinking": newer // rng.randrange(1, 4),
            "constant": len(seconds),
            "huge": 10**15,
        }
        return told[lie]

    cut(seconds, parts=parts, most_counts=most_counts, at_once=at_once, wrong=wrong)


# --- the walk --------------------------------------------------------------------------------------------------------


def scanning(source: RegisteredSource, **options: Any) -> Any:
    """Return a scan of a source."""
    targets: Any = [(ListBackend(source), DeviceUpgradeQuery())]
    return scan(targets, **{"concurrency": 16, **options})


def numbers(rows: Any) -> list[str]:
    """Return the identifiers of rows."""
    return sorted(f"d{row}" for row in rows)


KINDS = ["uniform", "bursts", "one hour", "one second", "young"]


@settings(deadline=None)
@given(
    kind=st.sampled_from(KINDS),
    count=st.integers(0, 700),
    concurrency=st.sampled_from([6, 7, 16, 40]),
    certify=st.booleans(),
    inclusive=st.booleans(),
    seed=st.integers(0, 1000),
)
async def test_every_device_once(
    kind: str, count: int, concurrency: int, certify: bool, inclusive: bool, seed: int
) -> None:
    """Whatever the registrations and whatever the vendor takes the ends of a range for: each device once, certified."""
    source = RegisteredSource(rows_of(spread(kind, count, random.Random(seed))), inclusive=inclusive)
    async with scanning(source, concurrency=concurrency, certify=certify) as running:
        found = [row.device_id async for row in running]
    assert sorted(found) == numbers(source.rows)
    certificate = running.certificate
    assert certificate.verdict is (Verdict.CERTIFIED if certify else Verdict.UNPROVED)
    assert (certificate.repairs, certificate.requests) == (0, len(source.asked))
    if concurrency == 6 or count < 2 * LEAST_ROWS:
        # As many as one walk has use for, or too few rows: nothing is counted, nothing is cut.
        assert set(source.asked_between) <= {(None, None)}
        assert len(source.asked) == running.plans[0].expected_requests([count])


async def test_ranges_overlap_and_the_outer_ones_are_open() -> None:
    """Neighbours share two seconds around their cut; counts are made with the smallest page there is."""
    source = RegisteredSource(rows_of(spread("uniform", 700, random.Random(1))))
    async with scanning(source, concurrency=16) as running:
        _ = [row async for row in running]
    counts = {asked for asked, (_, window) in zip(source.asked_between, source.asked, strict=True) if window.size == 1}
    assert counts
    assert all(before is None for _, before in counts)
    read = sorted(
        {ends for ends in source.asked_between if ends not in counts and ends != (None, None)},
        key=lambda ends: ends[0] or FIRST,
    )
    assert len(read) == running.plans[0].ranges(700) == 6
    assert (read[0][0], read[-1][1]) == (None, None)
    assert all(one[1] - other[0] == timedelta(seconds=2) for one, other in pairwise(read))  # type: ignore[operator]
    assert source.asked[0][1] == MarkerWindow(None, 20)


@pytest.mark.parametrize("inclusive", [True, False])
@pytest.mark.parametrize("certify", [True, False])
async def test_what_registers_in_the_very_second_of_a_cut_is_read(inclusive: bool, certify: bool) -> None:
    """A device in every second of the search, so that every cut meets one; whether ends count is not documented."""
    begin = 1_000_000
    own = (FIRST + timedelta(seconds=begin), FIRST + timedelta(seconds=begin + 701))
    source = RegisteredSource(rows_of(range(begin + 1, begin + 701)), own=own, inclusive=inclusive)
    async with scanning(source, certify=certify) as running:
        found = [row.device_id async for row in running]
    assert sorted(found) == numbers(source.rows)
    assert len(set(source.asked_between)) > 6


async def test_devices_beyond_all_bounds_are_in_the_outer_ranges() -> None:
    """A device of before the first instant of the search, and one of after now."""
    ancient = rows_of([-5_000_000, SECONDS + 5_000_000])
    rows = rows_of(spread("uniform", 700, random.Random(2)))
    source = RegisteredSource([*ancient, *rows])
    async with scanning(source) as running:
        found = [row.device_id async for row in running]
    assert sorted(found) == numbers([*ancient, *rows])


@pytest.mark.parametrize(
    "own",
    [
        (FIRST + timedelta(days=1000), None),
        (None, FIRST + timedelta(days=2000)),
        (FIRST + timedelta(days=1000), FIRST + timedelta(days=2000, microseconds=7)),
        (NOW + timedelta(days=3000), None),
    ],
)
async def test_the_search_stays_within_the_querys_own_ends(own: tuple[datetime | None, datetime | None]) -> None:
    """Cuts are looked for where the query asks; beyond now there is nothing to cut."""
    begin = 0 if own[0] is None else round((own[0] - FIRST).total_seconds())
    end = SECONDS if own[1] is None else int((own[1] - FIRST).total_seconds())
    rng = random.Random(3)
    inside = rows_of(rng.randrange(begin + 2, max(end, begin + 9) - 2) for _ in range(600))
    source = RegisteredSource([*inside, *rows_of([-9])], own=own)
    async with scanning(source) as running:
        found = [row.device_id async for row in running]
    assert numbers(inside) == sorted(set(found) - {f"d{row}" for row in rows_of([-9])})
    cuts = {after for after, _ in source.asked_between if after is not None}
    assert bool(cuts) == (begin < SECONDS)
    assert all((own[0] or FIRST) - timedelta(seconds=1) <= after < (own[1] or NOW) for after in cuts)


@pytest.mark.parametrize("lie", ["none", "none later", "negative later", "huge", "huge later"])
@pytest.mark.parametrize("certify", [True, False])
async def test_totals_that_are_none_lose_nothing(lie: str, certify: bool) -> None:
    """A vendor that tells no count, or an impossible one: one walk or bad ranges, but every device."""
    source = RegisteredSource(rows_of(spread("bursts", 500, random.Random(4))))
    told = {"none": None, "negative": -5, "huge": 10**12}[lie.split(maxsplit=1)[0]]

    def total(rows: int) -> int | None:
        return rows if "later" in lie and len(source.asked) == 1 else told

    source.total = total
    async with scanning(source, certify=certify) as running:
        found = [row.device_id async for row in running]
    assert sorted(found) == numbers(source.rows)


async def test_a_first_page_that_is_not_full_is_all_there_is() -> None:
    """A count that speaks of more than comes leads to no search."""
    source = RegisteredSource(rows_of(range(1, 19)))
    source.total = lambda rows: 10**6
    async with scanning(source) as running:
        assert len([row async for row in running]) == 18
    assert set(source.asked_between) == {(None, None)}


@settings(deadline=None, max_examples=150)
@given(
    kind=st.sampled_from(["uniform", "bursts", "young"]),
    count=st.integers(100, 500),
    leave=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    join=st.sampled_from([0.0, 0.3, 1.0, 3.0]),
    where=st.sampled_from(["now", "any", "tail"]),
    exact=st.booleans(),
    concurrency=st.sampled_from([7, 16, 33]),
    seed=st.integers(0, 2**32),
)
async def test_rows_that_come_and_go_make_no_wrong_certificate(
    kind: str, count: int, leave: float, join: float, where: str, exact: bool, concurrency: int, seed: int
) -> None:
    """While counts are made and ranges are read: what was listed throughout is seen, or there is no certificate."""
    rng = random.Random(seed)
    source = RegisteredSource(rows_of(spread(kind, count, rng)))
    serial = 5_000

    async def move() -> None:
        nonlocal serial
        for _ in range(int(leave + rng.random())):
            source.drop(rng)
        for _ in range(int(join + rng.random())):
            serial += 1
            second = {"now": SECONDS, "tail": -9}.get(where, rng.randrange(SECONDS))
            source.add(second, serial % 10_000)
        for _ in range(rng.randrange(4)):
            await anyio.lowlevel.checkpoint()

    source.before_answer = move
    async with scanning(source, dedupe="exact" if exact else "neighbours", concurrency=concurrency) as running:
        found = [row.device_id async for row in running]
    if running.certificate.verdict is Verdict.CERTIFIED:
        assert {f"d{row}" for row in source.always} <= set(found)
        if exact:
            assert len(found) == len(set(found))


@pytest.mark.parametrize("overlap", [20, 99])
def test_an_overlap_that_leaves_nothing_is_refused_before_anything_is_read(overlap: int) -> None:
    """As for a single walk."""
    source = RegisteredSource(rows_of(range(1, 500)))
    with pytest.raises(InvalidQueryError, match="cannot overlap"):
        scanning(source, overlap=overlap)
    assert source.asked == []


# --- what the vendor is asked ----------------------------------------------------------------------------------------


def day(number: int, **more: int) -> datetime:
    """Return a day of January 2024."""
    return datetime(2024, 1, number, tzinfo=UTC, **more)


@pytest.mark.parametrize(
    ("own", "after", "before", "sent"),
    [
        ((None, None), None, None, {}),
        ((None, None), day(2), day(3), {"start_time": "20240102T000000Z", "end_time": "20240103T000000Z"}),
        ((None, None), day(2, microsecond=9), None, {"start_time": "20240102T000000Z"}),
        ((day(1), day(9)), None, None, {"start_time": "20240101T000000Z", "end_time": "20240109T000000Z"}),
        ((day(1), day(9)), day(2), None, {"start_time": "20240102T000000Z", "end_time": "20240109T000000Z"}),
        ((day(3), day(9)), day(2), day(10), {"start_time": "20240103T000000Z", "end_time": "20240109T000000Z"}),
    ],
)
def test_iotda_keeps_the_querys_own_ends(
    own: tuple[datetime | None, datetime | None], after: datetime | None, before: datetime | None, sent: dict[str, str]
) -> None:
    """A range of a walk never reaches beyond what the query asks for, nor beyond its product."""
    query = DeviceUpgradeQuery(products=["p1", "p2"], registered_after=own[0], registered_before=own[1])
    walks = plan_devices(query).partitions
    assert [walk.label for walk in walks] == ["p1", "p2"]
    for walk in walks:
        assert walk.registered == own
        assert walk.between is not None
        part = walk.between(after, before)
        assert dict(part.filters) == {"product_id": walk.label, **sent}
        assert part.label == walk.label


def test_rows_know_when_they_registered() -> None:
    """The support code: a later row has a higher number."""
    assert row_at(5, 1) < row_at(5, 2) < row_at(6, 0)
