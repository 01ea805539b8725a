"""One vendor over a simulated fleet: what it knows, what it says, and what goes wrong with it. The server serves it."""

import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import ClassVar

from aiohttp import web

from otaclient.emulator.answers import Answering
from otaclient.emulator.churn import Churn
from otaclient.emulator.clock import Clock, SystemClock
from otaclient.emulator.engine import JobEngine
from otaclient.emulator.fault_plan import ExpireTokensFault, FaultPlan, PlannedFault, check_operation
from otaclient.emulator.faults import FaultQueue
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.patterns import OPERATIONS
from otaclient.emulator.plan import JobPlan
from otaclient.emulator.planned_faults import PlannedFaults, capacity_of
from otaclient.emulator.records import FirmwareRecord, JobRecord
from otaclient.emulator.shapes import DocumentError, joined
from otaclient.emulator.store import FirmwareStore
from otaclient.emulator.traffic import Traffic
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job

__all__ = ["EmulatedVendor"]


class EmulatedVendor(Answering, ABC):
    """One vendor's service over a simulated fleet, without a socket.

    A subclass says which routes there are, what an operation is called, and how its vendor words an error that no
    handler foresaw.
    """

    vendor: ClassVar[str]
    """The name under which the backend and the emulator are registered."""
    operations: ClassVar[frozenset[str]] = OPERATIONS
    """What :meth:`operation` may return: a fault plan that names anything else is refused."""
    job_plan: ClassVar[JobPlan] = JobPlan()
    """How long the devices of jobs take, and which of them fail, unless an emulator is told."""
    largest_request_bytes: ClassVar[int] = 16 * 1024 * 1024
    """How large a body the vendor's gateway lets through; what an operation streams counts for itself."""

    def __init__(
        self,
        fleet: Fleet | None,
        *,
        clock: Clock | None,
        compress: bool,
        plan: JobPlan | None,
        read_lag_seconds: float,
        generated_jobs_run: bool,
        fault_plan: FaultPlan | None,
    ) -> None:
        if not read_lag_seconds >= 0:
            raise ValueError(f"read_lag_seconds is {read_lag_seconds}; it must be 0 or more")
        self.fleet = Fleet.generate() if fleet is None else fleet
        self.clock: Clock = SystemClock() if clock is None else clock
        self.compress = compress
        self.read_lag_seconds = read_lag_seconds
        self.engine = JobEngine(self.fleet, self.clock, plan=self.job_plan if plan is None else plan)
        self.store = FirmwareStore(self.fleet, self.clock)
        self.faults = FaultQueue()
        self.served: Counter[str] = Counter()
        """How many requests of each operation came in, whatever the answer."""
        self.statuses: Counter[int] = Counter()
        """How many answers of each HTTP status went out; dropped connections are not among them."""
        self.struck: Counter[str] = Counter()
        """How often a fault of each kind struck; ``capacity`` is what the capacity refused."""
        self._traffic: Traffic | None = None
        self._planned: PlannedFaults | None = None
        self._own_job_plan = self.engine.plan
        if fault_plan is not None:
            self.follow(fault_plan)
        if generated_jobs_run:
            self.engine.run_generated_jobs()

    # --- what a vendor says ------------------------------------------------------------------------------------------

    @abstractmethod
    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes of the vendor's API."""

    @abstractmethod
    def operation(self, request: web.Request) -> str:
        """Return the name under which a request is counted, and under which faults find it.

        The same names for every vendor: ``firmware.`` with ``get``, ``search``, ``create``, ``delete``,
        ``reported_versions`` and ``download``; ``jobs.`` with ``get``, ``search``, ``create``, ``start``, ``confirm``,
        ``stop``, ``delete``, ``tasks``, ``cancel_tasks`` and ``retry_tasks``; ``devices.get``, ``devices.search``,
        ``token.get``, ``token.refresh``; ``other`` for whatever is none of these.
        """

    @abstractmethod
    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the vendor's answer to a request that no handler takes.

        ``status`` says why: 404 an unknown path, 405 a method that the path does not have, 413 a body too large.
        """

    @abstractmethod
    def internal_error(self, request: web.Request) -> web.Response:
        """Return the vendor's answer when its service failed."""

    def throttled(self, request: web.Request) -> web.Response:
        """Return the vendor's answer to a request that is one too many; a bare HTTP 429 unless it has words for it."""
        return self.answer(request, b"", status=HTTPStatus.TOO_MANY_REQUESTS)

    def expire_tokens(self) -> None:
        """Let every token issued so far be expired from now on.

        Raises:
            NotImplementedError: The vendor has no tokens, or none that end.
        """
        raise NotImplementedError(f"the {self.vendor} emulator has no tokens that end")

    @abstractmethod
    def expected_devices(self, label: str) -> Iterator[DeviceUpgrade]:
        """Yield what the client ought to report of every device, in the order of this emulator's listing.

        Made from the fleet, not from the wire: a test compares the client's answers with it.
        """

    @abstractmethod
    def expected_firmware(self, label: str) -> Iterator[Firmware]:
        """Yield what the client ought to report of every firmware that this vendor shows, newest first."""

    @abstractmethod
    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield what the client ought to report of every job that this vendor shows, newest first."""

    @abstractmethod
    def expected_tasks(self, label: str, job_id: str) -> Iterator[DeviceTask]:
        """Yield what the client ought to report of every task of a job, in the order of this emulator's listing.

        Raises:
            NoSuchJobError: There is no such job.
        """

    def listed_firmware(self) -> Sequence[FirmwareRecord]:
        """Return the firmware that searches show, oldest first."""
        return self.store.writes.listing(self.fleet.firmware, self._listed_as_of_ms())

    def listed_jobs(self) -> Sequence[JobRecord]:
        """Return the jobs that searches show, oldest first."""
        return self.engine.writes.listing(self.fleet.jobs, self._listed_as_of_ms())

    def _listed_as_of_ms(self) -> int:
        return self.clock.now_ms() - round(self.read_lag_seconds * 1000)

    # --- under load --------------------------------------------------------------------------------------------------

    @property
    def fault_plan(self) -> FaultPlan:
        """The fault plan that it follows; each fault in it has a name."""
        return FaultPlan() if self._planned is None else self._planned.plan

    @property
    def planned(self) -> PlannedFaults:
        """The fault plan at work: how often its faults struck, and the switches for single ones."""
        if self._planned is None:
            self._planned = PlannedFaults(FaultPlan(), self, capacity=None)
        return self._planned

    def follow(self, fault_plan: FaultPlan) -> None:
        """Follow this fault plan from now on, in the place of the one before; ``FaultPlan()`` ends it.

        Its faults and latencies begin anew. Capacity, churn and jobs that are as before go on as they are. What tests
        put into :attr:`faults` comes first, and stays.

        Raises:
            DocumentError: It names an operation or a token that the vendor does not have; nothing has changed.
        """
        fault_plan.check_operations(self.operations)
        for position, fault in enumerate(fault_plan.faults):
            self.check_fault(fault, f"faults[{position}]")
        before = self.fault_plan
        capacity = None if self._planned is None else self._planned.capacity
        if fault_plan.capacity != before.capacity:
            capacity = capacity_of(fault_plan.capacity)
        if fault_plan.churn != before.churn or (fault_plan.churn is not None and fault_plan.seed != before.seed):
            self.fleet.start_churn(Churn() if fault_plan.churn is None else fault_plan.churn.churn(fault_plan.seed))
        if fault_plan.jobs != before.jobs:
            if before.jobs is None:
                self._own_job_plan = self.engine.plan
            own = self._own_job_plan
            self.engine.plan = own if fault_plan.jobs is None else fault_plan.jobs.plan(own)
        self._planned = PlannedFaults(fault_plan, self, capacity=capacity)

    def check_fault(self, fault: PlannedFault, key: str) -> None:
        """Check that a fault of a plan can strike here.

        Raises:
            DocumentError: It cannot: no operation fits, or the vendor has no tokens that could end.
        """
        check_operation(fault.operation, sorted(self.operations), joined(key, "operation"))
        if isinstance(fault, ExpireTokensFault) and not self.has_tokens:
            raise DocumentError(
                key=joined(key, "kind"),
                found=f'is "{fault.kind}"',
                rule=f"the {self.vendor} emulator has no tokens that end",
                remedy="take another kind of fault",
            )

    @property
    def has_tokens(self) -> bool:
        """Whether :meth:`expire_tokens` does something."""
        return type(self).expire_tokens is not EmulatedVendor.expire_tokens

    def traffic(self) -> Traffic:
        """Return what watches the requests; from the first call on, they are watched."""
        if self._traffic is None:
            # The emulator's clock counts milliseconds, and many requests take less.
            is_real = isinstance(self.clock, SystemClock)
            self._traffic = Traffic(time.perf_counter if is_real else lambda: self.clock.now_ms() / 1000)
        return self._traffic

    def reset_counters(self) -> None:
        """Begin to count anew. Requests under way count as if they came in now, so that the sums add up."""
        traffic = self.traffic()
        self.served.clear()
        self.served.update(traffic.in_flight)
        self.statuses.clear()
        self.struck.clear()
        traffic.reset()
