"""Checks of what a caller gave, for backends: each error names the input, the rule and the remedy. Pure functions."""

from typing import Any, Final

from otaclient.errors import InvalidQueryError

__all__ = ["MOST_AT_ONCE", "check_encodable", "check_kind", "checked_count", "checked_flag"]

MOST_AT_ONCE: Final = 10_000
"""The largest ``concurrency``: each request in flight has a task and a connection, far fewer than any machine has."""


def check_kind(value: object, kind: type[Any], *, name: str) -> None:
    """Refuse a value of another class than an argument takes.

    Raises:
        InvalidQueryError: It says which class it takes.
    """
    if not isinstance(value, kind):
        raise InvalidQueryError(f"{name} is a {type(value).__name__}: give a {kind.__name__}")


def checked_flag(value: Any, *, name: str) -> bool:
    """Return True or False.

    Raises:
        InvalidQueryError: It is something else.
    """
    if not isinstance(value, bool):
        raise InvalidQueryError(f"{name} is {value!r}: give True or False")
    return value


def checked_count(value: Any, *, name: str, least: int, most: int) -> int:
    """Return a whole number within its range.

    Raises:
        InvalidQueryError: It is no whole number, or out of range.
    """
    if type(value) is not int or not least <= value <= most:
        raise InvalidQueryError(f"{name} is {value!r}: give a whole number, from {least} to {most}")
    return value


def check_encodable(text: str, *, name: str) -> None:
    """Refuse a text that has no UTF-8, and so cannot be sent.

    Raises:
        InvalidQueryError: It holds half a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{name} is {text!r}: remove the halves of surrogate pairs") from error
