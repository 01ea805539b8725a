"""Jobs that run: tasks move on with the clock, in their windows, the devices with them, whoever looks."""

from collections import Counter
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.emulator import JobEngine, JobPlan, JobRecord, Remark
from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.engine import FINAL_STATUSES
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.refusals import JobFinishedError, JobRunningError, JobStartedError, JobStoppedError
from otaclient.emulator.remarks import CONFLICT, DOWNLOAD_FAILED, FINISHED, NO_REMARK, OFFLINE, SAME_VERSION, TIMED_OUT
from otaclient.emulator.runs import next_opening
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus
from support.job_engine import (
    CANCELLED,
    FAILED,
    NOW_MS,
    OPEN,
    PENDING,
    PUBLISHED,
    RETRYING,
    SUCCEEDED,
    SURE,
    UPGRADING,
    World,
    states,
)

# --- one job ---------------------------------------------------------------------------------------------------------


def test_a_task_goes_through_its_states() -> None:
    """Pending, published, upgrading, succeeded, each as long as the plan says; the device changes with it."""
    world = World()
    job = world.start(1, world.release("X1"))
    row, devices = job.targets[0], world.fleet.devices
    before = devices.firmware_version(row)
    seen = []
    for seconds in (0, 0.999, 0.001, 4.999, 0.001, 59.999, 0.001):
        world.after(seconds)
        seen.append((states(job)[0], devices.upgrading(row), devices.firmware_version(row), job.status))
    assert seen == [
        (PENDING, False, before, JobStatus.RUNNING),
        (PENDING, False, before, JobStatus.RUNNING),
        (PUBLISHED, False, before, JobStatus.RUNNING),
        (PUBLISHED, False, before, JobStatus.RUNNING),
        (UPGRADING, True, before, JobStatus.RUNNING),
        (UPGRADING, True, before, JobStatus.RUNNING),
        (SUCCEEDED, False, "X1", JobStatus.SUCCEEDED),
    ]
    assert world.remarks(job) == [FINISHED]
    assert devices.firmware_versions[job.from_versions[0]] == before
    assert list(job.changed_at_ms) == [NOW_MS + 66_000] == [world.engine.now_ms]


def test_progress_grows_while_a_device_upgrades() -> None:
    """0 before, the share of the time in between, 100 after."""
    world = World()
    job = world.start(1)
    seen = []
    for seconds in (0, 6, 30, 29, 1):
        world.after(seconds)
        seen.append(world.engine.progress_percent(job, 0))
    assert seen == [0, 0, 50, 98, 100]


def test_what_is_selected_follows_the_devices() -> None:
    """A selection made before a device changed is not served after."""
    world = World()
    devices = world.fleet.devices
    job = world.start(5, world.release("X1"))
    assert list(devices.matching(devices.with_firmware_versions(["X1"]))) == []
    world.after(10)
    assert list(devices.matching(devices.with_upgrading(True))) == list(job.targets)
    world.after(100)
    assert list(devices.matching(devices.with_firmware_versions(["X1"]))) == list(job.targets)
    assert list(devices.matching(devices.with_upgrading(True))) == []


def test_no_more_devices_at_a_time_than_the_job_allows() -> None:
    """The next device is told when one is done."""
    world = World()
    job = world.start(5, max_concurrency=2)
    counts = []
    for seconds in (1, 65, 65, 65):
        world.after(seconds)
        counts.append((states(job).count(PUBLISHED), states(job).count(SUCCEEDED)))
    assert counts == [(2, 0), (2, 2), (1, 4), (0, 5)]
    assert job.status is JobStatus.SUCCEEDED


def test_a_job_without_devices_is_done_at_once() -> None:
    """Nothing is left to do: it has succeeded when it begins."""
    world = World()
    job = world.start([])
    world.after(1)
    assert (job.status, job.open_tasks()) == (JobStatus.SUCCEEDED, 0)


