"""The options that several commands share, and how their texts become values."""

import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

from cyclopts import Parameter, Token, validators

from otaclient.checks import MOST_AT_ONCE
from otaclient.cli.failures import UsageError
from otaclient.cli.output import Format
from otaclient.transport.retry import RetryPolicy

__all__ = [
    "DEFAULT_ATTEMPTS",
    "ActFor",
    "Attempts",
    "BackendName",
    "BackendNames",
    "Concurrency",
    "FileFormat",
    "FirmwareKindWord",
    "Force",
    "JobKindWord",
    "JobStatusWord",
    "Limit",
    "OutputFormat",
    "Owner",
    "Products",
    "Profile",
    "TaskStatusWord",
    "Wide",
    "Yes",
    "check_seconds",
    "chosen_format",
    "device_list",
    "examples",
    "instant",
    "moved_to_end",
    "pairs",
    "whole_number",
    "without_verbose",
]


def whole_number(_type: Any, tokens: Sequence[Token]) -> int:
    """Return a whole number as it was written: by itself, the command line's parser would round 1.5 to 2.

    Raises:
        ValueError: It is none.
    """
    try:
        return int(tokens[0].value)
    except ValueError:
        raise ValueError(f"{tokens[0].value!r} is no whole number.") from None


BackendName: TypeAlias = Annotated[
    str | None,
    Parameter(name="--backend", help="The backend to ask; without it, the one that has settings."),
]
BackendNames: TypeAlias = Annotated[
    list[str] | None,
    Parameter(
        name="--backend",
        negative="",
        help="A backend; give it several times for several. Without it, all that have settings.",
    ),
]
Profile: TypeAlias = Annotated[
    str | None,
    Parameter(
        name="--profile", help="The profile to take settings from (default: $OTACLIENT_PROFILE, else 'default')."
    ),
]
OutputFormat: TypeAlias = Annotated[
    Format | None,
    Parameter(name="--format", help="How to print (default: table)."),
]
FileFormat: TypeAlias = Annotated[
    Format | None,
    Parameter(name="--format", help="How to print (default: table; with --out, what its ending says)."),
]
# The members of the enumerations that one can look for, as data has them: not "unknown", and with their underscores.
FirmwareKindWord: TypeAlias = Literal["firmware", "software", "module"]
JobKindWord: TypeAlias = Literal["upgrade", "verification"]
JobStatusWord: TypeAlias = Literal[
    "pending", "running", "stopping", "stopped", "succeeded", "partially_succeeded", "failed"
]
TaskStatusWord: TypeAlias = Literal[
    "pending", "published", "upgrading", "succeeded", "failed", "retrying", "cancelled", "removed"
]
Limit: TypeAlias = Annotated[
    int | None,
    Parameter(
        name="--limit",
        converter=whole_number,
        validator=validators.Number(gte=1),
        help="Print this many at most.",
    ),
]
Concurrency: TypeAlias = Annotated[
    int,
    Parameter(
        name="--concurrency",
        converter=whole_number,
        validator=validators.Number(gte=1, lte=MOST_AT_ONCE),
        help="How many pages are read at once.",
    ),
]
DEFAULT_ATTEMPTS: Final = RetryPolicy().max_attempts
MOST_ATTEMPTS: Final = 100
Attempts: TypeAlias = Annotated[
    int,
    Parameter(
        name="--attempts",
        converter=whole_number,
        validator=validators.Number(gte=1, lte=MOST_ATTEMPTS),
        help="How often each request is sent before a vendor that fails is given up, the first time included. The "
        "waits in between grow up to 15 s. A request has 30 s in all, and 15 s more for each attempt beyond "
        f"{DEFAULT_ATTEMPTS}.",
    ),
]
Products: TypeAlias = Annotated[
    list[str] | None, Parameter(name="--product", negative="", help="Only of this product; several times for several.")
]
Owner: TypeAlias = Annotated[
    str | None, Parameter(name="--owner", help="Only of this organisation or resource space, by its identifier.")
]
ActFor: TypeAlias = Annotated[
    str | None,
    Parameter(name="--owner", help="The organisation or resource space to create it in, unless that of the settings."),
]
Yes: TypeAlias = Annotated[
    bool, Parameter(name="--yes", alias="-y", negative="", show_default=False, help="Do not ask.")
]
Wide: TypeAlias = Annotated[
    bool,
    Parameter(
        name="--wide",
        negative="",
        show_default=False,
        help="Print tables with every column, uncut, however narrow the terminal is.",
    ),
]
Force: TypeAlias = Annotated[
    bool, Parameter(name="--force", negative="", show_default=False, help="Replace files that exist.")
]

