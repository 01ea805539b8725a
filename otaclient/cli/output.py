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
from rich.cells import cell_len, set_cell_size

__all__ = [
    "Column",
    "Format",
    "Renderer",
    "aligned",
    "details",
    "plain",
    "plain_lines",
    "record",
    "renderer",
]

_GAP = "  "
# What makes a spreadsheet take the rest of a cell for a formula, also in the full width of East Asian keyboards.
_FORMULA = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA_IN_TEXT = re.compile(rf"(^|;)(\s*)(?=[{_FORMULA}])")
_FORMULA_IN_JSON = re.compile(rf"(;\s*)([{_FORMULA}])")
_NARROWEST_PROSE = 12


class Format(StrEnum):
    """How records are printed."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


@attrs.frozen
class Column:
    """One column of a table: its heading, and the field that it shows."""

    heading: str
    path: str
    """The name of a field; a dot reaches into a nested record."""
    right: bool = False
    """Whether it holds numbers, which line up at their right end."""
    flexible: bool = False
    """Whether it holds prose, which may be cut; identifiers and numbers are left out rather than cut."""


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


def renderer(chosen: Format, *, fields: Sequence[str], columns: Sequence[Column], width: int | None) -> Renderer:
    """Return a renderer.

    Args:
        chosen: The format.
        fields: The field names of the records, for the header line of CSV.
        columns: The columns of a table.
        width: How wide a table may be; ``None`` for as wide as it gets.
    """
    if chosen is Format.JSON:
        return _Json()
    if chosen is Format.JSONL:
        return _JsonLines()
    if chosen is Format.CSV:
        return _Csv(fields)
    return _Table(columns, width)


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


def plain(text: str) -> str:
    """Return text that is one line and moves no cursor: a vendor's text must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def plain_lines(text: str) -> str:
    """Return text of ours in several lines, in which what others said steers nothing."""
    return "\n".join(map(plain, text.split("\n")))


# --- formats for programs --------------------------------------------------------------------------------------------


class _Complete:
    """What all formats for programs share: they leave nothing out."""

    left_out: Sequence[str] = ()


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


# --- tables ----------------------------------------------------------------------------------------------------------


class _Table:
    """A table whose columns are settled by its first block: which ones there is room for, and how wide they are."""

    def __init__(self, columns: Sequence[Column], width: int | None) -> None:
        self._columns = columns
        self._width = width
        self._widths: list[int] = []
        self.left_out: Sequence[str] = ()

    def head(self) -> str:
        return ""

    def block(self, models: Sequence[Any], /) -> str:
        if self._widths:
            return self._lines([_cell(model, column.path) for column in self._columns] for model in models)
        rows = [[_cell(model, column.path) for column in self._columns] for model in models]
        headings = [column.heading for column in self._columns]
        fitted = _fitted(self._columns, _natural_widths([headings, *rows]), _blank(rows), self._width)
        self.left_out = [column.heading for column, width in zip(self._columns, fitted, strict=True) if width is None]
        kept = [number for number, width in enumerate(fitted) if width is not None]
        self._columns = [self._columns[number] for number in kept]
        self._widths = [width for width in fitted if width is not None]
        rule = ["─" * width for width in self._widths]
        return self._lines([[headings[number] for number in kept], rule, *([row[n] for n in kept] for row in rows)])

    def tail(self) -> str:
        return "" if self._widths else self.block(())

    def _lines(self, rows: Iterable[Sequence[str]]) -> str:
        alignments = [column.right for column in self._columns]
        return "".join(
            aligned(row, self._widths, alignments, cut=self._width is not None).rstrip() + "\n" for row in rows
        )


def aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], *, cut: bool) -> str:
    """Return cells as one line of columns; ``cut`` shortens what is too long, and shows that with an ellipsis."""
    return _GAP.join(
        _sized(cell, width, right=at_right, cut=cut) for cell, width, at_right in zip(cells, widths, right, strict=True)
    )


def _sized(text: str, width: int, *, right: bool, cut: bool) -> str:
    missing = width - cell_len(text)
    if missing >= 0:
        return " " * missing + text if right else text + " " * missing
    return set_cell_size(text, width - 1) + "…" if cut else text


def _natural_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cell_len(cell) for cell in column) for column in zip(*rows, strict=True)]


def _blank(rows: Sequence[Sequence[str]]) -> list[bool]:
    """Tell which columns hold nothing, as far as one can see."""
    return [not any(column) for column in zip(*rows, strict=True)]


def _fitted(
    columns: Sequence[Column], widths: Sequence[int], blank: Sequence[bool], available: int | None
) -> list[int | None]:
    """Return the widths at which the columns fit, ``None`` for those that are left out.

    First go columns without content, then prose gets narrower, then columns go from the right. The first one stays.
    """
    fitted: list[int | None] = list(widths)
    if available is None:
        return fitted
    droppable = range(len(columns) - 1, 0, -1)
    for number in droppable:
        if blank and blank[number] and _taken(fitted) > available:
            fitted[number] = None
    for number in droppable:
        if _taken(_narrowest(columns, fitted)) > available:
            fitted[number] = None
    prose = [number for number, column in enumerate(columns) if column.flexible]
    # The first column is an identifier: cut only where it alone is too wide.
    for number in [*prose, 0]:
        width, excess = fitted[number], _taken(fitted) - available
        if width is not None and excess > 0:
            fitted[number] = max(min(width, _NARROWEST_PROSE), width - excess)
    return fitted


def _narrowest(columns: Sequence[Column], widths: Sequence[int | None]) -> list[int | None]:
    return [
        min(width, _NARROWEST_PROSE) if width is not None and column.flexible else width
        for column, width in zip(columns, widths, strict=True)
    ]


def _taken(widths: Sequence[int | None]) -> int:
    kept = [width for width in widths if width is not None]
    return sum(kept) + len(_GAP) * (len(kept) - 1)


def _cell(model: Any, path: str) -> str:
    value = model
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    return _shown(value)


def _shown(value: Any) -> str:
    """Return a value as people read it; nothing for what is not known."""
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    if isinstance(value, tuple):
        return ", ".join(_shown(inner) for inner in cast(Sequence[Any], value))
    return plain(str(value))


# --- one record ------------------------------------------------------------------------------------------------------


def details(model: Any) -> str:
    """Return one record for people, a field a line; what the vendor does not say is left out."""
    lines = list(_detail_lines(model, ""))
    width = max((len(name) for name, _ in lines), default=0)
    return "".join(f"{name:<{width}}  {text}\n" for name, text in lines)


def _detail_lines(model: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for field, value in _items(model):
        name = f"{prefix}{field}"
        if _is_record(value):
            yield from _detail_lines(value, f"{name}.")
        elif _is_mapping(value):
            yield from ((f"{name}.{plain(key)}", _shown_nested(inner)) for key, inner in value.items())
        elif value not in (None, ()):
            yield name, _shown(value)


def _shown_nested(value: Any) -> str:
    return _shown(value) if isinstance(value, str | int | datetime | None) else plain(_as_json(_plain_value(value)))
