"""From an exception to an exit code and one line for people."""

from enum import IntEnum
from typing import cast

from otaclient.cli.output import plain
from otaclient.errors import ConfigurationError, InvalidQueryError, OtaError, UnsupportedOperationError

__all__ = ["ExitCode", "UsageError", "exit_code", "leaf", "one_line"]


class ExitCode(IntEnum):
    """What the command's exit code says."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """The words of the command line or the settings cannot be right; nothing was sent."""
    UNCERTAIN = 3
    """The scan ran to its end, but could not prove that it missed nothing."""
    INTERRUPTED = 130


class UsageError(Exception):
    """The words of the command line cannot be right; the message says which and why."""


def leaf(error: BaseException) -> BaseException:
    """Return the first error inside an exception group, however deep; any other error as it is."""
    if isinstance(error, BaseExceptionGroup):
        return leaf(cast(BaseExceptionGroup[BaseException], error).exceptions[0])
    return error


def exit_code(error: BaseException) -> ExitCode:
    """Return the exit code for an error."""
    if isinstance(error, UsageError | ConfigurationError | UnsupportedOperationError):
        return ExitCode.USAGE
    if isinstance(error, InvalidQueryError) and error.status is None:
        return ExitCode.USAGE
    return ExitCode.FAILED


def one_line(error: BaseException) -> str:
    """Return what went wrong and what to do, as one line."""
    if isinstance(error, OtaError | UsageError):
        text = str(error)
    elif isinstance(error, OSError):
        text = _os_line(error)
    else:
        text = f"unexpected {type(error).__name__}: {error}; this is a fault of otaclient, please report it"
    return plain(" ".join(text.split()))


def _os_line(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
