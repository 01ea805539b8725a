"""Answers of IoTDA: failures by table, pages by their facts, objects, tokens."""

import pickle
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from otaclient.reads import PageFacts
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import Failure, Remedy
from otaclient_iotda import wire
from otaclient_iotda.responses import (
    ListKey,
    classify,
    page_facts,
    parse_device,
    parse_package,
    parse_rows,
    parse_task,
    parse_token,
)

PLAIN = {"Authorization": "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=00", "Host": "iotda.example.com"}
DERIVED = {"Authorization": "V11-HMAC-SHA256 Credential=AK/20260102/cn-north-4/iotdm, Signature=00"}
TOKEN = {"X-Auth-Token": "the-token"}
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MARKER = "5c90fa7d3c4e4405e8525079"


def request(operation: str = "devices.search", headers: Any = PLAIN, subject: str = "") -> HttpRequest:
    """Return a signed request."""
    return HttpRequest(operation=operation, method="GET", path="/", headers=headers, subject=subject)


def response(status: int, body: Any = b"", **headers: str) -> HttpResponse:
    """Return an answer; a body that is no bytes becomes JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return HttpResponse(
        status=status, body=raw, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def failed(status: int, body: Any = b"", *, asked: HttpRequest | None = None, **headers: Any) -> Failure:
    """Return what an answer that is a failure classifies to."""
    failure = classify(asked or request(), response(status, body, **headers))
    assert failure is not None
    return failure


# --- codes -----------------------------------------------------------------------------------------------------------

TABLE = [
    (400, "IOTDA.000006", InvalidQueryError),
    (400, "IOTDA.000008", InvalidQueryError),
    (400, "IOTDA.000009", InvalidQueryError),
    (400, "IOTDA.000010", InvalidQueryError),
    (400, "IOTDA.000011", InvalidQueryError),
    (400, "IOTDA.000012", InvalidQueryError),
    (400, "IOTDA.000013", InvalidQueryError),
    (400, "IOTDA.000014", InvalidQueryError),
    (400, "IOTDA.000017", InvalidQueryError),
    (400, "IOTDA.000018", InvalidQueryError),
    (400, "IOTDA.000030", InvalidQueryError),
    (400, "IOTDA.009008", InvalidQueryError),
    (400, "IOTDA.014602", ConflictError),
    (400, "IOTDA.014603", InvalidQueryError),
    (400, "IOTDA.005005", InvalidQueryError),
    (400, "IOTDA.005009", InvalidQueryError),
    (401, "IOTDA.000002", AuthenticationError),
    (403, "IOTDA.000004", AuthenticationError),
    (403, "IOTDA.000021", PermissionDeniedError),
    (403, "IOTDA.000022", PermissionDeniedError),
    (403, "IOTDA.001000", PermissionDeniedError),
    (403, "IOTDA.001002", PermissionDeniedError),
    (403, "IOTDA.001005", PermissionDeniedError),
    (403, "IOTDA.001006", PermissionDeniedError),
    (403, "IOTDA.001007", PermissionDeniedError),
    (403, "IOTDA.014016", PermissionDeniedError),
    (403, "IOTDA.021101", RateLimitedError),
    (403, "IOTDA.021102", RateLimitedError),
    (403, "IOTDA.021105", PermissionDeniedError),
    (400, "IOTDA.021104", InvalidQueryError),
    (404, "IOTDA.010002", NotFoundError),
    (404, "IOTDA.009003", NotFoundError),
    (404, "IOTDA.000029", NotFoundError),
    (409, "IOTDA.014115", ConflictError),
    (400, "IOTDA.014115", ConflictError),
    (404, "IOTDA.014204", NotFoundError),
    (400, "IOTDA.014204", NotFoundError),
    (400, "IOTDA.014307", InvalidQueryError),
    (500, "IOTDA.000001", ServerError),
    (500, "IOTDA.000020", ServerError),
    (404, "APIGW.0101", NotFoundError),
    (404, "APIGW.0103", NotFoundError),
    (400, "APIGW.0104", InvalidQueryError),
    (400, "APIGW.0201", InvalidQueryError),
    (413, "APIGW.0201", InvalidQueryError),
    (414, "APIGW.0201", InvalidQueryError),
    (494, "APIGW.0201", InvalidQueryError),
    (502, "APIGW.0201", ServerError),
    (504, "APIGW.0201", ServerError),
    (401, "APIGW.0301", AuthenticationError),
    (403, "APIGW.0302", PermissionDeniedError),
    (401, "APIGW.0303", AuthenticationError),
    (403, "APIGW.0304", PermissionDeniedError),
    (401, "APIGW.0305", AuthenticationError),
    (403, "APIGW.0306", PermissionDeniedError),
    (401, "APIGW.0307", AuthenticationError),
    (429, "APIGW.0308", RateLimitedError),
    (403, "APIGW.0308", RateLimitedError),
    (403, "APIGW.0310", PermissionDeniedError),
    (401, "APIGW.0311", AuthenticationError),
    (403, "APIGW.0401", PermissionDeniedError),
    (405, "APIGW.0501", ApiError),
    (500, "APIGW.0601", ServerError),
    (502, "APIGW.0610", ServerError),
    (503, "APIGW.0613", ServerError),
    (403, "APIGW.0801", PermissionDeniedError),
    (418, "IOTDA.999999", ApiError),
    (501, "IOTDA.999999", ServerError),
]


@pytest.mark.parametrize(("status", "code", "kind"), TABLE)
def test_codes(status: int, code: str, kind: type[ApiError]) -> None:
    """Each known code gives its class, carries the vendor's words, and survives pickling."""
    body = {"error_code": code, "error_msg": "the vendor's words", "request_id": "r1"}
    failure = failed(status, body)
    error = failure.error
    assert type(error) is kind
    assert (error.status, error.vendor_code, error.vendor_message) == (status, code, "the vendor's words")
    assert error.request_id == "r1"
    assert "the vendor's words" in error.message
    if kind is RateLimitedError:
        assert failure.remedy is Remedy.SLOW_DOWN
    elif status in {500, 502, 503, 504}:
        assert failure.remedy is Remedy.REPEAT
    else:
        assert failure.remedy is Remedy.RAISE
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(copied), str(copied)) == (kind, str(error))


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, InvalidQueryError), (401, AuthenticationError), (403, PermissionDeniedError), (404, NotFoundError),
     (409, ConflictError), (429, RateLimitedError), (500, ServerError), (502, ServerError), (418, ApiError)],
)  # fmt: skip
@pytest.mark.parametrize(
    "body", [b"", b"<html>Bad Gateway</html>", b"[]", b'"text"', b"{}", b'{"error_code":', b"\xff"]
)
def test_bodies_without_an_error_are_classified_by_status(status: int, kind: type[ApiError], body: bytes) -> None:
    """HTML, nothing, or another JSON: the status decides, and the message shows how the body begins."""
    error = failed(status, body, x_request_id="h1").error
    assert type(error) is kind
    assert (error.vendor_code, error.vendor_message, error.request_id) == (None, None, "h1")
    assert ("(empty)" if not body else "it begins") in error.message


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ({"error_code": "A", "error_msg": "a", "errorCode": "B", "code": "C"}, "A", "a"),
        ({"errorCode": "B", "errorMsg": "b", "code": "C", "message": "c"}, "B", "b"),
        ({"code": "C", "message": "c", "inner": {"error_code": "A", "error_msg": "a"}}, "C", "c"),
        ({"code": 400, "message": ""}, "400", None),
        ({"inner": {"error_code": "A", "error_msg": "a"}}, "A", "a"),
        ({"error": {"code": 401, "message": "wrong", "title": "Unauthorized"}}, "401", "wrong"),
        ({"error": {"errorCode": "B", "errorMsg": "b"}}, "B", "b"),
        ({"error_msg": "only words"}, None, "only words"),
        ({"error_code": "A", "encoded_authorization_message": "xyz"}, "A", "xyz"),
        ({"inner": {"encoded_authorization_message": "xyz"}}, None, "xyz"),
        ({"error_code": True, "code": None}, None, None),
    ],
)
def test_shapes(body: Any, code: str | None, message: str | None) -> None:
    """All shapes that the vendor's own client knows, in its order; numbers become text, booleans nothing."""
    error = failed(400, body).error
    assert (error.vendor_code, error.vendor_message) == (code, message)


