"""What went wrong with a request, and what helps.

The service puts its own ``code`` into every body (0 is success), and which HTTP status goes with it is not documented:
so the envelope is read first and the HTTP status second.

Sources: EnOS "Common Error Codes" and the error tables of the Connection Service's OTA pages; EnOS API Management, "Get
Access Token", "Invoking API with Access Token", "Exception Handling".
"""

from collections.abc import Mapping
from typing import Any, Final

import attrs
import msgspec

from otaclient.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidQueryError,
    NotFoundError,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from otaclient.structuring import decode_json
from otaclient.transport.http import HttpRequest, HttpResponse, excerpt_of, with_advice
from otaclient.transport.retry import Failure, Remedy
from otaclient.transport.statuses import failure_of, passes, redirected

__all__ = ["classify", "classify_token", "whole_number"]


# --- the tables ------------------------------------------------------------------------------------------------------


@attrs.frozen
class _Meaning:
    """What a failure is, what helps, and what to tell people."""

    error: type[ApiError]
    remedy: Remedy = Remedy.RAISE
    advice: str = ""


_NOT_FOUND: Final = _Meaning(NotFoundError, advice="check the identifier and the organisation")
_BROKEN: Final = _Meaning(ServerError, Remedy.REPEAT)
_BROKEN_FOR_GOOD: Final = _Meaning(ServerError)
_CONFLICT: Final = _Meaning(ConflictError)
_DEAD_TOKEN: Final = _Meaning(AuthenticationError, Remedy.RENEW_TOKEN)
_UNKNOWN: Final = _Meaning(ApiError)

_CODES: Final[Mapping[int, _Meaning]] = {
    24404: _NOT_FOUND,
    24500: _BROKEN,
    24601: _Meaning(ConflictError, advice="the product has a firmware of this version already"),
    24602: _Meaning(ConflictError, advice="the product has a firmware of this name already"),
    # One creation at a time: refused before it was executed, so that a later attempt is safe.
    24603: _Meaning(ConflictError, Remedy.REPEAT_REJECTED),
    24604: _Meaning(ConflictError, advice="is a job still using it? Stop and delete that job first"),
    24615: _CONFLICT,
    24616: _CONFLICT,
    24617: _Meaning(ConflictError, advice="start the job first"),
    24618: _Meaning(ConflictError, advice="stop the job first"),
    24620: _Meaning(ConflictError, advice="a device that has begun to upgrade cannot be stopped any more"),
    24621: _Meaning(ConflictError, advice="only a device that failed or was cancelled can be tried again"),
    99400: _Meaning(InvalidQueryError),
    99403: _Meaning(PermissionDeniedError, advice="check org_id, and the rights of the application or service account"),
    99404: _NOT_FOUND,
    99500: _BROKEN,
}
_TOKEN_CODES: Final[Mapping[int, _Meaning]] = {
    # The request was refused unread; the next attempt has a timestamp of its own.
    1001: _Meaning(AuthenticationError, Remedy.REPEAT_REJECTED),
    1002: _Meaning(
        AuthenticationError, advice="there is no such app_key: check it, and that the endpoint is its region's"
    ),
    1003: _Meaning(AuthenticationError, advice="app_secret does not belong to app_key: check both"),
    1004: _Meaning(AuthenticationError, advice="check app_key and app_secret"),
    1005: _BROKEN,
    1202: _Meaning(AuthenticationError, advice="check app_key and app_secret"),
    1203: _DEAD_TOKEN,
    1204: _Meaning(AuthenticationError),
    4011: _DEAD_TOKEN,
    4012: _DEAD_TOKEN,
}
_GATEWAY: Final[Mapping[int, _Meaning]] = {
    400: _Meaning(InvalidQueryError),
    # How the gateway reports a token that it does not know is not documented: get another one, once, before giving up.
    401: _Meaning(AuthenticationError, Remedy.RENEW_TOKEN, "check app_key and app_secret, and this machine's clock"),
    403: _Meaning(PermissionDeniedError, advice="is this machine's address allowed at the gateway?"),
    # Not NotFoundError: the service has a code of its own for a firmware or job that does not exist.
    404: _Meaning(ApiError, advice="the gateway has no such API: check endpoint and api_version"),
    # This and those from 497 on are codes of the older gateway, in its own envelope.
    409: _CONFLICT,
    413: _Meaning(InvalidQueryError, advice="the request is too large: shorten its lists, or give a smaller file"),
    429: _Meaning(RateLimitedError, Remedy.SLOW_DOWN),
    497: _Meaning(AuthenticationError, advice="check app_secret, and this machine's clock"),
    498: _Meaning(PermissionDeniedError, advice="check the rights of the application"),
}


def _meaning_of_status(status: int) -> _Meaning:
    if status >= 500:
        return _BROKEN if passes(status) else _BROKEN_FOR_GOOD
    return _GATEWAY.get(status, _UNKNOWN)


# --- the envelope ----------------------------------------------------------------------------------------------------


