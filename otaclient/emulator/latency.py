"""How long an emulated service takes over its requests: distributions, and what is drawn from them."""

from collections import Counter
from collections.abc import Mapping
from math import exp, log
from statistics import NormalDist
from typing import ClassVar, Final, Protocol

import attrs

from otaclient.emulator.documents import OneOf, Record, declared
from otaclient.emulator.noise import Noise
from otaclient.emulator.patterns import OPERATION_PATTERN, first_match
from otaclient.emulator.shapes import DocumentError, MapOf, Number
from otaclient.models import FrozenMap

__all__ = ["SECONDS", "Constant", "Latencies", "Latency", "LatencyTable", "Lognormal", "Uniform"]

SECONDS: Final = Number(at_least=0, at_most=86_400, example=0.05)
_BITS: Final = 53
"""As many as a float has: chances are drawn as whole numbers below 2 to the power of this."""
_NORMAL: Final = NormalDist()
_Z99: Final = _NORMAL.inv_cdf(0.99)


class Latency(Protocol):
    """How service times are distributed."""

    def quantile(self, share: float, /) -> float:
        """Return the time, in seconds, that this share of the requests stays below; within 0 and 1, both excluded."""
        ...


@attrs.frozen(kw_only=True)
class Constant(Record):
    """Every request takes as long."""

    kind: ClassVar[str] = "constant"
    seconds: float = declared(SECONDS, "How long.")

    def quantile(self, _share: float, /) -> float:
        """Return the one time."""
        return self.seconds


@attrs.frozen(kw_only=True)
class Uniform(Record):
    """Every time within bounds is as likely."""

    kind: ClassVar[str] = "uniform"
    from_seconds: float = declared(SECONDS, "The shortest time.")
    to_seconds: float = declared(SECONDS, "The longest time; not below `from_seconds`.")

    def __attrs_post_init__(self) -> None:
        _check_order("to_seconds", self.to_seconds, "from_seconds", self.from_seconds)

    def quantile(self, share: float, /) -> float:
        """Return the time at this share of the way from the shortest to the longest."""
        return self.from_seconds + share * (self.to_seconds - self.from_seconds)


@attrs.frozen(kw_only=True)
class Lognormal(Record):
    """Most requests are quick and a few take very long, as services behave."""

    kind: ClassVar[str] = "lognormal"
    median_seconds: float = declared(
        attrs.evolve(SECONDS, beyond=True), "Half of the requests take longer, half less long."
    )
    p99_seconds: float = declared(
        attrs.evolve(SECONDS, beyond=True, example=0.4),
        "One request in a hundred takes longer; not below `median_seconds`.",
    )

    def __attrs_post_init__(self) -> None:
        _check_order("p99_seconds", self.p99_seconds, "median_seconds", self.median_seconds)

    def quantile(self, share: float, /) -> float:
        """Return the median, times as many deviations as the share is away from it."""
        sigma = log(self.p99_seconds / self.median_seconds) / _Z99
        return self.median_seconds * exp(sigma * _NORMAL.inv_cdf(share))


def _check_order(name: str, value: float, lower_name: str, lower: float) -> None:
    if value < lower:
        raise DocumentError(
            key=name,
            found=f"is {value}",
            rule=f"it must not be below {lower_name}, which is {lower}",
            remedy="swap them, or give both the same value",
        )


_DISTRIBUTION: Final = OneOf(
    by="distribution",
    records=(Constant, Uniform, Lognormal),
    noun="latency",
    example={"distribution": "constant", "seconds": 0.05},
)


@attrs.frozen(kw_only=True)
class LatencyTable(Record):
    """How long the service works on a request: while it does, the request holds its place in the capacity."""

    default: Constant | Uniform | Lognormal | None = declared(  # noqa: RUF009 - a declaration, no default
        _DISTRIBUTION, "For operations that nothing else is said of; without it, these take no time.", default=None
    )
    operations: Mapping[str, Constant | Uniform | Lognormal] = declared(
        MapOf(
            words="a table from operations, or patterns of them, to latencies",
            example={"devices.search": {"distribution": "constant", "seconds": 0.05}},
            keys=OPERATION_PATTERN,
            values=_DISTRIBUTION,
        ),
        "By operation, or by pattern such as `jobs.*`, each a table as `default`: the first that fits counts.",
        default=FrozenMap(),
        converter=FrozenMap,
    )


class Latencies:
    """Draws the service times of requests: the nth request of an operation always takes as long, for the same seed."""

    def __init__(self, table: LatencyTable, *, seed: int) -> None:
        self._table = table
        self._noise = Noise(seed)
        self._by_operation: dict[str, Latency | None] = {}
        self._drawn: Counter[str] = Counter()

    def draw(self, operation: str) -> float:
        """Return how many seconds the next request of an operation takes."""
        if operation not in self._by_operation:
            pattern = first_match(operation, self._table.operations)
            self._by_operation[operation] = self._table.default if pattern is None else self._table.operations[pattern]
        latency = self._by_operation[operation]
        if latency is None:
            return 0.0
        number = self._drawn[operation]
        self._drawn[operation] += 1
        return latency.quantile((self._noise.number(f"latency/{operation}/{number}", 2**_BITS) + 0.5) / 2**_BITS)
