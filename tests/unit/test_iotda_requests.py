"""Requests to IoTDA: what is asked, and what is refused before it is asked."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.reads import MarkerWindow, PageWindow
from otaclient_iotda import requests
from otaclient_iotda.config import PasswordCredentials

P = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
MARKER = "5c90fa7d3c4e4405e8525079"


def test_one_package() -> None:
    """A package is asked for by its id in the path."""
    request = requests.get_package(P, "28f61af50fc9452aa0ed5ea25c3cc3d3")
    assert request.operation == "firmware.get"
    assert (request.method, request.query, request.body) == ("GET", (), b"")
    assert request.path == f"/v5/iot/{P}/ota-upgrades/packages/28f61af50fc9452aa0ed5ea25c3cc3d3"
    assert request.subject == "firmware '28f61af50fc9452aa0ed5ea25c3cc3d3'"


def test_one_task_and_one_device() -> None:
    """A task is asked for with the fewest details possible, a device by its id."""
    task = requests.get_task(P, MARKER)
    assert (task.operation, task.path) == ("jobs.get", f"/v5/iot/{P}/batchtasks/{MARKER}")
    assert (task.query, task.subject) == ((("limit", "1"),), f"job '{MARKER}'")
    device = requests.get_device(P, "5ba2_dev-1")
    assert (device.operation, device.path) == ("devices.get", f"/v5/iot/{P}/devices/5ba2_dev-1")
    assert (device.query, device.subject) == ((), "device '5ba2_dev-1'")


@pytest.mark.parametrize(
    ("build", "name", "good", "too_long"),
    [
        (requests.get_package, "firmware_id", "a" * 36, "a" * 37),
        (requests.get_task, "job_id", "a" * 24, "a" * 25),
        (requests.get_device, "device_id", "a" * 128, "a" * 129),
    ],
)
def test_identifiers_that_cannot_be_right_are_refused(
    build: Callable[[str, Any], Any], name: str, good: str, too_long: str
) -> None:
    """Empty, too long, with a slash, a quote, a control character, or no text: one error that names the input."""
    build(P, good)
    for bad in ("", too_long, "a/b", "a'b", "..", "a\n", "a b", "\u00e9", None, 7):
        with pytest.raises(InvalidQueryError, match=f"{name} is "):
            build(P, bad)


@pytest.mark.parametrize(
    ("build", "path", "operation"),
    [
        (requests.list_packages, "ota-upgrades/packages", "firmware.search"),
        (requests.list_tasks, "batchtasks", "jobs.search"),
        (requests.list_devices, "devices", "devices.search"),
    ],
)
def test_listings(build: Callable[..., Any], path: str, operation: str) -> None:
    """A listing has its filters, by which errors name it, the page size, and marker and offset where there is one."""
    filters = (("package_type", "firmwarePackage"), ("app_id", "a"))
    first = build(P, filters, MarkerWindow(None, 50))
    assert (first.operation, first.method, first.path) == (operation, "GET", f"/v5/iot/{P}/{path}")
    assert first.query == (*filters, ("limit", "50"))
    assert first.subject == "list with package_type=firmwarePackage, app_id=a"
    later = build(P, (), MarkerWindow(MARKER, 1, 500))
    assert later.query == (("limit", "1"), ("marker", MARKER), ("offset", "500"))
    assert later.subject == "list"


@pytest.mark.parametrize(
    ("window", "words"),
    [
        (MarkerWindow("zz", 50), "marker is 'zz'"),
        (MarkerWindow("", 50), "marker is ''"),
        (MarkerWindow(MARKER + "0", 50), "marker"),
        (MarkerWindow(MARKER[:-1] + "g", 50), "24 hexadecimal digits"),
        (MarkerWindow(7, 50), "marker is 7"),  # type: ignore[arg-type]
        (MarkerWindow(None, 0), "page_size is 0"),
        (MarkerWindow(None, 51), "takes 1 to 50"),
        (MarkerWindow(None, True), "page_size is True"),
        (MarkerWindow(None, 50, 501), "takes 0 to 500"),
        (MarkerWindow(None, 50, -1), "offset is -1"),
        (PageWindow(1, 50), "pages by marker"),
    ],
)
def test_windows_that_cannot_be_are_refused(window: Any, words: str) -> None:
    """A malformed marker, a size or an offset out of range: one error each, before any request."""
    with pytest.raises(InvalidQueryError, match=words):
        requests.list_devices(P, (), window)


def test_filters_carry_what_is_given() -> None:
    """Filters that are not given are left out."""
    assert requests.package_filters(package_type="firmwarePackage") == (("package_type", "firmwarePackage"),)
    assert requests.package_filters(package_type="t", product_id="p", app_id="a", version="V2.0_1-x") == (
        ("package_type", "t"),
        ("app_id", "a"),
        ("product_id", "p"),
        ("version", "V2.0_1-x"),
    )
    assert requests.task_filters(task_type="t", app_id="a", status="Fail") == (
        ("task_type", "t"),
        ("app_id", "a"),
        ("status", "Fail"),
    )
    assert requests.device_filters() == ()
    assert requests.device_filters(
        product_id="p",
        app_id="a",
        registered_after=datetime(2026, 1, 2, 3, 4, 5, 1, tzinfo=UTC),
        registered_before=datetime(2026, 1, 2, 3, 4, 59, 1, tzinfo=UTC),
    ) == (("product_id", "p"), ("app_id", "a"), ("start_time", "20260102T030405Z"), ("end_time", "20260102T030500Z"))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: requests.package_filters(package_type="t", product_id="a'b"), 'one of products is "a\'b"'),
        (lambda: requests.package_filters(package_type="t", version="1 0"), "version is '1 0'"),
        (lambda: requests.package_filters(package_type="t", app_id="a/b"), "owner_id is 'a/b'"),
        (lambda: requests.task_filters(task_type="t", app_id="x" * 37), "owner_id"),
        (lambda: requests.device_filters(product_id="x" * 37), "products"),
    ],
)
def test_filters_that_cannot_be_right_are_refused(build: Callable[[], Any], words: str) -> None:
    """A quote in a product id and the like: one error that names the query's field."""
    with pytest.raises(InvalidQueryError, match=words):
        build()


