"""The EnOS client over a scripted network: what it sends, what comes out, and how tokens are got and replaced."""

from typing import Any

import anyio
import anyio.lowlevel
import msgspec
import pytest

from otaclient.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidQueryError,
    NotFoundError,
    PayloadError,
    RateLimitedError,
    TransportError,
    UnsupportedOperationError,
)
from otaclient.events import Event, TokenRenewed
from otaclient.models import Firmware, Job, JobId
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import PageWindow
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend, EnosConfig, plugin
from otaclient_enos.signing import encryption_of
from support.network import ScriptedTransport

CONFIG = EnosConfig(endpoint="https://apim.example.com", org_id="o1", app_key="backend-test", app_secret="the-secret")
FIRMWARE = {"firmwareId": "f1", "version": "1.0"}
JOB = {"jobId": "j1", "status": "started"}


def answer(data: Any, code: int = 0, status: int = 200, **pagination: int) -> HttpResponse:
    """Return an answer of the service."""
    body = {"code": code, "msg": "words", "requestId": "r-1", "data": data, "pagination": pagination or None}
    return HttpResponse(status=status, body=msgspec.json.encode(body))


def token(text: str = "t-1", expire: int | None = 7200) -> HttpResponse:
    """Return an answer of the token service."""
    return HttpResponse(
        status=200, body=msgspec.json.encode({"status": 0, "data": {"accessToken": text, "expire": expire}})
    )


def refusal(number: int) -> HttpResponse:
    """Return a refusal of the token service."""
    return HttpResponse(status=200, body=msgspec.json.encode({"status": number, "msg": "words"}))


class Stage:
    """A client, its network and its clock."""

    def __init__(self, *answers: Any, **options: Any) -> None:
        self.clock = HandClock()
        self.transport = options.pop("transport", None) or ScriptedTransport(answers)
        self.events: list[Event] = []
        session = Session(
            label="plant-7",
            transport=self.transport,
            clock=self.clock,
            roll=lambda: 0.5,
            on_event=self.events.append,
            **options,
        )
        self.enos = plugin.open(CONFIG, session)

    @property
    def paths(self) -> list[str]:
        """The last parts of the paths that were asked, in order."""
        return [request.path.rsplit("/", 1)[1] for request in self.transport.sent]

    def body(self, number: int) -> dict[str, Any]:
        """Return the body of a request."""
        found: dict[str, Any] = msgspec.json.decode(self.transport.sent[number].body)
        return found


async def test_firmware_get_asks_and_maps() -> None:
    """One signed request after the token; the record carries the client's label."""
    stage = Stage(token(), answer(FIRMWARE))
    assert await stage.enos.firmware.get("f1") == Firmware(backend="plant-7", firmware_id="f1", version="1.0")  # type: ignore[arg-type]
    assert stage.paths == ["get", "ota-firmwares"]
    sent = stage.transport.sent[1]
    assert dict(sent.query) == {"action": "get", "orgId": "o1", "firmwareId": "f1"}
    assert sent.headers["apim-accesstoken"] == "t-1"


async def test_jobs_get_asks_and_maps() -> None:
    """As with firmware."""
    stage = Stage(token(), answer(JOB))
    found = await stage.enos.jobs.get(JobId("j1"))
    assert isinstance(found, Job)
    assert (found.job_id, found.backend) == ("j1", "plant-7")
    assert dict(stage.transport.sent[1].query) == {"action": "get", "orgId": "o1", "jobId": "j1"}


async def test_what_does_not_exist_is_not_found() -> None:
    """The error names the identifier, the operation, the backend and the vendor's request."""
    stage = Stage(token(), answer(None, code=24404))
    with pytest.raises(NotFoundError) as caught:
        await stage.enos.firmware.get("f9")
    error = caught.value
    assert "firmware 'f9'" in error.message
    facts = (error.operation, error.backend, error.attempts, error.vendor_code, error.request_id)
    assert facts == ("firmware.get", "plant-7", 1, "24404", "r-1")


@pytest.mark.parametrize("name", ["firmware", "jobs"])
async def test_identifiers_that_cannot_be_right_send_nothing(name: str) -> None:
    """Not even a token is asked for."""
    stage = Stage()
    with pytest.raises(InvalidQueryError) as caught:
        await getattr(stage.enos, name).get("")
    assert (caught.value.operation, caught.value.backend) == (f"{name}.get", "plant-7")
    assert not stage.transport.sent


