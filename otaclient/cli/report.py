"""``otaclient report``: what a scanned fleet looks like, and what changed in it, as a page for everybody."""

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import anyio
from cyclopts import Parameter, validators

from otaclient import export
from otaclient.cli.failures import UsageError
from otaclient.cli.listing import say
from otaclient.cli.options import Force, whole_number
from otaclient.cli.progress import ProgressBar
from otaclient.cli.sink import claim, write_file
from otaclient.counted import counted
from otaclient.report import Change, Report, made, page, trust_in
from otaclient.report.making import LIST_LIMIT

__all__ = ["report"]

_SAID = (Change.UPGRADED, Change.STUCK, Change.ROLLED_BACK, Change.APPEARED, Change.VANISHED)


async def report(
    file: Path,
    /,
    *,
    out: Annotated[Path, Parameter(name=["--out", "-o"], help="Write the page to this file, such as report.html.")],
    since: Annotated[
        Path | None, Parameter(help="Also say what changed since this earlier file, of any of the formats.")
    ] = None,
    list_limit: Annotated[
        int,
        Parameter(converter=whole_number, validator=validators.Number(gte=1), help="How many devices each list names."),
    ] = LIST_LIMIT,
    force: Force = False,
) -> None:
    """Make a page of a scanned fleet: versions, who is being upgraded, what changed, and what the scan proved.

    The page is one file of HTML that opens offline, on a phone and on paper.

    Parameters
    ----------
    file
        What 'otaclient devices scan --out' wrote: .parquet, .csv or .jsonl.
    """
    _check_are_different(file, out, since)
    claim(out, force=force)
    later = await anyio.to_thread.run_sync(export.read, file)
    earlier = None if since is None else await anyio.to_thread.run_sync(export.read, since)
    total = sum(each.stamp.rows for each in (later, earlier) if each is not None and each.stamp is not None)
    async with ProgressBar("Reading", unit="devices") as bar:
        found = await anyio.to_thread.run_sync(
            lambda: made(
                later,
                since=earlier,
                list_limit=list_limit,
                on_progress=lambda rows: bar.update(rows, total or None),
            ),
            abandon_on_cancel=True,
        )
        await anyio.to_thread.run_sync(lambda: write_file(out, page(found), force=True))
    say(_summary(found, out))


def _check_are_different(file: Path, out: Path, since: Path | None) -> None:
    """Check that the page replaces no fleet, and that no fleet is compared with itself.

    Raises:
        UsageError: Two of the names are those of one file.
    """
    if since is not None and _are_same(file, since):
        raise UsageError(f"--since {since} is the file to report on: name an earlier one")
    if any(_are_same(out, fleet) for fleet in (file, since) if fleet is not None):
        raise UsageError(f"--out {out} is a fleet that is read: name another file for the page")


def _are_same(one: Path, other: Path) -> bool:
    with suppress(OSError):  # one that is not there is another
        return one.samefile(other)
    return False


def _summary(found: Report, out: Path) -> str:
    survey, changes = found.survey, found.changes
    held = f"{counted(survey.devices, 'device')} of {counted(len(survey.products), 'product')}"
    lines = [f"{out}: {held}, {survey.upgrading.count:,} upgrading"]
    if changes is not None:
        lines.append("since then " + ", ".join(f"{changes.count(change):,} {change.value}" for change in _SAID))
    sources = [source for source in (found.source, found.since) if source is not None]
    lines += [f"{source.name}: {trust_in(source).headline}" for source in sources if not source.is_certified]
    if not survey.devices:
        lines.append(f"{found.source.name} holds no devices")
    return "\n".join(lines)
