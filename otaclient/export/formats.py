"""Which formats a scan can be kept in, and how a file's name says which."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from operator import attrgetter
from pathlib import Path
from typing import Any, Final

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.models import Connection, DeviceUpgrade

__all__ = ["FIELDS", "SUFFIXES", "FileFormat", "device_from", "file_format", "part_of", "values_of"]


class FileFormat(StrEnum):
    """How devices are kept in a file."""

    PARQUET = "parquet"
    CSV = "csv"
    JSONL = "jsonl"


SUFFIXES: Final[Mapping[str, FileFormat]] = {
    ".parquet": FileFormat.PARQUET,
    ".csv": FileFormat.CSV,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
}

FIELDS: Final = tuple(field.name for field in attrs.fields(DeviceUpgrade))
"""The columns of every format, in this order."""
values_of: Final = attrgetter(*FIELDS)
"""Returns the values of a device, in the order of :data:`FIELDS`."""
_CONNECTIONS: Final[Mapping[str | None, Connection | None]] = {**{each.value: each for each in Connection}, None: None}
_CONNECTION: Final = FIELDS.index("connection")


def device_from(values: Sequence[Any]) -> DeviceUpgrade:
    """Return a device from its values, in the order of :data:`FIELDS`, of which the connection may be a plain text.

    Raises:
        ValueError: The connection is none that is known.
    """
    fields = dict(zip(FIELDS, values, strict=True))
    try:
        fields["connection"] = _CONNECTIONS[values[_CONNECTION]]
    except KeyError:
        raise ValueError(f"the connection {values[_CONNECTION]!r} is not known") from None
    return DeviceUpgrade(**fields)


def file_format(path: Path) -> FileFormat:
    """Return the format that a file's name says.

    Raises:
        InvalidQueryError: It says none that is known; the message lists those that are.
    """
    found = SUFFIXES.get(path.suffix.lower())
    if found is None:
        says = f"the ending {path.suffix!r} is not known" if path.suffix else "the name has no ending"
        raise InvalidQueryError(f"{path}: {says}; known are {', '.join(SUFFIXES)}")
    return found


def part_of(path: Path) -> Path:
    """Return the name that a file has while it is incomplete."""
    return path.with_name(f"{path.name}.part")
