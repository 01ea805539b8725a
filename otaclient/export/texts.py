"""Devices as CSV and JSON Lines.

In CSV an empty cell is a value that the vendor did not tell; a value that is the empty text reads back as untold too.
A text in which a spreadsheet would see the beginning of a formula gets a quote ``'`` there, which reading takes away.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
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
    return _line_encoder.encode_lines([dict(zip(FIELDS, values_of(row), strict=True)) for row in rows])


def rows_as_csv(rows: Sequence[DeviceUpgrade]) -> bytes:
    """Return devices as lines of CSV."""
    cells = [
        [_AS_CELL[value] if number == _UPGRADING else value for number, value in enumerate(values_of(row))]
        for row in rows
    ]
    for row in cells:
        row[:] = [_FORMULA.sub(r"\1\2'", cell) if cell else cell for cell in row]
    text = _csv_lines(cells, csv.QUOTE_MINIMAL)
    # Python before 3.13 leaves a lone carriage return unquoted, and takes it for the end of a line when it reads.
    if "\r" in text:
        text = _csv_lines(cells, csv.QUOTE_ALL)
    return text.encode()


def _csv_lines(cells: Iterable[Sequence[Any]], quoting: Any) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n", quoting=quoting).writerows(cells)
    return buffer.getvalue()


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
    values: list[Any] = [_GUARDED.sub(r"\1\2", cell) if "'" in cell else cell or None for cell in cells]
    try:
        values[_UPGRADING] = _FROM_CELL[cells[_UPGRADING]]
        return device_from(values)
    except KeyError:
        raise _no_device(path, number, f"upgrading is {cells[_UPGRADING]!r}, not true or false") from None
    except ValueError as error:
        raise _no_device(path, number, str(error)) from error


def _no_device(path: Path, number: int, reason: str) -> ResultFileError:
    return ResultFileError(
        f"{path}: row {number:,} is no device ({reason}): the file is cut off, damaged, or of another kind"
    )
