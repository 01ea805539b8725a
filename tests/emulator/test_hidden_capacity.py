"""What an emulated service bears, and what a client learns of it: over HTTP, in a time that nobody waits for."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio
import attrs
import pytest

from otaclient.emulator import Fleet, ManualClock
from otaclient.emulator.faults import AtOnce, Capacity, PerSecond, Queueing
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.events import AttemptStarted, Event, Throttled
from otaclient.fleet.scan import scan
from otaclient.paging import Paged
from otaclient.protocols import Backend
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.registry import backend_plugin, emulator_class
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.limits import Limits
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from support.virtual_time import VirtualClock

FLEET = Fleet.generate(devices=300)
BACKENDS = ["enos", "iotda"]
_CALLERS = 40


class CountingTransport(AiohttpTransport):
    """The real network, which knows how many requests are on their way."""

    under_way = 0

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send once, and count."""
        self.under_way += 1
        try:
            return await super().send(request, endpoint=endpoint, timeout_seconds=timeout_seconds)
        finally:
            self.under_way -= 1


class ServiceClock:
    """The service's view of the time, which knows how many requests wait for it."""

    def __init__(self, clock: VirtualClock) -> None:
        self._clock = clock
        self.serving = 0

    def now_ms(self) -> int:
        """Return the present."""
        return self._clock.now_ms()

    async def sleep(self, seconds: float) -> None:
        """Let a request be served."""
        self.serving += 1
        try:
            await self._clock.sleep(seconds)
        finally:
            self.serving -= 1


@attrs.define
class Stage:
    """An emulated vendor, a client of it, and the time of both."""

    emulator: Any
    backend: Backend
    clock: VirtualClock
    events: list[Event]

    async def call_for(self, seconds: float) -> tuple[float, float]:
        """Ask one thing after the other with many callers; return answers a second, and which share was throttled."""
        answers, throttled, until = 0, self._throttled, self.clock.monotonic() + seconds

        async def ask() -> None:
            nonlocal answers
            while self.clock.monotonic() < until:
                await self.backend.firmware.get(firmware.firmware_id)
                answers += 1

        firmware = next(iter(self.emulator.expected_firmware(self.backend.label)))
        async with anyio.create_task_group() as tasks:
            for _ in range(_CALLERS):
                tasks.start_soon(ask)
        refused = self._throttled - throttled
        return answers / seconds, refused / (answers + refused)

    @property
    def _throttled(self) -> int:
        return sum(isinstance(event, Throttled) for event in self.events)


@asynccontextmanager
async def staged(name: str, limits: Limits = Limits()) -> AsyncIterator[Stage]:
    """Start an emulator and a client of it in virtual time."""
    transport = CountingTransport(TransportOptions(), max_connections=limits.concurrency)
    events: list[Event] = []

    def is_quiet() -> bool:
        # What waits inside the service is not on its way.
        queued = len(getattr(emulator.faults.capacity, "_waiting", ()))
        return transport.under_way == service.serving + queued

    clock = VirtualClock(is_quiet)
    service = ServiceClock(clock)
    emulator = emulator_class(name)(FLEET.copy(), clock=service)
    async with emulator, clock.running():
        session = Session(
            label=name, transport=transport, clock=clock, timeout_seconds=None, limits=limits, on_event=events.append
        )
        async with backend_plugin(name).open(emulator.config(), session) as backend:
            yield Stage(emulator, backend, clock, events)


@pytest.mark.parametrize("name", BACKENDS)
@pytest.mark.parametrize(
    ("capacity", "bears"),
    [
        (lambda: AtOnce(4, service_seconds=0.2), 20.0),
        (lambda: AtOnce(4, service_seconds=0.2, retry_after_seconds=1), 20.0),
        (lambda: Queueing(4, service_seconds=0.2), 20.0),
        (lambda: PerSecond(20, service_seconds=0.2), 20.0),
    ],
    ids=["at once", "at once, advised", "queueing", "per second"],
)
async def test_the_client_finds_the_capacity(name: str, capacity: Callable[[], Capacity], bears: float) -> None:
    """Found, lost by half, and got back: nearly all of it is used, hardly anything is throttled, and no call fails."""
    async with staged(name) as stage:
        hidden = stage.emulator.faults.capacity = capacity()
        limit = hidden.limit
        for share, settling_seconds in ((1.0, 30), (0.5, 20), (1.0, 60)):
            hidden.limit = round(limit * share)
            await stage.call_for(settling_seconds)
            answers_a_second, throttled = await stage.call_for(30)
            assert answers_a_second >= 0.85 * bears * share
            assert throttled <= 0.01


