"""The EnOS emulator over real HTTP: envelopes, the body of a search, and the documented errors."""

from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import Fleet, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient_enos.emulator import EnosEmulator, app, render
from otaclient_enos.emulator.requests import DEFAULT_PAGE, Page, RefusalError, search_of
from support.enos import FIRMWARES, JOBS, ORG, Caller, calling

FLEET = Fleet.generate(devices=450)
DEEP = b'{"expression":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.fixture
async def emulator() -> AsyncIterator[EnosEmulator]:
    async with EnosEmulator(FLEET, clock=ManualClock(DEFAULT_NOW)) as running:
        yield running


@pytest.fixture
async def client(emulator: EnosEmulator) -> AsyncIterator[Caller]:
    async with calling(emulator) as caller:
        yield caller


# --- requests in general ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("orgId=x", 99400, "Invalid Argument action:action is missing"),
        (f"action=&orgId={ORG}", 99400, "Invalid Argument action:action is missing"),
        (f"action=explode&orgId={ORG}", 99400, "Invalid Argument action:action explode is not supported"),
        ("action=get", 99400, "Invalid Argument orgId:orgId is missing"),
        ("action=get&orgId=plant-7", 99400, "Invalid Argument orgId:  orgId does not exist"),
        ("action=get&orgId=o15580000000000", 99403, "Denied resource:  orgId o15580000000000"),
        (f"action=get&orgId={ORG}", 99400, "Invalid Argument firmwareId:firmwareId is missing"),
        (f"action=get&orgId={ORG}&firmwareId=5ede13577072bf001f23de83", 24404, "Firmware not found"),
        (f"action=search&orgId={ORG}", 99400, "Invalid Argument method: action search takes POST"),
    ],
)
async def test_a_refused_request_gets_code_and_words(client: Caller, query: str, code: int, message: str) -> None:
    """Refusals come as an envelope with a code, the documented text, a request id and no data."""
    status, answer = await client.send("GET", FIRMWARES, query)
    assert status == app.SERVICE_ERROR_STATUS
    assert (answer["code"], answer["msg"], answer["data"]) == (code, message, None)
    assert len(answer["requestId"]) == 36


async def test_request_ids_are_unique(client: Caller) -> None:
    """Two answers never share one."""
    ids = {(await client.search(JOBS, "search"))["requestId"] for _ in range(5)}
    assert len(ids) == 5


async def test_methods_can_be_lax() -> None:
    """With the switch off, a get by POST is answered, as the vendor's samples need it."""
    async with EnosEmulator(FLEET, strict_methods=False) as emulator, calling(emulator) as client:
        job_id = next(emulator.expected_jobs("x")).job_id
        _, answer = await client.send("POST", JOBS, f"action=get&orgId={ORG}&jobId={job_id}", b"{}")
        assert answer["data"]["jobId"] == job_id
        _, answer = await client.send("PUT", JOBS, f"action=get&orgId={ORG}&jobId={job_id}", b"{}")
        assert (answer["code"], answer["msg"]) == (99400, "Invalid Argument method: action get takes GET or POST")


async def test_other_paths_end_at_the_gateway(client: Caller) -> None:
    """Unknown paths, the wrong version and a GET on the token service have no route."""
    for path in ("/", "/connect-service/v3/ota-jobs", "/apim-token-service/v2.0/token/get"):
        async with client.session.get(client.emulator.url + path) as response:
            assert response.status == 404
            assert await response.json() == {"message": "no Route matched with those values"}


async def test_the_version_in_the_path_can_be_chosen() -> None:
    """Another ``api_version`` moves the resources, and the client's settings say so."""
    async with EnosEmulator(FLEET, api_version="v2.4") as emulator, calling(emulator) as client:
        assert (await client.search("/connect-service/v2.4/ota-jobs", "search"))["code"] == 0
        assert emulator.environment()["OTACLIENT_ENOS_API_VERSION"] == "v2.4"
        assert emulator.config().api_version == "v2.4"


async def test_too_large_a_request_ends_at_the_gateway(emulator: EnosEmulator) -> None:
    """The gateway's own text for a request beyond its limit."""

    async def too_large(_: web.Request) -> web.StreamResponse:
        raise web.HTTPRequestEntityTooLarge(max_size=1, actual_size=2)

    answer = await emulator._handled(make_mocked_request("POST", FIRMWARES), too_large)
    assert isinstance(answer, web.Response)
    assert (answer.status, answer.body) == (413, b'{"message":"Request size limit exceeded"}')


