"""Good answers of IoTDA, and bad ones that look good: pages by their facts, objects, tokens."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import PayloadError
from otaclient.reads import PageFacts
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient_iotda import wire
from otaclient_iotda.failures import classify
from otaclient_iotda.responses import (
    page_facts,
    parse_device,
    parse_package,
    parse_rows,
    parse_task,
    parse_token,
)
from support.iotda_answers import TOKEN, failed, request, response

MARKER = "5c90fa7d3c4e4405e8525079"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


# --- pages -----------------------------------------------------------------------------------------------------------


def facts(body: Any, key: wire.ListKey = "devices") -> PageFacts:
    """Return the facts of a page."""
    return page_facts(request(), response(200, body), key)


@pytest.mark.parametrize("key", ["packages", "batchtasks", "devices"])
def test_facts(key: wire.ListKey) -> None:
    """Rows are counted, the marker is that of the page, the count is a hint."""
    page = {"count": 10, "marker": MARKER}
    assert facts({key: [{}, {}], "page": page}, key) == PageFacts(rows=2, total=10, marker=MARKER)
    assert facts({key: [{}], "page": {"count": "n/a", "marker": MARKER.upper()}}, key).total is None
    assert facts({key: [{}]}, key) == PageFacts(rows=1)
    assert facts({key: [{}], "page": None}, key) == PageFacts(rows=1)
    assert facts({key: [{}], "page": {"count": True}}, key) == PageFacts(rows=1)


@pytest.mark.parametrize(
    "body",
    [
        {"devices": [], "page": {"count": 10, "marker": None}},
        {"devices": [], "page": {"count": 10, "marker": ""}},
        {"devices": [], "page": {"count": 10, "marker": "whatever"}},
        {"devices": None, "page": {"count": 10}},
        {"page": {"count": 10}},
    ],
)
def test_empty_pages(body: Any) -> None:
    """No rows, null rows, or none at all beside a page object: an empty page, which has no marker."""
    assert facts(body) == PageFacts(rows=0, total=10, marker=None)
    assert parse_rows(request(), response(200, body), "devices", wire.Device) == ([], [])


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>hello</html>", b"[]", b"null", b"{}", b'{"devices":null}', b'{"packages":[]}', b'{"devices":7}',
     b'{"devices":[],"page":7}', b'{"devices":[{"device_id":"a"}', b'{"devices":[]} // done', b"\xff\xfe",
     b'{"devices":null,"page":null}', b'{"deep":' + b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_page_is_an_error(body: bytes) -> None:
    """HTML, nothing, another object or half of one is never an empty list: an error with status and excerpt."""
    for read in (lambda: facts(body), lambda: parse_rows(request(), response(200, body), "devices", wire.Device)):
        with pytest.raises(PayloadError) as caught:
            read()
        error = caught.value
        assert (error.status, error.operation) == (200, "devices.search")
        assert error.excerpt is not None
        assert (error.excerpt == "") is (body == b"")
        assert len(error.excerpt) <= 200
        if not body:
            assert "not JSON" in str(error)
            assert ": check endpoint" in str(error)
            assert str(error).endswith("; the body is empty")


@pytest.mark.parametrize("marker", ["zz", 7, MARKER + "0", [MARKER]])
def test_a_marker_that_cannot_be_one_is_an_error(marker: Any) -> None:
    """Going on from it would be refused, or would lose rows."""
    with pytest.raises(PayloadError, match="not 24 hexadecimal digits"):
        facts({"devices": [{}], "page": {"marker": marker}})


def test_rows_are_read_one_by_one() -> None:
    """A broken row is an error that says where; the others are good."""
    rows = [{"device_id": "a"}, {"device_id": 7}, {"status": "ONLINE"}, "text", {"device_id": "b", "fw_version": None}]
    good, errors = parse_rows(request(), response(200, {"devices": rows}), "devices", wire.Device)
    assert good == [wire.Device(device_id="a"), wire.Device(device_id="b")]
    problems = [problem for error in errors for problem in error.problems]
    assert [problem.partition(":")[0].split(" @ ")[-1] for problem in problems]
    assert len(errors) == 3
    assert "$.devices[1]" in str(errors[0])


def test_an_excerpt_shows_no_token() -> None:
    """A page that is none may echo headers."""
    with pytest.raises(PayloadError) as caught:
        page_facts(request(headers=TOKEN), response(200, b"<p>x-security-token: abc| the-token</p>"), "devices")
    assert caught.value.excerpt == "<p>x-security-token: ***| ***</p>"


# --- one thing -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parse", "body", "words"),
    [
        (parse_package, {"version": "1"}, "package_id"),
        (parse_package, {"package_id": None, "version": "1"}, "expected text, got null"),
        (parse_package, {"package_id": "p", "version": 1}, "got whole number"),
        (parse_task, {}, "batchtask"),
        (parse_task, {"batchtask": []}, "expected object, got array"),
        (parse_task, {"batchtask": {"task_id": "t", "need_confirm": "false"}}, "expected true or false"),
        (parse_device, [], "expected object"),
    ],
)
def test_objects_that_are_not_as_documented(parse: Any, body: Any, words: str) -> None:
    """What is missing or of another type is named; nothing is coerced."""
    with pytest.raises(PayloadError, match=words) as caught:
        parse(request("firmware.get"), response(200, body, x_request_id="h"))
    assert (caught.value.status, caught.value.request_id) == (200, "h")


def test_bodies_with_secrets_are_not_shown() -> None:
    """Half a device shows nothing of itself; half a package does."""
    half = b'{"device_id":"d","auth_info":{"secret":"very-secret'
    with pytest.raises(PayloadError) as caught:
        parse_device(request("devices.get"), response(200, half))
    assert caught.value.excerpt is None
    assert "very-secret" not in str(caught.value)
    with pytest.raises(PayloadError) as caught:
        parse_package(request("firmware.get"), response(200, b"<html>"))
    assert caught.value.excerpt == "<html>"
    hidden = failed(404, half, asked=request("devices.get", subject="device 'd'")).error
    assert hidden.message == "there is no device 'd'"


# --- tokens ----------------------------------------------------------------------------------------------------------

IAM = HttpRequest(operation="authenticate", method="POST", path="/v3/auth/tokens")


def token_answer(**info: Any) -> HttpResponse:
    """Return the answer to a login."""
    return response(201, {"token": {"methods": ["password"], **info}}, x_subject_token="very-secret")


@pytest.mark.parametrize(
    ("info", "expires_at"),
    [
        (
            {"issued_at": "2020-01-01T00:00:00.000000Z", "expires_at": "2020-01-01T01:00:00.000000Z"},
            NOW + timedelta(hours=1),
        ),
        ({"expires_at": "2026-01-03T03:04:05.000000Z"}, NOW + timedelta(days=1)),
        ({"expires_at": "2026-01-03T03:04:05"}, NOW + timedelta(days=1)),
        (
            {"issued_at": "2026-01-04T00:00:00Z", "expires_at": "2026-01-03T03:04:05.000000Z"},
            NOW + timedelta(days=1),
        ),
        ({}, NOW + timedelta(hours=24)),
        ({"expires_at": "tomorrow", "issued_at": None}, NOW + timedelta(hours=24)),
        ({"issued_at": "2026-01-04T00:00:00Z"}, NOW + timedelta(hours=24)),
        # What no token lives is no life span, and would be more than a datetime can hold.
        ({"issued_at": "0001-01-01T00:00:00Z", "expires_at": "9999-12-31T23:59:59Z"}, NOW + timedelta(hours=24)),
        ({"expires_at": "0001-01-01T00:00:00+14:00"}, NOW + timedelta(hours=24)),
        ({"expires_at": "9999-12-31T23:59:59-14:00"}, NOW + timedelta(hours=24)),
    ],
)
def test_the_life_of_a_token(info: Any, expires_at: datetime) -> None:
    """The announced life is counted from now; without one it is the documented day."""
    token = parse_token(IAM, token_answer(**info), now=NOW)
    assert (token.text, token.expires_at) == ("very-secret", expires_at)
    assert "very-secret" not in repr(token)


@pytest.mark.parametrize(
    "answer",
    [
        response(201, {"token": {}}),
        response(201, {"token": {}}, x_subject_token=""),
        response(201, {"token": "very-secret"}, x_subject_token="very-secret"),
        response(201, b"<p>very-secret</p>", x_subject_token="very-secret"),
        response(201, {"very-secret": 1}, x_subject_token="very-secret"),
        response(201, {"token": {}}, x_subject_token="very-secret\x07"),
        response(201, {"token": {}}, x_subject_token="very-secret\udcff"),
    ],
)
def test_a_login_without_a_token(answer: HttpResponse) -> None:
    """A missing header or another body is an error that shows nothing of either."""
    with pytest.raises(PayloadError) as caught:
        parse_token(IAM, answer, now=NOW)
    assert "very-secret" not in f"{caught.value} {caught.value.excerpt}"


# --- properties ------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(
        ["error_code", "error_msg", "code", "message", "error", "devices", "page", "marker", "count", "request_id"]
    ) | st.text(), inner, max_size=4),
)  # fmt: skip


@given(st.sampled_from([200, 302, 400, 401, 403, 404, 429, 500]), JSON | st.binary(max_size=40))
def test_any_answer_is_classified(status: int, body: Any) -> None:
    """Whatever comes back, classifying it gives a failure or none, and never fails itself."""
    answer = response(status, body)
    assert (classify(request(), answer) is not None) or status == 200


@given(JSON | st.binary(max_size=40))
def test_any_body_is_a_page_or_a_payload_error(body: Any) -> None:
    """Whatever comes back, reading it as a page gives facts and rows, or the one error."""
    for key in ("packages", "batchtasks", "devices"):
        try:
            found = facts(body, key)
            good, errors = parse_rows(request(), response(200, body), key, wire.Device)
        except PayloadError:
            continue
        assert found.rows == len(good) + len(errors)
