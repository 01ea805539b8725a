"""When calls are due: planned beforehand, and not put off by how earlier calls fare. Pure."""

import math
import random
from collections.abc import Callable, Iterator
from typing import Any, Final, Self, cast

import attrs

from otaclient.errors import ConfigurationError

__all__ = ["Arrivals", "Step", "above_zero"]


_PAIRS: Final = "give pairs of a rate and seconds, such as (50, 10)"


def above_zero(of: str = "") -> Callable[[Any, "attrs.Attribute[Any]", Any], None]:
    """Return the validator of a field that holds a finite number above 0; errors begin with whose field it is."""

    def check(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (is_number and 0 < value < math.inf):
            raise ConfigurationError(f"{of}{field.name} is {value!r}: it must be a finite number above 0")

    return check


@attrs.frozen
class Step:
    """A part of a load test in which the rate stays the same."""

    rate: float = attrs.field(validator=above_zero())
    """Calls a second."""
    seconds: float = attrs.field(validator=above_zero())


@attrs.frozen
class Arrivals:
    """When calls are due; make one with :meth:`constant`, :meth:`poisson` or :meth:`steps`."""

    plan: tuple[Step, ...]
    at_random: bool
    """Whether calls come at random, as those of many clients do that know nothing of each other; else evenly."""

    @classmethod
    def constant(cls, rate: float, seconds: float) -> Self:
        """Return so many calls a second, evenly spaced.

        Raises:
            ConfigurationError: A number is not above 0.
        """
        return cls((Step(rate, seconds),), at_random=False)

    @classmethod
    def poisson(cls, rate: float, seconds: float) -> Self:
        """Return so many calls a second on average, at random (a Poisson process): closer to life, and harder to serve.

        Raises:
            ConfigurationError: A number is not above 0.
        """
        return cls((Step(rate, seconds),), at_random=True)

    @classmethod
    def steps(cls, *plan: tuple[float, float], at_random: bool = True) -> Self:
        """Return one rate after another, such as ``Arrivals.steps((50, 10), (100, 10), (200, 10))``.

        Args:
            plan: Pairs of calls a second, and for how many seconds.
            at_random: Whether calls come at random within each step, or evenly.

        Raises:
            ConfigurationError: There is no step, or a number is not above 0.
        """
        if not plan:
            raise ConfigurationError(f"there is no step: {_PAIRS}")
        given: Any
        for given in plan:
            if not isinstance(given, tuple | list) or len(cast("tuple[Any, ...]", given)) != 2:
                raise ConfigurationError(f"a step is {given!r}: {_PAIRS}")
        return cls(tuple(Step(rate, seconds) for rate, seconds in plan), at_random=at_random)

    @property
    def seconds(self) -> float:
        """How long all steps take together."""
        return sum(step.seconds for step in self.plan)

    def times(self, draws: random.Random) -> Iterator[float]:
        """Yield when each call is due, in seconds from the beginning; equal draws give equal times."""
        begin = 0.0
        for step in self.plan:
            end = begin + step.seconds
            # A Poisson process has no memory, so it may begin anew with each step.
            for after in _at_random(step, draws) if self.at_random else _evenly(step):
                yield min(begin + after, end)
            begin = end

    def __str__(self) -> str:
        rates = ", ".join(f"{step.rate:g}/s for {step.seconds:g} s" for step in self.plan)
        return f"{'at random' if self.at_random else 'evenly'}, {rates}"


def _evenly(step: Step) -> Iterator[float]:
    # Counted, not added up: thousands of roundings would shift the end. The small term takes care of 0.1 * 30 > 3.
    for number in range(math.ceil(step.rate * step.seconds - 1e-9)):
        yield number / step.rate


def _at_random(step: Step, draws: random.Random) -> Iterator[float]:
    after = draws.expovariate(step.rate)
    while after < step.seconds:
        yield after
        after += draws.expovariate(step.rate)
