"""Concurrency and rate."""

import anyio
import pytest

from otaclient.errors import ConfigurationError
from otaclient.transport.limits import Limiter, Limits
from support.clock import HandClock

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
    limiter = Limiter(Limits(concurrency=3), HandClock())
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


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"requests_per_second": -1}])
def test_wrong_limits_are_refused(wrong: dict[str, int]) -> None:
    """A limit that admits nothing names the field and the rule."""
    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        Limits(**wrong)
