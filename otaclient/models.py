"""The shared models: what firmware, jobs and device upgrades look like whichever vendor they come from.

Every record is frozen, has slots, can be pickled, and names in ``backend`` the label of the backend that it came from.
``None`` means that the vendor did not say. Vendor fields without a place here stay readable in ``extra``. An enum value
that this library does not know becomes ``UNKNOWN``, and the vendor's own text stays beside it.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, NewType

import attrs

__all__ = [
    "Checksum",
    "Connection",
    "DeviceId",
    "DeviceTask",
    "DeviceUpgrade",
    "DownloadedFirmware",
    "Firmware",
    "FirmwareId",
    "FirmwareKind",
    "FrozenMap",
    "Job",
    "JobId",
    "JobKind",
    "JobPolicy",
    "JobProgress",
    "JobSchedule",
    "JobScope",
    "JobStatus",
    "LocalizedText",
    "NewFirmware",
    "NewJob",
    "PolicyMode",
    "RetrySchedule",
    "TaskFailure",
    "TaskId",
    "TaskStatus",
    "Verification",
]

FirmwareId = NewType("FirmwareId", str)
JobId = NewType("JobId", str)
TaskId = NewType("TaskId", str)
DeviceId = NewType("DeviceId", str)


class FrozenMap(Mapping[str, Any]):
    """A read-only mapping that can be hashed when its values can, compared with any mapping, and pickled."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] | None = None) -> None:
        self._items: dict[str, Any] = dict(items or {})

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __hash__(self) -> int:
        return hash(frozenset(self._items.items()))

    def __repr__(self) -> str:
        return f"FrozenMap({self._items!r})"

    def __reduce__(self) -> tuple[type["FrozenMap"], tuple[dict[str, Any]]]:
        return FrozenMap, (self._items,)


def _frozen_map(value: Mapping[str, Any]) -> FrozenMap:
    if isinstance(value, FrozenMap):
        return value
    given: Any = value
    if not isinstance(given, Mapping):
        raise TypeError(f"{given!r} is no mapping: give one, such as a dict")
    return FrozenMap(value)


class FirmwareKind(StrEnum):
    """What a firmware is for: the device's firmware, its software, or one module of it."""

    FIRMWARE = "firmware"
    SOFTWARE = "software"
    MODULE = "module"
    UNKNOWN = "unknown"


class JobKind(StrEnum):
    """What a job does: upgrade the fleet, or verify a firmware on a few devices first."""

    UPGRADE = "upgrade"
    VERIFICATION = "verification"
    UNKNOWN = "unknown"


class JobStatus(StrEnum):
    """Where a job stands. EnOS only ever says running or stopped: there, completion shows in the tasks."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    SUCCEEDED = "succeeded"
    PARTIALLY_SUCCEEDED = "partially_succeeded"
    FAILED = "failed"
    UNKNOWN = "unknown"


class TaskStatus(StrEnum):
    """Where one device stands within a job."""

    PENDING = "pending"
    PUBLISHED = "published"
    UPGRADING = "upgrading"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RETRYING = "retrying"
    CANCELLED = "cancelled"
    REMOVED = "removed"
    UNKNOWN = "unknown"


class Connection(StrEnum):
    """Whether the vendor sees a device."""

    ONLINE = "online"
    OFFLINE = "offline"
    ABNORMAL = "abnormal"
    INACTIVE = "inactive"
    FROZEN = "frozen"
    UNKNOWN = "unknown"


class PolicyMode(StrEnum):
    """Whether a job's devices are fixed when it is created, or devices that match later join."""

    SNAPSHOT = "snapshot"
    INCREMENTAL = "incremental"
    UNKNOWN = "unknown"


@attrs.frozen(kw_only=True)
class LocalizedText:
    """A text with translations."""

    default: str
    """The text for locales without a translation."""
    translations: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)
    """Text by locale, such as ``zh_CN``."""

    def __str__(self) -> str:
        return self.default

    def for_locale(self, locale: str) -> str:
        """Return the text in this locale, or the default text where there is no translation."""
        return str(self.translations.get(locale, self.default))


@attrs.frozen(kw_only=True)
class Checksum:
    """The digest that a vendor stores beside a firmware. Neither vendor verifies it."""

    algorithm: str
    """Lower case: ``md5`` or ``sha256``."""
    value: str
    """As the vendor stores it; for a digest, hexadecimal digits."""


@attrs.frozen(kw_only=True)
class Verification:
    """Whether a firmware must be, and has been, verified on a few devices before jobs may use it."""

    required: bool | None = None
    verified: bool | None = None
    max_devices: int | None = None
    """The most devices that a verification job may use."""
    min_successes: int | None = None
    """How many of them must succeed."""


@attrs.frozen(kw_only=True)
class Firmware:
    """A firmware: one version of what devices of a product can be upgraded to."""

    backend: str
    firmware_id: FirmwareId
    version: str
    kind: FirmwareKind = FirmwareKind.FIRMWARE
    vendor_kind: str | None = None
    product_id: str | None = None
    owner_id: str | None = None
    """The organisation or resource space that it belongs to."""
    name: LocalizedText | None = None
    source_versions: tuple[str, ...] = ()
    """Versions that may be upgraded with it; none listed means any."""
    description: str | None = None
    checksum: Checksum | None = None
    size_bytes: int | None = None
    location: str | None = None
    """Where the vendor keeps the bytes; an identifier of the vendor, not a public address."""
    verification: Verification | None = None
    tags: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)
    custom_info: str | None = None
    """Text that is handed to the device with the upgrade notice."""
    created_at: datetime | None = None
    """Aware, UTC."""
    extra: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)


