"""One run at a time writes a file: two would mix their rows, and each would call the other's certificate its own."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from otaclient.errors import InvalidQueryError

try:
    import fcntl as _posix
except ImportError:  # pragma: no cover - Windows, where a file that somebody writes cannot be replaced
    _locks: Any = None
else:
    _locks = _posix

__all__ = ["SoleWriter", "refuse_if_written"]

_OPEN: Final = getattr(os, "O_CLOEXEC", 0) | os.O_RDWR


class SoleWriter:
    """Holds the name that a file has while it is incomplete; also of a process that is killed, the hold ends with it.

    Args:
        part: The name.
        shown: How messages show it.

    Raises:
        InvalidQueryError: Another run holds it.
        OSError: The file cannot be made.
    """

    def __init__(self, part: Path, *, shown: Path) -> None:
        self._part = part
        self._descriptor: int | None = None
        if _locks is None:  # pragma: no cover - see above
            return
        self._descriptor = os.open(part, _OPEN | os.O_CREAT, 0o666)
        if not _is_locked(self._descriptor) or not _is_at(self._descriptor, part):
            self.release()
            raise _taken(shown)

    @contextmanager
    def beginning(self) -> Generator[None]:
        """Remove the file, and let others write it, where it cannot even be begun."""
        try:
            yield
        except BaseException:
            self._part.unlink(missing_ok=True)
            self.release()
            raise

    def release(self) -> None:
        """Let others write it; call it when the file has its own name, or is given up."""
        if self._descriptor is not None:  # pragma: no branch - see above
            os.close(self._descriptor)
            self._descriptor = None


def refuse_if_written(part: Path, *, shown: Path) -> None:
    """Check that no other run writes a file.

    Args:
        part: The name that it has while it is incomplete.
        shown: How messages show it.

    Raises:
        InvalidQueryError: One does.
    """
    if _locks is None or not part.is_file():
        return
    with suppress(OSError):  # whoever writes it will be told
        descriptor = os.open(part, _OPEN)
        try:
            free = _is_locked(descriptor)
        finally:
            os.close(descriptor)
        if not free:
            raise _taken(shown)


def _taken(part: Path) -> InvalidQueryError:
    return InvalidQueryError(f"another run is writing {part}: wait until it has ended, or name another file")


def _is_locked(descriptor: int) -> bool:
    """Lock a file, and tell whether that worked; a file system that has no locks hinders nobody."""
    try:
        _locks.flock(descriptor, _locks.LOCK_EX | _locks.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


def _is_at(descriptor: int, part: Path) -> bool:
    """Tell whether a file still has this name: whoever held it may just have finished, and it is theirs."""
    try:
        return os.path.samestat(os.fstat(descriptor), part.stat())
    except FileNotFoundError:
        return False
