"""The course of jobs: what becomes of each task and when, in the order of time.

Nothing happens in the background. Whoever looks calls ``settle`` first, and everything that has come due since the
last look is done then, in the order of its time: the outcome never depends on how often somebody looked.
"""

import heapq
from collections.abc import Callable, Iterable, Iterator
from itertools import compress
from typing import Final

import attrs

from otaclient.emulator.clock import Clock
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.masks import column
from otaclient.emulator.records import OPEN_STATES, TASK_STATUSES, JobRecord
from otaclient.emulator.remarks import (
    CANCELLED_BY_USER,
    CONFLICT,
    FINISHED,
    NO_REMARK,
    SAME_VERSION,
    TIMED_OUT,
    UNSUITABLE_VERSION,
    Remark,
)
from otaclient.emulator.runs import Run, next_opening
from otaclient.models import JobKind, JobStatus, TaskStatus

__all__ = ["PENDING", "RETRYING", "SUCCEEDED", "UPGRADING", "Course", "positions_in"]

PENDING: Final = TASK_STATUSES.index(TaskStatus.PENDING)
UPGRADING: Final = TASK_STATUSES.index(TaskStatus.UPGRADING)
SUCCEEDED: Final = TASK_STATUSES.index(TaskStatus.SUCCEEDED)
RETRYING: Final = TASK_STATUSES.index(TaskStatus.RETRYING)
_PUBLISHED: Final = TASK_STATUSES.index(TaskStatus.PUBLISHED)
_FAILED: Final = TASK_STATUSES.index(TaskStatus.FAILED)
_CANCELLED: Final = TASK_STATUSES.index(TaskStatus.CANCELLED)
_IN_FLIGHT: Final = frozenset({_PUBLISHED, UPGRADING})
_STILL_RUNNING: Final = frozenset({JobStatus.PENDING, JobStatus.RUNNING})

_WHOLE_JOB: Final = -1

_Step = Callable[[Run, int, int], None]


def positions_in(job: JobRecord, *states: int) -> list[int]:
    """Return the positions of a job's tasks that are in these states now."""
    return list(compress(range(len(job.targets)), column(job.task_states, states)))