@pytest.mark.parametrize("name", BACKENDS)
async def test_a_vendor_that_bears_all_gets_all(name: str) -> None:
    """Where nothing speaks against it, all that the caller allows is sent at once; that half brings less is known."""
    async with staged(name, Limits(concurrency=16)) as stage:
        stage.emulator.faults.capacity = AtOnce(100, service_seconds=0.2)
        await stage.call_for(15)
        answers_a_second, throttled = await stage.call_for(10)
        assert answers_a_second == pytest.approx(16 / 0.2, rel=0.05)
        assert throttled == 0


@pytest.mark.parametrize("name", BACKENDS)
async def test_the_rate_holds_across_all_operations(name: str) -> None:
    """Firmware, jobs, devices, scans and a client with other options share one rate; own limits are apart."""
    async with staged(name, Limits(requests_per_second=10)) as stage:
        backend, clock = stage.backend, stage.clock
        quick = backend.with_options(timeout_seconds=600, retry=RetryPolicy.none())
        began: list[float] = []
        stage.events.clear()

        async def search(of: Paged[Any]) -> None:
            async for page in of.pages():
                began.append(clock.monotonic())
                if len(page.items) == 0:
                    break

        start = clock.monotonic()
        async with anyio.create_task_group() as tasks:
            for client in (backend, quick):
                tasks.start_soon(search, client.firmware.search(FirmwareQuery()))
                tasks.start_soon(search, client.jobs.search(JobQuery()))
                tasks.start_soon(search, client.devices.search(DeviceUpgradeQuery()))
                tasks.start_soon(scan_all, client)
        sent = sum(isinstance(event, AttemptStarted) for event in stage.events)
        assert sent >= 12
        assert clock.monotonic() - start == pytest.approx((sent - 1) / 10, abs=0.11)
        apart = backend.with_options(limits=Limits.unlimited())
        before = clock.monotonic()
        await search(apart.firmware.search(FirmwareQuery()))
        assert clock.monotonic() == before


async def scan_all(client: Backend) -> None:
    async with scan([(client, DeviceUpgradeQuery())], certify=False) as running:
        async for _ in running:
            pass


# --- the capacity itself ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def served(capacity: Capacity) -> AsyncIterator[tuple[ManualClock, Any]]:
    """Serve with a capacity, by a clock that is driven by hand."""
    clock = ManualClock(DEFAULT_NOW)
    async with emulator_class("enos")(FLEET.copy(), clock=clock) as emulator:
        emulator.faults.capacity = capacity
        yield clock, emulator


async def statuses(emulator: Any, count: int) -> list[int]:
    """Send so many requests at once, and return what came of them."""
    found: list[int] = []

    async def ask(session: aiohttp.ClientSession) -> None:
        async with session.get("/nothing") as response:
            found.append(response.status)

    async with aiohttp.ClientSession(emulator.url) as session, anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(ask, session)
    return sorted(found)


async def test_one_too_many_at_once_is_throttled() -> None:
    """The others are served when their time has passed; an answer may advise a wait."""
    async with served(AtOnce(2, service_seconds=5, retry_after_seconds=7)) as (clock, emulator):
        async with aiohttp.ClientSession(emulator.url) as session, anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(session.get, "/nothing")
            while emulator.served["other"] < 2:
                await anyio.lowlevel.checkpoint()
            async with session.get("/nothing") as response:
                assert (response.status, response.headers["Retry-After"]) == (429, "7")
            assert emulator.statuses == {429: 1}
            clock.advance(5)
        assert emulator.statuses == {429: 1, 404: 2}


