"""What can be done to the IoTDA emulator's batch tasks: stopping, retrying and confirming, some devices or all."""

from collections import Counter
from typing import Any

import pytest

from otaclient.emulator import JobPlan, ManualClock
from otaclient.emulator.engine import FINAL_STATUSES
from otaclient.emulator.refusals import NoSuchJobError
from otaclient.emulator.remarks import STORAGE_FULL
from otaclient.models import FirmwareKind, JobStatus, TaskFailure, TaskStatus
from support.iotda import serving
from support.iotda_tasks import (
    FLEET,
    QUICK,
    ROWS,
    STRANGER,
    TARGETS,
    TASKS,
    Served,
    act,
    details,
    ordered,
    packaged,
    plan_fields,
    state,
)


async def test_stopping_some_and_all(served: Served, clock: ManualClock) -> None:
    """Some devices are stopped at once, each with its answer; the whole task is Stopping, then Stopped."""
    emulator, caller = served
    task = await ordered(caller, await packaged(caller))
    clock.advance(3)
    asked = [TARGETS[0], TARGETS[0], STRANGER, "nosuch"]
    assert await act(caller, "stop", task, asked) == (
        200, [(TARGETS[0], "success"), (TARGETS[0], "failure"), (STRANGER, "failure"), ("nosuch", "failure")]
    )  # fmt: skip
    assert await act(caller, "stop", task, [TARGETS[0]]) == (200, [(TARGETS[0], "failure")])
    assert await state(caller, task) == ("Processing", Counter(Stopped=1, Processing=3))
    assert (await caller.send("DELETE", f"{TASKS}/{task['task_id']}"))[0] == 409

    assert await act(caller, "stop", task) == (200, [])
    assert (await state(caller, task))[0] == "Stopping"
    for verb in ("stop", "retry", "confirm"):
        assert (await act(caller, verb, task))[0] == 409
    clock.advance(5)
    assert await state(caller, task) == ("Stopped", Counter(Stopped=4))
    assert not any(emulator.fleet.devices.upgrading(row) for row in ROWS)
    for verb in ("stop", "retry", "confirm"):
        assert (await act(caller, verb, task))[0] == 409
    assert (await caller.send("DELETE", f"{TASKS}/{task['task_id']}")) == (204, {})
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/retry"), ("POST", "/confirm")):
        status, body = await caller.send(method, f"{TASKS}/{task['task_id']}{path}", {} if method == "POST" else None)
        assert (status, body["error_code"]) == (404, "IOTDA.000029")


