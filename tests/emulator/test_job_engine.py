"""Jobs that run: tasks move on with the clock, the devices with them, and every refusal changes nothing."""

from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.emulator import (
    FirmwareOrder,
    FirmwareStore,
    Fleet,
    JobEngine,
    JobOrder,
    JobPlan,
    JobRecord,
    ManualClock,
    Remark,
)
from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.engine import FINAL_STATUSES
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.records import TASK_STATUSES, FirmwareRecord
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
from otaclient.emulator.remarks import (
    CANCELLED_BY_USER,
    CONFLICT,
    DOWNLOAD_FAILED,
    FAILURES,
    FINISHED,
    NO_REMARK,
    OFFLINE,
    SAME_VERSION,
    TIMED_OUT,
    UNSUITABLE_VERSION,
)
from otaclient.emulator.runs import next_opening
from otaclient.models import FirmwareKind, JobKind, JobStatus, TaskStatus

FLEET = Fleet.generate(devices=400, jobs=0)
PAST = Fleet.generate(devices=600, jobs=14)
NOW_MS = epoch_ms(DEFAULT_NOW)

# Everything takes exactly as long as it says, and succeeds.
SURE = JobPlan(pending_seconds=1, published_seconds=5, upgrading_seconds=60, spread=0, failing_share=0)

PENDING, PUBLISHED, UPGRADING = TaskStatus.PENDING, TaskStatus.PUBLISHED, TaskStatus.UPGRADING
SUCCEEDED, FAILED, RETRYING, CANCELLED = (
    TaskStatus.SUCCEEDED,
    TaskStatus.FAILED,
    TaskStatus.RETRYING,
    TaskStatus.CANCELLED,
)
OPEN = frozenset({PENDING, PUBLISHED, UPGRADING, RETRYING})


class World:
    """A fleet of its own, with a clock and an engine."""

    def __init__(self, plan: JobPlan = SURE, fleet: Fleet = FLEET) -> None:
        self.fleet = fleet.copy()
        self.clock = ManualClock(DEFAULT_NOW)
        self.engine = JobEngine(self.fleet, self.clock, plan=plan)
        self.store = FirmwareStore(self.fleet, self.clock)
        self.product = self.fleet.products[0].product_id

    def release(self, version: str = "X1", **fields: Any) -> FirmwareRecord:
        fields = {"product_id": self.product, "name": f"firmware {version}", **fields}
        return self.store.create(FirmwareOrder(version=version, **fields))

    def rows(self, count: int, kind: FirmwareKind = FirmwareKind.FIRMWARE) -> list[int]:
        return list(self.engine.eligible([self.product], [], kind))[:count]

    def start(
        self, targets: Sequence[int] | int = 3, firmware: FirmwareRecord | None = None, **fields: Any
    ) -> JobRecord:
        firmware = firmware or self.fleet.firmware_record(self.release(f"X{len(self.fleet.firmware)}").firmware_id)
        assert firmware is not None
        rows = self.rows(targets) if isinstance(targets, int) else targets
        return self.engine.create(JobOrder(name="job", firmware_ids=(firmware.firmware_id,), targets=rows, **fields))

    def after(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.engine.settle()

    def remarks(self, job: JobRecord) -> list[Remark]:
        return [self.fleet.remarks[index] for index in job.remarks]


def states(job: JobRecord) -> list[TaskStatus]:
    return [TASK_STATUSES[index] for index in job.task_states]


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


# --- operations ------------------------------------------------------------------------------------------------------


def test_a_paused_job_finishes_what_was_told_and_goes_on_when_resumed() -> None:
    """Pausing keeps the pending tasks for later; each operation is refused where the job stands there already."""
    world = World()
    job = world.start(3, max_concurrency=1)
    world.after(2)
    with pytest.raises(JobStartedError) as started:
        world.engine.resume(job.job_id)
    assert started.value.status is JobStatus.RUNNING
    world.engine.pause(job.job_id)
    with pytest.raises(JobStoppedError):
        world.engine.pause(job.job_id)
    world.after(500)
    assert (states(job), job.status) == ([SUCCEEDED, PENDING, PENDING], JobStatus.STOPPED)
    world.engine.resume(job.job_id)
    world.after(500)
    assert (states(job), job.status) == ([SUCCEEDED] * 3, JobStatus.SUCCEEDED)


def test_a_job_can_be_created_stopped() -> None:
    """It waits until it is resumed."""
    world = World()
    job = world.start(2, started=False)
    world.after(500)
    assert (states(job), job.status) == ([PENDING] * 2, JobStatus.STOPPED)
    world.engine.resume(job.job_id)
    world.after(500)
    assert job.status is JobStatus.SUCCEEDED


def test_a_finished_job_can_be_paused_and_resumed() -> None:
    """Nothing runs again; it is finished once more."""
    world = World()
    job = world.start(1)
    world.after(100)
    world.engine.pause(job.job_id)
    assert job.status is JobStatus.STOPPED
    world.engine.resume(job.job_id)
    world.after(1)
    assert (states(job), job.status) == ([SUCCEEDED], JobStatus.SUCCEEDED)


def test_stopping_cancels_what_waits_now_and_the_rest_soon() -> None:
    """The job is stopping until it has got hold of the devices under way; then it is stopped for good."""
    world = World()
    rows = world.rows(3)
    world.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [OFFLINE]})
    job = world.start(rows, max_concurrency=1, retry_count=1, retry_interval_minutes=60)
    world.after(100)
    assert states(job) == [RETRYING, UPGRADING, PENDING]
    world.engine.stop(job.job_id)
    assert (states(job), job.status) == ([CANCELLED, UPGRADING, CANCELLED], JobStatus.STOPPING)
    with pytest.raises(JobFinishedError):
        world.engine.stop(job.job_id)
    world.after(2)
    assert (states(job), job.status) == ([CANCELLED] * 3, JobStatus.STOPPED)
    assert world.remarks(job) == [CANCELLED_BY_USER] * 3
    assert not any(map(world.fleet.devices.upgrading, rows))
    with pytest.raises(JobFinishedError):
        world.engine.stop(job.job_id)
    world.after(10_000)
    assert states(job) == [CANCELLED] * 3


