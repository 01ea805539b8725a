"""How many reads a walk takes while nothing moves: what its total says, worked out before it begins. Pure.

The numbers are exact for walks over listings that stay as they are, with totals that are true. Rows that come and go
cost repairs on top; a total that lies costs what the walk does about it.
"""

from functools import lru_cache
from typing import Final

from otaclient.fleet.certified_markers import DEFAULT_MARKER_OVERLAP, expected_marker_reads
from otaclient.fleet.certified_pages import DEFAULT_PAGE_OVERLAP
from otaclient.fleet.page_windows import expected_page_reads
from otaclient.reads import Markers, PageNumbers, Paging

__all__ = ["EXACT_UP_TO", "default_overlap", "walk_reads"]

EXACT_UP_TO: Final = 1_000_000
"""From here on the same share of reads is assumed: vendors may claim any total, and a plan must not take for ever."""


def default_overlap(paging: Paging) -> int:
    """Return how many rows neighbouring windows share if nothing else is asked for."""
    return DEFAULT_PAGE_OVERLAP if isinstance(paging, PageNumbers) else DEFAULT_MARKER_OVERLAP


@lru_cache(maxsize=1024)
def walk_reads(rows: int, paging: Paging, *, certify: bool, overlap: int | None = None) -> int:
    """Return how many reads one walk over so many rows takes.

    Args:
        rows: How many rows there are; what is negative counts as none.
        paging: The vendor's limits.
        certify: Whether the walk is to prove that it missed nothing.
        overlap: Rows that neighbouring windows share for the proof; ``None`` for the usual number.
    """
    if rows > EXACT_UP_TO:
        largest = walk_reads(EXACT_UP_TO, paging, certify=certify, overlap=overlap)
        return -(-largest * rows // EXACT_UP_TO)
    rows = max(0, rows)
    if not certify:
        return _plain_reads(rows, paging)
    shared = default_overlap(paging) if overlap is None else overlap
    if isinstance(paging, PageNumbers):
        return expected_page_reads(rows, largest=paging.largest_page, overlap=shared)
    return expected_marker_reads(rows, paging, overlap=shared)


def _plain_reads(rows: int, paging: Paging) -> int:
    if isinstance(paging, PageNumbers):
        return rows // paging.largest_page + 1  # behind a full page there is another one, perhaps an empty one
    return 1 if not rows else _plain_marker_reads(rows, paging)


def _plain_marker_reads(rows: int, paging: Markers) -> int:
    size = paging.largest_page
    reads, left = 1, max(0, rows - size)
    while True:
        offsets = paging.offsets(left + 1)
        reads += len(offsets)
        if offsets[-1] >= left:
            return reads  # its last page is the empty one that ends the walk
        left -= min(left, offsets[-1] + size)
