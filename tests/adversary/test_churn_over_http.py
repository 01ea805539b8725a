"""The proof, by adversary, second layer: the whole client over HTTP against emulators whose fleets churn.

How many scans each property makes is scaled by ``OTACLIENT_ADVERSARY_HTTP_SCANS``: by default some 300 over all tests.
More::

    OTACLIENT_ADVERSARY_HTTP_SCANS=1000 python -m pytest tests/adversary/test_churn_over_http.py --timeout 0
"""

import os
from collections.abc import Sequence
from contextlib import nullcontext
from itertools import combinations
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, Phase, assume, example, given, settings
from hypothesis import strategies as st

import otaclient
from otaclient import DeviceUpgradeQuery, OtaError
from otaclient.emulator import Burst, Churn, Fleet
from otaclient.emulator.conditions import EVERYTHING
from otaclient.fleet.ledger import Certificate, Verdict
from otaclient_enos.emulator import EnosEmulator
from support.lies import (
    WIRES,
    Adversary,
    Lie,
    behind,
    clamped_pages,
    denied_clamp,
    lying_marker,
    lying_total,
    repeated_row,
    same_page,
    short_pages,
)

SCANS = int(os.environ.get("OTACLIENT_ADVERSARY_HTTP_SCANS", "60"))
pytestmark = [
    pytest.mark.timeout(900),
    # What a pause of the machine holds up, the emulator's fleet makes up for in one step; tests look through it, too.
    pytest.mark.blocks_loop("fleets move by the clock on the wall, and emulators share the loop of the test"),
]

VENDORS = ("enos", "iotda")
VENDOR = st.sampled_from(VENDORS)
# Windows around every border of EnOS's pages of 200 and IoTDA's of 50, which reach to an offset of 500.
BORDERS = {
    "enos": (0, 1, 2, 199, 200, 201, 399, 400, 401, 1_000),
    "iotda": (0, 1, 2, 49, 50, 51, 99, 100, 101, *range(498, 502), *range(548, 552), 1_100),
}


