"""The vendor's official Python client against the IoTDA emulator: batch tasks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from otaclient.emulator import Fleet, JobPlan, JobRecord
from otaclient.emulator.records import TASK_STATUSES
from otaclient.emulator.remarks import STORAGE_FULL
from otaclient.models import Connection, FirmwareKind, JobStatus, TaskStatus
from vendor_client.official_client import (
    Running,
    app_of,
    by_offset,
    created_package,
    device_id,
    package_body,
    refused,
    said,
    sdk,
    walk,
    wire_time,
)

TASK_TYPES: Final = {
    "firmwareUpgrade": FirmwareKind.FIRMWARE,
    "softwareUpgrade": FirmwareKind.SOFTWARE,
    "moduleUpgrade": FirmwareKind.MODULE,
}
STATUS_WORDS: Final = {
    JobStatus.PENDING: "Waitting",
    JobStatus.RUNNING: "Processing",
    JobStatus.STOPPING: "Stopping",
    JobStatus.STOPPED: "Stopped",
    JobStatus.SUCCEEDED: "Success",
    JobStatus.PARTIALLY_SUCCEEDED: "PartialSuccess",
    JobStatus.FAILED: "Fail",
}
DETAIL_WORDS: Final = {
    TaskStatus.PENDING: "Waitting",
    TaskStatus.PUBLISHED: "Processing",
    TaskStatus.UPGRADING: "Processing",
    TaskStatus.SUCCEEDED: "Success",
    TaskStatus.FAILED: "Fail",
    TaskStatus.RETRYING: "FailWaitRetry",
    TaskStatus.CANCELLED: "Stopped",
}


def check_task(service: Running, task: Any, job: JobRecord) -> None:
    """A task says what the record says, field by field."""
    assert task.task_id == job.job_id
    assert TASK_TYPES[task.task_type] is job.firmware_kind
    assert task.status == STATUS_WORDS[job.status]
    assert task.create_time == wire_time(job.created_at_s)
    if job.group_ids:
        assert task.targets_filter == {"group_ids": list(job.group_ids)}
        assert task.targets is None
    else:
        assert task.targets == [device_id(service.fleet, row) for row in job.targets]
    counts = Counter(DETAIL_WORDS[TASK_STATUSES[state]] for state in job.task_states)
    progress = task.task_progress
    assert progress.total == len(job.targets)
    assert progress.waitting == counts["Waitting"]
    assert progress.processing == counts["Processing"]
    assert progress.success == counts["Success"]
    assert progress.fail == counts["Fail"]
    assert progress.fail_wait_retry == counts["FailWaitRetry"]
    assert progress.stopped == counts["Stopped"]
    assert progress.removed in {None, 0}
    if job.retry_count:
        assert task.task_policy.retry_count == job.retry_count
        assert task.task_policy.retry_interval == job.retry_interval_minutes
    if job.scheduled_at_ms is not None:
        assert task.task_policy.schedule_time == wire_time(job.scheduled_at_ms // 1000)


def tasks_of(client: Any, task_type: str, *, limit: int = 2, **filters: str) -> list[Any]:
    """All batch tasks of a type."""

    def page(marker: str | None, size: int) -> Any:
        return client.list_batch_tasks(
            sdk.ListBatchTasksRequest(task_type=task_type, limit=size, marker=marker, **filters)
        )

    return walk(page, "batchtasks", limit=limit)


def show(client: Any, task_id: str, **parameters: Any) -> Any:
    """A task with some of its details."""
    return client.show_batch_task(sdk.ShowBatchTaskRequest(task_id=task_id, **parameters))


def details_of(client: Any, task_id: str, *, limit: int = 50, **filters: str) -> list[Any]:
    """All details of a task."""
    return walk(
        lambda marker, size: show(client, task_id, limit=size, marker=marker, **filters), "task_details", limit=limit
    )


def test_tasks_are_those_of_the_emulator(service_and_client: tuple[Running, Any]) -> None:
    """Listed by markers, offsets and status, and shown one by one, each task equals its record."""
    service, client = service_and_client
    for task_type, kind in TASK_TYPES.items():
        jobs = [job for job in reversed(service.fleet.jobs) if job.firmware_kind is kind]
        listed = tasks_of(client, task_type)
        assert len(listed) == len(jobs)
        for task, job in zip(listed, jobs, strict=True):
            check_task(service, task, job)
            shown = show(client, job.job_id, limit=1)
            assert said(shown.batchtask) == said(task)
        for status, word in STATUS_WORDS.items():
            meant = [job.job_id for job in jobs if job.status is status]
            assert [task.task_id for task in tasks_of(client, task_type, status=word)] == meant
        paged = client.list_batch_tasks(sdk.ListBatchTasksRequest(task_type=task_type, limit=50, offset=1))
        assert [task.task_id for task in paged.batchtasks] == [job.job_id for job in jobs[1:]]


def test_details_are_those_of_the_emulator(service_and_client: tuple[Running, Any]) -> None:
    """Every detail of the largest tasks equals its record, by markers and offsets, by status and by target."""
    service, client = service_and_client
    for job in sorted(service.fleet.jobs, key=lambda each: len(each.targets))[-3:]:
        details = details_of(client, job.job_id, limit=17)
        expected = [
            (device_id(service.fleet, row), DETAIL_WORDS[TASK_STATUSES[state]])
            for row, state in zip(job.targets, job.task_states, strict=True)
        ]
        assert [(each.target, each.status) for each in details] == expected[::-1]
        assert all((each.error is not None) == (each.status in {"Fail", "FailWaitRetry"}) for each in details)
        for word in set(DETAIL_WORDS.values()):
            found = details_of(client, job.job_id, task_detail_status=word)
            assert [each.target for each in found] == [target for target, status in expected[::-1] if status == word]
        target, status = expected[0]
        assert [each.status for each in details_of(client, job.job_id, target=target)] == [status]

        def page(offset: int, task_id: str = job.job_id) -> Any:
            return show(client, task_id, limit=50, offset=offset)

        reached = by_offset(page, "task_details")
        assert [each.target for each in reached] == [target for target, _ in expected[::-1]][:550]


def task_body(package_ids: Sequence[str], **fields: Any) -> Any:
    """A batch task to create."""
    given: dict[str, Any] = {
        "task_name": "升级_2026",
        "task_type": "firmwareUpgrade",
        "document": {"package_ids": list(package_ids)},
    }
    return sdk.CreateBatchTask(**{**given, **fields})


def created_task(client: Any, body: Any) -> Any:
    """Create a batch task."""
    return client.create_batch_task(sdk.CreateBatchTaskRequest(body=body))


def rows_of_product(fleet: Fleet, product: int, count: int) -> list[int]:
    """Some devices of a product that are online and do nothing."""
    rows = (
        row
        for row in range(len(fleet.devices))
        if fleet.devices.product_column[row] == product
        and fleet.devices.connection(row) is Connection.ONLINE
        and not fleet.devices.upgrading(row)
    )
    return [next(rows) for _ in range(count)]


def act(client: Any, verb: str, task_id: str, targets: Sequence[str] | None = None) -> Any:
    """Stop, retry or confirm."""
    request = getattr(sdk, f"{verb.capitalize()}BatchTaskRequest")
    body = sdk.BatchTargets(targets=None if targets is None else list(targets))
    return getattr(client, f"{verb}_batch_task")(request(task_id=task_id, body=body))


def test_task_upgrades_its_devices(service_and_client: tuple[Running, Any]) -> None:
    """A task goes through its states, its details with it; devices that succeed have the new version everywhere."""
    service, client = service_and_client
    fleet = service.fleet
    package = created_package(client, package_body(fleet))
    rows = rows_of_product(fleet, 0, 3)
    targets = [device_id(fleet, row) for row in rows]
    service.emulator.engine.plan = JobPlan(
        pending_seconds=2, published_seconds=4, upgrading_seconds=10, spread=0, failing_share=0,
        outcomes={rows[0]: (STORAGE_FULL, None)},
    )  # fmt: skip
    created = created_task(client, task_body([package.package_id], targets=targets, task_ext_info={"wave": "1"}))
    assert created.status_code == 201
    assert (created.status, created.targets) == ("Initializing", targets)
    assert created.document == {"package_ids": [package.package_id]}
    assert created.task_ext_info == {"wave": "1"}
    job = fleet.jobs[-1]

    service.pass_time(1)
    assert show(client, job.job_id).batchtask.status == "Processing"
    assert {each.status for each in details_of(client, job.job_id)} == {"Waitting"}
    service.pass_time(2)
    assert {each.status for each in details_of(client, job.job_id)} == {"Processing"}
    check_task(service, show(client, job.job_id).batchtask, job)
    refused(client.delete_batch_task, sdk.DeleteBatchTaskRequest(task_id=job.job_id), status=409)
    in_use = sdk.DeleteOtaPackageRequest(package_id=package.package_id)
    refused(client.delete_ota_package, in_use, status=409)

    service.pass_time(20)
    check_task(service, show(client, job.job_id).batchtask, job)
    assert job.status is JobStatus.PARTIALLY_SUCCEEDED
    details = {each.target: each for each in details_of(client, job.job_id)}
    assert [details[target].status for target in targets] == ["Fail", "Success", "Success"]
    assert details[targets[0]].error.error_msg == "Not enough storage for the new firmware package"
    assert details[targets[0]].error.error_code.startswith("IOTDA.005")
    for row, target in zip(rows, targets, strict=True):
        shown = client.show_device(sdk.ShowDeviceRequest(device_id=target))
        listed = client.list_devices(sdk.ListDevicesRequest(node_id=fleet.devices.key(row))).devices[0]
        assert shown.fw_version == listed.fw_version == fleet.devices.firmware_version(row)
        assert (shown.fw_version == "V99.0") == (row != rows[0])

    again = act(client, "retry", job.job_id)
    assert again.status_code == 200
    service.pass_time(20)
    check_task(service, show(client, job.job_id).batchtask, job)
    assert show(client, job.job_id).batchtask.status == "Success"
    assert client.show_device(sdk.ShowDeviceRequest(device_id=targets[0])).fw_version == "V99.0"
    gone = client.delete_batch_task(sdk.DeleteBatchTaskRequest(task_id=job.job_id))
    assert gone.status_code == 204
    refused(show, client, job.job_id, status=404, code="IOTDA.000029")
    assert client.delete_ota_package(in_use).status_code == 204


def test_software_and_modules_are_upgraded_too(service: Running) -> None:
    """Software changes the version of software, a module that of the module."""
    client, fleet = service.client(), service.fleet
    for kind, package_type, task_type, more in (
        (FirmwareKind.SOFTWARE, "softwarePackage", "softwareUpgrade", {}),
        (FirmwareKind.MODULE, "modulePackage", "moduleUpgrade", {"module_name": "radio"}),
    ):
        product = next(index for index, each in enumerate(fleet.products) if kind in each.kinds)
        body = package_body(fleet, product, package_type=package_type, version=f"{kind}-9", **more)
        package = created_package(client, body)
        (row,) = rows_of_product(fleet, product, 1)
        target = device_id(fleet, row)
        # The older form of the document names one package.
        document = {"package_id": package.package_id}
        task = created_task(client, task_body([], targets=[target], task_type=task_type, document=document))
        assert task.document == document
        service.pass_time(30)
        check_task(service, show(client, task.task_id).batchtask, fleet.jobs[-1])
        assert fleet.jobs[-1].status is JobStatus.SUCCEEDED
        device = client.show_device(sdk.ShowDeviceRequest(device_id=target))
        if kind is FirmwareKind.SOFTWARE:
            assert device.sw_version == fleet.devices.software_version(row) == "software-9"
        else:
            assert {each.module_name: each.module_version for each in device.modules}["radio"] == "module-9"
            refused(act, client, "stop", task.task_id, status=400)


def test_task_for_groups_that_is_held(service_and_client: tuple[Running, Any]) -> None:
    """A group's devices wait for their confirmation; each of those that are named has its own answer."""
    service, client = service_and_client
    fleet = service.fleet
    product = fleet.products[0]
    group = next(each for each in service.emulator.groups.values() if each.name == f"{product.name} at hall-1")
    package = created_package(client, package_body(fleet))
    body = task_body(
        [package.package_id],
        targets_filter={"group_ids": [group.group_id]},
        need_confirm=True,
        task_mode="GATEWAY",
        app_id=app_of(fleet, product.product_id),
        task_policy=sdk.TaskPolicy(retry_count=2, retry_interval=1),
    )
    created = created_task(client, body)
    job = fleet.jobs[-1]
    assert created.targets is None
    assert created.targets_filter == {"group_ids": [group.group_id]}
    assert (created.need_confirm, created.task_mode) == (True, "GATEWAY")
    assert created.task_progress.total == len(job.targets) > 2
    service.pass_time(60)
    check_task(service, show(client, job.job_id).batchtask, job)
    assert {each.status for each in details_of(client, job.job_id)} == {"Waitting"}

    first = device_id(fleet, job.targets[0])
    stranger = device_id(fleet, rows_of_product(fleet, 1, 1)[0])
    confirmed = act(client, "confirm", job.job_id, [first, stranger, "nosuch"])
    assert [(each.target, each.status) for each in confirmed.targets] == [
        (first, "success"),
        (stranger, "failure"),
        ("nosuch", "failure"),
    ]
    assert all(each.error_code and each.error_msg for each in confirmed.targets[1:])
    service.pass_time(30)
    assert Counter(each.status for each in details_of(client, job.job_id)) == {
        "Success": 1,
        "Waitting": len(job.targets) - 1,
    }
    check_task(service, show(client, job.job_id).batchtask, job)
    act(client, "confirm", job.job_id)
    service.pass_time(30)
    check_task(service, show(client, job.job_id).batchtask, job)
    assert job.status is JobStatus.SUCCEEDED
    refused(act, client, "confirm", job.job_id, status=409)
    refused(act, client, "stop", job.job_id, status=409)
    refused(act, client, "retry", job.job_id, status=409)


