"""What a scan can be told, and what it tells while it runs."""

import math
from collections.abc import Callable
from inspect import iscoroutinefunction
from typing import Any, Final, Literal, TypedDict

import attrs

from otaclient.checks import MOST_AT_ONCE
from otaclient.errors import InvalidQueryError, OtaError
from otaclient.fleet.chain import SAFE_JOIN_ROWS
from otaclient.fleet.plan import Dedupe, ProofOptions
from otaclient.transport.clock import SYSTEM_CLOCK, Clock

__all__ = ["OnError", "ScanError", "ScanOptions", "ScanProgress", "ScanSettings", "check_options"]

OnError = Literal["raise", "collect"]


@attrs.frozen(kw_only=True)
class ScanProgress:
    """How far a scan is."""

    devices: int
    expected: int | None
    """Rows that the vendors say match, over the walks that have answered so far; ``None`` before the first answer."""
    reads: int
    walks_finished: int
    walks: int


@attrs.frozen(kw_only=True)
class ScanError:
    """What went wrong in one walk of a scan with ``on_error="collect"``."""

    backend: str
    partition: str
    error: OtaError


class ScanOptions(TypedDict, total=False):
    """The options of :func:`scan`, for callers that pass them on."""

    concurrency: int
    certify: bool
    overlap: int | None
    dedupe: Dedupe
    repair_budget: float
    max_requests: int | None
    timeout_seconds: float | None
    on_error: OnError
    on_progress: Callable[[ScanProgress], object] | None


@attrs.frozen(kw_only=True)
class ScanSettings:
    """The options of one scan, checked."""

    concurrency: int
    proof: ProofOptions
    max_requests: int | None
    timeout_seconds: float | None
    on_error: OnError
    on_progress: Callable[[ScanProgress], object] | None
    clock: Clock = SYSTEM_CLOCK


def check_options(**options: Any) -> None:
    """Refuse what cannot be meant.

    Raises:
        InvalidQueryError: Names the option, its value and the rule.
    """
    for name, value in options.items():
        holds, rule = _RULES[name]
        if not holds(value):
            raise InvalidQueryError(f"scan(): {name} is {value!r}: it must be {rule}")


def _whole(least: int, most: float = math.inf) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and least <= value <= most


def _number(value: Any) -> bool:
    return type(value) in (int, float) and not math.isnan(value)


def _plain_function(value: Any) -> bool:
    return callable(value) and not iscoroutinefunction(value)


def _or_none(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


_RULES: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "concurrency": (_whole(1, MOST_AT_ONCE), f"a whole number, from 1 to {MOST_AT_ONCE}"),
    "certify": (lambda value: type(value) is bool, "True or False"),
    # One shared row would be a weak join: every read would be repeated, and the scan uncertain.
    "overlap": (
        _or_none(_whole(SAFE_JOIN_ROWS)),
        f"a whole number, at least {SAFE_JOIN_ROWS}, or None to let the scan choose",
    ),
    "dedupe": (lambda value: value in ("exact", "neighbours"), "'exact' or 'neighbours'"),
    "repair_budget": (lambda value: _number(value) and value >= 0, "a number, 0 or more"),
    "max_requests": (_or_none(_whole(1)), "a whole number, at least 1, or None"),
    "timeout_seconds": (_or_none(lambda value: _number(value) and value > 0), "a number above 0, or None"),
    "on_error": (lambda value: value in ("raise", "collect"), "'raise' or 'collect'"),
    "on_progress": (_or_none(_plain_function), "a function of one argument, and no asynchronous one, or None"),
}
