"""What every emulator shares: starting and stopping, counting, compression, its fleet, and never crashing."""

import asyncio
import gzip
import io
import logging
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest

from otaclient.emulator import FirmwareOrder, Fleet, JobOrder, JobPlan, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.models import JobStatus
from support.tiny_emulator import FLEET, TinyEmulator


@pytest.fixture
async def emulator() -> AsyncIterator[TinyEmulator]:
    async with TinyEmulator(FLEET) as running:
        yield running


@pytest.fixture
async def client(emulator: TinyEmulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(emulator.url, auto_decompress=False) as session:
        yield session


# --- running ---------------------------------------------------------------------------------------------------------


async def test_it_serves_on_a_free_port_of_this_machine_only(emulator: TinyEmulator) -> None:
    """Unless told otherwise it binds the loopback address and whatever port is free."""
    assert emulator.url == f"http://127.0.0.1:{emulator.port}"
    async with TinyEmulator(FLEET) as another:
        assert another.port != emulator.port


async def test_it_has_no_address_while_it_does_not_run() -> None:
    """Asking for the address before the start or after the end is an error that says how to start."""
    emulator = TinyEmulator(FLEET)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="use it as 'async with"):
            _ = emulator.url
        async with emulator:
            assert emulator.port > 0
    await emulator.stop()


async def test_an_address_that_is_taken_is_an_error(emulator: TinyEmulator) -> None:
    """A second server on the port fails, and leaves nothing behind."""
    with pytest.raises(OSError, match="address already in use"):
        await TinyEmulator(FLEET, port=emulator.port).start()


async def test_the_address_of_version_six_is_written_in_brackets() -> None:
    """An IPv6 host gives a URL that clients can read."""
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    async with TinyEmulator(FLEET, host="::1") as emulator:
        assert emulator.url == f"http://[::1]:{emulator.port}"


async def test_stopping_does_not_wait_for_idle_connections() -> None:
    """A connection that a client keeps open does not hold up the end."""
    async with aiohttp.ClientSession() as session:
        async with TinyEmulator(FLEET) as emulator, session.get(f"{emulator.url}/small") as response:
            await response.read()
        assert len(asyncio.all_tasks()) == 1


def test_without_a_fleet_it_generates_one() -> None:
    """The default fleet has twenty thousand devices."""
    assert len(TinyEmulator().fleet.devices) == 20_000


# --- counting and failing --------------------------------------------------------------------------------------------


