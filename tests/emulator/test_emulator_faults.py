"""Faults that a test injects into any emulator: answers that are replaced, lost, cut, slow or held."""

import asyncio
import gzip
from collections.abc import AsyncIterator

import aiohttp
import pytest

from otaclient.emulator import DocumentError, ExpireTokensFault, FaultPlan, LoseFault, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from support.tiny_emulator import FLEET, TinyEmulator


@pytest.fixture
async def emulator() -> AsyncIterator[TinyEmulator]:
    async with TinyEmulator(FLEET) as running:
        yield running


@pytest.fixture
async def client(emulator: TinyEmulator) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(emulator.url, auto_decompress=False) as session:
        yield session


async def statuses(client: aiohttp.ClientSession, *paths: str) -> list[int]:
    found: list[int] = []
    for path in paths:
        async with client.get(path) as response:
            await response.read()
            found.append(response.status)
    return found


async def test_an_injected_answer_replaces_the_handlers(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """Status, headers and body come as they were injected, as often as they were, and are counted."""
    emulator.faults.inject(times=2, status=429, headers={"Retry-After": "7"}, body=b"slow down")
    async with client.get("/small") as response:
        assert (response.status, await response.read()) == (429, b"slow down")
        assert response.headers["Retry-After"] == "7"
    assert await statuses(client, "/small", "/small") == [429, 200]
    assert emulator.statuses == {429: 2, 200: 1}
    assert emulator.served == {"small": 3}
    assert len(emulator.faults) == 0


async def test_a_fault_strikes_only_its_operation(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """A fault for one operation leaves the others alone, and waits."""
    emulator.faults.inject("broken", status=404)
    assert await statuses(client, "/small") == [200]
    assert len(emulator.faults) == 1
    assert await statuses(client, "/broken") == [404]


async def test_faults_strike_in_the_order_in_which_they_were_injected(
    emulator: TinyEmulator, client: aiohttp.ClientSession
) -> None:
    """One fault strikes one request; the next one meets the next fault."""
    emulator.faults.inject(status=500)
    emulator.faults.inject(status=502)
    assert await statuses(client, "/small", "/small", "/small") == [500, 502, 200]


async def test_a_fault_without_end_strikes_until_it_is_cleared(
    emulator: TinyEmulator, client: aiohttp.ClientSession
) -> None:
    """``times=None`` means every request that follows."""
    emulator.faults.inject(times=None)
    assert await statuses(client, "/small", "/small", "/small") == [503, 503, 503]
    emulator.faults.clear()
    assert await statuses(client, "/small") == [200]


def test_a_fault_strikes_at_least_once(emulator: TinyEmulator) -> None:
    """Zero times is an error."""
    with pytest.raises(ValueError, match="times is 0"):
        emulator.faults.inject(times=0)


async def test_a_dropped_connection_was_a_request_all_the_same(
    emulator: TinyEmulator, client: aiohttp.ClientSession
) -> None:
    """The client sees its connection cut; the emulator has seen the request and has sent no status."""
    emulator.faults.drop("large")
    with pytest.raises(aiohttp.ClientConnectionError):
        await client.post("/large", data=b"x" * 5000)
    assert emulator.served == {"large": 1}
    assert emulator.statuses == {}
    assert await statuses(client, "/small") == [200]


async def test_an_answer_can_come_in_pieces(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """Its length is announced, and all of it arrives."""
    async with client.get("/streamed") as response:
        assert (response.headers["Content-Length"], response.headers["X-Tiny"]) == ("6", "yes")
        assert await response.read() == b"abcdef"
    assert emulator.statuses == {200: 1}


@pytest.mark.parametrize(("after", "kept"), [(0, b""), (2, b"ab"), (3, b"abc"), (5, b"abcde")])
async def test_a_streamed_answer_can_be_cut(
    emulator: TinyEmulator, client: aiohttp.ClientSession, after: int, kept: bytes
) -> None:
    """So many bytes arrive, then the connection ends; the next request is whole."""
    emulator.faults.cut_body("streamed", after_bytes=after)
    async with client.get("/streamed") as response:
        arrived = b""
        with pytest.raises(aiohttp.ClientPayloadError):
            async for chunk in response.content.iter_any():
                arrived += chunk
    assert arrived == kept
    async with client.get("/streamed") as response:
        assert await response.read() == b"abcdef"


async def test_any_answer_can_be_cut(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """Answers that do not come in pieces are cut too; what has no body comes as it is."""
    emulator.faults.cut_body("small", after_bytes=1)
    async with client.get("/small") as response:
        assert (response.status, response.headers["X-Tiny"]) == (200, "yes")
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    emulator.faults.cut_body("large", after_bytes=0)
    async with client.post("/large") as response:
        assert (response.status, await response.read()) == (200, b"")


async def test_an_answer_can_drip(client: aiohttp.ClientSession, emulator: TinyEmulator) -> None:
    """Each piece waits for the clock; all of it arrives, with its length and its coding, streamed or not."""
    clock = ManualClock(DEFAULT_NOW)
    emulator.clock = clock
    emulator.faults.drip("streamed", piece_bytes=2, seconds=10.0)
    async with client.get("/streamed") as response:
        for piece in (b"ab", b"cd", b"ef"):
            clock.advance(10)
            assert await response.content.readexactly(2) == piece
    emulator.faults.drip("large", piece_bytes=10, seconds=0.0)
    body = bytes(range(256)) * 20
    async with client.post("/large", data=body, headers={"Accept-Encoding": "gzip"}) as response:
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(await response.read()) == body
    with pytest.raises(ValueError, match="piece_bytes"):
        emulator.faults.drip("small", piece_bytes=0, seconds=1.0)


async def test_a_cut_beyond_the_end_cuts_nothing(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """What is shorter than the cut arrives whole."""
    emulator.faults.cut_body("streamed", after_bytes=6)
    async with client.get("/streamed") as response:
        assert await response.read() == b"abcdef"


@pytest.mark.parametrize("path", ["/small", "/streamed"])
async def test_nothing_of_a_lost_answer_arrives(
    emulator: TinyEmulator, client: aiohttp.ClientSession, path: str
) -> None:
    """Not even its head, whether it comes in pieces or not; the next one is whole."""
    emulator.follow(FaultPlan(faults=[LoseFault()]))  # this client repeats a read whose connection ended
    with pytest.raises(aiohttp.ServerDisconnectedError):
        await client.get(path)
    assert emulator.statuses == {}
    emulator.follow(FaultPlan())
    assert await statuses(client, path) == [200]


async def test_without_tokens_none_can_end(emulator: TinyEmulator) -> None:
    """A vendor that has none refuses a plan, a call and a request that would end them, and says why."""
    with pytest.raises(DocumentError, match=r'faults\[0\].kind is "expire-tokens"; the tiny emulator has no tokens'):
        emulator.follow(FaultPlan(faults=[ExpireTokensFault()]))
    with pytest.raises(NotImplementedError, match="the tiny emulator has no tokens that end"):
        emulator.expire_tokens()
    async with TinyEmulator(FLEET, control=True) as controlled, aiohttp.ClientSession(controlled.url) as client:
        async with client.post("/__emulator__/expire-tokens") as response:
            assert (response.status, "has no tokens" in await response.text()) == (501, True)


async def test_a_delayed_request_waits_until_it_is_released(
    emulator: TinyEmulator, client: aiohttp.ClientSession
) -> None:
    """The test knows that the request is there, and decides when it goes on to the service."""
    hold = emulator.faults.delay("small")
    request = asyncio.create_task(statuses(client, "/small"))
    await hold.arrived()
    assert not request.done()
    assert await statuses(client, "/small") == [200]
    hold.release()
    assert await request == [200]


async def test_clearing_the_faults_releases_what_is_held(emulator: TinyEmulator, client: aiohttp.ClientSession) -> None:
    """Nobody waits for a hold that was forgotten."""
    hold = emulator.faults.delay()
    request = asyncio.create_task(statuses(client, "/small"))
    await hold.arrived()
    emulator.faults.clear()
    assert await request == [200]


async def test_stopping_releases_what_is_held() -> None:
    """An emulator that stops lets held requests end instead of waiting for them."""
    async with aiohttp.ClientSession() as session:
        async with TinyEmulator(FLEET) as emulator:
            hold = emulator.faults.delay()
            request = asyncio.create_task(statuses(session, f"{emulator.url}/small"))
            await hold.arrived()
        assert await request == [200]
