"""The adaptive window: alone, and against simulated vendors with a hidden capacity."""

from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.transport.adaptive import AdaptiveWindow
from support.hidden_capacity import FixedWindow, Kind, Service, Simulation

MOST = 32
# When the window is taken to have found its level.
CONVERGED = 60.0
LEVELS: list[tuple[Kind, int, float]] = [
    ("at once", 1, 0.1),
    ("at once", 3, 0.1),
    ("at once", 8, 0.05),
    ("at once", 20, 0.1),
    ("queueing", 1, 0.1),
    ("queueing", 4, 0.1),
    ("queueing", 12, 0.05),
    ("queueing", 24, 0.1),
    ("per second", 10, 0.1),
    ("per second", 25, 0.1),
    ("per second", 60, 0.1),
    ("per second", 200, 0.05),
]


def end(kind: Kind, limit: int, seconds: float) -> float:
    """Return how long to watch: two minutes after that, and some 2,000 answers."""
    return CONVERGED + max(120, 2000 / (limit if kind == "per second" else limit / seconds))


@cache
def best_fixed(kind: Kind, limit: int, seconds: float, spread: float | None) -> float:
    """Return the most that a fixed window gets served a second, of those with no more refusals than 1 %; else of all.

    Where a vendor counts by the second, the largest window is served as much as any, with a third refused.
    """
    tried: list[tuple[bool, float]] = []
    for window in sorted({1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 19, 20, 24, 28, MOST, min(limit, MOST)}):
        simulation = Simulation(Service(kind=kind, limit=limit, seconds=seconds, spread=spread), FixedWindow(window))
        simulation.run(30)
        tried.append((simulation.refused_share(10, 30) <= 0.01, simulation.throughput(10, 30)))
    return max(tried)[1]


@pytest.mark.parametrize(("kind", "limit", "seconds"), LEVELS)
@settings(max_examples=3)
@given(seed=st.integers(0, 2**32), spread=st.sampled_from([0.0, 0.5]))
def test_it_finds_the_capacity(kind: Kind, limit: int, seconds: float, spread: float, seed: int) -> None:
    """Within 10 % of the best fixed window, and at most 1 % refused, whatever the vendor's limit is on."""
    service = Service(kind=kind, limit=limit, seconds=seconds, spread=spread)
    simulation = Simulation(service, AdaptiveWindow(MOST), seed=seed)
    until = end(kind, limit, seconds)
    simulation.run(until)
    best = best_fixed(kind, limit, seconds, spread)
    # Ten a second with times that differ by half: no fixed window gets them without refusals.
    share = 0.85 if kind == "per second" and limit <= 10 and spread else 0.9
    assert simulation.throughput(CONVERGED, until) >= share * best
    assert simulation.refused_share(CONVERGED, until) <= 0.01


@pytest.mark.parametrize(("kind", "limit", "seconds"), [case for case in LEVELS if case[0] != "per second"])
@settings(max_examples=1)
@given(seed=st.integers(0, 2**32))
def test_times_that_scatter_widely_do_not_look_like_a_queue(kind: Kind, limit: int, seconds: float, seed: int) -> None:
    """The same where service times are exponential: one in seven takes twice the mean."""
    service = Service(kind=kind, limit=limit, seconds=seconds, spread=None)
    simulation = Simulation(service, AdaptiveWindow(MOST), seed=seed)
    until = end(kind, limit, seconds)
    simulation.run(until)
    # Against the capacity itself: a fixed window's throughput is a matter of chance here, too.
    assert simulation.throughput(CONVERGED, until) >= 0.88 * min(limit, MOST) / seconds
    assert simulation.refused_share(CONVERGED, until) <= 0.01


@pytest.mark.parametrize(
    ("kind", "limit", "lowered", "restored"),
    [
        # Within how many answers it is again within 10 % of what it can get.
        ("at once", 8, 300, 1500),
        ("at once", 20, 500, 2500),
        ("queueing", 8, 600, 600),
        ("queueing", 20, 1500, 1500),
        ("per second", 60, 1000, 3500),
    ],
)
@settings(max_examples=1)
@given(seed=st.integers(0, 2**32))
def test_it_follows_a_capacity_that_changes(kind: Kind, limit: int, lowered: int, restored: int, seed: int) -> None:
    """It comes down within some hundred answers when the capacity halves, and goes up again when that comes back."""
    service = Service(kind=kind, limit=limit, spread=0.2)
    simulation = Simulation(service, AdaptiveWindow(MOST), seed=seed)
    changes_at, capacity = 0.0, limit if kind == "per second" else limit / service.seconds
    for share, within in ((1.0, None), (0.5, lowered), (1.0, restored)):
        service.limit = round(limit * share)
        simulation.run(changes_at + 120)
        found_at = changes_at
        while simulation.throughput(found_at, found_at + 10) < 0.9 * share * capacity:
            found_at += 0.5
            assert found_at < changes_at + 110
        if within is not None:
            assert sum(changes_at <= at < found_at for at in simulation.served_at) <= within
        assert simulation.refused_share(changes_at + 60, changes_at + 120) <= 0.01
        changes_at += 120


# --- step by step ----------------------------------------------------------------------------------------------------


