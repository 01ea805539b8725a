"""How much an emulated service bears, as a fault plan says it."""

from typing import ClassVar, Final

import attrs

from otaclient.emulator.documents import OneOf, Record, declared
from otaclient.emulator.latency import SECONDS
from otaclient.emulator.shapes import Number

__all__ = [
    "CAPACITY",
    "COUNT",
    "RETRY_AFTER",
    "RETRY_AFTER_MEANING",
    "AtOnceCapacity",
    "CapacityTable",
    "PerSecondCapacity",
    "QueueingCapacity",
]

COUNT: Final = Number(at_least=1, at_most=1_000_000_000, whole=True, example=8)
RETRY_AFTER: Final = Number(at_least=0, at_most=86_400, whole=True, example=2)
RETRY_AFTER_MEANING: Final = "What the `Retry-After` header of the refusal says; without it, there is none."


@attrs.frozen(kw_only=True)
class _Capacity(Record):
    limit: int = declared(COUNT, "How many.")
    service_seconds: float = declared(
        SECONDS, "How long every request holds its place, besides its latency.", default=0.0
    )


@attrs.frozen(kw_only=True)
class AtOnceCapacity(_Capacity):
    """So many requests are served at once; one more is throttled."""

    kind: ClassVar[str] = "at-once"
    retry_after_seconds: int | None = declared(RETRY_AFTER, RETRY_AFTER_MEANING, default=None)


@attrs.frozen(kw_only=True)
class QueueingCapacity(_Capacity):
    """So many requests are served at once; others wait for their turn."""

    kind: ClassVar[str] = "queueing"


@attrs.frozen(kw_only=True)
class PerSecondCapacity(_Capacity):
    """So many requests are accepted in each second of the emulator's clock; one more is throttled."""

    kind: ClassVar[str] = "per-second"
    retry_after_seconds: int | None = declared(RETRY_AFTER, RETRY_AFTER_MEANING, default=None)


CapacityTable = AtOnceCapacity | QueueingCapacity | PerSecondCapacity

CAPACITY: Final = OneOf(
    by="kind",
    records=(AtOnceCapacity, QueueingCapacity, PerSecondCapacity),
    noun="capacity",
    example={"kind": "at-once", "limit": 8},
)
