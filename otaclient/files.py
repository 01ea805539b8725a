"""Firmware files on their way to a vendor: never whole in memory, and never sent whole unless they are what was hashed.

Everything that touches the disk runs in a worker thread, in pieces, and no file is kept open between two of them.
"""

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import attrs
from anyio import to_thread

from otaclient.errors import IntegrityError, InvalidQueryError
from otaclient.models import Checksum
from otaclient.protocols import FirmwareContent
from otaclient.threads import in_thread

__all__ = [
    "DIGEST_ALGORITHMS",
    "PIECE_BYTES",
    "ContentRules",
    "Upload",
    "as_digest",
    "hasher",
    "opened_content",
    "path_text",
    "reason_of",
    "unwritable",
]

PIECE_BYTES: Final = 1024 * 1024
DIGEST_ALGORITHMS: Final = {"md5": 32, "sha256": 64}
"""The digests that vendors store, each with its length in hexadecimal digits."""
# Parquet's writer tells of no reason at times: then room is the first thing to look for.
_WANTS_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, None})


def as_digest(checksum: Checksum | None) -> Checksum | None:
    """Return a vendor's checksum in lower case, or ``None`` where it cannot be the digest of a file."""
    if checksum is None:
        return None
    algorithm, value = checksum.algorithm.lower(), checksum.value.strip().lower()
    is_digest = len(value) == DIGEST_ALGORITHMS.get(algorithm) and set(value) <= set("0123456789abcdef")
    return Checksum(algorithm=algorithm, value=value) if is_digest else None


@attrs.frozen(kw_only=True)
class ContentRules:
    """What a vendor takes as a firmware file."""

    largest_bytes: int
    suffixes: tuple[str, ...]
    """Lower case, with the dot; the case of a file's name does not matter."""
    name_of_bytes: str
    """The name of content that comes without one."""