async def test_an_unforeseen_error_is_the_services_internal_error(
    client: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bug in the emulator looks like a failure of the service."""

    def broken(*_: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(render, "device_rows", broken)
    status, answer = await client.send("POST", FIRMWARES, f"action=searchDeviceUpgrade&orgId={ORG}")
    assert status == 500
    assert (answer["code"], answer["msg"], answer["data"]) == (99500, " Internal Server Error", None)


async def test_the_settings_point_the_client_here(emulator: EnosEmulator) -> None:
    """Environment and configuration name the address and the credentials; no representation shows the secret."""
    assert emulator.environment() == {
        "OTACLIENT_ENOS_ENDPOINT": emulator.url,
        "OTACLIENT_ENOS_ORG_ID": ORG,
        "OTACLIENT_ENOS_APP_KEY": "emulator-app-key",
        "OTACLIENT_ENOS_APP_SECRET": "emulator-app-secret",
        "OTACLIENT_ENOS_API_VERSION": "v2.1",
    }
    config = emulator.config()
    assert (config.endpoint, config.org_id, config.app_key) == (emulator.url, ORG, "emulator-app-key")
    assert "emulator-app-secret" not in f"{config!r}{emulator!r}"


# --- the body of a search --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "page"),
    [
        (b"", DEFAULT_PAGE),
        (b" ", DEFAULT_PAGE),
        (b"{}", DEFAULT_PAGE),
        (b'{"expression":null,"pagination":null}', DEFAULT_PAGE),
        (b'{"pagination":{"pageNo":3,"pageSize":200}}', Page(3, 200)),
        (b'{"pagination":{"pageNo":"3","pageSize":"7","sorters":null}}', Page(3, 7)),
        (b'{"pagination":{"pageNo":1,"pageSize":1,"sorters":[]},"unknown":1}', Page(1, 1)),
    ],
)
def test_a_search_asks_for_a_page(body: bytes, page: Page) -> None:
    """Without pagination it is the first ten; numbers may come as text."""
    assert search_of(body) == ("", page)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "Invalid Argument body: it is not JSON"),
        (b'{"a":"\xff"}', "Invalid Argument body: it is not JSON"),
        (b"[]", "Invalid Argument body: it is not a JSON object"),
        (b'{"expression":7}', "Invalid Argument expression: it is not a string"),
        (b'{"pagination":7}', "Invalid Argument pagination: it is not an object"),
        (DEEP, "Invalid Argument body: it is not JSON that can be read (it is nested too deeply)"),
        (b'{"pagination":{"pageSize":7}}', "Invalid Argument pagination.pageNo: pageNo is missing"),
        (b'{"pagination":{"pageNo":1}}', "Invalid Argument pagination.pageSize: pageSize is missing"),
        (b'{"pagination":{"pageNo":true,"pageSize":7}}', "Invalid Argument pagination.pageNo: it is not an integer"),
        (b'{"pagination":{"pageNo":0,"pageSize":7}}', "Invalid Argument pagination.pageNo: 0 is less than 1"),
        (b'{"pagination":{"pageNo":1,"pageSize":201}}', "Invalid Argument pagination.pageSize: 201 is not in 1 to 200"),
        (b'{"pagination":{"pageNo":1,"pageSize":0}}', "Invalid Argument pagination.pageSize: 0 is not in 1 to 200"),
        (
            b'{"pagination":{"pageNo":1,"pageSize":7,"sorters":[{"field":"version"}]}}',
            "Invalid Argument pagination.sorters: sorters is not supported",
        ),
    ],
)
def test_a_wrong_search_is_refused(body: bytes, message: str) -> None:
    """What is not as documented is refused with 99400 and names the member."""
    with pytest.raises(RefusalError) as caught:
        search_of(body)
    assert caught.value.code == 99400
    assert caught.value.message.startswith(message)


@given(st.binary(max_size=60) | st.text('{"pagination":expression1,}[]', max_size=60).map(str.encode))
def test_any_body_is_read_or_refused(body: bytes) -> None:
    """Nothing but a refusal comes out of a wrong body."""
    with suppress(RefusalError):
        assert search_of(body)[1].size <= 200


async def test_a_refused_search_is_an_envelope(client: Caller) -> None:
    """A wrong operator and a wrong page come back as code 99400 in the documented words."""
    wrong = await client.search(JOBS, "search", expression="name = 'x'")
    assert (wrong["code"], wrong["msg"]) == (99400, "Do not allow operator op =, allowed op [like]")
    beyond = await client.search(FIRMWARES, "search", pagination={"pageNo": 1, "pageSize": 201})
    assert beyond["code"] == 99400
