"""Requests to EnOS: paths, queries and bodies as documented, and what is refused before any of them is sent."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.reads import PageWindow
from otaclient.transport.http import HttpRequest
from otaclient_enos import requests, write_requests
from otaclient_enos.requests import Organisation

ORG = Organisation(org_id="o15475466766371", api_version="v2.1")
SEARCHES: list[tuple[Callable[..., HttpRequest], str, str, str]] = [
    (requests.search_firmware, "firmware.search", "/connect-service/v2.1/ota-firmwares", "search"),
    (requests.search_jobs, "jobs.search", "/connect-service/v2.1/ota-jobs", "search"),
    (requests.search_devices, "devices.search", "/connect-service/v2.1/ota-firmwares", "searchDeviceUpgrade"),
]


@pytest.mark.parametrize(
    ("build", "operation", "path", "parameter", "subject"),
    [
        (requests.get_firmware, "firmware.get", "/connect-service/v2.1/ota-firmwares", "firmwareId", "firmware 'id'"),
        (requests.get_job, "jobs.get", "/connect-service/v2.1/ota-jobs", "jobId", "job 'id'"),
    ],
)
def test_one_record_is_asked_for_with_get(
    build: Callable[..., HttpRequest], operation: str, path: str, parameter: str, subject: str
) -> None:
    """The action, the organisation and the identifier are in the query; there is no body."""
    request = build(ORG, "id")
    assert (request.method, request.path, request.operation, request.subject) == ("GET", path, operation, subject)
    assert request.query == (("action", "get"), ("orgId", ORG.org_id), (parameter, "id"))
    assert (request.body, dict(request.headers), request.idempotent) == (b"", {}, True)


@pytest.mark.parametrize(("build", "operation", "path", "action"), SEARCHES)
def test_a_page_is_asked_for_with_post(
    build: Callable[..., HttpRequest], operation: str, path: str, action: str
) -> None:
    """Expression and page are JSON in the body, in raw UTF-8."""
    request = build(ORG, "name like '固件'", PageWindow(2, 200))
    assert (request.method, request.path, request.operation) == ("POST", path, operation)
    assert request.query == (("action", action), ("orgId", ORG.org_id))
    assert request.headers["Content-Type"] == "application/json;charset=UTF-8"
    expected = '{"expression":"name like \'固件\'","pagination":{"pageNo":2,"pageSize":200}}'
    assert request.body == expected.encode()
    assert request.idempotent


@pytest.mark.parametrize("build", [search[0] for search in SEARCHES])
def test_without_filters_there_is_no_expression(build: Callable[..., HttpRequest]) -> None:
    """The key is left out, not sent as null."""
    request = build(ORG, None, PageWindow(1, 50))
    assert msgspec.json.decode(request.body) == {"pagination": {"pageNo": 1, "pageSize": 50}}
    assert request.subject == "page 1"


@pytest.mark.parametrize(
    ("number", "size", "words"),
    [
        (0, 50, "page 0 .* from 1"),
        ("2", 50, "page '2' .* from 1"),
        (1, 0, "1 to 200"),
        (1, 201, "1 to 200"),
        (1, True, "page_size is True"),
    ],
)
@pytest.mark.parametrize("build", [search[0] for search in SEARCHES])
def test_pages_out_of_range_are_refused(build: Callable[..., HttpRequest], number: int, size: int, words: str) -> None:
    """Page numbers begin at 1 and sizes end at 200; the message says so."""
    with pytest.raises(InvalidQueryError, match=words):
        build(ORG, None, PageWindow(number, size))


def test_a_long_expression_is_shortened_for_messages_only() -> None:
    """The body has all of it, the subject its beginning."""
    request = requests.search_jobs(ORG, "x" * 1000, PageWindow(3, 50))
    assert len(request.subject) < 200
    assert request.subject.endswith("x...")
    assert msgspec.json.decode(request.body)["expression"] == "x" * 1000


@pytest.mark.parametrize(
    ("identifier", "words"),
    [
        ("", "a text that is not empty"),
        ("  ", "a text that is not empty"),
        ("a\nb", "control character"),
        (7, "give a text"),
    ],
)
def test_identifiers_that_cannot_be_right_are_refused(identifier: Any, words: str) -> None:
    """Nothing is sent for an identifier that is empty, no text, or cannot be sent faithfully."""
    with pytest.raises(InvalidQueryError, match=f"firmware_id .*{words}"):
        requests.get_firmware(ORG, identifier)
    with pytest.raises(InvalidQueryError, match=f"job_id .*{words}"):
        requests.get_job(ORG, identifier)
    with pytest.raises(InvalidQueryError, match=f"owner_id .*{words}"):
        ORG.owned_by(identifier)


@given(st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(str.strip))
def test_identifiers_are_opaque(identifier: str) -> None:
    """Any other text goes out as it is: the form of identifiers is the vendor's affair."""
    assert requests.get_job(ORG, identifier).query[-1] == ("jobId", identifier)


def test_another_organisation_replaces_the_own_one() -> None:
    """A query's owner goes into orgId; without one nothing changes; the version of the API stays."""
    own = Organisation(org_id="o1", api_version="v2.2")
    assert own.owned_by(None) is own
    request = requests.get_job(own.owned_by("o2"), "id")
    assert dict(request.query)["orgId"] == "o2"
    assert request.path == "/connect-service/v2.2/ota-jobs"


@pytest.mark.parametrize(("build", "action"), [(requests.get_token, "get"), (requests.refresh_token, "refresh")])
def test_token_requests_wait_for_their_signer(build: Callable[[], HttpRequest], action: str) -> None:
    """They have a path of their own and no body yet."""
    request = build()
    assert (request.method, request.path) == ("POST", f"/apim-token-service/v2.0/token/{action}")
    assert (request.operation, request.body, request.query) == ("authenticate", b"", ())
    assert request.headers["Content-Type"] == "application/json;charset=UTF-8"


@pytest.mark.parametrize(("keys", "said"), [(["k1"], "1 device of job 'j1'"), (["k1", "k2"], "2 devices of job 'j1'")])
def test_what_is_done_to_devices_counts_them_in_words(keys: list[str], said: str) -> None:
    """Errors about an unclear outcome begin with it."""
    for build in (write_requests.cancel_tasks, write_requests.retry_tasks):
        assert (build(ORG, "j1", keys).subject or "").endswith(said)
