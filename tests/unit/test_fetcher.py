"""Bounded fan-out."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, NotFoundError, OtaError
from otaclient.fleet.fetcher import Outcome, fetch_each


async def double(key: int) -> int:
    """Return twice the key; odd ones do not exist."""
    await anyio.lowlevel.checkpoint()
    if key % 2:
        raise NotFoundError(f"no {key}")
    return 2 * key


@given(keys=st.lists(st.integers(0, 99), max_size=60), concurrency=st.integers(1, 20))
async def test_every_key_has_one_outcome(keys: list[int], concurrency: int) -> None:
    """Each key, repeated ones too, comes back once, with its value or its error."""
    async with fetch_each(keys, double, concurrency=concurrency) as outcomes:
        got = [outcome async for outcome in outcomes]
    assert sorted(outcome.key for outcome in got) == sorted(keys)
    assert all(outcome.value == 2 * outcome.key for outcome in got if outcome.error is None)
    assert all((outcome.error is not None) == bool(outcome.key % 2) for outcome in got)


async def test_endless_keys_need_bounded_memory() -> None:
    """Keys are taken only when a worker is free, and no more are in hand than workers."""
    taken = 0

    def endless() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield 2 * taken

    async with fetch_each(endless(), double, concurrency=4) as outcomes:
        async for outcome in outcomes:
            await anyio.wait_all_tasks_blocked()
            assert taken <= outcome.key + 4 + 1
            if taken > 50:
                break
    before = taken
    await anyio.wait_all_tasks_blocked()
    assert taken == before


async def test_asynchronous_keys_are_taken_one_at_a_time() -> None:
    """An async generator feeds many workers without being advanced by two at once."""

    async def keys() -> AsyncIterator[int]:
        for key in range(0, 40, 2):
            await anyio.lowlevel.checkpoint()
            yield key

    async with fetch_each(keys(), double, concurrency=8) as outcomes:
        assert sorted([outcome.unwrap() async for outcome in outcomes]) == list(range(0, 80, 4))


async def test_calls_overlap_up_to_the_concurrency() -> None:
    """As many calls as asked for run at once, and never more."""
    now, most = 0, 0

    async def call(key: int) -> int:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await anyio.lowlevel.checkpoint()
        now -= 1
        return key

    async with fetch_each(range(50), call, concurrency=7) as outcomes:
        assert len([outcome async for outcome in outcomes]) == 50
    assert most == 7


async def test_a_bug_ends_the_group_and_is_raised_as_it_is() -> None:
    """An exception that is no error of the library is raised bare, not in a group, and stops the other calls."""
    calls = 0

    async def call(key: int) -> int:
        nonlocal calls
        calls += 1
        await anyio.lowlevel.checkpoint()
        if key == 3:
            raise ZeroDivisionError("bug")
        return key

    with pytest.raises(ZeroDivisionError, match="bug"):
        async with fetch_each(range(1000), call, concurrency=2) as outcomes:
            async for _ in outcomes:
                pass
    assert calls < 10


async def test_of_several_bugs_the_first_is_raised() -> None:
    """What comes out does not depend on how many calls failed at once; a note tells of the others."""
    gate = anyio.Event()

    async def call(key: int) -> int:
        try:
            await gate.wait()
        finally:
            raise ZeroDivisionError(f"bug {key}") if key < 3 else KeyError(key)
        return key

    with pytest.raises(ZeroDivisionError, match="bug 1") as caught:
        async with fetch_each([1, 2, 3], call) as outcomes:
            await anyio.wait_all_tasks_blocked()
            gate.set()
            async for _ in outcomes:
                pass
    assert caught.value.__notes__ == ["2 more tasks failed before all could be ended: ZeroDivisionError, KeyError"]


async def test_a_group_of_the_consumers_comes_out_as_it_is() -> None:
    """Whoever runs tasks inside the block catches what they raise as anywhere else."""
    with pytest.raises(ExceptionGroup) as caught:
        async with fetch_each(range(100), double) as outcomes:
            async for _ in outcomes:
                raise ExceptionGroup("of tasks", [KeyError("one")])
    assert str(caught.value) == "of tasks (1 sub-exception)"


async def test_an_error_in_the_consumer_ends_the_calls() -> None:
    """The consumer's own exception comes out as it is."""
    with pytest.raises(KeyError):
        async with fetch_each(range(100), double, concurrency=3) as outcomes:
            async for _ in outcomes:
                raise KeyError("consumer")


@pytest.mark.parametrize("where", ["call", "block", "outcome"])
async def test_what_an_exception_came_of_stays_with_it(where: str) -> None:
    """Neither cause nor context of an exception is lost on the way out of the block."""
    error = NotFoundError("no such thing") if where == "outcome" else ZeroDivisionError("bug")
    cause, context = KeyError("cause"), IndexError("context")

    async def call(key: int) -> int:
        if where != "block":
            error.__context__ = context
            raise error from cause
        return key

    with pytest.raises(type(error)) as caught:
        async with fetch_each([1], call) as outcomes:
            async for outcome in outcomes:
                outcome.unwrap()
                error.__context__ = context
                raise error from cause
    assert caught.value is error
    assert (error.__cause__, error.__context__) == (cause, context)


