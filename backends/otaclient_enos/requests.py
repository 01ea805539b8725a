"""Typed arguments in, requests out. Whatever can be known to be wrong is refused here, before anything is sent.

Sources: EnOS Connection Service, "V2.1 Get Firmware File", "V2.1 Search Firmware", "V2.1 Search Device Upgrade", "V2.1
List Firmware Version", "V2.1 Get OTA Job", "V2.1 Search OTA Job", "V2.1 Search Device Task"; EnOS API Management, "Get
Access Token", "Refresh Access Token".
"""

from typing import Any, Final

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.structuring import encode_json
from otaclient.transport.http import HttpRequest
from otaclient_enos.checks import checked_text

__all__ = [
    "DEFAULT_PAGE_SIZE",
    "FIRMWARE",
    "JOBS",
    "JSON_HEADERS",
    "LARGEST_PAGE_SIZE",
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
# What the vendor recommends not to exceed, "for optimal performance".
DEFAULT_PAGE_SIZE: Final = 50

_TOKEN_PATH: Final = "/apim-token-service/v2.0/token"  # noqa: S105 - a path
# Of an expression in an error message: with a hundred products in it, it would bury the rest.
_SHOWN_CHARACTERS: Final = 160
FIRMWARE: Final = "ota-firmwares"
JOBS: Final = "ota-jobs"
JSON_HEADERS: Final = {"Content-Type": "application/json;charset=UTF-8"}


@attrs.frozen(kw_only=True)
class Organisation:
    """Whose OTA service is asked, and in which version of the API."""

    org_id: str
    api_version: str = "v2.1"

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
        path=organisation.path(FIRMWARE),
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
        path=organisation.path(JOBS),
        query=(("action", "get"), ("orgId", organisation.org_id), ("jobId", job_id)),
        subject=f"job {job_id!r}",
    )


def search_firmware(organisation: Organisation, *, expression: str | None, number: int, size: int) -> HttpRequest:
    """Build the request for one page of firmware.

    Raises:
        InvalidQueryError: The page's number or size is out of range.
    """
    body = _page(expression, number, size)
    return _search(organisation, FIRMWARE, "search", operation="firmware.search", body=body)


def search_jobs(organisation: Organisation, *, expression: str | None, number: int, size: int) -> HttpRequest:
    """Build the request for one page of jobs.

    Raises:
        InvalidQueryError: The page's number or size is out of range.
    """
    body = _page(expression, number, size)
    return _search(organisation, JOBS, "search", operation="jobs.search", body=body)


def search_tasks(organisation: Organisation, *, expression: str | None, number: int, size: int) -> HttpRequest:
    """Build the request for one page of what jobs do on devices.

    Raises:
        InvalidQueryError: The page's number or size is out of range.
    """
    body = _page(expression, number, size)
    return _search(organisation, JOBS, "searchTask", operation="jobs.tasks", body=body)


def search_devices(organisation: Organisation, *, expression: str | None, number: int, size: int) -> HttpRequest:
    """Build the request for one page of devices with their versions.

    Raises:
        InvalidQueryError: The page's number or size is out of range.
    """
    body = _page(expression, number, size)
    return _search(organisation, FIRMWARE, "searchDeviceUpgrade", operation="devices.search", body=body)


def list_versions(organisation: Organisation, product_id: str) -> HttpRequest:
    """Build the request for the versions that devices of a product have reported.

    Raises:
        InvalidQueryError: The product cannot be right.
    """
    checked_text(product_id, name="product_id")
    return HttpRequest(
        operation="firmware.reported_versions",
        method="GET",
        path=organisation.path(FIRMWARE),
        query=(("action", "listVersion"), ("orgId", organisation.org_id), ("productKey", product_id)),
        subject=f"product {product_id!r}",
    )


def get_token() -> HttpRequest:
    """Build the request for an access token, without its body: the signer writes that for each attempt."""
    return _token_request("get")


def refresh_token() -> HttpRequest:
    """Build the request for a new token in place of an old one, without its body: the signer writes that."""
    return _token_request("refresh")


def _page(expression: str | None, number: int, size: int) -> dict[str, Any]:
    if number < 1:
        raise InvalidQueryError(f"page {number} was asked for: pages count from 1")
    if not 1 <= size <= LARGEST_PAGE_SIZE:
        raise InvalidQueryError(f"page_size is {size}: EnOS takes 1 to {LARGEST_PAGE_SIZE}")
    body: dict[str, Any] = {} if expression is None else {"expression": expression}
    body["pagination"] = {"pageNo": number, "pageSize": size}
    return body


def _search(
    organisation: Organisation, resource: str, action: str, *, operation: str, body: dict[str, Any]
) -> HttpRequest:
    number, expression = body["pagination"]["pageNo"], body.get("expression")
    return HttpRequest(
        operation=operation,
        method="POST",
        path=organisation.path(resource),
        query=(("action", action), ("orgId", organisation.org_id)),
        headers=JSON_HEADERS,
        body=encode_json(body),
        subject=f"page {number}" if expression is None else f"page {number} of {_shortened(expression)}",
    )


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
