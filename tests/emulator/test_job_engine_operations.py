"""What can be done to a job that runs: pausing, stopping, cancelling, retrying, confirming and deleting it."""

import attrs
import pytest

from otaclient.emulator import JobEngine
from otaclient.emulator.engine import FINAL_STATUSES
from otaclient.emulator.refusals import (
    JobFinishedError,
    JobRunningError,
    JobStartedError,
    JobStoppedError,
    NoSuchJobError,
    TaskStateError,
)
from otaclient.emulator.remarks import CANCELLED_BY_USER, NO_REMARK, OFFLINE
from otaclient.models import JobStatus
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
