"""Typed arguments in, requests out. Whatever can be known to be wrong is refused here, before anything is sent.

Sources: Huawei Cloud IoTDA API reference, "Query the OTA Upgrade Package List", "Query the Details of an OTA Upgrade
Package", "Query the Batch Task List", "Query a Batch Task", "Query the Device List", "Query a Device", "Query Device
List Flexibly", "Query the OTA Module List", "Query an OTA Module"; Huawei Cloud IAM, "Obtaining a User Token Through
Password Authentication".
"""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.reads import Markers, MarkerWindow, Window
from otaclient.secret import last_characters
from otaclient.structuring import encode_json
from otaclient.transport.http import HttpRequest
from otaclient_iotda import checks
from otaclient_iotda.config import PasswordCredentials

__all__ = [
    "PAGING",
    "Filters",
    "described",
    "detail_filters",
    "device_filters",
    "get_device",
    "get_module",
    "get_package",
    "get_task",
    "issue_token",
    "list_devices",
    "list_modules",
    "list_packages",
    "list_task_details",
    "list_tasks",
    "module_filters",
    "package_filters",
    "project_path",
    "search_devices",
    "task_filters",
    "wire_time",
]

Filters: TypeAlias = tuple[tuple[str, str], ...]
"""The query parameters of a listing but those that page."""

PAGING: Final = Markers(largest_page=50, default_page=50, largest_offset=500)
"""How all listings page.

Source: Huawei Cloud IoTDA, "Query the OTA Upgrade Package List" (``limit``, ``marker``, ``offset``).
"""

# An IAM project's id; a project's name, such as `cn-north-4`, never looks like one.
_IAM_PROJECT_ID: Final = re.compile(r"[0-9a-f]{32}")
_IAM_CONTENT_TYPE: Final = "application/json;charset=utf8"


# --- one thing -------------------------------------------------------------------------------------------------------