class _Envelope(msgspec.Struct, rename="camel"):
    """What an answer says about itself. ``data`` is not among it: it is skipped, which makes this cheap."""

    code: Any = None
    status: Any = None
    stauts: Any = None  # the token service's published sample misspells it
    apim_status: Any = msgspec.field(default=None, name="apim_status")
    msg: Any = None
    message: Any = None
    request_id: Any = None

    def words(self) -> str | None:
        """Return the vendor's own words."""
        return next((text for text in (self.msg, self.message) if isinstance(text, str) and text.strip()), None)


_envelopes: Final = msgspec.json.Decoder(_Envelope)


def _envelope_of(response: HttpResponse) -> _Envelope | None:
    """Return the envelope, or ``None`` where the body is no JSON object."""
    try:
        return _envelopes.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def whole_number(value: Any) -> int | None:
    """Return a number that may come as text, or ``None`` for anything else."""
    if isinstance(value, str):
        text = value.strip()
        # Longer texts are no number that means anything here, and Python refuses to read very long ones.
        return int(text) if text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 20 else None
    return value if type(value) is int else None


# --- classification --------------------------------------------------------------------------------------------------


# How the service's good answers begin. A long page is not searched to its end for the code and then read once more:
# whoever reads it notices if it is broken.
_GOOD_BEGINNING: Final = b'{"code":0,'
_LONG_BYTES: Final = 4096


def classify(request: HttpRequest, response: HttpResponse) -> Failure | None:
    """Return what went wrong with a business request, or ``None`` for a good answer."""
    if len(response.body) > _LONG_BYTES and response.body.startswith(_GOOD_BEGINNING):
        return None
    envelope = _envelope_of(response)
    if envelope is None:
        return _classify_without_code(request, response, None)
    code = whole_number(envelope.code)
    if code == 0:
        return None
    if code is None:
        # Which key carries an expired token is not documented; the gateway's own ones are taken as well.
        carried = next(filter(None, map(whole_number, (envelope.apim_status, envelope.status))), None)
        if carried is None or not _is_failure(carried, response.status):
            return _classify_without_code(request, response, envelope)
        code = carried
    return _failure(request, response, _meaning_of_code(code, response.status), envelope, code=code)


def _is_failure(carried: int, status: int) -> bool:
    """Tell whether a number in ``status`` is a failure's code; frameworks repeat the HTTP status there, too."""
    return carried in _TOKEN_CODES or (status < 300 and carried >= 400)


def classify_token(request: HttpRequest, response: HttpResponse) -> Failure | None:
    """Return what went wrong with a token request, or ``None`` for an answer that should hold a token.

    No failure carries an excerpt: the body may hold a token.
    """
    envelope = _envelope_of(response)
    numbers = () if envelope is None else (envelope.status, envelope.stauts, envelope.code)
    code = next((number for number in map(whole_number, numbers) if number is not None), None)
    if code == 0 or (code is None and 200 <= response.status < 300):
        return None
    meaning = _meaning_of_status(response.status) if code is None else _meaning_of_code(code, response.status)
    if meaning.remedy is Remedy.RENEW_TOKEN:
        meaning = attrs.evolve(meaning, remedy=Remedy.RAISE)
    if code is None and 300 <= response.status < 400:
        return Failure(error=redirected(response))
    return _failure(request, response, meaning, envelope, code=code)


def _meaning_of_code(code: int, status: int) -> _Meaning:
    """Return what a code means; the HTTP status is asked where the code is not a documented one."""
    known = _CODES.get(code) or _TOKEN_CODES.get(code)
    if known is not None:
        return known
    if status >= 400:
        return _meaning_of_status(status)
    return _meaning_of_status(code) if 400 <= code < 600 else _UNKNOWN


def _classify_without_code(request: HttpRequest, response: HttpResponse, envelope: _Envelope | None) -> Failure:
    """Classify an answer that the service itself did not write: one of the gateway, or of something before it."""
    if 300 <= response.status < 400:
        return Failure(error=redirected(response))
    if response.status >= 400:
        return _failure(request, response, _meaning_of_status(response.status), envelope, code=None)
    # A good status without the envelope says nothing of what became of a write; the session then says just that.
    remedy = Remedy.RAISE if request.idempotent else Remedy.REPEAT
    try:
        decode_json(request, response)
    except PayloadError as error:
        return Failure(error=error, remedy=remedy)
    return Failure(
        error=PayloadError(
            "the answer is JSON, but not an object with a code, as every answer of EnOS is: check endpoint",
            operation=request.operation,
            status=response.status,
            excerpt=excerpt_of(response.body),
        ),
        remedy=remedy,
    )


def _failure(
    request: HttpRequest, response: HttpResponse, meaning: _Meaning, envelope: _Envelope | None, *, code: int | None
) -> Failure:
    words = None if envelope is None else envelope.words()
    request_id = None if envelope is None else envelope.request_id
    failure = failure_of(
        meaning.error,
        _message(request, response, meaning, words),
        response,
        vendor_code=None if code is None else str(code),
        vendor_message=words,
        request_id=request_id if isinstance(request_id, str) else None,
    )
    return attrs.evolve(failure, remedy=meaning.remedy)


def _message(request: HttpRequest, response: HttpResponse, meaning: _Meaning, words: str | None) -> str:
    said = (
        f"EnOS says {' '.join(words.split())!r}" if words else f"HTTP status {response.status} without an explanation"
    )
    return with_advice(f"{request.subject or 'the request'}: {said}", meaning.advice)