class Driven:
    """A window that is always full, and answers that a test makes up."""

    def __init__(self, most: int = MOST) -> None:
        self.window = AdaptiveWindow(most)
        self.now = 100.0

    def answers(
        self, count: int, *, seconds: float = 0.1, in_flight: int | None = None, operation: str = "a"
    ) -> list[int]:
        """Answer so many requests, one after the other, and return the window after each."""
        windows: list[int] = []
        for _ in range(count):
            self.now += seconds
            held = self.window.window if in_flight is None else in_flight
            self.window.answered(
                operation, started_at=self.now - seconds, throttled=False, in_flight=held, now=self.now
            )
            windows.append(self.window.window)
        return windows

    def grow(self) -> None:
        """Answer until all of the window is in use, and proved to be no queue."""
        self.answers(2000)
        assert self.window.window == MOST

    def refused(self, *, in_flight: int | None = None, began_at: float | None = None) -> None:
        """Refuse a request, at once unless it began earlier."""
        started_at = self.now if began_at is None else began_at
        self.now += 0.001
        held = self.window.window if in_flight is None else in_flight
        self.window.answered("a", started_at=started_at, throttled=True, in_flight=held, now=self.now)


@pytest.mark.parametrize(("most", "start"), [(1, 1), (2, 1), (3, 2), (32, 16), (128, 64)])
def test_it_starts_with_half(most: int, start: int) -> None:
    """Half of the most at first, all of it after some answers, and never more."""
    driven = Driven(most)
    assert (driven.window.window, driven.window.interval_seconds) == (start, 0)
    driven.answers(3 * most)
    assert driven.window.window == most


def test_an_idle_client_learns_nothing_from_few_requests() -> None:
    """A window that is never filled does not grow."""
    driven = Driven()
    driven.answers(500, in_flight=3)
    assert driven.window.window == 16


def test_a_burst_of_refusals_counts_once() -> None:
    """What was sent before the window was lowered tells nothing about the lower one."""
    driven = Driven()
    began_at = driven.now
    driven.refused()
    lowered = driven.window.window
    assert lowered == 4  # half of 16 bore it before, perhaps; and half of that to begin with
    for _ in range(15):
        driven.refused(began_at=began_at)
        assert driven.window.window == lowered
    driven.now += 1
    driven.refused()
    assert driven.window.window < lowered


def test_after_a_refusal_it_returns_step_by_step() -> None:
    """Not all at once: half of the level first, and one more with every answer."""
    driven = Driven()
    driven.refused()
    grown: list[int] = []
    for _ in range(6):
        driven.now += 1
        driven.answers(1)
        grown.append(driven.window.window)
    assert grown == [5, 6, 7, 8, 8, 8]


def test_a_refusal_of_few_is_not_the_window_s() -> None:
    """Where two are under way of 16 allowed, it is two that were too many."""
    driven = Driven()
    driven.refused(in_flight=2)
    assert driven.window.window == 1


def test_below_one_at_once_requests_are_spaced() -> None:
    """A vendor that refuses one at a time is asked more and more rarely, but never waited for without end."""
    driven = Driven()
    intervals: list[float] = []
    for _ in range(30):
        driven.answers(1, seconds=0.5)
        driven.now += 0.5
        driven.refused()
        intervals.append(driven.window.interval_seconds)
    assert driven.window.window == 1
    assert intervals[-1] == 2.0
    assert max(intervals) == 2.0


def test_a_slower_vendor_is_not_an_overload() -> None:
    """Answers that take three times as long cost one trial at half the window; that settles it."""
    driven = Driven()
    driven.grow()
    windows = driven.answers(600, seconds=0.3)
    assert set(windows) == {16, 32}
    assert windows.count(16) == 65  # the first was sent before
    assert windows[-1] == 32


def test_latency_that_falls_with_the_window_keeps_it_low() -> None:
    """Where half of the requests bring as many answers, there was a queue; from there it grows by steps."""
    driven = Driven()
    driven.grow()
    while driven.window.window == MOST:
        driven.answers(1, seconds=0.3)
    assert set(driven.answers(65)) == {16}
    assert driven.answers(64)[::32] == [16, 18]


def test_long_answers_hold_the_window() -> None:
    """No further up where answers take more than one and a half times the least."""
    driven = Driven()
    driven.grow()
    while driven.window.window == MOST:
        driven.answers(1, seconds=0.3)
    driven.answers(65)
    assert set(driven.answers(300, seconds=0.18)) == {16}


def test_the_least_latency_is_forgotten() -> None:
    """After a minute without a round near the least, it is looked for anew, by one trial at half the window."""
    driven = Driven()
    driven.grow()
    windows = driven.answers(1000, seconds=0.15)
    assert windows.count(16) == 65  # the first was sent before
    assert set(driven.answers(200, seconds=0.29)) == {32}  # too long, were the least still 0.1


def test_operations_are_compared_with_themselves() -> None:
    """A quick operation among slow ones is no reason to take those for a queue."""
    driven = Driven()
    driven.grow()
    windows: list[int] = []
    for _ in range(30):
        windows += driven.answers(16, operation="firmware.get", seconds=0.01)
        windows += driven.answers(16, operation="devices.search", seconds=0.5)
    assert set(windows) == {32}


def test_a_trial_waits_for_its_own_operation() -> None:
    """What other operations take meanwhile decides nothing."""
    driven = Driven()
    driven.grow()
    while driven.window.window == MOST:
        driven.answers(1, seconds=0.3)
    assert set(driven.answers(70, operation="b", seconds=0.01)) == {16}
    assert driven.answers(65, seconds=0.3)[-1] == 32


def test_at_its_most_it_stays() -> None:
    """A window that has come back all the way tries nothing beyond."""
    driven = Driven(4)
    driven.refused()
    driven.now += 1
    assert driven.answers(4000)[-1] == 4
    assert driven.window.interval_seconds == 0
