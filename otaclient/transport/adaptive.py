"""How many requests at once a backend bears, learnt from its answers: a pure decision. The limiter applies it."""

import math
from typing import Final

import attrs

__all__ = ["AdaptiveWindow"]

# --- what an answer that was throttled does --------------------------------------------------------------------------

# Back to this share of a level that was new when it was refused; it may have been far too high.
_AFTER_REACHING_TOO_FAR: Final = 0.5
# Of one that had held until now: it may be chance, at a level that is all but right.
_AFTER_BAD_LUCK: Final = 0.9
# And of one below that, on the way back to it: the vendor bears less than before; how much less is not known.
_AFTER_LOSING_GROUND: Final = 0.7
# After the pause that follows, requests begin with this share of the level, and one more with every answer.
_RESTART: Final = 0.5
# Below one request at once, requests are spaced. Nobody waits longer than this for a turn.
_LEAST_LEVEL: Final = 1 / 64
_LONGEST_INTERVAL_SECONDS: Final = 2.0

# --- and how the level rises again -----------------------------------------------------------------------------------

# Gateways count by the second: a level has held when it bore more than one of those, and so many answers.
_HOLD_SECONDS: Final = 2.0
_HOLD_ANSWERS: Final = 20
# The search between the level that held and the one that was refused ends when they are this near to each other.
_NEAR_ENOUGH: Final = 1 / 16
# A refusal costs a pause and a restart. So rarely is the refused level tried again, by time, answers and turns.
_CALM_SECONDS: Final = 30.0
_CALM_ANSWERS: Final = 400
_CALM_TURNS: Final = 40
# Beyond it, the level rises by this share; by twice that after each time that it held.
_FIRST_REACH: Final = 1 / 16

# --- what latency does -----------------------------------------------------------------------------------------------

# Answers are judged by the mean of a round, because single ones scatter.
_ROUND_ANSWERS: Final = 32
# By so many standard errors a mean may be off; answers that scatter widely must not look like a queue.
_DOUBT: Final = 1.5
# No further up when answers take this many times the least, and down when they take that many times the least.
_LONG: Final = 1.5
_TOO_LONG: Final = 2.0
# Where half of the requests bring this share of the answers in the same time, the others only made a queue.
_AS_MANY: Final = 0.9
_TRIAL_ANSWERS: Final = 64
# Which rounds are as good as the least one; and how soon the least follows them, so that luck does not count for ever.
_AS_GOOD: Final = 1.25
_FOLLOWING: Final = 1 / 16
# How long the least counts when no round comes near it any more.
_FORGET_SECONDS: Final = 60.0
# So many rounds between two trials of whether latency grows with load.
_ROUNDS_BETWEEN_TRIALS: Final = 20
_SMOOTHING_ANSWERS: Final = 256


@attrs.frozen
class _Mean:
    """The mean of a round, and how far chance may have moved it."""

    value: float
    error: float

    @property
    def low(self) -> float:
        """What it is at least, most likely."""
        return self.value - self.error

    @property
    def high(self) -> float:
        """What it is at most, most likely."""
        return self.value + self.error


@attrs.define(eq=False)
class _Latency:
    """What is known of how long one operation's answers take; others may take longer by nature."""

    least: float = math.inf
    """The mean of the quickest round lately."""
    least_seen_at: float = -math.inf
    is_sure: bool = False
    """Whether fewer requests at once were tried, and made answers no quicker."""
    rounds: int = 0
    """Since that trial."""
    answers: int = 0
    full: int = 0
    seconds: float = 0.0
    squares: float = 0.0

    def begin_round(self) -> None:
        """Forget the answers so far."""
        self.answers, self.full, self.seconds, self.squares = 0, 0, 0.0, 0.0

    def end_round(self) -> "_Mean":
        """Return the mean of the answers so far, and forget them."""
        value = self.seconds / self.answers
        variance = max(0.0, self.squares / self.answers - value * value)
        mean = _Mean(value, _DOUBT * math.sqrt(variance / self.answers))
        self.begin_round()
        return mean

    def note(self, mean: "_Mean", now: float) -> None:
        """Take in the mean of a round."""
        if mean.high < self.least:
            self.least, self.least_seen_at = mean.high, now
        elif mean.low <= self.least * _AS_GOOD:
            self.least += (mean.high - self.least) * _FOLLOWING
            self.least_seen_at = now
        elif now - self.least_seen_at > _FORGET_SECONDS:
            self.is_sure = False

    def settle_on(self, mean: "_Mean", now: float) -> None:
        """Take this for what the operation takes without a queue, whatever it took before."""
        self.least, self.least_seen_at, self.is_sure, self.rounds = mean.high, now, True, 0


