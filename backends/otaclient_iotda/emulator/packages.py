"""The operations on OTA packages: list, show, create, delete.

Source: Huawei Cloud IoTDA, "Query the OTA Upgrade Package List", "Query the Details of an OTA Upgrade Package",
"Create an OTA Upgrade Package", "Delete an OTA Upgrade Package".
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from otaclient.emulator import FirmwareRecord, Fleet
from otaclient.emulator.refusals import FirmwareInUseError, VersionExistsError
from otaclient.emulator.store import FirmwareOrder, FirmwareStore
from otaclient_iotda.emulator import render, selection
from otaclient_iotda.emulator.bodies import NewPackage, new_package
from otaclient_iotda.emulator.calls import (
    NO_CONTENT,
    UNKNOWN_PRODUCT,
    UNKNOWN_RESOURCE,
    UNKNOWN_SPACE,
    Answer,
    Call,
    Paging,
    Refused,
)
from otaclient_iotda.emulator.filters import package_filter, wire_time
from otaclient_iotda.emulator.refusals import Refusal

__all__ = ["BUCKET", "PackageBook", "PackageOperations", "object_key", "package_id"]

BUCKET: Final = "emulated-firmware"
"""The bucket of the object storage that the files of generated packages are said to be in."""

# Whether product, type and version identify a package, and how the vendor says that they are taken, is not known: both
# are our choice, and the code is none of the vendor's.
PACKAGE_EXISTS: Final = Refusal(
    status=HTTPStatus.CONFLICT,
    code="IOTDA.999001",
    message="The product has a package of this type and version already.",
)
# How the vendor refuses to delete a package that a task uses is not known: our choice, and no code of the vendor's.
PACKAGE_IN_USE: Final = Refusal(
    status=HTTPStatus.CONFLICT, code="IOTDA.999002", message="A batch task that has not ended uses the package."
)

_PACKAGE_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
_KIND: Final = {package_type: kind for kind, package_type in render.PACKAGE_TYPE.items()}


def package_id(record: FirmwareRecord) -> str:
    """Return the identifier of a package on the wire: 32 hexadecimal digits, nothing like its record id."""
    return hashlib.md5(f"package/{record.firmware_id}".encode(), usedforsecurity=False).hexdigest()


def object_key(record: FirmwareRecord) -> str:
    """Return where in the bucket the file of a generated package is."""
    return f"ota/{record.file_name}"


class PackageBook:
    """The packages of one fleet on the wire."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._firmware_ids = {package_id(record): record.firmware_id for record in fleet.firmware}
        self._numbers = {record.firmware_id: number for number, record in enumerate(fleet.firmware)}

    def record(self, identifier: str) -> FirmwareRecord | None:
        """Return the package with this identifier, or ``None``."""
        firmware_id = self._firmware_ids.get(identifier)
        return None if firmware_id is None else self._fleet.firmware_record(firmware_id)

    def enter(self, record: FirmwareRecord) -> None:
        """Take note of a package that was created."""
        self._firmware_ids[package_id(record)] = record.firmware_id

    def row(self, record: FirmwareRecord) -> dict[str, object]:
        """Return a row of the package list."""
        row: dict[str, object] = {
            "package_id": package_id(record),
            "app_id": render.app_id(self._fleet, record.product_id),
            "package_type": render.PACKAGE_TYPE[record.kind],
            "product_id": record.product_id,
            "version": record.version,
            "create_time": wire_time(record.created_at_s),
        }
        if record.module_name is not None:
            row["module_name"] = record.module_name
        texts = {"description": record.description, "custom_info": record.custom_info}
        if record.vendor is not None:
            # What was created is shown as it was given; what was not given is missing.
            given = {**texts, "support_source_versions": record.vendor["support_source_versions"]}
            return row | {field: value for field, value in given.items() if value is not None}
        return row | self._generated(record, texts)

    def _generated(self, record: FirmwareRecord, texts: Mapping[str, str | None]) -> dict[str, object]:
        number = self._numbers[record.firmware_id]
        row: dict[str, object] = {}
        product = self._fleet.product(record.product_id)
        if product is not None and number % 3 == 0:
            row["product_name"] = product.name
        # "Every source version" is said in three ways.
        if record.source_versions or number % 3 == 1:
            row["support_source_versions"] = list(record.source_versions)
        elif number % 3 == 2:
            row["support_source_versions"] = None
        # What a package has no text for is missing in one row and null in the next.
        row |= {field: text for field, text in texts.items() if text is not None or number % 2}
        if number % 5 == 3:
            row["emulated_field"] = {"since": number}
        return row

    def detail(self, record: FirmwareRecord) -> dict[str, object]:
        """Return a package as the show operation gives it: with the place of its file, which no list has."""
        return {**self.row(record), "file_location": {"obs_location": self._location(record)}}

    def _location(self, record: FirmwareRecord) -> Mapping[str, str]:
        if record.vendor is not None:
            location: Mapping[str, str] = record.vendor["obs_location"]
            return location
        location = {
            "region_name": "cn-north-4",
            "bucket_name": BUCKET,
            "object_key": object_key(record),
            "sign": record.sha256,
        }
        method = {"sign_method": "SHA256"} if self._numbers[record.firmware_id] % 2 else {}
        return {**location, **method}


