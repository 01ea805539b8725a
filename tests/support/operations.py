"""Every operation of every vendor, ready to be called by any client: for what must hold for all of them."""

import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final

import attrs
import pytest

import otaclient
from otaclient.models import LocalizedText
from otaclient.protocols import Backend
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient_iotda import TargetsRefusedError
from support.write_laboratory import Laboratory
from support.writes import WRITES, new_job

__all__ = [
    "EVERY_CASE",
    "OPERATIONS",
    "WRITE_REQUESTS",
    "Operation",
    "Preparation",
    "opened",
    "operation",
    "operations_of",
]

EVERY_CASE: Final = os.environ.get("OTACLIENT_EVERY_CASE") == "1"
"""Whether to try every case with every operation, which takes minutes; otherwise each operation gets its share."""


@attrs.frozen
class Operation:
    """One operation, and which vendor has it; ``prepare`` does what must have been done before, with another client."""

    name: str
    prepare: Callable[[Laboratory], Awaitable[Callable[[Any], Awaitable[Any]]]]
    vendors: tuple[str, ...] = ("enos", "iotda")
    auth: str = "aksk"
    """How the client of IoTDA says who it is."""

    @property
    def changes_things(self) -> bool:
        """Whether it has to be prepared anew for every call."""
        return self.name.partition(" ")[0] in WRITE_REQUESTS


class Preparation:
    """Makes one operation ready for one call after the other."""

    def __init__(self, lab: Laboratory, what: Operation) -> None:
        self._lab = lab
        self._what = what
        self._call: Callable[[Any], Awaitable[Any]] | None = None

    async def call(self) -> Callable[[Any], Awaitable[Any]]:
        """Return what is to be called with a client."""
        if self._call is None or self._what.changes_things:
            self._lab.clear()
            self._lab.vendor.backend = self._lab.admin
            self._call = await self._what.prepare(self._lab)
        return self._call


OPERATIONS: Final[list[Operation]] = []


def operation(name: str, **options: Any) -> Callable[[Any], Any]:
    """Add an operation to the list."""

    def add(prepare: Any) -> Any:
        OPERATIONS.append(Operation(name, prepare, **options))
        return prepare

    return add


def operations_of(vendor: str) -> list[Operation]:
    """Return the operations that a vendor has."""
    return [each for each in OPERATIONS if vendor in each.vendors]


@asynccontextmanager
async def opened(lab: Laboratory, what: Operation, **options: Any) -> AsyncIterator[Backend]:
    """Open a client that has never asked anything."""
    emulator = lab.vendor.emulator
    config = emulator.config()
    if lab.vendor.name == "iotda":
        config = attrs.evolve(emulator.config(auth=what.auth), app_id=lab.space)
    async with lab.opened(config, **{"roll": lambda: 0.5} | options) as client:
        lab.vendor.backend = client
        yield client


# --- reads -----------------------------------------------------------------------------------------------------------


@operation("authenticate", vendors=("enos",))
@operation("authenticate", vendors=("iotda",), auth="password")
async def _authenticate(_lab: Laboratory) -> Any:
    return lambda client: client.authenticate()


@operation("firmware.get")
@operation("firmware.get", vendors=("iotda",), auth="password")
async def _firmware_get(lab: Laboratory) -> Any:
    firmware, _ = await lab.vendor.choose(3)
    return lambda client: client.firmware.get(firmware.firmware_id)


@operation("firmware.search")
async def _firmware_search(_lab: Laboratory) -> Any:
    return lambda client: client.firmware.search(FirmwareQuery(kinds=["firmware"])).collect(10_000)


@operation("firmware.reported_versions", vendors=("enos",))
async def _reported_versions(lab: Laboratory) -> Any:
    firmware, _ = await lab.vendor.choose(3)
    return lambda client: client.firmware.reported_versions(firmware.product_id)


@operation("firmware.download", vendors=("enos",))
async def _download(lab: Laboratory) -> Any:
    firmware, _ = await lab.vendor.choose(3)
    listed = await lab.admin.firmware.get(firmware.firmware_id)

    async def call(client: Any) -> None:
        with tempfile.TemporaryDirectory() as folder:
            destination = Path(folder) / "new.bin"
            destination.write_bytes(b"old")
            try:
                await client.firmware.download(listed, destination)
            except BaseException:
                assert len(destination.read_bytes()) in {len(b"old"), listed.size_bytes}
                raise
            finally:
                assert _names_in(folder) == ["new.bin"]
            assert len(destination.read_bytes()) == listed.size_bytes

    return call


def _names_in(folder: str) -> list[str]:
    return [path.name for path in Path(folder).iterdir()]


@operation("jobs.get")
async def _job_get(lab: Laboratory) -> Any:
    job_id, _ = await new_job(lab.vendor)
    return lambda client: client.jobs.get(job_id)


@operation("jobs.search")
async def _job_search(_lab: Laboratory) -> Any:
    return lambda client: client.jobs.search(JobQuery()).first(3)


@operation("jobs.tasks")
async def _job_tasks(lab: Laboratory) -> Any:
    job_id, _ = await new_job(lab.vendor)
    return lambda client: client.jobs.tasks(DeviceTaskQuery(job_id=job_id)).collect(10)


@operation("jobs.progress")
async def _job_progress(lab: Laboratory) -> Any:
    job_id, _ = await new_job(lab.vendor)
    return lambda client: client.jobs.progress(job_id)


async def _ended_job(lab: Laboratory) -> str:
    job_id, _ = await new_job(lab.vendor)
    await lab.admin.jobs.stop(job_id)
    lab.vendor.clock.advance(10.0)
    return job_id


