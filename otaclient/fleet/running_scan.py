"""A bulk query under way: many targets, pages in parallel, each device once, and an account of what was seen."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import anyio
import attrs
from anyio.abc import TaskGroup

from otaclient.counted import counted
from otaclient.errors import InvalidQueryError, OtaError, PayloadError
from otaclient.events import DeviceChanged, PageRead, deliver
from otaclient.fleet.chain import Chain
from otaclient.fleet.ledger import Certificate, CertificatePart, Verdict
from otaclient.fleet.plan import TargetPlan, budget_error, explanation, walk_of
from otaclient.fleet.probing import totals_of
from otaclient.fleet.proof import Doubt, Findings
from otaclient.fleet.reader import Reader, Target, Traffic, Walker
from otaclient.fleet.scan_options import ScanError, ScanProgress, ScanSettings
from otaclient.fleet.sightings import Batch, Sightings, content_of
from otaclient.fleet.walks import Ticket
from otaclient.reads import PageFacts, Partition

__all__ = ["Scan"]

_T = TypeVar("_T")

_LEAST_NEIGHBOURS = 64
_OUTSIDE = "a scan is iterated inside its own block: async with otaclient.scan(...) as scan"


@attrs.define(kw_only=True)
class _Counts:
    devices: int = 0
    filtered: int = 0
    duplicates: int = 0
    changed: int = 0
    bad_rows: int = 0
    reads: int = 0


class Scan(Generic[_T]):
    """A running bulk query; made by :func:`otaclient.scan`. Iterate it once, inside its ``async with`` block."""

    def __init__(self, targets: Sequence[Target], options: ScanSettings) -> None:
        """Prepare; :func:`otaclient.scan` is the way to make one."""
        self._targets = targets
        self._options = options
        self._plans = tuple(TargetPlan.of(each.backend.label, each.source, options.proof) for each in targets)
        # A key tells devices apart within one backend. Clients of one label may act for different owners.
        self._sightings = {id(target.backend): self._new_sightings() for target in targets}
        self._targets_of = Counter(id(target.backend) for target in targets)
        self._walkers = [self._walker(target, partition) for target in targets for partition in _walks_of(target)]
        self._counts = _Counts()
        self._errors: list[ScanError] = []
        self._reader: Reader | None = None
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._finished = False
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None
        self._host: asyncio.Task[Any] | None = None
        self._interrupted = False

    def _walker(self, target: Target, partition: Partition) -> Walker:
        findings = Findings(self._options.proof.repair_budget)
        sightings = self._sightings[id(target.backend)]
        options = self._options
        walk = walk_of(
            partition,
            target.source.paging,
            findings,
            options.proof,
            new_chain=lambda: Chain(sightings),
            now=options.clock.now,
        )
        return Walker(target=target, partition=partition, walk=walk, findings=findings)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        self._host = asyncio.current_task()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._interrupted = kind is not None and issubclass(kind, asyncio.CancelledError | KeyboardInterrupt)
        self._host = None
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
            self._tasks = None
        if self._reader is not None:
            self._reader.stop(InvalidQueryError(_OUTSIDE))
        self._stop_clock()
        try:
            await self._stack.aclose()
        except asyncio.CancelledError:
            # Whoever was cancelled is so once: the first error goes on, with the notes that it may carry.
            if kind is None or not issubclass(kind, asyncio.CancelledError):
                raise

    def __aiter__(self) -> AsyncIterator[_T]:
        return self._items()

    async def pages(self) -> AsyncIterator[list[_T]]:
        """Yield the rows in lists, as their pages are consumed: faster than row by row.

        Raises:
            OtaError: The first error of any walk, with ``on_error="raise"``.
            DeadlineExceededError: ``timeout_seconds`` ran out.
        """
        reader = self._start()
        async for walker, ticket in reader.pages():
            try:
                rows = self._take(walker, ticket)
            except OtaError as error:
                reader.refuse(walker, error)
                continue
            self._report()
            if rows:
                yield rows
        self._finished = True
        self._stop_clock()

    @property
    def plans(self) -> tuple[TargetPlan, ...]:
        """What the scan is about to do for each target."""
        return self._plans

    async def explain(self, *, probe: bool = False) -> str:
        """Return, in words, what the scan is about to do; no request is made, but for the probes where they are wanted.

        Args:
            probe: Ask how many rows there are, with one small request for each walk, and say what reading them takes.

        Raises:
            OtaError: Of the first probe that failed.
        """
        if not probe:
            return explanation(self.plans)
        at_once = self._options.concurrency
        totals = [await totals_of(each.backend.label, each.source, concurrency=at_once) for each in self._targets]
        return explanation(self.plans, totals)

    @property
    def errors(self) -> tuple[ScanError, ...]:
        """What went wrong so far, with ``on_error="collect"``."""
        return tuple(self._errors)

    @property
    def certificate(self) -> Certificate:
        """What was proved so far, and what it cost.

        Before the end it is ``uncertain: not finished``; ``uncertain: interrupted`` where its task was cancelled, as by
        Ctrl-C.
        """
        verdict, reasons = self._verdict()
        counts = self._counts
        traffic = Traffic() if self._reader is None else self._reader.traffic
        return Certificate(
            verdict=verdict,
            reasons=reasons,
            parts=tuple(map(self._part, self._targets, self._plans)),
            devices=counts.devices,
            filtered=counts.filtered,
            duplicates=counts.duplicates,
            changed=counts.changed,
            bad_rows=counts.bad_rows,
            reads=counts.reads,
            repairs=sum(walker.findings.repairs for walker in self._walkers),
            requests=traffic.requests,
            retries=traffic.retries,
            throttles=traffic.throttles,
            bytes=traffic.bytes,
            seconds=self._seconds(),
        )

    async def _items(self) -> AsyncIterator[_T]:
        async for rows in self.pages():
            for row in rows:
                yield row

    def _start(self) -> Reader:
        if self._tasks is None:
            raise InvalidQueryError(_OUTSIDE)
        if self._reader is not None:
            raise InvalidQueryError("a scan can be iterated once: make a new one")
        self._started_at = self._options.clock.monotonic()
        limit = self._options.timeout_seconds
        self._reader = Reader(
            self._walkers,
            concurrency=self._options.concurrency,
            max_requests=self._options.max_requests,
            budget=self._budget,
            clock=self._options.clock,
            deadline=float("inf") if limit is None else self._started_at + limit,
            on_failure=self._collect if self._options.on_error == "collect" else None,
        )
        for _ in range(self._options.concurrency):
            self._tasks.start_soon(self._reader.work)
        return self._reader

    def _budget(self) -> InvalidQueryError | None:
        """Return the error of a scan that cannot do with ``max_requests``."""
        plans = dict(zip(map(id, self._targets), self._plans, strict=True))
        walks = [(plans[id(walker.target)], walker.total) for walker in self._walkers]
        return budget_error(walks, self._options.max_requests or 0)

    def _new_sightings(self) -> Sightings:
        options = self._options
        # Reads come back out of order by as many as are in flight, and repairs go back some more.
        reads = None if options.proof.dedupe == "exact" else max(_LEAST_NEIGHBOURS, 2 * options.concurrency)
        return Sightings(reads)

    def _take(self, walker: Walker, ticket: Ticket) -> list[_T]:
        """Decode a page, have it judged, and return the rows that are new and wanted."""
        raw = ticket.raw
        assert raw is not None  # only what has arrived is taken
        target, counts = walker.target, self._counts
        counts.reads += 1
        target.reads += 1
        source = target.source
        decoded = source.decode(raw)
        for error in decoded.errors:
            self._bad_row(walker, error)
        if ticket.facts is None:
            ticket.facts = decoded.facts or source.facts(raw)
        _check_facts(ticket.facts, len(decoded.good) + len(decoded.errors))
        rows = self._new_rows(walker, ticket, decoded.good)
        counts.devices += len(rows)
        target.devices += len(rows)
        listener = target.backend.on_event
        if listener is not None:
            label = walker.partition.label
            event = PageRead(backend=target.backend.label, operation=source.operation, partition=label, rows=len(rows))
            deliver(listener, event)
        return rows

    def _new_rows(self, walker: Walker, ticket: Ticket, rows: Sequence[Any]) -> list[Any]:
        """Have a page judged, and return those of its rows that are new and wanted."""
        target = walker.target
        sightings = self._sightings[id(target.backend)]
        keys = list(map(target.source.key, rows))
        if not all(keys) or not {*map(type, keys)} <= {str}:
            raise PayloadError("a row has no key: what identifies it is missing, empty, or no text")
        look = sightings.look(keys)
        if not walker.walk.judge(ticket, keys):
            return []
        content = content_of(rows)
        wanted: list[Any] = []
        for place, batch, there in look.known:
            self._seen_again(target, keys[place], changed=batch.has_changed(there, content(rows[place])))
            sightings.is_shared = sightings.is_shared or batch.seen_by is not target
            if there in batch.withheld and target.source.keep(rows[place]):
                batch.withheld.remove(there)
                wanted.append(rows[place])
        if sightings.is_shared and sightings.has_forgotten:
            walker.findings.note(Doubt.SHARED)
        self._counts.filtered -= len(wanted)
        fresh = look.new(rows)
        self._counts.duplicates += len(rows) - len(fresh) - len(look.places)
        if not fresh:
            return wanted
        if not self._options.proof.certify:  # else the chain has settled them
            sightings.settle(look)
        look.fresh.remember(map(content, fresh))
        look.fresh.seen_by = target
        return wanted + self._filtered(target, fresh, look.fresh)

    def _filtered(self, target: Target, fresh: list[Any], batch: Batch) -> list[Any]:
        """Return those of a batch of new rows that the target wants."""
        if not target.source.filtered_here:
            return fresh
        unwanted = {place for place, row in enumerate(fresh) if not target.source.keep(row)}
        self._counts.filtered += len(unwanted)
        if self._targets_of[id(target.backend)] > 1:
            batch.withheld = unwanted
        return [row for place, row in enumerate(fresh) if place not in unwanted]

    def _seen_again(self, target: Target, key: str, *, changed: bool) -> None:
        self._counts.duplicates += 1
        self._counts.changed += changed
        listener = target.backend.on_event
        if changed and listener is not None:
            event = DeviceChanged(backend=target.backend.label, operation=target.source.operation, device_id=key)
            deliver(listener, event)

    def _bad_row(self, walker: Walker, error: OtaError) -> None:
        error.during(operation=walker.target.source.operation, backend=walker.target.backend.label, attempts=1)
        if self._options.on_error == "raise":
            raise error
        self._counts.bad_rows += 1
        self._collect(walker, error)

    def _collect(self, walker: Walker, error: OtaError) -> None:
        self._errors.append(
            ScanError(backend=walker.target.backend.label, partition=walker.partition.label, error=error)
        )
        walker.target.errors.append(str(error))

    def _report(self) -> None:
        if self._options.on_progress is None:
            return
        totals = [walker.total for walker in self._walkers if walker.total is not None]
        progress = ScanProgress(
            devices=self._counts.devices,
            expected=sum(totals) if totals else None,
            reads=self._counts.reads,
            walks_finished=sum(walker.finished for walker in self._walkers),
            walks=len(self._walkers),
        )
        deliver(self._options.on_progress, progress)

    def _verdict(self) -> tuple[Verdict, tuple[str, ...]]:
        if not self._finished:
            # Already before the block is left: whoever writes what there is up to then writes the certificate, too.
            is_ending = self._host is not None and self._host.cancelling() > 0
            return Verdict.UNCERTAIN, ("interrupted" if self._interrupted or is_ending else "not finished",)
        if self._errors:
            collected = counted(len(self._errors), "error was", "errors were")
            return Verdict.UNCERTAIN, (f"{collected} collected: rows are missing",)
        if not self._options.proof.certify:
            return Verdict.UNPROVED, ("the caller asked for no proof",)
        doubts = {doubt.value: None for walker in self._walkers for doubt in walker.findings.doubts}
        return (Verdict.UNCERTAIN if doubts else Verdict.CERTIFIED), tuple(doubts)

    def _part(self, target: Target, about: TargetPlan) -> CertificatePart:
        walkers = [walker for walker in self._walkers if walker.target is target]
        return CertificatePart(
            backend=target.backend.label,
            query=about.summary,
            finished=self._finished and not any(walker.failed for walker in walkers),
            devices=target.devices,
            reads=target.reads,
            errors=tuple(target.errors),
        )

    def _seconds(self) -> float:
        if self._started_at is None:
            return 0.0
        return (self._ended_at or self._options.clock.monotonic()) - self._started_at

    def _stop_clock(self) -> None:
        if self._ended_at is None and self._started_at is not None:
            self._ended_at = self._options.clock.monotonic()


def _walks_of(target: Target) -> Sequence[Partition]:
    walks = target.source.partitions()
    if not walks:
        raise InvalidQueryError(
            f"scan(): {target.backend.label} {target.source.operation} has no walk for this query: nothing would be "
            "read, which would look like an empty fleet"
        )
    return walks


def _check_facts(facts: PageFacts, rows: int) -> None:
    """Refuse a page that was read otherwise than it was counted: rows would be missing unnoticed."""
    if facts.rows != rows:
        raise PayloadError(f"a page says that it has {facts.rows} rows, but {rows} were read from it")
