"""What a status means where the vendor does not say more."""

import pytest

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
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import Remedy
from otaclient.transport.statuses import advised_wait, failure_of_status

REQUEST = HttpRequest(operation="jobs.get", method="GET", path="/j", subject="job 'j'")
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("status", "error", "remedy"),
    [
        (302, ApiError, Remedy.RAISE),
        (400, InvalidQueryError, Remedy.RAISE),
        (401, AuthenticationError, Remedy.RAISE),
        (403, PermissionDeniedError, Remedy.RAISE),
        (404, NotFoundError, Remedy.RAISE),
        (409, ConflictError, Remedy.RAISE),
        (413, InvalidQueryError, Remedy.RAISE),
        (414, InvalidQueryError, Remedy.RAISE),
        (494, InvalidQueryError, Remedy.RAISE),
        (418, ApiError, Remedy.RAISE),
        (429, RateLimitedError, Remedy.SLOW_DOWN),
        (500, ServerError, Remedy.REPEAT),
        (501, ServerError, Remedy.RAISE),
        (502, ServerError, Remedy.REPEAT),
        (503, ServerError, Remedy.REPEAT),
        (504, ServerError, Remedy.REPEAT),
        (505, ServerError, Remedy.RAISE),
        # Of gateways: what became of a write behind one is not known.
        (522, ServerError, Remedy.REPEAT),
        (524, ServerError, Remedy.REPEAT),
    ],
)
def test_each_status_has_its_error_and_its_remedy(status: int, error: type[ApiError], remedy: Remedy) -> None:
    """The error carries what the vendor said of it."""
    response = HttpResponse(status=status, headers={"retry-after": "7"})
    failure = failure_of_status(REQUEST, response, code="E1", message="no", request_id="r-1")
    assert failure is not None
    assert (type(failure.error), failure.remedy) == (error, remedy)
    assert failure.error.status == status
    assert failure.retry_after_seconds == (7.0 if status == 429 or status >= 500 else None)
    if status >= 400:
        assert (failure.error.vendor_code, failure.error.vendor_message, failure.error.request_id) == (
            "E1",
            "no",
            "r-1",
        )
        assert str(failure.error).startswith("job 'j': ")
        assert ": no" in str(failure.error)


def test_a_good_status_is_no_failure() -> None:
    """Whatever the body."""
    assert failure_of_status(REQUEST, HttpResponse(status=204)) is None


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://user:pass@other.example/x", "to other.example"),
        ("", "to another address"),
        ("http://[", "to another address"),
        ("/relative", "to another address"),
    ],
)
def test_a_redirect_says_where_it_leads(location: str, words: str) -> None:
    """The host, and nothing that may be secret."""
    failure = failure_of_status(REQUEST, HttpResponse(status=307, headers={"location": location}))
    assert failure is not None
    assert words in str(failure.error)
    assert "pass" not in str(failure.error)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "soon", "date": DATE}, None),
        ({"retry-after": "3", "date": DATE}, 3.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": DATE}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 -0000"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2026 07:27:30 GMT", "date": DATE}, 0.0),
    ],
)
def test_dates_are_meant_by_the_vendors_clock(headers: dict[str, str], wait: float | None) -> None:
    """And mean nothing without it."""
    assert advised_wait(HttpResponse(status=429, headers=headers)) == wait
