"""Which window of a walk may be read next: pure decisions about paging, without a request.

A walk is one partition of one target. The scheduler asks ``ready()`` as long as it has workers free and tells
``record()`` what came back, in any order.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import attrs

from otaclient.paging import next_window
from otaclient.reads import Markers, MarkerWindow, PageFacts, PageNumbers, PageWindow, Paging, ReadSource, Window

__all__ = ["MarkerWalk", "PageNumberWalk", "TargetPlan", "Walk", "walk_of"]


class Walk(Protocol):
    """The reading of one partition."""

    @property
    def finished(self) -> bool:
        """Whether the end was seen and nothing is under way."""
        ...

    def ready(self) -> Window | None:
        """Return the next window that may be read now, and count it as under way; ``None`` to wait."""
        ...

    def record(self, window: Window, facts: PageFacts, /) -> None:
        """Take in what a window came to.

        Raises:
            PayloadError: The vendor's answer does not let one go on without losing rows.
        """
        ...


def walk_of(paging: Paging, *, size: int | None = None) -> Walk:
    """Return the walk for a vendor's way of paging, with the largest pages unless told."""
    rows = size or paging.largest_page
    return PageNumberWalk(rows) if isinstance(paging, PageNumbers) else MarkerWalk(paging, rows)


class PageNumberWalk:
    """Pages by number: the first alone, because it tells how many to expect; then all of those at once.

    The expected number only says what may be asked for in advance. The end is where a page says so (see
    :func:`otaclient.paging.next_window`); a walk that has not ended by then goes on page by page.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._next = 1
        self._expected = 1
        self._under_way = 0
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether the end was seen and nothing is under way."""
        return self._ended and self._under_way == 0

    def ready(self) -> Window | None:
        """Return the next page that may be read now."""
        beyond = self._next > self._expected
        if self._ended or (beyond and self._under_way):
            return None
        window = PageWindow(self._next, self._size)
        self._next += 1
        self._under_way += 1
        return window

    def record(self, window: Window, facts: PageFacts, /) -> None:
        """Take in a page."""
        self._under_way -= 1
        if next_window(window, facts) is None:
            self._ended = True
        if facts.total is not None:
            self._expected = max(self._expected, -(-facts.total // self._size))


class MarkerWalk:
    """Records below a marker: the first page alone, then a wave of offsets below its marker, then the next wave.

    The documented reach of one marker is its largest offset; the page there gives the next marker. The vendor's count
    only limits how many offsets are asked for in advance. The end is an empty page.
    """

    def __init__(self, paging: Markers, size: int) -> None:
        self._paging = paging
        self._size = size
        self._wave: list[MarkerWindow] = [MarkerWindow(None, size)]
        self._last = self._wave[0]
        self._under_way = 0
        self._rows_above = 0
        self._total: int | None = None
        self._ended = False

    @property
    def finished(self) -> bool:
        """Whether the end was seen and nothing is under way."""
        return self._ended and self._under_way == 0

    def ready(self) -> Window | None:
        """Return the next window that may be read now."""
        if self._ended or not self._wave:
            return None
        self._under_way += 1
        return self._wave.pop(0)

    def record(self, window: Window, facts: PageFacts, /) -> None:
        """Take in a page."""
        assert isinstance(window, MarkerWindow)  # the scheduler hands back what ready() gave
        self._under_way -= 1
        self._total = facts.total if facts.total is not None else self._total
        following = next_window(window, facts)
        if following is None:
            self._ended = True
        elif window == self._last and isinstance(following, MarkerWindow):
            # Hop at once: the other offsets of this wave run on behind it.
            self._rows_above += window.offset + facts.rows
            self._begin_wave(following.marker)

    def _begin_wave(self, base: str | None) -> None:
        self._wave.extend(MarkerWindow(base, self._size, offset) for offset in range(0, self._reach() + 1, self._size))
        self._last = self._wave[-1]

    def _reach(self) -> int:
        """Return the largest offset worth asking for: where the count says that the end is, or as far as allowed."""
        if self._total is None:
            return self._paging.largest_offset
        left = max(0, self._total - self._rows_above)
        return min(self._paging.largest_offset, left)


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
        walks = len(self.partitions)
        named = [label for label in self.partitions if label]
        listed = f" ({', '.join(named[:3])}{', ...' if len(named) > 3 else ''})" if named else ""
        return (
            f"{self.backend} {self.operation}: {walks} walk{'' if walks == 1 else 's'}{listed}, "
            f"{self.page_size} rows a page; the vendor filters {self.pushed_down or 'nothing'}; "
            f"filtered here: {', '.join(self.filtered_here) or 'nothing'}"
        )
