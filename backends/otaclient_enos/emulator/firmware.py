"""The operations on firmware, and the search for device upgrades.

Sources: EnOS Connection Service, "V2.1 Create Firmware File", "V2.1 Get Firmware File", "V2.1 Search Firmware", "V2.1
List Firmware Version", "V2.1 Delete Firmware File", "V2.1 Search Device Upgrade".
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, cast

from aiohttp import web
from aiohttp.http import HttpProcessingError

from otaclient.emulator.refusals import FirmwareInUseError, NameExistsError, VersionExistsError
from otaclient.emulator.store import ContentWriter
from otaclient_enos.emulator import filters, render
from otaclient_enos.emulator.calls import NO_SUCH_OBJECT, Action, Answer, Call, Service, mandatory, parsed, searched
from otaclient_enos.emulator.new_firmware import firmware_order
from otaclient_enos.emulator.requests import INVALID_ARGUMENT, RefusalError, json_object, search_of

if TYPE_CHECKING:
    from aiohttp import BodyPartReader

__all__ = ["ACTIONS", "LARGEST_FILE_BYTES", "NEWEST_DEVICE_FIRST", "Uploads", "ordered"]

# Whether searchDeviceUpgrade begins with the device that registered last. Its order is not documented.
NEWEST_DEVICE_FIRST: Final = False

# The console's guide of 2.0.9 names it, and no page of the API: operators can raise it.
LARGEST_FILE_BYTES: Final = 100 * 1024 * 1024
_CHUNK_BYTES: Final = 64 * 1024
# No page says what the service does about a product that does not exist; refusing is this emulator's convention.
_UNKNOWN_PRODUCTS_REFUSED: Final = True

_VERSION_EXISTS: Final = RefusalError(24601, "Firmware version already exists")
_NAME_EXISTS: Final = RefusalError(24602, "Firmware name already exists")
_ONE_AT_A_TIME: Final = RefusalError(24603, "Not allowed to create firmware concurrently")
_IN_USE: Final = RefusalError(24604, "Firmware cannot be deleted")


# --- creating --------------------------------------------------------------------------------------------------------


class Uploads:
    """Creates firmware from requests in several parts, one at a time, and never with a whole file in memory."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._busy = False

    async def create(self, request: web.Request, query: Mapping[str, str]) -> Answer:
        """Answer ``ota-firmwares?action=create``.

        Raises:
            RefusalError: The service refuses the request.
            HTTPRequestEntityTooLarge: The file is larger than the gateway lets through.
        """
        if self._busy:
            raise _ONE_AT_A_TIME
        product_id = query.get("productKey", "")
        if product_id and _UNKNOWN_PRODUCTS_REFUSED and self._service.server.fleet.product(product_id) is None:
            raise RefusalError(NO_SUCH_OBJECT, f"product {product_id} does not exist")
        self._busy = True
        writer = self._service.server.store.writer()
        try:
            metadata, file_name = await _parts(request, writer)
            order = firmware_order(metadata, product_id=product_id, file_name=file_name)
            record = self._service.server.store.create(order, writer.finish())
        except VersionExistsError as error:
            raise _VERSION_EXISTS from error
        except NameExistsError as error:
            raise _NAME_EXISTS from error
        finally:
            writer.discard()
            self._busy = False
        return Answer({"firmwareId": record.firmware_id})


async def _parts(request: web.Request, writer: ContentWriter) -> tuple[bytes, str]:
    """The metadata, and the name of the file, whose bytes have gone to the writer."""
    metadata: bytes | None = None
    file_name: str | None = None
    try:
        reader = await request.multipart()
        while (found := await reader.next()) is not None:
            part = cast("BodyPartReader", found)  # or several parts in one, which has no name
            name = getattr(part, "name", None)
            if name == "metadata":
                metadata = bytes(await part.read())
            elif name == "file":
                file_name = part.filename or "firmware"
                await _copy(part, writer)
    except (ValueError, HttpProcessingError) as error:
        why = error.message if isinstance(error, HttpProcessingError) else str(error)
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument body: it is not multipart/form-data ({why})") from error
    if metadata is None:
        raise RefusalError(INVALID_ARGUMENT, "Invalid Argument metadata:metadata is missing")
    if file_name is None:
        raise RefusalError(INVALID_ARGUMENT, "Invalid Argument file:file is missing")
    return metadata, file_name


async def _copy(part: "BodyPartReader", writer: ContentWriter) -> None:
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        writer.write(chunk)
        if writer.size_bytes > LARGEST_FILE_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=LARGEST_FILE_BYTES, actual_size=writer.size_bytes)


def _create_without_parts(_service: Service, _call: Call) -> Answer:
    raise RefusalError(INVALID_ARGUMENT, "Invalid Argument Content-Type: it is not multipart/form-data")


# --- the others ------------------------------------------------------------------------------------------------------


def _get(service: Service, call: Call) -> Answer:
    return Answer(render.firmware_info(service.firmware_named(call.query), service.org_id))


def _search(service: Service, call: Call) -> Answer:
    records = [render.firmware_info(record, service.org_id) for record in service.firmware()]
    return searched(call, filters.FIRMWARE_FIELDS, records)


def _list_version(service: Service, call: Call) -> Answer:
    # What the service answers for a product that does not exist is not documented: none has devices that report.
    return Answer(list(service.server.fleet.devices.reported_versions(mandatory(call.query, "productKey"))))


def _delete(service: Service, call: Call) -> Answer:
    record = service.firmware_named(call.query)
    json_object(call.body)
    try:
        service.server.store.delete(record.firmware_id)
    except FirmwareInUseError as error:
        raise _IN_USE from error
    return Answer(None)


def ordered(rows: Sequence[int]) -> Sequence[int]:
    """Return rows of devices in the order in which they are listed."""
    return rows[::-1] if NEWEST_DEVICE_FIRST else rows


def _search_device_upgrade(service: Service, call: Call) -> Answer:
    expression, page = search_of(call.body)
    node = parsed(expression, filters.DEVICE_FIELDS)
    service.server.fleet.pass_search()
    table = service.server.fleet.devices
    rows = table.matching(filters.device_condition(node, table))
    total = len(rows)
    if NEWEST_DEVICE_FIRST:
        window = rows[max(total - page.start - page.size, 0) : max(total - page.start, 0)][::-1]
    else:
        window = rows[page.start : page.start + page.size]
    return Answer(render.device_rows(table, window, service.org_id), page, total)


ACTIONS: Final[Mapping[str, Action]] = {
    "create": Action("firmware.create", "POST", _create_without_parts),
    "get": Action("firmware.get", "GET", _get),
    "search": Action("firmware.search", "POST", _search),
    "listVersion": Action("firmware.reported_versions", "GET", _list_version),
    "delete": Action("firmware.delete", "POST", _delete),
    "searchDeviceUpgrade": Action("devices.search", "POST", _search_device_upgrade),
}
