"""The firmware of one project: its OTA upgrade packages."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from otaclient.errors import UnsupportedOperationError
from otaclient.models import Firmware, FirmwareId, NewFirmware
from otaclient.paging import Paged
from otaclient.protocols import FirmwareContent
from otaclient.queries import FirmwareQuery
from otaclient.reconcile import walk
from otaclient.session_reads import concerning
from otaclient.unsupported import UnsupportedFirmware
from otaclient_iotda import requests, write_requests
from otaclient_iotda.account import Account
from otaclient_iotda.commands import carry_out
from otaclient_iotda.mapping import firmware_from
from otaclient_iotda.new_firmware import is_made_from, package_fields
from otaclient_iotda.responses import parse_created_package, parse_package

__all__ = ["IotdaFirmware"]


class IotdaFirmware(UnsupportedFirmware):
    """The firmware of one project: its OTA upgrade packages.

    IoTDA neither takes nor gives the files themselves, and does not list the versions that devices report.
    """

    def __init__(self, account: Account) -> None:
        super().__init__(label=account.label)
        self._account = account

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Return the firmware with this identifier, with the place and the digest of its file, which no listing has.

        Raises:
            NotFoundError: No such package in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the Details of an OTA Upgrade Package".
        """
        account = self._account
        request = account.build("firmware.get", requests.get_package, account.project_id, firmware_id)
        response = await account.session.call(request)
        return firmware_from(account.parse(request, response, parse_package), backend=account.label)

    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        """Return the firmware that matches: one walk for each package type and product, newest first within each.

        Raises:
            InvalidQueryError: IoTDA cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: Huawei Cloud IoTDA API reference, "Query the OTA Upgrade Package List".
        """
        return self._account.paged(self._account.firmware(query), query)

    async def create(
        self, firmware: NewFirmware, /, content: FirmwareContent | None = None, *, module_name: str | None = None
    ) -> FirmwareId:
        """Create a package for a file that lies in the object storage (OBS), and return its identifier.

        The file is neither read nor checked: the vendor hands its place and the checksum on to the devices. The
        instance needs the right to read it (an agency with OBS access). The package belongs to the resource space of
        the configuration, or that of ``with_options(owner_id=...)``.

        Where the answer is lost, the package is looked for: one of the same product, kind and version whose file has
        the same place and checksum is this one. The request is never repeated.

        Args:
            firmware: What to create. ``location`` is ``obs://bucket/object/key``. The region is the end of it, as in
                ``obs://bucket/fw/v2.bin?region=cn-north-4``; without one it is the region of the credentials, or else
                of the host of the service. ``checksum`` is a SHA-256.
            content: Not for this vendor.
            module_name: For a package of the kind module, the name of its OTA module.

        Raises:
            UnsupportedOperationError: There is content: the vendor takes no files; nothing was sent.
            InvalidQueryError: Something in it IoTDA cannot store, or the resource space is missing; nothing was sent.
            OutcomeUnknownError: It may or may not have been created; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Create an OTA Upgrade Package".
        """
        account = self._account
        with concerning("firmware.create", account.label):
            if content is not None:
                raise UnsupportedOperationError(
                    "content is given, but IoTDA takes no files: put the file into the object storage (OBS), leave "
                    "content out, and give location"
                )
            fields = package_fields(firmware, app_id=account.app_id, region=account.region, module_name=module_name)
            request = write_requests.create_package(account.project_id, fields)
            account = account.for_one_call()
            # Not repeated: whether a product may have a version twice is not documented, so it might be made twice.
            return await account.carry_out(
                request, parse_created_package, look=partial(_look, account, firmware, fields)
            )

    async def delete(self, firmware_id: FirmwareId | str, /) -> None:
        """Delete a package, for good; its file stays in the object storage.

        Raises:
            NotFoundError: No such package in this project (HTTP status 404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.
            OutcomeUnknownError: It may or may not have been deleted; says how to find out.

        Source: Huawei Cloud IoTDA API reference, "Delete an OTA Upgrade Package".
        """
        account = self._account
        request = account.build("firmware.delete", write_requests.delete_package, account.project_id, firmware_id)
        await carry_out(account, request)


async def _look(account: Account, new: NewFirmware, fields: Mapping[str, Any]) -> FirmwareId | None:
    """Return the package that was created from these fields; no listing says where its file is."""
    query = FirmwareQuery(
        products=None if new.product_id is None else (new.product_id,), kinds=(new.kind,), version=new.version
    )
    for row in [row async for row in walk(account.firmware(query))]:
        request = account.build("firmware.create", requests.get_package, account.project_id, row.firmware_id)
        response = await account.session.call(request)
        if is_made_from(account.parse(request, response, parse_package), fields):
            return row.firmware_id
    return None
