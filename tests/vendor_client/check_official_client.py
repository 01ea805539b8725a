"""The vendor's official Python client, as it is, against the IoTDA emulator: every operation, both signatures.

What the client receives is compared with the records that the emulator holds. The package ``huaweicloudsdkiotda`` is
not a dependency of this project, so ``.ci/vendor_client`` runs this file in an environment of its own.
"""

import asyncio
import importlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import pytest

from otaclient.emulator import FirmwareRecord, Fleet, JobPlan, JobRecord, ManualClock
from otaclient.emulator.records import TASK_STATUSES
from otaclient.emulator.remarks import STORAGE_FULL
from otaclient.models import Connection, FirmwareKind, JobStatus, TaskStatus
from otaclient_iotda.emulator import AccessKey, IotdaEmulator

sdk: Any = importlib.import_module("huaweicloudsdkiotda.v5")
core_credentials: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials")
core_exceptions: Any = importlib.import_module("huaweicloudsdkcore.exceptions.exceptions")
core_region: Any = importlib.import_module("huaweicloudsdkcore.region.region")

FLEET: Final = Fleet.generate(devices=700, seed=23)
PROJECT: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
PACKAGE_TYPES: Final = {
    "firmwarePackage": FirmwareKind.FIRMWARE,
    "softwarePackage": FirmwareKind.SOFTWARE,
    "modulePackage": FirmwareKind.MODULE,
}
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
QUICK: Final = JobPlan(pending_seconds=2, published_seconds=4, upgrading_seconds=10, spread=0, failing_share=0)
EVERYTHING: Final = "select * from device"
SIGN: Final = "0d6afb7e939f0936f40afdc759b5a354ea5427ec250a47e7b904ab1ea800a01d"

served: Counter[str] = Counter()
"""What all emulators of this run were asked."""


