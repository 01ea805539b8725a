"""What the IoTDA client sends when it changes something, and what it makes of the answers."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import msgspec
import pytest

from otaclient.errors import (
    ConflictError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
    ResponseLostError,
    UnsupportedOperationError,
)
from otaclient.models import (
    DeviceId,
    FirmwareId,
    FirmwareKind,
    JobProgress,
    JobScope,
    JobStatus,
    LocalizedText,
    NewFirmware,
    NewJob,
)
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.session import Session
from otaclient_iotda import (
    AkSkCredentials,
    IotdaBackend,
    IotdaConfig,
    OtaModule,
    TargetOutcome,
    TargetsRefusedError,
    plugin,
)
from otaclient_iotda.write_requests import act_on_task
from support.network import ScriptedTransport

HOST = "https://iotda.cn-north-4.myhuaweicloud.com"
PACKAGE = NewFirmware(version="V2.0", product_id="p", location="obs://fw-bucket/fw/v2.bin")
JOB = NewJob(
    name=LocalizedText(default="night"), firmware_ids=(FirmwareId("f1"),), scope=JobScope(devices=("d1", "d2"))
)
MODULE = {"module_id": "m1", "module_name": "radio", "app_id": "space", "create_time": "20260102T030405Z"}
NO_SUCH = {"error_code": "IOTDA.000029", "error_msg": "No such thing."}


def reply(body: Any = b"", status: int = 200) -> HttpResponse:
    """Return an answer."""
    return HttpResponse(status=status, body=body if isinstance(body, bytes) else msgspec.json.encode(body))


def opened(*answers: Any, **settings: Any) -> tuple[IotdaBackend, ScriptedTransport]:
    """Return a client of a resource space, and the network that answers it."""
    keys = AkSkCredentials(access_key="AK", secret_key="very-secret")
    given: dict[str, Any] = {"endpoint": HOST, "project_id": "p1", "credentials": keys, "app_id": "space"}
    network = ScriptedTransport(answers)
    session = Session(label="north", transport=network, clock=HandClock(), roll=lambda: 0.5)
    return plugin.open(IotdaConfig(**(given | settings)), session), network


def asked(request: HttpRequest) -> tuple[str, str, Any]:
    """Return the method, the path within the project, and the body."""
    path = request.path.removeprefix("/v5/iot/p1/")
    return request.method, path, msgspec.json.decode(request.body) if request.body else None


def package(firmware_id: str, **fields: Any) -> HttpResponse:
    """Return a package as it is shown."""
    return reply({"package_id": firmware_id, "version": "1", "package_type": "firmwarePackage"} | fields)


# --- packages --------------------------------------------------------------------------------------------------------


async def test_a_package_is_created_where_the_client_is() -> None:
    """In its resource space, and for an object in the region of its host; the answer names it."""
    iotda, network = opened(reply({"package_id": "f9"}, 201), reply({"package_id": "f8"}, 201))
    assert await iotda.firmware.create(PACKAGE) == "f9"
    module = attrs.evolve(PACKAGE, kind=FirmwareKind.MODULE)
    assert await iotda.with_options(owner_id="other").firmware.create(module, module_name="radio") == "f8"
    (method, path, first), (_, _, second) = map(asked, network.sent)
    assert (method, path) == ("POST", "ota-upgrades/packages")
    assert first["file_location"]["obs_location"]["region_name"] == "cn-north-4"
    assert (first["app_id"], second["app_id"], second["module_name"]) == ("space", "other", "radio")


async def test_files_are_not_for_this_vendor() -> None:
    """Content, downloads and reported versions are refused before anything is sent."""
    iotda, network = opened()
    with pytest.raises(UnsupportedOperationError, match="give location") as caught:
        await iotda.firmware.create(PACKAGE, b"bytes")
    assert (caught.value.operation, caught.value.backend) == ("firmware.create", "north")
    for call in (iotda.firmware.reported_versions("p"), iotda.firmware.download(None, "x")):  # type: ignore[arg-type]
        with pytest.raises(UnsupportedOperationError):
            await call
    assert network.sent == []


async def test_a_package_without_a_resource_space_is_refused() -> None:
    """The vendor demands one."""
    iotda, network = opened(app_id=None)
    with pytest.raises(InvalidQueryError, match="app_id") as caught:
        await iotda.firmware.create(PACKAGE)
    assert (caught.value.operation, network.sent) == ("firmware.create", [])


# --- modules ---------------------------------------------------------------------------------------------------------


async def test_modules_are_created_shown_changed_and_deleted() -> None:
    """Each in one request; what comes back is the module."""
    changed = MODULE | {"alias_name": "无线", "description": "d", "odd": [1], "create_time": "soon"}
    iotda, network = opened(reply(MODULE, 201), reply(MODULE), reply(changed), reply(status=204))
    created = await iotda.modules.create(product_id="p", name="radio")
    assert await iotda.modules.get("m1") == created
    assert (created.module_id, created.name, created.owner_id, created.backend) == ("m1", "radio", "space", "north")
    assert created.created_at is not None
    found = await iotda.modules.update("m1", alias="无线", description="d")
    assert (found.alias, found.description, found.created_at) == ("无线", "d", None)
    assert found.extra == {"odd": (1,), "create_time": "soon"}
    await iotda.modules.delete("m1")
    path = "ota-upgrades/modules"
    assert list(map(asked, network.sent)) == [
        ("POST", path, {"app_id": "space", "product_id": "p", "module_name": "radio"}),
        ("GET", f"{path}/m1", None),
        ("PUT", f"{path}/m1", {"alias_name": "无线", "description": "d"}),
        ("DELETE", f"{path}/m1", None),
    ]


async def test_modules_are_listed_of_a_product_or_a_space() -> None:
    """By markers, as all listings; the client's own resource space unless another is named."""
    page = {"modules": [MODULE], "page": {"count": 1, "marker": "a" * 24}}
    end: dict[str, Any] = {"modules": [], "page": {}}
    iotda, network = opened(reply(page), reply(end), reply(end))
    found = [module async for module in iotda.modules.search(product_id="p")]
    assert [(type(module), module.module_id) for module in found] == [(OtaModule, "m1")]
    assert [module async for module in iotda.modules.search(owner_id="other")] == []
    queries = [dict(request.query) for request in network.sent]
    assert queries[0] == {"app_id": "space", "product_id": "p", "limit": "50"}
    assert queries[1]["marker"] == "a" * 24
    assert queries[2]["app_id"] == "other"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda modules: modules.create(product_id="a b", name="x"), "product_id is 'a b'"),
        (lambda modules: modules.create(product_id="p", name="a b"), "name is 'a b'"),
        (lambda modules: modules.create(product_id="p", name="x", alias="y" * 65), "alias is 65 characters"),
        (lambda modules: modules.create(product_id="p", name="x", description="y" * 1025), "description is 1025"),
        (lambda modules: modules.update("m1"), "give what is to be changed"),
        (lambda modules: modules.update("m/1", alias="x"), "module_id is 'm/1'"),
        (lambda modules: modules.get(""), "module_id is ''"),
        (lambda modules: modules.delete("a b"), "module_id is 'a b'"),
    ],
)
async def test_modules_that_cannot_be(call: Callable[[Any], Awaitable[Any]], words: str) -> None:
    """One error before anything is sent."""
    iotda, network = opened()
    with pytest.raises(InvalidQueryError, match=words) as caught:
        await call(iotda.modules)
    assert (caught.value.backend, network.sent) == ("north", [])


