"""Bodies that do not belong into memory: streamed up, fetched in pieces, resumed."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from otaclient.errors import (
    DeadlineExceededError,
    IntegrityError,
    OutcomeUnknownError,
    ResponseLostError,
    ServerError,
)
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Dialect, Session
from support.network import GET, POST, ScriptedTransport, answer, classify, session_over, sign_with_token

CONTENT = bytes(range(256)) * 8192  # 2 MiB


class Memory:
    """A sink that keeps everything, and restarts where the server does."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.begun: list[int] = []

    @property
    def position(self) -> int:
        """How much there is."""
        return len(self.data)

    async def begin(self, status: int, headers: Mapping[str, str], /) -> bool:
        """Take good answers; from the beginning, unless the rest comes."""
        self.begun.append(status)
        if status == 200:
            self.data.clear()
        return status in {200, 206}

    async def write(self, chunk: bytes, /) -> None:
        """Keep."""
        self.data.extend(chunk)


class Pieces:
    """A body of pieces; may break."""

    def __init__(self, *pieces: bytes, error: Exception | None = None) -> None:
        self.size_bytes = sum(map(len, pieces))
        self._pieces = pieces
        self._error = error

    async def chunks(self) -> AsyncIterator[bytes]:
        """Give the pieces."""
        for piece in self._pieces:
            yield piece
        if self._error is not None:
            raise self._error


class FileServer:
    """Serves ``CONTENT`` with ranges, as broken as a test wants it."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.cut_after: list[int | None] = []
        self.ignore_range = False
        self.error: int | None = None
        self.stall = False
        self.late: anyio.Event | None = None

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        wanted = request.headers.get("Range", "")
        self.requests.append((wanted, hashlib.sha256(await request.read()).digest()))
        if self.late is not None:
            await self.late.wait()
        if self.error is not None:
            return web.Response(status=self.error, text="no")
        start = 0 if self.ignore_range or not wanted else int(wanted.removeprefix("bytes=").rstrip("-"))
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(CONTENT) - start
        await response.prepare(request)
        cut = self.cut_after.pop(0) if self.cut_after else None
        await response.write(CONTENT[start:] if cut is None else CONTENT[start : start + cut])
        if self.stall:
            await asyncio.sleep(60)
        if cut is not None:
            assert request.transport is not None
            request.transport.close()
        return response


@pytest.fixture
async def files() -> AsyncIterator[tuple[FileServer, Any]]:
    """Start a file server and a session that talks to it."""
    service = FileServer()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{path:.*}", service.serve)
    server = TestServer(app)
    await server.start_server()
    network = AiohttpTransport(TransportOptions(), max_connections=2)

    def session(**options: Any) -> Session:
        endpoint = str(server.make_url("")).rstrip("/")
        dialect = Dialect(endpoint=endpoint, sign=sign_with_token, classify=classify)
        return Session(label="test", transport=network, clock=HandClock(), roll=lambda: 0.5, dialect=dialect, **options)

    yield service, session
    await network.aclose()
    await server.close()


async def test_a_body_arrives_in_pieces(files: Any) -> None:
    """The sink gets every byte; the answer comes back without the body."""
    service, session = files
    sink = Memory()
    response = await session().fetch(GET, sink)
    assert (bytes(sink.data) == CONTENT, response.status, response.body) == (True, 200, b"")
    assert service.requests[0][0] == ""


async def test_a_broken_download_goes_on_where_it_broke(files: Any) -> None:
    """Each attempt asks for the rest; progress counts the attempts anew, so many breaks do not end it."""
    service, session = files
    service.cut_after = [300_000] * 6
    sink = Memory()
    response = await session(retry=RetryPolicy(max_attempts=2)).fetch(GET, sink)
    assert bytes(sink.data) == CONTENT
    assert response.attempts == 7
    starts = [int(wanted.removeprefix("bytes=").rstrip("-") or 0) for wanted, _ in service.requests]
    assert starts == sorted(starts)
    assert starts[-1] > 0


async def test_a_server_without_ranges_starts_again(files: Any) -> None:
    """A server that ignores the range sends everything again, and the sink begins anew."""
    service, session = files
    service.cut_after, service.ignore_range = [300_000], True
    sink = Memory()
    await session().fetch(GET, sink)
    assert (bytes(sink.data) == CONTENT, sink.begun) == (True, [200, 200])


async def test_without_progress_the_attempts_run_out(files: Any) -> None:
    """A server that never gets anywhere ends the download; an error answer is classified as ever."""
    service, session = files
    service.cut_after = [0] * 9
    with pytest.raises(ResponseLostError) as caught:
        await session(retry=RetryPolicy(max_attempts=3)).fetch(GET, Memory())
    assert caught.value.attempts == 3
    service.error = 503
    with pytest.raises(ServerError):
        await session(retry=RetryPolicy(max_attempts=2)).fetch(GET, Memory())


async def test_a_stalled_download_is_a_lost_answer(files: Any) -> None:
    """Nothing for longer than the time-out ends the attempt, however large the file may be."""
    service, session = files
    service.cut_after, service.stall = [1000], True
    with pytest.raises(ResponseLostError, match="nothing came"):
        await session(retry=RetryPolicy.none(), timeout_seconds=0.05).fetch(GET, Memory())


class Dripping(ScriptedTransport):
    """Gives a byte, and another, and another."""

    async def fetch(
        self, request: HttpRequest, sink: Any, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Never come to an end, nor rest."""
        await sink.begin(200, {})
        while True:
            await sink.write(b"x")
            await asyncio.sleep(0)