def test_the_request_id_of_the_body_wins() -> None:
    """From the body at any level, else from the header."""
    assert failed(400, {"error_code": "A", "request_id": "b"}, x_request_id="h").error.request_id == "b"
    assert failed(400, {"error": {"code": "A", "request_id": "b"}}, x_request_id="h").error.request_id == "b"
    assert failed(400, {"error_code": "A"}, x_request_id="h").error.request_id == "h"


def test_an_error_in_a_200() -> None:
    """An answer that says 200 and holds an error is one; words like it in a good answer are not."""
    error = failed(200, {"error_code": "IOTDA.014111", "error_msg": "Command timed out."}).error
    assert (type(error), error.status, error.vendor_code) == (ApiError, 200, "IOTDA.014111")
    assert type(failed(200, {"errorCode": "IOTDA.000004"}).error) is AuthenticationError
    details = [{"target": "d", "error": {"error_code": "IOTDA.005009"}}]
    for good in (
        {"batchtask": {"task_id": "t"}, "task_details": details, "page": {}},
        {"devices": [], "error_code": "A"},
        {"other": '"error_code"'},
    ):
        assert classify(request(), response(200, good)) is None
    # What is no JSON at all is the parser's business.
    assert classify(request(), response(200, b'<"error_code">')) is None
    assert classify(request(), response(204)) is None


