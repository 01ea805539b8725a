"""``otaclient jobs``: which upgrade jobs run."""

from typing import Annotated

from cyclopts import App, Parameter

from otaclient.cli.connect import connect
from otaclient.cli.kinds import JOBS
from otaclient.cli.listing import print_listing, print_one
from otaclient.cli.options import BackendName, Limit, OutputFormat, Owner, Products, Profile
from otaclient.models import JobKind, JobStatus
from otaclient.queries import JobQuery

__all__ = ["app"]

app = App(name="jobs", help="List upgrade jobs, or show one.", version_flags=[])


@app.command(name="list")
async def list_jobs(
    *,
    product: Products = None,
    firmware_id: Annotated[list[str] | None, Parameter(negative="", help="Only with this firmware.")] = None,
    firmware_version: Annotated[list[str] | None, Parameter(negative="", help="Only to this version.")] = None,
    kind: Annotated[JobKind | None, Parameter(help="Only of this kind.")] = None,
    status: Annotated[JobStatus | None, Parameter(help="Only in this state.")] = None,
    name_contains: Annotated[str | None, Parameter(help="Only what has this text in its name.")] = None,
    firmware_name_contains: Annotated[str | None, Parameter(help="Only with this text in the firmware's name.")] = None,
    locale: Annotated[str | None, Parameter(help="Look for names in this locale, such as zh_CN.")] = None,
    owner: Owner = None,
    limit: Limit = None,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """List upgrade jobs, across all pages."""
    query = JobQuery(
        products=product,
        firmware_ids=firmware_id,
        firmware_versions=firmware_version,
        kind=kind,
        status=status,
        name_contains=name_contains,
        firmware_name_contains=firmware_name_contains,
        locale=locale,
        owner_id=owner,
    )
    async with connect(backend, profile=profile) as client:
        await print_listing(JOBS, client.jobs.search(query), format, limit=limit)


@app.command(name="show")
async def show_job(
    job_id: str,
    /,
    *,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """Show one upgrade job.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    """
    async with connect(backend, profile=profile) as client:
        await print_one(JOBS, await client.jobs.get(job_id), format)