def test_a_job_that_ends_while_it_is_being_stopped_is_stopped() -> None:
    """The last device may finish first."""
    world = World()
    job = world.start(1)
    world.after(65)
    world.engine.stop(job.job_id)
    world.after(1)
    assert (states(job), job.status) == ([SUCCEEDED], JobStatus.STOPPED)
    world.after(1)
    assert job.status is JobStatus.STOPPED


def test_stopping_a_job_that_has_not_begun_is_immediate() -> None:
    """Nothing is under way that could hold it up."""
    world = World()
    job = world.start(3)
    world.engine.stop(job.job_id)
    assert (states(job), job.status) == ([CANCELLED] * 3, JobStatus.STOPPED)


def test_cancelling_single_tasks_frees_their_places() -> None:
    """Others go on in their stead; what is in another state refuses the whole call."""
    world = World()
    job = world.start(4, max_concurrency=2)
    world.after(1)
    with pytest.raises(TaskStateError) as refused:
        world.engine.cancel_tasks(job.job_id, [0, 3], from_states={PENDING})
    assert refused.value.positions == (0,)
    assert states(job) == [PUBLISHED, PUBLISHED, PENDING, PENDING]
    world.engine.cancel_tasks(job.job_id, [0, 3], from_states={PENDING, PUBLISHED})
    assert states(job) == [CANCELLED, PUBLISHED, PUBLISHED, CANCELLED]
    world.after(100)
    assert (states(job), job.status) == ([CANCELLED, SUCCEEDED, SUCCEEDED, CANCELLED], JobStatus.PARTIALLY_SUCCEEDED)


def test_cancelling_a_device_under_way_brings_it_to_rest() -> None:
    """What was planned for it does not happen."""
    world = World()
    job = world.start(1)
    world.after(10)
    before = world.fleet.devices.firmware_version(job.targets[0])
    world.engine.cancel_tasks(job.job_id, [0], from_states=OPEN)
    assert not world.fleet.devices.upgrading(job.targets[0])
    world.after(500)
    assert (states(job), world.fleet.devices.firmware_version(job.targets[0])) == ([CANCELLED], before)


@pytest.mark.parametrize("status", [JobStatus.STOPPED, JobStatus.FAILED])
def test_where_a_job_stands_whose_tasks_were_all_cancelled_is_the_vendors_choice(status: JobStatus) -> None:
    """Stopped unless the vendor says otherwise."""
    world = World()
    world.engine.when_all_cancelled = status
    assert world.engine.when_all_cancelled is status
    job = world.start(2)
    world.engine.cancel_tasks(job.job_id, [0, 1], from_states=OPEN)
    assert job.status is status


