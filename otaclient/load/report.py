"""What a load test found: figures for each operation, and whether the harness itself was in the way."""

from collections.abc import Iterable, Mapping
from typing import Any, Final, Self

import attrs

from otaclient.counted import counted
from otaclient.errors import ConfigurationError
from otaclient.events import AttemptFinished
from otaclient.histogram import Histogram
from otaclient.load.results import CallResult

__all__ = ["TOLERATED_LAG_SECONDS", "Failures", "OperationReport", "Report"]

TOLERATED_LAG_SECONDS: Final = 0.010
"""A harness that begins more than one call in a hundred later than this was a bottleneck itself."""

_LAG_PERCENT: Final = 99.0
_PERCENTILES: Final = (50.0, 90.0, 99.0, 99.9)


@attrs.define
class Failures:
    """Calls that failed in one way."""

    count: int
    example: str
    """What the first of them said."""


@attrs.define
class OperationReport:
    """The figures of one operation."""

    due: int = 0
    """Calls that the plan had."""
    not_begun: int = 0
    """Those of them that could not begin, because too many were in flight."""
    succeeded: int = 0
    requests: int = 0
    """Requests that the calls sent, those for tokens left out."""
    unseen: int = 0
    """Calls that succeeded without a request that was seen."""
    failures: dict[str, Failures] = attrs.field(factory=dict[str, Failures])
    """By the name of the error's class, with the HTTP status where there was one."""
    response: Histogram = attrs.field(factory=Histogram)
    """From when a call was due until it ended, however it did."""
    service: Histogram = attrs.field(factory=Histogram)
    """From sending to the whole answer, or to the error."""
    wait: Histogram = attrs.field(factory=Histogram)
    """From when a call was due until its request went out."""
    lag: Histogram = attrs.field(factory=Histogram)
    """From when a call was due until the harness began it, which is a part of the wait."""

    @property
    def failed(self) -> int:
        """Calls that ended with an error."""
        return sum(kind.count for kind in self.failures.values())

    @property
    def ended(self) -> int:
        """Calls that ended, however they did."""
        return self.succeeded + self.failed

    def note(self, result: CallResult, error: BaseException | None) -> None:
        """Count what became of a call."""
        self.due += 1
        if result.began is None:
            self.not_begun += 1
            return
        self.requests += result.requests
        for histogram, seconds in (
            (self.response, result.response_seconds),
            (self.service, result.service_seconds),
            (self.wait, result.wait_seconds),
            (self.lag, result.lag_seconds),
        ):
            if seconds is not None:
                histogram.record(seconds)
        if error is None:
            self.succeeded += 1
            self.unseen += result.requests == 0
        else:
            kind = type(error).__name__ + ("" if result.status is None else f" {result.status}")
            self.failures.setdefault(kind, Failures(0, str(error))).count += 1

    def add(self, other: "OperationReport") -> None:
        """Count whatever another one has counted."""
        for name in ("due", "not_begun", "succeeded", "requests", "unseen"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for kind, failures in other.failures.items():
            self.failures.setdefault(kind, Failures(0, failures.example)).count += failures.count
        for histogram, more in zip(_histograms(self).values(), _histograms(other).values(), strict=True):
            histogram.add(more)


def _histograms(report: OperationReport) -> dict[str, Histogram]:
    return {"response": report.response, "service": report.service, "wait": report.wait, "lag": report.lag}


@attrs.define(kw_only=True)
class Report:
    """What a load test found; ``str()`` of it is a table for people, :meth:`as_json` is for programs."""

    plan: str
    """When calls were to come, in words."""
    planned_seconds: float
    """For how long calls were to come, or did until the test was interrupted."""
    seeds: tuple[int, ...]
    elapsed_seconds: float = 0.0
    """Until the last call had ended."""
    most_in_flight: int = 0
    """The most calls that were under way at once."""
    operations: dict[str, OperationReport] = attrs.field(factory=dict[str, OperationReport])
    tokens: Histogram = attrs.field(factory=Histogram)
    """The service times of requests for access tokens, which calls had to make on the way."""

    # --- counting ----------------------------------------------------------------------------------------------------

    def note(self, result: CallResult, error: BaseException | None = None) -> None:
        """Count what became of a call."""
        self.operations.setdefault(result.operation, OperationReport()).note(result, error)

    def note_token(self, attempt: AttemptFinished) -> None:
        """Count a request for a token that a call had to make on the way."""
        self.tokens.record(attempt.seconds)

    @classmethod
    def merged(cls, reports: Iterable["Report"]) -> Self:
        """Return one report over the reports of several processes that ran side by side.

        Raises:
            ConfigurationError: There is none.
        """
        parts = list(reports)
        if not parts:
            raise ConfigurationError("there is no report to merge")
        made = cls(
            plan=" + ".join(part.plan for part in parts),
            planned_seconds=max(part.planned_seconds for part in parts),
            seeds=tuple(seed for part in parts for seed in part.seeds),
            elapsed_seconds=max(part.elapsed_seconds for part in parts),
            most_in_flight=sum(part.most_in_flight for part in parts),
        )
        for part in parts:
            for name, operation in part.operations.items():
                made.operations.setdefault(name, OperationReport()).add(operation)
            made.tokens.add(part.tokens)
        return made

    # --- what to think of it -----------------------------------------------------------------------------------------

    @property
    def total(self) -> OperationReport:
        """The figures of all operations together."""
        total = OperationReport()
        for operation in self.operations.values():
            total.add(operation)
        return total

    @property
    def harness_kept_up(self) -> bool:
        """Whether calls began when they were due; if not, the times say more about this machine than the service."""
        late = self.total.lag.percentile(_LAG_PERCENT)
        return late is None or late <= TOLERATED_LAG_SECONDS

    @property
    def remarks(self) -> tuple[str, ...]:
        """What is to be known before any figure is quoted, in sentences; the first is about the harness."""
        total = self.total
        remarks = [_of_the_harness(total)]
        if total.not_begun:
            remarks.append(
                f"{total.not_begun:,} of {total.due:,} calls did not begin, because max_in_flight was reached: "
                "no time tells of them, and they would have been the slowest"
            )
        if total.unseen:
            remarks.append(
                f"{counted(total.unseen, 'call')} succeeded without a request that was seen, so their service and wait "
                "are not known: call clients of otaclient.load.open_bare"
            )
        if total.requests > total.ended:
            requests, calls = counted(total.requests, "request"), counted(total.ended, "call")
            remarks.append(f"{requests} for {calls}: some operation may make several")
        if self.tokens.count:
            remarks.append(
                f"{counted(self.tokens.count, 'request')} for access tokens on the way, the longest "
                f"{_milliseconds(self.tokens.largest_seconds)}: what calls waited for them is in their wait"
            )
        return tuple(remarks)

    # --- shown -------------------------------------------------------------------------------------------------------

    def __str__(self) -> str:
        named = [*self.operations.items(), *([("all", self.total)] if len(self.operations) > 1 else [])]
        seeds = ", ".join(map(str, self.seeds))
        course = f"{self.elapsed_seconds:.1f} s until the last had ended, at most {self.most_in_flight:,} in flight"
        parts = [
            f"Calls {self.plan}; seed {seeds}. {course}.",
            _aligned([_COUNTS, *(self._counts(name, figures) for name, figures in named)]),
            _aligned([_TIMES, *(row for name, figures in named for row in _times(name, figures))]),
        ]
        failures = [
            f"{name}: {kind.count:,} x {error}, such as: {kind.example}"
            for name, figures in self.operations.items()
            for error, kind in figures.failures.items()
        ]
        return "\n\n".join([*parts, *(["\n".join(failures)] if failures else []), "\n".join(self.remarks)])

    def _counts(self, name: str, figures: OperationReport) -> tuple[str, ...]:
        elapsed = max(self.elapsed_seconds, self.planned_seconds)
        return (
            name,
            f"{figures.due:,}",
            f"{figures.not_begun:,}",
            f"{figures.failed:,}",
            f"{figures.requests:,}",
            _rate(figures.due, self.planned_seconds),
            _rate(figures.ended, elapsed),
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything as values that JSON knows; :meth:`from_json` reads it back."""
        return {
            "plan": self.plan,
            "planned_seconds": self.planned_seconds,
            "seeds": list(self.seeds),
            "elapsed_seconds": self.elapsed_seconds,
            "most_in_flight": self.most_in_flight,
            "harness_kept_up": self.harness_kept_up,
            "remarks": list(self.remarks),
            "operations": {name: _as_json(figures) for name, figures in self.operations.items()},
            "tokens": self.tokens.as_json(),
        }

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> Self:
        """Return the report that :meth:`as_json` told of.

        Raises:
            ConfigurationError: It does not tell of one.
        """
        try:
            return cls(
                plan=str(said["plan"]),
                planned_seconds=float(said["planned_seconds"]),
                seeds=tuple(said["seeds"]),
                elapsed_seconds=float(said["elapsed_seconds"]),
                most_in_flight=int(said["most_in_flight"]),
                operations={name: _from_json(figures) for name, figures in said["operations"].items()},
                tokens=Histogram.from_json(said["tokens"]),
            )
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"this is no report of a load test: {type(error).__name__} for {error}; give what as_json() returned"
            ) from error


_COUNTS: Final = ("operation", "due", "not begun", "failed", "requests", "planned/s", "ended/s")
_TIMES: Final = ("operation", "time", *(f"p{percent:g}" for percent in _PERCENTILES), "max")


def _of_the_harness(total: OperationReport) -> str:
    late = total.lag.percentile(_LAG_PERCENT)
    if late is None:
        return "no call began"
    largest = _milliseconds(total.lag.largest_seconds)
    if late <= TOLERATED_LAG_SECONDS:
        return f"the harness kept up: 99 % of calls began within {_milliseconds(late)} of when they were due"
    return (
        f"THE HARNESS WAS A BOTTLENECK: 1 % of calls began {_milliseconds(late)} late or more, at most {largest} "
        f"(tolerable: {_milliseconds(TOLERATED_LAG_SECONDS)}). The times say more about this machine than about "
        "the service: lower the rate, or share it among processes (Report.merged)"
    )


def _times(name: str, figures: OperationReport) -> list[tuple[str, ...]]:
    shown = {what: histogram for what, histogram in _histograms(figures).items() if what != "lag"}
    return [
        (
            name if what == "response" else "",
            what,
            *(_milliseconds(histogram.percentile(percent)) for percent in _PERCENTILES),
            _milliseconds(histogram.largest_seconds if histogram.count else None),
        )
        for what, histogram in shown.items()
    ]


def _rate(calls: int, seconds: float) -> str:
    return f"{calls / seconds:.1f}" if seconds else "-"


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:,.1f} ms"


def _aligned(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    texts = sum(1 for heading in rows[0] if heading in {"operation", "time"})
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )


def _as_json(figures: OperationReport) -> dict[str, Any]:
    return {
        "due": figures.due,
        "not_begun": figures.not_begun,
        "succeeded": figures.succeeded,
        "failed": figures.failed,
        "requests": figures.requests,
        "unseen": figures.unseen,
        "failures": {kind: attrs.asdict(failures) for kind, failures in figures.failures.items()},
        "milliseconds": {name: _in_milliseconds(histogram) for name, histogram in _histograms(figures).items()},
        "histograms": {name: histogram.as_json() for name, histogram in _histograms(figures).items()},
    }


def _in_milliseconds(histogram: Histogram) -> dict[str, float | None]:
    found = {f"p{percent:g}": histogram.percentile(percent) for percent in (*_PERCENTILES, 100)}
    found["mean"] = histogram.mean
    return {name: None if seconds is None else round(seconds * 1000, 3) for name, seconds in found.items()}


def _from_json(said: Mapping[str, Any]) -> OperationReport:
    return OperationReport(
        due=int(said["due"]),
        not_begun=int(said["not_begun"]),
        succeeded=int(said["succeeded"]),
        requests=int(said["requests"]),
        unseen=int(said["unseen"]),
        failures={kind: Failures(**failures) for kind, failures in said["failures"].items()},
        **{name: Histogram.from_json(said["histograms"][name]) for name in ("response", "service", "wait", "lag")},
    )
