"""Every write of every vendor, ready to be called, with how often it has taken effect."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

from otaclient.emulator import Fleet, JobPlan
from otaclient.emulator.records import TASK_STATUSES
from otaclient.models import JobId, JobStatus, LocalizedText, NewJob, TaskStatus
from otaclient.protocols import Backend
from support.live import Live, live

__all__ = [
    "NAME",
    "WRITES",
    "Prepared",
    "body_for",
    "job_record",
    "may_be_sent_again",
    "new_job",
    "prepare",
    "reopened",
    "session_of",
    "space_of",
    "written_to",
]

FLEET: Final = Fleet.generate(devices=700, seed=21)
# Devices take hours for everything: what becomes of a job is what a test does to it.
SLOW: Final = JobPlan(failing_share=0.0, published_seconds=7200.0, upgrading_seconds=7200.0)
NAME: Final = "cell_job"
READ_LAG_SECONDS: Final = {"enos": 2.0, "iotda": 0.0}


@attrs.frozen
class Prepared:
    """A write that can be called, and how often it has taken effect."""

    call: Callable[[], Awaitable[Any]]
    effects: Callable[[], int]


@asynccontextmanager
async def written_to(name: str) -> AsyncIterator[Live]:
    """Start one vendor, whose searches lag as it documents, and a client that may write to it."""
    async with live(name, FLEET, plan=SLOW, read_lag_seconds=READ_LAG_SECONDS[name]) as running:
        if name == "iotda":
            running.backend = running.backend.with_options(owner_id=await space_of(running))
        yield running


async def space_of(vendor: Live) -> str:
    """Return the resource space in which a test creates things."""
    firmware, _ = await vendor.choose(1)
    return str(firmware.owner_id)


def session_of(vendor: Live) -> Any:
    """Return the client's session."""
    backend: Any = vendor.backend
    return backend._session


def reopened(vendor: Live, *, config: Any = None, session: Any = None) -> Backend:
    """Return a new client, which knows nothing of what the other wrote."""
    backend: Any = vendor.backend
    opened: Backend = type(backend)(config or backend._config, session or backend._session)
    return opened


# --- the writes ------------------------------------------------------------------------------------------------------


async def new_job(vendor: Live, **fields: Any) -> tuple[JobId, NewJob]:
    """Create a job of three devices, and let them be told."""
    new, _, _ = await vendor.new_job(3, **({"name": LocalizedText(default=NAME)} | fields))
    job_id = await vendor.backend.jobs.create(new)
    # Past the read lag, with the devices told.
    vendor.clock.advance(5.0)
    return job_id, new


def job_record(vendor: Live, job_id: JobId) -> Any:
    """Return a job as the service has it; ``None`` for one that was deleted."""
    return vendor.emulator.fleet.job_record(job_id)


def states_of(vendor: Live, job_id: JobId) -> list[TaskStatus]:
    """Return how the devices of a job stand."""
    return [TASK_STATUSES[state] for state in job_record(vendor, job_id).task_states]


