"""The IoTDA emulator's batch tasks: how they live, and why their devices fail."""

from collections import Counter

import pytest

from otaclient.emulator import JobPlan, ManualClock, Remark
from otaclient.emulator.remarks import CONFLICT, STORAGE_FULL, TIMED_OUT, UNSUITABLE_VERSION
from otaclient.models import FirmwareKind
from otaclient_iotda.emulator.failures import DEFAULT_PLAN, DOCUMENTED_FAILURES, INVALID_URI, failure_of
from otaclient_iotda.emulator.filters import wire_time
from support.iotda import serving
from support.iotda_tasks import (
    FLEET,
    ROWS,
    STRANGER,
    TABLE,
    TARGETS,
    TASKS,
    Served,
    details,
    device_id,
    idle,
    ordered,
    packaged,
    plan_fields,
    state,
)


async def test_task_goes_through_its_states(served: Served, clock: ManualClock) -> None:
    """Initializing, Processing, Success; details wait, are processed, succeed; then devices have the version."""
    emulator, caller = served
    task = await ordered(caller, await packaged(caller))
    assert task["status"] == "Initializing"
    assert task["create_time"] == wire_time(FLEET.now.timestamp())
    assert task["task_progress"]["waitting"] == task["task_progress"]["total"] == 4
    assert await state(caller, task) == ("Initializing", Counter(Waitting=4))
    clock.advance(1)
    assert await state(caller, task) == ("Processing", Counter(Waitting=4))
    clock.advance(2)
    assert await state(caller, task) == ("Processing", Counter(Processing=4))
    clock.advance(5)
    assert await state(caller, task) == ("Processing", Counter(Processing=4))
    clock.advance(10)
    assert await state(caller, task) == ("Success", Counter(Success=4))
    versions = {device.device_id: device.firmware_version for device in emulator.expected_devices("x")}
    for row in ROWS:
        shown = await caller.get(f"devices/{device_id(row)}")
        listed = (await caller.get("devices", node_id=TABLE.key(row)))["devices"][0]
        assert shown["fw_version"] == listed["fw_version"] == versions[listed["device_id"]] == "V99.0"
    _, found = await caller.send(
        "POST", "search/query-devices", {"sql": "select * from device where fw_version='V99.0'"}
    )
    assert sorted(device["device_id"] for device in found["devices"]) == sorted(TARGETS)


async def test_task_of_devices_that_are_up_to_date(served: Served, clock: ManualClock) -> None:
    """A device that has the version already succeeds at once, with the vendor's text."""
    _, caller = served
    package = await packaged(caller)
    await ordered(caller, package)
    clock.advance(60)
    again = await ordered(caller, package)
    clock.advance(3)
    assert await state(caller, again) == ("Success", Counter(Success=4))
    outputs = {each.get("output") for each in (await details(caller, again)).values()}
    assert outputs == {"The current version is the same as the target version"}


async def test_details_follow_their_filters(served: Served, clock: ManualClock) -> None:
    """Details are told apart by status and by target; the task comes whole with every page."""
    emulator, caller = served
    emulator.engine.plan = JobPlan(**{**plan_fields(), "outcomes": {ROWS[0]: (STORAGE_FULL,)}})
    task = await ordered(caller, await packaged(caller))
    clock.advance(20)
    assert await state(caller, task) == ("PartialSuccess", Counter(Success=3, Fail=1))
    assert set(await details(caller, task, task_detail_status="Fail")) == {TARGETS[0]}
    assert set(await details(caller, task, task_detail_status="Success")) == set(TARGETS[1:])
    assert set(await details(caller, task, target=TARGETS[1])) == {TARGETS[1]}
    assert await details(caller, task, target=TARGETS[1], task_detail_status="Fail") == {}
    assert await details(caller, task, target=STRANGER) == {}
    assert await details(caller, task, target="nosuch") == {}
    failed = (await details(caller, task))[TARGETS[0]]
    assert failed["error"]["error_msg"] == "Not enough storage for the new firmware package"


async def test_task_retries_by_itself(served: Served, clock: ManualClock) -> None:
    """A failed device waits for its retry, with its error, and is tried again after the interval."""
    emulator, caller = served
    emulator.engine.plan = JobPlan(**plan_fields(), outcomes={ROWS[0]: (INVALID_URI, None), ROWS[1]: (INVALID_URI,)})
    policy = {"retry_count": 1, "retry_interval": 2}
    task = await ordered(caller, await packaged(caller), task_policy=policy)
    assert task["task_policy"] == policy
    clock.advance(20)
    assert await state(caller, task) == ("Processing", Counter(Success=2, FailWaitRetry=2))
    waiting = (await details(caller, task, task_detail_status="FailWaitRetry"))[TARGETS[0]]
    assert waiting["error"]["error_msg"] == "Invalid URI"
    clock.advance(121)
    assert (await state(caller, task))[1]["Success"] == 2
    clock.advance(20)
    assert await state(caller, task) == ("PartialSuccess", Counter(Success=3, Fail=1))


async def test_task_that_fails_altogether(served: Served, clock: ManualClock) -> None:
    """A task none of whose devices succeeds has failed, and says so."""
    emulator, caller = served
    emulator.engine.plan = JobPlan(**plan_fields(), outcomes=dict.fromkeys(ROWS, (STORAGE_FULL,)))
    task = await ordered(caller, await packaged(caller))
    clock.advance(20)
    assert await state(caller, task) == ("Fail", Counter(Fail=4))
    shown = (await caller.get(f"{TASKS}/{task['task_id']}"))["batchtask"]
    assert shown["status_desc"] == next(emulator.expected_jobs("x")).status_description == "All subtasks failed."


