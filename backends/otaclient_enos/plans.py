"""How a query is answered: what the vendor filters and what we do, and into which walks it splits. Pure functions.

Sources: EnOS Connection Service, "V2.1 Search Firmware", "V2.1 Search OTA Job", "V2.1 Search Device Task", "V2.1 Search
Device Upgrade".
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.models import (
    DeviceTask,
    DeviceUpgrade,
    Firmware,
    FirmwareKind,
    Job,
    JobStatus,
    LocalizedText,
    TaskStatus,
)
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import Partition, Window
from otaclient.transport.http import HttpRequest
from otaclient_enos import requests
from otaclient_enos.checks import checked_text
from otaclient_enos.expression import (
    DEVICES,
    FIRMWARE,
    JOBS,
    MOST_IN_VALUES,
    TASKS,
    Comparison,
    Grammar,
    batches,
    check_locale,
    render,
)
from otaclient_enos.mapping import (
    CANCELLED_REMARK,
    JOB_KIND_WORDS,
    JOB_STATUS_WORDS,
    TASK_STATUS_WORDS,
    device_task_from,
    device_upgrade_from,
    firmware_from,
    job_from,
)
from otaclient_enos.requests import Organisation
from otaclient_enos.wire import DeviceFirmware, FirmwareInfo, JobInfo, TaskInfo

__all__ = ["Plan", "plan_devices", "plan_firmware", "plan_jobs", "plan_tasks"]

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class _Listing(Generic[_T]):
    """What one operation lists."""

    operation: str
    build: Callable[[Organisation, str | None, Window], HttpRequest]
    struct: type[Any]
    model: Callable[..., _T]
    key: Callable[[_T], str]


_FAILED_TO_THE_VENDOR: Final = frozenset({TaskStatus.FAILED, TaskStatus.CANCELLED})
_CANCELLED_ALONE: Final = frozenset({TaskStatus.CANCELLED})

_FIRMWARE: Final = _Listing[Firmware](
    operation="firmware.search",
    build=requests.search_firmware,
    struct=FirmwareInfo,
    model=firmware_from,
    key=lambda firmware: firmware.firmware_id,
)
_JOBS: Final = _Listing[Job](
    operation="jobs.search",
    build=requests.search_jobs,
    struct=JobInfo,
    model=job_from,
    key=lambda job: job.job_id,
)
_DEVICES: Final = _Listing[DeviceUpgrade](
    operation="devices.search",
    build=requests.search_devices,
    struct=DeviceFirmware,
    model=device_upgrade_from,
    key=attrgetter("device_id"),
)
_TASKS: Final = _Listing[DeviceTask](
    operation="jobs.tasks",
    build=requests.search_tasks,
    struct=TaskInfo,
    model=device_task_from,
    # Not the deviceKey, by which jobs name devices: that is unique within one product only.
    key=lambda task: f"{task.job_id}/{task.device_id}",
)


@attrs.frozen(kw_only=True)
class Plan(Generic[_T]):
    """How a query is answered."""

    listing: _Listing[_T] = attrs.field(repr=False)
    partitions: tuple[Partition, ...]
    pushed_down: str
    filters: Mapping[str, Callable[[_T], bool]]
    """What is applied here, by the name of the query's field."""


def plan_firmware(query: FirmwareQuery) -> Plan[Firmware]:
    """Return how a firmware query is answered.

    Raises:
        InvalidQueryError: EnOS cannot answer it, nor can it be filtered here.
    """
    if query.kinds is not None and FirmwareKind.FIRMWARE not in query.kinds:
        raise InvalidQueryError(
            f"kinds is {', '.join(query.kinds)}: EnOS has only the kind firmware; leave kinds out", names=("kinds",)
        )
    _check_locale(query.locale, query.name_contains, names="name_contains")
    filters: dict[str, Callable[[Firmware], bool]] = {}
    whole: list[Comparison] = []
    if query.verified is not None:
        whole.append(FIRMWARE.equals("isVerified", query.verified, filter_name="verified"))
    if query.name_contains is not None:
        if FIRMWARE.knows_locale("name", query.locale):
            whole.append(
                FIRMWARE.contains("name", query.name_contains, locale=query.locale, filter_name="name_contains")
            )
        else:
            named = _named(query.name_contains, query.locale or "")
            filters["name_contains"] = lambda firmware: named(firmware.name)
    if query.version is not None:
        version = query.version
        filters["version"] = lambda firmware: firmware.version == version
    partitions, pushed_down = _partitions(FIRMWARE, {"productKey": ("products", query.products)}, whole)
    return Plan(listing=_FIRMWARE, partitions=partitions, pushed_down=pushed_down, filters=filters)


