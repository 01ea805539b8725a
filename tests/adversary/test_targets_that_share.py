"""Scans of several targets of one backend whose rows overlap, and what scans of moving rows say that they cost."""

import random
from typing import Any

import anyio.lowlevel
import pytest

import otaclient
from otaclient import DeviceUpgradeQuery
from otaclient.emulator import Churn, Fleet
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.scan import scan
from otaclient.reads import Markers, PageNumbers, Paging
from support.lies import Adversary, behind
from support.listing import ListBackend, ListSource

# Fleets move with the emulator, which shares the loop of the test.
pytestmark = pytest.mark.blocks_loop("emulators share the loop of the test")

PAGES = PageNumbers(largest_page=50, default_page=50)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
SHARED = "dedupe=neighbours: targets share devices, and not all are remembered, so devices may have come twice"


class Backend(ListBackend):
    """Answers one query after another from one source after another."""

    def __init__(self, *sources: ListSource) -> None:
        super().__init__(sources[0])
        self._sources = iter(sources)

    def reads(self, query: DeviceUpgradeQuery, /) -> ListSource:
        """Return the next source."""
        return next(self._sources)


def scanning(*sources: ListSource, **options: Any) -> Any:
    """Return a scan of sources that are all behind one backend."""
    backend: Any = Backend(*sources)
    return scan([(backend, DeviceUpgradeQuery())] * len(sources), **options)


def every(nth: int, of: int, paging: Paging) -> ListSource:
    """Return a listing of 400 rows of which one in so many is wanted, which only we can tell."""
    source = ListSource(range(400), paging=paging)
    source.filtered_here = ("versions",)
    source.keep_if = lambda row: int(row.device_id[1:]) % of == nth
    return source


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize("dedupe", ["exact", "neighbours"])
@pytest.mark.parametrize("paging", [PAGES, MARKERS])
async def test_a_row_that_one_target_does_not_want_is_left_for_the_others(
    paging: Paging, dedupe: str, certify: bool
) -> None:
    """Each row that any target wants is told of, once; those that none wants count as filtered, once."""
    targets = [every(0, 4, paging), every(1, 4, paging), every(1, 2, paging), every(1, 4, paging)]
    async with scanning(*targets, dedupe=dedupe, certify=certify) as running:
        found = [row.device_id async for row in running]
    assert sorted(found) == sorted(f"d{row}" for row in range(400) if row % 4 == 0 or row % 2 == 1)
    certificate = running.certificate
    assert certificate.verdict is (Verdict.CERTIFIED if certify else Verdict.UNPROVED)
    assert (certificate.devices, certificate.filtered, certificate.changed) == (300, 100, 0)
    assert sum(part.devices for part in certificate.parts) == 300


async def test_a_target_without_filters_of_ours_takes_what_the_first_left() -> None:
    """Whoever asks for everything gets everything that nobody else got."""
    async with scanning(every(0, 4, PAGES), ListSource(range(400), paging=PAGES)) as running:
        found = [row.device_id async for row in running]
    assert (running.certificate.verdict, len(found), len(set(found))) == ("certified", 400, 400)
    assert running.certificate.filtered == 0


@pytest.mark.parametrize("seed", range(6))
async def test_versions_in_two_targets_of_a_vendor_that_cannot_filter_by_them(seed: int) -> None:
    """Whoever asks IoTDA for some versions in one target and for others in another misses none, while devices move."""
    fleet = Fleet.generate(devices=700, jobs=0)
    versions = sorted({version for product in fleet.products for version in product.firmware_versions})
    random.Random(seed).shuffle(versions)
    halves = (versions[: len(versions) // 2], versions[len(versions) // 3 :])
    watches = [fleet.devices.watch(fleet.devices.with_firmware_versions(half)) for half in halves]
    fleet.start_churn(Churn(seed=seed, upgrade=0.5, leave=0.5, join=0.5))
    async with behind(Adversary(seed), "iotda", fleet) as backend:
        targets = [(backend, DeviceUpgradeQuery(versions=half)) for half in halves]
        async with otaclient.scan(targets, concurrency=4) as running:
            found = [row.device_key async for row in running]
    assert running.certificate.verdict is Verdict.CERTIFIED
    assert {fleet.devices.key(row) for watch in watches for row in watch.throughout} <= set(found)
    assert len(found) == len(set(found)) == running.certificate.devices > 300


async def late(source: ListSource, rows: int) -> None:
    """Hold a target up until the other one has read so many pages."""
    while len(source.asked) < rows:
        await anyio.lowlevel.checkpoint()


async def test_targets_that_share_more_than_neighbours_remembers_get_no_certificate() -> None:
    """What one target has seen and the scan forgotten is new to the other: the verdict says so."""
    for dedupe, verdict in (("exact", "certified"), ("neighbours", "uncertain")):
        first, second = ListSource(range(12_000), paging=PAGES), ListSource(range(12_000), paging=PAGES)
        second.before_answer = lambda first=first: late(first, 270)
        async with scanning(first, second, dedupe=dedupe, concurrency=4) as running:
            found = [row.device_id async for row in running]
        assert (len(set(found)), len(found) > 12_000) == (12_000, dedupe == "neighbours")
        assert (running.certificate.verdict, SHARED in running.certificate.reasons) == (verdict, verdict == "uncertain")


async def test_targets_that_share_nothing_are_certified_however_little_is_remembered() -> None:
    """Two products in two targets: there is nothing that could come twice."""
    sources = [ListSource(range(begin, begin + 8_000), paging=PAGES) for begin in (0, 8_000)]
    async with scanning(*sources, dedupe="neighbours", concurrency=4) as running:
        assert len([row async for row in running]) == 16_000
    assert running.certificate.verdict is Verdict.CERTIFIED


# --- what it cost ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
async def test_reads_that_were_dropped_are_among_the_requests(paging: Paging) -> None:
    """Rows leave, and what is in flight is dropped for it: it was sent and paid for all the same."""
    source = ListSource(range(2_000), paging=paging)
    rng = random.Random(4)

    async def leave() -> None:
        for _ in range(rng.randrange(1, 30)):
            await anyio.lowlevel.checkpoint()
        begin = rng.randrange(len(source.walks[0]))
        del source.walks[0][begin : begin + 10]

    source.before_answer = leave
    async with scanning(source) as running:
        found = [row.device_id async for row in running]
    certificate = running.certificate
    assert {f"d{row}" for row in source.walks[0]} <= set(found)
    assert certificate.repairs > 0
    assert certificate.requests == len(source.asked) > certificate.reads


@pytest.mark.parametrize("repair_budget", [0.0, 2.0])
@pytest.mark.parametrize(
    ("paging", "rows", "overlap"),
    [
        (PageNumbers(largest_page=200, default_page=200), 9_000, 99),
        (PAGES, 9_000, 19),
        (MARKERS, 1_000, 11),
        (MARKERS, 1_000, 19),
    ],
)
async def test_a_wide_overlap_is_no_repair(paging: Paging, rows: int, overlap: int, repair_budget: float) -> None:
    """Whatever the overlap and the budget, a listing that stands still is certified, for what the plan says."""
    async with scanning(
        ListSource(range(rows), paging=paging), overlap=overlap, repair_budget=repair_budget
    ) as running:
        (plan,) = running.plans
        assert sum([len(page) async for page in running.pages()]) == rows
    certificate = running.certificate
    assert (certificate.verdict, certificate.requests) == (Verdict.CERTIFIED, plan.expected_requests([rows]))
