"""Bytes from one connection to another, for what stands between a client and a service."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

__all__ = ["Talk", "piped", "talking"]

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
_AT_ONCE = 65536


@asynccontextmanager
async def talking(talk: Talk, **options: Any) -> AsyncIterator[int]:
    """Serve on a free port of loopback, each connection with ``talk``, and give the port; all of them end with it."""
    tasks: set[asyncio.Task[None]] = set()

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            # A client that goes away in the middle is none of a server's business.
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await talk(reader, writer)
        finally:
            tasks.discard(task)
            writer.close()

    server = await asyncio.start_server(held, "127.0.0.1", 0, **options)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(tuple(tasks))


async def piped(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, port: int, sent: bytearray | None = None
) -> None:
    """Carry bytes to a port of loopback and back until either side ends; ``sent`` gets those on their way there."""
    there, back = await asyncio.open_connection("127.0.0.1", port)

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter, copy: bytearray | None) -> None:
        while chunk := await source.read(_AT_ONCE):
            if copy is not None:
                copy += chunk
            sink.write(chunk)
            await sink.drain()

    ways = [asyncio.create_task(carry(reader, back, sent)), asyncio.create_task(carry(there, writer, None))]
    try:
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        back.close()
