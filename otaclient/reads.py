"""Raw windows of a vendor's listing: what a backend offers, for the core to schedule.

A backend never decides which window comes next: it says what its vendor allows, fetches one window, and decodes it.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import attrs

from otaclient.errors import PayloadError
from otaclient.transport.http import HttpResponse

__all__ = [
    "MarkerWindow",
    "Markers",
    "PageFacts",
    "PageNumbers",
    "PageWindow",
    "Paging",
    "Partition",
    "RawPage",
    "ReadSource",
    "Rows",
    "Window",
]

_T = TypeVar("_T")
_RowT_co = TypeVar("_RowT_co", covariant=True)


@attrs.frozen(kw_only=True)
class PageNumbers:
    """A listing by page number and page size: page ``n`` of size ``s`` is the rows ``[(n-1)s, ns)``."""

    largest_page: int
    default_page: int
    """What one asks for without a wish of one's own."""


@attrs.frozen(kw_only=True)
class Markers:
    """A listing in descending order of a record id: a window is the rows below a marker, after an offset."""

    largest_page: int
    default_page: int
    largest_offset: int

    def offsets(self, rows: int | None, *, overlap: int = 0) -> range:
        """Return the offsets below one marker whose windows cover so many rows; ``None`` for all that are allowed."""
        step = self.largest_page - overlap
        farthest = self.largest_offset // step * step
        if rows is not None:
            farthest = min(farthest, max(0, -(-(rows - self.largest_page) // step)) * step)
        return range(0, farthest + 1, step)


Paging: TypeAlias = PageNumbers | Markers


@attrs.frozen
class PageWindow:
    """Rows ``[(number-1)*size, number*size)``."""

    number: int
    """From 1."""
    size: int


@attrs.frozen
class MarkerWindow:
    """Rows ``[offset, offset+size)`` of those below ``marker``."""

    marker: str | None
    """``None``: from the newest record."""
    size: int
    offset: int = 0


Window: TypeAlias = PageWindow | MarkerWindow


@attrs.frozen(kw_only=True)
class Partition:
    """One walk of a listing; together the partitions cover what the query asks for.

    A listing is only ever split by what cannot change while it is read, such as the product.
    """

    label: str
    """For people and events, such as ``product 8UhOTwV5``; empty where there is only one."""
    filters: Any = None
    """What the backend needs to fetch it; nobody else looks inside."""
    between: "Callable[[datetime | None, datetime | None], Partition] | None" = attrs.field(
        default=None, repr=False, eq=False
    )
    """Returns the part of this walk that registered after one instant and before another, ``None`` for an open end;
    ``None`` where the vendor cannot tell. Whether the ends belong to it is left open, so neighbours must overlap."""
    registered: tuple[datetime | None, datetime | None] = attrs.field(default=(None, None), eq=False)
    """Between which instants the query asks for by itself; ``between`` never goes beyond."""


@attrs.frozen(kw_only=True)
class RawPage:
    """One answer, not yet decoded."""

    partition: Partition
    window: Window
    response: HttpResponse
    other_requests: int = 0
    """How many requests for something else it took to be able to read it."""


def _counts(_facts: Any, _field: Any, total: Any) -> None:
    if total is not None and not isinstance(total, int | float):
        raise PayloadError(f"a page's total is {total!r}, which is no number")


@attrs.frozen(kw_only=True)
class PageFacts:
    """What a page says about itself."""

    rows: int
    total: int | None = attrs.field(default=None, validator=_counts)
    """How many rows the vendor says match, over all pages; a hint."""
    marker: str | None = None
    """The record id of its last row, where the vendor gives one."""
    number: int | None = None
    """The page number that the vendor echoes."""
    size: int | None = None
    """The page size that the vendor echoes."""


@attrs.frozen(kw_only=True)
class Rows(Generic[_RowT_co]):
    """The good rows of a page, and an error for each bad one."""

    good: Sequence[_RowT_co]
    errors: Sequence[PayloadError] = ()
    facts: PageFacts | None = None
    """What the page says about itself, where that came out of the same reading."""


class ReadSource(Protocol[_T]):
    """The raw reads behind one query."""

    @property
    def operation(self) -> str:
        """The public operation, such as ``devices.search``."""
        ...

    @property
    def paging(self) -> Paging:
        """How the vendor pages, with its limits."""
        ...

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, in its own words; empty for nothing."""
        ...

    @property
    def filtered_here(self) -> tuple[str, ...]:
        """The names of the query's fields that :meth:`keep` applies because the vendor cannot."""
        ...

    def partitions(self) -> Sequence[Partition]:
        """Return the walks that cover the query; the same ones for the same query."""
        ...

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one window.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        ...

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says about itself, without decoding its rows into models.

        Raises:
            PayloadError: It is not a page at all.
        """
        ...

    def decode(self, raw: RawPage, /) -> Rows[_T]:
        """Return all rows of the page, whether :meth:`keep` wants them or not."""
        ...

    def keep(self, row: _T, /) -> bool:
        """Tell whether a row matches what the vendor could not filter; with ``filtered_here`` empty, every row does."""
        ...

    def key(self, row: _T, /) -> str:
        """Return what identifies a row within this backend."""
        ...