async def test_modules_need_what_listings_and_creations_need() -> None:
    """A product that can be one, and a resource space."""
    iotda, _ = opened(app_id=None)
    with pytest.raises(InvalidQueryError, match="product_id is 'a b'") as caught:
        iotda.modules.search(product_id="a b")
    assert caught.value.operation == "modules.search"
    with pytest.raises(InvalidQueryError, match="IoTDA creates no module"):
        await iotda.modules.create(product_id="p", name="x")


# --- jobs: creation --------------------------------------------------------------------------------------------------


async def test_the_packages_are_read_to_know_the_type_of_a_task() -> None:
    """One request each, then one that creates."""
    kind = {"package_type": "softwarePackage"}
    first, second = (package(name, support_source_versions=[name], **kind) for name in ("f1", "f2"))
    iotda, network = opened(first, second, reply({"task_id": "a1"}, 201))
    job = attrs.evolve(JOB, firmware_ids=(FirmwareId("f1"), FirmwareId("f2")))
    assert await iotda.jobs.create(job) == "a1"
    method, path, body = asked(network.sent[-1])
    assert (method, path, len(network.sent)) == ("POST", "batchtasks", 3)
    assert re.fullmatch("night_ota[0-9a-f]{20}", body.pop("task_name"))
    assert body == {
        "app_id": "space",
        "task_type": "softwareUpgrade",
        "targets": ["d1", "d2"],
        "document": {"package_ids": ["f1", "f2"]},
    }


