"""An emulated vendor in simulated time with a client for load tests: what takes hours in life is over in a moment."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import attrs
from aiohttp import web

from otaclient.emulator import Fleet
from otaclient.load import bare_session
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, emulator_class
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from support.simulated_network import LoopClock, SimulatedLoop

__all__ = ["LoadService", "Recorder", "Stall", "load_service"]

FLEET = Fleet.generate(devices=40, seed=5)
# What differs from run to run: the token, when the request was signed, and so the signature.
_OF_THE_MOMENT = {"apim-accesstoken", "apim-signature", "apim-timestamp", "authorization", "x-sdk-date"}


@attrs.define
class Stall:
    """Lets every request that comes in some time wait for its end."""

    clock: Any
    begin: float
    end: float

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Wait, and have it answered after all."""
        if self.begin <= self.clock.monotonic() < self.end:
            await asyncio.sleep(self.end - self.clock.monotonic())
        return None


@attrs.define
class Recorder:
    """Notes what comes in, all of it but signatures and instants."""

    requests: list[tuple[Any, ...]] = attrs.field(factory=list)
    delay_seconds: float = 0.0
    """How long every third answer is kept back."""

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Note it, and have it answered."""
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _OF_THE_MOMENT]
        self.requests.append((request.method, request.path_qs, sorted(headers), await request.read()))
        if len(self.requests) % 3 == 0:
            await asyncio.sleep(self.delay_seconds)
        return None


@attrs.define
class LoadService:
    """The vendor and the client."""

    emulator: Any
    client: Backend
    clock: Any
    loop: SimulatedLoop
    stranger: Callable[[], Any]
    """Opens a client that is no bare one."""

    @property
    def job_ids(self) -> list[str]:
        """The jobs that there are."""
        return [str(job.job_id) for job in self.emulator.expected_jobs("x")]

    @property
    def requests(self) -> int:
        """How many requests came in, those for tokens left out."""
        return sum(count for name, count in self.emulator.served.items() if not name.startswith("token."))


@asynccontextmanager
async def load_service(name: str = "enos", **options: Any) -> AsyncIterator[LoadService]:
    """Start a vendor on the running loop, which must be a simulated one, and open a client that has a token."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    clock: Any = LoopClock(loop)

    def session() -> Session:
        network = AiohttpTransport(TransportOptions(), max_connections=None)
        return Session(label=name, transport=network, clock=clock, **options)

    async with emulator_class(name)(FLEET.copy(), clock=clock) as emulator:
        plugin = backend_plugin(name)
        async with plugin.open(emulator.config(), bare_session(session())) as client:
            await client.authenticate()
            emulator.served.clear()
            yield LoadService(emulator, client, clock, loop, lambda: plugin.open(emulator.config(), session()))
