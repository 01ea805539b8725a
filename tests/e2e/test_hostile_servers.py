"""Servers that are hostile or broken, byte by byte: documented errors, in bounded time and memory, and no trace."""

import asyncio
import gzip
import random
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import attrs
import pytest

from otaclient.emulator import Fleet
from otaclient.errors import (
    ApiError,
    DeadlineExceededError,
    IntegrityError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
    ResponseLostError,
)
from otaclient.fleet.scan import scan
from otaclient.models import Firmware, FirmwareId, LocalizedText
from otaclient.protocols import Backend
from otaclient.queries import DeviceUpgradeQuery
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from support.hostile import Beset, Hold, Script, Turn, answer, beset, dripping, endless, once

VENDORS = ("enos", "iotda")
FLEET = Fleet.generate(devices=90, seed=11)
MEBIBYTE = 1024 * 1024
CAP = 64 * 1024
"""What an answer may have in these tests, so that endless ones end soon."""
PEAK_BYTES = 8 * MEBIBYTE
"""What a hostile answer may cost at most while it comes; most of it is what aiohttp reads ahead."""
NONSENSE = b"nonsense"
GOOD = b"HTTP/1.1 200 OK\r\n"


FIRMWARE = Firmware(
    backend="enos", firmware_id=FirmwareId("f"), version="1", location="enos-connect://f", size_bytes=500
)


# --- what is asked ---------------------------------------------------------------------------------------------------


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


def calls_of(vendor: str) -> dict[str, Call]:
    """Return all kinds of calls."""
    downloads = {"download": download} if vendor == "enos" else {}
    return {**READS, **WRITES, "token": login, **downloads}


# --- below HTTP, and HTTP that is none -------------------------------------------------------------------------------