async def test_who_knows_the_kind_saves_the_requests() -> None:
    """One request in all, with what only this vendor has."""
    iotda, network = opened(reply({"task_id": "a1"}, 201), app_id=None)
    await iotda.jobs.create(
        attrs.evolve(JOB, hold=True),
        firmware_kind=FirmwareKind.FIRMWARE,
        gateway_mode=True,
        extra_info={"note": "x"},
    )
    (request,) = network.sent
    body = asked(request)[2]
    assert (body["task_type"], body["task_mode"], body["need_confirm"]) == ("firmwareUpgrade", "GATEWAY", True)
    assert (body["task_ext_info"], "app_id" in body) == ({"note": "x"}, False)


async def test_jobs_that_cannot_be_create_nothing() -> None:
    """Wrong fields send nothing; packages that do not fit, or are not there, are read and no more."""
    module = package("f1", package_type="modulePackage")
    iotda, network = opened(module, package("f1", package_type="odd"), reply(NO_SUCH, 404))
    with pytest.raises(InvalidQueryError, match="reaches no device") as caught:
        await iotda.jobs.create(attrs.evolve(JOB, scope=JobScope()))
    assert (caught.value.operation, caught.value.backend) == ("jobs.create", "north")
    with pytest.raises(InvalidQueryError, match="of which the fingerprint takes 24; give at most 104, or set"):
        await iotda.jobs.create(attrs.evolve(JOB, name=LocalizedText(default="n" * 105)))
    assert network.sent == []
    with pytest.raises(InvalidQueryError, match="gateways upgrade no modules"):
        await iotda.jobs.create(JOB, gateway_mode=True)
    with pytest.raises(InvalidQueryError, match="f1 is odd"):
        await iotda.jobs.create(JOB)
    with pytest.raises(NotFoundError, match="there is no firmware 'f1'"):
        await iotda.jobs.create(JOB)
    assert {request.method for request in network.sent} == {"GET"}


# --- jobs: acting ----------------------------------------------------------------------------------------------------


