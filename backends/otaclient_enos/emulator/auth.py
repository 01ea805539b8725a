"""What the EnOS gateway checks: tokens of its token service, and the signature of every business request.

Written from the documentation alone, so that it is an independent judge of the client's signing.

Sources: EnOS API Management, "Get Access Token", "Refresh Access Token"; "Invoking API with Access Token".
"""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from enum import Enum, auto
from functools import lru_cache
from typing import Any, Final

import attrs

from otaclient.emulator import Clock
from otaclient_enos.emulator.requests import query_of

__all__ = ["TOKEN_LIFETIME_SECONDS", "Admission", "TokenFailure", "TokenGrant", "TokenIssuer", "signature_of"]

TOKEN_LIFETIME_SECONDS: Final = 7200

# Whether a token that was refreshed can be used until its own end. Not documented; the kinder choice, because requests
# that were signed with it may be on their way.
_REFRESH_KEEPS_OLD_TOKEN: Final = True
# How many used encryptions and tokens are remembered; the documentation names no limit.
_REMEMBERED: Final = 65_536

_REPEATED: Final = 1001
_UNKNOWN_APP_KEY: Final = 1002
_WRONG_ENCRYPTION: Final = 1003
_INVALID_PARAMETER: Final = 1004
_EMPTY_PARAMETER: Final = 1202
_REFRESH_FAILED: Final = 1204


class Admission(Enum):
    """What the gateway thinks of a business request."""

    GRANTED = auto()
    EXPIRED = auto()
    REFUSED = auto()


@attrs.frozen
class TokenGrant:
    """An access token, and how many seconds it has left."""

    token: str = attrs.field(repr=False)
    expire_seconds: int


@attrs.frozen
class TokenFailure:
    """Why there is no token: the token service's own number and words."""

    status: int
    message: str


