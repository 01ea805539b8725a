"""What answers of EnOS mean: every documented code, every carrier, and what the gateway says without one."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from otaclient.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from otaclient.reads import PageFacts
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import Failure, Remedy
from otaclient_enos import requests, responses
from otaclient_enos.failures import classify, classify_token
from otaclient_enos.requests import Organisation
from otaclient_enos.wire import DeviceFirmware, JobInfo

SAMPLES = Path(__file__).parent.parent / "samples"
REQUEST = requests.get_firmware(Organisation(org_id="o1", api_version="v2.1"), "5ed0")
TOKEN_REQUEST = requests.get_token()

CODES = [
    (24404, NotFoundError, Remedy.RAISE),
    (24500, ServerError, Remedy.REPEAT),
    (24601, ConflictError, Remedy.RAISE),
    (24602, ConflictError, Remedy.RAISE),
    (24603, ConflictError, Remedy.REPEAT_REJECTED),
    (24604, ConflictError, Remedy.RAISE),
    (24615, ConflictError, Remedy.RAISE),
    (24616, ConflictError, Remedy.RAISE),
    (24617, ConflictError, Remedy.RAISE),
    (24618, ConflictError, Remedy.RAISE),
    (24620, ConflictError, Remedy.RAISE),
    (24621, ConflictError, Remedy.RAISE),
    (99400, InvalidQueryError, Remedy.RAISE),
    (99403, PermissionDeniedError, Remedy.RAISE),
    (99404, NotFoundError, Remedy.RAISE),
    (99500, ServerError, Remedy.REPEAT),
    (1001, AuthenticationError, Remedy.REPEAT_REJECTED),
    (1002, AuthenticationError, Remedy.RAISE),
    (1003, AuthenticationError, Remedy.RAISE),
    (1004, AuthenticationError, Remedy.RAISE),
    (1005, ServerError, Remedy.REPEAT),
    (1202, AuthenticationError, Remedy.RAISE),
    (1203, AuthenticationError, Remedy.RENEW_TOKEN),
    (1204, AuthenticationError, Remedy.RAISE),
    (24619, ApiError, Remedy.RAISE),
    (77777, ApiError, Remedy.RAISE),
]
STATUSES = [
    (400, InvalidQueryError, Remedy.RAISE),
    (401, AuthenticationError, Remedy.RENEW_TOKEN),
    (403, PermissionDeniedError, Remedy.RAISE),
    (404, ApiError, Remedy.RAISE),
    (413, InvalidQueryError, Remedy.RAISE),
    (418, ApiError, Remedy.RAISE),
    (429, RateLimitedError, Remedy.SLOW_DOWN),
    (500, ServerError, Remedy.REPEAT),
    (501, ServerError, Remedy.RAISE),
    (502, ServerError, Remedy.REPEAT),
    (503, ServerError, Remedy.REPEAT),
    (504, ServerError, Remedy.REPEAT),
    (505, ServerError, Remedy.RAISE),
    (524, ServerError, Remedy.REPEAT),
]


def response(body: Any, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer; what is not bytes is sent as JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return HttpResponse(status=status, headers=headers, body=raw)


def failure(answer: HttpResponse, request: HttpRequest = REQUEST) -> Failure:
    """Return the failure that a business answer must be."""
    found = classify(request, answer)
    assert found is not None
    return found


@pytest.mark.parametrize("status", [200, 302, 400, 429, 500])
@pytest.mark.parametrize("code", [0, "0"])
def test_code_zero_is_success_whatever_the_status(status: int, code: Any) -> None:
    """The envelope decides before the HTTP status."""
    assert classify(REQUEST, response({"code": code, "msg": "OK", "data": None}, status)) is None


@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize(("code", "error", "remedy"), CODES[:-2])
def test_documented_codes_decide_whatever_the_status(
    code: int, error: type[OtaError], remedy: Remedy, status: int
) -> None:
    """Each code has its error and its remedy, and everything that support asks for is kept."""
    found = failure(response({"code": code, "msg": " some  words ", "requestId": "r-1", "data": None}, status))
    assert (type(found.error), found.remedy) == (error, remedy)
    facts = (found.error.status, found.error.vendor_code, found.error.vendor_message, found.error.request_id)
    assert facts == (status, str(code), " some  words ", "r-1")
    assert "firmware '5ed0': EnOS says 'some words'" in str(found.error)


@pytest.mark.parametrize(("code", "error", "remedy"), CODES[-2:])
def test_undocumented_codes_are_generic(code: int, error: type[OtaError], remedy: Remedy) -> None:
    """With a good HTTP status the error is generic and keeps the code."""
    found = failure(response({"code": code, "msg": "new"}))
    assert (type(found.error), found.remedy, found.error.vendor_code) == (error, remedy, str(code))


def test_an_undocumented_code_leaves_the_word_to_the_status() -> None:
    """A throttle or an outage is one, whatever number the body invents; so is a code that repeats an HTTP status."""
    assert type(failure(response({"code": 77777}, 429)).error) is RateLimitedError
    assert type(failure(response({"code": 77777}, 503)).error) is ServerError
    assert type(failure(response({"code": 429})).error) is RateLimitedError
    assert type(failure(response({"code": 300})).error) is ApiError


@pytest.mark.parametrize("status", [200, 401])
@pytest.mark.parametrize("number", [1203, 4011, 4012, "1203"])
@pytest.mark.parametrize("carrier", ["code", "status", "apim_status"])
def test_a_dead_token_is_seen_in_every_carrier(carrier: str, number: Any, status: int) -> None:
    """Which member carries it is not documented, so each does, as a number or as text."""
    found = failure(response({carrier: number, "msg": "token expired", "apim_refreshtoken": "x"}, status))
    assert (type(found.error), found.remedy) == (AuthenticationError, Remedy.RENEW_TOKEN)
    assert found.error.vendor_code == str(number)


def test_other_numbers_in_status_are_failures_only_where_nothing_else_is() -> None:
    """Frameworks repeat the HTTP status in ``status``: then the HTTP status decides."""
    legacy = failure(response({"status": 498, "msg": "denied"}))
    assert (type(legacy.error), legacy.error.vendor_code) == (PermissionDeniedError, "498")
    framework = failure(response({"status": 500, "message": "boom"}, 500))
    assert (type(framework.error), framework.error.vendor_code) == (ServerError, None)
    assert type(failure(response({"status": 200, "data": []})).error) is PayloadError


@pytest.mark.parametrize(
    "body", [b"", b"<html>busy</html>", b'{"message":"API rate limit exceeded"}', b"[]", b'{"code":null}']
)
@pytest.mark.parametrize(("status", "error", "remedy"), STATUSES)
def test_without_a_code_the_status_decides(status: int, error: type[OtaError], remedy: Remedy, body: bytes) -> None:
    """The gateway, or what stands before it, answers in JSON, in HTML or not at all."""
    found = failure(response(body, status))
    assert (type(found.error), found.remedy) == (error, remedy)
    assert (found.error.status, found.error.vendor_code) == (status, None)


def test_the_gateways_words_are_kept() -> None:
    """A message without a code is the vendor's message all the same."""
    found = failure(response({"message": "API rate limit exceeded"}, 429))
    assert found.error.vendor_message == "API rate limit exceeded"
    assert "HTTP status 502 without an explanation" in failure(response(b"", 502)).error.message


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": "Fri, 02 Jan 2026 03:04:05 GMT"}, 30.0),
        ({"retry-after": "Fri, 02 Jan 2026 03:04:35 GMT", "date": "Fri, 02 Jan 2026 03:04:05 -0000"}, 30.0),
        ({"retry-after": "Fri, 02 Jan 1970 03:04:35 GMT", "date": "Fri, 02 Jan 2026 03:04:05 GMT"}, 0.0),
        ({"retry-after": "Fri, 02 Jan 2099 03:04:35 GMT"}, None),
        ({"retry-after": "soon", "date": "today"}, None),
    ],
)
@pytest.mark.parametrize(("status", "error"), [(429, RateLimitedError), (503, ServerError)])
def test_an_advised_wait_is_kept(
    status: int, error: type[Any], headers: dict[str, str], expected: float | None
) -> None:
    """Seconds and dates are read, dates by the vendor's own clock where it shows it."""
    found = failure(response(b"", status, **headers))
    assert found.retry_after_seconds == expected
    assert isinstance(found.error, error)
    assert found.error.retry_after_seconds == expected


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://login.example.com/sso?x=1", "redirects to login.example.com"),
        ("/login", "redirects to another address"),
        ("https://[broken", "redirects to another address"),
        ("", "redirects to another address"),
    ],
)
@pytest.mark.parametrize(("decide", "request_"), [(classify, REQUEST), (classify_token, TOKEN_REQUEST)])
def test_a_redirect_names_its_host_and_the_remedy(
    decide: Any, request_: HttpRequest, location: str, words: str
) -> None:
    """A signed request is not sent elsewhere; the message says what to set."""
    found = decide(request_, response(b"", 302, location=location))
    assert words in found.error.message
    assert "set endpoint" in found.error.message
    assert found.remedy is Remedy.RAISE


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>It works!</html>",
        b'{"code":0,"data":{"startSchedule":null, //deprecated\n"x":1}}',
        b'{"code":0,"msg":"OK","da',
        b"[" * 100_000,
        b'{"code":0,"msg":"\xff"}',
        b"[1]",
        b'{"data":[]}',
        b'{"code":true}',
        b'{"code":"zero"}',
        b"null",
    ],
)
def test_a_good_status_without_the_envelope_is_a_payload_error(body: bytes) -> None:
    """Comments, HTML, cut-off or missing bodies are never taken for success or emptiness."""
    found = failure(response(body))
    assert isinstance(found.error, PayloadError)
    assert found.remedy is Remedy.RAISE
    assert found.error.status == 200
    assert found.error.excerpt is not None
    assert (found.error.excerpt == "") is (body == b"")
    assert len(found.error.excerpt) <= 200


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("envelope", [{"status": 0}, {"stauts": 0}, {"code": 0}, {"status": "0"}, {}])
@pytest.mark.parametrize(("expire", "expected"), [(7200, 7200), ("7200", 7200), (7199.6, 7199), (0, 0)])
def test_token_answers_are_read_in_every_spelling(envelope: dict[str, Any], expire: Any, expected: int) -> None:
    """``status``, the misspelled ``stauts``, ``code`` or none of them; the life span as number or text."""
    answer = response({**envelope, "msg": "SUCCESS", "data": {"accessToken": "t-1", "expire": expire}})
    assert classify_token(TOKEN_REQUEST, answer) is None
    token = responses.parse_token(TOKEN_REQUEST, answer)
    assert (token.text, token.expire_seconds) == ("t-1", expected)
    assert "t-1" not in repr(token)


