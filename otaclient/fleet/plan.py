"""What a scan is about to do: in words before it begins, and as walks when it does."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import attrs

from otaclient.fleet.certified_markers import DEFAULT_MARKER_OVERLAP, CertifiedMarkerWalk, expected_marker_reads
from otaclient.fleet.certified_pages import DEFAULT_PAGE_OVERLAP, CertifiedPageWalk, expected_page_reads
from otaclient.fleet.chain import Chain
from otaclient.fleet.proof import Findings
from otaclient.fleet.walks import Walk, plain_walk
from otaclient.reads import PageNumbers, Paging, ReadSource

__all__ = ["Dedupe", "ProofOptions", "TargetPlan", "counted", "expected_reads", "walk_of"]

Dedupe = Literal["exact", "neighbours"]


def counted(number: int, noun: str) -> str:
    """Return ``1 walk`` or ``2 walks``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@attrs.frozen(kw_only=True)
class ProofOptions:
    """How much a scan is to prove, and at what price."""

    certify: bool = True
    overlap: int | None = None
    dedupe: Dedupe = "exact"
    repair_budget: float = 2.0
    concurrency: int = 16


def walk_of(paging: Paging, findings: Findings, options: ProofOptions, new_chain: Callable[[], Chain]) -> Walk:
    """Return the walk for a vendor's way of paging.

    Args:
        paging: The vendor's limits.
        findings: Takes what kept the proof from closing.
        options: What is to be proved.
        new_chain: Makes the chain of one walk.

    Raises:
        InvalidQueryError: The vendor's pages are too small for the overlap.
    """
    if not options.certify:
        return plain_walk(paging)
    chain = new_chain()
    if isinstance(paging, PageNumbers):
        return CertifiedPageWalk(paging, chain, findings, concurrency=options.concurrency, overlap=options.overlap)
    return CertifiedMarkerWalk(paging, chain, findings, concurrency=options.concurrency, overlap=options.overlap)


def expected_reads(total: int, paging: Paging, options: ProofOptions) -> int:
    """Return how many reads a certified walk over ``total`` rows takes while nothing moves."""
    if isinstance(paging, PageNumbers):
        overlap = DEFAULT_PAGE_OVERLAP if options.overlap is None else options.overlap
        return expected_page_reads(total, largest=paging.largest_page, overlap=overlap)
    overlap = DEFAULT_MARKER_OVERLAP if options.overlap is None else options.overlap
    return expected_marker_reads(total, paging, overlap=overlap)


@attrs.frozen(kw_only=True)
class TargetPlan:
    """What a scan is about to do for one target; prints as one paragraph."""

    backend: str
    operation: str
    partitions: Sequence[str]
    page_size: int
    pushed_down: str
    filtered_here: tuple[str, ...]

    @classmethod
    def of(cls, backend: str, source: ReadSource[Any]) -> "TargetPlan":
        """Return the plan for a source, without a request."""
        return cls(
            backend=backend,
            operation=source.operation,
            partitions=tuple(partition.label for partition in source.partitions()),
            page_size=source.paging.largest_page,
            pushed_down=source.pushed_down,
            filtered_here=source.filtered_here,
        )

    def __str__(self) -> str:
        named = [label for label in self.partitions if label]
        listed = f" ({', '.join(named[:3])}{', ...' if len(named) > 3 else ''})" if named else ""
        return (
            f"{self.backend} {self.operation}: {counted(len(self.partitions), 'walk')}{listed}, "
            f"{self.page_size} rows a page; the vendor filters {self.pushed_down or 'nothing'}; "
            f"filtered here: {', '.join(self.filtered_here) or 'nothing'}"
        )
