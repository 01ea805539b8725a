"""Who may call the IoTDA emulator: tokens, and both signatures over real HTTP."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest
from yarl import URL

from otaclient.emulator import Fleet, ManualClock
from otaclient_iotda.emulator import AccessKey, IamUser, IotdaEmulator
from otaclient_iotda.emulator.auth import SignedRequest, canonical_request, derived_key
from otaclient_iotda.emulator.identity import IamRefusal, TokenDesk, grant_token
from otaclient_iotda.emulator.refusals import Refusal

SIGNED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


# --- tokens ----------------------------------------------------------------------------------------------------------


def password_login(**changes: Any) -> dict[str, Any]:
    """The body of a login that works, with parts of it changed."""
    user = {"name": "emulator-user", "password": "emulator-password", "domain": {"name": "emulator-domain"}}
    user |= changes.pop("user", {})
    identity = {"methods": ["password"], "password": {"user": user}} | changes.pop("identity", {})
    return {"auth": {"identity": identity, "scope": {"project": {"name": "cn-north-4"}}} | changes}


def login(body: bytes) -> int:
    """The status with which the identity service answers."""
    answer = grant_token(
        body,
        users=[IamUser(name="emulator-user", password="emulator-password", domain="emulator-domain")],
        project_id=PROJECT,
        project_name="cn-north-4",
        desk=TokenDesk(),
        now=SIGNED_AT,
        with_catalog=True,
    )
    return answer.status if isinstance(answer, IamRefusal) else 201


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, 201),
        ({"scope": {"project": {"id": PROJECT}}}, 201),
        ({"scope": {"project": {"name": "cn-east-3"}}}, 401),
        ({"scope": {"domain": {"name": "emulator-domain"}}}, 400),
        ({"scope": None}, 400),
        ({"user": {"password": "wrong"}}, 401),
        ({"user": {"name": "nobody"}}, 401),
        ({"user": {"domain": {"name": "other"}}}, 401),
        ({"user": {"domain": "emulator-domain"}}, 401),
        ({"identity": {"methods": ["token"]}}, 400),
        ({"identity": {"password": []}}, 400),
    ],
)
def test_password_login(changes: dict[str, Any], status: int) -> None:
    """Only a known user with the right password, scoped to the project, gets a token."""
    assert login(json.dumps(password_login(**changes)).encode()) == status


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"auth": 7}', b"\xff\xfe", b"[" * 100_000])
def test_login_that_is_no_login(body: bytes) -> None:
    """A body that is not a login is a 400, never a crash."""
    assert login(body) == 400


def test_token_lives_for_a_day() -> None:
    """A token is accepted for 24 hours, then it must be updated; one that was never issued cannot be read."""
    desk = TokenDesk()
    token, ends = desk.issue(now=SIGNED_AT)
    assert ends - SIGNED_AT == timedelta(hours=24)
    assert desk.check(token, now=ends - timedelta(seconds=1)) is None
    expired = desk.check(token, now=ends)
    assert expired == Refusal(status=401, code="APIGW.0307", message="The token must be updated.")
    unknown = desk.check("never issued", now=SIGNED_AT)
    assert unknown is not None
    assert unknown.code == "APIGW.0301"


def test_new_token_leaves_the_old_one_alive() -> None:
    """Issuing a token does not end another, and no two are the same."""
    desk = TokenDesk()
    first, _ = desk.issue(now=SIGNED_AT)
    second, _ = desk.issue(now=SIGNED_AT)
    assert first != second
    assert desk.issued == 2
    assert desk.check(first, now=SIGNED_AT) is None
    assert first not in repr(desk)


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """A small fleet."""
    return Fleet.generate(devices=120, seed=3)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at the time of the vectors."""
    return ManualClock(SIGNED_AT)


