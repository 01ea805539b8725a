"""``timeout_seconds`` covers a whole call: tokens, the queue, all requests, all attempts and all waits, to the moment.

Time is simulated, and stands still while anybody has something to do: so "at once" and "in time" mean just that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs
import pytest
from aiohttp import web

from otaclient import RetryPolicy
from otaclient.errors import DeadlineExceededError, OtaError, OutcomeUnknownError
from support.operations import Operation, opened, operations_of
from support.write_laboratory import Laboratory, laboratory, simulate

pytestmark = pytest.mark.blocks_loop("threads have no place in simulated time: what they do is done at once")

VENDORS: Final = ("enos", "iotda")
SECONDS: Final = 10.0
# What the operation's own time-out is, where it has one; the client's is longer.
OWN_SECONDS: Final = {"jobs.wait": 8.0, "scan": 8.0}
# Of a listing each page is a call: what its reader does between two of them takes as long as it takes.
PAGE_BY_PAGE: Final = frozenset({"firmware.search", "jobs.tasks"})
ADVISED_SECONDS: Final = 60.0
# Two instants that lie closer to each other are the same.
STEP_SECONDS: Final = 1e-6
_MANY: Final = RetryPolicy(max_attempts=1000)


@attrs.define
class From:
    """Something that goes wrong with every request, from a certain one on; before that they only take some time."""

    first: int
    wrong: Callable[[web.Request], Awaitable[web.StreamResponse | None]]
    count: int = 0

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Count, and let it go wrong."""
        self.count += 1
        return await self.wrong(request) if self.count >= self.first else None


@attrs.define
class Hang:
    """A service that falls silent, until the test is over."""

    released: asyncio.Event = attrs.field(factory=asyncio.Event)

    async def __call__(self, _request: web.Request) -> None:
        await self.released.wait()


@attrs.define
class Timed:
    """What came of a call, and when."""

    error: Exception | None
    seconds: float

    @property
    def advised_seconds(self) -> float | None:
        """The wait that was advised, as the error tells, or the one that it comes from."""
        for error in (self.error, getattr(self.error, "__cause__", None)):
            if isinstance(error, DeadlineExceededError) and error.retry_after_seconds is not None:
                return error.retry_after_seconds
        return None


async def timed(lab: Laboratory, call: Callable[[Any], Awaitable[Any]], client: Any) -> Timed:
    """Carry a call out."""
    began = lab.loop.time()
    try:
        await call(client)
    except OtaError as error:
        return Timed(error, lab.loop.time() - began)
    return Timed(None, lab.loop.time() - began)


