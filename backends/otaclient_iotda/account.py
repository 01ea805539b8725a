"""Which project the operations of one client are about, and what all its repositories do alike."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import attrs

from otaclient.errors import ApiError, DeadlineExceededError, InvalidQueryError, RequestNotSentError
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job
from otaclient.paging import Paged
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.session_reads import concerning
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient.transport.settling import WriteLag
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
_P = TypeVar("_P")
_Q = TypeVar("_Q", FirmwareQuery, JobQuery, DeviceTaskQuery, DeviceUpgradeQuery)


@attrs.frozen(kw_only=True)
class Account:
    """One project, and how it is reached."""

    session: Session
    searches: Session
    """For flexible searches, which have a pace of their own."""
    project_id: str
    app_id: str | None
    """The resource space that listings keep to and that new things belong to."""
    region: str | None
    """Where the object storage is, unless somebody says otherwise."""
    lag: WriteLag

    @property
    def label(self) -> str:
        """The client's label."""
        return self.session.label

    def for_one_call(self) -> "Account":
        """Return this account for one call of several requests, which have ``timeout_seconds`` all together."""
        return attrs.evolve(self, session=self.session.until(self.session.deadline()))

    async def settle(self) -> None:
        """Wait until every write so far can be read.

        Raises:
            DeadlineExceededError: That takes longer than ``timeout_seconds``.
        """
        if not await self.lag.settle_by(self.session.deadline()):
            raise DeadlineExceededError(
                f"searches may lag {self.lag.seconds:g} s behind a write, and timeout_seconds ends before",
                backend=self.label,
            )

    def firmware(self, query: FirmwareQuery) -> IotdaReads[Firmware]:
        """Return the raw reads behind a query."""
        with concerning("firmware.search", self.label):
            _check_kind(query, FirmwareQuery)
            return self._reads(plan_firmware(query, app_id=self.app_id))

    def jobs(self, query: JobQuery) -> IotdaReads[Job]:
        """Return the raw reads behind a query."""
        with concerning("jobs.search", self.label):
            _check_kind(query, JobQuery)
            return self._reads(with_fingerprints(plan_jobs(query, app_id=self.app_id), query))

    def tasks(self, query: DeviceTaskQuery) -> IotdaReads[DeviceTask]:
        """Return the raw reads behind a query."""
        with concerning("jobs.tasks", self.label):
            _check_kind(query, DeviceTaskQuery)
            return self._reads(plan_tasks(query))

    def devices(self, query: DeviceUpgradeQuery, *, anew: bool = False) -> IotdaReads[DeviceUpgrade]:
        """Return the raw reads behind a query.

        Args:
            query: What is asked.
            anew: Whether every walk from the beginning finds out anew who is being upgraded, if that is asked for.
        """
        with concerning("devices.search", self.label):
            _check_kind(query, DeviceUpgradeQuery)
            plan = plan_devices(query, app_id=self.app_id)
            if not query.resolve_upgrading:
                return self._reads(plan)
            app_id = query.owner_id or self.app_id
            upgrades = OpenUpgrades(session=self.session, project_id=self.project_id, app_id=app_id)
            return ResolvingReads(self.session, self.project_id, plan, upgrades, anew=anew)

    def modules(self, *, product_id: str | None, owner_id: str | None) -> IotdaReads[OtaModule]:
        """Return the raw reads behind a listing of OTA modules."""
        with concerning("modules.search", self.label):
            return self._reads(plan_modules(product_id=product_id, app_id=owner_id or self.app_id))

    def paged(self, source: IotdaReads[_T], query: object) -> Paged[_T]:
        """Return a listing whose cursors mean nothing in another project or resource space."""
        identity = (self.project_id, self.app_id, query)
        return Paged(source, backend=NAME, query=identity, settle=self.settle)

    def build(self, operation: str, builder: Callable[..., _P], /, *arguments: Any, **options: Any) -> _P:
        """Return what a pure function makes of arguments; its errors say which operation of which client they stop."""
        with concerning(operation, self.label):
            return builder(*arguments, **options)

    def parse(
        self, request: HttpRequest, response: HttpResponse, parser: Callable[[HttpRequest, HttpResponse], _P]
    ) -> _P:
        """Return what an answer holds; errors say which operation of which client they are about."""
        redact = self.session.redact
        with concerning(request.operation, self.label, attempts=response.attempts, redact=redact):
            return parser(request, response)

    async def write(
        self, request: HttpRequest, *, deadline: float | None = None, retry: RetryPolicy | None = None
    ) -> HttpResponse:
        """Send a request that changes something, and remember that lists may lag behind it.

        Args:
            request: The request.
            deadline: When it must have ended; ``timeout_seconds`` from now unless given.
            retry: The retries that are left; those of the client unless given.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        refused = False
        session = self.session if retry is None else self.session.with_options(retry=retry)
        try:
            return await session.call(request, deadline=deadline)
        except (ApiError, RequestNotSentError):
            refused = True
            raise
        finally:
            # Whatever else ended it, also a cancellation: it may have taken effect.
            if not refused:
                self.lag.wrote()

    def _reads(self, plan: Any) -> IotdaReads[Any]:
        return IotdaReads(self.session, self.project_id, plan)


def _check_kind(query: object, kind: type[Any]) -> None:
    if not isinstance(query, kind):
        raise InvalidQueryError(f"the query is a {type(query).__name__}: give a {kind.__name__}")