_GLOBAL = ("--backend", "--profile", "--format")
_VERBOSE = "--verbose"
_SUFFIXES = {".json": Format.JSON, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".csv": Format.CSV}


def check_seconds(_type: Any, seconds: Any) -> None:
    """Refuse a time that is none, for the option that it was given with.

    Raises:
        ValueError: It is zero, negative, infinite, or no number at all.
    """
    if seconds is not None and not 0 < seconds < math.inf:
        raise ValueError("Must be a finite number above 0.")


def examples(*calls: str) -> str:
    """Return the end of a command's help: how one calls it, each as the words after the program's name."""
    return "\n".join([f"Example{'' if len(calls) == 1 else 's'}:", *(f"  otaclient {call}" for call in calls)])


def without_verbose(words: list[str]) -> tuple[list[str], bool]:
    """Return the words without ``--verbose``, wherever it stands, and whether it was there."""
    end = words.index("--") if "--" in words else len(words)
    kept = [word for word in words[:end] if word != _VERBOSE]
    return kept + words[end:], len(kept) < end


def moved_to_end(words: list[str]) -> list[str]:
    """Return the words with global options that stand before the command behind it, where the command reads them."""
    moved: list[str] = []
    rest = list(words)
    while rest and rest[0].partition("=")[0] in _GLOBAL:
        count = 1 if "=" in rest[0] else 2
        moved += rest[:count]
        del rest[:count]
    # Behind a bare "--" everything is a plain word.
    end = rest.index("--") if "--" in rest else len(rest)
    return rest[:end] + moved + rest[end:]


def chosen_format(given: Format | None, out: Path | None) -> Format:
    """Return the format that was asked for, else the one that fits where the data goes."""
    if given is not None:
        return given
    return Format.TABLE if out is None else _SUFFIXES.get(out.suffix.lower(), Format.JSONL)


def instant(text: str | None, *, option: str) -> datetime | None:
    """Return an instant from its ISO 8601 text.

    Raises:
        UsageError: It is no instant, or has no time zone.
    """
    if text is None:
        return None
    try:
        value = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r} is no instant: write it as 2026-01-31T08:00:00Z") from None
    try:
        value.astimezone(UTC)
    except OverflowError:
        raise UsageError(f"{option} {text!r} lies outside the years 1 to 9999 in UTC: give another instant") from None
    if value.tzinfo is None:
        zoned = value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        raise UsageError(
            f"{option} {text!r} has no time zone: write {zoned} for UTC, or end it in an offset such as +08:00"
        )
    return value


def device_list(named: Sequence[str], file: Path | None) -> tuple[str, ...]:
    """Return the devices that were named, and those of a file with one a line; ``-`` is standard input.

    Raises:
        UsageError: There is none, one is named twice, or the file cannot be read.
    """
    devices = [*named, *(() if file is None else _lines(file))]
    if not devices:
        # An empty list must not get through: for some vendors it means all devices of the job.
        raise UsageError("no device is named: give some, or a file that holds some with --devices-file")
    if "" in devices:
        raise UsageError("one of the devices is an empty text: leave it out")
    if len(set(devices)) < len(devices):
        repeated = next(device for device in devices if devices.count(device) > 1)
        raise UsageError(f"the device {repeated!r} is named twice: name each device once")
    return tuple(devices)


def _lines(file: Path) -> list[str]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"--devices-file {file} cannot be read: {error.strerror or error}") from error
    except ValueError as error:
        raise UsageError(f"--devices-file {file} is no text in UTF-8: {error}") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def pairs(texts: Sequence[str], *, option: str) -> dict[str, tuple[str, ...]]:
    """Return each key of ``KEY=VALUE`` texts with the values that were given for it.

    Raises:
        UsageError: One is no such pair.
    """
    found: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not key or not equals:
            raise UsageError(f"{option} {text!r} is no pair: write {option} KEY=VALUE")
        found[key] = (*found.get(key, ()), value)
    return found
