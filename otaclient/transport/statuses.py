"""What an HTTP status means where the vendor does not say more: the beginning of every backend's classification."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from otaclient.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidQueryError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from otaclient.transport.http import HttpRequest, HttpResponse, http_date, retry_after_seconds
from otaclient.transport.retry import Failure, Remedy

__all__ = ["WORDS", "advised_wait", "failure_of", "failure_of_status", "kind_of_status", "passes", "redirected"]

_KINDS: Final[Mapping[int, type[ApiError]]] = {
    400: InvalidQueryError,
    401: AuthenticationError,
    403: PermissionDeniedError,
    404: NotFoundError,
    409: ConflictError,
    413: InvalidQueryError,
    414: InvalidQueryError,
    429: RateLimitedError,
    494: InvalidQueryError,  # of nginx, and so of many a gateway: headers that are too large
}
WORDS: Final[Mapping[type[ApiError], str]] = {
    ApiError: "the vendor refused the request",
    AuthenticationError: "the vendor does not accept the credentials",
    ConflictError: "the state of things does not allow it",
    InvalidQueryError: "the vendor cannot use the request",
    NotFoundError: "there is no such thing",
    PermissionDeniedError: "the vendor does not allow it",
    RateLimitedError: "the vendor throttles",
    ServerError: "the vendor's service failed",
}
"""What each kind says, where the vendor says nothing."""

# What a server has not, or does not speak, it did not do, and will not do the next time.
_LASTING: Final = frozenset({501, 505})


def kind_of_status(status: int) -> type[ApiError]:
    """Return the kind of error that a status of a failure means."""
    return ServerError if status >= 500 else _KINDS.get(status, ApiError)


def passes(status: int) -> bool:
    """Tell whether a status says that the service, or what is before it, is in trouble that may pass.

    Of a write it says nothing: it may have been carried out. Gateways have statuses of their own beside the four that
    are standard, such as 522 and 524 of one that waited in vain.
    """
    return status >= 500 and status not in _LASTING


def failure_of(kind: type[ApiError], message: str, response: HttpResponse, **facts: Any) -> Failure:
    """Return the failure that an answer is, with what helps against it.

    Args:
        kind: What it is.
        message: What to say of it.
        response: The answer.
        facts: What else the error is to know: the vendor's code and words, the request id.
    """
    facts["status"] = response.status
    if kind is not RateLimitedError and kind is not ServerError:
        return Failure(error=kind(message, **facts))
    advised = advised_wait(response)
    error = kind(message, retry_after_seconds=advised, **facts)
    repeat = Remedy.REPEAT if passes(response.status) else Remedy.RAISE
    remedy = Remedy.SLOW_DOWN if kind is RateLimitedError else repeat
    return Failure(error=error, remedy=remedy, retry_after_seconds=advised)


def failure_of_status(
    request: HttpRequest,
    response: HttpResponse,
    *,
    code: str | None = None,
    message: str | None = None,
    request_id: str | None = None,
) -> Failure | None:
    """Return what a status says went wrong; ``None`` for a good one.

    Args:
        request: What was asked.
        response: The answer.
        code: The vendor's own code, where the answer has one.
        message: The vendor's own words.
        request_id: The vendor's name for the request.
    """
    status = response.status
    if status < 300:
        return None
    if status < 400:
        return Failure(error=redirected(response))
    kind = kind_of_status(status)
    text = f"{request.subject or 'the request'}: {WORDS[kind]}" + (f": {message}" if message else "")
    return failure_of(kind, text, response, vendor_code=code, vendor_message=message, request_id=request_id)


def advised_wait(response: HttpResponse) -> float | None:
    """Return the wait that ``Retry-After`` advises, in seconds; ``None`` without a usable one.

    A date is meant by the vendor's clock, which the answer's own date tells, and means nothing without it.
    """
    served_at = http_date(response.headers.get("date", ""))
    is_date = not response.headers.get("retry-after", "").strip().isdigit()
    if is_date and served_at is None:
        return None
    return retry_after_seconds(response, now=served_at or datetime.now(UTC))


def redirected(response: HttpResponse) -> ApiError:
    """Return the error of a redirect, which is never followed: it says where it leads, and what to do."""
    try:
        host = urlsplit(response.headers.get("location", "")).netloc.rpartition("@")[2]
    except ValueError:
        host = ""
    where = host or "another address"
    return ApiError(
        f"the endpoint redirects to {where}, and a signed request is not sent on: set endpoint to where the API is",
        status=response.status,
        request_id=response.headers.get("x-request-id"),
    )
