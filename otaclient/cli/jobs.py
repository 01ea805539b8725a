"""``otaclient jobs``: which upgrade jobs run, what they do on each device, and how to steer them."""

from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import App, Parameter

from otaclient.cli.confirm import check_can_ask, confirm
from otaclient.cli.connect import connect, require
from otaclient.cli.failures import one_line
from otaclient.cli.job_create import create_job
from otaclient.cli.job_watch import watch_job
from otaclient.cli.kinds import JOBS, TASKS
from otaclient.cli.listing import print_listing, print_one, say
from otaclient.cli.options import (
    DEFAULT_ATTEMPTS,
    Attempts,
    BackendName,
    JobKindWord,
    JobStatusWord,
    Limit,
    OutputFormat,
    Owner,
    Products,
    Profile,
    TaskStatusWord,
    Wide,
    Yes,
    device_list,
    examples,
)
from otaclient.counted import counted
from otaclient.errors import NotFoundError, OtaError
from otaclient.models import JobId
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery, JobQuery

__all__ = ["app"]

DevicesFile: TypeAlias = Annotated[
    Path | None,
    Parameter(
        name="--devices-file", allow_leading_hyphen=True, help="A file with a device a line; - is standard input."
    ),
]

_JOB = "<job>"
"""Where a question names the job."""

app = App(
    name="jobs",
    help="List, show, create, follow and steer upgrade jobs.",
    help_epilogue=examples("jobs list --backend enos --status running"),
    version_flags=[],
)
app.command(
    create_job,
    name="create",
    help_epilogue=examples(
        "jobs create --name Pumps --firmware-id 5ed0a1f2 --everything \\\n"
        "      --source-version 2.3 --mode snapshot --backend enos",
        "jobs create --name Canary --firmware-id b1c6a2f0 --device pump_1 \\\n      --hold --backend iotda",
        "jobs create --file job.toml --yes --format json",
    )
    + """

Such a file:
  name = "Pumps to 2.4"
  firmware_ids = ["5ed0a1f2"]
  [scope]
  devices = ["pump_1", "pump_2"]
  [policy]
  mode = "snapshot"
  retry = { count = 3, interval_minutes = 10 }
  schedule = { start_at = 2026-01-31T08:00:00Z }""",
)
app.command(
    watch_job,
    name="watch",
    help_epilogue=examples("jobs watch 6214ad21 --backend enos --interval 5 --timeout 3600"),
)


