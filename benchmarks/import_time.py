"""How long it takes to import the library, against the libraries that it stands on, each in a fresh interpreter."""

import subprocess
import sys

from benchmarks.figures import Figure, Goal
from benchmarks.measuring import Benchmark, Options
from benchmarks.serving import PageServer

__all__ = ["BENCHMARK"]

FLOOR = "import aiohttp, attrs, cattrs, msgspec"
OURS = "import otaclient"
WITH_BACKENDS = "import otaclient, otaclient_enos, otaclient_iotda"


def cpu_seconds(statement: str) -> float:
    """Return the processor time of a statement in a fresh interpreter, without the interpreter's own start."""
    code = f"import time; began = time.process_time(); {statement}; print(time.process_time() - began)"
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    return float(done.stdout)


def run(_server: PageServer, options: Options) -> list[Figure]:
    """Return our import as a multiple of the others'."""
    statements = (FLOOR, OURS, WITH_BACKENDS)
    for statement in statements:
        cpu_seconds(statement)  # compiles what was not compiled yet
    rounds = [
        {statement: cpu_seconds(statement) for statement in (statements if number % 2 else statements[::-1])}
        for number in range(options.pairs)
    ]

    def figure(statement: str, goal: Goal | None = None) -> Figure:
        samples = tuple(times[statement] / times[FLOOR] for times in rounds)
        return Figure(row="import", name=f"`{statement}`", samples=samples, goal=goal)

    return [figure(OURS, Goal(to_reach=1.3)), figure(WITH_BACKENDS)]


BENCHMARK = Benchmark(
    name="import-time",
    title=f"Import in a fresh interpreter: processor time against `{FLOOR}`",
    rows="import",
    run=run,
)