async def create_job(vendor: Live) -> Prepared:
    """Create a job."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    jobs = vendor.emulator.fleet.jobs
    return Prepared(lambda: vendor.backend.jobs.create(new), lambda: sum(job.name.startswith(NAME) for job in jobs))


async def create_firmware(vendor: Live) -> Prepared:
    """Create a firmware."""
    new, content = await vendor.new_firmware("V9.7")
    firmware = vendor.emulator.fleet.firmware
    return Prepared(
        lambda: vendor.backend.firmware.create(new, content), lambda: sum(each.version == "V9.7" for each in firmware)
    )


async def delete_firmware(vendor: Live) -> Prepared:
    """Delete a firmware."""
    new, content = await vendor.new_firmware("V9.8")
    firmware_id = await vendor.backend.firmware.create(new, content)
    firmware = vendor.emulator.fleet.firmware
    return Prepared(
        lambda: vendor.backend.firmware.delete(firmware_id),
        lambda: 1 - sum(each.version == "V9.8" for each in firmware),
    )


async def start_job(vendor: Live) -> Prepared:
    """Start a stopped job, or confirm a held one."""
    if vendor.name == "iotda":
        job_id, _ = await new_job(vendor, hold=True)
        record, engine = job_record(vendor, job_id), vendor.emulator.engine
        return Prepared(lambda: vendor.backend.jobs.start(job_id), lambda: 1 - int(engine.is_held(record, 0)))
    job_id, _ = await new_job(vendor)
    await vendor.backend.jobs.stop(job_id)
    return Prepared(
        lambda: vendor.backend.jobs.start(job_id), lambda: int(job_record(vendor, job_id).status is JobStatus.RUNNING)
    )


async def stop_job(vendor: Live) -> Prepared:
    """Stop a job."""
    job_id, _ = await new_job(vendor)
    stopped = {JobStatus.STOPPING, JobStatus.STOPPED}
    return Prepared(lambda: vendor.backend.jobs.stop(job_id), lambda: int(job_record(vendor, job_id).status in stopped))


async def delete_job(vendor: Live) -> Prepared:
    """Delete a stopped job."""
    job_id, _ = await new_job(vendor)
    await vendor.backend.jobs.stop(job_id)
    vendor.clock.advance(5.0)
    return Prepared(lambda: vendor.backend.jobs.delete(job_id), lambda: int(job_record(vendor, job_id) is None))


async def cancel_tasks(vendor: Live) -> Prepared:
    """Cancel two of three devices."""
    job_id, new = await new_job(vendor)
    return Prepared(
        lambda: vendor.backend.jobs.cancel_tasks(job_id, new.scope.devices[:2]),
        lambda: states_of(vendor, job_id).count(TaskStatus.CANCELLED) // 2,
    )


async def retry_tasks(vendor: Live) -> Prepared:
    """Try two cancelled devices again."""
    job_id, new = await new_job(vendor)
    await vendor.backend.jobs.cancel_tasks(job_id, new.scope.devices[:2])
    return Prepared(
        lambda: vendor.backend.jobs.retry_tasks(job_id, new.scope.devices[:2]),
        lambda: 1 - states_of(vendor, job_id).count(TaskStatus.CANCELLED) // 2,
    )


WRITES: Final[dict[str, Callable[[Live], Awaitable[Prepared]]]] = {
    "jobs.create": create_job,
    "firmware.create": create_firmware,
    "firmware.delete": delete_firmware,
    "jobs.start": start_job,
    "jobs.stop": stop_job,
    "jobs.delete": delete_job,
    "jobs.cancel_tasks": cancel_tasks,
    "jobs.retry_tasks": retry_tasks,
}


def on_wire(vendor: Live, operation: str) -> str:
    """Return what the emulator calls the request of a write."""
    return "jobs.confirm" if (vendor.name, operation) == ("iotda", "jobs.start") else _named(vendor, operation)


def _named(vendor: Live, operation: str) -> str:
    # IoTDA stops a whole job, and some of its devices, with the same operation.
    return "jobs.stop" if (vendor.name, operation) == ("iotda", "jobs.cancel_tasks") else operation


def may_be_sent_again(vendor: Live, operation: str) -> bool:
    """Whether the vendor refuses to do it twice."""
    return operation != "jobs.create" and (vendor.name, operation) != ("iotda", "firmware.create")


def body_for(vendor: Live, *, enos: str, iotda: str) -> bytes:
    """Return the body of an answer in the words of the vendor."""
    return (enos if vendor.name == "enos" else iotda).encode()


async def prepare(vendor: Live, operation: str) -> tuple[Prepared, str]:
    """Return a write that has no effect yet, and what the emulator calls its request."""
    prepared = await WRITES[operation](vendor)
    await vendor.backend.authenticate()
    wire = on_wire(vendor, operation)
    vendor.emulator.served.clear()
    vendor.emulator.engine.settle()
    assert prepared.effects() == 0
    return prepared, wire
