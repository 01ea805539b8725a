"""A server on the way to an emulator that answers the requests it is set on with bytes from a script, to the letter."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs

from otaclient.emulator import Fleet
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, emulator_class
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session

_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
_TOKEN_PATHS = (b"/apim-token-service/", b"/v3/auth/tokens")
_TURN_SECONDS = 0.002
"""What a drip waits between two pieces."""


class Hold:
    """An entry of a script: send nothing more, and wait for the client to hang up."""


class Turn:
    """An entry of a script: wait for a moment, so that what follows comes apart from what was before."""


Script = Callable[[], Iterable[bytes | Hold | Turn]]
"""Makes what goes out after a request; at its end, the server hangs up."""


def answer(body: bytes, *headers: str, status: str = "200 OK") -> bytes:
    """Return a whole answer as HTTP has it."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


def is_token_request(head: bytes) -> bool:
    """Tell whether a request is for an access token."""
    return head.split(b" ", 2)[1].startswith(_TOKEN_PATHS)


class HostileServer:
    """Passes requests on to an emulator, but answers those that it is set on by a script.

    Args:
        upstream: The emulator's address.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = urlsplit(upstream)
        self._script: Script | None = None
        self._only: Callable[[bytes], bool] = is_token_request
        self._server: asyncio.Server | None = None
        self._talks: set[asyncio.Task[None]] = set()
        self.struck = 0
        """How many requests were answered by the script."""
        self.sent_bytes = 0
        """How much of scripts the client's machine has taken."""
        self.played = asyncio.Event()
        """Set when a script has come to its end, or to a hold."""

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def open_connections(self) -> int:
        """How many connections clients hold."""
        return len(self._talks)

    def set_on(self, script: Script, *, tokens: bool = False) -> None:
        """Answer every request by a script: every one for a token, or every other one."""
        self._script, self._only = script, lambda head: is_token_request(head) is tokens
        self.struck = self.sent_bytes = 0

    def calm(self) -> None:
        """Pass every request on."""
        self._script = None

    async def left_alone(self) -> None:
        """Wait until no client holds a connection."""
        await asyncio.gather(*self._talks, return_exceptions=True)

    async def __aenter__(self) -> "HostileServer":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for talk in list(self._talks):
            talk.cancel()
        await asyncio.gather(*self._talks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.get_running_loop().create_task(self._talk(reader, writer))
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1])) if length else b""
                if self._script is None or not self._only(head):
                    await self._pass_on(head, body, writer)
                    return
                self.struck += 1
                if await self._play(self._script, reader, writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.transport.abort()

    async def _play(self, script: Script, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Send what a script says; ``False`` where the connection is kept for the next request."""
        for entry in script():
            if isinstance(entry, Hold):
                self.played.set()
                # What comes next on a kept connection is another request, and nothing when the client hangs up.
                return not await _readable(reader)
            if isinstance(entry, Turn):
                await asyncio.sleep(_TURN_SECONDS)
                continue
            writer.write(entry)
            await writer.drain()
            self.sent_bytes += len(entry)
        writer.close()
        await writer.wait_closed()
        return True

    async def _pass_on(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        try:
            line, _, rest = head.partition(b"\r\n")
            up_writer.write(line + b"\r\nConnection: close\r\n" + rest + body)
            while piece := await up_reader.read(65536):
                writer.write(piece)
                await writer.drain()
            writer.close()
            await writer.wait_closed()
        finally:
            up_writer.transport.abort()


async def _readable(reader: asyncio.StreamReader) -> bool:
    """Wait for the next bytes, and leave them there; ``False`` where none come any more."""
    waited: Any = reader
    if not waited._buffer and not reader.at_eof():
        await waited._wait_for_data("hold")
    return not reader.at_eof()


@attrs.define(eq=False)
class Beset:
    """A client whose server is hostile at times."""

    vendor: str
    emulator: Any
    server: HostileServer
    network: AiohttpTransport
    client: Backend
    complaints: list[dict[str, Any]]
    """What the event loop had to say."""

    @property
    def connections_in_use(self) -> int:
        """How many connections requests hold at the moment."""
        session: Any = self.network._session
        return 0 if session is None else len(session.connector._acquired)

    async def check_usable(self) -> None:
        """Check that a good answer is taken for what it is, and nothing of earlier calls is still held."""
        assert self.connections_in_use == 0, "a call that ended holds a connection"
        self.server.calm()
        expected = next(iter(self.emulator.expected_firmware(self.client.label)))
        found = await self.client.firmware.get(expected.firmware_id)
        assert (found.firmware_id, found.version) == (expected.firmware_id, expected.version)
        assert self.connections_in_use == 0


@asynccontextmanager
async def beset(
    vendor: str,
    fleet: Fleet,
    *,
    options: TransportOptions = TransportOptions(),
    timeout_seconds: float = 20.0,
    retry: RetryPolicy | None = None,
) -> AsyncIterator[Beset]:
    """Open a client that reaches an emulator through a hostile server; in the end, check that nothing is left over."""
    loop = asyncio.get_running_loop()
    complaints: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    async with emulator_class(vendor)(fleet) as emulator, HostileServer(emulator.url) as server:
        config = emulator.config() if vendor == "enos" else emulator.config(auth="password")
        config = attrs.evolve(config, endpoint=server.url)
        if vendor == "iotda":
            config = attrs.evolve(config, credentials=attrs.evolve(config.credentials, iam_endpoint=server.url))
        network = AiohttpTransport(options, max_connections=4)
        session = Session(
            label=vendor,
            transport=network,
            clock=HandClock(),
            roll=lambda: 0.5,
            retry=RetryPolicy.none() if retry is None else retry,
            timeout_seconds=timeout_seconds,
        )
        async with backend_plugin(vendor).open(config, session) as client:
            yield Beset(vendor, emulator, server, network, client, complaints)
        async with asyncio.timeout(10):
            await server.left_alone()
    assert not complaints, complaints


def endless(*pieces: bytes, of: bytes) -> Script:
    """Return the script that never ends: some pieces, and then one piece again and again."""

    def play() -> Iterator[bytes]:
        yield from pieces
        while True:
            yield of

    return play


def dripping(*pieces: bytes, drop: bytes) -> Script:
    """Return the script that sends some pieces, and then a few bytes a moment, for ever."""

    def play() -> Iterator[bytes | Turn]:
        yield from pieces
        while True:
            yield drop
            yield Turn()

    return play


def once(*entries: bytes | Hold | Turn) -> Script:
    """Return the script of these entries."""
    return lambda: entries
