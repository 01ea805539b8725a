"""Firmware files on their way from a vendor: received beside the destination, checked, then put in its place at once.

Everything that touches the disk runs in a worker thread, in pieces, and no file is kept open between two of them.
"""

import logging
import os
import secrets
import shutil
import stat
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from anyio import to_thread

from otaclient.errors import IntegrityError, InvalidQueryError, OtaError, PayloadError
from otaclient.files import PIECE_BYTES, hasher, path_text, reason_of
from otaclient.models import Checksum, DownloadedFirmware
from otaclient.threads import in_thread

__all__ = ["PartialFile", "ProgressListener", "checked_destination", "receiving"]

_log = logging.getLogger(__name__)

# What a gateway says when it should have sent a file: never firmware.
_MESSAGE_TYPES: Final = ("application/json", "application/problem+json", "text/")

# What comes without an announced size has to end somewhere. The largest firmware that a vendor takes has 100 MiB.
_MOST_UNANNOUNCED_BYTES: Final = 1024**3

ProgressListener = Callable[[int, int | None], object]
"""Called with the bytes so far and the size that was announced."""


def checked_destination(destination: "str | os.PathLike[str]") -> Path:
    """Return where a file is to be written, with symbolic links followed.

    Raises:
        InvalidQueryError: It is a folder, or something else that is no file, or its folder does not exist.
    """
    text = path_text(destination, name="the destination")
    path = Path(os.path.realpath(text))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        mode = stat.S_IFREG  # to be made
    except OSError as error:
        raise InvalidQueryError(f"the destination {text} cannot be written: {reason_of(error)}") from error
    if stat.S_ISDIR(mode) or text.endswith((os.sep, "/")):
        raise InvalidQueryError(f"the destination {text} is a folder: add the name of the file")
    if not stat.S_ISREG(mode):
        raise InvalidQueryError(f"the destination {text} is no regular file: give another path")
    if not path.parent.is_dir():
        raise InvalidQueryError(f"the destination {text}: there is no folder {path.parent}; make it first")
    return path


@asynccontextmanager
async def receiving(
    destination: "str | os.PathLike[str]", *, expected_bytes: int | None, progress: ProgressListener | None = None
) -> AsyncGenerator["PartialFile"]:
    """Hand out a new file beside the destination, to be filled; removed unless :meth:`PartialFile.keep` puts it there.

    Args:
        destination: Where the file goes in the end. What is there stays as it is until then.
        expected_bytes: Its size, where that is announced.
        progress: Called with the bytes so far and the expected size; its exceptions are logged, never raised.

    Raises:
        InvalidQueryError: Nothing can be written there, or not as much.
    """
    final = await to_thread.run_sync(checked_destination, destination)
    await to_thread.run_sync(_check_room, final, expected_bytes)
    # A name of our own beside the destination: a rename is only atomic within one file system.
    part = final.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            await in_thread(lambda: part.open("xb").close())
        except OSError as error:
            raise InvalidQueryError(f"the destination {final} cannot be written: {reason_of(error)}") from error
        yield PartialFile(part, final, expected_bytes=expected_bytes, progress=progress)
    finally:
        part.unlink(missing_ok=True)


