"""The IoTDA emulator's gateway: both request signatures, the identity service and its tokens."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from yarl import URL

from otaclient.emulator import Fleet, ManualClock
from otaclient_iotda.emulator import AccessKey, IamUser, IotdaEmulator
from otaclient_iotda.emulator.auth import (
    Edition,
    IamRefusal,
    Refusal,
    SignedRequest,
    TokenDesk,
    canonical_request,
    derived_key,
    grant_token,
    verify_signature,
)

SAMPLES = json.loads((Path(__file__).parents[1] / "samples" / "iotda-signing-vectors.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = SAMPLES["vectors"]
SIGNED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"


def request_of(vector: Mapping[str, Any], **headers: str) -> SignedRequest:
    """The request of a vector as a server receives it."""
    query = vector["query_on_wire"]
    received = {name.lower(): value for name, value in vector["headers"].items()}
    received["authorization"] = vector["authorization"]
    return SignedRequest(
        method=vector["method"],
        target=vector["path_on_wire"] + (f"?{query}" if query else ""),
        headers=received | headers,
        body=(vector["body"] or "").encode(),
    )


def keys_of(vector: Mapping[str, Any]) -> dict[str, AccessKey]:
    """The key store that knows the vectors' key, as a temporary one where the vector has a security token."""
    token = vector["headers"].get("X-Security-Token")
    return {SAMPLES["ak"]: AccessKey(secret_key=SAMPLES["sk"], security_token=token)}


def verdict(
    vector: Mapping[str, Any],
    request: SignedRequest | None = None,
    *,
    region: str = "cn-north-4",
    now: datetime = SIGNED_AT,
    edition: Edition | None = None,
) -> Refusal | None:
    """What the gateway says to a vector's request, or to a changed one."""
    received = request_of(vector) if request is None else request
    return verify_signature(received, keys=keys_of(vector), region=region, now=now, edition=edition)


def named(identifier: str) -> dict[str, Any]:
    """The vector with this identifier."""
    return next(vector for vector in VECTORS if vector["id"] == identifier)


def changed(vector: Mapping[str, Any], **changes: Any) -> SignedRequest:
    """A vector's request with something else in it."""
    request = request_of(vector)
    fields = {"method": request.method, "target": request.target, "headers": request.headers, "body": request.body}
    return SignedRequest(**(fields | changes))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