def test_retrying_begins_anew_with_all_retries() -> None:
    """A finished job runs again; the attempts go on being counted."""
    world = World()
    rows = world.rows(2)
    world.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [OFFLINE, OFFLINE, OFFLINE, None]})
    job = world.start(rows, retry_count=1, retry_interval_minutes=1)
    world.after(300)
    assert (states(job), job.status) == ([FAILED, SUCCEEDED], JobStatus.PARTIALLY_SUCCEEDED)
    with pytest.raises(TaskStateError):
        world.engine.retry_tasks(job.job_id, [0, 1], from_states={FAILED})
    world.engine.retry_tasks(job.job_id, [0], from_states={FAILED})
    assert (states(job), world.remarks(job)[0], job.status) == ([PENDING, SUCCEEDED], NO_REMARK, JobStatus.RUNNING)
    world.after(300)
    assert (states(job), job.status) == ([SUCCEEDED, SUCCEEDED], JobStatus.SUCCEEDED)


def test_a_retry_that_is_asked_for_replaces_the_jobs_own() -> None:
    """The pause of a waiting task is cut short, and its old appointment is void."""
    world = World()
    rows = world.rows(1)
    world.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [OFFLINE, None]})
    job = world.start(rows, retry_count=1, retry_interval_minutes=60)
    world.after(66)
    world.engine.retry_tasks(job.job_id, [0], from_states={RETRYING})
    world.after(66)
    assert states(job) == [SUCCEEDED]
    world.after(3_600)
    assert states(job) == [SUCCEEDED]


def test_a_retry_in_a_stopped_job_waits_until_it_is_resumed() -> None:
    """The task is pending, and nothing else happens."""
    world = World()
    job = world.start(1)
    world.engine.cancel_tasks(job.job_id, [0], from_states=OPEN)
    world.engine.retry_tasks(job.job_id, [0], from_states={CANCELLED})
    assert job.status is JobStatus.STOPPED
    world.after(100)
    assert states(job) == [PENDING]
    world.engine.resume(job.job_id)
    world.after(100)
    assert states(job) == [SUCCEEDED]


def test_a_held_job_waits_for_its_confirmation() -> None:
    """Some devices can be confirmed before the rest; what does not wait cannot be confirmed."""
    world = World()
    job = world.start(3, held=True)
    world.after(100)
    assert (states(job), job.status) == ([PENDING] * 3, JobStatus.PENDING)
    assert [world.engine.is_held(job, position) for position in range(3)] == [True] * 3
    assert list(world.engine.confirm(job.job_id, [1])) == [1]
    assert job.status is JobStatus.RUNNING
    with pytest.raises(TaskStateError) as refused:
        world.engine.confirm(job.job_id, [0, 1])
    assert refused.value.positions == (1,)
    world.after(100)
    assert states(job) == [PENDING, SUCCEEDED, PENDING]
    assert list(world.engine.confirm(job.job_id)) == [0, 2]
    world.after(100)
    assert (states(job), job.status) == ([SUCCEEDED] * 3, JobStatus.SUCCEEDED)
    with pytest.raises(JobFinishedError):
        world.engine.confirm(job.job_id)


def test_a_held_and_scheduled_job_waits_for_both() -> None:
    """A confirmation does not hurry the schedule."""
    world = World()
    job = world.start(1, held=True, scheduled_at_ms=NOW_MS + 600_000)
    world.engine.confirm(job.job_id)
    world.after(599)
    assert (states(job), job.status) == ([PENDING], JobStatus.PENDING)
    world.after(1)
    assert states(job) == [PUBLISHED]


def test_jobs_that_wait_for_nothing_hold_nothing() -> None:
    """Confirming releases no task of such a job, and no other task is held."""
    world = World()
    job = world.start(2)
    assert not world.engine.is_held(job, 0)
    assert list(world.engine.confirm(job.job_id)) == []
    assert not JobEngine(world.fleet, world.clock).is_held(job, 0)


def test_a_job_is_deleted_where_the_vendor_allows() -> None:
    """Its devices come to rest, its appointments are void, and it is gone."""
    world = World()
    job = world.start(2)
    world.after(10)
    with pytest.raises(JobRunningError):
        world.engine.delete(job.job_id, when=FINAL_STATUSES)
    assert world.fleet.devices.upgrading(job.targets[0])
    world.engine.delete(job.job_id, when={JobStatus.RUNNING})
    assert not world.fleet.devices.upgrading(job.targets[0])
    world.after(1_000)
    assert states(job) == [UPGRADING] * 2
    with pytest.raises(NoSuchJobError):
        world.engine.job(job.job_id)


