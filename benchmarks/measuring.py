"""How anything is measured here: two sides in turns, in one process, and the ratio within each pair.

A machine's speed drifts from minute to minute, but hardly within a pair, so a figure is the median of such ratios.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import attrs

from benchmarks.figures import Figure
from benchmarks.serving import PageServer

__all__ = ["Benchmark", "MeasurementError", "Options", "Read", "Sample", "Side", "awaited", "pairs_of"]


class MeasurementError(Exception):
    """What was measured is not what was meant, so the figure would mean nothing."""


@attrs.frozen(kw_only=True)
class Options:
    """How thoroughly to measure."""

    pairs: int = 11
    smoke: bool = False
    """Only find out whether everything runs."""

    def sized(self, full: int, *, smoke: int) -> int:
        """Return a size for a measurement, or the one that is enough to see it run."""
        return smoke if self.smoke else full


@attrs.frozen(kw_only=True)
class Benchmark:
    """One entry of the menu."""

    name: str
    title: str
    rows: str
    """The rows of the table of goals that it answers."""
    run: Callable[[PageServer, Options], list[Figure]]
    needs: tuple[str, ...] = ()
    """Packages of the extra ``bench`` without which it cannot run."""


@attrs.frozen
class Read:
    """What one run of a side has read."""

    rows: int
    requests: int


@attrs.frozen(kw_only=True)
class Sample:
    """What one run took, of ``Side.times`` in a row."""

    cpu_seconds: float
    wall_seconds: float
    rows: int
    requests: int

    @property
    def rows_per_second(self) -> float:
        """How fast it was."""
        return self.rows / self.wall_seconds


@attrs.frozen(kw_only=True)
class Side:
    """One of two things to compare."""

    name: str
    run: Callable[[], Read]
    rows: int
    """How many rows a run must read."""
    times: int = 1
    """How many runs make one sample: a sample should last a few hundred milliseconds."""

    def sample(self) -> Sample:
        """Run and measure.

        Raises:
            MeasurementError: A run read other than what it should.
        """
        gc.collect()  # what the other side left is not this side's to clean up
        requests = 0
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(self.times):
            read = self.run()
            requests += read.requests
            if read.rows != self.rows:
                raise MeasurementError(f"{self.name} read {read.rows} rows of {self.rows}")
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return Sample(
            cpu_seconds=cpu / self.times,
            wall_seconds=wall / self.times,
            rows=self.rows,
            requests=requests // self.times,
        )


def awaited(run: Callable[[], Awaitable[Read]]) -> Callable[[], Read]:
    """Return a side's function that runs a coroutine function on a loop of its own."""

    async def main() -> Read:
        return await run()

    return lambda: asyncio.run(main())


def pairs_of(options: Options, **sides: Side) -> list[Mapping[str, Any]]:
    """Return, for each pair, the sample of every side by its keyword; the order turns around from pair to pair.

    Raises:
        MeasurementError: See :meth:`Side.sample`.
    """
    rounds: list[Mapping[str, Sample]] = []
    warm_up = 0 if options.smoke else 1
    for number in range(options.pairs + warm_up):
        names = list(sides) if number % 2 else list(reversed(sides))
        samples = {name: sides[name].sample() for name in names}
        if number >= warm_up:
            rounds.append(samples)
    return rounds
