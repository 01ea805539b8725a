"""Paging: items across all pages by default, pages on request, resumable with an opaque cursor."""

import base64
import binascii
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing, contextmanager
from typing import Any, Generic, TypeVar

import attrs
import msgspec

from otaclient.errors import InvalidQueryError, OtaError, PayloadError
from otaclient.reads import MarkerWindow, PageFacts, PageNumbers, PageWindow, Paging, RawPage, ReadSource, Window
from otaclient.transport.http import HttpResponse

__all__ = ["Page", "Paged", "first_window", "next_window"]

_T = TypeVar("_T")
_CURSOR_VERSION = 1


@attrs.frozen(kw_only=True)
class Page(Generic[_T]):
    """One page of a listing."""

    items: tuple[_T, ...]
    """Only what matches; fewer than the page size, even none, says nothing about later pages."""
    cursor: str | None
    """Give it to ``pages(cursor=...)`` to go on after this page, also in another process; ``None`` at the end."""
    total: int | None
    """How many rows the vendor says match before any filter of ours; a hint, for one walk of several."""
    response: HttpResponse = attrs.field(repr=False)
    """The raw answer."""


class Paged(Generic[_T]):
    """A listing that is read as it is walked: ``async for item in listing`` crosses all pages.

    Rows that come, go or move while a listing is walked may be missed or seen twice: that is how the vendors page. Use
    :func:`otaclient.scan` where nothing may be missed.
    """

    def __init__(
        self,
        source: ReadSource[_T],
        *,
        backend: str,
        query: object,
        label: str | None = None,
        settle: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Wrap a read source.

        Args:
            source: The raw reads.
            backend: The backend's name: a cursor of another backend is refused.
            query: What was asked: a cursor of another query is refused. Its ``repr`` must say all of it.
            label: The client's label, for errors; the backend's name unless given.
            settle: Waits until earlier writes of this client can be read.
        """
        self._source = source
        self._scope = f"{backend} {source.operation}"
        self._digest = hashlib.sha256(f"{self._scope} {query!r}".encode()).hexdigest()[:16]
        self._label = label or backend
        self._settle = settle

    def __aiter__(self) -> AsyncIterator[_T]:
        return self._items(None)

    def pages(
        self, cursor: str | None = None, page_size: int | None = None, *, settled: bool = False
    ) -> AsyncIterator[Page[_T]]:
        """Return the pages, from the beginning or from a cursor on.

        Args:
            cursor: The ``cursor`` of an earlier page of the same query.
            page_size: Rows a page, within the vendor's limit; a cursor brings its own.
            settled: First wait until earlier writes of this client can be read.

        Raises:
            InvalidQueryError: The page size is out of range, or the cursor is malformed or of something else.
        """
        size = self._checked_size(page_size)
        if cursor is None:
            return self._walk(0, first_window(self._source.paging, size), settled=settled)
        number, window = self._decode_cursor(cursor)
        if page_size is not None and page_size != window.size:
            raise InvalidQueryError(
                f"page_size is {page_size}, but the cursor was made with {window.size}: leave page_size out",
                operation=self._source.operation,
            )
        return self._walk(number, window, settled=settled)

    async def first(self, n: int) -> tuple[_T, ...]:
        """Return the first ``n`` items, or all where there are fewer."""
        if type(n) is not int or n < 1:
            raise InvalidQueryError(
                f"first({n!r}): ask for a whole number, at least 1", operation=self._source.operation
            )
        found: list[_T] = []
        async with aclosing(self._items(min(n, self._source.paging.default_page))) as items:
            async for item in items:
                found.append(item)
                if len(found) == n:
                    break
        return tuple(found)

    async def collect(self, max_items: int) -> tuple[_T, ...]:
        """Return all items.

        Raises:
            InvalidQueryError: There are more than ``max_items``: nothing is cut off silently. Or it is no whole number.
        """
        if type(max_items) is not int or max_items < 0:
            raise InvalidQueryError(
                f"max_items is {max_items!r}: give a whole number, at least 0", operation=self._source.operation
            )
        found: list[_T] = []
        async with aclosing(self._items(None)) as items:
            async for item in items:
                if len(found) == max_items:
                    raise InvalidQueryError(
                        f"there are more than max_items={max_items}: raise it, narrow the query, or iterate",
                        operation=self._source.operation,
                    )
                found.append(item)
        return tuple(found)

    async def _items(self, page_size: int | None) -> AsyncGenerator[_T]:
        first = first_window(self._source.paging, self._checked_size(page_size))
        # Closed here, and not when the collector comes round to it, perhaps after the event loop has ended.
        async with aclosing(self._walk(0, first, settled=False)) as pages:
            async for page in pages:
                for item in page.items:
                    yield item

    async def _walk(self, number: int, window: Window, *, settled: bool) -> AsyncGenerator[Page[_T]]:
        if settled and self._settle is not None:
            with self._concerned():
                await self._settle()
        source = self._source
        partitions = source.partitions()
        while True:
            raw = await source.fetch(partitions[number], window)
            facts = source.facts(raw)
            with self._concerned(raw.response):
                following = next_window(window, facts)
            if following is None and number + 1 < len(partitions):
                number, following = number + 1, first_window(source.paging, window.size)
            cursor = None if following is None else self._encode_cursor(number, following)
            yield Page(items=self._decoded(raw), cursor=cursor, total=facts.total, response=raw.response)
            if following is None:
                return
            window = following

    @contextmanager
    def _concerned(self, response: HttpResponse | None = None) -> Generator[None]:
        """Let errors say which operation of which client they are about, and which answer."""
        try:
            yield
        except OtaError as error:
            if response is not None:
                error.status = response.status
            attempts = 0 if response is None else response.attempts
            error.during(operation=self._source.operation, backend=self._label, attempts=attempts)
            raise

    def _decoded(self, raw: RawPage) -> tuple[_T, ...]:
        rows = self._source.decode(raw)
        if rows.errors:
            problems = tuple(problem for error in rows.errors for problem in error.problems)
            raise PayloadError(
                f"{len(rows.errors)} of {len(rows.errors) + len(rows.good)} rows of the page are not as documented",
                problems=problems,
                operation=self._source.operation,
                backend=rows.errors[0].backend,
                attempts=raw.response.attempts,
                status=raw.response.status,
            ) from rows.errors[0]
        return tuple(row for row in rows.good if self._source.keep(row))

    def _checked_size(self, page_size: int | None) -> int:
        paging = self._source.paging
        size = paging.default_page if page_size is None else page_size
        if type(size) is not int or not 1 <= size <= paging.largest_page:
            raise InvalidQueryError(
                f"page_size is {page_size!r}: {self._scope} takes 1 to {paging.largest_page}",
                operation=self._source.operation,
            )
        return size

    def _encode_cursor(self, partition: int, window: Window) -> str:
        place = window.number if isinstance(window, PageWindow) else window.marker
        fields = [_CURSOR_VERSION, self._scope, self._digest, partition, place, window.size]
        return base64.urlsafe_b64encode(msgspec.json.encode(fields)).decode().rstrip("=")

    def _decode_cursor(self, cursor: str) -> tuple[int, Window]:
        try:
            text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars="-_", validate=True)
            version, scope, digest, partition, place, size = msgspec.json.decode(
                text, type=tuple[int, str, str, int, int | str | None, int]
            )
        except (binascii.Error, ValueError, TypeError, msgspec.MsgspecError) as error:
            raise self._bad_cursor("it is not one that a Page gave out") from error
        if version != _CURSOR_VERSION:
            raise self._bad_cursor(f"it is of version {version}, made by another release")
        if scope != self._scope:
            raise self._bad_cursor(f"it belongs to {scope}, not to {self._scope}")
        if digest != self._digest:
            raise self._bad_cursor("it belongs to another query: ask again with the query that it came from")
        in_range = 0 <= partition < len(self._source.partitions()) and 1 <= size <= self._source.paging.largest_page
        window = _window_at(self._source.paging, place, size)
        if not in_range or window is None:
            raise self._bad_cursor("it is not one that a Page gave out")
        return partition, window

    def _bad_cursor(self, why: str) -> InvalidQueryError:
        return InvalidQueryError(f"the cursor cannot be used: {why}", operation=self._source.operation)


def _window_at(paging: Paging, place: Any, size: int) -> Window | None:
    if isinstance(paging, PageNumbers):
        return PageWindow(place, size) if type(place) is int and place >= 1 else None
    return MarkerWindow(place, size) if place is None or isinstance(place, str) else None


def first_window(paging: Paging, size: int) -> Window:
    """Return the window at the beginning of a listing."""
    return PageWindow(1, size) if isinstance(paging, PageNumbers) else MarkerWindow(None, size)


def next_window(window: Window, facts: PageFacts) -> Window | None:
    """Return the window behind this one, or ``None`` at the end.

    A total never ends a walk by itself: totals lag and lie. Page numbers end at an empty page, or at a short one that
    the total agrees with; markers end at an empty page.

    Raises:
        PayloadError: The vendor's answer does not let one go on without losing or repeating rows.
    """
    if isinstance(window, PageWindow):
        return _next_page(window, facts)
    return _next_marker(window, facts)


def _next_page(window: PageWindow, facts: PageFacts) -> PageWindow | None:
    if facts.number not in (None, window.number) or facts.size not in (None, window.size):
        raise PayloadError(
            f"asked for page {window.number} of size {window.size}, but the answer says page {facts.number} of size "
            f"{facts.size}: rows could be lost"
        )
    _check_rows(facts, window.size)
    reached = (window.number - 1) * window.size + facts.rows
    if facts.rows == 0 or (facts.rows < window.size and (facts.total is None or reached >= facts.total)):
        return None
    return PageWindow(window.number + 1, window.size)


def _check_rows(facts: PageFacts, size: int) -> None:
    if facts.rows > size:
        raise PayloadError(f"asked for at most {size} rows, but the answer holds {facts.rows}")


def _next_marker(window: MarkerWindow, facts: PageFacts) -> MarkerWindow | None:
    _check_rows(facts, window.size)
    if facts.rows == 0:
        return None
    if not facts.marker:
        raise PayloadError("a page with rows came without the marker of its last row: the walk cannot go on")
    if window.marker is not None and facts.marker.lower() >= window.marker.lower():
        raise PayloadError(f"the marker went from {window.marker} to {facts.marker}, not down: it would not end")
    return MarkerWindow(facts.marker, window.size)
