"""Uploading a firmware once: after an unclear answer it is looked for, by what the vendor stores of it."""

from otaclient.errors import ApiError, ConflictError, PayloadError
from otaclient.files import Upload
from otaclient.models import Firmware, FirmwareId, NewFirmware
from otaclient.queries import FirmwareQuery
from otaclient.reconcile import walk
from otaclient.transport.http import HttpRequest
from otaclient_enos.account import Account
from otaclient_enos.effects import EXISTS_ALREADY, VERSION_EXISTS
from otaclient_enos.responses import parse_created_firmware

__all__ = ["upload_once"]


async def upload_once(account: Account, request: HttpRequest, firmware: NewFirmware, upload: Upload) -> FirmwareId:
    """Upload a firmware and return its identifier, also where that took effect without an answer.

    Args:
        account: Whose it is, for one call.
        request: The request.
        firmware: What it creates.
        upload: The file.

    Raises:
        ConflictError: The product has another firmware of this version or name.
        OutcomeUnknownError: It may or may not have been created.
        OtaError: It was not created.
    """
    # Versions are unique within a product; whether they are among firmware without one is not documented.
    unique = firmware.product_id is not None
    query = FirmwareQuery(
        products=None if firmware.product_id is None else (firmware.product_id,), version=firmware.version
    )

    async def look() -> FirmwareId | None:
        rivals = [each async for each in walk(account.firmware(query)) if _is_rival(each, firmware)]
        return _same(rivals, upload, unique=unique)

    async def took_effect(refusal: ApiError) -> FirmwareId | None:
        if refusal.vendor_code not in EXISTS_ALREADY:
            return None
        await account.settle_anew("look for it")
        found = await look()
        if found is None and refusal.vendor_code == VERSION_EXISTS:
            raise PayloadError("the product is said to have this version already, but searches do not show it")
        return found

    return await account.carry_out(request, parse_created_firmware, look=look, repeats=unique, took_effect=took_effect)


def _is_rival(found: Firmware, firmware: NewFirmware) -> bool:
    # The vendor may not say of which product a firmware is; of several products, only the one was asked for.
    return found.version == firmware.version and (firmware.product_id is not None or found.product_id is None)


def _same(rivals: list[Firmware], upload: Upload, *, unique: bool) -> FirmwareId | None:
    """Return the firmware that was uploaded, among those of the product that have its version.

    Args:
        rivals: Those.
        upload: What was uploaded.
        unique: Whether there can be no more than one of them.

    Raises:
        ConflictError: There is one, with other content.
        PayloadError: There is one, of which the vendor does not say enough to tell.
    """
    digest = (upload.digest.algorithm, upload.digest.value)
    told = [each for each in rivals if each.checksum is not None]
    for each in told:
        assert each.checksum is not None  # as just filtered
        if (each.checksum.algorithm, each.checksum.value.lower()) == digest and each.size_bytes in {
            None,
            upload.size_bytes,
        }:
            return each.firmware_id
    if len(told) < len(rivals):
        raise PayloadError(
            f"firmware {rivals[0].firmware_id!r} has this version, but the answer does not say which digest it has"
        )
    if told and unique:
        other = told[0]
        raise ConflictError(
            f"the product has a firmware of version {other.version!r} already, {other.firmware_id!r}, whose size or "
            "digest is another"
        )
    return None
