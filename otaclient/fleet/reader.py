"""Pages of many walks, read by N workers ahead of one consumer. What waits for the consumer stays bytes."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any

import anyio
import attrs

from otaclient.errors import DeadlineExceededError, InvalidQueryError, OtaError
from otaclient.fleet.proof import Findings
from otaclient.fleet.walks import Ticket, Walk
from otaclient.protocols import Backend
from otaclient.reads import Partition, RawPage, ReadSource
from otaclient.task_ends import is_cancelled
from otaclient.transport.clock import Clock

__all__ = ["Reader", "Target", "Traffic", "Walker"]


@attrs.define(kw_only=True, eq=False)
class Target:
    """One (backend, query) pair and what came of it."""

    backend: Backend
    query: Any
    source: ReadSource[Any]
    devices: int = 0
    reads: int = 0
    outstanding: int = 0
    """Its pages that are in flight, or wait for the consumer."""
    errors: list[str] = attrs.field(factory=list[str])


@attrs.define(kw_only=True, eq=False)
class Walker:
    """One partition of a target, being read."""

    target: Target
    partition: Partition
    walk: Walk
    findings: Findings
    failed: bool = False
    total: int | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.failed or self.walk.finished


@attrs.define(kw_only=True)
class Traffic:
    """What was sent and what came, whether a walk had use for it or not."""

    requests: int = 0
    retries: int = 0
    throttles: int = 0
    bytes: int = 0

    def came(self, raw: RawPage) -> None:
        """Count an answer."""
        self.requests += raw.response.attempts + raw.other_requests
        self.retries += raw.response.attempts - 1
        self.throttles += raw.response.throttles
        self.bytes += len(raw.response.body)

    def failed(self, error: OtaError) -> None:
        """Count a read that came to an error."""
        self.requests += error.attempts + error.other_requests
        self.retries += max(0, error.attempts - 1)


class Reader:
    """Reads walks ahead of a consumer: pages in flight and pages that wait are together at most ``concurrency``.

    The targets have equal shares of that, as far as they have work, and the walks of one take turns: neither a large
    target nor a slow one holds up the others. The consumer takes the pages of each walk in the order in which the walk
    handed them out, and has the walk judge each before it takes the next.

    Args:
        walkers: What to read.
        concurrency: The bound.
        max_requests: End with an error instead of asking for more than this.
        budget: Tells, whenever a walk's total is known, whether so many can be enough.
        clock: For the deadline.
        deadline: When to give up, in seconds of the clock's ``monotonic``.
        on_failure: Takes an error of one walk, so that the others go on; ``None`` to let the first error end all.
    """

    def __init__(
        self,
        walkers: Sequence[Walker],
        *,
        concurrency: int,
        max_requests: int | None,
        budget: Callable[[], InvalidQueryError | None],
        clock: Clock,
        deadline: float,
        on_failure: Callable[[Walker, OtaError], None] | None,
    ) -> None:
        self._active = deque(walkers)
        self._targets_at_work = _targets_of(walkers)
        self._concurrency = concurrency
        self._max_requests = max_requests
        self._budget = budget
        self._clock = clock
        self._deadline = deadline
        self._on_failure = on_failure
        self._asked = 0
        self._in_flight = 0
        self._held: dict[Ticket, Walker] = {}
        self._to_look_at: deque[Walker] = deque()
        # asyncio's own events: one is made for each page, and anyio's look up the kind of the event loop each time.
        self._idle: deque[asyncio.Event] = deque()
        self._arrived = asyncio.Event()
        self._fatal: Exception | None = None
        self.traffic = Traffic()

    async def work(self) -> None:
        """Read page after page until nothing is left; the scan runs ``concurrency`` of these."""
        while not self._done:
            job = self._next_job()
            if job is None:
                turn = asyncio.Event()
                self._idle.append(turn)
                await turn.wait()
                continue
            # Each worker that found work wakes the next, so that as many run as have work.
            self._wake_one()
            await self._read(*job)

    async def pages(self) -> AsyncIterator[tuple[Walker, Ticket]]:
        """Yield the pages as they may be judged, until every walk has ended.

        The consumer calls ``walker.walk.judge`` on each before it asks for the next.

        Raises:
            DeadlineExceededError: The deadline passed.
            OtaError: Of the first walk that failed, unless failures are collected.
        """
        while True:
            if self._fatal is not None:
                raise self._fatal
            if self._clock.monotonic() >= self._deadline:
                raise DeadlineExceededError("the scan did not end within its timeout_seconds")
            if self._to_look_at:
                walker = self._to_look_at[0]
                ticket = walker.walk.next_arrived()
                if ticket is None:
                    self._to_look_at.popleft()
                    if walker.failed:
                        self._abandon(walker)
                    continue
                yield walker, ticket
                self._judged(walker, ticket)
            elif self._done:
                return
            else:
                await self._wait()

    async def _wait(self) -> None:
        """Wait until something has arrived, or the deadline has passed."""
        if self._deadline == float("inf"):  # a cancel scope for each page would cost as much as a tenth of its reading
            await self._arrived.wait()
        else:
            with anyio.move_on_after(self._deadline - self._clock.monotonic()):
                await self._arrived.wait()
        self._arrived.clear()

    @property
    def _done(self) -> bool:
        return self._fatal is not None or (not self._active and self._in_flight == 0)

    def _judged(self, walker: Walker, ticket: Ticket) -> None:
        """A page was taken, and perhaps others became useless by it: there is room for more."""
        ticket.raw = None
        self._let_go([ticket, *(held for held in self._held if held.dropped)])
        self._retire(walker)
        self._wake_one()
        if self._done:
            self._wake_all()

    def _abandon(self, walker: Walker) -> None:
        """What waits behind the page that failed will never be judged."""
        self._let_go([ticket for ticket, held_for in self._held.items() if held_for is walker])

    def _let_go(self, tickets: Iterable[Ticket]) -> None:
        for ticket in tickets:
            walker = self._held.pop(ticket, None)
            if walker is not None:
                walker.target.outstanding -= 1

    def _retire(self, walker: Walker) -> None:
        if walker.finished and walker in self._active:
            self._active.remove(walker)
            self._targets_at_work = _targets_of(self._active)

    def _next_job(self) -> tuple[Walker, Ticket] | None:
        if self._fatal is not None or self._in_flight + len(self._held) >= self._concurrency:
            return None
        # Least recently served first; but whoever has its share under way comes after those that have less, because a
        # slow vendor must not take every slot.
        share = max(1.0, self._concurrency / max(1, self._targets_at_work))
        for beyond in (False, True):
            for walker in self._active:
                if (walker.target.outstanding >= share) is not beyond:
                    continue
                ticket = walker.walk.ready()
                if ticket is not None:
                    self._active.remove(walker)
                    self._active.append(walker)
                    return self._admit(walker, ticket)
        return None

    def _admit(self, walker: Walker, ticket: Ticket) -> tuple[Walker, Ticket] | None:
        if self._max_requests is not None and self._asked >= self._max_requests:
            limit = f"max_requests={self._max_requests}"
            self._end(InvalidQueryError(f"the scan needs more requests than {limit}: raise it, or narrow the query"))
            return None
        self._asked += 1
        self._in_flight += 1
        walker.target.outstanding += 1
        return walker, ticket

    async def _read(self, walker: Walker, ticket: Ticket) -> None:
        failure: OtaError | None = None
        try:
            await self._fetch(walker, ticket)
        except OtaError as error:
            failure = error
        except Exception as error:  # noqa: BLE001 - a bug ends the scan, and the consumer raises it
            self._end(error)
        except asyncio.CancelledError as error:
            if is_cancelled():
                raise
            # The consumer's task would end as if it had been cancelled itself.
            self._end(_cancelled_elsewhere(error))
        self._in_flight -= 1
        if ticket.raw is not None and failure is None:
            self._keep(walker, ticket)
        else:
            walker.target.outstanding -= 1
            self._wake_one()
            if failure is not None and not ticket.dropped:
                self.refuse(walker, failure)
        self._retire(walker)
        self._arrived.set()
        if self._done:
            self._wake_all()

    async def _fetch(self, walker: Walker, ticket: Ticket) -> None:
        source = walker.target.source
        try:
            raw = await source.fetch(ticket.partition or walker.partition, ticket.window)
        except OtaError as error:
            self.traffic.failed(error)
            raise
        self.traffic.came(raw)
        self._asked += raw.other_requests
        if ticket.dropped:
            return
        if walker.walk.wants_facts(ticket):
            ticket.facts = source.facts(raw)
        ticket.raw = raw
        walker.walk.arrived(ticket)

    def _keep(self, walker: Walker, ticket: Ticket) -> None:
        facts = ticket.facts
        if facts is not None and facts.total is not None and ticket.partition is None:
            self._count(walker, facts.total)
        self._held[ticket] = walker
        self._look_at(walker)

    def _count(self, walker: Walker, total: int) -> None:
        is_news, walker.total = walker.total is None, total
        if is_news and self._max_requests is not None and (error := self._budget()) is not None:
            self._end(error)

    def refuse(self, walker: Walker, error: OtaError) -> None:
        """End the walk, and unless failures are collected, everything: a page failed, or cannot be read."""
        error.during(operation=walker.target.source.operation, backend=walker.target.backend.label, attempts=1)
        if self._on_failure is None:
            self._end(error)
            return
        # Its other pages may still be under way; only the first failure of a walk is news.
        if not walker.failed:
            walker.failed = True
            self._on_failure(walker, error)
            self._look_at(walker)

    def stop(self, error: Exception) -> None:
        """Read no more: a consumer that still asks for pages is told why, unless the scan has come to its end."""
        if not self._done:
            self._end(error)

    def _look_at(self, walker: Walker) -> None:
        if walker not in self._to_look_at:
            self._to_look_at.append(walker)

    def _end(self, error: Exception) -> None:
        self._fatal = self._fatal or error
        self._arrived.set()
        self._wake_all()

    def _wake_one(self) -> None:
        if self._idle:
            self._idle.popleft().set()

    def _wake_all(self) -> None:
        while self._idle:
            self._wake_one()


def _cancelled_elsewhere(cause: BaseException) -> OtaError:
    error = OtaError("what a read waited for was cancelled, though nobody left the scan")
    error.__cause__ = cause
    return error


def _targets_of(walkers: Iterable[Walker]) -> int:
    return len({id(walker.target) for walker in walkers})
