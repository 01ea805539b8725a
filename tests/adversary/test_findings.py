"""What the adversary found: certificates that were wrong, scans without an end, devices told of twice."""

import random
from typing import Any

import pytest

from otaclient.emulator import Burst, Churn, Fleet
from otaclient.fleet.certified_markers import CertifiedMarkerWalk
from otaclient.fleet.certified_pages import CertifiedPageWalk
from otaclient.fleet.chain import Chain
from otaclient.fleet.proof import Findings
from otaclient.fleet.scan import scan
from otaclient.fleet.sightings import Sightings
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Markers, PageNumbers
from support.adversary import Drift, Result, Vendor, drive
from support.lies import Adversary, behind

PAGES = PageNumbers(largest_page=50, default_page=50)
IOTDA = Markers(largest_page=50, default_page=10, largest_offset=500)


def scanned(
    paging: PageNumbers | Markers, rows: int, drift: Drift, *, seed: int, concurrency: int, **odd: Any
) -> Result:
    """Run one certified walk that may send at most ten times as many reads as plain paging, and 5,000 more."""
    rng = random.Random(seed)
    findings = Findings(2.0)
    walk = (
        CertifiedPageWalk(paging, Chain(Sightings()), findings, concurrency=concurrency)
        if isinstance(paging, PageNumbers)
        else CertifiedMarkerWalk(paging, Chain(Sightings()), findings, concurrency=concurrency)
    )
    most = 5_000 + 10 * rows // paging.largest_page
    return drive(walk, findings, Vendor(rows, drift, rng), rng, most=most, **odd)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fleet_that_grows_at_the_head_does_not_keep_a_scan_for_ever(seed: int) -> None:
    """Twenty devices join at row 0 in the time of each answer: growth gives the scan a budget without an end."""
    result = scanned(PAGES, 200, Drift(join=20, join_at="head"), seed=seed, concurrency=2)
    assert result.lost == 0


@pytest.mark.parametrize("seed", [1, 2])
def test_a_fleet_that_grows_behind_the_last_marker_does_not_keep_a_scan_for_ever(seed: int) -> None:
    """More records than a page holds join at the end in the time of each answer: they are chased one by one."""
    result = scanned(IOTDA, 2_000, Drift(leave=64, join=64, join_at="tail"), seed=seed, concurrency=32)
    assert result.lost == 0


@pytest.mark.parametrize("told", [None, 10**30])
@pytest.mark.parametrize("join", [8, 30, 50])
@pytest.mark.parametrize("concurrency", [4, 11])
def test_a_wrong_count_does_not_keep_a_scan_for_ever(concurrency: int, join: int, told: int | None) -> None:
    """Reads as wide as the count would have it never come to the end of a fleet that grows there; narrow ones do."""
    drift = Drift(leave=0.1, join=join, join_at="tail")
    for seed in range(3):
        result = scanned(IOTDA, 620, drift, seed=seed, concurrency=concurrency, lie=lambda _: told)
        assert (result.lost, result.calls < 2_000 or join == 50) == (0, True)


@pytest.mark.parametrize("told", [None, 0, -5])
@pytest.mark.parametrize("paging", [PAGES, IOTDA])
def test_without_a_count_a_large_fleet_is_read_to_its_end(paging: PageNumbers | Markers, told: int | None) -> None:
    """What was read says how much one may read; with markers it is proved, because an empty page is the end."""
    result = scanned(paging, 20_000, Drift(), seed=1, concurrency=11, lie=lambda _: told)
    assert (result.lost, result.certified) == (0, paging is IOTDA)


@pytest.mark.parametrize("seed", [1, 2])
def test_markers_certify_in_heavy_drift_at_the_head(seed: int) -> None:
    """More records than one read shows join at the head in the time of each answer: the closing reads go in parallel.

    Where they join at the end, which no vendor that lists the newest first does, there is never an empty page, and only
    that proves the end.
    """
    result = scanned(IOTDA, 100_000, Drift(leave=64, join=64, join_at="head"), seed=seed, concurrency=32)
    assert (result.certified, result.doubts) == (True, {})


@pytest.mark.parametrize("paging", [PAGES, Markers(largest_page=20, default_page=20, largest_offset=100)])
def test_rows_that_jumped_to_the_tail_join_nothing(paging: PageNumbers | Markers) -> None:
    """Two rows that were read near the head and jumped to the tail are no link between what was read last and the tail.

    A read at the end shares them, in their old order, with reads far before it: devices between the last joined read
    and this one are lost under a certificate.
    """
    drift = Drift(jump=0.4, jump_to="tail", leave=20)
    results = [scanned(paging, 400, drift, seed=seed, concurrency=4) for seed in range(150)]
    assert [seed for seed, result in enumerate(results) if result.certified and result.lost] == []


@pytest.mark.parametrize("join", [0.1, 0.3, 0.5])
async def test_a_small_memory_does_not_tell_of_devices_twice(join: float) -> None:
    """One read in flight and ``neighbours``: a burst at the head takes several closing reads, and then the tail."""
    fleet = Fleet.generate(devices=2_000, jobs=0)
    fleet.start_churn(Churn(join_at="oldest", bursts=[Burst(at_search=6, join=join)]))
    async with behind(Adversary(1), "enos", fleet) as backend:
        async with scan([(backend, DeviceUpgradeQuery())], concurrency=1, dedupe="neighbours") as running:
            keys = [upgrade.device_key async for upgrade in running]
    assert running.certificate.verdict == "certified"
    assert len(keys) == len(set(keys))


@pytest.mark.blocks_loop("ten times as many devices come in one step of the emulator, which shares the loop")
async def test_a_burst_at_the_head_does_not_hide_the_tail_from_a_small_memory() -> None:
    """Ten times the devices join at the head, between the end and the closing reads, and move the tail."""
    fleet = Fleet.generate(devices=2_000, jobs=0)
    versions = [version for product in fleet.products for version in product.firmware_versions[2:-1]]
    fleet.start_churn(Churn(seed=1, upgrade=1, leave=1, join_at="oldest", bursts=[Burst(at_search=7, join=9)]))
    async with behind(Adversary(1), "enos", fleet) as backend:
        query = DeviceUpgradeQuery(versions=versions)
        async with scan([(backend, query)], concurrency=4, dedupe="neighbours") as running:
            keys = [upgrade.device_key async for upgrade in running]
    assert running.certificate.verdict == "certified"
    assert len(keys) == len(set(keys)) > 14_000
    assert running.certificate.requests < 1.2 * len(keys) / 200


async def test_a_read_that_did_not_join_contradicts_too() -> None:
    """Devices leave faster than reads overlap; what the read behind the gap shows in another order, a repair shows."""
    fleet = Fleet.generate(devices=231, jobs=0)
    fleet.start_churn(Churn(seed=2_356_554_356, jump=0.5, jump_to="any", leave=5.0))
    async with behind(Adversary(2_356_554_356), "enos", fleet) as backend:
        async with scan([(backend, DeviceUpgradeQuery())], concurrency=1) as running:
            keys = [upgrade.device_key async for upgrade in running]
    assert keys
    assert running.certificate.repairs == 1
    assert running.certificate.verdict == "uncertain"
    assert [reason.partition(":")[0] for reason in running.certificate.reasons] == ["contradiction"]
