"""Asking before what cannot be undone."""

import asyncio
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from otaclient.cli.cells import plain
from otaclient.cli.failures import DeclinedError, UsageError

__all__ = ["check_can_ask", "confirm"]

_YES = frozenset({"y", "yes"})


def check_can_ask(*, yes: bool) -> None:
    """Check that somebody can be asked, or need not be: before any request.

    Raises:
        UsageError: Nobody can, and nobody said yes beforehand.
    """
    if not yes and not _is_terminal():
        raise UsageError("this has to be confirmed, and standard input is no terminal to ask on: give --yes")


async def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless ``yes``, and return only when the answer is yes.

    Raises:
        DeclinedError: The answer is anything else, or there is none.
        KeyboardInterrupt: Ctrl-C instead of an answer.
    """
    if yes:
        return
    check_can_ask(yes=yes)
    with _interruptible():
        sys.stderr.write(f"{plain(question)} [y/N] ")
        sys.stderr.flush()
        answer = _answer()
    if answer.strip().lower() not in _YES:
        raise DeclinedError


def _answer() -> str:
    """Return the line that is typed; what is said next begins a line of its own."""
    answer = ""
    try:
        answer = sys.stdin.readline()
    finally:
        if not answer.endswith("\n"):  # as after Ctrl-C, and at the end of input
            sys.stderr.write("\n")
    return answer


def _is_terminal() -> bool:
    # Without a console, such as under a service, Python has no such stream at all.
    stream: Any = sys.stdin
    return stream is not None and bool(stream.isatty())


@contextmanager
def _interruptible() -> Generator[None]:
    """Let Ctrl-C end a read at once: the event loop's own handler would wait for the read to end first."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise KeyboardInterrupt  # it came just before, and the loop could not act on it yet
        yield
    finally:
        signal.signal(signal.SIGINT, before)
