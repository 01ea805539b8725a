"""One token for all callers."""

import asyncio
from datetime import UTC, datetime, timedelta
from traceback import walk_tb
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import AuthenticationError, DeadlineExceededError, RateLimitedError, ServerError
from otaclient.testing import HandClock
from otaclient.transport.tokens import Token, TokenCache

FOR_EVER = float("inf")
START = datetime(2026, 1, 1, tzinfo=UTC)


class Service:
    """A token service that counts, and can be made to fail or to wait."""

    def __init__(self, clock: HandClock, *, life_seconds: float | None = 7200) -> None:
        self.clock = clock
        self.life_seconds = life_seconds
        self.requests: list[Token | None] = []
        self.error: Exception | None = None
        self.gate: anyio.Event | None = None

    async def fetch(self, old: Token | None, _deadline: float) -> Token:
        """Issue the next token."""
        self.requests.append(old)
        await anyio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        now = self.clock.now()
        ends = None if self.life_seconds is None else now + timedelta(seconds=self.life_seconds)
        return Token(text=f"token-{len(self.requests)}", obtained_at=now, expires_at=ends)


async def test_a_thousand_callers_cause_one_request() -> None:
    """However many ask at once, one flight serves them all."""
    clock = HandClock()
    service = Service(clock)
    renewals: list[None] = []
    cache = TokenCache(service.fetch, clock, on_renewed=lambda: renewals.append(None))
    got: list[str] = []

    async def ask() -> None:
        got.append((await cache.get(deadline=FOR_EVER)).text)

    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(ask)
    assert (set(got), len(got), len(service.requests), len(renewals)) == ({"token-1"}, 1000, 1, 1)


async def test_renewal_comes_before_expiry_and_brings_the_old_token() -> None:
    """Shortly before its end a token is renewed, and the service is shown the old one."""
    clock = HandClock()
    service = Service(clock)
    cache = TokenCache(service.fetch, clock)
    assert (await cache.get(deadline=FOR_EVER)).text == "token-1"
    clock.seconds += 7200 - 301
    assert (await cache.get(deadline=FOR_EVER)).text == "token-1"
    clock.seconds += 2
    assert (await cache.get(deadline=FOR_EVER)).text == "token-2"
    assert [old and old.text for old in service.requests] == [None, "token-1"]


@given(life=st.floats(1, 1e6), share=st.floats(0, 0.89))
def test_short_tokens_are_useful(life: float, share: float) -> None:
    """A token stays fresh for most of its life, however short that is, and is never fresh after its end."""
    token = Token(text="x", obtained_at=START, expires_at=START + timedelta(seconds=life))
    assert token.is_fresh(START + timedelta(seconds=life * share))
    assert not token.is_fresh(START + timedelta(seconds=life))


def test_a_token_hides_its_text() -> None:
    """A token's representation does not show it."""
    assert "secret" not in repr(Token(text="secret", obtained_at=START, expires_at=None))


async def test_a_dead_token_is_fetched_anew_and_a_late_report_changes_nothing() -> None:
    """Declaring a token dead helps once; a caller that reports the previous token kills nothing."""
    clock = HandClock()
    service = Service(clock, life_seconds=None)
    cache = TokenCache(service.fetch, clock)
    first = await cache.get(deadline=FOR_EVER)
    cache.invalidate(first)
    second = await cache.get(deadline=FOR_EVER)
    cache.invalidate(first)
    assert (await cache.get(deadline=FOR_EVER)) is second
    assert second.text == "token-2"
    assert service.requests == [None, None]


async def test_a_failure_is_everybodys_answer_but_not_the_next_callers() -> None:
    """All who waited for a failed flight get its error without asking again; whoever comes later asks."""
    clock = HandClock()
    service = Service(clock)
    service.error, service.gate = AuthenticationError("wrong key"), anyio.Event()
    cache = TokenCache(service.fetch, clock)
    errors: list[AuthenticationError] = []

    async def ask() -> None:
        with pytest.raises(AuthenticationError, match="wrong key") as caught:
            await cache.get(deadline=FOR_EVER)
        errors.append(caught.value)

    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(ask)
        await anyio.wait_all_tasks_blocked()
        service.gate.set()
    assert (len(errors), len(set(map(id, errors))), len(service.requests)) == (100, 100, 1)
    service.error = None
    assert (await cache.get(deadline=FOR_EVER)).text == "token-2"


async def test_a_cancelled_leader_is_replaced() -> None:
    """When the caller that leads the flight gives up, the next one takes over."""
    clock = HandClock()
    service = Service(clock)
    service.gate = anyio.Event()
    cache = TokenCache(service.fetch, clock)
    leader = anyio.CancelScope()
    got: list[str] = []

    async def lead() -> None:
        with leader:
            await cache.get(deadline=FOR_EVER)

    async def follow() -> None:
        got.append((await cache.get(deadline=FOR_EVER)).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        service.gate.set()
    assert got == ["token-2"]


async def test_a_leaders_deadline_is_its_own() -> None:
    """A leader that runs out of time does not fail those who have more."""
    clock = HandClock()
    service = Service(clock)
    service.error = DeadlineExceededError("mine")
    cache = TokenCache(service.fetch, clock)
    got: list[str] = []

    async def lead() -> None:
        with pytest.raises(DeadlineExceededError):
            await cache.get(deadline=clock.seconds + 1)
        service.error = None

    async def follow() -> None:
        got.append((await cache.get(deadline=FOR_EVER)).text)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lead)
        tasks.start_soon(follow)
    assert got == ["token-2"]


