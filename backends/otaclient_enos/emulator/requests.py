"""What a business request to EnOS says: its query, its body, and what the service refuses in them."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, cast
from urllib.parse import parse_qsl

import attrs

from otaclient.emulator import json_bodies

__all__ = [
    "DEFAULT_PAGE",
    "DENIED",
    "INVALID_ARGUMENT",
    "LARGEST_PAGE",
    "Page",
    "RefusalError",
    "json_object",
    "query_of",
    "raw_query_of",
    "search_of",
]

INVALID_ARGUMENT: Final = 99400
DENIED: Final = 99403
LARGEST_PAGE: Final = 200


class RefusalError(Exception):
    """The service refuses a request: its ``code`` and its words."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@attrs.frozen
class Page:
    """Which page of a search is asked for."""

    number: int
    size: int

    @property
    def start(self) -> int:
        """The position of the page's first row in the whole result."""
        return (self.number - 1) * self.size


DEFAULT_PAGE: Final = Page(1, 10)


def raw_query_of(target: str) -> str:
    """Return the query of a raw request target, percent-encoded as it came."""
    return target.partition("?")[2]


@lru_cache(maxsize=1024)
def query_of(raw: str) -> Mapping[str, str]:
    """Return the decoded parameters of a raw query string; of a name that is given twice the first value counts."""
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(raw, keep_blank_values=True):
        parameters.setdefault(name, value)
    return parameters


def search_of(body: bytes) -> tuple[str, Page]:
    """Return the expression (empty without one) and the page that the body of a search asks for.

    Raises:
        RefusalError: The body is not what the documentation describes.
    """
    fields = json_object(body)
    expression = fields.get("expression")
    if expression is None:
        expression = ""
    if not isinstance(expression, str):
        raise RefusalError(INVALID_ARGUMENT, "Invalid Argument expression: it is not a string")
    return expression, _page(fields.get("pagination"))


def json_object(body: bytes, *, name: str = "body") -> Mapping[str, Any]:
    """Return the members of a JSON object; nothing at all counts as an empty one.

    Raises:
        RefusalError: It is not a JSON object.
    """
    if not body.strip():
        return {}
    try:
        return json_bodies.json_object(body)
    except json_bodies.NoJsonObjectError as error:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument {name}: {error}") from error


def _page(pagination: object) -> Page:
    if pagination is None:
        return DEFAULT_PAGE
    if not isinstance(pagination, dict):
        raise RefusalError(INVALID_ARGUMENT, "Invalid Argument pagination: it is not an object")
    members = cast("dict[str, Any]", pagination)
    if members.get("sorters"):
        raise RefusalError(INVALID_ARGUMENT, "Invalid Argument pagination.sorters: sorters is not supported")
    number = _whole_number(members, "pageNo")
    size = _whole_number(members, "pageSize")
    # What the service does beyond these limits is not documented; refusing is this emulator's convention.
    if number < 1:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument pagination.pageNo: {number} is less than 1")
    if not 1 <= size <= LARGEST_PAGE:
        raise RefusalError(
            INVALID_ARGUMENT, f"Invalid Argument pagination.pageSize: {size} is not in 1 to {LARGEST_PAGE}"
        )
    return Page(number, size)


def _whole_number(members: Mapping[str, Any], name: str) -> int:
    value = members.get(name)
    if value is None:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument pagination.{name}: {name} is missing")
    # The vendor's samples send numbers as text in places, and its service reads them.
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        return int(value)
    if type(value) is not int:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument pagination.{name}: it is not an integer")
    return value
