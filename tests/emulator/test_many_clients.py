"""Five hundred clients at once, each with a connection of its own: everybody gets what is theirs, and nothing twice."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import pytest

import otaclient
from otaclient.emulator import EmulatorServer, Fleet, JobPlan
from otaclient.events import AttemptFinished, Event, Listener
from otaclient.models import Firmware, FirmwareKind, JobId, JobScope, LocalizedText, NewFirmware, NewJob
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery
from otaclient.registry import emulator_class
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy

CLIENTS: Final = 500
# Both ends of every connection are in this process; the rest is for whatever else is open.
_FILES: Final = 2 * CLIENTS + 200
_CLIENTS_AN_UPLOAD: Final = 25
FLEET = Fleet.generate(devices=6000, seed=29)


@pytest.fixture
def enough_files() -> Iterator[None]:
    """Raise the limit of open files where it is too low for this, and put it back."""
    if sys.platform == "win32":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < _FILES:
        pytest.skip(f"{_FILES} open files are needed, and the system allows {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, _FILES), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture(params=["enos", "iotda"])
async def emulator(request: pytest.FixtureRequest, enough_files: None) -> AsyncIterator[Any]:
    """Start one vendor's emulator, whose jobs take their time."""
    plan = JobPlan(pending_seconds=3600.0)
    async with emulator_class(request.param)(FLEET.copy(), plan=plan) as running:
        yield running


def opened(emulator: Any, number: int, listener: Listener | None = None) -> Backend:
    """Return a client that sends every request once, over one connection."""
    return otaclient.open_backend(
        emulator.vendor,
        config=emulator.config(),
        label=f"client-{number}",
        retry=RetryPolicy.none(),
        limits=Limits(concurrency=1, adaptive=False),
        timeout_seconds=None,
        on_event=listener,
    )


def connections(emulator: EmulatorServer) -> int:
    """Return how many connections the emulator has open."""
    assert emulator._runner is not None
    assert emulator._runner.server is not None
    return len(emulator._runner.server.connections)


async def prepared(emulator: Any) -> tuple[Firmware, list[str], Sequence[Firmware]]:
    """Return a firmware, devices that can take it, and other firmware to read."""
    async with opened(emulator, -1) as scout:
        every = await scout.firmware.search(FirmwareQuery(kinds=["firmware"])).collect(1000)
        for firmware in every:
            unverified = firmware.verification is not None and firmware.verification.required
            if firmware.kind is not FirmwareKind.FIRMWARE or unverified or firmware.source_versions:
                continue
            query = DeviceUpgradeQuery(products=[str(firmware.product_id)])
            found = await scout.devices.search(query).first(2 * CLIENTS)
            named = [
                str(device.device_key if emulator.vendor == "enos" else device.device_id)
                for device in found
                if device.firmware_version not in {None, firmware.version} and not device.upgrading
            ]
            if len(named) >= CLIENTS:
                return firmware, named[:CLIENTS], every
    raise AssertionError("the fleet has no firmware for so many devices")


class Visitor:
    """One client, and what it got."""

    def __init__(self, emulator: Any, number: int) -> None:
        self.number = number
        self.backend = opened(emulator, number, self._count)
        self.answers = 0
        self.job_id: JobId | None = None
        self.uploaded: str | None = None

    def _count(self, event: Event) -> None:
        self.answers += isinstance(event, AttemptFinished) and event.status is not None

    async def read(self, known: Sequence[Firmware]) -> None:
        """Read a firmware, each client another one."""
        mine = known[self.number % len(known)]
        found = await self.backend.firmware.get(mine.firmware_id)
        assert (found.firmware_id, found.version, found.backend) == (
            mine.firmware_id,
            mine.version,
            f"client-{self.number}",
        )

    async def write(self, firmware: Firmware, device: str, turn: asyncio.Lock) -> None:
        """Create a job for one device and read it again; some upload a file as well, one after the other."""
        name = LocalizedText(default=f"job_of_client_{self.number}")
        scope = JobScope(devices=(device,))
        writer = self.backend if self.backend.name == "enos" else self.backend.with_options(owner_id=firmware.owner_id)
        self.job_id = await writer.jobs.create(NewJob(name=name, firmware_ids=(firmware.firmware_id,), scope=scope))
        job = await self.backend.jobs.get(self.job_id)
        assert (job.job_id, job.name) == (self.job_id, name)
        assert job.scope is not None
        assert job.scope.devices in {(device,), ()}
        if self.number % _CLIENTS_AN_UPLOAD or Capability.FIRMWARE_UPLOAD not in self.backend.capabilities:
            return
        async with turn:  # EnOS takes one at a time
            version = f"C{self.number}"
            new = NewFirmware(version=version, product_id=firmware.product_id, name=LocalizedText(default=version))
            self.uploaded = await self.backend.firmware.create(new, version.encode() * 1000)
            assert (await self.backend.firmware.get(self.uploaded)).version == version


@pytest.mark.timeout(180)  # thousands of requests, on machines that may have other things to do
async def test_five_hundred_clients_get_what_is_theirs(emulator: Any) -> None:
    """Reads and writes of all of them at the same time: right answers, unique identifiers, counts that add up."""
    firmware, devices, known = await prepared(emulator)
    jobs, stored = len(emulator.fleet.jobs), len(emulator.fleet.firmware)
    async with AsyncExitStack() as stack:
        visitors: list[Visitor] = []
        for number in range(CLIENTS):
            visitors.append(Visitor(emulator, number))
            await stack.enter_async_context(visitors[-1].backend)
            await asyncio.sleep(0)
        await asyncio.gather(*(visitor.backend.authenticate() for visitor in visitors))
        for visitor in visitors:
            visitor.answers = 0
        emulator.served.clear()
        emulator.statuses.clear()
        # All at once, to the letter: nobody is answered before everybody has asked.
        hold = emulator.faults.delay("firmware.get", times=CLIENTS)
        reading = asyncio.gather(*(visitor.read(known) for visitor in visitors))
        while emulator.served["firmware.get"] < CLIENTS:  # noqa: ASYNC110 - the emulator has no event for it
            await asyncio.sleep(0.001)
        assert connections(emulator) == CLIENTS
        hold.release()
        await reading
        turn = asyncio.Lock()
        await asyncio.gather(
            *(visitor.write(firmware, device, turn) for visitor, device in zip(visitors, devices, strict=True))
        )
        assert connections(emulator) <= CLIENTS
    created = [visitor.job_id for visitor in visitors]
    uploads = [visitor.uploaded for visitor in visitors if visitor.uploaded is not None]
    assert len(set(created)) == CLIENTS
    assert len(set(uploads)) == len(uploads)
    assert len(emulator.fleet.jobs) == jobs + CLIENTS
    assert len(emulator.fleet.firmware) == stored + len(uploads)
    for visitor, device in zip(visitors, devices, strict=True):
        record = emulator.fleet.job_record(visitor.job_id)
        (row,) = record.targets
        table = emulator.fleet.devices
        assert device in {table.key(row), f"{table.product_id(row)}_{table.key(row)}"}
    assert emulator.served["jobs.create"] == emulator.served["jobs.get"] == CLIENTS
    assert emulator.served["firmware.create"] == len(uploads)
    assert sum(emulator.statuses.values()) == emulator.served.total() == sum(visitor.answers for visitor in visitors)
    assert all(status < 300 for status in emulator.statuses)
