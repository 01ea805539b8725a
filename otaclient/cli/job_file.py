"""A new job from a file: TOML or JSON under the models' own field names, every value checked by name and type.

What is read stays a tree of fields, so that options can still replace parts of it; :func:`new_job` makes the job.
"""

import json
import sys
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeAlias, TypeGuard

from otaclient.cli.failures import UsageError
from otaclient.cli.options import instant
from otaclient.models import (
    FirmwareId,
    FrozenMap,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    LocalizedText,
    NewJob,
    PolicyMode,
    RetrySchedule,
)

__all__ = ["JOB_FIELDS", "Fields", "merged", "new_job", "read_job_file"]

Fields: TypeAlias = dict[str, Any]
"""Field names to values; a nested record is fields again."""
_Reader: TypeAlias = Callable[[Any, str], Any]
"""Takes a value of the file and where it stands, and returns the field's value."""


def read_job_file(path: Path) -> Fields:
    """Return the fields of a job that a file gives; the file ``-`` is TOML on standard input.

    Raises:
        UsageError: It cannot be read, or a field is unknown or of the wrong type; names the field and the rule.
    """
    if path.suffix.lower() not in {".toml", ".json"} and str(path) != "-":
        raise UsageError(f"--file {path}: give a file that ends in .toml or .json, or - for TOML on standard input")
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
        document = _from_json(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except OSError as error:
        raise UsageError(f"--file {path} cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"--file {path} is not UTF-8: save it as UTF-8") from error
    except ValueError as error:
        raise UsageError(f"--file {path} is not valid {path.suffix[1:].upper() or 'TOML'}: {error}") from error
    except RecursionError:
        raise UsageError(f"--file {path} is nested too deeply for a job") from None
    fields: Fields = _table(JOB_FIELDS)(document, f"--file {path}")
    return fields


def merged(below: Fields, above: Fields) -> Fields:
    """Return the fields of both; of a field in both, the upper one. Nested records are merged field by field."""
    return {
        **below,
        **{
            name: merged(below[name], value) if _is_table(value) and name in below else value
            for name, value in above.items()
        },
    }


def new_job(fields: Fields) -> NewJob:
    """Return the job that the fields describe.

    Raises:
        UsageError: Something is missing that every job has; names it and how to give it.
    """
    for name, option in (("name", "--name"), ("firmware_ids", "--firmware-id")):
        if name not in fields:
            raise UsageError(f"the job has no {name}: give {option}, or {name} in a file with --file")
    scope = JobScope(**fields.get("scope", {}))
    reached = (scope.devices, scope.groups, scope.tags, scope.attributes, scope.asset_trees)
    if not scope.everything and not any(reached):
        raise UsageError(
            "the job has no targets: give --device, --devices-file, --group, --tag or --attribute, or --everything for "
            "all devices of the firmware's product (with --source-version: all that have it)"
        )
    policy: Fields = dict(fields.get("policy", {}))
    if "retry" in policy:
        if "count" not in policy["retry"]:
            raise UsageError("policy.retry has no count: give --retry-count, or count in the file")
        policy["retry"] = RetrySchedule(**policy["retry"])
    if "schedule" in policy:
        policy["schedule"] = JobSchedule(**policy["schedule"])
    whole: Fields = {**fields, "scope": scope, "policy": JobPolicy(**policy)}
    return NewJob(**whole)


# --- documents -------------------------------------------------------------------------------------------------------


def _from_json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_distinct, parse_constant=_refused_number)


def _distinct(pairs: list[tuple[str, Any]]) -> Fields:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        repeated = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {repeated!r} is there twice")
    return found


def _refused_number(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


# --- values ----------------------------------------------------------------------------------------------------------


def _table(known: Mapping[str, _Reader]) -> _Reader:
    def read(value: Any, where: str) -> Fields:
        if not _is_table(value):
            raise UsageError(f"{where} is {_kind(value)}: give a table with any of {', '.join(known)}")
        unknown = [name for name in value if name not in known]
        if unknown:
            raise UsageError(f"{where} has the unknown field {unknown[0]!r}; known fields: {', '.join(known)}")
        return {name: known[name](inner, _below(where, name)) for name, inner in value.items()}

    return read


def _below(where: str, name: str) -> str:
    # The file's own name ends in a colon, the fields inside it are joined by dots.
    return f"{where}.{name}" if ": " in where else f"{where}: {name}"


def _exactly(wanted: type, words: str) -> _Reader:
    def read(value: Any, where: str) -> Any:
        # ``True`` is an int for Python, but no number for people.
        if type(value) is not wanted:
            raise UsageError(f"{where} is {_kind(value)}: give {words}")
        return value

    return read


_text = _exactly(str, "a text")
_flag = _exactly(bool, "true or false")
_count = _exactly(int, "a whole number")


def _texts(value: Any, where: str) -> tuple[str, ...]:
    return tuple(_text(entry, f"{where}[{number}]") for number, entry in enumerate(_list(value, where)))


def _list(value: Any, where: str) -> Sequence[Any]:
    if not _is_list(value):
        raise UsageError(f"{where} is {_kind(value)}: give a list")
    return value


def _member(enum: type[StrEnum]) -> _Reader:
    known = [member.value for member in enum if member.name != "UNKNOWN"]

    def read(value: Any, where: str) -> StrEnum:
        if value not in known:
            raise UsageError(f"{where} is {_kind(value)}: give one of {', '.join(known)}")
        return enum(value)

    return read


def _instant(value: Any, where: str) -> datetime | None:
    if not isinstance(value, str | datetime):
        raise UsageError(f"{where} is {_kind(value)}: give an instant such as 2026-01-31T08:00:00Z")
    return instant(value if isinstance(value, str) else value.isoformat(), option=where)


def _localized(value: Any, where: str) -> LocalizedText:
    if isinstance(value, str):
        return LocalizedText(default=value)
    if not _is_table(value):
        raise UsageError(f"{where} is {_kind(value)}: give a text, or a table with default and translations")
    fields = _table({"default": _text, "translations": _mapping(_text)})(value, where)
    if "default" not in fields:
        raise UsageError(f"{where} has no default: give the text for locales without a translation")
    return LocalizedText(**fields)


def _mapping(reader: _Reader) -> _Reader:
    def read(value: Any, where: str) -> FrozenMap:
        if not _is_table(value):
            raise UsageError(f"{where} is {_kind(value)}: give a table")
        return FrozenMap({name: reader(inner, f"{where}.{name}") for name, inner in value.items()})

    return read


def _accepted(value: Any, where: str) -> tuple[Any, ...]:
    return tuple(_scalar(entry, f"{where}[{number}]") for number, entry in enumerate(_list(value, where)))


def _scalar(value: Any, where: str) -> Any:
    if not isinstance(value, str | bool | int | float):
        raise UsageError(f"{where} is {_kind(value)}: give a text, a number, or true or false")
    return value


def _trees(value: Any, where: str) -> tuple[FrozenMap, ...]:
    # What is in a tree differs from vendor to vendor: a backend checks it.
    tree = _mapping(lambda inner, where: tuple(_list(inner, where)) if _is_list(inner) else inner)
    return tuple(tree(entry, f"{where}[{number}]") for number, entry in enumerate(_list(value, where)))


def _is_table(value: object) -> TypeGuard[dict[str, Any]]:
    return isinstance(value, dict)


def _is_list(value: object) -> TypeGuard[list[Any]]:
    return isinstance(value, list)


def _kind(value: Any) -> str:
    """Return a value in words, short enough for a line."""
    if value is None:
        return "null"
    if _is_table(value) or _is_list(value):
        return "a list" if _is_list(value) else "a table"
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


_SCOPE: Mapping[str, _Reader] = {
    "devices": _texts,
    "source_versions": _texts,
    "groups": _texts,
    "tags": _mapping(_texts),
    "attributes": _mapping(_accepted),
    "asset_trees": _trees,
    "everything": _flag,
}
_POLICY: Mapping[str, _Reader] = {
    "mode": _member(PolicyMode),
    "timeout_seconds": _count,
    "max_concurrency": _count,
    "retry": _table({"count": _count, "interval_minutes": _count, "enabled": _flag}),
    "schedule": _table(
        {"start_at": _instant, "end_at": _instant, "repeats_daily": _flag, "utc_offset_minutes": _count}
    ),
    "device_may_request": _flag,
}
JOB_FIELDS: Mapping[str, _Reader] = {
    "name": _localized,
    "firmware_ids": lambda value, where: tuple(FirmwareId(text) for text in _texts(value, where)),
    "kind": _member(JobKind),
    "scope": _table(_SCOPE),
    "policy": _table(_POLICY),
    "hold": _flag,
}
"""The fields that a file may have. That a job waits is said once, by its own ``hold``, not again in its policy."""
