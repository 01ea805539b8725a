"""A connection on which something comes that nobody asked for is not used again: it answers nothing that comes next."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest
from otaclient.transport.options import TransportOptions


def _answer(body: str) -> bytes:
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()


class Server:
    """Answers each request with its number, and the first one twice."""

    def __init__(self) -> None:
        self.connections = 0
        self.requests = 0
        self.second_sent = asyncio.Event()
        self.second_may_go = asyncio.Event()
        self.at_once = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                self.requests += 1
                number = self.requests
                writer.write(_answer(f"answer {number}"))
                if number == 1:
                    if not self.at_once:
                        await self.second_may_go.wait()
                    writer.write(_answer("a second one"))
                    await writer.drain()
                    self.second_sent.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@pytest.fixture
async def served() -> AsyncIterator[tuple[Server, str]]:
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1")
    async with listening:
        yield server, f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("at_once", [True, False], ids=["with the first", "while nobody asks"])
async def test_a_second_answer_is_never_that_to_the_next_request(served: tuple[Server, str], at_once: bool) -> None:
    """Whether it comes with the first one, or when the connection has gone back to the pool."""
    server, endpoint = served
    server.at_once = at_once
    transport = AiohttpTransport(TransportOptions(), max_connections=1)
    request = HttpRequest(operation="jobs.get", method="GET", path="/")
    first = await transport.send(request, endpoint=endpoint, timeout_seconds=5)
    server.second_may_go.set()
    await server.second_sent.wait()
    # What a socket holds, the loop learns of when it next looks.
    for _ in range(3):
        await asyncio.sleep(0)
    second = await transport.send(request, endpoint=endpoint, timeout_seconds=5)
    third = await transport.send(request, endpoint=endpoint, timeout_seconds=5)
    assert (first.body, second.body, third.body) == (b"answer 1", b"answer 2", b"answer 3")
    assert server.connections == 2, "and a good connection is kept"
    await transport.aclose()
