"""Faults on demand: tests queue them, and they strike the next matching requests before any handler sees those.

A capacity is the one that is not queued: it stands, for all requests, until it is changed or taken away.
"""

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from http import HTTPStatus
from typing import ClassVar, Final, Protocol

import attrs
from aiohttp import web

from otaclient.emulator.clock import Clock

__all__ = [
    "AnswerWith",
    "AtOnce",
    "Capacity",
    "CutBody",
    "Drip",
    "DropConnection",
    "Fault",
    "FaultQueue",
    "Hold",
    "LoseAnswer",
    "PerSecond",
    "Queueing",
    "cut_after_bytes",
    "drip_of",
    "is_lost",
    "kind_of",
]

_CUT_AFTER: Final = web.RequestKey("cut_after_bytes", int)


class Fault(Protocol):
    """Something that goes wrong with one request."""

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Return the answer to give instead of the handler's; ``None`` lets the handler answer."""
        ...


@attrs.frozen(kw_only=True)
class AnswerWith:
    """The request is answered with this, and never reaches the service."""

    kind: ClassVar[str] = "answer"

    status: int
    headers: Mapping[str, str]
    body: bytes

    async def strike(self, request: web.Request) -> web.StreamResponse | None:  # noqa: ARG002 - the same for all
        """Return the prepared answer."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


@attrs.frozen
class DropConnection:
    """The request arrives, and the connection is cut without an answer."""

    kind: ClassVar[str] = "drop"

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Cut the connection; the answer returned goes nowhere."""
        await request.read()
        request.protocol.force_close()
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)


class Hold:
    """Requests stop here until the test lets them go on."""

    kind: ClassVar[str] = "hold"

    def __init__(self) -> None:
        self._arrived = asyncio.Event()
        self._released = asyncio.Event()

    async def arrived(self) -> None:
        """Wait until a request has come in and is being held."""
        await self._arrived.wait()

    def release(self) -> None:
        """Let the held requests, and those that would still be held, go on to the service."""
        self._released.set()

    async def strike(self, request: web.Request) -> web.StreamResponse | None:  # noqa: ARG002 - the same for all
        """Hold the request until it is released."""
        self._arrived.set()
        await self._released.wait()
        return None


@attrs.frozen
class CutBody:
    """The handler answers, and the connection is cut in the middle of the body."""

    kind: ClassVar[str] = "cut"

    after_bytes: int
    """How much of the body, as it is sent, arrives; 0 leaves the head of the answer alone."""

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Leave a note for whoever sends the answer."""
        request[_CUT_AFTER] = self.after_bytes
        return None


@attrs.frozen(kw_only=True)
class Drip:
    """The handler answers, and the body comes a little at a time."""

    kind: ClassVar[str] = "drip"

    piece_bytes: int = attrs.field(validator=attrs.validators.ge(1))
    """How much comes at once."""
    seconds: float = attrs.field(validator=attrs.validators.ge(0))
    """How long each piece lets itself be waited for, by the emulator's clock."""

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Leave a note for whoever sends the answer."""
        request[_DRIP] = self
        return None


@attrs.frozen
class LoseAnswer:
    """The handler does what it was asked, and the connection is cut before the answer."""

    kind: ClassVar[str] = "lose"

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Leave a note for whoever sends the answer."""
        request[_LOST] = True
        return None


_DRIP: Final = web.RequestKey("drip", Drip)
_LOST: Final = web.RequestKey("is_lost", bool)


def cut_after_bytes(request: web.Request) -> int | None:
    """Return after how many bytes of the body the connection is to be cut; ``None``: not at all."""
    return request.get(_CUT_AFTER)


def drip_of(request: web.Request) -> Drip | None:
    """Return how the body is to drip; ``None``: it comes as fast as it can."""
    return request.get(_DRIP)


def is_lost(request: web.Request) -> bool:
    """Return whether the connection is to be cut before the answer."""
    return _LOST in request


def kind_of(fault: Fault) -> str:
    """Return under which name a fault is counted; ``other`` for kinds that users made."""
    return getattr(fault, "kind", "other")