def test_task_is_stopped_device_by_device_and_as_a_whole(service_and_client: tuple[Running, Any]) -> None:
    """Stopped devices stay as they are; the task is Stopping, then Stopped; single devices can be tried again."""
    service, client = service_and_client
    fleet = service.fleet
    package = created_package(client, package_body(fleet))
    rows = rows_of_product(fleet, 0, 4)
    targets = [device_id(fleet, row) for row in rows]
    job_id = created_task(client, task_body([package.package_id], targets=targets)).task_id
    job = fleet.jobs[-1]
    service.pass_time(3)
    stopped = act(client, "stop", job_id, targets[:2])
    assert [each.status for each in stopped.targets] == ["success", "success"]
    assert [each.status for each in act(client, "stop", job_id, targets[:1]).targets] == ["failure"]
    found = details_of(client, job_id, task_detail_status="Stopped")
    assert sorted(each.target for each in found) == sorted(targets[:2])
    again = act(client, "retry", job_id, targets[:1])
    assert [each.status for each in again.targets] == ["success"]
    check_task(service, show(client, job_id).batchtask, job)

    act(client, "stop", job_id)
    assert show(client, job_id).batchtask.status == "Stopping"
    refused(act, client, "stop", job_id, status=409)
    service.pass_time(5)
    assert show(client, job_id).batchtask.status == "Stopped"
    assert {each.status for each in details_of(client, job_id)} == {"Stopped"}
    assert not any(fleet.devices.upgrading(row) for row in rows)
    refused(act, client, "retry", job_id, status=409)
    assert client.delete_batch_task(sdk.DeleteBatchTaskRequest(task_id=job_id)).status_code == 204


