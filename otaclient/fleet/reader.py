"""Pages of many walks, read by N workers ahead of one consumer. What waits for the consumer stays bytes."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import anyio
import attrs

from otaclient.errors import DeadlineExceededError, InvalidQueryError, OtaError
from otaclient.fleet.plan import Walk
from otaclient.protocols import Backend
from otaclient.reads import Partition, RawPage, ReadSource, Window
from otaclient.transport.clock import Clock

__all__ = ["Reader", "Target", "Walker"]


@attrs.define(kw_only=True, eq=False)
class Target:
    """One (backend, query) pair and what came of it."""

    backend: Backend
    query: Any
    source: ReadSource[Any]
    devices: int = 0
    reads: int = 0
    errors: list[str] = attrs.field(factory=list[str])


@attrs.define(kw_only=True, eq=False)
class Walker:
    """One partition of a target, being read."""

    target: Target
    partition: Partition
    walk: Walk
    failed: bool = False
    total: int | None = None

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""
        return self.failed or self.walk.finished


class Reader:
    """Reads walks ahead of a consumer: pages in flight and pages that wait are together at most ``concurrency``.

    The walks take turns, so a large target does not starve a small one.

    Args:
        walkers: What to read.
        concurrency: The bound.
        max_requests: End with an error instead of asking for more pages than this.
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
        clock: Clock,
        deadline: float,
        on_failure: Callable[[Walker, OtaError], None] | None,
    ) -> None:
        self._active = deque(walkers)
        self._concurrency = concurrency
        self._max_requests = max_requests
        self._clock = clock
        self._deadline = deadline
        self._on_failure = on_failure
        self._asked = 0
        self._in_flight = 0
        self._waiting: deque[tuple[Walker, RawPage]] = deque()
        self._idle: deque[anyio.Event] = deque()
        self._arrived = anyio.Event()
        self._fatal: Exception | None = None
        self.failed_attempts = 0

    async def work(self) -> None:
        """Read page after page until nothing is left; the scan runs ``concurrency`` of these."""
        while not self._done:
            job = self._next_job()
            if job is None:
                turn = anyio.Event()
                self._idle.append(turn)
                await turn.wait()
                continue
            # Each worker that found work wakes the next, so that as many run as have work.
            self._wake_one()
            await self._read(*job)

    async def pages(self) -> AsyncIterator[tuple[Walker, RawPage]]:
        """Yield the pages as they come, until every walk has ended.

        Raises:
            DeadlineExceededError: The deadline passed.
            OtaError: Of the first walk that failed, unless failures are collected.
        """
        while True:
            if self._fatal is not None:
                raise self._fatal
            if self._clock.monotonic() >= self._deadline:
                raise DeadlineExceededError("the scan did not end within its timeout_seconds")
            if self._waiting:
                yield self._waiting.popleft()
                self._wake_one()
            elif self._done:
                return
            else:
                with anyio.move_on_after(self._deadline - self._clock.monotonic()):
                    await self._arrived.wait()
                self._arrived = anyio.Event()

    @property
    def _done(self) -> bool:
        return self._fatal is not None or (not self._active and self._in_flight == 0)

    def _next_job(self) -> tuple[Walker, Window] | None:
        if self._fatal is not None or self._in_flight + len(self._waiting) >= self._concurrency:
            return None
        for _ in range(len(self._active)):
            walker = self._active[0]
            self._active.rotate(-1)
            window = walker.walk.ready()
            if window is not None:
                return self._admit(walker, window)
        return None

    def _admit(self, walker: Walker, window: Window) -> tuple[Walker, Window] | None:
        if self._max_requests is not None and self._asked >= self._max_requests:
            self._end(
                InvalidQueryError(
                    f"the scan needs more than max_requests={self._max_requests} pages: raise it, or narrow the query"
                )
            )
            return None
        self._asked += 1
        self._in_flight += 1
        return walker, window

    async def _read(self, walker: Walker, window: Window) -> None:
        source = walker.target.source
        try:
            raw = await source.fetch(walker.partition, window)
            facts = source.facts(raw)
            walker.walk.record(window, facts)
        except OtaError as error:
            self._in_flight -= 1
            self._fail(walker, error)
        except Exception as error:  # noqa: BLE001 - a bug ends the scan, and the consumer raises it
            self._in_flight -= 1
            self._end(error)
        else:
            self._in_flight -= 1
            if facts.total is not None:
                walker.total = facts.total
            self._waiting.append((walker, raw))
        if walker.finished and walker in self._active:
            self._active.remove(walker)
        self._arrived.set()
        if self._done:
            self._wake_all()

    def _fail(self, walker: Walker, error: OtaError) -> None:
        self.failed_attempts += error.attempts
        error.during(operation=walker.target.source.operation, backend=walker.target.backend.label, attempts=1)
        if self._on_failure is None:
            self._end(error)
            return
        # Its other pages may still be under way; only the first failure of a walk is news.
        if not walker.failed:
            walker.failed = True
            self._on_failure(walker, error)

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