@operation("jobs.watch")
async def _job_watch(lab: Laboratory) -> Any:
    job_id = await _ended_job(lab)

    async def call(client: Any) -> list[Any]:
        return [progress async for progress in client.jobs.watch(job_id, interval_seconds=1.0)]

    return call


@operation("jobs.wait")
async def _job_wait(lab: Laboratory) -> Any:
    job_id = await _ended_job(lab)
    return lambda client: client.jobs.wait(job_id, timeout_seconds=8.0)


@operation("devices.get", vendors=("iotda",))
async def _device_get(lab: Laboratory) -> Any:
    _, devices = await lab.vendor.choose(3)
    return lambda client: client.devices.get(devices[0].device_id)


@operation("devices.search")
async def _device_search(_lab: Laboratory) -> Any:
    return lambda client: client.devices.search(DeviceUpgradeQuery()).first(3)


@operation("devices.search (resolved)", vendors=("iotda",))
async def _device_search_resolved(lab: Laboratory) -> Any:
    await new_job(lab.vendor)
    return lambda client: client.devices.search(DeviceUpgradeQuery(resolve_upgrading=True)).first(3)


@operation("scan")
async def _scan(lab: Laboratory) -> Any:
    firmware, _ = await lab.vendor.choose(3)

    async def call(client: Any) -> int:
        query = DeviceUpgradeQuery(products=[str(firmware.product_id)])
        prepared = otaclient.scan([(client, query)], concurrency=2, timeout_seconds=8.0)
        prepared._options = attrs.evolve(prepared._options, clock=lab.vendor.clock)
        async with prepared as scan:
            return len([device async for device in scan])

    return call


@operation("devices.query", vendors=("iotda",))
async def _device_query(_lab: Laboratory) -> Any:
    return lambda client: client.search_devices("select * from device order by marker desc limit 5")


@operation("modules.search", vendors=("iotda",))
async def _module_search(_lab: Laboratory) -> Any:
    return lambda client: client.modules.search().first(3)


@operation("modules.get", vendors=("iotda",))
async def _module_get(lab: Laboratory) -> Any:
    module = await _new_module(lab)
    return lambda client: client.modules.get(module.module_id)


# --- writes ----------------------------------------------------------------------------------------------------------


def _write(name: str) -> Callable[[Laboratory], Awaitable[Any]]:
    async def prepare(lab: Laboratory) -> Any:
        prepared = await WRITES[name](lab.vendor)
        lab.vendor.clock.advance(5.0)
        return lambda _client: prepared.call()  # the client is the vendor's

    return prepare


for _name in WRITES:
    operation(_name)(_write(_name))


@operation("jobs.create (keyed)")
async def _create_keyed(lab: Laboratory) -> Any:
    new, _, _ = await lab.vendor.new_job(3, name=LocalizedText(default="cell_job"))
    return lambda client: client.jobs.create(new, idempotency_key="key")


@operation("firmware.create (pieces)", vendors=("enos",))
async def _create_from_pieces(lab: Laboratory) -> Any:
    new, content = await lab.vendor.new_firmware("V9.7")
    assert content is not None

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(content), 500):
            yield content[start : start + 500]

    async def call(client: Any) -> Any:
        with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempfile, "tempdir", folder)
            try:
                return await client.firmware.create(new, pieces())
            finally:
                # The service has files of its own.
                assert [name for name in _names_in(folder) if not name.startswith("otaclient-emulator")] == []

    return call


@operation("jobs.cancel_tasks (parts)", vendors=("iotda",))
async def _cancel_in_parts(lab: Laboratory) -> Any:
    job_id, new = await new_job(lab.vendor)
    devices = [*new.scope.devices[:2], *(f"no-such-device-{number}" for number in range(250))]

    async def call(client: Any) -> None:
        with suppress(TargetsRefusedError):
            await client.jobs.cancel_tasks(job_id, devices)

    return call


@operation("jobs.confirm", vendors=("iotda",))
async def _confirm(lab: Laboratory) -> Any:
    job_id, new = await new_job(lab.vendor, hold=True)
    return lambda client: client.confirm_job(job_id, new.scope.devices[:2])


async def _new_module(lab: Laboratory) -> Any:
    firmware, _ = await lab.vendor.choose(3)
    for module in await _admin(lab).modules.search(product_id=firmware.product_id).collect(100):
        if module.name == "cell_module":
            return module
    return await _admin(lab).modules.create(product_id=firmware.product_id, name="cell_module")


async def _no_module(lab: Laboratory) -> str:
    module = await _new_module(lab)
    await _admin(lab).modules.delete(module.module_id)
    return str(module.product_id)


@operation("modules.create", vendors=("iotda",))
async def _module_create(lab: Laboratory) -> Any:
    product_id = await _no_module(lab)
    return lambda client: client.modules.create(product_id=product_id, name="cell_module")


@operation("modules.update", vendors=("iotda",))
async def _module_update(lab: Laboratory) -> Any:
    module = await _new_module(lab)
    return lambda client: client.modules.update(module.module_id, alias="other")


@operation("modules.delete", vendors=("iotda",))
async def _module_delete(lab: Laboratory) -> Any:
    module = await _new_module(lab)
    return lambda client: client.modules.delete(module.module_id)


def _admin(lab: Laboratory) -> Any:
    return lab.admin


WRITE_REQUESTS: Final[Mapping[str, str]] = {
    # What the vendor refuses to do twice may be repeated after an unclear answer; what not, is sent once.
    "jobs.create": "once",
    "firmware.create": "again",
    "firmware.delete": "again",
    "jobs.start": "again",
    "jobs.confirm": "again",
    "jobs.stop": "again",
    "jobs.delete": "again",
    "jobs.cancel_tasks": "again",
    "jobs.retry_tasks": "again",
    "modules.create": "once",
    "modules.update": "once",
    "modules.delete": "again",
}