def test_a_device_that_has_the_version_is_done_at_once() -> None:
    """It is not upgraded, and the remark says why."""
    world = World()
    first = world.release("X1")
    rows = world.rows(2)
    world.start(rows[:1], first)
    world.after(100)
    job = world.start(rows, first)
    world.after(1)
    assert states(job) == [SUCCEEDED, PUBLISHED]
    assert world.remarks(job) == [SAME_VERSION, NO_REMARK]


def test_software_goes_into_its_own_column() -> None:
    """A software job leaves the firmware version alone."""
    world = World()
    record = world.release("S1", kind=FirmwareKind.SOFTWARE)
    rows = world.rows(2, FirmwareKind.SOFTWARE)
    before = [world.fleet.devices.firmware_version(row) for row in rows]
    job = world.start(rows, record)
    world.after(100)
    assert job.firmware_kind is FirmwareKind.SOFTWARE
    assert [world.fleet.devices.software_version(row) for row in rows] == ["S1", "S1"]
    assert [world.fleet.devices.firmware_version(row) for row in rows] == before


def test_modules_change_no_version() -> None:
    """A module job runs like any other; the devices have no column for it."""
    world = World()
    record = world.release("m9", kind=FirmwareKind.MODULE, module_name="radio")
    job = world.start([0, 1], record)
    world.after(100)
    assert states(job) == [SUCCEEDED, SUCCEEDED]
    assert list(job.from_versions) == [ABSENT, ABSENT]
    assert len(world.engine.eligible([], [], FirmwareKind.MODULE)) == len(world.fleet.devices)


def test_failures_are_retried_as_often_as_the_job_says() -> None:
    """A failed attempt waits for the job's pause; the last one leaves the task failed, with its reason."""
    world = World()
    rows = world.rows(3)
    outcomes: dict[int, list[Remark | None]] = {
        rows[0]: [DOWNLOAD_FAILED, None],
        rows[1]: [OFFLINE],
        rows[2]: [None],
    }
    world.engine.plan = attrs.evolve(SURE, outcomes=outcomes)
    job = world.start(rows, retry_count=1, retry_interval_minutes=10)
    world.after(66)
    assert states(job) == [RETRYING, RETRYING, SUCCEEDED]
    assert (world.remarks(job), job.status) == ([DOWNLOAD_FAILED, OFFLINE, FINISHED], JobStatus.RUNNING)
    world.after(600)
    assert states(job) == [PUBLISHED, PUBLISHED, SUCCEEDED]
    assert world.remarks(job)[0] == NO_REMARK
    world.after(65)
    assert states(job) == [SUCCEEDED, FAILED, SUCCEEDED]
    assert world.remarks(job) == [FINISHED, OFFLINE, FINISHED]
    assert job.status is JobStatus.PARTIALLY_SUCCEEDED


def test_a_retry_waits_for_a_free_place() -> None:
    """A task whose pause is over queues behind the others when as many devices are told as may be."""
    world = World()
    rows = world.rows(2)
    world.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [OFFLINE, None]})
    job = world.start(rows, max_concurrency=1, retry_count=1, retry_interval_minutes=0)
    world.after(66)
    assert states(job) == [PENDING, PUBLISHED]
    world.after(65)
    assert states(job) == [PUBLISHED, SUCCEEDED]


@pytest.mark.parametrize(
    ("kind", "timeout", "states_seen"),
    [
        (JobKind.UPGRADE, 59, [(UPGRADING, 64.999), (FAILED, 0.001)]),
        (JobKind.UPGRADE, 60, [(UPGRADING, 65.999), (SUCCEEDED, 0.001)]),
        (JobKind.VERIFICATION, 64, [(UPGRADING, 64.999), (FAILED, 0.001)]),
        (JobKind.VERIFICATION, 65, [(UPGRADING, 65.999), (SUCCEEDED, 0.001)]),
        (JobKind.VERIFICATION, 5, [(PUBLISHED, 5.999), (FAILED, 0.001)]),
        (JobKind.VERIFICATION, 4, [(PUBLISHED, 4.999), (FAILED, 0.001)]),
    ],
)
def test_a_task_fails_when_its_time_is_over(
    kind: JobKind, timeout: int, states_seen: list[tuple[TaskStatus, float]]
) -> None:
    """The time limit counts from the beginning of the upgrade; in a verification job from when the device was told."""
    world = World()
    job = world.start(1, kind=kind, timeout_seconds=timeout)
    for state, seconds in states_seen:
        world.after(seconds)
        assert states(job) == [state]
    if states(job) == [FAILED]:
        assert world.remarks(job) == [TIMED_OUT]


