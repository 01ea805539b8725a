"""Whom the operations of one client act for, and what all its repositories do alike with requests and answers."""

from collections.abc import Callable
from typing import Final, TypeVar

import attrs

from otaclient.checks import check_kind
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job
from otaclient.paging import Paged
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.session_account import SessionAccount
from otaclient.session_reads import concerning
from otaclient.transport.session import Session
from otaclient_enos.job_names import without_fingerprints
from otaclient_enos.plans import Plan, plan_devices, plan_firmware, plan_jobs, plan_tasks
from otaclient_enos.reads import EnosReads
from otaclient_enos.requests import Organisation

__all__ = ["NAME", "READ_LAG_SECONDS", "Account"]

NAME: Final = "enos"
READ_LAG_SECONDS: Final = 2.0
"""How long searches may lag behind a write: the pages of all searches advise to wait "about 2 seconds"."""

_T = TypeVar("_T")
_Q = TypeVar("_Q", FirmwareQuery, JobQuery, DeviceTaskQuery, DeviceUpgradeQuery)


@attrs.frozen(kw_only=True)
class Account(SessionAccount):
    """One organisation, and how it is reached."""

    name = NAME

    files: Session
    """Speaks to the gateway that serves files."""
    organisation: Organisation

    def firmware(self, query: FirmwareQuery) -> EnosReads[Firmware]:
        """Return the raw reads behind a query."""
        return self._reads("firmware.search", query, FirmwareQuery, plan_firmware)

    def jobs(self, query: JobQuery) -> EnosReads[Job]:
        """Return the raw reads behind a query."""
        return self._reads("jobs.search", query, JobQuery, _plan_jobs)

    def tasks(self, query: DeviceTaskQuery) -> EnosReads[DeviceTask]:
        """Return the raw reads behind a query."""
        return self._reads("jobs.tasks", query, DeviceTaskQuery, plan_tasks)

    def devices(self, query: DeviceUpgradeQuery) -> EnosReads[DeviceUpgrade]:
        """Return the raw reads behind a query."""
        return self._reads("devices.search", query, DeviceUpgradeQuery, plan_devices)

    def paged(self, source: EnosReads[_T], query: object) -> Paged[_T]:
        """Return a listing; a cursor of one organisation means nothing in another."""
        return self.listing(source, source.org_id, query)

    def _reads(self, operation: str, query: _Q, kind: type[_Q], plan: Callable[[_Q], Plan[_T]]) -> EnosReads[_T]:
        with concerning(operation, self.label):
            check_kind(query, kind, name="the query")
            owner_id: str | None = getattr(query, "owner_id", None)
            return EnosReads(self.session, self.organisation.owned_by(owner_id), plan(query))


def _plan_jobs(query: JobQuery) -> Plan[Job]:
    return without_fingerprints(plan_jobs(query), query)
