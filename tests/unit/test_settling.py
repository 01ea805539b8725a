"""Waiting until searches show what was written, within a deadline, and taking turns."""

import anyio

from otaclient.testing import HandClock
from otaclient.transport.settling import WriteLag


async def test_what_was_written_is_waited_out_by_a_deadline() -> None:
    """The rest of the lag, or some time at least; nothing at all where that takes too long."""
    clock = HandClock()
    lag = WriteLag(2.0, clock)
    assert await lag.settle_by(clock.seconds)
    lag.wrote()
    assert not await lag.settle_by(clock.seconds + 1.9)
    assert clock.slept == []
    assert await lag.settle_by(clock.seconds + 2.0)
    assert await lag.settle_by(clock.seconds + 9.0, least_seconds=0.5)
    assert not await lag.settle_by(clock.seconds + 0.4, least_seconds=0.5)
    assert clock.slept == [2.0, 0.5]


async def test_what_was_written_before_the_client_was_opened_is_waited_out_too() -> None:
    """Once: a client that has been open for longer waits for nothing."""
    clock = HandClock()
    lag = WriteLag(2.0, clock)
    clock.seconds += 0.5
    assert not await lag.settle_by(clock.seconds + 1.0, since_before=True)
    assert await lag.settle_by(float("inf"), since_before=True)
    assert await lag.settle_by(float("inf"), since_before=True)
    assert clock.slept == [1.5]


async def test_turns_of_one_name_follow_each_other() -> None:
    """Those of another do not wait; nothing is kept of turns that have ended."""
    lag = WriteLag(0.0, HandClock())
    order: list[str] = []
    entered = anyio.Event()

    async def first() -> None:
        async with lag.turn("a", deadline=float("inf")):
            entered.set()
            async with lag.turn("b", deadline=float("inf")):
                order.append("b inside a")
            await anyio.lowlevel.checkpoint()
            order.append("first")

    async def second() -> None:
        await entered.wait()
        async with lag.turn("a", deadline=float("inf")):
            order.append("second")

    async with anyio.create_task_group() as group:
        group.start_soon(second)
        group.start_soon(first)
    assert order == ["b inside a", "first", "second"]
    assert not lag._turns
