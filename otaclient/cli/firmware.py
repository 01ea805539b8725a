"""``otaclient firmware``: which firmware exists, its files, and its end."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from otaclient.cli.confirm import check_can_ask, confirm
from otaclient.cli.connect import connect, require
from otaclient.cli.kinds import DOWNLOADS, FIRMWARE
from otaclient.cli.listing import print_listing, print_one, say
from otaclient.cli.options import (
    DEFAULT_ATTEMPTS,
    Attempts,
    BackendName,
    FirmwareKindWord,
    Force,
    Limit,
    OutputFormat,
    Owner,
    Products,
    Profile,
    Wide,
    Yes,
    examples,
)
from otaclient.cli.progress import ProgressBar
from otaclient.cli.sink import refuse_existing
from otaclient.cli.upload import upload_firmware
from otaclient.downloads import checked_destination
from otaclient.models import Firmware
from otaclient.protocols import Capability
from otaclient.queries import FirmwareQuery

__all__ = ["app"]

app = App(
    name="firmware",
    help="List, show, upload, download or delete firmware.",
    help_epilogue=examples("firmware list --backend enos --product 8UhOTwV5"),
    version_flags=[],
)
app.command(
    upload_firmware,
    name="upload",
    usage="Usage: otaclient firmware upload --version STR [OPTIONS] [FILE]",
    help_epilogue=examples(
        "firmware upload pump-2.4.bin --version 2.4 --name Pump \\\n      --product 8UhOTwV5 --backend enos",
        "firmware upload --location obs://bucket/pump-2.4.bin --version 2.4 \\\n"
        "      --product 5ba24f5e --checksum sha256:0d6afb7e... --backend iotda",
        "firmware upload --location obs://bucket/radio-7.bin --version 7 \\\n"
        "      --product 5ba24f5e --kind module --module-name radio --backend iotda",
    ),
)


@app.command(
    name="list",
    help_epilogue=examples("firmware list --backend enos --product 8UhOTwV5 --not-verified"),
)
async def list_firmware(
    *,
    product: Products = None,
    kind: Annotated[list[FirmwareKindWord] | None, Parameter(negative="", help="Only of this kind.")] = None,
    version: Annotated[str | None, Parameter(help="Only exactly this version.")] = None,
    verified: Annotated[bool | None, Parameter(negative="--not-verified", help="Only what is (not) verified.")] = None,
    name_contains: Annotated[str | None, Parameter(help="Only what has this text in its name.")] = None,
    locale: Annotated[str | None, Parameter(help="Look for --name-contains in this locale, such as zh_CN.")] = None,
    owner: Owner = None,
    limit: Limit = None,
    wide: Wide = False,
    attempts: Attempts = DEFAULT_ATTEMPTS,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """List firmware, across all pages."""
    query = FirmwareQuery(
        products=product,
        kinds=kind,
        version=version,
        verified=verified,
        name_contains=name_contains,
        locale=locale,
        owner_id=owner,
    )
    async with connect(backend, profile=profile, attempts=attempts) as client:
        await print_listing(FIRMWARE, client.firmware.search(query), format, limit=limit, wide=wide)


@app.command(name="show", help_epilogue=examples("firmware show 5ed0a1f2 --backend enos --format json"))
async def show_firmware(
    firmware_id: str,
    /,
    *,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """Show one firmware.

    Parameters
    ----------
    firmware_id
        Its identifier, as 'otaclient firmware list' prints it.
    """
    async with connect(backend, profile=profile) as client:
        await print_one(FIRMWARE, await client.firmware.get(firmware_id), format)


@app.command(name="delete", help_epilogue=examples("firmware delete 5ed0a1f2 --backend enos"))
async def delete_firmware(
    firmware_id: str,
    /,
    *,
    yes: Yes = False,
    backend: BackendName = None,
    profile: Profile = None,
) -> None:
    """Delete a firmware, for good; asks first.

    Parameters
    ----------
    firmware_id
        Its identifier, as 'otaclient firmware list' prints it.
    """
    check_can_ask(yes=yes)
    async with connect(backend, profile=profile) as client:
        require(client, Capability.FIRMWARE_DELETE)
        if not yes:
            found = await client.firmware.get(firmware_id)
            await confirm(f"Delete {_described(found)} on {client.label}, for good?", yes=yes)
        await client.firmware.delete(firmware_id)
        say(f"firmware {firmware_id}: deleted")


@app.command(name="download", help_epilogue=examples("firmware download 5ed0a1f2 pump-2.4.bin --backend enos"))
async def download_firmware(
    firmware_id: str,
    destination: Path,
    /,
    *,
    force: Force = False,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """Fetch a firmware's file, check it, and print its path, size and SHA-256, and whether it was verified.

    Nothing has the destination's name before all of it is there and is what the vendor announces.

    Parameters
    ----------
    firmware_id
        Its identifier, as 'otaclient firmware list' prints it.
    destination
        The file to write.
    """
    refuse_existing(checked_destination(destination), force=force)
    async with connect(backend, profile=profile) as client:
        require(client, Capability.FIRMWARE_DOWNLOAD)
        firmware = await client.firmware.get(firmware_id)
        async with ProgressBar(f"Downloading {destination.name}", unit="bytes") as bar:
            received = await client.firmware.download(firmware, destination, progress=bar.update)
        await print_one(DOWNLOADS, received, format)


def _described(firmware: Firmware) -> str:
    product = "" if firmware.product_id is None else f" of product {firmware.product_id}"
    return f"firmware {firmware.firmware_id}, version {firmware.version}{product},"