@pytest.mark.parametrize("operation", ["pause", "resume", "stop", "confirm"])
def test_nothing_is_done_to_a_job_that_does_not_exist(operation: str) -> None:
    """Every operation says so."""
    with pytest.raises(NoSuchJobError, match="there is no job nothing"):
        getattr(World().engine, operation)("nothing")


# --- creating --------------------------------------------------------------------------------------------------------


def test_creation_is_refused_without_the_firmware() -> None:
    """No such firmware, or firmware that does not go together: nothing is created."""
    world = World()
    one, two = world.release("X1"), world.release("S1", kind=FirmwareKind.SOFTWARE)
    for firmware_ids, error in [
        (("nothing",), NoSuchFirmwareError),
        ((one.firmware_id, two.firmware_id), MixedFirmwareError),
    ]:
        with pytest.raises(error):
            world.engine.create(JobOrder(name="x", firmware_ids=firmware_ids, targets=[1]))
    assert world.fleet.jobs == []


def test_the_devices_report_only_so_many_versions() -> None:
    """One version more than a column holds is refused before anything is created."""
    world = World()
    devices = world.fleet.devices
    for number in range(ABSENT - len(devices.firmware_versions)):
        devices.version_index(FirmwareKind.FIRMWARE, f"filler-{number}")
    with pytest.raises(TooManyVersionsError, match="255 firmware versions"):
        world.start(1)
    assert world.fleet.jobs == []


def test_new_jobs_sort_behind_all_others() -> None:
    """Identifiers and creation times grow, also within one second and with a clock that is behind."""
    world = World(fleet=PAST)
    world.fleet.jobs[-1].created_at_ms = NOW_MS + 5_000
    newest = world.fleet.jobs[-1]
    newest.job_id = f"{NOW_MS // 1000 + 5:08x}{newest.job_id[8:]}"
    for _ in range(3):
        world.start(1)
    jobs = world.fleet.jobs[-4:]
    assert [job.job_id for job in jobs] == sorted({job.job_id for job in jobs})
    assert [job.created_at_ms for job in jobs] == [NOW_MS + 5_000 + step for step in range(4)]
    tasks = [job.task_id(position) for job in world.fleet.jobs for position in range(len(job.targets))]
    assert len(set(tasks)) == len(tasks)
    assert all(len(task) == 24 and int(task, 16) for task in tasks)


def test_who_is_eligible() -> None:
    """Product, versions of the kind, and nothing said at all."""
    world = World()
    devices, product = world.fleet.devices, world.fleet.products[0]
    version, app = product.firmware_versions[-1], product.software_versions[-1]
    everyone = range(len(devices))
    found = world.engine.eligible([product.product_id], [version], FirmwareKind.FIRMWARE)
    assert list(found) == [
        row
        for row in everyone
        if devices.product_id(row) == product.product_id and devices.firmware_version(row) == version
    ]
    assert list(world.engine.eligible([], [app], FirmwareKind.SOFTWARE)) == [
        row for row in everyone if devices.software_version(row) == app
    ]
    assert list(world.engine.eligible([], [], FirmwareKind.FIRMWARE)) == [
        row for row in everyone if devices.firmware_version(row) is not None
    ]


def test_source_versions_of_firmware_are_checked_where_the_vendor_does() -> None:
    """Each device gets the first firmware that fits its version; without one it fails."""
    world = World()
    devices = world.fleet.devices
    by_version: dict[str | None, int] = {}
    for row in world.rows(200):
        by_version.setdefault(devices.firmware_version(row), row)
    (first, second, third, *_) = by_version
    assert first
    assert second
    firmware = [world.release("Y1", source_versions=(first,)), world.release("Y2", source_versions=(second,))]
    rows = [by_version[first], by_version[second], by_version[third]]
    order = JobOrder(
        name="x",
        firmware_ids=tuple(record.firmware_id for record in firmware),
        targets=rows,
        checks_source_versions=True,
    )
    job = world.engine.create(order)
    assert list(job.choices) == [0, 1, ABSENT]
    world.after(100)
    assert states(job) == [SUCCEEDED, SUCCEEDED, FAILED]
    assert [devices.firmware_version(row) for row in rows] == ["Y1", "Y2", third]
    assert world.remarks(job)[2] == UNSUITABLE_VERSION