class PartialFile:
    """A file that is being received; a :class:`~otaclient.transport.http.Sink`."""

    def __init__(
        self, part: Path, final: Path, *, expected_bytes: int | None, progress: ProgressListener | None
    ) -> None:
        self._part = part
        self._final = final
        self._expected_bytes = expected_bytes
        self._progress = progress
        self._size = 0
        self._entity_tag: str | None = None
        self._encoded = False
        self._at_end = False
        self.begun = False
        """Whether any answer brought bytes of the file."""

    @property
    def position(self) -> int:
        """How many bytes it holds; 0 where they cannot be gone on from, because they came compressed."""
        return 0 if self._encoded else self._size

    async def begin(self, status: int, headers: Mapping[str, str], /) -> bool:
        """Get ready for a body: from where the last one broke off, or from the beginning.

        Raises:
            IntegrityError: The file is not the one of which the beginning is there.
            PayloadError: The rest was asked for, and another part comes.
        """
        if status == 206 and self.position:
            self._check_rest(headers)
            self.begun = True
            return True
        # The connection broke just at the end: there is no rest to be had.
        if status == 416 and self.position and self.position == self._expected_bytes:
            self._at_end = True
            return True
        if status != 200 or headers.get("content-type", "").lower().startswith(_MESSAGE_TYPES):
            return False
        self._entity_tag = headers.get("etag")
        self._encoded = headers.get("content-encoding", "identity").lower() != "identity"
        self._size = 0
        await self._on_disk(lambda: os.truncate(self._part, 0))
        self.begun = True
        return True

    async def write(self, chunk: bytes, /) -> None:
        """Append bytes.

        Raises:
            IntegrityError: There are more than were announced.
            OtaError: The disk does not take them.
        """
        if self._at_end:
            return
        await self._on_disk(lambda: self._append(chunk))
        self._size += len(chunk)
        if self._expected_bytes is not None and self._size > self._expected_bytes:
            raise IntegrityError(
                f"more than the {self._expected_bytes} bytes came that the vendor announces for the file; "
                f"{self._final} was not touched"
            )
        if self._size > _MOST_UNANNOUNCED_BYTES and self._expected_bytes is None:
            raise IntegrityError(
                f"more than {_MOST_UNANNOUNCED_BYTES} bytes came of a file without an announced size; "
                f"{self._final} was not touched"
            )
        if self._progress is not None:
            self._tell(self._progress)

    async def check(self, announced: Checksum | None) -> DownloadedFirmware:
        """Return what was received, read back from the disk and compared with what the vendor announces.

        Args:
            announced: The digest; ``None`` where there is none, and then nothing is verified.

        Raises:
            IntegrityError: Size or digest differ; names both.
        """
        algorithms = {"sha256"} if announced is None else {"sha256", announced.algorithm}
        found = await self._on_disk(lambda: _digests_of(self._part, algorithms))
        if self._expected_bytes is not None and self._size != self._expected_bytes:
            raise IntegrityError(
                f"{self._size} bytes came, but the vendor announces {self._expected_bytes}; "
                f"{self._final} was not touched"
            )
        if announced is not None and found[announced.algorithm] != announced.value:
            raise IntegrityError(
                f"what came has the {announced.algorithm} {found[announced.algorithm]}, but the vendor announces "
                f"{announced.value}; {self._final} was not touched"
            )
        return DownloadedFirmware(
            path=str(self._final), size_bytes=self._size, sha256=found["sha256"], verified=announced is not None
        )

    async def beginning(self, largest_bytes: int) -> bytes:
        """Return all of it where it is small; empty where it is larger."""
        return b"" if self._size > largest_bytes else await self._on_disk(self._part.read_bytes)

    async def keep(self) -> None:
        """Put the file in the place of the destination, at once and for good.

        Raises:
            OtaError: That cannot be done; the destination is as it was.
        """
        await self._on_disk(lambda: self._part.replace(self._final))

    def _check_rest(self, headers: Mapping[str, str]) -> None:
        told = headers.get("content-range", "")
        # Without the header, what was asked for is taken to come: the digest of the whole is compared in the end.
        if told and not told.lower().replace("=", " ").startswith(f"bytes {self._size}-"):
            raise PayloadError(
                f"the rest of the file from byte {self._size} on was asked for, but {told!r} came", status=206
            )
        if self._entity_tag is not None and headers.get("etag", self._entity_tag) != self._entity_tag:
            raise IntegrityError("the file changed on the server while it was downloaded; start again")

    def _append(self, chunk: bytes) -> None:
        with self._part.open("ab") as file:
            file.write(chunk)

    def _tell(self, listener: ProgressListener) -> None:
        try:
            listener(self._size, self._expected_bytes)
        except Exception:  # noqa: BLE001 - watching must not break the work, nor look like a broken connection
            _log.exception("a progress listener raised")

    async def _on_disk(self, action: Callable[[], Any]) -> Any:
        """Do what blocks; an error of the disk must not look like one of the network, which is tried again."""
        try:
            return await in_thread(action)
        except OSError as error:
            raise OtaError(f"{self._final} cannot be written: {reason_of(error)}") from error


def _check_room(final: Path, expected_bytes: int | None) -> None:
    """Refuse what would only fill the disk."""
    if expected_bytes is None:
        return
    try:
        free_bytes = shutil.disk_usage(final.parent).free
    except OSError:  # writing will tell
        return
    if expected_bytes > free_bytes:
        raise InvalidQueryError(
            f"the destination {final}: the vendor announces {expected_bytes} bytes, but there is room for "
            f"{free_bytes} only"
        )


def _digests_of(path: Path, algorithms: set[str]) -> dict[str, str]:
    """Return a file's digests by algorithm, after everything of it has reached the disk."""
    digests = {algorithm: hasher(algorithm) for algorithm in algorithms}
    with path.open("rb+") as file:
        os.fsync(file.fileno())
        while piece := file.read(PIECE_BYTES):
            for digest in digests.values():
                digest.update(piece)
    return {algorithm: digest.hexdigest() for algorithm, digest in digests.items()}
