"""EnOS jobs over a scripted network: what changes them."""

import asyncio
import re
from typing import Any

import anyio
import attrs
import msgspec
import pytest

from otaclient.errors import (
    ConflictError,
    DeadlineExceededError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    UnsupportedOperationError,
)
from otaclient.models import JobPolicy, JobScope, LocalizedText, NewJob
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import RetryPolicy
from support.enos_jobs import TOKEN, Service, Stage, answer, rows
from support.network import cut

NEW = NewJob(name=LocalizedText(default="n"), firmware_ids=("f1",), scope=JobScope(devices=("d1",)))  # type: ignore[arg-type]


async def test_a_job_is_created_with_one_request() -> None:
    """Its firmware goes into the query, the rest into the body."""
    stage = Stage(answer({"jobId": "j1"}))
    assert await stage.jobs.create(NEW) == "j1"
    assert stage.query(0) == {"action": "create", "orgId": "o1", "firmwareId": "f1"}
    assert msgspec.json.decode(stage.network.sent[1].body)["upgradeScope"] == {"type": "partial", "deviceKeys": ["d1"]}


async def test_source_versions_are_compared_with_the_firmware() -> None:
    """Which is read for that; the job is not sent where its version is among them."""
    versioned = NewJob(
        name=NEW.name, firmware_ids=NEW.firmware_ids, scope=JobScope(everything=True, source_versions=("1.0",))
    )
    stage = Stage(answer({"firmwareId": "f1", "version": "1.1"}), answer({"jobId": "j1"}))
    assert await stage.jobs.create(versioned) == "j1"
    assert [stage.query(number)["action"] for number in range(2)] == ["get", "create"]
    stage = Stage(answer({"firmwareId": "f1", "version": "1.0"}))
    with pytest.raises(InvalidQueryError, match=r"source_versions holds '1\.0'") as caught:
        await stage.jobs.create(versioned)
    assert (caught.value.operation, len(stage.network.sent)) == ("jobs.create", 2)
    with pytest.raises(NotFoundError):
        await Stage(answer(None, 24404)).jobs.create(versioned)


async def test_a_job_that_cannot_be_sends_nothing() -> None:
    """The error is about the creation."""
    stage = Stage()
    held = NewJob(name=NEW.name, firmware_ids=NEW.firmware_ids, scope=NEW.scope, hold=True)
    late = NewJob(name=NEW.name, firmware_ids=NEW.firmware_ids, scope=NEW.scope, policy=JobPolicy(timeout_seconds=299))
    cases: list[tuple[NewJob, dict[str, Any], type[OtaError]]] = [
        (held, {}, UnsupportedOperationError),
        (NEW, {"idempotency_key": " "}, InvalidQueryError),
        (NEW, {"idempotency_key": "\ud800"}, InvalidQueryError),
        (NEW, {"idempotency_key": "k", "fingerprint": False}, InvalidQueryError),
        (NEW, {"fingerprint": "k"}, InvalidQueryError),
        (attrs.evolve(NEW, name=LocalizedText(default=f"n_ota{'0a' * 10}")), {}, InvalidQueryError),
        (late, {}, InvalidQueryError),
    ]
    for job, options, error in cases:
        with pytest.raises(error) as caught:
            await stage.jobs.create(job, **options)
        assert (caught.value.operation, caught.value.backend) == ("jobs.create", "plant-7")
    assert not stage.network.sent


async def test_a_created_job_without_an_identifier_is_looked_for() -> None:
    """It was created, so it is there; where it is not found, the error says what to look for."""
    stage = Stage(answer({}), listed)
    assert await stage.jobs.create(NEW) == "j7"
    with pytest.raises(OutcomeUnknownError, match="the job 'n' with firmware 'f1' was created, but .*idempotency_key"):
        await Stage(answer({}), answer([])).jobs.create(NEW)
    with pytest.raises(OutcomeUnknownError, match="the job 'n' with firmware 'f1' was created, but .* jobs.search"):
        await Stage(answer({}), retry=RetryPolicy.none()).jobs.create(NEW)
    with pytest.raises(OutcomeUnknownError, match="the job 'n' with firmware 'f1' was created, but .* jobs.search"):
        await Stage(answer({})).jobs.create(NEW, fingerprint=False)


