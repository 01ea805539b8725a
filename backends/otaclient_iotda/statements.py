"""What can be told of a flexible device search before it is sent. Pure functions.

Only the documented limits are checked, and that the answer will name its devices; whether the statement means anything
the vendor says.

Source: Huawei Cloud IoTDA API reference, "Query Device List Flexibly".
"""

import re
from collections.abc import Sequence
from typing import Any, Final

import attrs

from otaclient.checks import check_encodable
from otaclient.errors import InvalidQueryError

__all__ = ["Statement", "checked_statement"]

LONGEST_STATEMENT: Final = 400
MOST_CONDITIONS: Final = 5
MOST_ROWS: Final = 50
LARGEST_OFFSET: Final = 500

# How a quote inside a text is written the vendor does not say. Doubled, as in standard SQL, it is two texts here, which
# count the same.
_TOKEN: Final = re.compile(r"(?s:'[^']*'|\w+|\S)")
_EXAMPLE: Final = "select * from device where fw_version = 'V1.0' order by marker desc limit 50"


@attrs.frozen(kw_only=True)
class Statement:
    """A statement that may be sent."""

    text: str
    counts: bool
    """Whether it asks how many devices there are, not which."""


def checked_statement(sql: Any) -> Statement:
    """Return a statement within the vendor's limits.

    Raises:
        InvalidQueryError: It is none, or beyond them; names the limit and the remedy.
    """
    if not isinstance(sql, str) or not sql.strip():
        raise InvalidQueryError(f"the statement is {sql!r}: give a text such as {_EXAMPLE!r}")
    if len(sql) > LONGEST_STATEMENT:
        raise InvalidQueryError(
            f"the statement has {len(sql)} characters: IoTDA takes at most {LONGEST_STATEMENT}; "
            "ask for less at a time, or filter devices.search"
        )
    check_encodable(sql, name="the statement")
    words = [token.lower() for token in _TOKEN.findall(sql)]
    if "'" in words:
        raise InvalidQueryError(f"the statement is {sql!r}: a text in it has no closing quote")
    if words[0] != "select" or "from" not in words:
        raise InvalidQueryError(f"the statement is {sql!r}: give one of the form {_EXAMPLE!r}")
    place = words.index("from")
    selected, rest = words[1:place], words[place:]
    counts = selected[:1] == ["count"]
    if not counts and "*" not in selected and "device_id" not in selected:
        raise InvalidQueryError(
            "the statement does not select device_id, so that its answer would not say which devices it found: "
            "add device_id, or select *"
        )
    _check_conditions(rest)
    _check_limits(rest)
    return Statement(text=sql, counts=counts)


def _check_conditions(words: Sequence[str]) -> None:
    if "where" not in words:
        return
    conditions = 1 + sum(word in {"and", "or"} for word in words)
    if conditions > MOST_CONDITIONS:
        raise InvalidQueryError(
            f"the statement has {conditions} conditions: IoTDA takes at most {MOST_CONDITIONS}; several values of one "
            "field are one condition with in ('...', '...')"
        )


def _check_limits(words: Sequence[str]) -> None:
    if "limit" not in words:
        return
    numbers = [int(word) for word in words[words.index("limit") + 1 :] if word.isascii() and word.isdigit()]
    rows, offset = numbers[-1:], numbers[-2:-1]
    if any(number > MOST_ROWS for number in rows):
        raise InvalidQueryError(
            f"the statement asks for {rows[0]} devices: IoTDA gives at most {MOST_ROWS} at once; "
            "go on with where marker < '<the last one>' order by marker desc"
        )
    if any(number > LARGEST_OFFSET for number in offset):
        raise InvalidQueryError(
            f"the statement skips {offset[0]} devices: IoTDA skips at most {LARGEST_OFFSET}; "
            "go on with where marker < '<the last one>' order by marker desc"
        )
