"""Listings: one page of a plan at a time, and how its rows become models."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Generic, TypeVar

from otaclient.errors import OtaError
from otaclient.reads import Markers, PageFacts, Partition, RawPage, Rows, Window
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session
from otaclient_iotda.plans import Plan
from otaclient_iotda.requests import PAGING
from otaclient_iotda.responses import fast_rows, page_facts, parse_rows

__all__ = ["IotdaReads", "concerning"]

_T = TypeVar("_T")


class IotdaReads(Generic[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`."""

    def __init__(self, session: Session, project_id: str, plan: Plan[_T]) -> None:
        self._session = session
        self._project_id = project_id
        self._plan = plan
        self._filters = tuple(plan.filters.values())
        self.key: Callable[[_T], str] = plan.listing.key
        """Returns a row's identifier: package_id, task_id, device_id, module_id, or task_id and target of a detail."""

    @property
    def operation(self) -> str:
        """The public operation."""
        return self._plan.listing.operation

    @property
    def paging(self) -> Markers:
        """Pages below a marker: at most 50 rows, at most 500 skipped."""
        return PAGING

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, as its query parameters; the values of several walks are separated by ``|``."""
        return self._plan.pushed_down

    @property
    def filtered_here(self) -> tuple[str, ...]:
        """The names of the query's fields that the vendor cannot filter by."""
        return tuple(self._plan.filters)

    def partitions(self) -> Sequence[Partition]:
        """Return the walks that cover the query: the vendor wants one for each type, and for each product."""
        return self._plan.partitions

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one page.

        Raises:
            InvalidQueryError: The window is none of this vendor's, such as one with a malformed marker.
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        with concerning(self.operation, self._session.label):
            request = self._request(partition, window)
        response = await self._session.call(request)
        return RawPage(partition=partition, window=window, response=response)

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says about itself, without reading its rows.

        Raises:
            PayloadError: It is not a page at all.
        """
        with concerning(self.operation, self._session.label, attempts=raw.response.attempts):
            request = self._request(raw.partition, raw.window)
            return page_facts(self._plan.listing.list_key, request, raw.response)

    def decode(self, raw: RawPage, /) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented."""
        label, listing, attempts = self._session.label, self._plan.listing, raw.response.attempts
        with concerning(self.operation, label, attempts=attempts):
            fast = fast_rows(raw.response, listing.struct, listing.model, label)
            if fast is not None:
                return fast
            request = self._request(raw.partition, raw.window)
            good, errors = parse_rows(listing.list_key, listing.struct, request, raw.response)
        for error in errors:
            error.during(operation=self.operation, backend=label, attempts=attempts)
        return Rows(good=[listing.model(row, backend=label) for row in good], errors=errors)

    def keep(self, row: _T, /) -> bool:
        """Tell whether a row matches what the vendor could not filter."""
        return all(matches(row) for matches in self._filters)

    def _request(self, partition: Partition, window: Window) -> HttpRequest:
        return self._plan.listing.build(self._project_id, partition.filters, window)


@contextmanager
def concerning(operation: str, label: str, *, attempts: int = 0) -> Generator[None]:
    """Let errors raised inside say which operation of which backend they are about, where they do not yet."""
    try:
        yield
    except OtaError as error:
        error.during(operation=operation, backend=label, attempts=attempts)
        raise