@pytest.mark.parametrize("expire", [None, "soon", -1, True, 10**30, "1e3", []])
def test_a_life_span_that_is_none_is_not_known(expire: Any) -> None:
    """Then the token is used until the gateway refuses it."""
    answer = response({"data": {"accessToken": "t-1", "expire": expire}})
    assert responses.parse_token(TOKEN_REQUEST, answer).expire_seconds is None


@pytest.mark.parametrize("key", ["status", "stauts", "code"])
@pytest.mark.parametrize(("code", "error", "remedy"), CODES)
def test_token_refusals_have_their_errors(key: str, code: int, error: type[OtaError], remedy: Remedy) -> None:
    """The service's numbers decide; a token request never asks for a token to be renewed."""
    found = classify_token(TOKEN_REQUEST, response({key: code, "msg": "words", "business": "apim-token-service"}))
    assert found is not None
    expected = Remedy.RAISE if remedy is Remedy.RENEW_TOKEN else remedy
    assert (type(found.error), found.remedy, found.error.vendor_code) == (error, expected, str(code))


@pytest.mark.parametrize(("status", "error", "remedy"), STATUSES)
def test_token_requests_meet_the_gateway_too(status: int, error: type[OtaError], remedy: Remedy) -> None:
    """Without a number of the service the HTTP status decides."""
    found = classify_token(TOKEN_REQUEST, response(b"<html>", status))
    assert found is not None
    expected = Remedy.RAISE if remedy is Remedy.RENEW_TOKEN else remedy
    assert (type(found.error), found.remedy) == (error, expected)


