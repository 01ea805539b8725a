"""Paging by marker looks serial: how much faster than a walk the certified scan is, and what requests it takes."""

from benchmarks.clients import iotda, scan_pages
from benchmarks.figures import Figure, Goal
from benchmarks.measuring import Benchmark, Options, Read, Side, awaited, pairs_of
from benchmarks.serving import PageServer
from otaclient import DeviceUpgradeQuery

__all__ = ["BENCHMARK"]

DEVICES = 100_000
PAGE_SIZE = 50
DELAY_MS = 20
# A tenth of the walk, which takes as long for every page, stands for the 43 s of the whole.
WALKED_PAGES = 200
# Beyond this concurrency one marker's documented offsets are used up, and the scan splits by time of registration.
OFFSETS_OF_A_MARKER = 11
RANGES = 32


async def serial_walk(endpoint: str, devices: int, pages: int) -> Read:
    """Walk the first pages one after another, to models."""
    rows = 0
    async with iotda(endpoint, devices, concurrency=1) as backend:
        walk = backend.devices.search(DeviceUpgradeQuery()).pages(page_size=PAGE_SIZE)
        for _ in range(pages):
            rows += len((await anext(walk)).items)
    return Read(rows, pages)


def run(server: PageServer, options: Options) -> list[Figure]:
    """Return the speed-up over the serial walk, and the requests over the least possible."""
    devices, pages = options.sized(DEVICES, smoke=2_000), options.sized(WALKED_PAGES, smoke=10)
    least, endpoint = -(-devices // PAGE_SIZE), server.endpoint(delay_ms=DELAY_MS)

    def scan(concurrency: int) -> Side:
        return Side(
            name=f"our certified scan, c={concurrency}",
            run=awaited(lambda: scan_pages(iotda(endpoint, devices, concurrency=concurrency), concurrency=concurrency)),
            rows=devices,
        )

    rounds = pairs_of(
        options,
        walk=Side(
            name="the serial walk",
            run=awaited(lambda: serial_walk(endpoint, devices, pages)),
            rows=pages * PAGE_SIZE,
        ),
        offsets=scan(OFFSETS_OF_A_MARKER),
        ranges=scan(RANGES),
    )

    def speed_up(row: str, side: str, name: str, goal: Goal) -> Figure:
        samples = tuple(samples[side].rows_per_second / samples["walk"].rows_per_second for samples in rounds)
        return Figure(row=row, name=f"{name}: times as fast as the serial walk", samples=samples, goal=goal)

    def requests(row: str, side: str, name: str, goal: Goal | None = None) -> Figure:
        samples = tuple(samples[side].requests / least for samples in rounds)
        return Figure(row=row, name=f"{name}: requests, of the least possible", samples=samples, goal=goal)

    return [
        speed_up("8", "offsets", "offsets only, c=11", Goal(to_reach=9.5, stretch=10.8, at_least=True)),
        requests("8", "offsets", "offsets only, c=11"),
        speed_up("9", "ranges", "time ranges, c=32", Goal(to_reach=20, stretch=26, at_least=True)),
        requests("9", "ranges", "time ranges, c=32", Goal(to_reach=1.10, stretch=1.05)),
    ]


BENCHMARK = Benchmark(
    name="marker-scan",
    title="IoTDA, 100,000 devices in bursts, 20 ms an answer: certified scan against the serial marker walk",
    rows="8-9",
    run=run,
)
