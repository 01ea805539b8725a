"""Servers that send more than anybody can take, or take their time: bounded memory and bounded time."""

import tracemalloc
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from otaclient.errors import DeadlineExceededError, OutcomeUnknownError, PayloadError, ResponseLostError
from otaclient.models import LocalizedText
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from support.besieged import (
    CAP,
    CHUNKED,
    FIRMWARE,
    FLEET,
    GOOD,
    NONSENSE,
    READS,
    VENDORS,
    WRITES,
    delete,
    download,
    get,
    login,
    names_in,
    outcome_of,
    page,
)
from support.hostile import Hold, Script, Turn, answer, beset, dripping, endless, once

MEBIBYTE = 1024 * 1024
PEAK_BYTES = 8 * MEBIBYTE
"""What a hostile answer may cost at most while it comes; most of it is what aiohttp reads ahead."""


# --- more than anybody can take --------------------------------------------------------------------------------------


def bomb(size: int, wbits: int) -> bytes:
    """Return zeros, compressed to about a thousandth."""
    packer = zlib.compressobj(9, zlib.DEFLATED, wbits)
    piece = bytes(MEBIBYTE)
    return b"".join(packer.compress(piece) for _ in range(size // MEBIBYTE)) + packer.flush()


GZIP, DEFLATE, RAW_DEFLATE = 31, 15, -15
BOMB_BYTES = 24 * MEBIBYTE
INFLATED = {
    "gzip": (bomb(BOMB_BYTES, GZIP), "gzip"),
    "deflate": (bomb(BOMB_BYTES, DEFLATE), "deflate"),
    "raw deflate": (bomb(BOMB_BYTES, RAW_DEFLATE), "deflate"),
}
TOO_MUCH: Mapping[str, Script] = {
    "a body without end": endless(GOOD + b"\r\n", of=b"x" * 65536),
    "a length beyond all": endless(GOOD + b"Content-Length: " + b"9" * 15 + b"\r\n\r\n", of=b"x" * 65536),
    "chunks without end": endless(CHUNKED, of=b"10000\r\n" + b"x" * 65536 + b"\r\n"),
    **{name: once(answer(body, f"Content-Encoding: {encoding}")) for name, (body, encoding) in INFLATED.items()},
    **{
        f"{name} in one chunk": once(
            GOOD
            + f"Content-Encoding: {encoding}\r\nTransfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n".encode()
            + body,
            b"\r\n0\r\n\r\n",
        )
        for name, (body, encoding) in INFLATED.items()
    },
}


@pytest.mark.blocks_loop("tracemalloc multiplies what everything costs")
@pytest.mark.parametrize("script", TOO_MUCH.values(), ids=TOO_MUCH)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_memory_stays_bounded_whatever_comes(vendor: str, script: Script, tmp_path: Path) -> None:
    """The cap ends it while it comes: neither its size nor what it inflates to is ever in memory as a whole."""
    async with beset(vendor, FLEET, options=TransportOptions(max_response_bytes=CAP)) as besieged:
        await besieged.client.authenticate()
        for name, call in {**READS, **WRITES, "token": login}.items():
            tracemalloc.start()
            try:
                error = await outcome_of(besieged, script, name, call, tmp_path)
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert isinstance(error, OutcomeUnknownError if name in WRITES else PayloadError), (name, error)
            assert f"larger than {CAP} bytes" in str(error)
            assert peak < PEAK_BYTES, f"{name}: {peak:,} bytes"
            assert besieged.server.sent_bytes < PEAK_BYTES + CAP
        await besieged.check_usable()


@pytest.mark.blocks_loop("aiohttp takes each of the chunks by itself, and tens of thousands at once")
async def test_a_body_in_tiny_chunks_ends_at_the_cap_as_well(tmp_path: Path) -> None:
    """Chunks of a byte cost time, but not for ever."""
    async with beset("iotda", FLEET, options=TransportOptions(max_response_bytes=CAP)) as besieged:
        await besieged.client.authenticate()
        error = await outcome_of(besieged, endless(CHUNKED, of=b"1\r\nx\r\n" * 4096), "read", get, tmp_path)
        assert isinstance(error, PayloadError)
        await besieged.check_usable()


async def test_the_cap_is_an_option() -> None:
    """What one client refuses, another one takes."""
    script = once(answer(b'{"code":0,"data":{"firmwareId":"f","version":"1","desc":"' + b"x" * CAP + b'"}}'))
    for cap, taken in ((CAP, False), (2 * CAP, True)):
        async with beset("enos", FLEET, options=TransportOptions(max_response_bytes=cap)) as besieged:
            await besieged.client.authenticate()
            besieged.server.set_on(script)
            if taken:
                assert (await besieged.client.firmware.get("f")).description == "x" * CAP
            else:
                with pytest.raises(PayloadError, match="raise max_response_bytes"):
                    await besieged.client.firmware.get("f")


@pytest.mark.blocks_loop("tracemalloc multiplies what everything costs")
async def test_a_bomb_in_the_place_of_a_firmware_never_fills_the_disk(tmp_path: Path) -> None:
    """More than is announced ends a download; so does, where nothing is announced, more than any firmware has."""
    body, _ = INFLATED["gzip"]
    script = once(
        answer(body, "Content-Encoding: gzip", "Content-Type: application/octet-stream"),
    )
    async with beset("enos", FLEET) as besieged:
        await besieged.client.authenticate()
        tracemalloc.start()
        try:
            error = await outcome_of(besieged, script, "download", download, tmp_path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert "more than the" in str(error)
        assert peak < PEAK_BYTES + 2 * MEBIBYTE  # which is a piece that is written at once


# --- servers that take their time ------------------------------------------------------------------------------------

SLOW: Mapping[str, Script] = {
    "silence": once(Hold()),
    "silence within the head": once(GOOD, Hold()),
    "silence within the body": once(GOOD + b"Content-Length: 500\r\n\r\n" + NONSENSE, Hold()),
    "silence within a chunk": once(CHUNKED + b"ff\r\n" + NONSENSE, Hold()),
    "a dripping head": dripping(GOOD, drop=b"x"),
    "a dripping body": dripping(GOOD + b"Content-Length: 100000\r\n\r\n", drop=b" "),
    "a dripping name of a gzip": dripping(
        GOOD + b"Content-Encoding: gzip\r\nContent-Length: 100000\r\n\r\n\x1f\x8b\x08\x08\0\0\0\0\0\3", drop=b"x"
    ),
    "a chunk size without end": endless(CHUNKED, of=b"0" * 65536),
    "a chunk extension without end": endless(CHUNKED + b"8;", of=b"x" * 65536),
    "dripping promises": dripping(drop=b"HTTP/1.1 102 Processing\r\n\r\n"),
    "a flood of promises": endless(of=b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "hints without end": endless(of=b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" * 100),
}
SHORT_SECONDS = 0.05


@pytest.mark.blocks_loop("aiohttp takes tens of thousands of promises at once")
@pytest.mark.parametrize("script", SLOW.values(), ids=SLOW)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_time_is_bounded_whatever_comes_meanwhile(vendor: str, script: Script, tmp_path: Path) -> None:
    """``timeout_seconds`` is for the whole answer, however busily a server keeps a call waiting."""
    async with beset(vendor, FLEET) as besieged:
        await besieged.client.authenticate()
        hurried = besieged.client.with_options(timeout_seconds=SHORT_SECONDS)
        for name, call in {"read": get, "page": page, "delete": delete}.items():
            besieged.server.set_on(script)
            with pytest.raises(OutcomeUnknownError if name in WRITES else DeadlineExceededError):
                await call(hurried, tmp_path)
        await besieged.check_usable()


@pytest.mark.blocks_loop("tracemalloc multiplies what everything costs")
async def test_a_flood_of_promises_fills_no_memory(tmp_path: Path) -> None:
    """What is read ahead of it is bounded."""
    async with beset("enos", FLEET) as besieged:
        await besieged.client.authenticate()
        besieged.server.set_on(SLOW["a flood of promises"])
        tracemalloc.start()
        try:
            with pytest.raises(DeadlineExceededError):
                await get(besieged.client.with_options(timeout_seconds=4 * SHORT_SECONDS), tmp_path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 4 * PEAK_BYTES, f"{peak:,} bytes"  # aiohttp keeps up to 256 KiB of them, parsed
        await besieged.check_usable()


async def test_a_download_that_falls_silent_is_given_up(tmp_path: Path) -> None:
    """Each piece must come within ``timeout_seconds``."""
    head = GOOD + b"Content-Type: application/octet-stream\r\nContent-Length: 500\r\n\r\n"
    async with beset("enos", FLEET) as besieged:
        await besieged.client.authenticate()
        hurried = besieged.client.with_options(timeout_seconds=SHORT_SECONDS)
        for script in (once(head + NONSENSE, Hold()), once(head, Hold()), once(Hold())):
            besieged.server.set_on(script)
            with pytest.raises(ResponseLostError, match="nothing came"):
                await download(hurried, tmp_path)
            assert not names_in(tmp_path)
            await besieged.check_usable()


NAMES = (
    "../../evil.bin",
    "/etc/passwd",
    "C:\\Windows\\evil.bin",
    "..\\..\\evil.bin",
    "evil\0.bin",
    "CON",
    "x" * 4000,
    "~/.ssh/authorized_keys",
    "a/b/c",
    "",
)


async def test_the_server_does_not_choose_where_a_file_goes(tmp_path: Path) -> None:
    """Whatever it calls the file, in headers or in the firmware's record: only the destination is written."""
    folder = tmp_path / "inner"
    folder.mkdir()
    content = b"x" * 500
    async with beset("enos", FLEET) as besieged:
        await besieged.client.authenticate()
        for name in NAMES:
            shown = name.replace("\0", "%00")
            headers = (
                "Content-Type: application/octet-stream",
                f"Content-Disposition: attachment; filename=\"{shown}\"; filename*=UTF-8''{quote(name, safe='')}",
                f"Content-Location: {quote(name)}",
                f"Location: {quote(name)}",
            )
            besieged.server.set_on(once(answer(content, *headers), Hold()))
            odd = attrs.evolve(
                FIRMWARE, version=name, location=f"enos-connect://{name}", name=LocalizedText(default=name)
            )
            enos: Any = besieged.client
            received = await enos.firmware.download(odd, folder / "fw.bin", device="a1")
            assert received.path == str(folder / "fw.bin")
            assert (names_in(tmp_path), names_in(folder)) == (["inner"], ["fw.bin"])
            (folder / "fw.bin").unlink()
        await besieged.check_usable()


async def test_a_download_in_crumbs_is_not_asked_for_crumb_by_crumb(tmp_path: Path) -> None:
    """A server that hangs up after each byte is not asked five hundred times: that is no progress."""
    served = 0

    def crumb() -> list[bytes | Turn]:
        nonlocal served
        served += 1
        head = "206 Partial Content" if served > 1 else "200 OK"
        ranged = f"Content-Range: bytes {served - 1}-499/500\r\n" if served > 1 else ""
        return [f"HTTP/1.1 {head}\r\n{ranged}Content-Type: application/octet-stream\r\n".encode() + TAIL, Turn()]

    async with beset("enos", FLEET, retry=RetryPolicy()) as besieged:
        await besieged.client.authenticate()
        besieged.server.set_on(crumb)
        with pytest.raises(ResponseLostError) as caught:
            await download(besieged.client, tmp_path)
        assert caught.value.attempts == besieged.server.struck == RetryPolicy().max_attempts
        assert not names_in(tmp_path)
        await besieged.check_usable()


TAIL = b"Content-Length: 499\r\n\r\nx"
