"""The firmware of one organisation: what there is, uploads and downloads."""

import logging
from collections.abc import Callable
from os import PathLike
from typing import Any, Final

import attrs

from otaclient.downloads import PartialFile, receiving
from otaclient.errors import (
    ApiError,
    IntegrityError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
)
from otaclient.files import ContentRules, Upload, as_digest, opened_content
from otaclient.models import Checksum, DeviceUpgrade, DownloadedFirmware, Firmware, FirmwareId, NewFirmware
from otaclient.paging import Paged
from otaclient.protocols import FirmwareContent
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery
from otaclient.reads import PageWindow
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.unsupported import UnsupportedFirmware
from otaclient_enos import files, requests, write_requests
from otaclient_enos.account import Account
from otaclient_enos.commands import carry_out
from otaclient_enos.failures import classify
from otaclient_enos.mapping import firmware_from
from otaclient_enos.multipart import multipart_body
from otaclient_enos.new_firmware import check_new_firmware, firmware_fields, sign_method_of
from otaclient_enos.responses import parse_firmware, parse_versions
from otaclient_enos.uploading import upload_once

__all__ = ["EnosFirmware"]

_log = logging.getLogger(__name__)

# The console's guide to adding firmware (release 2.0.9) names these limits; the API's own page repeats none of them. An
# operator may have lowered them: then the gateway refuses with HTTP status 413.
CONTENT_RULES: Final = ContentRules(
    largest_bytes=100 * 1024 * 1024, suffixes=(".bin", ".tar", ".gz", ".zip"), name_of_bytes="firmware.bin"
)
# A file as small as this may be an error's envelope that came without saying that it is JSON.
_LARGEST_ENVELOPE_BYTES: Final = 64 * 1024


