"""Typed, vendor-neutral filters. A filter that is left out (``None``) matches everything.

A backend pushes down what its vendor can filter and applies the rest itself: a filter is never dropped. What cannot be
filtered at all is refused before any request.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeAlias, cast

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.models import FirmwareKind, JobId, JobKind, JobStatus, TaskStatus

__all__ = ["DEFAULT_LOCALE", "DeviceTaskQuery", "DeviceUpgradeQuery", "FirmwareQuery", "JobQuery"]

DEFAULT_LOCALE: Final = "default"
"""What queries call the untranslated name, where they name a locale."""

_Validator: TypeAlias = "Callable[[Any, attrs.Attribute[Any], Any], None]"

# Converters only change the shape; what they cannot change they hand on to the validator, which knows the field's name.


def _tuple(value: Iterable[str] | None) -> tuple[str, ...] | None:
    given: Any = value
    is_list = hasattr(given, "__iter__") and not isinstance(given, str)
    try:
        shaped: Any = tuple(dict.fromkeys(given)) if is_list else given
    except TypeError:  # an entry that is not even hashable
        shaped = tuple(given)
    return cast("tuple[str, ...] | None", shaped)


def _utc(value: datetime | None) -> datetime | None:
    try:
        return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value
    except OverflowError as error:
        raise InvalidQueryError(
            f"{value} lies outside the years 1 to 9999 in UTC: give another instant, or leave it out"
        ) from error


def _member(enum: type[StrEnum], value: Any) -> Any:
    return enum(value) if isinstance(value, str) and value in _searchable(enum) else value


def _searchable(enum: type[StrEnum]) -> list[str]:
    """Return the values one can search for: whatever is unknown cannot be."""
    return [member.value for member in enum if member.name != "UNKNOWN"]


def _kinds(value: Iterable[FirmwareKind | str] | None) -> tuple[FirmwareKind, ...] | None:
    texts = _tuple(value)
    return tuple(_member(FirmwareKind, text) for text in texts) if isinstance(texts, tuple) else texts


def _statuses(value: Iterable[TaskStatus | str] | None) -> tuple[TaskStatus, ...] | None:
    texts = _tuple(value)
    return tuple(_member(TaskStatus, text) for text in texts) if isinstance(texts, tuple) else texts


def _job_kind(value: JobKind | str | None) -> JobKind | None:
    kind: JobKind | None = _member(JobKind, value)
    return kind


def _job_status(value: JobStatus | str | None) -> JobStatus | None:
    status: JobStatus | None = _member(JobStatus, value)
    return status


def _valid_texts(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is None:
        return
    if isinstance(value, str):
        raise InvalidQueryError(f"{field.name} is the bare text {value!r}: give a list, such as [{value!r}]")
    if not isinstance(value, tuple):
        raise InvalidQueryError(f"{field.name} is {value!r}: give a list of texts, or leave it out")
    entries: tuple[Any, ...] = value  # pyright: ignore[reportUnknownVariableType]
    if not entries:
        raise InvalidQueryError(
            f"{field.name} is an empty list, which matches nothing: leave it out to match everything"
        )
    for text in entries:
        if not isinstance(text, str) or not text:
            raise InvalidQueryError(
                f"{field.name} holds {text!r}: every entry must be a text that is not empty", names=(field.name,)
            )


def _valid_text(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise InvalidQueryError(
            f"{field.name} is {value!r}: give a text that is not empty, or leave it out", names=(field.name,)
        )


def _valid_flag(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is not None and not isinstance(value, bool):
        raise InvalidQueryError(f"{field.name} is {value!r}: give True or False, or leave it out")


def _valid_instant(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, datetime):
        raise InvalidQueryError(f"{field.name} is {value!r}: give a datetime with a time zone")
    if value.tzinfo is None:
        raise InvalidQueryError(f"{field.name} is {value.isoformat()} without a time zone: add one, such as tzinfo=UTC")


def _valid_member(enum: type[StrEnum]) -> _Validator:
    def validate(_instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
        if value is not None and (not isinstance(value, enum) or value.name == "UNKNOWN"):
            shown = value.value if isinstance(value, enum) else value
            raise InvalidQueryError(f"{field.name} is {shown!r}: it must be one of {', '.join(_searchable(enum))}")

    return validate


def _valid_members(enum: type[StrEnum]) -> _Validator:
    def validate(instance: Any, field: "attrs.Attribute[Any]", value: Any) -> None:
        _valid_texts(instance, field, value)
        for member in value or ():
            _valid_member(enum)(instance, field, member)

    return validate


@attrs.frozen(kw_only=True)
class FirmwareQuery:
    """Which firmware to list."""

    products: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    kinds: tuple[FirmwareKind, ...] | None = attrs.field(
        default=None, converter=_kinds, validator=_valid_members(FirmwareKind)
    )
    version: str | None = attrs.field(default=None, validator=_valid_text)
    """Exactly this version."""
    verified: bool | None = attrs.field(default=None, validator=_valid_flag)
    name_contains: str | None = attrs.field(default=None, validator=_valid_text)
    locale: str | None = attrs.field(default=None, validator=_valid_text)
    """Look for ``name_contains`` in this locale only, such as ``zh_CN``; ``default`` is the untranslated name."""
    owner_id: str | None = attrs.field(default=None, validator=_valid_text)


@attrs.frozen(kw_only=True)
class JobQuery:
    """Which jobs to list."""

    products: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    firmware_ids: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    firmware_versions: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    kind: JobKind | None = attrs.field(default=None, converter=_job_kind, validator=_valid_member(JobKind))
    status: JobStatus | None = attrs.field(default=None, converter=_job_status, validator=_valid_member(JobStatus))
    name_contains: str | None = attrs.field(default=None, validator=_valid_text)
    firmware_name_contains: str | None = attrs.field(default=None, validator=_valid_text)
    locale: str | None = attrs.field(default=None, validator=_valid_text)
    """Look for the names in this locale only, such as ``zh_CN``; ``default`` is the untranslated name."""
    owner_id: str | None = attrs.field(default=None, validator=_valid_text)


@attrs.frozen(kw_only=True)
class DeviceTaskQuery:
    """Which device tasks of a job to list."""

    job_id: JobId = attrs.field(validator=_valid_text)
    devices: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    statuses: tuple[TaskStatus, ...] | None = attrs.field(
        default=None, converter=_statuses, validator=_valid_members(TaskStatus)
    )
    from_versions: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    to_versions: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)


@attrs.frozen(kw_only=True)
class DeviceUpgradeQuery:
    """Which devices to list, with the version that each one runs."""

    products: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    versions: tuple[str, ...] | None = attrs.field(default=None, converter=_tuple, validator=_valid_texts)
    """Firmware versions, exactly as the devices report them."""
    upgrading: bool | None = attrs.field(default=None, validator=_valid_flag)
    resolve_upgrading: bool = attrs.field(default=False, validator=_valid_flag)
    """Find out whether each device is being upgraded even where the vendor needs extra calls for it."""
    registered_after: datetime | None = attrs.field(default=None, converter=_utc, validator=_valid_instant)
    registered_before: datetime | None = attrs.field(default=None, converter=_utc, validator=_valid_instant)
    owner_id: str | None = attrs.field(default=None, validator=_valid_text)

    def __attrs_post_init__(self) -> None:
        if self.registered_after and self.registered_before and self.registered_after >= self.registered_before:
            raise InvalidQueryError(
                f"registered_after {self.registered_after.isoformat()} is not earlier than "
                f"registered_before {self.registered_before.isoformat()}: swap them"
            )
