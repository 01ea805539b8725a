"""Listings: one page of a plan at a time, and how its rows become models."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Final, Generic, TypeVar

from otaclient.errors import InvalidQueryError, OtaError
from otaclient.reads import PageFacts, PageNumbers, PageWindow, Partition, RawPage, Rows, Window
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session
from otaclient_enos import requests
from otaclient_enos.plans import Plan
from otaclient_enos.requests import Organisation
from otaclient_enos.responses import fast_rows, page_facts, parse_rows

__all__ = ["EnosReads", "concerning"]

_T = TypeVar("_T")

PAGING: Final = PageNumbers(largest_page=requests.LARGEST_PAGE_SIZE, default_page=requests.DEFAULT_PAGE_SIZE)


class EnosReads(Generic[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`."""

    def __init__(self, session: Session, organisation: Organisation, plan: Plan[_T]) -> None:
        self._session = session
        self._organisation = organisation
        self._plan = plan
        self._filters = tuple(plan.filters.values())
        self.key: Callable[[_T], str] = plan.listing.key
        """Returns a row's identifier: firmwareId, jobId, assetId, or job and assetId of a task."""

    @property
    def org_id(self) -> str:
        """The organisation that is asked."""
        return self._organisation.org_id

    @property
    def operation(self) -> str:
        """The public operation."""
        return self._plan.listing.operation

    @property
    def paging(self) -> PageNumbers:
        """Pages by number: any size up to 200, of which the vendor recommends no more than 50."""
        return PAGING

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, as an expression; long lists are counted instead of written out."""
        return self._plan.pushed_down

    @property
    def filtered_here(self) -> tuple[str, ...]:
        """The names of the query's fields that the vendor cannot filter by."""
        return tuple(self._plan.filters)

    def partitions(self) -> Sequence[Partition]:
        """Return the walks that cover the query: one, unless a list is too long for one expression."""
        return self._plan.partitions

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one page.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        response = await self._session.call(self._request(partition, window))
        return RawPage(partition=partition, window=window, response=response)

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says about itself, without reading its rows.

        Raises:
            PayloadError: It is not a page at all.
        """
        with concerning(self.operation, self._session.label, attempts=raw.response.attempts):
            return page_facts(self._request(raw.partition, raw.window), raw.response)

    def decode(self, raw: RawPage, /) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented."""
        label, listing = self._session.label, self._plan.listing
        fast = fast_rows(raw.response, listing.struct, listing.model, label)
        if fast is not None:
            return fast
        with concerning(self.operation, label, attempts=raw.response.attempts):
            request = self._request(raw.partition, raw.window)
            good, errors = parse_rows(request, raw.response, listing.struct)
        for error in errors:
            error.during(operation=self.operation, backend=label, attempts=raw.response.attempts)
        return Rows(good=[listing.model(row, backend=label) for row in good], errors=errors)

    def keep(self, row: _T, /) -> bool:
        """Tell whether a row matches what the vendor could not filter."""
        return all(matches(row) for matches in self._filters)

    def _request(self, partition: Partition, window: Window) -> HttpRequest:
        if not isinstance(window, PageWindow):
            raise InvalidQueryError(
                "EnOS pages by number, not by marker: ask with a PageWindow", operation=self.operation
            )
        return self._plan.listing.build(
            self._organisation, expression=partition.filters, number=window.number, size=window.size
        )


@contextmanager
def concerning(operation: str, label: str, *, attempts: int = 0) -> Generator[None]:
    """Let errors raised inside say which operation of which backend they are about, where they do not yet."""
    try:
        yield
    except OtaError as error:
        error.during(operation=operation, backend=label, attempts=attempts)
        raise