def cancelled(_: HttpRequest) -> HttpResponse:
    """Cancel the caller while the request is under way."""
    raise asyncio.CancelledError


def listed(request: HttpRequest) -> HttpResponse:
    """Answer a search by name with the job that has it."""
    expression = msgspec.json.decode(request.body)["expression"]
    found = re.fullmatch("name.defaultValue like '(ota[0-9a-f]{20})'", expression)
    assert found is not None
    name = {"defaultValue": f"n_{found[1]}", "i18nValue": {}}
    return answer([{"jobId": "j7", "status": "started", "name": name}], pageNo=1, pageSize=200, totalSize=1)


def calls() -> list[Any]:
    """Return every operation that changes a job, with the action that it sends."""
    return [
        pytest.param("start", (), "start", id="start"),
        pytest.param("stop", (), "stop", id="stop"),
        pytest.param("delete", (), "delete", id="delete"),
        pytest.param("cancel_tasks", (["d1", "d2", "d1"],), "cancelTask", id="cancel"),
        pytest.param("retry_tasks", (["d1", "d2"],), "retryTask", id="retry"),
    ]


@pytest.mark.parametrize(("name", "arguments", "action"), calls())
async def test_a_command_is_one_request(name: str, arguments: tuple[Any, ...], action: str) -> None:
    """After it, searches can wait out what they lag behind."""
    stage = Stage(answer(None), answer([]))
    assert await getattr(stage.jobs, name)("j1", *arguments) is None
    assert stage.query(0) == {"action": action, "orgId": "o1", "jobId": "j1"}
    assert stage.network.sent[1].body == (b'{"deviceKeys":["d1","d2"]}' if arguments else b"")
    async for _ in stage.jobs.search().pages(settled=True):
        pass
    assert stage.clock.slept == [2.0]


@pytest.mark.parametrize("code", [24615, 24616, 24617, 24618, 24620, 24621])
@pytest.mark.parametrize(("name", "arguments", "action"), calls())
async def test_a_command_may_be_refused(name: str, arguments: tuple[Any, ...], action: str, code: int) -> None:
    """The state of the job or of a device forbids it; that is said at once."""
    stage = Stage(answer(None, code))
    with pytest.raises(ConflictError) as caught:
        await getattr(stage.jobs, name)("j1", *arguments)
    assert (caught.value.operation, caught.value.vendor_code, caught.value.attempts) == (f"jobs.{name}", str(code), 1)


LOST = pytest.mark.parametrize(
    "lost",
    [cut, answer(None, 99500), HttpResponse(status=502), HttpResponse(status=200)],
    ids=["cut", "99500", "502", "empty"],
)


@LOST
@pytest.mark.parametrize(("name", "arguments", "action"), calls())
async def test_an_unclear_command_is_sent_again(name: str, arguments: tuple[Any, ...], action: str, lost: Any) -> None:
    """As often as the policy allows; then an error says how to find out."""
    stage = Stage(*[lost] * 5)
    with pytest.raises(OutcomeUnknownError, match=r"may or may not have taken effect: .*; .*jobs\.") as caught:
        await getattr(stage.jobs, name)("j1", *arguments)
    assert (len(stage.network.sent), caught.value.operation, caught.value.attempts) == (6, f"jobs.{name}", 5)
    assert stage.clock.slept == [0.125, 0.25, 0.5, 1.0]
    assert [type(event).__name__ for event in stage.events].count("Retrying") == 4
    stage = Stage(lost, answer(None))
    await getattr(stage.jobs, name)("j1", *arguments)
    assert [stage.query(number)["action"] for number in range(2)] == [action, action]


