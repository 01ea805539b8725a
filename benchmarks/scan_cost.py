"""What a scan of EnOS costs beyond reading the same pages: by page and by record, with and without proof."""

from collections.abc import Awaitable, Callable
from functools import partial

from benchmarks.bare_loop import bare_loop
from benchmarks.clients import enos, scan_pages, scan_rows
from benchmarks.figures import Figure, Goal
from benchmarks.measuring import Benchmark, Options, Read, Side, awaited, pairs_of
from benchmarks.serving import PageServer
from otaclient import Backend

__all__ = ["BENCHMARK"]

CONCURRENCY = 32
DEVICES = 100_000
# A sample should last a few hundred milliseconds, and the floor is quick.
FLOOR_TIMES = 3


def run(server: PageServer, options: Options) -> list[Figure]:
    """Return processor time as a multiple of the bare loop's, for the same devices, also those that are read twice."""
    devices, endpoint = options.sized(DEVICES, smoke=2_050), server.endpoint()
    floor = Side(
        name="the bare loop",
        run=awaited(lambda: bare_loop(endpoint, devices, concurrency=CONCURRENCY)),
        rows=devices,
        times=options.sized(FLOOR_TIMES, smoke=1),
    )

    def figure(row: str, name: str, scan: Callable[[Backend], Awaitable[Read]], goal: Goal | None = None) -> Figure:
        reading = awaited(lambda: scan(enos(endpoint, devices, concurrency=CONCURRENCY)))
        pairs = pairs_of(options, floor=floor, ours=Side(name=name, run=reading, rows=devices))
        samples = tuple(pair["ours"].cpu_seconds / pair["floor"].cpu_seconds for pair in pairs)
        return Figure(row=row, name=name, samples=samples, goal=goal)

    pages = partial(scan_pages, concurrency=CONCURRENCY)
    rows = partial(scan_rows, concurrency=CONCURRENCY)
    neighbours = "duplicates looked for among neighbours only"
    return [
        figure("1", "pages, no proof", partial(pages, certify=False), Goal(to_reach=2.75, stretch=2.05)),
        figure("1", f"pages, no proof, {neighbours}", partial(pages, certify=False, dedupe="neighbours")),
        figure("2", "pages, certified, exact dedupe", pages, Goal(to_reach=3.5, stretch=2.5)),
        figure("2", f"pages, certified, {neighbours}", partial(pages, dedupe="neighbours")),
        figure("3", "record by record, certified, exact dedupe", rows, Goal(to_reach=4, stretch=3)),
        figure("3", "record by record, no proof", partial(rows, certify=False)),
    ]


BENCHMARK = Benchmark(
    name="scan-cost",
    title="EnOS scan to models, c=32: processor time against a bare aiohttp read loop over the same devices",
    rows="1-3",
    run=run,
)