class EnosFirmware(UnsupportedFirmware):
    """The firmware of one organisation."""

    def __init__(self, account: Account) -> None:
        super().__init__(label=account.label)
        self._account = account

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        """Return the firmware with this identifier.

        Raises:
            NotFoundError: No such firmware in this organisation (code 24404).
            InvalidQueryError: The identifier cannot be right; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Get Firmware File".
        """
        account = self._account
        request = account.build("firmware.get", requests.get_firmware, account.organisation, firmware_id)
        response = await account.session.call(request)
        return firmware_from(account.parse(request, response, parse_firmware), backend=account.label)

    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        """Return the firmware that matches, newest first.

        Raises:
            InvalidQueryError: EnOS cannot answer the query, nor can it be filtered here; nothing was sent.

        Source: EnOS Connection Service, "V2.1 Search Firmware".
        """
        return self._account.paged(self._account.firmware(query), query)

    async def create(self, firmware: NewFirmware, /, content: FirmwareContent | None = None) -> FirmwareId:
        """Upload a firmware and return its identifier.

        The content is hashed first and then streamed, never held in memory as a whole: a file that changes in between
        is not uploaded. Afterwards the firmware is read, to compare what the service stored. All of the upload must fit
        into ``timeout_seconds`` of the client: see ``with_options`` for large files.

        Where the answer is lost, the read lag is waited out and the firmware looked for: one of the same product and
        version, with the same size and digest, is this one. Where there is none and it has a product, it is uploaded
        again, because EnOS takes each version of a product once.

        Args:
            firmware: What to store beside the file. EnOS needs a name, and before release 2.4.4 a product. With a
                checksum, the content must have it; its algorithm (``md5`` or ``sha256``, the default) is what devices
                verify.
            content: Bytes; the path of a ``.bin``, ``.tar``, ``.gz`` or ``.zip`` file; or pieces as they come, which
                are written to a temporary file first. At most 100 MiB.

        Raises:
            InvalidQueryError: Something in it EnOS cannot store, or the content cannot be read; nothing was created.
            IntegrityError: The content does not have the given checksum, or changed while it was uploaded: nothing was
                created. Or what the service stored differs: the message names the firmware, for you to delete.
            ConflictError: The product has such a version or name (codes 24601, 24602), with other content where that
                came after a lost answer; or another firmware is being created (24603, after several attempts).
            OutcomeUnknownError: It may or may not have been created; says how to find out.

        Source: EnOS Connection Service, "V2.1 Create Firmware File".
        """
        account = self._account
        with concerning("firmware.create", account.label):
            check_new_firmware(firmware)
            if content is None:
                raise InvalidQueryError("content is missing: EnOS stores the file itself; give its path or its bytes")
            async with opened_content(content, algorithm=sign_method_of(firmware), rules=CONTENT_RULES) as upload:
                _check_announced(firmware.checksum, upload)
                body = multipart_body(firmware_fields(firmware, upload.digest), file_name=upload.name, content=upload)
                request = write_requests.create_firmware(account.organisation, firmware, body)
                account = account.for_one_call()
                firmware_id = await upload_once(account, request, firmware, upload)
            _check_stored(await _stored(account, firmware_id), upload)
        return firmware_id

    async def delete(self, firmware_id: FirmwareId | str, /) -> None:
        """Delete a firmware, for good.

        Raises:
            NotFoundError: No such firmware (code 24404).
            ConflictError: A job uses it (code 24604).
            InvalidQueryError: The identifier cannot be right; nothing was sent.
            OutcomeUnknownError: It may or may not have been deleted; says how to find out.

        Source: EnOS Connection Service, "V2.1 Delete Firmware File".
        """
        account = self._account
        request = account.build("firmware.delete", write_requests.delete_firmware, account.organisation, firmware_id)
        await carry_out(account, request)

    async def reported_versions(self, product_id: str, /) -> tuple[str, ...]:
        """Return the versions that devices of a product have reported, uploaded or not.

        Raises:
            InvalidQueryError: The product cannot be right; nothing was sent.

        Source: EnOS Connection Service, "V2.1 List Firmware Version".
        """
        account = self._account
        operation = "firmware.reported_versions"
        request = account.build(operation, requests.list_versions, account.organisation, product_id)
        return account.parse(request, await account.session.call(request), parse_versions)

    async def download(
        self,
        firmware: Firmware,
        destination: "str | PathLike[str]",
        /,
        *,
        progress: Callable[[int, int | None], object] | None = None,
        device: DeviceUpgrade | str | None = None,
    ) -> DownloadedFirmware:
        """Fetch a firmware's bytes into a file and check them.

        They are received beside the destination, go on after a broken connection where that broke off, and take the
        destination's place at once when size and digest are right; otherwise what is there stays as it is, and nothing
        is left behind. A firmware with an MD5 digest, or with a signature that is no digest, is taken with a warning in
        the log: ``verified`` and ``sha256`` of the result tell what one has.

        Args:
            firmware: The record, as ``get`` and ``search`` return it.
            destination: The path of the file, in a folder that exists.
            progress: Called with the bytes so far and the size in all.
            device: A device in whose name to ask, by record or assetId: the vendor wants one. Without it, the first
                device of the firmware's product is looked up, which takes one more request.

        Raises:
            InvalidQueryError: The destination cannot be written, or the record has no location; nothing was sent.
            IntegrityError: Size or digest are not what the vendor announces.
            NotFoundError: There is no such file.

        Source: EnOS Connection Service, "V2.1 Download File".
        """
        account = self._account
        # A vendor's error may come in the place of the file.
        with concerning("firmware.download", account.label, redact=account.session.redact):
            given: Any = firmware
            if not isinstance(given, Firmware):
                raise InvalidQueryError(f"the firmware is a {type(given).__name__}: give the record that get returns")
            asset_id = None if device is None else files.asset_of(device)
            request = files.download_file(account.organisation, firmware, asset_id)
            deadline = account.session.deadline()
            async with receiving(destination, expected_bytes=firmware.size_bytes, progress=progress) as part:
                if asset_id is None:
                    asset_id = await self._some_asset(firmware, deadline)
                    request = files.download_file(account.organisation, firmware, asset_id)
                response = await account.files.fetch(request, part, deadline=deadline)
                with concerning("firmware.download", account.label, attempts=response.attempts):
                    received = await _checked(part, firmware, request, response)
                await part.keep()
        return received

    async def _some_asset(self, firmware: Firmware, deadline: float) -> str | None:
        """Return a device that may have the firmware; ``None`` where there is none."""
        products = None if firmware.product_id is None else (firmware.product_id,)
        account = attrs.evolve(self._account, session=self._account.session.until(deadline))
        source = account.devices(DeviceUpgradeQuery(products=products, owner_id=firmware.owner_id))
        raw = await source.fetch(source.partitions()[0], PageWindow(1, 1))
        return next((row.device_id for row in source.decode(raw).good), None)


