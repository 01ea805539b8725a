"""The road of one call: what is repeated, what is not, and what it costs."""

import pickle
from collections.abc import Callable
from typing import Any

import anyio
import pytest

from otaclient.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceededError,
    InvalidQueryError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
    RateLimitedError,
    RequestNotSentError,
    ResponseLostError,
    ServerError,
)
from otaclient.events import AttemptFinished, AttemptStarted, CallFinished, CallStarted, Event
from otaclient.testing import HandClock
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient.transport.tokens import Token, TokenCache
from support.network import GET, OK, POST, ScriptedTransport, answer, session_over


async def test_a_good_answer_takes_one_request() -> None:
    """The usual case: one request, no wait, the whole time left for it."""
    clock, network = HandClock(), ScriptedTransport([OK])
    assert await session_over(network, clock).call(GET) is OK
    assert (len(network.sent), network.timeouts, clock.slept) == (1, [30.0], [])


@pytest.mark.parametrize("failure", [answer(503), answer(429), ResponseLostError("x"), RequestNotSentError("x")])
async def test_reads_are_repeated(failure: Any) -> None:
    """A read is repeated after whatever may pass, and the answer says how many requests it took."""
    clock, network = HandClock(), ScriptedTransport([failure, failure, OK])
    response = await session_over(network, clock).call(GET)
    assert (response.status, response.attempts) == (200, 3)
    assert response.throttles == (2 if getattr(failure, "status", None) == 429 else 0)


@pytest.mark.parametrize(
    ("failure", "repeated"),
    [(answer(503), False), (ResponseLostError("x"), False), (answer(429), True), (RequestNotSentError("x"), True)],
)
async def test_writes_are_repeated_only_when_not_executed(failure: Any, repeated: bool) -> None:
    """A write whose answer is lost may have taken effect: it is not repeated."""
    network = ScriptedTransport([failure, OK])
    session = session_over(network, HandClock())
    if repeated:
        await session.call(POST)
    else:
        with pytest.raises(OtaError):
            await session.call(POST)
    assert len(network.sent) == (2 if repeated else 1)


async def test_refusals_are_not_repeated() -> None:
    """What the caller must change is raised at once, with where and how often."""
    network = ScriptedTransport([answer(400)])
    with pytest.raises(InvalidQueryError, match=r"^test firmware\.get: refused \(HTTP 400\)$") as caught:
        await session_over(network, HandClock()).call(GET)
    assert (caught.value.attempts, caught.value.operation, caught.value.backend) == (1, "firmware.get", "test")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "failure", [answer(503), answer(429), answer(401), ResponseLostError("x"), RequestNotSentError("x")]
)
async def test_without_retries_one_call_is_one_request(failure: Any) -> None:
    """``RetryPolicy.none()`` is exactly one request, whatever the answer, a dead token included."""
    network = ScriptedTransport([failure, OK])
    session = session_over(network, HandClock(), retry=RetryPolicy.none(), tokens=fixed_tokens(HandClock(), ["a", "b"]))
    with pytest.raises(OtaError):
        await session.call(GET)
    assert len(network.sent) == 1


async def test_attempts_run_out() -> None:
    """After the last attempt its error is raised, and counts all of them."""
    clock, network = HandClock(), ScriptedTransport([answer(500)] * 9)
    with pytest.raises(ServerError) as caught:
        await session_over(network, clock, retry=RetryPolicy(max_attempts=4)).call(GET)
    assert (caught.value.attempts, len(network.sent)) == (4, 4)
    assert clock.slept == [0.125, 0.25, 0.5]


async def test_retry_after_wins_and_pauses_everybody() -> None:
    """An advised wait replaces the backoff, and nobody else starts before it is over."""
    clock, network = HandClock(), ScriptedTransport([answer(429, retry_after="7"), OK, OK])
    session = session_over(network, clock)
    await session.call(GET)
    assert clock.slept == [7.0]
    clock, network = HandClock(), ScriptedTransport([answer(429, retry_after="7"), OK])
    session = session_over(network, clock, retry=RetryPolicy.none())
    with pytest.raises(RateLimitedError):
        await session.call(GET)
    await session.call(GET)
    assert clock.slept == [7.0]