def test_task_with_a_schedule(service: Running) -> None:
    """A task waits for its time, which is at most seven days ahead."""
    client, fleet = service.client(), service.fleet
    package = created_package(client, package_body(fleet))
    targets = [device_id(fleet, row) for row in rows_of_product(fleet, 0, 1)]

    def policy(ahead: timedelta) -> Any:
        start = datetime.fromtimestamp(service.clock.now_ms() / 1000, UTC) + ahead
        return sdk.TaskPolicy(schedule_time=start.strftime("%Y%m%dT%H%M%SZ"))

    late = task_body([package.package_id], targets=targets, task_policy=policy(timedelta(days=7, seconds=1)))
    refused(created_task, client, late, status=400)
    soon = task_body([package.package_id], targets=targets, task_policy=policy(timedelta(minutes=5)))
    task_id = created_task(client, soon).task_id
    service.pass_time(60)
    check_task(service, show(client, task_id).batchtask, fleet.jobs[-1])
    assert show(client, task_id).batchtask.status == "Waitting"
    service.pass_time(300)
    assert show(client, task_id).batchtask.status == "Success"


def test_tasks_that_cannot_be_created(service: Running) -> None:
    """Every limit of a task has its refusal, and nothing is created."""
    client, fleet = service.client(), service.fleet
    package = created_package(client, package_body(fleet)).package_id
    other = created_package(client, package_body(fleet, 1)).package_id
    target = device_id(fleet, rows_of_product(fleet, 0, 1)[0])
    stranger = device_id(fleet, rows_of_product(fleet, 1, 1)[0])
    before = len(fleet.jobs)
    wrong: Sequence[tuple[int, Sequence[str], Mapping[str, Any]]] = [
        (400, [package], {}),
        (400, [package], {"targets": []}),
        (400, [package], {"targets": [f"d{number}" for number in range(30_001)]}),
        (400, [package], {"targets": [target], "task_name": "a-b"}),
        (400, [package], {"targets": [target], "task_name": "x" * 129}),
        (400, [package], {"targets": [target], "task_type": "upgrade"}),
        (400, [package], {"targets": [target], "task_type": "softwareUpgrade"}),
        (400, [package], {"targets": [target], "task_mode": "DIRECT"}),
        (400, [package], {"targets": [target], "task_ext_info": {"note": "x" * 512}}),
        (400, [package], {"targets": [target], "task_policy": sdk.TaskPolicy(retry_count=3)}),
        (400, [package], {"targets": [target], "task_policy": sdk.TaskPolicy(retry_count=6, retry_interval=1)}),
        (400, [package], {"targets": [target], "task_policy": sdk.TaskPolicy(retry_count=1, retry_interval=1441)}),
        (400, [package], {"targets": [target], "task_policy": sdk.TaskPolicy(schedule_time="tomorrow")}),
        (400, [], {"targets": [target]}),
        (400, [package, other], {"targets": [target]}),
        (404, ["nosuch"], {"targets": [target]}),
        (404, [package], {"targets": [target, "nosuch"]}),
        (404, [package], {"targets": [target, stranger]}),
        (404, [package], {"targets_filter": {"group_ids": ["nosuch"]}}),
        (403, [package], {"targets": [target], "app_id": "nosuch"}),
    ]
    for status, package_ids, fields in wrong:
        refused(created_task, client, task_body(package_ids, **fields), status=status)
    assert len(fleet.jobs) == before
    running_task = created_task(client, task_body([package], targets=[target])).task_id
    refused(act, client, "stop", running_task, [f"d{number}" for number in range(101)], status=400)
    refused(act, client, "stop", "0" * 24, status=404, code="IOTDA.000029")
