"""The IoTDA client: what it offers, what it sends, what it refuses before sending anything."""

import datetime as dt
import pickle
from pathlib import Path
from typing import Any

import msgspec
import pytest

import otaclient
from otaclient.errors import (
    AuthenticationError,
    ConfigurationError,
    InvalidQueryError,
    NotFoundError,
    PayloadError,
)
from otaclient.models import JobId
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.testing import HandClock
from otaclient.transport.http import HttpResponse
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_iotda import (
    AkSkCredentials,
    IotdaBackend,
    IotdaConfig,
    PasswordCredentials,
    TokenCredentials,
    plugin,
)
from support.network import ScriptedTransport

SAMPLES = Path(__file__).parents[1] / "samples"
ENDPOINT = "https://iotda.cn-north-4.myhuaweicloud.com"
KEYS = AkSkCredentials(access_key="AK", secret_key="very-secret")
USER = PasswordCredentials(
    iam_endpoint="https://iam.example.com", username="u", password="very-secret", domain="d", project="cn-north-4"
)
EMPTY = {"packages": [], "batchtasks": [], "devices": [], "page": {"count": 0}}


def reply(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return HttpResponse(
        status=status, body=raw, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def opened(*answers: Any, **settings: Any) -> tuple[IotdaBackend, ScriptedTransport]:
    """Return a client, and the network that answers it."""
    given: dict[str, Any] = {"endpoint": ENDPOINT, "project_id": "p1", "credentials": KEYS}
    network = ScriptedTransport(answers)
    session = Session(label="north", transport=network, clock=HandClock(), roll=lambda: 0.5)
    return plugin.open(IotdaConfig(**(given | settings)), session), network


def granted(token: str, hours: int = 24) -> HttpResponse:
    """Return a successful login."""
    issued = HandClock().now()
    times = {"issued_at": issued.isoformat(), "expires_at": (issued + dt.timedelta(hours=hours)).isoformat()}
    return reply({"token": times}, 201, x_subject_token=token)


# --- what it offers --------------------------------------------------------------------------------------------------


async def test_one_firmware_one_job_one_device() -> None:
    """Each get is one signed request, and gives the model with the client's label."""
    answers = [
        reply((SAMPLES / f"iotda-show-{name}.json").read_bytes()) for name in ("package", "batch-task", "device")
    ]
    iotda, network = opened(*answers)
    firmware = await iotda.firmware.get("b1c6a2f04f0d4a0b9b3a7c2f7d1e5a10")
    job = await iotda.jobs.get("65d31bf2581ed33a42a58d76")
    device = await iotda.devices.get("5ba24f5ebbe8f56f5a14f605_pump-1")
    assert (firmware.version, job.name and job.name.default, device.firmware_version) == ("V2.0", "fw_2026", "V1.0")
    assert {firmware.backend, job.backend, device.backend} == {"north"}
    assert [request.operation for request in network.sent] == ["firmware.get", "jobs.get", "devices.get"]
    for request in network.sent:
        assert request.headers["Host"] == "iotda.cn-north-4.myhuaweicloud.com"
        assert request.headers["Authorization"].startswith("SDK-HMAC-SHA256 Access=AK, ")


async def test_searches_walk_all_partitions() -> None:
    """Packages and tasks take one walk for each type, devices one."""
    package, task, device = {"package_id": "p", "version": "1"}, {"task_id": "a1"}, {"device_id": "d"}
    marker = {"count": 1, "marker": "a" * 24}
    firmware_pages = [{"packages": [package], "page": marker}, EMPTY] * 3
    job_pages = [{"batchtasks": [task], "page": marker}, EMPTY] * 3
    iotda, network = opened(*map(reply, [*firmware_pages, *job_pages, {"devices": [device], "page": marker}, EMPTY]))
    assert [found.firmware_id async for found in iotda.firmware.search()] == ["p"] * 3
    assert [found.job_id async for found in iotda.jobs.search()] == ["a1"] * 3
    assert [found.device_id async for found in iotda.devices.search()] == ["d"]
    assert [request.query[0][1] for request in network.sent[:6:2]] == [
        "firmwarePackage",
        "softwarePackage",
        "modulePackage",
    ]
    assert [request.query[0][1] for request in network.sent[6:12:2]] == [
        "firmwareUpgrade",
        "softwareUpgrade",
        "moduleUpgrade",
    ]
    assert len(network.sent) == 14


async def test_a_walk_goes_on_from_its_cursor_and_from_no_other() -> None:
    """A cursor belongs to one project, resource space and query."""
    page = {"devices": [{"device_id": "d"}], "page": {"count": 1, "marker": "a" * 24}}
    iotda, network = opened(reply(page), reply(EMPTY))
    first = await anext(iotda.devices.search().pages())
    assert first.cursor is not None
    assert (await anext(iotda.devices.search().pages(cursor=first.cursor))).items == ()
    assert dict(network.sent[1].query)["marker"] == "a" * 24
    strangers: list[Any] = [
        iotda.devices.search(DeviceUpgradeQuery(products=["x"])),
        iotda.with_options(owner_id="space").devices.search(),
        opened(project_id="p2")[0].devices.search(),
        iotda.jobs.search(),
    ]
    for listing in strangers:
        with pytest.raises(InvalidQueryError, match="cursor"):
            await anext(listing.pages(cursor=first.cursor))
    assert len(network.sent) == 2


@pytest.mark.parametrize("size", [0, 51])
async def test_page_sizes_out_of_range(size: int) -> None:
    """The vendor's pages have 1 to 50 rows."""
    iotda, _ = opened()
    with pytest.raises(InvalidQueryError, match="takes 1 to 50"):
        iotda.firmware.search().pages(page_size=size)


@pytest.mark.parametrize(
    ("query", "operation"),
    [
        (FirmwareQuery(), "firmware.search"),
        (JobQuery(), "jobs.search"),
        (DeviceUpgradeQuery(), "devices.search"),
        (DeviceTaskQuery(job_id=JobId("a1")), "jobs.tasks"),
    ],
)
def test_reads(query: Any, operation: str) -> None:
    """Bulk work gets the raw reads of each listing."""
    iotda, _ = opened()
    assert iotda.reads(query).operation == operation


def test_a_query_of_another_kind_is_named() -> None:
    """Before anything is sent."""
    iotda, network = opened()
    for ask, kind in (
        (iotda.firmware.search, "FirmwareQuery"),
        (iotda.jobs.tasks, "DeviceTaskQuery"),
        (iotda.devices.search, "DeviceUpgradeQuery"),
    ):
        search: Any = ask
        with pytest.raises(InvalidQueryError, match=f"give a {kind}"):
            search(JobQuery())
    with pytest.raises(InvalidQueryError, match="give a JobQuery"):
        iotda.jobs.search(FirmwareQuery())  # type: ignore[arg-type]
    assert network.sent == []


def test_queries_are_refused_when_they_are_asked() -> None:
    """Not only when the listing is walked; the error names operation and backend."""
    iotda, _ = opened()
    with pytest.raises(InvalidQueryError) as caught:
        iotda.jobs.search(JobQuery(products=["x"]))
    assert (caught.value.operation, caught.value.backend) == ("jobs.search", "north")


@pytest.mark.parametrize("bad", ["", "a/b", "a\nb", None])
async def test_identifiers_that_cannot_be_right_send_nothing(bad: Any) -> None:
    """One error, before any request."""
    iotda, network = opened()
    for get in (iotda.firmware.get, iotda.jobs.get, iotda.devices.get):
        with pytest.raises(InvalidQueryError) as caught:
            await get(bad)
        assert (caught.value.backend, caught.value.attempts) == ("north", 0)
    assert network.sent == []


async def test_a_payload_error_names_backend_and_attempts() -> None:
    """The answer came, so the request counts."""
    iotda, _ = opened(reply({"version": "1"}, x_request_id="r"))
    with pytest.raises(PayloadError) as caught:
        await iotda.firmware.get("a")
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (error.backend, error.operation, error.attempts, error.request_id) == ("north", "firmware.get", 1, "r")


def test_it_is_a_backend() -> None:
    """Name, label, capabilities, a repr without secrets, and the protocol."""
    iotda, _ = opened()
    assert isinstance(iotda, Backend)
    assert (iotda.name, iotda.label, iotda.on_event) == ("iotda", "north", None)
    assert (plugin.name, plugin.config_type) == ("iotda", IotdaConfig)
    assert frozenset(Capability) - iotda.capabilities == {
        Capability.FIRMWARE_UPLOAD,
        Capability.FIRMWARE_DOWNLOAD,
        Capability.FIRMWARE_REPORTED_VERSIONS,
    }
    assert repr(iotda) == f"<IotdaBackend 'north' at {ENDPOINT}>"


# --- opening, options, closing ---------------------------------------------------------------------------------------


async def test_opening() -> None:
    """Directly or by name, with the options of both; an option that cannot be right is refused."""
    config = IotdaConfig(endpoint=ENDPOINT, project_id="p1", credentials=KEYS)
    async with IotdaBackend.open(config, label="south", timeout_seconds=3, on_event=print) as iotda:
        assert (iotda.label, iotda.on_event) == ("south", print)
    async with IotdaBackend.open(config) as iotda:
        assert iotda.label == "iotda"
    async with otaclient.open_backend("iotda", config=config) as backend:
        assert isinstance(backend, IotdaBackend)
    with pytest.raises(ConfigurationError, match="timeout_seconds"):
        IotdaBackend.open(config, timeout_seconds=0)


async def test_options_share_the_pool_and_close_nothing() -> None:
    """A client with other options asks for another resource space over the same network."""
    iotda, network = opened(reply(EMPTY), reply(EMPTY), app_id="first")
    async with iotda.with_options(
        timeout_seconds=1, retry=RetryPolicy.none(), limits=Limits.unlimited(), owner_id="second"
    ) as other:
        assert [row async for row in other.devices.search()] == []
    assert [row async for row in iotda.devices.search()] == []
    assert [dict(request.query)["app_id"] for request in network.sent] == ["second", "first"]
    assert (network.timeouts, network.closed) == ([1, 30.0], 0)
    assert (iotda.with_options().label, type(other)) == ("north", IotdaBackend)
    with pytest.raises(ConfigurationError, match="owner_id is 'a b'"):
        iotda.with_options(owner_id="a b")
    await iotda.aclose()
    assert network.closed == 1


# --- credentials -----------------------------------------------------------------------------------------------------


async def test_derived_signatures_for_a_dedicated_host() -> None:
    """The region comes from the host; instance and security token go along."""
    credentials = AkSkCredentials(access_key="AK", secret_key="very-secret", security_token="sts")
    host = "9bc34abcde.st1.iotda-app.cn-north-4.myhuaweicloud.com"
    iotda, network = opened(reply(EMPTY), endpoint=f"https://{host}", credentials=credentials, instance_id="i1")
    assert [row async for row in iotda.devices.search()] == []
    headers = network.sent[0].headers
    assert headers["Authorization"].startswith("V11-HMAC-SHA256 Credential=AK/20260102/cn-north-4/iotdm, ")
    assert (headers["Host"], headers["Instance-Id"], headers["X-Security-Token"]) == (host, "i1", "sts")
    await iotda.authenticate()
    assert len(network.sent) == 1


async def test_a_password_buys_one_token_for_all_calls() -> None:
    """The login goes to the identity service, unsigned and scoped; the token then goes with every call."""
    iotda, network = opened(granted("t1"), reply(EMPTY), reply(EMPTY), credentials=USER)
    await iotda.authenticate()
    login = network.sent[0]
    assert (login.operation, login.path) == ("authenticate", "/v3/auth/tokens")
    assert msgspec.json.decode(login.body)["auth"]["scope"] == {"project": {"name": "cn-north-4"}}
    assert not {"Authorization", "X-Auth-Token", "X-Project-Id"} & set(login.headers)
    for _ in range(2):
        assert [row async for row in iotda.devices.search()] == []
    assert [request.headers.get("X-Auth-Token") for request in network.sent] == [None, "t1", "t1"]


async def test_a_token_is_renewed_before_its_end() -> None:
    """A token with less than a tenth of its life left is replaced, and one that is fresh is not."""
    iotda, network = opened(granted("t1", hours=1), reply(EMPTY), granted("t2"), reply(EMPTY), credentials=USER)
    clock = iotda._account.session.clock
    assert isinstance(clock, HandClock)
    assert [row async for row in iotda.devices.search()] == []
    clock.seconds += 3590
    assert [row async for row in iotda.devices.search()] == []
    assert [request.headers.get("X-Auth-Token") for request in network.sent] == [None, "t1", None, "t2"]


async def test_a_ready_token_goes_with_every_call_and_is_never_renewed() -> None:
    """When it is dead, the one error says that only a new one helps."""
    dead = reply({"error_code": "APIGW.0307", "error_msg": "The token must be updated.", "request_id": "r"}, 401)
    iotda, network = opened(reply(EMPTY), dead, credentials=TokenCredentials(token="very-secret"))
    await iotda.authenticate()
    assert [row async for row in iotda.devices.search()] == []
    with pytest.raises(AuthenticationError, match="a ready token cannot be renewed") as caught:
        await iotda.devices.get("d")
    assert (caught.value.attempts, caught.value.request_id) == (1, "r")
    assert [request.headers["X-Auth-Token"] for request in network.sent] == ["very-secret"] * 2
    assert "very-secret" not in str(caught.value)


async def test_a_login_without_a_token_is_an_error_of_the_login() -> None:
    """It names operation and backend, and shows nothing of the answer."""
    iotda, _ = opened(reply({"token": {"very": "secret"}}, 201), credentials=USER)
    with pytest.raises(PayloadError, match="X-Subject-Token") as caught:
        await iotda.authenticate()
    assert (caught.value.operation, caught.value.backend) == ("authenticate", "north")
    assert "secret" not in str(caught.value)


async def test_a_secret_of_a_device_never_leaves_the_library() -> None:
    """Neither in the model nor in the error of a broken answer."""
    body = (SAMPLES / "iotda-show-device.json").read_bytes()
    iotda, _ = opened(reply(body), reply(body[:-9]), reply(body.replace(b'"pump-1"', b"7")), reply(body, 404))
    assert "device-secret" not in repr(await iotda.devices.get("d"))
    for kind in (PayloadError, PayloadError, NotFoundError):
        with pytest.raises(kind) as caught:
            await iotda.devices.get("d")
        assert "device-secret" not in f"{caught.value} {caught.value.__dict__} {caught.value.__cause__}"


async def test_each_attempt_is_signed_afresh() -> None:
    """A repeated request carries the date of its own attempt."""
    iotda, network = opened(reply(b"", 503, retry_after="5"), reply(b"", 429, retry_after="20"), reply(EMPTY))
    assert [row async for row in iotda.devices.search()] == []
    dates = [request.headers["X-Sdk-Date"] for request in network.sent]
    assert len(set(dates)) == len(dates) == 3
