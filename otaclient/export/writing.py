"""From a running scan to a file that is whole or not there under its name.

The devices stream through: what is held is a few thousand of them, whatever the fleet. The file is written beside its
place, by a worker thread, and renamed at the end. What a failure leaves stays beside it, as whole rows.
"""

import hashlib
import io
import os
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import anyio
import attrs

from otaclient.counted import counted
from otaclient.downloads import checked_destination
from otaclient.errors import InvalidQueryError, OtaError
from otaclient.export.formats import FileFormat, file_format, part_of
from otaclient.export.parquet import ParquetRows, load_pyarrow
from otaclient.export.stamp import Stamp, files_of, stamp_path
from otaclient.export.texts import head_of, rows_as_csv, rows_as_jsonl
from otaclient.files import path_text, unwritable
from otaclient.fleet.ledger import Certificate
from otaclient.fleet.running_scan import Scan
from otaclient.models import DeviceUpgrade
from otaclient.sole_writer import SoleWriter, refuse_if_written
from otaclient.threads import in_thread

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

__all__ = ["WrittenScan", "write"]

_ROWS_AT_ONCE: Final = 512
"""So many are handed to the worker thread together: fewer cost more, more hold up the event loop."""


@attrs.frozen(kw_only=True)
class WrittenScan:
    """A file that was written."""

    path: Path
    format: FileFormat
    stamp: Stamp


async def write(
    scan: Scan[DeviceUpgrade],
    path: "str | os.PathLike[str]",
    *,
    replace: bool = False,
    format: FileFormat | None = None,  # noqa: A002 - the word for it
) -> WrittenScan:
    """Read a scan to its end into a file, and store its certificate with it.

    Call it inside the scan's block, in place of the loop over its devices. A Parquet file holds the certificate itself;
    for the others it lies beside, in a file that ends in ``.certificate.json``. After a failure, what was read so far
    stays in ``<path>.part``, and a note of the exception says how much that is.

    Args:
        scan: The scan, of devices.
        path: The file.
        replace: Replace what is there under that name, and what an unfinished run left.
        format: The format; ``None`` takes the one that the name's ending says.

    Raises:
        InvalidQueryError: The file cannot be written: its ending is unknown, it exists, or its folder does not.
        ConfigurationError: The format needs a package that is not installed.
        OtaError: The disk does not take it; or an error of the scan.
    """
    waiting: list[DeviceUpgrade] = []
    opened: list[_Writer] = []
    try:
        await in_thread(lambda: opened.append(_opened(path, replace=replace, format=format)))
        writer = opened[0]
        async for rows in scan.pages():
            waiting += _checked(rows)
            if len(waiting) >= _ROWS_AT_ONCE:
                full, waiting = waiting, []
                await in_thread(partial(writer.add, full))
        full, waiting = waiting, []
        await in_thread(partial(writer.add, full))
        certificate = scan.certificate

        def finish() -> WrittenScan:
            written = writer.finish(certificate)
            opened.clear()  # whoever is cancelled just then has a whole file
            return written

        return await in_thread(finish)
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            for writer in opened:
                error.add_note(await in_thread(partial(writer.give_up, waiting, scan.certificate)))
        raise


def _checked(rows: Sequence[DeviceUpgrade]) -> Sequence[DeviceUpgrade]:
    kind: type[object] = type(rows[0])
    if kind is not DeviceUpgrade:
        raise InvalidQueryError(
            f"a scan of {kind.__name__} records cannot be written to a file: scan with a DeviceUpgradeQuery"
        )
    return rows


def _opened(path: Any, *, replace: bool, format: FileFormat | None) -> "_Writer":  # noqa: A002 - the word for it
    """Return a writer; everything that can be known beforehand is checked."""
    given = Path(path_text(path, name="the file"))
    known = [each.value for each in FileFormat]
    if format is not None and format not in known:
        raise InvalidQueryError(f"format is {format!r}: it must be one of {', '.join(known)}")
    chosen = file_format(given) if format is None else FileFormat(format)
    if chosen is FileFormat.PARQUET:
        load_pyarrow()
    final = checked_destination(path)
    # Messages show the path as it was given, unless a link leads elsewhere.
    shown = given if final == Path(os.path.abspath(given)) else final  # noqa: PTH100 - resolve() follows links
    return _Writer(final, shown, chosen, replace=replace)


class _WholeFile(io.FileIO):
    """A file that takes all of what it is given, or raises."""

    def write(self, content: "ReadableBuffer", /) -> int:
        """Write all of it; a disk that is nearly full takes the first half."""
        rest = memoryview(content)
        while rest:
            rest = rest[super().write(rest) :]
        return memoryview(content).nbytes


class _Rows(Protocol):
    """Writes rows in one format."""

    def add(self, rows: Sequence[DeviceUpgrade], /) -> None:
        """Write rows."""
        ...

    def keep(self, stamp: Stamp, /) -> bool:
        """Make of an unfinished file what can be read, and tell whether that worked."""
        ...

    def finish(self, stamp: Stamp, /) -> None:
        """Write what comes after the rows."""
        ...


