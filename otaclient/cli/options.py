"""The options that several commands share, and how their texts become values."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, TypeAlias

from cyclopts import Parameter, validators

from otaclient.cli.failures import UsageError
from otaclient.cli.output import Format

__all__ = [
    "BackendName",
    "BackendNames",
    "Concurrency",
    "Force",
    "Limit",
    "OutputFormat",
    "Owner",
    "Products",
    "Profile",
    "chosen_format",
    "instant",
    "moved_to_end",
]

BackendName: TypeAlias = Annotated[
    str | None,
    Parameter(name="--backend", help="The backend to ask; without it, the one that has settings."),
]
BackendNames: TypeAlias = Annotated[
    list[str] | None,
    Parameter(
        name="--backend",
        negative="",
        help="A backend to scan; give it several times for several. Without it, all that have settings.",
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
    Parameter(name="--format", help="How to print (default: table; with --out, what its ending says, else jsonl)."),
]
Limit: TypeAlias = Annotated[
    int | None, Parameter(name="--limit", validator=validators.Number(gte=1), help="Print this many at most.")
]
Concurrency: TypeAlias = Annotated[
    int, Parameter(name="--concurrency", validator=validators.Number(gte=1), help="How many pages are read at once.")
]
Products: TypeAlias = Annotated[
    list[str] | None, Parameter(name="--product", negative="", help="Only of this product; several times for several.")
]
Owner: TypeAlias = Annotated[
    str | None, Parameter(name="--owner", help="Only of this organisation or resource space, by its identifier.")
]
Force: TypeAlias = Annotated[bool, Parameter(name="--force", negative="", help="Replace files that exist.")]

_GLOBAL = ("--backend", "--profile", "--format")
_SUFFIXES = {".json": Format.JSON, ".jsonl": Format.JSONL, ".ndjson": Format.JSONL, ".csv": Format.CSV}


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
    if value.tzinfo is None:
        zoned = value.replace(tzinfo=UTC).isoformat().replace("+00:00", "Z")
        raise UsageError(
            f"{option} {text!r} has no time zone: write {zoned} for UTC, or end it in an offset such as +08:00"
        )
    return value
