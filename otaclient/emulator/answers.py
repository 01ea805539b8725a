"""How answers go out: whole, compressed, in pieces, or broken off where a fault says so."""

import zlib
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from otaclient.emulator.clock import Clock
from otaclient.emulator.faults import cut_after_bytes, drip_of, is_lost

__all__ = ["Answering"]

# Below this an answer fits into one network packet anyhow.
_SMALLEST_COMPRESSED_BYTES: Final = 1400
# The fastest level: it already makes a page of devices five times smaller.
_COMPRESSION_LEVEL: Final = 1
_GZIP_CONTAINER: Final = 16 + zlib.MAX_WBITS


class Answering:
    """What sends an emulator's answers."""

    clock: Clock
    """What a body that drips is timed by."""
    compress: bool
    """Whether large answers are compressed for clients that accept it."""

    async def in_pieces(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """Send an answer that a handler has made as a fault wants it, and return what was sent."""
        body = response.body if isinstance(response, web.Response) else None
        if not isinstance(body, bytes):  # none, or the handler has streamed it already
            return response
        headers = {name: value for name, value in response.headers.items() if name != "Content-Length"}
        return await self.stream(request, [body], size_bytes=len(body), status=response.status, headers=headers)

    def answer(
        self,
        request: web.Request,
        body: bytes,
        *,
        status: int = HTTPStatus.OK,
        content_type: str = "application/json;charset=UTF-8",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Return an answer with this body, compressed where that pays and the client accepts it."""
        sent = {"Content-Type": content_type, **(headers or {})}
        if self.compress and len(body) >= _SMALLEST_COMPRESSED_BYTES and _accepts_gzip(request):
            compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP_CONTAINER)
            body = compressor.compress(body) + compressor.flush()
            sent["Content-Encoding"] = "gzip"
        return web.Response(body=body, status=status, headers=sent)

    async def stream(
        self,
        request: web.Request,
        chunks: Iterable[bytes],
        *,
        size_bytes: int,
        status: int = HTTPStatus.OK,
        headers: Mapping[str, str],
    ) -> web.StreamResponse:
        """Send an answer whose body comes in pieces, of so many bytes in all, and return it."""
        response = web.StreamResponse(status=status, headers=headers)
        if is_lost(request):
            return response  # the connection is cut soon, and nothing of this is to arrive
        response.content_length = size_bytes
        await response.prepare(request)
        left, drip = cut_after_bytes(request), drip_of(request)
        for chunk in chunks if drip is None else _split(chunks, drip.piece_bytes):
            if drip is not None:
                await self.clock.sleep(drip.seconds)
            if left is not None and left < len(chunk):
                await response.write(chunk[:left])
                request.protocol.force_close()  # what was written before still arrives
                return response
            await response.write(chunk)
            left = None if left is None else left - len(chunk)
        await response.write_eof()
        return response


def _split(chunks: Iterable[bytes], size: int) -> Iterator[bytes]:
    for chunk in chunks:
        for first in range(0, len(chunk), size):
            yield chunk[first : first + size]


def _accepts_gzip(request: web.Request) -> bool:
    """Return whether the client says that it can read a gzip answer."""
    for item in request.headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, parameter = item.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return parameter.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
