"""``otaclient demo``: the fleets of all emulated vendors, scanned over HTTP through one interface."""

import sys
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from shutil import which
from typing import Annotated, Self

import anyio
import attrs
from cyclopts import Parameter
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from otaclient.cli.cells import plain
from otaclient.cli.emulator import Devices, Seed, generated_fleet
from otaclient.cli.failures import ExitCode
from otaclient.cli.options import Force
from otaclient.cli.picture import drawn
from otaclient.cli.progress import ProgressBar
from otaclient.cli.sink import claim, write_file
from otaclient.cli.streams import OutputConsole
from otaclient.emulator import EmulatorServer
from otaclient.fleet.ledger import Certificate, Verdict
from otaclient.fleet.scan import scan
from otaclient.models import DeviceUpgrade, JobStatus
from otaclient.protocols import Backend
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.registry import available_emulators, emulator_class, open_backend

__all__ = ["demo"]

_SHOWN_VERSIONS = 3
_OTHER_COLUMNS = 46
"""How wide the table is without the versions."""
_UNTOLD = "not told"
_NARROWEST_VERSIONS = 15
"""One version and its number."""
_MOST_LISTED = 100_000
_OPENING = (
    "Emulated device fleets of several IoT clouds, each behind its vendor's own HTTP interface on this machine, "
    "signatures included. One client reads them all.\n"
)
_NO_PORT = "http://127.0.0.1"
"""How a picture names every emulator: each run has ports of its own."""


@attrs.frozen(kw_only=True)
class _Vendor:
    """One emulated vendor and the client that speaks to it."""

    client: Backend
    emulator: EmulatorServer


@attrs.define
class _Tally:
    """The scanned devices, counted: versions and upgrades by backend and product."""

    versions: dict[tuple[str, str], Counter[str]] = attrs.field(factory=dict[tuple[str, str], Counter[str]])
    upgrading: dict[tuple[str, str], Counter[bool | None]] = attrs.field(
        factory=dict[tuple[str, str], Counter[bool | None]]
    )
    records: dict[tuple[str, str], int] = attrs.field(factory=dict[tuple[str, str], int])
    """A hash of each device's record, by backend and device."""

    def add(self, device: DeviceUpgrade) -> None:
        """Count a device."""
        group = (device.backend, device.product_id or "no product")
        self.versions.setdefault(group, Counter())[device.firmware_version or "none"] += 1
        self.upgrading.setdefault(group, Counter())[device.upgrading] += 1
        self.records[device.backend, device.device_id] = hash(device)

    def groups(self, backend: str) -> list[tuple[str, str]]:
        """Return a backend's products, those with the most devices first."""
        return sorted(
            (group for group in self.versions if group[0] == backend),
            key=lambda group: (-self.versions[group].total(), group),
        )


@attrs.frozen(kw_only=True)
class _Check:
    """The scan against what the emulators hold."""

    read: int
    held: int
    equal: int

    @property
    def passed(self) -> bool:
        """Whether both are the same devices with the same records."""
        return self.read == self.held == self.equal

    def __str__(self) -> str:
        if self.passed:
            return f"passed: the emulators hold {self.held:,} devices; each was read once, every record equal"
        return f"FAILED: the emulators hold {self.held:,} devices, {self.read:,} were read, {self.equal:,} equal theirs"


async def demo(
    *,
    devices: Devices = 20_000,
    seed: Seed = 7,
    picture: Annotated[
        Path | None, Parameter(help="Also draw what is shown, without what differs from run to run, as this SVG file.")
    ] = None,
    force: Force = False,
) -> ExitCode:
    """Start an emulator of every vendor on this machine, scan all fleets over HTTP, and check the result.

    Needs no account, no file and no network beyond loopback.
    """
    if picture is not None:
        claim(picture, force=force)
    console = OutputConsole(highlight=False)
    console.print(_OPENING)
    async with _vendors(devices, seed) as vendors:
        found = [await _Introduction.of(vendor) for vendor in vendors]
        for introduction in found:
            console.print(introduction.line(introduction.url), soft_wrap=True)
        tally, certificate = await _scan(vendors, devices)
        check = _check(tally, vendors)
    labels = [introduction.label for introduction in found]
    console.print()
    _print_fleet(console, tally, labels)
    _print_account(console, check, certificate)
    if picture is not None:

        def show(canvas: Console) -> None:
            canvas.print(_OPENING)
            for introduction in found:
                canvas.print(introduction.line(_NO_PORT))
            canvas.print()
            _print_fleet(canvas, tally, labels)
            _print_lasting_account(canvas, check, certificate)

        await anyio.to_thread.run_sync(lambda: write_file(picture, drawn(show, command="otaclient demo"), force=force))
    if not check.passed:
        return ExitCode.FAILED
    return ExitCode.UNCERTAIN if certificate.verdict is Verdict.UNCERTAIN else ExitCode.DONE