async def test_retry_after_beyond_the_deadline_raises_at_once() -> None:
    """No wait that cannot end well: the error carries the advised time and what the vendor said."""
    clock, network = HandClock(), ScriptedTransport([answer(429, retry_after="31")])
    with pytest.raises(DeadlineExceededError, match="too many") as caught:
        await session_over(network, clock).call(GET)
    assert (caught.value.retry_after_seconds, caught.value.status, caught.value.attempts) == (31.0, 429, 1)
    assert isinstance(caught.value.__cause__, RateLimitedError)
    assert clock.slept == []


async def test_the_deadline_covers_all_attempts() -> None:
    """Each attempt gets what is left of the time, and the last one is not begun after it."""
    clock = HandClock()
    network = ScriptedTransport([answer(500)] * 9, clock=clock, seconds=4.0)
    with pytest.raises(DeadlineExceededError):
        await session_over(network, clock, timeout_seconds=10, retry=RetryPolicy(base_delay_seconds=2)).call(GET)
    assert network.timeouts == [10.0, 5.0]


async def test_a_timeout_of_the_transport_is_a_deadline() -> None:
    """The transport's own time-out is our deadline, and is not repeated."""
    network = ScriptedTransport([TimeoutError()])
    with pytest.raises(DeadlineExceededError, match="no whole answer") as caught:
        await session_over(network, HandClock()).call(GET)
    assert caught.value.attempts == 1


async def test_an_answer_that_cannot_be_taken_in_counts_as_an_attempt() -> None:
    """An answer beyond the cap is not asked for again; of a write it leaves open what became of it."""
    events: list[Event] = []
    network = ScriptedTransport([PayloadError("too large", status=200)])
    with pytest.raises(PayloadError) as caught:
        await session_over(network, HandClock(), on_event=events.append).call(GET)
    assert (caught.value.attempts, len(network.sent)) == (1, 1)
    assert [type(event) for event in events] == [CallStarted, AttemptStarted, AttemptFinished, CallFinished]
    with pytest.raises(OutcomeUnknownError, match="too large"):
        await session_over(ScriptedTransport([PayloadError("too large")]), HandClock()).call(POST)


async def test_no_deadline() -> None:
    """``timeout_seconds=None`` waits for ever."""
    network = ScriptedTransport([OK])
    await session_over(network, HandClock(), timeout_seconds=None).call(GET)
    assert network.timeouts == [None]


async def test_a_turn_beyond_the_deadline_is_refused_at_once() -> None:
    """With the rate spent for longer than the time left, nothing is sent and nothing is waited for."""
    clock, network = HandClock(), ScriptedTransport([OK, OK])
    session = session_over(network, clock, timeout_seconds=1, limits=Limits(requests_per_second=0.1))
    await session.call(GET)
    with pytest.raises(DeadlineExceededError, match="waiting for a turn"):
        await session.call(GET)
    assert (len(network.sent), clock.slept) == (1, [])


async def test_a_slot_beyond_the_deadline_is_refused() -> None:
    """When others hold every slot until the time is over, the call ends without a request."""
    release = anyio.Event()
    network = ScriptedTransport([OK, OK])

    class Holding(ScriptedTransport):
        async def send(self, *args: Any, **kwargs: Any) -> Any:
            await release.wait()
            return await network.send(*args, **kwargs)

    session = session_over(Holding(), HandClock(), limits=Limits(concurrency=1))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(session.call, GET)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(DeadlineExceededError, match="waiting for a turn"):
            await session.call(GET, deadline=session.clock.monotonic() + 0.01)
        release.set()
    assert (await session.call(GET)).status == 200


async def test_cancelling_a_call_gives_its_slot_back() -> None:
    """A cancelled call leaves the client usable."""

    class Never(ScriptedTransport):
        async def send(self, *args: Any, **kwargs: Any) -> Any:
            if not self.sent:
                self.sent.append(GET)
                await anyio.sleep_forever()
            return OK

    session = session_over(Never(), HandClock(), limits=Limits(concurrency=1))
    with anyio.move_on_after(0.01):
        await session.call(GET)
    assert (await session.call(GET)).status == 200


