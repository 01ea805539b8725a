"""Typed arguments in, requests out. Whatever can be known to be wrong is refused here, before anything is sent.

Sources: EnOS Connection Service, "V2.1 Get Firmware File", "V2.1 Search Firmware", "V2.1 Search Device Upgrade", "V2.1
List Firmware Version", "V2.1 Get OTA Job", "V2.1 Search OTA Job", "V2.1 Search Device Task"; EnOS API Management, "Get
Access Token", "Refresh Access Token".
"""

from typing import Any, Final

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.reads import PageNumbers, PageWindow, Window
from otaclient.structuring import encode_json
from otaclient.transport.http import HttpRequest
from otaclient_enos.checks import checked_text

__all__ = [
    "FIRMWARE_RESOURCE",
    "JOB_RESOURCE",
    "JSON_HEADERS",
    "LARGEST_PAGE_SIZE",
    "PAGING",
    "Organisation",
    "get_firmware",
    "get_job",
    "get_token",
    "list_versions",
    "refresh_token",
    "search_devices",
    "search_firmware",
    "search_jobs",
    "search_tasks",
]

LARGEST_PAGE_SIZE: Final = 200
PAGING: Final = PageNumbers(largest_page=LARGEST_PAGE_SIZE, default_page=50)
"""How all searches page. The vendor recommends no more than 50, "for optimal performance"."""

_TOKEN_PATH: Final = "/apim-token-service/v2.0/token"  # noqa: S105 - a path
# Of an expression in an error message: with a hundred products in it, it would bury the rest.
_SHOWN_CHARACTERS: Final = 160
FIRMWARE_RESOURCE: Final = "ota-firmwares"
JOB_RESOURCE: Final = "ota-jobs"
JSON_HEADERS: Final = {"Content-Type": "application/json;charset=UTF-8"}


@attrs.frozen(kw_only=True)
class Organisation:
    """Whose OTA service is asked, and in which version of the API."""

    org_id: str
    api_version: str

    def owned_by(self, owner_id: str | None) -> "Organisation":
        """Return the organisation that a query names, or this one where it names none.

        Raises:
            InvalidQueryError: The name cannot be right.
        """
        return self if owner_id is None else attrs.evolve(self, org_id=checked_text(owner_id, name="owner_id"))

    def path(self, resource: str) -> str:
        """Return the path of a resource, such as ``ota-jobs``."""
        return f"/connect-service/{self.api_version}/{resource}"


def get_firmware(organisation: Organisation, firmware_id: str) -> HttpRequest:
    """Build the request for one firmware.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    checked_text(firmware_id, name="firmware_id")
    return HttpRequest(
        operation="firmware.get",
        method="GET",
        path=organisation.path(FIRMWARE_RESOURCE),
        query=(("action", "get"), ("orgId", organisation.org_id), ("firmwareId", firmware_id)),
        subject=f"firmware {firmware_id!r}",
    )


def get_job(organisation: Organisation, job_id: str) -> HttpRequest:
    """Build the request for one job.

    Raises:
        InvalidQueryError: The identifier cannot be right.
    """
    checked_text(job_id, name="job_id")
    return HttpRequest(
        operation="jobs.get",
        method="GET",
        path=organisation.path(JOB_RESOURCE),
        query=(("action", "get"), ("orgId", organisation.org_id), ("jobId", job_id)),
        subject=f"job {job_id!r}",
    )


def search_firmware(organisation: Organisation, expression: str | None, window: Window) -> HttpRequest:
    """Build the request for one page of firmware.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _search(organisation, FIRMWARE_RESOURCE, "search", expression, window, operation="firmware.search")


def search_jobs(organisation: Organisation, expression: str | None, window: Window) -> HttpRequest:
    """Build the request for one page of jobs.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _search(organisation, JOB_RESOURCE, "search", expression, window, operation="jobs.search")


def search_tasks(organisation: Organisation, expression: str | None, window: Window) -> HttpRequest:
    """Build the request for one page of what jobs do on devices.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _search(organisation, JOB_RESOURCE, "searchTask", expression, window, operation="jobs.tasks")


def search_devices(organisation: Organisation, expression: str | None, window: Window) -> HttpRequest:
    """Build the request for one page of devices with their versions.

    Raises:
        InvalidQueryError: The window is none of this vendor's.
    """
    return _search(
        organisation, FIRMWARE_RESOURCE, "searchDeviceUpgrade", expression, window, operation="devices.search"
    )


def list_versions(organisation: Organisation, product_id: str) -> HttpRequest:
    """Build the request for the versions that devices of a product have reported.

    Raises:
        InvalidQueryError: The product cannot be right.
    """
    checked_text(product_id, name="product_id")
    return HttpRequest(
        operation="firmware.reported_versions",
        method="GET",
        path=organisation.path(FIRMWARE_RESOURCE),
        query=(("action", "listVersion"), ("orgId", organisation.org_id), ("productKey", product_id)),
        subject=f"product {product_id!r}",
    )


def get_token() -> HttpRequest:
    """Build the request for an access token, without its body: the signer writes that for each attempt."""
    return _token_request("get")


def refresh_token() -> HttpRequest:
    """Build the request for a new token in place of an old one, without its body: the signer writes that."""
    return _token_request("refresh")


def _search(
    organisation: Organisation, resource: str, action: str, expression: str | None, window: Window, *, operation: str
) -> HttpRequest:
    if not isinstance(window, PageWindow):
        raise InvalidQueryError("EnOS pages by number, not by marker: ask with a PageWindow")
    _check_window(window)
    body: dict[str, Any] = {} if expression is None else {"expression": expression}
    body["pagination"] = {"pageNo": window.number, "pageSize": window.size}
    page = f"page {window.number}"
    return HttpRequest(
        operation=operation,
        method="POST",
        path=organisation.path(resource),
        query=(("action", action), ("orgId", organisation.org_id)),
        headers=JSON_HEADERS,
        body=encode_json(body),
        subject=page if expression is None else f"{page} of {_shortened(expression)}",
    )


def _check_window(window: PageWindow) -> None:
    if type(window.number) is not int or window.number < 1:
        raise InvalidQueryError(f"page {window.number!r} was asked for: pages count from 1")
    if type(window.size) is not int or not 1 <= window.size <= LARGEST_PAGE_SIZE:
        raise InvalidQueryError(f"page_size is {window.size!r}: EnOS takes 1 to {LARGEST_PAGE_SIZE}")


def _shortened(expression: str) -> str:
    shown = expression[:_SHOWN_CHARACTERS]
    return shown if shown == expression else f"{shown}..."


def _token_request(action: str) -> HttpRequest:
    return HttpRequest(
        operation="authenticate",
        method="POST",
        path=f"{_TOKEN_PATH}/{action}",
        headers=JSON_HEADERS,
        subject="access token",
    )