class Running:
    """An emulator that runs in a thread of its own, and clients of it."""

    def __init__(self, emulator: IotdaEmulator, clock: ManualClock) -> None:
        self.emulator = emulator
        self.clock = clock
        self.fleet = emulator.fleet

    def client(
        self,
        *,
        derived: bool = False,
        access_key: str = "EMULATORACCESSKEY",
        secret_key: str = "emulator-secret-key",
        security_token: str | None = None,
        project_id: str = PROJECT,
    ) -> Any:
        """Return a client of the vendor's, made as its documentation says."""
        credentials = core_credentials.BasicCredentials(access_key, secret_key, project_id)
        if security_token is not None:
            credentials = credentials.with_security_token(security_token)
        builder = sdk.IoTDAClient.new_builder()
        if derived:
            always = core_credentials.DerivedCredentials.get_default_derived_predicate()
            credentials = credentials.with_derived_predicate(always)
            builder = builder.with_region(core_region.Region("cn-north-4", self.emulator.url))
        else:
            builder = builder.with_endpoint(self.emulator.url)
        return builder.with_credentials(credentials).build()

    def pass_time(self, seconds: float) -> None:
        """Let time pass; nothing that is signed then is too old, as long as it stays under a quarter of an hour."""
        self.clock.advance(seconds)
        self.emulator.engine.settle()


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    """Run an emulator over a fleet of its own."""
    clock = ManualClock(datetime.now(UTC))
    emulator = IotdaEmulator(FLEET.copy(), clock=clock, **{"plan": QUICK, **options})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(emulator.start(), loop).result()
        yield Running(emulator, clock)
    finally:
        asyncio.run_coroutine_threadsafe(emulator.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        served.update(emulator.served)


@pytest.fixture
def service() -> Iterator[Running]:
    """An emulator that takes both signatures."""
    with running() as started:
        yield started


@pytest.fixture(params=["plain", "derived"])
def service_and_client(request: pytest.FixtureRequest) -> Iterator[tuple[Running, Any]]:
    """A shared endpoint with a client that signs plainly; a dedicated one with a client that derives its key."""
    derived = request.param == "derived"
    with running(edition="standard" if derived else "basic") as started:
        yield started, started.client(derived=derived)


def walk(page_of: Callable[[str | None, int], Any], rows: str, *, limit: int = 50) -> list[Any]:
    """All rows of a list, by markers; ``count`` is the number of them on every page."""
    found: list[Any] = []
    marker: str | None = None
    counts: set[int] = set()
    while True:
        page = page_of(marker, limit)
        batch = list(getattr(page, rows))
        counts.add(page.page.count)
        if not batch:
            assert counts == {len(found)}
            assert page.page.marker is None
            return found
        assert len(batch) <= limit
        found += batch
        assert marker is None or page.page.marker < marker
        marker = page.page.marker


def by_offset(page_of: Callable[[int], Any], rows: str, *, limit: int = 50) -> list[Any]:
    """The rows of a list that offsets reach."""
    found: list[Any] = []
    for offset in range(0, 501, limit):
        found += list(getattr(page_of(offset), rows))
    return found


def wire_time(seconds: float) -> str:
    """The vendor's form of a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def device_id(fleet: Fleet, row: int) -> str:
    """The identifier of a device."""
    return f"{fleet.devices.product_id(row)}_{fleet.devices.key(row)}"


def said(model: Any) -> Any:
    """What a model of the client's holds, whatever is set; its own ``to_dict`` is deprecated."""
    if isinstance(model, list):
        return [said(item) for item in model]
    if not hasattr(model, "openapi_types"):
        return model
    held = {name: getattr(model, name) for name in model.openapi_types}
    return {name: said(value) for name, value in held.items() if value is not None}


def refused(call: Callable[..., Any], *arguments: Any, status: int, code: str | None = None) -> Any:
    """What the client raises."""
    with pytest.raises(core_exceptions.ServiceResponseException) as caught:
        call(*arguments)
    error = caught.value
    assert error.status_code == status
    if code is not None:
        assert error.error_code == code
    assert len(error.request_id) == 32
    assert error.error_msg
    return error


# --- packages --------------------------------------------------------------------------------------------------------


def app_of(fleet: Fleet, product_id: str) -> str:
    """The resource space of a product: they alternate."""
    return ("61f7e74d036aca5be29e1ed4", "64b1f0a2036aca5be29e1f0b")[fleet.devices.product_ids.index(product_id) % 2]


def check_package(fleet: Fleet, package: Any, record: FirmwareRecord) -> None:
    """A package says what the record says, field by field."""
    assert package.app_id == app_of(fleet, record.product_id)
    assert PACKAGE_TYPES[package.package_type] is record.kind
    assert package.product_id == record.product_id
    assert package.version == record.version
    assert package.module_name == record.module_name
    assert tuple(package.support_source_versions or ()) == record.source_versions
    assert package.description == record.description
    assert package.custom_info == record.custom_info
    assert package.create_time == wire_time(record.created_at_s)
    product = fleet.product(record.product_id)
    assert product is not None
    assert package.product_name in {None, product.name}


def packages_of(client: Any, package_type: str, **filters: str) -> list[Any]:
    """All packages of a type."""

    def page(marker: str | None, limit: int) -> Any:
        return client.list_ota_package_info(
            sdk.ListOtaPackageInfoRequest(package_type=package_type, limit=limit, marker=marker, **filters)
        )

    return walk(page, "packages", limit=7)


def test_packages_are_those_of_the_emulator(service_and_client: tuple[Running, Any]) -> None:
    """Listed by markers and by offsets, and shown one by one, each package equals its record."""
    service, client = service_and_client
    for package_type, kind in PACKAGE_TYPES.items():
        records = [record for record in reversed(service.fleet.firmware) if record.kind is kind]
        listed = packages_of(client, package_type)
        assert len(listed) == len(records)
        for package, record in zip(listed, records, strict=True):
            check_package(service.fleet, package, record)
            shown = client.show_ota_package(sdk.ShowOtaPackageRequest(package_id=package.package_id))
            check_package(service.fleet, shown, record)
            place = shown.file_location.obs_location
            assert (place.region_name, place.bucket_name) == ("cn-north-4", "emulated-firmware")
            assert place.object_key == f"ota/{record.file_name}"
            assert place.sign == record.sha256
            assert place.sign_method in {None, "SHA256"}

        def page(offset: int, asked: str = package_type) -> Any:
            request = sdk.ListOtaPackageInfoRequest(package_type=asked, limit=10, offset=offset)
            return client.list_ota_package_info(request)

        offsets = by_offset(page, "packages", limit=10)
        assert [each.package_id for each in offsets] == [each.package_id for each in listed]


def test_packages_are_filtered(service: Running) -> None:
    """Resource space, product and version narrow the list."""
    client = service.client()
    record = next(each for each in service.fleet.firmware if each.kind is FirmwareKind.FIRMWARE)
    space = app_of(service.fleet, record.product_id)
    found = packages_of(client, "firmwarePackage", product_id=record.product_id, version=record.version, app_id=space)
    assert [each.version for each in found] == [record.version]
    assert packages_of(client, "firmwarePackage", version="nosuch") == []


def package_body(fleet: Fleet, product: int = 0, **fields: Any) -> Any:
    """A package to create, with as little as it takes."""
    product_id = fleet.products[product].product_id
    place = sdk.ObsLocation(region_name="cn-north-4", bucket_name="fw-bucket", object_key="fw/v99.bin")
    given: dict[str, Any] = {
        "app_id": app_of(fleet, product_id),
        "package_type": "firmwarePackage",
        "product_id": product_id,
        "version": "V99.0",
        "file_location": sdk.FileLocation(obs_location=place),
    }
    return sdk.CreateOtaPackage(**{**given, **fields})


def created_package(client: Any, body: Any) -> Any:
    """Create a package."""
    return client.create_ota_package(sdk.CreateOtaPackageRequest(body=body))


def test_package_is_created_and_deleted(service_and_client: tuple[Running, Any]) -> None:
    """What is created is what was given, listed first; what is deleted is gone, once."""
    service, client = service_and_client
    place = sdk.ObsLocation(
        region_name="cn-north-4", bucket_name="fw-bucket", object_key="固件/v99.tar.gz", sign_method="SHA256", sign=SIGN
    )
    body = package_body(
        service.fleet,
        support_source_versions=["V1.0", "V1.1"],
        description="für alle; 给所有人",
        custom_info='{"reboot": true}',
        file_location=sdk.FileLocation(obs_location=place),
    )
    created = created_package(client, body)
    assert created.status_code == 201
    asked = said(body)
    answered = said(created)
    identifiers = {"package_id": created.package_id, "create_time": wire_time(service.clock.now_ms() // 1000)}
    assert answered == {**asked, **identifiers}
    check_package(service.fleet, created, service.fleet.firmware[-1])
    shown = client.show_ota_package(sdk.ShowOtaPackageRequest(package_id=created.package_id))
    assert said(shown) == answered
    assert packages_of(client, "firmwarePackage")[0].package_id == created.package_id

    gone = client.delete_ota_package(sdk.DeleteOtaPackageRequest(package_id=created.package_id))
    assert gone.status_code == 204
    again = sdk.DeleteOtaPackageRequest(package_id=created.package_id)
    refused(client.delete_ota_package, again, status=404, code="IOTDA.000029")
    missing = sdk.ShowOtaPackageRequest(package_id=created.package_id)
    refused(client.show_ota_package, missing, status=404, code="IOTDA.000029")


def test_packages_that_cannot_be_created(service: Running) -> None:
    """Every limit of a package has its refusal, and nothing is created."""
    client, fleet = service.client(), service.fleet
    before = len(fleet.firmware)

    def place(**fields: str) -> Any:
        given = {"region_name": "cn-north-4", "bucket_name": "fw-bucket", "object_key": "fw/v99.bin"}
        return sdk.FileLocation(obs_location=sdk.ObsLocation(**{**given, **fields}))

    wrong: Sequence[Mapping[str, Any]] = [
        {"package_type": "firmware"},
        {"package_type": "modulePackage"},
        {"module_name": "radio"},
        {"version": "1 0"},
        {"version": "x" * 257},
        {"support_source_versions": [f"V{number}" for number in range(21)]},
        {"description": "x" * 1025},
        {"custom_info": "x" * 4097},
        {"file_location": None},
        {"file_location": place(object_key="fw/v99.txt")},
        {"file_location": place(bucket_name="Bucket")},
        {"file_location": place(sign="0" * 63)},
        {"file_location": place(sign_method="MD5")},
    ]
    for fields in wrong:
        refused(created_package, client, package_body(fleet, **fields), status=400)
    refused(created_package, client, package_body(fleet, app_id="nosuch"), status=403, code="IOTDA.001000")
    refused(created_package, client, package_body(fleet, product_id="nosuch"), status=404, code="IOTDA.014204")
    taken = fleet.products[0].firmware_versions[0]
    refused(created_package, client, package_body(fleet, version=taken), status=409)
    assert len(fleet.firmware) == before


# --- modules ---------------------------------------------------------------------------------------------------------


def modules_of(client: Any, **filters: str) -> list[Any]:
    """All modules."""
    return walk(
        lambda marker, limit: client.list_ota_modules(sdk.ListOtaModulesRequest(limit=limit, marker=marker, **filters)),
        "modules",
        limit=1,
    )


def test_modules_live_and_go(service_and_client: tuple[Running, Any]) -> None:
    """A module is created, listed, shown, changed and deleted; a product has at most ten, each with its own name."""
    service, client = service_and_client
    product = service.fleet.products[2]
    known = {
        (record.product_id, record.module_name)
        for record in service.fleet.firmware
        if record.kind is FirmwareKind.MODULE
    }
    assert {(each.product_id, each.module_name) for each in modules_of(client)} == known
    body = sdk.CreateOtaModule(
        app_id=app_of(service.fleet, product.product_id),
        product_id=product.product_id,
        module_name="motor-0",
        alias_name="电机",
        description="drives the rotor",
    )
    created = client.create_ota_module(sdk.CreateOtaModuleRequest(body=body))
    assert created.status_code == 201
    answered = said(created)
    assert answered == {
        **said(body),
        "module_id": created.module_id,
        "product_name": product.name,
        "create_time": wire_time(service.clock.now_ms() // 1000),
    }
    assert said(client.show_ota_module(sdk.ShowOtaModuleRequest(module_id=created.module_id))) == answered
    change = sdk.UpdateOtaModule(alias_name="转子", description="")
    updated = client.update_ota_module(sdk.UpdateOtaModuleRequest(module_id=created.module_id, body=change))
    assert said(updated) == {**answered, "alias_name": "转子", "description": ""}

    refused(client.create_ota_module, sdk.CreateOtaModuleRequest(body=body), status=409)
    for number in range(1, 10):
        body.module_name = f"motor-{number}"
        client.create_ota_module(sdk.CreateOtaModuleRequest(body=body))
    body.module_name = "motor-10"
    refused(client.create_ota_module, sdk.CreateOtaModuleRequest(body=body), status=400)
    mine = modules_of(client, product_id=product.product_id)
    assert [each.module_name for each in mine] == [f"motor-{number}" for number in reversed(range(10))]
    paged = client.list_ota_modules(sdk.ListOtaModulesRequest(product_id=product.product_id, limit=3, offset=8))
    assert [each.module_name for each in paged.modules] == ["motor-1", "motor-0"]

    request = sdk.DeleteOtaModuleRequest(module_id=created.module_id)
    assert client.delete_ota_module(request).status_code == 204
    refused(client.delete_ota_module, request, status=404, code="IOTDA.000029")
    missing = sdk.ShowOtaModuleRequest(module_id=created.module_id)
    refused(client.show_ota_module, missing, status=404, code="IOTDA.000029")


# --- batch tasks -----------------------------------------------------------------------------------------------------


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


# --- devices ---------------------------------------------------------------------------------------------------------


def check_device(fleet: Fleet, device: Any, row: int) -> None:
    """A device says what its row says, field by field."""
    table = fleet.devices
    assert device.device_id == device_id(fleet, row)
    assert device.node_id == table.key(row)
    assert device.product_id == table.product_id(row)
    assert device.app_id == app_of(fleet, table.product_id(row))
    assert device.fw_version == table.firmware_version(row)
    assert device.sw_version == table.software_version(row)
    assert device.status == table.connection(row).value.upper()
    assert device.device_name == ("设备" if row % 4 == 1 else "") + table.key(row)


def test_devices_are_those_of_the_emulator(service_and_client: tuple[Running, Any]) -> None:
    """Listed by markers and by all offsets that the vendor allows, and shown, each device equals its row."""
    service, client = service_and_client
    fleet = service.fleet
    listed = walk(
        lambda marker, limit: client.list_devices(sdk.ListDevicesRequest(limit=limit, marker=marker)), "devices"
    )
    assert len(listed) == len(fleet.devices)
    for row, device in zip(reversed(range(len(fleet.devices))), listed, strict=True):
        check_device(fleet, device, row)
    reached = by_offset(lambda offset: client.list_devices(sdk.ListDevicesRequest(limit=50, offset=offset)), "devices")
    assert [each.device_id for each in reached] == [each.device_id for each in listed[:550]]
    for row in range(24):
        shown = client.show_device(sdk.ShowDeviceRequest(device_id=device_id(fleet, row)))
        check_device(fleet, shown, row)
        assert shown.create_time == wire_time(fleet.devices.registered_at_s[row])
        assert shown.auth_info.secret == f"emulated-secret-{fleet.devices.serial(row)}"
    missing = sdk.ShowDeviceRequest(device_id="nosuch")
    refused(client.show_device, missing, status=404, code="IOTDA.000029")


def test_devices_are_filtered(service: Running) -> None:
    """Product, name, gateway and time of registration narrow the list."""
    client, fleet = service.client(), service.fleet

    def ids(**filters: Any) -> list[str]:
        def page(marker: str | None, limit: int) -> Any:
            return client.list_devices(sdk.ListDevicesRequest(limit=limit, marker=marker, **filters))

        return [each.device_id for each in walk(page, "devices")]

    product_id = fleet.products[1].product_id
    meant = [device_id(fleet, row) for row in fleet.devices.matching(fleet.devices.of_products([product_id]))]
    assert ids(product_id=product_id) == meant[::-1]
    assert ids(device_name=f"设备{fleet.devices.key(41)}") == [device_id(fleet, 41)]
    gateway = device_id(fleet, 40)
    assert set(ids(gateway_id=gateway)) == {device_id(fleet, 57), device_id(fleet, 58)}
    assert set(ids(gateway_id=gateway, is_cascade_query=True)) == {device_id(fleet, row) for row in (57, 58, 59)}
    seconds = fleet.devices.registered_at_s
    times = {"start_time": wire_time(seconds[100]), "end_time": wire_time(seconds[199])}
    assert ids(**times) == [device_id(fleet, row) for row in range(199, 99, -1)]


def search(service: Running, client: Any, sql: str) -> Any:
    """Search devices, a second after the last search."""
    service.pass_time(1)
    return client.search_devices(sdk.SearchDevicesRequest(body=sdk.SearchSql(sql=sql)))


def test_devices_are_searched() -> None:
    """The flexible search pages by the visible marker, counts, selects fields, and compares as documented."""
    with running(edition="standard") as service:
        client, fleet = service.client(derived=True), service.fleet
        table = fleet.devices
        found: list[Any] = []
        condition = ""
        while True:
            sql = f"{EVERYTHING} {condition} order by marker desc limit 50"
            batch = search(service, client, sql).devices
            if not batch:
                break
            found += batch
            condition = f"where marker < '{batch[-1].marker}'"
        assert len(found) == len(table)
        for row, device in zip(reversed(range(len(table))), found, strict=True):
            check_device(fleet, device, row)
        markers = [device.marker for device in found]
        assert all(later < earlier for earlier, later in pairwise(markers))

        online = sum(table.connection(row) is Connection.ONLINE for row in range(len(table)))
        assert search(service, client, "SELECT count(*) FROM device WHERE status = 'ONLINE'").count == online
        version = table.firmware_version(3)
        chosen = EVERYTHING.replace("*", "device_id,fw_version")
        some = search(service, client, f"{chosen} where fw_version = '{version}' order by marker asc limit 2,5").devices
        rows = [row for row in range(len(table)) if table.firmware_version(row) == version]
        assert [(each.device_id, each.fw_version) for each in some] == [
            (device_id(fleet, row), version) for row in rows[2:7]
        ]
        assert all(each.status is None and each.marker is None for each in some)
        near = search(service, client, f"{EVERYTHING} where node_id like '{table.key(7)}%'").devices
        assert [each.node_id for each in near] == [table.key(7)]
        group_id = next(iter(service.emulator.groups))
        members = search(service, client, f"{EVERYTHING} where group_id = '{group_id}' limit 50").devices
        assert members
        assert all(group_id in each.groups for each in members)

        busy = sdk.SearchDevicesRequest(body=sdk.SearchSql(sql="select * from device"))
        refused(client.search_devices, busy, status=429, code="APIGW.0308")
        for wrong in ("select * from devices", "select * from device where fw_version > '1'", f"{'x' * 401}"):
            refused(search, service, client, wrong, status=400)


# --- who asks, and what goes wrong ------------------------------------------------------------------------------------


@pytest.mark.parametrize("derived", [False, True])
def test_temporary_credentials(derived: bool) -> None:
    """A temporary key is signed with its security token, and worth nothing without it."""
    keys = {"TEMPORARYKEY": AccessKey(secret_key="temporary-secret", security_token="gQpjbi1ub3J0aC00LVRFU1Q=")}
    with running(keys=keys) as service:
        mine: dict[str, Any] = {"access_key": "TEMPORARYKEY", "secret_key": "temporary-secret", "derived": derived}
        client = service.client(**mine, security_token="gQpjbi1ub3J0aC00LVRFU1Q=")
        request = sdk.ListDevicesRequest(limit=3, instance_id="4cdeb1cd-7071-4890-9ce4-e6c2299e960e")
        assert len(client.list_devices(request).devices) == 3
        body = sdk.SearchSql(sql="select count(*) from device")
        assert client.search_devices(sdk.SearchDevicesRequest(body=body)).count == len(FLEET.devices)
        other = service.client(**mine, security_token="another")
        refused(other.list_devices, request, status=401, code="APIGW.0301")
        bare = service.client(**mine)
        refused(bare.list_devices, request, status=401, code="APIGW.0301")


def test_keys_that_are_wrong(service: Running) -> None:
    """A wrong secret is answered with the server's canonical request, an unknown key with its name."""
    request = sdk.ListDevicesRequest(limit=1)
    for derived in (False, True):
        error = refused(
            service.client(secret_key="wrong", derived=derived).list_devices,
            request,
            status=401,
            code="APIGW.0301",
        )
        assert f"canonicalRequest:GET|/v5/iot/{PROJECT}/devices/|limit=1|" in error.error_msg
    error = refused(service.client(access_key="NOSUCH").list_devices, request, status=401, code="APIGW.0301")
    assert "ak:NOSUCH" in error.error_msg
    foreign = service.client(project_id="f" * 32)
    refused(foreign.list_devices, request, status=403, code="IOTDA.000021")


def test_editions_want_their_own_signatures() -> None:
    """A dedicated endpoint refuses plain signatures, a shared one derived ones; only the former has a search."""
    request = sdk.ListDevicesRequest(limit=1)
    with running(edition="standard") as service:
        refused(service.client().list_devices, request, status=401, code="IOTDA.000002")
    with running(edition="basic") as service:
        refused(service.client(derived=True).list_devices, request, status=401, code="APIGW.0301")
        sql = sdk.SearchDevicesRequest(body=sdk.SearchSql(sql="select * from device"))
        refused(service.client().search_devices, sql, status=403)


def test_parameters_that_are_wrong(service: Running) -> None:
    """The client checks nothing; the service answers with the documented codes."""
    client = service.client()
    wrong: Sequence[tuple[Mapping[str, Any], str]] = [
        ({"limit": 0}, "IOTDA.000017"),
        ({"limit": 51}, "IOTDA.000017"),
        ({"marker": "zz"}, "IOTDA.000018"),
        ({"offset": 501}, "IOTDA.000006"),
        ({"start_time": "yesterday"}, "IOTDA.000009"),
        ({"start_time": "20260102T000000Z", "end_time": "20260101T000000Z"}, "IOTDA.000010"),
    ]
    for parameters, code in wrong:
        request = sdk.ListDevicesRequest(**parameters)
        refused(client.list_devices, request, status=400, code=code)
    untyped = sdk.ListBatchTasksRequest()
    refused(client.list_batch_tasks, untyped, status=400, code="IOTDA.000006")


def test_service_that_fails(service: Running) -> None:
    """A failure inside the service reaches the caller with its code and its request id."""
    client = service.client()
    body = b'{"error_code":"IOTDA.000001","error_msg":"Internal server error."}'
    headers = {"Content-Type": "application/json", "X-Request-Id": "0" * 32}
    service.emulator.faults.inject("devices.search", status=500, headers=headers, body=body)
    refused(client.list_devices, sdk.ListDevicesRequest(), status=500, code="IOTDA.000001")
    assert client.list_devices(sdk.ListDevicesRequest()).devices


def test_nothing_was_left_out() -> None:
    """Run last: every operation that the emulator has was called by the vendor's client."""
    routes = {route.kwargs["name"] for route in IotdaEmulator(FLEET).routes() if hasattr(route, "kwargs")}
    assert routes - {"token.get"} <= set(served)
    assert "other" not in served
