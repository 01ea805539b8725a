"""The end of a client, over HTTP: whatever is asked afterwards, or is under way just then, ends in a clear error."""

import asyncio
import os
import pickle
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anyio
import pytest

import otaclient
from otaclient.emulator import EmulatorServer, Fleet, JobPlan
from otaclient.errors import OtaError, OutcomeUnknownError, TransportError
from otaclient.models import Firmware, JobId, JobScope, LocalizedText, NewFirmware, NewJob
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.registry import emulator_class
from otaclient.transport.limits import Limits

FLEET = Fleet.generate(devices=700, seed=13)
CLOSED = "the client is closed: open a new one"
ID = JobId("0" * 24)

Operation = Callable[[Backend, Firmware, Path], Awaitable[Any]]


def emulator_of(name: str) -> EmulatorServer:
    """Return one vendor's emulator."""
    emulator: EmulatorServer = emulator_class(name)(FLEET.copy(), plan=JobPlan(upgrading_seconds=3600.0))
    return emulator


@pytest.fixture(params=["enos", "iotda"])
async def emulator(request: pytest.FixtureRequest) -> AsyncIterator[EmulatorServer]:
    """Start one vendor's emulator."""
    async with emulator_of(request.param) as running:
        yield running


def opened(emulator: EmulatorServer, **options: Any) -> Backend:
    """Return a client of it."""
    return otaclient.open_backend(emulator.vendor, config=emulator.config(), **options)


async def some_firmware(backend: Backend) -> Firmware:
    """Return a firmware of the fleet."""
    (found,) = await backend.firmware.search(FirmwareQuery(kinds=["firmware"])).first(1)
    return found


async def _create_firmware(backend: Backend, known: Firmware, folder: Path) -> None:
    new = NewFirmware(version="9.9", product_id=known.product_id, name=LocalizedText(default="new"))
    if Capability.FIRMWARE_UPLOAD in backend.capabilities:
        await backend.firmware.create(new, b"bytes")
    else:
        import attrs

        new = attrs.evolve(new, name=None, location="obs://bucket/new.bin?region=cn-north-4")
        await backend.with_options(owner_id=known.owner_id).firmware.create(new)


async def _create_job(backend: Backend, known: Firmware, folder: Path, key: str | None = None) -> None:
    new = NewJob(
        name=LocalizedText(default="new"), firmware_ids=(known.firmware_id,), scope=JobScope(devices=("some-device",))
    )
    writer = backend if backend.name == "enos" else backend.with_options(owner_id=known.owner_id)
    await writer.jobs.create(new, idempotency_key=key)


async def _each(rows: Any) -> None:
    async for _ in rows:
        pass


async def _scan(backend: Backend, known: Firmware, folder: Path) -> None:
    async with otaclient.scan([(backend, DeviceUpgradeQuery())]) as scanning:
        await _each(scanning)


async def _explain(backend: Backend, known: Firmware, folder: Path) -> None:
    await otaclient.scan([(backend, DeviceUpgradeQuery())]).explain(probe=True)


async def _fan_out(backend: Backend, known: Firmware, folder: Path) -> None:
    async with otaclient.fetch_each([ID], backend.jobs.get) as outcomes:
        async for outcome in outcomes:
            outcome.unwrap()


async def _enter(backend: Backend, known: Firmware, folder: Path) -> None:
    async with backend:
        pass