@pytest.mark.parametrize("name", ["firmware", "jobs"])
async def test_a_record_that_is_none_names_backend_and_operation(name: str) -> None:
    """Success without the record is an error of the payload, never ``None``."""
    stage = Stage(token(), answer(None))
    with pytest.raises(PayloadError) as caught:
        await getattr(stage.enos, name).get("x")
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == (f"{name}.get", "plant-7", 1)


async def test_a_plain_loop_crosses_all_pages() -> None:
    """Items of every page come out, one request a page."""
    rows = [{"assetId": f"a{number}"} for number in range(120)]
    pages = [
        answer(rows[start : start + 50], pageNo=number, pageSize=50, totalSize=120)
        for number, start in ((1, 0), (2, 50), (3, 100))
    ]
    stage = Stage(token(), *pages)
    found = [upgrade.device_id async for upgrade in stage.enos.devices.search()]
    assert found == [row["assetId"] for row in rows]
    assert [stage.body(number)["pagination"]["pageNo"] for number in (1, 2, 3)] == [1, 2, 3]


@pytest.mark.parametrize(
    ("query", "path", "action"),
    [
        (FirmwareQuery(), "ota-firmwares", "search"),
        (JobQuery(), "ota-jobs", "search"),
        (DeviceUpgradeQuery(), "ota-firmwares", "searchDeviceUpgrade"),
        (DeviceTaskQuery(job_id=JobId("j1")), "ota-jobs", "searchTask"),
    ],
)
async def test_searches_go_to_their_actions(query: Any, path: str, action: str) -> None:
    """A query's type chooses the listing, in ``search`` and in ``reads``."""
    stage = Stage(token(), answer([]), answer([]))
    enos = stage.enos
    searches: dict[type[Any], Any] = {
        FirmwareQuery: enos.firmware.search,
        JobQuery: enos.jobs.search,
        DeviceUpgradeQuery: enos.devices.search,
        DeviceTaskQuery: enos.jobs.tasks,
    }
    assert await searches[type(query)](query).collect(10) == ()
    source = enos.reads(query)
    await source.fetch(source.partitions()[0], PageWindow(1, 50))
    for sent in stage.transport.sent[1:]:
        assert (sent.path.rsplit("/", 1)[1], dict(sent.query)["action"]) == (path, action)


async def test_a_query_may_name_another_organisation() -> None:
    """Its owner replaces orgId, and cursors of the one are refused by the other."""
    full = answer([FIRMWARE], pageNo=1, pageSize=1, totalSize=2)
    stage = Stage(token(), full, full)
    pages = stage.enos.firmware.search(FirmwareQuery(owner_id="o2")).pages(page_size=1)
    cursor = (await anext(pages)).cursor
    assert dict(stage.transport.sent[1].query)["orgId"] == "o2"
    with pytest.raises(InvalidQueryError, match="another query"):
        stage.enos.firmware.search().pages(cursor=cursor)
    other = stage.enos.with_options(owner_id="o3")
    await anext(other.firmware.search().pages(page_size=1))
    assert dict(stage.transport.sent[2].query)["orgId"] == "o3"
    with pytest.raises(InvalidQueryError, match="another query"):
        stage.enos.firmware.search(FirmwareQuery()).pages(cursor=cursor)


@pytest.mark.parametrize("name", ["firmware", "jobs", "devices"])
@pytest.mark.parametrize("query", ["BXwU4kMk", DeviceTaskQuery(job_id=JobId("j"))])
def test_a_query_of_another_kind_is_refused_at_once(name: str, query: Any) -> None:
    """At the call of ``search``, not at the first row."""
    with pytest.raises(InvalidQueryError, match=f"the query is a {type(query).__name__}: give a ") as caught:
        getattr(Stage().enos, name).search(query)
    assert (caught.value.operation, caught.value.backend) == (f"{name}.search", "plant-7")


def test_a_query_that_cannot_be_answered_is_refused_at_once() -> None:
    """At the call of ``search``, with operation and backend."""
    with pytest.raises(InvalidQueryError) as caught:
        Stage().enos.firmware.search(FirmwareQuery(kinds=["module"]))
    assert (caught.value.operation, caught.value.backend) == ("firmware.search", "plant-7")
    with pytest.raises(InvalidQueryError, match="owner_id"):
        Stage().enos.jobs.search(JobQuery(owner_id=" "))


