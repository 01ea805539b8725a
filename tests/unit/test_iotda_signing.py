"""Signatures of IoTDA: every vector byte for byte, and what the signers put on the wire."""

import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from otaclient.secret import Secret
from otaclient.transport.http import HttpRequest, encode_query
from otaclient_iotda import signing
from otaclient_iotda.signing import (
    DERIVED_ALGORITHM,
    PLAIN_ALGORITHM,
    KeySigner,
    TokenSigner,
    canonical_query,
    canonical_request,
    canonical_uri,
    credential_scope,
    derived_key,
    sdk_date,
    signature,
    unsigned,
)

SAMPLE: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "samples" / "iotda-signing-vectors.json").read_text("utf-8")
)
VECTORS: list[dict[str, Any]] = SAMPLE["vectors"]
AK, SK, DATE, REGION = SAMPLE["ak"], SAMPLE["sk"], SAMPLE["x_sdk_date"], SAMPLE["region_for_derived"]
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC)


def pairs_of(vector: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the query as text pairs: a list is a repeated name, a boolean is lower case."""
    pairs: list[tuple[str, str]] = []
    for name, value in vector["query_pairs_before_encoding"]:
        singles = value if isinstance(value, list) else [value]
        pairs += [(name, str(one).lower() if isinstance(one, bool) else str(one)) for one in singles]
    return pairs


def request_of(vector: dict[str, Any], **changes: Any) -> HttpRequest:
    """Return the request of a vector."""
    given: dict[str, Any] = {
        "operation": "test",
        "method": vector["method"],
        "path": vector["path_on_wire"],
        "query": tuple(pairs_of(vector)),
        "headers": vector["headers"],
        "body": (vector["body"] or "").encode(),
    }
    return HttpRequest(**(given | changes))


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_vector(vector: dict[str, Any]) -> None:
    """The canonical request and the authorization of each vector, byte for byte."""
    request = request_of(vector)
    canonical, names = canonical_request(request, request.headers)
    assert canonical == vector["canonical_request"]
    assert canonical_uri(request.path) == vector["canonical_uri"]
    assert canonical_query(request.query) == vector["query_on_wire"]
    if vector["scheme"] == "standard":
        signed = signature(SK.encode(), (PLAIN_ALGORITHM, DATE), canonical)
        made = f"{PLAIN_ALGORITHM} Access={AK}, SignedHeaders={names}, Signature={signed}"
    else:
        scope = credential_scope(DATE, REGION)
        assert (scope, derived_key(AK, SK, scope).decode()) == (vector["info"], vector["derived_key_hex"])
        signed = signature(derived_key(AK, SK, scope), (DERIVED_ALGORITHM, DATE, scope), canonical)
        made = f"{DERIVED_ALGORITHM} Credential={AK}/{scope}, SignedHeaders={names}, Signature={signed}"
    assert made == vector["authorization"]


# The vectors whose headers are those that the client sends.
CLIENT_VECTORS = [vector for vector in VECTORS if "X-Project-Id" in vector["headers"]]


@pytest.mark.parametrize("vector", CLIENT_VECTORS, ids=lambda vector: vector["id"])
def test_the_signer_gives_the_whole_vector(vector: dict[str, Any]) -> None:
    """From a bare request the signer makes all headers of the vector, and its authorization."""
    headers = vector["headers"]
    token = headers.get("X-Security-Token")
    signer = KeySigner(
        access_key=AK,
        secret_key=Secret(SK),
        security_token=Secret.of_optional(token),
        region=REGION if vector["scheme"] == "derived" else None,
        project_id=headers["X-Project-Id"],
        instance_id=headers.get("Instance-Id"),
    )
    request = request_of(vector, headers={})
    for _ in range(2):  # the second time with the day's key at hand
        signed = signer(request, endpoint=f"https://{vector['host']}", token=None, now=NOW)
        assert signed.headers == {**headers, "Authorization": vector["authorization"]}
    assert (signed.query, signed.body, signed.path) == (request.query, request.body, request.path)
    assert SK not in repr(signer)
    assert token is None or token not in repr(signer)


def test_the_derived_key_changes_with_the_day() -> None:
    """A cached key of yesterday is not used today."""
    signer = KeySigner(access_key=AK, secret_key=Secret(SK), region=REGION, project_id="p")
    request = HttpRequest(operation="test", method="GET", path="/x")
    today = signer(request, endpoint="https://h", token=None, now=NOW)
    tomorrow = signer(request, endpoint="https://h", token=None, now=NOW + timedelta(days=1))
    fresh = KeySigner(access_key=AK, secret_key=Secret(SK), region=REGION, project_id="p")
    assert "/20260102/" in today.headers["Authorization"]
    assert tomorrow == fresh(request, endpoint="https://h", token=None, now=NOW + timedelta(days=1))


def test_the_derived_key_is_made_once_a_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each of some thousand requests a second."""
    made: list[tuple[str, ...]] = []

    def noted(*key_of: str) -> bytes:
        made.append(key_of)
        return derived_key(*key_of)

    monkeypatch.setattr(signing, "derived_key", noted)
    signer = KeySigner(access_key=AK, secret_key=Secret(SK), region=REGION, project_id="p")
    request = HttpRequest(operation="test", method="GET", path="/x")
    for days in (0, 0, 0, 1, 1):
        signer(request, endpoint="https://h", token=None, now=NOW + timedelta(days=days))
    assert made == [(AK, SK, f"2026010{day}/{REGION}/iotdm") for day in (2, 3)]


def test_a_signer_shows_who_it_is_and_no_key() -> None:
    """Of the access key the end, which tells it from others; of the keys made from it nothing."""
    signer = KeySigner(access_key="AKIDEXAMPLE1234", secret_key=Secret(SK), project_id="p")
    shown = repr(signer)
    assert "1234" in shown
    assert "AKID" not in shown
    assert "day_key" not in shown
    with pytest.raises(TypeError, match="day_key"):
        KeySigner(access_key=AK, secret_key=Secret(SK), project_id="p", day_key=("", b""))  # type: ignore[call-arg]


def test_headers_with_an_underscore_are_not_signed() -> None:
    """A gateway may drop them on the way."""
    canonical, names = canonical_request(
        HttpRequest(operation="test", method="GET", path="/x"), {"Host": "h", "X_Odd": "1", "X-Even": " 2 "}
    )
    assert names == "host;x-even"
    assert canonical.splitlines()[3:5] == ["host:h", "x-even:2"]


@pytest.mark.parametrize("content_type", ["application/json; charset=UTF-8", "application/bson"])
def test_a_body_whose_hash_is_signed_announces_nothing(content_type: str) -> None:
    """JSON and BSON are hashed as they are."""
    signer = KeySigner(access_key=AK, secret_key=Secret(SK), project_id="p")
    headers = {"Content-Type": content_type}
    request = HttpRequest(operation="test", method="POST", path="/x", headers=headers, body=b"{}")
    assert "X-Sdk-Content-Sha256" not in signer(request, endpoint="https://h", token=None, now=NOW).headers


@pytest.mark.parametrize("body", [b"--xyz--", b""])
def test_a_body_that_is_not_json_is_not_hashed(body: bytes) -> None:
    """Another content type is announced and signed as an unsigned payload."""
    signer = KeySigner(access_key=AK, secret_key=Secret(SK), project_id="p")
    multipart = {"Content-Type": "multipart/form-data; boundary=xyz"}
    request = HttpRequest(operation="test", method="POST", path="/x", headers=multipart, body=body)
    signed = signer(request, endpoint="https://h", token=None, now=NOW)
    sent = {name: value for name, value in signed.headers.items() if name != "Authorization"}
    assert sent["X-Sdk-Content-Sha256"] == "UNSIGNED-PAYLOAD"
    canonical, names = canonical_request(signed, sent)
    assert canonical.endswith("\nUNSIGNED-PAYLOAD") is bool(body)
    expected = signature(SK.encode(), (PLAIN_ALGORITHM, DATE), canonical)
    assert signed.headers["Authorization"].endswith(f"SignedHeaders={names}, Signature={expected}")


def test_tokens_take_the_place_of_a_signature() -> None:
    """The ready token wins; else it is the client's own, and without one the header is empty."""
    request = HttpRequest(operation="test", method="GET", path="/x")
    signer = TokenSigner(project_id="p", instance_id="i")
    signed = signer(request, endpoint="https://h:8", token="t1", now=NOW)
    assert signed.headers == {
        "Content-Type": "application/json",
        "X-Project-Id": "p",
        "Instance-Id": "i",
        "Host": "h:8",
        "X-Auth-Token": "t1",
    }
    assert signer(request, endpoint="https://h", token=None, now=NOW).headers["X-Auth-Token"] == ""
    ready = TokenSigner(project_id="p", ready_token=Secret("t0"))
    assert ready(request, endpoint="https://h", token="t1", now=NOW).headers["X-Auth-Token"] == "t0"
    assert "t0" not in repr(ready)
    assert unsigned(request, endpoint="https://h", token="t1", now=NOW) is request


def test_the_date_is_utc() -> None:
    """A time of another zone is converted, and cut to the second."""
    assert sdk_date(NOW) == "20260102T030405Z"
    assert sdk_date(NOW.astimezone(timezone(timedelta(hours=8)))) == "20260102T030405Z"


@given(st.text(min_size=1, max_size=30).filter(str.isascii), st.text(max_size=40))
def test_key_derivation_is_hkdf(access_key: str, secret_key: str) -> None:
    """The derived key is HKDF with SHA-256, as another implementation computes it, in hexadecimal."""
    scope = credential_scope(DATE, REGION)
    oracle = HKDF(algorithm=SHA256(), length=32, salt=access_key.encode(), info=scope.encode())
    assert derived_key(access_key, secret_key, scope).decode() == oracle.derive(secret_key.encode()).hex()


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_the_signed_query_is_that_of_the_wire_in_another_order(pairs: list[tuple[str, str]]) -> None:
    """Whatever the values, the signed query decodes to the pairs of the wire, sorted."""
    decoded = parse_qsl(canonical_query(pairs), keep_blank_values=True)
    assert decoded == sorted(pairs)
    assert sorted(parse_qsl(encode_query(pairs), keep_blank_values=True)) == decoded