def plan_jobs(query: JobQuery) -> Plan[Job]:
    """Return how a job query is answered.

    Raises:
        InvalidQueryError: EnOS cannot answer it, nor can it be filtered here.
    """
    _check_locale(
        query.locale, query.name_contains, query.firmware_name_contains, names="name_contains or firmware_name_contains"
    )
    filters: dict[str, Callable[[Job], bool]] = {}
    whole: list[Comparison] = []
    if query.kind is not None:
        whole.append(JOBS.equals("type", JOB_KIND_WORDS[query.kind], filter_name="kind"))
    if query.status is not None:
        whole.append(JOBS.equals("status", _status_word(query.status), filter_name="status"))
    pushes_names = JOBS.knows_locale("name", query.locale)
    if query.name_contains is not None:
        if pushes_names:
            whole.append(JOBS.contains("name", query.name_contains, locale=query.locale, filter_name="name_contains"))
        else:
            job_named = _named(query.name_contains, query.locale or "")
            filters["name_contains"] = lambda job: job_named(job.name)
    if query.firmware_name_contains is not None:
        text, source = query.firmware_name_contains, "firmware_name_contains"
        if pushes_names:
            whole.append(JOBS.contains("firmwareName", text, locale=query.locale, filter_name=source))
        else:
            firmware_named = _named(text, query.locale or "")
            filters[source] = lambda job: firmware_named(job.firmware_name)
    # A job's firmware never changes, and neither does that firmware's version.
    lists = {
        "productKey": ("products", query.products),
        "firmwareId": ("firmware_ids", query.firmware_ids),
        "firmwareVersion": ("firmware_versions", query.firmware_versions),
    }
    partitions, pushed_down = _partitions(JOBS, lists, whole)
    return Plan(listing=_JOBS, partitions=partitions, pushed_down=pushed_down, filters=filters)


def plan_devices(query: DeviceUpgradeQuery) -> Plan[DeviceUpgrade]:
    """Return how a device query is answered; ``resolve_upgrading`` asks for nothing that the rows do not hold anyway.

    Raises:
        InvalidQueryError: EnOS cannot answer it, nor can it be filtered here.
    """
    for name, instant in (
        ("registered_after", query.registered_after),
        ("registered_before", query.registered_before),
    ):
        if instant is not None:
            raise InvalidQueryError(f"{name} is given, but EnOS does not say when a device registered: leave it out")
    filters: dict[str, Callable[[DeviceUpgrade], bool]] = {}
    whole: list[Comparison] = []
    if query.versions is not None:
        # A device's version changes while one reads: walks that are split by it could both miss a device.
        if len(query.versions) <= MOST_IN_VALUES:
            whole.append(DEVICES.one_of("firmwareVersion", query.versions, filter_name="versions"))
        else:
            versions = frozenset(query.versions)
            filters["versions"] = lambda device: device.firmware_version in versions
    if query.upgrading is not None:
        whole.append(DEVICES.equals("isUpgrading", query.upgrading, filter_name="upgrading"))
    partitions, pushed_down = _partitions(DEVICES, {"productKey": ("products", query.products)}, whole)
    return Plan(listing=_DEVICES, partitions=partitions, pushed_down=pushed_down, filters=filters)


