"""One setting's value: from what a file, the environment or an argument holds to the type of its field."""

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from otaclient.errors import ConfigurationError
from otaclient.secret import Secret

__all__ = ["converted", "members_of"]

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_TYPE_WORDS: Final[Mapping[type, str]] = {
    str: "text",
    Secret: "text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def converted(value: Any, field: "attrs.Attribute[Any]", where: str, *, from_text: bool) -> Any:
    """Return a value as its field's type, or raise an error that names the place and never the value."""
    members = members_of(field.type)
    if isinstance(value, str) and not value.strip():
        raise ConfigurationError(f"{where} is empty: give it a value, or remove it")
    for member in members:
        if isinstance(member, type) and type(value) is member:
            return value
    if isinstance(value, str):
        return _from_text(value, members, where, from_text=from_text)
    if float in members and type(value) is int:
        return float(value)
    expected = " or ".join(dict.fromkeys(_TYPE_WORDS[member] for member in members if member in _TYPE_WORDS))
    hint = ": put it in quotes" if str in members or Secret in members else ""
    raise ConfigurationError(
        f"{where} is of the type {type(value).__name__}, not {expected or 'one that can be read'}{hint}"
    )


def _from_text(value: str, members: Sequence[Any], where: str, *, from_text: bool) -> Any:
    if Secret in members:
        return Secret(value)
    choices = [
        choice
        for member in members
        if typing.get_origin(member) is typing.Literal
        for choice in typing.get_args(member)
    ]
    if choices:
        if value in choices:
            return value
        raise ConfigurationError(f"{where} is none of the known values: {', '.join(map(str, choices))}")
    if bool in members and from_text and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    for number in (int, float):
        if number in members and from_text:
            try:
                return number(value)
            except ValueError:
                continue
    expected = " or ".join(dict.fromkeys(_TYPE_WORDS[member] for member in members if member in _TYPE_WORDS))
    if expected:
        raise ConfigurationError(f"{where} must be {expected}")
    raise ConfigurationError(f"{where} cannot be read from text: pass a whole configuration as config= instead")


def members_of(annotation: Any) -> tuple[Any, ...]:
    """Return the types of a union without ``None``, or the one type that it is."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType}:
        return tuple(member for member in typing.get_args(annotation) if member is not type(None))
    return (annotation,)
