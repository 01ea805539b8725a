"""What a page costs the processor, against the clients that one would take otherwise."""

from collections.abc import Awaitable, Callable

from benchmarks.clients import enos, iotda, scan_pages
from benchmarks.figures import Figure, Goal, Unit
from benchmarks.measuring import Benchmark, Options, Read, Side, awaited, pairs_of
from benchmarks.official_client import LARGEST_PAGE, official_client
from benchmarks.serving import PageServer

__all__ = ["ENOS_PEER", "IOTDA_PEER"]

CONCURRENCY = 32
IOTDA_DEVICES = 20_000
ENOS_DEVICES = 60_000
# Ours are quicker, and a sample should last as long.
TIMES = 3


def _figure(options: Options, ours: Side, peer: Side, *, row: str, name: str, goal: Goal | None = None) -> Figure:
    pairs = pairs_of(options, ours=ours, peer=peer)
    # Both sides read the same devices, so this holds for a page of them, too.
    samples = tuple(pair["ours"].cpu_seconds / pair["peer"].cpu_seconds for pair in pairs)
    return Figure(row=row, name=name, samples=samples, unit=Unit.SHARE, goal=goal)


def _ours(options: Options, devices: int, scan: Callable[[], Awaitable[Read]]) -> Side:
    return Side(name="our scan", run=awaited(scan), rows=devices, times=options.sized(TIMES, smoke=1))


def against_the_official_client(server: PageServer, options: Options) -> list[Figure]:
    """Return the processor time for a page of IoTDA devices as a share of the official client's."""
    devices = options.sized(IOTDA_DEVICES, smoke=1_000)
    endpoint, goal = server.endpoint(), Goal(to_reach=1 / 6, stretch=1 / 9)

    def scan(*, certify: bool) -> Side:
        return _ours(
            options,
            devices,
            lambda: scan_pages(
                iotda(endpoint, devices, concurrency=CONCURRENCY), concurrency=CONCURRENCY, certify=certify
            ),
        )

    def figure(name: str, ours: Side, peer: Side, goal: Goal | None = None) -> Figure:
        return _figure(options, ours, peer, row="4", name=name, goal=goal)

    with official_client(endpoint, devices) as official:
        markers = official.markers(devices // LARGEST_PAGE)
        one_by_one = Side(
            name="the official client", run=lambda: official.one_by_one(devices // LARGEST_PAGE), rows=devices
        )
        in_threads = Side(name="the official client, 8 threads", run=lambda: official.in_threads(markers), rows=devices)
        return [
            figure("against huaweicloudsdkiotda, sync", scan(certify=False), one_by_one, goal=goal),
            figure("against huaweicloudsdkiotda, async (8 threads)", scan(certify=False), in_threads, goal=goal),
            figure("certified, against huaweicloudsdkiotda, sync", scan(certify=True), one_by_one),
        ]


def against_requests(server: PageServer, options: Options) -> list[Figure]:
    """Return the processor time for a page of EnOS devices as a share of what ``requests.Session`` takes."""
    from benchmarks.requests_peer import read_with_requests  # needs the extra

    devices = options.sized(ENOS_DEVICES, smoke=1_000)
    endpoint, goal = server.endpoint(), Goal(to_reach=1 / 2.5, stretch=1 / 3.5)
    peer = Side(name="requests.Session", run=lambda: read_with_requests(endpoint, devices), rows=devices)

    def scan(*, certify: bool) -> Side:
        return _ours(
            options,
            devices,
            lambda: scan_pages(
                enos(endpoint, devices, concurrency=CONCURRENCY), concurrency=CONCURRENCY, certify=certify
            ),
        )

    def figure(name: str, ours: Side, goal: Goal | None = None) -> Figure:
        return _figure(options, ours, peer, row="5", name=name, goal=goal)

    return [
        figure("to models, against requests.Session to dicts", scan(certify=False), goal),
        figure("certified to models, against requests.Session to dicts", scan(certify=True)),
    ]


IOTDA_PEER = Benchmark(
    name="official-client-cost",
    title="Signed IoTDA device scan, c=32: processor time for a page, against the official client",
    rows="4",
    run=against_the_official_client,
    needs=("huaweicloudsdkiotda",),
)
ENOS_PEER = Benchmark(
    name="requests-cost",
    title="Signed EnOS device scan, c=32: processor time for a page, against requests",
    rows="5",
    run=against_requests,
    needs=("requests",),
)
