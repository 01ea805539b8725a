"""What a job's tasks say about the job, and how its devices are named. Pure functions."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import attrs

from otaclient.device_references import checked_references
from otaclient.errors import InvalidQueryError
from otaclient.models import DeviceTask, DeviceUpgrade, JobProgress, JobStatus, TaskStatus
from otaclient.protocols import DeviceReference
from otaclient_enos.checks import checked_text

__all__ = ["COUNTED_IN_ORDER", "TaskCounts", "counts_of", "device_keys_of", "progress_from"]

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


def device_keys_of(devices: Sequence[DeviceReference], *, job_id: str) -> tuple[str, ...]:
    """Return the deviceKeys of some devices of a job, each once.

    Raises:
        InvalidQueryError: The list is empty or no list; a record names no deviceKey, or belongs to another job.
    """
    return tuple(dict.fromkeys(map(_device_key, checked_references(devices, job_id=job_id))))


def _device_key(device: DeviceReference) -> str:
    if not isinstance(device, DeviceTask | DeviceUpgrade):
        return checked_text(device, name="devices")
    if device.device_key is None:
        raise InvalidQueryError(
            f"devices holds the record of {device.device_id!r} without a device_key, by which EnOS jobs name devices: "
            "give that text"
        )
    return device.device_key
