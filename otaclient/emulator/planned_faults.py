"""A fault plan at work: which of its faults strikes a request, and with what."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import attrs
from aiohttp import web

from otaclient.emulator.clock import Clock
from otaclient.emulator.fault_plan import (
    AnswerFault,
    CutFault,
    DelayFault,
    DripFault,
    DropFault,
    ExpireTokensFault,
    FailFault,
    FaultPlan,
    LoseFault,
    PlannedFault,
    ThrottleFault,
    with_name,
)
from otaclient.emulator.faults import (
    AnswerWith,
    AtOnce,
    Capacity,
    CutBody,
    Drip,
    DropConnection,
    Fault,
    LoseAnswer,
    PerSecond,
    Queueing,
)
from otaclient.emulator.latency import Latencies
from otaclient.emulator.noise import Noise
from otaclient.emulator.patterns import first_match
from otaclient.emulator.planned_capacity import AtOnceCapacity, CapacityTable, PerSecondCapacity
from otaclient.emulator.shapes import DocumentError

__all__ = ["PlannedFaults", "Strikes", "Struck", "capacity_of"]

# Chances are drawn as whole numbers below this.
_CERTAIN: Final = 2**53


class Struck(Protocol):
    """What a fault needs of the service that it strikes."""

    @property
    def clock(self) -> Clock:
        """What it takes for the present."""
        ...

    def throttled(self, request: web.Request) -> web.Response:
        """Return the vendor's answer to a request that is one too many."""
        ...

    def internal_error(self, request: web.Request) -> web.Response:
        """Return the vendor's answer when its service failed."""
        ...

    def expire_tokens(self) -> None:
        """End all tokens."""
        ...


@attrs.frozen
class _Worded:
    """The request is refused in the vendor's words."""

    answer: Callable[[web.Request], web.Response]
    retry_after_seconds: int | None = None

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        response = self.answer(request)
        if self.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(self.retry_after_seconds)
        return response


@attrs.frozen
class _TokensExpire:
    expire: Callable[[], None]

    async def strike(self, request: web.Request) -> web.StreamResponse | None:  # noqa: ARG002 - the same for all
        self.expire()
        return None


@attrs.frozen
class _Planned:
    """A fault of the plan, with the delay before it."""

    kind: str
    delay_seconds: float
    clock: Clock
    fault: Fault | None

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        if self.delay_seconds:
            await self.clock.sleep(self.delay_seconds)
        return None if self.fault is None else await self.fault.strike(request)


_FAULTS: Final[Mapping[type[PlannedFault], Callable[[Any, Struck], Fault | None]]] = {
    AnswerFault: lambda planned, _: AnswerWith(
        status=planned.status, headers=planned.headers, body=planned.body.encode()
    ),
    ThrottleFault: lambda planned, service: _Worded(service.throttled, planned.retry_after_seconds),
    FailFault: lambda _, service: _Worded(service.internal_error),
    DropFault: lambda _, __: DropConnection(),
    LoseFault: lambda _, __: LoseAnswer(),
    CutFault: lambda planned, _: CutBody(planned.after_bytes),
    DripFault: lambda planned, _: Drip(piece_bytes=planned.piece_bytes, seconds=planned.piece_seconds),
    DelayFault: lambda _, __: None,
    ExpireTokensFault: lambda _, service: _TokensExpire(service.expire_tokens),
}


def capacity_of(table: CapacityTable | None) -> Capacity | None:
    """Return a new capacity as a plan has it."""
    match table:
        case None:
            return None
        case AtOnceCapacity():
            return AtOnce(
                table.limit, service_seconds=table.service_seconds, retry_after_seconds=table.retry_after_seconds
            )
        case PerSecondCapacity():
            return PerSecond(
                table.limit, service_seconds=table.service_seconds, retry_after_seconds=table.retry_after_seconds
            )
        case _:
            return Queueing(table.limit, service_seconds=table.service_seconds)


class Strikes:
    """One fault of a plan, and how it has come along.

    What it draws depends on the seed, its name, and how many requests it has seen: on no other fault.
    """

    def __init__(self, planned: PlannedFault, service: Struck, *, seed: int) -> None:
        self.planned = planned
        self.seen = 0
        """How many requests came in that its operation fits."""
        self.struck = 0
        """How many of them it struck."""
        self._noise = Noise(seed)
        self._begun_ms = service.clock.now_ms()
        self.fault: Fault = _Planned(
            planned.kind, planned.delay_seconds, service.clock, _FAULTS[type(planned)](planned, service)
        )

    def is_over(self, now_ms: int) -> bool:
        """Tell whether it will strike no more."""
        planned = self.planned
        is_used_up = planned.times is not None and self.struck >= planned.times
        is_past = planned.to_seconds is not None and now_ms - self._begun_ms >= planned.to_seconds * 1000
        return is_used_up or is_past

    def would_strike(self, now_ms: int) -> bool:
        """See one more request, and tell whether this strikes it."""
        self.seen += 1
        planned = self.planned
        if self.seen <= planned.after_requests or now_ms - self._begun_ms < planned.from_seconds * 1000:
            return False
        if self.is_over(now_ms):
            return False
        return planned.share >= 1 or self._draw() < planned.share * _CERTAIN

    def _draw(self) -> int:
        return self._noise.number(f"fault/{self.planned.name}/{self.seen}", _CERTAIN)


class PlannedFaults:
    """The plan that a service follows: its latencies, its capacity, and its faults."""

    def __init__(self, plan: FaultPlan, service: Struck, *, capacity: Capacity | None) -> None:
        self.plan = plan.named()
        self.capacity = capacity
        self.latencies = Latencies(plan.latency, seed=plan.seed)
        self.strikes: list[Strikes] = []
        self._service = service
        self._by_operation: dict[str, Sequence[Strikes]] = {}
        for planned in self.plan.faults:
            self.strikes.append(Strikes(planned, service, seed=plan.seed))

    def add(self, planned: PlannedFault) -> Strikes:
        """Let a further fault strike what those before it spare; it begins now.

        Raises:
            DocumentError: Its name is taken.
        """
        taken = [strikes.planned.name for strikes in self.strikes]
        if planned.name in taken:
            raise DocumentError(
                key="name",
                found=f'is "{planned.name}"',
                rule="another fault has that name already",
                remedy="take another name, or none",
            )
        self.strikes.append(Strikes(with_name(planned, taken), self._service, seed=self.plan.seed))
        self._changed()
        return self.strikes[-1]

    def remove(self, strikes: Strikes) -> None:
        """Take one fault away."""
        self.strikes.remove(strikes)
        self._changed()

    def remove_all(self) -> None:
        """Take all faults away; latencies and capacity stay."""
        self.strikes.clear()
        self._changed()

    def take(self, operation: str) -> Fault | None:
        """Return what strikes a request of this operation now; ``None`` where nothing does."""
        if operation not in self._by_operation:
            self._by_operation[operation] = [
                one for one in self.strikes if first_match(operation, [one.planned.operation])
            ]
        found: Strikes | None = None
        candidates = self._by_operation[operation]
        if not candidates:
            return None
        now_ms = self._service.clock.now_ms()
        for strikes in candidates:  # all of them see it: what one draws is not to depend on the others
            if strikes.would_strike(now_ms) and found is None:
                found = strikes
        if found is None:
            return None
        found.struck += 1
        return found.fault

    def _changed(self) -> None:
        self._by_operation.clear()
        self.plan = attrs.evolve(self.plan, faults=[one.planned for one in self.strikes])
