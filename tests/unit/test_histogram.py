"""How long things took, counted in little memory."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ConfigurationError
from otaclient.load import RELATIVE_ERROR, Histogram

SECONDS = st.floats(0, 1e5)
PERCENTS = st.floats(0, 100)


def of(*seconds: float) -> Histogram:
    """Return a histogram of these."""
    made = Histogram()
    for each in seconds:
        made.record(each)
    return made


@given(st.lists(SECONDS, min_size=1), PERCENTS)
def test_a_percentile_is_never_too_low_and_little_too_high(seconds: list[float], percent: float) -> None:
    """Within the promised error of what a sorted list says, or within a microsecond; and never below it."""
    wanted = sorted(seconds)[max(1, math.ceil(round(len(seconds) * percent / 100, 6))) - 1]
    told = of(*seconds).percentile(percent)
    assert told is not None
    assert wanted - 2e-12 * (1 + wanted) <= told <= max(wanted * (1 + RELATIVE_ERROR), wanted + 1e-6) + 1e-9


@given(st.lists(SECONDS), st.lists(SECONDS), PERCENTS)
def test_added_up_is_as_if_counted_together(some: list[float], others: list[float], percent: float) -> None:
    """Two histograms make the one of both."""
    made, both = of(*some), of(*some, *others)
    made.add(of(*others))
    assert made.percentile(percent) == both.percentile(percent)
    assert (made.count, made.largest_seconds) == (both.count, both.largest_seconds)
    assert made.sum_seconds == pytest.approx(both.sum_seconds)


@given(st.lists(SECONDS))
def test_json_tells_everything(seconds: list[float]) -> None:
    """What is read back is the same, and can be added to."""
    said = of(*seconds).as_json()
    again = Histogram.from_json(json.loads(json.dumps(said)))
    assert again.as_json() == said
    again.record(0.5)
    assert again.count == len(seconds) + 1


@given(st.lists(SECONDS, min_size=1))
def test_the_largest_and_the_mean_are_exact(seconds: list[float]) -> None:
    """They need no buckets."""
    counted = of(*seconds)
    assert counted.percentile(100) == counted.largest_seconds == max(seconds)
    assert counted.mean == pytest.approx(sum(seconds) / len(seconds))


def test_memory_stays_small() -> None:
    """A million different durations, from a microsecond to an hour, take a few thousand buckets."""
    counted = of(*(1e-6 * 1.00003**number for number in range(0, 730_000, 10)))
    assert counted.largest_seconds > 3000
    assert len(counted.as_json()["buckets"]) < 3500


def test_nothing_was_counted() -> None:
    """Then there is no percentile and no mean."""
    empty = Histogram()
    assert (empty.percentile(99), empty.mean, empty.count) == (None, None, 0)


def test_a_clock_that_jumps() -> None:
    """A negative duration counts as none; those beyond all bounds cannot be told apart, but from the rest."""
    assert of(-1.0).percentile(50) == 0
    assert of(1, 1e12, 2e12).percentile(50) == 2e12
    assert of(1, 1, 2e12).percentile(50) == pytest.approx(1, rel=0.01)


@pytest.mark.parametrize("percent", [-1, 100.1, float("nan")])
def test_no_such_percentile(percent: float) -> None:
    """It is refused, also where nothing was counted."""
    with pytest.raises(ConfigurationError, match="from 0 to 100"):
        Histogram().percentile(percent)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"count": 1, "sum_seconds": 1, "largest_seconds": 1, "buckets": [[256, 1]]},
        {"count": 2, "sum_seconds": 1, "largest_seconds": 1, "buckets": [[1, 1]]},
        {"count": 0, "sum_seconds": 1, "largest_seconds": 1, "buckets": [[1, 0]]},
        {"count": 1, "sum_seconds": "x", "largest_seconds": 1, "buckets": [[1, 1]]},
        {"count": 1, "sum_seconds": 1, "largest_seconds": 1, "buckets": [1]},
    ],
)
def test_json_that_is_none(said: Any) -> None:
    """What tells of no histogram is refused."""
    with pytest.raises(ConfigurationError, match="this is no histogram of a load test"):
        Histogram.from_json(said)
