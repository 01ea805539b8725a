"""The floor: aiohttp at its best reads the same pages and throws the bytes away."""

import asyncio

import aiohttp
from yarl import URL

from benchmarks.measuring import Read

__all__ = ["PAGE_SIZE", "bare_loop"]

PAGE_SIZE = 200


async def bare_loop(endpoint: str, devices: int, *, concurrency: int) -> Read:
    """Read all EnOS device pages once: no cookies, no timers, no URL to parse, no signature, nothing decoded."""
    url = URL(
        f"{endpoint}/connect-service/v2.1/ota-firmwares?action=searchDeviceUpgrade&orgId=o{devices}", encoded=True
    )
    pages = -(-devices // PAGE_SIZE)
    numbers = iter(range(1, pages + 1))
    read = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal read
        for number in numbers:
            body = b'{"pagination":{"pageNo":%d,"pageSize":%d}}' % (number, PAGE_SIZE)
            async with session.post(url, data=body) as response:
                await response.read()
            read += 1

    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=concurrency),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    ) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return Read(devices if read == pages else read * PAGE_SIZE, read)