def test_a_wrong_secret_says_what_to_check() -> None:
    """The message names both settings and shows neither."""
    found = classify_token(TOKEN_REQUEST, response({"status": 1003, "msg": "encryption is not valid"}))
    assert found is not None
    assert "app_secret does not belong to app_key: check both" in found.error.message


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>t-secret</html>",
        b'{"data":{"accessToken":"t-secret","expire":7200',
        b'{"data":["t-secret"]}',
        b'{"data":{"accessToken":"t-secret\xff"}}',
        b'{"data":{"accessToken":"t-secret\\r\\nx: y"}}',
        b'{"data":{"accessToken":"t secret"}}',
        b'{"data":{"accessToken":"t-secret\xc3\xa9"}}',
        b'{"data":{"accessToken":""}}',
        b'{"data":{"accessToken":7}}',
        b'{"data":{}}',
        b'{"data":null}',
        b'{"status":0}',
        b"[" * 100_000,
    ],
)
def test_a_token_answer_without_a_token_shows_nothing_of_itself(body: bytes) -> None:
    """It is an error without an excerpt and without a cause, because either may hold the token."""
    answer = response(body)
    assert classify_token(TOKEN_REQUEST, answer) is None
    with pytest.raises(PayloadError, match="holds no access token") as caught:
        responses.parse_token(TOKEN_REQUEST, answer)
    assert caught.value.excerpt is None
    assert caught.value.__cause__ is None
    assert "secret" not in f"{caught.value!r} {caught.value}"


