"""The adaptive window, step by step."""

import pytest

from otaclient.transport.adaptive import AdaptiveWindow

MOST = 32


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
