"""Whether, and after what wait, to try again: a pure decision. The session does the waiting."""

import math
from enum import Enum
from typing import Any, Self

import attrs

from otaclient.errors import ConfigurationError, OtaError, OutcomeUnknownError
from otaclient.transport.http import HttpRequest, with_advice

__all__ = ["Failure", "Remedy", "RetryPolicy", "unclear_error"]


class Remedy(Enum):
    """What helps against a failure."""

    RAISE = "raise"
    """Nothing: the caller has to change something."""
    REPEAT = "repeat"
    """Repeating may help, but the request may have taken effect: only for idempotent ones."""
    REPEAT_REJECTED = "repeat rejected"
    """Repeating may help and is always safe: the request was not executed."""
    SLOW_DOWN = "slow down"
    """Throttled before execution: safe to repeat, after a pause for every caller of this backend."""
    RENEW_TOKEN = "renew token"  # noqa: S105 - not a password
    """The token died: get a new one, repeat once."""


@attrs.frozen(kw_only=True)
class Failure:
    """A failed attempt, classified."""

    error: OtaError
    remedy: Remedy = Remedy.RAISE
    retry_after_seconds: float | None = None


def _count(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if not (type(value) is int and value >= 1):
        raise ConfigurationError(f"RetryPolicy {field.name} is {value!r}: it must be a whole number, at least 1")


def _seconds(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and 0 <= value < math.inf):
        raise ConfigurationError(f"RetryPolicy {field.name} is {value!r}: it must be a finite number, at least 0")


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """Capped exponential backoff with full jitter; an advised ``Retry-After`` wins over it.

    Full jitter (a uniform draw between nothing and the cap of the attempt) spreads clients that failed together.
    """

    max_attempts: int = attrs.field(default=5, validator=_count)
    """Requests in all, the first included."""
    base_delay_seconds: float = attrs.field(default=0.25, validator=_seconds)
    max_delay_seconds: float = attrs.field(default=15.0, validator=_seconds)

    @classmethod
    def none(cls) -> Self:
        """Return the policy of exactly one request, whatever its answer."""
        return cls(max_attempts=1)

    def delay(self, failure: Failure, *, attempt: int, idempotent: bool, roll: float) -> float | None:
        """Return how many seconds to wait before the next attempt, or ``None`` to give up.

        Args:
            failure: What went wrong.
            attempt: The number of the attempt that failed, from 1.
            idempotent: Whether the request may be repeated although it might have taken effect.
            roll: The jitter's draw, in [0, 1).
        """
        if attempt >= self.max_attempts or not _worth_repeating(failure.remedy, idempotent=idempotent):
            return None
        if failure.retry_after_seconds is not None:
            return failure.retry_after_seconds
        # 2**63 is beyond every cap already; a larger exponent would only overflow.
        cap = min(self.max_delay_seconds, self.base_delay_seconds * 2.0 ** min(attempt - 1, 63))
        return roll * cap


def _worth_repeating(remedy: Remedy, *, idempotent: bool) -> bool:
    return remedy in (Remedy.REPEAT_REJECTED, Remedy.SLOW_DOWN) or (remedy is Remedy.REPEAT and idempotent)


def unclear_error(request: HttpRequest, failure: Failure) -> OutcomeUnknownError | None:
    """Return the error of a write that may have taken effect; ``None`` where that is clear."""
    if request.idempotent or failure.remedy is not Remedy.REPEAT:
        return None
    error = failure.error
    unknown = OutcomeUnknownError(
        with_advice(
            f"{request.subject or 'the request'} may or may not have taken effect: {error.message}",
            request.how_to_check,
        ),
        **error.facts(),
    )
    unknown.__cause__ = error
    return unknown
