"""``otaclient firmware upload``: a new firmware from a file, or from where the vendor finds it."""

from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import Annotated

import anyio
import attrs
from cyclopts import Parameter

from otaclient.cli.cells import plain
from otaclient.cli.connect import connect, require
from otaclient.cli.failures import UsageError
from otaclient.cli.listing import Kind, print_made, say
from otaclient.cli.options import (
    ActFor,
    BackendName,
    FirmwareKindWord,
    OutputFormat,
    Profile,
    check_seconds,
    pairs,
    whole_number,
)
from otaclient.cli.progress import ProgressBar
from otaclient.cli.table import Column
from otaclient.counted import counted
from otaclient.errors import UnsupportedOperationError
from otaclient.files import DIGEST_ALGORITHMS, PIECE_BYTES, hasher
from otaclient.models import (
    Checksum,
    FirmwareId,
    FirmwareKind,
    FrozenMap,
    LocalizedText,
    NewFirmware,
    Verification,
)
from otaclient.protocols import Backend, Capability

__all__ = ["upload_firmware"]


@attrs.frozen(kw_only=True)
class _Uploaded:
    """What the command prints."""

    backend: str
    firmware_id: FirmwareId


_MODULE_NAME = "module_name"
"""What a backend calls it whose vendor has modules; the protocol does not know them."""
_UPLOADED = Kind(model=_Uploaded, noun="firmware", columns=(Column("firmware id", "firmware_id"),))


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class _Options:
    """What is stored beside the file."""

    version: Annotated[str, Parameter(help="The version that a device has with it.")]
    product: Annotated[str | None, Parameter(help="The product whose devices it is for.")] = None
    name: Annotated[str | None, Parameter(help="A name for people.")] = None
    kind: Annotated[FirmwareKindWord, Parameter(help="What of the device it replaces.")] = "firmware"
    module_name: Annotated[
        str | None,
        Parameter(help="With --kind module: the module's name, where the vendor has them."),
    ] = None
    description: Annotated[str | None, Parameter(help="A longer text for people.")] = None
    checksum: Annotated[
        str | None,
        Parameter(help="The digest that the file must have, as sha256:HEX or md5:HEX. Of a file here it is checked."),
    ] = None
    source_version: Annotated[
        list[str] | None, Parameter(negative="", help="Only devices with this version may be upgraded with it.")
    ] = None
    tag: Annotated[list[str] | None, Parameter(negative="", help="A tag, as KEY=VALUE.")] = None
    must_be_verified: Annotated[
        bool | None, Parameter(negative="", help="Jobs may use it only after a verification job.")
    ] = None
    verification_max_devices: Annotated[
        int | None, Parameter(converter=whole_number, help="The most devices that a verification job may use.")
    ] = None
    verification_min_successes: Annotated[
        int | None, Parameter(converter=whole_number, help="How many of them must succeed.")
    ] = None
    custom_info: Annotated[str | None, Parameter(help="A text that the device gets with the upgrade notice.")] = None

    def firmware(self, *, location: str | None) -> NewFirmware:
        """Return the firmware that these options describe.

        Raises:
            UsageError: A value cannot be right; names the option.
        """
        verification = Verification(
            required=self.must_be_verified,
            max_devices=self.verification_max_devices,
            min_successes=self.verification_min_successes,
        )
        return NewFirmware(
            version=self.version,
            kind=FirmwareKind(self.kind),
            product_id=self.product,
            name=None if self.name is None else LocalizedText(default=self.name),
            description=self.description,
            checksum=_checksum(self.checksum),
            source_versions=tuple(self.source_version or ()),
            tags=_tags(self.tag or ()),
            verification=None if verification == Verification() else verification,
            custom_info=self.custom_info,
            location=location,
        )


