"""Listings: one page of a plan at a time, and how its rows become models."""

from typing import TypeVar

from otaclient.reads import PageFacts, Partition, RawPage, Rows, Window
from otaclient.session_reads import SessionReads
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session
from otaclient_iotda.plans import Plan
from otaclient_iotda.requests import PAGING
from otaclient_iotda.responses import fast_rows, page_facts, parse_rows

__all__ = ["IotdaReads"]

_T = TypeVar("_T")


class IotdaReads(SessionReads[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`.

    The vendor wants a walk for each type, and for each product. A row's identifier is its package_id, task_id,
    device_id or module_id, or of a detail its task_id and target.
    """

    def __init__(self, session: Session, project_id: str, plan: Plan[_T]) -> None:
        self._project_id = project_id
        self._listing = plan.listing
        super().__init__(
            session,
            operation=plan.listing.operation,
            paging=PAGING,
            key=plan.listing.key,
            partitions=plan.partitions,
            pushed_down=plan.pushed_down,
            filters=plan.filters,
        )

    def request(self, partition: Partition, window: Window) -> HttpRequest:
        """Return the request for a page."""
        return self._listing.build(self._project_id, partition.filters, window)

    def facts_of(self, raw: RawPage) -> PageFacts:
        """Return what the page says about itself, without reading its rows."""
        return page_facts(self.request(raw.partition, raw.window), raw.response, self._listing.list_key)

    def rows_of(self, raw: RawPage) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented."""
        label, listing = self._session.label, self._listing
        fast = fast_rows(raw.response, listing.struct, listing.model, label)
        if fast is not None:
            return fast
        request = self.request(raw.partition, raw.window)
        good, errors = parse_rows(request, raw.response, listing.list_key, listing.struct)
        return Rows(good=[listing.model(row, backend=label) for row in good], errors=errors)