def plan_tasks(query: DeviceTaskQuery) -> Plan[DeviceTask]:
    """Return how a task query is answered.

    Raises:
        InvalidQueryError: EnOS cannot answer it, nor can it be filtered here.
    """
    checked_text(query.job_id, name="job_id")
    filters: dict[str, Callable[[DeviceTask], bool]] = {}
    whole: list[Comparison] = [TASKS.equals("jobId", query.job_id, filter_name="job_id")]
    if query.statuses is not None:
        whole += _status_comparisons(query.statuses)
        statuses = frozenset(query.statuses)
        # A cancelled task is a failed one to EnOS, and no expression can say "failed, but not for this reason".
        if len(statuses & _FAILED_TO_THE_VENDOR) == 1 and statuses != _CANCELLED_ALONE:
            filters["statuses"] = lambda task: task.status in statuses
    # A task tried again may set out from another version, so walks are not split by it.
    for field, name, values in (
        ("fromVersion", "from_versions", query.from_versions),
        ("toVersion", "to_versions", query.to_versions),
    ):
        if values is None:
            continue
        if len(values) <= MOST_IN_VALUES:
            whole.append(TASKS.one_of(field, values, filter_name=name))
        else:
            filters[name] = _version_filter(name.removesuffix("s"), frozenset(values))
    partitions, pushed_down = _partitions(TASKS, {"deviceKey": ("devices", query.devices)}, whole)
    return Plan(listing=_TASKS, partitions=partitions, pushed_down=pushed_down, filters=filters)


def _status_comparisons(statuses: Sequence[TaskStatus]) -> list[Comparison]:
    strange = [status for status in statuses if status not in TASK_STATUS_WORDS and status != TaskStatus.CANCELLED]
    if strange:
        known = ", ".join([*TASK_STATUS_WORDS, TaskStatus.CANCELLED])
        raise InvalidQueryError(
            f"statuses holds {', '.join(strange)}: EnOS only knows {known}; leave out the others", names=("statuses",)
        )
    # A task's status changes while one reads: one expression for all of them, never a walk for each.
    failed = TASK_STATUS_WORDS[TaskStatus.FAILED]
    words = tuple(dict.fromkeys(TASK_STATUS_WORDS.get(status, failed) for status in statuses))
    comparisons = [TASKS.one_of("status", words, filter_name="statuses")]
    if frozenset(statuses) == _CANCELLED_ALONE:
        comparisons.append(TASKS.equals("desc", CANCELLED_REMARK, filter_name="statuses"))
    return comparisons


def _version_filter(field: str, versions: frozenset[str]) -> Callable[[DeviceTask], bool]:
    return lambda task: getattr(task, field) in versions


def _partitions(
    grammar: Grammar, lists: Mapping[str, tuple[str, tuple[str, ...] | None]], whole: Sequence[Comparison]
) -> tuple[tuple[Partition, ...], str]:
    """Return the walks, and what they push down in one text.

    Args:
        grammar: What the operation lets one compare.
        lists: The vendor's fields that never change, each with the query's filter and its values.
        whole: What stands in every walk.
    """
    groups = {field: (name, batches(values)) for field, (name, values) in lists.items() if values is not None}
    partitions: list[Partition] = []
    for chosen in product(*(enumerate(parts, 1) for _, parts in groups.values())):
        comparisons: list[Comparison] = []
        places: list[str] = []
        for (field, (name, parts)), (number, values) in zip(groups.items(), chosen, strict=True):
            comparisons.append(grammar.one_of(field, values, filter_name=name))
            if len(parts) > 1:
                places.append(f"{name} {number}/{len(parts)}")
        partitions.append(Partition(label=", ".join(places), filters=render([*comparisons, *whole])))
    if len(partitions) == 1:
        return tuple(partitions), partitions[0].filters or ""
    listed = [f"{field} in ({sum(map(len, parts))} values)" for field, (_, parts) in groups.items()]
    return tuple(partitions), " and ".join([*listed, *filter(None, [render(whole)])])


def _check_locale(locale: str | None, *texts: str | None, names: str) -> None:
    if locale is None:
        return
    check_locale(locale)
    if not any(texts):
        raise InvalidQueryError(f"locale is {locale!r}, but there is nothing to look for in it: add {names}")


def _named(text: str, locale: str) -> Callable[[LocalizedText | None], bool]:
    """Return the condition that a name in this locale contains a text.

    It is EnOS's own: the case does not matter, and the default name stands in for a missing translation.
    """
    wanted = text.casefold()
    return lambda name: name is not None and wanted in name.for_locale(locale).casefold()


def _status_word(status: JobStatus) -> str:
    word = JOB_STATUS_WORDS.get(status)
    if word is None:
        known = " or ".join(JOB_STATUS_WORDS)
        raise InvalidQueryError(
            f"status is {str(status)!r}: EnOS only knows {known} jobs; whether one has ended shows in its tasks"
        )
    return word
