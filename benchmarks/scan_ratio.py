"""What a scan costs beyond reading the same pages with bare aiohttp, as a ratio of the two in one run.

Both sides ask one page server, in a process of its own, for the same pages with the same concurrency, in turns. Each
pair gives one ratio of processor time; the median of the pairs is the figure, because a machine's speed drifts from
minute to minute, but hardly within a pair.

    python benchmarks/scan_ratio.py [--pairs 11] [--devices 40000] [--concurrency 32] [--json FILE]
    python benchmarks/scan_ratio.py --smoke        does it run? (no figure to quote)
"""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import aiohttp
from page_server import PAGE_SIZE

import otaclient
from otaclient import DeviceUpgradeQuery, Limits, RetryPolicy
from otaclient_enos import EnosConfig

SEARCH = "/connect-service/v2.1/ota-firmwares?action=searchDeviceUpgrade&orgId=o1"
Side = Callable[[], Awaitable[int]]


async def bare(endpoint: str, pages: int, concurrency: int) -> int:
    """Read every page with aiohttp alone and throw the bytes away; returns the pages read."""
    numbers = iter(range(1, pages + 1))
    read = 0

    async def work(session: aiohttp.ClientSession) -> None:
        nonlocal read
        for number in numbers:
            body = b'{"pagination":{"pageNo":%d,"pageSize":%d}}' % (number, PAGE_SIZE)
            async with session.post(endpoint + SEARCH, data=body) as response:
                await response.read()
            read += 1

    connector = aiohttp.TCPConnector(limit=concurrency)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
        await asyncio.gather(*(work(session) for _ in range(concurrency)))
    return read


async def scanned(endpoint: str, devices: int, concurrency: int, *, by_row: bool) -> int:
    """Scan the same devices to models, signed, each device once; returns the devices seen."""
    config = EnosConfig(endpoint=endpoint, org_id="o1", app_key="k", app_secret="s")  # noqa: S106 - a page server's
    limits = Limits(concurrency=concurrency)
    async with otaclient.open_backend("enos", config=config, retry=RetryPolicy.none(), limits=limits) as enos:
        targets = [(enos, DeviceUpgradeQuery())]
        async with otaclient.scan(targets, concurrency=concurrency, certify=False) as scan:
            if by_row:
                return sum([1 async for _ in scan])
            return sum([len(page) async for page in scan.pages()])
    raise AssertionError(f"{devices} devices: unreachable")


async def cpu_seconds(side: Side, expected: int) -> float:
    """Return the processor time of one run, and check that it read everything."""
    before = time.process_time()
    found = await side()
    spent = time.process_time() - before
    if found != expected:
        raise SystemExit(f"read {found} of {expected}: the figure would mean nothing")
    return spent


async def measure(endpoint: str, options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Return, for each way of scanning, the quartiles of its ratio to the bare loop."""
    pages = -(-options.devices // PAGE_SIZE)
    figures: dict[str, dict[str, float]] = {}
    for name, by_row in (("scan, pages", False), ("scan, row by row", True)):
        ratios: list[float] = []
        for pair in range(options.pairs + 1):
            floor = await cpu_seconds(lambda: bare(endpoint, pages, options.concurrency), pages)
            ours = await cpu_seconds(
                lambda rows=by_row: scanned(endpoint, options.devices, options.concurrency, by_row=rows),
                options.devices,
            )
            if pair:  # the first pair warms up
                ratios.append(ours / floor)
        low, middle, high = statistics.quantiles(ratios, n=4) if len(ratios) > 1 else [ratios[0]] * 3
        figures[name] = {"lower_quartile": low, "median": middle, "upper_quartile": high, "pairs": len(ratios)}
    return figures


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--pairs", type=int, default=11, help="pairs that count")
    parser.add_argument("--devices", type=int, default=40_000, help="devices in the fleet")
    parser.add_argument("--concurrency", type=int, default=32, help="pages in flight")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--smoke", action="store_true", help="one small pair: does it run?")
    options = parser.parse_args()
    if options.smoke:
        options.pairs, options.devices = 1, 1_010
    if hasattr(os, "sched_setaffinity") and len(os.sched_getaffinity(0)) > 1:
        mine, its, *_ = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {its})  # inherited by the server, which keeps it
    else:
        mine = None
    script = Path(__file__).with_name("page_server.py")
    with subprocess.Popen([sys.executable, str(script), str(options.devices)], stdout=subprocess.PIPE) as server:  # noqa: S603 - our own script
        if mine is not None:
            os.sched_setaffinity(0, {mine})
        try:
            assert server.stdout is not None
            endpoint = f"http://127.0.0.1:{int(server.stdout.readline())}"
            figures = asyncio.run(measure(endpoint, options))
        finally:
            server.terminate()
    print(f"{options.devices:,} devices, pages of {PAGE_SIZE}, concurrency {options.concurrency}")
    print("processor time, as a multiple of a bare aiohttp read loop over the same pages:")
    for name, figure in figures.items():
        low, middle, high = figure["lower_quartile"], figure["median"], figure["upper_quartile"]
        print(f"  {name:18} {middle:5.2f}   (quartiles {low:.2f} to {high:.2f}, {figure['pairs']:.0f} pairs)")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
