"""One simulated fleet without a vendor: products, firmware, jobs and devices, all generated from a seed.

The same arguments give the same fleet on every machine and every Python. Each emulator shows it in its vendor's words.
"""

import copy
import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

import attrs

from otaclient.emulator.churn import Churn, Turnover
from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.devices import ABSENT, DeviceTable
from otaclient.emulator.noise import Noise
from otaclient.emulator.remarks import REMARKS, Remark
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus

__all__ = [
    "DEFAULT_NOW",
    "OPEN_STATES",
    "TASK_STATUSES",
    "FirmwareRecord",
    "Fleet",
    "JobRecord",
    "Product",
    "firmware_content",
    "state_indices",
]

DEFAULT_NOW: Final = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)
"""Where a generated fleet's past ends unless told otherwise."""

TASK_STATUSES: Final = tuple(TaskStatus)
"""What the bytes of ``JobRecord.task_states`` stand for."""


def state_indices(*statuses: TaskStatus) -> frozenset[int]:
    """Return the bytes of ``JobRecord.task_states`` that stand for these."""
    return frozenset(map(TASK_STATUSES.index, statuses))


OPEN_STATES: Final = state_indices(TaskStatus.PENDING, TaskStatus.PUBLISHED, TaskStatus.UPGRADING, TaskStatus.RETRYING)
"""Of tasks that are not done with yet."""


_LOW_BITS: Final = 0xFFFF_FFFF_FFFF_FFFF
# Odd, so that the tasks of a job go through all 2^64 numbers before one comes again.
_TASK_STEP: Final = 0x9E37_79B9_7F4A_7C15


@attrs.frozen(kw_only=True)
class Product:
    """A kind of device."""

    product_id: str
    """8 letters and digits, which every vendor accepts."""
    name: str
    key_prefix: str
    """What the keys of its devices begin with."""
    kinds: tuple[FirmwareKind, ...]
    """What its devices can be upgraded: their firmware; some also their software or modules."""
    firmware_versions: tuple[str, ...]
    """Versions that its makers released, oldest first."""
    software_versions: tuple[str, ...]


@attrs.frozen(kw_only=True)
class FirmwareRecord:
    """A firmware in the simulated vendor's store."""

    firmware_id: str
    """24 lower-case hexadecimal digits that begin with about the second of creation: a later one sorts higher."""
    product_id: str
    """Empty for a firmware that is bound to no product."""
    kind: FirmwareKind
    version: str
    name: str
    translations: Mapping[str, str]
    description: str | None
    file_name: str
    size_bytes: int
    md5: str
    sha256: str
    created_at_ms: int
    product_shown: bool
    """Whether a vendor that keeps firmware apart from products names the product of this one."""
    verification_required: bool
    verified: bool
    max_verification_devices: int
    min_verified_successes: int
    source_versions: tuple[str, ...]
    """Versions that may be upgraded with it; none listed means any."""
    tags: Mapping[str, str]
    custom_info: str | None
    module_name: str | None
    vendor: Mapping[str, Any] | None = None
    """What only the vendor knows of a firmware that was created through its API; ``None`` for a generated one."""

    @property
    def created_at_s(self) -> int:
        """The second of creation, which no other generated firmware of the fleet shares."""
        return self.created_at_ms // 1000

    def content(self) -> bytes:
        """Return the bytes of the firmware file: those that the size and the digests speak of."""
        return firmware_content(self.firmware_id, self.size_bytes)


