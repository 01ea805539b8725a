"""What the refusal of a repeated write says of an earlier one whose answer was lost.

=================  ===================  ==============================================================================
write              code of the repeat   what it says
=================  ===================  ==============================================================================
jobs.start         24615                it is started: done
jobs.stop          24616                it is stopped: done
jobs.delete        24404, 99404         there is no such job any more: done
firmware.delete    24404, 99404         there is no such firmware any more: done
jobs.cancel_tasks  24617, 24620         a device cannot be cancelled: done where all of them are cancelled, else not
jobs.retry_tasks   24617, 24621         a device has not failed: done where none of them has, else not
firmware.create    24601, 24602         the product has this version, or name: done where size and digest are the same
jobs.create        -                    never repeated: no code says that there is such a job already
=================  ===================  ==============================================================================

Any other code is what it is: code 24618 says that a job was not deleted, as it runs.

Sources: EnOS Connection Service, the error tables of the pages of these operations.
"""

from collections.abc import Collection, Mapping
from typing import Final

from otaclient.models import DeviceTask, TaskStatus

__all__ = ["EXISTS_ALREADY", "SAYS_DONE", "TASKS_TELL", "VERSION_EXISTS", "are_done"]

_GONE: Final = frozenset({"24404", "99404"})

SAYS_DONE: Final[Mapping[str, frozenset[str]]] = {
    "jobs.start": frozenset({"24615"}),
    "jobs.stop": frozenset({"24616"}),
    "jobs.delete": _GONE,
    "firmware.delete": _GONE,
}
"""The codes by which the vendor says that what was asked for has been done."""

TASKS_TELL: Final[Mapping[str, frozenset[str]]] = {
    "jobs.cancel_tasks": frozenset({"24617", "24620"}),
    "jobs.retry_tasks": frozenset({"24617", "24621"}),
}
"""The codes after which the tasks of the devices tell whether it has been done."""

VERSION_EXISTS: Final = "24601"
"""The code by which the vendor says that a product has a firmware of this version."""

EXISTS_ALREADY: Final = frozenset({VERSION_EXISTS, "24602"})
"""The codes by which the vendor says that a product has such a firmware."""

_FAILED: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})


def are_done(operation: str, tasks: Collection[DeviceTask], device_keys: Collection[str]) -> bool:
    """Tell by the tasks of some devices whether all of them were cancelled, or tried again: EnOS does all, or none.

    A device that has failed anew since it was tried again looks like one that was not.
    """
    if {task.device_key for task in tasks} != set(device_keys):
        return False
    if operation == "jobs.cancel_tasks":
        return all(task.status is TaskStatus.CANCELLED for task in tasks)
    return all(task.status not in _FAILED for task in tasks)
