"""What a session tells those who listen: attempts, ends, pauses, and clocks that are off."""

from typing import Any

import anyio
import attrs
import pytest

from otaclient.errors import AuthenticationError, DeadlineExceededError, OtaError, RateLimitedError, ResponseLostError
from otaclient.events import (
    AttemptFinished,
    AttemptStarted,
    CallEvent,
    CallFinished,
    CallStarted,
    Event,
    Retrying,
    Throttled,
    TokenRenewed,
)
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from support.network import GET, OK, ScriptedTransport, answer, session_over


async def test_events_tell_the_story() -> None:
    """Every attempt, retry and throttle is an event, in order."""
    events: list[Event] = []
    clock = HandClock()
    network = ScriptedTransport([answer(429, retry_after="1"), OK], clock=clock, seconds=0.5)
    session = session_over(network, clock, on_event=events.append)
    await session.call(GET)
    session.token_renewed()
    assert [type(event) for event in events] == [
        CallStarted, AttemptStarted, AttemptFinished, Throttled, Retrying, AttemptStarted, AttemptFinished,
        CallFinished, TokenRenewed,
    ]  # fmt: skip
    first, last, end = events[2], events[6], events[7]
    assert isinstance(first, AttemptFinished)
    assert isinstance(last, AttemptFinished)
    assert isinstance(end, CallFinished)
    assert (end.attempts, end.error) == (2, None)
    assert end.seconds >= first.seconds + last.seconds
    assert len({event.call for event in events if isinstance(event, CallEvent)}) == 1
    assert (first.status, first.error, first.seconds) == (429, "RateLimitedError", 0.5)
    assert (last.status, last.error, last.response_bytes, last.attempt) == (200, None, 2, 2)


async def test_a_failing_listener_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """An exception in ``on_event`` is logged, never raised."""

    def broken(_event: Event) -> None:
        raise RuntimeError("listener")

    assert await session_over(ScriptedTransport([OK]), HandClock(), on_event=broken).call(GET) is OK
    assert "a listener raised for AttemptStarted" in caplog.text


async def test_events_of_a_lost_answer() -> None:
    """An attempt without an answer has no status and no bytes."""
    events: list[Event] = []
    network = ScriptedTransport([ResponseLostError("x"), OK])
    await session_over(network, HandClock(), on_event=events.append).call(GET)
    assert isinstance(events[2], AttemptFinished)
    assert (events[2].status, events[2].response_bytes, events[2].error) == (None, 0, "ResponseLostError")
    assert events[2].request_id is None


async def test_every_call_has_an_end_and_a_number_of_its_own() -> None:
    """Also one that fails, and one that is cancelled."""
    events: list[Event] = []

    def cancelled(_request: HttpRequest) -> HttpResponse:
        raise anyio.get_cancelled_exc_class()

    network = ScriptedTransport([answer(400, x_request_id="r-7"), cancelled, OK])
    session = session_over(network, HandClock(), on_event=events.append)
    with pytest.raises(OtaError):
        await session.call(GET)
    with pytest.raises(anyio.get_cancelled_exc_class()):
        await session.call(GET)
    await session.call(GET)
    ends = [event for event in events if isinstance(event, CallFinished)]
    assert [(end.attempts, end.error) for end in ends] == [(1, "InvalidQueryError"), (1, "CancelledError"), (1, None)]
    assert len({end.call for end in ends}) == 3
    answers = [event for event in events if isinstance(event, AttemptFinished)]
    assert answers[0].request_id == "r-7"


@pytest.mark.parametrize(
    ("told", "shown"), [("r-7", "r-7"), ("0" * 64, "***"), ("two words", "***"), ("\udcff", "***")]
)
async def test_only_what_can_be_a_name_of_a_request_is_told(told: str, shown: str) -> None:
    """A gateway may put the signature that it was sent into that header, also of a good answer."""
    events: list[Event] = []
    network = ScriptedTransport([answer(200, x_request_id=told)])
    await session_over(network, HandClock(), on_event=events.append).call(GET)
    assert [event.request_id for event in events if isinstance(event, AttemptFinished)] == [shown]


