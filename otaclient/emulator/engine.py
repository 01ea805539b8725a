"""The operations on jobs: creating, starting, stopping, retrying, confirming and deleting them.

Jobs run: their tasks move on as the emulator's clock does, whenever somebody looks.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

import attrs

from otaclient.emulator.clock import Clock
from otaclient.emulator.conditions import AllOf, Condition
from otaclient.emulator.course import PENDING, SUCCEEDED, UPGRADING, Course, positions_in
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.listing import RecentWrites
from otaclient.emulator.plan import Draws, JobPlan
from otaclient.emulator.records import FirmwareRecord, JobRecord, state_indices
from otaclient.emulator.refusals import (
    JobFinishedError,
    JobRunningError,
    JobStartedError,
    JobStoppedError,
    MixedFirmwareError,
    NoSuchFirmwareError,
    NoSuchJobError,
    TaskStateError,
    TooManyVersionsError,
)
from otaclient.emulator.runs import Run, suitable_choices
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus

__all__ = ["FINAL_STATUSES", "JobEngine", "JobOrder"]

FINAL_STATUSES: Final = frozenset(
    {JobStatus.SUCCEEDED, JobStatus.PARTIALLY_SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED}
)
"""Of jobs that do nothing more by themselves."""
_STOPPED_STATUSES: Final = frozenset({JobStatus.STOPPED, JobStatus.STOPPING})


@attrs.frozen(kw_only=True)
class JobOrder:
    """What to create a job from."""

    name: str
    firmware_ids: tuple[str, ...]
    targets: Iterable[int]
    """Rows of the devices."""
    translations: Mapping[str, str] = attrs.field(factory=dict[str, str])
    kind: JobKind = JobKind.UPGRADE
    source_versions: tuple[str, ...] = ()
    everything: bool = False
    group_ids: tuple[str, ...] = ()
    timeout_seconds: int = 7_200
    max_concurrency: int | None = None
    """How many devices at most are told and not done at a time; ``None``: as many as there are."""
    retry_count: int = 0
    retry_interval_minutes: int = 0
    incremental: bool = False
    """Whether devices of the product that get one of the source versions later join."""
    joining: frozenset[int] | None = None
    """The only rows that may join; ``None`` where any may."""
    device_may_request: bool = False
    scheduled_at_ms: int | None = None
    window_ends_at_ms: int | None = None
    repeats_daily: bool = False
    held: bool = False
    """Whether every device waits for a confirmation."""
    started: bool = True
    """Whether it begins by itself, or waits for ``resume``."""
    checks_source_versions: bool = False
    """Whether a firmware that names source versions is refused by devices that have another."""
    vendor: Mapping[str, Any] = attrs.field(factory=dict[str, Any])


class JobEngine:
    """Drives the jobs of one fleet.

    Jobs that came with a generated fleet stand still, as its past; the first operation on one lets it go on.
    """

    def __init__(self, fleet: Fleet, clock: Clock, *, plan: JobPlan | None = None) -> None:
        self.fleet = fleet
        self.plan = JobPlan() if plan is None else plan
        """Counts for jobs that are created, or go on, from now on."""
        self.writes: RecentWrites[JobRecord] = RecentWrites(lambda job: job.job_id)
        self._course = Course(fleet, clock)

    # --- time --------------------------------------------------------------------------------------------------------

    @property
    def now_ms(self) -> int:
        """The instant up to which everything has happened; UTC epoch milliseconds."""
        return self._course.now_ms

    @property
    def when_all_cancelled(self) -> JobStatus:
        """Where a job stands whose tasks have all been cancelled one by one."""
        return self._course.when_all_cancelled

    @when_all_cancelled.setter
    def when_all_cancelled(self, status: JobStatus) -> None:
        self._course.when_all_cancelled = status

    def settle(self) -> None:
        """Do what has come due by the clock's present."""
        self._course.settle()

    def settle_to(self, now_ms: int) -> None:
        """Do what has come due by an instant; one before the last does nothing."""
        self._course.settle_to(now_ms)

    # --- looking -----------------------------------------------------------------------------------------------------

    def job(self, job_id: str) -> JobRecord:
        """Return a job.

        Raises:
            NoSuchJobError: There is none with this identifier.
        """
        record = self.fleet.job_record(job_id)
        if record is None:
            raise NoSuchJobError(f"there is no job {job_id}")
        return record

    def eligible(
        self, product_ids: Collection[str], source_versions: Collection[str], kind: FirmwareKind
    ) -> "array[int]":
        """Return the rows of the devices of these products (of all, without any) that last reported such a version.

        Without source versions these are all devices that have reported any; modules have none, and reach all.
        """
        devices = self.fleet.devices
        parts: list[Condition] = [devices.of_products(product_ids)] if product_ids else []
        if kind is FirmwareKind.FIRMWARE:
            parts.append(devices.with_firmware_versions(source_versions or devices.firmware_versions))
        elif kind is FirmwareKind.SOFTWARE:
            parts.append(devices.with_software_versions(source_versions or devices.software_versions))
        return array("I", devices.matching(AllOf(tuple(parts))))

    def is_held(self, job: JobRecord, position: int) -> bool:
        """Return whether a task waits for a confirmation."""
        run = self._course.runs.get(job.job_id)
        return run is not None and run.is_held(position)

    def progress_percent(self, job: JobRecord, position: int) -> int:
        """Return how far a device is with its upgrade, 0 to 100."""
        state = job.task_states[position]
        if state != UPGRADING:
            return 100 if state == SUCCEEDED else 0
        run = self._course.runs.get(job.job_id)
        if run is None:
            return position * 37 % 90 + 5  # of the past: it stands still somewhere
        needed_ms = run.draws.upgrading_ms(position, run.attempts[position])
        return min(100 * (self.now_ms - job.changed_at_ms[position]) // max(needed_ms, 1), 99)

    # --- operations --------------------------------------------------------------------------------------------------

    def create(self, order: JobOrder) -> JobRecord:
        """Create a job and its tasks.

        Raises:
            NoSuchFirmwareError: A firmware of it does not exist.
            MixedFirmwareError: Its firmware is of several kinds or products.
            TooManyVersionsError: The devices cannot report the new version beside all those that they report.
        """
        self.settle()
        firmware = [self._firmware(firmware_id) for firmware_id in order.firmware_ids]
        if len({(record.kind, record.product_id) for record in firmware}) != 1:
            raise MixedFirmwareError("the firmware of a job is of one kind and one product")
        self._goals(firmware)
        job = self._record(order, firmware[0])
        run = self._run(job, firmware, checked=order.checks_source_versions)
        run.joining = order.joining
        run.ready.extend(range(len(job.targets)))
        run.held = bytearray(b"\1") * len(job.targets) if order.held else run.held
        job.choices = job.from_versions.translate(run.choices)
        run.open = len(job.targets)
        self._course.runs[job.job_id] = run
        self.fleet.add_job(job)
        self.writes.added(job, self.now_ms)
        if order.started:
            self._course.go(run)
        return job

    def pause(self, job_id: str) -> None:
        """Stop a job: devices that were told go on, no other is told until it is resumed.

        Raises:
            NoSuchJobError: There is no such job.
            JobStoppedError: It is stopped already.
        """
        job = self._taken_over(job_id).job
        if job.status in _STOPPED_STATUSES:
            raise JobStoppedError(job_id, job.status)
        job.status = JobStatus.STOPPED

    def resume(self, job_id: str) -> None:
        """Start a job that is stopped; its pending tasks go on.

        Raises:
            NoSuchJobError: There is no such job.
            JobStartedError: It is not stopped.
        """
        run = self._taken_over(job_id)
        if run.job.status not in _STOPPED_STATUSES:
            raise JobStartedError(job_id, run.job.status)
        self._course.go(run)

    def stop(self, job_id: str) -> None:
        """End a job: what waits is cancelled at once, what is under way within ``plan.stopping_seconds``.

        Raises:
            NoSuchJobError: There is no such job.
            JobFinishedError: It has come to its end, or is being stopped.
        """
        run = self._taken_over(job_id)
        _check_unfinished(run.job)
        run.job.status = JobStatus.STOPPING
        self._course.end(run)

    def confirm(self, job_id: str, positions: Sequence[int] | None = None) -> Sequence[int]:
        """Let tasks that wait for a confirmation begin, all of them by default; return which those were.

        Raises:
            NoSuchJobError: There is no such job.
            JobFinishedError: It has come to its end, or is being stopped.
            TaskStateError: One of the tasks does not wait for a confirmation; nothing has changed.
        """
        run = self._taken_over(job_id)
        _check_unfinished(run.job)
        states = run.job.task_states
        if positions is None:
            positions = [at for at in positions_in(run.job, PENDING) if run.is_held(at)]
        if refused := [at for at in positions if states[at] != PENDING or not run.is_held(at)]:
            raise TaskStateError(refused)
        for position in positions:
            run.held[position] = 0
        run.ready.extend(positions)
        self._course.go(run)
        return positions

    def cancel_tasks(self, job_id: str, positions: Sequence[int], *, from_states: Collection[TaskStatus]) -> None:
        """Cancel tasks.

        Raises:
            NoSuchJobError: There is no such job.
            TaskStateError: One of the tasks is in none of these states; nothing has changed.
        """
        run = self._taken_over(job_id)
        _check_states(run.job, positions, from_states)
        self._course.cancel(run, positions)

    def retry_tasks(self, job_id: str, positions: Sequence[int], *, from_states: Collection[TaskStatus]) -> None:
        """Let tasks begin anew, with all retries that the job allows; a job that had come to its end runs again.

        Raises:
            NoSuchJobError: There is no such job.
            TaskStateError: One of the tasks is in none of these states; nothing has changed.
        """
        run = self._taken_over(job_id)
        _check_states(run.job, positions, from_states)
        self._course.retry(run, positions)
        if run.job.status not in _STOPPED_STATUSES:
            self._course.go(run)

    def delete(self, job_id: str, *, when: Collection[JobStatus]) -> None:
        """Delete a job; devices that are under way come to rest.

        Raises:
            NoSuchJobError: There is no such job.
            JobRunningError: Its status is none of these.
        """
        run = self._taken_over(job_id)
        if run.job.status not in when:
            raise JobRunningError(job_id, run.job.status)
        self._course.drop(run)
        self.fleet.remove_job(run.job)
        self.writes.removed(run.job, self.now_ms)

    def run_generated_jobs(self) -> None:
        """Let the jobs that came with the fleet go on."""
        for job in self.fleet.jobs:
            if job.open_tasks():
                self._taken_over(job.job_id)

    # --- what they are made of ---------------------------------------------------------------------------------------

    def _firmware(self, firmware_id: str) -> FirmwareRecord:
        record = self.fleet.firmware_record(firmware_id)
        if record is None:
            raise NoSuchFirmwareError(f"there is no firmware {firmware_id}")
        return record

    def _goals(self, firmware: Sequence[FirmwareRecord]) -> tuple[int, ...]:
        if firmware[0].kind is FirmwareKind.MODULE:
            return (ABSENT,) * len(firmware)
        try:
            return tuple(self.fleet.devices.version_index(record.kind, record.version) for record in firmware)
        except ValueError as error:
            raise TooManyVersionsError(str(error)) from error

    def _record(self, order: JobOrder, firmware: FirmwareRecord) -> JobRecord:
        fleet = self.fleet
        identifier, created_at_ms = fleet.new_identity(self.now_ms, fleet.jobs[-1] if fleet.jobs else None)
        rows = array("I", order.targets)
        column = fleet.devices.version_column(firmware.kind)
        reported = bytearray([ABSENT]) * len(rows) if column is None else bytearray(map(column.__getitem__, rows))
        return JobRecord(
            job_id=identifier,
            firmware_kind=firmware.kind,
            product_id=firmware.product_id,
            status=JobStatus.STOPPED,
            created_at_ms=created_at_ms,
            targets=rows,
            task_states=bytearray([PENDING]) * len(rows),
            from_versions=reported,
            name=order.name,
            translations=order.translations,
            kind=order.kind,
            firmware_ids=order.firmware_ids,
            source_versions=order.source_versions,
            everything=order.everything,
            group_ids=order.group_ids,
            timeout_seconds=order.timeout_seconds,
            max_concurrency=order.max_concurrency or len(fleet.devices),
            retry_count=order.retry_count,
            retry_interval_minutes=order.retry_interval_minutes,
            incremental=order.incremental,
            device_may_request=order.device_may_request,
            scheduled_at_ms=order.scheduled_at_ms,
            window_ends_at_ms=order.window_ends_at_ms,
            repeats_daily=order.repeats_daily,
            vendor=order.vendor,
        )

    def _run(self, job: JobRecord, firmware: list[FirmwareRecord], *, checked: bool) -> Run:
        return Run(
            job=job,
            plan=self.plan,
            draws=Draws(seed=self.fleet.seed, job_id=job.job_id, plan=self.plan),
            column=self.fleet.devices.version_column(job.firmware_kind),
            goals=self._goals(firmware),
            choices=suitable_choices(firmware, self.fleet.devices, checked=checked),
        )

    def _taken_over(self, job_id: str) -> Run:
        """The job as it is now; one of the past goes on from here."""
        self.settle()
        job = self.job(job_id)
        run = self._course.runs.get(job_id)
        if run is None:
            known = [self.fleet.known_firmware(each) for each in job.firmware_ids]
            run = self._run(job, [record for record in known if record is not None], checked=False)
            self._course.runs[job_id] = run
            self._course.take_over(run)
        return run


def _check_unfinished(job: JobRecord) -> None:
    if job.status in FINAL_STATUSES or job.status is JobStatus.STOPPING:
        raise JobFinishedError(job.job_id, job.status)


def _check_states(job: JobRecord, positions: Sequence[int], allowed: Collection[TaskStatus]) -> None:
    bytes_allowed = state_indices(*allowed)
    if refused := [position for position in positions if job.task_states[position] not in bytes_allowed]:
        raise TaskStateError(refused)
