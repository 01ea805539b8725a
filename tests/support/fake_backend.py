"""A backend in memory, with every capability, that remembers what was asked of it: for tests of what stands above."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import attrs
import pytest

from otaclient.errors import InvalidQueryError, NotFoundError, OtaError, PayloadError
from otaclient.events import Listener
from otaclient.models import (
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    DownloadedFirmware,
    Firmware,
    FirmwareId,
    FrozenMap,
    Job,
    JobId,
    JobProgress,
    JobStatus,
    LocalizedText,
    NewFirmware,
    NewJob,
    TaskFailure,
    TaskStatus,
)
from otaclient.paging import Paged
from otaclient.protocols import Backend, BackendPlugin, Capability, DeviceReference, FirmwareContent, Query
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import PageFacts, PageNumbers, PageWindow, Partition, RawPage, ReadSource, Rows, Window
from otaclient.transport.http import HttpResponse
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient.unsupported import UnsupportedDevices, UnsupportedFirmware, UnsupportedJobs

_T = TypeVar("_T")

FIRMWARE = Firmware(backend="fake", firmware_id=FirmwareId("f1"), version="2.4", product_id="p1")
JOB = Job(backend="fake", job_id=JobId("j1"), status=JobStatus.RUNNING, name=LocalizedText(default="Pumps"))


@attrs.define(kw_only=True)
class World:
    """What the backend holds, how it is to behave, and what was asked of it."""

    firmware: list[Firmware] = attrs.field(factory=list[Firmware])
    jobs: list[Job] = attrs.field(factory=list[Job])
    devices: list[DeviceUpgrade] = attrs.field(factory=list[DeviceUpgrade])
    tasks: list[DeviceTask] = attrs.field(factory=list[DeviceTask])
    capabilities: frozenset[Capability] = frozenset(Capability)
    errors: dict[str, OtaError] = attrs.field(factory=dict[str, OtaError])
    """What an operation fails with."""
    progress: list[JobProgress] = attrs.field(factory=list[JobProgress])
    """What a watch shows, one after the other."""
    failures: Mapping[str, int] = attrs.field(factory=dict[str, int])
    on_watch: Callable[[JobProgress], Any] | None = None
    """Awaited after each thing that a watch has shown."""
    filtered_here: tuple[str, ...] = ()
    total: bool = True
    """Whether pages say how many rows there are."""
    calls: list[tuple[Any, ...]] = attrs.field(factory=list[tuple[Any, ...]])

    def asked(self, operation: str, *arguments: Any) -> None:
        """Note a call, and fail it if it is to fail."""
        self.calls.append((operation, *arguments))
        if operation in self.errors:
            raise self.errors[operation]

    def called(self, operation: str) -> list[tuple[Any, ...]]:
        """Return the arguments of every call of an operation."""
        return [call[1:] for call in self.calls if call[0] == operation]


class _Source:
    """Records in a list, as raw reads."""

    paging = PageNumbers(largest_page=10, default_page=4)
    pushed_down = ""

    def __init__(self, world: World, operation: str, records: Sequence[Any]) -> None:
        self.operation = operation
        self.filtered_here = world.filtered_here
        self._world = world
        self._records = records

    def partitions(self) -> Sequence[Partition]:
        """Return the only one."""
        return [Partition(label="")]

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return the window's place; the records stay where they are."""
        self._world.asked(self.operation)
        return RawPage(partition=partition, window=window, response=HttpResponse(status=200))

    def _rows(self, raw: RawPage) -> Sequence[Any]:
        window = raw.window
        assert isinstance(window, PageWindow)
        return self._records[(window.number - 1) * window.size : window.number * window.size]

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says."""
        return PageFacts(rows=len(self._rows(raw)), total=len(self._records) if self._world.total else None)

    def decode(self, raw: RawPage, /) -> Rows[Any]:
        """Return the records."""
        errors: list[PayloadError] = []
        return Rows(good=self._rows(raw), errors=errors)

    def keep(self, row: Any, /) -> bool:
        """Keep everything."""
        return True

    def key(self, row: Any, /) -> str:
        """Return what tells records apart."""
        return repr(row)


class FakeFirmware(UnsupportedFirmware):
    """Firmware in a list."""

    def __init__(self, world: World) -> None:
        super().__init__(label="fake")
        self._world = world

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Return the one with this identifier."""
        self._world.asked("firmware.get", firmware_id)
        return _found(self._world.firmware, "firmware_id", firmware_id)

    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        """Return all."""
        return Paged(_Source(self._world, "firmware.search", self._world.firmware), backend="fake", query=query)

    async def create(self, firmware: NewFirmware, /, content: FirmwareContent | None = None) -> FirmwareId:
        """Note it."""
        data = Path(content).read_bytes() if isinstance(content, Path) else content  # noqa: ASYNC240
        self._world.asked("firmware.create", firmware, data)
        return FirmwareId("new-firmware")

    async def delete(self, firmware_id: FirmwareId | str, /) -> None:
        """Note it."""
        self._world.asked("firmware.delete", firmware_id)

    async def reported_versions(self, product_id: str, /) -> tuple[str, ...]:
        """Return two."""
        self._world.asked("firmware.reported_versions", product_id)
        return ("1", "2")

    async def download(
        self,
        firmware: Firmware,
        destination: Any,
        /,
        *,
        progress: Callable[[int, int | None], object] | None = None,
    ) -> DownloadedFirmware:
        """Write three bytes."""
        self._world.asked("firmware.download", firmware.firmware_id)
        Path(destination).write_bytes(b"abc")  # noqa: ASYNC240
        if progress is not None:
            progress(3, 3)
        return DownloadedFirmware(path=str(destination), size_bytes=3, sha256="ba78", verified=False)


