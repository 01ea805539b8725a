"""Measure everything, print the tables, and write the figures as JSON.

python -m benchmarks [--only NAME ...] [--pairs 11] [--json FILE]
python -m benchmarks --smoke        does everything run? (no figure to quote)
"""

import argparse
import json
import os
import platform
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import (
    import_time,
    latency,
    listener_cost,
    marker_scan,
    memory,
    peer_cost,
    proof_price,
    scan_cost,
    signing_cost,
)
from benchmarks.figures import Figure, as_json, table
from benchmarks.measuring import Benchmark, MeasurementError, Options
from benchmarks.serving import PageServer, page_server
from otaclient import OtaError

BENCHMARKS = (
    scan_cost.BENCHMARK,
    peer_cost.IOTDA_PEER,
    peer_cost.ENOS_PEER,
    latency.OFFICIAL_RATE,
    latency.IDEAL_WALL,
    marker_scan.BENCHMARK,
    memory.BENCHMARK,
    signing_cost.BENCHMARK,
    proof_price.BENCHMARK,
    import_time.BENCHMARK,
    listener_cost.BENCHMARK,
)
PACKAGES = ("aiohttp", "anyio", "attrs", "cattrs", "msgspec", "yarl", "requests", "huaweicloudsdkiotda")
DELAYS_MS = (0, 20, 100)
QUIET_LOAD = 0.5


def machine(server: PageServer, load: float | None) -> dict[str, Any]:
    """Return what the figures were measured on: no names, no paths."""
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "client_and_server_pinned": server.pinned,
        "load_before": load,
        "packages": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def main() -> int:
    """Measure what was asked for; 1 where anything could not be measured."""
    chosen, options, file = _arguments()
    figures: list[Figure] = []
    skipped: dict[str, str] = {}
    failed: dict[str, str] = {}
    enos_devices = options.sized(max(memory.SIZES), smoke=30_000)
    iotda_devices = options.sized(marker_scan.DEVICES, smoke=2_000)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    if load is not None and load > QUIET_LOAD and not options.smoke:
        print(f"others are busy here (load {load:.1f}): rows 6 to 9 measure wall time and look worse for it\n")
    with page_server(enos_devices=enos_devices, iotda_devices=iotda_devices, delays_ms=DELAYS_MS) as server:
        facts = machine(server, load)
        for benchmark in chosen:
            missing = [package for package in benchmark.needs if find_spec(package) is None]
            if missing:
                skipped[benchmark.name] = f"{', '.join(missing)} is not installed: pip install -e '.[bench]'"
                print(f"skipped {benchmark.name}: {skipped[benchmark.name]}\n", flush=True)
                continue
            try:
                figures += _measured(benchmark, server, options)
            except (MeasurementError, OtaError) as error:
                failed[benchmark.name] = str(error)
                print(f"FAILED {benchmark.name}: {error}\n", flush=True)
    goals = [figure for figure in figures if figure.goal is not None]
    if len(chosen) > 1 and not options.smoke:
        print(f"### All that has a goal\n\n{table(goals)}\n")
    if file is not None:
        contents = {
            "machine": facts,
            "smoke": options.smoke,
            "figures": [as_json(figure) for figure in figures],
            "skipped": skipped,
            "failed": failed,
        }
        file.write_text(json.dumps(contents, indent=2) + "\n", encoding="utf-8")
    return 1 if failed else 0


def _measured(benchmark: Benchmark, server: PageServer, options: Options) -> list[Figure]:
    print(f"measuring {benchmark.name} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    figures = benchmark.run(server, options)
    print(f"### {benchmark.title}\n\n{table(figures, judged=not options.smoke)}\n", flush=True)
    print(f"measured {benchmark.name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return figures


def _arguments() -> tuple[list[Benchmark], Options, Path | None]:
    names = [benchmark.name for benchmark in BENCHMARKS]
    listed = "\n".join(f"  {benchmark.name:22} row {benchmark.rows:7} {benchmark.title}" for benchmark in BENCHMARKS)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=(__doc__ or "").splitlines()[0],
        epilog=f"the benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=names, metavar="NAME", help="only these")
    parser.add_argument("--pairs", type=int, default=11, help="pairs that count")
    parser.add_argument("--smoke", action="store_true", help="one small pair of each: does it run?")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    given = parser.parse_args()
    if given.pairs < 1:
        parser.error(f"--pairs is {given.pairs}: it must be at least 1")
    chosen = [benchmark for benchmark in BENCHMARKS if given.only is None or benchmark.name in given.only]
    return chosen, Options(pairs=1 if given.smoke else given.pairs, smoke=given.smoke), given.json


if __name__ == "__main__":
    sys.exit(main())
