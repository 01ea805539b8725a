"""What the IoTDA client does about writes whose answers are lost, late or none."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from otaclient.errors import ConflictError, NotFoundError, OtaError, OutcomeUnknownError, PayloadError
from otaclient.models import DeviceId, FirmwareKind
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.session import Session
from otaclient_iotda import AkSkCredentials, IotdaBackend, IotdaConfig, TargetOutcome, plugin
from support.iotda_writes import HOST, JOB, NO_SUCH, PACKAGE, asked, opened, reply, results, task
from support.network import ScriptedTransport, cut

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

REPEATED = [name for name in WRITES if name.startswith("jobs.") or name.endswith(".delete")]
REPEATED.remove("jobs.create")


def details(**statuses: str) -> HttpResponse:
    """Return a task with how its targets stand."""
    rows = [{"target": target, "status": status} for target, status in statuses.items()]
    page = {"count": len(rows), "marker": "5c90fa7d3c4e4405e8525079"}
    return reply({"batchtask": {"task_id": "a1", "status": "Processing"}, "task_details": rows, "page": page})


@pytest.mark.parametrize("operation", ["modules.create", "modules.update"])
async def test_an_unclear_answer_is_not_asked_again(operation: str) -> None:
    """The error says how to find out; it was sent once."""
    for unclear in (cut, reply(b"", 502), reply(b"", 524)):
        iotda, network = opened(unclear)
        with pytest.raises(OutcomeUnknownError, match=r"may or may not have taken effect.*(search|get)") as caught:
            await WRITES[operation](iotda)
        assert (caught.value.operation, len(network.sent)) == (operation, 1)


@pytest.mark.parametrize("operation", REPEATED)
async def test_an_unclear_answer_is_asked_again(operation: str) -> None:
    """As often as the policy allows; then the error says how to find out."""
    for unclear in (cut, reply(b"", 502), reply(b"", 524)):
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


WRONG_STATE = reply({"error_code": "IOTDA.2", "error_msg": "Ended."}, 409)


@pytest.mark.parametrize(
    ("operation", "answers", "done"),
    [
        ("jobs.delete", [reply(NO_SUCH, 404)], True),
        ("jobs.delete", [WRONG_STATE], False),
        ("firmware.delete", [reply(NO_SUCH, 404)], True),
        ("modules.delete", [reply(NO_SUCH, 404)], True),
        # The gateway has no such API: that is no deletion.
        ("firmware.delete", [reply({"error_code": "APIGW.0101", "error_msg": "No API."}, 404)], None),
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
async def test_the_refusal_of_a_repeat_tells(operation: str, answers: list[Any], done: bool | None) -> None:
    """With how things stand, whether the first request took effect."""
    if isinstance(answers[0], str):
        answers = [WRONG_STATE, task(answers[0])]
    iotda, network = opened(cut, *answers)
    if done:
        await WRITES[operation](iotda)
    else:
        with pytest.raises(OutcomeUnknownError if done is None else (ConflictError, NotFoundError)) as caught:
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
