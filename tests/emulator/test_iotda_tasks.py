"""The IoTDA emulator's batch tasks: how they live, what can be done to them, and every limit of theirs."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from otaclient.emulator import Fleet, JobPlan, ManualClock, Remark
from otaclient.emulator.engine import FINAL_STATUSES
from otaclient.emulator.refusals import NoSuchJobError
from otaclient.emulator.remarks import CONFLICT, STORAGE_FULL, TIMED_OUT, UNSUITABLE_VERSION
from otaclient.models import Connection, FirmwareKind, JobStatus, TaskFailure, TaskStatus
from otaclient_iotda.emulator import IotdaEmulator, render
from otaclient_iotda.emulator.failures import DEFAULT_PLAN, DOCUMENTED_FAILURES, INVALID_URI, failure_of
from otaclient_iotda.emulator.filters import wire_time
from support.iotda import Caller, serving

FLEET = Fleet.generate(devices=400, seed=37)
TABLE = FLEET.devices
PRODUCT = FLEET.products[0].product_id
APP = render.app_id(FLEET, PRODUCT)
OTHER_APP = next(app for app in render.app_ids() if app != APP)
TASKS = "batchtasks"
QUICK = JobPlan(pending_seconds=2, published_seconds=4, upgrading_seconds=10, spread=0, failing_share=0)

Served = tuple[IotdaEmulator, Caller]


def device_id(row: int) -> str:
    """The identifier of a device."""
    return f"{TABLE.product_id(row)}_{TABLE.key(row)}"


def idle(product: int = 0, *, version: str | None = None) -> list[int]:
    """Devices of a product that run nothing, of one version if asked."""
    return [
        row
        for row in range(len(TABLE))
        if TABLE.product_column[row] == product
        and TABLE.connection(row) is Connection.ONLINE
        and not TABLE.upgrading(row)
        and version in {None, TABLE.firmware_version(row)}
    ]


ROWS = idle()[:4]
TARGETS = [device_id(row) for row in ROWS]
STRANGER = device_id(idle(1)[0])


@pytest.fixture
def clock() -> ManualClock:
    """A clock driven by hand."""
    return ManualClock(FLEET.now)


@pytest.fixture
async def served(clock: ManualClock) -> AsyncIterator[Served]:
    """An emulator over a fleet of its own whose devices all succeed, and a caller of it."""
    async with serving(FLEET, clock=clock, plan=QUICK) as pair:
        yield pair


async def packaged(caller: Caller, product: int = 0, **fields: object) -> str:
    """Create a package; returns its identifier."""
    product_id = FLEET.products[product].product_id
    given = {
        "app_id": render.app_id(FLEET, product_id),
        "package_type": "firmwarePackage",
        "product_id": product_id,
        "version": "V99.0",
        "file_location": {
            "obs_location": {"region_name": "cn-north-4", "bucket_name": "fw-bucket", "object_key": "fw/v99.bin"}
        },
        **fields,
    }
    status, body = await caller.send("POST", "ota-upgrades/packages", given)
    assert status == 201, body
    return str(body["package_id"])


def order(*package_ids: str, **fields: object) -> dict[str, object]:
    """A batch task to create."""
    given = {
        "task_name": "升级_2026",
        "task_type": "firmwareUpgrade",
        "document": {"package_ids": list(package_ids)},
        "targets": TARGETS,
    }
    return {name: value for name, value in {**given, **fields}.items() if value is not None}


async def ordered(caller: Caller, *package_ids: str, **fields: object) -> dict[str, Any]:
    """Create a batch task."""
    status, task = await caller.send("POST", TASKS, order(*package_ids, **fields))
    assert status == 201, task
    return task


async def details(caller: Caller, task: dict[str, Any], **filters: object) -> dict[str, dict[str, Any]]:
    """The details of a task by their targets."""
    found = await caller.walk(f"{TASKS}/{task['task_id']}", "task_details", limit=3, **filters)
    assert len({each["target"] for each in found}) == len(found)
    return {each["target"]: each for each in found}


async def state(caller: Caller, task: dict[str, Any]) -> tuple[str, Counter[str]]:
    """The status of a task, and how many of its details are in which; its progress says the same."""
    shown = (await caller.get(f"{TASKS}/{task['task_id']}", limit=1))["batchtask"]
    counts = Counter(each["status"] for each in (await details(caller, task)).values())
    fields = {"FailWaitRetry": "fail_wait_retry"}
    progress = dict.fromkeys(shown["task_progress"], 0) | {
        fields.get(word, word.lower()): count for word, count in counts.items()
    }
    assert shown["task_progress"] == {**progress, "total": counts.total()}
    return shown["status"], counts


async def act(
    caller: Caller, verb: str, task: dict[str, Any], targets: Sequence[str] | None = None
) -> tuple[int, list[tuple[str, str]]]:
    """Stop, retry or confirm; the status of the answer, and each target's."""
    body = {} if targets is None else {"targets": list(targets)}
    status, answer = await caller.send("POST", f"{TASKS}/{task['task_id']}/{verb}", body)
    results = answer.get("targets", [])
    assert all(("error_code" in each and "error_msg" in each) == (each["status"] == "failure") for each in results)
    return status, [(each["target"], each["status"]) for each in results]


