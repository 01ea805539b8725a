"""What the refusal of a repeated write says of an earlier one whose answer was lost.

The vendor publishes no codes for these refusals, so their HTTP status counts, and how things stand.

===================  =============================  ==================================================================
write                refusal of the repeat          what it says
===================  =============================  ==================================================================
jobs.delete          404                            there is no such task any more: done
firmware.delete      404                            there is no such package any more: done
modules.delete       404                            there is no such module any more: done
jobs.stop            400, 409                       done where the task is stopping or stopped, else it has ended so
jobs.start           400, 409                       done where the task runs, or has ended other than by being stopped
jobs.cancel_tasks    400, 409; or of devices, 200   done for the devices whose targets are stopped
jobs.retry_tasks     400, 409; or of devices, 200   done for those that wait, are in process, or have succeeded
jobs.confirm         400, 409; or of devices, 200   done for those that were stopped in no way
firmware.create      -                              never repeated: whether a version may be there twice is not known
jobs.create          -                              never repeated: names may be there twice
modules.create       -                              never repeated: no code says that there is such a module already
modules.update       -                              never repeated: somebody else's later change would be lost
===================  =============================  ==================================================================

Pure functions.

Source: Huawei Cloud IoTDA API reference, "Stop a Batch Task", "Retry a Batch Task", "Confirm a Batch Task", "Delete a
Batch Task".
"""

from collections.abc import Mapping
from typing import Final

from otaclient.models import JobStatus, TaskStatus
from otaclient_iotda.write_requests import Deed

__all__ = ["is_done", "is_done_to"]

_DONE: Final[Mapping[Deed, frozenset[JobStatus]]] = {
    "stop": frozenset({JobStatus.STOPPING, JobStatus.STOPPED}),
    "confirm": frozenset({JobStatus.RUNNING, JobStatus.SUCCEEDED, JobStatus.PARTIALLY_SUCCEEDED, JobStatus.FAILED}),
}
_DONE_TO: Final[Mapping[Deed, frozenset[TaskStatus]]] = {
    "stop": frozenset({TaskStatus.CANCELLED}),
    # One that waits for another attempt could be tried again now: that was not done.
    "retry": frozenset({TaskStatus.PENDING, TaskStatus.UPGRADING, TaskStatus.SUCCEEDED}),
    # One that waits may wait for its device: had it still waited for the confirmation, it would not have been refused.
    "confirm": frozenset(
        {TaskStatus.PENDING, TaskStatus.UPGRADING, TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.RETRYING}
    ),
}


def is_done(deed: Deed, status: JobStatus) -> bool:
    """Tell by the status of a task that refused it whether something was done to the whole of it."""
    return status in _DONE.get(deed, ())


def is_done_to(deed: Deed, status: TaskStatus) -> bool:
    """Tell by the status of a target that was refused whether something was done to it."""
    return status in _DONE_TO[deed]
