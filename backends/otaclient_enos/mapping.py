"""Wire structs to the shared models: total functions, which no unknown or unusable value can break.

What the model has no place for, and what could not be used, stays readable in the record's ``extra`` under the vendor's
own name (not on devices and device tasks, which come by the million).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, get_args

import attrs

from otaclient.decoding import Columns
from otaclient.fingerprint import unmarked
from otaclient.models import (
    Checksum,
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FrozenMap,
    Job,
    JobId,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    JobStatus,
    LocalizedText,
    PolicyMode,
    RetrySchedule,
    TaskFailure,
    TaskId,
    TaskStatus,
    Verification,
)
from otaclient.structuring import frozen_json
from otaclient_enos.failures import whole_number
from otaclient_enos.wire import (
    DeviceFirmware,
    FirmwareInfo,
    JobInfo,
    RetryPolicy,
    SchedulePolicy,
    StringI18n,
    TaskInfo,
    UpgradeScope,
    keys_of,
)

__all__ = [
    "CANCELLED_REMARK",
    "DEVICE_COLUMNS",
    "JOB_KIND_WORDS",
    "JOB_STATUS_WORDS",
    "PARTIAL_SCOPE",
    "POLICY_MODE_WORDS",
    "TASK_STATUS_WORDS",
    "WHOLE_SCOPE",
    "device_task_from",
    "device_upgrade_from",
    "firmware_from",
    "instant_from_epoch_ms",
    "job_from",
    "localized_text_from",
]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

JOB_STATUS_WORDS: Final = {JobStatus.RUNNING: "started", JobStatus.STOPPED: "stopped"}
"""The two things that EnOS says of a job."""
JOB_KIND_WORDS: Final = {JobKind.UPGRADE: "upgrade", JobKind.VERIFICATION: "verify"}

POLICY_MODE_WORDS: Final = {PolicyMode.SNAPSHOT: "snapshot", PolicyMode.INCREMENTAL: "incremental"}
WHOLE_SCOPE: Final = "total"
PARTIAL_SCOPE: Final = "partial"
TASK_STATUS_WORDS: Final = {
    TaskStatus.PENDING: "init",
    TaskStatus.PUBLISHED: "published",
    TaskStatus.UPGRADING: "upgrading",
    TaskStatus.SUCCEEDED: "succeeded",
    TaskStatus.FAILED: "failed",
}
"""Everything that EnOS says of a task."""
CANCELLED_REMARK: Final = "Cancelled by user"
"""The remark of a task that failed because it was cancelled.