async def test_devices_of_other_versions_are_not_upgraded(served: Served, clock: ManualClock) -> None:
    """A package that lists source versions fails on devices that have another."""
    _, caller = served
    version = TABLE.firmware_version(ROWS[0])
    other = next(row for row in ROWS if TABLE.firmware_version(row) != version)
    package = await packaged(caller, support_source_versions=[version])
    task = await ordered(caller, package, targets=[TARGETS[0], device_id(other)])
    clock.advance(20)
    found = await details(caller, task)
    assert found[TARGETS[0]]["status"] == "Success"
    assert found[device_id(other)]["error"] == failure_of(UNSUITABLE_VERSION)


async def test_two_tasks_at_one_device(served: Served, clock: ManualClock) -> None:
    """A device that another task is upgrading fails with a conflict."""
    _, caller = served
    first = await ordered(caller, await packaged(caller))
    clock.advance(3)
    second = await ordered(caller, await packaged(caller, version="V99.1"))
    clock.advance(8)
    assert (await state(caller, first))[1] == Counter(Processing=4)
    errors = [each["error"] for each in (await details(caller, second)).values()]
    assert errors == [failure_of(CONFLICT)] * 4
    assert errors[0]["error_msg"] == "Task Conflict"


async def test_several_packages_in_one_task(served: Served, clock: ManualClock) -> None:
    """Packages for different source versions: each device gets the one that fits."""
    emulator, caller = served
    versions = sorted({str(TABLE.firmware_version(row)) for row in idle()})[:2]
    rows = [idle(version=version)[0] for version in versions]
    ids = [
        await packaged(caller, version=f"V99.{number}", support_source_versions=[version])
        for number, version in enumerate(versions)
    ]
    await ordered(caller, *ids, targets=[device_id(row) for row in rows])
    clock.advance(20)
    emulator.engine.settle()
    assert [emulator.fleet.devices.firmware_version(row) for row in rows] == ["V99.0", "V99.1"]


@pytest.mark.parametrize(
    ("kind", "more"), [(FirmwareKind.SOFTWARE, {}), (FirmwareKind.MODULE, {"module_name": "motor"})]
)
async def test_other_kinds_of_upgrades(
    served: Served, clock: ManualClock, kind: FirmwareKind, more: dict[str, str]
) -> None:
    """Software changes the version of software, a module that of the module, also after its task is gone."""
    emulator, caller = served
    product = next(index for index, each in enumerate(FLEET.products) if kind in each.kinds)
    target = device_id(idle(product)[0])
    package = await packaged(caller, product, package_type=f"{kind}Package", version="X9", **more)
    task = await ordered(caller, package, targets=[target], task_type=f"{kind}Upgrade")
    clock.advance(20)
    assert await state(caller, task) == ("Success", Counter(Success=1))
    for _ in range(2):
        device = await caller.get(f"devices/{target}")
        if kind is FirmwareKind.SOFTWARE:
            assert device["sw_version"] == "X9"
        else:
            assert {"module_name": "motor", "module_version": "X9"} in device["modules"]
        if emulator.served["jobs.delete"] == 0:
            assert (await caller.send("DELETE", f"{TASKS}/{task['task_id']}"))[0] == 204


async def test_devices_that_failed_keep_their_modules(served: Served, clock: ManualClock) -> None:
    """Deleting a task of modules forgets nothing of those that it installed, and adds nothing."""
    emulator, caller = served
    failing, good = idle()[:2]
    emulator.engine.plan = JobPlan(**plan_fields(), outcomes={failing: (STORAGE_FULL,)})
    package = await packaged(caller, package_type="modulePackage", version="X9", module_name="motor")
    targets = [device_id(failing), device_id(good)]
    task = await ordered(caller, package, targets=targets, task_type="moduleUpgrade")
    clock.advance(20)
    before = [(await caller.get(f"devices/{target}"))["modules"] for target in targets]
    assert [{"module_name": "motor", "module_version": "X9"} in modules for modules in before] == [False, True]
    assert (await caller.send("DELETE", f"{TASKS}/{task['task_id']}"))[0] == 204
    assert [(await caller.get(f"devices/{target}"))["modules"] for target in targets] == before


async def test_failures_are_those_of_the_documentation(clock: ManualClock) -> None:
    """By default devices fail for every reason that the vendor documents, in its words."""
    assert DEFAULT_PLAN.failures == DOCUMENTED_FAILURES
    texts = {failure_of(remark)["error_msg"] for remark in (*DOCUMENTED_FAILURES, CONFLICT, TIMED_OUT)}
    assert len(texts) == 15
    plan = JobPlan(failures=DOCUMENTED_FAILURES, failing_share=1)
    async with serving(FLEET, clock=clock, plan=plan) as (_, caller):
        task = await ordered(caller, await packaged(caller), targets=[device_id(row) for row in idle()])
        clock.advance(600)
        found = await details(caller, task, task_detail_status="Fail")
        assert {each["error"]["error_msg"] for each in found.values()} <= texts
        assert {each["error"]["error_code"][:9] for each in found.values()} == {"IOTDA.005"}
        assert len({each["error"]["error_msg"] for each in found.values()}) > 8
    assert failure_of(Remark("own", "of a test"))["error_msg"] == "of a test"
