"""``otaclient firmware``: which firmware exists."""

from typing import Annotated

from cyclopts import App, Parameter

from otaclient.cli.connect import connect
from otaclient.cli.kinds import FIRMWARE
from otaclient.cli.listing import print_listing, print_one
from otaclient.cli.options import BackendName, Limit, OutputFormat, Owner, Products, Profile
from otaclient.models import FirmwareKind
from otaclient.queries import FirmwareQuery

__all__ = ["app"]

app = App(name="firmware", help="List firmware, or show one.", version_flags=[])


@app.command(name="list")
async def list_firmware(
    *,
    product: Products = None,
    kind: Annotated[list[FirmwareKind] | None, Parameter(negative="", help="Only of this kind.")] = None,
    version: Annotated[str | None, Parameter(help="Only exactly this version.")] = None,
    verified: Annotated[bool | None, Parameter(negative="--not-verified", help="Only what is (not) verified.")] = None,
    name_contains: Annotated[str | None, Parameter(help="Only what has this text in its name.")] = None,
    locale: Annotated[str | None, Parameter(help="Look for --name-contains in this locale, such as zh_CN.")] = None,
    owner: Owner = None,
    limit: Limit = None,
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
    async with connect(backend, profile=profile) as client:
        await print_listing(FIRMWARE, client.firmware.search(query), format, limit=limit)


@app.command(name="show")
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