class TokenIssuer:
    """The token service of one application."""

    def __init__(
        self, *, app_key: str, app_secret: str, clock: Clock, largest_skew_seconds: float | None = None
    ) -> None:
        self._app_key = app_key
        self._app_secret = app_secret
        self._clock = clock
        self._largest_skew_seconds = largest_skew_seconds
        self._used: OrderedDict[str, None] = OrderedDict()
        self._ends_at_ms: OrderedDict[str, int] = OrderedDict()
        self._current: str | None = None

    def get(self, fields: Mapping[str, Any]) -> TokenGrant | TokenFailure:
        """Answer ``token/get``: the same token until it expires."""
        failure = self._check(fields)
        if failure is not None:
            return failure
        if self._current is None or self._left_ms(self._current) <= 0:
            self._issue()
        return self._grant()

    def refresh(self, fields: Mapping[str, Any]) -> TokenGrant | TokenFailure:
        """Answer ``token/refresh``: a new token for one that is still good."""
        token = fields.get("accessToken")
        if _is_empty(token):
            return TokenFailure(_EMPTY_PARAMETER, "accessToken is empty")
        failure = self._check(fields)
        if failure is not None:
            return failure
        if not isinstance(token, str) or self._left_ms(token) <= 0:
            return TokenFailure(_REFRESH_FAILED, "failed to refresh the access token")
        if not _REFRESH_KEEPS_OLD_TOKEN:
            self._ends_at_ms[token] = self._clock.now_ms()
        self._issue()
        return self._grant()

    def expire(self) -> None:
        """Let every token issued so far be expired from now on."""
        now_ms = self._clock.now_ms()
        for token, end_ms in self._ends_at_ms.items():
            self._ends_at_ms[token] = min(end_ms, now_ms)

    def admits(self, headers: Mapping[str, str], query: str, body: bytes) -> Admission:
        """Judge the headers of a business request against its raw query string and the exact bytes of its body."""
        token = headers.get("apim-accesstoken", "")
        timestamp = headers.get("apim-timestamp", "")
        given = headers.get("apim-signature", "")
        if token not in self._ends_at_ms or not (timestamp.isascii() and timestamp.isdigit()):
            return Admission.REFUSED
        if self._is_skewed(timestamp):
            return Admission.REFUSED
        signed = b"" if headers.get("Content-Type", "").lower().startswith("multipart/") else body
        wanted = signature_of(token=token, query=query, body=signed, timestamp=timestamp, app_secret=self._app_secret)
        if not hmac.compare_digest(wanted.encode(), given.encode("utf-8", "surrogateescape")):
            return Admission.REFUSED
        return Admission.GRANTED if self._left_ms(token) > 0 else Admission.EXPIRED

    def admits_token(self, headers: Mapping[str, str]) -> Admission:
        """Judge the headers of a request to the files service, which takes the token alone."""
        token = headers.get("apim-accesstoken", "")
        if token not in self._ends_at_ms:
            return Admission.REFUSED
        return Admission.GRANTED if self._left_ms(token) > 0 else Admission.EXPIRED

    def _check(self, fields: Mapping[str, Any]) -> TokenFailure | None:
        for name in ("appKey", "encryption", "timestamp"):
            if _is_empty(fields.get(name)):
                return TokenFailure(_EMPTY_PARAMETER, f"{name} is empty")
        app_key, encryption, timestamp = fields["appKey"], fields["encryption"], fields["timestamp"]
        is_valid = isinstance(app_key, str) and isinstance(encryption, str) and _is_timestamp(timestamp)
        if not is_valid or self._is_skewed(timestamp):
            return TokenFailure(_INVALID_PARAMETER, "invalid parameter")
        if app_key != self._app_key:
            return TokenFailure(_UNKNOWN_APP_KEY, "appKey does not exist")
        wanted = hashlib.sha256(f"{app_key}{timestamp}{self._app_secret}".encode()).hexdigest()
        if not hmac.compare_digest(wanted.encode(), encryption.encode("utf-8", "surrogateescape")):
            return TokenFailure(_WRONG_ENCRYPTION, "encryption is not valid")
        if encryption in self._used:
            return TokenFailure(_REPEATED, "repeated request: the same encryption was used before")
        self._used[encryption] = None
        if len(self._used) > _REMEMBERED:
            self._used.popitem(last=False)
        return None

    def _is_skewed(self, timestamp: str | int) -> bool:
        # Neither how far a timestamp may be off is documented, nor what is said of one that is farther.
        largest = self._largest_skew_seconds
        return largest is not None and abs(int(timestamp) - self._clock.now_ms()) > largest * 1000

    def _issue(self) -> None:
        self._current = f"APP_PORTAL_S_{secrets.token_hex(16)}"
        self._ends_at_ms[self._current] = self._clock.now_ms() + TOKEN_LIFETIME_SECONDS * 1000
        if len(self._ends_at_ms) > _REMEMBERED:
            self._ends_at_ms.popitem(last=False)

    def _grant(self) -> TokenGrant:
        assert self._current is not None
        # The documentation names 7200 for a new token; for one that is asked for again, what is left is most likely.
        return TokenGrant(self._current, self._left_ms(self._current) // 1000)

    def _left_ms(self, token: str) -> int:
        return self._ends_at_ms.get(token, 0) - self._clock.now_ms()


def signature_of(*, token: str, query: str, body: bytes, timestamp: str, app_secret: str) -> str:
    """Return the signature that a request with this raw query string and body must carry.

    Of a parameter that is given twice the first value counts, as in the vendor's own code.
    """
    parts = (token.encode(), _listed(query), body, timestamp.encode(), app_secret.encode())
    return hashlib.sha256(b"".join(parts)).hexdigest()


@lru_cache(maxsize=1024)
def _listed(query: str) -> bytes:
    parameters = query_of(query)
    return "".join(name + parameters[name] for name in sorted(parameters)).encode()


def _is_empty(value: object) -> bool:
    return value is None or value == ""


def _is_timestamp(value: object) -> bool:
    # The vendor's samples send numbers as text in places, and its service reads them.
    if isinstance(value, str):
        return value.isascii() and value.isdigit()
    return type(value) is int and value >= 0
