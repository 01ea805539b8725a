"""What a scan can be told, and what it tells while it runs."""

from collections.abc import Callable
from typing import Literal, TypedDict

import attrs

from otaclient.errors import InvalidQueryError, OtaError
from otaclient.fleet.chain import SAFE_JOIN_ROWS
from otaclient.fleet.plan import Dedupe, ProofOptions
from otaclient.transport.clock import SYSTEM_CLOCK, Clock

__all__ = ["OnError", "ScanError", "ScanOptions", "ScanProgress", "ScanSettings", "check_options"]

# One shared row would be a weak join: every read would be repeated, and the scan uncertain.
_OVERLAP_RULE = f"at least {SAFE_JOIN_ROWS}, or None to let the scan choose"

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


def check_options(
    *,
    concurrency: int,
    overlap: int | None,
    dedupe: str,
    repair_budget: float,
    max_requests: int | None,
    timeout_seconds: float | None,
    on_error: str,
) -> None:
    """Refuse what cannot be meant.

    Raises:
        InvalidQueryError: Names the option, its value and the rule.
    """
    rules = (
        ("concurrency", concurrency, concurrency >= 1, "at least 1"),
        ("overlap", overlap, overlap is None or overlap >= SAFE_JOIN_ROWS, _OVERLAP_RULE),
        ("dedupe", dedupe, dedupe in ("exact", "neighbours"), "'exact' or 'neighbours'"),
        ("repair_budget", repair_budget, repair_budget >= 0, "0 or more"),
        ("max_requests", max_requests, max_requests is None or max_requests >= 1, "at least 1, or None"),
        ("timeout_seconds", timeout_seconds, timeout_seconds is None or timeout_seconds > 0, "above 0, or None"),
        ("on_error", on_error, on_error in ("raise", "collect"), "'raise' or 'collect'"),
    )
    for name, value, holds, rule in rules:
        if not holds:
            raise InvalidQueryError(f"scan(): {name} is {value!r}: it must be {rule}")
