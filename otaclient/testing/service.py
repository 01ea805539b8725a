"""An emulated vendor, a client of it, and what the client ought to report."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, Protocol, Self

import attrs

from otaclient.emulator import FaultQueue, Fleet
from otaclient.events import AttemptFinished, Event
from otaclient.models import DeviceUpgrade, Firmware, Job
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, emulator_class
from otaclient.secret import credentials_in
from otaclient.testing.clock import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session

__all__ = ["EmulatedVendor", "Service", "emulator_of", "serve"]


class EmulatedVendor(Protocol):
    """What the test kit needs of an emulator; every :class:`otaclient.emulator.EmulatorServer` has it.

    Whoever writes one from scratch needs nothing else: it may be any server on this machine.
    """

    @property
    def faults(self) -> FaultQueue:
        """What goes wrong with the next requests: each asks it before anything else answers."""
        ...

    @property
    def served(self) -> Counter[str]:
        """How many requests came in so far, by operation; those for tokens are named ``token.`` and something."""
        ...

    def config(self) -> Any:
        """Return the configuration with which the backend reaches it."""
        ...

    def expected_devices(self, label: str) -> Iterator[DeviceUpgrade]:
        """Yield what a client of this label ought to report of every device, in the order of the listing."""
        ...

    def expected_firmware(self, label: str) -> Iterator[Firmware]:
        """Yield what a client of this label ought to report of every firmware."""
        ...

    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield what a client of this label ought to report of every job."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


@attrs.define
class Service:
    """An emulated vendor, a client of it, and what the client ought to report."""

    name: str
    """The backend's name."""
    emulator: Any
    """The emulator (an :class:`EmulatedVendor`): its ``faults``, its ``fleet``, what it has ``served``."""
    backend: Backend
    """An open client."""
    events: list[Event]
    """Everything that the client has reported."""
    clock: HandClock | None = None
    """The clock of both, where the test drives one."""

    @property
    def faults(self) -> FaultQueue:
        """The switches for what goes wrong with the next requests."""
        faults: FaultQueue = self.emulator.faults
        return faults

    @property
    def attempts(self) -> list[AttemptFinished]:
        """Every request of the client that ended, however it did."""
        return [event for event in self.events if isinstance(event, AttemptFinished)]

    @property
    def devices(self) -> list[DeviceUpgrade]:
        """Every device, in the order of the listing."""
        return list(self.emulator.expected_devices(self.backend.label))

    @property
    def firmware(self) -> list[Firmware]:
        """Every firmware that the vendor shows, as a search shows it."""
        return list(self.emulator.expected_firmware(self.backend.label))

    @property
    def jobs(self) -> list[Job]:
        """Every job that the vendor shows."""
        return list(self.emulator.expected_jobs(self.backend.label))

    @property
    def requests(self) -> int:
        """How many requests came in, those for tokens left out."""
        return sum(count for name, count in self.emulator.served.items() if not name.startswith("token."))


def emulator_of(name: str, fleet: Fleet, **options: Any) -> Any:
    """Return an installed emulator, not started, over a copy of a fleet.

    Args:
        name: The backend's name.
        fleet: What it serves.
        options: Further ones of the emulator's.

    Raises:
        ConfigurationError: There is no such emulator; names the installed ones.
    """
    return emulator_class(name)(fleet.copy(), **options)


@asynccontextmanager
async def serve(
    name: str, emulator: EmulatedVendor, *, label: str | None = None, clock: HandClock | None = None
) -> AsyncGenerator[Service]:
    """Start an emulator, and open a client of it.

    Args:
        name: The backend's name.
        emulator: The emulator, not started.
        label: The client's label; the backend's name unless given.
        clock: A clock that the test drives, and that ``emulator`` was made with; the system's unless given.
    """
    events: list[Event] = []
    async with emulator as running:
        config = running.config()
        timed: dict[str, Any] = {} if clock is None else {"clock": clock, "roll": lambda: 0.5}
        session = Session(
            label=label or name,
            transport=AiohttpTransport(TransportOptions(), max_connections=8),
            on_event=events.append,
            secrets=credentials_in(config),
            **timed,
        )
        async with backend_plugin(name).open(config, session) as backend:
            yield Service(name=name, emulator=running, backend=backend, events=events, clock=clock)
