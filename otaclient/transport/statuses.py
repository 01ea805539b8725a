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

__all__ = ["advised_wait", "failure_of_status", "redirected"]

_KINDS: Final[Mapping[int, tuple[type[ApiError], str]]] = {
    400: (InvalidQueryError, "the vendor cannot use the request"),
    401: (AuthenticationError, "the vendor does not accept the credentials"),
    403: (PermissionDeniedError, "the vendor does not allow it"),
    404: (NotFoundError, "there is no such thing"),
    409: (ConflictError, "the state of things does not allow it"),
    413: (InvalidQueryError, "the request is too large"),
    429: (RateLimitedError, "the vendor throttles"),
}
_REPEATABLE: Final = frozenset({500, 502, 503, 504})


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
    facts: dict[str, Any] = {
        "status": status,
        "vendor_code": code,
        "vendor_message": message,
        "request_id": request_id,
    }
    kind, words = _KINDS.get(status, (ApiError, "the vendor refused the request"))
    if status >= 500:
        kind, words = ServerError, "the vendor's service failed"
    text = f"{request.subject or 'the request'}: {words}" + (f": {message}" if message else "")
    if kind is not RateLimitedError and kind is not ServerError:
        return Failure(error=kind(text, **facts))
    advised = advised_wait(response)
    error = kind(text, retry_after_seconds=advised, **facts)
    if kind is RateLimitedError:
        return Failure(error=error, remedy=Remedy.SLOW_DOWN, retry_after_seconds=advised)
    remedy = Remedy.REPEAT if status in _REPEATABLE else Remedy.RAISE
    return Failure(error=error, remedy=remedy, retry_after_seconds=advised)


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
