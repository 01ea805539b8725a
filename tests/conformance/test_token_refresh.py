"""One token for all callers, over HTTP: fetched once however many ask, and never asked for in a storm."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

import attrs
import pytest
from aiohttp import web

from otaclient import Limits, RetryPolicy
from otaclient.emulator.faults import AnswerWith
from otaclient.errors import DeadlineExceededError, OtaError, PermissionDeniedError, RateLimitedError, ServerError
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from support.write_laboratory import Laboratory, laboratory, simulate

VENDORS: Final = ("enos", "iotda")
CALLERS: Final = 1000
# Longer than any token lives.
TWO_DAYS: Final = 2 * 86_400.0


@attrs.define
class Crowd:
    """A client with many callers, and what became of them."""

    lab: Laboratory
    client: Any
    firmware_id: str
    good: int = 0
    errors: list[Exception] = attrs.field(factory=list[Exception])

    @property
    def tokens(self) -> int:
        """How many requests for tokens came in."""
        return sum(count for name, count in self.lab.vendor.emulator.served.items() if name.startswith("token."))

    @property
    def business(self) -> int:
        """How many other requests came in."""
        return int(self.lab.vendor.emulator.served.total()) - self.tokens

    async def note(self, call: Coroutine[Any, Any, Any]) -> None:
        """Make a call, and note what becomes of it."""
        try:
            await call
        except OtaError as error:
            self.errors.append(error)
        else:
            self.good += 1

    async def ask(self, *, apart_seconds: float = 0.0, callers: int = CALLERS, reads: int = 40) -> None:
        """Let all ask at once, or one after the other; some of them for a firmware, which takes a request more."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(callers):
                call = self.client.firmware.get(self.firmware_id) if number < reads else self.client.authenticate()
                tasks.create_task(self.note(call))
                if apart_seconds:
                    await asyncio.sleep(apart_seconds)


@asynccontextmanager
async def crowd_at(lab: Laboratory, *, authenticated: bool, **options: Any) -> AsyncIterator[Crowd]:
    """Open a client that uses tokens."""
    emulator = lab.vendor.emulator
    config = emulator.config() if lab.vendor.name == "enos" else emulator.config(auth="password")
    network = AiohttpTransport(TransportOptions(), max_connections=64)
    options = {"limits": Limits.unlimited(), "roll": lambda: 0.5, "clock": lab.vendor.clock, **options}
    session = Session(label=lab.vendor.name, transport=network, **options)
    firmware, _ = await lab.vendor.choose(3)
    async with lab.plugin.open(config, session) as client:
        if authenticated:
            await client.authenticate()
        emulator.served.clear()
        yield Crowd(lab, client, firmware.firmware_id)
    emulator.faults.clear()


def run(vendor: str, course: Callable[[Laboratory], Awaitable[None]]) -> None:
    """Carry a test out in simulated time."""

    async def whole() -> None:
        async with laboratory(vendor) as lab:
            await course(lab)

    simulate(whole())


def dead_token(vendor: str) -> AnswerWith:
    """Return the vendor's answer to a token that has died."""
    if vendor == "enos":
        return AnswerWith(status=200, headers={}, body=b'{"code":1203,"msg":"expired"}')
    return AnswerWith(status=401, headers={}, body=b'{"error_code":"APIGW.0307"}')


@attrs.define
class Silence:
    """A token service that does not answer, until it is told to."""

    over: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def strike(self, _request: web.Request) -> None:
        """Wait."""
        await self.over.wait()


