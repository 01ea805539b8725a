"""Concurrency, rate, pauses, and what is learnt from throttled answers."""

import asyncio
import re
from typing import Any

import anyio
import pytest

from otaclient.errors import ConfigurationError
from otaclient.testing import HandClock
from otaclient.transport.limits import Limiter, Limits
from support.virtual_time import VirtualClock

FOR_EVER = float("inf")


async def test_rate_is_even_and_counts_everybody() -> None:
    """At ten a second, a hundred turns of many callers take 9.9 seconds, whoever asks."""
    clock = HandClock()
    limiter = Limiter(Limits(concurrency=None, requests_per_second=10), clock)
    start = clock.seconds
    for _ in range(100):
        assert await limiter.acquire(deadline=FOR_EVER)
        limiter.release()
    assert clock.seconds - start == pytest.approx(9.9)


async def test_concurrency_is_bounded() -> None:
    """Never more at once than allowed, and all come to their turn."""
    limiter = Limiter(Limits(concurrency=3, adaptive=False), HandClock())
    now, most, done = 0, 0, 0

    async def work() -> None:
        nonlocal now, most, done
        assert await limiter.acquire(deadline=FOR_EVER)
        now += 1
        most = max(most, now)
        await anyio.lowlevel.checkpoint()
        now -= 1
        done += 1
        limiter.release()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(work)
    assert (most, done) == (3, 20)


async def test_a_pause_holds_everybody_and_only_grows() -> None:
    """A pause delays the next turn; a shorter one does not shorten it."""
    clock = HandClock()
    limiter = Limiter(Limits(), clock)
    limiter.pause(5)
    limiter.pause(1)
    assert await limiter.acquire(deadline=FOR_EVER)
    assert clock.slept == [5]


async def test_unlimited_means_no_pauses_either() -> None:
    """A harness that brings its own limits is never held back by ours."""
    clock = HandClock()
    limiter = Limiter(Limits.unlimited(), clock)
    limiter.pause(5)
    assert await limiter.acquire(deadline=FOR_EVER)
    assert clock.slept == []


async def test_a_pause_during_a_wait_extends_it() -> None:
    """Whoever already waits for a turn waits out a pause that begins meanwhile, or gives up at the deadline."""

    class PausingClock(HandClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.slept) == 1:
                limiter.pause(7)

    for deadline, admitted, slept in ((FOR_EVER, True, [2.0, 7.0]), (1004.0, False, [2.0])):
        clock = PausingClock()
        limiter = Limiter(Limits(concurrency=1), clock)
        limiter.pause(2)
        assert await limiter.acquire(deadline=deadline) is admitted
        assert clock.slept == slept
        if admitted:
            limiter.release()
        assert await limiter.acquire(deadline=FOR_EVER)


async def test_cancelling_a_wait_gives_the_slot_back() -> None:
    """A caller cancelled while it waits for its turn holds nothing."""

    class StuckClock(HandClock):
        async def sleep(self, seconds: float) -> None:
            await anyio.sleep_forever()

    clock = StuckClock()
    limiter = Limiter(Limits(concurrency=1), clock)
    limiter.pause(1)
    with anyio.move_on_after(0.01):
        await limiter.acquire(deadline=FOR_EVER)
    clock.seconds += 2
    assert await limiter.acquire(deadline=FOR_EVER)


async def test_whoever_waits_is_served_in_order() -> None:
    """First come, first served; whoever gives up, or is handed a slot while giving up, takes nothing along."""
    limiter = Limiter(Limits(concurrency=1, adaptive=False), HandClock())
    served: list[int] = []

    async def work(number: int) -> None:
        assert await limiter.acquire(deadline=FOR_EVER)
        served.append(number)
        limiter.release()

    assert await limiter.acquire(deadline=FOR_EVER)
    tasks = [asyncio.create_task(work(number)) for number in range(6)]
    await anyio.wait_all_tasks_blocked()
    tasks[1].cancel()  # while it waits
    await anyio.wait_all_tasks_blocked()
    limiter.release()
    tasks[0].cancel()  # in the moment in which the slot is its
    await asyncio.wait(tasks)
    assert served == [2, 3, 4, 5]
    assert [task.cancelled() for task in tasks] == [True, True, False, False, False, False]
    assert await limiter.acquire(deadline=FOR_EVER)


