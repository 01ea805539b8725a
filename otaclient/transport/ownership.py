"""Who may use a client: one event loop of one process, until it is closed. Anything else is a clear error, not a hang.

Connections, locks and waiting tasks belong to the event loop in which they began. Another loop would wait for them for
ever, and a forked process would write into its parent's connections.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Final

import anyio

from otaclient.errors import TransportError
from otaclient.transport.clock import Clock

__all__ = ["GuardedClock", "Ownership", "closed_error"]


class _Process:
    """Tells this process from those that it was forked from; asking the system each time would be dearer."""

    def __init__(self) -> None:
        self.generation = 0
        if sys.platform != "win32":  # pragma: no branch - Windows cannot fork
            os.register_at_fork(after_in_child=self._begin)

    def _begin(self) -> None:
        self.generation += 1


_PROCESS: Final = _Process()


def closed_error() -> TransportError:
    """Return the error of whoever uses a closed client, or waits for something while it is closed."""
    return TransportError("the client is closed: open a new one")


class Ownership:
    """Remembers the event loop and the process in which a client was first used, and whether it was closed.

    A client shares it with all that its ``with_options`` makes.
    """

    def __init__(self) -> None:
        self.is_open = True
        self._loop: asyncio.AbstractEventLoop | None = None
        self._generation = 0
        self._sleeping: set[anyio.CancelScope] = set()

    def check(self) -> None:
        """Make sure that the client may be used here and now; its first use decides where that is.

        Raises:
            TransportError: It is closed, or belongs to another event loop or process.
        """
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise TransportError(
                "the client was used where no asyncio event loop runs: await its calls in one"
            ) from None
        if loop is not self._loop or self._generation != _PROCESS.generation or not self.is_open:
            self._take_or_refuse(loop)

    def close(self) -> bool:
        """Let nobody use the client any more, and wake whoever sleeps; tell whether its connections may be touched.

        Those of a parent process may not: what is sent on them, even a farewell, would end up among its own messages.

        Raises:
            TransportError: It is in use in another event loop.
        """
        loop = self._loop
        if loop is not None and self._generation != _PROCESS.generation:
            self.is_open = False
            return False
        if self.is_open and loop is not None and loop is not asyncio.get_running_loop() and not loop.is_closed():
            raise TransportError("the client is in use in another event loop: close it there")
        self.is_open = False
        if loop is not None and not loop.is_closed():  # nobody sleeps on in a loop that has ended
            for scope in list(self._sleeping):
                scope.cancel()
        return True

    async def sleep(self, clock: Clock, seconds: float) -> None:
        """Sleep on a clock until the time has passed, or the client is closed.

        Raises:
            TransportError: It is closed, or belongs to another event loop or process.
        """
        self.check()
        with anyio.CancelScope() as scope:
            self._sleeping.add(scope)
            try:
                await clock.sleep(seconds)
            finally:
                self._sleeping.discard(scope)
        if scope.cancelled_caught:
            raise closed_error()

    def _take_or_refuse(self, loop: asyncio.AbstractEventLoop) -> None:
        if not self.is_open:
            raise closed_error()
        if self._loop is None:
            self._loop, self._generation = loop, _PROCESS.generation
            return
        if self._generation != _PROCESS.generation:
            raise TransportError(
                "the client was in use when this process was forked, and its connections belong to the other one: "
                "open one client per process"
            )
        state = "has ended" if self._loop.is_closed() else "is not this one"
        raise TransportError(
            f"the client belongs to the event loop in which it was first used, and that {state}: "
            "open one client per event loop"
        )


class GuardedClock:
    """A clock on which nobody sleeps on after the client was closed.

    Args:
        clock: Tells the time, and wakes.
        ownership: Knows when that is.
    """

    def __init__(self, clock: Clock, ownership: Ownership) -> None:
        self._clock = clock
        self._ownership = ownership
        # Asked several times in each call: without a step in between.
        self.monotonic: Callable[[], float] = clock.monotonic
        self.now: Callable[[], datetime] = clock.now

    async def sleep(self, seconds: float) -> None:
        """Wait.

        Raises:
            TransportError: The client was closed meanwhile.
        """
        await self._ownership.sleep(self._clock, seconds)