OPERATIONS: dict[str, Operation] = {
    "authenticate": lambda backend, known, folder: backend.authenticate(),
    "entering it": _enter,
    "firmware.get": lambda backend, known, folder: backend.firmware.get(known.firmware_id),
    "firmware.search": lambda backend, known, folder: backend.firmware.search().first(1),
    "firmware.create": _create_firmware,
    "firmware.delete": lambda backend, known, folder: backend.firmware.delete(known.firmware_id),
    "firmware.reported_versions": lambda backend, known, folder: backend.firmware.reported_versions(
        str(known.product_id)
    ),
    "firmware.download": lambda backend, known, folder: backend.firmware.download(known, folder / "f.bin"),
    "jobs.get": lambda backend, known, folder: backend.jobs.get(ID),
    "jobs.search": lambda backend, known, folder: _each(backend.jobs.search(JobQuery())),
    "jobs.pages": lambda backend, known, folder: _each(backend.jobs.search(JobQuery()).pages(settled=True)),
    "jobs.create": _create_job,
    "jobs.create, with a key": lambda backend, known, folder: _create_job(backend, known, folder, key="a key"),
    "jobs.start": lambda backend, known, folder: backend.jobs.start(ID),
    "jobs.stop": lambda backend, known, folder: backend.jobs.stop(ID),
    "jobs.delete": lambda backend, known, folder: backend.jobs.delete(ID),
    "jobs.tasks": lambda backend, known, folder: backend.jobs.tasks(DeviceTaskQuery(job_id=ID)).collect(10),
    "jobs.cancel_tasks": lambda backend, known, folder: backend.jobs.cancel_tasks(ID, ["d"]),
    "jobs.retry_tasks": lambda backend, known, folder: backend.jobs.retry_tasks(ID, ["d"]),
    "jobs.progress": lambda backend, known, folder: backend.jobs.progress(ID),
    "jobs.watch": lambda backend, known, folder: _each(backend.jobs.watch(ID)),
    "jobs.wait": lambda backend, known, folder: backend.jobs.wait(ID),
    "devices.search": lambda backend, known, folder: backend.devices.search().first(1),
    "devices.get": lambda backend, known, folder: backend.devices.get("some-device"),
    "scan": _scan,
    "explain": _explain,
    "fetch_each": _fan_out,
}


async def test_every_operation_of_a_closed_client_says_so(emulator: EmulatorServer, tmp_path: Path) -> None:
    """Clones of it too, with other options; nothing is sent, and closing once more does no harm."""
    async with opened(emulator) as backend:
        known = await some_firmware(backend)
        clone = backend.with_options(timeout_seconds=5)
    served = emulator.served.total()
    for client in (backend, clone, backend.with_options(limits=Limits.unlimited())):
        for name, operation in OPERATIONS.items():
            if Capability._value2member_map_.get(name, Capability.JOBS_GET) not in backend.capabilities:
                continue
            (error,) = await asyncio.gather(operation(client, known, tmp_path), return_exceptions=True)
            assert type(error) is TransportError, name
            assert error.message == CLOSED, name
        await client.aclose()
    assert emulator.served.total() == served
    assert not os.listdir(tmp_path)  # noqa: PTH208 - ruff would have it in a thread


async def test_iterators_under_way_end_with_the_client(emulator: EmulatorServer) -> None:
    """Items, pages, scans and watches that were begun before hear of it when they need the network again."""
    async with opened(emulator) as backend:
        (job, *_) = await backend.jobs.search(JobQuery()).first(1)
        pages = backend.devices.search(DeviceUpgradeQuery()).pages(page_size=10)
        items = aiter(backend.devices.search(DeviceUpgradeQuery()))
        scan = otaclient.scan([(backend, DeviceUpgradeQuery())], concurrency=1)
        async with scan, aclosing(aiter(scan)) as devices:  # type: ignore[type-var]
            await anext(pages)
            await anext(items)
            await anext(devices)
            watch = backend.jobs.watch(job.job_id, interval_seconds=0.001)
            await anext(watch)
            await backend.aclose()
            for iterator in (pages, items, devices, watch):
                with pytest.raises(TransportError, match=CLOSED):
                    await _each(iterator)


async def test_a_clone_that_is_closed_closes_nothing(emulator: EmulatorServer) -> None:
    """Neither the client that it was made of, nor itself."""
    async with opened(emulator) as backend:
        async with backend.with_options(timeout_seconds=5) as clone:
            await some_firmware(clone)
        await some_firmware(backend)
        await some_firmware(clone)


