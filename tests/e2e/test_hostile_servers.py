"""Servers that are hostile or broken, byte by byte: documented errors, and no trace."""

import asyncio
import gzip
import random
from collections.abc import Mapping
from pathlib import Path

import pytest

from otaclient.errors import ApiError, IntegrityError, OutcomeUnknownError, PayloadError, ResponseLostError
from otaclient.transport.options import TransportOptions
from support.besieged import (
    CAP,
    CHUNKED,
    FLEET,
    GOOD,
    NONSENSE,
    READS,
    VENDORS,
    WRITES,
    Call,
    download,
    get,
    login,
    outcome_of,
)
from support.hostile import Hold, Script, Turn, answer, beset, endless, once

# --- below HTTP, and HTTP that is none -------------------------------------------------------------------------------

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


def calls_of(vendor: str) -> dict[str, Call]:
    """Return all kinds of calls."""
    downloads = {"download": download} if vendor == "enos" else {}
    return {**READS, **WRITES, "token": login, **downloads}


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
