"""Whom the operations of one client act for, and what all its repositories do alike with requests and answers."""

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
from otaclient_enos.job_names import without_fingerprints
from otaclient_enos.plans import Plan, plan_devices, plan_firmware, plan_jobs, plan_tasks
from otaclient_enos.reads import EnosReads
from otaclient_enos.requests import Organisation

__all__ = ["NAME", "READ_LAG_SECONDS", "Account"]

NAME: Final = "enos"
READ_LAG_SECONDS: Final = 2.0
"""How long searches may lag behind a write: the pages of all searches advise to wait "about 2 seconds"."""

_T = TypeVar("_T")
_P = TypeVar("_P")
_Q = TypeVar("_Q", FirmwareQuery, JobQuery, DeviceTaskQuery, DeviceUpgradeQuery)


@attrs.frozen(kw_only=True)
class Account:
    """One organisation, and how it is reached."""

    session: Session
    files: Session
    """Speaks to the gateway that serves files."""
    organisation: Organisation
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
        return Paged(source, backend=NAME, query=(source.org_id, query), settle=self.settle)

    def build(self, operation: str, builder: Callable[..., _P], *arguments: Any) -> _P:
        """Return what a pure function makes of arguments; its errors say which operation of which client they stop."""
        with concerning(operation, self.label):
            return builder(*arguments)

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
        """Send a request that changes something, and remember that searches may lag behind it.

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

    def _reads(self, operation: str, query: _Q, kind: type[_Q], plan: Callable[[_Q], Plan[_T]]) -> EnosReads[_T]:
        with concerning(operation, self.label):
            given: Any = query
            if not isinstance(given, kind):
                raise InvalidQueryError(f"the query is a {type(given).__name__}: give a {kind.__name__}")
            owner_id: str | None = getattr(query, "owner_id", None)
            return EnosReads(self.session, self.organisation.owned_by(owner_id), plan(query))


def _plan_jobs(query: JobQuery) -> Plan[Job]:
    return without_fingerprints(plan_jobs(query), query)
