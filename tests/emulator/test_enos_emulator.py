"""The EnOS emulator over real HTTP: tokens, signatures, envelopes, paging and the documented errors."""

import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import Fleet, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.models import FirmwareKind, JobKind
from otaclient_enos.emulator import EnosEmulator, app, auth, firmware, render
from otaclient_enos.emulator.auth import Admission, TokenFailure, TokenGrant, TokenIssuer, signature_of
from otaclient_enos.emulator.requests import DEFAULT_PAGE, Page, RefusalError, search_of

FLEET = Fleet.generate(devices=450)
ORG = "o15475466766371"
FIRMWARES = "/connect-service/v2.1/ota-firmwares"
JOBS = "/connect-service/v2.1/ota-jobs"


class Client:
    """A client of a few lines, so that the emulator is not judged by the SDK it judges."""

    def __init__(self, emulator: EnosEmulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.token = ""
        self.secret = emulator.environment()["OTACLIENT_ENOS_APP_SECRET"]

    def token_request(self, **changes: Any) -> dict[str, Any]:
        timestamp = self.emulator.clock.now_ms()
        text = f"{self.emulator.app_key}{timestamp}{self.secret}"
        fields = {
            "appKey": self.emulator.app_key,
            "encryption": hashlib.sha256(text.encode()).hexdigest(),
            "timestamp": timestamp,
        }
        return {**fields, **changes}

    async def ask_token(self, fields: object, *, action: str = "get") -> dict[str, Any]:
        url = f"{self.emulator.url}/apim-token-service/v2.0/token/{action}"
        async with self.session.post(url, json=fields) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    async def log_in(self) -> None:
        self.token = (await self.ask_token(self.token_request()))["data"]["accessToken"]

    async def send(
        self, method: str, path: str, query: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a signed request; ``headers`` replace those that it would carry."""
        signature = signature_of(token=self.token, query=query, body=body, timestamp="17", app_secret=self.secret)
        sent = {"apim-accesstoken": self.token, "apim-timestamp": "17", "apim-signature": signature}
        sent |= {"Content-Type": "application/json;charset=UTF-8"}
        sent |= headers or {}
        url = f"{self.emulator.url}{path}?{query}"
        async with self.session.request(method, url, data=body, headers=sent) as response:
            answer: dict[str, Any] = await response.json()
            return response.status, answer

    async def get(self, path: str, action: str, **query: str) -> dict[str, Any]:
        text = "&".join(f"{name}={value}" for name, value in {"action": action, "orgId": ORG, **query}.items())
        return (await self.send("GET", path, text))[1]

    async def search(self, path: str, action: str, **fields: Any) -> dict[str, Any]:
        body = json.dumps(fields, ensure_ascii=False).encode()
        return (await self.send("POST", path, f"action={action}&orgId={ORG}", body))[1]


@pytest.fixture
async def emulator() -> AsyncIterator[EnosEmulator]:
    async with EnosEmulator(FLEET, clock=ManualClock(DEFAULT_NOW)) as running:
        yield running


@pytest.fixture
async def stranger(emulator: EnosEmulator) -> AsyncIterator[Client]:
    """A client that has no token yet."""
    async with aiohttp.ClientSession() as session:
        yield Client(emulator, session)


@pytest.fixture
async def client(stranger: Client) -> Client:
    await stranger.log_in()
    return stranger


def clock_of(emulator: EnosEmulator) -> ManualClock:
    assert isinstance(emulator.clock, ManualClock)
    return emulator.clock


# --- signatures ------------------------------------------------------------------------------------------------------

VECTORS = [
    (
        "action=get&orgId=o15475466766371&firmwareId=5ede13577072bf001f23de83",
        "",
        "0df980eb6ac66a3b6185576e70fe80cc65c1f2b25fdec2f60f32cfaa519f4cf4",
    ),
    (
        "action=searchDeviceUpgrade&orgId=o15475466766371",
        """{"expression":"productKey='yourProductKey'","pagination":{"pageNo":1,"pageSize":5}}""",
        "c19143fe487fd5cd2e977843b07726647a9261c531627ee9e2418263cfcfca82",
    ),
    (
        "orgId=o15475466766371&action=search",
        """{"expression":"name.zh_CN like '固件'"}""",
        "3f0df46de0f622ee2a6843c4e0c19bc198c5fcb73ad60fd69e0eb8cb5d22640b",
    ),
    (
        "action=download&orgId=o15475466766371&fileUri=enos-connect%3A%2F%2F2325a9b338800000.zip&category=ota&assetId=a+b",
        "",
        "49da68a46aee71a11d823d263b89c9cc8e843b94d6b18def443490fa3cf79086",
    ),
    ("b=1&A=2&a=3&B=4", "", "9188093c1cb9054350117fcbc987e49a0d00ebb0b3ff117c1690bdb396e1a063"),
]


@pytest.mark.parametrize(("query", "body", "signature"), VECTORS)
def test_signatures_are_judged_by_the_published_algorithm(query: str, body: str, signature: str) -> None:
    """Known inputs give the known signatures: sorted, decoded, with the exact body."""
    found = signature_of(
        token="APP_PORTAL_S_T0KEN",
        query=query,
        body=body.encode(),
        timestamp="1572574909697",
        app_secret="11112222-3333-4444-5555-666677778888",
    )
    assert found == signature


def test_the_vendors_own_example_is_judged_right() -> None:
    """The digest that the Chinese page publishes is the one that its body gives."""
    found = signature_of(
        token="xxxxaaaxxxx",
        query="k3=v3&k1=v1&k2=v2",
        body='{\n  "count": 20,\n  "page": 1,\n  "desc": "描述"\n}'.encode(),
        timestamp="1572574909697",
        app_secret="xxxappSecretxxx",
    )
    assert found == "59828328f6c1f9771015dc74e4929ae30f518a35a3d2353972c2ea46556fc981"


async def test_the_raw_request_is_what_is_signed(client: Client) -> None:
    """Encoded parameters count decoded, of a repeated one the first, and the order in the address does not matter."""
    firmware_id = next(client.emulator.expected_firmware("x")).firmware_id
    status, answer = await client.send(
        "GET",
        FIRMWARES,
        f"orgId=%6F15475466766371&note=a+b%2F%E5%9B%BA&firmwareId={firmware_id}&action=get&action=search",
    )
    assert (status, answer["code"], answer["data"]["firmwareId"]) == (200, 0, firmware_id)


@pytest.mark.parametrize(
    "headers",
    [
        {"apim-signature": "0" * 64},
        {"apim-signature": ""},
        {"apim-signature": "\u00e9"},
        {"apim-timestamp": "18"},
        {"apim-timestamp": ""},
        {"apim-timestamp": "soon"},
        {"apim-accesstoken": "another"},
        {"apim-accesstoken": ""},
    ],
)
async def test_a_wrong_signature_or_token_is_turned_away_by_the_gateway(
    client: Client, headers: dict[str, str]
) -> None:
    """401 with the gateway's text, before the service sees the request."""
    status, answer = await client.send("GET", FIRMWARES, f"action=get&orgId={ORG}", headers=headers)
    assert (status, answer) == (401, {"message": "Invalid authentication credentials"})


async def test_a_changed_body_is_turned_away(client: Client) -> None:
    """The signature covers every byte of a JSON body, but not the body of an upload."""
    query = f"action=search&orgId={ORG}"
    signature = signature_of(token=client.token, query=query, body=b"{}", timestamp="17", app_secret=client.secret)
    assert (await client.send("POST", JOBS, query, b"{ }", {"apim-signature": signature}))[0] == 401
    unsigned = signature_of(token=client.token, query=query, body=b"", timestamp="17", app_secret=client.secret)
    status, _ = await client.send(
        "POST", JOBS, query, b"{}", {"apim-signature": unsigned, "Content-Type": "multipart/form-data; boundary=x"}
    )
    assert status == 200


# --- tokens ----------------------------------------------------------------------------------------------------------


async def test_a_token_stays_the_same_until_it_expires(stranger: Client) -> None:
    """Asking again gives the same token with what is left of its life, and a new one after its end."""
    clock = clock_of(stranger.emulator)
    first = await stranger.ask_token(stranger.token_request())
    assert first["status"] == 0
    assert first["msg"] == "SUCCESS"
    assert first["business"] == "apim-token-service"
    assert first["data"]["expire"] == 7200
    clock.advance(200)
    second = await stranger.ask_token(stranger.token_request())
    assert second["data"] == {"accessToken": first["data"]["accessToken"], "expire": 7000}
    clock.advance(7000)
    third = await stranger.ask_token(stranger.token_request())
    assert third["data"]["accessToken"] != first["data"]["accessToken"]
    assert stranger.emulator.served == {"token.get": 3}


async def test_a_refreshed_token_is_new_and_the_old_one_still_works(client: Client) -> None:
    """Refreshing gives a new token for two hours; requests signed with the old one are not turned away."""
    clock_of(client.emulator).advance(60)
    answer = await client.ask_token(client.token_request(accessToken=client.token), action="refresh")
    assert answer["data"]["expire"] == 7200
    assert answer["data"]["accessToken"] != client.token
    assert (await client.search(JOBS, "search"))["code"] == 0
    client.token = answer["data"]["accessToken"]
    assert (await client.search(JOBS, "search"))["code"] == 0
    assert client.emulator.served["token.refresh"] == 1


async def test_whether_a_refreshed_token_lives_on_is_one_constant(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the constant off, refreshing ends the old token."""
    monkeypatch.setattr(auth, "_REFRESH_KEEPS_OLD_TOKEN", False)
    clock_of(client.emulator).advance(1)
    await client.ask_token(client.token_request(accessToken=client.token), action="refresh")
    assert (await client.search(JOBS, "search"))["status"] == 1203


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"appKey": ""}, 1202),
        ({"encryption": None}, 1202),
        ({"timestamp": None}, 1202),
        ({"appKey": "stranger"}, 1002),
        ({"appKey": 7}, 1004),
        ({"timestamp": "soon"}, 1004),
        ({"timestamp": True}, 1004),
        ({"timestamp": -1}, 1004),
        ({"encryption": ["x"]}, 1004),
        ({"encryption": "0" * 64}, 1003),
        ({"timestamp": 17}, 1003),
    ],
)
async def test_a_wrong_token_request_gets_its_number(stranger: Client, changes: dict[str, Any], status: int) -> None:
    """Empty, unknown, invalid and wrong values have the documented numbers, and there is no token."""
    answer = await stranger.ask_token(stranger.token_request(**changes))
    assert answer["status"] == status
    assert answer["data"] is None


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b"\xff"])
async def test_what_is_no_token_request_misses_its_members(stranger: Client, body: bytes) -> None:
    """A body that is no JSON object is answered like one without members."""
    url = f"{stranger.emulator.url}/apim-token-service/v2.0/token/get"
    async with stranger.session.post(url, data=body) as response:
        assert (await response.json())["status"] == 1202


async def test_a_repeated_encryption_is_refused(stranger: Client) -> None:
    """The same request twice is an error; another millisecond makes it good."""
    request = stranger.token_request()
    assert (await stranger.ask_token(request))["status"] == 0
    assert (await stranger.ask_token(request))["status"] == 1001
    clock_of(stranger.emulator).advance(0.001)
    assert (await stranger.ask_token(stranger.token_request()))["status"] == 0


async def test_a_timestamp_may_come_as_text(stranger: Client) -> None:
    """The vendor's samples send numbers as text in places."""
    request = stranger.token_request()
    assert (await stranger.ask_token({**request, "timestamp": str(request["timestamp"])}))["status"] == 0


@pytest.mark.parametrize(("token", "status"), [("", 1202), (None, 1202), ("unknown", 1204), (7, 1204)])
async def test_only_a_live_token_can_be_refreshed(client: Client, token: Any, status: int) -> None:
    """A missing token is empty; an unknown one cannot be refreshed."""
    clock_of(client.emulator).advance(1)
    answer = await client.ask_token(client.token_request(accessToken=token), action="refresh")
    assert answer["status"] == status


async def test_refreshing_needs_the_secret_too(client: Client) -> None:
    """A good token does not make up for a wrong encryption."""
    fields = client.token_request(accessToken=client.token, encryption="0" * 64)
    assert (await client.ask_token(fields, action="refresh"))["status"] == 1003


def test_the_token_service_remembers_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Used encryptions and old tokens are forgotten in the end: an emulator can run for weeks."""
    monkeypatch.setattr(auth, "_REMEMBERED", 2)
    clock = ManualClock(DEFAULT_NOW)
    issuer = TokenIssuer(app_key="k", app_secret="s", clock=clock)

    def fields() -> dict[str, Any]:
        now = clock.now_ms()
        return {"appKey": "k", "timestamp": now, "encryption": hashlib.sha256(f"k{now}s".encode()).hexdigest()}

    oldest, first = fields(), issuer.get(fields())
    for _ in range(3):
        clock.advance(7300)
        assert isinstance(issuer.get(fields()), TokenGrant)
    assert isinstance(first, TokenGrant)
    assert issuer.admits({"apim-accesstoken": first.token, "apim-timestamp": "1"}, "", b"") is Admission.REFUSED
    assert isinstance(issuer.get(oldest), TokenGrant)
    assert issuer.get(oldest) == TokenFailure(1001, "repeated request: the same encryption was used before")


async def test_tokens_die_on_demand(client: Client) -> None:
    """After ``expire_tokens`` a business call is told so, and a new token is another one."""
    old = client.token
    client.emulator.expire_tokens()
    status, answer = await client.send("POST", JOBS, f"action=search&orgId={ORG}")
    assert (status, answer["status"], answer["msg"]) == (200, 1203, "access token has expired")
    clock_of(client.emulator).advance(0.001)
    await client.log_in()
    assert client.token != old
    assert (await client.search(JOBS, "search"))["code"] == 0


@pytest.mark.parametrize("carrier", ["code", "status", "apim_status"])
async def test_expiry_can_arrive_in_any_member(carrier: Any) -> None:
    """Which member says 1203 is not documented, so each can be chosen."""
    async with EnosEmulator(FLEET, expiry_carrier=carrier) as emulator, aiohttp.ClientSession() as session:
        client = Client(emulator, session)
        await client.log_in()
        emulator.expire_tokens()
        answer = await client.search(JOBS, "search")
        assert answer[carrier] == 1203
        assert {"code", "status", "apim_status"} & answer.keys() == {carrier}


async def test_the_published_misspelling_can_be_had() -> None:
    """With the switch on, the token answer says ``stauts`` like the published sample."""
    async with EnosEmulator(FLEET, misspelled_token_status=True) as emulator, aiohttp.ClientSession() as session:
        client = Client(emulator, session)
        good = await client.ask_token(client.token_request())
        bad = await client.ask_token({})
        assert (good["stauts"], bad["stauts"]) == (0, 1202)
        assert "status" not in {*good, *bad}


# --- requests in general ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("orgId=x", 99400, "Invalid Argument action:action is missing"),
        (f"action=&orgId={ORG}", 99400, "Invalid Argument action:action is missing"),
        (f"action=explode&orgId={ORG}", 99400, "Invalid Argument action:action explode is not supported"),
        ("action=get", 99400, "Invalid Argument orgId:orgId is missing"),
        ("action=get&orgId=o15580000000000", 99403, "Denied resource:  orgId o15580000000000"),
        (f"action=get&orgId={ORG}", 99400, "Invalid Argument firmwareId:firmwareId is missing"),
        (f"action=get&orgId={ORG}&firmwareId=5ede13577072bf001f23de83", 24404, "Firmware not found"),
        (f"action=search&orgId={ORG}", 99400, "Invalid Argument method: action search takes POST"),
    ],
)
async def test_a_refused_request_gets_code_and_words(client: Client, query: str, code: int, message: str) -> None:
    """Refusals come as an envelope with a code, the documented text, a request id and no data."""
    status, answer = await client.send("GET", FIRMWARES, query)
    assert status == app.SERVICE_ERROR_STATUS
    assert (answer["code"], answer["msg"], answer["data"]) == (code, message, None)
    assert len(answer["requestId"]) == 36


async def test_request_ids_are_unique(client: Client) -> None:
    """Two answers never share one."""
    ids = {(await client.search(JOBS, "search"))["requestId"] for _ in range(5)}
    assert len(ids) == 5


async def test_methods_can_be_lax() -> None:
    """With the switch off, a get by POST is answered, as the vendor's samples need it."""
    async with EnosEmulator(FLEET, strict_methods=False) as emulator, aiohttp.ClientSession() as session:
        client = Client(emulator, session)
        await client.log_in()
        job_id = next(emulator.expected_jobs("x")).job_id
        _, answer = await client.send("POST", JOBS, f"action=get&orgId={ORG}&jobId={job_id}", b"{}")
        assert answer["data"]["jobId"] == job_id


async def test_other_paths_end_at_the_gateway(client: Client) -> None:
    """Unknown paths, the wrong version and a GET on the token service have no route."""
    for path in ("/", "/connect-service/v3/ota-jobs", "/apim-token-service/v2.0/token/get"):
        async with client.session.get(client.emulator.url + path) as response:
            assert response.status in {404, 405}
            assert await response.json() == {"message": "no Route matched with those values"}


async def test_the_version_in_the_path_can_be_chosen() -> None:
    """Another ``api_version`` moves the resources, and the client's settings say so."""
    async with EnosEmulator(FLEET, api_version="v2.4") as emulator, aiohttp.ClientSession() as session:
        client = Client(emulator, session)
        await client.log_in()
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
    client: Client, monkeypatch: pytest.MonkeyPatch
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
        (b'{"pagination":{"pageSize":7}}', "Invalid Argument pagination.pageNo: it is not an integer"),
        (b'{"pagination":{"pageNo":1}}', "Invalid Argument pagination.pageSize: it is not an integer"),
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


async def test_a_refused_search_is_an_envelope(client: Client) -> None:
    """A wrong operator and a wrong page come back as code 99400 in the documented words."""
    wrong = await client.search(JOBS, "search", expression="name = 'x'")
    assert (wrong["code"], wrong["msg"]) == (99400, "Do not allow operator op =, allowed op [like]")
    beyond = await client.search(FIRMWARES, "search", pagination={"pageNo": 1, "pageSize": 201})
    assert beyond["code"] == 99400


# --- devices ---------------------------------------------------------------------------------------------------------


async def all_pages(client: Client, path: str, action: str, size: int, **fields: Any) -> list[dict[str, Any]]:
    """Every row of a search, page by page until one is empty."""
    rows: list[dict[str, Any]] = []
    number = 1
    while True:
        answer = await client.search(path, action, pagination={"pageNo": number, "pageSize": size}, **fields)
        assert answer["pagination"]["pageNo"] == number
        assert answer["pagination"]["pageSize"] == size
        assert answer["pagination"]["sortedBy"] is None
        if not answer["data"]:
            assert answer["pagination"]["totalSize"] == len(rows)
            return rows
        rows += answer["data"]
        number += 1


@pytest.mark.parametrize("size", [7, 50, 200])
async def test_every_device_is_on_exactly_one_page(client: Client, size: int) -> None:
    """Whatever the page size, the pages give the fleet as the oracle has it, in its order."""
    rows = await all_pages(client, FIRMWARES, "searchDeviceUpgrade", size)
    found = [
        (row["assetId"], row["deviceKey"], row["productKey"], row["orgId"], row["firmwareVersion"], row["isUpgrading"])
        for row in rows
    ]
    assert found == [
        (each.device_id, each.device_key, each.product_id, each.owner_id, each.firmware_version, each.upgrading)
        for each in client.emulator.expected_devices("x")
    ]


async def test_the_order_of_devices_is_one_constant(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the constant on, the newest device comes first, on the wire and in the oracle."""
    oldest_first = [each.device_id for each in client.emulator.expected_devices("x")]
    monkeypatch.setattr(firmware, "NEWEST_DEVICE_FIRST", True)
    rows = await all_pages(client, FIRMWARES, "searchDeviceUpgrade", 60)
    assert [row["assetId"] for row in rows] == oldest_first[::-1]
    assert [each.device_id for each in client.emulator.expected_devices("x")] == oldest_first[::-1]


async def test_the_default_page_has_ten_rows(client: Client) -> None:
    """Without pagination there are ten rows, and the struct says so."""
    answer = await client.search(FIRMWARES, "searchDeviceUpgrade")
    assert len(answer["data"]) == 10
    assert answer["pagination"] == {"sortedBy": None, "pageNo": 1, "pageSize": 10, "totalSize": len(FLEET.devices)}


async def test_a_page_far_beyond_the_end_is_empty(client: Client) -> None:
    """There is no limit of depth: what is not there is an empty page."""
    answer = await client.search(FIRMWARES, "searchDeviceUpgrade", pagination={"pageNo": 10**15, "pageSize": 200})
    assert (answer["code"], answer["data"]) == (0, [])


async def test_devices_are_filtered(client: Client) -> None:
    """The expression narrows rows and total."""
    product = FLEET.products[0].product_id
    answer = await client.search(
        FIRMWARES, "searchDeviceUpgrade", expression=f"productKey='{product}' and isUpgrading=true"
    )
    wanted = [each for each in client.emulator.expected_devices("x") if each.product_id == product and each.upgrading]
    assert wanted
    assert answer["pagination"]["totalSize"] == len(wanted)
    assert answer["data"][0]["assetId"] == wanted[0].device_id


async def test_a_change_in_the_fleet_shows_at_once() -> None:
    """Nothing that was cached is served after a mutation."""
    fleet = Fleet.generate(devices=30, jobs=0)
    async with EnosEmulator(fleet) as emulator, aiohttp.ClientSession() as session:
        client = Client(emulator, session)
        await client.log_in()
        assert (await client.search(FIRMWARES, "searchDeviceUpgrade", expression="isUpgrading=true"))["data"] == []
        fleet.devices.upgrading_column[4] = 1
        fleet.devices.touch()
        found = await client.search(FIRMWARES, "searchDeviceUpgrade", expression="isUpgrading=true")
        assert [row["assetId"] for row in found["data"]] == [fleet.devices.serial(4)]


# --- firmware and jobs -----------------------------------------------------------------------------------------------


async def test_firmware_is_listed_newest_first(client: Client) -> None:
    """The pages give what the oracle expects, in its order: only what EnOS calls firmware."""
    rows = await all_pages(client, FIRMWARES, "search", 10)
    wanted = list(client.emulator.expected_firmware("x"))
    assert [row["firmwareId"] for row in rows] == [each.firmware_id for each in wanted]
    assert [row["createTime"] for row in rows] == sorted((row["createTime"] for row in rows), reverse=True)
    for row, each in zip(rows, wanted, strict=True):
        assert int(row["fileSize"]) == each.size_bytes
        assert row.get("productKey") == each.product_id
        assert row["desc"] == each.description
        assert row["fileUrl"] == each.location
        assert each.checksum is not None
        assert (row["signMethod"], row["sign"]) == (each.checksum.algorithm, each.checksum.value)
        assert row.get("firmwareTags", {}) == each.tags
        assert await client.get(FIRMWARES, "get", firmwareId=row["firmwareId"]) | {"requestId": ""} == {
            "code": 0,
            "msg": "OK",
            "requestId": "",
            "data": row,
        }


async def test_firmware_takes_every_liberty_of_the_documentation(client: Client) -> None:
    """Sizes as text, missing and null products, missing tags and null descriptions all occur."""
    rows = await all_pages(client, FIRMWARES, "search", 200)
    assert {type(row["fileSize"]) for row in rows} == {int, str}
    assert {"productKey" in row for row in rows} == {True, False}
    assert {"firmwareTags" in row for row in rows} == {True, False}
    assert None in {row["desc"] for row in rows}


async def test_firmware_of_other_kinds_is_unknown_here(client: Client) -> None:
    """Software and modules of the fleet are nothing that EnOS has."""
    software = next(record for record in FLEET.firmware if record.kind is FirmwareKind.SOFTWARE)
    assert (await client.get(FIRMWARES, "get", firmwareId=software.firmware_id))["code"] == 24404


async def test_firmware_without_a_product_is_not_found_by_product(client: Client) -> None:
    """Firmware that is not bound to a product is in no product's list."""
    product = next(
        record.product_id
        for record in FLEET.firmware
        if record.kind is FirmwareKind.FIRMWARE and not record.product_shown
    )
    rows = await all_pages(client, FIRMWARES, "search", 200, expression=f"productKey = '{product}'")
    wanted = [each for each in client.emulator.expected_firmware("x") if each.product_id == product]
    assert [row["firmwareId"] for row in rows] == [each.firmware_id for each in wanted]
    assert len(wanted) < sum(
        record.product_id == product and record.kind is FirmwareKind.FIRMWARE for record in FLEET.firmware
    )


async def test_jobs_are_listed_newest_first(client: Client) -> None:
    """The pages give what the oracle expects; status is one of EnOS's two words."""
    rows = await all_pages(client, JOBS, "search", 3)
    wanted = list(client.emulator.expected_jobs("x"))
    assert [row["jobId"] for row in rows] == [each.job_id for each in wanted]
    assert {row["status"] for row in rows} == {"started", "stopped"}
    assert {row["type"] for row in rows} == {"upgrade", "verify"}
    for row, each in zip(rows, wanted, strict=True):
        assert row["status"] == each.vendor_status
        assert (row["name"] is None) == (each.name is None) == (each.kind is JobKind.VERIFICATION)
        assert each.policy is not None
        assert row["upgradeTimeout"] == each.policy.timeout_seconds
        assert row.get("maximumConcurrency") == each.policy.max_concurrency
        assert row["upgradePolicy"] == each.policy.mode
        assert ("schedulePolicy" in row) == (each.policy.schedule is not None)
        assert row.get("startAfterCreate") == each.extra.get("startAfterCreate")
        assert ("retryPolicy" in row) == (each.policy.retry is not None)
        assert each.scope is not None
        assert tuple(row["upgradeScope"]["deviceKeys"] or ()) == each.scope.devices
        assert tuple(row["upgradeScope"]["versionNumbers"]) == each.scope.source_versions
    policies = [each.policy for each in wanted if each.policy is not None]
    assert {policy.schedule is None for policy in policies} == {True, False}
    assert {policy.retry is None for policy in policies} == {True, False}


async def test_a_single_job_shows_less_than_a_listed_one(client: Client) -> None:
    """The get operation leaves out the firmware's name and version and the timeout, as its sample does."""
    listed = (await client.search(JOBS, "search"))["data"][0]
    single = (await client.get(JOBS, "get", jobId=listed["jobId"]))["data"]
    assert listed.keys() - single.keys() == {"firmwareVersion", "firmwareName", "upgradeTimeout"}
    assert single.items() <= listed.items()


async def test_an_unknown_job_is_not_found(client: Client) -> None:
    """24404 with the documented text; a job for software counts as unknown."""
    software = next(job for job in FLEET.jobs if job.firmware_kind is FirmwareKind.SOFTWARE)
    for job_id in ("0" * 24, software.job_id):
        answer = await client.get(JOBS, "get", jobId=job_id)
        assert (answer["code"], answer["msg"]) == (24404, "Job not found")
    assert (await client.get(JOBS, "get"))["msg"] == "Invalid Argument jobId:jobId is missing"


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("type = 'verify'", lambda row: row["type"] == "verify"),
        ("status='stopped'", lambda row: row["status"] == "stopped"),
        ("firmwareName.zh_CN like '水泵'", lambda row: "水泵" in row["firmwareName"]["i18nValue"].get("zh_CN", "")),
        ("name like 'ROLL OUT PUMP'", lambda row: "out pump" in (row["name"] or {}).get("defaultValue", "")),
    ],
)
async def test_jobs_are_filtered(client: Client, expression: str, kept: Callable[[dict[str, Any]], bool]) -> None:
    """Expressions select among the rows that the whole listing has."""
    everything = await all_pages(client, JOBS, "search", 200)
    wanted = [row for row in everything if kept(row)]
    assert wanted
    assert await all_pages(client, JOBS, "search", 200, expression=expression) == wanted


async def test_requests_are_counted_by_operation(client: Client) -> None:
    """Every operation has one name, the same for all vendors."""
    await client.get(FIRMWARES, "get", firmwareId="x")
    await client.search(FIRMWARES, "search")
    await client.search(FIRMWARES, "searchDeviceUpgrade")
    await client.get(JOBS, "get", jobId="x")
    await client.search(JOBS, "search")
    await client.search(JOBS, "dance")
    assert client.emulator.served == {
        "token.get": 1,
        "firmware.get": 1,
        "firmware.search": 1,
        "devices.search": 1,
        "jobs.get": 1,
        "jobs.search": 1,
        "other": 1,
    }