class TestVectors:
    def test_canonical_request_is_that_of_the_vector(self, vector: Mapping[str, Any]) -> None:
        """The canonical request equals the official signer's, byte for byte."""
        signed = vector["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
        canonical = canonical_request(request_of(vector), signed)
        assert canonical == vector["canonical_request"]
        assert hashlib.sha256(canonical.encode()).hexdigest() == vector["canonical_request_sha256"]

    def test_signature_of_the_vector_is_accepted(self, vector: Mapping[str, Any]) -> None:
        """A request that the official signer signed passes."""
        assert verdict(vector) is None

    def test_any_change_of_path_is_refused(self, vector: Mapping[str, Any]) -> None:
        """The same signature over another path does not pass, and the answer has the server's canonical request."""
        refusal = verdict(vector, changed(vector, target=vector["path_on_wire"].rstrip("/") + "x"))
        assert refusal is not None
        assert refusal.code == "APIGW.0301"
        assert "verify aksk signature fail, canonicalRequest:" + vector["method"] + "|/v5/iot/" in refusal.message
        assert "\n" not in refusal.message

    def test_secret_is_in_no_refusal(self, vector: Mapping[str, Any]) -> None:
        """Neither the secret key nor the derived one ever appears in an answer."""
        refusal = verdict(vector, changed(vector, method="PUT"))
        assert refusal is not None
        assert SAMPLES["sk"] not in refusal.message
        assert vector.get("derived_key_hex", SAMPLES["sk"]) not in refusal.message


@pytest.mark.parametrize("identifier", ["V9", "V10"])
def test_derived_key_is_that_of_the_vector(identifier: str) -> None:
    """The derived key is HKDF's output as lower-case hexadecimal text."""
    vector = named(identifier)
    assert derived_key(SAMPLES["ak"], SAMPLES["sk"], vector["info"]) == vector["derived_key_hex"]


def test_order_of_the_query_on_the_wire_does_not_matter() -> None:
    """The server sorts what arrives."""
    vector = named("V1")
    shuffled = f"{vector['path_on_wire']}?package_type=firmwarePackage&offset=0&limit=50"
    assert verdict(vector, changed(vector, target=shuffled)) is None


def test_body_is_part_of_the_signature() -> None:
    """One byte more in the body, and the signature is wrong."""
    vector = named("V3")
    assert verdict(vector, changed(vector, body=request_of(vector).body + b" ")) is not None


def test_body_of_an_unsigned_payload_is_not() -> None:
    """A body that is not JSON and is marked as unsigned may be anything."""
    vector = named("V7")
    assert verdict(vector, changed(vector, body=b"something else")) is None


def test_json_body_cannot_be_marked_as_unsigned() -> None:
    """The mark counts only for other content types: JSON is always hashed."""
    vector = named("V7")
    request = request_of(vector, **{"content-type": "application/json"})
    canonical = canonical_request(request, ["host", "x-sdk-content-sha256", "x-sdk-date"])
    assert canonical.endswith(hashlib.sha256(request.body).hexdigest())


def test_derived_signature_for_another_region_is_refused() -> None:
    """The region is the server's own, whatever the credential says."""
    refusal = verdict(named("V9"), region="cn-east-3")
    assert refusal is not None
    assert "verify aksk signature fail" in refusal.message


@pytest.mark.parametrize("seconds", [-901, 901])
def test_clocks_too_far_apart_are_refused(seconds: int) -> None:
    """More than 15 minutes between the request's date and the server's time end it."""
    refusal = verdict(named("V1"), now=SIGNED_AT + timedelta(seconds=seconds))
    assert refusal is not None
    assert refusal.code == "APIGW.0301"
    assert "20260102T030405Z" in refusal.message


@pytest.mark.parametrize("seconds", [-900, 900])
def test_clocks_a_quarter_of_an_hour_apart_are_fine(seconds: int) -> None:
    """Fifteen minutes exactly are still tolerated."""
    assert verdict(named("V1"), now=SIGNED_AT + timedelta(seconds=seconds)) is None


def test_unknown_key_is_named() -> None:
    """The answer to an access key that does not exist repeats it."""
    refusal = verify_signature(request_of(named("V1")), keys={}, region="cn-north-4", now=SIGNED_AT)
    assert refusal is not None
    assert refusal.message.endswith("Get secretKey failed,ak:AKTESTEXAMPLE0000001,err:ak not exist")


def test_standard_edition_refuses_plain_signatures() -> None:
    """A dedicated endpoint answers a plain signature with the service's code."""
    assert verdict(named("V1"), edition="standard") == Refusal(
        status=401, code="IOTDA.000002", message="Authentication failed."
    )
    assert verdict(named("V9"), edition="standard") is None


def test_basic_edition_refuses_derived_signatures() -> None:
    """A shared endpoint takes plain signatures only."""
    refusal = verdict(named("V9"), edition="basic")
    assert refusal is not None
    assert refusal.code == "APIGW.0301"
    assert verdict(named("V1"), edition="basic") is None


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": ""},
        {"authorization": "Basic dXNlcjpwYXNz"},
        {"authorization": "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=xyz"},
        {"authorization": f"SDK-HMAC-SHA256 SignedHeaders=host, Signature={'0' * 64}"},
        {"x-sdk-date": ""},
        {"x-sdk-date": "2026-01-02T03:04:05Z"},
        {"x-sdk-date": "20261302T030405Z"},
    ],
    ids=["empty", "other scheme", "bad digest", "no key", "no date", "other form", "no such month"],
)
def test_unreadable_authentication_is_refused(headers: dict[str, str]) -> None:
    """What cannot be read is refused, never a crash."""
    vector = named("V1")
    refusal = verdict(vector, request_of(vector, **headers))
    assert refusal is not None
    assert refusal.code == "APIGW.0301"


@pytest.mark.parametrize("name", ["host", "x-sdk-date", "x-security-token"])
def test_headers_that_must_be_signed(name: str) -> None:
    """Host, date and security token protect nothing unless they are signed."""
    vector = named("V3")
    listed = [each for each in ("host", "x-sdk-date", "x-security-token") if each != name]
    authorization = f"SDK-HMAC-SHA256 Access={SAMPLES['ak']}, SignedHeaders={';'.join(listed)}, Signature={'0' * 64}"
    refusal = verdict(vector, request_of(vector, authorization=authorization))
    assert refusal is not None
    assert refusal.message.endswith(f"SignedHeaders must include {name}")


@pytest.mark.parametrize("known", [None, "another token"])
def test_security_token_must_belong_to_the_key(known: str | None) -> None:
    """A temporary key works with its own security token only, a permanent one with none."""
    keys = {SAMPLES["ak"]: AccessKey(secret_key=SAMPLES["sk"], security_token=known)}
    refusal = verify_signature(request_of(named("V3")), keys=keys, region="cn-north-4", now=SIGNED_AT)
    assert refusal is not None
    assert refusal.message.endswith("AK access failed")


def test_secrets_are_not_shown() -> None:
    """Keys, users and requests do not show their secrets when they are printed."""
    shown = repr([AccessKey(secret_key="sk", security_token="st"), IamUser(name="n", password="pw", domain="d")])
    assert "'sk'" not in shown
    assert "'st'" not in shown
    assert "'pw'" not in shown
    assert named("V1")["authorization"] not in repr(request_of(named("V1")))


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


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"auth": 7}', b"\xff\xfe"])
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