# --- how a task lives ------------------------------------------------------------------------------------------------


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


def plan_fields() -> dict[str, Any]:
    """The times of the quick plan."""
    return {"pending_seconds": 2, "published_seconds": 4, "upgrading_seconds": 10, "spread": 0, "failing_share": 0}


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


# --- what is created -------------------------------------------------------------------------------------------------


async def test_task_shows_what_was_given(served: Served) -> None:
    """Everything of a new task comes back as it was given, in the answer, the list and alone; so says the oracle."""
    emulator, caller = served
    package = await packaged(caller)
    given = order(
        package,
        app_id=APP,
        task_mode="GATEWAY",
        need_confirm=False,
        task_ext_info={"wave": {"number": 1}},
        task_policy={"retry_count": 0, "retry_interval": 0, "schedule_time": "20260116T083000Z"},
        targets_filter={"group_ids": ["ignored"]},
        unknown="ignored",
    )
    status, created = await caller.send("POST", TASKS, given)
    assert status == 201
    shown = {name: value for name, value in given.items() if name not in {"app_id", "targets_filter", "unknown"}}
    made = ("task_id", "status", "task_progress", "create_time")
    assert created == {**shown, **{name: created[name] for name in made}}
    listed = await caller.walk(TASKS, "batchtasks", task_type="firmwareUpgrade")
    assert listed[0] == created
    assert (await caller.get(f"{TASKS}/{created['task_id']}"))["batchtask"] == created
    job = next(emulator.expected_jobs("plant"))
    assert job.job_id == created["task_id"]
    assert (job.vendor_status, job.status) == (created["status"], JobStatus.PENDING)
    assert job.policy is not None
    assert job.policy.retry is not None
    assert (job.policy.retry.count, job.policy.retry.interval_minutes, job.policy.hold) == (0, 0, False)
    assert job.policy.schedule is not None
    assert job.policy.schedule.start_at == FLEET.now + timedelta(days=1)
    assert job.firmware_ids == (package,)
    assert job.scope is not None
    assert job.scope.devices == tuple(TARGETS)


async def test_older_form_of_the_document(served: Served) -> None:
    """One package may be named in the older form, and is echoed so."""
    emulator, caller = served
    package = await packaged(caller)
    task = await ordered(caller, document={"package_id": package})
    assert task["document"] == {"package_id": package}
    job = next(emulator.expected_jobs("plant"))
    assert job.firmware_ids == (package,)
    assert job.policy is not None
    assert (job.policy.retry, job.policy.schedule, job.policy.hold) == (None, None, None)


async def test_task_for_groups(served: Served, clock: ManualClock) -> None:
    """A group's devices are reached, those of the package's product alone, each once; the task names the groups."""
    emulator, caller = served
    names = {group.name: group.group_id for group in emulator.groups.values()}
    mine = names[f"{FLEET.products[0].name} at hall-0"]
    others = names[f"{FLEET.products[1].name} at hall-0"]
    groups = {"group_ids": [mine, others, mine]}
    task = await ordered(caller, await packaged(caller), targets=None, targets_filter=groups)
    assert "targets" not in task
    assert task["targets_filter"] == groups
    members = {
        device_id(row)
        for row in range(len(TABLE))
        if TABLE.product_column[row] == 0 and render.SITES[row % 35] == "hall-0"
    }
    clock.advance(1)
    assert set(await details(caller, task)) == members
    job = next(emulator.expected_jobs("plant"))
    assert job.scope is not None
    assert job.scope.groups == (mine, others, mine)
    only_others = order(await packaged(caller, version="V99.1"), targets=None, targets_filter={"group_ids": [others]})
    assert (await caller.send("POST", TASKS, only_others))[0] == 400


async def test_task_with_a_schedule(served: Served, clock: ManualClock) -> None:
    """A task waits for its time; one in the past begins at once."""
    _, caller = served
    package = await packaged(caller)
    late = await ordered(caller, package, task_policy={"schedule_time": wire_time((FLEET.now.timestamp()) + 3600)})
    clock.advance(60)
    assert await state(caller, late) == ("Waitting", Counter(Waitting=4))
    assert (await act(caller, "retry", late))[0] == 409
    listed = await caller.walk(TASKS, "batchtasks", task_type="firmwareUpgrade", status="Waitting")
    assert listed[0]["task_id"] == late["task_id"]
    early = await ordered(caller, package, task_policy={"schedule_time": "20200101T000000Z"}, targets=[TARGETS[0]])
    clock.advance(60)
    assert (await state(caller, early))[0] == "Success"
    clock.advance(3600)
    assert (await state(caller, late))[0] == "Success"


