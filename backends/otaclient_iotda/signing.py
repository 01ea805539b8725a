"""Request signatures, plain (``SDK-HMAC-SHA256``) and derived (``V11-HMAC-SHA256``), as functions of values.

Sources: Huawei Cloud API Gateway, "API Signing Guide"; Huawei Cloud IoTDA, "Authentication".
"""

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote

import attrs

from otaclient.secret import Revealed, Secret, last_characters
from otaclient.transport.http import HttpRequest, encode_query
from otaclient_iotda.config import host_of

__all__ = [
    "DERIVED_ALGORITHM",
    "PLAIN_ALGORITHM",
    "KeySigner",
    "TokenSigner",
    "canonical_query",
    "canonical_request",
    "canonical_uri",
    "credential_scope",
    "derived_key",
    "sdk_date",
    "signature",
    "unsigned",
]

PLAIN_ALGORITHM: Final = "SDK-HMAC-SHA256"
DERIVED_ALGORITHM: Final = "V11-HMAC-SHA256"
# The name under which derived signatures know IoTDA.
_SERVICE: Final = "iotdm"
_JSON: Final = "application/json"
_HASHED_CONTENT: Final = (_JSON, "application/bson")
_UNSIGNED_PAYLOAD: Final = "UNSIGNED-PAYLOAD"
_CONTENT_HASH_HEADER: Final = "X-Sdk-Content-Sha256"
_EMPTY_HASH: Final = hashlib.sha256(b"").hexdigest()


@lru_cache(maxsize=256)
def canonical_uri(path: str) -> str:
    """Return the path as it is signed: decoded whole, encoded anew by segment, with a ``/`` at its end.

    An encoded slash thereby becomes a real one.
    """
    uri = quote(unquote(path), safe="/-._~")
    return uri if uri.endswith("/") else f"{uri}/"


def canonical_query(pairs: Iterable[tuple[str, str]]) -> str:
    """Return the query as it is signed: sorted by name and value before they are encoded."""
    return encode_query(sorted(pairs))


def canonical_request(request: HttpRequest, headers: Mapping[str, str]) -> tuple[str, str]:
    """Return the text whose hash is signed, and the names of the signed headers.

    Signed are all of ``headers``, which are those that will be sent, but the ones with an underscore in their name.
    """
    order, names = _signed_order(tuple(headers))
    lines = "".join([f"{lowered}:{headers[name].strip()}\n" for lowered, name in order])
    text = (
        f"{request.method}\n{canonical_uri(request.path)}\n{canonical_query(request.query)}\n"
        f"{lines}\n{names}\n{_payload_hash(request.body, headers)}"
    )
    return text, names


# The requests of one client have few different sets of headers.
@lru_cache(maxsize=64)
def _signed_order(names: tuple[str, ...]) -> tuple[tuple[tuple[str, str], ...], str]:
    order = tuple(sorted((name.lower(), name) for name in names if "_" not in name))
    return order, ";".join([lowered for lowered, _ in order])


def sdk_date(now: datetime) -> str:
    """Return an aware time as ``X-Sdk-Date`` has it, such as ``20260102T030405Z``."""
    return _date_of_second(math.floor(now.timestamp()))