def test_a_silent_device_times_out() -> None:
    """An outcome can be that the device never answers."""
    world = World()
    rows = world.rows(1)
    world.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [TIMED_OUT]})
    job = world.start(rows, timeout_seconds=300)
    world.after(305.999)
    assert states(job) == [UPGRADING]
    world.after(0.001)
    assert (states(job), world.remarks(job), job.status) == ([FAILED], [TIMED_OUT], JobStatus.FAILED)


def test_two_jobs_cannot_upgrade_one_device_at_a_time() -> None:
    """The later one fails with a conflict."""
    world = World()
    rows = world.rows(1)
    first, second = world.start(rows), world.start(rows)
    world.after(6)
    assert (states(first), states(second)) == ([UPGRADING], [FAILED])
    assert world.remarks(second) == [CONFLICT]
    assert world.fleet.devices.upgrading(rows[0])


def test_a_fast_plan_shortens_times_and_no_schedule() -> None:
    """With a speed, durations, timeouts and pauses are divided by it."""
    world = World(attrs.evolve(SURE, speed=10))
    job = world.start(1)
    world.after(6.6)
    assert states(job) == [SUCCEEDED]
    late = world.start(1, scheduled_at_ms=epoch_ms(DEFAULT_NOW) + 60_000)
    world.after(53)
    assert states(late) == [PENDING]
    world.after(10)
    assert states(late) == [SUCCEEDED]


# --- schedules -------------------------------------------------------------------------------------------------------

DAY_MS = 86_400_000


@pytest.mark.parametrize(
    ("start", "end", "daily", "at", "opening"),
    [
        (None, None, False, 7, 7),
        (10, None, False, 7, 10),
        (10, None, False, 11, 11),
        (10, 20, False, 7, 10),
        (10, 20, False, 19, 19),
        (10, 20, False, 20, None),
        (10, 20, True, 20, 10 + DAY_MS),
        (10, 20, True, 15 + 3 * DAY_MS, 15 + 3 * DAY_MS),
        (10, 20, True, 25 + 3 * DAY_MS, 10 + 4 * DAY_MS),
    ],
)
def test_the_window_of_a_schedule(
    start: int | None, end: int | None, daily: bool, at: int, opening: int | None
) -> None:
    """A job may tell devices inside its window, which may open again every day."""
    job = World().start(0, scheduled_at_ms=start, window_ends_at_ms=end, repeats_daily=daily)
    assert next_opening(job, at) == opening


def test_a_scheduled_job_waits_for_its_window() -> None:
    """It is pending before; outside of the window nothing new is told, what was told finishes."""
    world = World()
    start = NOW_MS + 3_600_000
    job = world.start(3, scheduled_at_ms=start, window_ends_at_ms=start + 60_000, repeats_daily=True, max_concurrency=1)
    world.after(3_599)
    assert (job.status, states(job)) == (JobStatus.PENDING, [PENDING] * 3)
    world.after(1)
    assert (job.status, states(job)) == (JobStatus.RUNNING, [PUBLISHED, PENDING, PENDING])
    world.after(200)
    assert states(job) == [SUCCEEDED, PENDING, PENDING]
    world.after(86_400 - 200)
    assert states(job) == [SUCCEEDED, PUBLISHED, PENDING]


def test_a_window_that_has_closed_for_good_leaves_devices_pending() -> None:
    """Also when the job is created after it, or somebody asks for a retry."""
    world = World()
    late = world.start(2, scheduled_at_ms=NOW_MS - 20, window_ends_at_ms=NOW_MS - 10)
    job = world.start(2, scheduled_at_ms=NOW_MS, window_ends_at_ms=NOW_MS + 30_000, max_concurrency=1)
    world.after(1_000)
    assert states(job) == [SUCCEEDED, PENDING]
    assert (late.status, states(late)) == (JobStatus.PENDING, [PENDING] * 2)