@attrs.frozen
class _Trial:
    """Half of the requests at once for a while: does that bring as many answers?"""

    latency: _Latency
    level: float
    """The level to return to where not."""
    throughput: float
    """Answers a second at the level from which the trials began."""


class AdaptiveWindow:
    """Finds how many requests at once a backend bears, between 1 and a most.

    What it moves is the *level*, a number that may be a fraction: 2.5 is three at once, spaced so that 2.5 are under
    way on average, and 0.1 is one at a time with pauses of nine times its duration.

    It rises freely until something speaks against it. A throttled answer lowers it by a factor; what other requests of
    that time are told then is no news. It returns by halves of the way to the level that was refused, stays just below
    that, and tries it again only rarely, because each try costs a refusal. Answers that take long hold it, and when
    they take too long, half of the requests are tried: where that brings as many answers, the others only made a
    queue, and the level stays low; where it brings fewer, the vendor has become slower, which is no reason to ask less.

    Args:
        most: The largest window.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        # Half, because most vendors bear what their users ask for, and the other half is there after one round.
        self._level = float((most + 1) // 2)
        self._doubles = True
        self._held = 0.0  # the level to return to; 0 as long as nothing was throttled
        self._refused = math.inf  # the level that was throttled last
        self._reach = _FIRST_REACH
        self._throttled_at = -math.inf
        self._answers_since_throttled = 0
        self._lowered_at = -math.inf
        self._changed_at = -math.inf
        self._answers = 0
        self._seconds = 0.0
        self._smoothed = 0
        self._latencies: dict[str, _Latency] = {}
        self._trial: _Trial | None = None
        self.window = 0
        """How many requests may be under way at once."""
        self.interval_seconds = 0.0
        """How far apart they may begin; 0 where that does not matter."""
        self.slack_seconds = 0.0
        """How late they may be made good for, so that the distance is kept on average."""
        self._apply()

    def answered(self, operation: str, *, started_at: float, throttled: bool, in_flight: int, now: float) -> None:
        """Take in an answer.

        Args:
            operation: What was asked for: latencies are compared within an operation only.
            started_at: When it was sent.
            throttled: Whether the vendor refused it for being one too many.
            in_flight: How many were under way when it came, itself included.
            now: When it came.
        """
        if started_at <= self._lowered_at:
            return  # begun under a level that was given up since
        if throttled:
            self._lower(in_flight, now)
            return
        seconds = now - started_at
        self._smoothed = min(self._smoothed + 1, _SMOOTHING_ANSWERS)
        self._seconds += (seconds - self._seconds) / self._smoothed
        self._answers_since_throttled += 1
        is_full = in_flight >= self.window
        if is_full and self._held and self._trial is None:
            self._answers += 1
            self._return_or_climb(now)
        if started_at >= self._changed_at:
            latency = self._latencies.get(operation)
            if latency is None:
                latency = self._latencies[operation] = _Latency()
            self._take_in(latency, seconds, is_full=is_full, now=now)

    # --- throttling --------------------------------------------------------------------------------------------------

    def _lower(self, in_flight: int, now: float) -> None:
        # Where the window was far from full, it is not what was too much.
        refused = self._level if 2 * in_flight >= self._level else float(in_flight)
        if refused <= self._held:
            back = refused * (_AFTER_LOSING_GROUND if self._level < self._held else _AFTER_BAD_LUCK)
        else:
            back = max(self._held, refused * _AFTER_REACHING_TOO_FAR)
        self._refused = refused
        self._held = max(_LEAST_LEVEL, _whole(back))
        self._throttled_at = self._lowered_at = now
        self._answers_since_throttled = 0
        self._doubles, self._trial = False, None
        self._move(max(_LEAST_LEVEL, self._held * _RESTART), now)

    def _return_or_climb(self, now: float) -> None:
        if self._level < self._held:
            self._level = min(self._held, self._level + min(1.0, self._level))
            self._answers, self._changed_at = 0, now
            self._apply()
        elif self._answers >= max(_HOLD_ANSWERS, 2 * self._level) and now - self._changed_at >= _HOLD_SECONDS:
            self._climb(now)

    def _climb(self, now: float) -> None:
        """Go on from a level that has held."""
        self._held = level = self._level
        if level >= self._most:
            return
        if self._refused == math.inf:
            self._reach = min(1.0, 2 * self._reach)
            self._move(_next(level, level * (1 + self._reach)), now)
        elif self._refused - level > level * _NEAR_ENOUGH:
            self._move(_between(level, self._refused), now)
        elif now - self._throttled_at >= _CALM_SECONDS and self._answers_since_throttled >= max(
            _CALM_ANSWERS, _CALM_TURNS * level
        ):
            beyond = max(self._refused, level * (1 + _FIRST_REACH))
            self._refused, self._reach = math.inf, _FIRST_REACH
            self._move(_next(level, beyond), now)

    # --- latency -----------------------------------------------------------------------------------------------------

    def _take_in(self, latency: _Latency, seconds: float, *, is_full: bool, now: float) -> None:
        latency.answers += 1
        latency.full += is_full
        latency.seconds += seconds
        latency.squares += seconds * seconds
        if latency.answers < self._round_answers():
            return
        was_full = 2 * latency.full >= latency.answers
        mean = latency.end_round()
        if self._trial is not None:
            if self._trial.latency is latency:
                self._conclude(self._trial, mean, now)
            return
        latency.note(mean, now)
        if was_full:
            latency.rounds += 1
            self._judge(latency, mean, now)

    def _round_answers(self) -> float:
        if self._trial is not None:
            return max(self._level, _TRIAL_ANSWERS)
        return self._level if self._doubles else max(self._level, _ROUND_ANSWERS)

    def _judge(self, latency: _Latency, mean: _Mean, now: float) -> None:
        """Decide after a round in which the window was what held requests back."""
        tried_lately = latency.rounds < _ROUNDS_BETWEEN_TRIALS
        if self._level >= 2 and (
            (mean.low > latency.least * _TOO_LONG and not (latency.is_sure and tried_lately))
            or not (latency.is_sure or tried_lately)
        ):
            self._try_half(latency, self._level / mean.value, now)
        elif mean.low <= latency.least * _LONG and not self._held:
            more = self._level if self._doubles else max(1, self._level // 8)
            self._move(self._level + more, now)

    def _try_half(self, latency: _Latency, throughput: float, now: float) -> None:
        self._trial = _Trial(latency, self._level, throughput)
        self._lowered_at = now
        self._move(float(self._level // 2), now)

    def _conclude(self, trial: _Trial, mean: _Mean, now: float) -> None:
        self._trial = None
        if self._level < mean.value * trial.throughput * _AS_MANY:
            trial.latency.settle_on(mean, now)
            self._move(trial.level, now)
            return
        self._doubles = False
        self._held = min(self._held, self._level)
        trial.latency.note(mean, now)
        # How far down does it go? That is known once, and afterwards only how far up.
        if not trial.latency.is_sure and self._level >= 2:
            self._try_half(trial.latency, trial.throughput, now)

    # --- the window --------------------------------------------------------------------------------------------------

    def _move(self, level: float, now: float) -> None:
        self._level = min(level, float(self._most))
        self._answers, self._changed_at = 0, now
        for latency in self._latencies.values():
            latency.begin_round()
        self._apply()

    def _apply(self) -> None:
        self.window = math.ceil(self._level)
        is_whole = self.window == self._level
        self.interval_seconds = 0.0 if is_whole else min(_LONGEST_INTERVAL_SECONDS, self._seconds / self._level)
        self.slack_seconds = self._seconds


def _grain(level: float) -> float:
    """Return what levels are multiples of; a small part of them, and whole where one request is a small part."""
    if level >= 16:
        return 1.0
    return 1 / 4 if level >= 4 else 1 / 64


def _whole(level: float) -> float:
    grain = _grain(level)
    return math.floor(level / grain) * grain


def _between(level: float, refused: float) -> float:
    """Return a level in the middle; a whole one where there is any, because a limit on requests at once is whole."""
    whole = math.floor(max((level + refused) / 2, level + 1))
    return float(whole) if level < whole < refused else _next(level, (level + refused) / 2)


def _next(level: float, goal: float) -> float:
    """Return the level next to a goal above this one."""
    return max(_whole(goal), level + _grain(level))