@asynccontextmanager
async def _vendors(devices: int, seed: int) -> AsyncGenerator[list[_Vendor]]:
    """Run all emulators, each with a fleet of its own, and a client for each."""
    async with AsyncExitStack() as stack:
        vendors: list[_Vendor] = []
        for number, name in enumerate(available_emulators()):
            async with ProgressBar(f"Making the fleet of {name}", unit=""):
                fleet = await generated_fleet(devices, seed + number)
            emulator = await stack.enter_async_context(emulator_class(name)(fleet))
            client = await stack.enter_async_context(open_backend(name, config=emulator.config()))
            vendors.append(_Vendor(client=client, emulator=emulator))
        yield vendors


@attrs.frozen(kw_only=True)
class _Introduction:
    """A vendor, and what it holds besides devices."""

    label: str
    url: str
    firmware: int
    jobs: int
    running: int

    @classmethod
    async def of(cls, vendor: _Vendor) -> Self:
        """Ask a vendor."""
        client = vendor.client
        firmware = await client.firmware.search(FirmwareQuery()).collect(_MOST_LISTED)
        jobs = await client.jobs.search(JobQuery()).collect(_MOST_LISTED)
        running = sum(job.status is JobStatus.RUNNING for job in jobs)
        return cls(label=client.label, url=vendor.emulator.url, firmware=len(firmware), jobs=len(jobs), running=running)

    def line(self, url: str) -> Text:
        """Return it in words, with an address."""
        return Text.assemble(
            f"  {self.label:<6} ",
            (url, "cyan"),
            f"  {self.firmware:,} firmware, {self.jobs:,} upgrade jobs, {self.running:,} of them running",
        )


async def _scan(vendors: Sequence[_Vendor], devices: int) -> tuple[_Tally, Certificate]:
    tally = _Tally()
    total = devices * len(vendors)
    async with ProgressBar("Scanning", unit="devices", prominent=True) as bar:
        running = scan(
            [(vendor.client, DeviceUpgradeQuery()) for vendor in vendors],
            on_progress=lambda progress: bar.update(progress.devices, total),
        )
        async with running:
            async for page in running.pages():
                for device in page:
                    tally.add(device)
    return tally, running.certificate


def _check(tally: _Tally, vendors: Sequence[_Vendor]) -> _Check:
    equal = sum(
        tally.records.get((device.backend, device.device_id)) == hash(device)
        for vendor in vendors
        for device in vendor.emulator.expected_devices(vendor.client.label)
    )
    held = sum(len(vendor.emulator.fleet.devices) for vendor in vendors)
    return _Check(read=len(tally.records), held=held, equal=equal)


# --- showing ---------------------------------------------------------------------------------------------------------


def _print_fleet(console: Console, tally: _Tally, labels: Sequence[str]) -> None:
    room = console.width - _OTHER_COLUMNS
    console.print(_table(tally, labels, room=room, between=", " if console.options.ascii_only else " · "))
    if room < _NARROWEST_VERSIONS:
        console.print("no room for: firmware versions", style="dim")
    if any(None in counts for counts in tally.upgrading.values()):
        console.print(f"{_UNTOLD}: the vendor's list of devices does not say who is being upgraded\n", style="dim")