async def upload_firmware(
    file: Path | None = None,
    /,
    *,
    location: Annotated[
        str | None, Parameter(help="Instead of a file here: where the vendor finds it, such as obs://bucket/key.")
    ] = None,
    options: _Options,
    timeout: Annotated[float, Parameter(validator=check_seconds, help="How many seconds the upload may take.")] = 600.0,
    owner: ActFor = None,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """Create a firmware from a file, or from where the vendor finds it, and print its identifier.

    Parameters
    ----------
    file
        The file to upload.
    """
    if (file is None) == (location is None):
        raise UsageError("give either a file to upload, or with --location where the vendor finds it")
    firmware = options.firmware(location=location)
    async with connect(backend, profile=profile) as opened:
        require(opened, Capability.FIRMWARE_CREATE)
        if file is not None:
            require(
                opened,
                Capability.FIRMWARE_UPLOAD,
                instead="the vendor takes no file; put it where the vendor finds it, and give --location",
            )
        extension = _module_extension(opened, options.module_name, kind=firmware.kind)
        _show(firmware, [] if file is None else await _measured(file, firmware.checksum))
        client = opened.with_options(timeout_seconds=timeout, owner_id=owner)
        async with ProgressBar(f"Uploading {file.name}" if file else "Creating the firmware", unit=""):
            firmware_id = await client.firmware.create(firmware, content=file, **extension)
        await print_made(_UPLOADED, _Uploaded(backend=client.label, firmware_id=firmware_id), firmware_id, format)


def _module_extension(client: Backend, name: str | None, *, kind: FirmwareKind) -> dict[str, str]:
    """Return what this backend's own ``create`` takes beyond the protocol, to name a module.

    Raises:
        UsageError: The name of a module is missing, or does not go with what else was given.
        UnsupportedOperationError: A name was given, and the backend knows no modules. Nothing was sent.
    """
    if name is None and kind is not FirmwareKind.MODULE:
        return {}
    if name is not None and kind is not FirmwareKind.MODULE:
        raise UsageError(f"--module-name {name!r} goes with --kind module, not with {kind.value}: leave one out")
    takes_name = _MODULE_NAME in signature(client.firmware.create).parameters
    if name is None:
        if takes_name:
            raise UsageError("--kind module wants the name of the module: give --module-name")
        return {}
    if not takes_name:
        raise UnsupportedOperationError(
            "this backend has firmware without modules: leave --module-name out",
            operation=Capability.FIRMWARE_CREATE.value,
            backend=client.label,
        )
    return {_MODULE_NAME: name}


def _show(firmware: NewFirmware, measured: Sequence[tuple[str, str]]) -> None:
    """Say what is created, to standard error."""
    facts = [("version", firmware.version), *measured]
    if firmware.product_id is not None:
        facts.insert(0, ("product", firmware.product_id))
    if firmware.location is not None:
        facts.append(("location", firmware.location))
        if firmware.checksum is not None:
            facts.append((firmware.checksum.algorithm, firmware.checksum.value))
    say("\n".join(f"{name:<8}  {plain(text)}" for name, text in facts))


async def _measured(file: Path, announced: Checksum | None) -> list[tuple[str, str]]:
    """Return a file's name, size and SHA-256, in words.

    Raises:
        UsageError: It does not have the digest that was given, or cannot be read.
    """
    algorithms = {"sha256"} if announced is None else {"sha256", announced.algorithm}
    digests = {algorithm: hasher(algorithm) for algorithm in algorithms}
    size_bytes = 0
    try:
        if not await anyio.Path(file).is_file():
            raise UsageError(f"{file}: there is no such file, or it is no regular file")
        total = (await anyio.Path(file).stat()).st_size
        async with (
            ProgressBar(f"Reading {file.name}", unit="bytes") as bar,
            await anyio.open_file(file, "rb") as opened,
        ):
            while piece := await opened.read(PIECE_BYTES):
                for digest in digests.values():
                    digest.update(piece)
                size_bytes += len(piece)
                bar.update(size_bytes, total)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror or error}") from error
    if announced is not None and digests[announced.algorithm].hexdigest() != announced.value:
        raise UsageError(
            f"{file} has the {announced.algorithm} {digests[announced.algorithm].hexdigest()}, not the one that "
            f"--checksum gives, {announced.value}; nothing was uploaded"
        )
    return [("file", str(file)), ("size", counted(size_bytes, "byte")), ("sha256", digests["sha256"].hexdigest())]


def _checksum(text: str | None) -> Checksum | None:
    if text is None:
        return None
    algorithm, _, value = text.lower().partition(":")
    if len(value) != DIGEST_ALGORITHMS.get(algorithm) or not set(value) <= set("0123456789abcdef"):
        raise UsageError(f"--checksum {text!r} is no digest: write sha256: and 64 hexadecimal digits, or md5: and 32")
    return Checksum(algorithm=algorithm, value=value)


def _tags(texts: Sequence[str]) -> FrozenMap:
    found = pairs(texts, option="--tag")
    repeated = [key for key, values in found.items() if len(values) > 1]
    if repeated:
        raise UsageError(f"--tag {repeated[0]} is given twice: a firmware's tag has one value")
    return FrozenMap({key: values[0] for key, values in found.items()})