def test_described() -> None:
    """All walks of a query in one line: each parameter once, with its values."""
    walks = [(("package_type", kind), ("version", "V2")) for kind in ("a", "b", "a")]
    assert requests.described(walks) == "package_type=a|b, version=V2"
    assert requests.described([()]) == ""


@given(st.datetimes(timezones=st.just(UTC)))
def test_times_only_ever_widen(instant: datetime) -> None:
    """Cut, a time is never later; moved up, never earlier; both by less than a second but at the end of time."""
    down, up = requests.wire_time(instant), requests.wire_time(instant, round_up=True)
    assert len(down) == len(up) == len("20260102T030405Z")
    early, late = (datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) for text in (down, up))
    assert early <= instant < early + timedelta(seconds=1) if early.year < 9999 else early <= instant
    assert late >= instant or late == datetime.max.replace(microsecond=0, tzinfo=UTC)
    assert late - early <= timedelta(seconds=1)


def test_the_end_of_time_is_not_moved_up() -> None:
    """There is no later second."""
    assert requests.wire_time(datetime.max.replace(tzinfo=UTC), round_up=True) == "99991231T235959Z"
    assert requests.wire_time(datetime.min.replace(tzinfo=UTC)) == "00010101T000000Z"


@pytest.mark.parametrize(
    ("project", "scope"),
    [
        (None, {"id": P}),
        (P, {"id": P}),
        ("f" * 32, {"id": "f" * 32}),
        ("cn-north-4", {"name": "cn-north-4"}),
    ],
)
def test_a_login_is_scoped_to_the_project(project: str | None, scope: dict[str, str]) -> None:
    """By its id where there is one, else by name; without catalogue; the password shows nowhere."""
    user = PasswordCredentials(
        iam_endpoint="https://iam.example.com",
        username="iam-user",
        password="very-secret\u00e9",
        domain="account",
        project=project,
    )
    request = requests.issue_token(user, P)
    assert (request.operation, request.method, request.path) == ("authenticate", "POST", "/v3/auth/tokens")
    assert request.query == (("nocatalog", "true"),)
    assert request.headers == {"Content-Type": "application/json;charset=utf8"}
    assert msgspec.json.decode(request.body) == {
        "auth": {
            "identity": {
                "methods": ["password"],
                "password": {
                    "user": {"name": "iam-user", "password": "very-secret\u00e9", "domain": {"name": "account"}}
                },
            },
            "scope": {"project": scope},
        }
    }
    assert "very-secret" not in repr(request)
