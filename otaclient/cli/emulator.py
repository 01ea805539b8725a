"""``otaclient emulator``: a vendor that runs on this machine."""

import asyncio
import shlex
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from ipaddress import ip_address
from typing import Annotated

import anyio
from cyclopts import Parameter, validators

from otaclient.cli.failures import UsageError
from otaclient.cli.listing import say
from otaclient.cli.sink import StandardOutput
from otaclient.emulator import Churn, EmulatorServer, Fleet, JobPlan

__all__ = ["Devices", "Seed", "emulator", "emulator_class", "emulator_names", "generated_fleet"]

_GROUP = "otaclient.emulators"

Devices = Annotated[
    int, Parameter(name="--devices", validator=validators.Number(gte=0), help="How many devices a fleet has.")
]
Seed = Annotated[int, Parameter(name="--seed", help="What the fleet is generated from: equal seeds give equal fleets.")]


def emulator_names() -> tuple[str, ...]:
    """Return the names of the installed emulators, sorted."""
    return tuple(sorted(_entry_points()))


def emulator_class(name: str) -> type[EmulatorServer]:
    """Return an installed emulator.

    Raises:
        UsageError: There is no such emulator.
    """
    found = _entry_points().get(name)
    if found is None:
        raise UsageError(f"there is no emulator {name!r}; known emulators: {', '.join(emulator_names()) or 'none'}")
    loaded: type[EmulatorServer] = found.load()
    return loaded


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
    port: Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535), help="0 takes a free one.")] = 8080,
    host: Annotated[
        str, Parameter(help="The address to bind. Nothing outside this machine reaches the default.")
    ] = "127.0.0.1",
    devices: Devices = 20_000,
    seed: Seed = 7,
    speed: Annotated[
        float, Parameter(validator=validators.Number(gt=0), help="How many times faster than life devices upgrade.")
    ] = 1.0,
    churn: Annotated[
        float,
        Parameter(
            validator=validators.Number(gte=0, lt=float("inf")),
            help="How many devices upgrade, how many leave and how many join at each search for devices.",
        ),
    ] = 0.0,
) -> None:
    """Run one vendor's emulator until Ctrl-C; print its address and the variables that point the client at it.

    Parameters
    ----------
    vendor
        Which one: enos or iotda.
    """
    server_class = emulator_class(vendor)
    fleet = await generated_fleet(devices, seed)
    fleet.start_churn(Churn(seed=seed, upgrade=churn, leave=churn, join=churn))
    try:
        server = server_class(fleet, host=host, port=port, plan=JobPlan(speed=speed))
        await server.start()
    except OSError as error:
        raise UsageError(
            f"cannot listen on {host} port {port}: {error.strerror or error}; "
            "choose another with --port (0 takes a free one)"
        ) from error
    try:
        await _serve(server, host)
    finally:
        await server.stop()


async def _serve(server: EmulatorServer, host: str) -> None:
    fleet = server.fleet
    # What this vendor shows of the fleet: not every vendor knows every kind of firmware and job.
    firmware = sum(1 for _ in server.expected_firmware(server.vendor))
    jobs = sum(1 for _ in server.expected_jobs(server.vendor))
    exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in server.environment().items())
    await StandardOutput().write(f"# {server.vendor} emulator on {server.url}\n{exports}")
    say(
        f"{len(fleet.devices):,} devices of {len(fleet.products)} products, {firmware:,} firmware, "
        f"{jobs:,} jobs, seed {fleet.seed}. Ctrl-C stops it."
    )
    if not _is_loopback(host):
        say(f"Note: bound to {host}, so other machines may reach it. It is made for tests, not for a hostile network.")
    await asyncio.Event().wait()


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _entry_points() -> Mapping[str, EntryPoint]:
    return {found.name: found for found in entry_points(group=_GROUP)}