There is no documented status of cancelled tasks; a sample of the vendor looks for them by this remark, among those that
can be tried again, and only failed ones can.
"""

_JOB_STATUS: Final = {word: status for status, word in JOB_STATUS_WORDS.items()}
_JOB_KIND: Final = {word: kind for kind, word in JOB_KIND_WORDS.items()}
_POLICY_MODE: Final = {word: mode for mode, word in POLICY_MODE_WORDS.items()}
_TASK_STATUS: Final = {word: status for status, word in TASK_STATUS_WORDS.items()}


def firmware_from(info: FirmwareInfo, *, backend: str) -> Firmware:
    """Return a ``FirmwareInfo`` struct as the shared model."""
    created_at, size_bytes = instant_from_epoch_ms(info.create_time), whole_number(info.file_size)
    checksum, verification = _checksum(info), _verification(info)
    unused = {
        "createTime": created_at is None,
        "fileSize": size_bytes is None,
        "signMethod": checksum is None,
        "sign": checksum is None,
        "maxAllowedForVerification": verification is None or verification.max_devices is None,
        "minSuccessForVerified": verification is None or verification.min_successes is None,
    }
    return Firmware(
        backend=backend,
        firmware_id=FirmwareId(info.firmware_id),
        version=info.version,
        product_id=info.product_key,
        owner_id=info.org_id,
        name=localized_text_from(info.name),
        description=info.desc,
        checksum=checksum,
        size_bytes=size_bytes,
        location=info.file_url,
        verification=verification,
        tags=FrozenMap(info.firmware_tags),
        created_at=created_at,
        extra=_extra(info.raw, FirmwareInfo, unused),
    )


def job_from(info: JobInfo, *, backend: str) -> Job:
    """Return a ``JobInfo`` struct as the shared model."""
    name, fingerprint = _unmarked(localized_text_from(info.name))
    created_at, scope, policy = instant_from_epoch_ms(info.create_time), _scope(info.upgrade_scope), _policy(info)
    unused = {
        "createTime": created_at is None,
        "name": fingerprint is not None,
        "upgradeScope": info.upgrade_scope is not None and info.upgrade_scope.type not in {WHOLE_SCOPE, PARTIAL_SCOPE},
        "upgradePolicy": policy.mode is PolicyMode.UNKNOWN,
        "upgradeTimeout": policy.timeout_seconds is None,
        "maximumConcurrency": policy.max_concurrency is None,
        "retryPolicy": _loses_retry(info.retry_policy),
        "schedulePolicy": _loses_schedule(info.schedule_policy),
    }
    return Job(
        backend=backend,
        job_id=JobId(info.job_id),
        status=_JOB_STATUS.get(info.status, JobStatus.UNKNOWN),
        vendor_status=info.status,
        name=name,
        kind=JobKind.UNKNOWN if info.type is None else _JOB_KIND.get(info.type, JobKind.UNKNOWN),
        vendor_kind=info.type,
        owner_id=info.org_id,
        product_id=info.product_key,
        firmware_ids=() if info.firmware_id is None else (FirmwareId(info.firmware_id),),
        firmware_version=info.firmware_version,
        firmware_name=localized_text_from(info.firmware_name),
        scope=scope,
        policy=None if policy == JobPolicy() else policy,
        created_at=created_at,
        extra=_extra(info.raw, JobInfo, unused),
    )


DEVICE_COLUMNS: Final = Columns(
    struct=DeviceFirmware,
    model=DeviceUpgrade,
    taken={
        "device_id": "asset_id",
        "device_key": "device_key",
        "product_id": "product_key",
        "owner_id": "org_id",
        "firmware_version": "firmware_version",
        "upgrading": "is_upgrading",
    },
)


def device_upgrade_from(info: DeviceFirmware, *, backend: str) -> DeviceUpgrade:
    """Return a ``DeviceFirmware`` struct as the shared model."""
    return DEVICE_COLUMNS.model_from(info, backend=backend)


def device_task_from(info: TaskInfo, *, backend: str) -> DeviceTask:
    """Return a ``TaskInfo`` struct as the shared model.

    A progress below 0 is no progress but the device's code of a failure, and goes into ``failure``.
    """
    progress = whole_number(info.progress)
    status = _TASK_STATUS.get(info.status, TaskStatus.UNKNOWN)
    failed = status is TaskStatus.FAILED
    if failed and info.desc == CANCELLED_REMARK:
        status = TaskStatus.CANCELLED
    code = None if progress is None or progress >= 0 else str(progress)
    return DeviceTask(
        backend=backend,
        job_id=JobId(info.job_id),
        device_id=DeviceId(info.asset_id),
        status=status,
        vendor_status=info.status,
        task_id=None if info.task_id is None else TaskId(info.task_id),
        device_key=info.device_key,
        product_id=info.product_key,
        from_version=info.from_version,
        to_version=info.to_version,
        progress_percent=progress if code is None else None,
        failure=TaskFailure(message=info.desc, code=code) if failed or code is not None else None,
        updated_at=instant_from_epoch_ms(info.update_time),
    )


def localized_text_from(name: StringI18n | None) -> LocalizedText | None:
    """Return a ``StringI18n`` struct as the shared model; ``None`` where it holds no text at all."""
    if name is None:
        return None
    translations = {locale: text for locale, text in (name.i18n_value or {}).items() if text is not None}
    if name.default_value is None and not translations:
        return None
    return LocalizedText(default=name.default_value or "", translations=FrozenMap(translations))


def instant_from_epoch_ms(value: int | str | None) -> datetime | None:
    """Return milliseconds since 1970 as an aware UTC datetime; ``None`` for what is no instant."""
    milliseconds = whole_number(value)
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _unmarked(name: LocalizedText | None) -> tuple[LocalizedText | None, str | None]:
    """Return the name that the user gave, and the fingerprint that was added to its default text."""
    if name is None:
        return None, None
    text, fingerprint = unmarked(name.default)
    return (name if fingerprint is None else attrs.evolve(name, default=text)), fingerprint


def _checksum(info: FirmwareInfo) -> Checksum | None:
    if info.sign_method is None or info.sign is None:
        return None
    return Checksum(algorithm=info.sign_method.lower(), value=info.sign)


def _verification(info: FirmwareInfo) -> Verification | None:
    verification = Verification(
        required=info.enable_verification,
        verified=info.is_verified,
        max_devices=whole_number(info.max_allowed_for_verification),
        min_successes=whole_number(info.min_success_for_verified),
    )
    return None if verification == Verification() else verification


def _scope(scope: UpgradeScope | None) -> JobScope | None:
    if scope is None:
        return None
    return JobScope(
        devices=scope.device_keys or (),
        source_versions=scope.version_numbers or (),
        tags=_accepted_values(scope.tags),
        attributes=_accepted_values(scope.attributes),
        asset_trees=tuple(frozen_json(tree) for tree in scope.asset_trees or ()),
        everything=scope.type == WHOLE_SCOPE,
    )


def _accepted_values(values: Mapping[str, Any] | None) -> FrozenMap:
    """Return each name with the tuple of its accepted values; one value alone counts as a list of one."""
    frozen = {name: frozen_json(value) for name, value in (values or {}).items()}
    return FrozenMap({name: value if isinstance(value, tuple) else (value,) for name, value in frozen.items()})


def _policy(info: JobInfo) -> JobPolicy:
    return JobPolicy(
        mode=None if info.upgrade_policy is None else _POLICY_MODE.get(info.upgrade_policy, PolicyMode.UNKNOWN),
        timeout_seconds=whole_number(info.upgrade_timeout),
        max_concurrency=whole_number(info.maximum_concurrency),
        retry=_retry(info.retry_policy),
        schedule=_schedule(info.schedule_policy),
        device_may_request=info.enable_upgrade_request,
    )


def _retry(policy: RetryPolicy | None) -> RetrySchedule | None:
    if policy is None:
        return None
    count = whole_number(policy.retry_count)
    enabled = policy.enable_retry is not False
    if count is None and enabled:
        return None
    # The unit of the interval is not documented; the vendor's samples make sense in minutes only.
    return RetrySchedule(count=count or 0, interval_minutes=whole_number(policy.retry_interval), enabled=enabled)


def _schedule(policy: SchedulePolicy | None) -> JobSchedule | None:
    if policy is None:
        return None
    return JobSchedule(
        start_at=instant_from_epoch_ms(policy.start_timestamp),
        end_at=instant_from_epoch_ms(policy.end_timestamp),
        repeats_daily=policy.is_repeat_daily,
        utc_offset_minutes=whole_number(policy.timezone_offset_in_minutes),
    )


def _loses_retry(policy: RetryPolicy | None) -> bool:
    """Tell whether some value of the struct could not be used."""
    if policy is None:
        return False
    retry = _retry(policy)
    return _any_lost(
        (policy.enable_retry, retry),
        (policy.retry_count, whole_number(policy.retry_count)),
        (policy.retry_interval, None if retry is None else retry.interval_minutes),
    )


def _loses_schedule(policy: SchedulePolicy | None) -> bool:
    """Tell whether some value of the struct could not be used."""
    if policy is None:
        return False
    return _any_lost(
        (policy.start_timestamp, instant_from_epoch_ms(policy.start_timestamp)),
        (policy.end_timestamp, instant_from_epoch_ms(policy.end_timestamp)),
        (policy.timezone_offset_in_minutes, whole_number(policy.timezone_offset_in_minutes)),
    )


def _any_lost(*pairs: tuple[object, object]) -> bool:
    """Tell whether of any pair the wire has a value and the model has none."""
    return any(told is not None and kept is None for told, kept in pairs)


# --- what has no place -----------------------------------------------------------------------------------------------


def _extra(raw: Mapping[str, Any], struct: type[Any], unused: Mapping[str, bool]) -> FrozenMap:
    """Return what of ``raw`` the struct does not know, and what could not be used; ``null`` is nothing."""
    known = _MEMBERS[struct]
    left: dict[str, Any] = {}
    for key, value in raw.items():
        if value is None:
            continue
        if key not in known or unused.get(key, False) or _holds_unknown(value, known[key]):
            left[key] = frozen_json(value)
    return FrozenMap(left)


def _members(struct: type[Any]) -> dict[str, type[Any] | None]:
    """Return the vendor's keys of a struct, each with the struct inside it, where it is one."""
    fields = attrs.fields_dict(struct)
    return {key: _struct_in(fields[name].type) for key, name in keys_of(struct).items()}


def _struct_in(annotation: Any) -> type[Any] | None:
    return next((member for member in get_args(annotation) if attrs.has(member)), None)


# Reading attrs' fields anew for each record would cost more than all the rest of its mapping.
_MEMBERS: Final = {
    struct: _members(struct)
    for struct in (FirmwareInfo, JobInfo, StringI18n, UpgradeScope, RetryPolicy, SchedulePolicy)
}


def _holds_unknown(value: Any, struct: type[Any] | None) -> bool:
    return struct is not None and any(key not in _MEMBERS[struct] for key in value)
