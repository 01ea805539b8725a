"""How fast a scan is where every answer takes its time: against the official client, and against what is possible."""

from collections.abc import Awaitable, Callable

from benchmarks.bare_loop import PAGE_SIZE, bare_loop
from benchmarks.clients import enos, iotda, scan_pages
from benchmarks.figures import Figure, Goal
from benchmarks.measuring import Benchmark, Options, Read, Side, awaited, pairs_of
from benchmarks.official_client import LARGEST_PAGE, official_client
from benchmarks.serving import PageServer

__all__ = ["IDEAL_WALL", "OFFICIAL_RATE"]

IOTDA_DEVICES = 100_000
ENOS_PAGES = 4_000
# Enough for a second or two: what the official client reads a second does not depend on how much there is.
PAGES_ONE_BY_ONE = 80
PAGES_IN_THREADS = 400


def against_the_official_client(server: PageServer, options: Options) -> list[Figure]:
    """Return IoTDA records a second as a multiple of the official client's, at 20 ms for each answer."""
    devices, concurrency = options.sized(IOTDA_DEVICES, smoke=2_000), 32
    endpoint = server.endpoint(delay_ms=20)
    ours = Side(
        name="our certified scan",
        run=awaited(lambda: scan_pages(iotda(endpoint, devices, concurrency=concurrency), concurrency=concurrency)),
        rows=devices,
    )
    few = options.sized(PAGES_ONE_BY_ONE, smoke=4)
    with official_client(endpoint, devices) as official:
        markers = official.markers(options.sized(PAGES_IN_THREADS, smoke=16))
        one_by_one = Side(name="the official client", run=lambda: official.one_by_one(few), rows=few * LARGEST_PAGE)
        in_threads = Side(
            name="the official client, 8 threads",
            run=lambda: official.in_threads(markers),
            rows=len(markers) * LARGEST_PAGE,
        )
        peers = (
            ("sync", one_by_one, Goal(to_reach=25, stretch=30, at_least=True)),
            ("async (8 threads)", in_threads, Goal(to_reach=4, stretch=5, at_least=True)),
        )
        return [
            Figure(
                row="6",
                name=f"20 ms, certified, against huaweicloudsdkiotda, {name}",
                samples=tuple(
                    pair["ours"].rows_per_second / pair["peer"].rows_per_second
                    for pair in pairs_of(options, ours=ours, peer=peer)
                ),
                goal=goal,
            )
            for name, peer, goal in peers
        ]


def against_the_ideal(server: PageServer, options: Options) -> list[Figure]:
    """Return EnOS wall time as a multiple of pages x latency / concurrency; the bare loop's shows what is possible."""
    return [
        figure
        for delay_ms, concurrency in ((20, 32), (100, 128))
        for figure in _against_the_ideal(server, options, delay_ms=delay_ms, concurrency=concurrency)
    ]


def _against_the_ideal(server: PageServer, options: Options, *, delay_ms: int, concurrency: int) -> list[Figure]:
    pages, endpoint = options.sized(ENOS_PAGES, smoke=concurrency), server.endpoint(delay_ms=delay_ms)
    devices, ideal = pages * PAGE_SIZE, pages * delay_ms / 1000 / concurrency

    async def scanned(*, certify: bool) -> Read:
        return await scan_pages(
            enos(endpoint, devices, concurrency=concurrency), concurrency=concurrency, certify=certify
        )

    def side(name: str, run: Callable[[], Awaitable[Read]]) -> Side:
        return Side(name=name, run=awaited(run), rows=devices)

    rounds = pairs_of(
        options,
        plain=side("our scan", lambda: scanned(certify=False)),
        proved=side("our certified scan", lambda: scanned(certify=True)),
        floor=side("the bare loop", lambda: bare_loop(endpoint, devices, concurrency=concurrency)),
    )
    goal = Goal(to_reach=1.10, stretch=1.05)
    return [
        Figure(
            row="7",
            name=f"{delay_ms} ms, c={concurrency}: {name}",
            samples=tuple(samples[side].wall_seconds / ideal for samples in rounds),
            goal=held,
        )
        for side, name, held in (
            ("plain", "pages, no proof", goal),
            ("proved", "pages, certified", None),
            ("floor", "the bare aiohttp loop", None),
        )
    ]


OFFICIAL_RATE = Benchmark(
    name="official-client-rate",
    title="Signed IoTDA device scan, c=32, 20 ms an answer: records a second against the official client",
    rows="6",
    run=against_the_official_client,
    needs=("huaweicloudsdkiotda",),
)
IDEAL_WALL = Benchmark(
    name="ideal-wall",
    title="EnOS device scan with slow answers: wall time against pages x latency / concurrency",
    rows="7",
    run=against_the_ideal,
)