@attrs.define
class Late:
    """An answer that comes when it is told to."""

    answer: AnswerWith
    now: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Wait, and answer."""
        await self.now.wait()
        return await self.answer.strike(request)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_thousand_callers_with_an_expired_token_cause_one_request(vendor: str) -> None:
    """And nobody sends anything with the old one."""

    async def course(lab: Laboratory) -> None:
        async with crowd_at(lab, authenticated=True) as crowd:
            await asyncio.sleep(TWO_DAYS)
            await crowd.ask()
            assert (crowd.tokens, crowd.business, crowd.good, crowd.errors) == (1, 40, CALLERS, [])

    run(vendor, course)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_token_that_dies_before_its_time_is_renewed_once(vendor: str) -> None:
    """All that were under way with it are sent once more, with the same new one."""

    async def course(lab: Laboratory) -> None:
        async with crowd_at(lab, authenticated=True) as crowd:
            lab.vendor.emulator.expire_tokens()
            await crowd.ask(callers=60, reads=60)
            assert (crowd.tokens, crowd.business, crowd.good, crowd.errors) == (1, 120, 60, [])

    run(vendor, course)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_late_failure_with_an_old_token_causes_no_request(vendor: str) -> None:
    """Its call is repeated with the token that others have got meanwhile."""

    async def course(lab: Laboratory) -> None:
        faults = lab.vendor.emulator.faults
        async with crowd_at(lab, authenticated=True) as crowd:
            late = [Late(dead_token(vendor)) for _ in range(3)]
            for each in late:
                faults.add(each, "firmware.get")
            calls = [asyncio.create_task(crowd.client.firmware.get(crowd.firmware_id)) for _ in range(3)]
            await asyncio.sleep(1.0)
            for each in late:
                each.now.set()
                await asyncio.sleep(1.0)
                assert crowd.tokens == 1
            for call in calls:
                assert (await call).firmware_id == crowd.firmware_id
            assert (crowd.tokens, crowd.business) == (1, 6)

    run(vendor, course)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("status", "kind", "requests"), [(503, ServerError, 5), (429, RateLimitedError, 5), (403, PermissionDeniedError, 1)]
)
def test_a_failing_token_service_fails_all_and_is_not_hammered(
    vendor: str, status: int, kind: type[Any], requests: int
) -> None:
    """One call's attempts are everybody's, and so is its error."""

    async def course(lab: Laboratory) -> None:
        async with crowd_at(lab, authenticated=False) as crowd:
            lab.vendor.emulator.faults.inject("token.get", times=None, status=status, body=b"{}")
            await crowd.ask()
            assert (crowd.tokens, crowd.business, crowd.good) == (requests, 0, 0)
            assert len(crowd.errors) == CALLERS
            assert {type(error) for error in crowd.errors} == {kind}
            assert len({str(error) for error in crowd.errors}) == 1
            # Each has an error of its own, which nobody else changes.
            assert len(set(map(id, crowd.errors))) == CALLERS
            lab.vendor.emulator.faults.clear()
            await crowd.client.authenticate()
            assert crowd.tokens == requests + 1

    run(vendor, course)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    ("status", "headers", "most"),
    [
        (429, {"Retry-After": "60"}, 1),  # nobody asks again before that
        (503, {"Retry-After": "60"}, 1),
        (503, {}, 25),
    ],
)
def test_callers_one_after_the_other_do_not_hammer_either(
    vendor: str, status: int, headers: dict[str, str], most: int
) -> None:
    """A thousand of them in ten seconds, none of which has the time for a good end; their deadlines all differ."""

    async def course(lab: Laboratory) -> None:
        retry = RetryPolicy(base_delay_seconds=4.0)
        async with crowd_at(lab, authenticated=False, timeout_seconds=12.0, retry=retry) as crowd:
            lab.vendor.emulator.faults.inject("token.get", times=None, status=status, headers=headers, body=b"{}")
            await crowd.ask(apart_seconds=0.01)
            assert (crowd.business, crowd.good, len(crowd.errors)) == (0, 0, CALLERS)
            assert crowd.tokens <= most
            if headers:
                assert all(isinstance(error, DeadlineExceededError) for error in crowd.errors)
                waits: list[float] = [getattr(error, "retry_after_seconds", None) or 0.0 for error in crowd.errors]
                assert 50.0 - 0.1 <= min(waits) <= max(waits) == 60.0

    run(vendor, course)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_silent_token_service_is_asked_twice(vendor: str) -> None:
    """By the first caller, and after it by the one with the most time; each of the others waits until its deadline."""

    async def course(lab: Laboratory) -> None:
        async with crowd_at(lab, authenticated=False, timeout_seconds=20.0) as crowd:
            silence = Silence()
            lab.vendor.emulator.faults.add(silence, "token.get", times=None)
            began = lab.loop.time()
            await crowd.ask(apart_seconds=0.01, callers=500)
            assert (crowd.tokens, crowd.good, len(crowd.errors)) == (2, 0, 500)
            assert all(isinstance(error, DeadlineExceededError) for error in crowd.errors)
            assert abs(lab.loop.time() - began - 24.99) < 0.02
            silence.over.set()

    run(vendor, course)


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("gives_up", ["cancelled", "out of time"])
def test_a_leader_that_gives_up_takes_nobody_down(vendor: str, gives_up: str) -> None:
    """One of those who wait asks once more, and all of them get what it brings."""

    async def course(lab: Laboratory) -> None:
        async with crowd_at(lab, authenticated=False, timeout_seconds=30.0) as crowd:
            silence = Silence()
            lab.vendor.emulator.faults.add(silence, "token.get", times=1)
            leader = asyncio.create_task(crowd.client.with_options(timeout_seconds=5.0).authenticate())
            await asyncio.sleep(1.0)
            asking = asyncio.create_task(crowd.ask())
            await asyncio.sleep(1.0)
            assert crowd.tokens == 1
            if gives_up == "cancelled":
                leader.cancel()
            await asyncio.wait([leader])
            await asking
            assert leader.cancelled() or isinstance(leader.exception(), DeadlineExceededError)
            assert (crowd.tokens, crowd.business, crowd.good, crowd.errors) == (2, 40, CALLERS, [])
            silence.over.set()

    run(vendor, course)
