"""What a job's tasks say about the job, and how its devices are named. Pure functions."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.models import DeviceTask, DeviceUpgrade, JobProgress, JobStatus, TaskStatus
from otaclient.protocols import DeviceReference
from otaclient_enos.requests import check_identifier

__all__ = ["COUNTED_IN_ORDER", "TaskCounts", "counts_of", "device_keys_of", "progress_from", "reasons_of"]

COUNTED_IN_ORDER: Final = (
    TaskStatus.PENDING,
    TaskStatus.PUBLISHED,
    TaskStatus.UPGRADING,
    TaskStatus.SUCCEEDED,
    TaskStatus.CANCELLED,
    TaskStatus.FAILED,
)
"""The statuses in which tasks of EnOS are, in the order in which a device goes through them.

Counted one after the other in this order, a device that moves on is counted twice rather than overlooked, so that no
job seems to have ended while a device is still under way.
"""

NO_REASON: Final = "(no reason given)"
"""Stands for the reason of failed devices of which the vendor says none."""


@attrs.frozen(kw_only=True)
class TaskCounts:
    """How many tasks of a job are in which status."""

    total: int
    by_status: Mapping[TaskStatus, int]

    @property
    def have_ended(self) -> bool:
        """Whether there are tasks, and all of them are known to have ended."""
        ended = sum(self.by_status.get(status, 0) for status in _ENDED)
        return self.total > 0 and ended == self.total and sum(self.by_status.values()) == self.total


_ENDED: Final = (TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED)


def counts_of(tasks: Sequence[DeviceTask]) -> TaskCounts:
    """Return how many of these tasks, which are all of the job, are in which status."""
    return TaskCounts(total=len(tasks), by_status=Counter(task.status for task in tasks))


def progress_from(job_status: JobStatus, counts: TaskCounts, *, as_of: datetime) -> JobProgress:
    """Return how far a job is.

    EnOS only says whether a job is started or stopped: that a started one has ended shows in its tasks. Devices to
    which the upgrade was pushed, but which have not begun, count as pending: until then they can be cancelled.
    """

    def count(*statuses: TaskStatus) -> int:
        return sum(counts.by_status.get(status, 0) for status in statuses)

    succeeded = count(TaskStatus.SUCCEEDED)
    status = job_status
    if job_status is JobStatus.RUNNING and counts.have_ended:
        others = JobStatus.PARTIALLY_SUCCEEDED if succeeded else JobStatus.FAILED
        status = JobStatus.SUCCEEDED if succeeded == counts.total else others
    return JobProgress(
        status=status,
        total=counts.total,
        pending=count(TaskStatus.PENDING, TaskStatus.PUBLISHED),
        upgrading=count(TaskStatus.UPGRADING),
        succeeded=succeeded,
        failed=count(TaskStatus.FAILED),
        cancelled=count(TaskStatus.CANCELLED),
        as_of=as_of,
    )


def reasons_of(tasks: Iterable[DeviceTask]) -> Counter[str]:
    """Return how many of these failed tasks failed for which reason, in the vendor's words."""
    return Counter((task.failure.message if task.failure else None) or NO_REASON for task in tasks)


def device_keys_of(devices: Sequence[DeviceReference], *, job_id: str) -> tuple[str, ...]:
    """Return the deviceKeys of some devices of a job, each once.

    Raises:
        InvalidQueryError: The list is empty or no list; a record names no deviceKey, or belongs to another job.
    """
    given: Any = devices
    if isinstance(given, str | DeviceTask | DeviceUpgrade) or not isinstance(given, Sequence):
        raise InvalidQueryError(f"devices is {_shown(given)}: give a list of devices")
    if not given:
        raise InvalidQueryError("devices is an empty list: name at least one device")
    return tuple(dict.fromkeys(_device_key(device, job_id) for device in devices))


def _device_key(device: Any, job_id: str) -> str:
    if isinstance(device, DeviceTask) and device.job_id != job_id:
        raise InvalidQueryError(f"devices holds a task of job {device.job_id!r}, not of {job_id!r}")
    if not isinstance(device, DeviceTask | DeviceUpgrade):
        return check_identifier(device, name="devices")
    if device.device_key is None:
        raise InvalidQueryError(
            f"devices holds the record of {device.device_id!r} without a device_key, by which EnOS jobs name devices: "
            "give that text"
        )
    return device.device_key


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else f"a {type(value).__name__}"
