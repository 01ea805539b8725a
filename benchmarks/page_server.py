"""A page server that costs next to nothing: device pages of both vendors over a bare protocol.

Run as its own process, so that what is measured is the client. It prints its ports on the first line, by delay.
How many devices a fleet has is part of who asks: the EnOS organisation ``o1000`` and the IoTDA project ``p1000`` have a
thousand. Signatures are not looked at.

    python -m benchmarks.page_server ENOS_DEVICES IOTDA_DEVICES DELAY_MS...
"""

import asyncio
import json
import re
import sys
import time
from collections import deque
from functools import partial

from benchmarks.listings import EnosListing, IotdaListing

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ENOS_FLEET = re.compile(rb"[?&]orgId=o(\d+)")
_PAGE_NUMBER = re.compile(rb'"pageNo": ?(\d+)')
_PAGE_SIZE = re.compile(rb'"pageSize": ?(\d+)')
_IOTDA_PAGE = re.compile(rb"GET /v5/iot/p(\d+)/devices(?:\?([^ ]*))? ")
_TOKEN = b'{"status":0,"msg":"SUCCESS","data":{"accessToken":"page-server-token","expire":7200}}'


class Pages:
    """What is served, and how often it was."""

    def __init__(self, enos: EnosListing, iotda: IotdaListing) -> None:
        self._enos = enos
        self._iotda = iotda
        self._requests = 0

    def answer(self, request: bytes) -> bytes:
        """Return the body for a whole request."""
        number = _PAGE_NUMBER.search(request)
        if number is not None:
            self._requests += 1
            size, fleet = _PAGE_SIZE.search(request), _ENOS_FLEET.search(request)
            assert size is not None
            assert fleet is not None
            return self._enos.page(int(number[1]), int(size[1]), int(fleet[1]))
        page = _IOTDA_PAGE.match(request)
        if page is not None:
            self._requests += 1
            pairs = (pair.partition("=") for pair in (page[2] or b"").decode().split("&"))
            return self._iotda.page({name: value for name, _, value in pairs}, int(page[1]))
        if request.startswith(b"GET /requests "):
            return b"%d" % self._requests
        return _TOKEN


class Postponed:
    """Answers that wait; all wait equally long, so they leave in the order in which they came.

    While any waits the loop does not sleep: the system's timers would be up to a millisecond late, which at 20 ms would
    be an error of 5 %. The server has a core of its own to do so.
    """

    def __init__(self, delay_ms: int) -> None:
        self._delay = delay_ms / 1000
        self._waiting: deque[tuple[float, asyncio.Transport, bytes]] = deque()

    def send(self, transport: asyncio.Transport, answer: bytes) -> None:
        """Send an answer when it is due."""
        if not self._delay:
            transport.write(answer)
            return
        self._waiting.append((time.monotonic() + self._delay, transport, answer))
        if len(self._waiting) == 1:
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        while self._waiting and self._waiting[0][0] <= now:
            _, transport, answer = self._waiting.popleft()
            if not transport.is_closing():
                transport.write(answer)
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._look)


class PageProtocol(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, pages: Pages, postponed: Postponed) -> None:
        self._pages = pages
        self._postponed = postponed
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _CONTENT_LENGTH.search(self._received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            request, self._received = self._received[:whole], self._received[whole:]
            body = self._pages.answer(request)
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
            self._postponed.send(self._transport, head + body)


async def serve(pages: Pages, delays_ms: list[int]) -> None:
    """Serve until standard input ends: then whoever started this is gone."""
    loop = asyncio.get_running_loop()
    ports: dict[int, int] = {}
    for delay_ms in delays_ms:
        postponed = Postponed(delay_ms)
        connected = partial(PageProtocol, pages, postponed)
        server = await loop.create_server(connected, "127.0.0.1", 0, backlog=512)
        ports[delay_ms] = server.sockets[0].getsockname()[1]
    print(json.dumps(ports), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    enos_devices, iotda_devices, *delays = map(int, sys.argv[1:])
    asyncio.run(serve(Pages(EnosListing(enos_devices), IotdaListing(iotda_devices)), delays))
