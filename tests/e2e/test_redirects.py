"""Redirects from end to end: no credential follows one, wherever it leads, whatever was asked."""

import os
from pathlib import Path
from typing import Any

import pytest

from otaclient.errors import OtaError
from otaclient.transport.retry import RetryPolicy
from support.piping import talking
from support.tls_service import emulated, opened
from support.writes import WRITES, prepare, written_to

STATUSES = (301, 302, 303, 307, 308)
ONCE = RetryPolicy.none()
READS = ("token.get", "firmware.search", "jobs.search", "devices.search")


async def trapped(heads: list[bytes], reader: Any, _writer: Any) -> None:
    """Note what comes in."""
    heads.append(await reader.read(65536))


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_read_is_not_sent_on(vendor: str, status: int) -> None:
    """Neither to another host nor on the same one: the error says where to, and what to set instead."""
    heads: list[bytes] = []
    async with emulated(vendor) as emulator, talking(lambda r, w: trapped(heads, r, w)) as port:
        async with opened(emulator, emulator.url, retry=ONCE) as client:
            await client.authenticate()
            for place, said in ((f"http://localhost:{port}/x", "to localhost"), ("/v2/elsewhere", "redirect")):
                for operation in READS[1:]:
                    emulator.served.clear()
                    emulator.faults.inject(operation, status=status, headers={"Location": place})
                    listing: Any = {"firmware.search": client.firmware, "jobs.search": client.jobs}.get(
                        operation, client.devices
                    )
                    with pytest.raises(OtaError, match="set endpoint to") as caught:
                        await listing.search().first(1)
                    assert said in caught.value.message
                    assert caught.value.status == status
                    assert emulator.served.total() == 1, "nor is it sent again"
    assert not heads


@pytest.mark.parametrize("status", STATUSES)
async def test_a_request_for_a_token_is_not_sent_on(status: int) -> None:
    """What proves who asks is in its body, which a 307 would carry along."""
    heads: list[bytes] = []
    async with emulated("enos") as emulator, talking(lambda r, w: trapped(heads, r, w)) as port:
        emulator.faults.inject("token.get", status=status, headers={"Location": f"http://localhost:{port}/"})
        async with opened(emulator, emulator.url, retry=ONCE) as client:
            with pytest.raises(OtaError, match="redirects to localhost"):
                await client.authenticate()
    assert not heads


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
@pytest.mark.parametrize("operation", WRITES)
async def test_a_write_is_not_sent_on(vendor: str, operation: str) -> None:
    """No status and no method makes a difference, and nothing takes effect."""
    heads: list[bytes] = []
    async with written_to(vendor) as running, talking(lambda r, w: trapped(heads, r, w)) as port:
        prepared, wire = await prepare(running, operation)
        for status in STATUSES:
            running.emulator.faults.inject(
                wire, status=status, headers={"Location": f"http://localhost:{port}/{status}"}, times=None
            )
            with pytest.raises(OtaError, match="redirect"):
                await prepared.call()
            running.emulator.faults.clear()
        assert prepared.effects() == 0
    assert not heads


@pytest.mark.parametrize("status", STATUSES)
async def test_a_download_is_not_sent_on(status: int, tmp_path: Path) -> None:
    """An address that was signed for the vendor is the vendor's; nothing is left at the destination."""
    heads: list[bytes] = []
    async with emulated("enos") as emulator, talking(lambda r, w: trapped(heads, r, w)) as port:
        async with opened(emulator, emulator.url, retry=ONCE) as client:
            (firmware,) = await client.firmware.search().first(1)
            emulator.faults.inject(
                "firmware.download", status=status, headers={"Location": f"http://localhost:{port}/presigned?s=1"}
            )
            with pytest.raises(OtaError, match="redirects to localhost") as caught:
                await client.firmware.download(firmware, tmp_path / "new.bin")
            assert "presigned" not in str(caught.value), "what may be signed is not shown"
    assert not heads
    assert not os.listdir(tmp_path)  # noqa: PTH208 - in a coroutine
