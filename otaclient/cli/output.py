"""What the commands print: records as a table, JSON, JSON Lines or CSV, as text and without any input or output."""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any, Protocol, TypeGuard, cast

import attrs

from otaclient.cli.cells import ago, plain, shown
from otaclient.cli.screen import UNSEEN, Screen, Tone
from otaclient.cli.table import Column, Table

__all__ = ["Format", "Renderer", "details", "record", "renderer"]

# What makes a spreadsheet take the rest of a cell for a formula, also in the full width of East Asian keyboards.
_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA_IN_TEXT = re.compile(rf"(^|;)(\s*)(?=[{_FORMULA}])")
_FORMULA_IN_JSON = re.compile(rf"(;\s*)([{_FORMULA}])")


class Format(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


class Renderer(Protocol):
    """Turns records into text, block by block, so that any number of them can be printed."""

    def head(self) -> str:
        """Return what comes before the records."""
        ...

    def block(self, models: Sequence[Any], /) -> str:
        """Return some more records."""
        ...

    def tail(self) -> str:
        """Return what comes after the last record."""
        ...

    @property
    def left_out(self) -> Sequence[str]:
        """The headings of columns that there was no room for."""
        ...

    @property
    def shortened(self) -> Sequence[str]:
        """The headings of columns of which a cell was cut."""
        ...


def renderer(chosen: Format, *, fields: Sequence[str], columns: Sequence[Column], screen: Screen = UNSEEN) -> Renderer:
    """Return a renderer.

    Args:
        chosen: The format.
        fields: The field names of the records, for the header line of CSV.
        columns: The columns of a table.
        screen: Where a table goes.
    """
    if chosen is Format.JSON:
        return _Json()
    if chosen is Format.JSONL:
        return _JsonLines()
    if chosen is Format.CSV:
        return _Csv(fields)
    return Table(columns, screen)


def record(model: Any) -> dict[str, Any]:
    """Return a model as plain values under its own field names: what JSON and CSV print.

    Instants are ISO 8601 in UTC, enums their text, nested records and mappings dictionaries, tuples lists.
    """
    return {name: _plain_value(value) for name, value in _items(model)}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if _is_mapping(value):
        return {key: _plain_value(inner) for key, inner in value.items()}
    if isinstance(value, tuple | list):
        return [_plain_value(inner) for inner in cast(Sequence[Any], value)]
    if _is_record(value):
        return record(value)
    return value


def _items(model: Any) -> Iterator[tuple[str, Any]]:
    """Yield the names and values of a record's fields."""
    for field in attrs.fields(_class_of(model)):
        yield field.name, getattr(model, field.name)


def _is_record(value: object) -> bool:
    return attrs.has(_class_of(value))


def _class_of(value: object) -> type[Any]:
    return type(value)


def _is_mapping(value: object) -> TypeGuard[Mapping[str, Any]]:
    return isinstance(value, Mapping)


def _as_json(value: Any) -> str:
    """Return JSON whose reader gets the very value, and in which nothing steers a terminal."""
    text = json.dumps(value, ensure_ascii=False)
    # All of it is inside the texts of the value: between them, JSON on one line has only what can be printed.
    return text if text.isprintable() else "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)


# --- formats for programs --------------------------------------------------------------------------------------------


class _Complete:
    """What all formats for programs share: they leave nothing out."""

    left_out: Sequence[str] = ()
    shortened: Sequence[str] = ()


class _JsonLines(_Complete):
    def head(self) -> str:
        return ""

    def block(self, models: Sequence[Any], /) -> str:
        return "".join(f"{_as_json(record(model))}\n" for model in models)

    def tail(self) -> str:
        return ""


class _Json(_Complete):
    """One array, a record a line."""

    def __init__(self) -> None:
        self._begun = False

    def head(self) -> str:
        return "["

    def block(self, models: Sequence[Any], /) -> str:
        lines = [f"\n  {_as_json(record(model))}" for model in models]
        if not lines:
            return ""
        before = "," if self._begun else ""
        self._begun = True
        return before + ",".join(lines)

    def tail(self) -> str:
        return "\n]\n" if self._begun else "]\n"


class _Csv(_Complete):
    """Comma-separated values that a spreadsheet may open: none of their texts becomes a formula or steers a terminal.

    A quote ``'`` before what would begin a formula, and escapes for what cannot be printed, tell it from the text
    itself, which JSON gives as it is.
    """

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields

    def head(self) -> str:
        return self._lines([self._fields])

    def block(self, models: Sequence[Any], /) -> str:
        return self._lines([_csv_cell(value) for value in record(model).values()] for model in models)

    def tail(self) -> str:
        return ""

    @staticmethod
    def _lines(rows: Iterable[Sequence[str]]) -> str:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows(rows)
        return buffer.getvalue()


def _csv_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        # Where lists are separated by semicolons, spreadsheets begin a cell behind one, quoted or not.
        return _FORMULA_IN_TEXT.sub(r"\1\2'", plain(value))
    return _FORMULA_IN_JSON.sub(_escaped, _as_json(value))


def _escaped(found: "re.Match[str]") -> str:
    return f"{found[1]}\\u{ord(found[2]):04x}"


# --- one record ------------------------------------------------------------------------------------------------------


def details(model: Any, *, screen: Screen = UNSEEN) -> str:
    """Return one record for people, a field a line; what the vendor does not say is left out."""
    lines = list(_detail_lines(model, "", screen.now))
    width = max((len(name) for name, _ in lines), default=0)
    return "".join(f"{screen.painted(f'{name:<{width}}', Tone.FAINT)}  {text}\n" for name, text in lines)


def _detail_lines(model: Any, prefix: str, now: datetime | None) -> Iterator[tuple[str, str]]:
    for field, value in _items(model):
        name = f"{prefix}{field}"
        if _is_record(value):
            yield from _detail_lines(value, f"{name}.", now)
        elif _is_mapping(value):
            yield from ((f"{name}.{plain(key)}", _shown_nested(inner)) for key, inner in value.items())
        elif isinstance(value, datetime):
            distance = None if now is None else ago(value, now)
            yield name, shown(value) if distance is None else f"{shown(value)} ({distance})"
        elif value not in (None, ()):
            yield name, shown(value)


def _shown_nested(value: Any) -> str:
    return shown(value) if isinstance(value, str | int | datetime | None) else plain(_as_json(_plain_value(value)))