@attrs.define(kw_only=True)
class JobRecord:
    """An upgrade job: a firmware, and one task for each device that it reaches."""

    job_id: str
    """24 lower-case hexadecimal digits that begin with about the second of creation: a later one sorts higher."""
    name: str
    translations: Mapping[str, str]
    kind: JobKind
    firmware_kind: FirmwareKind
    product_id: str
    firmware_ids: tuple[str, ...]
    status: JobStatus
    created_at_ms: int
    source_versions: tuple[str, ...]
    everything: bool
    """Whether it reaches every device with a source version, rather than chosen ones."""
    group_ids: tuple[str, ...]
    timeout_seconds: int
    max_concurrency: int
    retry_count: int
    """0 where a failed device is not tried again."""
    retry_interval_minutes: int
    incremental: bool
    """Whether devices that match later join."""
    device_may_request: bool
    scheduled_at_ms: int | None
    """When a pending job begins."""
    targets: "array[int]"
    """Rows of the devices."""
    task_states: bytearray
    """One byte a target: an index into ``TASK_STATUSES``."""
    remarks: bytearray = attrs.field(factory=bytearray)
    """One byte a target: an index into the fleet's remarks, why the task stands where it stands."""
    from_versions: bytearray = attrs.field(factory=bytearray)
    """One byte a target: the version before the upgrade, as in the device table's column of the firmware's kind."""
    choices: bytearray = attrs.field(factory=bytearray)
    """One byte a target: which of ``firmware_ids`` it gets; ``ABSENT`` where none fits."""
    changed_at_ms: "array[int]" = attrs.field(factory=lambda: array("q"))
    """When each task last changed."""
    window_ends_at_ms: int | None = None
    """When the first window ends in which a scheduled job may tell devices; ``None`` for a window without end."""
    repeats_daily: bool = False
    """Whether the window opens again every day."""
    vendor: Mapping[str, Any] | None = None
    """What only the vendor knows of a job that was created through its API; ``None`` for a generated one."""
    revision: int = attrs.field(default=0, eq=False, repr=False)
    """Grows whenever a task changes."""
    _positions: dict[int, int] | None = attrs.field(init=False, default=None, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        count = len(self.targets)
        self.remarks = self.remarks or bytearray(count)
        self.from_versions = self.from_versions or bytearray([ABSENT]) * count
        self.choices = self.choices or bytearray(count)
        self.changed_at_ms = self.changed_at_ms or array("q", [self.created_at_ms]) * count

    @property
    def created_at_s(self) -> int:
        """The second of creation, which no other generated job of the fleet shares."""
        return self.created_at_ms // 1000

    def task_counts(self) -> dict[TaskStatus, int]:
        """Return how many of its devices are in each state; states without a device are left out."""
        counts = Counter(self.task_states)
        return {status: counts[index] for index, status in enumerate(TASK_STATUSES) if counts[index]}

    def open_tasks(self) -> int:
        """Return how many of its devices are not done with yet."""
        return sum(map(self.task_states.count, OPEN_STATES))

    def position_of(self, row: int) -> int | None:
        """Return the place of a device among the targets; ``None`` for a device that the job does not reach."""
        if self._positions is None:
            self._positions = {target: position for position, target in enumerate(self.targets)}
        return self._positions.get(row)

    def add_target(self, row: int, *, version: int, choice: int, at_ms: int) -> None:
        """Let the job reach one more device, whose task is pending."""
        if self._positions is not None:
            self._positions[row] = len(self.targets)
        self.targets.append(row)
        self.task_states.append(TASK_STATUSES.index(TaskStatus.PENDING))
        self.remarks.append(0)
        self.from_versions.append(version)
        self.choices.append(choice)
        self.changed_at_ms.append(at_ms)
        self.revision += 1

    def task_id(self, position: int) -> str:
        """Return the identifier of a task: 24 lower-case hexadecimal digits, of which no other task shares all."""
        low = int(self.job_id[8:], 16) + (position + 1) * _TASK_STEP & _LOW_BITS
        return f"{self.job_id[:8]}{low:016x}"


@attrs.define(kw_only=True, repr=False)
class Fleet:
    """Everything that a vendor knows about one organisation's devices and their upgrades."""

    seed: int
    now: datetime
    products: Sequence[Product]
    firmware: list[FirmwareRecord]
    """Oldest first."""
    jobs: list[JobRecord]
    """Oldest first."""
    devices: DeviceTable
    remarks: list[Remark] = attrs.field(init=False, factory=lambda: list(REMARKS))
    """What the bytes of ``JobRecord.remarks`` stand for."""
    _firmware_by_id: dict[str, FirmwareRecord] = attrs.field(init=False)
    _deleted_firmware: dict[str, FirmwareRecord] = attrs.field(init=False, factory=dict[str, FirmwareRecord])
    _jobs_by_id: dict[str, JobRecord] = attrs.field(init=False)
    _created: int = attrs.field(init=False, default=0)
    _remark_indices: dict[Remark, int] = attrs.field(init=False)
    _turnover: Turnover | None = attrs.field(init=False, default=None, eq=False)

    def __attrs_post_init__(self) -> None:
        self._firmware_by_id = {record.firmware_id: record for record in self.firmware}
        self._jobs_by_id = {record.job_id: record for record in self.jobs}
        self._remark_indices = {remark: index for index, remark in enumerate(self.remarks)}

    def __repr__(self) -> str:
        return f"Fleet(seed={self.seed}, products={len(self.products)}, devices={len(self.devices)})"

    @classmethod
    def generate(
        cls,
        *,
        devices: int = 20_000,
        seed: int = 7,
        products: int = 3,
        versions: int = 12,
        jobs: int = 14,
        now: datetime = DEFAULT_NOW,
    ) -> Self:
        """Generate a fleet.

        Args:
            devices: How many devices, 0 to 10,000,000.
            seed: Whole number; equal seeds give equal fleets.
            products: How many products, 1 to 16.
            versions: How many versions of firmware each product has released, 2 to 64.
            jobs: How many upgrade jobs, 0 to 10,000.
            now: Where the past ends: nothing was created or registered after it. Aware.

        Raises:
            ValueError: A number is out of range, or ``now`` has no time zone.
        """
        from otaclient.emulator import generation, job_generation  # these build on this module

        _check("devices", devices, 0, 10_000_000)
        _check("products", products, 1, 16)
        _check("versions", versions, 2, 64)
        _check("jobs", jobs, 0, 10_000)
        noise, now_s = Noise(seed), epoch_ms(now) // 1000
        drawn = generation.draw_products(noise, count=products, versions=versions)
        firmware = generation.draw_firmware(noise, drawn, now_s=now_s)
        table = generation.draw_devices(noise, drawn, count=devices, now_s=now_s)
        drawn_jobs = job_generation.draw_jobs(
            noise, products=drawn, firmware=firmware, devices=table, count=jobs, now_s=now_s
        )
        return cls(seed=seed, now=now, products=drawn, firmware=list(firmware), jobs=list(drawn_jobs), devices=table)

    def copy(self) -> Self:
        """Return a fleet of its own that is equal now: an emulator changes the fleet that it serves."""
        return copy.deepcopy(self)

    # --- looking up --------------------------------------------------------------------------------------------------

    def product(self, product_id: str) -> Product | None:
        """Return the product with this identifier, or ``None``."""
        return next((product for product in self.products if product.product_id == product_id), None)

    def firmware_record(self, firmware_id: str) -> FirmwareRecord | None:
        """Return the firmware with this identifier, or ``None``."""
        return self._firmware_by_id.get(firmware_id)

    def known_firmware(self, firmware_id: str) -> FirmwareRecord | None:
        """Return the firmware with this identifier even where it has been deleted: its jobs still speak of it."""
        return self._firmware_by_id.get(firmware_id) or self._deleted_firmware.get(firmware_id)

    def job_record(self, job_id: str) -> JobRecord | None:
        """Return the job with this identifier, or ``None``."""
        return self._jobs_by_id.get(job_id)

    def remark_index(self, remark: Remark) -> int:
        """Return the byte that stands for a remark, which is added to the fleet's where it is new."""
        index = self._remark_indices.get(remark)
        if index is None:
            index = self._remark_indices[remark] = len(self.remarks)
            self.remarks.append(remark)
        return index

    # --- what comes and goes -----------------------------------------------------------------------------------------

    def start_churn(self, churn: Churn) -> None:
        """Let devices come and go between the answers to searches from now on; ``Churn()`` ends it.

        What a reader had to see, ``devices.watch`` tells::

            fleet.start_churn(Churn(leave=0.5, join=0.5))
            watch = fleet.devices.watch()
            ...  # read the listing through an emulator of this fleet
            missed = {fleet.devices.key(row) for row in watch.throughout} - keys_seen
        """
        versions = [product.firmware_versions for product in self.products]
        self._turnover = Turnover(self.devices, versions, churn, first_second=epoch_ms(self.now) // 1000)

    def pass_search(self) -> None:
        """Let happen what happens before a search for devices is answered: an emulator calls it for each."""
        if self._turnover is not None:
            self._turnover.pass_search()

    def new_identity(self, now_ms: int, newest: FirmwareRecord | JobRecord | None) -> tuple[str, int]:
        """Return the identifier and the instant of creation of a record that is to follow ``newest``.

        Both are later than those of ``newest``, also where several records come at once or the clock is behind.
        """
        self._created += 1
        second, created_at_ms = now_ms // 1000, now_ms
        if newest is not None:
            identifier = newest.firmware_id if isinstance(newest, FirmwareRecord) else newest.job_id
            second = max(second, int(identifier[:8], 16) + 1)
            created_at_ms = max(created_at_ms, newest.created_at_ms + 1)
        return f"{second:08x}{Noise(self.seed).hexadecimal(f'created/{self._created}', 16)}", created_at_ms

    def add_firmware(self, record: FirmwareRecord) -> None:
        """Take in a firmware that is newer than all others."""
        self.firmware.append(record)
        self._firmware_by_id[record.firmware_id] = record

    def replace_firmware(self, record: FirmwareRecord) -> None:
        """Put a changed record in the place of the one with its identifier."""
        self.firmware[self.firmware.index(self._firmware_by_id[record.firmware_id])] = record
        self._firmware_by_id[record.firmware_id] = record

    def remove_firmware(self, record: FirmwareRecord) -> None:
        """Delete a firmware; ``known_firmware`` remembers it."""
        self.firmware.remove(record)
        self._deleted_firmware[record.firmware_id] = self._firmware_by_id.pop(record.firmware_id)

    def add_job(self, record: JobRecord) -> None:
        """Take in a job that is newer than all others."""
        self.jobs.append(record)
        self._jobs_by_id[record.job_id] = record

    def remove_job(self, record: JobRecord) -> None:
        """Delete a job, and its tasks with it."""
        del self.jobs[next(place for place, each in enumerate(self.jobs) if each is record)]
        del self._jobs_by_id[record.job_id]


def firmware_content(firmware_id: str, size_bytes: int) -> bytes:
    """Return the bytes of a simulated firmware file."""
    return hashlib.shake_256(f"content/{firmware_id}".encode()).digest(size_bytes)


def _check(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value}; a fleet takes {least} to {most}")