class Capacity(ABC):
    """What a service bears: its clients are not told, and have to find out.

    ``limit`` may be changed at any time. Requests for tokens do not count: they go to another service.

    Args:
        limit: How many; the kinds of capacity say of what.
        service_seconds: How long each request is served, by the emulator's clock.
        retry_after_seconds: What a throttled answer advises; ``None`` for none, as with most vendors.

    Raises:
        ValueError: The limit is less than 1, or the time negative.
    """

    def __init__(self, limit: int, *, service_seconds: float = 0.0, retry_after_seconds: int | None = None) -> None:
        if not service_seconds >= 0:
            raise ValueError(f"service_seconds is {service_seconds}; it must be 0 or more")
        self._service_seconds = service_seconds
        self.retry_after_seconds = retry_after_seconds
        self.limit = limit

    @property
    def limit(self) -> int:
        """How many."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"limit is {limit}; a service bears at least 1 (take the capacity away for no limit)")
        self._limit = limit
        self._resized()

    @abstractmethod
    def serving(self, clock: Clock) -> AbstractAsyncContextManager[bool]:
        """Serve a request for as long as that takes, and hold its place; ``False``, at once, for one too many."""

    def _resized(self) -> None:  # noqa: B027 - only where requests wait does anything follow from it
        """The limit has changed."""


class AtOnce(Capacity):
    """So many requests are served at once; one more is throttled."""

    _served = 0

    @asynccontextmanager
    async def serving(self, clock: Clock) -> AsyncGenerator[bool]:
        """Serve the request unless enough others are."""
        if self._served >= self.limit:
            yield False
            return
        self._served += 1
        try:
            await clock.sleep(self._service_seconds)
            yield True
        finally:
            self._served -= 1


class Queueing(Capacity):
    """So many requests are served at once; others wait for their turn, so the more there are, the longer all take."""

    def __init__(self, limit: int, *, service_seconds: float = 0.0) -> None:
        self._served = 0
        self._waiting: deque[asyncio.Event] = deque()
        super().__init__(limit, service_seconds=service_seconds)

    @asynccontextmanager
    async def serving(self, clock: Clock) -> AsyncGenerator[bool]:
        """Wait for a turn, and serve the request."""
        turn = asyncio.Event()
        self._waiting.append(turn)
        self._resized()
        try:
            await turn.wait()
            await clock.sleep(self._service_seconds)
            yield True
        finally:
            if turn.is_set():
                self._served -= 1
                self._resized()
            else:
                self._waiting.remove(turn)

    def _resized(self) -> None:
        while self._waiting and self._served < self.limit:
            self._served += 1
            self._waiting.popleft().set()


class PerSecond(Capacity):
    """So many requests are accepted in each second of the clock; one more is throttled."""

    _second = -1
    _accepted = 0

    @asynccontextmanager
    async def serving(self, clock: Clock) -> AsyncGenerator[bool]:
        """Serve the request unless enough others were accepted in this second."""
        second = clock.now_ms() // 1000
        if second != self._second:
            self._second, self._accepted = second, 0
        if self._accepted >= self.limit:
            yield False
            return
        self._accepted += 1
        await clock.sleep(self._service_seconds)
        yield True


@attrs.define(kw_only=True)
class _Entry:
    operation: str | None
    remaining: int | None
    fault: Fault


class FaultQueue:
    """Faults that wait for requests; the oldest that fits a request strikes it, one fault a request."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []
        self._holds: list[Hold] = []
        self.capacity: Capacity | None = None
        """What the service bears; ``None`` for whatever comes."""

    def __len__(self) -> int:
        """How many faults are waiting; one that strikes several times counts once."""
        return len(self._entries)

    def add(self, fault: Fault, operation: str | None = None, *, times: int | None = 1) -> None:
        """Queue a fault of any kind.

        Args:
            fault: What happens.
            operation: The operation whose requests it strikes; ``None`` means every request.
            times: How many requests it strikes; ``None`` means all that follow.

        Raises:
            ValueError: ``times`` is less than 1.
        """
        if times is not None and times < 1:
            raise ValueError(f"times is {times}; a fault strikes at least one request (None means all that follow)")
        self._entries.append(_Entry(operation=operation, remaining=times, fault=fault))

    def inject(
        self,
        operation: str | None = None,
        *,
        times: int | None = 1,
        status: int = HTTPStatus.SERVICE_UNAVAILABLE,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> None:
        """Answer matching requests with this status, these headers and this body."""
        self.add(AnswerWith(status=int(status), headers=dict(headers or {}), body=body), operation, times=times)

    def drop(self, operation: str | None = None, *, times: int | None = 1) -> None:
        """Cut the connection of matching requests after they arrived, without an answer."""
        self.add(DropConnection(), operation, times=times)

    def cut_body(self, operation: str | None = None, *, after_bytes: int, times: int | None = 1) -> None:
        """Cut the connection of matching requests after so many bytes of the answer's body."""
        self.add(CutBody(after_bytes), operation, times=times)

    def drip(self, operation: str | None = None, *, piece_bytes: int, seconds: float, times: int | None = 1) -> None:
        """Answer matching requests so many bytes at a time, each after so many seconds."""
        self.add(Drip(piece_bytes=piece_bytes, seconds=seconds), operation, times=times)

    def delay(self, operation: str | None = None, *, times: int | None = 1) -> Hold:
        """Hold matching requests until the returned hold is released."""
        hold = Hold()
        self._holds.append(hold)
        self.add(hold, operation, times=times)
        return hold

    def clear(self) -> None:
        """Forget all waiting faults and the capacity, and let held requests go on."""
        self._entries.clear()
        self.capacity = None
        self.release_all()

    def release_all(self) -> None:
        """Let all held requests go on."""
        for hold in self._holds:
            hold.release()
        self._holds.clear()

    def take(self, operation: str) -> Fault | None:
        """Return the fault that strikes a request of this operation now, and use it up; ``None`` without one."""
        for position, entry in enumerate(self._entries):
            if entry.operation is not None and entry.operation != operation:
                continue
            if entry.remaining is not None:
                entry.remaining -= 1
                if entry.remaining == 0:
                    del self._entries[position]
            return entry.fault
        return None
