"""A page server that costs next to nothing: EnOS device pages, encoded beforehand, served by a bare protocol.

Run as its own process, so that what is measured is the client. It prints its port on the first line.

    python benchmarks/page_server.py DEVICES
"""

import asyncio
import json
import re
import sys

PAGE_SIZE = 200
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)
_PAGE_NUMBER = re.compile(rb'"pageNo":(\d+)')


def device(number: int) -> dict[str, object]:
    """Return one row as the vendor documents it."""
    return {
        "orgId": "o15475466766371",
        "assetId": f"{number * 2654435761 % 2**40:08x}",
        "productKey": "8UhOTwV5",
        "deviceKey": f"pump-{number:07d}",
        "firmwareVersion": f"2.{number % 7}",
        "isUpgrading": number % 50 == 0,
    }


def answer(value: object) -> bytes:
    """Return a whole HTTP answer."""
    body = json.dumps(value, separators=(",", ":")).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def page(number: int, devices: int) -> bytes:
    """Return the answer to a search for one page."""
    first = (number - 1) * PAGE_SIZE
    pagination = {"sortedBy": None, "pageNo": number, "pageSize": PAGE_SIZE, "totalSize": devices}
    rows = [device(row) for row in range(first, min(first + PAGE_SIZE, devices))]
    return answer({"code": 0, "msg": "OK", "requestId": f"r-{number}", "data": rows, "pagination": pagination})


class PageProtocol(asyncio.Protocol):
    """One kept-alive connection."""

    def __init__(self, pages: dict[int, bytes], token: bytes) -> None:
        self._pages = pages
        self._token = token
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._received, 0, end)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            request, self._received = self._received[:whole], self._received[whole:]
            wanted = _PAGE_NUMBER.search(request)
            self._transport.write(self._pages[int(wanted[1])] if wanted else self._token)


async def main(devices: int) -> None:
    """Serve until killed."""
    pages = {number: page(number, devices) for number in range(1, devices // PAGE_SIZE + 2)}
    token = answer({"status": 0, "msg": "SUCCESS", "data": {"accessToken": "token", "expire": 7200}})
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: PageProtocol(pages, token), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