@LOST
async def test_an_unclear_creation_is_looked_for(lost: Any) -> None:
    """After the read lag, by what only its name holds; it is never sent again."""
    stage = Stage(lost, listed)
    assert await stage.jobs.create(NEW) == "j7"
    assert (stage.clock.slept, len(stage.network.sent)) == ([2.0], 3)
    stage = Stage(lost, answer([]))
    with pytest.raises(OutcomeUnknownError, match=r"jobs\.search.*2 s later it was not to be found") as caught:
        await stage.jobs.create(NEW)
    fingerprint = caught.value.fingerprint
    assert fingerprint is not None
    assert msgspec.json.decode(stage.network.sent[1].body)["name"]["defaultValue"] == f"n_{fingerprint}"
    assert f"idempotency_key={fingerprint!r}" in caught.value.message
    stage = Stage(lost)
    with pytest.raises(OutcomeUnknownError) as caught:
        await stage.jobs.create(NEW, fingerprint=False)
    assert (caught.value.fingerprint, len(stage.network.sent)) == (None, 2)


async def test_looking_for_a_job_may_fail() -> None:
    """What went wrong with that is said beside what went wrong before."""
    stage = Stage(cut, answer(None, 99403))
    with pytest.raises(OutcomeUnknownError, match="cut.*; looking for it failed") as caught:
        await stage.jobs.create(NEW)
    assert caught.value.fingerprint is not None
    bad = [{"jobId": 7}]
    with pytest.raises(OutcomeUnknownError, match="looking for it failed"):
        await Stage(cut, answer(bad)).jobs.create(NEW)
    with pytest.raises(OutcomeUnknownError, match="left no time to look"):
        await Stage(cut, timeout_seconds=1.5).jobs.create(NEW)


async def test_a_job_that_is_found_beside_a_bad_row_is_taken() -> None:
    """The bad row is not it."""

    def beside(request: HttpRequest) -> HttpResponse:
        page = msgspec.json.decode(listed(request).body)
        return answer([*page["data"], {"jobId": 7}])

    assert await Stage(cut, beside).jobs.create(NEW) == "j7"


async def test_pages_are_read_within_the_deadline() -> None:
    """Of the whole call, and not each of them within a new one."""
    stage = Stage(service=Service(), timeout_seconds=30.0)
    stage.network.answers = [TOKEN, cut, *[slow_page(stage)] * 20]
    with pytest.raises(OutcomeUnknownError, match="looking for it failed: timeout_seconds ran out"):
        await stage.jobs.create(NEW)
    assert stage.clock.seconds == 1032.0
    assert stage.network.timeouts[-2:] == [18.0, 8.0]


def slow_page(stage: Stage) -> Any:
    """Return an answer that takes ten seconds, and is not the last page."""

    def page(request: HttpRequest) -> HttpResponse:
        stage.clock.seconds += 10.0
        number = msgspec.json.decode(request.body)["pagination"]["pageNo"]
        others = [{"jobId": f"x{number}", "status": "started"}] * 200
        return answer(others, pageNo=number, pageSize=200, totalSize=90_000)

    return page


async def test_a_key_is_looked_for_first() -> None:
    """With the lag of an earlier run waited out; a search that fails stops everything."""
    stage = Stage(listed)
    assert await stage.jobs.create(NEW, idempotency_key="k") == "j7"
    assert (stage.clock.slept, len(stage.network.sent)) == ([2.0], 2)
    stage = Stage(answer([]), answer({"jobId": "j8"}))
    assert await stage.jobs.create(NEW, idempotency_key="k") == "j8"
    with pytest.raises(InvalidQueryError) as caught:
        await Stage(answer(None, 99400)).jobs.create(NEW, idempotency_key="k")
    assert caught.value.operation == "jobs.create"
    stage = Stage(timeout_seconds=1.5)
    with pytest.raises(DeadlineExceededError, match="nothing was sent"):
        await stage.jobs.create(NEW, idempotency_key="k")
    assert not stage.network.sent


