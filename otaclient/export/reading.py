"""From a file back to devices, after checks that it is one of ours, and whole."""

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from otaclient.errors import ResultFileError
from otaclient.export.formats import FileFormat, file_format
from otaclient.export.parquet import read_parquet, read_stamp
from otaclient.export.stamp import Stamp, stamp_path
from otaclient.export.texts import read_csv, read_jsonl
from otaclient.files import path_text, reason_of
from otaclient.fleet.ledger import Certificate
from otaclient.models import DeviceUpgrade

__all__ = ["ScanFile", "read"]

_READERS = {FileFormat.PARQUET: read_parquet, FileFormat.CSV: read_csv, FileFormat.JSONL: read_jsonl}


@attrs.frozen(kw_only=True)
class ScanFile:
    """A file of scanned devices. Iterate it as often as needed: each time the rows are read anew, in flat memory."""

    path: Path
    format: FileFormat
    stamp: Stamp | None
    """What is known of it; ``None`` where nothing was stored, as with what ``--format csv`` prints."""
    altered: bool
    """Whether the content is not the one that the stamp speaks of: then the certificate proves nothing about it."""

    @property
    def certificate(self) -> Certificate | None:
        """The certificate of the scan; ``None`` where none was stored."""
        return None if self.stamp is None else self.stamp.certificate

    @property
    def written_at(self) -> datetime | None:
        """When the scan ended, where that was stored; aware, UTC."""
        return None if self.stamp is None else self.stamp.written_at

    def blocks(self) -> Iterator[list[DeviceUpgrade]]:
        """Yield the devices in lists, faster than one by one.

        Raises:
            ResultFileError: A row is none, or rows are missing at the end.
        """
        count = 0
        for rows in _READERS[self.format](self.path):
            count += len(rows)
            yield rows
        if self.stamp is not None and count < self.stamp.rows:
            raise ResultFileError(
                f"{self.path} is cut off: it has {count:,} devices, but was written with {self.stamp.rows:,}"
            )

    def __iter__(self) -> Iterator[DeviceUpgrade]:
        for rows in self.blocks():
            yield from rows


def read(path: "str | os.PathLike[str]") -> ScanFile:
    """Return a file of scanned devices, opened and checked; its rows are read when it is iterated.

    All of it blocks: an application calls it, and iterates, in a worker thread.

    Args:
        path: The file, as :func:`~otaclient.export.write` or ``otaclient devices scan --out`` made it.

    Raises:
        InvalidQueryError: The name's ending is none that is known.
        ConfigurationError: The format needs a package that is not installed.
        ResultFileError: It is not there, of another kind, of a newer version, or cut off.
    """
    file = Path(path_text(path, name="the file"))
    chosen = file_format(file)
    try:
        if chosen is FileFormat.PARQUET:
            return ScanFile(path=file, format=chosen, stamp=read_stamp(file), altered=False)
        digest = _digest_of_whole(file)
        stamp = _stamp_beside(file)
    except OSError as error:
        raise ResultFileError(f"{file} cannot be read: {reason_of(error)}") from error
    return ScanFile(path=file, format=chosen, stamp=stamp, altered=stamp is not None and stamp.sha256 != digest)


def _digest_of_whole(path: Path) -> str:
    """Return a file's digest.

    Raises:
        ResultFileError: Its last line has no end.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) not in {b"\n", b"\r"}:
                raise ResultFileError(f"{path} is cut off: its last line has no end; export the fleet again")
    return digest


def _stamp_beside(path: Path) -> Stamp | None:
    beside = stamp_path(path)
    try:
        content: Any = beside.read_bytes()
    except FileNotFoundError:
        return None
    return Stamp.from_json(content, where=beside)
