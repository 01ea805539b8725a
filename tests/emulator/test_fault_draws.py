"""Which requests a planned fault strikes: by seed, by operation, by number and by time."""

from typing import Any

import attrs

from otaclient.emulator import (
    AtOnce,
    AtOnceCapacity,
    CutFault,
    DropFault,
    FailFault,
    FaultPlan,
    ManualClock,
    PerSecond,
    PerSecondCapacity,
    Queueing,
    QueueingCapacity,
)
from otaclient.emulator.fault_plan import FAULT
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.planned_faults import PlannedFaults, capacity_of


class Words:
    """As much of a service as faults need."""

    def __init__(self) -> None:
        self.clock = ManualClock(DEFAULT_NOW)
        self.throttled: Any = None
        self.internal_error: Any = None
        self.expire_tokens: Any = None


def struck(plan: FaultPlan, operations: list[str]) -> list[str | None]:
    """Return by which fault each of these requests is struck."""
    planned = PlannedFaults(plan, Words(), capacity=None)
    names = {id(strikes.fault): strikes.planned.name for strikes in planned.strikes}
    return [None if (fault := planned.take(operation)) is None else names[id(fault)] for operation in operations]


def test_equal_seeds_and_requests_meet_equal_faults() -> None:
    """A share is drawn from the seed; another seed strikes others, about as many."""
    plan = FaultPlan(seed=1, faults=[DropFault(share=0.3)])
    requests = ["jobs.get"] * 2000
    first = struck(plan, requests)
    assert first == struck(plan, requests)
    assert first != struck(attrs.evolve(plan, seed=2), requests)
    assert 520 < sum(name is not None for name in first) < 680


def test_what_a_fault_draws_depends_on_no_other() -> None:
    """With another fault before it, it strikes the same requests, but for those that the other struck."""
    alone = struck(FaultPlan(faults=[DropFault(name="a", share=0.3)]), ["jobs.get"] * 500)
    both = struck(
        FaultPlan(faults=[FailFault(name="b", share=0.2), DropFault(name="a", share=0.3)]), ["jobs.get"] * 500
    )
    assert [one if two != "b" else "b" for one, two in zip(alone, both, strict=True)] == both
    assert {"a", "b", None} == set(both)


def test_a_fault_strikes_its_operations_only() -> None:
    """The first that strikes a request strikes alone."""
    plan = FaultPlan(faults=[DropFault(operation="jobs.*"), FailFault(operation="jobs.get"), CutFault(after_bytes=1)])
    assert struck(plan, ["jobs.get", "devices.search", "jobs.search"]) == ["drop-1", "cut-1", "drop-1"]


def test_a_fault_begins_after_so_many_requests_and_ends_after_so_many_times() -> None:
    """Both count the requests that its operation fits."""
    plan = FaultPlan(faults=[DropFault(operation="jobs.get", after_requests=2, times=3)])
    requests = ["jobs.get", "other"] * 7
    assert [name is not None for name in struck(plan, requests)[::2]] == [False, False, True, True, True, False, False]


def test_a_fault_has_its_time() -> None:
    """By the emulator's clock, since the plan began: from the first moment on, and before the last."""
    service = Words()
    planned = PlannedFaults(FaultPlan(faults=[DropFault(from_seconds=10, to_seconds=20)]), service, capacity=None)
    seen = []
    for _ in range(5):
        seen.append((planned.take("jobs.get") is not None, planned.strikes[0].is_over(service.clock.now_ms())))
        service.clock.advance(5)
    assert seen == [(False, False), (False, False), (True, False), (True, False), (False, True)]


def test_a_fault_that_came_alone_begins_when_it_came() -> None:
    """Its requests and its time are counted from then on; the others go on as they were."""
    service = Words()
    planned = PlannedFaults(FaultPlan(faults=[DropFault(times=1)]), service, capacity=None)
    assert planned.take("jobs.get") is not None
    assert planned.take("jobs.get") is None
    service.clock.advance(100)
    added = planned.add(DropFault(from_seconds=1, after_requests=1))
    assert added.planned.name == "drop-2"
    assert planned.take("jobs.get") is None
    service.clock.advance(1)
    assert planned.take("jobs.get") is added.fault
    assert [strikes.struck for strikes in planned.strikes] == [1, 1]
    planned.remove(added)
    assert planned.take("jobs.get") is None
    assert [fault.name for fault in planned.plan.faults] == ["drop-1"]
    planned.remove_all()
    assert planned.plan == FaultPlan()


def test_every_kind_of_fault_is_made() -> None:
    """No kind that a plan may have is forgotten where they strike."""
    examples: dict[str, dict[str, Any]] = {
        "answer": {"status": 200},
        "cut": {"after_bytes": 1},
        "drip": {"piece_bytes": 1, "piece_seconds": 1},
        "delay": {"delay_seconds": 1},
    }
    faults: list[Any] = [record(**examples.get(record.kind, {})) for record in FAULT.records]
    planned = PlannedFaults(FaultPlan(faults=faults), Words(), capacity=None)
    assert len(planned.strikes) == len(FAULT.records) == 9


def test_every_kind_of_capacity_is_made() -> None:
    """With its limit and its other numbers."""
    assert capacity_of(None) is None
    for table, kind in (
        (AtOnceCapacity(limit=3, retry_after_seconds=4), AtOnce),
        (PerSecondCapacity(limit=3, retry_after_seconds=4), PerSecond),
        (QueueingCapacity(limit=3), Queueing),
    ):
        made = capacity_of(table)
        assert type(made) is kind
        assert made.limit == 3
        assert made.retry_after_seconds == getattr(table, "retry_after_seconds", None)