CHUNKED = GOOD + b"Transfer-Encoding: chunked\r\n\r\n"
BROKEN_HTTP: Mapping[str, Script] = {
    "nothing at all": once(),
    "nonsense": once(b"nonsense\r\n\r\n"),
    "binary": once(random.Random(7).randbytes(4000)),
    "a TLS alert": once(b"\x15\x03\x01\x00\x02\x02\x28"),
    "another protocol": once(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "HTTP 0.9": once(b"<html>hello</html>"),
    "an unknown version": once(b"HTTP/9.9 200 OK\r\nContent-Length: 8\r\n\r\n" + NONSENSE),
    "a status beyond all": once(b"HTTP/1.1 99999 OK\r\nContent-Length: 8\r\n\r\n" + NONSENSE),
    "a negative status": once(b"HTTP/1.1 -200 OK\r\nContent-Length: 8\r\n\r\n" + NONSENSE),
    "a status in words": once(b"HTTP/1.1 two OK\r\nContent-Length: 8\r\n\r\n" + NONSENSE),
    "status 000": once(b"HTTP/1.1 000 \r\nContent-Length: 8\r\n\r\n" + NONSENSE, Hold()),
    "an endless status line": endless(b"HTTP/1.1 200 ", of=b"O" * 65536),
    "a header without end": endless(GOOD + b"X-Long: ", of=b"x" * 65536),
    "a header name without end": endless(GOOD, of=b"x" * 65536),
    "headers without end": endless(GOOD, of=b"X-Flood: 1\r\n" * 4096),
    "two hundred headers": once(GOOD + b"X-Many: 1\r\n" * 200 + b"Content-Length: 8\r\n\r\n" + NONSENSE),
    "a header with NUL": once(GOOD + b"X-Nul: a\x00b\r\nContent-Length: 8\r\n\r\n" + NONSENSE),
    "a header without a colon": once(GOOD + b"No Colon Here\r\nContent-Length: 8\r\n\r\n" + NONSENSE),
    "headers in other bytes": once(
        GOOD + b"X-Request-Id: \xff\xfe\r\nDate: \xff\r\nRetry-After: \xff\r\nContent-Length: 8\r\n\r\n" + NONSENSE,
        Hold(),
    ),
    "a length in words": once(GOOD + b"Content-Length: many\r\n\r\n" + NONSENSE),
    "a negative length": once(GOOD + b"Content-Length: -8\r\n\r\n" + NONSENSE),
    "two lengths": once(GOOD + b"Content-Length: 8\r\nContent-Length: 3\r\n\r\n" + NONSENSE),
    "a length beyond 64 bits": once(GOOD + b"Content-Length: " + b"9" * 30 + b"\r\n\r\n" + NONSENSE),
    "length and chunks": once(
        GOOD + b"Content-Length: 8\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n" + NONSENSE + b"\r\n0\r\n\r\n"
    ),
    "a body that is cut": once(GOOD + b"Content-Length: 500\r\n\r\n" + NONSENSE),
    "chunks that are cut": once(CHUNKED + b"8\r\n" + NONSENSE + b"\r\n"),
    "a chunk that is cut": once(CHUNKED + b"ff\r\n" + NONSENSE),
    "a chunk size that is none": once(CHUNKED + b"zz\r\n" + NONSENSE + b"\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": once(CHUNKED + b"f" * 40 + b"\r\n" + NONSENSE),
    "trailers without end": endless(CHUNKED + b"8\r\n" + NONSENSE + b"\r\n0\r\n", of=b"X-Flood: 1\r\n" * 4096),
    "a protocol that nobody asked for": once(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n" + NONSENSE
    ),
    "bytes that are no gzip": once(answer(NONSENSE, "Content-Encoding: gzip"), Hold()),
    "bytes that are no deflate": once(answer(NONSENSE, "Content-Encoding: deflate"), Hold()),
    "gzip that is cut": once(answer(gzip.compress(b'{"code":0}' * 900)[:-30], "Content-Encoding: gzip"), Hold()),
    "an encoding that nobody has": once(answer(NONSENSE, "Content-Encoding: x-unknown"), Hold()),
    "brotli unasked": once(answer(b"\x8b\x03\x80nonsense\x03", "Content-Encoding: br"), Hold()),
    "zstandard unasked": once(answer(b"\x28\xb5\x2f\xfd" + NONSENSE, "Content-Encoding: zstd"), Hold()),
    "gzip twice": once(answer(gzip.compress(gzip.compress(NONSENSE)), "Content-Encoding: gzip, gzip"), Hold()),
    "gzip in two thousand members": once(answer(gzip.compress(b"") * 2000, "Content-Encoding: gzip"), Hold()),
}


@pytest.mark.parametrize("script", BROKEN_HTTP.values(), ids=BROKEN_HTTP)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_is_no_answer_is_a_documented_error(vendor: str, script: Script, tmp_path: Path) -> None:
    """Reads fail, a write's outcome is unknown: nonsense neither confirms nor refuses it. The client goes on."""
    async with beset(vendor, FLEET, options=TransportOptions(max_response_bytes=CAP)) as besieged:
        await besieged.client.authenticate()
        for name, call in calls_of(vendor).items():
            error = await outcome_of(besieged, script, name, call, tmp_path)
            if name in WRITES:
                assert isinstance(error, OutcomeUnknownError), (name, error)
            else:
                assert isinstance(error, ResponseLostError | PayloadError | IntegrityError | ApiError), (name, error)
            assert "aiohttp" not in str(error)
        await besieged.check_usable()


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

# --- answers to questions that nobody asked --------------------------------------------------------------------------

FORGED = b'{"code":0,"data":{"firmwareId":"forged","version":"6.6.6"},"package_id":"forged","version":"6.6.6"}'
TRUE = FORGED.replace(b"forged", b"true")
POISONED: Mapping[str, Script] = {
    "two answers": once(answer(TRUE) + answer(FORGED), Hold()),
    "a second answer later": once(answer(TRUE), Turn(), answer(FORGED), Hold()),
    "half a second answer later": once(answer(TRUE), Turn(), answer(FORGED)[:-20], Hold()),
    "bytes behind the answer": once(answer(TRUE) + NONSENSE, Hold()),
    "bytes later": once(answer(TRUE), Turn(), NONSENSE, Hold()),
    "the head of another answer": once(answer(TRUE), Turn(), GOOD + b"Content-Length: 900\r\n", Hold()),
    "a body longer than announced": once(GOOD + b"Content-Length: %d\r\n\r\n" % len(TRUE) + TRUE + FORGED, Hold()),
}


@pytest.mark.parametrize("script", POISONED.values(), ids=POISONED)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_no_answer_is_taken_for_another_ones(vendor: str, script: Script) -> None:
    """What comes unasked on a kept connection is not the answer to the next request, and does not let that hang."""
    async with beset(vendor, FLEET, timeout_seconds=20) as besieged:
        await besieged.client.authenticate()
        besieged.server.set_on(script)
        try:
            first = await besieged.client.firmware.get("5ed0dd4a646542001b3d113f")
        except ResponseLostError:
            pass  # what came with it made the answer suspect
        else:
            assert first.firmware_id == "true"
        await besieged.server.played.wait()
        for _ in range(20):  # until it has reached the client
            await asyncio.sleep(0)
        await besieged.check_usable()


# --- good HTTP with anything in it -----------------------------------------------------------------------------------

DEEP = 100_000
BODIES: Mapping[str, bytes] = {
    "nothing": b"",
    "a word": b"ok",
    "a page of a captive portal": b"<!DOCTYPE html><html><body>Please log in</body></html>",
    "XML": b'<?xml version="1.0"?><Error><Code>InternalError</Code></Error>',
    "half a document": b'{"code":0,"data":[{"assetId":"a"',
    "two documents": b'{"code":0,"data":[]}{"code":0,"data":[]}',
    "a mark of byte order": b'\xef\xbb\xbf{"code":0,"data":[]}',
    "UTF-16": '{"code":0,"data":[]}'.encode("utf-16"),
    "no UTF-8": b'{"code":0,"data":[{"assetId":"\xff\xfe"}],"devices":[{"device_id":"\xff"}],"package_id":"\xff"}',
    "half of a surrogate pair": b'{"code":0,"data":[{"assetId":"\\ud800"}],"devices":[{"device_id":"\\udc00"}]}',
    "NaN": b'{"code":0,"data":NaN,"devices":NaN}',
    "infinity": b'{"code":0,"data":-Infinity,"devices":Infinity}',
    "a number beyond floats": b'{"code":0,"data":1e999,"devices":1e999}',
    "a number of five thousand digits": b'{"code":0,"data":' + b"9" * 5000 + b',"devices":' + b"9" * 5000 + b"}",
    "arrays without end": b"[" * DEEP + b"]" * DEEP,
    "objects without end": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "arrays that never close": b"[" * DEEP,
    "a deep record": b'{"code":0,"data":{"a":' + b"[" * DEEP + b"]" * DEEP + b'},"devices":[' + b"[" * DEEP,
    "control characters": b'{"code":0,"data":"\x1b[2J\x00"}',
}
TYPES = ("application/json", "text/html; charset=nonsense", "", "application/json; charset=utf-16", "image/png")


def confirms(vendor: str, name: str, body: bytes) -> bool:
    """Tell whether an answer says that a write was done, whatever nonsense comes after it."""
    if vendor == "enos":
        return body.startswith(b'{"code":0')
    # No body is the documented answer to a deletion, and an object is what the vendor may send.
    return name == "delete" and (not body or body.startswith(b"{"))


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_200_to_everything_is_no_success(vendor: str, body: bytes, tmp_path: Path) -> None:
    """What is not as documented fails reads, and confirms no write, whatever type it claims to be of."""
    async with beset(vendor, FLEET) as besieged:
        await besieged.client.authenticate()
        for number, (name, call) in enumerate({**READS, **WRITES, "token": login}.items()):
            script = once(answer(body, f"Content-Type: {TYPES[number % len(TYPES)]}"), Hold())
            error = await outcome_of(besieged, script, name, call, tmp_path)
            if name in WRITES and confirms(vendor, name, body):
                continue
            assert isinstance(error, OutcomeUnknownError if name in WRITES else PayloadError), (name, error)


VALUES: Mapping[str, bytes] = {
    "null": b"null",
    "true": b"true",
    "a number": b"7",
    "a number beyond 64 bits": b"-" + b"9" * 40,
    "a float": b"1e308",
    "a text": b'"text"',
    "an empty list": b"[]",
    "a list of everything": b'[null,true,1,"x",[],{}]',
    "an empty object": b"{}",
    "keys twice": b'{"firmwareId":1,"firmwareId":"a","version":"1","version":"2","package_id":"a","package_id":"b"}',
}
KEYS = ("data", "devices", "page", "pagination", "packages", "batchtask", "batchtasks", "targets", "token", "status")


@pytest.mark.parametrize("vendor", VENDORS)
async def test_every_key_may_hold_anything(vendor: str, tmp_path: Path) -> None:
    """Envelopes with the wrong things in them come to results or documented errors."""
    async with beset(vendor, FLEET) as besieged:
        await besieged.client.authenticate()
        for value in VALUES.values():
            body = b'{"code":0,' + b",".join(b'"%s":%s' % (key.encode(), value) for key in KEYS) + b"}"
            for name, call in {**READS, **WRITES, "token": login}.items():
                await outcome_of(besieged, once(answer(body), Hold()), name, call, tmp_path)
        await besieged.check_usable()


@pytest.mark.parametrize(
    "wait",
    ["99999999999999999999", "9" * 5000, "Fri, 31 Dec 9999 23:59:59 GMT", "Mon, 1 Jan 99999999999999999999 0:0:0 GMT"],
)
@pytest.mark.parametrize("vendor", VENDORS)
async def test_no_advice_stops_a_client_for_ever(vendor: str, wait: str, tmp_path: Path) -> None:
    """A ``Retry-After`` of years, and a ``Date`` of no calendar, are no advice: the next call goes out."""
    script = once(
        answer(b"", f"Retry-After: {wait}", "Date: Mon, 1 Jan 2020 99999999999999999999:0:0 GMT", status="429 Slow"),
        Hold(),
    )
    async with beset(vendor, FLEET) as besieged:
        await besieged.client.authenticate()
        error = await outcome_of(besieged, script, "read", get, tmp_path)
        assert getattr(error, "retry_after_seconds", 0) is None
        error = await outcome_of(besieged, script, "token", login, tmp_path)
        assert getattr(error, "retry_after_seconds", 0) is None
        await besieged.check_usable()
