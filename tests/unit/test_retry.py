"""The retry decision, without an event loop."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ConfigurationError, OutcomeUnknownError, ServerError
from otaclient.transport.http import HttpRequest
from otaclient.transport.retry import Failure, Remedy, RetryPolicy, unclear_error

FAILURE = Failure(error=ServerError("x"), remedy=Remedy.REPEAT)


@given(
    attempt=st.integers(1, 10_000),
    base=st.floats(0, 10),
    cap=st.floats(0, 100),
    roll=st.floats(0, 1, exclude_max=True),
)
def test_jitter_stays_below_the_cap(attempt: int, base: float, cap: float, roll: float) -> None:
    """The wait is never negative and never beyond the doubling base or the cap, however many attempts."""
    policy = RetryPolicy(max_attempts=10_001, base_delay_seconds=base, max_delay_seconds=cap)
    delay = policy.delay(FAILURE, attempt=attempt, idempotent=True, roll=roll)
    assert delay is not None
    assert 0 <= delay <= min(cap, base * 2.0 ** (attempt - 1) if attempt < 60 else cap)


@pytest.mark.parametrize(
    ("attempt", "delay"), [(1, 0.5), (2, 1.0), (3, 2.0), (4, 4.0), (5, 5.0), (63, 5.0), (64, 5.0), (2000, 5.0)]
)
def test_the_cap_doubles_until_its_largest(attempt: int, delay: float) -> None:
    """From the base on, for the second half of the draw as for any; a number of attempts that overflows is none."""
    policy = RetryPolicy(max_attempts=2001, base_delay_seconds=1, max_delay_seconds=10)
    assert policy.delay(FAILURE, attempt=attempt, idempotent=True, roll=0.5) == delay


def test_defaults() -> None:
    """What a caller gets who says nothing: an unclassified failure is not repeated."""
    assert RetryPolicy() == RetryPolicy(max_attempts=5, base_delay_seconds=0.25, max_delay_seconds=15)
    assert Failure(error=ServerError("x")).remedy is Remedy.RAISE


@pytest.mark.parametrize("remedy", list(Remedy))
@pytest.mark.parametrize("idempotent", [True, False])
def test_what_is_repeated(remedy: Remedy, idempotent: bool) -> None:
    """What was not executed is repeated always; what may have been, only when that does no harm; the rest never."""
    delay = RetryPolicy().delay(
        Failure(error=ServerError("x"), remedy=remedy), attempt=1, idempotent=idempotent, roll=0
    )
    expected = remedy in (Remedy.REPEAT_REJECTED, Remedy.SLOW_DOWN) or (remedy is Remedy.REPEAT and idempotent)
    assert (delay is not None) is expected


def test_advised_waits_win() -> None:
    """``Retry-After`` replaces the backoff, also beyond its cap."""
    advised = Failure(error=ServerError("x"), remedy=Remedy.REPEAT, retry_after_seconds=99)
    assert RetryPolicy(max_delay_seconds=1).delay(advised, attempt=1, idempotent=True, roll=0.9) == 99


def test_the_last_attempt_is_the_last() -> None:
    """After ``max_attempts`` there is nothing to wait for; ``none()`` has one attempt."""
    assert RetryPolicy(max_attempts=3).delay(FAILURE, attempt=3, idempotent=True, roll=0) is None
    assert RetryPolicy.none().delay(FAILURE, attempt=1, idempotent=True, roll=0) is None


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("max_attempts", 0, "RetryPolicy max_attempts is 0: it must be a whole number, at least 1"),
        ("max_attempts", "3", "RetryPolicy max_attempts is '3': it must be a whole number, at least 1"),
        ("max_attempts", 2.5, "RetryPolicy max_attempts is 2.5: it must be a whole number, at least 1"),
        ("base_delay_seconds", -1, "RetryPolicy base_delay_seconds is -1: it must be a finite number, at least 0"),
        ("max_delay_seconds", -0.5, "RetryPolicy max_delay_seconds is -0.5: it must be a finite number, at least 0"),
        ("max_delay_seconds", math.nan, "RetryPolicy max_delay_seconds is nan: it must be a finite number, at least 0"),
        ("max_delay_seconds", math.inf, "RetryPolicy max_delay_seconds is inf: it must be a finite number, at least 0"),
        ("max_delay_seconds", True, "RetryPolicy max_delay_seconds is True: it must be a finite number, at least 0"),
    ],
)
def test_wrong_policies_are_refused(field: str, value: Any, message: str) -> None:
    """A policy that cannot be meant names the field and the rule."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy(**{field: value})
    assert str(caught.value) == message
    RetryPolicy(max_attempts=1, base_delay_seconds=0, max_delay_seconds=0)


LOST = ServerError("the answer was lost", operation="jobs.stop", backend="b", attempts=2, status=502, request_id="r-1")


@pytest.mark.parametrize("remedy", list(Remedy))
@pytest.mark.parametrize("idempotent", [True, False])
def test_which_failures_leave_a_write_unclear(remedy: Remedy, idempotent: bool) -> None:
    """Only what may have been carried out, and only where carrying it out again would do harm."""
    request = HttpRequest(operation="jobs.stop", method="POST", path="/", idempotent=idempotent)
    unclear = unclear_error(request, Failure(error=LOST, remedy=remedy))
    assert (unclear is not None) is (remedy is Remedy.REPEAT and not idempotent)


@pytest.mark.parametrize(
    ("subject", "how_to_check", "message"),
    [
        ("job j1", "jobs.get tells", "job j1 may or may not have taken effect: the answer was lost; jobs.get tells"),
        ("job j1", "", "job j1 may or may not have taken effect: the answer was lost"),
        ("", "", "the request may or may not have taken effect: the answer was lost"),
    ],
)
def test_an_unclear_outcome_says_what_is_known(subject: str, how_to_check: str, message: str) -> None:
    """What it was about, why it is unclear, how to find out, and all facts of the error that was in its place."""
    request = HttpRequest(
        operation="jobs.stop", method="POST", path="/", idempotent=False, subject=subject, how_to_check=how_to_check
    )
    unclear = unclear_error(request, Failure(error=LOST, remedy=Remedy.REPEAT))
    assert isinstance(unclear, OutcomeUnknownError)
    assert unclear.message == message
    assert unclear.facts() == LOST.facts()
    assert unclear.__cause__ is LOST
