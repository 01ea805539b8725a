"""What the client ought to report of the simulated fleet, made from the fleet and not from the wire."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from otaclient.emulator import FirmwareRecord, Fleet, JobRecord
from otaclient.emulator.records import TASK_STATUSES
from otaclient.models import (
    Checksum,
    DeviceId,
    DeviceTask,
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
    TaskFailure,
    TaskStatus,
)
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.failures import failure_of
from otaclient_iotda.emulator.packages import BUCKET, object_key, package_id
from otaclient_iotda.emulator.task_records import ALL_FAILED, TaskBook, task_name

__all__ = ["devices", "firmware", "jobs", "tasks"]


def devices(fleet: Fleet, label: str) -> Iterator[DeviceUpgrade]:
    """Yield every device as the device list shows it, newest first: whether it is being upgraded, no list says."""
    table = fleet.devices
    owners = {product_id: render.app_id(fleet, product_id) for product_id in table.product_ids}
    for row in reversed(table.listing):
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


def firmware(fleet: Fleet, records: Sequence[FirmwareRecord], label: str, *, located: bool) -> Iterator[Firmware]:
    """Yield every firmware, newest first: as the list shows it, or ``located``, with its file's digest and place."""
    for record in reversed(records):
        place = _place(record) if located else dict[str, str]()
        sign = place.get("sign")
        yield Firmware(
            backend=label,
            firmware_id=FirmwareId(package_id(record)),
            version=record.version,
            kind=record.kind,
            vendor_kind=render.PACKAGE_TYPE[record.kind],
            product_id=record.product_id,
            owner_id=render.app_id(fleet, record.product_id),
            source_versions=record.source_versions,
            description=record.description,
            checksum=None if sign is None else Checksum(algorithm="sha256", value=sign),
            location=f"obs://{place['bucket_name']}/{place['object_key']}" if place else None,
            custom_info=record.custom_info,
            created_at=_instant(record.created_at_s),
        )


def _place(record: FirmwareRecord) -> Mapping[str, str]:
    if record.vendor is None:
        return {"bucket_name": BUCKET, "object_key": object_key(record), "sign": record.sha256}
    place: Mapping[str, str] = record.vendor["obs_location"]
    return place


def jobs(fleet: Fleet, records: Sequence[JobRecord], book: TaskBook, label: str, *, now_ms: int) -> Iterator[Job]:
    """Yield every job as the batch task list shows it, newest first."""
    for job in reversed(records):
        number = book.number(job)
        known = [record for record in map(fleet.known_firmware, job.firmware_ids) if record is not None]
        word = book.status(job, now_ms=now_ms)
        # A task that is being prepared has not begun.
        status = JobStatus.PENDING if word == render.TASK_STATUS[JobStatus.UNKNOWN] else job.status
        yield Job(
            backend=label,
            job_id=JobId(job.job_id),
            status=status,
            vendor_status=word,
            status_description=ALL_FAILED if job.status is JobStatus.FAILED else None,
            name=LocalizedText(default=task_name(job)),
            kind=JobKind.UPGRADE,
            vendor_kind=render.TASK_TYPE[job.firmware_kind],
            firmware_kind=job.firmware_kind,
            firmware_ids=tuple(FirmwareId(package_id(record)) for record in known),
            scope=_scope(fleet, job),
            policy=_generated_policy(job, number) if job.vendor is None else _given_policy(job, job.vendor),
            progress=_progress(job, status, counts_removed=number is None or number % 4 != 1),
            created_at=_instant(job.created_at_s),
        )


def tasks(fleet: Fleet, job: JobRecord, label: str) -> Iterator[DeviceTask]:
    """Yield what a job does on each of its devices, the newest record first: the last target."""
    table = fleet.devices
    for position in reversed(range(len(job.targets))):
        row, state = job.targets[position], TASK_STATUSES[job.task_states[position]]
        word = render.DETAIL_STATUS[state]
        failed = word in {"Fail", "FailWaitRetry"}
        said = failure_of(fleet.remarks[job.remarks[position]]) if failed else {}
        yield DeviceTask(
            backend=label,
            job_id=JobId(job.job_id),
            device_id=DeviceId(f"{table.product_id(row)}_{table.key(row)}"),
            # The vendor tells "pushed" and "upgrading" apart no more than this: both are being processed.
            status=TaskStatus.UPGRADING if word == "Processing" else state,
            vendor_status=word,
            failure=TaskFailure(message=said["error_msg"], code=said["error_code"]) if failed else None,
        )


def _scope(fleet: Fleet, job: JobRecord) -> JobScope:
    if job.group_ids:
        return JobScope(groups=job.group_ids)
    table = fleet.devices
    return JobScope(devices=tuple(f"{table.product_id(row)}_{table.key(row)}" for row in job.targets))


def _generated_policy(job: JobRecord, number: int | None) -> JobPolicy:
    retry = (
        RetrySchedule(count=job.retry_count, interval_minutes=job.retry_interval_minutes) if job.retry_count else None
    )
    # The wire knows whole seconds only.
    scheduled = None if job.scheduled_at_ms is None else JobSchedule(start_at=_instant(job.scheduled_at_ms // 1000))
    return JobPolicy(retry=retry, schedule=scheduled, hold=False if number is not None and number % 2 else None)


def _given_policy(job: JobRecord, given: Mapping[str, Any]) -> JobPolicy:
    policy = given.get("task_policy", {})
    retry = (
        RetrySchedule(count=job.retry_count, interval_minutes=job.retry_interval_minutes)
        if policy.get("retry_count") is not None
        else None
    )
    scheduled = None if job.scheduled_at_ms is None else JobSchedule(start_at=_instant(job.scheduled_at_ms // 1000))
    return JobPolicy(retry=retry, schedule=scheduled, hold=given.get("need_confirm"))


def _progress(job: JobRecord, status: JobStatus, *, counts_removed: bool) -> JobProgress:
    counts = job.task_counts()
    return JobProgress(
        status=status,
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