async def test_waiting_for_another_flight_ends_at_the_deadline() -> None:
    """A caller does not wait for another caller's flight beyond its own time."""
    clock = HandClock()
    service = Service(clock)
    service.gate = anyio.Event()
    cache = TokenCache(service.fetch, clock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: cache.get(deadline=FOR_EVER))
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(DeadlineExceededError, match="access token"):
            await cache.get(deadline=clock.seconds + 0.01)
        service.gate.set()


async def test_a_token_that_comes_again_is_another_one() -> None:
    """EnOS gives the same text until it expires: a late report about an earlier fetch of it kills nothing either."""
    clock = HandClock()
    requests: list[Token | None] = []

    async def fetch(old: Token | None, _deadline: float) -> Token:
        requests.append(old)
        return Token(text="same", obtained_at=clock.now(), expires_at=None)

    cache = TokenCache(fetch, clock)
    first = await cache.get(deadline=FOR_EVER)
    cache.invalidate(first)
    second = await cache.get(deadline=FOR_EVER)
    cache.invalidate(first)
    assert (await cache.get(deadline=FOR_EVER)) is second
    assert len(requests) == 2


class Flights:
    """A token service whose flights land when, and as, a test says."""

    def __init__(self) -> None:
        self.led_until: list[float] = []
        self.landing: list[asyncio.Future[Token]] = []

    async def fetch(self, _old: Token | None, deadline: float) -> Token:
        """Wait for the landing."""
        self.led_until.append(deadline)
        self.landing.append(asyncio.get_running_loop().create_future())
        return await self.landing[-1]


@attrs.define
class Crowd:
    """Callers of one cache, each with a deadline of its own, and what became of them."""

    cache: TokenCache
    got: list[str] = attrs.field(factory=list[str])
    errors: list[Exception] = attrs.field(factory=list[Exception])

    async def ask(self, deadline: float) -> None:
        """Ask, and note what comes."""
        try:
            self.got.append((await self.cache.get(deadline=deadline)).text)
        except Exception as error:  # noqa: BLE001 - each test looks at what came
            self.errors.append(error)


TOKEN = Token(text="token", obtained_at=START, expires_at=None)


async def test_after_a_cancelled_leader_who_has_the_most_time_leads_alone() -> None:
    """One new flight, however many wait; what it brings is everybody's."""
    clock, flights = HandClock(), Flights()
    crowd = Crowd(TokenCache(flights.fetch, clock))
    leader = asyncio.create_task(crowd.ask(clock.seconds + 500))
    async with anyio.create_task_group() as tasks:
        await anyio.wait_all_tasks_blocked()
        for number in range(200):
            tasks.start_soon(crowd.ask, clock.seconds + 100 + number)
        await anyio.wait_all_tasks_blocked()
        leader.cancel()
        await anyio.wait_all_tasks_blocked()
        assert flights.led_until == [clock.seconds + 500, clock.seconds + 299]
        flights.landing[1].set_result(TOKEN)
    assert (len(crowd.got), crowd.errors, len(flights.landing)) == (200, [], 2)


async def test_after_a_leader_without_time_only_those_with_more_go_on() -> None:
    """Whoever has no more time than the leader fares as it did; of the others, the one with the most time leads."""
    clock, flights = HandClock(), Flights()
    crowd = Crowd(TokenCache(flights.fetch, clock))
    async with anyio.create_task_group() as tasks:
        for seconds in (100, *range(50, 250)):
            tasks.start_soon(crowd.ask, clock.seconds + seconds)
        await anyio.wait_all_tasks_blocked()
        flights.landing[0].set_exception(DeadlineExceededError("the next attempt would come too late"))
        await anyio.wait_all_tasks_blocked()
        assert len(crowd.errors) == 1 + 51
        assert len(set(map(id, crowd.errors))) == len(crowd.errors)
        assert flights.led_until == [clock.seconds + 100, clock.seconds + 249]
        # It has as little luck, and nobody else has more time: that was the last flight.
        flights.landing[1].set_exception(DeadlineExceededError("the next attempt would come too late"))
    assert (len(crowd.errors), crowd.got, len(flights.landing)) == (201, [], 2)


async def test_an_heir_that_gives_up_hands_on() -> None:
    """A waiter that is to lead, but is cancelled or out of time in that moment, leaves the lead to the next."""
    clock, flights = HandClock(), Flights()
    crowd = Crowd(TokenCache(flights.fetch, clock))
    leader, heir, last = [asyncio.create_task(crowd.ask(clock.seconds + seconds)) for seconds in (10, 90, 50)]
    await anyio.wait_all_tasks_blocked()
    leader.cancel()
    heir.cancel()  # it learns of that only after the leader has told it to go on
    await anyio.wait_all_tasks_blocked()
    assert flights.led_until == [clock.seconds + 10, clock.seconds + 50]
    flights.landing[1].set_result(TOKEN)
    await last
    assert (crowd.got, crowd.errors) == (["token"], [])


