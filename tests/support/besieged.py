"""Calls of a client whose server is hostile, and what becomes of them."""

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from otaclient.emulator import Fleet
from otaclient.errors import OtaError
from otaclient.fleet.scan import scan
from otaclient.models import Firmware, FirmwareId
from otaclient.protocols import Backend
from otaclient.queries import DeviceUpgradeQuery
from support.hostile import Beset, Script

VENDORS = ("enos", "iotda")
FLEET = Fleet.generate(devices=90, seed=11)
CAP = 64 * 1024
"""What an answer may have in these tests, so that endless ones end soon."""
NONSENSE = b"nonsense"
GOOD = b"HTTP/1.1 200 OK\r\n"

FIRMWARE = Firmware(
    backend="enos", firmware_id=FirmwareId("f"), version="1", location="enos-connect://f", size_bytes=500
)


async def get(client: Backend, _: Path) -> Any:
    return await client.firmware.get("5ed0dd4a646542001b3d113f")


async def page(client: Backend, _: Path) -> Any:
    return await client.devices.search(DeviceUpgradeQuery()).first(3)


async def scan_page(client: Backend, _: Path) -> Any:
    async with scan([(client, DeviceUpgradeQuery())], concurrency=2) as running:
        return [upgrade async for upgrade in running]


async def delete(client: Backend, _: Path) -> Any:
    return await client.firmware.delete("5ed0dd4a646542001b3d113f")


async def stop(client: Backend, _: Path) -> Any:
    return await client.jobs.stop("5ed0dd4a646542001b3d113f")


async def login(client: Backend, _: Path) -> Any:
    # The client of these tests has a token already; another one with the same connections has not.
    session: Any = client
    return await session._session.dialect.tokens._fetch(None, float("inf"))


async def download(client: Backend, folder: Path) -> Any:
    enos: Any = client
    return await enos.firmware.download(FIRMWARE, folder / "fw.bin", device="a1")


Call = Callable[[Backend, Path], Awaitable[Any]]
READS: Mapping[str, Call] = {"read": get, "page": page, "scan": scan_page}
WRITES: Mapping[str, Call] = {"delete": delete, "stop": stop}


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def outcome_of(besieged: Beset, script: Script, name: str, call: Call, folder: Path) -> OtaError | None:
    """Return the documented error to which a call comes; ``None`` where it comes to a result."""
    besieged.server.set_on(script, tokens=name == "token")
    try:
        await call(besieged.client, folder)
    except OtaError as error:
        found: OtaError | None = error
    else:
        found = None
    assert besieged.server.struck >= 1, "the script was never played"
    assert not names_in(folder), "a failed download leaves nothing behind"
    assert besieged.connections_in_use == 0, "a call that ended holds a connection"
    return found


CHUNKED = GOOD + b"Transfer-Encoding: chunked\r\n\r\n"
