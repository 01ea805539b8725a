"""How a caller names some devices of a job, whatever the vendor then calls them. Pure functions."""

from collections.abc import Sequence
from typing import Any

from otaclient.errors import InvalidQueryError
from otaclient.models import DeviceTask, DeviceUpgrade
from otaclient.protocols import DeviceReference

__all__ = ["checked_references"]


def checked_references(devices: Sequence[DeviceReference], *, job_id: str) -> Sequence[DeviceReference]:
    """Return some devices of a job as they were named; what a text among them must look like, the vendor says.

    Raises:
        InvalidQueryError: The list is empty or no list, or a task in it belongs to another job.
    """
    given: Any = devices
    if isinstance(given, str | DeviceTask | DeviceUpgrade) or not isinstance(given, Sequence):
        shown = repr(given) if isinstance(given, str) else f"a {type(given).__name__}"
        raise InvalidQueryError(f"devices is {shown}: give a list of devices")
    if not devices:
        raise InvalidQueryError(
            "devices is an empty list: name at least one device; jobs.start and jobs.stop are for all of a job"
        )
    for device in devices:
        if isinstance(device, DeviceTask) and device.job_id != job_id:
            raise InvalidQueryError(f"devices holds a task of job {device.job_id!r}, not of {job_id!r}")
    return devices
