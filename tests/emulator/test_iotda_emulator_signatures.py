"""The IoTDA emulator's judgement of signatures, by the vendor's vectors."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from otaclient_iotda.emulator import AccessKey, IamUser
from otaclient_iotda.emulator.auth import Edition, SignedRequest, canonical_request, derived_key, verify_signature
from otaclient_iotda.emulator.refusals import Refusal

SAMPLES = json.loads((Path(__file__).parents[1] / "samples" / "iotda-signing-vectors.json").read_text("utf-8"))
VECTORS: list[dict[str, Any]] = SAMPLES["vectors"]
SIGNED_AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


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
