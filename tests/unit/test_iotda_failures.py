"""Answers of IoTDA that are failures: by table, by status, by shape, and what helps against each."""

import pickle
from typing import Any, get_args

import attrs
import pytest

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
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import Remedy
from otaclient_iotda import wire
from otaclient_iotda.failures import classify
from support.iotda_answers import PLAIN, TOKEN, failed, request, response

DERIVED = {"Authorization": "V11-HMAC-SHA256 Credential=AK/20260102/cn-north-4/iotdm, Signature=00"}

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
    # No such API: that says nothing of the firmware or the job that was asked for.
    (404, "APIGW.0101", ApiError),
    (404, "APIGW.0103", ApiError),
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
    (524, "IOTDA.999999", ServerError),
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
    elif status >= 500 and status != 501:
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
    assert ("it is empty" if not body else "it begins") in error.message


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


def answers() -> list[dict[str, Any]]:
    """Return the least good answer of each structure and listing that the wire knows."""
    classes = [cls for cls in vars(wire).values() if isinstance(cls, type) and attrs.has(cls)]
    needed = [[field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING] for cls in classes]
    return [
        *(dict.fromkeys(names, "x") for names in needed if names),
        *({key: []} for key in get_args(wire.ListKey)),
    ]


@pytest.mark.parametrize("answer", answers(), ids=lambda answer: next(iter(answer)))
def test_no_field_of_tomorrow_makes_an_error_of_a_good_answer(answer: dict[str, Any]) -> None:
    """Of a job that was created it would be: it would be created again. Nor where it stands inside of something."""
    for field in ({"error_code": "A"}, {"errorMsg": "a"}, {"error": {"code": "A"}}, {"more": {"error_msg": "a"}}):
        assert classify(request(), response(201, {**answer, **field})) is None


def test_what_passes_needs_no_other_token() -> None:
    """Whatever code it carries: a service in trouble, and a throttle, say nothing of the token."""
    for status, code, remedy in ((502, "APIGW.0301", Remedy.REPEAT), (429, "APIGW.0307", Remedy.SLOW_DOWN)):
        failure = failed(status, {"error_code": code, "error_msg": "no"}, asked=request(headers=TOKEN))
        assert (failure.remedy, failure.error.message[-4:]) == (remedy, ": no")


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
        ("APIGW.0103", PLAIN, "check endpoint"),
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
        == "the request: there is no such thing: gone"
    )
    assert failed(404, {"error_code": "X"}).error.message == "the request: there is no such thing"


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