def results(*refused: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return an answer that accepts every target but some."""

    def answer(request: HttpRequest) -> HttpResponse:
        entries = [
            {"target": target, "status": "failure", "error_code": "IOTDA.1", "error_msg": "Not now."}
            if target in refused
            else {"target": target, "status": "success"}
            for target in asked(request)[2]["targets"]
        ]
        return reply({"targets": entries})

    return answer


@pytest.mark.parametrize(
    "answer", [{}, {"targets": None}, {"targets": []}, {"targets": [{"target": "d", "status": "success"}]}]
)
async def test_a_whole_job_is_stopped_or_confirmed_with_an_empty_body(answer: Any) -> None:
    """Whatever the answer lists."""
    iotda, network = opened(reply(answer), reply(answer))
    await iotda.jobs.stop("a1")
    await iotda.jobs.start("a1")
    assert list(map(asked, network.sent)) == [
        ("POST", "batchtasks/a1/stop", {}),
        ("POST", "batchtasks/a1/confirm", {}),
    ]


async def test_a_job_that_was_stopped_on_some_devices_only_is_an_error() -> None:
    """It names those that were refused, and the operation."""
    refused = {"target": "d7", "status": "failure", "error_code": "IOTDA.1", "error_msg": "Not now."}
    iotda, _ = opened(reply({"targets": [refused, {"target": "d8", "status": "success"}]}))
    with pytest.raises(TargetsRefusedError, match="1 of 2 devices were refused: d7: IOTDA.1 Not now.") as caught:
        await iotda.jobs.stop("a1")
    assert (caught.value.operation, caught.value.backend) == ("jobs.stop", "north")


@pytest.mark.parametrize(("call", "deed"), [("cancel_tasks", "stop"), ("retry_tasks", "retry")])
async def test_long_lists_go_out_in_parts(call: str, deed: str) -> None:
    """Of 100 devices; all parts are sent before the refused devices are an error."""
    devices = [f"d{number}" for number in range(201)]
    iotda, network = opened(results("d3"), results(), results("d200"))
    with pytest.raises(TargetsRefusedError) as caught:
        await getattr(iotda.jobs, call)("a1", devices)
    assert [outcome.device_id for outcome in caught.value.outcomes] == ["d3", "d200"]
    error = caught.value
    assert (error.operation, error.status, error.attempts) == (f"jobs.{call}", 200, 3)
    assert {asked(request)[1] for request in network.sent} == {f"batchtasks/a1/{deed}"}
    assert [target for request in network.sent for target in asked(request)[2]["targets"]] == devices
    accepting, _ = opened(results(), results(), results())
    await getattr(accepting.jobs, call)("a1", devices)


async def test_some_devices_of_a_held_job_are_confirmed() -> None:
    """What was said of each comes back, and refused ones are no error."""
    iotda, network = opened(results("d2"))
    found = await iotda.confirm_job("a1", ["d1", "d2"])
    assert found == (
        TargetOutcome(device_id=DeviceId("d1"), accepted=True),
        TargetOutcome(device_id=DeviceId("d2"), accepted=False, code="IOTDA.1", message="Not now."),
    )
    assert asked(network.sent[0]) == ("POST", "batchtasks/a1/confirm", {"targets": ["d1", "d2"]})


async def test_a_part_that_fails_says_what_became_of_those_before() -> None:
    """The parts behind it are not sent."""
    devices = [f"d{number}" for number in range(250)]
    conflict = reply({"error_code": "IOTDA.2", "error_msg": "Ended."}, 409)
    iotda, network = opened(results("d3"), conflict)
    with pytest.raises(ConflictError) as caught:
        await iotda.jobs.cancel_tasks("a1", devices)
    assert caught.value.vendor_code == "IOTDA.2"
    assert str(caught.value).endswith("(HTTP 409, code IOTDA.2)")
    assert (
        "before that, 99 of 250 devices were accepted and 1 refused (d3: IOTDA.1 Not now.); 50 were not asked for"
        in caught.value.message
    )
    assert len(network.sent) == 2
    first, _ = opened(conflict)
    with pytest.raises(ConflictError) as caught:
        await first.jobs.cancel_tasks("a1", devices)
    assert "before that" not in caught.value.message


@pytest.mark.parametrize("bad", ["", "A1", "a/1", None])
async def test_jobs_that_cannot_be_named_send_nothing(bad: Any) -> None:
    """One error for every operation."""
    iotda, network = opened()
    jobs = iotda.jobs
    calls: list[Awaitable[Any]] = [
        jobs.start(bad),
        jobs.stop(bad),
        jobs.delete(bad),
        jobs.progress(bad),
        jobs.wait(bad),
    ]
    calls += [jobs.cancel_tasks(bad, ["d"]), jobs.retry_tasks(bad, ["d"]), iotda.confirm_job(bad, ["d"])]
    for call in calls:
        with pytest.raises(InvalidQueryError, match="job_id is") as caught:
            await call
        assert caught.value.backend == "north"
    with pytest.raises(InvalidQueryError, match="job_id is"):
        jobs.watch(bad)
    assert network.sent == []


async def test_empty_lists_are_refused() -> None:
    """For the vendor they mean all devices."""
    iotda, network = opened()
    for call in (iotda.jobs.cancel_tasks, iotda.jobs.retry_tasks, iotda.confirm_job):
        with pytest.raises(InvalidQueryError, match="empty list"):
            await call("a1", [])
    with pytest.raises(InvalidQueryError, match="for IoTDA means all"):
        act_on_task("p1", "stop", "a1", [], operation="jobs.cancel_tasks")
    assert network.sent == []


# --- jobs: following -------------------------------------------------------------------------------------------------


def task(status: str, **progress: int) -> HttpResponse:
    """Return a batch task as it is shown."""
    return reply({"batchtask": {"task_id": "a1", "status": status, "task_progress": progress or None}})


async def test_progress_takes_one_request() -> None:
    """What the vendor does not report is not guessed."""
    iotda, network = opened(task("Processing", total=3, success=1), task("Waitting"))
    now = HandClock().now()
    assert await iotda.jobs.progress("a1") == JobProgress(status=JobStatus.RUNNING, total=3, succeeded=1, as_of=now)
    assert await iotda.jobs.progress("a1") == JobProgress(status=JobStatus.PENDING, as_of=now)
    assert len(network.sent) == 2


async def test_a_job_is_watched_to_its_end() -> None:
    """Each change once."""
    states = [task("Processing", success=count) for count in (0, 0, 2)]
    iotda, _ = opened(*states, task("Success", success=3))
    seen = [(progress.status, progress.succeeded) async for progress in iotda.jobs.watch("a1", interval_seconds=1)]
    assert seen == [(JobStatus.RUNNING, 0), (JobStatus.RUNNING, 2), (JobStatus.SUCCEEDED, 3)]


async def test_waiting_groups_failures_by_reason() -> None:
    """The failed devices are read once, when the job has ended."""
    details = [
        {"target": "d1", "status": "Fail", "error": {"error_code": "IOTDA.005009", "error_msg": "Task Conflict"}},
        {"target": "d2", "status": "Fail", "output": "Out of memory during downloading process"},
        {"target": "d3", "status": "Fail", "error": {"error_msg": "Task Conflict"}, "output": ""},
    ]
    pages = [
        {"batchtask": {}, "task_details": rows, "page": {"marker": "a" * 24 if rows else None}}
        for rows in (details, [])
    ]
    iotda, network = opened(task("Processing"), task("Fail", fail=3), *map(reply, pages))
    found = await iotda.jobs.wait("a1")
    assert (found.status, found.failed) == (JobStatus.FAILED, 3)
    assert dict(found.failures) == {"Task Conflict": 2, "Out of memory during downloading process": 1}
    assert dict(network.sent[2].query)["task_detail_status"] == "Fail"


# --- all writes ------------------------------------------------------------------------------------------------------


WRITES: dict[str, Callable[[IotdaBackend], Awaitable[Any]]] = {
    "firmware.create": lambda iotda: iotda.firmware.create(PACKAGE),
    "firmware.delete": lambda iotda: iotda.firmware.delete("f1"),
    "modules.create": lambda iotda: iotda.modules.create(product_id="p", name="radio"),
    "modules.update": lambda iotda: iotda.modules.update("m1", alias="x"),
    "modules.delete": lambda iotda: iotda.modules.delete("m1"),
    "jobs.create": lambda iotda: iotda.jobs.create(JOB, firmware_kind=FirmwareKind.FIRMWARE),
    "jobs.start": lambda iotda: iotda.jobs.start("a1"),
    "jobs.stop": lambda iotda: iotda.jobs.stop("a1"),
    "jobs.delete": lambda iotda: iotda.jobs.delete("a1"),
    "jobs.cancel_tasks": lambda iotda: iotda.jobs.cancel_tasks("a1", ["d1"]),
    "jobs.retry_tasks": lambda iotda: iotda.jobs.retry_tasks("a1", ["d1"]),
    "jobs.confirm": lambda iotda: iotda.confirm_job("a1", ["d1"]),
}


REPEATED = [name for name in WRITES if name.startswith("jobs.") or name == "firmware.delete"]
REPEATED.remove("jobs.create")


def cut(_: HttpRequest) -> HttpResponse:
    """Lose the answer."""
    raise ResponseLostError("cut")


@pytest.mark.parametrize("operation", [name for name in WRITES if name.startswith("modules.")])
async def test_an_unclear_answer_is_not_asked_again(operation: str) -> None:
    """The error says how to find out; it was sent once."""
    for unclear in (cut, reply(b"", 502)):
        iotda, network = opened(unclear)
        with pytest.raises(OutcomeUnknownError, match=r"may or may not have taken effect.*(search|get)") as caught:
            await WRITES[operation](iotda)
        assert (caught.value.operation, len(network.sent)) == (operation, 1)


@pytest.mark.parametrize("operation", REPEATED)
async def test_an_unclear_answer_is_asked_again(operation: str) -> None:
    """As often as the policy allows; then the error says how to find out."""
    for unclear in (cut, reply(b"", 502)):
        iotda, network = opened(*[unclear] * 5)
        with pytest.raises(OutcomeUnknownError, match=r"may or may not have taken effect.*(search|get)") as caught:
            await WRITES[operation](iotda)
        assert (caught.value.operation, caught.value.attempts, len(network.sent)) == (operation, 5, 5)


def listed(**fields: Any) -> Callable[[HttpRequest], HttpResponse]:
    """Return the only page of a list of tasks, with one task whose name was sent before."""

    def answer(_: HttpRequest) -> HttpResponse:
        rows = [{"task_id": "a7", "status": "Processing", **fields}]
        return reply({"batchtasks": rows, "page": {"count": 1, "marker": "5c90fa7d3c4e4405e8525079"}})

    return answer


EMPTY = reply({"batchtasks": [], "packages": [], "page": {}})


async def test_an_unclear_creation_is_looked_for() -> None:
    """In the lists of all types of tasks, newest first, down to those that are too old."""
    for unclear in (cut, reply(b"", 502), reply(b"<html>"), reply({}, 201)):
        iotda, network = opened(unclear, EMPTY, EMPTY, EMPTY)
        with pytest.raises(OutcomeUnknownError, match="1 s later it was not to be found") as caught:
            await iotda.jobs.create(JOB, firmware_kind=FirmwareKind.FIRMWARE)
        assert len(network.sent) == 4
        assert caught.value.fingerprint is not None
        assert asked(network.sent[0])[2]["task_name"] == f"night_{caught.value.fingerprint}"
    key = caught.value.fingerprint
    new, old = (
        listed(task_name=name, create_time=time)
        for name, time in (
            (f"night_{key}", "20260102T030405Z"),
            ("other", "20251231T000000Z"),
        )
    )
    iotda, network = opened(EMPTY, EMPTY, EMPTY, cut, new, EMPTY, old, old)
    found = await iotda.jobs.create(JOB, idempotency_key=key, firmware_kind=FirmwareKind.FIRMWARE)
    assert (found, len(network.sent)) == ("a7", 8)


async def test_an_unclear_package_is_looked_for() -> None:
    """By what it is and where its file is; one that differs in anything is another."""
    place = {"region_name": "cn-north-4", "bucket_name": "fw-bucket", "object_key": "fw/v2.bin"}
    row = {"package_id": "f7", "version": "V2.0", "package_type": "firmwarePackage", "product_id": "p"}
    page = {"packages": [row], "page": {"count": 1, "marker": "5c90fa7d3c4e4405e8525079"}}
    shown = {**row, "file_location": {"obs_location": place}}
    iotda, network = opened(cut, reply(page), EMPTY, reply(shown))
    assert await iotda.firmware.create(PACKAGE) == "f7"
    assert dict(network.sent[1].query)["version"] == "V2.0"
    others: list[dict[str, Any]] = [
        {**row},
        {**shown, "custom_info": "x"},
        {**shown, "module_name": "radio"},
        {**shown, "support_source_versions": ["1"]},
        {**row, "file_location": {"obs_location": {**place, "sign": "0" * 64}}},
    ]
    for other in others:
        iotda, network = opened(cut, reply(page), EMPTY, reply(other))
        with pytest.raises(OutcomeUnknownError, match="not to be found"):
            await iotda.firmware.create(PACKAGE)
    iotda, _ = opened(cut, reply(page), EMPTY, reply(NO_SUCH, 404))
    with pytest.raises(OutcomeUnknownError, match="looking for it failed"):
        await iotda.firmware.create(PACKAGE)


def details(**statuses: str) -> HttpResponse:
    """Return a task with how its targets stand."""
    rows = [{"target": target, "status": status} for target, status in statuses.items()]
    page = {"count": len(rows), "marker": "5c90fa7d3c4e4405e8525079"}
    return reply({"batchtask": {"task_id": "a1", "status": "Processing"}, "task_details": rows, "page": page})


WRONG_STATE = reply({"error_code": "IOTDA.2", "error_msg": "Ended."}, 409)


@pytest.mark.parametrize(
    ("operation", "answers", "done"),
    [
        ("jobs.delete", [reply(NO_SUCH, 404)], True),
        ("jobs.delete", [WRONG_STATE], False),
        ("firmware.delete", [reply(NO_SUCH, 404)], True),
        ("jobs.stop", ["Stopping"], True),
        ("jobs.stop", ["Stopped"], True),
        ("jobs.stop", ["Success"], False),
        ("jobs.stop", [reply(NO_SUCH, 404)], False),
        ("jobs.start", ["Processing"], True),
        ("jobs.start", ["Fail"], True),
        ("jobs.start", ["Stopped"], False),
        ("jobs.cancel_tasks", [WRONG_STATE, details(d1="Stopped")], True),
        ("jobs.cancel_tasks", [WRONG_STATE, details(d1="Success")], False),
        ("jobs.cancel_tasks", [results("d1"), details(d0="Fail", d1="Stopped")], True),
        ("jobs.cancel_tasks", [results("d1"), details(d1="Processing")], False),
        ("jobs.cancel_tasks", [results()], True),
        ("jobs.retry_tasks", [results("d1"), details(d1="Waitting")], True),
        ("jobs.retry_tasks", [results("d1"), details(d1="FailWaitRetry")], False),
        ("jobs.retry_tasks", [results("d1"), details(d9="Fail"), details()], False),
        ("jobs.confirm", [WRONG_STATE, details(d1="Success")], True),
        ("jobs.confirm", [WRONG_STATE, details(d1="Stopped")], False),
    ],
)
async def test_the_refusal_of_a_repeat_tells(operation: str, answers: list[Any], done: bool) -> None:
    """With how things stand, whether the first request took effect."""
    if isinstance(answers[0], str):
        answers = [WRONG_STATE, task(answers[0])]
    iotda, network = opened(cut, *answers)
    if done:
        await WRITES[operation](iotda)
    else:
        with pytest.raises((ConflictError, NotFoundError)) as caught:
            await WRITES[operation](iotda)
        assert (caught.value.operation, caught.value.backend) == (operation, "north")
    assert len(network.sent) == 1 + len(answers)


async def test_a_confirmed_device_that_is_refused_again_is_confirmed() -> None:
    """Also one that waits for its device."""
    iotda, _ = opened(cut, results("d1"), details(d1="Waitting"))
    assert await iotda.confirm_job("a1", ["d1"]) == (TargetOutcome(device_id=DeviceId("d1"), accepted=True),)


async def test_how_things_stand_may_not_be_known() -> None:
    """Then it stays unclear."""
    iotda, _ = opened()
    clock = HandClock()
    network = ScriptedTransport([cut, WRONG_STATE], clock=clock, seconds=20.0)
    session = Session(label="north", transport=network, clock=clock, roll=lambda: 0.5)
    slow = IotdaBackend(iotda._config, session)
    with pytest.raises(OutcomeUnknownError, match="left no time to read how things stand"):
        await slow.jobs.stop("a1")
    iotda, _ = opened(cut, WRONG_STATE, reply({"error_code": "IOTDA.000022"}, 403))
    with pytest.raises(OutcomeUnknownError, match="a repeat was refused, and why could not be found out") as caught:
        await iotda.jobs.stop("a1")
    assert caught.value.attempts == 2


@pytest.mark.parametrize("operation", WRITES)
async def test_a_throttled_write_is_repeated(operation: str) -> None:
    """It was rejected before it took effect, and what comes next counts; a refusal says what was refused."""
    throttled = reply({"error_code": "APIGW.0308", "error_msg": "Too fast."}, 429)
    iotda, network = opened(throttled, reply(NO_SUCH, 404))
    with pytest.raises(NotFoundError, match=r"(firmware|module|job).*: there is no such thing: No such thing"):
        await WRITES[operation](iotda)
    assert len(network.sent) == 2


@pytest.mark.parametrize("operation", ["modules.create", "modules.update"])
@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
async def test_answers_that_are_none(operation: str, body: bytes) -> None:
    """A payload error of the operation."""
    iotda, _ = opened(reply(body))
    with pytest.raises(PayloadError) as caught:
        await WRITES[operation](iotda)
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == (operation, "north", 1)


@pytest.mark.parametrize("operation", ["firmware.delete", "modules.delete", "jobs.delete"])
async def test_deletions_have_empty_answers(operation: str) -> None:
    """And empty bodies."""
    iotda, network = opened(reply(status=204))
    await WRITES[operation](iotda)
    assert (network.sent[0].method, network.sent[0].body) == ("DELETE", b"")


async def test_writes_are_remembered_but_lists_do_not_lag() -> None:
    """Settled listings wait for nothing, as the vendor documents no lag."""
    clock = HandClock()
    network = ScriptedTransport([reply(status=204), reply({"batchtasks": [], "page": {}})] * 2)
    keys = AkSkCredentials(access_key="AK", secret_key="very-secret")
    config = IotdaConfig(endpoint=HOST, project_id="p1", credentials=keys)
    iotda = plugin.open(config, Session(label="north", transport=network, clock=clock))
    await iotda.jobs.delete("a1")
    page = await anext(iotda.jobs.search().pages(settled=True))
    assert (page.items, clock.slept) == ((), [])


async def test_every_error_is_one_of_the_library() -> None:
    """Also where a write meets an answer that nobody expected."""
    iotda, _ = opened(*[reply({"targets": [{"status": "success"}]})] * 5)
    with pytest.raises(OtaError, match="does not fit TargetsAnswer"):
        await iotda.jobs.stop("a1")
