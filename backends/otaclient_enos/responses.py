"""The wire structs in a good answer of EnOS, and what a page says about itself.

Sources: the pages of the Connection Service's OTA operations; EnOS API Management, "Get Access Token".
"""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs
import msgspec

from otaclient.decoding import FastRows, straight_rows, twin_rows
from otaclient.errors import PayloadError
from otaclient.models import FirmwareId, JobId
from otaclient.reads import PageFacts, Rows
from otaclient.structuring import camel_case, decode_json, structure, structure_rows
from otaclient.transport.http import HttpRequest, HttpResponse, excerpt_of
from otaclient_enos.failures import whole_number
from otaclient_enos.mapping import DEVICE_COLUMNS
from otaclient_enos.wire import (
    CONVERTER,
    CreatedFirmwareAnswer,
    CreatedJobAnswer,
    DeviceFirmware,
    FirmwareAnswer,
    FirmwareInfo,
    JobAnswer,
    JobInfo,
    TaskInfo,
    VersionsAnswer,
)

__all__ = [
    "GrantedToken",
    "fast_rows",
    "page_facts",
    "parse_created_firmware",
    "parse_created_job",
    "parse_firmware",
    "parse_job",
    "parse_rows",
    "parse_token",
    "parse_versions",
]

_T = TypeVar("_T")
_W = TypeVar("_W")

# Beyond this a life span is a mistake, and may be more than a datetime can hold; documented are 7200 seconds.
_LONGEST_LIFE_SECONDS: Final = 10 * 365 * 86_400


# --- tokens ----------------------------------------------------------------------------------------------------------


@attrs.frozen
class GrantedToken:
    """What the token service grants."""

    text: str = attrs.field(repr=False)
    expire_seconds: int | None
    """How long it can be used; ``None`` where the service did not say."""


def parse_token(request: HttpRequest, response: HttpResponse) -> GrantedToken:
    """Return the token in an answer of the token service.

    Raises:
        PayloadError: There is none; carries no excerpt.
    """
    try:
        answer = _token_answers.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # Without the cause: some decoding errors hold the whole body.
        raise _no_token(request, response, "it is not a JSON object with data") from None
    granted = answer.data or _Grant()
    text = granted.access_token
    if not isinstance(text, str) or not text:
        raise _no_token(request, response, "data.accessToken is missing")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise _no_token(request, response, "data.accessToken holds characters that no header can carry")
    return GrantedToken(text, expire_seconds=_life_seconds(granted.expire))


class _Grant(msgspec.Struct, rename="camel"):
    access_token: Any = None
    expire: Any = None


class _TokenAnswer(msgspec.Struct):
    data: _Grant | None = None


_token_answers: Final = msgspec.json.Decoder(_TokenAnswer)


def _life_seconds(expire: Any) -> int | None:
    """Return a life span, or ``None`` for what cannot be one: then the token is used until the gateway refuses it."""
    seconds = int(expire) if isinstance(expire, float) else whole_number(expire)
    return seconds if seconds is not None and 0 <= seconds <= _LONGEST_LIFE_SECONDS else None


def _no_token(request: HttpRequest, response: HttpResponse, why: str) -> PayloadError:
    return PayloadError(
        f"the answer of the token service holds no access token: {why}; check endpoint",
        operation=request.operation,
        status=response.status,
    )


# --- good answers ----------------------------------------------------------------------------------------------------


def parse_firmware(request: HttpRequest, response: HttpResponse) -> FirmwareInfo:
    """Return the firmware in an answer.

    Raises:
        PayloadError: It is not what the vendor documents.
    """
    return _parsed(request, response, FirmwareAnswer).data


def parse_job(request: HttpRequest, response: HttpResponse) -> JobInfo:
    """Return the job in an answer.

    Raises:
        PayloadError: It is not what the vendor documents.
    """
    return _parsed(request, response, JobAnswer).data


def parse_created_firmware(request: HttpRequest, response: HttpResponse) -> FirmwareId:
    """Return the identifier of a new firmware.

    Raises:
        PayloadError: It is not what the vendor documents, although the firmware was created.
    """
    return FirmwareId(_parsed_creation(request, response, CreatedFirmwareAnswer).data.firmware_id)


