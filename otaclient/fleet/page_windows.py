"""Windows of page numbers: which pages overlap by how much, how far they get on, and how many a listing takes. Pure."""

from functools import lru_cache

from otaclient.errors import InvalidQueryError
from otaclient.reads import PageWindow

__all__ = ["begin_of", "check_advance", "end_of", "expected_page_reads", "mean_advance", "widest_window"]

# Below, there are too few page sizes to choose from.
_LEAST_PAGE = 40
# Over so many pages it is worked out how far windows get on.
_SAMPLE_PAGES = 20


@lru_cache(maxsize=4096)
def widest_window(start_at_most: int, largest: int) -> PageWindow:
    """Return the page that begins at or before a row and ends farthest behind it."""
    size = max(range(largest, largest // 2, -1), key=lambda size: ((start_at_most // size + 1) * size, size))
    return PageWindow(start_at_most // size + 1, size)


def expected_page_reads(total: int, *, largest: int, overlap: int) -> int:
    """Return how many reads a certified walk over ``total`` rows takes while nothing moves."""
    if total < largest:
        return 2
    covered, reads = largest, 1
    while covered <= total:
        end = end_of(widest_window(covered - overlap, largest))
        # Pages too small to get on like this are refused before anything is read; a plan must still come to an end.
        covered, reads = (end if end > covered else end_of(widest_window(covered, largest))), reads + 1
    return reads + 2  # the closing reads at the head and at the tail


def begin_of(window: PageWindow) -> int:
    """Return the row with which a page begins, from 0."""
    return (window.number - 1) * window.size


def end_of(window: PageWindow) -> int:
    """Return the row behind a full page."""
    return window.number * window.size


@lru_cache(maxsize=64)
def mean_advance(largest: int, overlap: int) -> int:
    """Return by how many rows windows that overlap by so many get on, rounded down."""
    rows = _SAMPLE_PAGES * largest
    return max(1, rows // expected_page_reads(rows, largest=largest, overlap=overlap))


def check_advance(largest: int, overlap: int) -> None:
    """Refuse pages that are too small to overlap and get on.

    Raises:
        InvalidQueryError: They are; it names the pages, the overlap and the remedy.
    """
    rows = range(largest, 4 * largest)
    if 1 <= overlap < largest >= _LEAST_PAGE and all(
        end_of(widest_window(covered - overlap, largest)) > covered for covered in rows
    ):
        return
    raise InvalidQueryError(
        f"scan(): pages of at most {largest} rows cannot overlap by {overlap} and still get on: "
        "give a smaller overlap, or ask for no proof (certify=False)"
    )