async def test_what_a_listener_wants_sent_along_is_sent_and_replaces_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Such as the context of a trace; what HTTP cannot carry is left out, and logged."""

    def listen(event: Event) -> None:
        if isinstance(event, AttemptStarted):
            event.headers.update({"traceparent": "00-1-2-01", "X-Signed": "no", "tracestate": "a\r\nb"})

    network = ScriptedTransport([OK])
    session = session_over(network, HandClock(), on_event=listen)
    await session.call(attrs.evolve(GET, headers={"X-Signed": "yes"}))
    (sent,) = network.sent
    assert (sent.headers["traceparent"], sent.headers["X-Signed"]) == ("00-1-2-01", "yes")
    assert "tracestate" not in sent.headers
    assert "left out" in caplog.text


async def test_a_pause_that_outlasts_a_call_is_told() -> None:
    """Also to calls that the vendor has not throttled themselves: at once, and with what is left of the pause."""
    clock, network = HandClock(), ScriptedTransport([answer(429, retry_after="60"), OK])
    session = session_over(network, clock, retry=RetryPolicy.none())
    with pytest.raises(RateLimitedError):
        await session.call(GET)
    clock.seconds += 20
    with pytest.raises(DeadlineExceededError, match="waiting for a turn") as caught:
        await session.call(GET)
    assert (caught.value.retry_after_seconds, caught.value.attempts, clock.slept) == (40.0, 0, [])
    clock.seconds += 20
    await session.call(GET)
    assert clock.slept == [20.0]


async def test_parts_of_a_longer_call_have_one_end() -> None:
    """However much time each of them would have by itself."""
    clock, network = HandClock(), ScriptedTransport([OK] * 3)
    session = session_over(network, clock, timeout_seconds=10)
    parts = session.until(session.deadline())
    await parts.call(GET)
    clock.seconds += 7
    await parts.with_options(retry=RetryPolicy.none()).call(GET)
    clock.seconds += 3
    with pytest.raises(DeadlineExceededError):
        await parts.call(GET)
    await session.call(GET)
    assert network.timeouts == [10.0, 3.0, 10.0]


def skewed_session(network: ScriptedTransport, clock: HandClock, **options: Any) -> Session:
    """Return a session whose signatures hold the time."""
    session = session_over(network, clock, **options)
    assert session.dialect is not None
    return session.speaking(attrs.evolve(session.dialect, signs_time=True))


REFUSED_LATER = answer(401, date="Fri, 02 Jan 2026 04:04:05 GMT")


async def test_a_clock_that_is_off_is_told_once() -> None:
    """In the error of a refused signature, with which way and how far."""
    clock = HandClock()
    behind = (3600 - clock.seconds, "behind")
    with pytest.raises(AuthenticationError) as caught:
        await skewed_session(ScriptedTransport([REFUSED_LATER]), clock).call(GET)
    assert f"this machine's clock is {behind[0]:,.0f} s behind the server's, and the signature" in caught.value.message
    assert caught.value.args == (caught.value.message,)
    with pytest.raises(AuthenticationError) as caught:
        await session_over(ScriptedTransport([REFUSED_LATER]), clock).call(GET)
    assert "clock" not in caught.value.message


async def test_a_corrected_clock_is_shared_and_only_the_time_of_day_changes() -> None:
    """Whoever is made of the session signs with the same time; what is measured stays."""
    clock = HandClock()
    network = ScriptedTransport([REFUSED_LATER, OK, OK])
    session = skewed_session(network, clock).on_corrected_clock()
    assert session.on_corrected_clock() is session
    other = session.with_options(timeout_seconds=5)
    await session.call(GET)
    assert abs((other.clock.now() - clock.now()).total_seconds() - 2600) < 2
    assert (other.clock.monotonic(), clock.slept) == (clock.seconds, [0.125])
    await other.call(GET)
    assert len(network.sent) == 3