async def test_a_wait_for_a_slot_ends_at_the_deadline() -> None:
    """Then nothing is held, and the next in line is not held up."""
    clock = HandClock()
    limiter = Limiter(Limits(concurrency=1, adaptive=False), clock)
    assert await limiter.acquire(deadline=FOR_EVER)
    assert not await limiter.acquire(deadline=clock.seconds + 0.001)
    limiter.release()
    assert await limiter.acquire(deadline=clock.seconds)
    limiter.release()
    limiter.pause(5)
    assert not await limiter.acquire(deadline=clock.seconds + 4)
    assert await limiter.acquire(deadline=clock.seconds + 6)


async def test_after_a_pause_turns_keep_their_distance_and_their_order() -> None:
    """A pause puts off the turns that wait; they do not all come at its end."""
    clock = VirtualClock()
    limiter = Limiter(Limits(requests_per_second=10), clock)
    began: list[tuple[int, float]] = []

    async def work(number: int) -> None:
        assert await limiter.acquire(deadline=FOR_EVER)
        began.append((number, round(clock.monotonic() - start, 6)))
        limiter.release()

    start = clock.monotonic()
    async with anyio.create_task_group() as tasks, clock.running():
        for number in range(5):
            tasks.start_soon(work, number)
        await clock.sleep(0.15)  # two have begun
        limiter.pause(1.0)
        await clock.sleep(0.5)
        limiter.pause(1.0)
        limiter.pause(0.2)
        await clock.sleep(2)
    assert began == [(0, 0.0), (1, 0.1), (2, 1.65), (3, 1.75), (4, 1.85)]


@pytest.mark.parametrize("gives_up", ["cancelled", "too late"])
async def test_a_turn_that_nobody_takes_is_not_lost(gives_up: str) -> None:
    """Whoever gives up waiting for the last turn leaves it to the next."""
    clock = VirtualClock()
    limiter = Limiter(Limits(requests_per_second=1), clock)
    start = clock.monotonic()
    async with anyio.create_task_group() as tasks, clock.running():
        assert await limiter.acquire(deadline=FOR_EVER)
        if gives_up == "cancelled":
            scope = anyio.CancelScope()
            with scope:
                tasks.start_soon(cancel_later, clock, scope)
                await limiter.acquire(deadline=FOR_EVER)
        else:
            tasks.start_soon(pause_later, clock, limiter)
            assert not await limiter.acquire(deadline=start + 1)
        assert await limiter.acquire(deadline=FOR_EVER)
    assert clock.monotonic() - start == pytest.approx(1.0 if gives_up == "cancelled" else 5.5)


async def test_whoever_gives_up_in_the_middle_changes_nobody_s_turn() -> None:
    """The turns behind it were promised, and stay what they were."""
    clock = VirtualClock()
    limiter = Limiter(Limits(requests_per_second=1), clock)
    start = clock.monotonic()
    async with anyio.create_task_group() as tasks, clock.running():
        assert await limiter.acquire(deadline=FOR_EVER)
        scope = anyio.CancelScope()
        tasks.start_soon(cancel_later, clock, scope)
        with scope:
            async with anyio.create_task_group() as inner:
                inner.start_soon(wait_for_turn, limiter)
                await anyio.lowlevel.checkpoint()
                with anyio.CancelScope(shield=True):
                    assert await limiter.acquire(deadline=FOR_EVER)
        assert await limiter.acquire(deadline=FOR_EVER)
    assert clock.monotonic() - start == pytest.approx(3.0)


async def wait_for_turn(limiter: Limiter) -> None:
    await limiter.acquire(deadline=FOR_EVER)


