"""The adaptive window against simulated vendors with a hidden capacity; its rules one by one are a unit test's."""

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
