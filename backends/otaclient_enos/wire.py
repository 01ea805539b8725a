"""The structs of EnOS as they are on the wire: its names, its optionality, primitives only.

Required is only what a record cannot do without (its identifier, a firmware's version, a job's status): the samples
of different versions of the service leave out, or send as ``null``, nearly everything else. Numbers may come as text.
``raw`` is not the vendor's: it is the object as it arrived, for fields that this library does not know.

Sources: EnOS Connection Service, "V2.1 Get Firmware File", "V2.1 Search Device Upgrade", "V2.1 Get OTA Job", "V2.1
Search OTA Job", "V2.1 Create OTA Job", "V2.1 Search Device Task", "V2.1 Create Firmware File", "V2.1 List Firmware
Version".
"""

from typing import Any, Final

import attrs

from otaclient.structuring import camel_case, keep_raw, wire_converter, wire_name

__all__ = [
    "CONVERTER",
    "CreatedFirmware",
    "CreatedFirmwareAnswer",
    "CreatedJob",
    "CreatedJobAnswer",
    "DeviceFirmware",
    "FirmwareAnswer",
    "FirmwareInfo",
    "JobAnswer",
    "JobInfo",
    "RetryPolicy",
    "SchedulePolicy",
    "StringI18n",
    "TaskInfo",
    "UpgradeScope",
    "VersionsAnswer",
    "keys_of",
]


@attrs.frozen(kw_only=True)
class StringI18n:
    """A name with translations."""

    default_value: str | None = None
    i18n_value: dict[str, str | None] | None = None
    """Text by locale, such as ``zh_CN``."""


@attrs.frozen(kw_only=True)
class FirmwareInfo:
    """A firmware."""

    firmware_id: str
    version: str
    org_id: str | None = None
    product_key: str | None = None
    """Not sent for firmware that is not bound to a product."""
    name: StringI18n | None = None
    desc: str | None = None
    sign_method: str | None = None
    sign: str | None = None
    file_url: str | None = None
    file_size: int | str | None = None
    """Bytes; documented as text, a number in every sample."""
    enable_verification: bool | None = None
    is_verified: bool | None = None
    create_time: int | str | None = None
    """Milliseconds since 1970."""
    firmware_tags: dict[str, str | None] | None = None
    max_allowed_for_verification: int | str | None = None
    min_success_for_verified: int | str | None = None
    raw: Any = attrs.field(factory=dict[str, Any], eq=False, repr=False)


@attrs.frozen(kw_only=True)
class UpgradeScope:
    """Which devices a job reaches."""

    type: str | None = None
    """``total`` or ``partial``."""
    version_numbers: tuple[str, ...] | None = None
    device_keys: tuple[str, ...] | None = None
    # The shapes of these three are known from samples only, and the samples do not agree on all of their names.
    attributes: dict[str, Any] | None = None
    tags: dict[str, Any] | None = None
    asset_trees: tuple[dict[str, Any], ...] | None = None


@attrs.frozen(kw_only=True)
class RetryPolicy:
    """How often a failed device is tried again; known from samples only."""

    enable_retry: bool | None = None
    retry_interval: int | str | None = None
    retry_count: int | str | None = None


@attrs.frozen(kw_only=True)
class SchedulePolicy:
    """When a job may push upgrades; known from samples only."""

    is_repeat_daily: bool | None = None
    start_timestamp: int | str | None = None
    """Milliseconds since 1970."""
    end_timestamp: int | str | None = None
    timezone_offset_in_minutes: int | str | None = None


@attrs.frozen(kw_only=True)
class JobInfo:
    """An upgrade job."""

    job_id: str
    status: str
    """``started`` or ``stopped``."""
    org_id: str | None = None
    product_key: str | None = None
    name: StringI18n | None = None
    firmware_id: str | None = None
    firmware_version: str | None = None
    firmware_name: StringI18n | None = None
    type: str | None = None
    """``upgrade`` or ``verify``."""
    enable_upgrade_request: bool | None = None
    upgrade_policy: str | None = None
    """``snapshot`` or ``incremental``."""
    upgrade_scope: UpgradeScope | None = None
    upgrade_timeout: int | str | None = None
    """Seconds."""
    retry_policy: RetryPolicy | None = None
    schedule_policy: SchedulePolicy | None = None
    maximum_concurrency: int | str | None = None
    create_time: int | str | None = None
    """Milliseconds since 1970."""
    raw: Any = attrs.field(factory=dict[str, Any], eq=False, repr=False)


@attrs.frozen(kw_only=True)
class DeviceFirmware:
    """Which firmware one device runs, and whether it is being upgraded."""

    asset_id: str
    org_id: str | None = None
    product_key: str | None = None
    device_key: str | None = None
    firmware_version: str | None = None
    is_upgrading: bool | None = None


@attrs.frozen(kw_only=True)
class TaskInfo:
    """What one job does on one device. No sample of an answer is published: the fields are those of the table."""

    job_id: str
    asset_id: str
    status: str
    """``init``, ``published``, ``upgrading``, ``succeeded`` or ``failed``."""
    task_id: str | None = None
    org_id: str | None = None
    product_key: str | None = None
    device_key: str | None = None
    from_version: str | None = None
    to_version: str | None = None
    progress: int | str | None = None
    """Percent; below 0, the device's own code of a failure."""
    desc: str | None = None
    """A remark of the service or of the device."""
    update_time: int | str | None = None
    """Milliseconds since 1970."""


@attrs.frozen(kw_only=True)
class CreatedFirmware:
    """What the creation of a firmware comes to."""

    firmware_id: str


@attrs.frozen(kw_only=True)
class CreatedJob:
    """What the creation of a job comes to."""

    job_id: str


@attrs.frozen
class FirmwareAnswer:
    """The envelope around one firmware."""

    data: FirmwareInfo


@attrs.frozen
class JobAnswer:
    """The envelope around one job."""

    data: JobInfo


@attrs.frozen
class CreatedFirmwareAnswer:
    """The envelope around the identifier of a new firmware."""

    data: CreatedFirmware


@attrs.frozen
class CreatedJobAnswer:
    """The envelope around the identifier of a new job."""

    data: CreatedJob


@attrs.frozen
class VersionsAnswer:
    """The envelope around the versions that devices of a product have reported."""

    data: tuple[str, ...] | None = None


CONVERTER: Final = wire_converter(rename=camel_case)
keep_raw(CONVERTER, FirmwareInfo, JobInfo)


def keys_of(struct: type[Any]) -> dict[str, str]:
    """Return the attributes of a wire class by the vendor's keys."""
    return {wire_name(field, camel_case): field.name for field in attrs.fields(struct) if field.name != "raw"}