async def test_a_body_that_drips_for_ever_is_not_waited_for() -> None:
    """Each piece comes in time; what counts is that together they amount to something."""
    with pytest.raises(DeadlineExceededError, match="less than 64 KiB") as caught:
        await session_over(Dripping(), HandClock(), timeout_seconds=0.05).fetch(GET, Memory())
    assert isinstance(caught.value.__cause__, ResponseLostError)


class Piecewise(ScriptedTransport):
    """Gives a long body in pieces, each after some time, and breaks off when told to."""

    def __init__(self, clock: HandClock, breaks: list[int], *, seconds: float) -> None:
        super().__init__(clock=clock)
        self.clock = clock
        self.breaks = breaks
        self.seconds = seconds
        self.idle_seconds: list[float | None] = []

    async def fetch(
        self, request: HttpRequest, sink: Any, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Hand over what there is until the next break."""
        self.idle_seconds.append(idle_seconds)
        stop = self.breaks.pop(0) if self.breaks else len(CONTENT)
        if stop:
            await sink.begin(206 if sink.position else 200, {})
        while sink.position < stop:
            self.clock.seconds += self.seconds
            await sink.write(CONTENT[sink.position : min(stop, sink.position + 100_000)])
        if stop < len(CONTENT):
            self.clock.seconds += self.seconds
            raise ResponseLostError("cut")
        return HttpResponse(status=200)


async def test_a_download_may_last_longer_than_the_time_for_one_piece() -> None:
    """Also where it breaks off long after it began: after progress there is time for further attempts."""
    clock, sink = HandClock(), Memory()
    network = Piecewise(clock, [900_000, 900_000], seconds=8.0)
    await session_over(network, clock, timeout_seconds=10.0).fetch(GET, sink)
    assert bytes(sink.data) == CONTENT
    assert network.idle_seconds == [10.0] * 3


async def test_attempts_without_progress_have_one_time_together() -> None:
    """What bounds the wait for the next piece bounds it over all attempts."""
    clock = HandClock()
    network = Piecewise(clock, [0] * 99, seconds=4.0)
    with pytest.raises(DeadlineExceededError, match="cut"):
        await session_over(network, clock, timeout_seconds=10.0, retry=RetryPolicy(max_attempts=50)).fetch(
            GET, Memory()
        )
    assert clock.seconds - 1000.0 <= 10.0 + 4.0
    assert len(network.idle_seconds) <= 3


async def test_an_answer_must_begin_in_time(files: Any) -> None:
    """With what is left of the time, however long a piece may be waited for later."""
    service, session = files
    service.late = anyio.Event()
    began = anyio.current_time()
    with pytest.raises(ResponseLostError, match="nothing came"):
        await session(retry=RetryPolicy.none(), timeout_seconds=1000.0).fetch(
            GET, Memory(), deadline=HandClock().seconds + 0.05
        )
    assert anyio.current_time() - began < 100.0
    service.late.set()


async def test_a_sinks_own_error_is_the_calls(files: Any) -> None:
    """What the sink cannot take ends the call at once, as it is."""
    _, session = files

    class Full(Memory):
        async def write(self, chunk: bytes, /) -> None:
            raise IntegrityError("disk full")

    with pytest.raises(IntegrityError, match="disk full"):
        await session().fetch(GET, Full())


async def test_a_body_is_streamed_up(files: Any) -> None:
    """The pieces go out one by one with the exact length, and the server gets them whole."""
    service, session = files
    pieces = [CONTENT[start : start + 100_000] for start in range(0, len(CONTENT), 100_000)]
    request = HttpRequest(operation="firmware.create", method="POST", path="/", content=Pieces(*pieces))
    await session().call(request)
    assert service.requests[0][1] == hashlib.sha256(CONTENT).digest()


async def test_content_that_breaks_breaks_the_request_off(files: Any) -> None:
    """An error of the content is the call's error; no whole request reaches the server, and nothing is repeated."""
    service, session = files
    broken = Pieces(b"x" * 1000, error=IntegrityError("the file changed"))
    broken.size_bytes += 1000
    request = HttpRequest(operation="firmware.create", method="POST", path="/", content=broken, idempotent=False)
    with pytest.raises(IntegrityError, match="the file changed"):
        await session().call(request)
    await anyio.wait_all_tasks_blocked()
    assert hashlib.sha256(b"x" * 1000).digest() not in [digest for _, digest in service.requests]


CHECK = HttpRequest(
    operation="jobs.create",
    method="POST",
    path="/",
    idempotent=False,
    subject="the job 'x'",
    how_to_check="search for it",
)


@pytest.mark.parametrize("failure", [answer(503), ResponseLostError("cut"), TimeoutError()])
async def test_an_unclear_write_says_so(failure: Any) -> None:
    """A write whose answer is lost is sent once; the error says how to find out, and keeps what is known."""
    network = ScriptedTransport([failure, HttpResponse(status=200)])
    with pytest.raises(
        OutcomeUnknownError, match=r"the job 'x' may or may not have taken effect: .*; search for it"
    ) as caught:
        await session_over(network, HandClock()).call(CHECK)
    assert (len(network.sent), caught.value.operation, caught.value.attempts) == (1, "jobs.create", 1)
    assert caught.value.__cause__ is not None
    with pytest.raises(OutcomeUnknownError, match="the request may or may not"):
        await session_over(ScriptedTransport([failure]), HandClock()).call(POST)
