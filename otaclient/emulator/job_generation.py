"""How the jobs of a simulated fleet come about, and what they have done to its devices so far."""

from array import array
from collections.abc import Sequence
from typing import Final

import attrs

from otaclient.emulator.conditions import AllOf, RegisteredBetween
from otaclient.emulator.devices import ABSENT, DeviceTable
from otaclient.emulator.generation import active_devices, draw_identifier, evenly_spread
from otaclient.emulator.noise import Noise, weighted_table
from otaclient.emulator.records import TASK_STATUSES, FirmwareRecord, JobRecord, Product, state_indices
from otaclient.emulator.remarks import CANCELLED_BY_USER, FAILURES, FINISHED, REMARKS
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus

__all__ = ["draw_jobs"]

# How far back the oldest job goes, in seconds.
_JOB_SPAN_S: Final = 300 * 86_400
_DAY_MS: Final = 86_400_000

# Statuses of the jobs, oldest first, over and over; the newest are mostly under way.
_JOB_STATUSES: Final = (
    JobStatus.SUCCEEDED,
    JobStatus.PARTIALLY_SUCCEEDED,
    JobStatus.STOPPED,
    JobStatus.FAILED,
    JobStatus.RUNNING,
    JobStatus.RUNNING,
    JobStatus.STOPPING,
    JobStatus.PENDING,
)
# How many in a hundred of a job's devices are in which state.
_TASK_MIX: Final[dict[JobStatus, tuple[tuple[TaskStatus, int], ...]]] = {
    JobStatus.SUCCEEDED: ((TaskStatus.SUCCEEDED, 100),),
    JobStatus.PARTIALLY_SUCCEEDED: ((TaskStatus.SUCCEEDED, 85), (TaskStatus.FAILED, 15)),
    JobStatus.STOPPED: ((TaskStatus.SUCCEEDED, 50), (TaskStatus.CANCELLED, 40), (TaskStatus.FAILED, 10)),
    JobStatus.FAILED: ((TaskStatus.FAILED, 100),),
    JobStatus.RUNNING: (
        (TaskStatus.UPGRADING, 40),
        (TaskStatus.SUCCEEDED, 30),
        (TaskStatus.PENDING, 15),
        (TaskStatus.PUBLISHED, 5),
        (TaskStatus.FAILED, 5),
        (TaskStatus.RETRYING, 5),
    ),
    JobStatus.STOPPING: ((TaskStatus.UPGRADING, 20), (TaskStatus.CANCELLED, 80)),
    JobStatus.PENDING: ((TaskStatus.PENDING, 100),),
}
_OPEN_JOB_TARGETS: Final = 5_000
_CHOSEN_TARGETS: Final = 20


@attrs.frozen(kw_only=True)
class _Plan:
    """What is decided about a job before its devices are chosen."""

    position: int
    created_at_ms: int
    target: FirmwareRecord
    status: JobStatus
    verifies: bool
    everything: bool
    sources: tuple[str, ...]

    @property
    def most_targets(self) -> int:
        if self.verifies:
            return self.target.max_verification_devices
        return _OPEN_JOB_TARGETS if self.everything else _CHOSEN_TARGETS