async def test_calls_with_one_key_wait_for_each_other() -> None:
    """The second finds what the first created."""
    stage = Stage(answer([]), answer({"jobId": "j7"}), listed)
    found: list[str] = []

    async def create() -> None:
        found.append(await stage.jobs.create(NEW, idempotency_key="k"))

    async with anyio.create_task_group() as group:
        group.start_soon(create)
        group.start_soon(create)
    assert found == ["j7", "j7"]
    assert [stage.query(number)["action"] for number in range(3)] == ["search", "create", "search"]


async def test_a_cancelled_creation_leaves_its_fingerprint_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody gets an error that could name it."""
    stage = Stage(cancelled)
    with pytest.raises(asyncio.CancelledError):
        await stage.jobs.create(NEW)
    assert re.search("jobs.create was cancelled; if .* the fingerprint ota[0-9a-f]{20}", caplog.text)
    with pytest.raises(asyncio.CancelledError):
        await Stage(cancelled).jobs.start("j1")


@pytest.mark.parametrize(
    ("name", "code", "statuses", "done"),
    [
        ("start", 24615, None, True),
        ("start", 24404, None, False),
        ("stop", 24616, None, True),
        ("delete", 24404, None, True),
        ("delete", 24618, None, False),
        ("cancel_tasks", 24620, ["cancelled", "cancelled"], True),
        ("cancel_tasks", 24617, ["cancelled", "init"], False),
        ("cancel_tasks", 24620, ["cancelled"], False),
        ("cancel_tasks", 24404, None, False),
        ("retry_tasks", 24621, ["init", "succeeded"], True),
        ("retry_tasks", 24621, ["failed", "upgrading"], False),
    ],
)
async def test_the_refusal_of_a_repeat_tells(name: str, code: int, statuses: list[str] | None, done: bool) -> None:
    """Whether the first request took effect, for some only beside how the devices stand."""
    then = [] if statuses is None else [answer(rows(*statuses))]
    stage = Stage(cut, answer(None, code), *then)
    arguments = (["d0", "d1"],) if name.endswith("tasks") else ()
    if done:
        await getattr(stage.jobs, name)("j1", *arguments)
    else:
        with pytest.raises((ConflictError, NotFoundError)) as caught:
            await getattr(stage.jobs, name)("j1", *arguments)
        assert (caught.value.attempts, caught.value.vendor_code) == (2, str(code))
    assert len(stage.network.sent) == 3 + len(then)


async def test_a_repeat_that_says_nothing_leaves_it_unclear() -> None:
    """Also where the devices cannot be read, or there is no time for that."""
    lost = cut
    for answers in ([answer(None, 99403)], [answer(None, 24620), answer(None, 99403)]):
        with pytest.raises(OutcomeUnknownError, match="cut.*; .*repeat") as caught:
            await Stage(lost, *answers).jobs.cancel_tasks("j1", ["d1"])
        assert caught.value.attempts == 2
    with pytest.raises(OutcomeUnknownError, match="left no time to read the tasks"):
        await Stage(lost, answer(None, 24620), timeout_seconds=1.0).jobs.cancel_tasks("j1", ["d1"])
    with pytest.raises(OutcomeUnknownError) as caught:
        await Stage(lost, timeout_seconds=0.1).jobs.start("j1")
    assert caught.value.attempts == 1


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("start", ("",)),
        ("stop", ("a\nb",)),
        ("delete", (" ",)),
        ("cancel_tasks", ("j1", [])),
        ("cancel_tasks", ("", ["d1"])),
        ("retry_tasks", ("j1", "d1")),
    ],
)
async def test_a_command_that_cannot_be_right_sends_nothing(name: str, arguments: tuple[Any, ...]) -> None:
    """Not even for a token."""
    stage = Stage()
    with pytest.raises(InvalidQueryError) as caught:
        await getattr(stage.jobs, name)(*arguments)
    assert (caught.value.operation, caught.value.backend) == (f"jobs.{name}", "plant-7")
    assert not stage.network.sent
