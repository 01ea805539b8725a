"""What a scan keeps in memory while its consumer drops every row: the peak of fresh processes, by size of the fleet."""

import subprocess
import sys

from benchmarks.figures import Figure, Goal, Unit
from benchmarks.measuring import Benchmark, MeasurementError, Options
from benchmarks.serving import ROOT, PageServer

__all__ = ["BENCHMARK"]

SIZES = (10_000, 100_000, 1_000_000)
SMOKE_SIZES = (200, 1_000, 2_000)
MEBIBYTE = 1024 * 1024


def peak_bytes(endpoint: str, devices: int, dedupe: str) -> int:
    """Return the peak of a process that scans a fleet.

    Raises:
        MeasurementError: It did not read the whole fleet.
    """
    command = [sys.executable, "-m", "benchmarks.memory_probe", endpoint, str(devices), dedupe]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if done.returncode:
        raise MeasurementError(f"the scan of {devices} devices failed: {done.stderr.strip().splitlines()[-1:]}")
    rows, peak = map(int, done.stdout.split())
    if rows != devices:
        raise MeasurementError(f"the scan read {rows} rows of {devices}")
    return peak


def run(server: PageServer, options: Options) -> list[Figure]:
    """Return by how much the peak grows over the one of the smallest fleet."""
    small, middle, large = SMOKE_SIZES if options.smoke else SIZES
    endpoint = server.endpoint()
    peaks: dict[tuple[str, int], list[int]] = {}
    for _ in range(options.pairs):
        for dedupe in ("neighbours", "exact"):
            for devices in (small, middle, large):
                peaks.setdefault((dedupe, devices), []).append(peak_bytes(endpoint, devices, dedupe))

    def growth(dedupe: str, devices: int) -> list[int]:
        smallest = peaks[dedupe, small]
        return [peak - least for peak, least in zip(peaks[dedupe, devices], smallest, strict=True)]

    def neighbours(devices: int, goal: Goal | None = None) -> Figure:
        samples = tuple(grown / MEBIBYTE for grown in growth("neighbours", devices))
        name = f"dedupe neighbours, {small:,} to {devices:,} devices"
        return Figure(row="10", name=name, samples=samples, unit=Unit.MEBIBYTES, goal=goal)

    def exact(devices: int, goal: Goal | None = None) -> Figure:
        samples = tuple(grown / (devices - small) for grown in growth("exact", devices))
        name = f"dedupe exact, {small:,} to {devices:,} devices, for each device"
        return Figure(row="10", name=name, samples=samples, unit=Unit.BYTES, goal=goal)

    smallest = tuple(peak / MEBIBYTE for peak in peaks["exact", small])
    return [
        neighbours(middle),
        neighbours(large, Goal(to_reach=8, stretch=2)),
        exact(middle),
        exact(large, Goal(to_reach=160, stretch=32)),
        Figure(row="10", name=f"the whole process at {small:,} devices", samples=smallest, unit=Unit.MEBIBYTES),
    ]


BENCHMARK = Benchmark(
    name="memory",
    title="Certified EnOS scan, c=32, rows dropped: growth of the peak of resident memory",
    rows="10",
    run=run,
)
