"""The operations on jobs and their tasks.

Sources: EnOS Connection Service, "V2.1 Create OTA Job", "V2.1 Get OTA Job", "V2.1 Search OTA Job", "V2.1 Start OTA
Job", "V2.1 Stop OTA Job", "V2.1 Delete OTA Job", "V2.1 Search Device Task", "V2.1 Cancel Device Task", "V2.1 Retry
Device Task".
"""

from collections.abc import Mapping
from typing import Final

from otaclient.emulator import JobRecord
from otaclient.emulator.refusals import (
    JobRunningError,
    JobStartedError,
    JobStoppedError,
    TaskStateError,
    TooManyVersionsError,
)
from otaclient.models import JobStatus, TaskStatus
from otaclient_enos.emulator import filters, render, tasks
from otaclient_enos.emulator.calls import SERVICE_FAILURE, Action, Answer, Call, Service, parsed, searched
from otaclient_enos.emulator.members import Members
from otaclient_enos.emulator.new_job import job_definition
from otaclient_enos.emulator.requests import RefusalError, json_object, search_of

__all__ = ["ACTIONS", "CREATE_STARTS_JOB"]

# Whether creating a job starts it is not documented. Samples of 2.2 and 2.3 show ``startAfterCreate: true`` beside
# ``status: "started"``, and the console offers it; the vendor's Java sample calls start by itself.
CREATE_STARTS_JOB: Final = True

_HAS_STARTED: Final = RefusalError(24615, "Job has started")
_HAS_STOPPED: Final = RefusalError(24616, "Job has stopped")
_NOT_RUNNING: Final = RefusalError(24617, "Job not running")
_RUNNING: Final = RefusalError(24618, "Not allowed to delete running job")
_NOT_CANCELLABLE: Final = RefusalError(24620, "Only init or published tasks can be canceled")
_NOT_RETRYABLE: Final = RefusalError(24621, "Only failed tasks can be retried")

# Those that the wire calls init or published, and those that it calls failed.
_CANCELLABLE: Final = frozenset({TaskStatus.PENDING, TaskStatus.RETRYING, TaskStatus.PUBLISHED})
_RETRYABLE: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})
_DELETABLE: Final = frozenset({JobStatus.STOPPED, JobStatus.STOPPING})


def _create(service: Service, call: Call) -> Answer:
    firmware = service.firmware_named(call.query)
    engine = service.server.engine
    order = job_definition(call.body).order(firmware, engine=engine, started=service.create_starts_job)
    try:
        return Answer({"jobId": engine.create(order).job_id})
    except TooManyVersionsError as error:
        raise SERVICE_FAILURE from error


def _get(service: Service, call: Call) -> Answer:
    job, firmware = service.job_named(call.query)
    return Answer(render.job_info(job, firmware, service.server.fleet.devices, service.org_id, searched=False))


def _search(service: Service, call: Call) -> Answer:
    devices = service.server.fleet.devices
    records = [
        render.job_info(job, firmware, devices, service.org_id, searched=True) for job, firmware in service.jobs()
    ]
    return searched(call, filters.JOB_FIELDS, records)


def _start(service: Service, call: Call) -> Answer:
    job, _ = service.job_named(call.query)
    json_object(call.body)
    try:
        service.server.engine.resume(job.job_id)
    except JobStartedError as error:
        raise _HAS_STARTED from error
    return Answer(None)


def _stop(service: Service, call: Call) -> Answer:
    job, _ = service.job_named(call.query)
    json_object(call.body)
    try:
        # Of the devices nothing is documented: those that were told finish, the others wait until the job is started.
        service.server.engine.pause(job.job_id)
    except JobStoppedError as error:
        raise _HAS_STOPPED from error
    return Answer(None)


def _delete(service: Service, call: Call) -> Answer:
    job, _ = service.job_named(call.query)
    json_object(call.body)
    try:
        service.server.engine.delete(job.job_id, when=_DELETABLE)
    except JobRunningError as error:
        raise _RUNNING from error
    return Answer(None)


# --- tasks -----------------------------------------------------------------------------------------------------------


def _search_task(service: Service, call: Call) -> Answer:
    expression, page = search_of(call.body)
    node = parsed(expression, filters.TASK_FIELDS)
    rows, total = tasks.found(service, node, start=page.start, stop=page.start + page.size)
    return Answer(rows, page, total)


def _cancel_task(service: Service, call: Call) -> Answer:
    job, positions = _chosen(service, call)
    try:
        service.server.engine.cancel_tasks(job.job_id, positions, from_states=_CANCELLABLE)
    except TaskStateError as error:
        raise _NOT_CANCELLABLE from error
    return Answer(None)


def _retry_task(service: Service, call: Call) -> Answer:
    job, positions = _chosen(service, call)
    try:
        service.server.engine.retry_tasks(job.job_id, positions, from_states=_RETRYABLE)
    except TaskStateError as error:
        raise _NOT_RETRYABLE from error
    return Answer(None)


def _chosen(service: Service, call: Call) -> tuple[JobRecord, list[int]]:
    """The job, and the tasks of the devices that the body names. All are cancelled or retried, or none is."""
    job, _ = service.job_named(call.query)
    members = Members(json_object(call.body))
    members.must("deviceKeys")
    keys = members.texts("deviceKeys")
    if not keys:
        members.refuse("deviceKeys", "it is empty")
    if render.job_status(job) == "stopped":
        raise _NOT_RUNNING
    positions: list[int] = []
    for key in dict.fromkeys(keys):
        row = service.server.fleet.devices.row_of_key(key)
        position = None if row is None else job.position_of(row)
        if position is None:
            # Not documented; a task of that device does not exist in the job.
            members.refuse("deviceKeys", f"the job has no task of {key}")
        positions.append(position)
    return job, positions


ACTIONS: Final[Mapping[str, Action]] = {
    "create": Action("jobs.create", "POST", _create),
    "get": Action("jobs.get", "GET", _get),
    "search": Action("jobs.search", "POST", _search),
    "start": Action("jobs.start", "POST", _start),
    "stop": Action("jobs.stop", "POST", _stop),
    "delete": Action("jobs.delete", "POST", _delete),
    "searchTask": Action("jobs.tasks", "POST", _search_task),
    "cancelTask": Action("jobs.cancel_tasks", "POST", _cancel_task),
    "retryTask": Action("jobs.retry_tasks", "POST", _retry_task),
}