def parse_created_job(request: HttpRequest, response: HttpResponse) -> JobId:
    """Return the identifier of a new job.

    Raises:
        PayloadError: It is not what the vendor documents, although the job was created.
    """
    return JobId(_parsed_creation(request, response, CreatedJobAnswer).data.job_id)


def parse_versions(request: HttpRequest, response: HttpResponse) -> tuple[str, ...]:
    """Return the versions that devices of a product have reported.

    Raises:
        PayloadError: It is not what the vendor documents.
    """
    return _parsed(request, response, VersionsAnswer).data or ()


def _parsed(request: HttpRequest, response: HttpResponse, struct: type[_W]) -> _W:
    return structure(CONVERTER, decode_json(request, response), struct, request=request, response=response)


def _parsed_creation(request: HttpRequest, response: HttpResponse, struct: type[_W]) -> _W:
    try:
        return _parsed(request, response, struct)
    except PayloadError as error:
        raise PayloadError(
            f"{request.subject} was created, but the answer does not say under which identifier; "
            f"{request.how_to_check}",
            problems=error.problems,
            operation=request.operation,
            status=response.status,
            excerpt=excerpt_of(response.body),
        ) from error


def parse_rows(request: HttpRequest, response: HttpResponse, struct: type[_W]) -> tuple[list[_W], list[PayloadError]]:
    """Return the good rows of a page, and an error for each bad one.

    Raises:
        PayloadError: It is not a page at all.
    """
    data = _page_of(request, response, _pages).data
    # The job search's table calls its data a struct, not an array.
    rows = [data] if isinstance(data, dict) else data or []
    return structure_rows(CONVERTER, rows, struct, path="$.data", request=request, response=response)


class _Pagination(msgspec.Struct, rename="camel"):
    page_no: int | str | None = None
    page_size: int | str | None = None
    total_size: int | str | None = None


class _Page(msgspec.Struct):
    data: list[Any] | dict[str, Any] | None


class _PageOutline(msgspec.Struct):
    """A page whose rows are only told apart, not read."""

    data: list[msgspec.Raw] | dict[str, msgspec.Raw] | None
    pagination: _Pagination | None = None


_DATA: Final = "data"

_FAST: Final[dict[type[Any], FastRows | None]] = {
    DeviceFirmware: straight_rows(
        DEVICE_COLUMNS, rows_key=_DATA, envelope={"pagination": _Pagination}, rename=camel_case
    ),
    TaskInfo: twin_rows(TaskInfo, rows_key=_DATA, envelope={"pagination": _Pagination}, rename=camel_case),
}


def fast_rows(response: HttpResponse, struct: type[Any], model: Callable[..., _T], label: str) -> Rows[_T] | None:
    """Return a page of the rows that come by the million, as models; ``None`` for others, and for anything odd."""
    fast = _FAST.get(struct)
    page = None if fast is None else fast(response.body, model, label)
    return None if page is None else Rows(good=page.rows, facts=_facts(len(page.rows), page.envelope.pagination))


_pages: Final = msgspec.json.Decoder(_Page)
_outlines: Final = msgspec.json.Decoder(_PageOutline)


def page_facts(request: HttpRequest, response: HttpResponse) -> PageFacts:
    """Return what a page says about itself; its rows are counted, not read.

    Raises:
        PayloadError: It is not a page at all.
    """
    page = _page_of(request, response, _outlines)
    return _facts(1 if isinstance(page.data, dict) else len(page.data or ()), page.pagination)


def _facts(rows: int, pagination: _Pagination | None) -> PageFacts:
    told = pagination or _Pagination()
    return PageFacts(
        rows=rows,
        total=whole_number(told.total_size),
        number=whole_number(told.page_no),
        size=whole_number(told.page_size),
    )


def _page_of(request: HttpRequest, response: HttpResponse, decoder: msgspec.json.Decoder[_W]) -> _W:
    try:
        return decoder.decode(response.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PayloadError(
            "the answer is not a page of rows",
            problems=(str(error),),
            operation=request.operation,
            status=response.status,
            excerpt=excerpt_of(response.body),
        ) from error