# --- what helps ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "dead"),
    [(401, "APIGW.0307", True), (403, "IOTDA.000004", True), (401, "APIGW.0301", True), (403, "APIGW.0301", False),
     (401, "IOTDA.000002", False), (403, "IOTDA.000021", False)],
)  # fmt: skip
def test_token_death(status: int, code: str, dead: bool) -> None:
    """With a token these mean a dead token; with signatures no answer does."""
    body = {"error_code": code, "error_msg": "no"}
    with_token = failed(status, body, asked=request(headers=TOKEN))
    assert with_token.remedy is (Remedy.RENEW_TOKEN if dead else Remedy.RAISE)
    assert isinstance(with_token.error, AuthenticationError) or not dead
    assert failed(status, body).remedy is Remedy.RAISE


def test_a_dead_ready_token_says_that_it_cannot_be_renewed() -> None:
    """The one who gave a ready token has to give another."""
    failure = classify(
        request(headers=TOKEN), response(401, {"error_code": "APIGW.0307", "error_msg": "The token must be updated."}),
        ready_token=True,
    )  # fmt: skip
    assert failure is not None
    assert "a ready token cannot be renewed" in failure.error.message
    other = classify(request(headers=TOKEN), response(403, {"error_code": "IOTDA.000021"}), ready_token=True)
    assert other is not None
    assert "ready" not in other.error.message


@pytest.mark.parametrize(
    ("code", "headers", "words"),
    [
        ("IOTDA.000002", PLAIN, "set derived to True"),
        ("IOTDA.000002", DERIVED, "leave derived out"),
        ("APIGW.0301", DERIVED, "leave derived out"),
        ("APIGW.0301", PLAIN, "check access_key, secret_key and security_token, and this machine's clock"),
        ("IOTDA.000002", TOKEN, "check the credentials"),
        ("IOTDA.001005", PLAIN, "name one, as owner_id"),
        ("IOTDA.001007", PLAIN, "owner_id of the query, app_id of the configuration"),
        ("APIGW.0101", PLAIN, "check endpoint"),
        ("IOTDA.000021", PLAIN, "endpoint is this instance's own"),
    ],
)
def test_messages_say_what_to_do(code: str, headers: Any, words: str) -> None:
    """Where it is known what helps, the message says it."""
    error = failed(401, {"error_code": code, "error_msg": "no"}, asked=request(headers=headers)).error
    assert words in error.message


def test_messages_name_the_subject() -> None:
    """What was asked for is named: as missing where it is missing."""
    asked = request("firmware.get", subject="firmware 'f1'")
    assert (
        failed(404, {"error_code": "X", "error_msg": "gone"}, asked=asked).error.message
        == "there is no firmware 'f1': gone"
    )
    refused = failed(403, {"error_code": "X", "error_msg": "no"}, asked=asked).error
    assert refused.message == "firmware 'f1': the vendor does not allow it: no"
    assert (
        failed(404, {"error_code": "X", "error_msg": "gone"}).error.message
        == "the vendor does not know the address: gone"
    )
    assert failed(404, {"error_code": "X"}).error.message == "the vendor does not know the address"


