"""What the sites of all vendors share: a fleet, a service over HTTP, and a client of it that shares its clock."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from otaclient.emulator import EmulatorServer, Fleet, JobPlan
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend
from otaclient_iotda import IotdaBackend

FLEET = Fleet.generate(devices=900, seed=5)

E = TypeVar("E", bound=EmulatorServer)
B = TypeVar("B", EnosBackend, IotdaBackend)


@asynccontextmanager
async def open_parts(
    emulator_class: Callable[..., E], backend_class: Callable[[Any, Session], B], **options: Any
) -> AsyncIterator[tuple[E, B, HandClock]]:
    """Run a service with a fleet of its own, whose devices all succeed unless told otherwise, and a client of it."""
    clock = HandClock()
    options.setdefault("plan", JobPlan(failing_share=0))
    async with emulator_class(FLEET.copy(), clock=clock.service, **options) as emulator:
        transport = AiohttpTransport(TransportOptions(), max_connections=4)
        session = Session(label="site", transport=transport, clock=clock, roll=lambda: 0.5)
        async with backend_class(emulator.config(), session) as backend:
            yield emulator, backend, clock