def signed_headers(
    emulator: IotdaEmulator,
    target: str,
    *,
    access_key: str = "EMULATORACCESSKEY",
    secret_key: str = "emulator-secret-key",
    security_token: str | None = None,
    derived: bool = False,
) -> dict[str, str]:
    """The headers of a request that is signed by hand."""
    headers = {"host": f"127.0.0.1:{emulator.port}", "x-sdk-date": "20260102T030405Z"}
    if security_token is not None:
        headers["x-security-token"] = security_token
    request = SignedRequest(method="GET", target=target, headers=headers)
    digest = hashlib.sha256(canonical_request(request, list(headers)).encode()).hexdigest()
    names = ";".join(sorted(headers))
    if derived:
        info = f"20260102/{emulator.region}/iotdm"
        key = derived_key(access_key, secret_key, info)
        text = f"V11-HMAC-SHA256\n20260102T030405Z\n{info}\n{digest}"
        start = f"V11-HMAC-SHA256 Credential={access_key}/{info}"
    else:
        key, text = secret_key, f"SDK-HMAC-SHA256\n20260102T030405Z\n{digest}"
        start = f"SDK-HMAC-SHA256 Access={access_key}"
    signature = hmac.digest(key.encode(), text.encode(), "sha256").hex()
    return headers | {"Authorization": f"{start}, SignedHeaders={names}, Signature={signature}"}


