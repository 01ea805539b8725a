"""Batch tasks and their details, as the wire has them.

The tasks of a generated fleet try what a client has to live with: missing and null fields, and fields that nobody
knows. Which task is how depends on its place at the start. A task that was created through the API is shown as it was
given.

Source: Huawei Cloud IoTDA, "Query the Batch Task List", "Query a Batch Task".
"""

import re
from typing import Final

from otaclient.emulator import Fleet, JobRecord
from otaclient.emulator.records import TASK_STATUSES
from otaclient.models import JobStatus
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.failures import failure_of, output_of
from otaclient_iotda.emulator.filters import wire_time
from otaclient_iotda.emulator.packages import package_id

__all__ = ["ALL_FAILED", "TaskBook", "target_progress", "task_name"]

INITIALIZING_MS: Final = 500
"""How long a new task is being prepared, unless something happens to it first. The vendor names the state, and not how
long it lasts: our choice."""
ALL_FAILED: Final = "All subtasks failed."
"""Our wording of what a failed task says of itself."""

_NO_TASK_NAME = re.compile(r"[^\w]+")
_PROGRESS_FIELD: Final = {
    "Processing": "processing",
    "Success": "success",
    "Fail": "fail",
    "Waitting": "waitting",
    "FailWaitRetry": "fail_wait_retry",
    "Stopped": "stopped",
    "Removed": "removed",
}


def task_name(job: JobRecord) -> str:
    """Return a job's name in the characters that the vendor allows in one."""
    return _NO_TASK_NAME.sub("_", job.name)


def target_progress(job: JobRecord) -> dict[str, int]:
    """Return how many targets of a job are in each state, by the vendor's field names."""
    progress = dict.fromkeys(_PROGRESS_FIELD.values(), 0)
    for index, status in enumerate(TASK_STATUSES):
        progress[_PROGRESS_FIELD[render.DETAIL_STATUS[status]]] += job.task_states.count(index)
    return progress


class TaskBook:
    """The batch tasks of one fleet on the wire."""

    def __init__(self, fleet: Fleet, devices: render.DeviceRows) -> None:
        self._fleet = fleet
        self._devices = devices
        self._numbers = {job.job_id: number for number, job in enumerate(fleet.jobs)}

    def number(self, job: JobRecord) -> int | None:
        """Return the place of a generated job at the start; ``None`` for one that was created since."""
        return self._numbers.get(job.job_id)

    def status(self, job: JobRecord, *, now_ms: int) -> str:
        """Return the state of a task on the wire."""
        young = now_ms < job.created_at_ms + INITIALIZING_MS
        if (
            job.vendor is not None
            and young
            and not job.revision
            and job.status in {JobStatus.PENDING, JobStatus.RUNNING}
        ):
            return render.TASK_STATUS[JobStatus.UNKNOWN]
        return render.TASK_STATUS[job.status]

    def task(self, job: JobRecord, *, now_ms: int) -> dict[str, object]:
        """Return a batch task, the same in the list and alone."""
        task: dict[str, object] = {
            "task_id": job.job_id,
            "task_name": task_name(job),
            "task_type": render.TASK_TYPE[job.firmware_kind],
            "status": self.status(job, now_ms=now_ms),
            "task_progress": {"total": len(job.targets), **target_progress(job)},
            "create_time": wire_time(job.created_at_s),
        }
        if job.status is JobStatus.FAILED:
            task["status_desc"] = ALL_FAILED
        if job.group_ids:
            task["targets_filter"] = {"group_ids": list(job.group_ids)}
        else:
            task["targets"] = list(map(self._devices.device_id, job.targets))
        return {**task, **(self._generated(job) if job.vendor is None else job.vendor)}

    def _generated(self, job: JobRecord) -> dict[str, object]:
        number = self._numbers[job.job_id]
        known = [self._fleet.known_firmware(firmware_id) for firmware_id in job.firmware_ids]
        packages = [package_id(record) for record in known if record is not None]
        # The newer documents say `package_ids`, the older ones `package_id`.
        document: dict[str, object] = {"package_id": packages[0]} if number % 3 == 2 else {"package_ids": packages}
        more: dict[str, object] = {"document": document}
        if number % 4 == 1:  # as older services answer; it is 0 there
            progress = {name: count for name, count in target_progress(job).items() if name != "removed"}
            more["task_progress"] = {"total": len(job.targets), **progress}
        if number % 2:
            more["need_confirm"] = False
        if policy := _task_policy(job):
            more["task_policy"] = policy
        elif number % 3:
            more["task_policy"] = None
        if number % 5 == 0:
            more["task_ext_info"] = {"note": "emulated"}
        if number % 6 == 2:
            more["emulated_field"] = [number]
        return more

    def detail(self, job: JobRecord, position: int) -> dict[str, object]:
        """Return what a task does on one of its targets."""
        status = render.DETAIL_STATUS[TASK_STATUSES[job.task_states[position]]]
        remark = self._fleet.remarks[job.remarks[position]]
        detail: dict[str, object] = {"target": self._devices.device_id(job.targets[position]), "status": status}
        output = output_of(remark)
        if output:
            detail["output"] = output
        elif position % 3:
            detail["output"] = "" if position % 3 == 1 else None
        if status in {"Fail", "FailWaitRetry"}:
            detail["error"] = failure_of(remark)
        return detail


def _task_policy(job: JobRecord) -> dict[str, object]:
    policy: dict[str, object] = {}
    if job.scheduled_at_ms is not None:
        policy["schedule_time"] = wire_time(job.scheduled_at_ms // 1000)
    if job.retry_count:
        policy |= {"retry_count": job.retry_count, "retry_interval": job.retry_interval_minutes}
    return policy