@attrs.frozen(kw_only=True)
class JobScope:
    """Which devices a job reaches."""

    devices: tuple[str, ...] = ()
    source_versions: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    tags: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)
    """Tag key to the tuple of its accepted values."""
    attributes: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)
    """Attribute name to the tuple of its accepted values."""
    asset_trees: tuple[FrozenMap, ...] = ()
    everything: bool = False
    """All devices with the listed source versions, without a further filter."""


@attrs.frozen(kw_only=True)
class RetrySchedule:
    """How often, and after what pause, a failed device is tried again."""

    count: int
    interval_minutes: int | None = None
    enabled: bool = True


@attrs.frozen(kw_only=True)
class JobSchedule:
    """When a job may push upgrades."""

    start_at: datetime | None = None
    end_at: datetime | None = None
    repeats_daily: bool | None = None
    utc_offset_minutes: int | None = None


@attrs.frozen(kw_only=True)
class JobPolicy:
    """How a job runs."""

    mode: PolicyMode | None = None
    timeout_seconds: int | None = None
    max_concurrency: int | None = None
    retry: RetrySchedule | None = None
    schedule: JobSchedule | None = None
    device_may_request: bool | None = None
    """Whether a device may itself ask for the upgrade."""
    hold: bool | None = None
    """Whether the job waits for a confirmation before it starts."""


@attrs.frozen(kw_only=True)
class JobProgress:
    """How far a job is, in devices. What the vendor does not say is ``None``, never guessed."""

    status: JobStatus
    total: int | None = None
    pending: int | None = None
    upgrading: int | None = None
    succeeded: int | None = None
    failed: int | None = None
    retrying: int | None = None
    cancelled: int | None = None
    removed: int | None = None
    as_of: datetime | None = None
    """When this was read; aware, UTC."""
    failures: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)
    """Failed devices by reason, in the vendor's words, most frequent first; filled in by ``jobs.wait`` alone."""


@attrs.frozen(kw_only=True)
class Job:
    """An upgrade job: a firmware and the devices that are to get it."""

    backend: str
    job_id: JobId
    status: JobStatus
    vendor_status: str | None = None
    status_description: str | None = None
    name: LocalizedText | None = None
    kind: JobKind = JobKind.UPGRADE
    vendor_kind: str | None = None
    firmware_kind: FirmwareKind = FirmwareKind.FIRMWARE
    owner_id: str | None = None
    product_id: str | None = None
    firmware_ids: tuple[FirmwareId, ...] = ()
    firmware_version: str | None = None
    firmware_name: LocalizedText | None = None
    scope: JobScope | None = None
    policy: JobPolicy | None = None
    progress: JobProgress | None = None
    created_at: datetime | None = None
    """Aware, UTC."""
    extra: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)


@attrs.frozen(kw_only=True)
class TaskFailure:
    """Why one device failed, in the vendor's words."""

    message: str | None = None
    code: str | None = None


@attrs.frozen(kw_only=True)
class DeviceTask:
    """What one job does on one device."""

    backend: str
    job_id: JobId
    device_id: DeviceId
    status: TaskStatus
    vendor_status: str | None = None
    task_id: TaskId | None = None
    device_key: str | None = None
    product_id: str | None = None
    from_version: str | None = None
    to_version: str | None = None
    progress_percent: int | None = None
    failure: TaskFailure | None = None
    updated_at: datetime | None = None
    """Aware, UTC."""


@attrs.frozen(kw_only=True)
class DeviceUpgrade:
    """Which version one device runs, and whether it is being upgraded."""

    backend: str
    device_id: DeviceId
    device_key: str | None = None
    product_id: str | None = None
    owner_id: str | None = None
    firmware_version: str | None = None
    software_version: str | None = None
    upgrading: bool | None = None
    """``None`` where nobody asked: some vendors need extra calls for it (``resolve_upgrading``)."""
    connection: Connection | None = None
    vendor_connection: str | None = None


@attrs.frozen(kw_only=True)
class NewFirmware:
    """What to create a firmware from; a backend refuses what its vendor cannot store."""

    version: str
    kind: FirmwareKind = FirmwareKind.FIRMWARE
    product_id: str | None = None
    name: LocalizedText | None = None
    description: str | None = None
    checksum: Checksum | None = None
    source_versions: tuple[str, ...] = ()
    tags: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)
    verification: Verification | None = None
    custom_info: str | None = None
    location: str | None = None


@attrs.frozen(kw_only=True)
class NewJob:
    """What to create a job from; a backend refuses what its vendor cannot do."""

    name: LocalizedText
    firmware_ids: tuple[FirmwareId, ...]
    kind: JobKind = JobKind.UPGRADE
    scope: JobScope = attrs.field(factory=JobScope)
    policy: JobPolicy = attrs.field(factory=JobPolicy)
    hold: bool = False
    """Create it, but let it wait for ``jobs.start``."""


@attrs.frozen(kw_only=True)
class DownloadedFirmware:
    """A firmware file that was fetched and checked."""

    path: str
    size_bytes: int
    sha256: str
    verified: bool
    """Whether the vendor announced a digest and the bytes have it."""