async def test_requests_and_statuses_are_counted(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """Tests can tell how many requests of which kind were on the wire, and how they were answered."""
    for path in ("/small", "/small", "/nowhere"):
        async with client.get(path) as response:
            await response.read()
    assert emulator.served == {"small": 2, "nowhere": 1}
    assert emulator.statuses == {200: 2, 404: 1}


async def test_what_no_handler_takes_gets_the_vendors_words(client: aiohttp.ClientSession) -> None:
    """An unknown path and an unknown method are answered as the vendor does."""
    async with client.get("/nowhere") as response:
        assert (response.status, await response.json()) == (404, {"tiny": "no route"})
    async with client.post("/small") as response:
        assert (response.status, await response.json()) == (405, {"tiny": "no route"})


async def test_a_body_beyond_the_limit_gets_the_vendors_words(client: aiohttp.ClientSession) -> None:
    """More than sixteen mebibytes are refused with 413."""
    async with client.post("/large", data=io.BytesIO(bytes(16 * 1024 * 1024 + 1))) as response:
        assert (response.status, await response.json()) == (413, {"tiny": "no route"})


async def test_a_token_of_many_kilobytes_arrives(client: aiohttp.ClientSession) -> None:
    """A header, and the first line, may be far longer than aiohttp's own limit of 8 KiB."""
    async with client.get("/small", headers={"X-Auth-Token": "x" * 60_000}, params={"x": "y" * 60_000}) as response:
        assert response.status == 200


async def test_what_is_no_http_is_told_in_one_line(emulator: TinyEmulator, caplog: pytest.LogCaptureFixture) -> None:
    """Without what came: it may hold a token."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    with caplog.at_level(logging.ERROR):
        writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\nX-Auth-Token: geh\0eim\r\n\r\n")
        assert (await reader.readline()).split()[1] == b"400"
    writer.close()
    await writer.wait_closed()
    (record,) = caplog.records
    assert record.getMessage() == "Error handling request from 127.0.0.1: BadHttpMessage, answered 400"
    assert "geh" not in caplog.text


def test_other_faults_of_the_server_keep_their_traceback(caplog: pytest.LogCaptureFixture) -> None:
    """Only what a client sent wrongly is cut short."""
    logging.getLogger("otaclient.emulator.server.http").error("broken", exc_info=ValueError("inside"))
    assert "ValueError: inside" in caplog.text


@pytest.mark.parametrize("body", [gzip.compress(b"{}", mtime=0), b"no gzip at all"], ids=["packed", "not packed"])
async def test_a_compressed_body_stays_as_it_came(client: aiohttp.ClientSession, body: bytes) -> None:
    """A gateway checks the signature of what was sent; nothing is decompressed, and nothing can fail at it."""
    async with client.post("/large", data=body, headers={"Content-Encoding": "gzip"}) as response:
        assert (response.status, await response.read()) == (200, body)


async def test_an_unforeseen_error_is_the_vendors_internal_error(
    client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in a handler is logged and answered like a failure of the vendor's service."""
    with caplog.at_level(logging.ERROR):
        async with client.get("/broken") as response:
            assert (response.status, await response.json()) == (500, {"tiny": "broken"})
    assert "tiny emulator: GET /broken failed" in caplog.text
    assert "unforeseen" in caplog.text


# --- compression -----------------------------------------------------------------------------------------------------


async def test_a_client_that_goes_away_is_no_failure(
    emulator: TinyEmulator, client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    """A request that breaks off in its middle is not logged as an error of the emulator, which goes on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    writer.write(b"POST /large HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nabc")
    hold = emulator.faults.delay("large")
    await hold.arrived()
    hold.release()
    writer.close()
    await writer.wait_closed()
    async with client.get("/small") as response:
        assert response.status == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert await reader.read() == b""


@pytest.mark.parametrize("accepted", ["gzip", "deflate, GZIP;q=0.5", "*"])
async def test_large_answers_are_compressed_for_those_who_accept_it(
    client: aiohttp.ClientSession, accepted: str
) -> None:
    """The decompressed bytes are the answer."""
    body = b"0123456789" * 1000
    async with client.post("/large", data=body, headers={"Accept-Encoding": accepted}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        packed = await response.read()
    assert len(packed) < len(body) / 10
    assert gzip.decompress(packed) == body


@pytest.mark.parametrize("accepted", ["identity", "gzip;q=0", "gzip; q=0.0, deflate", "br"])
async def test_nobody_gets_a_coding_that_they_refuse(client: aiohttp.ClientSession, accepted: str) -> None:
    """A client that does not accept gzip gets plain bytes."""
    async with client.post("/large", data=bytes(5000), headers={"Accept-Encoding": accepted}) as response:
        assert "Content-Encoding" not in response.headers
        assert await response.read() == bytes(5000)


async def test_small_answers_stay_plain(client: aiohttp.ClientSession) -> None:
    """An answer that fits into a packet is not compressed, and keeps its own headers."""
    async with client.get("/small", headers={"Accept-Encoding": "gzip"}) as response:
        assert "Content-Encoding" not in response.headers
        assert response.headers["X-Tiny"] == "yes"
        assert await response.read() == b"{}"


async def test_compression_can_be_switched_off() -> None:
    """With ``compress=False`` even large answers stay plain."""
    async with (
        TinyEmulator(FLEET, compress=False) as emulator,
        aiohttp.ClientSession(emulator.url, auto_decompress=False) as client,
        client.post("/large", data=bytes(5000), headers={"Accept-Encoding": "gzip"}) as response,
    ):
        assert await response.read() == bytes(5000)


# --- the fleet as time goes by ---------------------------------------------------------------------------------------


async def test_requests_find_what_has_come_due() -> None:
    """Before a request is handled, the jobs have come to the clock's present."""
    clock = ManualClock(DEFAULT_NOW)
    plan = JobPlan(failing_share=0, pending_seconds=0, published_seconds=0, upgrading_seconds=1, spread=0)
    async with TinyEmulator(FLEET.copy(), clock=clock, plan=plan) as emulator:
        record = emulator.store.create(FirmwareOrder(version="X1"))
        job = emulator.engine.create(JobOrder(name="x", firmware_ids=(record.firmware_id,), targets=[0]))
        clock.advance(5)
        seen = [job.status]
        async with aiohttp.ClientSession(emulator.url) as session, session.get("/small"):
            seen.append(job.status)
        assert seen == [JobStatus.RUNNING, JobStatus.SUCCEEDED]


def test_generated_jobs_run_where_that_is_asked_for() -> None:
    """Otherwise the past stands still."""
    fleet = Fleet.generate(devices=300)
    for runs in (False, True):
        clock = ManualClock(DEFAULT_NOW)
        emulator = TinyEmulator(fleet.copy(), clock=clock, generated_jobs_run=runs)
        clock.advance(10_000_000)
        emulator.engine.settle()
        assert any(job.open_tasks() for job in emulator.fleet.jobs) is not runs


def test_searches_can_lag_behind() -> None:
    """What was created is listed later, what was deleted longer; without a lag both show at once."""
    clock = ManualClock(DEFAULT_NOW)
    emulator = TinyEmulator(FLEET.copy(), clock=clock, read_lag_seconds=2)
    old = list(emulator.listed_firmware())
    assert old == emulator.fleet.firmware
    new = emulator.store.create(FirmwareOrder(version="X1"))
    job = emulator.engine.create(JobOrder(name="x", firmware_ids=(new.firmware_id,), targets=[]))
    assert (list(emulator.listed_firmware()), list(emulator.listed_jobs())) == (old, [])
    clock.advance(2)
    assert (list(emulator.listed_firmware()), list(emulator.listed_jobs())) == ([*old, new], [job])
    emulator.engine.settle()
    emulator.engine.delete(job.job_id, when={JobStatus.SUCCEEDED})
    emulator.store.delete(old[3].firmware_id)
    clock.advance(1.999)
    assert (list(emulator.listed_firmware()), list(emulator.listed_jobs())) == ([*old, new], [job])
    clock.advance(0.001)
    assert (list(emulator.listed_firmware()), list(emulator.listed_jobs())) == ([*old[:3], *old[4:], new], [])
    assert emulator.listed_firmware() is emulator.fleet.firmware


def test_a_record_that_came_and_went_within_the_lag_shows_for_as_long_as_it_lived() -> None:
    """It appears late, and disappears late."""
    clock = ManualClock(DEFAULT_NOW)
    emulator = TinyEmulator(FLEET.copy(), clock=clock, read_lag_seconds=5)
    count = len(emulator.fleet.firmware)
    new = emulator.store.create(FirmwareOrder(version="X1"))
    clock.advance(1)
    emulator.store.delete(new.firmware_id)
    seen = []
    for _ in range(7):
        seen.append(len(emulator.listed_firmware()) - count)
        clock.advance(1)
    assert seen == [0, 0, 0, 0, 1, 0, 0]


def test_a_negative_lag_is_refused() -> None:
    """The message names the argument and the rule."""
    with pytest.raises(ValueError, match="read_lag_seconds is -1; it must be 0 or more"):
        TinyEmulator(FLEET, read_lag_seconds=-1)