def fixed_tokens(clock: HandClock, texts: list[str]) -> TokenCache:
    """Return a cache that is given these tokens, one after the other."""

    async def fetch(_old: Token | None, _deadline: float) -> Token:
        return Token(text=texts.pop(0), obtained_at=clock.now(), expires_at=None)

    return TokenCache(fetch, clock)


async def test_a_dead_token_is_renewed_once() -> None:
    """The call is repeated with a new token, without a wait; a second refusal is the answer."""
    clock, network = HandClock(), ScriptedTransport([answer(401), OK])
    await session_over(network, clock, tokens=fixed_tokens(clock, ["a", "b"])).call(GET)
    assert [request.headers["Authorization"] for request in network.sent] == ["a", "b"]
    clock, network = HandClock(), ScriptedTransport([answer(401), answer(401), OK])
    with pytest.raises(AuthenticationError):
        await session_over(network, clock, tokens=fixed_tokens(clock, ["a", "b"])).call(GET)
    assert (len(network.sent), clock.slept) == (2, [])


async def test_a_refusal_without_tokens_is_not_repeated() -> None:
    """Where there is no token to renew, nothing is gained by asking again."""
    network = ScriptedTransport([answer(401), OK])
    with pytest.raises(AuthenticationError):
        await session_over(network, HandClock()).call(GET)
    assert len(network.sent) == 1


async def test_a_failing_token_service_is_the_calls_error() -> None:
    """The error of the token request reaches the caller, with the operation that needed it."""
    clock = HandClock()

    async def fetch(_old: Token | None, _deadline: float) -> Token:
        raise AuthenticationError("wrong key", operation="authenticate", attempts=1)

    session = session_over(ScriptedTransport(), clock, tokens=TokenCache(fetch, clock))
    with pytest.raises(AuthenticationError, match="wrong key"):
        await session.call(GET)
    with pytest.raises(AuthenticationError, match="wrong key"):
        await session.authenticate()


async def test_time_spent_before_sending_counts() -> None:
    """A token that takes until the deadline leaves no time to send."""
    clock, network = HandClock(), ScriptedTransport([OK])

    async def fetch(_old: Token | None, _deadline: float) -> Token:
        clock.seconds += 60
        return Token(text="a", obtained_at=clock.now(), expires_at=None)

    with pytest.raises(DeadlineExceededError, match="before the request was sent"):
        await session_over(network, clock, tokens=TokenCache(fetch, clock)).call(GET)
    assert network.sent == []


async def test_options_share_the_pool_but_do_not_close_it() -> None:
    """A session with other options sends through the same transport; only its maker closes that."""
    network = ScriptedTransport([OK])
    session = session_over(network, HandClock())
    quick = session.with_options(timeout_seconds=2, retry=RetryPolicy.none(), limits=Limits(concurrency=3))
    await quick.call(GET)
    await quick.aclose()
    assert (network.timeouts, network.closed) == ([2.0], 0)
    assert session.with_options().limiter is session.limiter
    wrongs: list[dict[str, Any]] = [{"retry": 0}, {"limits": 5}]
    for wrong in wrongs:
        with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))} is of the type int: give "):
            session.with_options(**wrong)
    assert quick.limiter is not session.limiter
    await session.aclose()
    assert network.closed == 1


async def test_a_session_without_dialect_says_so() -> None:
    """A plug-in that forgets its dialect gets told."""
    with pytest.raises(ConfigurationError, match="dialect"):
        await Session(label="x", transport=ScriptedTransport()).call(GET)


@pytest.mark.parametrize("seconds", [0, -1])
def test_timeouts_are_positive(seconds: float) -> None:
    """A time-out of nothing cannot be meant."""
    with pytest.raises(ConfigurationError, match="timeout_seconds"):
        Session(label="x", transport=ScriptedTransport(), timeout_seconds=seconds)


def test_a_session_shows_no_secret(  # the repr is what a debugger or a log shows first
    tmp_path: Any,
) -> None:
    """The representation names the label and the options only."""
    make: Callable[..., Session] = session_over
    shown = repr(make(ScriptedTransport(), HandClock(), tokens=fixed_tokens(HandClock(), ["secret-token"])))
    assert "secret-token" not in shown
    assert "label='test'" in shown
