"""The ``expression`` of EnOS searches: read by a tokenizer and a recursive parser, then turned into a condition.

Sources: EnOS "API FAQs" (How to use expression); EnOS Connection Service, "V2.1 Search Device Upgrade", "V2.1 Search
OTA Job", "V2.1 Search Firmware", "V2.1 Search Device Task".
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final, TypeAlias

import attrs

from otaclient.emulator import DeviceTable
from otaclient.emulator.conditions import EVERYTHING, AllOf, AnyOf, Condition

__all__ = [
    "DEVICE_FIELDS",
    "FIRMWARE_FIELDS",
    "JOB_FIELDS",
    "TASK_FIELDS",
    "Both",
    "Comparison",
    "Either",
    "ExpressionError",
    "Field",
    "Fields",
    "Kind",
    "Node",
    "device_condition",
    "matches",
    "parse",
]


class ExpressionError(Exception):
    """An expression that the service refuses, in the service's words."""


class Kind(StrEnum):
    """What a field is compared with."""

    TEXT = "text"
    FLAG = "flag"
    NAME = "name"


@attrs.frozen
class Field:
    """A field that an operation lets one filter by."""

    kind: Kind
    operators: tuple[str, ...]


_MEMBERSHIP: Final = Field(Kind.TEXT, ("=", "in"))
_TEXT: Final = Field(Kind.TEXT, ("=",))
_FLAG: Final = Field(Kind.FLAG, ("=",))
_NAME: Final = Field(Kind.NAME, ("like",))

# The documentation lists neither ja_JP nor es_ES; the vendor's own samples search jobs by them, and spell the default
# locale of jobs both ways.
_JOB_LOCALES: Final = ("default", "defaultValue", "zh_CN", "en_US", "ja_JP", "es_ES")
_FIRMWARE_LOCALES: Final = ("default", "zh_CN", "en_US")


@attrs.frozen(eq=False)
class Fields:
    """The fields that one operation lets one filter by."""

    by_name: Mapping[str, Field]


DEVICE_FIELDS: Final = Fields({"productKey": _MEMBERSHIP, "firmwareVersion": _MEMBERSHIP, "isUpgrading": _FLAG})
FIRMWARE_FIELDS: Final = Fields(
    {
        "productKey": _MEMBERSHIP,
        "isVerified": _FLAG,
        "name": _NAME,
        **{f"name.{locale}": _NAME for locale in _FIRMWARE_LOCALES},
    }
)
JOB_FIELDS: Final = Fields(
    {
        "productKey": _MEMBERSHIP,
        "firmwareId": _MEMBERSHIP,
        "firmwareVersion": _MEMBERSHIP,
        "type": _TEXT,
        "status": _TEXT,
        "name": _NAME,
        "firmwareName": _NAME,
        **{f"{name}.{locale}": _NAME for name in ("name", "firmwareName") for locale in _JOB_LOCALES},
    }
)
TASK_FIELDS: Final = Fields(
    dict.fromkeys(("jobId", "deviceKey", "fromVersion", "toVersion", "status", "desc"), _MEMBERSHIP)
)


@attrs.frozen
class Comparison:
    """One field compared with one value, or with several (``in``)."""

    field: str
    operator: str
    values: tuple[str | bool, ...]


@attrs.frozen
class Both:
    """All parts hold."""

    parts: "tuple[Node, ...]"


@attrs.frozen
class Either:
    """At least one part holds."""

    parts: "tuple[Node, ...]"


Node: TypeAlias = Comparison | Both | Either

# --- reading ---------------------------------------------------------------------------------------------------------

# Escaping a quote inside a literal is not documented, so it is not there: a literal ends at the next quote of its kind.
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'[^']*'|\"[^\"]*\")|(?P<number>-?\d+(?:\.\d+)?)|(?P<word>[A-Za-z_][\w.\-]*)"
    r"|(?P<symbol><=|>=|!=|<>|[=<>(),]))",
    re.ASCII,
)
_SYMBOLIC_OPERATORS: Final = frozenset({"=", "!=", "<>", "<", ">", "<=", ">="})
_FLAGS: Final = {"true": True, "false": False}
# Whether parentheses may group comparisons. The documentation shows them in no expression of these searches.
_GROUPING_ALLOWED: Final = False


@attrs.frozen
class _Token:
    kind: str
    text: str


@lru_cache(maxsize=512)
def parse(expression: str, fields: Fields) -> Node | None:
    """Return what an expression says; ``None`` for an empty one, which filters nothing.

    ``and`` binds tighter than ``or``, as in SQL; the documentation names no precedence.

    Raises:
        ExpressionError: The expression cannot be read, or compares a field in a way that the operation does not allow.
    """
    if not expression.strip():
        return None
    return _Parser(list(_tokens(expression)), fields.by_name).parse()


