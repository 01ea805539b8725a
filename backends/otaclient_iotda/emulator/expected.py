"""What the client ought to report of the simulated fleet, made from the fleet and not from the wire."""

from collections.abc import Iterator
from datetime import UTC, datetime

from otaclient.emulator import Fleet, JobRecord
from otaclient.models import (
    Checksum,
    DeviceId,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
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
    TaskStatus,
)
from otaclient_iotda.emulator import render

__all__ = ["devices", "firmware", "jobs"]


def devices(fleet: Fleet, label: str) -> Iterator[DeviceUpgrade]:
    """Yield every device as the device list shows it, newest first: whether it is being upgraded, no list says."""
    table = fleet.devices
    owners = {product_id: render.app_id(fleet, product_id) for product_id in table.product_ids}
    for row in reversed(range(len(table))):
        product_id, connection = table.product_id(row), table.connection(row)
        yield DeviceUpgrade(
            backend=label,
            device_id=DeviceId(f"{product_id}_{table.key(row)}"),
            device_key=table.key(row),
            product_id=product_id,
            owner_id=owners[product_id],
            firmware_version=table.firmware_version(row),
            software_version=table.software_version(row),
            upgrading=None,
            connection=connection,
            vendor_connection=connection.value.upper(),
        )


def firmware(fleet: Fleet, label: str, *, located: bool) -> Iterator[Firmware]:
    """Yield every firmware, newest first: as the list shows it, or ``located``, with its file's digest and place."""
    for number in reversed(range(len(fleet.firmware))):
        record = fleet.firmware[number]
        yield Firmware(
            backend=label,
            firmware_id=FirmwareId(render.package_id(record)),
            version=record.version,
            kind=record.kind,
            vendor_kind=render.PACKAGE_TYPE[record.kind],
            product_id=record.product_id,
            owner_id=render.app_id(fleet, record.product_id),
            source_versions=record.source_versions,
            description=record.description,
            checksum=Checksum(algorithm="sha256", value=record.sha256) if located else None,
            location=f"obs://{render.BUCKET}/{render.object_key(record)}" if located else None,
            custom_info=record.custom_info,
            created_at=_instant(record.created_at_s),
        )


def jobs(fleet: Fleet, label: str) -> Iterator[Job]:
    """Yield every job as the batch task list shows it, newest first."""
    for number in reversed(range(len(fleet.jobs))):
        job = fleet.jobs[number]
        known = [record for record in map(fleet.firmware_record, job.firmware_ids) if record is not None]
        yield Job(
            backend=label,
            job_id=JobId(job.job_id),
            status=job.status,
            vendor_status=render.TASK_STATUS[job.status],
            status_description="All subtasks failed." if job.status is JobStatus.FAILED else None,
            name=LocalizedText(default=render.task_name(job)),
            kind=JobKind.UPGRADE,
            vendor_kind=render.TASK_TYPE[job.firmware_kind],
            firmware_kind=job.firmware_kind,
            firmware_ids=tuple(FirmwareId(render.package_id(record)) for record in known),
            scope=_scope(fleet, job),
            policy=_policy(job, held=False if number % 2 else None),
            progress=_progress(job, counts_removed=number % 4 != 1),
            created_at=_instant(job.created_at_s),
        )


def _scope(fleet: Fleet, job: JobRecord) -> JobScope:
    if job.group_ids:
        return JobScope(groups=job.group_ids)
    table = fleet.devices
    return JobScope(devices=tuple(f"{table.product_id(row)}_{table.key(row)}" for row in job.targets))


def _policy(job: JobRecord, *, held: bool | None) -> JobPolicy:
    retry = (
        RetrySchedule(count=job.retry_count, interval_minutes=job.retry_interval_minutes) if job.retry_count else None
    )
    # The wire knows whole seconds only.
    scheduled = None if job.scheduled_at_ms is None else JobSchedule(start_at=_instant(job.scheduled_at_ms // 1000))
    return JobPolicy(retry=retry, schedule=scheduled, hold=held)


def _progress(job: JobRecord, *, counts_removed: bool) -> JobProgress:
    counts = job.task_counts()
    return JobProgress(
        status=job.status,
        total=len(job.targets),
        pending=counts.get(TaskStatus.PENDING, 0),
        # The vendor tells "pushed" and "upgrading" apart no more than this: both are being processed.
        upgrading=counts.get(TaskStatus.PUBLISHED, 0) + counts.get(TaskStatus.UPGRADING, 0),
        succeeded=counts.get(TaskStatus.SUCCEEDED, 0),
        failed=counts.get(TaskStatus.FAILED, 0),
        retrying=counts.get(TaskStatus.RETRYING, 0),
        cancelled=counts.get(TaskStatus.CANCELLED, 0),
        removed=counts.get(TaskStatus.REMOVED, 0) if counts_removed else None,
    )


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
