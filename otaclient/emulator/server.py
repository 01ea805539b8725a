"""What every emulator shares: an aiohttp application on loopback that counts, injects faults and never crashes."""

import logging
import zlib
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Any, ClassVar, Final, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from otaclient.emulator.clock import Clock, SystemClock
from otaclient.emulator.faults import FaultQueue
from otaclient.emulator.fleet import Fleet
from otaclient.models import DeviceUpgrade, Firmware, Job

__all__ = ["EmulatorServer", "accepts_gzip"]

_logger = logging.getLogger(__name__)

_SHUTDOWN_SECONDS: Final = 0.2
_LARGEST_REQUEST_BYTES: Final = 16 * 1024 * 1024
# Below this an answer fits into one network packet anyhow.
_SMALLEST_COMPRESSED_BYTES: Final = 1400
# The fastest level: it already makes a page of devices five times smaller.
_COMPRESSION_LEVEL: Final = 1
_GZIP_CONTAINER: Final = 16 + zlib.MAX_WBITS


class EmulatorServer(ABC):
    """Serves one vendor's API over a simulated fleet.

    ``async with`` starts it and stops it. A subclass says which routes there are, what an operation is called, and how
    its vendor words an error that no handler foresaw.
    """

    vendor: ClassVar[str]
    """The name under which the backend and the emulator are registered."""

    def __init__(
        self,
        fleet: Fleet | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        compress: bool = True,
    ) -> None:
        """Prepare an emulator; nothing is bound before it is started.

        Args:
            fleet: What to serve; a generated fleet of 20,000 devices unless given.
            host: The address to bind. Nothing outside this machine reaches the default.
            port: The port to bind; 0 takes a free one.
            clock: What the emulator takes for the present; the system's clock unless given.
            compress: Whether large answers are compressed for clients that accept it.
        """
        self.fleet = Fleet.generate() if fleet is None else fleet
        self.host = host
        self.clock: Clock = SystemClock() if clock is None else clock
        self.compress = compress
        self.faults = FaultQueue()
        self.served: Counter[str] = Counter()
        """How many requests of each operation came in, whatever the answer."""
        self.statuses: Counter[int] = Counter()
        """How many answers of each HTTP status went out; dropped connections are not among them."""
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

        The same names for every vendor: ``firmware.get``, ``firmware.search``, ``jobs.get``, ``jobs.search``,
        ``devices.get``, ``devices.search``, ``token.get``, ``token.refresh``; ``other`` for whatever is none of these.
        """

    @abstractmethod
    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the vendor's answer to a request that no handler takes.

        ``status`` says why: 404 an unknown path, 405 a method that the path does not have, 413 a body too large.
        """

    @abstractmethod
    def internal_error(self, request: web.Request) -> web.Response:
        """Return the vendor's answer when its service failed."""

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
        application = web.Application(middlewares=[self._serve], client_max_size=_LARGEST_REQUEST_BYTES)
        application.add_routes(self.routes())
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

    # --- answering ---------------------------------------------------------------------------------------------------

    @web.middleware
    async def _serve(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        operation = self.operation(request)
        self.served[operation] += 1
        fault = self.faults.take(operation)
        response = None if fault is None else await fault.strike(request)
        if response is None:
            response = await self._handled(request, handler)
        if request.transport is not None:  # the connection still stands
            self.statuses[response.status] += 1
        return response

    async def _handled(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:  # aiohttp's own: an unknown path or method, a body beyond the limit
            return self.no_route(request, error.status)
        except Exception:
            _logger.exception("%s emulator: %s %s failed", self.vendor, request.method, request.path)
            return self.internal_error(request)

    def answer(
        self,
        request: web.Request,
        body: bytes,
        *,
        status: int = HTTPStatus.OK,
        content_type: str = "application/json;charset=UTF-8",
        headers: Mapping[str, str] | None = None,
    ) -> web.Response:
        """Return an answer with this body, compressed where that pays and the client accepts it."""
        sent = {"Content-Type": content_type, **(headers or {})}
        if self.compress and len(body) >= _SMALLEST_COMPRESSED_BYTES and accepts_gzip(request):
            compressor = zlib.compressobj(_COMPRESSION_LEVEL, wbits=_GZIP_CONTAINER)
            body = compressor.compress(body) + compressor.flush()
            sent["Content-Encoding"] = "gzip"
        return web.Response(body=body, status=status, headers=sent)


def accepts_gzip(request: web.Request) -> bool:
    """Return whether the client says that it can read a gzip answer."""
    for item in request.headers.get("Accept-Encoding", "").lower().split(","):
        coding, _, parameter = item.partition(";")
        if coding.strip() in {"gzip", "*"}:
            return parameter.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