@pytest.mark.parametrize(("status", "hinted"), [(404, True), (403, True), (501, False), (502, False)])
def test_a_stranger_at_the_address_is_told_from_a_gateway_in_trouble(status: int, hinted: bool) -> None:
    """A page that is no error of the vendor names the setting to check; that of a failing gateway does not."""
    response = HttpResponse(status=status, body=b"<html>Not here</html>")
    failure = classify(request("jobs.search"), response)
    assert failure is not None
    assert ("(check endpoint)" in failure.error.message) is hinted


@pytest.mark.parametrize("status", [400, 401, 404])
def test_a_refused_login_is_an_authentication_error(status: int) -> None:
    """Whatever the identity service cannot use or find is one of the user's settings."""
    body = {"error": {"code": status, "message": "The username or password is wrong.", "title": "Unauthorized"}}
    failure = failed(status, body, asked=request("authenticate", {}, subject="user 'u'"))
    assert type(failure.error) is AuthenticationError
    assert failure.remedy is Remedy.RAISE
    assert "check username, password, domain and project" in failure.error.message
    assert failure.error.vendor_code == str(status)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({}, None),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": "Fri, 02 Jan 2026 03:04:05 GMT"}, 30.0),
        ({"retry_after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": "Fri, 02 Jan 2026 03:04:05 -0000"}, 30.0),
        ({"retry_after": "Fri, 02 Jan 2026 03:04:35 GMT"}, None),
        ({"retry_after": "7", "date": "Fri, 02 Jan 2026 03:04:05 GMT"}, 7.0),
    ],
)
@pytest.mark.parametrize(("status", "code"), [(429, "APIGW.0308"), (403, "IOTDA.021102"), (503, "APIGW.0613")])
def test_advised_waits(status: int, code: str, headers: Any, wait: float | None) -> None:
    """A wait in seconds, or until a time by the server's own clock; without that clock a time means nothing."""
    failure = failed(status, {"error_code": code}, **headers)
    assert failure.retry_after_seconds == wait
    assert isinstance(failure.error, RateLimitedError | ServerError)
    assert failure.error.retry_after_seconds == wait


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://login.example.com:8443/x?token=very-secret", "to login.example.com:8443,"),
        ("https://user:very-secret@login.example.com/x", "to login.example.com,"),
        ("/elsewhere", "to another address"),
        ("https://[", "to another address"),
        (None, "to another address"),
    ],
)
def test_redirects(location: str | None, words: str) -> None:
    """A redirect names the host that it leads to, says what to set, and shows nothing else of the address."""
    headers: dict[str, Any] = {"x_request_id": "h"} | ({} if location is None else {"location": location})
    failure = failed(302, b"<html>", **headers)
    assert words in failure.error.message
    assert "set endpoint" in failure.error.message
    assert (failure.error.status, failure.error.request_id, failure.remedy) == (302, "h", Remedy.RAISE)
    assert "very-secret" not in str(failure.error)


def test_the_servers_canonical_request_shows_no_token() -> None:
    """The gateway echoes what it signed: of that, tokens are blotted out, by value and by header name."""
    headers = {**PLAIN, "X-Security-Token": "sts-secret", "X-Auth-Token": "iam-secret"}
    canonical = "GET|/x/||host:h|x-auth-token: other1|x-security-token:other2|X-Sdk-Date:d||a;b|sts-secret iam-secret"
    body = {"error_code": "APIGW.0301", "error_msg": f"verify aksk signature fail, canonicalRequest:{canonical}"}
    error = failed(401, body, asked=request(headers=headers)).error
    text = f"{error} {error.vendor_message} {error.message}"
    for secret in ("sts-secret", "iam-secret", "other1", "other2"):
        assert secret not in text
    assert "x-auth-token: ***|x-security-token:***|X-Sdk-Date:d||a;b|*** ***" in text
    html = failed(401, f"<p>{'x' * 190} sts-secret</p>".encode(), asked=request(headers=headers)).error
    assert "sts" not in str(html)


