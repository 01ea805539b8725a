"""``otaclient devices``: which version each device runs, and whether it is being upgraded."""

import os
import sys
from collections.abc import Generator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import attrs
from cyclopts import App, Parameter

from otaclient import export
from otaclient.cli.cells import plain_lines
from otaclient.cli.connect import connect, connect_all, require
from otaclient.cli.failures import ExitCode, UsageError
from otaclient.cli.kinds import DEVICES
from otaclient.cli.listing import Printer, print_listing, print_one, printer, say
from otaclient.cli.options import (
    DEFAULT_ATTEMPTS,
    Attempts,
    BackendName,
    BackendNames,
    Concurrency,
    FileFormat,
    Force,
    Limit,
    OutputFormat,
    Owner,
    Products,
    Profile,
    Wide,
    examples,
    instant,
)
from otaclient.cli.output import Format
from otaclient.cli.progress import ProgressBar
from otaclient.cli.sink import FileSink, StandardOutput, claim, write_file
from otaclient.counted import counted
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.plan import Dedupe
from otaclient.fleet.running_scan import Scan
from otaclient.fleet.scan import scan
from otaclient.fleet.scan_options import ScanProgress
from otaclient.models import DeviceUpgrade
from otaclient.protocols import Capability
from otaclient.queries import DeviceUpgradeQuery

__all__ = ["app"]

app = App(
    name="devices",
    help="List or scan devices with their versions, or show one.",
    help_epilogue=examples("devices scan --backend enos --format csv"),
    version_flags=[],
)

