"""What is known of a file besides its rows: what kind it is of, how many rows it has, when and how they were read.

In a Parquet file the stamp is part of the file. For the other formats it lies beside it: ``fleet.csv`` has
``fleet.csv.certificate.json``, with the digest of the content that it speaks of.
"""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Self

import attrs
import msgspec

from otaclient.errors import ResultFileError
from otaclient.export.formats import FileFormat
from otaclient.fleet.ledger import Certificate

__all__ = ["KIND", "VERSION", "Stamp", "files_of", "stamp_path"]

KIND: Final = "otaclient devices"
VERSION: Final = 1
"""Goes up when a reader of the old version would misread the new one."""


@attrs.frozen(kw_only=True)
class Stamp:
    """What is known of a file besides its rows."""

    rows: int
    written_at: datetime
    """When the scan ended; aware, UTC."""
    certificate: Certificate
    sha256: str | None = None
    """The digest of the whole file; ``None`` where the stamp is part of it."""
    made_by: str = attrs.field(factory=lambda: f"otaclient {version('otaclient')}")

    def to_json(self) -> str:
        """Return the stamp as indented JSON."""
        plain: dict[str, Any] = {"kind": KIND, "version": VERSION, **attrs.asdict(self)}
        return msgspec.json.format(msgspec.json.encode(plain).decode(), indent=2)

    @classmethod
    def from_json(cls, content: bytes, *, where: Path) -> Self:
        """Return the stamp that a file holds.

        Raises:
            ResultFileError: It is none, of another kind, or of a version that this library does not know.
        """
        try:
            head = msgspec.json.decode(content, type=_Head)
        except _BROKEN as error:
            raise ResultFileError(f"{where}: this is no certificate that was stored with a scan ({error})") from error
        if head.kind != KIND:
            raise ResultFileError(f"{where}: this belongs to {head.kind!r}, not to scanned devices ({KIND!r})")
        if head.version != VERSION:
            age = "a newer" if head.version > VERSION else "an unknown"
            raise ResultFileError(
                f"{where}: the file has version {head.version}, from {age} otaclient; this one reads version "
                f"{VERSION}: upgrade it (pip install --upgrade otaclient)"
            )
        try:
            stamp = msgspec.json.decode(content, type=cls)
            return attrs.evolve(stamp, written_at=_in_utc(stamp.written_at))
        except (*_BROKEN, ValueError, OverflowError) as error:
            raise ResultFileError(f"{where}: the certificate is damaged ({error})") from error


class _Head(msgspec.Struct):
    """What every version begins with."""

    kind: str
    version: int


_BROKEN: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def _in_utc(instant: datetime) -> datetime:
    """Return an instant in UTC.

    Raises:
        ValueError: It has no time zone.
        OverflowError: In UTC it lies before the year 1, or after 9999.
    """
    if instant.tzinfo is None:
        raise ValueError("written_at has no time zone")
    return instant.astimezone(UTC)


def files_of(path: Path, format: FileFormat) -> tuple[Path, ...]:  # noqa: A002 - the word for it
    """Return all files that keep a scan in this format."""
    return (path,) if format is FileFormat.PARQUET else (path, stamp_path(path))


def stamp_path(path: Path) -> Path:
    """Return where the stamp of a file lies that cannot hold it itself."""
    return path.with_name(f"{path.name}.certificate.json")
