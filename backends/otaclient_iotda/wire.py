"""The structs of IoTDA as they are on the wire: its names, its optionality, primitives only.

The vendor calls every field optional, and any may be null. Only the identifiers are demanded here, and a package's
version, without which there is nothing to speak of. ``raw`` is not the vendor's: it is the object as it arrived, for
fields that this library does not know.

Sources: Huawei Cloud IoTDA API reference, "Query the OTA Upgrade Package List", "Query the Details of an OTA Upgrade
Package", "Query the Batch Task List", "Query a Batch Task", "Query the Device List", "Query a Device", "Create an OTA
Upgrade Package", "Create a Batch Task", "Stop a Batch Task", "Query an OTA Module", "Query Device List Flexibly".
"""

from typing import Any, Final, Literal, TypeAlias

import attrs

from otaclient.structuring import keep_raw, wire_converter

__all__ = [
    "CONVERTER",
    "CountAnswer",
    "CreatedPackage",
    "CreatedTask",
    "Device",
    "FileLocation",
    "ListKey",
    "ObsLocation",
    "OtaModule",
    "OtaPackage",
    "SearchedDevice",
    "TargetResult",
    "TargetsAnswer",
    "TargetsFilter",
    "Task",
    "TaskAnswer",
    "TaskDetail",
    "TaskDocument",
    "TaskError",
    "TaskPolicy",
    "TaskProgress",
    "TokenAnswer",
    "TokenInfo",
]


ListKey: TypeAlias = Literal["packages", "batchtasks", "devices", "modules", "task_details"]
"""Under which name a listing sends its rows."""


@attrs.frozen(kw_only=True)
class ObsLocation:
    """Where a package's file is in the object storage (OBS)."""

    region_name: str | None = None
    bucket_name: str | None = None
    object_key: str | None = None
    sign_method: str | None = None
    """Newer services only; ``SHA256`` where it is missing."""
    sign: str | None = None


@attrs.frozen(kw_only=True)
class FileLocation:
    """Where a package's file is."""

    obs_location: ObsLocation | None = None


@attrs.frozen(kw_only=True)
class OtaPackage:
    """``OtaPackageInfo``: an upgrade package. Lists leave ``file_location`` out."""

    package_id: str
    version: str
    app_id: str | None = None
    package_type: str | None = None
    product_id: str | None = None
    product_name: str | None = None
    """Newer services only."""
    module_name: str | None = None
    """Newer services only."""
    support_source_versions: tuple[str, ...] | None = None
    description: str | None = None
    custom_info: str | None = None
    create_time: str | None = None
    """``yyyyMMdd'T'HHmmss'Z'``."""
    file_location: FileLocation | None = None
    raw: Any = attrs.field(factory=dict[str, Any], eq=False, repr=False)


@attrs.frozen(kw_only=True)
class CreatedPackage:
    """The answer to the creation of a package, of which only the identifier is of interest."""

    package_id: str


@attrs.frozen(kw_only=True)
class OtaModule:
    """An OTA module."""

    module_id: str
    module_name: str
    app_id: str | None = None
    product_id: str | None = None
    product_name: str | None = None
    alias_name: str | None = None
    description: str | None = None
    create_time: str | None = None
    """``yyyyMMdd'T'HHmmss'Z'``."""
    raw: Any = attrs.field(factory=dict[str, Any], eq=False, repr=False)


@attrs.frozen(kw_only=True)
class TargetsFilter:
    """The device groups that a task is for."""

    group_ids: tuple[str, ...] | None = None


@attrs.frozen(kw_only=True)
class TaskDocument:
    """What an upgrade task upgrades to: one package in older services, several in newer ones."""

    package_ids: tuple[str, ...] | None = None
    package_id: str | None = None


@attrs.frozen(kw_only=True)
class TaskPolicy:
    """When a task starts, and how often it tries again."""

    schedule_time: str | None = None
    """``yyyyMMdd'T'HHmmss'Z'``."""
    retry_count: int | None = None
    retry_interval: int | None = None
    """Minutes."""


@attrs.frozen(kw_only=True)
class TaskProgress:
    """How many targets are in which state; the spelling of ``waitting`` is the vendor's."""

    total: int | None = None
    processing: int | None = None
    success: int | None = None
    fail: int | None = None
    waitting: int | None = None
    fail_wait_retry: int | None = None
    stopped: int | None = None
    removed: int | None = None
    """Newer services only."""


@attrs.frozen(kw_only=True)
class Task:
    """``Task``: a batch task."""

    task_id: str
    task_name: str | None = None
    task_type: str | None = None
    task_mode: str | None = None
    need_confirm: bool | None = None
    """Newer services only."""
    task_ext_info: Any = None
    """Handed on to the devices."""
    targets: tuple[str, ...] | None = None
    targets_filter: TargetsFilter | None = None
    document: TaskDocument | None = None
    task_policy: TaskPolicy | None = None
    status: str | None = None
    status_desc: str | None = None
    task_progress: TaskProgress | None = None
    create_time: str | None = None
    """``yyyyMMdd'T'HHmmss'Z'``."""
    raw: Any = attrs.field(factory=dict[str, Any], eq=False, repr=False)


@attrs.frozen(kw_only=True)
class TaskAnswer:
    """The answer to the query of one task, without the page of details that comes with it."""

    batchtask: Task


@attrs.frozen(kw_only=True)
class CreatedTask:
    """The answer to the creation of a batch task, of which only the identifier is of interest."""

    task_id: str


@attrs.frozen(kw_only=True)
class TaskError:
    """Why a task failed on one target."""

    error_code: str | None = None
    error_msg: str | None = None


@attrs.frozen(kw_only=True)
class TaskDetail:
    """What a batch task does on one target: without an id, a time, a version or a percentage."""

    target: str
    status: str | None = None
    output: str | None = None
    error: TaskError | None = None


@attrs.frozen(kw_only=True)
class TargetResult:
    """What became of one target of a stop, retry or confirm."""

    target: str
    status: str | None = None
    """``success`` or ``failure``, in lower case."""
    error_code: str | None = None
    error_msg: str | None = None


@attrs.frozen(kw_only=True)
class TargetsAnswer:
    """The answer to a stop, retry or confirm. Whether one of all targets lists them, the vendor does not say."""

    targets: tuple[TargetResult, ...] | None = None


@attrs.frozen(kw_only=True)
class Device:
    """A device, as a row or alone: the fields that have a place in the model. Its ``auth_info`` holds secrets."""

    device_id: str
    app_id: str | None = None
    node_id: str | None = None
    product_id: str | None = None
    fw_version: str | None = None
    sw_version: str | None = None
    status: str | None = None


@attrs.frozen(kw_only=True)
class SearchedDevice(Device):
    """A device as the flexible search shows it, as far as selected."""

    marker: str | None = None
    """The record id."""
    raw: Any = attrs.field(factory=dict[str, Any], eq=False, repr=False)


@attrs.frozen(kw_only=True)
class CountAnswer:
    """The answer to a flexible search that counts."""

    count: int


@attrs.frozen(kw_only=True)
class TokenInfo:
    """What the identity service (IAM) says about a new token; the token itself is in a header."""

    issued_at: str | None = None
    """``yyyy-MM-ddTHH:mm:ss.ffffffZ``."""
    expires_at: str | None = None
    """``yyyy-MM-ddTHH:mm:ss.ffffffZ``."""


@attrs.frozen(kw_only=True)
class TokenAnswer:
    """The answer to a password login."""

    token: TokenInfo


CONVERTER: Final = wire_converter()
keep_raw(CONVERTER, OtaPackage, OtaModule, SearchedDevice, Task)
