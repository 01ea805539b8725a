"""Listings: one page of a plan at a time, and how its rows become models."""

from typing import TypeVar

from otaclient.reads import PageFacts, Partition, RawPage, Rows, Window
from otaclient.session_reads import SessionReads
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session
from otaclient_enos.plans import Plan
from otaclient_enos.requests import PAGING, Organisation
from otaclient_enos.responses import fast_rows, page_facts, parse_rows

__all__ = ["EnosReads"]

_T = TypeVar("_T")


class EnosReads(SessionReads[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`.

    There is one walk, unless a list is too long for one expression. A row's identifier is its firmwareId, jobId or
    assetId, or of a task its job and assetId.
    """

    def __init__(self, session: Session, organisation: Organisation, plan: Plan[_T]) -> None:
        self._organisation = organisation
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

    @property
    def org_id(self) -> str:
        """The organisation that is asked."""
        return self._organisation.org_id

    def request(self, partition: Partition, window: Window) -> HttpRequest:
        """Return the request for a page."""
        return self._listing.build(self._organisation, partition.filters, window)

    def facts_of(self, raw: RawPage) -> PageFacts:
        """Return what the page says about itself, without reading its rows."""
        return page_facts(self.request(raw.partition, raw.window), raw.response)

    def rows_of(self, raw: RawPage) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented."""
        label, listing = self._session.label, self._listing
        fast = fast_rows(raw.response, listing.struct, listing.model, label)
        if fast is not None:
            return fast
        good, errors = parse_rows(self.request(raw.partition, raw.window), raw.response, listing.struct)
        return Rows(good=[listing.model(row, backend=label) for row in good], errors=errors)
