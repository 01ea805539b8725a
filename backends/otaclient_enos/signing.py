"""Proof of who asks, as pure functions: the digest of a token request and the signature of a business request.

Sources: EnOS API Management, "Get Access Token", "Refresh Access Token"; "Invoking API with Access Token".
"""

import hashlib
import threading
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

import attrs

from otaclient.secret import Revealed, Secret, last_characters
from otaclient.structuring import encode_json
from otaclient.transport.http import HttpRequest

__all__ = ["EnosSigner", "TokenSigner", "encryption_of", "epoch_ms", "signature_of", "unused_timestamp_ms"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


def epoch_ms(instant: datetime) -> int:
    """Return the whole milliseconds since 1970 of an aware instant."""
    return (instant - _EPOCH) // _MILLISECOND


def encryption_of(*, app_key: str, app_secret: str, timestamp_ms: int) -> str:
    """Return the ``encryption`` of a token request, for ``get`` and for ``refresh`` alike."""
    return hashlib.sha256(f"{app_key}{timestamp_ms}{app_secret}".encode()).hexdigest()


def signature_of(
    *, token: str, query: tuple[tuple[str, str], ...], body: bytes, timestamp_ms: int, app_secret: str
) -> str:
    """Return the ``apim-signature`` of a business request.

    Args:
        token: The access token.
        query: The decoded query parameters, each name once, in any order.
        body: The exact bytes of a JSON body; empty without one, and for a multipart body, which is not signed.
        timestamp_ms: The ``apim-timestamp``.
        app_secret: The application's secret.
    """
    signed = f"{token}{_parameters(query)}".encode() + body + f"{timestamp_ms}{app_secret}".encode()
    return Revealed(hashlib.sha256(signed).hexdigest())


# All pages of a listing have the same query: what is asked differs in the body.
@lru_cache(maxsize=256)
def _parameters(query: tuple[tuple[str, str], ...]) -> str:
    # Upper case sorts before lower case, as the vendor has it, because Python compares code points.
    return "".join(name + value for name, value in sorted(query))


@attrs.frozen
class EnosSigner:
    """Signs business requests with the access token and the application's secret."""

    app_secret: Secret

    def __call__(self, request: HttpRequest, /, *, endpoint: str, token: str | None, now: datetime) -> HttpRequest:  # noqa: ARG002
        """Return the request with token, timestamp and signature; the endpoint is not signed."""
        assert token is not None, "EnOS requests need an access token"
        timestamp_ms = epoch_ms(now)
        signature = signature_of(
            token=token,
            query=request.query,
            body=b"" if _is_multipart(request) else request.body,
            timestamp_ms=timestamp_ms,
            app_secret=self.app_secret.reveal(),
        )
        return request.with_headers(
            {"apim-accesstoken": token, "apim-signature": signature, "apim-timestamp": str(timestamp_ms)}
        )


def _is_multipart(request: HttpRequest) -> bool:
    return request.headers.get("Content-Type", "").lower().startswith("multipart/")


@attrs.frozen(kw_only=True)
class TokenSigner:
    """Writes the body of a token request anew for each attempt: no ``encryption`` is accepted twice."""

    app_key: str = attrs.field(repr=last_characters)
    app_secret: Secret
    old_token: str | None = attrs.field(default=None, repr=False)
    """The token to refresh; ``None`` to get one."""

    def __call__(self, request: HttpRequest, /, *, endpoint: str, token: str | None, now: datetime) -> HttpRequest:  # noqa: ARG002
        """Return the request with a body that no earlier attempt had; ``endpoint`` and ``token`` play no part."""
        timestamp_ms = unused_timestamp_ms(self.app_key, now)
        encryption = encryption_of(app_key=self.app_key, app_secret=self.app_secret.reveal(), timestamp_ms=timestamp_ms)
        fields = {"appKey": self.app_key, "encryption": encryption, "timestamp": timestamp_ms}
        if self.old_token is not None:
            fields["accessToken"] = self.old_token
        return attrs.evolve(request, body=encode_json(fields))


# Process-wide, because the service remembers encryptions by application: two clients of one application, perhaps on two
# event loops in two threads, must not send the same one either.
_last_timestamp_ms: Final[dict[str, int]] = {}
_last_timestamp_lock: Final = threading.Lock()
# A clock that goes back by more was put right: the time must not stay wrong for its sake. A digest that was used before
# is then most unlikely, and refused with code 1001, after which there is another attempt.
_SET_BACK_MS: Final = 60_000


def unused_timestamp_ms(app_key: str, now: datetime) -> int:
    """Return the time in milliseconds, moved on where this process has used it, or a later one, for the application.

    A later one counts only if it is less than a minute later.
    """
    wanted = epoch_ms(now)
    with _last_timestamp_lock:
        last_ms = _last_timestamp_ms.get(app_key, wanted - 1)
        timestamp_ms = wanted if last_ms - wanted > _SET_BACK_MS else max(wanted, last_ms + 1)
        _last_timestamp_ms[app_key] = timestamp_ms
    return timestamp_ms
