"""Many targets in one scan: fair between them, whatever one of them does; and never more pages than asked for."""

import asyncio
import random
import weakref
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.emulator import Fleet
from otaclient.errors import PermissionDeniedError, ServerError
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.scan import scan
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Markers, PageNumbers, Paging, Partition, RawPage, Window
from support.listing import ListBackend, ListSource
from support.live import live

PAGES = PageNumbers(largest_page=40, default_page=40)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
QUERY = DeviceUpgradeQuery()
_TURNS = 12
"""Until whatever could run has run."""


class Vendor:
    """Holds every request until the test lets it be answered, one by one."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, asyncio.Event]] = []
        self.answered: Counter[str] = Counter()

    async def hold(self, label: str) -> None:
        """Keep a request waiting."""
        event = asyncio.Event()
        self.waiting.append((label, event))
        await event.wait()
        self.answered[label] += 1

    async def quiet(self) -> None:
        """Wait until the client asks for nothing more."""
        for _ in range(_TURNS):
            await asyncio.sleep(0)

    def answer(self, place: int = 0) -> str:
        """Answer one request; returns whose it was."""
        label, event = self.waiting.pop(place)
        event.set()
        return label


class HeldSource(ListSource):
    """A listing that answers when the test says so."""

    def __init__(self, vendor: Vendor, label: str, rows: Sequence[int], paging: Paging = PAGES) -> None:
        super().__init__(rows, paging=paging)
        self.label = label
        self.before_answer = lambda: vendor.hold(label)


def scanning(*sources: HeldSource, **options: Any) -> Any:
    """Return a scan of sources, each behind a backend with its own label."""
    targets: Any = [(ListBackend(source, label=source.label), QUERY) for source in sources]
    return scan(targets, **options)


# --- answers by hand -------------------------------------------------------------------------------------------------


async def _exhaust(running: Any) -> list[str]:
    return [row.device_id async for row in running]


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
@pytest.mark.parametrize(("targets", "concurrency"), [(2, 3), (2, 16), (12, 3), (12, 64), (300, 16), (300, 64)])
async def test_no_target_is_far_ahead_of_another(paging: Paging, targets: int, concurrency: int) -> None:
    """Equal targets, answered in turn: while two have something to read, neither is far ahead."""
    vendor = Vendor()
    rows = range(2_000) if targets < 100 else range(150)
    sources = [HeldSource(vendor, f"b{number}", rows, paging) for number in range(targets)]
    most = 0
    async with scanning(*sources, concurrency=concurrency) as running:
        consumer = asyncio.create_task(_exhaust(running))
        await vendor.quiet()
        while vendor.waiting:
            at_work = zip(sources, running._walkers, strict=True)
            asked = [len(source.asked) for source, walker in at_work if not walker.finished]
            most = max(most, max(asked) - min(asked)) if asked else most
            vendor.answer()
            await vendor.quiet()
        # Every target has the same devices, but not the same label.
        assert Counter(await consumer) == {f"d{row}": targets for row in rows}
    assert running.certificate.verdict is Verdict.CERTIFIED
    # Where there is room for more than a read each, whoever is answered first has it before the others are answered.
    assert most <= (2 if concurrency < 2 * targets else concurrency)


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
@pytest.mark.parametrize("concurrency", [1, 4, 16])
async def test_a_large_target_does_not_delay_the_small_ones(paging: Paging, concurrency: int) -> None:
    """One target with a hundred times the rows, named first: the small ones end after their own reads and as many."""
    vendor = Vendor()
    large = HeldSource(vendor, "large", range(9_000), paging)
    small = [HeldSource(vendor, f"b{number}", range(90), paging) for number in range(20)]
    async with scanning(large, *small, concurrency=concurrency) as running:
        consumer = asyncio.create_task(_exhaust(running))
        await vendor.quiet()
        while not all(walker.finished for walker in running._walkers[1:]):
            vendor.answer()
            await vendor.quiet()
        theirs = sum(len(source.asked) for source in small)
        assert len(large.asked) <= theirs / 20 + concurrency + 2
        while vendor.waiting:
            vendor.answer()
            await vendor.quiet()
        assert len(await consumer) == 9_000 + 20 * 90


async def _until_stuck(vendor: Vendor, is_held: Any) -> None:
    """Answer whatever is not held back, until nothing else is asked."""
    await vendor.quiet()
    while (place := next((n for n, (label, _) in enumerate(vendor.waiting) if not is_held(label)), None)) is not None:
        vendor.answer(place)
        await vendor.quiet()


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
@pytest.mark.parametrize("answers", [0, 1, 5])
@pytest.mark.parametrize("concurrency", [3, 5, 16])
async def test_a_slow_target_does_not_stop_the_others(paging: Paging, answers: int, concurrency: int) -> None:
    """A target that answers nothing more after some pages: the others are read to their end in the meantime."""
    vendor = Vendor()
    slow = HeldSource(vendor, "slow", range(2_000), paging)
    others = [HeldSource(vendor, f"b{number}", range(2_000), paging) for number in range(4)]
    async with scanning(slow, *others, concurrency=concurrency) as running:
        consumer = asyncio.create_task(_exhaust(running))
        try:
            await _until_stuck(vendor, lambda label: label == "slow" and vendor.answered["slow"] >= answers)
            assert all(walker.finished for walker in running._walkers[1:])
            await _until_stuck(vendor, lambda _label: False)
            assert len(await consumer) == 5 * 2_000
        finally:
            consumer.cancel()
            await asyncio.wait([consumer])


@settings(max_examples=60, deadline=None)
@given(
    targets=st.integers(2, 12),
    failing=st.integers(0, 11),
    at=st.integers(1, 12),
    paging=st.sampled_from([PAGES, MARKERS]),
    concurrency=st.sampled_from([1, 4, 16]),
    collect=st.booleans(),
    seed=st.integers(0, 999),
)
async def test_a_failing_target(
    targets: int, failing: int, at: int, paging: Paging, concurrency: int, collect: bool, seed: int
) -> None:
    """The first error ends all, or is listed while the others are read to their end; never a certificate."""
    vendor, rng, failing = Vendor(), random.Random(seed), failing % targets
    sources = [HeldSource(vendor, f"b{number}", range(300), paging) for number in range(targets)]
    bad = sources[failing]
    bad.fail = lambda _label, _window: ServerError("down", attempts=2) if len(bad.asked) >= at else None
    running = scanning(*sources, concurrency=concurrency, on_error="collect" if collect else "raise")
    async with running:
        consumer = asyncio.create_task(_exhaust(running))
        await vendor.quiet()
        while vendor.waiting and not consumer.done():
            vendor.answer(rng.randrange(len(vendor.waiting)))
            await vendor.quiet()
        (result,) = await asyncio.gather(consumer, return_exceptions=True)
    asked = sum(len(source.asked) for source in sources)
    await vendor.quiet()
    assert sum(len(source.asked) for source in sources) == asked
    certificate = running.certificate
    assert certificate.verdict is Verdict.UNCERTAIN
    if not collect:
        assert isinstance(result, ServerError)
        assert str(result).startswith(f"b{failing} devices.search: down")
        assert certificate.reasons == ("not finished",)
        return
    assert isinstance(result, list)
    counts = Counter(result)
    assert set(counts) == {f"d{row}" for row in range(300)}
    assert all(targets - 1 <= count <= targets for count in counts.values())
    assert [error.backend for error in running.errors] == [f"b{failing}"]
    assert [part.finished for part in certificate.parts] == [number != failing for number in range(targets)]
    assert [bool(part.errors) for part in certificate.parts] == [number == failing for number in range(targets)]
    assert "1 error was collected" in certificate.reasons[0]


class CountingSource(ListSource):
    """Counts the requests in flight, and the bodies that are alive."""

    def __init__(self, alive: "list[weakref.ref[RawPage]]", rows: Sequence[int], paging: Paging) -> None:
        super().__init__(rows, paging=paging)
        self.alive = alive
        self.in_flight = 0

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return a page; it counts for as long as somebody keeps it."""
        self.in_flight += 1
        try:
            raw = await super().fetch(partition, window)
        finally:
            self.in_flight -= 1
        self.alive.append(weakref.ref(raw))
        return raw


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 1_500), min_size=1, max_size=6),
    concurrency=st.sampled_from([1, 2, 5, 16]),
    certify=st.booleans(),
    patience=st.integers(0, 40),
    leaving=st.booleans(),
    seed=st.integers(0, 999),
)
async def test_pages_in_flight_and_waiting_are_never_more_than_the_concurrency(
    sizes: list[int], concurrency: int, certify: bool, patience: int, leaving: bool, seed: int
) -> None:
    """Whatever the targets, and however slow the consumer: no more requests and bodies, but for the page in hand."""
    rng = random.Random(seed)
    alive: list[weakref.ref[RawPage]] = []
    pagings: list[Paging] = [PAGES, MARKERS]
    sources = [CountingSource(alive, range(size), rng.choice(pagings)) for size in sizes]
    most = 0

    async def answer() -> None:
        nonlocal most
        alive[:] = [page for page in alive if page() is not None]
        most = max(most, sum(source.in_flight for source in sources) + len(alive))
        for _ in range(rng.randrange(1, 9)):
            await asyncio.sleep(0)
        if leaving and sources[0].walks[0]:
            del sources[0].walks[0][: rng.randrange(4)]

    for source in sources:
        source.before_answer = answer
    targets: Any = [(ListBackend(source, label=f"b{n}"), QUERY) for n, source in enumerate(sources)]
    async with scan(targets, concurrency=concurrency, certify=certify) as running:
        async for _ in running.pages():
            for _ in range(rng.randrange(patience + 1)):
                await asyncio.sleep(0)
    assert most <= concurrency + 1


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.blocks_loop("lists what it expects of thousands of devices inside the loop")
async def test_hundreds_of_products_of_both_vendors() -> None:
    """Products by versions on one vendor, products by resource spaces on the other: each device once, certified."""
    fleet = Fleet.generate(devices=4_000, products=16, jobs=0)
    async with AsyncExitStack() as stack:
        enos = await stack.enter_async_context(live("enos", fleet))
        iotda = await stack.enter_async_context(live("iotda", fleet))
        listed = {vendor.name: list(vendor.emulator.expected_devices(vendor.backend.label)) for vendor in (enos, iotda)}
        targets = [
            (enos.backend, DeviceUpgradeQuery(products=[product], versions=[version] if version else None))
            for product, version in sorted(
                {(str(row.product_id), row.firmware_version or "") for row in listed["enos"]},
            )
            if version
        ]
        spaces = {(str(row.product_id), str(row.owner_id)) for row in listed["iotda"]}
        targets += [
            (iotda.backend.with_options(owner_id=space), DeviceUpgradeQuery(products=[product]))
            for product, space in sorted(spaces)
        ]
        assert len(targets) > 100
        async with scan(targets, concurrency=16) as running:
            found = [(row.backend, row.device_id) async for row in running]
    expected = [
        (row.backend, row.device_id)
        for rows in listed.values()
        for row in rows
        if row.firmware_version or rows is not listed["enos"]
    ]
    assert sorted(found) == sorted(expected)
    assert (running.certificate.verdict, running.certificate.duplicates >= 0) == (Verdict.CERTIFIED, True)
    assert len(running.certificate.parts) == len(targets)


