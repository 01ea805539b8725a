"""What blocks, done in a worker thread and always waited for: nothing goes on behind the back of a cancelled task."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import anyio
from anyio import to_thread

__all__ = ["in_thread"]

_T = TypeVar("_T")


async def in_thread(call: Callable[[], _T]) -> _T:
    """Return what a blocking call returns.

    A thread cannot be stopped. So a task that is cancelled meanwhile learns of it only when the call has ended: what
    the thread does to files would otherwise come after the task has cleaned up, and stay.
    """
    work = asyncio.create_task(to_thread.run_sync(call))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        with anyio.CancelScope(shield=True):
            while not work.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([work])
        work.exception()  # nobody else looks at it
        raise