@pytest.mark.parametrize("where", ["call", "keys"])
async def test_a_cancellation_of_nobody_forgets_no_key(where: str) -> None:
    """Calls or keys that wait for a task that somebody else cancelled end the block with an error, not quietly."""
    elsewhere = asyncio.get_running_loop().create_future()
    elsewhere.cancel()

    async def keys() -> AsyncIterator[int]:
        yield 0
        if where == "keys":
            await elsewhere
        yield 1

    async def call(key: int) -> int:
        if where == "call":
            await elsewhere
        return key

    with pytest.raises(OtaError, match="what call or keys waited for was cancelled, though nobody left the block"):
        async with fetch_each(keys(), call) as outcomes:
            async for _ in outcomes:
                pass


async def test_outcomes_end_with_their_block() -> None:
    """Whoever asks for another one afterwards is told where they are to be had."""
    async with fetch_each(range(100), double) as outcomes:
        await anext(outcomes)
    with pytest.raises(InvalidQueryError, match="its outcomes are iterated inside its own block"):
        await anext(outcomes)


async def test_a_block_is_entered_once() -> None:
    """Its keys may be used up."""
    block = fetch_each([2], double)
    async with block as outcomes:
        assert [outcome.unwrap() async for outcome in outcomes] == [4]
    with pytest.raises(InvalidQueryError, match="its block can be entered once: make a new one"):
        async with block:
            pass


async def test_a_broken_stream_of_a_call_is_a_bug_of_it() -> None:
    """It is not taken for the consumer's leaving."""

    async def call(_key: int) -> int:
        raise anyio.BrokenResourceError

    with pytest.raises(anyio.BrokenResourceError):
        async with fetch_each([1], call) as outcomes:
            async for _ in outcomes:
                pass


async def test_cancellation_ends_the_calls() -> None:
    """Cancelling from outside ends everything, quietly."""

    async def never(_key: int) -> int:
        await anyio.sleep_forever()
        return 0

    with anyio.move_on_after(0.01) as scope:
        async with fetch_each(range(3), never, concurrency=3) as outcomes:
            async for _ in outcomes:
                pass
    assert scope.cancelled_caught


@pytest.mark.parametrize("concurrency", [0, -1, 10_001, 10**20, True, "3", 2.5, None])
def test_concurrency_is_checked_at_once(concurrency: Any) -> None:
    """A concurrency that would do nothing, or fill the memory with workers, is refused before the block is entered."""
    rule = re.escape(f"fetch_each(): concurrency is {concurrency!r}: give a whole number, from 1 to 10000")
    with pytest.raises(InvalidQueryError, match=rule):
        fetch_each([1], double, concurrency=concurrency)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (None, "keys is None: give a list"),
        (5, "keys is 5: give a list"),
        ("j123", "keys is 'j123', a single text: give a list, such as ['j123']"),
        (b"j1", "keys is b'j1', a single text: give a list, such as [b'j1']"),
    ],
)
def test_keys_that_cannot_be_meant_are_refused_at_once(keys: Any, said: str) -> None:
    """Above all a single text, which would be taken apart into letters, each of them a key."""
    with pytest.raises(InvalidQueryError, match=re.escape(f"fetch_each(): {said}")):
        fetch_each(keys, double)


@pytest.mark.parametrize("call", [None, "get", 3])
def test_a_call_that_is_none_is_refused_at_once(call: Any) -> None:
    """Before the block is entered, with what to give instead."""
    rule = re.escape(f"fetch_each(): call is {call!r}: give an asynchronous function of one key")
    with pytest.raises(InvalidQueryError, match=rule):
        fetch_each([1], call)


async def test_a_synchronous_call_is_refused_as_a_whole() -> None:
    """It fails for every key alike: an error of the caller, no outcome of a key."""
    called: list[int] = []
    call: Any = called.append
    with pytest.raises(InvalidQueryError, match="what call returns cannot be awaited: give an asynchronous function"):
        async with fetch_each(range(1000), call, concurrency=1) as outcomes:
            async for outcome in outcomes:
                pytest.fail(f"there is an outcome: {outcome}")
    assert called == [0]


async def test_a_call_may_fail_before_it_can_be_awaited() -> None:
    """A plain function that returns an awaitable is as good, and its own refusal is the key's outcome."""

    def call(key: int) -> Any:
        if key == 1:
            raise NotFoundError("no 1")
        return double(key)

    async with fetch_each([1, 2], call, concurrency=1) as outcomes:
        got = {outcome.key: outcome async for outcome in outcomes}
    assert isinstance(got[1].error, NotFoundError)
    assert got[2].unwrap() == 4


async def test_iterating_without_the_block_says_how() -> None:
    """As a scan does."""
    with pytest.raises(InvalidQueryError, match=re.escape("async with otaclient.fetch_each(...) as outcomes")):
        async for outcome in fetch_each([2], double):  # type: ignore[attr-defined]
            pytest.fail(f"there is an outcome: {outcome}")


def test_outcomes_unwrap() -> None:
    """An outcome gives its value or raises its error."""
    assert Outcome(key=1, value=2).unwrap() == 2
    with pytest.raises(NotFoundError):
        Outcome(key=1, error=NotFoundError("x")).unwrap()
