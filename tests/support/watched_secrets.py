"""Vendors whose credentials are canaries, clients of them, and a watch over all that is said."""

import io
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs

from otaclient.emulator import Fleet
from otaclient.events import Event
from otaclient.registry import backend_plugin, emulator_class, open_session
from otaclient.testing import HandClock
from otaclient.transport.limits import Limiter, Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient_iotda.emulator.auth import AccessKey
from otaclient_iotda.emulator.identity import IamUser
from support.canaries import Canaries, logged, renderings
from support.echo import noting
from support.live import Live
from support.writes import SLOW

FLEET: Final = Fleet.generate(devices=150, seed=21)
WORLDS: Final = ("enos", "iotda aksk", "iotda derived", "iotda password", "iotda token")


def options_of(world: str, canaries: Canaries) -> dict[str, Any]:
    """Return an emulator's options: every credential is a canary."""
    new = canaries.new
    if world == "enos":
        return {"app_key": new("app_key"), "app_secret": new("app_secret")}
    key = AccessKey(secret_key=new("secret_key"), security_token=new("security_token"))
    return {
        "keys": {new("access_key"): key},
        "users": (IamUser(name=new("username"), password=new("password"), domain="plant-7"),),
        "ready_token": new("token"),
    }


def config_of(world: str, emulator: Any) -> Any:
    """Return the configuration of a client in this world."""
    return emulator.config() if world == "enos" else emulator.config(auth=world.partition(" ")[2])


@attrs.define
class Watched(Live):
    """A vendor, a client of it, and everything that the client says."""

    canaries: Canaries
    events: list[Event]
    config: Any
    log: io.StringIO

    def check(self) -> None:
        """Fail where anything that was said so far holds a credential."""
        said = {"the log": self.log.getvalue()}
        for event in {type(event): event for event in self.events}.values():
            said |= renderings("an event", event)
            said["a dictionary of an event"] = repr(attrs.asdict(event))
        self.canaries.check(said)


@asynccontextmanager
async def watched(world: str, *, retry: RetryPolicy = RetryPolicy.none(), **transport: Any) -> AsyncIterator[Watched]:
    """Run a vendor whose credentials are canaries, and open a client of it."""
    canaries, clock, events = Canaries(), HandClock(), list[Event]()
    name = world.partition(" ")[0]
    emulator_options = options_of(world, canaries)
    with logged() as log:
        async with emulator_class(name)(FLEET.copy(), clock=clock.service, plan=SLOW, **emulator_options) as emulator:
            note, named = noting(canaries.add), emulator.operation
            emulator.operation = lambda request: (note(request), named(request))[-1]
            config = config_of(world, emulator)
            options = TransportOptions(**transport)
            session = open_session(f"{name}-7", config=config, transport=options, retry=retry, on_event=events.append)
            limiter = Limiter(Limits(), clock)
            session = attrs.evolve(session, clock=clock, roll=lambda: 0.5, limiter=limiter)
            async with backend_plugin(name).open(config, session) as backend:
                yield Watched(name, emulator, backend, clock, canaries, events, config, log)


async def outcome_of(call: Callable[[], Awaitable[Any]]) -> BaseException | None:
    """Return the error that a call ends with, without frames of the tests."""
    try:
        await call()
    except Exception as error:  # noqa: BLE001 - whatever comes out is looked at
        return _of_the_library(error)
    return None


def _of_the_library(error: BaseException) -> BaseException:
    """Take the frames of tests away, which hold canaries by nature."""
    trace = error.__traceback__
    while trace is not None and "/tests/" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    return error.with_traceback(trace)
