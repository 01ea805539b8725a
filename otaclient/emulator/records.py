"""What a simulated vendor keeps: products, firmware, and jobs with their tasks."""

import hashlib
from array import array
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs

from otaclient.emulator.devices import ABSENT
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus

__all__ = [
    "OPEN_STATES",
    "TASK_STATUSES",
    "FirmwareRecord",
    "JobRecord",
    "Product",
    "firmware_content",
    "state_indices",
]

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


def firmware_content(firmware_id: str, size_bytes: int) -> bytes:
    """Return the bytes of a simulated firmware file."""
    return hashlib.shake_256(f"content/{firmware_id}".encode()).digest(size_bytes)
