"""Bounded fan-out of any call: N workers on one shared iterator, so memory depends on N and not on the keys."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from inspect import isawaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, Never, TypeVar

import anyio
import attrs

from otaclient.checks import MOST_AT_ONCE, checked_count
from otaclient.errors import InvalidQueryError, OtaError
from otaclient.task_ends import is_cancelled, raise_first

if TYPE_CHECKING:
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream

__all__ = ["Outcome", "fetch_each"]

_K = TypeVar("_K")
_V = TypeVar("_V")


@attrs.frozen(kw_only=True)
class Outcome(Generic[_K, _V]):
    """What became of one key: a value, or an error."""

    key: _K
    value: _V | None = None
    error: OtaError | None = None

    def unwrap(self) -> _V:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # without an error there is a value, even if that is None


def fetch_each(
    keys: Iterable[_K] | AsyncIterable[_K], call: Callable[[_K], Awaitable[_V]], *, concurrency: int = 16
) -> AbstractAsyncContextManager[AsyncIterator[Outcome[_K, _V]]]:
    """Call ``call(key)`` for every key, at most ``concurrency`` at once, and yield an :class:`Outcome` for each.

    ::

        async with fetch_each(job_ids, backend.jobs.get, concurrency=16) as outcomes:
            async for outcome in outcomes:
                ...

    An :class:`~otaclient.errors.OtaError` of one key is that key's outcome. Any other exception is a bug: it ends all
    calls and is raised, the first where there are several. Leaving the block early ends all calls too. A key is only
    taken when a worker is free, so any number of keys, even an endless generator, needs memory for ``concurrency`` of
    them.

    Raises:
        InvalidQueryError: ``keys`` is nothing to iterate, or a single text; ``call`` is no function, or, as its first
            call shows, no asynchronous one; or ``concurrency`` is no whole number, below 1 or above 10,000.
    """
    checked_count(concurrency, name="fetch_each(): concurrency", least=1, most=MOST_AT_ONCE)
    _check_keys(keys)
    if not callable(call):
        raise InvalidQueryError(f"fetch_each(): call is {call!r}: {_CALL_REMEDY}")
    return _FanOut(_running(_SharedKeys(keys), call, concurrency))


_CALL_REMEDY: Final = "give an asynchronous function of one key, such as backend.jobs.get"
_OUTSIDE: Final = (
    "fetch_each(): its outcomes are iterated inside its own block: async with otaclient.fetch_each(...) as outcomes"
)


def _check_keys(keys: Any) -> None:
    if isinstance(keys, str | bytes | bytearray):
        raise InvalidQueryError(f"fetch_each(): keys is {keys!r}, a single text: give a list, such as [{keys!r}]")
    if not isinstance(keys, Iterable | AsyncIterable):
        raise InvalidQueryError(f"fetch_each(): keys is {keys!r}: give a list, or anything else that can be iterated")


class _FanOut(AbstractAsyncContextManager[AsyncIterator[Outcome[_K, _V]]]):
    """What :func:`fetch_each` returns: a block, which says so to those who iterate it without entering it."""

    def __init__(self, running: AbstractAsyncContextManager[AsyncIterator[Outcome[_K, _V]]]) -> None:
        self._running = running
        self._entered = False

    async def __aenter__(self) -> AsyncIterator[Outcome[_K, _V]]:
        if self._entered:
            raise InvalidQueryError("fetch_each(): its block can be entered once: make a new one")
        self._entered = True
        return await self._running.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> bool | None:
        return await self._running.__aexit__(kind, error, trace)

    def __aiter__(self) -> Never:
        raise InvalidQueryError(_OUTSIDE)


class _Outcomes(AsyncIterator[Outcome[_K, _V]]):
    """The outcomes as they come, for as long as the block lasts."""

    def __init__(self, received: "MemoryObjectReceiveStream[Outcome[_K, _V]]") -> None:
        self._received = received

    async def __anext__(self) -> Outcome[_K, _V]:
        try:
            return await self._received.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None
        except anyio.ClosedResourceError:
            raise InvalidQueryError(_OUTSIDE) from None


class _SharedKeys(Generic[_K]):
    """One iterator for many workers; asynchronous ones must not be advanced by two at a time."""

    def __init__(self, keys: Iterable[_K] | AsyncIterable[_K]) -> None:
        if isinstance(keys, AsyncIterable):
            self._async: AsyncIterator[_K] | None = aiter(keys)
        else:
            self._async = None
            self._sync = iter(keys)
        self._turn = anyio.Lock()

    def __aiter__(self) -> AsyncIterator[_K]:
        return self

    async def __anext__(self) -> _K:
        if self._async is None:
            for key in self._sync:
                return key
            raise StopAsyncIteration
        async with self._turn:
            return await anext(self._async)


@asynccontextmanager
async def _running(
    keys: _SharedKeys[_K], call: Callable[[_K], Awaitable[_V]], concurrency: int
) -> AsyncGenerator[AsyncIterator[Outcome[_K, _V]]]:
    # No buffer: a worker holds its outcome until the consumer takes it, so a slow consumer slows the calls down.
    send, receive = anyio.create_memory_object_stream[Outcome[_K, _V]](0)
    try:
        async with anyio.create_task_group() as workers:
            with send:
                for _ in range(concurrency):
                    workers.start_soon(_work, keys, call, send.clone())
            async with receive:
                yield _Outcomes(receive)
            workers.cancel_scope.cancel()
    except BaseExceptionGroup as group:
        raise_first(group)


async def _work(
    keys: _SharedKeys[_K], call: Callable[[_K], Awaitable[_V]], out: "MemoryObjectSendStream[Outcome[_K, _V]]"
) -> None:
    try:
        with out:
            async for key in keys:
                outcome = await _outcome_of(key, call)
                try:
                    await out.send(outcome)
                except anyio.BrokenResourceError:
                    return  # the consumer has left its block
    except asyncio.CancelledError as error:
        if is_cancelled():
            raise
        # The task group would end without a word, and with it all keys that are left.
        raise OtaError(
            "fetch_each(): what call or keys waited for was cancelled, though nobody left the block"
        ) from error


async def _outcome_of(key: _K, call: Callable[[_K], object]) -> Outcome[_K, Any]:
    try:
        answer = call(key)
        if isawaitable(answer):
            return Outcome(key=key, value=await answer)
    except OtaError as error:
        return Outcome(key=key, error=error)
    # Not one key's outcome: no other key would fare better.
    raise InvalidQueryError(f"fetch_each(): what call returns cannot be awaited: {_CALL_REMEDY}")
