"""Use one client of each vendor, from 64 tasks, against an emulator in bad weather, and see that nothing is lost.

    PYTHONPATH=tests python -m soak --minutes 30 [--backend enos|iotda] [--seed 1]
    PYTHONPATH=tests python -m soak --short          # a few seconds, as in the tests

The time is for each backend. Prints a table; ends with 1 when something does not hold.
"""

# ruff: noqa: T201 - it talks through its output

import argparse
import asyncio
import logging
import sys

import attrs

from soak.counting import Fate
from soak.running import Outcome, Plan, soak

BACKENDS = ("enos", "iotda")


def table(outcome: Outcome) -> str:
    """Return what happened, for people."""
    calls, events = outcome.calls, outcome.events
    fates = {fate: outcome.fates.count(fate) for fate in Fate}
    lines: list[tuple[str, str]] = [
        ("calls", f"{calls.begun:,}"),
        ("  results", f"{calls.results.total():,}"),
        ("  errors", f"{calls.errors.total():,}: {_listed(calls.errors)}"),
        ("  cancelled", f"{calls.cancelled:,}"),
        ("errors of operations", _listed(calls.by_operation)),
        ("operations with results", _listed(calls.results)),
        ("attempts", f"{len(outcome.fates):,}"),
        ("  answered", f"{fates[Fate.ANSWERED]:,}"),
        ("  cut, dropped, timed out", f"{fates[Fate.BROKEN]:,}"),
        ("  refused", f"{fates[Fate.NOT_SENT]:,}"),
        ("  cancelled", f"{fates[Fate.CANCELLED]:,}"),
        ("  downloads left", f"{fates[Fate.LEFT]:,}"),
        ("requests that came in", f"{sum(outcome.service['served'].values()):,}"),
        ("faults", _listed(outcome.service["struck"])),
        ("answers", _listed(outcome.service["statuses"])),
        ("retries, throttled, tokens", f"{events.retries:,}, {events.throttles:,}, {events.tokens:,}"),
        ("most connections", f"{outcome.largest_pool}"),
        ("steps of the loop", f"{outcome.steps:,}"),
        ("longest step", f"{outcome.longest_step_seconds * 1000:.1f} ms (0 when none took 25 ms)"),
        ("longest garbage collection", f"{outcome.longest_collection_seconds * 1000:.1f} ms, which counts for no step"),
    ]
    return "\n".join(f"  {name:28} {value}" for name, value in lines)


def _listed(counts: "dict[str, int]") -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=lambda item: -item[1])) or "none"


def main() -> int:
    """Run what the arguments ask for."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--backend", choices=BACKENDS, action="append")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--short", action="store_true")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # warnings are for whoever looks after one call; here are thousands
    failed = False
    for vendor in options.backend or BACKENDS:
        plan = Plan(
            vendor=vendor, seconds=60 * options.minutes, seed=options.seed, say=lambda line: print(line, flush=True)
        )
        if options.short:
            plan = attrs.evolve(plan, seconds=3.0, windows=6, devices=600, timeout_seconds=1.0)
        print(f"{vendor}, seed {plan.seed}, {plan.seconds:g} seconds", flush=True)
        outcome = asyncio.run(soak(plan))
        print(table(outcome))
        for failure in outcome.failures:
            print(f"  FAILED: {failure}")
        print(f"  {'FAILED' if outcome.failures else 'all holds'}", flush=True)
        failed = failed or bool(outcome.failures)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