async def test_what_is_not_there_is_refused_before_any_request() -> None:
    """Capabilities list what works; the rest raises."""
    stage = Stage()
    assert stage.enos.capabilities == set(Capability) - {Capability.DEVICES_GET, Capability.JOBS_HOLD}
    with pytest.raises(UnsupportedOperationError):
        await stage.enos.devices.get("a1")
    assert not stage.transport.sent


def test_the_client_tells_who_it_is() -> None:
    """Name, label, listener; its representation shows label and endpoint, no key and no secret."""
    stage = Stage()
    assert isinstance(stage.enos, Backend)
    assert (stage.enos.name, stage.enos.label, stage.enos.on_event) == ("enos", "plant-7", stage.events.append)
    assert repr(stage.enos) == "<EnosBackend 'plant-7' at https://apim.example.com>"
    assert (plugin.name, plugin.config_type) == ("enos", EnosConfig)


async def test_open_makes_a_client_with_a_pool_of_its_own() -> None:
    """The class method takes the options of ``open_backend``; closing twice does no harm."""
    async with EnosBackend.open(CONFIG, timeout_seconds=5, retry=RetryPolicy.none(), limits=Limits.unlimited()) as enos:
        assert enos.label == "enos"
    await enos.aclose()
    with pytest.raises(TransportError, match="closed"):
        await enos.firmware.get("f1")
    assert EnosBackend.open(CONFIG, label="other").label == "other"


async def test_other_options_share_token_and_pool() -> None:
    """The same token serves both; closing the derived client closes nothing."""
    stage = Stage(token(), answer(FIRMWARE), answer(JOB))
    async with stage.enos.with_options(timeout_seconds=1, retry=RetryPolicy.none()) as derived:
        await derived.firmware.get("f1")
    await stage.enos.jobs.get("j1")
    assert stage.paths == ["get", "ota-firmwares", "ota-jobs"]
    assert stage.transport.closed == 0
    await stage.enos.aclose()
    assert stage.transport.closed == 1


@pytest.mark.parametrize("owner_id", ["", "o 2"])
def test_an_owner_that_cannot_be_right_is_refused(owner_id: str) -> None:
    """The option is named."""
    with pytest.raises(ConfigurationError, match="owner_id"):
        Stage().enos.with_options(owner_id=owner_id)


# --- tokens ----------------------------------------------------------------------------------------------------------


async def test_authenticate_gets_the_token_once() -> None:
    """After it a call is one request; the body of the token request proves the secret and does not hold it."""
    stage = Stage(token(), answer(FIRMWARE))
    await stage.enos.authenticate()
    assert stage.paths == ["get"]
    body = stage.body(0)
    expected = encryption_of(app_key="backend-test", app_secret="the-secret", timestamp_ms=body["timestamp"])
    assert body == {"appKey": "backend-test", "encryption": expected, "timestamp": body["timestamp"]}
    assert [type(event) for event in stage.events][-1] is TokenRenewed
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "ota-firmwares"]


async def test_a_repeated_token_request_has_another_timestamp() -> None:
    """The service refuses an encryption that it has seen: a lost answer and a refusal are both met with a new one."""
    broken = HttpResponse(status=500)
    stage = Stage(broken, refusal(1001), token())
    await stage.enos.authenticate()
    stamps = [stage.body(number)["timestamp"] for number in range(3)]
    assert sorted(set(stamps)) == stamps
    assert len({stage.body(number)["encryption"] for number in range(3)}) == 3


async def test_two_clients_never_send_the_same_encryption() -> None:
    """Even where both ask in the same millisecond."""
    first, second = Stage(token()), Stage(token())
    await first.enos.authenticate()
    await second.enos.authenticate()
    assert first.clock.now() == second.clock.now()
    assert first.body(0)["encryption"] != second.body(0)["encryption"]


async def test_before_its_end_a_token_is_refreshed() -> None:
    """The refresh names the old token, and the new one is used from then on."""
    stage = Stage(token("t-1", 7200), token("t-2", 7200), answer(FIRMWARE))
    await stage.enos.authenticate()
    stage.clock.seconds += 7200 - 100
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "refresh", "ota-firmwares"]
    assert stage.body(1)["accessToken"] == "t-1"
    assert stage.transport.sent[2].headers["apim-accesstoken"] == "t-2"


