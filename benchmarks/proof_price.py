"""How many requests the proof costs while nothing moves."""

from benchmarks.clients import enos, scan_pages
from benchmarks.figures import Figure, Goal
from benchmarks.measuring import Benchmark, MeasurementError, Options, Read, Side, awaited, pairs_of
from benchmarks.serving import PageServer

__all__ = ["BENCHMARK"]

CONCURRENCY = 32
DEVICES = 100_000


def run(server: PageServer, options: Options) -> list[Figure]:
    """Return the requests of a certified scan as a multiple of a plain one's, as the server counts them."""
    devices, endpoint = options.sized(DEVICES, smoke=2_050), server.endpoint()

    def side(name: str, *, certify: bool) -> Side:
        async def counted() -> Read:
            before = server.requests()
            read = await scan_pages(
                enos(endpoint, devices, concurrency=CONCURRENCY), concurrency=CONCURRENCY, certify=certify
            )
            served = server.requests() - before
            if served != read.requests:
                raise MeasurementError(f"{name}: the certificate says {read.requests} requests, the server {served}")
            return read

        return Side(name=name, run=awaited(counted), rows=devices)

    pairs = pairs_of(
        options, proved=side("the certified scan", certify=True), plain=side("the plain scan", certify=False)
    )
    samples = tuple(pair["proved"].requests / pair["plain"].requests for pair in pairs)
    goal = Goal(to_reach=1.13, stretch=1.10)
    return [Figure(row="12", name="requests, certified against plain", samples=samples, goal=goal)]


BENCHMARK = Benchmark(
    name="proof-price",
    title="EnOS scan without drift, 100,000 devices, pages of 200: requests of the proof",
    rows="12",
    run=run,
)
