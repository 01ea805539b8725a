"""Which project the operations of one client are about, and what all its repositories do alike."""

from typing import Any, Final, TypeVar

import attrs

from otaclient.checks import check_kind
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job
from otaclient.paging import Paged
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.session_account import SessionAccount
from otaclient.session_reads import concerning
from otaclient.transport.session import Session
from otaclient_iotda.job_names import with_fingerprints
from otaclient_iotda.plans import plan_devices, plan_firmware, plan_jobs, plan_modules, plan_tasks
from otaclient_iotda.reads import IotdaReads
from otaclient_iotda.records import OtaModule
from otaclient_iotda.upgrading import OpenUpgrades, ResolvingReads

__all__ = ["NAME", "READ_LAG_SECONDS", "Account"]

NAME: Final = "iotda"
READ_LAG_SECONDS: Final = 0.0
"""How long lists may lag behind a write: the vendor documents no lag."""

_T = TypeVar("_T")
_Q = TypeVar("_Q", FirmwareQuery, JobQuery, DeviceTaskQuery, DeviceUpgradeQuery)


@attrs.frozen(kw_only=True)
class Account(SessionAccount):
    """One project, and how it is reached."""

    name = NAME

    searches: Session
    """For flexible searches, which have a pace of their own."""
    project_id: str
    app_id: str | None
    """The resource space that listings keep to and that new things belong to."""
    region: str | None
    """Where the object storage is, unless somebody says otherwise."""

    def firmware(self, query: FirmwareQuery) -> IotdaReads[Firmware]:
        """Return the raw reads behind a query."""
        with concerning("firmware.search", self.label):
            check_kind(query, FirmwareQuery, name="the query")
            return self._reads(plan_firmware(query, app_id=self.app_id))

    def jobs(self, query: JobQuery) -> IotdaReads[Job]:
        """Return the raw reads behind a query."""
        with concerning("jobs.search", self.label):
            check_kind(query, JobQuery, name="the query")
            return self._reads(with_fingerprints(plan_jobs(query, app_id=self.app_id), query))

    def tasks(self, query: DeviceTaskQuery) -> IotdaReads[DeviceTask]:
        """Return the raw reads behind a query."""
        with concerning("jobs.tasks", self.label):
            check_kind(query, DeviceTaskQuery, name="the query")
            return self._reads(plan_tasks(query))

    def devices(self, query: DeviceUpgradeQuery, *, anew: bool = False) -> IotdaReads[DeviceUpgrade]:
        """Return the raw reads behind a query.

        Args:
            query: What is asked.
            anew: Whether every walk from the beginning finds out anew who is being upgraded, if that is asked for.
        """
        with concerning("devices.search", self.label):
            check_kind(query, DeviceUpgradeQuery, name="the query")
            plan = plan_devices(query, app_id=self.app_id)
            if not query.resolve_upgrading:
                return self._reads(plan)
            app_id = query.owner_id or self.app_id
            upgrades = OpenUpgrades(session=self.session, project_id=self.project_id, app_id=app_id)
            return ResolvingReads(self.session, self.project_id, plan, upgrades, anew=anew)

    def modules(self, *, product_id: str | None, owner_id: str | None) -> IotdaReads[OtaModule]:
        """Return the raw reads behind a listing of OTA modules."""
        with concerning("modules.search", self.label):
            app_id = self.app_id if owner_id is None else owner_id
            return self._reads(plan_modules(product_id=product_id, app_id=app_id))

    def paged(self, source: IotdaReads[_T], query: object) -> Paged[_T]:
        """Return a listing whose cursors mean nothing in another project or resource space."""
        return self.listing(source, self.project_id, self.app_id, query)

    def _reads(self, plan: Any) -> IotdaReads[Any]:
        return IotdaReads(self.session, self.project_id, plan)