# --- properties ------------------------------------------------------------------------------------------------------

OPERATIONS = st.one_of(
    st.tuples(st.just("advance"), st.sampled_from([0.5, 3, 20, 90, 400])),
    st.tuples(st.sampled_from(["pause", "resume", "stop", "confirm", "delete", "cancel", "retry"]), st.integers(0, 3)),
)
CHANCY = JobPlan(failing_share=0.4, published_seconds=4, upgrading_seconds=20, spread=1)


def run_script(script: list[tuple[str, Any]], pieces: int) -> World:
    """Play operations on four jobs that share devices, and look ``pieces`` times in every stretch of time."""
    world = World(CHANCY)
    rows = world.rows(12)
    jobs = [
        world.start(rows[:5], max_concurrency=2, retry_count=1, retry_interval_minutes=1),
        world.start(rows[3:8], held=True, timeout_seconds=25),
        world.start(rows[6:], started=False, kind=JobKind.VERIFICATION, timeout_seconds=20),
        world.start(rows[2:9], incremental=True, max_concurrency=3),
    ]
    for name, value in script:
        if name == "advance":
            for _ in range(pieces):
                world.after(value / pieces)
            check_world(world)
            continue
        play(world.engine, name, jobs[value])
    return world


def play(engine: JobEngine, name: str, job: JobRecord) -> None:
    """Do something to a job, unless it is refused."""
    if engine.fleet.job_record(job.job_id) is None:
        return
    places = range(0, len(job.targets), 2)
    try:
        if name == "delete":
            engine.delete(job.job_id, when=FINAL_STATUSES)
        elif name == "cancel":
            engine.cancel_tasks(job.job_id, [at for at in places if states(job)[at] in OPEN], from_states=OPEN)
        elif name == "retry":
            again = {FAILED, CANCELLED}
            engine.retry_tasks(job.job_id, [at for at in places if states(job)[at] in again], from_states=again)
        else:
            getattr(engine, name)(job.job_id)
    except (JobStartedError, JobStoppedError, JobFinishedError, JobRunningError):
        pass


def check_world(world: World) -> None:
    """What holds at any time."""
    upgrading: Counter[int] = Counter()
    for job in world.fleet.jobs:
        counted = Counter(states(job))
        assert counted[PUBLISHED] + counted[UPGRADING] <= job.max_concurrency
        upgrading.update(row for row, state in zip(job.targets, states(job), strict=True) if state is UPGRADING)
        if job.status in {JobStatus.SUCCEEDED, JobStatus.PARTIALLY_SUCCEEDED, JobStatus.FAILED}:
            assert job.open_tasks() == 0
        if job.status is JobStatus.SUCCEEDED:
            assert set(counted) <= {SUCCEEDED}
    assert all(count == 1 for count in upgrading.values())
    assert {row for row, flag in enumerate(world.fleet.devices.upgrading_column) if flag} == set(upgrading)


@given(script=st.lists(OPERATIONS, max_size=12))
@settings(max_examples=60)
def test_how_often_somebody_looks_changes_nothing(script: list[tuple[str, Any]]) -> None:
    """Whatever is done, the outcome is the same whether time was settled in one step or in many, and is consistent."""
    once, often = run_script(script, 1), run_script(script, 4)
    assert once.fleet.jobs == often.fleet.jobs
    assert once.fleet.devices.firmware_version_column == often.fleet.devices.firmware_version_column


def test_time_never_runs_backwards() -> None:
    """Settling to an instant before the last does nothing."""
    world = World()
    job = world.start(1)
    world.engine.settle_to(NOW_MS + 100_000)
    world.engine.settle_to(NOW_MS)
    assert (states(job), world.engine.now_ms) == ([SUCCEEDED], NOW_MS + 100_000)
