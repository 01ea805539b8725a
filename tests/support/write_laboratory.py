"""A vendor in simulated time whose every effect is noted, for as many runs of its writes as one likes."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import anyio.lowlevel
import attrs
import pytest

from otaclient.load import bare_session
from otaclient.models import DeviceUpgrade, Firmware, JobStatus
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, emulator_class
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from support.live import Live
from support.simulated_network import LoopClock, SimulatedLoop
from support.writes import FLEET, NAME, READ_LAG_SECONDS, SLOW, space_of

__all__ = ["CREATED_VERSIONS", "Effect", "Laboratory", "ViolationError", "laboratory", "simulate"]

_T = TypeVar("_T")

CREATED_VERSIONS: Final = frozenset({"V9.7", "V9.8"})
"""Of the firmware that writes make."""


class ViolationError(AssertionError):
    """A promise was broken."""


def simulate(course: Coroutine[Any, Any, _T]) -> _T:
    """Carry a coroutine out in simulated time, on a simulated network, and return what it returns."""
    with pytest.MonkeyPatch.context() as patch, asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        patch.setattr("anyio.to_thread.run_sync", _at_once)
        return runner.run(course)


async def _at_once(call: Callable[..., _T], *arguments: Any, **_options: Any) -> _T:
    await anyio.lowlevel.checkpoint()
    return call(*arguments)


@attrs.frozen
class Effect:
    """Something that the service did."""

    name: str
    at: float


class Effects:
    """What the service did: every operation that changes a job or a firmware and is not refused."""

    _ENGINE: Final = ("create", "pause", "resume", "stop", "confirm", "cancel_tasks", "retry_tasks", "delete")
    _STORE: Final = ("create", "delete")

    def __init__(self, emulator: Any, loop: SimulatedLoop) -> None:
        self.done: list[Effect] = []
        self._loop = loop
        for name in self._ENGINE:
            self._watch(emulator.engine, name)
        for name in self._STORE:
            self._watch(emulator.store, name)

    def _watch(self, owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def watched(*arguments: Any, **options: Any) -> Any:
            returned = original(*arguments, **options)
            # A confirmation says which devices it concerned: none, where all are confirmed already.
            if name != "confirm" or returned:
                self.done.append(Effect(name, self._loop.time()))
            return returned

        setattr(owner, name, watched)


@attrs.define
class KnownLive(Live):
    """A vendor of whose fleet a test need not read everything again for every run."""

    _chosen: dict[int, tuple[Firmware, list[DeviceUpgrade]]] = attrs.field(factory=dict)

    async def choose(self, count: int) -> tuple[Firmware, list[DeviceUpgrade]]:
        """Return a firmware, and as many devices that can be upgraded to it."""
        if count not in self._chosen:
            self._chosen[count] = await super().choose(count)
        return self._chosen[count]


@attrs.define
class Laboratory:
    """One vendor, for as many runs as one likes."""

    vendor: KnownLive
    loop: SimulatedLoop
    effects: Effects
    space: str
    plugin: Any
    admin: Backend
    """To which nothing bad happens."""

    @asynccontextmanager
    async def client(self, rng: random.Random, **options: Any) -> AsyncIterator[Backend]:
        """Open a client that has never asked anything, with credentials of any kind."""
        emulator = self.vendor.emulator
        config = emulator.config()
        if self.vendor.name == "iotda":
            config = attrs.evolve(emulator.config(auth=rng.choice(("aksk", "password"))), app_id=self.space)
        async with self.opened(config, roll=rng.random, **options) as client:
            yield client

    @asynccontextmanager
    async def opened(self, config: Any, *, bare: bool = False, **options: Any) -> AsyncIterator[Backend]:
        """Open a client that shares nothing with any other, and leaves nothing behind; one for load tests if asked."""
        vendor = self.vendor
        network = AiohttpTransport(TransportOptions(), max_connections=2)
        session = Session(
            label=f"{vendor.name}-7",
            transport=network,
            clock=vendor.clock,
            # One at a time: a place that is not given back stops the next call.
            limits=Limits(concurrency=1),
            **options,
        )
        before = set(self.loop.open_transports)
        async with self.plugin.open(config, bare_session(session) if bare else session) as client:
            yield client
        for _ in range(5):
            await asyncio.sleep(0)
        if left := self.loop.open_transports - before:
            raise ViolationError(f"{len(left)} ends of connections are left open")

    def clear(self) -> None:
        """Take away whatever a run has made."""
        emulator = self.vendor.emulator
        for job in [job for job in emulator.fleet.jobs if job.name.startswith(NAME)]:
            emulator.engine.delete(job.job_id, when=frozenset(JobStatus))
        for firmware in [each for each in emulator.fleet.firmware if each.version in CREATED_VERSIONS]:
            emulator.store.delete(firmware.firmware_id)
        emulator.faults.clear()
        self.loop.refusals = 0
        self.loop.forget_alarm()
        # Also past what the searches of this vendor do not show yet.
        self.loop.advance(10.0)


@asynccontextmanager
async def laboratory(name: str) -> AsyncIterator[Laboratory]:
    """Start one vendor on the running loop, which must be a simulated one."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    clock: Any = LoopClock(loop)
    emulator = emulator_class(name)(FLEET.copy(), clock=clock, plan=SLOW, read_lag_seconds=READ_LAG_SECONDS[name])
    async with emulator:
        network = AiohttpTransport(TransportOptions(), max_connections=2)
        session = Session(label="admin", transport=network, clock=clock)
        plugin = backend_plugin(name)
        async with plugin.open(emulator.config(), session) as client:
            vendor = KnownLive(name, emulator, client, [], clock)
            space = await space_of(vendor)
            await vendor.choose(3)
            admin = client.with_options(owner_id=space) if name == "iotda" else client
            vendor.backend = admin
            yield Laboratory(vendor, loop, Effects(emulator, loop), space, plugin, admin)
