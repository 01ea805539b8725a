"""Where data goes: standard output, or a file that is complete or not there under its name."""

import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import anyio

from otaclient.cli.failures import UsageError
from otaclient.errors import OtaError
from otaclient.files import reason_of, unwritable
from otaclient.sole_writer import SoleWriter, refuse_if_written

__all__ = [
    "FileSink",
    "Sink",
    "StandardOutput",
    "claim",
    "explained_output",
    "print_text",
    "refuse_existing",
    "sink_for",
    "write_file",
]


class Sink(Protocol):
    """Takes text, piece by piece."""

    async def write(self, text: str, /) -> None:
        """Write a piece."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...


class StandardOutput:
    """Standard output. A reader that pauses, such as a pager, must not stop the network: so a thread writes."""

    async def write(self, text: str, /) -> None:
        """Write a piece."""
        if text:
            await anyio.to_thread.run_sync(print_text, text, abandon_on_cancel=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        return None


def print_text(text: str) -> None:
    """Write to standard output.

    Raises:
        OtaError: It does not take it, such as a file on a full disk.
    """
    with explained_output():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def explained_output() -> Generator[None]:
    """Let an error of standard output say so, and what to do.

    Raises:
        OtaError: In its place.
    """
    try:
        yield
    except BrokenPipeError:
        raise  # whoever reads has seen enough, which is no failure
    except OSError as error:
        raise OtaError(unwritable("standard output", error, elsewhere="let it go elsewhere")) from error


class FileSink:
    """A file, written beside its place and renamed at the end.

    What a failure elsewhere leaves stays beside it. What the disk did not take is removed: it ends in half a record.
    """

    def __init__(self, path: Path, *, force: bool) -> None:
        self.path = path
        self.part = claim(path, force=force)
        self._force = force
        with explained(path):
            self._hold = SoleWriter(self.part, shown=self.part)
            with self._hold.beginning():
                self._file = self.part.open("w", encoding="utf-8", newline="")

    async def write(self, text: str, /) -> None:
        """Write a piece.

        Raises:
            OtaError: The disk does not take it.
        """
        with self._whole_or_gone():
            self._file.write(text)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        try:
            if not self._file.closed:  # else the disk did not take a piece, and all is said and done
                self._settle(finished=kind is None)
        finally:
            self._hold.release()

    def _settle(self, *, finished: bool) -> None:
        with self._whole_or_gone():
            written = self._file.tell() > 0
            self._file.close()
        if finished:
            # Somebody else may have made the file in the meantime.
            refuse_existing(self.path, force=self._force)
            with self._whole_or_gone():
                self.part.replace(self.path)
        elif not written:
            self.part.unlink()

    @contextmanager
    def _whole_or_gone(self) -> Generator[None]:
        with explained(self.path):
            try:
                yield
            except OSError:
                with suppress(OSError):
                    self._file.close()
                with suppress(OSError):
                    self.part.unlink(missing_ok=True)
                raise


def sink_for(path: Path | None, *, force: bool) -> StandardOutput | FileSink:
    """Return where data goes: the file, or standard output without one.

    Raises:
        UsageError: The file exists, without ``force``; or its folder does not.
    """
    return StandardOutput() if path is None else FileSink(path, force=force)


def claim(path: Path, *, force: bool) -> Path:
    """Check that a file may be written, and return the name that it has while it is incomplete.

    Raises:
        InvalidQueryError: Another run is writing it.
        UsageError: It exists already, or cannot be a file.
    """
    try:
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file")
        if not path.parent.is_dir():
            raise UsageError(f"{path}: there is no folder {path.parent}: make it first")
        refuse_existing(path, force=force)
        part = path.with_name(f"{path.name}.part")
        refuse_if_written(part, shown=part)
        if part.exists() and not force:
            raise UsageError(f"{part} is left from a run that did not finish: move it away, or give --force")
    except OSError as error:  # such as a name that no file can have
        raise UsageError(f"{path} cannot be written: {reason_of(error)}; name another file") from error
    return part


def write_file(path: Path, content: str, *, force: bool) -> None:
    """Write a whole file beside its place and rename it.

    Raises:
        OtaError: The disk does not take it; nothing of it stays.
        UsageError: As :func:`claim`.
    """
    part = claim(path, force=force)
    with explained(path):
        hold = SoleWriter(part, shown=part)
        try:
            part.write_text(content, encoding="utf-8")
            part.replace(path)
        except OSError:
            with suppress(OSError):
                part.unlink(missing_ok=True)
            raise
        finally:
            hold.release()


@contextmanager
def explained(path: Path) -> Generator[None]:
    """Let an error of the disk name the file that was wanted, and what to do.

    Raises:
        OtaError: In its place.
    """
    try:
        yield
    except OSError as error:
        raise OtaError(unwritable(path, error)) from error


def refuse_existing(path: Path, *, force: bool) -> None:
    """Check that nothing is replaced by mistake.

    Raises:
        UsageError: There is such a file, without ``force``.
    """
    if path.exists() and not force:
        raise UsageError(f"{path} exists already: name another file, or give --force to replace it")
