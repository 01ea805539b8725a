"""How long the devices of a job take, and which of them fail: drawn from a seed, or said device by device."""

from collections.abc import Mapping, Sequence
from typing import Final

import attrs

from otaclient.emulator.noise import Noise
from otaclient.emulator.remarks import FAILURES, Remark

__all__ = ["Draws", "JobPlan"]

_BITS: Final = 0xFFFF
_WORDS_PER_TASK: Final = 4
_WORD_BYTES: Final = 2
_FIRST_STRETCH: Final = 1024


@attrs.frozen(kw_only=True)
class JobPlan:
    """What devices do with the jobs of an emulator."""

    pending_seconds: float = 1.0
    """From the creation, start or retry of a job until its first devices are told."""
    published_seconds: float = 5.0
    """On average, until a device that was told begins."""
    upgrading_seconds: float = 60.0
    """On average, until a device that began is done."""
    stopping_seconds: float = 2.0
    """Until a job that is stopped has got hold of the devices that are under way."""
    spread: float = 0.5
    """How far the times of single devices are from the average: 0.5 means half to one and a half times."""
    failing_share: float = 0.05
    """How many of the attempts fail, 0 to 1."""
    failures: Sequence[Remark] = FAILURES
    """Why they fail: each about as often."""
    outcomes: Mapping[int, Sequence[Remark | None]] = attrs.field(factory=dict[int, Sequence[Remark | None]])
    """By row, what becomes of a device's attempts, whatever the share; the last entry counts for all that follow.
    ``None`` succeeds, ``TIMED_OUT`` never answers."""
    speed: float = 1.0
    """How many times faster than life: divides these times, timeouts and pauses before retries, but no schedule."""

    def __attrs_post_init__(self) -> None:
        for name in ("pending_seconds", "published_seconds", "upgrading_seconds", "stopping_seconds"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be 0 or more")
        for name in ("spread", "failing_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be within 0 and 1")
        if not self.speed > 0:
            raise ValueError(f"speed is {self.speed}; it must be above 0")
        if not self.failures:
            raise ValueError("failures is empty; name at least one, and set failing_share to 0 where none is to fail")
        for row, outcomes in self.outcomes.items():
            if not outcomes:
                raise ValueError(f"outcomes of row {row} are empty; name at least one")

    def milliseconds(self, seconds: float) -> int:
        """Return how long something of this length takes with this plan."""
        return round(seconds * 1000 / self.speed)


class Draws:
    """What chance decides about the tasks of one job: always the same for the same seed, job, task and attempt."""

    def __init__(self, *, seed: int, job_id: str, plan: JobPlan) -> None:
        self._noise = Noise(seed)
        self._name = f"tasks/{job_id}"
        self._plan = plan
        self._drawn = b""

    def published_ms(self, position: int, attempt: int) -> int:
        """Return how long the device takes until it begins."""
        return self._milliseconds(self._plan.published_seconds, position, attempt, 0)

    def upgrading_ms(self, position: int, attempt: int) -> int:
        """Return how long the device takes until it is done."""
        return self._milliseconds(self._plan.upgrading_seconds, position, attempt, 1)

    def failure(self, row: int, position: int, attempt: int) -> Remark | None:
        """Return why the attempt fails; ``None`` when it succeeds."""
        plan = self._plan
        outcomes = plan.outcomes.get(row)
        if outcomes is not None:
            return outcomes[min(attempt, len(outcomes) - 1)]
        if self._word(position, attempt, 2) >= plan.failing_share * (_BITS + 1):
            return None
        return plan.failures[self._word(position, attempt, 3) % len(plan.failures)]

    def _milliseconds(self, mean_seconds: float, position: int, attempt: int, which: int) -> int:
        plan = self._plan
        share = self._word(position, attempt, which) / _BITS
        return plan.milliseconds(mean_seconds * (1 + plan.spread * (2 * share - 1)))

    def _word(self, position: int, attempt: int, which: int) -> int:
        place = (position * _WORDS_PER_TASK + which) * _WORD_BYTES
        if place >= len(self._drawn):
            # A longer stream begins with the shorter one, so what was drawn before stays.
            length = max(2 * position, _FIRST_STRETCH) * _WORDS_PER_TASK * _WORD_BYTES
            self._drawn = self._noise.stream(self._name, length)
        word = int.from_bytes(self._drawn[place : place + _WORD_BYTES], "little")
        if attempt:
            # A bijection of 16 bits for each attempt, so that every attempt is drawn as evenly as the first.
            word = (word ^ attempt * 0x9E37) * 0x2C1B & _BITS
            word ^= word >> 7
        return word
