"""From an exception to an exit code and one line for people."""

import sys
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from enum import IntEnum
from typing import Any, Final, cast

from otaclient.cli.cells import plain
from otaclient.cli.screen import Tone, has_colours, painted
from otaclient.endpoint import InsecureTransportWarning
from otaclient.errors import (
    ConfigurationError,
    InvalidQueryError,
    OtaError,
    PayloadError,
    RequestNotSentError,
    TransportError,
    UnsupportedOperationError,
)
from otaclient.profiles import ReadableSecretsWarning
from otaclient.registry import available_backends, backend_plugin
from otaclient.settings import settings_of

__all__ = [
    "DeclinedError",
    "ExitCode",
    "UsageError",
    "complaint",
    "exit_code",
    "leaf",
    "one_line",
    "short_warnings",
    "whole_lines",
]

_LONGEST_LINE = 300
_LEAST_VENDOR_WORDS = 80
"""So much of what a vendor says is shown in any case."""
_TAIL = 100
_CUT = "; --verbose shows all"
_OPTIONS: Final[Mapping[str, str]] = {
    "name": "--name",
    "owner_id": "--owner",
    "product_id": "--product",
    "products": "--product",
    "kinds": "--kind",
    "versions": "--version",
    "statuses": "--status",
    "devices": "--device",
    "from_versions": "--from-version",
    "to_versions": "--to-version",
    "source_versions": "--source-version",
    "firmware_ids": "--firmware-id",
    "firmware_versions": "--firmware-version",
    "resolve_upgrading": "--resolve-upgrading",
}
"""The options whose names are not those of the fields that they set, or that are given in another way."""
_whole = ContextVar("whole lines", default=False)


class ExitCode(IntEnum):
    """What the command's exit code says."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    """The words of the command line or the settings cannot be right; nothing was sent."""
    UNCERTAIN = 3
    """The scan ran to its end, but could not prove that it missed nothing."""
    INTERRUPTED = 130
    TERMINATED = 143
    """Told to end by SIGTERM, or because the terminal went away; as after Ctrl-C, what was read so far stays."""


class UsageError(Exception):
    """The words of the command line cannot be right; the message says which and why."""


class DeclinedError(Exception):
    """Somebody was asked whether to go on, and did not say yes."""


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


@contextmanager
def whole_lines(*, wanted: bool) -> Generator[None]:
    """Let :func:`one_line` say all of it for as long as this block runs, where that is wanted."""
    before = _whole.set(wanted)
    try:
        yield
    finally:
        _whole.reset(before)


@contextmanager
def short_warnings() -> Generator[None]:
    """Let what this library warns of be told in one line, as errors are, for as long as this block runs."""
    shown = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int, *rest: Any, **options: Any
    ) -> None:
        if issubclass(category, InsecureTransportWarning | ReadableSecretsWarning):
            head = painted("warning:", Tone.DOUBTFUL) if has_colours(sys.stderr) else "warning:"
            sys.stderr.write(f"{head} {_flat(str(message))}\n")
        else:
            shown(message, category, filename, lineno, *rest, **options)

    # Not `catch_warnings`: it would also forget which filters whoever runs us has set.
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = shown


def complaint(error: BaseException) -> str:
    """Return the line with which a command ends after an error: :func:`one_line`, and where to look closer."""
    may_be_the_settings = isinstance(error, RequestNotSentError | PayloadError)
    return f"{one_line(error)}{'; see what otaclient doctor says' if may_be_the_settings else ''}"


def one_line(error: BaseException) -> str:
    """Return what went wrong and what to do, as one line.

    What others said, such as a vendor, is cut where the line gets long, unless within :func:`whole_lines`; our own
    words, which hold the remedy, are not.
    """
    line = _flat(_text(error))
    if _whole.get() or len(line) <= _LONGEST_LINE:
        return line
    shorter = _with_fewer_vendor_words(line, error)
    if len(shorter) > _LONGEST_LINE and not _is_ours(error):
        tail = min(max(_TAIL, len(_behind_vendor_words(shorter, error))), _LONGEST_LINE)
        head = max(_LONGEST_LINE - tail, _LEAST_VENDOR_WORDS)
        shorter = f"{shorter[:head]} … {shorter[-tail:]}"
    return line if shorter == line else shorter + _CUT


def _in_words_of_the_command(error: BaseException) -> str:
    """Return what the names of the library in a message are called at a terminal, where that differs."""
    names = error.names if isinstance(error, InvalidQueryError) else ()
    words = [(name, _OPTIONS.get(name) or _variable(error, name)) for name in names]
    told = ", ".join(f"{name} is {word}" for name, word in words if word)
    return f"; at a terminal, {told}" if told else ""


def _variable(error: BaseException, name: str) -> str | None:
    """Return the environment variable of a setting, where a backend has one of that name."""
    backend: str | None = getattr(error, "backend", None)
    if backend not in available_backends():
        return None
    plugin = backend_plugin(backend)
    known = {setting.name: setting.variable for setting in settings_of(plugin.name, plugin.config_type)}
    return known.get(name)


def _flat(text: str) -> str:
    return plain(" ".join(text.split()))


def _text(error: BaseException) -> str:
    if isinstance(error, OtaError | UsageError):
        return f"{error}{_in_words_of_the_command(error)}"
    if isinstance(error, DeclinedError):
        return "not confirmed: nothing was done"
    if isinstance(error, OSError):
        return _os_line(error)
    return f"unexpected {type(error).__name__}: {error}; this is a fault of otaclient, please report it"


def _with_fewer_vendor_words(line: str, error: BaseException) -> str:
    """Return the line with the vendor's words cut as far as needed; what follows them, such as a hint, stays."""
    said = _flat(getattr(error, "vendor_message", None) or "")
    said = said if said in line else said[:-1]  # a message drops its full stop where advice follows
    room = max(_LEAST_VENDOR_WORDS, len(said) - (len(line) - _LONGEST_LINE))
    return line.replace(said, f"{said[: room - 1]}…", 1) if len(said) > room else line


def _behind_vendor_words(line: str, error: BaseException) -> str:
    """Return what follows the vendor's words, however they were cut: the remedy, and the facts of the answer."""
    said = _flat(getattr(error, "vendor_message", None) or "")[: _LEAST_VENDOR_WORDS - 1]
    return line.rpartition(said)[2].removeprefix("…") if said else ""


def _is_ours(error: BaseException) -> bool:
    """Tell whether all words of an error are this library's own."""
    if isinstance(error, OtaError):
        return error.status is None and not isinstance(error, PayloadError | TransportError)
    return isinstance(error, UsageError)


def _os_line(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    return f"{error.filename}: {reason}" if error.filename else reason
