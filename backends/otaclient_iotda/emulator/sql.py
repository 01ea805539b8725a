"""The language of the flexible device search: a statement to checked conditions.

``select <field, ...|*|count(*)|count(1)> from device [where ...] [order by marker asc|desc] [limit [offset,]rows]``.
Keywords in any case, contents as they are; at most 400 characters and five conditions; AND binds tighter than OR, and
nothing nests.

Source: Huawei Cloud IoTDA, "Query Device List Flexibly".
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, Literal

import attrs

from otaclient_iotda.emulator.filters import ErrorCode, ParameterError

__all__ = ["Condition", "Operator", "Statement", "parse"]

LONGEST_STATEMENT: Final = 400
MOST_CONDITIONS: Final = 5
LARGEST_OFFSET: Final = 500
MOST_ROWS: Final = 50
DEFAULT_ROWS: Final = 10
SHORTEST_PREFIX: Final = 4
LONGEST_VERSION: Final = 64

SELECTABLE: Final = (
    "app_id",
    "app_name",
    "device_id",
    "node_id",
    "gateway_id",
    "device_name",
    "node_type",
    "fw_version",
    "sw_version",
    "device_sdk_version",
    "product_id",
    "product_name",
    "groups",
    "status",
    "tags",
    "modules",
    "marker",
)
"""What may stand after ``select``: the fields of the answer."""

_EVERY_OPERATOR: Final = frozenset({"=", "!=", "in", "not in"})
_ORDERED: Final = _EVERY_OPERATOR | {">", "<"}
_NAMED: Final = _EVERY_OPERATOR | {"like"}
_TAGGED: Final = frozenset({"=", "!=", "like"})
OPERATORS: Final = {
    "app_id": _EVERY_OPERATOR,
    "device_id": _EVERY_OPERATOR,
    "gateway_id": _EVERY_OPERATOR,
    "product_id": _EVERY_OPERATOR,
    "device_name": _NAMED,
    "node_id": _NAMED,
    "status": _EVERY_OPERATOR,
    "node_type": _EVERY_OPERATOR,
    "tag_key": _TAGGED,
    "tag_value": _TAGGED,
    "sw_version": _EVERY_OPERATOR,
    "fw_version": _EVERY_OPERATOR,
    "group_id": _EVERY_OPERATOR,
    "create_time": _ORDERED,
    "marker": _ORDERED,
}
"""Which operators each field of a condition takes."""

Operator = Literal["=", "!=", ">", "<", "like", "in", "not in"]

_OPERATORS: Final[Mapping[str, Operator]] = {
    "=": "=",
    "!=": "!=",
    ">": ">",
    "<": "<",
    "like": "like",
    "in": "in",
    "not in": "not in",
}

# How a quote inside a text is written, the vendor does not say: doubled, as in standard SQL, is our choice.
_TOKEN: Final = re.compile(r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<word>[A-Za-z0-9_]+)|(?P<sign>!=|[=<>(),*]))")
# Letters of any script pass for the "Chinese, letters" of the vendor.
_PREFIX: Final = re.compile(r"[\w-]+")
_MARKER: Final = re.compile(r"[0-9a-fA-F]{24}")
_CREATE_TIME: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z")


@attrs.frozen
class Condition:
    """One comparison of a field with texts; more than one only with ``in`` and ``not in``."""

    field: str
    operator: Operator
    values: tuple[str, ...]
    """As in the statement, ``like`` without its final ``%``."""


@attrs.frozen(kw_only=True)
class Statement:
    """A checked statement."""

    fields: tuple[str, ...] | None
    """``None`` means every field."""
    counts: bool = False
    """Whether it asks for the number of devices, not for the devices."""
    alternatives: tuple[tuple[Condition, ...], ...] = ()
    """A device is meant that meets all conditions of one of these; without any, every device is."""
    order: Literal["asc", "desc"] | None = None
    """Of the markers; ``None`` means that the order is random."""
    offset: int = 0
    rows: int = DEFAULT_ROWS


def parse(text: str) -> Statement:
    """Return what a statement means.

    Raises:
        ParameterError: It is not of the language, or breaks one of its limits.
    """
    if len(text) > LONGEST_STATEMENT:
        raise _wrong(f"a statement has at most {LONGEST_STATEMENT} characters")
    reader = _Reader(_tokens(text))
    reader.keywords("select")
    fields, counts = _selection(reader)
    reader.keywords("from", "device")
    alternatives = _alternatives(reader) if reader.took("where") else ()
    order = _order(reader) if reader.took("order") else None
    offset, rows = _limits(reader) if reader.took("limit") else (0, DEFAULT_ROWS)
    reader.end()
    return Statement(fields=fields, counts=counts, alternatives=alternatives, order=order, offset=offset, rows=rows)


def create_time_ms(text: str) -> int:
    """Return a time of a condition as UTC epoch milliseconds.

    Raises:
        ParameterError: It is not of the form ``yyyy-MM-dd'T'HH:mm:ss.SSS'Z'``.
    """
    try:
        if not _CREATE_TIME.fullmatch(text):
            raise ValueError(text)
        instant = datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
    except ValueError:
        raise ParameterError(ErrorCode.INVALID_TIME) from None
    return int(instant.timestamp()) * 1000 + instant.microsecond // 1000


def _wrong(detail: str) -> ParameterError:
    # Which code the vendor has for a statement that it cannot read is not known; the general one is our choice.
    return ParameterError(ErrorCode.INVALID_INPUT, f"The parameter 'sql' is wrong: {detail}.")


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    position, end = 0, len(text.rstrip())
    while position < end:
        found = _TOKEN.match(text, position)
        if found is None:
            raise _wrong(f"it cannot be read from position {position} on")
        tokens.append(found.group().lstrip())
        position = found.end()
    return tokens


class _Reader:
    """The tokens of a statement, taken from the left."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0

    def next(self) -> str:
        """Take a token; the empty text stands for the end."""
        token = self._tokens[self._position] if self._position < len(self._tokens) else ""
        self._position += 1
        return token

    def took(self, keyword: str) -> bool:
        """Take the next token if it is this keyword or sign."""
        if self._position < len(self._tokens) and self._tokens[self._position].lower() == keyword:
            self._position += 1
            return True
        return False

    def keywords(self, *expected: str) -> None:
        """Take these keywords or signs."""
        for keyword in expected:
            found = self.next()
            if found.lower() != keyword:
                raise _wrong(f"expected {keyword}, found {found or 'its end'}")

    def text(self) -> str:
        """Take a quoted text."""
        found = self.next()
        if not found.startswith("'"):
            raise _wrong(f"expected a text in single quotes, found {found or 'its end'}")
        value = found[1:-1].replace("''", "'")
        if not value:
            raise _wrong("an empty text cannot be searched for")
        return value

    def number(self, most: int) -> int:
        """Take a whole number."""
        found = self.next()
        if not (found.isascii() and found.isdigit()):
            raise _wrong(f"expected a number, found {found or 'its end'}")
        if int(found) > most:
            raise _wrong(f"{found} is more than {most}")
        return int(found)

    def end(self) -> None:
        """Check that nothing is left."""
        found = self.next()
        if found:
            raise _wrong(f"expected its end, found {found}")


