"""Faults that strike after a write took effect, and one that lets it take effect later."""

import asyncio
from http import HTTPStatus

import attrs
from aiohttp import web
from aiohttp.streams import StreamReader


async def kept_whole(request: web.Request) -> None:
    """Keep all of a request, also of one in several parts, so that it can be carried out without its connection."""
    body = await request.read()
    reader = StreamReader(request.protocol, 2**16, loop=asyncio.get_running_loop())
    reader.feed_data(body)
    reader.feed_eof()
    request._payload = reader


async def _carried_out(request: web.Request) -> web.StreamResponse:
    return await request.match_info.handler(request)


@attrs.frozen
class CutAfterCommit:
    """The service does it, and the connection is cut before the answer."""

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Do it and hang up; the answer returned goes nowhere."""
        await _carried_out(request)
        request.protocol.force_close()
        return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)


@attrs.frozen
class CutAnswer:
    """The service does it, and the connection is cut in the middle of its answer."""

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Do it, send a beginning, and hang up."""
        await _carried_out(request)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = 500
        await response.prepare(request)
        await response.write(b'{"code":0,')
        request.protocol.force_close()
        return response


@attrs.frozen
class AnswerAfterCommit:
    """The service does it, and a gateway answers something else in its place."""

    status: int = HTTPStatus.BAD_GATEWAY
    body: bytes = b"<html>bad gateway</html>"

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Do it, and give the other answer."""
        await _carried_out(request)
        return web.Response(status=self.status, body=self.body)


class CommitLater:
    """A gateway gives up, and the service does it only when the test says so."""

    def __init__(self) -> None:
        self._waiting: list[web.Request] = []

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Keep the request, whole, and answer in the gateway's name."""
        await kept_whole(request)
        self._waiting.append(request)
        return web.Response(status=HTTPStatus.GATEWAY_TIMEOUT)

    async def commit(self) -> None:
        """Let the service do what it was asked."""
        waiting, self._waiting = self._waiting, []
        await asyncio.gather(*map(_carried_out, waiting))


@attrs.frozen
class CommitFirst:
    """What was to be done later is done now, just before the request that this strikes."""

    late: CommitLater

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Let that happen, and the service answer."""
        await self.late.commit()
        return None