@pytest.mark.parametrize("slots", [2, 32])
async def test_calls_under_way_end_when_the_client_is_closed(emulator: EmulatorServer, slots: int) -> None:
    """Those on the wire, those that wait for a slot, for a connection or for a token: none hangs, each says why."""
    backend = opened(emulator, timeout_seconds=None, limits=Limits(concurrency=slots, adaptive=False))
    known = await some_firmware(backend)
    crowded = backend.with_options(limits=Limits(concurrency=64, adaptive=False))
    hold = emulator.faults.delay(times=None)
    stop = asyncio.create_task(backend.jobs.stop(ID))
    await hold.arrived()
    reads = [
        asyncio.create_task(client.firmware.get(known.firmware_id)) for client in (backend, crowded) for _ in range(40)
    ]
    for _ in range(50):  # until all are where they wait
        await asyncio.sleep(0)
    await backend.aclose()
    for error in await asyncio.gather(*reads, return_exceptions=True):
        assert isinstance(error, TransportError)
        assert error.message == CLOSED
    with pytest.raises(OutcomeUnknownError, match="may or may not have taken effect.*the client is closed"):
        await stop
    hold.release()


async def test_a_token_that_never_comes_keeps_nobody(emulator: EmulatorServer) -> None:
    """Who waits for the one flight that fetches a token hears of the end with the one who flies it."""
    config = emulator.config(auth="password") if emulator.vendor == "iotda" else emulator.config()  # type: ignore[call-arg]
    backend = otaclient.open_backend(emulator.vendor, config=config, timeout_seconds=None)
    hold = emulator.faults.delay("token.get", times=None)
    calls = [asyncio.create_task(backend.jobs.get(ID)) for _ in range(20)]
    await hold.arrived()
    await backend.aclose()
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, OtaError)
        assert "the client is closed" in str(error)
    hold.release()


@pytest.mark.parametrize("name", ["enos", "iotda"])
def test_one_client_in_two_loops(name: str) -> None:
    """The first loop is the client's; anyio's loops are as good as asyncio's, and the second is refused."""
    emulators = [emulator_of(name), emulator_of(name)]
    backends: list[Backend] = []

    async def use(number: int) -> None:
        async with emulators[number] as emulator:
            if not backends:
                backends.append(opened(emulator))
            await some_firmware(backends[0])

    anyio.run(use, 0)
    with pytest.raises(TransportError, match=f"^{name} firmware.search: .*open one client per event loop"):
        asyncio.run(use(1))
    assert not emulators[1].served
    with pytest.raises(TransportError, match="open one client per event loop"):
        asyncio.run(_enter(backends[0], None, Path()))  # type: ignore[arg-type]
    asyncio.run(backends[0].aclose())


async def test_a_client_cannot_be_pickled(emulator: EmulatorServer) -> None:
    """Nor can what holds one; no secret gets into a pickle this way."""
    async with opened(emulator) as backend:
        for holder in (backend, backend.firmware, otaclient.scan([(backend, DeviceUpgradeQuery())])):
            with pytest.raises(TypeError, match="a client cannot be pickled or copied"):
                pickle.dumps(holder)


async def test_a_write_whose_answer_was_lost_is_not_looked_for_any_more(emulator: EmulatorServer) -> None:
    """The client is closed in the middle of the wait before the search: the error says what to look for later."""
    backend: Any = opened(emulator, timeout_seconds=None)
    known = await some_firmware(backend)
    writer = backend if emulator.vendor == "enos" else backend.with_options(owner_id=known.owner_id)
    (device, *_) = await backend.devices.search(DeviceUpgradeQuery(products=[str(known.product_id)])).first(1)
    new = NewJob(
        name=LocalizedText(default="lost"),
        firmware_ids=(known.firmware_id,),
        scope=JobScope(devices=(device.device_key if emulator.vendor == "enos" else device.device_id,)),
    )
    emulator.faults.drop("jobs.create")
    creating = asyncio.create_task(writer.jobs.create(new))
    while not backend._session.ownership._sleeping:  # noqa: ASYNC110 - nothing tells when it begins to wait
        await asyncio.sleep(0)
    await backend.aclose()
    with pytest.raises(OutcomeUnknownError, match=f"it was not looked for: {CLOSED}") as caught:
        await creating
    assert caught.value.fingerprint is not None