def _selection(reader: _Reader) -> tuple[tuple[str, ...] | None, bool]:
    if reader.took("*"):
        return None, False
    if reader.took("count"):
        reader.keywords("(")
        if not reader.took("*"):
            reader.keywords("1")
        reader.keywords(")")
        return None, True
    fields = [_selected(reader)]
    while reader.took(","):
        fields.append(_selected(reader))
    return tuple(fields), False


def _selected(reader: _Reader) -> str:
    field = reader.next()
    if field not in SELECTABLE:
        raise _wrong(f"{field or 'its end'} is no field to select")
    return field


def _alternatives(reader: _Reader) -> tuple[tuple[Condition, ...], ...]:
    alternatives = [[_condition(reader)]]
    while True:
        if reader.took("or"):
            alternatives.append([])
        elif not reader.took("and"):
            break
        alternatives[-1].append(_condition(reader))
    if sum(map(len, alternatives)) > MOST_CONDITIONS:
        raise _wrong(f"it has more than {MOST_CONDITIONS} conditions")
    return tuple(map(tuple, alternatives))


def _condition(reader: _Reader) -> Condition:
    field = reader.next()
    if field not in OPERATORS:
        raise _wrong(f"{field or 'its end'} is no field of a condition")
    operator = _operator(reader, field)
    if operator == "like":
        return Condition(field, operator, (_prefix(reader.text()),))
    if operator in {"in", "not in"}:
        reader.keywords("(")
        values = [reader.text()]
        while reader.took(","):
            values.append(reader.text())
        reader.keywords(")")
    else:
        values = [reader.text()]
    for value in values:
        _check(field, value)
    return Condition(field, operator, tuple(values))


def _operator(reader: _Reader, field: str) -> Operator:
    found = reader.next().lower()
    if found == "not":
        reader.keywords("in")
        found = "not in"
    operator = _OPERATORS.get(found)
    if operator is None or operator not in OPERATORS[field]:
        raise _wrong(f"{field} does not take the operator {found or 'its end'}")
    return operator


def _prefix(pattern: str) -> str:
    prefix = pattern.removesuffix("%")
    if prefix == pattern or len(prefix) < SHORTEST_PREFIX or not _PREFIX.fullmatch(prefix):
        raise _wrong(f"like takes at least {SHORTEST_PREFIX} letters, digits, _ or -, and then %")
    return prefix


def _check(field: str, value: str) -> None:
    if field == "create_time":
        create_time_ms(value)
    elif field == "marker" and not _MARKER.fullmatch(value):
        raise ParameterError(ErrorCode.MARKER_RANGE)
    elif field in {"fw_version", "sw_version"} and len(value) > LONGEST_VERSION:
        raise _wrong(f"{field} has at most {LONGEST_VERSION} characters")


def _order(reader: _Reader) -> Literal["asc", "desc"]:
    reader.keywords("by", "marker")
    if reader.took("desc"):
        return "desc"
    reader.took("asc")  # the vendor's form has one of both; without any, ascending as in standard SQL is our choice
    return "asc"


def _limits(reader: _Reader) -> tuple[int, int]:
    first = reader.number(LARGEST_OFFSET)
    if reader.took(","):
        return first, reader.number(MOST_ROWS)
    if first > MOST_ROWS:
        raise _wrong(f"{first} is more than {MOST_ROWS}")
    return 0, first