@attrs.frozen(kw_only=True)
class Upload:
    """Content whose size and digest are known, and that can be read as often as needed."""

    name: str
    """The file's name, without folders."""
    size_bytes: int
    digest: Checksum
    read: Callable[[int], bytes] = attrs.field(repr=False)
    """Returns the piece at an offset, empty at the end; blocks, so it is called in a worker thread."""

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content from the beginning.

        The last piece is only given once size and digest of the whole are those of the first reading: nothing complete
        is ever sent of a file that changed in between.

        Raises:
            IntegrityError: The content is not what it was, or can no longer be read.
        """
        digest, position, held = hasher(self.digest.algorithm), 0, b""
        while piece := await to_thread.run_sync(self._next_piece, position):
            digest.update(piece)
            position += len(piece)
            if position > self.size_bytes:
                break
            if held:
                yield held
            held = piece
        if position != self.size_bytes or digest.hexdigest() != self.digest.value:
            raise IntegrityError(
                f"{self.name} changed while it was uploaded, so the upload was broken off: it had {self.size_bytes} "
                f"bytes with the {self.digest.algorithm} {self.digest.value}, now {digest.hexdigest()} after "
                f"{position} bytes; upload a file that nobody writes to"
            )
        yield held

    def _next_piece(self, offset: int) -> bytes:
        try:
            return self.read(offset)
        except OSError as error:
            raise IntegrityError(
                f"{self.name} can no longer be read, so the upload was broken off: {reason_of(error)}"
            ) from error


@asynccontextmanager
async def opened_content(content: FirmwareContent, *, algorithm: str, rules: ContentRules) -> AsyncGenerator[Upload]:
    """Hand out firmware content, measured and hashed; what had to be spooled to a temporary file is removed afterwards.

    Args:
        content: Bytes, the path of a file, or pieces as they come.
        algorithm: One of :data:`DIGEST_ALGORITHMS`.
        rules: What the vendor takes.

    Raises:
        InvalidQueryError: It is missing, empty, too large, of a kind that the vendor does not take, or cannot be read.
    """
    given: Any = content
    if isinstance(given, bytes):
        data = given
        _check_size(len(data), "the content", rules)
        digest = hasher(algorithm)
        await to_thread.run_sync(digest.update, data)
        yield Upload(
            name=rules.name_of_bytes,
            size_bytes=len(data),
            digest=Checksum(algorithm=algorithm, value=digest.hexdigest()),
            read=lambda offset: data[offset : offset + PIECE_BYTES],
        )
    elif isinstance(given, str | os.PathLike):
        yield await to_thread.run_sync(_measured, _checked_path(given, rules), algorithm, rules)
    elif _comes_in_pieces(given):
        async with _spooled(given, rules) as path:
            measured = await to_thread.run_sync(_measured, path, algorithm, rules)
            yield attrs.evolve(measured, name=rules.name_of_bytes)
    else:
        raise InvalidQueryError(
            f"the content is of the type {type(given).__name__}: give bytes, the path of a file, or an asynchronous "
            "iterable of bytes"
        )


def _comes_in_pieces(given: Any) -> bool:
    return isinstance(given, AsyncIterable)


def hasher(algorithm: str) -> Any:
    """Return a new digest; MD5 too, which guards against accidents only, not against anybody."""
    return hashlib.new(algorithm, usedforsecurity=False)


def _checked_path(given: Any, rules: ContentRules) -> Path:
    path = Path(path_text(given, name="the content"))
    if not path.name.lower().endswith(rules.suffixes):
        raise InvalidQueryError(f"{path} has none of the endings {', '.join(rules.suffixes)}: no other file is taken")
    return path


def _check_size(size_bytes: int, what: str, rules: ContentRules) -> None:
    if size_bytes == 0:
        raise InvalidQueryError(f"{what} is empty: give the bytes of a firmware")
    if size_bytes > rules.largest_bytes:
        raise InvalidQueryError(
            f"{what} has {size_bytes} bytes, more than the {rules.largest_bytes} that a firmware may have"
        )


def _measured(path: Path, algorithm: str, rules: ContentRules) -> Upload:
    """Read a file once, for its size and digest."""
    digest, size_bytes = hasher(algorithm), 0
    try:
        status = path.stat()
        # Asked before it is opened: to open a pipe would wait for somebody to write into it.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InvalidQueryError(f"{path} is {kind}: give the path of a file")
        _check_size(status.st_size, str(path), rules)
        with path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                digest.update(piece)
                size_bytes += len(piece)
    except FileNotFoundError as error:
        raise InvalidQueryError(f"{path}: there is no such file") from error
    except OSError as error:
        raise InvalidQueryError(f"{path} cannot be read: {reason_of(error)}") from error
    _check_size(size_bytes, str(path), rules)

    def read(offset: int) -> bytes:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(PIECE_BYTES)

    value = digest.hexdigest()
    return Upload(name=path.name, size_bytes=size_bytes, digest=Checksum(algorithm=algorithm, value=value), read=read)


@asynccontextmanager
async def _spooled(content: AsyncIterable[Any], rules: ContentRules) -> AsyncGenerator[Path]:
    """Write content that comes in pieces to a temporary file, because its digest must be known before it is sent."""
    made: list[tuple[BinaryIO, Path]] = []
    try:
        try:
            await in_thread(lambda: made.append(_temporary_file()))
        except OSError as error:
            raise InvalidQueryError(f"no temporary file can be made for the content: {reason_of(error)}") from error
        file, path = made[0]
        with file:
            size_bytes = 0
            async for piece in content:
                if not isinstance(piece, bytes):
                    raise InvalidQueryError(f"the content gave a {type(piece).__name__}: every piece must be bytes")
                size_bytes += len(piece)
                _check_size(max(size_bytes, 1), "the content", rules)
                await in_thread(partial(file.write, piece))
        _check_size(size_bytes, "the content", rules)
        yield path
    finally:
        # At once, also when the task was cancelled, even while the file was being made.
        for file, path in made:
            file.close()
            path.unlink(missing_ok=True)


def _temporary_file() -> tuple[BinaryIO, Path]:
    descriptor, name = tempfile.mkstemp(prefix="otaclient-")
    return os.fdopen(descriptor, "wb"), Path(name)


def path_text(given: Any, *, name: str) -> str:
    """Return the path of a file as a text.

    Raises:
        InvalidQueryError: It is none.
    """
    text: Any = os.fspath(given) if isinstance(given, os.PathLike) else given  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if not isinstance(text, str) or not text or "\0" in text or not _has_bytes(text):
        raise InvalidQueryError(f"{name} is {text!r}: give the path of a file as a text")
    return text


def _has_bytes(path: str) -> bool:
    """Tell whether the system, which names files by bytes, can be asked for a path: half a surrogate pair has none."""
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        return False
    return True


def reason_of(error: OSError) -> str:
    """Return what the system says about a file, without the path, which the message around it names."""
    return error.strerror or str(error) or type(error).__name__


def unwritable(what: object, error: OSError, *, elsewhere: str = "name a file elsewhere") -> str:
    """Return the message on what does not take what is written to it: why, and what to do about that."""
    remedy = f"free some room, or {elsewhere}" if error.errno in _WANTS_ROOM else elsewhere
    return f"{what} cannot be written: {reason_of(error)}; {remedy}"
