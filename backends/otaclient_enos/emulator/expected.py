"""What a correct client reports of the simulated fleet through EnOS: made from the fleet, never from the wire."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from otaclient.emulator import DeviceTable, FirmwareRecord, JobRecord
from otaclient.models import (
    Checksum,
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
from otaclient_enos.emulator import render
from otaclient_enos.emulator.tasks import TaskRow

__all__ = ["device_upgrades", "firmware_of", "job_of", "task_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_CANCELLED: Final = "Cancelled by user"
_TASK_STATUS: Final = {
    "init": TaskStatus.PENDING,
    "published": TaskStatus.PUBLISHED,
    "upgrading": TaskStatus.UPGRADING,
    "succeeded": TaskStatus.SUCCEEDED,
    "failed": TaskStatus.FAILED,
}


def device_upgrades(table: DeviceTable, rows: Iterator[int], *, label: str, org_id: str) -> Iterator[DeviceUpgrade]:
    """Yield the device upgrades of these rows."""
    for row in rows:
        yield DeviceUpgrade(
            backend=label,
            device_id=DeviceId(table.serial(row)),
            device_key=table.key(row),
            product_id=table.product_id(row),
            owner_id=org_id,
            firmware_version=table.firmware_version(row),
            upgrading=table.upgrading(row),
        )


def firmware_of(record: FirmwareRecord, *, label: str, org_id: str) -> Firmware:
    """Return the firmware as both operations show it."""
    if record.vendor is not None:
        method, sign = str(record.vendor["signMethod"]).lower(), str(record.vendor["sign"])
        most, least = record.vendor["maxAllowedForVerification"], record.vendor["minSuccessForVerified"]
    else:
        uses_md5 = render.row_variety(record.firmware_id) % 2 == 0
        method, sign = ("md5", record.md5) if uses_md5 else ("sha256", record.sha256)
        most = record.max_verification_devices if record.verification_required else None
        least = record.min_verified_successes if record.verification_required else None
    return Firmware(
        backend=label,
        firmware_id=FirmwareId(record.firmware_id),
        version=record.version,
        kind=FirmwareKind.FIRMWARE,
        product_id=record.product_id if record.product_shown else None,
        owner_id=org_id,
        name=LocalizedText(default=record.name, translations=record.translations),
        description=record.description,
        checksum=Checksum(algorithm=method, value=sign),
        size_bytes=record.size_bytes,
        location=render.file_url(record),
        verification=Verification(
            required=record.verification_required,
            verified=record.verified,
            max_devices=most,
            min_successes=least,
        ),
        tags=record.tags,
        created_at=_instant(record.created_at_ms),
    )


def job_of(job: JobRecord, firmware: FirmwareRecord, table: DeviceTable, *, label: str, org_id: str) -> Job:
    """Return the job as the search operation shows it."""
    verifies = job.kind is JobKind.VERIFICATION
    status = render.job_status(job)
    named = not verifies if job.vendor is None else job.vendor["name"] is not None
    return Job(
        backend=label,
        job_id=JobId(job.job_id),
        status=JobStatus.RUNNING if status == "started" else JobStatus.STOPPED,
        vendor_status=status,
        name=LocalizedText(default=job.name, translations=job.translations) if named else None,
        kind=job.kind,
        vendor_kind="verify" if verifies else "upgrade",
        firmware_kind=FirmwareKind.FIRMWARE,
        owner_id=org_id,
        product_id=job.product_id if firmware.product_shown else None,
        firmware_ids=(FirmwareId(firmware.firmware_id),),
        firmware_version=firmware.version,
        firmware_name=LocalizedText(default=firmware.name, translations=firmware.translations),
        scope=_scope(job, table) if job.vendor is None else _given_scope(job.vendor["scope"]),
        policy=_policy(job) if job.vendor is None else _given_policy(job.vendor),
        created_at=_instant(job.created_at_ms),
        extra=render.unlisted_members(job) if job.vendor is None else {},
    )


def task_of(task: TaskRow, table: DeviceTable, *, label: str) -> DeviceTask:
    """Return the task as the search shows it; a cancelled one is a failed one to EnOS, and known by its remark."""
    failed = task.status == "failed"
    cancelled = failed and task.description == _CANCELLED
    return DeviceTask(
        backend=label,
        job_id=JobId(task.job.job_id),
        device_id=DeviceId(table.serial(task.row)),
        status=TaskStatus.CANCELLED if cancelled else _TASK_STATUS[task.status],
        vendor_status=task.status,
        task_id=TaskId(task.job.task_id(task.position)),
        device_key=table.key(task.row),
        product_id=table.product_id(task.row),
        from_version=task.from_version,
        to_version=task.firmware.version,
        progress_percent=None if failed else task.progress,
        failure=TaskFailure(message=task.description, code=str(task.progress)) if failed else None,
        updated_at=_instant(task.updated_at_ms),
    )


def _scope(job: JobRecord, table: DeviceTable) -> JobScope:
    return JobScope(
        devices=() if job.everything else tuple(table.key(row) for row in job.targets),
        source_versions=job.source_versions,
        everything=job.everything,
    )


def _given_scope(scope: Mapping[str, Any]) -> JobScope:
    return JobScope(
        devices=tuple(scope["deviceKeys"] or ()),
        source_versions=tuple(scope["versionNumbers"]),
        tags=_tuples(scope["tags"] or {}),
        attributes=_tuples(scope["attributes"] or {}),
        asset_trees=tuple(
            FrozenMap({name: part if isinstance(part, str) else tuple(part) for name, part in tree.items()})
            for tree in scope["assetTrees"] or ()
        ),
        everything=scope["type"] == "total",
    )


def _tuples(members: Mapping[str, Any]) -> FrozenMap:
    return FrozenMap({name: tuple(values) for name, values in members.items()})


def _given_policy(given: Mapping[str, Any]) -> JobPolicy:
    retry, schedule = given["retry"], given["schedule"]
    return JobPolicy(
        mode=None if given["policy"] is None else PolicyMode(given["policy"]),
        timeout_seconds=given["timeout_seconds"],
        max_concurrency=given["max_concurrency"],
        retry=None
        if retry is None or (retry["enableRetry"] and "retryCount" not in retry)
        else RetrySchedule(
            enabled=retry["enableRetry"],
            count=retry.get("retryCount", 0),
            interval_minutes=retry.get("retryInterval"),
        ),
        schedule=None
        if schedule is None
        else JobSchedule(
            start_at=_instant_or_none(schedule.get("startTimestamp")),
            end_at=_instant_or_none(schedule.get("endTimestamp")),
            repeats_daily=schedule.get("isRepeatDaily"),
            utc_offset_minutes=schedule.get("timezoneOffsetInMinutes"),
        ),
        device_may_request=given["device_may_request"],
    )


def _policy(job: JobRecord) -> JobPolicy:
    if job.kind is JobKind.VERIFICATION:
        return JobPolicy(timeout_seconds=job.timeout_seconds, schedule=_schedule(job))
    mode = PolicyMode.INCREMENTAL if job.incremental else None if job.everything else PolicyMode.SNAPSHOT
    return JobPolicy(
        mode=mode,
        timeout_seconds=job.timeout_seconds,
        max_concurrency=job.max_concurrency,
        retry=RetrySchedule(count=job.retry_count, interval_minutes=job.retry_interval_minutes)
        if job.retry_count
        else None,
        schedule=_schedule(job),
        device_may_request=job.device_may_request,
    )


def _schedule(job: JobRecord) -> JobSchedule | None:
    if job.scheduled_at_ms is None:
        return None
    return JobSchedule(
        start_at=_instant(job.scheduled_at_ms),
        end_at=_instant(job.scheduled_at_ms + render.SCHEDULE_WINDOW_MS),
        repeats_daily=True,
        utc_offset_minutes=render.SCHEDULE_OFFSET_MINUTES,
    )


def _instant_or_none(epoch_ms: int | None) -> datetime | None:
    return None if epoch_ms is None else _instant(epoch_ms)


def _instant(epoch_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=epoch_ms)