@app.command(name="list", help_epilogue=examples("jobs list --backend enos --status running --format csv"))
async def list_jobs(
    *,
    product: Products = None,
    firmware_id: Annotated[list[str] | None, Parameter(negative="", help="Only with this firmware.")] = None,
    firmware_version: Annotated[list[str] | None, Parameter(negative="", help="Only to this version.")] = None,
    kind: Annotated[JobKindWord | None, Parameter(help="Only of this kind.")] = None,
    status: Annotated[JobStatusWord | None, Parameter(help="Only in this state.")] = None,
    name_contains: Annotated[str | None, Parameter(help="Only what has this text in its name.")] = None,
    firmware_name_contains: Annotated[str | None, Parameter(help="Only with this text in the firmware's name.")] = None,
    locale: Annotated[str | None, Parameter(help="Look for names in this locale, such as zh_CN.")] = None,
    owner: Owner = None,
    limit: Limit = None,
    wide: Wide = False,
    attempts: Attempts = DEFAULT_ATTEMPTS,
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
    async with connect(backend, profile=profile, attempts=attempts) as client:
        await print_listing(JOBS, client.jobs.search(query), format, limit=limit, wide=wide)


@app.command(name="show", help_epilogue=examples("jobs show 6214ad21 --backend enos --format json"))
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


@app.command(
    name="tasks",
    help_epilogue=examples("jobs tasks 6214ad21 --status failed --backend enos --format csv"),
)
async def list_tasks(
    job_id: str,
    /,
    *,
    status: Annotated[list[TaskStatusWord] | None, Parameter(negative="", help="Only in this state.")] = None,
    device: Annotated[list[str] | None, Parameter(negative="", help="Only of this device.")] = None,
    from_version: Annotated[list[str] | None, Parameter(negative="", help="Only from this version.")] = None,
    to_version: Annotated[list[str] | None, Parameter(negative="", help="Only to this version.")] = None,
    limit: Limit = None,
    wide: Wide = False,
    attempts: Attempts = DEFAULT_ATTEMPTS,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """List what a job does on each device, across all pages.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    """
    query = DeviceTaskQuery(
        job_id=JobId(job_id), statuses=status, devices=device, from_versions=from_version, to_versions=to_version
    )
    async with connect(backend, profile=profile, attempts=attempts) as client:
        listing = client.jobs.tasks(query)
        await print_listing(
            TASKS, listing, format, limit=limit, wide=wide, on_nothing=lambda: _check_exists(client, job_id)
        )


async def _check_exists(client: Backend, job_id: str) -> None:
    """Refuse a job that does not exist: not every vendor's list of tasks tells it from one that has none.

    Raises:
        NotFoundError: There is no such job.
    """
    if Capability.JOBS_GET not in client.capabilities:
        return
    try:
        await client.jobs.get(job_id)
    except NotFoundError:
        raise
    except OtaError as error:
        # The list itself was good.
        say(f"whether there is a job {job_id} is not known: {one_line(error)}")


# --- steering --------------------------------------------------------------------------------------------------------


@app.command(name="start", help_epilogue=examples("jobs start 6214ad21 --backend enos"))
async def start_job(job_id: str, /, *, backend: BackendName = None, profile: Profile = None) -> None:
    """Start a stopped job, or one that was created with --hold.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    """
    async with connect(backend, profile=profile) as client:
        await client.jobs.start(job_id)
        say(f"job {job_id}: started")


@app.command(name="stop", help_epilogue=examples("jobs stop 6214ad21 --backend enos"))
async def stop_job(job_id: str, /, *, yes: Yes = False, backend: BackendName = None, profile: Profile = None) -> None:
    """Stop a job; asks first. The service may take a while to do so.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    """
    check_can_ask(yes=yes)
    async with connect(backend, profile=profile) as client:
        require(client, Capability.JOBS_STOP)
        await _confirmed(client, job_id, f"Stop {_JOB}?", yes=yes)
        await client.jobs.stop(job_id)
        say(f"job {job_id}: told to stop")


@app.command(name="delete", help_epilogue=examples("jobs delete 6214ad21 --backend enos"))
async def delete_job(job_id: str, /, *, yes: Yes = False, backend: BackendName = None, profile: Profile = None) -> None:
    """Delete a job, for good; asks first.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    """
    check_can_ask(yes=yes)
    async with connect(backend, profile=profile) as client:
        require(client, Capability.JOBS_DELETE)
        await _confirmed(client, job_id, f"Delete {_JOB}, for good?", yes=yes)
        await client.jobs.delete(job_id)
        say(f"job {job_id}: deleted")


@app.command(
    name="cancel",
    usage="Usage: otaclient jobs cancel [OPTIONS] JOB_ID [DEVICES...]",
    help_epilogue=examples(
        "jobs cancel 6214ad21 pump_1 pump_2 --backend enos",
        "jobs cancel 6214ad21 --devices-file pumps.txt --yes --backend enos",
    ),
)
async def cancel_tasks(
    job_id: str,
    /,
    *devices: str,
    devices_file: DevicesFile = None,
    yes: Yes = False,
    backend: BackendName = None,
    profile: Profile = None,
) -> None:
    """Cancel the upgrade of some devices of a job; asks first.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    devices
        The devices, as the vendor's jobs name them: EnOS device key, IoTDA device id.
    """
    chosen = device_list(devices, devices_file)
    check_can_ask(yes=yes)
    async with connect(backend, profile=profile) as client:
        require(client, Capability.JOBS_CANCEL_TASKS)
        await _confirmed(client, job_id, f"Cancel the upgrade of {counted(len(chosen), 'device')} of {_JOB}?", yes=yes)
        await client.jobs.cancel_tasks(job_id, chosen)
        say(f"job {job_id}: {counted(len(chosen), 'device')} cancelled")


@app.command(
    name="retry",
    usage="Usage: otaclient jobs retry [OPTIONS] JOB_ID [DEVICES...]",
    help_epilogue=examples(
        "jobs retry 6214ad21 pump_1 pump_2 --backend enos",
        "jobs retry 6214ad21 --devices-file - --backend enos <pumps.txt",
    ),
)
async def retry_tasks(
    job_id: str,
    /,
    *devices: str,
    devices_file: DevicesFile = None,
    backend: BackendName = None,
    profile: Profile = None,
) -> None:
    """Try some failed devices of a job again.

    Parameters
    ----------
    job_id
        Its identifier, as 'otaclient jobs list' prints it.
    devices
        The devices, as the vendor's jobs name them: EnOS device key, IoTDA device id.
    """
    chosen = device_list(devices, devices_file)
    async with connect(backend, profile=profile) as client:
        await client.jobs.retry_tasks(job_id, chosen)
        say(f"job {job_id}: {counted(len(chosen), 'device')} to be tried again")


async def _confirmed(client: Backend, job_id: str, question: str, *, yes: bool) -> None:
    """Ask about a job by its name and state, which takes a request that ``--yes`` saves."""
    if yes:
        return
    job = await client.jobs.get(job_id)
    name = "" if job.name is None else f" {str(job.name)!r}"
    await confirm(question.replace(_JOB, f"job {job_id}{name} ({job.status.value}) on {client.label}"), yes=yes)