def places_of(requests: int) -> list[int]:
    """Return which requests of a call to look at: all of a few; of many the first, the last, and one in the middle."""
    return list(range(1, requests + 1)) if requests <= 4 else [1, 2, requests // 2, requests]


class Trial:
    """Carries out every operation of a vendor under some circumstance, and collects what was not as it should be."""

    def __init__(self, vendor: str) -> None:
        self.vendor = vendor
        self.wrong: list[str] = []
        self.checked = 0

    def check(self, is_right: bool, words: str) -> None:
        """Note what is wrong."""
        self.checked += 1
        if not is_right:
            self.wrong.append(words)

    def run(self, one: Callable[["Trial", Laboratory, Operation], Awaitable[None]]) -> None:
        """Do something with every operation."""

        async def all_of_them() -> None:
            async with laboratory(self.vendor) as lab:
                for what in operations_of(self.vendor):
                    await one(self, lab, what)
                    lab.clear()

        simulate(all_of_them())
        assert not self.wrong, "\n".join(self.wrong)
        assert self.checked >= len(operations_of(self.vendor))


_requests: Final[dict[tuple[str, str, str], int]] = {}


async def requests_of(lab: Laboratory, what: Operation) -> int:
    """Return how many requests a call makes where nothing goes wrong."""
    key = (lab.vendor.name, what.name, what.auth)
    if key not in _requests:
        _requests[key] = await _counted(lab, what)
    return _requests[key]


async def _counted(lab: Laboratory, what: Operation) -> int:
    lab.vendor.backend = lab.admin
    call = await what.prepare(lab)
    async with opened(lab, what) as client:
        lab.vendor.emulator.served.clear()
        await call(client)
        count = int(lab.vendor.emulator.served.total())
    lab.clear()
    assert count > 0, what.name
    return count


async def struck(lab: Laboratory, what: Operation, fault: From, **options: Any) -> Timed:
    """Carry an operation out with a new client, while something goes wrong."""
    lab.vendor.backend = lab.admin
    call = await what.prepare(lab)
    async with opened(lab, what, **{"timeout_seconds": SECONDS, "retry": _MANY} | options) as client:
        lab.vendor.emulator.faults.add(fault, times=None)
        found = await timed(lab, call, client)
        if isinstance(fault.wrong, Hang):
            fault.wrong.released.set()
    lab.clear()
    return found


async def _silence(trial: Trial, lab: Laboratory, what: Operation) -> None:
    for place in places_of(await requests_of(lab, what)):
        found = await struck(lab, what, From(place, Hang()))
        seconds = OWN_SECONDS.get(what.name, SECONDS)
        words = f"{what.name}, silence from request {place} on: {found}"
        trial.check(isinstance(found.error, DeadlineExceededError | OutcomeUnknownError), words)
        trial.check(abs(found.seconds - seconds) < STEP_SECONDS, words)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_service_that_falls_silent_is_waited_for_until_the_deadline(vendor: str) -> None:
    """Whichever request of the call it is, the one for the token included."""
    Trial(vendor).run(_silence)


async def _slowness(trial: Trial, lab: Laboratory, what: Operation) -> None:
    requests = await requests_of(lab, what)
    for share in (0.4, 0.6):  # of three requests, or two, the last one does not fit any more

        async def slow(_request: web.Request, seconds: float = share * SECONDS) -> None:
            await lab.vendor.clock.sleep(seconds)

        found = await struck(lab, what, From(1, slow))
        words = f"{what.name}, {requests} requests of {share * SECONDS} s each: {found}"
        most = requests * share * SECONDS if what.name in PAGE_BY_PAGE else OWN_SECONDS.get(what.name, SECONDS)
        trial.check(found.seconds < most + STEP_SECONDS, words)


@pytest.mark.parametrize("vendor", VENDORS)
def test_slow_answers_add_up(vendor: str) -> None:
    """A call of several requests has one time for all of them."""
    Trial(vendor).run(_slowness)


async def _trouble(trial: Trial, lab: Laboratory, what: Operation) -> None:
    async def broken(_request: web.Request) -> web.Response:
        return web.Response(status=503)

    for place in places_of(await requests_of(lab, what)):
        found = await struck(lab, what, From(place, broken), roll=lambda: 0.9)
        words = f"{what.name}, status 503 from request {place} on: {found}"
        trial.check(isinstance(found.error, OtaError), words)
        trial.check(found.seconds < OWN_SECONDS.get(what.name, SECONDS) + STEP_SECONDS, words)


@pytest.mark.parametrize("vendor", VENDORS)
def test_attempts_and_waits_end_in_time(vendor: str) -> None:
    """However many attempts there might be."""
    Trial(vendor).run(_trouble)


async def _advice(trial: Trial, lab: Laboratory, what: Operation) -> None:
    async def throttled(_request: web.Request) -> web.Response:
        return web.Response(status=429, headers={"Retry-After": str(int(ADVISED_SECONDS))})

    waits_first = 2.0 if what.name == "jobs.create (keyed)" and lab.vendor.name == "enos" else 0.0
    for place in places_of(await requests_of(lab, what)):
        found = await struck(lab, what, From(place, throttled))
        words = f"{what.name}, throttled from request {place} on: {found}"
        trial.check(isinstance(found.error, DeadlineExceededError | OutcomeUnknownError), words)
        trial.check(found.advised_seconds == ADVISED_SECONDS, words)
        trial.check(found.seconds < waits_first + STEP_SECONDS, words)


@pytest.mark.parametrize("vendor", VENDORS)
def test_advice_beyond_the_deadline_is_raised_at_once(vendor: str) -> None:
    """And the error carries the advised time."""
    Trial(vendor).run(_advice)


async def _queue(trial: Trial, lab: Laboratory, what: Operation) -> None:
    lab.vendor.backend = lab.admin
    call = await what.prepare(lab)
    firmware, _ = await lab.vendor.choose(3)
    silence = Hang()
    async with opened(lab, what, timeout_seconds=SECONDS, retry=_MANY) as client:
        await client.authenticate()
        lab.vendor.emulator.faults.add(From(1, silence), "firmware.get", times=1)
        patient = client.with_options(timeout_seconds=1000.0)
        first = asyncio.create_task(patient.firmware.get(firmware.firmware_id))
        await asyncio.sleep(1.0)
        lab.vendor.backend = client
        found = await timed(lab, call, client)
        silence.released.set()
        await first
    words = f"{what.name}, behind a call that does not end: {found}"
    trial.check(isinstance(found.error, DeadlineExceededError | OutcomeUnknownError), words)
    trial.check(abs(found.seconds - OWN_SECONDS.get(what.name, SECONDS)) < STEP_SECONDS, words)


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_queue_counts(vendor: str) -> None:
    """Who waits for a turn that does not come waits until the deadline."""

    async def one(trial: Trial, lab: Laboratory, what: Operation) -> None:
        if what.name != "authenticate":  # tokens have no queue
            await _queue(trial, lab, what)
        else:
            trial.check(True, "")

    Trial(vendor).run(one)


async def _pause(trial: Trial, lab: Laboratory, what: Operation) -> None:
    lab.vendor.backend = lab.admin
    call = await what.prepare(lab)
    throttle = b'{"message":"slow down"}'
    async with opened(lab, what, timeout_seconds=SECONDS, retry=RetryPolicy.none()) as client:
        await client.authenticate()
        lab.vendor.emulator.faults.inject(
            "firmware.search", status=429, headers={"Retry-After": str(int(ADVISED_SECONDS))}, body=throttle
        )
        with pytest.raises(OtaError):
            await client.firmware.search().first(1)
        await asyncio.sleep(5.0)
        lab.vendor.backend = client
        found = await timed(lab, call, client)
    words = f"{what.name}, in a pause that outlasts it: {found}"
    waits_first = 2.0 if what.name == "jobs.create (keyed)" and lab.vendor.name == "enos" else 0.0
    trial.check(found.seconds < waits_first + STEP_SECONDS, words)
    left = ADVISED_SECONDS - 5.0 - found.seconds
    trial.check(found.advised_seconds is not None and abs(found.advised_seconds - left) < 0.01, words)


@pytest.mark.parametrize("vendor", VENDORS)
def test_another_calls_pause_is_told_too(vendor: str) -> None:
    """A pause holds for all calls of a client: one that it outlasts fails at once, and says for how long."""

    async def one(trial: Trial, lab: Laboratory, what: Operation) -> None:
        if what.name != "authenticate":
            await _pause(trial, lab, what)
        else:
            trial.check(True, "")

    Trial(vendor).run(one)


def test_settled_pages_come_in_time_or_not_at_all() -> None:
    """Searches of EnOS lag two seconds behind a write: who has less time learns so before it waits."""

    async def course() -> Timed:
        async with laboratory("enos") as lab:
            (deletion,) = [each for each in operations_of("enos") if each.name == "firmware.delete"]
            delete = await deletion.prepare(lab)
            async with opened(lab, deletion) as client:
                await delete(client)
                impatient = client.with_options(timeout_seconds=1.9)

                async def settled(backend: Any) -> None:
                    async for _ in backend.firmware.search().pages(settled=True):
                        break

                found = await timed(lab, settled, impatient)
                assert (await timed(lab, settled, client)).error is None
            return found

    found = simulate(course())
    assert isinstance(found.error, DeadlineExceededError)
    assert "lag 2 s behind a write" in str(found.error)
    assert found.seconds == 0.0