async def test_a_waiter_that_is_cancelled_just_when_the_token_comes_changes_nothing() -> None:
    """The flight has landed, and nobody has to lead another."""
    clock, flights = HandClock(), Flights()
    crowd = Crowd(TokenCache(flights.fetch, clock))
    leader, waiter = [asyncio.create_task(crowd.ask(FOR_EVER)) for _ in range(2)]
    await anyio.wait_all_tasks_blocked()
    flights.landing[0].set_result(TOKEN)
    await asyncio.sleep(0)  # the leader has told the waiter, which has not run since
    waiter.cancel()
    await asyncio.wait([leader, waiter])
    assert (waiter.cancelled(), crowd.got) == (True, ["token"])
    await crowd.ask(FOR_EVER)
    assert (crowd.got, len(flights.landing)) == (["token"] * 2, 1)


async def test_a_waiter_that_is_cancelled_is_forgotten() -> None:
    """The others get what the flight brings, and a lead that nobody wants is nobody's."""
    clock, flights = HandClock(), Flights()
    crowd = Crowd(TokenCache(flights.fetch, clock))
    leader, waiter = [asyncio.create_task(crowd.ask(FOR_EVER)) for _ in range(2)]
    await anyio.wait_all_tasks_blocked()
    waiter.cancel()
    await anyio.wait_all_tasks_blocked()
    leader.cancel()
    await anyio.wait_all_tasks_blocked()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(crowd.ask, FOR_EVER)
        await anyio.wait_all_tasks_blocked()
        flights.landing[1].set_result(TOKEN)
    assert (crowd.got, len(flights.landing)) == (["token"], 2)


async def test_a_bug_is_everybodys_error_too() -> None:
    """What is no error of ours ends the flight for all that wait, and nothing hangs."""
    flights = Flights()
    crowd = Crowd(TokenCache(flights.fetch, HandClock()))
    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(crowd.ask, FOR_EVER)
        await anyio.wait_all_tasks_blocked()
        flights.landing[0].set_exception(KeyError("accessToken"))
    assert ([type(error) for error in crowd.errors], len(flights.landing)) == ([KeyError] * 5, 1)


@pytest.mark.parametrize("error", [RateLimitedError, ServerError, DeadlineExceededError])
async def test_a_pause_that_the_service_asks_for_is_everybodys(error: type[Any]) -> None:
    """Nobody asks before it is over; whoever has no time for it learns at once how long it is."""
    clock = HandClock()
    service = Service(clock)
    service.error = error("too many", retry_after_seconds=60.0)
    cache = TokenCache(service.fetch, clock)
    with pytest.raises(error):
        await cache.get(deadline=clock.seconds + 30)
    clock.seconds += 20
    with pytest.raises(DeadlineExceededError, match=r"a pause, which ends in 40\.0 s, beyond") as caught:
        await cache.get(deadline=clock.seconds + 30)
    assert (caught.value.retry_after_seconds, clock.slept, len(service.requests)) == (40.0, [], 1)
    service.error = None
    assert (await cache.get(deadline=clock.seconds + 41)).text == "token-2"
    assert clock.slept == [40.0]


async def test_a_service_that_ignores_the_deadline_is_left() -> None:
    """Whatever fetches the token, its caller has no longer than its own time."""
    flights = Flights()
    clock = HandClock()
    cache = TokenCache(flights.fetch, clock)
    with pytest.raises(DeadlineExceededError, match="access token"):
        await cache.get(deadline=clock.seconds + 0.001)


async def test_failures_without_a_wait_are_not_remembered() -> None:
    """Each caller that comes after a failure asks the service itself."""
    clock = HandClock()
    service = Service(clock)
    service.error = ServerError("down")
    cache = TokenCache(service.fetch, clock)
    for _ in range(3):
        with pytest.raises(ServerError):
            await cache.get(deadline=FOR_EVER)
    assert len(service.requests) == 3


async def test_a_failure_that_many_share_leads_nobody_into_the_frames_of_another() -> None:
    """What the leader's callers know is theirs, and they may be at work again when the others take theirs apart."""
    clock, flights = HandClock(), Flights()
    crowd = Crowd(TokenCache(flights.fetch, clock))
    async with anyio.create_task_group() as tasks:
        for _ in range(3):
            tasks.start_soon(crowd.ask, FOR_EVER)
        await anyio.wait_all_tasks_blocked()
        cause = OSError("connection refused")
        failure = ServerError("down")
        failure.__cause__ = cause
        flights.landing[0].set_exception(failure)
    leader, *others = crowd.errors
    assert leader is failure
    for error in others:
        assert isinstance(error, ServerError)
        assert error.__cause__ is cause
        assert error.__context__ is None
        frames = [frame for frame, _ in walk_tb(error.__traceback__)]
        assert not {"_lead", "_fetched"} & {frame.f_code.co_name for frame in frames}
