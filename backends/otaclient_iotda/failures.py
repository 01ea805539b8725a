"""What went wrong with a request, and what helps.

The vendor's own table of codes is not public as a whole: the HTTP status decides, and the codes below refine it.

Sources: Huawei Cloud IoTDA API reference, "Error Codes" and "Status Codes"; Huawei Cloud API Gateway, "Error Codes".
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast, get_args

import attrs
import msgspec

from otaclient.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidQueryError,
    NotFoundError,
    PayloadError,
    RateLimitedError,
    ServerError,
)
from otaclient.transport.http import HttpRequest, HttpResponse, excerpt_of, with_advice
from otaclient.transport.retry import Failure, Remedy
from otaclient.transport.statuses import WORDS, failure_of, kind_of_status, redirected
from otaclient_iotda import wire
from otaclient_iotda.signing import DERIVED_ALGORITHM, PLAIN_ALGORITHM

__all__ = ["SECRET_BODIES", "classify", "excerpt", "redacted"]

# --- what a code or a status means -----------------------------------------------------------------------------------

_THROTTLED: Final = frozenset({"APIGW.0308", "IOTDA.021101", "IOTDA.021102"})
"""Rejected before execution, whatever the status: the rate limits of IoTDA answer 403."""

_BY_CODE: Final[Mapping[str, type[ApiError]]] = {
    # The gateway has no such API, with status 404: that says nothing of the thing that was asked for.
    "APIGW.0101": ApiError,
    "APIGW.0103": ApiError,
    "IOTDA.000004": AuthenticationError,  # an access token that is not valid: 403
    "IOTDA.014115": ConflictError,  # the device exists
    "IOTDA.014204": NotFoundError,  # the product does not exist
    "IOTDA.014602": ConflictError,  # a file of this name exists
}
_ADDRESS_ADVICE: Final = "check endpoint: this API is not there"
_SPACE_ADVICE: Final = "check the resource space (owner_id of the query, app_id of the configuration)"
_ADVICE: Final[Mapping[str, str]] = {
    "APIGW.0101": _ADDRESS_ADVICE,
    "APIGW.0103": _ADDRESS_ADVICE,
    "APIGW.0301": "check access_key, secret_key and security_token, and this machine's clock",
    "APIGW.0307": "the token is at its end, or endpoint is in another region",
    "IOTDA.000002": "check the credentials",
    "IOTDA.000021": "check the user's permission for IoTDA, and that endpoint is this instance's own: "
    "an instance with a dedicated endpoint cannot be reached through the shared one",
    "IOTDA.001000": _SPACE_ADVICE,
    "IOTDA.001002": _SPACE_ADVICE,
    "IOTDA.001005": "the user has several resource spaces: name one, "
    "as owner_id of the query or app_id of the configuration",
    "IOTDA.001006": _SPACE_ADVICE,
    "IOTDA.001007": _SPACE_ADVICE,
}
_PLAIN_ADVICE: Final = (
    "check the credentials; a dedicated endpoint answers so to plain signatures: for one, set derived to True "
    "(auth 'derived') and region"
)
_DERIVED_ADVICE: Final = (
    "check access_key, secret_key and region, and this machine's clock; a shared endpoint takes no derived signatures: "
    "for one, leave derived out (auth 'aksk')"
)
_READY_ADVICE: Final = (
    "a ready token cannot be renewed: obtain a new one, or give PasswordCredentials, which the client renews by itself"
)
_LOGIN_ADVICE: Final = "check username, password, domain and project"

SECRET_BODIES: Final = frozenset({"authenticate", "devices.get"})
"""Answers to these may hold secrets, a token's particulars or a device's password: their bodies are never shown."""
_SECRET_HEADERS: Final = ("X-Auth-Token", "X-Security-Token")
# The gateway's canonical request has one header after another, with `|` for the line end.
_SECRET_IN_TEXT: Final = re.compile(rf"({'|'.join(_SECRET_HEADERS)})(\s*:\s*)[^|\r\n]*", re.IGNORECASE)


@attrs.frozen(kw_only=True)
class _Envelope:
    """What an error's body says."""

    code: str | None = None
    message: str | None = None
    request_id: str | None = None


