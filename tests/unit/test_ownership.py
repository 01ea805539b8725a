"""One client, one event loop, one process: whoever uses it elsewhere, or after its end, hears so at once."""

import asyncio
import copy
import pickle
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import pytest
from aiohttp import web

from otaclient import registry
from otaclient.errors import TransportError
from otaclient.testing import HandClock
from otaclient.transport import ownership
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.clock import SystemClock
from otaclient.transport.http import HttpRequest
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.ownership import GuardedClock, Ownership
from otaclient.transport.session import Session
from support.network import GET, OK, ScriptedTransport, answer, session_over

ONE_AT_A_TIME = Limits(concurrency=1, adaptive=False)
CLOSED = "^test( firmware.get)?: the client is closed: open a new one"


def guarded(network: ScriptedTransport, **options: Any) -> Session:
    """Return a session whose waits really take their time, and end when it is closed."""
    owner = Ownership()
    return session_over(network, GuardedClock(SystemClock(), owner), ownership=owner, **options)  # type: ignore[arg-type]


async def used(session: Session) -> None:
    """Make a call."""
    await session.call(GET)


def elsewhere(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or the error that it raises, in an event loop of another thread."""

    async def caught() -> Any:
        try:
            return await call()
        except TransportError as error:
            return error

    return anyio.to_thread.run_sync(lambda: asyncio.run(caught()))


# --- event loops -----------------------------------------------------------------------------------------------------


def test_the_loop_of_the_first_use_is_the_only_one() -> None:
    """A second loop after the first is refused, whatever is asked; nothing is sent."""
    network = ScriptedTransport([OK, OK])
    session = session_over(network, HandClock())
    asyncio.run(used(session))
    for attempt in (used(session), session.authenticate()):
        with pytest.raises(TransportError, match="in which it was first used, and that has ended: open one client per"):
            asyncio.run(attempt)
    with pytest.raises(TransportError, match="^test: the client belongs"):
        asyncio.run(_deadline_of(session))
    assert len(network.sent) == 1


async def _deadline_of(session: Session) -> float:
    return session.deadline()


def test_a_client_may_be_opened_before_any_loop_runs() -> None:
    """Opening decides nothing, nor does closing what was never used, wherever that is."""
    network = ScriptedTransport([OK])
    session = session_over(network, HandClock())
    anyio.run(used, session)
    unused = session_over(network, HandClock())
    asyncio.run(unused.aclose())
    asyncio.run(unused.aclose())
    assert network.closed == 2


async def test_a_second_loop_does_not_wait_for_the_first() -> None:
    """While the first loop holds every slot, another thread's loop gets its error at once, and changes nothing."""
    network, hold = ScriptedTransport([OK]), asyncio.Event()
    send = network.send

    async def held(*arguments: Any, **options: Any) -> Any:
        await hold.wait()
        return await send(*arguments, **options)

    network.send = held  # type: ignore[method-assign]
    session = guarded(network, limits=ONE_AT_A_TIME)
    call = asyncio.create_task(session.call(GET))
    await asyncio.sleep(0)
    error = await elsewhere(lambda: session.call(GET))
    assert str(error).startswith("test firmware.get: the client belongs to the event loop in which it was first used")
    assert "that is not this one: open one client per event loop" in str(error)
    assert "close it there" in str(await elsewhere(session.aclose))
    hold.set()
    assert (await call).status == 200
    await session.aclose()


def test_without_a_loop_there_is_no_riddle() -> None:
    """A coroutine that somebody drives by hand says what it needs."""
    call = session_over(ScriptedTransport(), HandClock()).call(GET)
    with pytest.raises(TransportError, match="where no asyncio event loop runs: await its calls in one"):
        call.send(None)


def test_a_loop_that_has_ended_keeps_nobody_from_closing() -> None:
    """Its connections are gone with it: closing releases what is left."""
    network = ScriptedTransport([OK])
    session = session_over(network, HandClock())
    asyncio.run(used(session))
    asyncio.run(session.aclose())
    assert network.closed == 1
    with pytest.raises(TransportError, match=CLOSED):
        asyncio.run(used(session))


# --- processes -------------------------------------------------------------------------------------------------------


async def test_after_a_fork_the_connections_are_the_parents(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child may neither use nor close them; closing says nothing, so that a block around it can end."""
    network = ScriptedTransport([OK, OK])
    session, unused = session_over(network, HandClock()), session_over(network, HandClock())
    await session.call(GET)
    monkeypatch.setattr(ownership._PROCESS, "generation", ownership._PROCESS.generation)
    ownership._PROCESS._begin()
    with pytest.raises(TransportError, match="in use when this process was forked.*open one client per process"):
        await session.call(GET)
    await session.aclose()
    assert network.closed == 0
    with pytest.raises(TransportError, match=CLOSED):
        await session.call(GET)
    assert (await unused.call(GET)).status == 200  # opened before the fork, as servers do, and first used behind it


FORKING = """
import asyncio, os, sys
import otaclient
from otaclient.emulator import Fleet
from otaclient_enos.emulator import EnosEmulator

async def main():
    async with EnosEmulator(Fleet.generate(devices=5, seed=1)) as emulator:
        async with otaclient.open_backend("enos", config=emulator.config()) as client:
            found = await client.firmware.search().first(1)
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os._exit(in_child(client, writing))
            os.close(writing)
            said = await asyncio.to_thread(lambda: os.fdopen(reading).read())
            os.waitpid(child, 0)
            assert await client.firmware.search().first(1) == found
            served = emulator.served["firmware.search"]
    print(served, said)

def in_child(client, writing):
    async def use():
        try:
            await client.firmware.search().first(1)
        except otaclient.TransportError as error:
            os.write(writing, str(error).encode())
        await client.aclose()
    asyncio.events._set_running_loop(None)
    asyncio.run(use())
    return 0

asyncio.run(main())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows cannot fork")
def test_a_real_fork_gets_an_error_and_leaves_the_parent_alone() -> None:
    """A child that was forked in the middle of everything cannot write into its parent's connections."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKING], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    # Counted in the parent: its own two requests.
    assert run.stdout.startswith("2 enos firmware.search: the client was in use when this process was forked")


# --- the end ---------------------------------------------------------------------------------------------------------


async def test_what_waits_when_the_client_is_closed_waits_no_more() -> None:
    """Neither a wait that a vendor advised nor a turn in the queue outlives the client, however long it would be."""
    network = ScriptedTransport([answer(429, retry_after="86400")])
    session = guarded(network, timeout_seconds=None)
    calls = [asyncio.create_task(session.call(GET)) for _ in range(5)]
    for _ in range(10):
        await asyncio.sleep(0)
    await session.aclose()
    for error in await asyncio.gather(*calls, return_exceptions=True):
        assert isinstance(error, TransportError)
        assert str(error) == "test firmware.get: the client is closed: open a new one"
    assert (len(network.sent), session.limiter._slots.taken) == (1, 0)
    assert str(calls[0].exception().__cause__) == "test firmware.get: too many (HTTP 429)"  # type: ignore[union-attr]


async def test_who_gets_a_turn_after_the_end_sends_nothing() -> None:
    """The slot that a call gives up when the client is closed leads the next one to its error, not to the network."""
    network, hold = ScriptedTransport([OK, OK]), asyncio.Event()
    send = network.send

    async def held(*arguments: Any, **options: Any) -> Any:
        await hold.wait()
        return await send(*arguments, **options)

    network.send = held  # type: ignore[method-assign]
    session = guarded(network, limits=ONE_AT_A_TIME)
    calls = [asyncio.create_task(session.call(GET)) for _ in range(3)]
    await asyncio.sleep(0)
    await session.aclose()
    hold.set()
    first, *others = await asyncio.gather(*calls, return_exceptions=True)
    assert first is OK
    assert [str(error) for error in others] == ["test firmware.get: the client is closed: open a new one"] * 2
    assert len(network.sent) == 1


async def test_waits_of_an_open_client_are_waits() -> None:
    """The guard lets the clock do its work, and forgets whoever has slept enough, or was cancelled."""
    owner, clock = Ownership(), HandClock()
    watched = GuardedClock(clock, owner)
    await watched.sleep(3)
    assert (clock.slept, watched.monotonic(), watched.now()) == ([3], 1003.0, clock.now())
    with anyio.move_on_after(0):
        await GuardedClock(SystemClock(), owner).sleep(3600)
    assert not owner._sleeping
    owner.close()
    with pytest.raises(TransportError, match="closed"):
        await watched.sleep(1)


def test_clients_can_neither_be_pickled_nor_copied() -> None:
    """The error says what can be: the config."""
    session = session_over(ScriptedTransport(), HandClock())
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled or copied.*hand over its config"):
            attempt(session)


# --- a session of the caller's ---------------------------------------------------------------------------------------


@pytest.fixture
async def endpoint() -> AsyncIterator[str]:
    """Serve something."""

    async def served(request: web.Request) -> web.Response:
        return web.Response(body=b"{}")

    application = web.Application()
    application.router.add_get("/firmware", served)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_session_of_the_callers_that_is_closed_is_named(endpoint: str) -> None:
    """It is not ours to open again."""
    async with aiohttp.ClientSession() as mine:
        network = AiohttpTransport(TransportOptions(), max_connections=1, session=mine)
        assert (await network.send(GET, endpoint=endpoint, timeout_seconds=5)).status == 200
    with pytest.raises(TransportError, match="the aiohttp session that the client was opened with is closed"):
        await network.send(GET, endpoint=endpoint, timeout_seconds=5)


async def test_a_session_of_another_loop_is_named(endpoint: str) -> None:
    """Requests through it would wait for a loop that does not run them."""
    async with aiohttp.ClientSession() as mine:
        network = AiohttpTransport(TransportOptions(), max_connections=1, session=mine)
        request: HttpRequest = GET
        error = await elsewhere(lambda: network.send(request, endpoint=endpoint, timeout_seconds=5))
        assert "belongs to another event loop" in str(error)


# --- opening ---------------------------------------------------------------------------------------------------------


def test_opening_another_client_looks_up_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is installed is read from many files, and once; a backend that was installed meanwhile is found."""
    opened: list[str] = []
    first = registry.backend_plugin("enos")
    path_class: Any = type(tmp_path)
    read_text = path_class.read_text

    def noted(self: Any, *rest: Any, **more: Any) -> Any:
        opened.append(str(self))
        return read_text(self, *rest, **more)

    monkeypatch.setattr(path_class, "read_text", noted)
    assert registry.backend_plugin("enos") is first
    assert not opened
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.backend_plugin("enos")
    info = tmp_path / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[otaclient.backends]\nlate = otaclient_enos:plugin\n", encoding="utf-8")
    assert registry.backend_plugin("late") is first
    assert "late" in registry.available_backends()
