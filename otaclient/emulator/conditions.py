"""Conditions over the columns of the simulated fleet: vendor filters are translated into these.

They are values: equal conditions are one entry of the device table's cache.
"""

import attrs

__all__ = ["EVERYTHING", "AllOf", "AnyOf", "Condition", "InColumn", "RegisteredBetween"]


@attrs.frozen
class InColumn:
    """The byte in this column is one of these values."""

    column: str
    """``product``, ``firmware_version``, ``software_version``, ``connection``, ``upgrading`` or ``listed``."""
    values: frozenset[int]


@attrs.frozen(kw_only=True)
class RegisteredBetween:
    """Registered at or after ``first_s`` and at or before ``last_s``; epoch seconds, ``None`` leaves an end open."""

    first_s: int | None = None
    last_s: int | None = None


@attrs.frozen
class AllOf:
    """All of these hold; without any, every device."""

    parts: "tuple[Condition, ...]"


@attrs.frozen
class AnyOf:
    """At least one of these holds; without any, no device."""

    parts: "tuple[Condition, ...]"


Condition = InColumn | RegisteredBetween | AllOf | AnyOf

EVERYTHING = AllOf(())
