"""What an emulator has done so far, as numbers that add up: for the control API and for the command's counters."""

from typing import Any, Final

import attrs

from otaclient.emulator.fault_plan import FAULT
from otaclient.emulator.planned_faults import Strikes
from otaclient.emulator.vendor import EmulatedVendor
from otaclient.histogram import Histogram

__all__ = ["Counts", "counts_of", "state_of", "strikes_state", "times_state"]

_PERCENTILES: Final = {"p50_seconds": 50, "p90_seconds": 90, "p99_seconds": 99, "p999_seconds": 99.9}


@attrs.frozen(kw_only=True)
class Counts:
    """The requests of an emulator: ``requests`` is ``answered``, ``unanswered`` and ``in_flight`` together."""

    requests: int
    answered: int
    unanswered: int
    """They ended without an answer, or in the middle of one: a fault cut them, or the client went."""
    in_flight: int
    statuses: dict[int, int]
    """How many answers of each status; together ``answered``."""
    struck: dict[str, int]
    """How often a fault of each kind struck."""


def counts_of(emulator: EmulatedVendor) -> Counts:
    """Return the counts of an emulator since its start, or since they were reset."""
    traffic = emulator.traffic()
    return Counts(
        requests=emulator.served.total(),
        answered=emulator.statuses.total(),
        unanswered=traffic.unanswered,
        in_flight=traffic.in_flight.total(),
        statuses=dict(sorted(emulator.statuses.items())),
        struck=dict(sorted(emulator.struck.items())),
    )


def state_of(emulator: EmulatedVendor) -> dict[str, Any]:
    """Return what an emulator has done since its start, or since the counters were reset, as JSON has it."""
    traffic, fleet, counts = emulator.traffic(), emulator.fleet, counts_of(emulator)
    now_ms = emulator.clock.now_ms()
    return {
        "vendor": emulator.vendor,
        "uptime_seconds": round(traffic.uptime_seconds, 3),
        "counted_seconds": round(traffic.counted_seconds, 3),
        "fleet": {
            "devices": len(fleet.devices.listing),
            "products": len(fleet.products),
            "seed": fleet.seed,
        },
        "requests": {
            "total": counts.requests,
            "answered": counts.answered,
            "unanswered": counts.unanswered,
            "in_flight": counts.in_flight,
            "per_second": round(traffic.requests_per_second(), 3),
            "by_operation": dict(sorted(emulator.served.items())),
            "in_flight_by_operation": dict(sorted(traffic.in_flight.items())),
        },
        "answers": {str(status): count for status, count in counts.statuses.items()},
        "struck": counts.struck,
        "faults": [strikes_state(strikes, now_ms) for strikes in emulator.planned.strikes],
        "faults_queued_by_tests": len(emulator.faults),
        "latency": {
            "all": times_state(traffic.all_latencies()),
            "by_operation": {name: times_state(times) for name, times in sorted(traffic.latencies.items())},
        },
    }


def times_state(times: Histogram) -> dict[str, Any]:
    """Return how many times there are, and their mean, some percentiles and the longest; 0 where there is none."""
    shown = {name: times.percentile(percent) or 0.0 for name, percent in _PERCENTILES.items()}
    seconds = {"mean_seconds": times.mean or 0.0, **shown, "max_seconds": times.largest_seconds}
    return {"count": times.count, **{name: round(value, 6) for name, value in seconds.items()}}


def strikes_state(strikes: Strikes, now_ms: int) -> dict[str, Any]:
    """Return one fault of a plan, and how it has come along."""
    return {
        **FAULT.written(strikes.planned),
        "seen": strikes.seen,
        "struck": strikes.struck,
        "is_over": strikes.is_over(now_ms),
    }
