"""The tasks of jobs as the wire has them.

Source: EnOS Connection Service, "V2.1 Search Device Task".
"""

from collections.abc import Iterable, Iterator
from typing import Any, Final

import attrs

from otaclient.emulator import FirmwareRecord, JobRecord
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.records import TASK_STATUSES
from otaclient_enos.emulator.calls import Service
from otaclient_enos.emulator.filters import Node
from otaclient_enos.emulator.selection import STATUS_WORDS, description

__all__ = ["TaskRow", "found", "task_rows"]

# What devices report as progress when they fail, by the vendor's device library; -1 says nothing in particular.
_FAILED_PROGRESS: Final = {"download_failed": -2, "integrity_failed": -3, "writing_failed": -4, "ignored": -5}
_UNDEFINED_PROGRESS: Final = -1


@attrs.frozen(kw_only=True)
class TaskRow:
    """One task in the words of the service."""

    job: JobRecord
    firmware: FirmwareRecord
    position: int
    row: int
    status: str
    from_version: str | None
    progress: int
    description: str | None
    updated_at_ms: int


def task_rows(
    service: Service, job: JobRecord, firmware: FirmwareRecord, positions: Iterable[int]
) -> Iterator[TaskRow]:
    """Yield the tasks at these positions."""
    fleet, engine = service.server.fleet, service.server.engine
    texts = fleet.devices.version_texts(job.firmware_kind)
    for position in positions:
        status = STATUS_WORDS[TASK_STATUSES[job.task_states[position]]]
        remark = fleet.remarks[job.remarks[position]]
        version = job.from_versions[position]
        yield TaskRow(
            job=job,
            firmware=firmware,
            position=position,
            row=job.targets[position],
            status=status,
            from_version=None if version == ABSENT else texts[version],
            progress=_FAILED_PROGRESS.get(remark.name, _UNDEFINED_PROGRESS)
            if status == "failed"
            else engine.progress_percent(job, position),
            description=description(remark),
            updated_at_ms=job.changed_at_ms[position],
        )


def _task_info(task: TaskRow, service: Service) -> dict[str, Any]:
    """The TaskInfo struct of a task."""
    devices = service.server.fleet.devices
    return {
        "taskId": task.job.task_id(task.position),
        "orgId": service.org_id,
        "assetId": devices.serial(task.row),
        "productKey": devices.product_id(task.row),
        "deviceKey": devices.key(task.row),
        "jobId": task.job.job_id,
        "fromVersion": task.from_version,
        "toVersion": task.firmware.version,
        "progress": task.progress,
        "desc": task.description,
        "status": task.status,
        "updateTime": task.updated_at_ms,
    }


def found(service: Service, node: Node | None, *, start: int, stop: int) -> tuple[list[dict[str, Any]], int]:
    """Return the TaskInfo structs from ``start`` up to and without ``stop``, and how many tasks match in all.

    The order of tasks is not documented: here those of the newest job come first, each job's in the order in which
    its devices joined.
    """
    rows: list[dict[str, Any]] = []
    total = 0
    for job, firmware in service.jobs():
        positions = service.selections.matching(job, firmware, node)
        window = positions[max(start - total, 0) : max(stop - total, 0)]
        rows.extend(_task_info(task, service) for task in task_rows(service, job, firmware, window))
        total += len(positions)
    return rows, total