def classify(request: HttpRequest, response: HttpResponse, /, *, ready_token: bool = False) -> Failure | None:
    """Return what went wrong, or ``None`` for a good answer.

    Args:
        request: As it was signed; its headers say how.
        response: Any answer.
        ready_token: Whether the token was given ready, and so cannot be renewed.
    """
    if _is_foreign(request, response):
        return _not_answered(request, response)
    if 300 <= response.status < 400:
        return Failure(error=redirected(response))
    if response.status < 300 and not _may_be_error(response.body):
        return None
    envelope = _envelope(request, response)
    if response.status < 300 and envelope.code is None:
        return None
    return _refusal(request, response, envelope, ready_token=ready_token)


def _refusal(request: HttpRequest, response: HttpResponse, envelope: _Envelope, *, ready_token: bool) -> Failure:
    code = envelope.code or ""
    kind = _kind(request, response.status, code)
    # What passes by itself calls for no other token, and for nothing that the caller could change.
    passing = kind in {RateLimitedError, ServerError}
    dead_token = not passing and _is_dead_token(request, response.status, code)
    advice = _READY_ADVICE if dead_token and ready_token else None if passing else _advice(request, code)
    failure = failure_of(
        kind,
        _message(kind, request, response, envelope, advice),
        response,
        vendor_code=envelope.code,
        vendor_message=envelope.message,
        request_id=envelope.request_id,
    )
    return attrs.evolve(failure, remedy=Remedy.RENEW_TOKEN) if dead_token else failure


def _is_foreign(request: HttpRequest, response: HttpResponse) -> bool:
    """Tell whether a good status can come only from something before the service, which says nothing of a write.

    Who reads an answer notices by itself. But a deletion has none, and every page of a captive portal would do for one.
    """
    if response.status < 200:  # such as 101, after which no answer in HTTP follows
        return True
    if request.method != "DELETE" or response.status >= 300:
        return False
    return bool(response.body.strip()) and not isinstance(_json(response.body), dict)


def _not_answered(request: HttpRequest, response: HttpResponse) -> Failure:
    error = PayloadError(
        "the answer is none of IoTDA, whatever its status: check endpoint",
        excerpt=None if request.operation in SECRET_BODIES else excerpt(request, response),
        status=response.status,
        request_id=response.headers.get("x-request-id"),
    )
    return Failure(error=error, remedy=Remedy.RAISE if request.idempotent else Remedy.REPEAT)


def _kind(request: HttpRequest, status: int, code: str) -> type[ApiError]:
    if status == 429 or code in _THROTTLED:
        return RateLimitedError
    kind = kind_of_status(status)
    if kind is ServerError:
        return kind
    kind = _BY_CODE.get(code, kind)
    # What cannot be used, or is not found, in a login is the user's name, domain or project.
    is_login = request.operation == "authenticate"
    return AuthenticationError if is_login and kind in {InvalidQueryError, NotFoundError} else kind


def _is_dead_token(request: HttpRequest, status: int, code: str) -> bool:
    if "X-Auth-Token" not in request.headers:
        return False
    return code in {"APIGW.0307", "IOTDA.000004"} or (status == 401 and code == "APIGW.0301")


def _advice(request: HttpRequest, code: str) -> str | None:
    if request.operation == "authenticate":
        return _LOGIN_ADVICE
    signature = request.headers.get("Authorization", "")
    if code == "IOTDA.000002" and signature.startswith(PLAIN_ALGORITHM):
        return _PLAIN_ADVICE
    if code in {"APIGW.0301", "IOTDA.000002"} and signature.startswith(DERIVED_ALGORITHM):
        return _DERIVED_ADVICE
    return _ADVICE.get(code)


