"""How tasks end."""

import asyncio

import anyio
import pytest

from otaclient.task_ends import is_cancelled


async def test_a_task_knows_whether_it_was_cancelled() -> None:
    """Whoever cancels it, a scope or another task, is told from something that it waits for and that was cancelled."""
    elsewhere = asyncio.get_running_loop().create_future()
    elsewhere.cancel()
    with pytest.raises(asyncio.CancelledError):
        await elsewhere
    assert not is_cancelled()
    with anyio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.sleep(0)
        assert is_cancelled()
    assert not is_cancelled()


def test_without_a_task_nothing_is_said() -> None:
    """A cancellation outside any task is left to whoever it is for."""
    assert _outside()


def _outside() -> bool:
    answers: list[bool] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.call_soon(lambda: answers.append(is_cancelled()))
        await asyncio.sleep(0.0)

    asyncio.run(main())
    return answers[0]
