"""Calls that begin when they are due, whether or not earlier ones have ended: an open model of load."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, Final, TypeAlias, cast

import attrs

from otaclient.errors import ConfigurationError, OtaError
from otaclient.events import deliver
from otaclient.load.arrivals import Arrivals, above_zero
from otaclient.load.report import OperationReport, Report
from otaclient.load.results import CallResult
from otaclient.load.watching import Watched, watched
from otaclient.task_ends import raise_first
from otaclient.transport.clock import SYSTEM_CLOCK, Clock

__all__ = ["Call", "OpenModel", "Operation"]

Call: TypeAlias = Callable[[random.Random], Awaitable[object]]
"""Makes one call, with the draws that are its own: what it takes from them is the same for the same seed."""

_BITS_OF_SEED: Final = 64


def _not_empty(_instance: Any, _field: "attrs.Attribute[Any]", value: Any) -> None:
    if not isinstance(value, str) or not value:
        raise ConfigurationError(f"the name of an operation is {value!r}: give a text, such as 'jobs.get'")


def _count(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if not (type(value) is int and value >= 1):
        raise ConfigurationError(f"an operation's {field.name} is {value!r}: it must be a whole number from 1 up")


def _function(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if not callable(value):
        raise ConfigurationError(
            f"an operation's {field.name} is {value!r}: give an asynchronous function of one argument, its draws"
        )


@attrs.frozen
class Operation:
    """One of the things that a load test does, over and over."""

    name: str = attrs.field(validator=_not_empty)
    """What the report calls it."""
    call: Call = attrs.field(validator=_function)
    """Makes one call, such as ``lambda draws: enos.jobs.get(draws.choice(job_ids))``."""
    weight: float = attrs.field(default=1, kw_only=True, validator=above_zero("an operation's "))
    """How often it comes, in proportion to the weights of the others."""
    requests: int = attrs.field(default=1, kw_only=True, validator=_count)
    """How many requests a call may make; a further one is refused before it is sent."""


def _check_kinds(operations: Any, arrivals: Any) -> None:
    is_list = isinstance(operations, Sequence)
    if not (is_list and all(isinstance(each, Operation) for each in cast("Sequence[Any]", operations))):
        raise ConfigurationError(f"operations is {operations!r}: give a list of Operation(...)")
    if not isinstance(arrivals, Arrivals):
        raise ConfigurationError(f"arrivals is {arrivals!r}: give Arrivals.constant(...), or another of its kinds")


@attrs.frozen
class _Due:
    """A call that the plan has."""

    number: int
    at: float
    operation: Operation
    draws: random.Random


class OpenModel:
    """A load test whose calls begin when they are due, however the service fares with earlier ones.

    Each response time counts from when the call was *due*, so a service that stalls is charged with every call that
    came meanwhile (no coordinated omission). Calls use a client of :func:`open_bare`. The same seed makes the same
    requests in the same order of due times.

    Args:
        operations: What to do; each call is one of them, drawn by weight.
        arrivals: When.
        seed: What everything is drawn from: when calls are due, which they are, and what they ask for.
        max_in_flight: The most calls under way at once. A call that is due beyond that does not begin at all, and is
            reported as such: then the figures leave out the worst. ``None`` for no limit; mind the limit of open files.
        on_result: Called with what became of each call, as it ends; its exceptions are logged, never raised.
        clock: Tells the time and waits; the clients' own clock.

    Raises:
        ConfigurationError: There is no operation, two have the same name, or a number cannot be right.
    """

    def __init__(
        self,
        operations: Sequence[Operation],
        arrivals: Arrivals,
        *,
        seed: int = 1,
        max_in_flight: int | None = None,
        on_result: Callable[[CallResult], object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
    ) -> None:
        _check_kinds(operations, arrivals)
        names = [operation.name for operation in operations]
        if not names:
            raise ConfigurationError("there is no operation: a load test needs at least one")
        if twice := {name for name in names if names.count(name) > 1}:
            raise ConfigurationError(f"two operations are named {twice.pop()!r}: the report could not tell them apart")
        if max_in_flight is not None and not (type(max_in_flight) is int and max_in_flight >= 1):
            raise ConfigurationError(
                f"max_in_flight is {max_in_flight!r}: it must be a whole number from 1 up, or None for no limit"
            )
        self._operations = tuple(operations)
        self._arrivals = arrivals
        self._seed = seed
        self._max_in_flight = max_in_flight
        self._on_result = on_result
        self._clock = clock
        self._begin: float | None = None
        self._in_flight = 0
        self.report: Report = Report(
            plan=str(arrivals),
            planned_seconds=arrivals.seconds,
            seeds=(seed,),
            operations={name: OperationReport() for name in names},
        )
        """What is known so far; complete when :meth:`run` has ended."""

    async def run(self) -> Report:
        """Make all calls, wait until each has ended, and return the report.

        An :class:`~otaclient.OtaError` is a result, and goes into the report. Any other exception of an operation is a
        mistake in the test: it ends the run.

        Raises:
            ConfigurationError: It has run before.
        """
        if self._begin is not None:
            raise ConfigurationError("this load test has run already: make another OpenModel")
        self._begin = self._clock.monotonic()
        try:
            async with asyncio.TaskGroup() as calls:
                for due in self._plan():
                    # Also where it is late already: the calls under way are to have their turn.
                    await self._clock.sleep(max(0.0, due.at - self._since_begin()))
                    self._start(due, calls)
        except BaseExceptionGroup as failed:
            self._cut_short()
            raise_first(failed)
        except BaseException:
            self._cut_short()
            raise
        finally:
            self.report.elapsed_seconds = self._since_begin()
        return self.report

    def _cut_short(self) -> None:
        # Rates are those of the part that took place.
        self.report.planned_seconds = min(self.report.planned_seconds, self._since_begin())

    def _plan(self) -> Iterator[_Due]:
        # Draws of their own, so that the same calls come at another rate, too.
        times = self._arrivals.times(random.Random(f"arrivals {self._seed}"))  # noqa: S311 - equal seeds, equal tests
        draws = random.Random(f"calls {self._seed}")  # noqa: S311
        weights = list(itertools.accumulate(operation.weight for operation in self._operations))
        for number, at in enumerate(times):
            operation = draws.choices(self._operations, cum_weights=weights)[0]
            own = random.Random(draws.getrandbits(_BITS_OF_SEED))  # noqa: S311
            yield _Due(number, at, operation, own)

    def _start(self, due: _Due, calls: asyncio.TaskGroup) -> None:
        if self._max_in_flight is not None and self._in_flight >= self._max_in_flight:
            self._tell(_not_begun(due))
            return
        self._in_flight += 1
        self.report.most_in_flight = max(self.report.most_in_flight, self._in_flight)
        calls.create_task(self._call(due))

    async def _call(self, due: _Due) -> None:
        began = self._since_begin()
        error: BaseException | None = None
        with watched(due.operation.requests) as seen:
            try:
                await due.operation.call(due.draws)
            except OtaError as failure:
                error = failure
            except BaseException as failure:
                error = failure
                raise
            finally:
                self._in_flight -= 1
                self._ended(due, began, seen, error)

    def _ended(self, due: _Due, began: float, seen: Watched, error: BaseException | None) -> None:
        last = seen.attempts[-1] if seen.attempts else None
        result = CallResult(
            number=due.number,
            operation=due.operation.name,
            due=due.at,
            began=began,
            sent=seen.sent_at - self._began_at if seen.requests else None,
            ended=self._since_begin(),
            requests=seen.requests,
            service_seconds=sum(attempt.seconds for attempt in seen.attempts) if seen.attempts else None,
            status=None if last is None else last.status,
            error=None if error is None else type(error).__name__,
            request_id=None if last is None else last.request_id,
        )
        for attempt in seen.token_attempts:
            self.report.note_token(attempt)
        self._tell(result, error)

    def _tell(self, result: CallResult, error: BaseException | None = None) -> None:
        self.report.note(result, error)
        if self._on_result is not None:
            deliver(self._on_result, result)

    @property
    def _began_at(self) -> float:
        assert self._begin is not None
        return self._begin

    def _since_begin(self) -> float:
        return self._clock.monotonic() - self._began_at


def _not_begun(due: _Due) -> CallResult:
    return CallResult(
        number=due.number,
        operation=due.operation.name,
        due=due.at,
        began=None,
        sent=None,
        ended=None,
        requests=0,
        service_seconds=None,
        status=None,
        error=None,
        request_id=None,
    )