async def test_a_tenant_that_is_refused_and_a_vendor_that_hangs_do_not_stop_the_others() -> None:
    """Another organisation of the same client is denied; the rest is read, and the certificate says what is missing."""
    fleet = Fleet.generate(devices=1_500, jobs=0)
    async with AsyncExitStack() as stack:
        enos = await stack.enter_async_context(live("enos", fleet))
        iotda = await stack.enter_async_context(live("iotda", fleet))
        stranger = enos.backend.with_options(owner_id="o999")
        targets = [(stranger, QUERY), (enos.backend, QUERY), (iotda.backend, QUERY)]
        hold = iotda.emulator.faults.delay("devices.search")
        async with scan(targets, concurrency=6, on_error="collect") as running:
            seen: Counter[str] = Counter()
            async for page in running.pages():
                seen.update(row.backend for row in page)
                if seen["enos-7"] == 1_500:
                    hold.release()
        assert seen == {"enos-7": 1_500, "iotda-7": 1_500}
        assert [type(error.error) for error in running.errors] == [PermissionDeniedError]
        assert [part.finished for part in running.certificate.parts] == [False, True, True]
        assert running.certificate.verdict is Verdict.UNCERTAIN
        async with scan(targets, concurrency=6) as running:
            with pytest.raises(PermissionDeniedError):
                _ = [row async for row in running]
        await anyio.wait_all_tasks_blocked()
