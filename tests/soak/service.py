"""The other side of a soak, in a process of its own: an emulated vendor in bad weather.

Prints one line of JSON when it is up, one more for each line that it reads, and ends with its input.
"""

# ruff: noqa: T201 - it talks through its output

import asyncio
import base64
import json
import logging
import sys
import zlib
from typing import Any

from otaclient.emulator import EmulatorServer, Fleet, JobPlan
from otaclient.registry import emulator_class
from soak.weather import Weather

# Jobs come and go within seconds, some devices fail, and searches lag a little.
PLAN = JobPlan(
    pending_seconds=0.1,
    published_seconds=0.2,
    upgrading_seconds=0.6,
    stopping_seconds=0.1,
    failing_share=0.1,
)
READ_LAG_SECONDS = 0.2
AWAY_SECONDS = 0.1


class Crashes(logging.Handler):
    """Keeps what the emulator, aiohttp or asyncio logs as an error: none of it ought to happen."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message, with the exception that it tells of."""
        self.messages.append(self.format(record))


CRASHES = Crashes()


def emulator_of(vendor: str, *, devices: int, seed: int) -> EmulatorServer:
    """Return an emulator in good weather."""
    fleet = Fleet.generate(devices=devices, seed=seed)
    emulator: Any = emulator_class(vendor)(fleet, plan=PLAN, read_lag_seconds=READ_LAG_SECONDS)
    emulator.faults = Weather(seed, expire_tokens=emulator.expire_tokens)
    return emulator  # type: ignore[no-any-return]


def environment_of(emulator: Any) -> dict[str, str]:
    """Return the settings of a client that needs tokens, whatever the vendor."""
    environment: dict[str, str] = (
        emulator.environment(auth="password") if emulator.vendor == "iotda" else emulator.environment()
    )
    return environment


def report_of(emulator: EmulatorServer) -> dict[str, Any]:
    """Return what came in, and what became of it."""
    weather: Any = emulator.faults
    return {
        "served": dict(emulator.served),
        "statuses": {str(status): count for status, count in emulator.statuses.items()},
        "struck": dict(weather.struck),
        "unnumbered": weather.unnumbered,
        "arrivals": base64.b64encode(zlib.compress(bytes(weather.arrivals))).decode(),
        "devices": len(emulator.fleet.devices),
        "crashes": list(CRASHES.messages),
    }


async def restart(emulator: EmulatorServer) -> None:
    """Go away, with all connections, and come back at the same address: whoever connects meanwhile is refused."""
    emulator._requested_port = emulator.port
    await emulator.stop()
    await asyncio.sleep(AWAY_SECONDS)
    await emulator.start()


async def serve(vendor: str, devices: int, seed: int) -> None:
    """Serve until the input ends."""
    logging.getLogger().addHandler(CRASHES)
    async with emulator_of(vendor, devices=devices, seed=seed) as emulator:
        print(json.dumps({"environment": environment_of(emulator)}), flush=True)
        weather: Any = emulator.faults
        while command := (await asyncio.to_thread(sys.stdin.readline)).strip():
            if command in {"bad", "good"}:
                weather.turn(is_bad=command == "bad")
            if command == "restart":
                await restart(emulator)
            print(json.dumps(report_of(emulator) if command == "report" else {}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
