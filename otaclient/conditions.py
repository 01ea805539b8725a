"""What a query asks of a record, applied on our side: for vendors that cannot filter by it themselves. Pure."""

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from otaclient.errors import InvalidQueryError

__all__ = ["conditions_of"]


def conditions_of(query: Any, *, here: Mapping[str, str], vendor: str) -> dict[str, Callable[[Any], bool]]:
    """Return a condition for each filter that a query gives, by the filter's name.

    Args:
        query: One of :mod:`otaclient.queries`.
        here: The filters that can be applied to the records, each with the attribute that it is about. A list of values
            asks for one of them; where the attribute holds several values itself, for one in common.
        vendor: For the error.

    Raises:
        InvalidQueryError: It gives a filter that is not among these.
    """
    conditions: dict[str, Callable[[Any], bool]] = {}
    for field in attrs.fields(query.__class__):
        wanted = getattr(query, field.name)
        if wanted == field.default:
            continue
        if field.name not in here:
            known = ", ".join(sorted(here)) or "no filter at all"
            raise InvalidQueryError(f"{field.name} is {wanted!r}, but {vendor} cannot filter by it: it takes {known}")
        conditions[field.name] = _condition(here[field.name], wanted)
    return conditions


def _condition(attribute: str, wanted: Any) -> Callable[[Any], bool]:
    if _are_several(wanted):
        return lambda record: _has_one_of(wanted, getattr(record, attribute))
    return lambda record: bool(getattr(record, attribute) == wanted)


def _are_several(value: Any) -> bool:
    return isinstance(value, tuple)


def _has_one_of(wanted: Any, value: Any) -> bool:
    return any(one in wanted for one in value) if _are_several(value) else value in wanted
