"""The live counters of ``otaclient emulator``: a line every so many seconds, and a summary that adds up at the end."""

import asyncio
from collections.abc import Generator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from otaclient.cli.listing import say
from otaclient.cli.progress import error_console
from otaclient.emulator import EmulatorServer
from otaclient.emulator.state import Counts, counts_of

__all__ = ["LiveCounters"]


class LiveCounters:
    """Tells what an emulator has to do.

    Args:
        emulator: The emulator.
        every_seconds: How often.
        console: Where; standard error unless given. On a terminal the line is written in place, else one below another.
    """

    def __init__(self, emulator: EmulatorServer, *, every_seconds: float, console: Console | None = None) -> None:
        emulator.traffic()  # from now on it is watched
        self._emulator = emulator
        self._every_seconds = every_seconds
        self._console = error_console() if console is None else console

    async def run(self) -> None:
        """Tell it again and again, until cancelled; the first time after so many seconds."""
        with self._place() as live:
            while True:
                await asyncio.sleep(self._every_seconds)
                if live is None:
                    say(self.line())
                else:
                    live.update(Text(self.line(), no_wrap=True, overflow="ellipsis"), refresh=True)

    @contextmanager
    def _place(self) -> Generator[Live | None]:
        if not self._console.is_terminal:
            yield None
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            yield live

    def line(self) -> str:
        """Return what goes on now."""
        traffic, counts = self._emulator.traffic(), counts_of(self._emulator)
        times = traffic.all_latencies()
        parts = [
            f"{traffic.requests_per_second():,.0f} requests/s",
            f"{counts.in_flight:,} in flight",
            f"{counts.requests:,} in all",
            f"p50 {_milliseconds(times.percentile(50))}",
            f"p99 {_milliseconds(times.percentile(99))}",
            *_named("answers", counts.statuses),
            *_named("faults", counts.struck),
        ]
        return " | ".join(parts)

    def summary(self) -> list[str]:
        """Return the lines for the end."""
        counts, times = counts_of(self._emulator), self._emulator.traffic().all_latencies()
        lines = [_sum(counts)]
        lines += [f"{name}: {text}" for name, text in _details(counts, self._emulator.served) if text]
        if times.count:
            within = [f"p{percent} {_milliseconds(times.percentile(percent))}" for percent in (50, 99)]
            lines.append(f"answered within: {', '.join(within)}, longest {_milliseconds(times.largest_seconds)}")
        return lines


def _sum(counts: Counts) -> str:
    in_flight = f" + {counts.in_flight:,} in flight" if counts.in_flight else ""
    noun = "request" if counts.requests == 1 else "requests"
    return f"{counts.requests:,} {noun} = {counts.answered:,} answered + {counts.unanswered:,} cut or left{in_flight}"


def _details(counts: Counts, served: Mapping[str, int]) -> list[tuple[str, str]]:
    return [
        ("answered", _listed(counts.statuses)),
        ("operations", _listed(dict(sorted(served.items())))),
        ("faults", _listed(counts.struck)),
    ]


def _named(noun: str, counts: Mapping[int, int] | Mapping[str, int]) -> list[str]:
    return [f"{noun} {_listed(counts)}"] if counts else []


def _listed(counts: Mapping[int, int] | Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {count:,}" for name, count in counts.items())


def _milliseconds(seconds: float | None) -> str:
    return f"{(seconds or 0.0) * 1000:,.1f} ms"