def test_enough_successes_verify_the_firmware() -> None:
    """A verification job makes its firmware a verified one, once; an upgrade job never does."""
    world = World()
    record = world.release("X1", verification_required=True, min_verified_successes=2)
    rows = world.rows(4)
    world.start(rows[:1], record)
    world.after(100)
    world.start(rows[1:4], record, kind=JobKind.VERIFICATION, max_concurrency=1)

    def verified() -> bool:
        found = world.fleet.firmware_record(record.firmware_id)
        assert found is not None
        return found.verified

    world.after(70)
    assert not verified()
    world.after(70)
    assert verified()
    world.after(70)
    assert verified()
    deleted = world.release("X2")
    world.start(rows[:1], deleted, kind=JobKind.VERIFICATION)
    world.fleet.remove_firmware(deleted)
    world.after(100)
    assert world.fleet.known_firmware(deleted.firmware_id) == deleted


# --- incremental jobs ------------------------------------------------------------------------------------------------


def test_devices_join_an_incremental_job_when_they_reach_its_versions() -> None:
    """It never comes to its end by itself, and takes only the devices that it is for."""
    world = World()
    middle, last = world.release("M1"), world.release("L1")
    rows = world.rows(4)
    follower = world.start(
        rows[:1], last, incremental=True, source_versions=("M1",), joining=frozenset(rows[:3]), max_concurrency=9
    )
    anyone = world.start([], last, incremental=True)
    other_kind = world.start(
        [], world.release("S1", kind=FirmwareKind.SOFTWARE), incremental=True, source_versions=("M1",)
    )
    other_versions = world.start([], world.release("L2"), incremental=True, source_versions=("nothing",))
    world.after(100)
    assert states(follower) == [SUCCEEDED]
    assert follower.status is JobStatus.RUNNING
    assert follower.position_of(rows[1]) is None
    world.start(rows[1:4], middle)
    world.after(66)
    assert list(follower.targets) == [*rows[:3]]
    assert states(follower) == [SUCCEEDED, PUBLISHED, PUBLISHED]
    assert follower.position_of(rows[2]) == 2
    assert [world.fleet.devices.firmware_versions[index] for index in follower.from_versions[1:]] == ["M1", "M1"]
    # Whoever came first upgrades; the other job's task conflicts.
    world.after(70)
    assert list(anyone.targets) == rows[1:4]
    assert {world.fleet.devices.firmware_version(row) for row in rows} == {"L1"}
    assert list(other_kind.targets) == list(other_versions.targets) == []


def test_a_product_that_is_not_the_jobs_does_not_join() -> None:
    """Firmware without a product is for all."""
    world = World()
    bound, free = world.release("L1"), world.release("L2", product_id="")
    jobs = [world.start([], record, incremental=True, source_versions=("M1",)) for record in (bound, free)]
    other = world.fleet.products[1].product_id
    rows = list(world.engine.eligible([other], [], FirmwareKind.FIRMWARE))[:1]
    world.start(rows, world.release("M1", product_id=other))
    world.after(66)
    assert [list(job.targets) for job in jobs] == [[], rows]


def test_joining_counts_after_positions_were_asked_for() -> None:
    """Whether a device was looked up before or not, it is found after it joined."""
    world = World()
    job = world.start(2)
    for asked_before in (False, True):
        fresh = attrs.evolve(job, targets=array("I", [5, 6]))
        if asked_before:
            assert fresh.position_of(9) is None
        fresh.add_target(9, version=0, choice=0, at_ms=1)
        assert fresh.position_of(9) == 2


# --- the past --------------------------------------------------------------------------------------------------------


def test_generated_jobs_stand_still() -> None:
    """Time alone changes nothing about the past of a fleet."""
    world = World(fleet=PAST)
    world.after(1_000_000)
    assert world.fleet.jobs == PAST.jobs
    assert world.fleet.devices.upgrading_column == PAST.devices.upgrading_column
    running = next(job for job in world.fleet.jobs if states(job).count(UPGRADING))
    position = states(running).index(UPGRADING)
    assert 0 < world.engine.progress_percent(running, position) < 100


def test_generated_jobs_run_on_demand() -> None:
    """Every open task comes to its end, and every device to rest."""
    world = World(fleet=PAST)
    assert any(RETRYING in states(job) for job in PAST.jobs)
    assert any(PUBLISHED in states(job) for job in PAST.jobs)
    world.engine.run_generated_jobs()
    world.after(10_000_000)
    for job in world.fleet.jobs:
        assert job.open_tasks() == 0
        assert job.status in FINAL_STATUSES or job.incremental
    assert not any(world.fleet.devices.upgrading_column)


