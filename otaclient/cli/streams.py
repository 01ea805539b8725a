"""The standard streams, also where one is closed; and what is laid out by rich, told as other output where it fails."""

import codecs
import errno
import io
import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, NoReturn

from rich.console import Console

from otaclient.cli.sink import explained_output

__all__ = ["OutputConsole", "standard_streams"]

_AS_ESCAPES = "otaclient.escapes"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """Return the escapes for letters that a stream cannot take: those of JSON, which is then still that very JSON."""
    assert isinstance(error, UnicodeEncodeError)
    return json.dumps(error.object[error.start : error.end])[1:-1], error.end


codecs.register_error(_AS_ESCAPES, _escaped)


@contextmanager
def standard_streams() -> Generator[None]:
    """Put something in the place of each standard stream that is closed, for as long as this block runs.

    Python has nothing there at all, as with ``>&-`` in a shell and under some services. Data that nobody can take, or
    give, is an error of the file; what is said to nobody is not.
    """
    before: tuple[Any, Any, Any] = sys.stdin, sys.stdout, sys.stderr
    for name, stream, stands_for in zip(
        ("stdin", "stdout", "stderr"), before, (_Closed, _Closed, _Unheard), strict=True
    ):
        if stream is None:
            setattr(sys, name, stands_for())
        elif isinstance(stream, io.TextIOWrapper) and name != "stdin":
            # A terminal that cannot show a letter gets its escape rather than no output.
            stream.reconfigure(errors=_AS_ESCAPES)
    try:
        yield
    finally:
        sys.stdin, sys.stdout, sys.stderr = before


class OutputConsole(Console):
    """Standard output for what rich lays out, such as help."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Lay something out and write it.

        Raises:
            BrokenPipeError: Whoever reads has seen enough.
            OtaError: Standard output does not take it.
        """
        with explained_output():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> NoReturn:
        """Leave it to the command, which ends well then: rich would exit by itself, as if it had failed."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class _Closed(io.TextIOBase):
    """A stream that was closed: there is nothing in it, and it takes nothing."""

    def read(self, *_size: object) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def write(self, *_text: object) -> NoReturn:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))


class _Unheard(io.TextIOBase):
    """A stream to which nobody listens."""

    def write(self, text: str, /) -> int:
        return len(text)