def draw_jobs(
    noise: Noise,
    *,
    products: Sequence[Product],
    firmware: Sequence[FirmwareRecord],
    devices: DeviceTable,
    count: int,
    now_s: int,
) -> tuple[JobRecord, ...]:
    """Return so many jobs, oldest first, and let the devices show what these have done so far.

    A device is being upgraded exactly while a task of some job upgrades it, one task at most. Where its task has
    succeeded, it reports the version of the job.
    """
    pause = max(_JOB_SPAN_S // (count + 1), 1)
    jobs: list[JobRecord] = []
    for position in range(count):
        late_s = noise.number(f"job/{position}/at", pause)
        created_at_ms = (now_s - _JOB_SPAN_S + position * pause + late_s) * 1000
        created_at_ms += noise.number(f"job/{position}/ms", 1000)
        released = [record for record in firmware if record.created_at_ms < created_at_ms]
        plan = _plan(noise, products, released, position, created_at_ms)
        job = _job(noise, plan, devices)
        _apply(devices, job, plan.target)
        jobs.append(job)
    return tuple(jobs)


def _plan(
    noise: Noise, products: Sequence[Product], released: Sequence[FirmwareRecord], position: int, created_at_ms: int
) -> _Plan:
    wanted = {3: FirmwareKind.SOFTWARE, 6: FirmwareKind.MODULE}.get(position % 7, FirmwareKind.FIRMWARE)
    choice = [record for record in released if record.kind is wanted] or released
    target = choice[-1 - noise.number(f"job/{position}/firmware", min(len(choice), 9))]
    verifies = target.kind is FirmwareKind.FIRMWARE and position % 5 == 3
    return _Plan(
        position=position,
        created_at_ms=created_at_ms,
        target=target,
        status=_JOB_STATUSES[position % len(_JOB_STATUSES)],
        verifies=verifies,
        everything=not verifies and position % 3 != 1,
        sources=_source_versions(products, target),
    )


def _job(noise: Noise, plan: _Plan, devices: DeviceTable) -> JobRecord:
    position, target = plan.position, plan.target
    rows = evenly_spread(_eligible(devices, plan), plan.most_targets)
    states = _task_states(noise, plan, len(rows))
    named = {"zh_CN": f"升级 {target.name}", "en_US": f"Upgrade to {target.name}"}
    return JobRecord(
        job_id=draw_identifier(noise, "job", position, plan.created_at_ms // 1000),
        name=f"{'Verify' if plan.verifies else 'Roll out'} {target.name}",
        translations={} if position % 4 == 2 else named,
        kind=JobKind.VERIFICATION if plan.verifies else JobKind.UPGRADE,
        firmware_kind=target.kind,
        product_id=target.product_id,
        firmware_ids=(target.firmware_id,),
        status=plan.status,
        created_at_ms=plan.created_at_ms,
        source_versions=plan.sources,
        everything=plan.everything,
        group_ids=(noise.hexadecimal(f"job/{position}/group", 32),) if plan.everything else (),
        timeout_seconds=(7_200, 600, 172_800)[position % 3],
        max_concurrency=(300, 50)[position % 2],
        retry_count=(0, 3)[position % 2],
        retry_interval_minutes=(10, 60)[position % 2],
        incremental=plan.everything and position % 4 == 0,
        device_may_request=position % 2 == 0,
        scheduled_at_ms=plan.created_at_ms + 3 * _DAY_MS if plan.status is JobStatus.PENDING else None,
        targets=array("I", rows),
        task_states=states,
        remarks=_remarks(noise, position, states),
        from_versions=_versions_of(devices, target.kind, rows),
        changed_at_ms=_changes(noise, plan, len(rows)),
    )


def _source_versions(products: Sequence[Product], target: FirmwareRecord) -> tuple[str, ...]:
    """The versions that the job upgrades from: what the firmware lists, else some that precede it; () means any."""
    if target.source_versions or target.kind is FirmwareKind.MODULE:
        return target.source_versions
    product = next(each for each in products if each.product_id == target.product_id)
    line = product.firmware_versions if target.kind is FirmwareKind.FIRMWARE else product.software_versions
    position = line.index(target.version)
    return line[max(position - 3, 0) : position]


def _eligible(devices: DeviceTable, plan: _Plan) -> Sequence[int]:
    """Rows of the devices that the job could reach when it was created."""
    listed = plan.sources if plan.target.kind is FirmwareKind.FIRMWARE else ()
    parts = [
        active_devices(devices, plan.target.product_id, listed or devices.firmware_versions),
        RegisteredBetween(last_s=plan.created_at_ms // 1000),
    ]
    if plan.target.kind is FirmwareKind.SOFTWARE and plan.sources:
        parts.append(devices.with_software_versions(plan.sources))
    return devices.matching(AllOf(tuple(parts)))


def _task_states(noise: Noise, plan: _Plan, count: int) -> bytearray:
    mix = _TASK_MIX[plan.status]
    places = weighted_table([share for _, share in mix])
    states = bytes(TASK_STATUSES.index(mix[place][0]) for place in places)
    return bytearray(noise.stream(f"job/{plan.position}/states", count).translate(states))


def _remarks(noise: Noise, position: int, states: bytearray) -> bytearray:
    """Why the tasks stand where they stand: those that failed, each for a reason of its own."""
    first = REMARKS.index(FAILURES[0])
    said = {
        TASK_STATUSES.index(TaskStatus.SUCCEEDED): REMARKS.index(FINISHED),
        TASK_STATUSES.index(TaskStatus.CANCELLED): REMARKS.index(CANCELLED_BY_USER),
    }
    failed = state_indices(TaskStatus.FAILED, TaskStatus.RETRYING)
    drawn = noise.stream(f"job/{position}/remarks", len(states))
    return bytearray(
        first + draw % len(FAILURES) if state in failed else said.get(state, 0)
        for state, draw in zip(states, drawn, strict=True)
    )


def _versions_of(devices: DeviceTable, kind: FirmwareKind, rows: Sequence[int]) -> bytearray:
    column = devices.version_column(kind)
    return bytearray([ABSENT]) * len(rows) if column is None else bytearray(map(column.__getitem__, rows))


def _changes(noise: Noise, plan: _Plan, count: int) -> "array[int]":
    """When the tasks last changed: within some four minutes of the job's creation."""
    drawn = noise.stream(f"job/{plan.position}/changes", count)
    return array("q", (plan.created_at_ms + 1000 * draw for draw in drawn))


def _apply(devices: DeviceTable, job: JobRecord, target: FirmwareRecord) -> None:
    upgrading = TASK_STATUSES.index(TaskStatus.UPGRADING)
    succeeded = TASK_STATUSES.index(TaskStatus.SUCCEEDED)
    for row, state in zip(job.targets, job.task_states, strict=True):
        if state == upgrading:
            devices.upgrading_column[row] = 1
        elif state == succeeded and target.kind is FirmwareKind.FIRMWARE:
            devices.firmware_version_column[row] = devices.firmware_versions.index(target.version)
        elif state == succeeded and target.kind is FirmwareKind.SOFTWARE:
            devices.software_version_column[row] = devices.software_versions.index(target.version)
    devices.touch()
