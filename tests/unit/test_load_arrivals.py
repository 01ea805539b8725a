"""When the calls of a load test are due."""

import itertools
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ConfigurationError
from otaclient.load import Arrivals

SEEDS = st.integers()
RATES = st.floats(0.5, 500)
LENGTHS = st.floats(0.01, 5)


def times(arrivals: Arrivals, seed: int = 1) -> list[float]:
    """Return when calls are due."""
    return list(arrivals.times(random.Random(seed)))


def test_a_constant_rate_is_even() -> None:
    """As many calls as rate and time ask for, the first at once, all the same distance apart."""
    due = times(Arrivals.constant(rate=10, seconds=3))
    assert len(due) == 30
    assert due == [number / 10 for number in range(30)]


def test_roundings_make_no_call_more() -> None:
    """0.1 calls a second for 30 seconds are three, although the product of the floats is a little more."""
    assert len(times(Arrivals.constant(rate=0.1, seconds=30))) == 3
    assert len(times(Arrivals.constant(rate=0.1, seconds=31))) == 4


@given(RATES, LENGTHS, SEEDS, st.booleans())
def test_calls_are_due_in_order_and_in_time(rate: float, seconds: float, seed: int, at_random: bool) -> None:
    """None comes before the one before it, before the beginning or after the end, however they come."""
    arrivals = Arrivals.steps((rate, seconds), (rate * 2, seconds), at_random=at_random)
    due = times(arrivals, seed)
    assert due == sorted(due)
    assert all(0 <= at <= arrivals.seconds for at in due)
    assert due == times(arrivals, seed)


def test_a_poisson_process_has_its_mean_and_its_spread() -> None:
    """Gaps of a mean of 1/rate and a deviation as large: a constant rate would have none."""
    due = times(Arrivals.poisson(rate=100, seconds=200), seed=3)
    gaps = [after - before for before, after in itertools.pairwise(due)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.01, rel=0.03)
    assert deviation == pytest.approx(0.01, rel=0.05)


def test_each_step_has_its_rate() -> None:
    """Steps follow each other, each with its own rate for its own time."""
    arrivals = Arrivals.steps((10, 2), (40, 1), (5, 4), at_random=False)
    due = times(arrivals)
    assert [sum(begin <= at < end for at in due) for begin, end in ((0, 2), (2, 3), (3, 7))] == [20, 40, 20]
    assert arrivals.seconds == 7


def test_other_seeds_give_other_times() -> None:
    """What comes at random depends on the seed, what comes evenly does not."""
    assert times(Arrivals.poisson(50, 1), 1) != times(Arrivals.poisson(50, 1), 2)
    assert times(Arrivals.constant(50, 1), 1) == times(Arrivals.constant(50, 1), 2)


def test_it_says_what_it_is() -> None:
    """In words, for a report."""
    assert str(Arrivals.poisson(50, 1.5)) == "at random, 50/s for 1.5 s"
    assert str(Arrivals.steps((50, 1), (100, 2), at_random=False)) == "evenly, 50/s for 1 s, 100/s for 2 s"


@pytest.mark.parametrize("bad", [0, -1, float("inf"), float("nan"), True, "7", None])
def test_numbers_that_cannot_be(bad: object) -> None:
    """They are refused by name."""
    with pytest.raises(ConfigurationError, match=r"rate is .*: it must be a finite number above 0"):
        Arrivals.constant(rate=bad, seconds=1)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="seconds is "):
        Arrivals.poisson(rate=1, seconds=bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [5, (1, 2, 3), None])
def test_a_step_is_a_pair(step: Any) -> None:
    """Anything else is refused, and the message shows one."""
    with pytest.raises(ConfigurationError, match=r"a step is .*: give pairs of a rate and seconds, such as \(50, 10\)"):
        Arrivals.steps((50, 10), step)


def test_no_step_at_all() -> None:
    """It is refused, and the message shows a step."""
    with pytest.raises(ConfigurationError, match=r"there is no step: .* \(50, 10\)"):
        Arrivals.steps()
