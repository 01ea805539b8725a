"""Wire structs to the shared models: total functions, which no unknown or unusable value can break.

What the model has no place for, and what could not be used, stays readable in the record's ``extra`` under the vendor's
own name (not on devices and device tasks, which come by the million).

Sources: Huawei Cloud IoTDA API reference, the pages named in :mod:`otaclient_iotda.wire`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

import attrs

from otaclient.decoding import Columns
from otaclient.fingerprint import unmarked
from otaclient.models import (
    Checksum,
    Connection,
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FirmwareKind,
    FrozenMap,
    Job,
    JobId,
    JobKind,
    JobPolicy,
    JobProgress,
    JobSchedule,
    JobScope,
    JobStatus,
    LocalizedText,
    RetrySchedule,
    TaskFailure,
    TaskStatus,
)
from otaclient.structuring import frozen_json
from otaclient_iotda import wire
from otaclient_iotda.records import OtaModule

__all__ = [
    "DEVICE_COLUMNS",
    "JOB_STATUS_WORDS",
    "PACKAGE_TYPE",
    "TASK_STATUS_WORDS",
    "TASK_TYPE",
    "device_task_from",
    "device_upgrade_from",
    "firmware_from",
    "instant_from",
    "job_from",
    "module_from",
]

PACKAGE_TYPE: Final = MappingProxyType(
    {
        FirmwareKind.FIRMWARE: "firmwarePackage",
        FirmwareKind.SOFTWARE: "softwarePackage",
        FirmwareKind.MODULE: "modulePackage",
    }
)
"""The vendor's word for a package of each kind."""

TASK_TYPE: Final = MappingProxyType(
    {
        FirmwareKind.FIRMWARE: "firmwareUpgrade",
        FirmwareKind.SOFTWARE: "softwareUpgrade",
        FirmwareKind.MODULE: "moduleUpgrade",
    }
)
"""The vendor's word for a task that upgrades each kind. Batch tasks of other types do other things."""

_JOB_STATUS: Final = MappingProxyType(
    {
        "Initializing": JobStatus.PENDING,
        "Waitting": JobStatus.PENDING,
        "Processing": JobStatus.RUNNING,
        "Stopping": JobStatus.STOPPING,
        "Stopped": JobStatus.STOPPED,
        "Success": JobStatus.SUCCEEDED,
        "PartialSuccess": JobStatus.PARTIALLY_SUCCEEDED,
        "Fail": JobStatus.FAILED,
    }
)
"""The vendor's eight states; the spelling is its own."""

JOB_STATUS_WORDS: Final = MappingProxyType(
    {status: tuple(word for word, found in _JOB_STATUS.items() if found is status) for status in _JOB_STATUS.values()}
)
"""The vendor's words for each status that one can search for."""

TASK_STATUS_WORDS: Final = MappingProxyType(
    {
        TaskStatus.PENDING: "Waitting",
        TaskStatus.UPGRADING: "Processing",
        TaskStatus.SUCCEEDED: "Success",
        TaskStatus.FAILED: "Fail",
        TaskStatus.RETRYING: "FailWaitRetry",
        TaskStatus.CANCELLED: "Stopped",
        TaskStatus.REMOVED: "Removed",
    }
)
"""The vendor's word for the state of one target; it does not tell "pushed" from "upgrading"."""

_TASK_STATUS: Final = {word: status for status, word in TASK_STATUS_WORDS.items()}
_KIND_OF_PACKAGE: Final = {word: kind for kind, word in PACKAGE_TYPE.items()}
_KIND_OF_TASK: Final = {word: kind for kind, word in TASK_TYPE.items()}


class _Connections(dict[str | None, Connection | None]):
    """The shared enum by the vendor's word; looking up in a table is a third of the price of a call, per device."""

    def __missing__(self, word: str | None) -> Connection:
        return Connection.UNKNOWN


_CONNECTION: Final = _Connections(
    {
        None: None,
        "ONLINE": Connection.ONLINE,
        "OFFLINE": Connection.OFFLINE,
        "ABNORMAL": Connection.ABNORMAL,
        "INACTIVE": Connection.INACTIVE,
        "FROZEN": Connection.FROZEN,
    }
)
_DEFAULT_DIGEST: Final = "SHA256"
_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"
_TIME_LENGTH: Final = len("20230211T121212Z")

