"""What an emulator counts of its requests: those under way, those that ended, their times and their rate."""

import random

import pytest

from otaclient.emulator.state import times_state
from otaclient.emulator.traffic import Traffic
from otaclient.histogram import Histogram


class Hand:
    """Seconds that a test sets."""

    now = 100.25

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def hand() -> Hand:
    return Hand()


def test_percentiles_are_within_one_percent() -> None:
    """Of any times, as the sorted list of all of them has them."""
    rng = random.Random(3)
    times = sorted(rng.lognormvariate(-4, 1.5) for _ in range(5000))
    histogram = Histogram()
    for time in times:
        histogram.record(time)
    for share in (0.5, 0.9, 0.99, 0.999):
        exact = times[max(0, round(share * len(times)) - 1)]
        assert histogram.percentile(100 * share) == pytest.approx(exact, rel=0.011)
    summary = times_state(histogram)
    assert summary["count"] == 5000
    assert summary["mean_seconds"] == pytest.approx(sum(times) / 5000, abs=1e-6)
    assert summary["max_seconds"] == pytest.approx(times[-1], abs=1e-6)
    longest = histogram.percentile(100)
    assert longest is not None
    assert longest <= times[-1]
    halves = [Histogram(), Histogram()]
    for number, time in enumerate(times):
        halves[number % 2].record(time)
    assert times_state(Histogram.merged(halves)) == summary


def test_no_time_at_all_is_a_time() -> None:
    """A hand-driven clock may stand still; and without any request everything is 0."""
    histogram = Histogram()
    assert set(times_state(histogram).values()) == {0}
    histogram.record(0.0)
    assert histogram.percentile(50) == 0.0
    assert times_state(histogram)["count"] == 1


def test_requests_are_under_way_until_they_end(hand: Hand) -> None:
    """By operation; only those that were answered have a time."""
    traffic = Traffic(hand)
    first, second = traffic.begin("a"), traffic.begin("b")
    assert traffic.in_flight == {"a": 1, "b": 1}
    hand.now += 2
    traffic.end("a", first, is_answered=True)
    traffic.end("b", second, is_answered=False)
    assert not traffic.in_flight
    assert traffic.unanswered == 1
    assert {name: times.count for name, times in traffic.latencies.items()} == {"a": 1}
    assert traffic.latencies["a"].largest_seconds == pytest.approx(2)
    assert (traffic.uptime_seconds, traffic.counted_seconds) == (2, 2)


def test_the_rate_is_of_the_last_whole_seconds(hand: Hand) -> None:
    """The second that still goes on does not count, and what is long ago no more."""
    traffic = Traffic(hand)
    for _ in range(3):
        traffic.begin("a")
    assert traffic.requests_per_second() == 3  # in less than a second, so over one second
    hand.now = 101.1
    traffic.begin("a")
    assert traffic.requests_per_second() == 4
    hand.now = 102.0
    assert traffic.requests_per_second() == pytest.approx(4 / 1.75)
    hand.now = 115.5
    assert traffic.requests_per_second() == 0
    for _ in range(20):
        traffic.begin("a")
    hand.now = 116.5
    assert traffic.requests_per_second() == 2
    assert traffic.begin("a") == 116.5


def test_a_reset_forgets_all_but_what_is_under_way(hand: Hand) -> None:
    """The emulator has been up all the while."""
    traffic = Traffic(hand)
    begun = traffic.begin("a")
    traffic.end("a", traffic.begin("a"), is_answered=False)
    hand.now += 5
    traffic.reset()
    assert (traffic.uptime_seconds, traffic.counted_seconds) == (5, 0)
    assert (traffic.unanswered, traffic.in_flight["a"], traffic.requests_per_second()) == (0, 1, 0)
    traffic.end("a", begun, is_answered=True)
    assert traffic.all_latencies().count == 1
