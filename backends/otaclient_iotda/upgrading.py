"""Which devices are being upgraded: no device says so, so it is told from the jobs that have not ended."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import anyio
import attrs

from otaclient.errors import DeadlineExceededError, NotFoundError, OtaError
from otaclient.fleet.fetcher import fetch_each
from otaclient.models import DeviceUpgrade, JobId
from otaclient.paging import Paged
from otaclient.reads import MarkerWindow, Partition, RawPage, Rows, Window
from otaclient.transport.session import Session
from otaclient_iotda.plans import Plan, plan_open_details, plan_open_jobs
from otaclient_iotda.reads import IotdaReads

__all__ = ["LEAST_REQUESTS", "OpenUpgrades", "ResolvingReads"]

_T = TypeVar("_T")

LEAST_REQUESTS: Final = len(plan_open_jobs().partitions)
"""What finding out costs where no job is open: one request for each state and type of task."""

# Jobs whose targets are read at the same time; the client's own limits hold besides.
_JOBS_AT_ONCE: Final = 8


@attrs.frozen(kw_only=True)
class OpenUpgrades:
    """Reads which devices have an upgrade that has not ended."""

    session: Session
    project_id: str
    app_id: str | None

    async def read(self) -> "UpgradingDevices":
        """Return all targets of open jobs that are waiting, in process, or to be tried again.

        The jobs are those of the resource space. They are read in the order in which they and their targets go on, so
        that who goes on meanwhile is not overlooked; only a target that goes from waiting for another attempt back to
        being processed, just between the two readings, is.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        job_ids: dict[JobId, None] = {}
        requests = 0
        async for page in self._paged(plan_open_jobs(app_id=self.app_id)).pages():
            requests += page.response.attempts
            job_ids.update((job.job_id, None) for job in page.items)
        found: set[str] = set()
        async with fetch_each(job_ids, self._targets, concurrency=_JOBS_AT_ONCE) as outcomes:
            async for outcome in outcomes:
                part = outcome.unwrap()
                found |= part.device_ids
                requests += part.requests
        return UpgradingDevices(frozenset(found), requests)

    async def _targets(self, job_id: JobId) -> "UpgradingDevices":
        found: set[str] = set()
        requests = 0
        try:
            async for page in self._paged(plan_open_details(job_id)).pages():
                requests += page.response.attempts
                found.update(task.device_id for task in page.items)
        except NotFoundError as error:  # deleted meanwhile, which only jobs can be that have ended
            return UpgradingDevices(frozenset(), requests + error.attempts)
        return UpgradingDevices(frozenset(found), requests)

    def _paged(self, plan: Plan[_T]) -> Paged[_T]:
        source = IotdaReads(self.session, self.project_id, plan)
        return Paged(source, backend="iotda", query=None, label=self.session.label)


@attrs.frozen
class UpgradingDevices:
    """Which devices are being upgraded, and what it took to find out."""

    device_ids: frozenset[str]
    requests: int


class ResolvingReads(IotdaReads[DeviceUpgrade]):
    """The raw reads behind a device query that find out beforehand which devices are being upgraded.

    Args:
        session: What sends the requests.
        project_id: The project.
        plan: How the query is answered.
        upgrades: Tells the devices that are being upgraded.
        anew: Whether a walk that begins again finds out again; otherwise that is done once, before the first page.
    """

    def __init__(
        self, session: Session, project_id: str, plan: Plan[DeviceUpgrade], upgrades: OpenUpgrades, *, anew: bool
    ) -> None:
        super().__init__(session, project_id, plan)
        self._upgrades = upgrades
        self._anew = anew
        self._open: UpgradingDevices | None = None
        self._turn = anyio.Lock()

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, and what is asked of it before."""
        first = f"upgrading is told by the tasks of all open jobs, read before: {LEAST_REQUESTS} requests or more"
        return f"{super().pushed_down or 'nothing'} ({first})"

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one page; before the first one, find out which devices are being upgraded, all in ``timeout_seconds``.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        session = self._session.until(self._session.deadline())
        begins = partition == self.partitions()[0] and isinstance(window, MarkerWindow) and window.marker is None
        async with self._turn_within(session):
            known = None if self._anew and begins else self._open
            self._open = await attrs.evolve(self._upgrades, session=session).read() if known is None else known
            others = self._open.requests if known is None else 0
        try:
            raw = await self._fetch_with(session, partition, window)
        except OtaError as error:
            error.other_requests = others
            raise
        return attrs.evolve(raw, other_requests=others)

    @asynccontextmanager
    async def _turn_within(self, session: Session) -> AsyncGenerator[None]:
        """Wait until nobody else finds out; whoever comes first does it for all."""
        with anyio.move_on_after(session.deadline() - session.clock.monotonic()) as waiting:
            await self._turn.acquire()
        if waiting.cancelled_caught:
            raise DeadlineExceededError(
                "timeout_seconds ran out while another page had it found out who is being upgraded",
                operation=self.operation,
                backend=session.label,
            )
        try:
            yield
        finally:
            self._turn.release()

    def decode(self, raw: RawPage, /) -> Rows[DeviceUpgrade]:
        """Return all rows of the page, with whether each is being upgraded."""
        rows = super().decode(raw)
        if self._open is None:
            return rows
        upgrading = self._open.device_ids
        good = [attrs.evolve(row, upgrading=row.device_id in upgrading) for row in rows.good]
        return attrs.evolve(rows, good=good)