# The fields of the wire that have a place in the model; all others go to `extra`.
_PLACED_IN_FIRMWARE: Final = frozenset(
    field.name
    for field in attrs.fields(wire.OtaPackage)
    if field.name not in {"product_name", "module_name", "file_location", "raw"}
)
_PLACED_IN_JOB: Final = frozenset(
    field.name for field in attrs.fields(wire.Task) if field.name not in {"task_mode", "task_ext_info", "raw"}
)
_PLACED_IN_MODULE: Final = frozenset(field.name for field in attrs.fields(wire.OtaModule) if field.name != "raw")
_TASK_STRUCTURES: Final[Mapping[str, type[Any]]] = {
    "targets_filter": wire.TargetsFilter,
    "document": wire.TaskDocument,
    "task_policy": wire.TaskPolicy,
    "task_progress": wire.TaskProgress,
}


def firmware_from(package: wire.OtaPackage, *, backend: str) -> Firmware:
    """Map an ``OtaPackageInfo`` struct to the shared model; ``backend`` is the label that it gets."""
    location = package.file_location.obs_location if package.file_location else None
    created_at = instant_from(package.create_time)
    # The model's location has no room for the storage's region, nor for what newer services may add.
    extra = _unplaced(package.raw, _PLACED_IN_FIRMWARE)
    if created_at is None and package.create_time is not None:
        extra["create_time"] = package.create_time
    return Firmware(
        backend=backend,
        firmware_id=FirmwareId(package.package_id),
        version=package.version,
        kind=_KIND_OF_PACKAGE.get(package.package_type or "", FirmwareKind.UNKNOWN),
        vendor_kind=package.package_type,
        product_id=package.product_id,
        owner_id=package.app_id,
        source_versions=package.support_source_versions or (),
        description=package.description,
        checksum=_checksum(location),
        location=_location(location),
        custom_info=package.custom_info,
        created_at=created_at,
        extra=FrozenMap(extra),
    )


def job_from(task: wire.Task, *, backend: str) -> Job:
    """Map a ``Task`` struct to the shared model; ``backend`` is the label that it gets."""
    status = _JOB_STATUS.get(task.status or "", JobStatus.UNKNOWN)
    firmware_kind = _KIND_OF_TASK.get(task.task_type or "", FirmwareKind.UNKNOWN)
    name, fingerprint = (None, None) if task.task_name is None else unmarked(task.task_name)
    created_at = instant_from(task.create_time)
    start_text = task.task_policy.schedule_time if task.task_policy else None
    start_at = instant_from(start_text)
    extra = _unplaced(task.raw, _PLACED_IN_JOB) | _unplaced_inside(task.raw)
    if created_at is None and task.create_time is not None:
        extra["create_time"] = task.create_time
    if start_at is None and start_text is not None:
        extra["schedule_time"] = start_text
    if fingerprint is not None:
        extra["task_name"] = task.task_name
    return Job(
        backend=backend,
        job_id=JobId(task.task_id),
        status=status,
        vendor_status=task.status,
        status_description=task.status_desc,
        name=None if name is None else LocalizedText(default=name),
        # Batch tasks do other things too; those are no upgrades, and only `get` with their id finds them.
        kind=JobKind.UNKNOWN if firmware_kind is FirmwareKind.UNKNOWN else JobKind.UPGRADE,
        vendor_kind=task.task_type,
        firmware_kind=firmware_kind,
        firmware_ids=_firmware_ids(task.document),
        scope=_scope(task),
        policy=_policy(task, start_at),
        progress=_progress(task.task_progress, status),
        created_at=created_at,
        extra=FrozenMap(extra),
    )


def device_task_from(detail: wire.TaskDetail, *, backend: str, job_id: JobId) -> DeviceTask:
    """Map a ``TaskDetail`` struct to the shared model.

    The free text of a target that failed goes with its failure. That of one that did not, such as "the current version
    is the same as the target version" of one that succeeded at once, has no place in the model.
    """
    status = _TASK_STATUS.get(detail.status or "", TaskStatus.UNKNOWN)
    return DeviceTask(
        backend=backend,
        job_id=job_id,
        device_id=DeviceId(detail.target),
        status=status,
        vendor_status=detail.status,
        failure=_failure(detail, failed=status in {TaskStatus.FAILED, TaskStatus.RETRYING}),
    )