def _tokens(expression: str) -> Iterator[_Token]:
    position = 0
    end = len(expression.rstrip())
    while position < end:
        match = _TOKEN.match(expression, position)
        if match is None:
            rest = expression[position:].strip()
            raise ExpressionError(f"Invalid Argument expression: cannot read it from '{rest[:40]}' on")
        kind = str(match.lastgroup)
        yield _Token(kind, match.group(kind))
        position = match.end()


class _Parser:
    def __init__(self, tokens: list[_Token], fields: Mapping[str, Field]) -> None:
        self._tokens = tokens
        self._fields = fields
        self._position = 0

    def parse(self) -> Node:
        node = self._either()
        if self._position < len(self._tokens):
            raise _unexpected(self._tokens[self._position])
        return node

    def _either(self) -> Node:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Either(tuple(parts))

    def _both(self) -> Node:
        parts = [self._factor()]
        while self._takes("and"):
            parts.append(self._factor())
        return parts[0] if len(parts) == 1 else Both(tuple(parts))

    def _factor(self) -> Node:
        token = self._next()
        if token.text == "(" and _GROUPING_ALLOWED:
            node = self._either()
            self._expect(")")
            return node
        if token.kind != "word":
            raise _unexpected(token)
        return self._comparison(token.text)

    def _comparison(self, name: str) -> Comparison:
        field = self._fields.get(name)
        if field is None:
            raise ExpressionError(f"Invalid Argument expression: field {name} is not supported")
        operator = self._operator()
        if operator not in field.operators:
            raise ExpressionError(f"Do not allow operator op {operator}, allowed op [{', '.join(field.operators)}]")
        if operator != "in":
            return Comparison(name, operator, (self._value(name, field),))
        self._expect("(")
        values = [self._value(name, field)]
        while self._takes(","):
            values.append(self._value(name, field))
        self._expect(")")
        return Comparison(name, operator, tuple(values))

    def _operator(self) -> str:
        token = self._next()
        operator = token.text.lower()
        if operator in _SYMBOLIC_OPERATORS or (token.kind == "word" and operator in {"in", "like"}):
            return operator
        raise _unexpected(token)

    def _value(self, name: str, field: Field) -> str | bool:
        token = self._next()
        if field.kind is Kind.FLAG:
            flag = _FLAGS.get(token.text.lower()) if token.kind == "word" else None
            if flag is None:
                raise ExpressionError(f"Invalid Argument expression: {name} takes true or false, not {token.text}")
            return flag
        if token.kind != "text":
            raise ExpressionError(f"Invalid Argument expression: {name} takes a quoted text, not {token.text}")
        return token.text[1:-1]

    def _next(self) -> _Token:
        if self._position == len(self._tokens):
            raise ExpressionError("Invalid Argument expression: it ends too early")
        self._position += 1
        return self._tokens[self._position - 1]

    def _takes(self, text: str) -> bool:
        if self._position == len(self._tokens):
            return False
        token = self._tokens[self._position]
        if token.kind == "text" or token.text.lower() != text:
            return False
        self._position += 1
        return True

    def _expect(self, text: str) -> None:
        if not self._takes(text):
            raise _unexpected(self._next())


def _unexpected(token: _Token) -> ExpressionError:
    return ExpressionError(f"Invalid Argument expression: unexpected {token.text}")


# --- applying --------------------------------------------------------------------------------------------------------


def device_condition(node: Node | None, table: DeviceTable) -> Condition:
    """Return the condition on the fleet's columns that an expression over devices stands for."""
    match node:
        case None:
            return EVERYTHING
        case Both(parts):
            return AllOf(tuple(device_condition(part, table) for part in parts))
        case Either(parts):
            return AnyOf(tuple(device_condition(part, table) for part in parts))
        case Comparison("productKey", _, values):
            return table.of_products(map(str, values))
        case Comparison("firmwareVersion", _, values):
            return table.with_firmware_versions(map(str, values))
        case _:
            return table.with_upgrading(node.values[0] is True)


def matches(node: Node | None, record: Mapping[str, Any]) -> bool:
    """Return whether a record, as the wire shows it, meets an expression."""
    match node:
        case None:
            return True
        case Both(parts):
            return all(matches(part, record) for part in parts)
        case Either(parts):
            return any(matches(part, record) for part in parts)
        case Comparison(field, "like", values):
            base, _, locale = field.partition(".")
            needle = str(values[0]).casefold()
            return any(needle in text.casefold() for text in _names(record.get(base), locale))
        case _:
            return record.get(node.field) in node.values


def _names(name: Mapping[str, Any] | None, locale: str) -> tuple[str, ...]:
    """The texts that a comparison with this locale looks at: a missing translation falls back to the default name."""
    if name is None:
        return ()
    default, translations = str(name["defaultValue"]), name["i18nValue"]
    if not locale:
        return (default, *(translations[known] for known in ("zh_CN", "en_US") if known in translations))
    return (translations.get(locale, default),)
