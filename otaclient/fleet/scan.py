"""The bulk query: many targets, pages in parallel, each device once, and an account of what was seen."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Generic, Literal, Self, TypedDict, TypeVar, Unpack, overload

import anyio
import attrs
from anyio.abc import TaskGroup

from otaclient.errors import InvalidQueryError, OtaError
from otaclient.events import DeviceChanged, PageRead, deliver
from otaclient.fleet.chain import Chain, ExactRanks, NeighbourRanks
from otaclient.fleet.ledger import (
    Certificate,
    CertificatePart,
    ExactSightings,
    NeighbourSightings,
    Sighting,
    Sightings,
    Verdict,
)
from otaclient.fleet.plan import Dedupe, ProofOptions, TargetPlan, counted, walk_of
from otaclient.fleet.proof import Findings
from otaclient.fleet.reader import Reader, Target, Walker
from otaclient.fleet.walks import Ticket
from otaclient.models import DeviceTask, DeviceUpgrade
from otaclient.protocols import Backend
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery
from otaclient.reads import Partition
from otaclient.transport.clock import SYSTEM_CLOCK, Clock

__all__ = ["Scan", "ScanError", "ScanOptions", "ScanProgress", "scan"]

_T = TypeVar("_T")
OnError = Literal["raise", "collect"]


@attrs.frozen(kw_only=True)
class ScanProgress:
    """How far a scan is."""

    devices: int
    expected: int | None
    """Rows that the vendors say match, over the walks that have answered so far; ``None`` before the first answer."""
    reads: int
    walks_finished: int
    walks: int


@attrs.frozen(kw_only=True)
class ScanError:
    """What went wrong in one walk of a scan with ``on_error="collect"``."""

    backend: str
    partition: str
    error: OtaError


class ScanOptions(TypedDict, total=False):
    """The options of :func:`scan`, for callers that pass them on."""

    concurrency: int
    certify: bool
    overlap: int | None
    dedupe: Dedupe
    repair_budget: float
    max_requests: int | None
    timeout_seconds: float | None
    on_error: OnError
    on_progress: Callable[[ScanProgress], object] | None


@overload
def scan(
    targets: Iterable[tuple[Backend, DeviceUpgradeQuery]], **options: Unpack[ScanOptions]
) -> "Scan[DeviceUpgrade]": ...


@overload
def scan(targets: Iterable[tuple[Backend, DeviceTaskQuery]], **options: Unpack[ScanOptions]) -> "Scan[DeviceTask]": ...


def scan(
    targets: Iterable[tuple[Backend, Any]],
    *,
    concurrency: int = 16,
    certify: bool = True,
    overlap: int | None = None,
    dedupe: Dedupe = "exact",
    repair_budget: float = 2.0,
    max_requests: int | None = None,
    timeout_seconds: float | None = None,
    on_error: OnError = "raise",
    on_progress: Callable[[ScanProgress], object] | None = None,
) -> "Scan[Any]":
    """Return a scan of many targets: every row of each, read in parallel, each device once.

    ::

        async with otaclient.scan([(enos, DeviceUpgradeQuery()), (iotda, DeviceUpgradeQuery())]) as scan:
            async for upgrade in scan:
                ...
        print(scan.certificate)

    Nothing is sent before the first row or page is asked for.

    Args:
        targets: Pairs of a backend and a device query or device task query.
        concurrency: The most pages in flight and waiting, over all targets. Keep it within each backend's ``Limits``.
        certify: Prove that no row was missed that was listed throughout.
        overlap: Rows that neighbouring windows share, for the proof; ``None`` to let the scan choose.
        dedupe: ``exact`` remembers every device; ``neighbours`` only the latest pages, in flat memory.
        repair_budget: The most requests beyond plain paging that the proof may cost, as a share of those.
        max_requests: End with an error instead of sending more pages than this.
        timeout_seconds: The time for the whole scan; ``None`` for no limit. Each request has its backend's own.
        on_error: ``raise`` the first error, or ``collect`` errors in ``scan.errors`` and go on with the other walks.
        on_progress: Called after every page that was consumed; its exceptions are logged, never raised.

    Raises:
        InvalidQueryError: No target, an option out of range, or a filter that a vendor cannot apply. Nothing is sent.
        UnsupportedOperationError: A backend cannot list what the query asks for.
    """
    _check_options(
        concurrency=concurrency,
        overlap=overlap,
        dedupe=dedupe,
        repair_budget=repair_budget,
        max_requests=max_requests,
        timeout_seconds=timeout_seconds,
        on_error=on_error,
    )
    pairs = list(targets)
    if not pairs:
        raise InvalidQueryError("scan() has no targets: give at least one pair of a backend and a query")
    options = _Options(
        concurrency=concurrency,
        proof=ProofOptions(
            certify=certify, overlap=overlap, dedupe=dedupe, repair_budget=repair_budget, concurrency=concurrency
        ),
        max_requests=max_requests,
        timeout_seconds=timeout_seconds,
        on_error=on_error,
        on_progress=on_progress,
    )
    return Scan(
        [Target(backend=backend, query=query, source=backend.reads(query)) for backend, query in pairs], options
    )


@attrs.frozen(kw_only=True)
class _Options:
    concurrency: int
    proof: ProofOptions
    max_requests: int | None
    timeout_seconds: float | None
    on_error: OnError
    on_progress: Callable[[ScanProgress], object] | None
    clock: Clock = SYSTEM_CLOCK


def _check_options(
    *,
    concurrency: int,
    overlap: int | None,
    dedupe: str,
    repair_budget: float,
    max_requests: int | None,
    timeout_seconds: float | None,
    on_error: str,
) -> None:
    rules = (
        ("concurrency", concurrency, concurrency >= 1, "at least 1"),
        ("overlap", overlap, overlap is None or overlap >= 1, "at least 1, or None to let the scan choose"),
        ("dedupe", dedupe, dedupe in ("exact", "neighbours"), "'exact' or 'neighbours'"),
        ("repair_budget", repair_budget, repair_budget >= 0, "0 or more"),
        ("max_requests", max_requests, max_requests is None or max_requests >= 1, "at least 1, or None"),
        ("timeout_seconds", timeout_seconds, timeout_seconds is None or timeout_seconds > 0, "above 0, or None"),
        ("on_error", on_error, on_error in ("raise", "collect"), "'raise' or 'collect'"),
    )
    for name, value, holds, rule in rules:
        if not holds:
            raise InvalidQueryError(f"scan(): {name} is {value!r}: it must be {rule}")


@attrs.define(kw_only=True)
class _Counts:
    devices: int = 0
    filtered: int = 0
    duplicates: int = 0
    changed: int = 0
    bad_rows: int = 0
    reads: int = 0
    requests: int = 0
    retries: int = 0
    throttles: int = 0
    bytes: int = 0


class Scan(Generic[_T]):
    """A running bulk query; made by :func:`scan`. Iterate it once, inside its ``async with`` block."""

    def __init__(self, targets: Sequence[Target], options: _Options) -> None:
        """Prepare; :func:`scan` is the way to make one."""
        self._targets = targets
        self._options = options
        self._walkers = [
            self._walker(target, partition) for target in targets for partition in target.source.partitions()
        ]
        self._sightings: dict[str, Sightings] = {target.backend.label: self._new_sightings() for target in targets}
        self._counts = _Counts()
        self._errors: list[ScanError] = []
        self._reader: Reader | None = None
        self._started_at: float | None = None
        self._ended_at: float | None = None
        self._finished = False
        self._stack = AsyncExitStack()
        self._tasks: TaskGroup | None = None

    def _walker(self, target: Target, partition: Partition) -> Walker:
        findings = Findings(self._options.proof.repair_budget)
        walk = walk_of(target.source.paging, findings, self._options.proof, self._new_chain)
        return Walker(target=target, partition=partition, walk=walk, findings=findings)

    async def __aenter__(self) -> Self:
        self._tasks = await self._stack.enter_async_context(anyio.create_task_group())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._tasks is not None:
            self._tasks.cancel_scope.cancel()
            self._tasks = None
        self._stop_clock()
        await self._stack.aclose()

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
            rows = self._take(walker, ticket)
            self._report()
            if rows:
                yield rows
        self._finished = True
        self._stop_clock()

    async def explain(self) -> str:
        """Return, in words, what the scan is about to do; no request is made."""
        plans = [str(TargetPlan.of(target.backend.label, target.source)) for target in self._targets]
        walks, targets = counted(len(self._walkers), "walk"), counted(len(plans), "target")
        proof = "proved to miss nothing" if self._options.proof.certify else "without a proof"
        head = f"{walks} over {targets}, at most {self._options.concurrency} pages at once, {proof}"
        return "\n".join([head, *(f"- {plan}" for plan in plans)])

    @property
    def errors(self) -> tuple[ScanError, ...]:
        """What went wrong so far, with ``on_error="collect"``."""
        return tuple(self._errors)

    @property
    def certificate(self) -> Certificate:
        """What was proved so far, and what it cost; before the end ``uncertain: not finished``."""
        verdict, reasons = self._verdict()
        counts = self._counts
        reader = self._reader
        return Certificate(
            verdict=verdict,
            reasons=reasons,
            parts=tuple(self._part(target) for target in self._targets),
            devices=counts.devices,
            filtered=counts.filtered,
            duplicates=counts.duplicates,
            changed=counts.changed,
            bad_rows=counts.bad_rows,
            reads=counts.reads,
            repairs=sum(walker.findings.repairs for walker in self._walkers),
            requests=counts.requests + (reader.failed_attempts if reader else 0),
            retries=counts.retries,
            throttles=counts.throttles,
            bytes=counts.bytes,
            seconds=self._seconds(),
        )

    async def _items(self) -> AsyncIterator[_T]:
        async for rows in self.pages():
            for row in rows:
                yield row

    def _start(self) -> Reader:
        if self._tasks is None:
            raise InvalidQueryError("a scan is iterated inside its own block: async with otaclient.scan(...) as scan")
        if self._reader is not None:
            raise InvalidQueryError("a scan can be iterated once: make a new one")
        self._started_at = self._options.clock.monotonic()
        limit = self._options.timeout_seconds
        self._reader = Reader(
            self._walkers,
            concurrency=self._options.concurrency,
            max_requests=self._options.max_requests,
            clock=self._options.clock,
            deadline=float("inf") if limit is None else self._started_at + limit,
            on_failure=self._collect if self._options.on_error == "collect" else None,
        )
        for _ in range(self._options.concurrency):
            self._tasks.start_soon(self._reader.work)
        return self._reader

    def _new_chain(self) -> Chain:
        # Reads come back out of order by as many as are in flight, so that many either way are neighbours.
        options = self._options
        return Chain(ExactRanks() if options.proof.dedupe == "exact" else NeighbourRanks(2 * options.concurrency))

    def _new_sightings(self) -> Sightings:
        # Pages can be consumed out of order by as many as are in flight, so that many either way are neighbours.
        return (
            ExactSightings()
            if self._options.proof.dedupe == "exact"
            else NeighbourSightings(2 * self._options.concurrency)
        )

    def _take(self, walker: Walker, ticket: Ticket) -> list[_T]:
        """Decode a page, have it judged, and return the rows that are new and wanted."""
        raw = ticket.raw
        assert raw is not None  # only what has arrived is taken
        target, counts, response = walker.target, self._counts, raw.response
        counts.reads += 1
        target.reads += 1
        counts.requests += response.attempts
        counts.retries += response.attempts - 1
        counts.throttles += response.throttles
        counts.bytes += len(response.body)
        decoded = target.source.decode(raw)
        for error in decoded.errors:
            self._bad_row(walker, error)
        keys = [target.source.key(row) for row in decoded.good]
        counts_in = walker.walk.judge(ticket, keys)
        rows = self._new_rows(target, keys, decoded.good) if counts_in else []
        counts.devices += len(rows)
        target.devices += len(rows)
        listener = target.backend.on_event
        if listener is not None:
            operation, label = target.source.operation, walker.partition.label
            deliver(
                listener, PageRead(backend=target.backend.label, operation=operation, partition=label, rows=len(rows))
            )
        return rows

    def _new_rows(self, target: Target, keys: Sequence[str], decoded: Sequence[Any]) -> list[Any]:
        source, sightings = target.source, self._sightings[target.backend.label]
        rows: list[Any] = []
        for key, row in zip(keys, decoded, strict=True):
            sighting = sightings.see(key, row)
            if sighting is not Sighting.FIRST:
                self._seen_again(target, key, changed=sighting is Sighting.CHANGED)
            elif source.keep(row):
                rows.append(row)
            else:
                self._counts.filtered += 1
        sightings.turn_page()
        return rows

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
            return Verdict.UNCERTAIN, ("not finished",)
        if self._errors:
            return Verdict.UNCERTAIN, (f"{len(self._errors)} errors were collected: rows are missing",)
        if not self._options.proof.certify:
            return Verdict.UNPROVED, ("the caller asked for no proof",)
        doubts = {doubt.value: None for walker in self._walkers for doubt in walker.findings.doubts}
        return (Verdict.UNCERTAIN if doubts else Verdict.CERTIFIED), tuple(doubts)

    def _part(self, target: Target) -> CertificatePart:
        walkers = [walker for walker in self._walkers if walker.target is target]
        return CertificatePart(
            backend=target.backend.label,
            query=str(TargetPlan.of(target.backend.label, target.source)),
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
