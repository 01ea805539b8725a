"""Who may call the EnOS emulator: signatures by the published algorithm, and tokens from their start to their end."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from otaclient.emulator import Fleet, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient_enos.emulator import EnosEmulator, auth
from otaclient_enos.emulator.auth import Admission, TokenFailure, TokenGrant, TokenIssuer, signature_of
from support.enos import FIRMWARES, JOBS, ORG, Caller, calling

FLEET = Fleet.generate(devices=450)


@pytest.fixture
async def emulator() -> AsyncIterator[EnosEmulator]:
    async with EnosEmulator(FLEET, clock=ManualClock(DEFAULT_NOW)) as running:
        yield running


@pytest.fixture
async def stranger(emulator: EnosEmulator) -> AsyncIterator[Caller]:
    """A client that has no token yet."""
    async with aiohttp.ClientSession() as session:
        yield Caller(emulator, session)


@pytest.fixture
async def client(stranger: Caller) -> Caller:
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


async def test_the_raw_request_is_what_is_signed(client: Caller) -> None:
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
    client: Caller, headers: dict[str, str]
) -> None:
    """401 with the gateway's text, before the service sees the request."""
    status, answer = await client.send("GET", FIRMWARES, f"action=get&orgId={ORG}", headers=headers)
    assert (status, answer) == (401, {"message": "Invalid authentication credentials"})


async def test_a_changed_body_is_turned_away(client: Caller) -> None:
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


async def test_a_token_stays_the_same_until_it_expires(stranger: Caller) -> None:
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


async def test_a_refreshed_token_is_new_and_the_old_one_still_works(client: Caller) -> None:
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
    client: Caller, monkeypatch: pytest.MonkeyPatch
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
async def test_a_wrong_token_request_gets_its_number(stranger: Caller, changes: dict[str, Any], status: int) -> None:
    """Empty, unknown, invalid and wrong values have the documented numbers, and there is no token."""
    answer = await stranger.ask_token(stranger.token_request(**changes))
    assert answer["status"] == status
    assert answer["data"] is None


@pytest.mark.parametrize("body", [b"", b"not json", b"[1]", b"\xff", b"[" * 100_000])
async def test_what_is_no_token_request_misses_its_members(stranger: Caller, body: bytes) -> None:
    """A body that is no JSON object is answered like one without members."""
    url = f"{stranger.emulator.url}/apim-token-service/v2.0/token/get"
    async with stranger.session.post(url, data=body) as response:
        assert (await response.json())["status"] == 1202


async def test_a_repeated_encryption_is_refused(stranger: Caller) -> None:
    """The same request twice is an error; another millisecond makes it good."""
    request = stranger.token_request()
    assert (await stranger.ask_token(request))["status"] == 0
    assert (await stranger.ask_token(request))["status"] == 1001
    clock_of(stranger.emulator).advance(0.001)
    assert (await stranger.ask_token(stranger.token_request()))["status"] == 0


async def test_a_timestamp_may_come_as_text(stranger: Caller) -> None:
    """The vendor's samples send numbers as text in places."""
    request = stranger.token_request()
    assert (await stranger.ask_token({**request, "timestamp": str(request["timestamp"])}))["status"] == 0


@pytest.mark.parametrize(("token", "status"), [("", 1202), (None, 1202), ("unknown", 1204), (7, 1204)])
async def test_only_a_live_token_can_be_refreshed(client: Caller, token: Any, status: int) -> None:
    """A missing token is empty; an unknown one cannot be refreshed."""
    clock_of(client.emulator).advance(1)
    answer = await client.ask_token(client.token_request(accessToken=token), action="refresh")
    assert answer["status"] == status


async def test_refreshing_needs_the_secret_too(client: Caller) -> None:
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


async def test_tokens_die_on_demand(client: Caller) -> None:
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
    async with EnosEmulator(FLEET, expiry_carrier=carrier) as emulator, calling(emulator) as client:
        emulator.expire_tokens()
        answer = await client.search(JOBS, "search")
        assert answer[carrier] == 1203
        assert {"code", "status", "apim_status"} & answer.keys() == {carrier}


async def test_the_published_misspelling_can_be_had() -> None:
    """With the switch on, the token answer says ``stauts`` like the published sample."""
    async with EnosEmulator(FLEET, misspelled_token_status=True) as emulator, aiohttp.ClientSession() as session:
        client = Caller(emulator, session)
        good = await client.ask_token(client.token_request())
        bad = await client.ask_token({})
        assert (good["stauts"], bad["stauts"]) == (0, 1202)
        assert "status" not in {*good, *bad}