def test_a_generated_job_goes_on_once_something_is_done_to_it() -> None:
    """Here one is stopped: its devices are let go of."""
    world = World(fleet=PAST)
    job = next(job for job in world.fleet.jobs if states(job).count(UPGRADING) and job.status is JobStatus.RUNNING)
    world.engine.stop(job.job_id)
    world.after(2)
    assert job.status is JobStatus.STOPPED
    assert not any(map(world.fleet.devices.upgrading, job.targets))


def test_a_new_job_leaves_the_past_of_its_devices_alone() -> None:
    """A device that the past left in an upgrade can be upgraded, and is in that upgrade still after."""
    world = World(fleet=PAST)
    devices = world.fleet.devices
    row = next(
        row
        for row in range(len(devices))
        if devices.upgrading(row) and devices.product_id(row) == world.product and devices.firmware_version(row)
    )
    job = world.start([row], world.release("X1"))
    world.after(100)
    assert states(job) == [SUCCEEDED]
    assert (devices.firmware_version(row), devices.upgrading(row)) == ("X1", True)


def test_generated_tasks_say_why_they_stand_where_they_stand() -> None:
    """Those that failed name a failure, those that were cancelled the user, and all where they came from."""
    for job in PAST.jobs:
        for state, index, version in zip(states(job), job.remarks, job.from_versions, strict=True):
            remark = PAST.remarks[index]
            if state in {FAILED, RETRYING}:
                assert remark in FAILURES
            else:
                assert remark == {SUCCEEDED: FINISHED, CANCELLED: CANCELLED_BY_USER}.get(state, NO_REMARK)
            # A software job reaches devices that never reported any software.
            assert version != ABSENT or job.firmware_kind is not FirmwareKind.FIRMWARE
        assert all(0 <= at - job.created_at_ms < 256_000 for at in job.changed_at_ms)


# --- plans -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"pending_seconds": -1}, "pending_seconds is -1; it must be 0 or more"),
        ({"upgrading_seconds": float("nan")}, "upgrading_seconds is nan"),
        ({"spread": 1.5}, "spread is 1.5; it must be within 0 and 1"),
        ({"failing_share": -0.1}, "failing_share is -0.1"),
        ({"speed": 0}, "speed is 0; it must be above 0"),
        ({"failures": ()}, "failures is empty"),
        ({"outcomes": {3: ()}}, "outcomes of row 3 are empty"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(fields: dict[str, Any], message: str) -> None:
    """The message names the field, the value and the rule."""
    with pytest.raises(ValueError, match=message):
        JobPlan(**fields)


def test_chance_follows_the_plan() -> None:
    """About the planned share fails, for reasons of the plan's own; the same seed draws the same."""
    reason = Remark("cosmic_ray", "a bit has flipped")
    plan = JobPlan(failing_share=0.3, failures=[reason, OFFLINE], pending_seconds=0, published_seconds=1)

    def run() -> tuple[list[TaskStatus], list[Remark], list[int]]:
        world = World(plan)
        job = world.start(list(range(400)))
        world.after(1_000)
        return states(job), world.remarks(job), list(job.changed_at_ms)

    found, remarks, times = run()
    assert 0.2 < found.count(FAILED) / 400 < 0.4
    assert {remark for state, remark in zip(found, remarks, strict=True) if state is FAILED} == {reason, OFFLINE}
    assert len(set(times)) > 200
    assert run() == (found, remarks, times)


def test_every_attempt_is_drawn_anew() -> None:
    """With retries, far more devices succeed than at the first attempt."""
    world = World(attrs.evolve(SURE, failing_share=0.5))
    job = world.start(list(world.rows(150)), retry_count=5)
    world.after(10_000)
    assert states(job).count(SUCCEEDED) > 140


def test_a_large_job_is_columns_not_objects() -> None:
    """A job over a hundred thousand devices takes about 30 bytes a task."""
    world = World(fleet=Fleet.generate(devices=1, jobs=0))
    record = world.release("X1")
    job = world.start([0] * 100_000, record)
    columns = (job.targets, job.changed_at_ms)
    size = sum(len(column) * column.itemsize for column in columns) + 4 * len(job.task_states)
    assert size < 20 * 100_000
    assert len(job.targets) == 100_000


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