def _message(
    kind: type[ApiError], request: HttpRequest, response: HttpResponse, envelope: _Envelope, advice: str | None
) -> str:
    words = f"{request.subject or 'the request'}: {WORDS[kind]}"
    if kind is NotFoundError and request.idempotent and request.subject:
        words = f"there is no {request.subject}"
    said = envelope.message or (None if envelope.code else _said_otherwise(request, response))
    return with_advice(f"{words}: {said}" if said else words, advice)


def _said_otherwise(request: HttpRequest, response: HttpResponse) -> str | None:
    if request.operation in SECRET_BODIES:
        return None
    # A gateway in trouble answers in forms of its own; anybody else who does is probably not the vendor.
    remedy = "" if response.status >= 500 else " (check endpoint)"
    beginning = excerpt(request, response)
    seen = f"it begins {beginning!r}" if beginning else "it is empty"
    return f"the body is no error in the vendor's form{remedy}, {seen}"


# --- the shapes of an error ------------------------------------------------------------------------------------------

# In the order in which the vendor's own client looks for them, first at the top, then one level down.
_SHAPES: Final = (("error_code", "error_msg"), ("errorCode", "errorMsg"), ("code", "message"))
_ENCODED_MESSAGE: Final = "encoded_authorization_message"


def _good_keys() -> frozenset[str]:
    """Return what only a good answer holds at the top: the rows of a listing, or what a structure cannot do without."""
    structures = [cls for cls in vars(wire).values() if isinstance(cls, type) and attrs.has(cls)]
    needed = (field.name for cls in structures for field in attrs.fields(cls) if field.default is attrs.NOTHING)
    return frozenset((*get_args(wire.ListKey), *needed))


# Should another field of such an answer be called like one of an error, it is a good one all the same.
_GOOD_KEYS: Final = _good_keys()


def _may_be_error(body: bytes) -> bool:
    """Tell whether an answer with a good status has to be looked at: some calls report an error in a 200."""
    return b'"error' in body  # what every code's key begins with; once through a large page is enough


def _json(body: bytes) -> Any:
    """Return a body's JSON; ``None`` for what is none."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _envelope(request: HttpRequest, response: HttpResponse) -> _Envelope:
    header_id = response.headers.get("x-request-id")
    body = _json(response.body)
    if not isinstance(body, dict):
        return _Envelope(request_id=header_id)
    top = cast("dict[str, Any]", body)
    if response.status < 300 and not _GOOD_KEYS.isdisjoint(top):
        return _Envelope(request_id=header_id)
    levels = [top, *(cast("dict[str, Any]", value) for value in top.values() if isinstance(value, dict))]
    code, message = _code_and_message(levels)
    if message is None:
        message = next((text for level in levels if (text := _text(level.get(_ENCODED_MESSAGE)))), None)
    request_id = next((text for level in levels if (text := _text(level.get("request_id")))), header_id)
    return _Envelope(code=code, message=message and redacted(request, message), request_id=request_id)


def _code_and_message(levels: Sequence[Mapping[str, Any]]) -> tuple[str | None, str | None]:
    for level in levels:
        for code_key, message_key in _SHAPES:
            code, message = _text(level.get(code_key)), _text(level.get(message_key))
            if code is not None or message is not None:
                return code, message
    return None, None


def _text(value: Any) -> str | None:
    if type(value) is int:
        return str(value)
    return value if isinstance(value, str) and value else None


def redacted(request: HttpRequest, text: str) -> str:
    """Return a text of the vendor's without the tokens that it may echo, known by value or by header name."""
    for name in _SECRET_HEADERS:
        if secret := request.headers.get(name):
            text = text.replace(secret, "***")
    return _SECRET_IN_TEXT.sub(r"\1\2***", text)


def excerpt(request: HttpRequest, response: HttpResponse) -> str:
    """Return the beginning of a body for an error message, without the tokens that it may echo."""
    # Redacted before it is cut: half a secret would no longer be recognised.
    return excerpt_of(redacted(request, response.body.decode("utf-8", "replace")).encode())
