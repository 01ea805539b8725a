"""How long an emulated service takes: the distributions, and what is drawn from them."""

import math
from statistics import mean

import pytest

from otaclient.emulator import Constant, LatencyTable, Lognormal, Uniform
from otaclient.emulator.latency import Latencies

SERVICES = LatencyTable(
    default=Lognormal(median_seconds=0.02, p99_seconds=0.2),
    operations={
        "jobs.get": Constant(seconds=1.5),
        "jobs.*": Uniform(from_seconds=2, to_seconds=4),
        "*.get": Constant(seconds=9),
    },
)


def drawn(table: LatencyTable, operation: str, *, seed: int = 1, count: int = 4000) -> list[float]:
    latencies = Latencies(table, seed=seed)
    return [latencies.draw(operation) for _ in range(count)]


def test_a_lognormal_has_its_median_and_its_tail() -> None:
    """Half of the requests take less than the median, one in a hundred more than the 99th percentile."""
    latency = Lognormal(median_seconds=0.02, p99_seconds=0.2)
    assert latency.quantile(0.5) == pytest.approx(0.02)
    assert latency.quantile(0.99) == pytest.approx(0.2)
    assert latency.quantile(0.01) == pytest.approx(0.002)
    times = sorted(drawn(SERVICES, "devices.search"))
    assert times[len(times) // 2] == pytest.approx(0.02, rel=0.1)
    assert times[len(times) * 99 // 100] == pytest.approx(0.2, rel=0.2)
    # Its mean is known too: exp(sigma²/2) times the median.
    sigma = math.log(10) / 2.3263478740408408
    assert mean(times) == pytest.approx(0.02 * math.exp(sigma**2 / 2), rel=0.1)


def test_a_lognormal_without_a_tail_is_constant() -> None:
    """Where the median is the 99th percentile, every request takes as long."""
    assert {Lognormal(median_seconds=3, p99_seconds=3).quantile(share) for share in (0.1, 0.5, 0.999)} == {3}


def test_a_uniform_one_keeps_its_bounds_and_fills_them() -> None:
    """Every tenth of the way gets about a tenth of the requests."""
    times = drawn(SERVICES, "jobs.search")
    assert 2 <= min(times) < max(times) <= 4
    tenths = [sum(2 + 0.2 * step <= time < 2.2 + 0.2 * step for time in times) for step in range(10)]
    assert all(300 < count < 500 for count in tenths)


def test_the_first_pattern_that_fits_counts() -> None:
    """In the order in which they are written; what none fits takes the default, or no time."""
    assert set(drawn(SERVICES, "jobs.get", count=5)) == {1.5}
    assert set(drawn(SERVICES, "devices.get", count=5)) == {9}
    assert set(drawn(LatencyTable(operations=SERVICES.operations), "token.refresh", count=5)) == {0.0}


def test_equal_seeds_draw_equal_times_whatever_else_is_asked() -> None:
    """The nth request of an operation always takes as long: how requests of several are mixed changes nothing."""
    latencies, mixed = Latencies(SERVICES, seed=5), []
    for _ in range(50):
        latencies.draw("jobs.search")
        mixed.append(latencies.draw("devices.search"))
    assert mixed == drawn(SERVICES, "devices.search", seed=5, count=50)
    assert mixed != drawn(SERVICES, "devices.search", seed=6, count=50)
    assert len(set(mixed)) == 50
