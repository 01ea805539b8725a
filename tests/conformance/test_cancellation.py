"""A call may be cancelled at any moment: nothing of it is left, and the client goes on as if it had not been made.

Time and network are simulated: each run is the same, turn by turn of the event loop, and a call can be cancelled in
every one of its turns. ``OTACLIENT_EVERY_CASE=1`` does that with long calls, too.
"""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final

import pytest

from otaclient.errors import OutcomeUnknownError
from otaclient.protocols import Backend
from support.operations import EVERY_CASE, Operation, Preparation, opened, operations_of
from support.write_laboratory import Laboratory, laboratory, simulate

pytestmark = pytest.mark.blocks_loop("threads have no place in simulated time: what they do is done at once")

VENDORS: Final = ("enos", "iotda")
# In the short form long operations are cancelled in some of their turns only.
MOST_MOMENTS: Final = 10**9 if EVERY_CASE else 10
SECONDS: Final = 30.0
_SERVERS_OWN: Final = "RequestHandler."


def client_tasks() -> set[asyncio.Task[Any]]:
    """Return all tasks but those with which the emulator serves its connections."""
    return {task for task in asyncio.all_tasks() if _SERVERS_OWN not in repr(task.get_coro())}


async def run_out(call: Callable[[], Awaitable[Any]]) -> None:
    """Make a call; an outcome that cannot be known is one, too."""
    with suppress(OutcomeUnknownError):
        await call()


def left_behind(client: Backend, before: set[asyncio.Task[Any]]) -> list[str]:
    """Return what a call has left behind, in words."""
    opened: Any = client
    session = opened._session
    found: list[str] = []
    if tasks := client_tasks() - before:
        found.append(f"tasks: {tasks}")
    slots = session.limiter._slots
    if slots.taken or slots._waiting:
        found.append(f"places of the limiter: {slots.taken} taken, {len(slots._waiting)} wait")
    tokens = session.dialect.tokens
    if tokens is not None and (tokens._is_flying or tokens._waiting):
        found.append("the token's flight goes on")
    http = session.transport._session
    if http is not None and (http.connector._acquired or http.connector._waiters):
        found.append(f"connections: {http.connector._acquired}, waiting: {http.connector._waiters}")
    if opened._account.lag._turns:
        found.append("somebody's turn")
    return found


async def cancelled_once(
    lab: Laboratory, what: Operation, ready: Preparation, turns: int, *, renewing: bool
) -> tuple[bool, list[str]]:
    """Cancel an operation after so many turns; return whether it was still under way, and what was wrong after it."""
    call = await ready.call()
    loop, emulator = lab.loop, lab.vendor.emulator
    firmware, _ = await lab.vendor.choose(3)
    wrong: list[str] = []
    async with opened(lab, what, timeout_seconds=SECONDS) as client:
        if not renewing:
            await client.authenticate()
        before = client_tasks()
        task = asyncio.create_task(run_out(lambda: call(client)))
        loop.after_turns(turns, task.cancel)
        await asyncio.wait([task])
        loop.forget_alarm()
        if not task.cancelled():
            task.result()  # it must have ended well
        for _ in range(3):  # connections that were given up say goodbye
            await asyncio.sleep(0)
        wrong += left_behind(client, before)
        emulator.served.clear()
        began = loop.time()
        found = await client.firmware.get(firmware.firmware_id)
        if found.firmware_id != firmware.firmware_id:
            wrong.append("the next call got another answer")
        if loop.time() > began:
            wrong.append(f"the next call waited for {loop.time() - began} s")
        if emulator.served["firmware.get"] != 1:
            wrong.append("the next call took more than one request")
    return task.cancelled(), [f"{what.name}, cancelled in turn {turns}: {words}" for words in wrong]


async def turns_of(lab: Laboratory, what: Operation, *, renewing: bool) -> int:
    """Return how many turns an operation takes that nobody cancels."""
    lab.clear()
    lab.vendor.backend = lab.admin
    call = await what.prepare(lab)
    async with opened(lab, what, timeout_seconds=SECONDS) as client:
        if not renewing:
            await client.authenticate()
        began = lab.loop.turns
        await call(client)
        return lab.loop.turns - began


@pytest.mark.parametrize("vendor", VENDORS)
def test_nothing_is_left_of_a_cancelled_call(vendor: str) -> None:
    """No task, no connection beyond the pool, no place of the limiter, no lock, no file; and the next call works."""

    async def course() -> tuple[list[str], dict[str, int]]:
        wrong: list[str] = []
        cancelled: dict[str, int] = {}
        async with laboratory(vendor) as lab:
            for number, what in enumerate(operations_of(vendor)):
                renewing = number % 2 == 0 or what.name == "authenticate"
                turns = await turns_of(lab, what, renewing=renewing)
                ready = Preparation(lab, what)
                step = max(1, turns // MOST_MOMENTS)
                for turn in range(1 + number % step, turns + 2, step):
                    was_under_way, found = await cancelled_once(lab, what, ready, turn, renewing=renewing)
                    cancelled[what.name] = cancelled.get(what.name, 0) + was_under_way
                    wrong += found
            gc.collect()  # what was forgotten unclosed would warn, and a warning is an error
            lab.clear()
        return wrong, cancelled

    wrong, cancelled = simulate(course())
    assert not wrong, "\n".join(wrong)
    assert set(cancelled) == {what.name for what in operations_of(vendor)}
    assert min(cancelled.values()) >= 4, cancelled


@pytest.mark.parametrize("vendor", VENDORS)
def test_closing_may_be_cancelled_too(vendor: str) -> None:
    """Whoever is cancelled while the client closes may close it again; no connection is left."""

    async def course() -> int:
        async with laboratory(vendor) as lab:
            (what,) = [each for each in operations_of(vendor) if each.name == "firmware.get" and each.auth == "aksk"]
            for turn in range(1, 100):
                call = await what.prepare(lab)
                async with opened(lab, what) as client:  # which checks that all connections are closed
                    await call(client)
                    closing = asyncio.create_task(client.aclose())
                    lab.loop.after_turns(turn, closing.cancel)
                    await asyncio.wait([closing])
                    lab.loop.forget_alarm()
                if not closing.cancelled():
                    closing.result()
                    return turn
        raise AssertionError("it never comes to an end")

    assert simulate(course()) >= 2


def test_the_search_for_leftovers_can_find_some() -> None:
    """A call that leaves a task, a place and a connection behind is caught."""

    async def course() -> list[str]:
        async with laboratory("enos") as lab:

            async def prepare(_lab: Laboratory) -> Any:
                async def leave(client: Any) -> None:
                    asyncio.create_task(asyncio.sleep(1000), name="forgotten")  # noqa: RUF006
                    await client._session.limiter.acquire(deadline=float("inf"))
                    client._session.dialect.tokens._is_flying = True

                return leave

            async with opened(lab, Operation("sloppy", prepare)) as client:
                before = client_tasks()
                leave = await prepare(lab)
                await leave(client)
                found = left_behind(client, before)
                for task in client_tasks() - before:
                    task.cancel()
                return found

    found = simulate(course())
    assert [words.split(":")[0] for words in found] == ["tasks", "places of the limiter", "the token's flight goes on"]
