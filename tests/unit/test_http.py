"""Requests and responses as values."""

from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.transport.http import (
    HttpRequest,
    HttpResponse,
    encode_query,
    excerpt_of,
    http_date,
    retry_after_seconds,
    with_advice,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_queries_survive_encoding(pairs: list[tuple[str, str]]) -> None:
    """Any decoded pairs come back from the encoded query, and nothing but unreserved characters is on the wire."""
    try:
        for name, value in pairs:
            (name + value).encode()
    except UnicodeEncodeError:
        return  # a lone surrogate has no UTF-8 form
    encoded = encode_query(pairs)
    assert parse_qsl(encoded, keep_blank_values=True, strict_parsing=bool(pairs)) == pairs
    assert encoded.isascii()
    assert "+" not in encoded


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0),
        ("Fri, 02 Jan 2026 03:04:15 -0000", 10.0),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
        ("\u0667", None),  # a digit, but not one of HTTP's
        ("86400", 86_400.0),
        ("86401", None),
        ("9" * 400, None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", None),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    """Seconds and dates are understood; anything else is as if it were absent."""
    assert retry_after_seconds(HttpResponse(status=429, headers={"retry-after": header}), now=NOW) == seconds
    assert retry_after_seconds(HttpResponse(status=429), now=NOW) is None


def test_excerpts_are_short_and_on_one_line() -> None:
    """An excerpt fits an error message, whatever the bytes."""
    assert excerpt_of(b"<html>\n  <b>Bad\tGateway</b>") == "<html> <b>Bad Gateway</b>"
    assert excerpt_of(b" \n") == ""
    assert len(excerpt_of(b"\xff" * 10_000)) == 200


def test_headers_and_bodies_stay_out_of_the_representation() -> None:
    """Tokens and signatures are in headers, secrets in bodies: neither is shown."""
    request = HttpRequest(operation="o", method="GET", path="/", headers={"X": "secret"}, body=b"secret")
    response = HttpResponse(status=200, headers={"x": "secret"}, body=b"secret")
    assert "secret" not in repr(request) + repr(response)
    assert request.with_headers({"X": "2", "Y": "3"}).headers == {"X": "2", "Y": "3"}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "Mon, 32 Jan 2026 00:00:00 GMT",
        "Mon, 1 Jan 99999999999999999999 0:0:0 GMT",
        "1 Jan 2026 0:0:0 +9999",
    ],
)
def test_what_no_calendar_has_is_no_date(text: str) -> None:
    """Not even where the interpreter's own reader of dates fails in another way."""
    assert http_date(text) is None


def test_dates_without_a_zone_are_utc() -> None:
    """As HTTP has it."""
    assert http_date("Fri, 02 Jan 2026 03:04:05 -0000") == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("no.", "no; look"),
        ("no", "no; look"),
        ("they say 'no.'", "they say 'no'; look"),
        ("\u4e0d\u3002 ", "\u4e0d; look"),
        ("wait...", "wait...; look"),
        ("v1.2", "v1.2; look"),
    ],
)
def test_a_full_stop_does_not_stand_before_advice(message: str, expected: str) -> None:
    """A vendor's sentence goes on with what to do; without advice it stays as it is."""
    assert with_advice(message, "look") == expected
    assert with_advice(message, "") == with_advice(message, None) == message