async def cancel_later(clock: VirtualClock, scope: anyio.CancelScope) -> None:
    await clock.sleep(0.5)
    scope.cancel()


async def pause_later(clock: VirtualClock, limiter: Limiter) -> None:
    await clock.sleep(0.5)
    limiter.pause(5)


async def test_one_throttled_answer_slows_all_down() -> None:
    """After the pause, half as many start at once as before, and one more with each answer."""
    clock = HandClock()
    limiter = Limiter(Limits(concurrency=32), clock)
    for _ in range(16):
        assert await limiter.acquire(deadline=FOR_EVER)
    clock.seconds += 0.1
    limiter.answered("devices.search", started_at=clock.seconds - 0.1, throttled=True)
    limiter.release()
    limiter.pause(0.5)
    for _ in range(15):
        limiter.answered("devices.search", started_at=clock.seconds - 0.1, throttled=False)
        limiter.release()
    for _ in range(4):
        assert await limiter.acquire(deadline=FOR_EVER)
    assert clock.slept == [0.5]
    assert not await limiter.acquire(deadline=clock.seconds + 0.001)
    clock.seconds += 0.1
    limiter.answered("devices.search", started_at=clock.seconds - 0.1, throttled=False)
    limiter.release()
    for _ in range(2):
        assert await limiter.acquire(deadline=FOR_EVER)


async def test_a_vendor_that_bears_less_than_one_at_once_is_asked_with_pauses() -> None:
    """Where even single requests are throttled, they are spaced; the rate given by the caller is kept all the same."""
    for limits, least in ((Limits(), 0.3), (Limits(requests_per_second=0.5), 2.0)):
        clock = HandClock()
        limiter = Limiter(limits, clock)
        for throttled in [False, True] * 4:
            assert await limiter.acquire(deadline=FOR_EVER)
            clock.seconds += 0.2
            limiter.answered("devices.get", started_at=clock.seconds - 0.2, throttled=throttled)
            limiter.release()
        began = clock.seconds
        for _ in range(5):
            assert await limiter.acquire(deadline=FOR_EVER)
            limiter.release()
        assert clock.seconds - began >= 4 * least


@pytest.mark.parametrize(
    "limits", [Limits(concurrency=8, adaptive=False), Limits.unlimited(), Limits(concurrency=None)]
)
async def test_fixed_limits_learn_nothing(limits: Limits) -> None:
    """A fixed limit is what the caller says, whatever the vendor says."""
    clock = HandClock()
    limiter = Limiter(limits, clock)
    for _ in range(20):
        limiter.answered("devices.get", started_at=clock.seconds, throttled=True)
        clock.seconds += 1
    for _ in range(8):
        assert await limiter.acquire(deadline=FOR_EVER)
    assert clock.slept == []


@pytest.mark.parametrize(
    ("wrong", "rule"),
    [
        ({"concurrency": 0}, "whole number from 1"),
        ({"concurrency": -3}, "whole number from 1"),
        ({"concurrency": 2.5}, "whole number from 1"),
        ({"concurrency": True}, "whole number from 1"),
        ({"concurrency": float("nan")}, "whole number from 1"),
        ({"requests_per_second": 0}, "finite number above 0"),
        ({"requests_per_second": -1}, "finite number above 0"),
        ({"requests_per_second": float("nan")}, "finite number above 0"),
        ({"requests_per_second": float("inf")}, "finite number above 0"),
        ({"requests_per_second": True}, "finite number above 0"),
        ({"requests_per_second": "5"}, "finite number above 0"),
        ({"adaptive": 1}, "True or False"),
    ],
)
def test_wrong_limits_are_refused(wrong: dict[str, Any], rule: str) -> None:
    """A limit that cannot be one names the field, the value and the rule."""
    (field, value), *_ = wrong.items()
    with pytest.raises(ConfigurationError, match=rf"^Limits {field} is {re.escape(repr(value))}: it must be .*{rule}"):
        Limits(**wrong)