def _table(tally: _Tally, backends: Sequence[str], *, room: int, between: str) -> Table:
    table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, show_footer=True)
    everything = [group for backend in backends for group in tally.groups(backend)]
    table.add_column("backend", footer="all", no_wrap=True)
    table.add_column("product", no_wrap=True)
    table.add_column("devices", footer=_devices(tally, everything), justify="right", no_wrap=True)
    if room >= _NARROWEST_VERSIONS:
        table.add_column("firmware versions, most common first")
    table.add_column("upgrading", footer=_upgrading(tally, everything), justify="right", no_wrap=True)
    for backend in backends:
        groups = tally.groups(backend)
        for number, group in enumerate(groups):
            table.add_row(
                backend if number == 0 else "",
                plain(group[1]),
                _devices(tally, [group]),
                *_versions_cell(tally.versions[group], room, between),
                _upgrading(tally, [group]),
            )
        named = "" if groups else backend
        devices, upgrading = _devices(tally, groups), _upgrading(tally, groups)
        table.add_row(
            named, "all", devices, *_versions_cell({}, room, between), upgrading, style="bold", end_section=True
        )
    return table


def _devices(tally: _Tally, groups: Sequence[tuple[str, str]]) -> str:
    return f"{sum(tally.versions[group].total() for group in groups):,}"


def _upgrading(tally: _Tally, groups: Sequence[tuple[str, str]]) -> str:
    known = [tally.upgrading[group] for group in groups if set(tally.upgrading[group]) != {None}]
    return f"{sum(counts[True] for counts in known):,}" if known else _UNTOLD


def _versions_cell(counts: Mapping[str, int], room: int, between: str) -> Sequence[str]:
    """Return the cell of a row; none where there is no room for that column."""
    return [_wrapped(_most_common(counts), room, between)] if room >= _NARROWEST_VERSIONS else []


def _most_common(counts: Mapping[str, int]) -> list[str]:
    """Return the most common versions and the number of the rest, which together are all devices."""
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    # One version alone in the rest is shown as itself.
    shown = _SHOWN_VERSIONS if len(ordered) > _SHOWN_VERSIONS + 1 else len(ordered)
    pieces = [f"{plain(version)} {count:,}" for version, count in ordered[:shown]]
    rest = ordered[shown:]
    if rest:
        pieces.append(f"{len(rest)} others {sum(count for _, count in rest):,}")
    return pieces


def _wrapped(pieces: Sequence[str], room: int, between: str) -> str:
    """Return the pieces on as few lines as they fit on, none of them broken."""
    lines: list[str] = []
    for piece in pieces:
        if lines and len(lines[-1]) + len(between) + len(piece) <= room:
            lines[-1] += f"{between}{piece}"
        else:
            lines.append(piece)
    return "\n".join(lines)


def _program() -> str:
    """Return what to type for this program."""
    return "otaclient" if which("otaclient") else sys.argv[0]


def _print_account(console: Console, check: _Check, certificate: Certificate) -> None:
    seconds = certificate.seconds or 1e-9
    lines = _account(check, str(certificate))
    lines.add_row(
        "Speed",
        Text(
            f"{certificate.requests / seconds:,.0f} requests/s, {certificate.devices / seconds:,.0f} devices/s; "
            "client and emulators share one process"
        ),
    )
    lines.add_row(
        "Next", Text(f"{_program()} emulator {available_emulators()[0]}  (a server to try the other commands on)")
    )
    console.print(lines)


def _print_lasting_account(console: Console, check: _Check, certificate: Certificate) -> None:
    """Print what is the same in every run of the same seed: no times, and no bytes, of which headers have a few."""
    measured = (f" in {certificate.seconds:.2f} s", f", {certificate.bytes:,} bytes")
    words = str(certificate)
    for one in measured:
        words = words.replace(one, "", 1)
    console.print(_account(check, words))


def _account(check: _Check, certificate: str) -> Table:
    lines = Table(box=None, show_header=False, show_edge=False, pad_edge=False, padding=(0, 2, 0, 0))
    lines.add_column(no_wrap=True, style="bold")
    lines.add_column()
    lines.add_row("Check", Text(str(check), style="green" if check.passed else "bold red"))
    lines.add_row("Certificate", Text(certificate))
    return lines
