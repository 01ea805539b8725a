"""The wire structs in a good answer of IoTDA, and what a page says about itself.

Sources: Huawei Cloud IoTDA API reference, the pages named in :mod:`otaclient_iotda.wire`; Huawei Cloud IAM, "Obtaining
a User Token Through Password Authentication".
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar, cast, get_args

import attrs
import msgspec

from otaclient.decoding import FastRows, straight_rows, twin_rows
from otaclient.errors import PayloadError
from otaclient.models import FirmwareId, JobId
from otaclient.reads import PageFacts, Rows
from otaclient.structuring import decode_json, structure, structure_rows
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient_iotda import checks, wire
from otaclient_iotda.failures import SECRET_BODIES, excerpt
from otaclient_iotda.mapping import DEVICE_COLUMNS
from otaclient_iotda.wire import ListKey

__all__ = [
    "GrantedToken",
    "fast_rows",
    "page_facts",
    "parse_count",
    "parse_created_package",
    "parse_created_task",
    "parse_device",
    "parse_module",
    "parse_package",
    "parse_rows",
    "parse_searched",
    "parse_targets",
    "parse_task",
    "parse_token",
]

_T = TypeVar("_T")
_W = TypeVar("_W")

# --- pages -----------------------------------------------------------------------------------------------------------

_marker_form: Final = checks.MARKER.pattern
_ABSENT: Final = msgspec.Raw(b"")


class _PageInfo(msgspec.Struct):
    count: Any = None
    marker: Any = None


class _Listing(Protocol):
    rows: list[Any] | None
    page: _PageInfo | None
    task: msgspec.Raw


def _decoder(key: ListKey, row: Any) -> "msgspec.json.Decoder[_Listing]":
    fields = [
        ("rows", list[row] | None, msgspec.field(name=key, default=None)),
        ("page", _PageInfo | None, None),
        # The task that its details come with is not read: it names all targets, on every page.
        ("task", msgspec.Raw, msgspec.field(name="batchtask", default=_ABSENT)),
    ]
    decoder: Any = msgspec.json.Decoder(msgspec.defstruct(f"_{key}", fields))
    return cast("msgspec.json.Decoder[_Listing]", decoder)


_KEYS: Final[tuple[ListKey, ...]] = get_args(ListKey)
# Rows that are only counted stay bytes.
_COUNTING: Final = {key: _decoder(key, msgspec.Raw) for key in _KEYS}
_READING: Final = {key: _decoder(key, Any) for key in _KEYS}


def page_facts(request: HttpRequest, response: HttpResponse, key: ListKey) -> PageFacts:
    """Return what a page of a listing says about itself, without decoding its rows.

    The marker is the one of ``page``: the record ids that it belongs to are in no row. ``count`` is a hint.

    Raises:
        PayloadError: The answer is not a page of this listing, or its marker cannot be one.
    """
    listing = _listing(request, response, key, _COUNTING[key])
    return _facts(len(listing.rows or ()), listing.page, response)


def _facts(rows: int, told: _PageInfo | None, response: HttpResponse) -> PageFacts:
    page = told or _PageInfo()
    marker = page.marker
    if rows and marker and not (isinstance(marker, str) and _marker_form.fullmatch(marker)):
        raise PayloadError(
            f"the page's marker is {str(marker)[:60]!r}, not 24 hexadecimal digits: the walk cannot go on",
            status=response.status,
            request_id=response.headers.get("x-request-id"),
        )
    # Of an empty page nothing follows; the vendor leaves out, empties or nulls its marker.
    return PageFacts(
        rows=rows, total=page.count if type(page.count) is int else None, marker=(marker or None) if rows else None
    )


_FAST: Final[dict[type[Any], FastRows | None]] = {
    wire.Device: straight_rows(DEVICE_COLUMNS, rows_key="devices", envelope={"page": _PageInfo}),
    wire.TaskDetail: twin_rows(wire.TaskDetail, rows_key="task_details", envelope={"page": _PageInfo}),
}


def fast_rows(response: HttpResponse, struct: type[Any], model: Callable[..., _T], label: str) -> Rows[_T] | None:
    """Return a page of the rows that come by the million, as models; ``None`` for others, and for anything odd.

    Raises:
        PayloadError: Its marker cannot be one.
    """
    fast = _FAST.get(struct)
    page = None if fast is None else fast(response.body, model, label)
    return None if page is None else Rows(good=page.rows, facts=_facts(len(page.rows), page.envelope.page, response))


def parse_rows(
    request: HttpRequest, response: HttpResponse, key: ListKey, struct: type[_W]
) -> tuple[list[_W], list[PayloadError]]:
    """Return the good rows of a page, and an error for each bad one.

    Raises:
        PayloadError: The answer is not a page of this listing.
    """
    listing = _listing(request, response, key, _READING[key])
    return structure_rows(
        wire.CONVERTER, listing.rows or (), struct, path=f"$.{key}", request=request, response=response
    )


def _listing(
    request: HttpRequest, response: HttpResponse, key: ListKey, decoder: "msgspec.json.Decoder[_Listing]"
) -> _Listing:
    try:
        listing = decoder.decode(response.body)
    except msgspec.ValidationError as error:
        raise _not_documented(request, response, f"the answer is not a page of {key} ({error})") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _not_documented(request, response, f"the answer is not JSON ({error}): check endpoint") from error
    # A task that is being prepared may have nothing to show but itself.
    alone = key == "task_details" and bytes(listing.task).startswith(b"{")
    if listing.rows is None and listing.page is None and not alone:
        raise _not_documented(request, response, f"the answer has neither {key} nor page")
    return listing


def _not_documented(request: HttpRequest, response: HttpResponse, message: str) -> PayloadError:
    return PayloadError(
        message,
        operation=request.operation,
        status=response.status,
        request_id=response.headers.get("x-request-id"),
        excerpt=excerpt(request, response),
    )


# --- one thing -------------------------------------------------------------------------------------------------------


def parse_package(request: HttpRequest, response: HttpResponse) -> wire.OtaPackage:
    """Return the package of an answer.

    Raises:
        PayloadError: The answer is not one.
    """
    return _parsed(request, response, wire.OtaPackage)


def parse_task(request: HttpRequest, response: HttpResponse) -> wire.Task:
    """Return the batch task of an answer.

    Raises:
        PayloadError: The answer has none.
    """
    return _parsed(request, response, wire.TaskAnswer).batchtask


def parse_device(request: HttpRequest, response: HttpResponse) -> wire.Device:
    """Return the device of an answer, without its secrets.

    Raises:
        PayloadError: The answer is not one; it carries nothing of the body.
    """
    return _parsed(request, response, wire.Device)


def parse_module(request: HttpRequest, response: HttpResponse) -> wire.OtaModule:
    """Return the OTA module of an answer.

    Raises:
        PayloadError: The answer is not one.
    """
    return _parsed(request, response, wire.OtaModule)


def parse_created_package(request: HttpRequest, response: HttpResponse) -> FirmwareId:
    """Return the identifier of a package that was created.

    Raises:
        PayloadError: The answer has none.
    """
    return FirmwareId(_parsed(request, response, wire.CreatedPackage).package_id)


def parse_created_task(request: HttpRequest, response: HttpResponse) -> JobId:
    """Return the identifier of a batch task that was created.

    Raises:
        PayloadError: The answer has none.
    """
    return JobId(_parsed(request, response, wire.CreatedTask).task_id)


def parse_targets(request: HttpRequest, response: HttpResponse) -> tuple[wire.TargetResult, ...]:
    """Return what became of each target of a stop, retry or confirm, as far as the answer says.

    Raises:
        PayloadError: The answer is not one to such a request.
    """
    return _parsed(request, response, wire.TargetsAnswer).targets or ()


def parse_searched(request: HttpRequest, response: HttpResponse) -> list[wire.SearchedDevice]:
    """Return the devices that a flexible search found.

    Raises:
        PayloadError: The answer is none to such a search, or one of its rows is not as documented.
    """
    answer = decode_json(request, response)
    if not isinstance(answer, dict) or "devices" not in answer:
        raise _not_documented(request, response, "the answer has no devices")
    if answer["devices"] is None:
        return []
    good, errors = parse_rows(request, response, "devices", wire.SearchedDevice)
    if errors:
        problems = tuple(problem for error in errors for problem in error.problems)
        raise PayloadError(
            f"{len(errors)} of {len(errors) + len(good)} devices are not as documented; the statement must select "
            "device_id",
            problems=problems,
            status=response.status,
        ) from errors[0]
    return good


def parse_count(request: HttpRequest, response: HttpResponse) -> int:
    """Return how many devices a flexible search that counts has found.

    Raises:
        PayloadError: The answer has no count.
    """
    return _parsed(request, response, wire.CountAnswer).count


# How long a token lives that does not say so.
# Source: Huawei Cloud IAM, "Obtaining a User Token Through Password Authentication".
_TOKEN_LIFE: Final = timedelta(hours=24)
# Beyond this a life span is a mistake, and may be more than a datetime can hold.
_LONGEST_LIFE: Final = timedelta(days=3650)


@attrs.frozen(kw_only=True)
class GrantedToken:
    """A token that a password login brought."""

    text: str = attrs.field(repr=False)
    expires_at: datetime


def parse_token(request: HttpRequest, response: HttpResponse, *, now: datetime) -> GrantedToken:
    """Return the token that a password login brought.

    Its life is counted from ``now``, so that a clock that is off does no harm.

    Raises:
        PayloadError: The header with the token is missing, or the body is not as documented; carries nothing of either.
    """
    text = response.headers.get("x-subject-token")
    if not text:
        raise PayloadError(
            "the identity service sent no X-Subject-Token header",
            operation=request.operation,
            status=response.status,
            request_id=response.headers.get("x-request-id"),
        )
    if not text.isascii() or not text.isprintable():
        raise PayloadError(
            "the X-Subject-Token header of the identity service holds characters that no request can carry",
            operation=request.operation,
            status=response.status,
            request_id=response.headers.get("x-request-id"),
        )
    return GrantedToken(text=text, expires_at=now + _life(_parsed(request, response, wire.TokenAnswer).token, now))


def _life(info: wire.TokenInfo, now: datetime) -> timedelta:
    """Return how long a token can be used; what cannot be a life span counts as none."""
    issued, expires = _instant(info.issued_at), _instant(info.expires_at)
    if expires is None:
        return _TOKEN_LIFE
    life = expires - (now if issued is None or issued >= expires else issued)
    return life if abs(life) <= _LONGEST_LIFE else _TOKEN_LIFE


def _instant(text: str | None) -> datetime | None:
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _parsed(request: HttpRequest, response: HttpResponse, struct: type[_W]) -> _W:
    with _without_secrets(request, response):
        return structure(wire.CONVERTER, decode_json(request, response), struct, request=request, response=response)


@contextmanager
def _without_secrets(request: HttpRequest, response: HttpResponse) -> Generator[None]:
    try:
        yield
    except PayloadError as error:
        error.request_id = response.headers.get("x-request-id")
        if error.excerpt is not None:
            error.excerpt = None if request.operation in SECRET_BODIES else excerpt(request, response)
        raise