TOO_LATE = {"schedule_time": wire_time((FLEET.now + timedelta(days=7, seconds=1)).timestamp())}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"task_name": None}, "task_name"),
        ({"task_name": "a-b"}, "task_name"),
        ({"task_name": "x" * 129}, "task_name"),
        ({"task_type": None}, "task_type"),
        ({"task_type": "createDevices"}, "task_type"),
        ({"task_mode": "DIRECT"}, "task_mode"),
        ({"task_mode": "GATEWAY", "task_type": "moduleUpgrade"}, "task_mode"),
        ({"need_confirm": "true"}, "need_confirm"),
        ({"task_ext_info": "text"}, "task_ext_info"),
        ({"task_ext_info": {"note": "x" * 512}}, "task_ext_info"),
        ({"targets": None}, "targets"),
        ({"targets": []}, "targets"),
        ({"targets": "all"}, "targets"),
        ({"targets": ["a b"]}, "targets"),
        ({"targets": [TARGETS[0]] * 2}, "targets"),
        ({"targets": [f"d{number}" for number in range(30_001)]}, "targets"),
        ({"targets": None, "targets_filter": {}}, "targets"),
        ({"targets": None, "targets_filter": {"group_ids": []}}, "targets"),
        ({"targets": None, "targets_filter": {"group_ids": ["a_b"]}}, "group_ids"),
        ({"targets": None, "document_source": "file"}, "targets"),
        ({"document": None}, "document"),
        ({"document": {}}, "package_id"),
        ({"document": {"package_ids": []}}, "document"),
        ({"document": {"package_ids": ["a", "a"]}}, "document"),
        ({"document": {"package_ids": [f"p{number}" for number in range(11)]}}, "package_ids"),
        ({"task_policy": {"retry_count": 3}}, "task_policy"),
        ({"task_policy": {"retry_interval": 3}}, "task_policy"),
        ({"task_policy": {"retry_count": 6, "retry_interval": 3}}, "retry_count"),
        ({"task_policy": {"retry_count": True, "retry_interval": 3}}, "retry_count"),
        ({"task_policy": {"retry_count": 1, "retry_interval": 1441}}, "retry_interval"),
        ({"task_policy": TOO_LATE}, "schedule_time"),
        ({"app_id": "a b"}, "app_id"),
    ],
)
async def test_task_that_is_refused(served: Served, fields: dict[str, object], named: str) -> None:
    """Whatever is missing, of the wrong form or beyond a limit is refused by name, and nothing is created."""
    emulator, caller = served
    status, body = await caller.send("POST", TASKS, order("a", **fields))
    assert (status, body["error_code"]) == (400, "IOTDA.000006")
    assert f"'{named}'" in body["error_msg"]
    assert len(emulator.fleet.jobs) == len(FLEET.jobs)


@pytest.mark.parametrize("text", ["tomorrow", "20260230T000000Z", "2026-01-16T08:30:00Z"])
async def test_schedule_that_is_no_time(served: Served, text: str) -> None:
    """A time of the wrong form has its own code."""
    _, caller = served
    status, body = await caller.send("POST", TASKS, order("a", task_policy={"schedule_time": text}))
    assert (status, body["error_code"]) == (400, "IOTDA.000009")


async def test_task_that_does_not_fit(served: Served) -> None:
    """Unknown spaces, packages, devices and groups, and packages that do not go together, are refused."""
    emulator, caller = served
    mine = await packaged(caller)
    more = await packaged(caller, version="V99.1", support_source_versions=["V1.0", "V1.1"])
    overlapping = await packaged(caller, version="V99.2", support_source_versions=["V1.1", "V1.2"])
    other = await packaged(caller, 1)
    wrong: list[tuple[tuple[str, ...], dict[str, object], int]] = [
        ((mine,), {"app_id": "nosuch"}, 403),
        ((mine,), {"app_id": OTHER_APP}, 404),
        (("nosuch",), {}, 404),
        ((mine, "nosuch"), {}, 404),
        ((mine, other), {}, 400),
        ((mine,), {"task_type": "softwareUpgrade"}, 400),
        ((mine, more), {}, 400),
        ((more, overlapping), {}, 400),
        ((mine,), {"targets": [TARGETS[0], "nosuch"]}, 404),
        ((mine,), {"targets": [TARGETS[0], STRANGER]}, 404),
        ((mine,), {"targets": None, "targets_filter": {"group_ids": ["nosuch"]}}, 404),
    ]
    for package_ids, fields, status in wrong:
        assert (await caller.send("POST", TASKS, order(*package_ids, **fields)))[0] == status
    assert len(emulator.fleet.jobs) == len(FLEET.jobs)
    assert (await caller.send("POST", TASKS, order(mine, app_id=APP)))[0] == 201


async def test_devices_hold_so_many_versions_and_no_more(served: Served) -> None:
    """The simulated devices can report 255 versions; a task that would need another is refused."""
    _, caller = served
    known = len(TABLE.firmware_versions)
    for number in range(known, 256):
        package = await packaged(caller, version=f"W{number}")
        status, _ = await caller.send("POST", TASKS, order(package, targets=[TARGETS[0]]))
        assert status == (201 if number < 255 else 400)


# --- what can be done to it ------------------------------------------------------------------------------------------


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
