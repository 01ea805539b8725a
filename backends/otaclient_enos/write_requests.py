"""Builders of the requests that change something. The session repeats none of them after an unclear answer.

Sources: EnOS Connection Service, "V2.1 Create Firmware File", "V2.1 Delete Firmware File", "V2.1 Create OTA Job", "V2.1
Start OTA Job", "V2.1 Stop OTA Job", "V2.1 Delete OTA Job", "V2.1 Cancel Device Task", "V2.1 Retry Device Task".
"""

from collections.abc import Sequence

from otaclient.counted import counted
from otaclient.fingerprint import how_to_check
from otaclient.models import NewFirmware, NewJob
from otaclient.structuring import encode_json
from otaclient.transport.http import HttpRequest
from otaclient_enos.checks import checked_text
from otaclient_enos.multipart import MultipartBody
from otaclient_enos.new_jobs import job_fields
from otaclient_enos.requests import FIRMWARE_RESOURCE, JOB_RESOURCE, JSON_HEADERS, Organisation

__all__ = [
    "cancel_tasks",
    "create_firmware",
    "create_job",
    "delete_firmware",
    "delete_job",
    "retry_tasks",
    "start_job",
    "stop_job",
]


def create_firmware(organisation: Organisation, firmware: NewFirmware, body: MultipartBody) -> HttpRequest:
    """Build the request that uploads a firmware."""
    product_key = () if firmware.product_id is None else (("productKey", firmware.product_id),)
    return HttpRequest(
        operation="firmware.create",
        method="POST",
        path=organisation.path(FIRMWARE_RESOURCE),
        query=(("action", "create"), ("orgId", organisation.org_id), *product_key),
        headers={"Content-Type": body.content_type},
        content=body,
        idempotent=False,
        subject=f"the firmware of version {firmware.version!r}",
        how_to_check="look for its name and version with firmware.search before you create it again",
    )


def delete_firmware(organisation: Organisation, firmware_id: str) -> HttpRequest:
    """Build the request that deletes a firmware.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    checked_text(firmware_id, name="firmware_id")
    return HttpRequest(
        operation="firmware.delete",
        method="POST",
        path=organisation.path(FIRMWARE_RESOURCE),
        query=(("action", "delete"), ("orgId", organisation.org_id), ("firmwareId", firmware_id)),
        idempotent=False,
        subject=f"the deletion of firmware {firmware_id!r}",
        how_to_check="firmware.get finds it as long as it is there",
    )


def create_job(organisation: Organisation, job: NewJob, fingerprint: str | None = None) -> HttpRequest:
    """Build the request that creates a job, whose name ends with a fingerprint where there is one.

    Raises:
        InvalidQueryError: EnOS cannot do that; names the field, the rule and the remedy.
        UnsupportedOperationError: The job is to wait for a confirmation.
    """
    body = encode_json(job_fields(job, fingerprint))
    return HttpRequest(
        operation="jobs.create",
        method="POST",
        path=organisation.path(JOB_RESOURCE),
        query=(("action", "create"), ("orgId", organisation.org_id), ("firmwareId", job.firmware_ids[0])),
        headers=JSON_HEADERS,
        body=body,
        idempotent=False,
        subject=f"the job {job.name.default!r} with firmware {job.firmware_ids[0]!r}",
        how_to_check=how_to_check(fingerprint),
    )


def start_job(organisation: Organisation, job_id: str) -> HttpRequest:
    """Build the request that starts a job.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    return _on_job(organisation, "start", job_id, operation="jobs.start", deed="the start of")


def stop_job(organisation: Organisation, job_id: str) -> HttpRequest:
    """Build the request that stops a job.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    return _on_job(organisation, "stop", job_id, operation="jobs.stop", deed="the stop of")


def delete_job(organisation: Organisation, job_id: str) -> HttpRequest:
    """Build the request that deletes a job.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    return _on_job(organisation, "delete", job_id, operation="jobs.delete", deed="the deletion of")


def cancel_tasks(organisation: Organisation, job_id: str, device_keys: Sequence[str]) -> HttpRequest:
    """Build the request that cancels the upgrade of some devices.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    return _on_tasks(organisation, "cancelTask", job_id, device_keys, operation="jobs.cancel_tasks", deed="cancelling")


def retry_tasks(organisation: Organisation, job_id: str, device_keys: Sequence[str]) -> HttpRequest:
    """Build the request that tries some devices again.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    return _on_tasks(organisation, "retryTask", job_id, device_keys, operation="jobs.retry_tasks", deed="retrying")


def _on_job(organisation: Organisation, action: str, job_id: str, *, operation: str, deed: str) -> HttpRequest:
    checked_text(job_id, name="job_id")
    return HttpRequest(
        operation=operation,
        method="POST",
        path=organisation.path(JOB_RESOURCE),
        query=(("action", action), ("orgId", organisation.org_id), ("jobId", job_id)),
        idempotent=False,
        subject=f"{deed} job {job_id!r}",
        how_to_check="jobs.get shows where it stands",
    )


def _on_tasks(
    organisation: Organisation, action: str, job_id: str, device_keys: Sequence[str], *, operation: str, deed: str
) -> HttpRequest:
    checked_text(job_id, name="job_id")
    return HttpRequest(
        operation=operation,
        method="POST",
        path=organisation.path(JOB_RESOURCE),
        query=(("action", action), ("orgId", organisation.org_id), ("jobId", job_id)),
        headers=JSON_HEADERS,
        body=encode_json({"deviceKeys": list(device_keys)}),
        idempotent=False,
        subject=f"{deed} {counted(len(device_keys), 'device')} of job {job_id!r}",
        how_to_check="jobs.tasks shows where each of them stands",
    )