class Course:
    """Moves the tasks of the driven jobs of one fleet on."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self.now_ms = clock.now_ms()
        """The instant up to which everything has happened; UTC epoch milliseconds."""
        self.runs: dict[str, Run] = {}
        """The driven jobs, by their identifiers."""
        self.when_all_cancelled = JobStatus.STOPPED
        """Where a job stands whose tasks have all been cancelled one by one."""
        self._fleet = fleet
        self._clock = clock
        self._agenda: list[tuple[int, int, _Step, Run, int, int]] = []
        self._order = 0
        self._busy: set[int] = set()
        # Devices that the past left in the middle of an upgrade, and that nothing drives.
        self._standing = set(compress(range(len(fleet.devices)), fleet.devices.upgrading_column))
        self._devices_changed = False

    # --- time ---------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Do what has come due by the clock's present."""
        self.settle_to(self._clock.now_ms())

    def settle_to(self, now_ms: int) -> None:
        """Do what has come due by an instant; one before the last does nothing."""
        agenda = self._agenda
        while agenda and agenda[0][0] <= now_ms:
            at_ms, _, step, run, position, turn = heapq.heappop(agenda)
            if not run.gone and (position == _WHOLE_JOB or run.turns[position] == turn):
                step(run, position, at_ms)
        self.now_ms = max(self.now_ms, now_ms)
        if self._devices_changed:
            self._devices_changed = False
            self._fleet.devices.touch()

    def _schedule(self, at_ms: int, step: _Step, run: Run, position: int = _WHOLE_JOB) -> None:
        turn = 0 if position == _WHOLE_JOB else run.turns[position]
        self._order += 1
        heapq.heappush(self._agenda, (at_ms, self._order, step, run, position, turn))

    # --- jobs as a whole ----------------------------------------------------------------------------------------------

    def take_over(self, run: Run) -> None:
        """Let a job of the past go on from where it stands."""
        job, now_ms = run.job, self.now_ms
        run.open = job.open_tasks()
        run.ready.extend(positions_in(job, PENDING))
        for position in positions_in(job, _PUBLISHED, UPGRADING, RETRYING):
            state = job.task_states[position]
            if state == RETRYING:
                self._schedule(now_ms + run.retry_pause_ms, self._again, run, position)
                continue
            run.in_flight += 1
            if state == _PUBLISHED:
                self._schedule(now_ms + run.draws.published_ms(position, 0), self._begin, run, position)
                continue
            self._standing.discard(job.targets[position])
            self._busy.add(job.targets[position])
            job.changed_at_ms[position] = now_ms
            self._schedule(now_ms + run.draws.upgrading_ms(position, 0), self._end, run, position)
        if job.status in _STILL_RUNNING:
            self.go(run)

    def go(self, run: Run) -> None:
        """Let a job begin, or go on, as soon as its schedule allows."""
        first_ms = self.now_ms + run.plan.milliseconds(run.plan.pending_seconds)
        opening_ms = next_opening(run.job, first_ms)
        waits = run.all_held() or opening_ms is None or opening_ms > first_ms
        run.job.status = JobStatus.PENDING if waits else JobStatus.RUNNING
        if opening_ms is not None:
            self._open_at(run, opening_ms)
        self.settle()

    def _open_at(self, run: Run, at_ms: int) -> None:
        if run.opens_at_ms is None or at_ms < run.opens_at_ms:
            run.opens_at_ms = at_ms
            self._schedule(at_ms, self._open, run)

    def _open(self, run: Run, _: int, at_ms: int) -> None:
        run.opens_at_ms = None
        if run.job.status is JobStatus.PENDING and not run.all_held():
            run.job.status = JobStatus.RUNNING
        self._admit(run, at_ms)
        self._conclude(run)

    def _admit(self, run: Run, at_ms: int) -> None:
        """Tell as many devices as may be told."""
        job = run.job
        if job.status is not JobStatus.RUNNING:
            return
        opening_ms = next_opening(job, at_ms)
        if opening_ms != at_ms:
            if opening_ms is not None:
                self._open_at(run, opening_ms)
            return
        while run.ready and run.in_flight < job.max_concurrency:
            position = run.ready.popleft()
            if job.task_states[position] == PENDING and not run.is_held(position):
                self._publish(run, position, at_ms)

    def _conclude(self, run: Run) -> None:
        """Let the job come to its end when its last task has."""
        job = run.job
        if run.open or job.status is JobStatus.STOPPED:
            return
        if job.status is JobStatus.STOPPING:
            job.status = JobStatus.STOPPED
        elif not job.incremental:
            succeeded, failed = job.task_states.count(SUCCEEDED), job.task_states.count(_FAILED)
            if succeeded == len(job.targets):
                job.status = JobStatus.SUCCEEDED
            elif succeeded:
                job.status = JobStatus.PARTIALLY_SUCCEEDED
            else:
                job.status = JobStatus.FAILED if failed else self.when_all_cancelled

    def cancel(self, run: Run, positions: Iterable[int]) -> None:
        """Cancel tasks now."""
        self._cancel(run, positions, self.now_ms)
        self._move_on(run, self.now_ms)
        self.settle()

    def retry(self, run: Run, positions: Iterable[int]) -> None:
        """Let tasks begin anew at the job's next opening."""
        for position in positions:
            run.retries[position] = 0
            run.take_out(position)
            run.next_attempt(position)
            self._set(run, position, PENDING, NO_REMARK, self.now_ms)
            run.ready.append(position)
        self.settle()

    def end(self, run: Run) -> None:
        """Cancel what waits now, and what is under way soon."""
        run.job.status = JobStatus.STOPPING
        self._schedule(self.now_ms + run.plan.milliseconds(run.plan.stopping_seconds), self._stop, run)
        self.cancel(run, positions_in(run.job, PENDING, RETRYING))

    def drop(self, run: Run) -> None:
        """Forget a job; its devices come to rest."""
        for position in positions_in(run.job, UPGRADING):
            self._rest(run.job.targets[position])
        run.gone = True
        del self.runs[run.job.job_id]
        self.settle()

    def _stop(self, run: Run, _: int, at_ms: int) -> None:
        if run.job.status is JobStatus.STOPPING:
            self._cancel(run, positions_in(run.job, *OPEN_STATES), at_ms)
            self._conclude(run)

    def _cancel(self, run: Run, positions: Iterable[int], at_ms: int) -> None:
        for position in positions:
            run.take_out(position)
            self._set(run, position, _CANCELLED, CANCELLED_BY_USER, at_ms)

    # --- one task ----------------------------------------------------------------------------------------------------

    def _publish(self, run: Run, position: int, at_ms: int) -> None:
        job = run.job
        version = ABSENT if run.column is None else run.column[job.targets[position]]
        job.from_versions[position] = version
        choice = job.choices[position] = run.choices[version]
        if choice == ABSENT:
            self._fail(run, position, UNSUITABLE_VERSION, at_ms)
        elif run.column is not None and version == run.goals[choice]:
            self._set(run, position, SUCCEEDED, SAME_VERSION, at_ms)
            self._verify(run)
        else:
            self._set(run, position, _PUBLISHED, NO_REMARK, at_ms)
            delay_ms = run.draws.published_ms(position, run.attempts[position])
            if run.counts_from_published and delay_ms >= run.timeout_ms:
                self._schedule(at_ms + run.timeout_ms, self._time_out, run, position)
            else:
                self._schedule(at_ms + delay_ms, self._begin, run, position)

    def _begin(self, run: Run, position: int, at_ms: int) -> None:
        job = run.job
        row, attempt = job.targets[position], run.attempts[position]
        if row in self._busy:
            self._fail(run, position, CONFLICT, at_ms)
            self._move_on(run, at_ms)
            return
        left_ms = run.timeout_ms
        if run.counts_from_published:
            left_ms -= at_ms - job.changed_at_ms[position]
        self._busy.add(row)
        self._fleet.devices.upgrading_column[row] = 1
        self._devices_changed = True
        self._set(run, position, UPGRADING, NO_REMARK, at_ms)
        needed_ms = run.draws.upgrading_ms(position, attempt)
        if needed_ms > left_ms or run.draws.failure(row, position, attempt) == TIMED_OUT:
            self._schedule(at_ms + left_ms, self._time_out, run, position)
        else:
            self._schedule(at_ms + needed_ms, self._end, run, position)

    def _end(self, run: Run, position: int, at_ms: int) -> None:
        job = run.job
        row = job.targets[position]
        failure = run.draws.failure(row, position, run.attempts[position])
        if failure is not None:
            self._fail(run, position, failure, at_ms)
        else:
            self._set(run, position, SUCCEEDED, FINISHED, at_ms)
            self._verify(run)
            if run.column is not None:
                version = run.column[row] = run.goals[job.choices[position]]
                self._join_others(run, row, version, at_ms)
        self._move_on(run, at_ms)

    def _time_out(self, run: Run, position: int, at_ms: int) -> None:
        self._fail(run, position, TIMED_OUT, at_ms)
        self._move_on(run, at_ms)

    def _again(self, run: Run, position: int, at_ms: int) -> None:
        self._set(run, position, PENDING, NO_REMARK, at_ms)
        run.ready.append(position)
        self._move_on(run, at_ms)

    def _move_on(self, run: Run, at_ms: int) -> None:
        self._admit(run, at_ms)
        self._conclude(run)

    def _fail(self, run: Run, position: int, remark: Remark, at_ms: int) -> None:
        if run.retries[position] >= run.job.retry_count:
            self._set(run, position, _FAILED, remark, at_ms)
            return
        run.retries[position] += 1
        run.next_attempt(position)
        self._set(run, position, RETRYING, remark, at_ms)
        self._schedule(at_ms + run.retry_pause_ms, self._again, run, position)

    def _set(self, run: Run, position: int, state: int, remark: Remark, at_ms: int) -> None:
        job = run.job
        before = job.task_states[position]
        if before == UPGRADING:
            self._rest(job.targets[position])
        run.in_flight += (state in _IN_FLIGHT) - (before in _IN_FLIGHT)
        run.open += (state in OPEN_STATES) - (before in OPEN_STATES)
        job.task_states[position] = state
        job.remarks[position] = self._fleet.remark_index(remark)
        job.changed_at_ms[position] = at_ms
        job.revision += 1

    def _rest(self, row: int) -> None:
        """The device is upgraded no more, unless the past left it in an upgrade of another job."""
        self._busy.discard(row)
        self._fleet.devices.upgrading_column[row] = row in self._standing
        self._devices_changed = True

    def _verify(self, run: Run) -> None:
        """Count a verification job's successes: enough of them make the firmware a verified one."""
        job = run.job
        record = self._fleet.firmware_record(job.firmware_ids[0])
        if job.kind is not JobKind.VERIFICATION or record is None or record.verified:
            return
        if job.task_states.count(SUCCEEDED) >= record.min_verified_successes:
            self._fleet.replace_firmware(attrs.evolve(record, verified=True))

    def _join_others(self, source: Run, row: int, version: int, at_ms: int) -> None:
        """Give a device whose version has changed a task of each incremental job that waits for such devices."""
        devices = self._fleet.devices
        for run in self._incremental():
            job = run.job
            if run.column is not source.column or job.position_of(row) is not None:
                continue
            texts = devices.version_texts(job.firmware_kind)
            if (
                (not job.product_id or devices.product_id(row) == job.product_id)
                and (run.joining is None or row in run.joining)
                and (not job.source_versions or texts[version] in job.source_versions)
                and version not in run.goals
            ):
                run.join(row, version, at_ms)
                self._admit(run, at_ms)

    def _incremental(self) -> Iterator[Run]:
        return (run for run in list(self.runs.values()) if run.job.incremental and run.job.status in _STILL_RUNNING)