# --- good answers ----------------------------------------------------------------------------------------------------


def test_samples_of_single_records_parse() -> None:
    """The vendor's samples come out as structs beside their raw objects."""
    firmware = responses.parse_firmware(REQUEST, response((SAMPLES / "enos-get-firmware.json").read_bytes()))
    assert (firmware.firmware_id, firmware.raw["fileSize"]) == ("yourFirmwareId", 1767)
    job = responses.parse_job(REQUEST, response((SAMPLES / "enos-get-ota-job.json").read_bytes()))
    assert (job.job_id, job.upgrade_policy) == ("yourJobId", None)


def test_faults_of_a_record_are_listed_with_their_paths() -> None:
    """A missing identifier and a text where a truth value belongs are both named."""
    body = {"code": 0, "data": {"version": "1", "isVerified": "false", "fileSize": True}}
    with pytest.raises(PayloadError) as caught:
        responses.parse_firmware(REQUEST, response(body))
    problems = " ".join(caught.value.problems)
    assert "firmwareId" in problems
    assert "$.data.is_verified" in problems
    assert "$.data.file_size" in problems
    with pytest.raises(PayloadError, match="JobAnswer"):
        responses.parse_job(REQUEST, response({"code": 0, "data": None}))


def test_the_device_sample_is_a_page() -> None:
    """Its rows are read, and what it says about itself."""
    answer = response((SAMPLES / "enos-search-device-upgrade.json").read_bytes())
    assert responses.page_facts(REQUEST, answer) == PageFacts(rows=5, total=9, number=1, size=5)
    rows, errors = responses.parse_rows(REQUEST, answer, DeviceFirmware)
    assert [row.asset_id for row in rows] == ["rFFJ6j53", "qOE2FZb5", "kYK5nVJv", "VeHlM7wW", "TGEIuAWG"]
    assert not errors


def test_the_job_sample_is_a_page() -> None:
    """Rows keep their raw objects."""
    answer = response((SAMPLES / "enos-search-ota-job.json").read_bytes())
    rows, _ = responses.parse_rows(REQUEST, answer, JobInfo)
    assert rows[0].raw["jobId"] == rows[0].job_id == "yourJobId"


def test_a_bad_row_does_not_lose_the_others() -> None:
    """Good rows come out beside one error for each bad one, with its place."""
    body = {"code": 0, "data": [{"assetId": "a"}, {"assetId": 7}, {"assetId": "c", "isUpgrading": None}, "x"]}
    rows, errors = responses.parse_rows(REQUEST, response(body), DeviceFirmware)
    assert [row.asset_id for row in rows] == ["a", "c"]
    assert "$.data[1].asset_id" in errors[0].problems[0]
    assert "$.data[3]" in errors[1].problems[0]


@pytest.mark.parametrize(
    ("body", "facts", "count"),
    [
        ({"code": 0, "data": []}, PageFacts(rows=0), 0),
        ({"code": 0, "data": None, "pagination": None}, PageFacts(rows=0), 0),
        ({"code": 0, "data": {"assetId": "a"}}, PageFacts(rows=1), 1),
        (
            {"data": [], "pagination": {"pageNo": "2", "pageSize": "50", "totalSize": "x", "sortedBy": [1]}},
            PageFacts(rows=0, number=2, size=50),
            0,
        ),
    ],
)
def test_pages_come_in_more_shapes_than_one(body: Any, facts: PageFacts, count: int) -> None:
    """An empty page may be null, a page of one a single object, numbers may be text, the pagination may be missing."""
    assert responses.page_facts(REQUEST, response(body)) == facts
    assert len(responses.parse_rows(REQUEST, response(body), DeviceFirmware)[0]) == count


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b'{"code":0}', b'{"code":0,"data":"x"}', b'{"data":[],"pagination":[]}']
)
def test_what_is_no_page_is_never_empty(body: bytes) -> None:
    """It is an error that carries status and excerpt."""
    with pytest.raises(PayloadError, match="not a page of rows") as caught:
        responses.page_facts(REQUEST, response(body))
    assert (caught.value.status, caught.value.excerpt, len(caught.value.problems)) == (200, body.decode(), 1)


def test_rows_of_what_is_no_page_are_an_error_too() -> None:
    """Reading rows is as strict as counting them."""
    with pytest.raises(PayloadError, match="not a page of rows"):
        responses.parse_rows(REQUEST, response({"code": 0}), DeviceFirmware)