@pytest.mark.parametrize(
    ("name", "answer"),
    [("enos", "API rate limit exceeded"), ("iotda", '"error_code":"APIGW.0308"')],
)
async def test_the_throttling_answer_is_the_vendor_s(name: str, answer: str) -> None:
    """With the advice that the capacity gives, if it gives any."""
    async with emulator_class(name)(FLEET.copy()) as emulator, aiohttp.ClientSession(emulator.url) as session:
        for advised in (None, 3):
            emulator.faults.capacity = PerSecond(1, retry_after_seconds=advised)
            async with session.get("/nothing"), session.get("/nothing") as refused:
                assert refused.status == 429
                assert answer in await refused.text()
                assert refused.headers.get("Retry-After") == (None if advised is None else "3")


async def test_others_wait_for_their_turn() -> None:
    """A queue is served in order; more servers take more of it at once."""
    capacity = Queueing(1, service_seconds=5)
    async with served(capacity) as (clock, emulator), anyio.create_task_group() as tasks:
        tasks.start_soon(statuses, emulator, 4)
        while emulator.served["other"] < 4:
            await anyio.lowlevel.checkpoint()
        for done, limit in ((1, 1), (2, 2), (4, 2)):
            capacity.limit = limit
            clock.advance(5)
            while emulator.statuses[404] < done:
                await anyio.lowlevel.checkpoint()
            await anyio.wait_all_tasks_blocked()
            assert emulator.statuses[404] == done


async def test_a_second_takes_so_many() -> None:
    """Whatever comes beyond them in the same second of the clock is throttled, and the next second takes as many."""
    async with served(PerSecond(3)) as (clock, emulator):
        assert await statuses(emulator, 5) == [404, 404, 404, 429, 429]
        clock.advance(1)
        assert await statuses(emulator, 4) == [404, 404, 404, 429]
        emulator.faults.clear()
        assert await statuses(emulator, 4) == [404] * 4


async def test_tokens_are_another_service_s() -> None:
    """A login is not throttled."""
    async with served(PerSecond(1)) as (_, emulator), aiohttp.ClientSession(emulator.url) as session:
        for _ in range(3):
            async with session.post("/apim-token-service/v2.0/token/get") as response:
                assert response.status == 200


async def test_a_server_that_is_stopped_leaves_no_request_behind() -> None:
    """What is served, or waits, when the server stops makes room again."""
    capacity = Queueing(1, service_seconds=5)
    async with served(capacity) as (_, emulator):
        async with aiohttp.ClientSession(emulator.url) as session, anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(swallow, session)
            while emulator.served["other"] < 2:
                await anyio.lowlevel.checkpoint()
            await emulator.stop()
        assert (capacity._served, len(capacity._waiting)) == (0, 0)


async def test_whoever_leaves_the_queue_leaves_it_in_order() -> None:
    """A request that is given up while it waits is skipped."""
    clock = ManualClock(DEFAULT_NOW)
    capacity = Queueing(1, service_seconds=5)
    entered: list[int] = []

    async def enter(number: int, scope: anyio.CancelScope) -> None:
        with scope:
            async with capacity.serving(clock):
                entered.append(number)

    scopes = [anyio.CancelScope() for _ in range(3)]
    async with anyio.create_task_group() as tasks:
        for number, scope in enumerate(scopes):
            tasks.start_soon(enter, number, scope)
        await anyio.wait_all_tasks_blocked()
        scopes[1].cancel()
        await anyio.wait_all_tasks_blocked()
        for _ in range(2):
            clock.advance(5)
            await anyio.wait_all_tasks_blocked()
    assert entered == [0, 2]


async def test_it_keeps_the_machine_s_time_where_none_is_given() -> None:
    """Without a clock of the test's, a service takes real time."""
    async with emulator_class("iotda")(FLEET.copy()) as emulator:
        emulator.faults.capacity = AtOnce(4, service_seconds=0.001)
        assert 429 not in await statuses(emulator, 4)


async def swallow(session: aiohttp.ClientSession) -> None:
    with pytest.raises(aiohttp.ClientError):
        await session.get("/nothing")


def test_capacities_that_make_no_sense_are_refused() -> None:
    """A service bears at least one, and no service takes less than no time."""
    with pytest.raises(ValueError, match=r"limit is 0; .* at least 1"):
        AtOnce(0)
    capacity = PerSecond(1)
    with pytest.raises(ValueError, match=r"limit is -1"):
        capacity.limit = -1
    with pytest.raises(ValueError, match=r"service_seconds is -1; it must be 0 or more"):
        Queueing(1, service_seconds=-1)