def scans(share: float = 1.0) -> settings:
    """Run a share of all scans in one test."""
    # To make a failing scan smaller would take hundreds more; what it drew says enough.
    return settings(
        max_examples=max(5, int(SCANS * share)),
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


@attrs.frozen(kw_only=True)
class Told:
    """What a scan told, beside what was so."""

    certificate: Certificate | None
    """``None`` for a scan that ended in an error."""
    error: OtaError | None
    yielded: int
    lost: set[str]
    """Devices that were listed throughout, and were not told of."""
    doubled: int
    invented: set[str]
    """Devices that were told of, and were never listed."""
    pages: Sequence[dict[str, Any]]

    @property
    def certified(self) -> bool:
        """Whether the scan says that it missed nothing."""
        return self.certificate is not None and self.certificate.verdict is Verdict.CERTIFIED

    def must_be_honest(self) -> None:
        """Check that a certificate is right, and that what has none says why."""
        assert self.invented == set()
        if self.certified:
            assert self.lost == set()
        elif self.certificate is not None:
            assert self.certificate.verdict is Verdict.UNCERTAIN
            assert all(self.certificate.reasons)
            assert self.certificate.reasons


async def told(
    vendor: str,
    devices: int,
    churn: Churn,
    *,
    seed: int = 0,
    lie: Lie | None = None,
    repeats: float = 0.0,
    of_versions: bool = False,
    **options: Any,
) -> Told:
    """Scan one fleet over HTTP."""
    fleet = Fleet.generate(devices=devices, jobs=0)
    # Most versions of each product, not all: devices leave the filter, enter it, and move inside.
    versions = [version for product in fleet.products for version in product.firmware_versions[2:-1]]
    table = fleet.devices
    watch = table.watch(table.with_firmware_versions(versions) if of_versions else EVERYTHING)
    fleet.start_churn(churn)
    adversary = Adversary(seed, lie=lie, repeats=repeats)
    seen: list[str] = []
    certificate, error = None, None
    async with behind(adversary, vendor, fleet) as backend:
        query = DeviceUpgradeQuery(versions=versions) if of_versions else DeviceUpgradeQuery()
        async with otaclient.scan([(backend, query)], **options) as scan:
            try:
                seen += [str(upgrade.device_key) async for upgrade in scan]
                certificate = scan.certificate
            except OtaError as raised:
                error = raised
    return Told(
        certificate=certificate,
        error=error,
        yielded=len(seen),
        lost={table.key(row) for row in watch.throughout} - set(seen),
        doubled=len(seen) - len(set(seen)),
        invented=set(seen) - {table.key(row) for row in watch.ever},
        pages=adversary.pages,
    )


# --- order kept ------------------------------------------------------------------------------------------------------

RATE = st.sampled_from([0.0, 0.1, 1.0, 5.0])
PLACE: Any = st.sampled_from(["newest", "oldest", "any"])
BURSTS = st.lists(
    st.builds(Burst, at_search=st.integers(0, 12), leave=st.sampled_from([0.0, 0.05, 0.4, 1.0]), join=st.just(0.0))
    | st.builds(Burst, at_search=st.integers(0, 12), join=st.sampled_from([0.05, 0.5, 9.0])),
    max_size=2,
)
ORDERED = st.builds(
    Churn,
    seed=st.integers(0, 2**32),
    upgrade=RATE,
    leave=RATE,
    join=RATE,
    join_at=PLACE,
    rejoin=RATE,
    bursts=BURSTS,
)
CONCURRENCY = {"enos": st.sampled_from([1, 4, 16]), "iotda": st.sampled_from([1, 4, 11])}
DEDUPE: Any = st.sampled_from(["exact", "neighbours"])
SEED = st.integers(0, 2**32)


@scans()
@given(
    devices=st.integers(0, 2_000),
    churn=ORDERED,
    of_versions=st.booleans(),
    concurrency=CONCURRENCY["enos"],
    dedupe=DEDUPE,
    repeats=st.sampled_from([0.0, 0.2]),
    seed=SEED,
)
async def test_enos_whatever_comes_and_goes(devices: int, churn: Churn, seed: int, **options: Any) -> None:
    """With the order kept no certificate is wrong, and under one no device comes twice, whatever is remembered."""
    found = await told("enos", devices, churn, seed=seed, **options)
    assert found.error is None
    found.must_be_honest()
    assert not (found.doubled and (found.certified or options["dedupe"] == "exact"))


@scans()
@given(
    devices=st.integers(0, 1_000),
    churn=ORDERED,
    concurrency=CONCURRENCY["iotda"],
    dedupe=DEDUPE,
    repeats=st.sampled_from([0.0, 0.2]),
    seed=SEED,
)
async def test_iotda_whatever_comes_and_goes(devices: int, churn: Churn, seed: int, **options: Any) -> None:
    """With the order kept no certificate is wrong, and under one no device comes twice, whatever is remembered."""
    found = await told("iotda", devices, churn, seed=seed, **options)
    assert found.error is None
    found.must_be_honest()
    assert not (found.doubled and (found.certified or options["dedupe"] == "exact"))


@scans(0.2)
@given(devices=st.integers(500, 3_000), churn=ORDERED, seed=SEED)
async def test_iotda_with_more_in_flight_than_offsets(devices: int, churn: Churn, seed: int) -> None:
    """However the client finds work for sixteen: the certificate is right."""
    assume(sum(burst.join > 1 for burst in churn.bursts) < 2)  # a fleet a hundred times as large takes too long
    found = await told("iotda", devices, churn, seed=seed, concurrency=16)
    assert found.error is None
    found.must_be_honest()
    assert found.doubled == 0


# --- order broken ----------------------------------------------------------------------------------------------------


@scans(0.5)
@given(
    vendor=VENDOR,
    devices=st.integers(0, 1_500),
    jump=st.sampled_from([0.1, 0.5, 2.0]),
    jump_to=st.sampled_from(["newest", "oldest"]),
    leave=RATE,
    again=RATE,
    concurrency=st.sampled_from([1, 4, 11]),
    seed=SEED,
)
async def test_devices_that_jump_to_an_end_of_the_listing(
    vendor: str, devices: int, jump: float, jump_to: Any, leave: float, again: float, concurrency: int, seed: int
) -> None:
    """Devices that move to the head or the tail, or are registered anew with their old key there, are not lost."""
    churn = Churn(seed=seed, jump=jump, jump_to=jump_to, leave=leave, register_again=again, join_at=jump_to)
    found = await told(vendor, devices, churn, seed=seed, concurrency=concurrency)
    found.must_be_honest()


@scans(0.5)
@given(
    vendor=VENDOR,
    devices=st.integers(100, 1_500),
    jump=st.sampled_from([0.5, 2.0, 10.0]),
    leave=RATE,
    seed=SEED,
)
async def test_devices_that_jump_anywhere(vendor: str, devices: int, jump: float, leave: float, seed: int) -> None:
    """Where two answers put two devices in different orders, there is no certificate."""
    churn = Churn(seed=seed, jump=jump, jump_to="any", leave=leave)
    # One read after the other: each answer is judged, none is dropped.
    found = await told(vendor, devices, churn, seed=seed, concurrency=1)
    assert found.invented == set()
    if contradicts([names(vendor, page) for page in found.pages]):
        assert not found.certified


def names(vendor: str, page: dict[str, Any]) -> list[str]:
    """Return what identifies the rows of a page."""
    member = {"enos": "deviceKey", "iotda": "device_id"}[vendor]
    return [row[member] for row in page[WIRES[vendor].rows]]


def contradicts(pages: Sequence[list[str]]) -> bool:
    """Tell whether two pages have rows in common, in another order."""
    for one, other in combinations(pages, 2):
        places = {name: place for place, name in enumerate(one)}
        shared = [places[name] for name in other if name in places]
        if shared != sorted(shared):
            return True
    return False


# --- nothing moves ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 4, 16])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_without_drift_it_is_always_certified(vendor: str, concurrency: int) -> None:
    """For totals around the borders of pages: certified, each device once, whatever order the answers come in."""
    for devices in BORDERS[vendor]:
        found = await told(vendor, devices, Churn(), seed=devices, concurrency=concurrency)
        assert (found.certified, found.lost, found.doubled, found.yielded) == (True, set(), 0, devices), devices


async def test_a_million_devices_without_drift_are_certified() -> None:
    """The whole way, at the largest size that is promised."""
    async with EnosEmulator(Fleet.generate(devices=1_000_000, jobs=0), compress=False) as emulator:
        async with otaclient.open_backend("enos", config=emulator.config()) as backend:
            async with otaclient.scan([(backend, DeviceUpgradeQuery())]) as scan:
                devices = sum([len(page) async for page in scan.pages()])
    assert (scan.certificate.verdict, devices) == (Verdict.CERTIFIED, 1_000_000)


# --- lies ------------------------------------------------------------------------------------------------------------

TOTALS = ("stale", "half", "double", "absent", None, -5, 0, 1, 10**12, 10**30, "many", 7.5, True)


@scans(0.7)
@given(
    vendor=VENDOR,
    devices=st.integers(1, 900),
    what=st.sampled_from(TOTALS),
    churn=ORDERED,
    concurrency=st.sampled_from([1, 4, 11]),
    seed=SEED,
)
# Once without an end: reads as wide as the count would have it, while devices join where they end.
@example(
    vendor="iotda",
    devices=620,
    what=10**30,
    churn=Churn(seed=8312, leave=0.1, join=5.0, join_at="oldest", rejoin=5.0),
    concurrency=11,
    seed=14525,
)
async def test_totals_that_lie(vendor: str, devices: int, what: Any, churn: Churn, concurrency: int, seed: int) -> None:
    """A total that is wrong, or none at all, leads to no wrong certificate, no silent gap and no endless scan."""
    lie = lying_total(WIRES[vendor], what)
    found = await told(vendor, devices, churn, seed=seed, lie=lie, concurrency=concurrency)
    if found.error is None:
        found.must_be_honest()


@scans(0.5)
@given(
    vendor=VENDOR,
    devices=st.integers(1, 900),
    share=st.sampled_from([0.1, 0.5, 1.0]),
    what=st.sampled_from(["short", "repeated row", "clamped", "clamped, denied"]),
    churn=ORDERED,
    concurrency=st.sampled_from([1, 4, 11]),
    seed=SEED,
)
async def test_pages_with_other_rows_than_were_asked_for(
    vendor: str, devices: int, share: float, what: str, churn: Churn, concurrency: int, seed: int
) -> None:
    """Short middle pages, rows that come twice, pages of another size: an error, a doubt, or a right certificate."""
    lies: dict[str, Lie | None] = {
        "short": short_pages(share) if vendor == "enos" else None,
        "repeated row": repeated_row(WIRES[vendor], share),
        "clamped, denied": denied_clamp if vendor == "enos" else None,
    }
    clamp = clamped_pages(vendor, 50 if vendor == "enos" else 20) if "clamped" in what else nullcontext()
    with clamp:
        found = await told(vendor, devices, churn, seed=seed, lie=lies.get(what), concurrency=concurrency)
    if found.error is None:
        found.must_be_honest()


@scans(0.2)
@given(devices=st.integers(201, 900), churn=ORDERED, concurrency=st.sampled_from([1, 4, 16]), seed=SEED)
async def test_the_same_page_for_ever(devices: int, churn: Churn, concurrency: int, seed: int) -> None:
    """A service that ignores the page's number is found out, or else it has said that there is no more."""
    found = await told("enos", devices, churn, seed=seed, lie=same_page(), concurrency=concurrency)
    if found.error is None and found.certified:
        assert found.yielded >= min(page["pagination"]["totalSize"] for page in found.pages)


@pytest.mark.parametrize("concurrency", [1, 11])
@pytest.mark.parametrize("what", ["absent", "null", "up", "nonsense"])
async def test_markers_that_lie(what: str, concurrency: int) -> None:
    """A marker that is missing or does not go down ends the scan with an error."""
    for seed in range(5):
        found = await told("iotda", 700, Churn(), seed=seed, lie=lying_marker(what), concurrency=concurrency)
        if found.error is None:
            found.must_be_honest()


@pytest.mark.parametrize(
    ("lie", "clamp", "outcome"),
    [
        (lying_total(WIRES["enos"], "half"), None, "end: the last page does not agree"),
        (lying_total(WIRES["enos"], -5), None, "end: the last page does not agree"),
        (lying_total(WIRES["enos"], 10**30), None, "end: the last page does not agree"),
        (lying_total(WIRES["enos"], "many"), None, "end: the last page does not agree"),
        (lying_total(WIRES["enos"], 7.5), None, "PayloadError: the answer is not a page of rows"),
        (None, 50, "PayloadError: asked for page 1 of size 200, but the answer says page 1 of size 50"),
        (denied_clamp, 50, "end: the last page does not agree"),
        (same_page(), None, "end: the pages repeat"),
        (short_pages(1.0), None, "end: the last page does not agree"),
        (repeated_row(WIRES["enos"], 1.0), None, "a row comes twice"),
    ],
)
async def test_what_a_lie_of_enos_comes_to(lie: Lie | None, clamp: int | None, outcome: str) -> None:
    """Without drift, each lie has one outcome: an error, or a verdict that names what does not fit."""
    with nullcontext() if clamp is None else clamped_pages("enos", clamp):
        found = await told("enos", 900, Churn(), seed=1, lie=lie, concurrency=4)
    words = [f"{type(found.error).__name__}: {found.error.message}"] if found.error else []
    words += found.certificate.reasons if found.certificate else []
    assert not found.certified
    assert any(each.startswith(outcome) for each in words), words
