"""``otaclient jobs create``: says what it is about to do, asks, and prints the new job's identifier."""

import sys
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import Parameter

from otaclient.cli.confirm import check_can_ask, confirm
from otaclient.cli.connect import connect, require
from otaclient.cli.job_checks import check_key, check_new_job
from otaclient.cli.job_file import merged, new_job, read_job_file
from otaclient.cli.job_options import JobOptions
from otaclient.cli.job_plan import plan_text, reach
from otaclient.cli.listing import Kind, print_made, say
from otaclient.cli.options import ActFor, BackendName, OutputFormat, Profile, Yes
from otaclient.cli.table import Column
from otaclient.errors import OutcomeUnknownError
from otaclient.models import JobId, NewJob
from otaclient.protocols import Backend, Capability

__all__ = ["create_job"]


@attrs.frozen(kw_only=True)
class _Created:
    """What the command prints."""

    backend: str
    job_id: JobId


_CREATED = Kind(model=_Created, noun="jobs", columns=(Column("job id", "job_id"),))


async def create_job(
    *,
    file: Annotated[
        Path | None,
        Parameter(
            allow_leading_hyphen=True,
            help="A .toml or .json file with the fields of NewJob; options override it. - is TOML on standard input",
        ),
    ] = None,
    options: JobOptions | None = None,
    idempotency_key: Annotated[
        str | None, Parameter(help="A text of yours for this job: the same one again creates no second job.")
    ] = None,
    fingerprint: Annotated[
        bool,
        Parameter(
            help="End the name at the vendor with a mark, by which the job is found when an answer is lost.",
        ),
    ] = True,
    owner: ActFor = None,
    yes: Yes = False,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """Create an upgrade job: show what it will do and how many devices it reaches, ask, and print its identifier."""
    fields = {} if file is None else read_job_file(file)
    job = new_job(merged(fields, (options or JobOptions()).fields()))
    check_new_job(job)
    check_key(idempotency_key, fingerprint=fingerprint)
    check_can_ask(yes=yes)
    async with connect(backend, profile=profile) as opened:
        client = opened if owner is None else opened.with_options(owner_id=owner)
        require(client, Capability.JOBS_CREATE)
        if job.hold:
            require(client, Capability.JOBS_HOLD, instead="its jobs cannot wait for a start; leave --hold out")
        client.jobs.check(job, idempotency_key=idempotency_key, fingerprint=fingerprint)
        await _show(client, job)
        await confirm("Create it?", yes=yes)
        try:
            job_id = await client.jobs.create(job, idempotency_key=idempotency_key, fingerprint=fingerprint)
        except OutcomeUnknownError as error:
            say(_how_to_check(error.fingerprint, client, profile=profile, owner=owner))
            raise
        await print_made(_CREATED, _Created(backend=client.label, job_id=job_id), job_id, format)
        if sys.stdout.isatty():
            say(f"Follow it with: otaclient jobs watch {job_id} --backend {client.name}")


def _how_to_check(fingerprint: str | None, client: Backend, *, profile: str | None, owner: str | None) -> str:
    """Return with which command to find out whether the job was created."""
    options = (("--backend", client.name), ("--profile", profile), ("--owner", owner))
    command = " ".join(["otaclient jobs list", *(f"{name} {value}" for name, value in options if value)])
    if fingerprint is None:
        return f"The job may exist, or may appear later. Look for its name with: {command}"
    return (
        f"The job may exist, or may appear later, with the fingerprint {fingerprint}.\n"
        f"Look for it with: {command} --name-contains {fingerprint}\n"
        f"To try again, repeat the command with: --idempotency-key {fingerprint}\n"
        "It looks for the job first."
    )


async def _show(client: Backend, job: NewJob) -> None:
    """Say what the job will do, before anybody is asked."""
    firmware = [await client.firmware.get(firmware_id) for firmware_id in job.firmware_ids]
    reached = await reach(client, job, firmware)
    say(plan_text(job, firmware, backend=client.label, reached=reached).rstrip("\n"))