async def test_after_its_end_a_token_is_got_anew() -> None:
    """There is nothing left to refresh."""
    stage = Stage(token("t-1", 7200), token("t-2"), answer(FIRMWARE))
    await stage.enos.authenticate()
    stage.clock.seconds += 7200
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "get", "ota-firmwares"]


@pytest.mark.parametrize(
    "refused",
    [
        refusal(1204),
        refusal(1203),
        refusal(1002),
        HttpResponse(status=404),
        HttpResponse(status=200, body=b"<html>"),
    ],
    ids=["1204", "1203", "1002", "404", "html"],
)
async def test_where_refreshing_fails_a_token_is_got_anew(refused: HttpResponse) -> None:
    """Whatever speaks against the refresh, the other endpoint is asked."""
    stage = Stage(token("t-1", 7200), refused, token("t-2"), answer(FIRMWARE))
    await stage.enos.authenticate()
    stage.clock.seconds += 7200 - 100
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "refresh", "get", "ota-firmwares"]
    assert "accessToken" not in stage.body(2)


async def test_a_throttled_refresh_is_not_followed_by_more_requests() -> None:
    """The other endpoint stands behind the same gateway."""
    throttled = HttpResponse(status=429)
    stage = Stage(token("t-1", 7200), throttled, retry=RetryPolicy.none())
    await stage.enos.authenticate()
    stage.clock.seconds += 7200 - 100
    with pytest.raises(RateLimitedError) as caught:
        await stage.enos.firmware.get("f1")
    assert caught.value.operation == "authenticate"
    assert stage.paths == ["get", "refresh"]


async def test_a_token_without_a_known_end_is_used_until_it_dies() -> None:
    """Then it is got anew, once, and the call repeated."""
    dead = HttpResponse(status=200, body=b'{"status":1203,"msg":"expired"}')
    stage = Stage(token("t-1", None), answer(FIRMWARE), dead, token("t-2", None), answer(FIRMWARE))
    await stage.enos.firmware.get("f1")
    stage.clock.seconds += 1e6
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "ota-firmwares", "ota-firmwares", "get", "ota-firmwares"]


class Gateway(ScriptedTransport):
    """Hands out the token that it then accepts, and lets other requests set out before it answers one."""

    def __init__(self) -> None:
        super().__init__()
        self.live = "t-1"

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Answer after everybody else had a turn."""
        self.sent.append(request)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        if request.operation == "authenticate":
            return token(self.live)
        if request.headers["apim-accesstoken"] == self.live:
            return answer(FIRMWARE)
        return HttpResponse(status=200, body=b'{"apim_status":4011}')


async def test_a_dead_token_is_replaced_once_for_all_callers() -> None:
    """Many calls that meet its death at once cause one token request, and each is repeated once."""
    gateway = Gateway()
    stage = Stage(transport=gateway, limits=Limits.unlimited())
    await stage.enos.authenticate()
    gateway.live = "t-2"
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(stage.enos.firmware.get, "f1")
    assert stage.paths.count("get") == 2
    assert stage.paths.count("ota-firmwares") == 200


async def test_a_token_that_stays_dead_is_an_error() -> None:
    """It is replaced once, not for ever."""
    dead = HttpResponse(status=200, body=b'{"code":1203,"msg":"expired"}')
    stage = Stage(token("t-1"), dead, token("t-2"), dead)
    with pytest.raises(AuthenticationError) as caught:
        await stage.enos.firmware.get("f1")
    assert (caught.value.vendor_code, caught.value.attempts) == ("1203", 2)


async def test_wrong_credentials_are_an_error_of_the_first_call() -> None:
    """One token request, no business request, no secret in the message."""
    stage = Stage(refusal(1003))
    with pytest.raises(AuthenticationError, match="app_secret does not belong to app_key") as caught:
        await stage.enos.firmware.get("f1")
    assert (caught.value.operation, caught.value.backend) == ("authenticate", "plant-7")
    assert "the-secret" not in f"{caught.value!r}{caught.value}{caught.value.__dict__}"
    assert stage.paths == ["get"]


async def test_a_token_answer_without_a_token_names_backend_and_operation() -> None:
    """As every other error."""
    stage = Stage(HttpResponse(status=200, body=b"{}"))
    with pytest.raises(PayloadError) as caught:
        await stage.enos.authenticate()
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == ("authenticate", "plant-7", 1)
