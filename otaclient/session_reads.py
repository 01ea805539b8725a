"""What the raw reads of every backend over a session do alike: a base class, for plug-ins too."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

from otaclient.errors import OtaError
from otaclient.reads import PageFacts, Paging, Partition, RawPage, Rows, Window
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session

__all__ = ["SessionReads", "concerning"]

_T = TypeVar("_T")


class SessionReads(ABC, Generic[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`.

    A subclass says which request asks for a window, and what an answer holds: :meth:`request`, :meth:`facts_of` and
    :meth:`rows_of`.

    Args:
        session: What sends the requests.
        operation: The public operation, such as ``devices.search``.
        paging: How the vendor pages, with its limits.
        key: Returns what identifies a row within this backend.
        partitions: The walks that cover the query; one walk, of everything, unless given.
        pushed_down: What the vendor filters, in its own words; empty for nothing.
        filters: What is filtered here, by the name of the query's field.
    """

    def __init__(
        self,
        session: Session,
        *,
        operation: str,
        paging: Paging,
        key: Callable[[_T], str],
        partitions: Sequence[Partition] = (Partition(label=""),),
        pushed_down: str = "",
        filters: Mapping[str, Callable[[_T], bool]] | None = None,
    ) -> None:
        self._session = session
        self._operation = operation
        self._paging = paging
        self._partitions = partitions
        self._pushed_down = pushed_down
        self._filters = dict(filters or {})
        self._conditions = tuple(self._filters.values())
        self.key: Callable[[_T], str] = key
        """Returns what identifies a row within this backend."""

    @abstractmethod
    def request(self, partition: Partition, window: Window) -> HttpRequest:
        """Return the request for a window.

        Raises:
            InvalidQueryError: The window is none of this vendor's.
        """

    @abstractmethod
    def facts_of(self, raw: RawPage) -> PageFacts:
        """Return what a page says about itself, without reading its rows.

        Raises:
            PayloadError: It is not a page at all.
        """

    @abstractmethod
    def rows_of(self, raw: RawPage) -> Rows[_T]:
        """Return all rows of a page, and an error for each that is not as documented.

        Raises:
            PayloadError: It is not a page at all.
        """

    @property
    def operation(self) -> str:
        """The public operation."""
        return self._operation

    @property
    def paging(self) -> Paging:
        """How the vendor pages, with its limits."""
        return self._paging

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, in its own words; empty for nothing."""
        return self._pushed_down

    @property
    def filtered_here(self) -> tuple[str, ...]:
        """The names of the query's fields that the vendor cannot filter by."""
        return tuple(self._filters)

    def partitions(self) -> Sequence[Partition]:
        """Return the walks that cover the query."""
        return self._partitions

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one window.

        Raises:
            InvalidQueryError: The window is none of this vendor's.
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        return await self._fetch_with(self._session, partition, window)

    async def _fetch_with(self, session: Session, partition: Partition, window: Window) -> RawPage:
        try:
            request = self.request(partition, window)
        except OtaError as error:
            error.during(operation=self._operation, backend=session.label, attempts=0)
            raise
        response = await session.call(request)
        return RawPage(partition=partition, window=window, response=response)

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says about itself, without reading its rows.

        Raises:
            PayloadError: It is not a page at all.
        """
        try:
            return self.facts_of(raw)
        except OtaError as error:
            self._concern(error, raw)
            raise

    def decode(self, raw: RawPage, /) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented.

        Raises:
            PayloadError: It is not a page at all.
        """
        try:
            rows = self.rows_of(raw)
        except OtaError as error:
            self._concern(error, raw)
            raise
        for fault in rows.errors:
            self._concern(fault, raw)
        return rows

    def keep(self, row: _T, /) -> bool:
        """Tell whether a row matches what the vendor could not filter."""
        return all(matches(row) for matches in self._conditions)

    def _concern(self, error: OtaError, raw: RawPage) -> None:
        session = self._session
        session.redact(error.during(operation=self._operation, backend=session.label, attempts=raw.response.attempts))


@contextmanager
def concerning(
    operation: str, label: str, *, attempts: int = 0, redact: Callable[[OtaError], Any] | None = None
) -> Generator[None]:
    """Let errors raised inside say which operation of which client they are about, where they do not yet.

    Args:
        operation: The operation.
        label: The client's label.
        attempts: How many requests it took so far.
        redact: Takes secrets out of errors that quote an answer: :meth:`otaclient.transport.session.Session.redact`.
    """
    try:
        yield
    except OtaError as error:
        error.during(operation=operation, backend=label, attempts=attempts)
        if redact is not None:
            redact(error)
        raise