# Some thousand requests may go out in one second.
@lru_cache(maxsize=8)
def _date_of_second(epoch_seconds: int) -> str:
    return datetime.fromtimestamp(epoch_seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def credential_scope(date: str, region: str) -> str:
    """Return what a derived key is good for: a day, a region and this service."""
    return f"{date[:8]}/{region}/{_SERVICE}"


def derived_key(access_key: str, secret_key: str, scope: str) -> bytes:
    """Return the key of derived signatures for one scope.

    It is HKDF with SHA-256 (salt: access key, input: secret key), and signs with the hexadecimal text of the 32 bytes,
    not with the bytes.
    """
    extracted = hmac.digest(access_key.encode(), secret_key.encode(), "sha256")
    return hmac.digest(extracted, scope.encode() + b"\x01", "sha256").hex().encode()


def signature(key: bytes, head: Sequence[str], canonical: str) -> str:
    """Return the signature of a canonical request; ``head`` is the algorithm, the date and, derived, the scope."""
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.digest(key, "\n".join((*head, hashed)).encode(), "sha256").hex()


@attrs.define(kw_only=True, eq=False)
class KeySigner:
    """Signs with an access key: plainly, or derived where it has a region."""

    access_key: str = attrs.field(repr=last_characters)
    secret_key: Secret
    security_token: Secret | None = None
    region: str | None = None
    """The region of derived signatures; ``None`` for plain ones."""
    project_id: str
    instance_id: str | None = None
    _day_key: tuple[str, bytes] = attrs.field(default=("", b""), init=False, repr=False)

    def __call__(
        self,
        request: HttpRequest,
        /,
        *,
        endpoint: str,
        token: str | None,  # noqa: ARG002 - belongs to the signer's protocol
        now: datetime,
    ) -> HttpRequest:
        """Return the request with its date, its signature, and the other headers that the vendor wants."""
        date = sdk_date(now)
        headers = _common_headers(request, endpoint, self.project_id, self.instance_id)
        headers["X-Sdk-Date"] = date
        if self.security_token is not None:
            headers["X-Security-Token"] = self.security_token.reveal()
        if not headers["Content-Type"].startswith(_HASHED_CONTENT):
            headers[_CONTENT_HASH_HEADER] = _UNSIGNED_PAYLOAD
        headers["Authorization"] = Revealed(self._authorization(request, headers, date))
        return request.with_headers(headers)

    def _authorization(self, request: HttpRequest, headers: Mapping[str, str], date: str) -> str:
        canonical, names = canonical_request(request, headers)
        if self.region is None:
            signed = signature(self.secret_key.reveal().encode(), (PLAIN_ALGORITHM, date), canonical)
            return f"{PLAIN_ALGORITHM} Access={self.access_key}, SignedHeaders={names}, Signature={signed}"
        scope = credential_scope(date, self.region)
        signed = signature(self._key_of(scope), (DERIVED_ALGORITHM, date, scope), canonical)
        return f"{DERIVED_ALGORITHM} Credential={self.access_key}/{scope}, SignedHeaders={names}, Signature={signed}"

    def _key_of(self, scope: str) -> bytes:
        if self._day_key[0] != scope:
            self._day_key = (scope, derived_key(self.access_key, self.secret_key.reveal(), scope))
        return self._day_key[1]


@attrs.frozen(kw_only=True, eq=False)
class TokenSigner:
    """Adds an IAM token: the ready one it was given, else the one that the client keeps fresh."""

    project_id: str
    instance_id: str | None = None
    ready_token: Secret | None = None

    def __call__(
        self,
        request: HttpRequest,
        /,
        *,
        endpoint: str,
        token: str | None,
        now: datetime,  # noqa: ARG002 - belongs to the signer's protocol
    ) -> HttpRequest:
        """Return the request with the token and the other headers that the vendor wants."""
        headers = _common_headers(request, endpoint, self.project_id, self.instance_id)
        headers["X-Auth-Token"] = self.ready_token.reveal() if self.ready_token is not None else token or ""
        return request.with_headers(headers)


def unsigned(
    request: HttpRequest,
    /,
    *,
    endpoint: str,  # noqa: ARG001 - belongs to the signer's protocol
    token: str | None,  # noqa: ARG001 - belongs to the signer's protocol
    now: datetime,  # noqa: ARG001 - belongs to the signer's protocol
) -> HttpRequest:
    """Return the request as it is: whoever asks for a token has nothing to sign with."""
    return request


def _common_headers(request: HttpRequest, endpoint: str, project_id: str, instance_id: str | None) -> dict[str, str]:
    headers = {"Content-Type": _JSON, "X-Project-Id": project_id}
    if instance_id is not None:
        headers["Instance-Id"] = instance_id
    headers.update(request.headers)
    # Said outright, so that what is sent is what was signed, whatever the transport thinks of default ports.
    headers["Host"] = host_of(endpoint)
    return headers


def _payload_hash(body: bytes, headers: Mapping[str, str]) -> str:
    if not body:
        return _EMPTY_HASH
    if headers.get(_CONTENT_HASH_HEADER) == _UNSIGNED_PAYLOAD:
        return _UNSIGNED_PAYLOAD
    return hashlib.sha256(body).hexdigest()
