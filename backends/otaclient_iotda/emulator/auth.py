"""Who may call the emulated service by signing: both request signatures.

Everything here is a function of values: the raw request target, the headers, the body bytes, the time. It is written
from the rules of the vendor's signature, apart from the client's signer, so that each can be checked against the
other.

Source: Huawei Cloud API Gateway, "API Signing Guide".
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal
from urllib.parse import quote, unquote

import attrs

from otaclient_iotda.emulator.refusals import UNAUTHORIZED, Refusal, unauthorized

__all__ = [
    "AccessKey",
    "Edition",
    "SignedRequest",
    "canonical_request",
    "derived_key",
    "verify_signature",
]

Edition = Literal["basic", "standard"]
"""``basic``: a shared endpoint, plain signatures. ``standard``: a dedicated endpoint, derived signatures."""

PLAIN_SCHEME: Final = "SDK-HMAC-SHA256"
DERIVED_SCHEME: Final = "V11-HMAC-SHA256"
DERIVED_SERVICE: Final = "iotdm"
UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
JSON_CONTENT_TYPES: Final = ("application/json", "application/bson")

# The vendor is known to allow "about 15 minutes" between the clocks; the exact figure is our choice.
LARGEST_CLOCK_SKEW: Final = timedelta(minutes=15)

# Tails of the gateway's message. The first four are seen in the field; the vendor documents none of them, and for
# what has no known tail (a header that must be signed and is not, a date that is missing or too far off) the wording
# is our choice.
TAIL_BAD_SIGNATURE: Final = "verify aksk signature fail, canonicalRequest:{canonical}"
TAIL_UNKNOWN_KEY: Final = "Get secretKey failed,ak:{access_key},err:ak not exist"
TAIL_SECURITY_TOKEN: Final = "AK access failed"  # noqa: S105 - words about a token, no token
TAIL_UNREADABLE: Final = "authorization header or X-Sdk-Date is malformed"
TAIL_UNSIGNED_HEADER: Final = "SignedHeaders must include {name}"
TAIL_CLOCK_SKEW: Final = "X-Sdk-Date {date} is too far from the server's time {now}"

SERVICE_UNAUTHORIZED: Final = "IOTDA.000002"

_HEX_SIGNATURE = re.compile(r"[0-9a-f]{64}")
_SDK_DATE = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_SDK_DATE_FORMAT = "%Y%m%dT%H%M%SZ"


@attrs.frozen(kw_only=True)
class AccessKey:
    """The secret behind one access key; with a security token when the key is a temporary one."""

    secret_key: str = attrs.field(repr=False)
    security_token: str | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class SignedRequest:
    """What the caller sent, as it came: ``target`` as in the request line, ``headers`` looked up in lower case."""

    method: str
    target: str
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = b""


@attrs.frozen(kw_only=True)
class _Authorization:
    scheme: str
    access_key: str
    signed_headers: tuple[str, ...]
    signature: str


def _decode(text: str) -> str:
    # Bytes that are not UTF-8 stay distinguishable, so that a signature over them can only match itself.
    return unquote(text, errors="surrogateescape")


def _canonical_uri(path: str) -> str:
    uri = quote(_decode(path), safe="/-._~", errors="surrogateescape")
    return uri if uri.endswith("/") else f"{uri}/"


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs: list[tuple[str, str]] = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        pairs.append((_decode(name), _decode(value)))
    pairs.sort()
    quoted = (
        f"{quote(name, safe='-._~', errors='surrogateescape')}={quote(value, safe='-._~', errors='surrogateescape')}"
        for name, value in pairs
    )
    return "&".join(quoted)


def _payload_hash(request: SignedRequest) -> str:
    content_type = request.headers.get("content-type")
    unsigned = request.headers.get("x-sdk-content-sha256") == UNSIGNED_PAYLOAD
    if unsigned and request.body and content_type and not content_type.startswith(JSON_CONTENT_TYPES):
        return UNSIGNED_PAYLOAD
    return hashlib.sha256(request.body).hexdigest()


def canonical_request(request: SignedRequest, signed_headers: Sequence[str]) -> str:
    """Return the text that both schemes sign, computed from what arrived and the caller's own list of signed headers.

    The path is decoded as a whole before it is split, so an encoded slash counts as a real one. Inner blanks of a
    header value are kept, outer ones are not. A header that is listed and did not arrive counts as empty.
    """
    path, _, query = request.target.partition("?")
    lines = [request.method, _canonical_uri(path), _canonical_query(query)]
    names = sorted(signed_headers)
    lines += [f"{name}:{request.headers.get(name, '').strip()}" for name in names]
    lines += ["", ";".join(names), _payload_hash(request)]
    return "\n".join(lines)


@lru_cache(maxsize=64)
def derived_key(access_key: str, secret_key: str, info: str) -> str:
    """Return what signs for one key, day, region and service: HKDF with SHA-256, as 64 hexadecimal digits."""
    extracted = hmac.digest(access_key.encode(), secret_key.encode(), "sha256")
    return hmac.digest(extracted, info.encode() + b"\x01", "sha256").hex()


def _parse_authorization(value: str) -> _Authorization | None:
    scheme, _, rest = value.partition(" ")
    fields = {name: text for name, _, text in (part.partition("=") for part in rest.split(", "))}
    credential = fields.get("Access" if scheme == PLAIN_SCHEME else "Credential", "")
    signature = fields.get("Signature", "")
    signed_headers = tuple(fields.get("SignedHeaders", "").split(";"))
    if scheme not in (PLAIN_SCHEME, DERIVED_SCHEME) or not credential or not _HEX_SIGNATURE.fullmatch(signature):
        return None
    # A derived credential is `key/date/region/service`; what follows the key is computed here, never believed.
    access_key = credential if scheme == PLAIN_SCHEME else credential.partition("/")[0]
    return _Authorization(scheme=scheme, access_key=access_key, signed_headers=signed_headers, signature=signature)


def _parse_sdk_date(text: str) -> datetime | None:
    if not _SDK_DATE.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, _SDK_DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        return None


def _signature(authorization: _Authorization, key: AccessKey, *, date: str, region: str, canonical: str) -> str:
    hashed = hashlib.sha256(canonical.encode(errors="surrogateescape")).hexdigest()
    if authorization.scheme == PLAIN_SCHEME:
        text = f"{PLAIN_SCHEME}\n{date}\n{hashed}"
        return hmac.digest(key.secret_key.encode(), text.encode(), "sha256").hex()
    info = f"{date[:8]}/{region}/{DERIVED_SERVICE}"
    text = f"{DERIVED_SCHEME}\n{date}\n{info}\n{hashed}"
    signing_key = derived_key(authorization.access_key, key.secret_key, info)
    return hmac.digest(signing_key.encode(), text.encode(), "sha256").hex()


def _unsigned_header(request: SignedRequest, signed_headers: Sequence[str]) -> str | None:
    required = ["host", "x-sdk-date"]
    required += [name for name in ("x-security-token", "x-sdk-content-sha256") if name in request.headers]
    return next((name for name in required if name not in signed_headers), None)


def verify_signature(
    request: SignedRequest,
    *,
    keys: Mapping[str, AccessKey],
    region: str,
    now: datetime,
    edition: Edition | None = None,
) -> Refusal | None:
    """Return ``None`` for a request that is signed well, else what the gateway or the service answers.

    ``edition=None`` takes both schemes. A wrong signature is answered with the server's own canonical request,
    newlines as ``|``, as the vendor's gateway does.
    """
    authorization = _parse_authorization(request.headers.get("authorization", ""))
    signed_at = _parse_sdk_date(request.headers.get("x-sdk-date", "").strip())
    if authorization is None or signed_at is None:
        return unauthorized(TAIL_UNREADABLE)
    if refusal := _refuse_scheme(authorization.scheme, edition):
        return refusal
    key = keys.get(authorization.access_key)
    if key is None:
        return unauthorized(TAIL_UNKNOWN_KEY.format(access_key=authorization.access_key))
    return (
        _refuse_signature(request, authorization, key, region)
        or _refuse_security_token(request, key)
        or _refuse_skew(signed_at, now)
    )


def _refuse_scheme(scheme: str, edition: Edition | None) -> Refusal | None:
    if edition == "standard" and scheme == PLAIN_SCHEME:
        return Refusal(status=401, code=SERVICE_UNAUTHORIZED, message="Authentication failed.")
    if edition == "basic" and scheme == DERIVED_SCHEME:
        # What a shared endpoint says to a derived signature is not known; the gateway's general refusal is our choice.
        return UNAUTHORIZED
    return None


def _refuse_signature(
    request: SignedRequest, authorization: _Authorization, key: AccessKey, region: str
) -> Refusal | None:
    missing = _unsigned_header(request, authorization.signed_headers)
    if missing is not None:
        return unauthorized(TAIL_UNSIGNED_HEADER.format(name=missing))
    canonical = canonical_request(request, authorization.signed_headers)
    date = request.headers["x-sdk-date"].strip()
    expected = _signature(authorization, key, date=date, region=region, canonical=canonical)
    if hmac.compare_digest(expected, authorization.signature):
        return None
    echoed = canonical.replace("\n", "|").encode(errors="replace").decode()
    return unauthorized(TAIL_BAD_SIGNATURE.format(canonical=echoed))


def _refuse_security_token(request: SignedRequest, key: AccessKey) -> Refusal | None:
    if request.headers.get("x-security-token") == key.security_token:
        return None
    return unauthorized(TAIL_SECURITY_TOKEN)


def _refuse_skew(signed_at: datetime, now: datetime) -> Refusal | None:
    if abs(now - signed_at) <= LARGEST_CLOCK_SKEW:
        return None
    date, present = signed_at.strftime(_SDK_DATE_FORMAT), now.strftime(_SDK_DATE_FORMAT)
    return unauthorized(TAIL_CLOCK_SKEW.format(date=date, now=present))
