"""An HTTP proxy as companies have them: it tunnels https, forwards http, may ask who one is, and may be broken."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import attrs

from support.piping import piped, talking

__all__ = ["ForwardProxy", "proxying"]

_HOP_BY_HOP = (b"proxy-authorization:", b"proxy-connection:")


@attrs.define
class ForwardProxy:
    """What a proxy does, and what it saw.

    Every host is taken for this machine, so that names which exist nowhere can be asked for.
    """

    wanted: str | None = None
    """The value that ``Proxy-Authorization`` must have."""
    answer: bytes | None = None
    """What is answered in the place of everything else; ``b""`` hangs up."""
    url: str = ""
    heads: list[bytes] = attrs.field(factory=list)
    """The requests to the proxy itself, without their bodies."""
    tunnelled: bytearray = attrs.field(factory=bytearray)
    """All that went into tunnels."""

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if self.answer is not None:
            writer.write(self.answer)
            await writer.drain()
        elif not self._is_let_through(head):
            writer.write(
                b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=proxy\r\n"
                b"Content-Length: 0\r\nConnection: close\r\n\r\n"
            )
            await writer.drain()
        elif method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            await piped(reader, writer, port=int(target.rpartition(":")[2]), sent=self.tunnelled)
        else:
            await _forward(head, target, reader, writer)

    def _is_let_through(self, head: bytes) -> bool:
        return self.wanted is None or f"proxy-authorization: {self.wanted}".lower() in head.decode().lower()


async def _forward(head: bytes, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Carry one request to where it is addressed, without what is meant for the proxy."""
    parts = urlsplit(target)
    there, back = await asyncio.open_connection("127.0.0.1", parts.port or 80)
    path = target.split(parts.netloc, 1)[1] or "/"
    first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
    kept = [line for line in lines if not line.lower().startswith((*_HOP_BY_HOP, b"connection:"))]
    line = b" ".join((first.split(b" ")[0], path.encode(), b"HTTP/1.1"))
    length = next((int(line.split(b":")[1]) for line in kept if line.lower().startswith(b"content-length:")), 0)
    back.write(b"\r\n".join((line, *kept, b"Connection: close", b"", await reader.readexactly(length))))
    while chunk := await there.read(65536):
        writer.write(chunk)
    back.close()
    await writer.drain()


@asynccontextmanager
async def proxying(**options: Any) -> AsyncIterator[ForwardProxy]:
    """Run a proxy."""
    proxy = ForwardProxy(**options)
    async with talking(proxy.talk) as port:
        proxy.url = f"http://127.0.0.1:{port}"
        yield proxy
