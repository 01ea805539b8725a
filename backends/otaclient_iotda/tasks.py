"""How the devices of a job are named, and what the vendor says of each when it is asked to act. Pure functions."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import attrs

from otaclient.counted import counted
from otaclient.device_references import checked_references
from otaclient.models import DeviceId, DeviceTask, DeviceUpgrade, Job, JobProgress
from otaclient.protocols import DeviceReference
from otaclient_iotda import checks, wire
from otaclient_iotda.records import TargetOutcome, TargetsRefusedError

__all__ = [
    "check_accepted",
    "device_ids_of",
    "in_parts",
    "interrupted",
    "outcomes_from",
    "progress_from",
]

MOST_TARGETS_AT_ONCE: Final = 100
"""How many devices one stop, retry or confirm may name."""

_ACCEPTED: Final = "success"
_UNMENTIONED: Final = "the answer says nothing of this device, but of others"
# A message is for people; all outcomes are with the error.
_SHOWN: Final = 10


def progress_from(job: Job, *, as_of: datetime) -> JobProgress:
    """Return how far a job is, as the vendor reports it."""
    progress = job.progress or JobProgress(status=job.status)
    return attrs.evolve(progress, as_of=as_of)


def device_ids_of(devices: Sequence[DeviceReference], *, job_id: str) -> tuple[DeviceId, ...]:
    """Return the device ids of some devices of a job, each once.

    Raises:
        InvalidQueryError: The list is empty or no list, an id cannot be one, or a record belongs to another job.
    """
    return tuple(dict.fromkeys(map(_device_id, checked_references(devices, job_id=job_id))))


def _device_id(device: DeviceReference) -> DeviceId:
    text = device.device_id if isinstance(device, DeviceTask | DeviceUpgrade) else device
    return DeviceId(checks.DEVICE_ID.check(text, "one of devices"))


def in_parts(device_ids: Sequence[DeviceId]) -> list[Sequence[DeviceId]]:
    """Return the devices in as many parts as requests are needed."""
    return [
        device_ids[start : start + MOST_TARGETS_AT_ONCE] for start in range(0, len(device_ids), MOST_TARGETS_AT_ONCE)
    ]


def outcomes_from(results: Sequence[wire.TargetResult], asked: Sequence[DeviceId] = ()) -> tuple[TargetOutcome, ...]:
    """Return what was said of each device that was asked for, and of any other that the answer names.

    Where the answer names no device at all, it speaks for all of them: they are accepted. Where it names some, a device
    that is missing counts as refused.
    """
    said = {result.target: _outcome(result) for result in results}
    silent = _UNMENTIONED if said else None
    missing = (
        TargetOutcome(device_id=device_id, accepted=silent is None, message=silent)
        for device_id in asked
        if device_id not in said
    )
    outcomes = {outcome.device_id: outcome for outcome in (*said.values(), *missing)}
    return tuple(outcomes[device_id] for device_id in dict.fromkeys((*asked, *outcomes)))


def _outcome(result: wire.TargetResult) -> TargetOutcome:
    status = result.status or ""
    accepted = status.lower() == _ACCEPTED
    unusual = None if accepted or status.lower() == "failure" else f"status {status!r}"
    return TargetOutcome(
        device_id=DeviceId(result.target),
        accepted=accepted,
        code=result.error_code or None,
        message=result.error_msg or unusual,
    )


def check_accepted(outcomes: Sequence[TargetOutcome], *, requests: int = 1) -> None:
    """Do nothing where every device was accepted, by as many requests as were answered.

    Raises:
        TargetsRefusedError: Some were not; says which and why.
    """
    refused = tuple(outcome for outcome in outcomes if not outcome.accepted)
    if refused:
        whole = counted(len(outcomes), "device was", "devices were")
        message = f"{len(refused)} of {whole} refused: {_listed(refused)}"
        raise TargetsRefusedError(message, outcomes=refused, status=200, attempts=requests)


def interrupted(outcomes: Sequence[TargetOutcome], *, asked: int, total: int) -> str:
    """Return what became of the parts before one that failed, to be added to its error.

    Args:
        outcomes: What the vendor said in the parts before.
        asked: How many devices were in those and in the part that failed.
        total: How many devices there are in all.
    """
    refused = [outcome for outcome in outcomes if not outcome.accepted]
    said = f"before that, {len(outcomes) - len(refused)} of {counted(total, 'device was', 'devices were')} accepted"
    if refused:
        said += f" and {len(refused)} refused ({_listed(refused)})"
    return f"{said}; {total - asked} were not asked for" if total > asked else said


def _listed(refused: Sequence[TargetOutcome]) -> str:
    shown = "; ".join(map(str, refused[:_SHOWN]))
    more = len(refused) - _SHOWN
    return f"{shown}; and {more} more, see the error's outcomes" if more > 0 else shown
