r"""Devices as CSV and JSON Lines.

In CSV an empty cell is a value that the vendor did not tell; a value that is the empty text reads back as untold too.
A text in which a spreadsheet would see the beginning of a formula gets a quote ``'`` there, which reading takes away.

What would steer a terminal that shows the file, such as an escape sequence or an override of the direction of writing,
is in neither format: JSON has its own escapes for it, and a cell of CSV gets ``\x1b``, ``\u202e`` or ``\U000e0001``.
Where a text holds such an escape literally, or anything is escaped, its backslashes are doubled; reading undoes it all.
"""

import csv
import io
import json
import re
import sys
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from otaclient.errors import ResultFileError
from otaclient.export.formats import FIELDS, FileFormat, device_from, values_of
from otaclient.models import DeviceUpgrade

__all__ = ["head_of", "read_csv", "read_jsonl", "rows_as_csv", "rows_as_jsonl"]

_ROWS_AT_ONCE: Final = 4096
_UPGRADING = FIELDS.index("upgrading")
_AS_CELL: Final[Mapping[bool | None, str]] = {True: "true", False: "false", None: ""}
# Spreadsheets write what they have read in capitals.
_FROM_CELL: Final[Mapping[str, bool | None]] = {
    **{cell: value for value, cell in _AS_CELL.items()},
    "TRUE": True,
    "FALSE": False,
}
# As in what the command prints: also behind a semicolon, which separates cells in many countries, and in full width. A
# quote that stood there already gets another one, so that one can always be taken away.
_FORMULA: Final = re.compile("(^|;)(\\s*'*)(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")
_GUARDED: Final = re.compile("(^|;)(\\s*'*)'(?=[=+\\-@\uff1d\uff0b\uff0d\uff20])")
_ESCAPE: Final = re.compile(r"\\(?:\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")
_STEERING: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""The categories of Unicode that show nothing themselves: controls, formats, halves of pairs, ends of lines."""
_Line = msgspec.defstruct(
    "Line",
    [("backend", str), ("device_id", str)]
    + [(name, bool | None if name == "upgrading" else str | None) for name in FIELDS[2:]],
    forbid_unknown_fields=True,
)
_line_decoder = msgspec.json.Decoder(_Line)
_line_encoder = msgspec.json.Encoder()


def head_of(format: FileFormat) -> bytes:  # noqa: A002 - the word for it
    """Return what comes before the rows."""
    return f"{','.join(FIELDS)}\n".encode() if format is FileFormat.CSV else b""


def rows_as_jsonl(rows: Sequence[DeviceUpgrade]) -> bytes:
    """Return devices as JSON Lines."""
    content = _line_encoder.encode_lines([dict(zip(FIELDS, values_of(row), strict=True)) for row in rows])
    if content.isascii() and b"\x7f" not in content:
        return content
    # All that msgspec leaves of these letters is inside the texts, but for the ends of the lines.
    return _steered(content.decode(), lambda one: one if one == "\n" else json.dumps(one)[1:-1]).encode()


def rows_as_csv(rows: Sequence[DeviceUpgrade]) -> bytes:
    """Return devices as lines of CSV."""
    cells = [
        [_AS_CELL[value] if number == _UPGRADING else value for number, value in enumerate(values_of(row))]
        for row in rows
    ]
    for row in cells:
        row[:] = [_FORMULA.sub(r"\1\2'", _escaped(cell)) if cell else cell for cell in row]
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(cells)
    return buffer.getvalue().encode()


def _escaped(cell: str) -> str:
    """Return a text for a cell, from which :func:`_unescaped` makes the text again."""
    if cell.isprintable() and "\\" not in cell:
        return cell
    doubled = cell.replace("\\", "\\\\")
    escaped = _steered(doubled, _escape)
    # A lone backslash is nobody's escape, and stays as it is.
    return cell if escaped == doubled and not _ESCAPE.search(cell) else escaped


def _steered(text: str, escape: Callable[[str], str]) -> str:
    """Return text in which the letters that show nothing themselves are escaped."""
    if text.isprintable():
        return text
    return "".join(escape(one) if unicodedata.category(one) in _STEERING else one for one in text)


def _escape(letter: str) -> str:
    code = ord(letter)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _unescaped(cell: str) -> str:
    return _ESCAPE.sub(_letter, cell)


def _letter(found: "re.Match[str]") -> str:
    code = found[0][2:]
    if not code:
        return "\\"
    number = int(code, 16)
    # Nobody of ours writes a code beyond Unicode: left as it is.
    return chr(number) if number <= sys.maxunicode else found[0]


def read_jsonl(path: Path) -> Iterator[list[DeviceUpgrade]]:
    """Yield the devices of a file of JSON Lines, in lists.

    Raises:
        ResultFileError: A line is no device.
    """
    with path.open("rb") as file:
        before = 0
        while lines := list(islice(file, _ROWS_AT_ONCE)):
            yield [_device_in(path, number, line) for number, line in enumerate(lines, before + 1)]
            before += len(lines)


def _device_in(path: Path, number: int, line: bytes) -> DeviceUpgrade:
    try:
        found: Any = _line_decoder.decode(line)
        if found.backend and found.device_id:
            return device_from(values_of(found))
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _no_device(path, number, str(error)) from error
    raise _no_device(path, number, "backend or device_id is empty")


def read_csv(path: Path) -> Iterator[list[DeviceUpgrade]]:
    """Yield the devices of a CSV file, in lists.

    Raises:
        ResultFileError: Its columns are others, or a row is no device.
    """
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        before = 0
        try:
            _check_columns(path, next(reader, ()))
            while records := list(islice(reader, _ROWS_AT_ONCE)):
                yield [_device_of(path, number, cells) for number, cells in enumerate(records, before + 1)]
                before += len(records)
        except (csv.Error, UnicodeDecodeError) as error:
            raise ResultFileError(
                f"{path}: line {reader.line_num:,} or one soon after it is no CSV in UTF-8 ({error}): the file is cut "
                "off, damaged, or of another kind"
            ) from error


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    if tuple(columns) == FIELDS:
        return
    unknown = [name for name in columns if name not in FIELDS]
    missing = [name for name in FIELDS if name not in columns]
    differences = [
        f"{what} {', '.join(map(repr, names[:5]))}"
        for what, names in (("unknown", unknown), ("missing", missing))
        if names
    ]
    raise ResultFileError(
        f"{path}: the columns are not those of scanned devices ({'; '.join(differences) or 'their order differs'}): "
        "it is a file of another kind, or of a newer otaclient"
    )


def _device_of(path: Path, number: int, cells: Sequence[str]) -> DeviceUpgrade:
    if len(cells) != len(FIELDS):
        raise _no_device(path, number, f"{len(cells)} cells instead of {len(FIELDS)}")
    if not cells[0] or not cells[1]:
        raise _no_device(path, number, "backend or device_id is empty")
    values: list[Any] = [_value(cell) for cell in cells]
    try:
        values[_UPGRADING] = _FROM_CELL[cells[_UPGRADING]]
        return device_from(values)
    except KeyError:
        raise _no_device(path, number, f"upgrading is {cells[_UPGRADING]!r}, not true or false") from None
    except ValueError as error:
        raise _no_device(path, number, str(error)) from error


def _value(cell: str) -> str | None:
    text = _GUARDED.sub(r"\1\2", cell) if "'" in cell else cell
    return (_unescaped(text) if "\\" in text else text) or None


def _no_device(path: Path, number: int, reason: str) -> ResultFileError:
    return ResultFileError(
        f"{path}: row {number:,} is no device ({reason}): the file is cut off, damaged, or of another kind"
    )