class _TextRows:
    """Writes rows of text, each piece wholly or not at all, and the stamp beside."""

    def __init__(self, file: "_WholeFile", format: FileFormat, stamp_part: Path) -> None:  # noqa: A002 - the word for it
        self._file = file
        self._render = rows_as_csv if format is FileFormat.CSV else rows_as_jsonl
        self._stamp_part = stamp_part
        self._digest = hashlib.sha256()
        self._put(head_of(format))

    def add(self, rows: Sequence[DeviceUpgrade]) -> None:
        """Write rows."""
        self._put(self._render(rows))

    def keep(self, stamp: Stamp) -> bool:
        """Leave the rows as they are."""
        self._stamp_part.unlink(missing_ok=True)
        return stamp.rows > 0

    def finish(self, stamp: Stamp) -> None:
        """Write the stamp."""
        stamp = attrs.evolve(stamp, sha256=self._digest.hexdigest())
        with self._stamp_part.open("wb") as file:
            file.write(f"{stamp.to_json()}\n".encode())
            file.flush()
            os.fsync(file.fileno())

    def _put(self, content: bytes) -> None:
        before = self._file.tell()
        try:
            self._file.write(content)
        except OSError:
            # A row that is cut off may read as another one.
            self._file.truncate(before)
            self._file.seek(before)
            raise
        self._digest.update(content)


class _Writer:
    """The file of one scan, while it is written. All of it blocks."""

    def __init__(self, path: Path, shown: Path, format: FileFormat, *, replace: bool) -> None:  # noqa: A002 - see above
        self._path = path
        self._shown = shown
        self._format = format
        self._replace = replace
        self._part = part_of(path)
        self._stamp = None if format is FileFormat.PARQUET else stamp_path(path)
        self._count = 0
        with self._explained():
            self._refuse_existing()
            self._refuse_unfinished()
            self._hold = SoleWriter(self._part, shown=part_of(shown))
            with self._hold.beginning():
                self._file = _WholeFile(self._part, "wb")
                try:
                    self._rows = self._begun()
                except BaseException:
                    self._file.close()
                    raise

    def _begun(self) -> _Rows:
        if self._stamp is None:
            return ParquetRows(self._file)
        return _TextRows(self._file, self._format, part_of(self._stamp))

    def add(self, rows: Sequence[DeviceUpgrade]) -> None:
        """Write rows."""
        if rows:
            with self._explained():
                self._rows.add(rows)
            self._count += len(rows)

    def finish(self, certificate: Certificate) -> WrittenScan:
        """Put the file in its place."""
        stamp = self._stamp_with(certificate)
        with self._explained():
            self._rows.finish(stamp)
            os.fsync(self._file.fileno())
            self._file.close()
            # Somebody else may have made the file in the meantime.
            self._refuse_existing()
            if self._stamp is not None:
                # At no moment does the certificate of other rows lie beside these.
                self._stamp.unlink(missing_ok=True)
            self._part.replace(self._path)
            if self._stamp is not None:
                part_of(self._stamp).replace(self._stamp)
        self._hold.release()
        return WrittenScan(path=self._path, format=self._format, stamp=stamp)

    def give_up(self, rows: Sequence[DeviceUpgrade], certificate: Certificate) -> str:
        """Keep what there is beside the place, and say what that is."""
        kept = False
        with suppress(OSError):
            with suppress(OtaError):
                self.add(rows)
            kept = self._rows.keep(self._stamp_with(certificate))
        self._file.close()
        if not kept:
            self._part.unlink(missing_ok=True)
        kept = self._part.exists()
        self._hold.release()
        if kept:
            return f"{counted(self._count, 'device')} so far, kept in {part_of(self._shown)}"
        return f"{counted(certificate.devices, 'device')} so far, none of them kept"

    def _stamp_with(self, certificate: Certificate) -> Stamp:
        return Stamp(rows=self._count, written_at=datetime.now(UTC), certificate=certificate)

    def _refuse_existing(self) -> None:
        for path, shown in self._files():
            if path.exists() and not self._replace:
                raise InvalidQueryError(f"{shown} exists already: name another file, or allow to replace it")

    def _refuse_unfinished(self) -> None:
        # All that will be made is looked for: a name that is too long must show now, and not after the scan.
        for path, shown in self._files():
            refuse_if_written(part_of(path), shown=part_of(shown))
            if part_of(path).exists() and not self._replace:
                raise InvalidQueryError(
                    f"{part_of(shown)} is left from a run that did not finish: move it away, or allow to replace it"
                )

    def _files(self) -> Iterator[tuple[Path, Path]]:
        """Yield the files that there are in the end, each also as it is shown."""
        return zip(files_of(self._path, self._format), files_of(self._shown, self._format), strict=True)

    @contextmanager
    def _explained(self) -> Generator[None]:
        """Let an error of the disk name the file, whatever it came from."""
        try:
            yield
        except OSError as error:
            raise OtaError(unwritable(self._shown, error)) from error