# --- pages -----------------------------------------------------------------------------------------------------------


def facts(body: Any, key: ListKey = "devices") -> PageFacts:
    """Return the facts of a page."""
    return page_facts(key, request(), response(200, body))


@pytest.mark.parametrize("key", ["packages", "batchtasks", "devices"])
def test_facts(key: ListKey) -> None:
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
    assert parse_rows("devices", wire.Device, request(), response(200, body)) == ([], [])


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>hello</html>", b"[]", b"null", b"{}", b'{"devices":null}', b'{"packages":[]}', b'{"devices":7}',
     b'{"devices":[],"page":7}', b'{"devices":[{"device_id":"a"}', b'{"devices":[]} // done', b"\xff\xfe",
     b'{"devices":null,"page":null}', b'{"deep":' + b"[" * 100_000],
)  # fmt: skip
def test_what_is_no_page_is_an_error(body: bytes) -> None:
    """HTML, nothing, another object or half of one is never an empty list: an error with status and excerpt."""
    for read in (lambda: facts(body), lambda: parse_rows("devices", wire.Device, request(), response(200, body))):
        with pytest.raises(PayloadError) as caught:
            read()
        error = caught.value
        assert (error.status, error.operation) == (200, "devices.search")
        assert error.excerpt
        assert len(error.excerpt) <= 200


@pytest.mark.parametrize("marker", ["zz", 7, MARKER + "0", [MARKER]])
def test_a_marker_that_cannot_be_one_is_an_error(marker: Any) -> None:
    """Going on from it would be refused, or would lose rows."""
    with pytest.raises(PayloadError, match="not 24 hexadecimal digits"):
        facts({"devices": [{}], "page": {"marker": marker}})


def test_rows_are_read_one_by_one() -> None:
    """A broken row is an error that says where; the others are good."""
    rows = [{"device_id": "a"}, {"device_id": 7}, {"status": "ONLINE"}, "text", {"device_id": "b", "fw_version": None}]
    good, errors = parse_rows("devices", wire.Device, request(), response(200, {"devices": rows}))
    assert good == [wire.Device(device_id="a"), wire.Device(device_id="b")]
    problems = [problem for error in errors for problem in error.problems]
    assert [problem.partition(":")[0].split(" @ ")[-1] for problem in problems]
    assert len(errors) == 3
    assert "$.devices[1]" in str(errors[0])


def test_an_excerpt_shows_no_token() -> None:
    """A page that is none may echo headers."""
    with pytest.raises(PayloadError) as caught:
        page_facts("devices", request(headers=TOKEN), response(200, b"<p>x-security-token: abc| the-token</p>"))
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


# --- answers of others -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"ok", b"[]", b'{"half":', b"null", b'"text"'])
@pytest.mark.parametrize("status", [200, 202, 204])
def test_nothing_but_the_vendor_confirms_a_deletion(status: int, body: bytes) -> None:
    """A page of a captive portal has a good status, too: what became of the thing is not known then."""
    asked = HttpRequest(
        operation="firmware.delete", method="DELETE", path="/", idempotent=False, subject="firmware 'a'"
    )
    found = failed(status, body, asked=asked)
    assert isinstance(found.error, PayloadError)
    assert (found.error.status, found.remedy) == (status, Remedy.REPEAT)
    for good in (b"", b" \r\n", b"{}", b'{"package_id":"a"}'):
        assert classify(asked, response(status, good)) is None


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_a_change_of_protocols_is_no_answer(method: str) -> None:
    """A status below 200 confirms nothing."""
    asked = HttpRequest(operation="jobs.stop", method=method, path="/", idempotent=method == "GET")
    found = failed(101, b"", asked=asked)
    assert isinstance(found.error, PayloadError)
    assert found.remedy is (Remedy.RAISE if method == "GET" else Remedy.REPEAT)


def test_what_may_hold_secrets_is_not_shown() -> None:
    """Nor of an answer that is none."""
    error = failed(101, b"very-secret", asked=request("authenticate")).error
    assert "very-secret" not in str(error)


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
            good, errors = parse_rows(key, wire.Device, request(), response(200, body))
        except PayloadError:
            continue
        assert found.rows == len(good) + len(errors)
