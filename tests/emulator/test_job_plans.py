"""Jobs of the past, which stand still, and plans: how long everything takes, and how often it fails."""

from typing import Any

import attrs
import pytest

from otaclient.emulator import Fleet, JobPlan, Remark
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.engine import FINAL_STATUSES
from otaclient.emulator.remarks import CANCELLED_BY_USER, FAILURES, FINISHED, NO_REMARK, OFFLINE
from otaclient.models import FirmwareKind, JobStatus, TaskStatus
from support.job_engine import CANCELLED, FAILED, PUBLISHED, RETRYING, SUCCEEDED, SURE, UPGRADING, World, states

PAST = Fleet.generate(devices=600, jobs=14)


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
