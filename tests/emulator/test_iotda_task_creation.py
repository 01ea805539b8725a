"""The IoTDA emulator's new batch tasks: what was given comes back, within every limit of theirs."""

from collections import Counter
from datetime import timedelta

import pytest

from otaclient.emulator import ManualClock
from otaclient.models import JobStatus
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.filters import wire_time
from support.iotda_tasks import (
    FLEET,
    PRODUCT,
    STRANGER,
    TABLE,
    TARGETS,
    TASKS,
    Served,
    act,
    details,
    device_id,
    order,
    ordered,
    packaged,
    state,
)

APP = render.app_id(FLEET, PRODUCT)
OTHER_APP = next(app for app in render.app_ids() if app != APP)


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
