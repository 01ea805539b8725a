"""Tables for people: the columns that fit, and word of what did not."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import attrs
from rich.cells import cell_len, set_cell_size

from otaclient.cli.cells import shown
from otaclient.cli.screen import Screen, Tone

__all__ = ["Column", "Table", "aligned"]

_GAP: Final = "  "
_NARROWEST_PROSE: Final = 12


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
    tones: Mapping[str, Tone] = attrs.field(factory=dict[str, Tone])
    """In which tone a terminal shows which cell."""


class Table:
    """A table whose columns are settled by its first block: which ones there is room for, and how wide they are."""

    def __init__(self, columns: Sequence[Column], screen: Screen) -> None:
        self._columns = columns
        self._screen = screen
        self._widths: list[int] = []
        self.left_out: Sequence[str] = ()
        self._shortened: dict[str, None] = {}

    @property
    def shortened(self) -> Sequence[str]:
        """The headings of columns of which a cell was cut."""
        return tuple(self._shortened)

    def head(self) -> str:
        """Return nothing: the heading comes with the first block, which settles the columns."""
        return ""

    def block(self, models: Sequence[Any], /) -> str:
        """Return some more lines."""
        if self._widths:
            return self._lines(self._cells(models))
        rows = list(self._cells(models))
        headings = [column.heading for column in self._columns]
        fitted = _fitted(self._columns, _natural_widths([headings, *rows]), _blank(rows), self._screen.width)
        self.left_out = [column.heading for column, width in zip(self._columns, fitted, strict=True) if width is None]
        kept = [number for number, width in enumerate(fitted) if width is not None]
        self._columns = [self._columns[number] for number in kept]
        self._widths = [width for width in fitted if width is not None]
        return self._top() + self._lines([row[number] for number in kept] for row in rows)

    def tail(self) -> str:
        """Return the heading of a table without lines."""
        return "" if self._widths else self.block(())

    def _cells(self, models: Sequence[Any]) -> Iterable[Sequence[str]]:
        return (
            [shown(_value(model, column.path), now=self._screen.now) for column in self._columns] for model in models
        )

    def _top(self) -> str:
        alignments = [column.right for column in self._columns]
        headings = aligned(
            [column.heading for column in self._columns], self._widths, alignments, ellipsis=self._ellipsis
        )
        rule = _GAP.join(("-" if self._screen.ascii_only else "─") * width for width in self._widths)
        return f"{self._screen.painted(headings.rstrip(), Tone.HEADING)}\n{self._screen.painted(rule, Tone.FAINT)}\n"

    def _lines(self, rows: Iterable[Sequence[str]]) -> str:
        return "".join(f"{self._line(row).rstrip()}\n" for row in rows)

    def _line(self, cells: Sequence[str]) -> str:
        pieces: list[str] = []
        for cell, width, column in zip(cells, self._widths, self._columns, strict=True):
            if self._ellipsis and cell_len(cell) > width:
                self._shortened[column.heading] = None
            sized = _sized(cell, width, right=column.right, ellipsis=self._ellipsis)
            pieces.append(self._screen.painted(sized, column.tones.get(cell)))
        return _GAP.join(pieces)

    @property
    def _ellipsis(self) -> str:
        """The end of what is cut; nothing where nothing is."""
        if self._screen.width is None:
            return ""
        return "~" if self._screen.ascii_only else "…"


def aligned(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], *, ellipsis: str = "") -> str:
    """Return cells as one line of columns; what is too long ends in the ellipsis, or stays whole without one."""
    return _GAP.join(
        _sized(cell, width, right=at_right, ellipsis=ellipsis)
        for cell, width, at_right in zip(cells, widths, right, strict=True)
    )


def _sized(text: str, width: int, *, right: bool, ellipsis: str) -> str:
    missing = width - cell_len(text)
    if missing >= 0:
        return " " * missing + text if right else text + " " * missing
    return set_cell_size(text, width - 1) + ellipsis if ellipsis else text


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


def _value(model: Any, path: str) -> Any:
    value = model
    for name in path.split("."):
        value = None if value is None else getattr(value, name)
    return value
