"""What every emulator shares: an aiohttp application on loopback that counts, injects faults and never crashes."""

import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from email.utils import formatdate
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from otaclient.emulator.answers import Answering
from otaclient.emulator.churn import Churn
from otaclient.emulator.clock import Clock, SystemClock
from otaclient.emulator.control import ControlDesk
from otaclient.emulator.engine import JobEngine
from otaclient.emulator.fault_plan import ExpireTokensFault, FaultPlan, PlannedFault, check_operation
from otaclient.emulator.faults import Fault, FaultQueue, cut_after_bytes, drip_of, is_lost, kind_of
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.patterns import OPERATIONS
from otaclient.emulator.plan import JobPlan
from otaclient.emulator.planned_faults import PlannedFaults, capacity_of
from otaclient.emulator.records import FirmwareRecord, JobRecord
from otaclient.emulator.shapes import DocumentError, joined
from otaclient.emulator.store import FirmwareStore
from otaclient.emulator.traffic import Traffic
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job

__all__ = ["EmulatorServer"]

_logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS: Final = 0.2
_LARGEST_REQUEST_BYTES: Final = 16 * 1024 * 1024


class EmulatorServer(Answering, ABC):
    """Serves one vendor's API over a simulated fleet.

    ``async with`` starts it and stops it. A subclass says which routes there are, what an operation is called, and how
    its vendor words an error that no handler foresaw.
    """

    vendor: ClassVar[str]
    """The name under which the backend and the emulator are registered."""
    operations: ClassVar[frozenset[str]] = OPERATIONS
    """What :meth:`operation` may return: a fault plan that names anything else is refused."""

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        compress: bool = True,
        plan: JobPlan | None = None,
        read_lag_seconds: float = 0.0,
        generated_jobs_run: bool = False,
        fault_plan: FaultPlan | None = None,
        control: bool = False,
    ) -> None:
        """Prepare an emulator; nothing is bound before it is started.

        Args:
            fleet: What to serve, and to change; a generated fleet of 20,000 devices unless given.
            host: The address to bind. Nothing outside this machine reaches the default.
            port: The port to bind; 0 takes a free one.
            clock: What the emulator takes for the present; the system's clock unless given.
            compress: Whether large answers are compressed for clients that accept it.
            plan: How long the devices of jobs take, and which of them fail.
            read_lag_seconds: For how long searches do not show yet which jobs and firmware were created or deleted;
                ``get`` operations, and changes inside a record, are always up to date.
            generated_jobs_run: Whether the jobs that came with the fleet go on. They stand still otherwise, until
                something is done to them.
            fault_plan: How slow it is, how much it bears, and what goes wrong.
            control: Whether there is a control API under ``/__emulator__/`` for clients on this machine.

        Raises:
            ValueError: The read lag is negative.
            DocumentError: The fault plan asks for what this emulator does not have (also a ``ValueError``).
        """
        if not read_lag_seconds >= 0:
            raise ValueError(f"read_lag_seconds is {read_lag_seconds}; it must be 0 or more")
        self.fleet = Fleet.generate() if fleet is None else fleet
        self.host = host
        self.clock: Clock = SystemClock() if clock is None else clock
        self.compress = compress
        self.read_lag_seconds = read_lag_seconds
        self.engine = JobEngine(self.fleet, self.clock, plan=plan)
        self.store = FirmwareStore(self.fleet, self.clock)
        self.faults = FaultQueue()
        self.served: Counter[str] = Counter()
        """How many requests of each operation came in, whatever the answer."""
        self.statuses: Counter[int] = Counter()
        """How many answers of each HTTP status went out; dropped connections are not among them."""
        self.struck: Counter[str] = Counter()
        """How often a fault of each kind struck; ``capacity`` is what the capacity refused."""
        self.control = control
        """Whether it is started with a control API."""
        self._traffic: Traffic | None = None
        self._planned: PlannedFaults | None = None
        self._own_job_plan = self.engine.plan
        if fault_plan is not None:
            self.follow(fault_plan)
        if generated_jobs_run:
            self.engine.run_generated_jobs()
        self._requested_port = port
        self._port: int | None = None
        self._runner: web.AppRunner | None = None

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
    def environment(self) -> dict[str, str]:
        """Return the environment variables that point the client at this emulator, secrets included."""

    @abstractmethod
    def config(self) -> Any:
        """Return the configuration object with which the vendor's backend reaches this emulator."""

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
        return type(self).expire_tokens is not EmulatorServer.expire_tokens

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

    # --- running -----------------------------------------------------------------------------------------------------

    @property
    def port(self) -> int:
        """The port that it listens on.

        Raises:
            RuntimeError: The emulator is not running.
        """
        if self._port is None:
            raise RuntimeError("the emulator is not running; use it as 'async with ... as emulator'")
        return self._port

    @property
    def url(self) -> str:
        """The address of the server, such as ``http://127.0.0.1:40123``.

        Raises:
            RuntimeError: The emulator is not running.
        """
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def application(self) -> web.Application:
        """Return a new aiohttp application that serves this emulator, for other ways of running it."""
        middlewares = [self._serve]
        if self.control:
            self.traffic()
            middlewares.insert(0, ControlDesk(self).middleware)
        application = web.Application(middlewares=middlewares, client_max_size=_LARGEST_REQUEST_BYTES)
        application.add_routes(self.routes())
        if not isinstance(self.clock, SystemClock):  # else the server's own date is the right one
            application.on_response_prepare.append(self._date)
        return application

    async def start(self) -> None:
        """Bind the address and serve.

        Raises:
            OSError: The address cannot be bound.
        """
        # aiohttp sends the head and the body of such an answer together, and asyncio sets TCP_NODELAY.
        runner = web.AppRunner(self.application(), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self.host, self._requested_port, backlog=1024)
            await site.start()
        except BaseException:
            await runner.cleanup()
            raise
        self._runner = runner
        self._port = int(runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop serving: idle connections are closed at once, requests under way soon after."""
        runner, self._runner, self._port = self._runner, None, None
        if runner is not None:
            self.faults.release_all()
            await runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Date an answer by the emulator's clock, as a vendor's server does by its own."""
        response.headers["Date"] = formatdate(self.clock.now_ms() / 1000, usegmt=True)

    # --- answering ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = self.operation(request)
        self.served[operation] += 1
        traffic = self._traffic
        if traffic is None:
            return await self._answered(request, handler, operation)
        begun, is_answered = traffic.begin(operation), False
        try:
            response = await self._answered(request, handler, operation)
            is_answered = request.transport is not None
            return response
        finally:
            traffic.end(operation, begun, is_answered=is_answered)

    async def _answered(self, request: web.Request, handler: Handler, operation: str) -> web.StreamResponse:
        fault, planned = self.faults.take(operation), self._planned
        if fault is None and planned is not None:
            fault = planned.take(operation)
        response = None if fault is None else await self._struck(fault, request)
        if response is None:
            response = await self._served(request, handler, operation)
        if fault is not None and is_lost(request):
            request.protocol.force_close()
        if request.transport is not None:  # the connection still stands
            self.statuses[response.status] += 1
        return response

    async def _struck(self, fault: Fault, request: web.Request) -> web.StreamResponse | None:
        self.struck[kind_of(fault)] += 1
        return await fault.strike(request)

    async def _served(self, request: web.Request, handler: Handler, operation: str) -> web.StreamResponse:
        capacity, planned = self.faults.capacity, self._planned
        if planned is None and capacity is None:
            return await self._handled(request, handler)
        if capacity is None and planned is not None:
            capacity = planned.capacity
        latency_seconds = 0.0 if planned is None else planned.latencies.draw(operation)
        if capacity is None or operation.startswith("token."):
            return await self._handled_after(latency_seconds, request, handler)
        async with capacity.serving(self.clock) as is_served:
            if is_served:
                return await self._handled_after(latency_seconds, request, handler)
        self.struck["capacity"] += 1
        response = self.throttled(request)
        if capacity.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(capacity.retry_after_seconds)
        return response

    async def _handled_after(self, seconds: float, request: web.Request, handler: Handler) -> web.StreamResponse:
        if seconds:
            await self.clock.sleep(seconds)
        return await self._handled(request, handler)

    async def _handled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        self.engine.settle()
        try:
            response = await handler(request)
            noted = cut_after_bytes(request) is not None or drip_of(request) is not None
            return await self.in_pieces(request, response) if noted else response
        except web.HTTPException as error:  # aiohttp's own: an unknown path or method, a body beyond the limit
            return self.no_route(request, error.status)
        except ConnectionError:  # the client has gone in the middle of its request or of the answer, which goes nowhere
            return self.internal_error(request)
        except Exception:
            _logger.exception("%s emulator: %s %s failed", self.vendor, request.method, request.path)
            return self.internal_error(request)
