"""What a fault plan says of the fleet: devices that come and go, and how they do their jobs."""

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from otaclient.emulator.churn import Burst, Churn
from otaclient.emulator.documents import ListOf, Record, Table, declared, declared_in
from otaclient.emulator.plan import JobPlan
from otaclient.emulator.shapes import Number, Text

__all__ = ["BurstTable", "ChurnTable", "JobTable"]

_RATE: Final = Number(at_least=0, at_most=1_000_000, example=0.5)
_SHARE: Final = Number(at_least=0, at_most=1, example=0.05)
_DURATION: Final = Number(at_least=0, at_most=31_536_000, example=30)
_PLACE: Final = Text(words='"newest", "oldest" or "any"', example="newest", pattern=re.compile("newest|oldest|any"))


@attrs.frozen(kw_only=True)
class BurstTable(Record):
    """What happens to devices all at once, before one search."""

    at_search: int = declared(
        Number(at_least=0, at_most=1_000_000_000, whole=True, example=100),
        "Before which search for devices since the churn began; the first is 0.",
    )
    leave: float = declared(_SHARE, "The share of the devices that is removed.", default=0.0)
    join: float = declared(
        Number(at_least=0, at_most=1000, example=0.5),
        "The share that is added; 9 makes ten times as many.",
        default=0.0,
    )


@attrs.frozen(kw_only=True)
class ChurnTable(Record):
    """How much the fleet moves: devices for each search that is answered, on average."""

    upgrade: float = declared(_RATE, "Devices that report another version.", default=0.0)
    leave: float = declared(_RATE, "Devices that are removed.", default=0.0)
    join: float = declared(_RATE, "Devices that are registered.", default=0.0)
    join_at: str = declared(_PLACE, "As when they are registered, among the others.", default="newest")
    rejoin: float = declared(_RATE, "Removed devices that come back to their old place.", default=0.0)
    register_again: float = declared(_RATE, "Removed devices that are registered anew.", default=0.0)
    jump: float = declared(_RATE, "Devices that move to another place in the listing.", default=0.0)
    jump_to: str = declared(_PLACE, "Which place.", default="newest")
    bursts: Sequence[BurstTable] = declared(
        ListOf(item=Table(record=BurstTable, example={"at_search": 100, "leave": 0.5})),
        "What happens all at once.",
        default=(),
        converter=tuple,
    )

    def churn(self, seed: int) -> Churn:
        """Return the churn, drawn from a seed."""
        rates: dict[str, Any] = {one.name: getattr(self, one.name) for one in declared_in(ChurnTable)}
        rates["bursts"] = [
            Burst(at_search=burst.at_search, leave=burst.leave, join=burst.join) for burst in self.bursts
        ]
        return Churn(seed=seed, **rates)


@attrs.frozen(kw_only=True)
class JobTable(Record):
    """How long devices take over jobs, and how many fail; what is left out is as it was."""

    speed: float | None = declared(
        Number(at_least=0, at_most=1_000_000, beyond=True, example=10), "How many times faster than life.", default=None
    )
    pending_seconds: float | None = declared(_DURATION, "Until the first devices are told.", default=None)
    published_seconds: float | None = declared(_DURATION, "On average, until a device begins.", default=None)
    upgrading_seconds: float | None = declared(_DURATION, "On average, until it is done.", default=None)
    stopping_seconds: float | None = declared(_DURATION, "Until a job that is stopped stands.", default=None)
    spread: float | None = declared(_SHARE, "How far single devices are from the average.", default=None)
    failing_share: float | None = declared(_SHARE, "How many of the attempts fail.", default=None)

    def plan(self, base: JobPlan) -> JobPlan:
        """Return a plan of jobs with what is said here."""
        said = {one.name: getattr(self, one.name) for one in declared_in(JobTable)}
        return attrs.evolve(base, **{name: value for name, value in said.items() if value is not None})
