"""``otaclient emulator``: a vendor that runs on this machine."""

import asyncio
import errno
import os
import shlex
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated

import anyio
import attrs
from cyclopts import Parameter, validators

from otaclient.cli.emulator_counters import LiveCounters
from otaclient.cli.failures import UsageError
from otaclient.cli.listing import say
from otaclient.cli.options import whole_number
from otaclient.cli.sink import StandardOutput
from otaclient.counted import counted
from otaclient.emulator import Churn, DocumentError, EmulatorServer, FaultPlan, Fleet
from otaclient.emulator.control import PREFIX
from otaclient.registry import emulator_class

__all__ = ["Devices", "Seed", "emulator", "generated_fleet"]

_HOST_REMEDY = "give --host an address of this machine, such as 127.0.0.1"
_PORT_REMEDY = "choose another with --port (0 takes a free one)"

Devices = Annotated[
    int,
    Parameter(
        name="--devices",
        converter=whole_number,
        validator=validators.Number(gte=0),
        help="How many devices a fleet has.",
    ),
]
Seed = Annotated[
    int,
    Parameter(
        name="--seed", converter=whole_number, help="What the fleet is generated from: equal seeds give equal fleets."
    ),
]
_Port = Annotated[
    int, Parameter(converter=whole_number, validator=validators.Number(gte=0, lte=65535), help="0 takes a free one.")
]
_Host = Annotated[str, Parameter(help="The address to bind. Nothing outside this machine reaches the default.")]
_Speed = Annotated[
    float | None,
    Parameter(
        validator=validators.Number(gt=0, lte=1_000_000),
        help="How many times faster than life devices upgrade (default: 1, or what the fault plan says).",
    ),
]
_Churn = Annotated[
    float | None,
    Parameter(
        validator=validators.Number(gte=0, lt=float("inf")),
        help="How many devices upgrade, how many leave and how many join at each search for devices (default: 0, or "
        "what the fault plan says).",
    ),
]
_GeneratedJobsRun = Annotated[
    bool,
    Parameter(
        negative="", show_default=False, help="Let the jobs that came with the fleet go on; they stand still otherwise."
    ),
]
_Faults = Annotated[
    Path | None,
    Parameter(help="A fault plan in TOML: latencies, capacity, and what goes wrong with which requests."),
]
_Control = Annotated[
    bool, Parameter(help="Answer clients on this machine under /__emulator__/: counters, and faults while it runs.")
]
_Counters = Annotated[
    float | None,
    Parameter(
        validator=validators.Number(gte=0.1, lte=86_400),
        help="Tell every so many seconds, on standard error, what goes on; and at the end what went on.",
    ),
]


async def generated_fleet(devices: int, seed: int) -> Fleet:
    """Return a fleet; a large one takes a while, in which a progress bar goes on.

    Raises:
        UsageError: No fleet can have so many devices.
    """
    try:
        return await anyio.to_thread.run_sync(lambda: Fleet.generate(devices=devices, seed=seed))
    except ValueError as error:
        raise UsageError(f"--devices: {error}") from error


async def emulator(
    vendor: str,
    /,
    *,
    port: _Port = 8080,
    host: _Host = "127.0.0.1",
    devices: Devices = 20_000,
    seed: Seed = 7,
    speed: _Speed = None,
    churn: _Churn = None,
    generated_jobs_run: _GeneratedJobsRun = False,
    faults: _Faults = None,
    control: _Control = True,
    counters: _Counters = None,
) -> None:
    """Run one vendor's emulator until Ctrl-C; print its address and the variables that point the client at it.

    Parameters
    ----------
    vendor
        Which one: enos or iotda.
    """
    if not host:
        # For the system it would mean every address of this machine.
        raise UsageError(f"--host is an empty text: {_HOST_REMEDY}")
    server_class: type[EmulatorServer] = emulator_class(vendor)
    plan = _fault_plan(faults)
    _check_said_once(plan, faults, speed=speed, churn=churn)
    fleet = await generated_fleet(devices, seed)
    if churn is not None:
        fleet.start_churn(Churn(seed=seed, upgrade=churn, leave=churn, join=churn))
    try:
        server = server_class(fleet, host=host, port=port)
        server.control = control
        _set_up(server, plan, faults, speed=speed)
        if generated_jobs_run:
            server.engine.run_generated_jobs()
        await server.start()
    except (OSError, UnicodeError) as error:
        raise UsageError(f"cannot listen on {host} port {port}: {_why_not_bound(error)}") from error
    live = None if counters is None else LiveCounters(server, every_seconds=counters)
    try:
        await _serve(server, host, live, is_under_load=faults is not None or live is not None)
    finally:
        await server.stop()
        for line in () if live is None else live.summary():
            say(line)


def _why_not_bound(error: OSError | UnicodeError) -> str:
    """Return why an address could not be bound, and which option to change."""
    if isinstance(error, socket.gaierror | UnicodeError):
        return f"the host cannot be resolved; {_HOST_REMEDY}"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"that is no address of this machine; {_HOST_REMEDY}"
    if error.errno is None:
        return f"{error}; {_HOST_REMEDY}; or {_PORT_REMEDY}"
    # The error's own text would name the address again.
    return f"{os.strerror(error.errno)}; {_PORT_REMEDY}"


def _fault_plan(path: Path | None) -> FaultPlan:
    if path is None:
        return FaultPlan()
    try:
        return FaultPlan.read(path)
    except OSError as error:
        raise UsageError(f"--faults {path} cannot be read: {error.strerror or error}") from error
    except DocumentError as error:
        raise UsageError(f"--faults {error}") from error


def _check_said_once(plan: FaultPlan, path: Path | None, *, speed: float | None, churn: float | None) -> None:
    for option, value, key, said in (
        ("--speed", speed, "jobs.speed", plan.jobs is not None and plan.jobs.speed is not None),
        ("--churn", churn, "churn", plan.churn is not None),
    ):
        if value is not None and said:
            raise UsageError(f"{option} {value:g}: the fault plan {path} says {key} too: take one of them away")


def _set_up(server: EmulatorServer, plan: FaultPlan, path: Path | None, *, speed: float | None) -> None:
    if speed is not None:
        server.engine.plan = attrs.evolve(server.engine.plan, speed=speed)
    try:
        server.follow(plan)
    except DocumentError as error:
        raise UsageError(f"--faults {error.of(str(path))}") from error


async def _serve(server: EmulatorServer, host: str, live: LiveCounters | None, *, is_under_load: bool) -> None:
    fleet = server.fleet
    # What this vendor shows of the fleet: not every vendor knows every kind of firmware and job.
    firmware = sum(1 for _ in server.expected_firmware(server.vendor))
    jobs = sum(1 for _ in server.expected_jobs(server.vendor))
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in server.environment().items())
    await StandardOutput().write(f"# {server.vendor} emulator on {server.url}\n{exports}")
    if server.control and is_under_load:
        say(f"Counters, and faults while it runs, for clients on this machine: {server.url}{PREFIX}/")
    say(
        f"{counted(len(fleet.devices), 'device')} of {counted(len(fleet.products), 'product')}, {firmware:,} firmware, "
        f"{counted(jobs, 'job')}, seed {fleet.seed}. Ctrl-C stops it."
    )
    if not _is_loopback(host):
        say(f"Note: bound to {host}, so other machines may reach it. It is made for tests, not for a hostile network.")
    await (asyncio.Event().wait() if live is None else live.run())


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