async def _stored(account: Account, firmware_id: FirmwareId) -> Firmware:
    """Return the record of a new firmware, which may not be there at once."""
    firmware = EnosFirmware(account)
    try:
        try:
            return await firmware.get(firmware_id)
        except NotFoundError:
            session = account.session
            if session.retry.max_attempts <= 1 or not await account.lag.settle_by(session.deadline()):
                raise
            return await firmware.get(firmware_id)
    except OtaError as error:
        error.operation = "firmware.create"
        raise OutcomeUnknownError(
            f"firmware {firmware_id!r} was created, but whether it was stored whole could not be checked: "
            f"{error.message}; compare its checksum with firmware.get, or delete it",
            **error.facts(),
        ) from error


def _check_announced(announced: Checksum | None, upload: Upload) -> None:
    """Refuse content that is not what the caller takes it for."""
    if announced is not None and announced.value.strip().lower() != upload.digest.value:
        raise IntegrityError(
            f"{upload.name} has the {upload.digest.algorithm} {upload.digest.value}, but checksum says "
            f"{announced.value!r}; nothing was uploaded"
        )


def _check_stored(stored: Firmware, upload: Upload) -> None:
    """Compare what the service says of a new firmware with what was sent; what it does not say cannot differ."""
    checksum, size_bytes = stored.checksum, stored.size_bytes
    remedy = f"it is not to be used: delete it with firmware.delete({str(stored.firmware_id)!r})"
    if size_bytes is not None and size_bytes != upload.size_bytes:
        raise IntegrityError(
            f"{upload.size_bytes} bytes were uploaded, but firmware {stored.firmware_id!r} has {size_bytes}; {remedy}"
        )
    if checksum is not None and (checksum.algorithm, checksum.value.lower()) != (
        upload.digest.algorithm,
        upload.digest.value,
    ):
        raise IntegrityError(
            f"the {upload.digest.algorithm} {upload.digest.value} was uploaded, but firmware {stored.firmware_id!r} "
            f"has the {checksum.algorithm} {checksum.value}; {remedy}"
        )


async def _checked(
    part: PartialFile, firmware: Firmware, request: HttpRequest, response: HttpResponse
) -> DownloadedFirmware:
    """Return what came, compared with what the vendor announces."""
    if not part.begun:
        raise PayloadError("the answer is an envelope without an error, where the bytes of a file should be")
    announced = as_digest(firmware.checksum)
    try:
        received = await part.check(announced)
    except IntegrityError:
        await _raise_disguised(part, request, response)
        raise
    if announced is None:
        await _raise_disguised(part, request, response)
        _log.warning("firmware %r has no digest: its file cannot be verified", firmware.firmware_id)
    elif announced.algorithm != "sha256":
        _log.warning(
            "firmware %r has an %s digest only, which is no protection against forgery; the SHA-256 of the file is %s",
            firmware.firmware_id,
            announced.algorithm.upper(),
            received.sha256,
        )
    return received


async def _raise_disguised(part: PartialFile, request: HttpRequest, response: HttpResponse) -> None:
    """Raise the vendor's error where that came in the place of the file, as if it were one."""
    body = await part.beginning(_LARGEST_ENVELOPE_BYTES)
    if not body.lstrip().startswith(b"{"):
        return
    failure = classify(request, HttpResponse(status=200, body=body, attempts=response.attempts))
    if failure is not None and isinstance(failure.error, ApiError):
        raise failure.error
