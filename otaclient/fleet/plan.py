"""What a scan is about to do: in words and numbers before it begins, and as walks when it does.

Numbers of requests are numbers of pages: one request each, as long as nothing has to be repeated. Not among them are
repeats, the requests that obtain a token, and what a backend reads before the first page of its own accord (to find out
who is being upgraded, where the vendor's devices do not say so).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any, Final, Literal

import attrs

from otaclient.counted import counted
from otaclient.errors import InvalidQueryError
from otaclient.fleet import expected
from otaclient.fleet.certified_markers import CertifiedMarkerWalk
from otaclient.fleet.certified_pages import CertifiedPageWalk
from otaclient.fleet.chain import Chain
from otaclient.fleet.proof import Findings
from otaclient.fleet.ranges import RANGES_OVERLAP, RangedWalk, Split
from otaclient.fleet.walks import Walk, plain_walk
from otaclient.reads import Markers, PageNumbers, Paging, Partition, ReadSource

__all__ = [
    "Dedupe",
    "ProofOptions",
    "TargetPlan",
    "budget_error",
    "expected_reads",
    "explanation",
    "walk_of",
]

Dedupe = Literal["exact", "neighbours"]

# For how many rows a plan says what they take, where nobody knows yet how many there are.
_EXAMPLES: Final = (1_000, 10_000, 100_000)


@attrs.frozen(kw_only=True)
class ProofOptions:
    """How much a scan is to prove, and at what price."""

    certify: bool = True
    overlap: int | None = None
    dedupe: Dedupe = "exact"
    repair_budget: float = 2.0
    concurrency: int = 16

    def overlap_of(self, paging: Paging) -> int:
        """Return how many rows neighbouring windows share, at least; 0 without a proof."""
        if not self.certify:
            return 0
        return expected.default_overlap(paging) if self.overlap is None else self.overlap


def walk_of(
    partition: Partition,
    paging: Paging,
    findings: Findings,
    options: ProofOptions,
    *,
    new_chain: Callable[[], Chain],
    now: Callable[[], datetime],
) -> Walk:
    """Return the walk over a partition, for a vendor's way of paging.

    Args:
        partition: What is to be read.
        paging: The vendor's limits.
        findings: Takes what kept the proof from closing.
        options: What is to be proved.
        new_chain: Makes the chain of one walk.
        now: The wall clock, which bounds when devices have registered.

    Raises:
        InvalidQueryError: The vendor's pages are too small for the overlap.
    """
    check_sizes(paging)

    def single(about: Findings) -> Walk:
        if not options.certify:
            return plain_walk(paging)
        if isinstance(paging, PageNumbers):
            return CertifiedPageWalk(
                paging, new_chain(), about, concurrency=options.concurrency, overlap=options.overlap
            )
        return CertifiedMarkerWalk(paging, new_chain(), about, concurrency=options.concurrency, overlap=options.overlap)

    split = _split_of(partition, paging, options)
    if split is None or partition.between is None:
        return single(findings)
    return RangedWalk(partition.between, partition.registered, split=split, findings=findings, new_walk=single, now=now)


def check_sizes(paging: Paging) -> None:
    """Refuse a way of paging that has no rows.

    Raises:
        InvalidQueryError: Names the limit; the fault is the backend's.
    """
    if paging.largest_page < 1:
        raise InvalidQueryError(f"scan(): the backend says largest_page={paging.largest_page}: it must be at least 1")
    if isinstance(paging, Markers) and paging.largest_offset < 0:
        raise InvalidQueryError(
            f"scan(): the backend says largest_offset={paging.largest_offset}: it must be 0 or more"
        )


def expected_reads(total: int, paging: Paging, options: ProofOptions) -> int:
    """Return how many reads one walk over ``total`` rows takes while nothing moves."""
    return expected.walk_reads(total, paging, certify=options.certify, overlap=options.overlap)


def _offsets(paging: Markers, options: ProofOptions) -> range:
    """Return the offsets that are read below one marker at the same time."""
    # An overlap as large as a page is refused before anything is read; a plan must still come to an end.
    return paging.offsets(None, overlap=min(options.overlap_of(paging), paging.largest_page - 1))


def _split_of(partition: Partition, paging: Paging, options: ProofOptions) -> Split | None:
    """Return how a walk is split into ranges; ``None`` where that cannot be, or would gain nothing."""
    if partition.between is None or not isinstance(paging, Markers):
        return None
    at_once = len(_offsets(paging, options))
    split = Split(largest_page=paging.largest_page, concurrency=options.concurrency, reads_at_once=at_once)
    return split if split.most_parts > 1 else None


@attrs.frozen(kw_only=True)
class TargetPlan:
    """What a scan is about to do for one target; prints as a few lines of text."""

    backend: str
    operation: str
    partitions: tuple[str, ...]
    """The labels of the walks; the only label of a single one is mostly empty."""
    paging: Paging
    """How the vendor pages, with its limits."""
    options: ProofOptions
    pushed_down: str
    """What the vendor filters, in its own words; empty for nothing."""
    filtered_here: tuple[str, ...]
    """The names of the query's fields that are applied on our side because the vendor cannot."""
    split: Split | None = None
    """Into how many ranges of registration time a large walk is split; ``None``: it never is."""

    @classmethod
    def of(cls, backend: str, source: ReadSource[Any], options: ProofOptions | None = None) -> "TargetPlan":
        """Return the plan for a source, without a request."""
        options = options or ProofOptions()
        partitions = source.partitions()
        return cls(
            backend=backend,
            operation=source.operation,
            partitions=tuple(partition.label for partition in partitions),
            paging=source.paging,
            options=options,
            pushed_down=source.pushed_down,
            filtered_here=source.filtered_here,
            split=_split_of(partitions[0], source.paging, options) if partitions else None,
        )

    @property
    def page_size(self) -> int:
        """Rows a page, at most."""
        return self.paging.largest_page

    @property
    def overlap(self) -> int:
        """Rows that neighbouring windows share, at least; 0 without a proof."""
        return self.options.overlap_of(self.paging)

    @property
    def offsets(self) -> tuple[int, ...]:
        """The offsets that are read below one marker; empty where pages have numbers."""
        return tuple(_offsets(self.paging, self.options)) if isinstance(self.paging, Markers) else ()

    @property
    def reads_at_once(self) -> int:
        """How many reads of one walk can be under way, before it is split."""
        return min(self.options.concurrency, len(self.offsets) or self.options.concurrency)

    @property
    def order(self) -> str:
        """In which order the rows of a walk come."""
        return "newest record first" if isinstance(self.paging, Markers) else "in the order of the vendor's pages"

    def ranges(self, rows: int) -> int:
        """Return how many ranges of registration time a walk over so many rows is split into, at most."""
        return 1 if self.split is None else self.split.parts(rows)

    def is_exact(self, rows: int) -> bool:
        """Tell whether what is expected of a walk over so many rows is exact: that is where it is not split."""
        return self.ranges(rows) == 1 and rows <= expected.EXACT_UP_TO

    def walk_requests(self, rows: int) -> int:
        """Return how many requests one walk over so many rows takes while nothing moves.

        Where the walk is split, it is what equal ranges take; the counts that find the cuts come on top, of which there
        are at most ``split.most_counts(rows)``.
        """
        parts = self.ranges(rows)
        if parts == 1:
            return expected_reads(rows, self.paging, self.options)
        return 1 + parts * expected_reads(-(-rows // parts), self.paging, self.options)

    def expected_requests(self, totals: Sequence[int]) -> int:
        """Return how many requests all walks take together, given the rows of each; see :meth:`walk_requests`.

        Raises:
            InvalidQueryError: There are more or fewer totals than walks.
        """
        if len(totals) != len(self.partitions):
            raise InvalidQueryError(
                f"expected_requests() got {counted(len(totals), 'total')}, but the plan has "
                f"{counted(len(self.partitions), 'walk')}: give a total for each, in their order"
            )
        return sum(map(self.walk_requests, totals))

    def plain_requests(self, totals: Sequence[int]) -> int:
        """Return what the same walks would take without a proof, and without being split."""
        return sum(expected_reads(rows, self.paging, ProofOptions(certify=False)) for rows in totals)

    @property
    def summary(self) -> str:
        """The plan in one line, without windows and numbers."""
        return f"{self._head}, {self.page_size} rows a page; {self._filters}"

    def __str__(self) -> str:
        return self.text()

    def text(self, totals: Sequence[int | None] | None = None) -> str:
        """Return the plan in lines of text.

        Args:
            totals: How many rows the vendor says each walk has, where that was asked; ``None`` for one it says not.
        """
        requests = self._examples() if totals is None else _expectation([(self, total) for total in totals])
        lines = [self._head, self._filters, f"windows: {self._windows()}", self._ranges(), requests]
        return "\n    ".join(filter(None, lines))

    @property
    def _head(self) -> str:
        named = [label for label in self.partitions if label]
        listed = f" ({', '.join(named[:3])}{', ...' if len(named) > 3 else ''})" if named else ""
        return f"{self.backend} {self.operation}: {counted(len(self.partitions), 'walk')}{listed}"

    @property
    def _filters(self) -> str:
        here = ", ".join(self.filtered_here)
        return f"the vendor filters {self.pushed_down or 'nothing'}; filtered here: {here or 'nothing'}"

    def _windows(self) -> str:
        shared = f" that overlap by {self.overlap} or more" if self.overlap else ""
        below = f", {len(self.offsets)} below each marker, at offsets 0 to {self.offsets[-1]}" if self.offsets else ""
        at_once = f"the first alone, then up to {self.reads_at_once} at once"
        return f"pages of {self.page_size} rows{shared}{below}; {at_once}; {self.order}"

    def _ranges(self) -> str:
        if self.split is None:
            return ""
        return (
            f"ranges: a walk of {self.split.least_rows:,} rows or more is split by registration time into up to "
            f"{self.split.most_parts}, after some small requests that count where; they overlap by "
            f"{RANGES_OVERLAP.seconds} s, and each is walked for itself"
        )

    def _examples(self) -> str:
        told = ", ".join(
            f"{'' if self.is_exact(rows) else 'about '}{self.walk_requests(rows):,} for {rows:,} rows"
            for rows in _EXAMPLES
        )
        plain = ", ".join(f"{self.plain_requests([rows]):,}" for rows in _EXAMPLES)
        return f"requests: {told} in a walk" + (f" (without the proof {plain})" if self.options.certify else "")


def explanation(plans: Sequence[TargetPlan], totals: Sequence[Sequence[int | None]] | None = None) -> str:
    """Return what a scan is about to do, in lines of text.

    Args:
        plans: One for each target, all with the same options.
        totals: How many rows the vendors say the walks of each target have, where that was asked.
    """
    options = plans[0].options
    walks = counted(sum(len(plan.partitions) for plan in plans), "walk")
    proof = "proved to miss nothing" if options.certify else "without a proof"
    lines = [f"{walks} over {counted(len(plans), 'target')}, at most {options.concurrency} pages at once, {proof}"]
    if totals is None:
        return "\n".join([*lines, *(f"- {plan}" for plan in plans)])
    lines += [f"- {plan.text(told)}" for plan, told in zip(plans, totals, strict=True)]
    in_all = [(plan, total) for plan, told in zip(plans, totals, strict=True) for total in told]
    return "\n".join([*lines, f"in all: {_expectation(in_all)}"])


def _expectation(walks: Sequence[tuple[TargetPlan, int | None]]) -> str:
    """Return how many requests walks will take, where their totals are known."""
    known = [(plan, total) for plan, total in walks if total is not None]
    if not known:
        return "not known, for no total is told"
    requests = sum(plan.walk_requests(total) for plan, total in known)
    rows = counted(sum(total for _, total in known), "row")
    about = "about " if any(not plan.is_exact(total) for plan, total in known) else ""
    plain = sum(plan.plain_requests([total]) for plan, total in known)
    price = f" (without the proof {plain:,})" if known[0][0].options.certify else ""
    untold = len(walks) - len(known)
    more = f", and more for {counted(untold, 'walk')} without a total" if untold else ""
    return f"{about}{counted(requests, 'request')} for {rows}{price}{more}"


def budget_error(walks: Iterable[tuple[TargetPlan, int | None]], max_requests: int) -> InvalidQueryError | None:
    """Return the error of a scan that would need more requests than allowed, as soon as its totals show that.

    Args:
        walks: For each walk of the scan the plan that it belongs to, and its total, ``None`` as long as that is not
            known; then the walk counts as empty.
        max_requests: How many are allowed.
    """
    rows = requests = 0
    for plan, total in walks:
        rows += max(0, total or 0)
        requests += plan.walk_requests(total or 0)
    if requests <= max_requests:
        return None
    return InvalidQueryError(
        f"the scan would take {counted(requests, 'request')} or more for the {counted(rows, 'row')} that the vendor "
        f"counts, but max_requests={max_requests}: raise it, or narrow the query"
    )
