"""What a correct client reports of the simulated fleet through EnOS: made from the fleet, never from the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Final

from otaclient.emulator import DeviceTable, FirmwareRecord, JobRecord
from otaclient.models import (
    Checksum,
    DeviceId,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FirmwareKind,
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
    Verification,
)
from otaclient_enos.emulator import render

__all__ = ["device_upgrades", "firmware_of", "job_of"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


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
    uses_md5 = render.row_variety(record.firmware_id) % 2 == 0
    return Firmware(
        backend=label,
        firmware_id=FirmwareId(record.firmware_id),
        version=record.version,
        kind=FirmwareKind.FIRMWARE,
        product_id=record.product_id if record.product_shown else None,
        owner_id=org_id,
        name=LocalizedText(default=record.name, translations=record.translations),
        description=record.description,
        checksum=Checksum(algorithm="md5" if uses_md5 else "sha256", value=record.md5 if uses_md5 else record.sha256),
        size_bytes=record.size_bytes,
        location=render.file_url(record),
        verification=Verification(
            required=record.verification_required,
            verified=record.verified,
            max_devices=record.max_verification_devices if record.verification_required else None,
            min_successes=record.min_verified_successes if record.verification_required else None,
        ),
        tags=record.tags,
        created_at=_instant(record.created_at_ms),
    )


def job_of(job: JobRecord, firmware: FirmwareRecord, table: DeviceTable, *, label: str, org_id: str) -> Job:
    """Return the job as the search operation shows it."""
    verifies = job.kind is JobKind.VERIFICATION
    status = render.job_status(job)
    return Job(
        backend=label,
        job_id=JobId(job.job_id),
        status=JobStatus.RUNNING if status == "started" else JobStatus.STOPPED,
        vendor_status=status,
        name=None if verifies else LocalizedText(default=job.name, translations=job.translations),
        kind=job.kind,
        vendor_kind="verify" if verifies else "upgrade",
        firmware_kind=FirmwareKind.FIRMWARE,
        owner_id=org_id,
        product_id=job.product_id if firmware.product_shown else None,
        firmware_ids=(FirmwareId(firmware.firmware_id),),
        firmware_version=firmware.version,
        firmware_name=LocalizedText(default=firmware.name, translations=firmware.translations),
        scope=JobScope(
            devices=() if job.everything else tuple(table.key(row) for row in job.targets),
            source_versions=job.source_versions,
            everything=job.everything,
        ),
        policy=_policy(job),
        created_at=_instant(job.created_at_ms),
        extra=render.unlisted_members(job),
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


def _instant(epoch_ms: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=epoch_ms)
