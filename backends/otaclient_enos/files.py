"""The files API, which serves firmware by its ``enos-connect://`` address: who signs how, and what is asked.

Source: EnOS Connection Service, "V2.1 Download File".
"""

from datetime import datetime
from typing import Final

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.models import DeviceUpgrade, Firmware
from otaclient.transport.http import HttpRequest
from otaclient_enos.checks import checked_text
from otaclient_enos.requests import Organisation
from otaclient_enos.signing import EnosSigner

__all__ = ["FilesSigner", "asset_of", "download_file"]

# All that the page lists: neither signature nor timestamp. The other OTA pages need all three.
FILE_HEADERS: Final = frozenset({"apim-accesstoken"})
CATEGORY: Final = "ota"


@attrs.frozen
class FilesSigner:
    """Signs requests of the files API."""

    signer: EnosSigner

    def __call__(self, request: HttpRequest, /, *, endpoint: str, token: str | None, now: datetime) -> HttpRequest:
        """Return the request with as much of the usual proof as the files API asks for."""
        signed = self.signer(request, endpoint=endpoint, token=token, now=now)
        proof = {name: value for name, value in signed.headers.items() if name in FILE_HEADERS}
        return request.with_headers(proof)


def asset_of(device: DeviceUpgrade | str) -> str:
    """Return the assetId of a device.

    Raises:
        InvalidQueryError: It cannot be right.
    """
    return checked_text(device.device_id if isinstance(device, DeviceUpgrade) else device, name="device")


def download_file(organisation: Organisation, firmware: Firmware, asset_id: str | None) -> HttpRequest:
    """Build the request for a firmware's bytes.

    The page demands an asset beside the file, as ``assetId`` or as ``productKey`` with ``deviceKey``. What the asset is
    for with firmware, which belongs to none, it does not say.

    Args:
        organisation: Whose firmware it is, unless its record says.
        firmware: The firmware.
        asset_id: A device that may have it; ``None`` where there is none, and the vendor decides.

    Raises:
        InvalidQueryError: The record does not say where the bytes are.
    """
    if firmware.location is None:
        raise InvalidQueryError(
            f"firmware {firmware.firmware_id!r} has no location: read it anew with firmware.get, or search for it"
        )
    owner = organisation.owned_by(firmware.owner_id)
    asset = () if asset_id is None else (("assetId", asset_id),)
    return HttpRequest(
        operation="firmware.download",
        method="GET",
        path=owner.path("files"),
        query=(
            ("action", "download"),
            ("orgId", owner.org_id),
            ("fileUri", firmware.location),
            ("category", CATEGORY),
            *asset,
        ),
        # Compressed on the way, a file could not be gone on from in its middle.
        headers={"Accept": "*/*", "Accept-Encoding": "identity"},
        subject=f"the file of firmware {firmware.firmware_id!r}",
    )
