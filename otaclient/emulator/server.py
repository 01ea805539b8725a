"""What every emulator shares: an aiohttp application on loopback that counts, injects faults and never crashes."""

import logging
from abc import abstractmethod
from email.utils import formatdate
from types import TracebackType
from typing import Any, Final, Self, TypedDict

from aiohttp import web
from aiohttp.http import HttpProcessingError
from aiohttp.typedefs import Handler

from otaclient.emulator.clock import Clock, SystemClock
from otaclient.emulator.control import ControlDesk
from otaclient.emulator.fault_plan import FaultPlan
from otaclient.emulator.faults import Fault, cut_after_bytes, drip_of, is_lost, kind_of
from otaclient.emulator.fleet import Fleet
from otaclient.emulator.plan import JobPlan
from otaclient.emulator.vendor import EmulatedVendor

__all__ = ["EmulatorOptions", "EmulatorServer"]

_logger = logging.getLogger(__name__)
_http_logger = logging.getLogger(f"{__name__}.http")

_SHUTDOWN_SECONDS: Final = 0.2
# Of a request's first line, and of each of its headers: identity services make tokens of several kilobytes.
_LARGEST_LINE_BYTES: Final = 64 * 1024


def _without_bytes(record: logging.LogRecord) -> bool:
    """Let a request that is no HTTP be told in one line: where it breaks off, there may be a token."""
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        record.msg, record.exc_info = f"{record.msg}: {type(error).__name__}, answered {error.code}", None
    return True


_http_logger.addFilter(_without_bytes)


class EmulatorOptions(TypedDict, total=False):
    """What every emulator can be told, as :class:`EmulatorServer` describes it; a vendor's own options come beside."""

    host: str
    port: int
    clock: Clock | None
    compress: bool
    plan: JobPlan | None
    read_lag_seconds: float
    generated_jobs_run: bool
    fault_plan: FaultPlan | None
    control: bool


class EmulatorServer(EmulatedVendor):
    """Serves one vendor's API over a simulated fleet; ``async with`` starts it and stops it."""

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
        super().__init__(
            fleet,
            clock=clock,
            compress=compress,
            plan=plan,
            read_lag_seconds=read_lag_seconds,
            generated_jobs_run=generated_jobs_run,
            fault_plan=fault_plan,
        )
        self.host = host
        self.control = control
        """Whether it is started with a control API."""
        self._requested_port = port
        self._port: int | None = None
        self._runner: web.AppRunner | None = None

    @abstractmethod
    def environment(self) -> dict[str, str]:
        """Return the environment variables that point the client at this emulator, secrets included."""

    @abstractmethod
    def config(self) -> Any:
        """Return the configuration object with which the vendor's backend reaches this emulator."""

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
        application = web.Application(middlewares=middlewares, client_max_size=self.largest_request_bytes)
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
        runner = web.AppRunner(
            self.application(),
            access_log=None,
            logger=_http_logger,
            shutdown_timeout=_SHUTDOWN_SECONDS,
            max_line_size=_LARGEST_LINE_BYTES,
            max_field_size=_LARGEST_LINE_BYTES,
            auto_decompress=False,  # signatures cover the bytes as they came
        )
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