class PackageOperations:
    """What the service does with the packages of one fleet."""

    def __init__(
        self,
        fleet: Fleet,
        store: FirmwareStore,
        listed: Callable[[], Sequence[FirmwareRecord]],
        *,
        book: PackageBook,
        paging: Paging,
    ) -> None:
        self._fleet = fleet
        self._store = store
        self._listed = listed
        self._book = book
        self._paging = paging

    def list_packages(self, call: Call) -> Answer:
        """Answer ``GET ota-upgrades/packages``."""
        wanted = package_filter(call.parameters)
        records = self._listed()
        ids = render.firmware_record_ids(records)
        page = self._paging.cut(selection.packages(self._fleet, records, wanted), wanted.window, ids)
        rows = [self._book.row(records[number]) for number in page.numbers]
        return Answer.of({"packages": rows, "page": self._paging.info(page, ids)})

    def show_package(self, call: Call) -> Answer:
        """Answer ``GET ota-upgrades/packages/{package_id}``."""
        return Answer.of(self._book.detail(self._meant(call)))

    def create_package(self, call: Call) -> Answer:
        """Answer ``POST ota-upgrades/packages``."""
        new = new_package(call.body)
        if new.app_id not in render.app_ids():
            raise Refused(UNKNOWN_SPACE)
        product = self._fleet.product(new.product_id)
        if product is None or render.app_id(self._fleet, new.product_id) != new.app_id:
            raise Refused(UNKNOWN_PRODUCT)
        try:
            record = self._store.create(_order(new))
        except VersionExistsError:
            raise Refused(PACKAGE_EXISTS) from None
        self._book.enter(record)
        return Answer.of(self._book.detail(record), status=HTTPStatus.CREATED)

    def delete_package(self, call: Call) -> Answer:
        """Answer ``DELETE ota-upgrades/packages/{package_id}``."""
        try:
            self._store.delete(self._meant(call).firmware_id)
        except FirmwareInUseError:
            raise Refused(PACKAGE_IN_USE) from None
        return NO_CONTENT

    def _meant(self, call: Call) -> FirmwareRecord:
        record = self._book.record(call.identifier("package_id", _PACKAGE_ID))
        if record is None:
            raise Refused(UNKNOWN_RESOURCE)
        return record


def _order(new: NewPackage) -> FirmwareOrder:
    return FirmwareOrder(
        product_id=new.product_id,
        kind=_KIND[new.package_type],
        version=new.version,
        description=new.description,
        file_name=new.obs_location["object_key"].rpartition("/")[2],
        source_versions=new.support_source_versions or (),
        custom_info=new.custom_info,
        module_name=new.module_name,
        vendor={
            "obs_location": new.obs_location,
            "support_source_versions": None
            if new.support_source_versions is None
            else list(new.support_source_versions),
        },
    )
