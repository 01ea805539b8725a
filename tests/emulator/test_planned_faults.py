"""A fault plan at work over both vendors: what the client meets, and how plans follow each other while it runs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from otaclient.emulator import (
    AnswerFault,
    AtOnce,
    AtOnceCapacity,
    ChurnTable,
    Constant,
    CutFault,
    DelayFault,
    DocumentError,
    DripFault,
    DropFault,
    ExpireTokensFault,
    FailFault,
    FaultPlan,
    Fleet,
    JobTable,
    LatencyTable,
    LoseFault,
    PerSecondCapacity,
    PlannedFault,
    QueueingCapacity,
    ThrottleFault,
    Uniform,
)
from otaclient.errors import OtaError, PayloadError, RateLimitedError, ResponseLostError, ServerError
from otaclient.queries import FirmwareQuery, JobQuery
from otaclient.testing import HandClock, emulator_of, serve
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy

FLEET = Fleet.generate(devices=60)
VENDORS = ["enos", "iotda"]


class Hurry:
    """An emulator's clock that moves on at once wherever somebody waits, and remembers for how long.

    Unless it is to stand still: then who waits waits until the test lets the time pass.
    """

    def __init__(self, hand: HandClock) -> None:
        self._hand = hand
        self.slept: list[float] = []
        self.stands = False
        self.somebody_waits = asyncio.Event()

    def now_ms(self) -> int:
        """Return the time that the client has."""
        return self._hand.service.now_ms()

    async def sleep(self, seconds: float) -> None:
        """Let the time pass, or wait for it."""
        self.slept.append(seconds)
        await asyncio.sleep(0)
        if self.stands:
            self.somebody_waits.set()
            await self._hand.service.sleep(seconds)
        else:
            self._hand.advance(seconds)


@attrs.define
class Stage:
    emulator: Any
    backend: Any
    clock: Hurry
    hand: HandClock

    async def ask(self) -> str:
        """Ask for a job that exists, and return what became of it."""
        try:
            await self.backend.jobs.search(JobQuery()).first(1)
        except OtaError as error:
            return type(error).__name__
        return "ok"


@asynccontextmanager
async def stage(vendor: str, plan: FaultPlan | None = None) -> AsyncIterator[Stage]:
    """An emulator with a plan, and a client that sends exactly one request a call."""
    hand = HandClock()
    clock = Hurry(hand)
    emulator = emulator_of(vendor, FLEET, clock=clock, fault_plan=plan)
    async with serve(vendor, emulator, clock=hand) as service:
        await service.backend.authenticate()
        clock.slept.clear()
        bare = service.backend.with_options(retry=RetryPolicy.none(), limits=Limits.unlimited())
        yield Stage(emulator, bare, clock, hand)


# --- over both vendors, through the client ---------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("fault", "outcome"),
    [
        (AnswerFault(status=502, headers={"Content-Type": "text/html"}, body="<html>bad"), ServerError),
        (AnswerFault(status=200, body="{]"), PayloadError),
        (AnswerFault(status=204, body="nothing has a body"), PayloadError),
        (ThrottleFault(), RateLimitedError),
        (FailFault(), ServerError),
        (DropFault(), ResponseLostError),
        (LoseFault(), ResponseLostError),
        (CutFault(after_bytes=3), ResponseLostError),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
async def test_the_client_meets_the_fault(vendor: str, fault: PlannedFault, outcome: type[Exception]) -> None:
    """Each kind is what its name says, once; then all is well. What struck is counted."""
    plan = FaultPlan(faults=[attrs.evolve(fault, operation="jobs.search", times=1)])
    async with stage(vendor, plan) as on:
        assert await on.ask() == outcome.__name__
        assert await on.ask() == "ok"
        assert on.emulator.struck == {fault.kind: 1}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_goes_on_to_the_service_is_answered(vendor: str) -> None:
    """A body that drips and a request that is held are whole in the end; expired tokens are renewed."""
    plan = FaultPlan(
        faults=[
            DripFault(operation="jobs.search", piece_bytes=500, piece_seconds=0.5, times=1),
            DelayFault(operation="jobs.search", delay_seconds=7, times=1),
            ExpireTokensFault(operation="jobs.search", times=1),
        ]
    )
    async with stage(vendor, plan) as on:
        assert await on.ask() == "ok"
        assert set(on.clock.slept) == {0.5}
        on.clock.slept.clear()
        assert await on.ask() == "ok"
        assert on.clock.slept == [7]
        tokens = on.emulator.served["token.get"]
        await on.ask()
        assert await on.ask() == "ok"
        # IoTDA's client signs its requests here: it has no token that could end.
        assert on.emulator.served["token.get"] == tokens + (vendor == "enos")
        assert on.emulator.struck == {"drip": 1, "delay": 1, "expire-tokens": 1}


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_throttled_answer_advises_when_to_come_again(vendor: str) -> None:
    """Where the plan says so, in a fault and in the capacity."""
    faults = [ThrottleFault(operation="jobs.search", retry_after_seconds=17, times=1)]
    capacity = PerSecondCapacity(limit=1, retry_after_seconds=3)
    async with stage(vendor, FaultPlan(faults=faults, capacity=capacity)) as on:
        for advice, kinds in ((17, {"throttle": 1}), (3, {"throttle": 1, "capacity": 1})):
            with pytest.raises(RateLimitedError) as refused:
                while True:
                    await on.backend.jobs.search(JobQuery()).first(1)
            assert refused.value.retry_after_seconds == advice
            assert on.emulator.struck == kinds


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_lost_answer_was_a_deed(vendor: str) -> None:
    """The service does what it was asked, and only the answer is lost; dropped before, it does nothing."""
    async with stage(vendor) as on:
        victims = [record.firmware_id async for record in on.backend.firmware.search(FirmwareQuery())]
        count = len(on.emulator.fleet.firmware)
        for fault, left in ((DropFault(), count), (LoseFault(), count - 1)):
            on.emulator.follow(FaultPlan(faults=[attrs.evolve(fault, operation="firmware.delete")]))
            with pytest.raises(OtaError):
                await on.backend.firmware.delete(victims[0])
            assert len(on.emulator.fleet.firmware) == left


@pytest.mark.parametrize("vendor", VENDORS)
async def test_requests_take_the_time_of_their_operation(vendor: str) -> None:
    """A request is delayed by a fault first; then it takes a place, and holds it for as long as it is worked on."""
    plan = FaultPlan(
        latency=LatencyTable(default=Constant(seconds=1), operations={"jobs.*": Uniform(from_seconds=2, to_seconds=3)}),
        capacity=AtOnceCapacity(limit=1, service_seconds=0.25),
        faults=[DelayFault(operation="jobs.search", delay_seconds=0.5)],
    )
    async with stage(vendor, plan) as on:
        assert await on.ask() == "ok"
        delay, service, latency = on.clock.slept[:3]
        assert (delay, service) == (0.5, 0.25)
        assert 2 <= latency <= 3


@pytest.mark.parametrize("vendor", VENDORS)
async def test_latency_holds_a_place(vendor: str) -> None:
    """While one request is worked on, one more is throttled at once; tokens take their time, and no place."""
    plan = FaultPlan(latency=LatencyTable(default=Constant(seconds=60)), capacity=AtOnceCapacity(limit=1))
    async with stage(vendor) as on:
        on.emulator.follow(plan)
        on.clock.stands = True
        first = asyncio.create_task(on.ask())
        await on.clock.somebody_waits.wait()
        on.clock.somebody_waits.clear()
        await on.clock.somebody_waits.wait()  # the capacity's own time is none, the latency a minute
        assert await on.ask() == "RateLimitedError"
        assert not first.done()
        on.clock.stands = False
        on.hand.advance(60)
        assert await first == "ok"


# --- following plans -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_plan_can_be_changed_while_it_runs(vendor: str) -> None:
    """What is as before goes on as it is; the empty plan ends everything, and gives back what was there before."""
    emulator = emulator_of(vendor, FLEET)
    own = emulator.engine.plan
    capacity, churn, jobs = QueueingCapacity(limit=3), ChurnTable(leave=1), JobTable(speed=50)
    emulator.follow(FaultPlan(capacity=capacity, churn=churn, jobs=jobs))
    serving, turnover = emulator.planned.capacity, emulator.fleet._turnover
    assert emulator.engine.plan == attrs.evolve(own, speed=50)
    emulator.follow(FaultPlan(capacity=capacity, churn=churn, jobs=JobTable(speed=60), faults=[DropFault()]))
    assert emulator.planned.capacity is serving
    assert emulator.fleet._turnover is turnover
    assert emulator.engine.plan == attrs.evolve(own, speed=60)
    emulator.follow(FaultPlan(seed=4, capacity=QueueingCapacity(limit=4), churn=churn))
    assert emulator.planned.capacity is not serving
    assert emulator.fleet._turnover is not turnover
    assert emulator.engine.plan == own
    emulator.follow(FaultPlan())
    assert emulator.planned.capacity is None
    devices = len(emulator.fleet.devices.listing)
    emulator.fleet.pass_search()
    assert len(emulator.fleet.devices.listing) == devices
    assert emulator.fault_plan == FaultPlan()


def test_a_plan_without_churn_leaves_the_churn_of_the_fleet_alone() -> None:
    """So it does with the plan of jobs."""
    fleet = FLEET.copy()
    fleet.start_churn(ChurnTable(leave=1).churn(1))
    turnover = fleet._turnover
    emulator = emulator_of("enos", FLEET)
    emulator.fleet = fleet
    emulator.follow(FaultPlan(faults=[DropFault()]))
    assert fleet._turnover is turnover


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_plan_for_another_vendor_is_refused(vendor: str) -> None:
    """What it names must exist here, and nothing has changed when it does not; also at the beginning."""
    foreign = {"enos": "modules.get", "iotda": "firmware.download"}[vendor]
    emulator = emulator_of(vendor, FLEET)
    for plan in (
        FaultPlan(capacity=AtOnceCapacity(limit=1), faults=[DropFault(), DropFault(operation=foreign)]),
        FaultPlan(latency=LatencyTable(operations={foreign: Constant(seconds=1)})),
    ):
        with pytest.raises(DocumentError, match=r"must fit an operation of this emulator: devices.*search"):
            emulator.follow(plan)
        with pytest.raises(ValueError, match="must fit an operation of this emulator"):
            emulator_of(vendor, FLEET, fault_plan=plan)
    assert emulator.fault_plan == FaultPlan()


async def test_tests_come_first() -> None:
    """What a test queues strikes before the plan does, and its capacity stands in the place of the plan's."""
    plan = FaultPlan(capacity=PerSecondCapacity(limit=1), faults=[FailFault(operation="jobs.search")])
    async with stage("enos", plan) as on:
        on.emulator.faults.drop("jobs.search")
        assert await on.ask() == "ResponseLostError"
        assert await on.ask() == "ServerError"
        on.emulator.faults.capacity = AtOnce(100)
        on.emulator.planned.remove_all()
        assert [await on.ask() for _ in range(3)] == ["ok"] * 3
        on.emulator.faults.clear()
        assert "RateLimitedError" in [await on.ask() for _ in range(3)]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_operations_of_a_vendor_are_those_that_it_counts(vendor: str) -> None:
    """Every route has its operation in the list, and the list has none that no route has."""
    emulator = emulator_of(vendor, FLEET)
    if vendor == "iotda":
        found = {row[2] for row in emulator._operations.table()} | {"jobs.tasks", "token.get"}
    else:
        found = {action.operation for actions in emulator._resources.values() for action in actions.values()}
        found |= {"firmware.download", "token.get", "token.refresh"}
    assert emulator.operations == found | {"other"}