def get_package(project_id: str, package_id: str) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/ota-upgrades/packages/{package_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.PACKAGE_ID.check(package_id, "firmware_id")
    return HttpRequest(
        operation="firmware.get",
        method="GET",
        path=project_path(project_id, f"ota-upgrades/packages/{package_id}"),
        subject=f"firmware {package_id!r}",
    )


def get_task(project_id: str, task_id: str) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/batchtasks/{task_id}``, with as few of its details as the vendor allows.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.TASK_ID.check(task_id, "job_id")
    return HttpRequest(
        operation="jobs.get",
        method="GET",
        path=project_path(project_id, f"batchtasks/{task_id}"),
        # The task comes whole with every page of its details; one detail is the smallest page.
        query=(("limit", "1"),),
        subject=f"job {task_id!r}",
    )


def get_device(project_id: str, device_id: str) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/devices/{device_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.DEVICE_ID.check(device_id, "device_id")
    return HttpRequest(
        operation="devices.get",
        method="GET",
        path=project_path(project_id, f"devices/{device_id}"),
        subject=f"device {device_id!r}",
    )


def get_module(project_id: str, module_id: str) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/ota-upgrades/modules/{module_id}``.

    Raises:
        InvalidQueryError: The identifier cannot be one.
    """
    checks.MODULE_ID.check(module_id, "module_id")
    return HttpRequest(
        operation="modules.get",
        method="GET",
        path=project_path(project_id, f"ota-upgrades/modules/{module_id}"),
        subject=f"module {module_id!r}",
    )


def search_devices(project_id: str, statement: str) -> HttpRequest:
    """Build ``POST /v5/iot/{project_id}/search/query-devices`` for a statement that was checked."""
    return HttpRequest(
        operation="devices.query",
        method="POST",
        path=project_path(project_id, "search/query-devices"),
        body=encode_json({"sql": statement}),
        subject=f"list for {statement!r}",
    )


# --- listings --------------------------------------------------------------------------------------------------------


def list_packages(project_id: str, filters: Filters, window: Window) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/ota-upgrades/packages`` for one window.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _listing("firmware.search", project_path(project_id, "ota-upgrades/packages"), filters, window)


def list_tasks(project_id: str, filters: Filters, window: Window) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/batchtasks`` for one window.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _listing("jobs.search", project_path(project_id, "batchtasks"), filters, window)


def list_devices(project_id: str, filters: Filters, window: Window) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/devices`` for one window.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _listing("devices.search", project_path(project_id, "devices"), filters, window)


def list_task_details(task_id: str, project_id: str, filters: Filters, window: Window) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/batchtasks/{task_id}`` for one window of its details.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    request = _listing("jobs.tasks", project_path(project_id, f"batchtasks/{task_id}"), filters, window)
    return attrs.evolve(request, subject=f"job {task_id!r}")


def list_modules(project_id: str, filters: Filters, window: Window) -> HttpRequest:
    """Build ``GET /v5/iot/{project_id}/ota-upgrades/modules`` for one window.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _listing("modules.search", project_path(project_id, "ota-upgrades/modules"), filters, window)


def package_filters(
    *, package_type: str, product_id: str | None = None, app_id: str | None = None, version: str | None = None
) -> Filters:
    """Return the filters of a package list.

    Raises:
        InvalidQueryError: A value cannot be one of this vendor's.
    """
    if version is not None:
        checks.VERSION.check(version, "version")
    return _given(
        ("package_type", package_type),
        ("app_id", _checked_app_id(app_id)),
        ("product_id", _checked_product(product_id)),
        ("version", version),
    )


def task_filters(*, task_type: str, app_id: str | None = None, status: str | None = None) -> Filters:
    """Return the filters of a batch task list.

    Raises:
        InvalidQueryError: A value cannot be one of this vendor's.
    """
    owner = _checked_app_id(app_id)
    return _given(("task_type", task_type), ("app_id", owner), ("status", status))


def detail_filters(*, target: str | None = None, status: str | None = None) -> Filters:
    """Return the filters of the details of a batch task.

    Raises:
        InvalidQueryError: A value cannot be one of this vendor's.
    """
    if target is not None:
        checks.DEVICE_ID.check(target, "one of devices")
    return _given(("task_detail_status", status), ("target", target))


def module_filters(*, product_id: str | None = None, app_id: str | None = None) -> Filters:
    """Return the filters of a module list.

    Raises:
        InvalidQueryError: A value cannot be one of this vendor's.
    """
    return _given(
        ("app_id", _checked_app_id(app_id)),
        ("product_id", _checked_product(product_id, "product_id")),
    )


def device_filters(
    *,
    product_id: str | None = None,
    app_id: str | None = None,
    registered_after: datetime | None = None,
    registered_before: datetime | None = None,
) -> Filters:
    """Return the filters of a device list.

    The vendor knows whole seconds, and does not say whether it counts the ends in. So both ends are moved outwards to a
    whole second: a device of the last or first split second may come in addition, none is lost.

    Raises:
        InvalidQueryError: A value cannot be one of this vendor's.
    """
    return _given(
        ("product_id", _checked_product(product_id)),
        ("app_id", _checked_app_id(app_id)),
        ("start_time", None if registered_after is None else wire_time(registered_after)),
        ("end_time", None if registered_before is None else wire_time(registered_before, round_up=True)),
    )


def described(filters: Sequence[Filters]) -> str:
    """Return the filters of all walks of a query in the vendor's words, such as ``version=V2.0, product_id=a|b``."""
    values: dict[str, dict[str, None]] = {}
    for pairs in filters:
        for name, value in pairs:
            values.setdefault(name, {})[value] = None
    return ", ".join(f"{name}={'|'.join(found)}" for name, found in values.items())


def wire_time(instant: datetime, *, round_up: bool = False) -> str:
    """Return an aware UTC time as ``yyyyMMdd'T'HHmmss'Z'``, cut to the whole second or moved up to the next."""
    whole = instant.replace(microsecond=0)
    last = datetime.max.replace(microsecond=0, tzinfo=instant.tzinfo)
    if round_up and whole not in {instant, last}:
        whole += timedelta(seconds=1)
    # strftime("%Y") does not pad years below 1000 everywhere.
    return f"{whole.year:04d}{whole:%m%dT%H%M%SZ}"


# --- authentication --------------------------------------------------------------------------------------------------


def issue_token(credentials: PasswordCredentials, project_id: str) -> HttpRequest:
    """Build ``POST /v3/auth/tokens``, without the catalogue, which would make the token several KB long.

    Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication".
    """
    project = credentials.project or project_id
    by_id = project == project_id or _IAM_PROJECT_ID.fullmatch(project) is not None
    user = {
        "name": credentials.username,
        "password": credentials.password.reveal(),
        "domain": {"name": credentials.domain},
    }
    body = {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id" if by_id else "name": project}},
        }
    }
    return HttpRequest(
        operation="authenticate",
        method="POST",
        path="/v3/auth/tokens",
        query=(("nocatalog", "true"),),
        headers={"Content-Type": _IAM_CONTENT_TYPE},
        body=encode_json(body),
        # A second token does not invalidate the first.
        idempotent=True,
        subject=f"user {last_characters(credentials.username)}",
    )


# --- small things ----------------------------------------------------------------------------------------------------


def project_path(project_id: str, rest: str) -> str:
    """Return the path of something within a project."""
    return f"/v5/iot/{project_id}/{rest}"


def _listing(operation: str, path: str, filters: Filters, window: Window) -> HttpRequest:
    if not isinstance(window, MarkerWindow):
        raise InvalidQueryError("IoTDA pages by marker, not by number: ask with a MarkerWindow")
    _check_window(window)
    pages: list[tuple[str, str]] = [("limit", str(window.size))]
    if window.marker is not None:
        pages.append(("marker", window.marker))
    if window.offset:
        pages.append(("offset", str(window.offset)))
    subject = f"list with {described([filters])}" if filters else "list"
    return HttpRequest(operation=operation, method="GET", path=path, query=(*filters, *pages), subject=subject)


def _check_window(window: MarkerWindow) -> None:
    if window.marker is not None:
        checks.MARKER.check(window.marker, "marker")
    if type(window.size) is not int or not 1 <= window.size <= PAGING.largest_page:
        raise InvalidQueryError(f"page_size is {window.size!r}: IoTDA takes 1 to {PAGING.largest_page}")
    if type(window.offset) is not int or not 0 <= window.offset <= PAGING.largest_offset:
        raise InvalidQueryError(
            f"the offset is {window.offset!r}: IoTDA takes 0 to {PAGING.largest_offset}; "
            "go on from the marker of the last page instead"
        )


def _checked_app_id(app_id: str | None) -> str | None:
    return None if app_id is None else checks.OWNER_ID.check(app_id, "owner_id")


def _checked_product(product_id: str | None, name: str = "one of products") -> str | None:
    return None if product_id is None else checks.PRODUCT_ID.check(product_id, name)


def _given(*pairs: tuple[str, str | None]) -> Filters:
    return tuple((name, value) for name, value in pairs if value is not None)