async def test_a_device_that_goes_on_meanwhile_is_looked_at_again(
    served: Served, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at a device and the deed, the service's clock goes on, and the device with it: no crash."""
    emulator, caller = served
    task = await ordered(caller, await packaged(caller))
    clock.advance(3)
    cancel = emulator.engine.cancel_tasks

    def late(*arguments: Any, **options: Any) -> None:
        monkeypatch.setattr(emulator.engine, "cancel_tasks", cancel)
        clock.advance(60)
        cancel(*arguments, **options)

    monkeypatch.setattr(emulator.engine, "cancel_tasks", late)
    # By then all devices have succeeded, and so has the task.
    assert (await act(caller, "stop", task, [TARGETS[0]]))[0] == 409
    assert emulator.statuses[500] == 0


async def test_stopping_before_it_began(served: Served) -> None:
    """A task that is being prepared can be stopped, but not be tried again or deleted."""
    _, caller = served
    task = await ordered(caller, await packaged(caller))
    assert (await act(caller, "retry", task))[0] == 409
    assert (await caller.send("DELETE", f"{TASKS}/{task['task_id']}"))[0] == 409
    assert (await act(caller, "stop", task))[0] == 200
    assert await state(caller, task) == ("Stopped", Counter(Stopped=4))


async def test_retrying_some_and_all(served: Served, clock: ManualClock) -> None:
    """Failed and stopped devices can be tried again, others not; an ended task goes on."""
    emulator, caller = served
    emulator.engine.plan = JobPlan(
        **plan_fields(), outcomes={ROWS[0]: (STORAGE_FULL, None), ROWS[1]: (STORAGE_FULL, None)}
    )
    task = await ordered(caller, await packaged(caller))
    clock.advance(3)
    assert (await act(caller, "stop", task, [TARGETS[2]]))[0] == 200
    clock.advance(20)
    assert await state(caller, task) == ("PartialSuccess", Counter(Fail=2, Stopped=1, Success=1))
    assert await act(caller, "retry", task, [TARGETS[0], TARGETS[3]]) == (
        200, [(TARGETS[0], "success"), (TARGETS[3], "failure")]
    )  # fmt: skip
    assert (await state(caller, task))[0] == "Processing"
    clock.advance(20)
    assert await state(caller, task) == ("PartialSuccess", Counter(Fail=1, Stopped=1, Success=2))
    assert await act(caller, "retry", task) == (200, [])
    clock.advance(20)
    assert await state(caller, task) == ("Success", Counter(Success=4))
    assert (await act(caller, "retry", task))[0] == 409


async def test_nothing_to_do_is_no_error(served: Served, clock: ManualClock) -> None:
    """A retry or a confirm of a task in which no device waits for one changes nothing."""
    _, caller = served
    task = await ordered(caller, await packaged(caller))
    clock.advance(3)
    assert await act(caller, "retry", task) == (200, [])
    assert await act(caller, "confirm", task) == (200, [])
    assert await act(caller, "confirm", task, TARGETS[:1]) == (200, [(TARGETS[0], "failure")])
    assert await act(caller, "retry", task, ["nosuch"]) == (200, [("nosuch", "failure")])
    assert await state(caller, task) == ("Processing", Counter(Processing=4))


async def test_holding_and_confirming(served: Served, clock: ManualClock) -> None:
    """A held task waits for as long as it takes; confirmed devices go on, the others wait."""
    emulator, caller = served
    task = await ordered(caller, await packaged(caller), need_confirm=True)
    clock.advance(7200)
    assert await state(caller, task) == ("Waitting", Counter(Waitting=4))
    held = next(emulator.expected_jobs("plant")).policy
    assert held is not None
    assert held.hold is True
    assert await act(caller, "confirm", task, [TARGETS[0], "nosuch"]) == (
        200, [(TARGETS[0], "success"), ("nosuch", "failure")]
    )  # fmt: skip
    assert await act(caller, "confirm", task, [TARGETS[0]]) == (200, [(TARGETS[0], "failure")])
    clock.advance(20)
    assert await state(caller, task) == ("Processing", Counter(Success=1, Waitting=3))
    assert await act(caller, "confirm", task) == (200, [])
    clock.advance(20)
    assert await state(caller, task) == ("Success", Counter(Success=4))


async def test_modules_are_confirmed_but_not_stopped(served: Served) -> None:
    """Stop and retry are for firmware and software alone; confirm is for modules too."""
    _, caller = served
    package = await packaged(caller, package_type="modulePackage", module_name="motor")
    task = await ordered(caller, package, task_type="moduleUpgrade", need_confirm=True)
    assert (await act(caller, "stop", task))[0] == 400
    assert (await act(caller, "retry", task))[0] == 400
    assert (await act(caller, "confirm", task))[0] == 200


async def test_answers_can_list_all_targets(clock: ManualClock) -> None:
    """Whether the answer for a whole task lists its devices the vendor does not say: a switch."""
    async with serving(FLEET, clock=clock, plan=QUICK, lists_all_targets=True) as (_, caller):
        task = await ordered(caller, await packaged(caller), need_confirm=True)
        assert await act(caller, "confirm", task) == (200, [(target, "success") for target in TARGETS])
        assert await act(caller, "stop", task) == (200, [(target, "success") for target in TARGETS])


@pytest.mark.parametrize("targets", [[], "all", [7], ["a b"], [f"d{number}" for number in range(101)]])
@pytest.mark.parametrize("verb", ["stop", "retry", "confirm"])
async def test_targets_that_are_refused(served: Served, clock: ManualClock, verb: str, targets: object) -> None:
    """An empty list, more than 100 devices, or something else is refused before anything happens."""
    _, caller = served
    task = await ordered(caller, await packaged(caller), need_confirm=True)
    clock.advance(1)
    status, body = await caller.send("POST", f"{TASKS}/{task['task_id']}/{verb}", {"targets": targets})
    assert (status, body["error_code"]) == (400, "IOTDA.000006")
    assert await state(caller, task) == ("Waitting", Counter(Waitting=4))


async def test_tasks_of_the_past_can_be_acted_on(served: Served, clock: ManualClock) -> None:
    """A task that came with the fleet stands still until something is done to it."""
    emulator, caller = served
    job = next(
        job for job in FLEET.jobs if job.status is JobStatus.RUNNING and job.firmware_kind is not FirmwareKind.MODULE
    )
    task = {"task_id": job.job_id}
    before = await details(caller, task)
    clock.advance(3600)
    assert await details(caller, task) == before
    assert (await act(caller, "stop", task))[0] == 200
    clock.advance(60)
    assert {each["status"] for each in (await details(caller, task)).values()} <= {"Success", "Fail", "Stopped"}
    ended = next(each for each in emulator.expected_jobs("x") if each.job_id == job.job_id)
    assert ended.status is JobStatus.STOPPED


async def test_tasks_of_the_past_can_go_on(clock: ManualClock) -> None:
    """With a switch the tasks that came with the fleet go on by themselves."""
    async with serving(FLEET, clock=clock, generated_jobs_run=True) as (emulator, _):
        clock.advance(7 * 86_400)
        emulator.engine.settle()
        ended = [job for job in emulator.fleet.jobs if job.targets and not job.incremental]
        assert len(ended) > len(FLEET.jobs) / 2
        assert not any(job.open_tasks() for job in emulator.fleet.jobs)
        assert {job.status for job in ended} <= FINAL_STATUSES


async def test_oracle_of_details(served: Served) -> None:
    """The oracle says of every task what its details say."""
    emulator, caller = served
    for job in FLEET.jobs:
        listed = await caller.walk(f"{TASKS}/{job.job_id}", "task_details")
        expected = list(emulator.expected_tasks("plant", job.job_id))
        assert [(each.device_id, each.vendor_status) for each in expected] == [
            (detail["target"], detail["status"]) for detail in listed
        ]
        for each, detail in zip(expected, listed, strict=True):
            error = detail.get("error")
            failure = error and TaskFailure(message=error["error_msg"], code=error["error_code"])
            assert (each.backend, each.job_id, each.failure) == ("plant", job.job_id, failure)
            assert (each.status is TaskStatus.UPGRADING) == (detail["status"] == "Processing")
    with pytest.raises(NoSuchJobError):
        emulator.expected_tasks("plant", "nosuch")


async def test_requests_have_their_names(served: Served) -> None:
    """Requests are counted by operation; one that asks for details is told from one that asks for the task."""
    emulator, caller = served
    path = f"{TASKS}/{FLEET.jobs[0].job_id}"
    await caller.get(path)
    await caller.get(path, limit=1)
    await caller.get(path, limit=50)
    await caller.get(path, limit=1, target="x")
    assert emulator.served == {"jobs.get": 2, "jobs.tasks": 2}
    faults = emulator.faults
    faults.inject("jobs.tasks", status=503)
    assert (await caller.send("GET", path))[0] == 200
    assert (await caller.send("GET", path, limit=2))[0] == 503