def module_from(module: wire.OtaModule, *, backend: str) -> OtaModule:
    """Map an OTA module to its record; ``backend`` is the label that it gets."""
    created_at = instant_from(module.create_time)
    extra = _unplaced(module.raw, _PLACED_IN_MODULE)
    if created_at is None and module.create_time is not None:
        extra["create_time"] = module.create_time
    return OtaModule(
        backend=backend,
        module_id=module.module_id,
        name=module.module_name,
        product_id=module.product_id,
        product_name=module.product_name,
        owner_id=module.app_id,
        alias=module.alias_name,
        description=module.description,
        created_at=created_at,
        extra=FrozenMap(extra),
    )


DEVICE_COLUMNS: Final = Columns(
    struct=wire.Device,
    model=DeviceUpgrade,
    # Whether it is being upgraded, no device says: that takes other calls.
    taken={
        "device_id": "device_id",
        "device_key": "node_id",
        "product_id": "product_id",
        "owner_id": "app_id",
        "firmware_version": "fw_version",
        "software_version": "sw_version",
        "vendor_connection": "status",
    },
    derived={"connection": ("vendor_connection", _CONNECTION.__getitem__)},
)


def device_upgrade_from(device: wire.Device, *, backend: str) -> DeviceUpgrade:
    """Map a device to the shared model."""
    return DEVICE_COLUMNS.model_from(device, backend=backend)


def instant_from(text: str | None) -> datetime | None:
    """Return a time in the vendor's ``yyyyMMdd'T'HHmmss'Z'`` as an aware one, or ``None`` for anything else."""
    # strptime also takes shorter numbers, which the vendor never sends: "2023211T1212Z" would be read as some time.
    if text is None or len(text) != _TIME_LENGTH:
        return None
    try:
        return datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _failure(detail: wire.TaskDetail, *, failed: bool) -> TaskFailure | None:
    error = detail.error or wire.TaskError()
    output = detail.output if failed else None
    # Which of the two texts says why, the vendor leaves open: where both do, both are shown.
    message = ": ".join(dict.fromkeys(text for text in (error.error_msg, output) if text)) or None
    code = error.error_code or None
    return None if message is None and code is None else TaskFailure(message=message, code=code)


def _checksum(location: wire.ObsLocation | None) -> Checksum | None:
    if location is None or location.sign is None:
        return None
    return Checksum(algorithm=(location.sign_method or _DEFAULT_DIGEST).lower(), value=location.sign)


def _location(location: wire.ObsLocation | None) -> str | None:
    if location is None or location.bucket_name is None or location.object_key is None:
        return None
    return f"obs://{location.bucket_name}/{location.object_key}"


def _firmware_ids(document: wire.TaskDocument | None) -> tuple[FirmwareId, ...]:
    if document is None:
        return ()
    # Newer services may say it in both ways.
    ids = [*(document.package_ids or ()), *([document.package_id] if document.package_id else [])]
    return tuple(FirmwareId(text) for text in dict.fromkeys(ids))


def _scope(task: wire.Task) -> JobScope | None:
    groups = task.targets_filter.group_ids if task.targets_filter else None
    if task.targets is None and groups is None:
        return None
    return JobScope(devices=task.targets or (), groups=groups or ())


def _policy(task: wire.Task, start_at: datetime | None) -> JobPolicy:
    policy = task.task_policy or wire.TaskPolicy()
    retry = (
        None
        if policy.retry_count is None
        else RetrySchedule(count=policy.retry_count, interval_minutes=policy.retry_interval)
    )
    schedule = None if start_at is None else JobSchedule(start_at=start_at)
    return JobPolicy(retry=retry, schedule=schedule, hold=task.need_confirm)


def _progress(progress: wire.TaskProgress | None, status: JobStatus) -> JobProgress | None:
    if progress is None:
        return None
    return JobProgress(
        status=status,
        total=progress.total,
        pending=progress.waitting,
        upgrading=progress.processing,
        succeeded=progress.success,
        failed=progress.fail,
        retrying=progress.fail_wait_retry,
        cancelled=progress.stopped,
        removed=progress.removed,
    )


def _unplaced(raw: Mapping[str, Any], placed: frozenset[str]) -> dict[str, Any]:
    return {key: frozen_json(value) for key, value in raw.items() if key not in placed and value is not None}


def _unplaced_inside(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the structures inside a task hold beyond the fields that are known."""
    found: dict[str, Any] = {}
    for key, cls in _TASK_STRUCTURES.items():
        known = frozenset(field.name for field in attrs.fields(cls))
        if unknown := _unplaced(raw.get(key) or {}, known):
            found[key] = FrozenMap(unknown)
    return found