class FakeJobs(UnsupportedJobs):
    """Jobs in a list."""

    def __init__(self, world: World) -> None:
        super().__init__(label="fake")
        self._world = world

    async def get(self, job_id: JobId | str, /) -> Job:
        """Return the one with this identifier."""
        self._world.asked("jobs.get", job_id)
        return _found(self._world.jobs, "job_id", job_id)

    def search(self, query: JobQuery = JobQuery(), /) -> Paged[Job]:
        """Return all, whatever the query, which is noted."""
        self._world.calls.append(("jobs query", query))
        return Paged(_Source(self._world, "jobs.search", self._world.jobs), backend="fake", query=query)

    async def create(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> JobId:
        """Note it."""
        self._world.asked("jobs.create", job, idempotency_key)
        return JobId("new-job")

    def check(self, job: NewJob, /, *, idempotency_key: str | None = None, fingerprint: bool = True) -> None:
        """Refuse more than a thousand at once."""
        if (job.policy.max_concurrency or 0) > 1000:
            raise InvalidQueryError("policy.max_concurrency is more than 1000: give less")

    async def start(self, job_id: JobId | str, /) -> None:
        """Note it."""
        self._world.asked("jobs.start", job_id)

    async def stop(self, job_id: JobId | str, /) -> None:
        """Note it."""
        self._world.asked("jobs.stop", job_id)

    async def delete(self, job_id: JobId | str, /) -> None:
        """Note it."""
        self._world.asked("jobs.delete", job_id)

    def tasks(self, query: DeviceTaskQuery, /) -> Paged[DeviceTask]:
        """Return all."""
        self._world.calls.append(("tasks query", query))
        return Paged(_Source(self._world, "jobs.tasks", self._world.tasks), backend="fake", query=query)

    async def cancel_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Note it."""
        self._world.asked("jobs.cancel_tasks", job_id, tuple(devices))

    async def retry_tasks(self, job_id: JobId | str, devices: Sequence[DeviceReference], /) -> None:
        """Note it."""
        self._world.asked("jobs.retry_tasks", job_id, tuple(devices))

    async def watch(self, job_id: JobId | str, /, *, interval_seconds: float = 10.0) -> AsyncIterator[JobProgress]:
        """Yield what is prepared."""
        self._world.asked("jobs.progress", job_id, interval_seconds)
        for progress in self._world.progress:
            yield progress
            if self._world.on_watch is not None:
                await self._world.on_watch(progress)

    async def wait(self, job_id: JobId | str, /, *, timeout_seconds: float | None = None) -> JobProgress:
        """Return the last of what is prepared, with the prepared failures."""
        self._world.asked("jobs.wait", job_id)
        return attrs.evolve(self._world.progress[-1], failures=FrozenMap(self._world.failures))


class FakeDevices(UnsupportedDevices):
    """Devices in a list."""

    def __init__(self, world: World) -> None:
        super().__init__(label="fake")
        self._world = world

    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        """Return all, whatever the query, which is noted."""
        self._world.calls.append(("devices query", query))
        return Paged(_Source(self._world, "devices.search", self._world.devices), backend="fake", query=query)

    async def get(self, device_id: str, /) -> DeviceUpgrade:
        """Return the one with this identifier."""
        self._world.asked("devices.get", device_id)
        return _found(self._world.devices, "device_id", device_id)


def _found(records: Sequence[_T], field: str, wanted: str) -> _T:
    for record in records:
        if getattr(record, field) == wanted:
            return record
    raise NotFoundError(f"there is no {wanted!r}", backend="fake", status=404)


class FakeBackend:
    """All of it, as the protocols have it."""

    name = "fake"
    label = "fake"
    on_event: Listener | None = None

    def __init__(self, world: World) -> None:
        self.world = world
        self.firmware = FakeFirmware(world)
        self.jobs = FakeJobs(world)
        self.devices = FakeDevices(world)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Return what the test lets it have."""
        return self.world.capabilities

    async def authenticate(self) -> None:
        """Note it."""
        self.world.asked("authenticate")

    def reads(self, query: Query, /) -> ReadSource[Any]:
        """Return the devices, the only bulk reads that the tests need."""
        return _Source(self.world, "devices.search", self.world.devices)

    def with_options(
        self,
        *,
        timeout_seconds: float | None = None,
        retry: RetryPolicy | None = None,
        limits: Limits | None = None,
        owner_id: str | None = None,
    ) -> Self:
        """Note time and owner, and return this same client."""
        self.world.calls.append(("with_options", timeout_seconds, owner_id))
        return self

    async def aclose(self) -> None:
        """Note it."""
        self.world.calls.append(("aclose",))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        await self.aclose()


@attrs.frozen(kw_only=True)
class FakeConfig:
    """Its only setting."""

    place: str


@attrs.frozen
class FakePlugin:
    """What an entry point would name."""

    world: World
    name: str = "fake"
    config_type: type[FakeConfig] = FakeConfig

    def open(self, config: FakeConfig, session: Session, /) -> FakeBackend:
        """Return a client of the world."""
        return FakeBackend(self.world)


@attrs.frozen
class _EntryPoint:
    plugin: FakePlugin
    value: str = "support.fake_backend:plugin"

    def load(self) -> FakePlugin:
        """Return the plug-in."""
        return self.plugin


def install(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    """Make the fake the only installed backend, with its setting set."""
    monkeypatch.setattr("otaclient.registry._entry_points", lambda _group: {"fake": _EntryPoint(FakePlugin(world))})
    monkeypatch.setenv("OTACLIENT_FAKE_PLACE", "memory")


if TYPE_CHECKING:
    _conforms: type[Backend] = FakeBackend
    _plugin_conforms: type[BackendPlugin[FakeConfig]] = FakePlugin


def furnished() -> World:
    """Return a world with one of each: a firmware, a job whose tasks have all failed, and a device."""
    tasks = [
        DeviceTask(
            backend="fake",
            job_id=JobId("j1"),
            device_id=DeviceId(f"d{number}"),
            status=TaskStatus.FAILED,
            failure=TaskFailure(message="no room", code="9"),
        )
        for number in range(6)
    ]
    devices = [DeviceUpgrade(backend="fake", device_id=DeviceId("d0"))]
    return World(firmware=[FIRMWARE], jobs=[JOB], tasks=tasks, devices=devices)