_Explain = Annotated[
    bool, Parameter(negative="", show_default=False, help="Say what the scan would do, and do not scan.")
]
_Probe = Annotated[
    bool,
    Parameter(
        negative="", show_default=False, help="With --explain: ask how many devices there are, and say what that takes."
    ),
]
_Out = Annotated[
    Path | None,
    Parameter(
        help="Write the devices to this file instead of standard output: .parquet, .csv or .jsonl, with the "
        "certificate stored along and ready for 'otaclient report'; or .json."
    ),
]
_CertificateFile = Annotated[
    Path | None, Parameter(help="Write the certificate, as JSON, to this file, besides what --out stores.")
]
_Dedupe = Annotated[
    Dedupe,
    Parameter(
        help="'exact' remembers every device, in about 120 bytes each; 'neighbours' only the latest pages, in flat "
        "memory, and says so where a device may therefore come twice."
    ),
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class _Filters:
    """Which devices: the options that listing and scanning share."""

    product: Products = None
    version: Annotated[
        list[str] | None, Parameter(negative="", help="Only with this firmware version; several times for several.")
    ] = None
    upgrading: Annotated[
        bool | None, Parameter(negative="--not-upgrading", help="Only what is (not) being upgraded.")
    ] = None
    resolve_upgrading: Annotated[
        bool,
        Parameter(
            negative="", show_default=False, help="Find out who is being upgraded even where that costs extra calls."
        ),
    ] = False
    registered_after: Annotated[
        str | None, Parameter(help="Only registered after this instant, such as 2026-01-31T08:00:00Z.")
    ] = None
    registered_before: Annotated[str | None, Parameter(help="Only registered before this instant.")] = None
    owner: Owner = None

    def query(self) -> DeviceUpgradeQuery:
        """Return the query that these options ask for."""
        return DeviceUpgradeQuery(
            products=self.product,
            versions=self.version,
            upgrading=self.upgrading,
            resolve_upgrading=self.resolve_upgrading,
            registered_after=instant(self.registered_after, option="--registered-after"),
            registered_before=instant(self.registered_before, option="--registered-before"),
            owner_id=self.owner,
        )


@app.command(name="list", help_epilogue=examples("devices list --backend enos --product 8UhOTwV5 --limit 20"))
async def list_devices(
    *,
    filters: _Filters | None = None,
    limit: Limit = None,
    wide: Wide = False,
    attempts: Attempts = DEFAULT_ATTEMPTS,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """List devices page by page. For whole fleets use 'scan': it reads in parallel and accounts for what it saw."""
    query = (filters or _Filters()).query()
    async with connect(backend, profile=profile, attempts=attempts) as client:
        await print_listing(DEVICES, client.devices.search(query), format, limit=limit, wide=wide)


@app.command(name="show", help_epilogue=examples("devices show 5ba24f5e_pump_1 --backend iotda"))
async def show_device(
    device_id: str,
    /,
    *,
    backend: BackendName = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """Show one device.

    Parameters
    ----------
    device_id
        Its identifier, as 'otaclient devices list' prints it.
    """
    async with connect(backend, profile=profile) as client:
        require(client, Capability.DEVICES_GET, instead="look for the device in what 'otaclient devices list' prints")
        await print_one(DEVICES, await client.devices.get(device_id), format)


@app.command(
    name="scan",
    help_epilogue=examples(
        "devices scan --backend enos --backend iotda --format csv",
        "devices scan --backend enos --upgrading --out fleet.csv",
        "devices scan --out fleet.parquet --certificate proof.json",
        "devices scan --backend iotda --explain --probe",
    ),
)
async def scan_devices(
    *,
    filters: _Filters | None = None,
    explain: _Explain = False,
    probe: _Probe = False,
    out: _Out = None,
    certificate: _CertificateFile = None,
    force: Force = False,
    concurrency: Concurrency = 16,
    dedupe: _Dedupe = "exact",
    wide: Wide = False,
    attempts: Attempts = DEFAULT_ATTEMPTS,
    backend: BackendNames = None,
    profile: Profile = None,
    format: FileFormat = None,  # noqa: A002 - the option's name is a contract
) -> ExitCode:
    """Read whole fleets, of several backends at once: each device once, with a certificate of what was read.

    The certificate is printed to standard error. The exit code is 3 when the scan ended uncertain.
    """
    query = (filters or _Filters()).query()
    _check_explaining(explain=explain, probe=probe, given=format)
    exported = None if out is None or explain else _export_format(out, format)
    for file in _files_written(out, exported, certificate):
        claim(file, force=force)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(client)
            for client in connect_all(backend, profile=profile, concurrency=concurrency, attempts=attempts)
        ]
        bar = ProgressBar("Scanning", unit=DEVICES.noun, shown=out is not None or not sys.stdout.isatty())
        running = scan(
            [(client, query) for client in clients],
            concurrency=concurrency,
            dedupe=dedupe,
            on_progress=lambda progress: _show(bar, progress),
        )
        if explain:
            await StandardOutput().write(plain_lines(await running.explain(probe=probe)) + "\n")
            return ExitCode.DONE
        with _certificate_kept(running, certificate, force=force):
            if out is not None and exported is not None:
                await _export_scan(running, bar, out, exported, force=force)
            else:
                printing = printer(DEVICES, format, out=out, force=force, several_backends=len(clients) > 1, wide=wide)
                await _print_scan(running, bar, printing)
    say(str(running.certificate))
    return ExitCode.UNCERTAIN if running.certificate.verdict is Verdict.UNCERTAIN else ExitCode.DONE


def _check_explaining(*, explain: bool, probe: bool, given: Format | None) -> None:
    """Refuse what does not go with ``--explain``, or not without it.

    Raises:
        UsageError: It says which option to leave out.
    """
    if probe and not explain:
        raise UsageError("--probe only says more about a plan: add --explain, or leave it out")
    if explain and given not in {None, Format.TABLE}:
        raise UsageError(f"--explain says in words what a scan would do: leave out --format {given}")


@contextmanager
def _certificate_kept(running: Scan[DeviceUpgrade], file: Path | None, *, force: bool) -> Generator[None]:
    """Write the certificate to a file at the end, also of a scan that failed or was interrupted: then it says so."""
    try:
        yield
    finally:
        if file is not None:
            write_file(file, f"{running.certificate.to_json()}\n", force=force)


def _files_written(out: Path | None, exported: export.FileFormat | None, certificate: Path | None) -> list[Path]:
    """Return the files that there must not be yet.

    Raises:
        UsageError: The certificate would replace the devices, or the other way round.
    """
    files = [] if out is None or exported is None else [*export.files_of(out, exported)]
    if certificate is None:
        return files
    if certificate.absolute() in {file.absolute() for file in (*files, *([] if out is None else [out]))}:
        raise UsageError(f"--certificate {certificate} is a file that --out {out} writes: name another for one of them")
    return [certificate, *files]


def _export_format(out: Path, given: Format | None) -> export.FileFormat | None:
    """Return the format in which devices are exported; ``None`` for those in which they are only printed.

    Raises:
        UsageError: The file's ending is not known, or says another format than ``--format``.
    """
    suffix = out.suffix.lower()
    says = Format.JSON if suffix == ".json" else export.SUFFIXES.get(suffix)
    if given is None and says is None:
        known = ", ".join([*export.SUFFIXES, ".json"])
        which = f"the ending {out.suffix!r} is not known" if out.suffix else "the name has no ending"
        raise UsageError(f"--out {out}: {which}; known are {known}; or say with --format what to write")
    if given is not None and says is not None and given.value != says.value:
        raise UsageError(
            f"--format {given.value} does not fit --out {out}, whose ending means {says.value}: leave out --format, or "
            "name the file otherwise"
        )
    chosen = (given or says or Format.TABLE).value
    return export.FileFormat(chosen) if chosen in set(export.FileFormat) else None


async def _export_scan(
    running: Scan[DeviceUpgrade], bar: ProgressBar, out: Path, chosen: export.FileFormat, *, force: bool
) -> None:
    # Arrow's own allocator keeps 10 MiB more than it uses. It is chosen for a whole process, so not in the library.
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        async with bar, running:
            await export.write(running, out, replace=force, format=chosen)
    except BaseException as error:
        if running.certificate.devices:
            for note in getattr(error, "__notes__", ()):
                say(f"not finished: {note}")
        raise


async def _print_scan(running: Scan[DeviceUpgrade], bar: ProgressBar, printing: Printer) -> None:
    try:
        async with printing.sink, bar, running:
            tally = await printing.run(running.pages())
    except BrokenPipeError:
        raise  # whoever read the devices has seen enough
    except BaseException:
        if running.certificate.devices:
            part = printing.sink.part if isinstance(printing.sink, FileSink) else None
            kept = "" if part is None else f", kept in {part}" if part.exists() else ", none of them kept"
            say(f"not finished: {counted(running.certificate.devices, 'device')} so far{kept}")
        raise
    if printing.format is Format.TABLE:
        say(str(tally))


def _show(bar: ProgressBar, progress: ScanProgress) -> None:
    bar.update(progress.devices, progress.expected)