async def call(
    emulator: IotdaEmulator, target: str, headers: Mapping[str, str], *, method: str = "GET", body: bytes | None = None
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Send a request with exactly this target, and return status, body and headers."""
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, URL(emulator.url + target, encoded=True), headers=headers, data=body) as response,
    ):
        return response.status, await response.json(content_type=None), response.headers


DEVICES = f"/v5/iot/{PROJECT}/devices"
AWKWARD = f"{DEVICES}?zeta=%E6%B3%B5%20A%2BB%2FC~%2A%27%28%29&empty=&limit=1"


@pytest.mark.parametrize("derived", [False, True])
@pytest.mark.parametrize("target", [DEVICES, AWKWARD])
async def test_signed_request_is_served(fleet: Fleet, clock: ManualClock, target: str, *, derived: bool) -> None:
    """Both schemes are verified from the request as it arrived, port in the host included."""
    async with IotdaEmulator(fleet, clock=clock) as emulator:
        status, body, headers = await call(emulator, target, signed_headers(emulator, target, derived=derived))
    assert status == 200
    assert body["devices"]
    assert headers["X-Request-Id"]


async def test_wrong_secret_is_answered_as_the_gateway_does(fleet: Fleet, clock: ManualClock) -> None:
    """The body has code, message with the canonical request, and the request id that the header has too."""
    async with IotdaEmulator(fleet, clock=clock) as emulator:
        status, body, headers = await call(emulator, DEVICES, signed_headers(emulator, DEVICES, secret_key="wrong"))
        host = f"127.0.0.1:{emulator.port}"
    assert status == 401
    assert body["error_code"] == "APIGW.0301"
    assert (
        f"canonicalRequest:GET|{DEVICES}/||host:{host}|x-sdk-date:20260102T030405Z||host;x-sdk-date|"
        in body["error_msg"]
    )
    assert body["request_id"] == headers["X-Request-Id"]


async def test_temporary_key(fleet: Fleet, clock: ManualClock) -> None:
    """Keys can be given; a temporary one needs its security token, signed."""
    keys = {"TEMPORARY": AccessKey(secret_key="temporary-secret", security_token="temporary-token")}
    async with IotdaEmulator(fleet, clock=clock, keys=keys) as emulator:
        given: dict[str, Any] = {"access_key": "TEMPORARY", "secret_key": "temporary-secret"}
        good = signed_headers(emulator, DEVICES, security_token="temporary-token", **given)
        assert (await call(emulator, DEVICES, good))[0] == 200
        assert (await call(emulator, DEVICES, signed_headers(emulator, DEVICES, **given)))[0] == 401
        assert (await call(emulator, DEVICES, signed_headers(emulator, DEVICES)))[0] == 401


async def test_old_date_is_refused_by_the_emulators_clock(fleet: Fleet, clock: ManualClock) -> None:
    """The emulator's clock, not the machine's, judges the date."""
    async with IotdaEmulator(fleet, clock=clock) as emulator:
        headers = signed_headers(emulator, DEVICES)
        clock.advance(15 * 60)
        assert (await call(emulator, DEVICES, headers))[0] == 200
        clock.advance(1)
        assert (await call(emulator, DEVICES, headers))[0] == 401


async def test_dedicated_endpoint_refuses_plain_signatures(fleet: Fleet, clock: ManualClock) -> None:
    """The service itself answers, so the body has no request id; the header has."""
    async with IotdaEmulator(fleet, clock=clock, edition="standard") as emulator:
        status, body, headers = await call(emulator, DEVICES, signed_headers(emulator, DEVICES))
        assert (await call(emulator, DEVICES, signed_headers(emulator, DEVICES, derived=True)))[0] == 200
    assert status == 401
    assert body == {"error_code": "IOTDA.000002", "error_msg": "Authentication failed."}
    assert headers["X-Request-Id"]


async def test_nobody_is_not_served(fleet: Fleet) -> None:
    """A request without any authentication is a 401 of the gateway."""
    async with IotdaEmulator(fleet) as emulator:
        status, body, _ = await call(emulator, DEVICES, {})
    assert (status, body["error_code"]) == (401, "APIGW.0301")


async def test_token_from_the_identity_service(fleet: Fleet, clock: ManualClock) -> None:
    """A login gives a token in a header; it works until a day has passed or all tokens are ended."""
    async with IotdaEmulator(fleet, clock=clock) as emulator:
        body = json.dumps(password_login()).encode()
        status, answer, headers = await call(emulator, "/v3/auth/tokens?nocatalog=true", {}, method="POST", body=body)
        assert status == 201
        assert answer["token"]["expires_at"] == "2026-01-03T03:04:05.000000Z"
        assert answer["token"]["project"]["id"] == PROJECT
        assert "catalog" not in answer["token"]
        authenticated = {"X-Auth-Token": headers["X-Subject-Token"]}
        assert len(headers["X-Subject-Token"]) > 1000
        assert (await call(emulator, DEVICES, authenticated))[0] == 200
        clock.advance(86_400)
        expired = await call(emulator, DEVICES, authenticated)
        assert (expired[0], expired[1]["error_code"]) == (401, "APIGW.0307")
        _, answer, headers = await call(emulator, "/v3/auth/tokens", {}, method="POST", body=body)
        assert answer["token"]["catalog"]
        authenticated = {"X-Auth-Token": headers["X-Subject-Token"]}
        assert (await call(emulator, DEVICES, authenticated))[0] == 200
        emulator.expire_tokens()
        expired = await call(emulator, DEVICES, authenticated)
        assert (expired[0], expired[1]["error_code"]) == (401, "APIGW.0307")
        assert emulator.served == {"token.get": 2, "devices.search": 4}


async def test_wrong_password_is_answered_in_the_identity_services_shape(fleet: Fleet) -> None:
    """The identity service wraps its error once more than the gateway does."""
    async with IotdaEmulator(fleet) as emulator:
        body = json.dumps(password_login(user={"password": "wrong"})).encode()
        status, answer, headers = await call(emulator, "/v3/auth/tokens", {}, method="POST", body=body)
    message = "The username or password is wrong."
    assert status == 401
    assert answer == {"error": {"code": 401, "message": message, "title": "Unauthorized"}}
    assert "X-Subject-Token" not in headers
    assert headers["X-Request-Id"]


async def test_ready_token(fleet: Fleet, clock: ManualClock) -> None:
    """The ready token is accepted from the start, and ends with all others."""
    async with IotdaEmulator(fleet, clock=clock, ready_token="mine") as emulator:
        assert (await call(emulator, DEVICES, {"X-Auth-Token": "mine"}))[0] == 200
        unknown = await call(emulator, DEVICES, {"X-Auth-Token": "another"})
        assert (unknown[0], unknown[1]["error_code"]) == (401, "APIGW.0301")
        assert unknown[1]["error_msg"].endswith("decrypt token fail")
        emulator.expire_tokens()
        assert (await call(emulator, DEVICES, {"X-Auth-Token": "mine"}))[1]["error_code"] == "APIGW.0307"
