"""One token for all callers."""

from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import AuthenticationError, DeadlineExceededError, ServerError
from otaclient.transport.tokens import Token, TokenCache
from support.clock import HandClock

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
        got.append(await cache.get(deadline=FOR_EVER))

    async with anyio.create_task_group() as tasks:
        for _ in range(1000):
            tasks.start_soon(ask)
    assert (set(got), len(got), len(service.requests), len(renewals)) == ({"token-1"}, 1000, 1, 1)


async def test_renewal_comes_before_expiry_and_brings_the_old_token() -> None:
    """Shortly before its end a token is renewed, and the service is shown the old one."""
    clock = HandClock()
    service = Service(clock)
    cache = TokenCache(service.fetch, clock)
    assert await cache.get(deadline=FOR_EVER) == "token-1"
    clock.seconds += 7200 - 301
    assert await cache.get(deadline=FOR_EVER) == "token-1"
    clock.seconds += 2
    assert await cache.get(deadline=FOR_EVER) == "token-2"
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
    assert await cache.get(deadline=FOR_EVER) == second == "token-2"
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
    assert await cache.get(deadline=FOR_EVER) == "token-2"


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
        got.append(await cache.get(deadline=FOR_EVER))

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
        got.append(await cache.get(deadline=FOR_EVER))

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
