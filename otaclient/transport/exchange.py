"""The two ways to carry out a request: its answer read whole, or handed to a sink while it arrives."""

import asyncio
from collections.abc import Mapping
from typing import Protocol

import attrs

from otaclient.errors import DeadlineExceededError, ResponseLostError
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, Transport
from otaclient.transport.retry import Failure, Remedy

__all__ = ["Exchange", "Into", "Whole"]

# So much must have come anew for attempts and time to be counted from the beginning: a server that hangs up after each
# byte would otherwise be asked once for every byte, and one that sends a byte now and then waited for without end.
_PROGRESS_BYTES = 64 * 1024


class Exchange(Protocol):
    """What the session repeats."""

    @property
    def request(self) -> HttpRequest:
        """What is asked."""
        ...

    @property
    def progress(self) -> int:
        """A number that grows when an attempt that failed was not in vain."""
        ...

    @property
    def streamed(self) -> bool:
        """Whether the last answer's body went into a sink: then it was a good one."""
        ...

    def for_attempt(self) -> HttpRequest:
        """Return the request for the next attempt."""
        ...

    async def send(self, signed: HttpRequest, endpoint: str, seconds_left: float | None) -> HttpResponse:
        """Send the signed request once."""
        ...

    def timed_out(self, error: TimeoutError) -> Failure:
        """Return what a time-out of :meth:`send` means."""
        ...


@attrs.define
class Whole:
    """A request whose answer is read whole."""

    transport: Transport
    request: HttpRequest
    progress: int = 0
    streamed: bool = False

    def for_attempt(self) -> HttpRequest:
        """Return the request: every attempt is the same."""
        return self.request

    async def send(self, signed: HttpRequest, endpoint: str, seconds_left: float | None) -> HttpResponse:
        """Send it with the time that is left for everything."""
        return await self.transport.send(signed, endpoint=endpoint, timeout_seconds=seconds_left)

    def timed_out(self, error: TimeoutError) -> Failure:
        """Return that the deadline passed; for what is not idempotent, that its answer is lost."""
        late = DeadlineExceededError("no whole answer within timeout_seconds")
        late.__cause__ = error
        return Failure(error=late, remedy=Remedy.RAISE if self.request.idempotent else Remedy.REPEAT)


class Into:
    """A request whose good answer goes into a sink, piece by piece; a later attempt asks for the rest."""

    def __init__(self, transport: Transport, request: HttpRequest, sink: Sink, idle_seconds: float | None) -> None:
        self._transport = transport
        self._sink = sink
        self._idle_seconds = idle_seconds
        self._timeout: asyncio.Timeout | None = None
        self._noted = 0
        self.request = request
        self.streamed = False

    @property
    def progress(self) -> int:
        """How many parts worth a mention the sink holds."""
        return self._sink.position // _PROGRESS_BYTES

    def for_attempt(self) -> HttpRequest:
        """Return the request, for the bytes behind those that the sink holds."""
        self.streamed = False
        if not self._sink.position:
            return self.request
        return self.request.with_headers({"Range": f"bytes={self._sink.position}-"})

    async def send(self, signed: HttpRequest, endpoint: str, seconds_left: float | None) -> HttpResponse:
        """Send it; the answer must begin in the time that is left, and every 64 KiB of it come within the idle time."""
        async with asyncio.timeout(seconds_left) as self._timeout:
            return await self._transport.fetch(signed, self, endpoint=endpoint, idle_seconds=self._idle_seconds)

    def timed_out(self, error: TimeoutError) -> Failure:
        """Return that the answer was lost: another attempt goes on from there."""
        lost = ResponseLostError("nothing came for timeout_seconds, or less than 64 KiB")
        lost.__cause__ = error
        return Failure(error=lost, remedy=Remedy.REPEAT)

    # It is the transport's sink itself, to learn whether the body went into the real one.

    @property
    def position(self) -> int:
        """How many bytes the sink holds."""
        return self._sink.position

    async def begin(self, status: int, headers: Mapping[str, str], /) -> bool:
        """Ask the sink, and note its answer."""
        self.streamed = await self._sink.begin(status, headers)
        self._begin_to_wait()
        return self.streamed

    async def write(self, chunk: bytes, /) -> None:
        """Hand the bytes on."""
        await self._sink.write(chunk)
        if self.progress > self._noted:
            self._begin_to_wait()

    def _begin_to_wait(self) -> None:
        """Give the server the idle time anew."""
        assert self._timeout is not None  # the transport hands over while it sends
        self._noted = self.progress
        idle = self._idle_seconds
        self._timeout.reschedule(None if idle is None else asyncio.get_running_loop().time() + idle)
