"""How a query is answered: what the vendor filters and what we do, and into which walks it splits. Pure functions.

Sources: Huawei Cloud IoTDA API reference, "Query the OTA Upgrade Package List", "Query the Batch Task List", "Query a
Batch Task", "Query the Device List", "Query the OTA Module List".
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from operator import attrgetter
from typing import Any, Final, Generic, TypeVar

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, FirmwareKind, Job, JobId, JobKind
from otaclient.queries import DEFAULT_LOCALE, DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import Partition, Window
from otaclient.transport.http import HttpRequest
from otaclient_iotda import checks, requests, wire
from otaclient_iotda.mapping import (
    JOB_STATUS_WORDS,
    PACKAGE_TYPE,
    TASK_STATUS_WORDS,
    TASK_TYPE,
    device_task_from,
    device_upgrade_from,
    firmware_from,
    job_from,
    module_from,
)
from otaclient_iotda.records import OtaModule
from otaclient_iotda.requests import Filters
from otaclient_iotda.wire import ListKey

__all__ = [
    "OPEN_DETAIL_STATUSES",
    "OPEN_TASK_STATUSES",
    "Plan",
    "plan_devices",
    "plan_firmware",
    "plan_jobs",
    "plan_modules",
    "plan_open_details",
    "plan_open_jobs",
    "plan_tasks",
]

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class _Listing(Generic[_T]):
    """What one operation lists."""

    operation: str
    list_key: ListKey
    build: Callable[[str, Filters, Window], HttpRequest]
    struct: type[Any]
    model: Callable[..., _T]
    key: Callable[[_T], str]


_FIRMWARE: Final = _Listing[Firmware](
    operation="firmware.search",
    list_key="packages",
    build=requests.list_packages,
    struct=wire.OtaPackage,
    model=firmware_from,
    key=lambda firmware: firmware.firmware_id,
)
_JOBS: Final = _Listing[Job](
    operation="jobs.search",
    list_key="batchtasks",
    build=requests.list_tasks,
    struct=wire.Task,
    model=job_from,
    key=lambda job: job.job_id,
)
_DEVICES: Final = _Listing[DeviceUpgrade](
    operation="devices.search",
    list_key="devices",
    build=requests.list_devices,
    struct=wire.Device,
    model=device_upgrade_from,
    key=attrgetter("device_id"),
)
_MODULES: Final = _Listing[OtaModule](
    operation="modules.search",
    list_key="modules",
    build=requests.list_modules,
    struct=wire.OtaModule,
    model=module_from,
    key=lambda module: module.module_id,
)


def _tasks_of(job_id: JobId) -> _Listing[DeviceTask]:
    return _Listing[DeviceTask](
        operation="jobs.tasks",
        list_key="task_details",
        build=partial(requests.list_task_details, job_id),
        struct=wire.TaskDetail,
        model=partial(device_task_from, job_id=job_id),
        key=lambda task: f"{task.job_id}/{task.device_id}",
    )


OPEN_TASK_STATUSES: Final = ("Initializing", "Waitting", "Processing", "Stopping")
"""In which states a batch task may still upgrade devices, in the order in which it goes through them: read in this
order, a task that goes on meanwhile is seen twice rather than not at all."""

OPEN_DETAIL_STATUSES: Final = ("Waitting", "Processing", "FailWaitRetry")
"""In which states of a target its upgrade has not ended, in the order in which it goes through them."""


@attrs.frozen(kw_only=True)
class Plan(Generic[_T]):
    """How a query is answered."""

    listing: _Listing[_T] = attrs.field(repr=False)
    partitions: tuple[Partition, ...]
    filters: Mapping[str, Callable[[_T], bool]]
    """What is applied here, by the name of the query's field."""

    @property
    def pushed_down(self) -> str:
        """The query parameters of all walks, such as ``package_type=firmwarePackage|softwarePackage, version=V2.0``."""
        return requests.described([partition.filters for partition in self.partitions])


def plan_firmware(query: FirmwareQuery, *, app_id: str | None = None) -> Plan[Firmware]:
    """Return how a firmware query is answered: one walk for each package type and product.

    Args:
        query: What is asked.
        app_id: The resource space, unless the query names one as ``owner_id``.

    Raises:
        InvalidQueryError: IoTDA cannot answer it, nor can it be filtered here.
    """
    if query.verified is not None:
        raise InvalidQueryError("verified is given, but IoTDA knows no verification of firmware: leave it out")
    if query.name_contains is not None:
        raise InvalidQueryError(
            "name_contains is given, but IoTDA's packages have no names: leave it out, or ask for a version"
        )
    if query.locale is not None:
        raise InvalidQueryError("locale is given, but IoTDA's packages have no names: leave it out")
    walks = {
        _label(PACKAGE_TYPE[kind], product): requests.package_filters(
            package_type=PACKAGE_TYPE[kind],
            product_id=product,
            app_id=query.owner_id or app_id,
            version=query.version,
        )
        for kind in query.kinds or (FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE, FirmwareKind.MODULE)
        for product in query.products or (None,)
    }
    return Plan(listing=_FIRMWARE, partitions=_partitions(walks), filters={})


def plan_jobs(query: JobQuery, *, app_id: str | None = None) -> Plan[Job]:
    """Return how a job query is answered: one walk for each type of upgrade task.

    Names are compared without regard to case.

    Args:
        query: What is asked.
        app_id: The resource space, unless the query names one as ``owner_id``.

    Raises:
        InvalidQueryError: IoTDA cannot answer it, nor can it be filtered here.
    """
    _refuse_job_filters(query)
    filters: dict[str, Callable[[Job], bool]] = {}
    if query.firmware_ids is not None:
        wanted = frozenset(query.firmware_ids)
        filters["firmware_ids"] = lambda job: not wanted.isdisjoint(job.firmware_ids)
    if query.name_contains is not None:
        text = query.name_contains.casefold()
        filters["name_contains"] = lambda job: job.name is not None and text in job.name.default.casefold()
    words = JOB_STATUS_WORDS[query.status] if query.status is not None else ()
    if len(words) > 1:
        # The vendor takes one state. A job goes from one to the next: two walks could both miss it.
        filters["status"] = lambda job: job.status is query.status
    walks = {
        task_type: requests.task_filters(
            task_type=task_type, app_id=query.owner_id or app_id, status=words[0] if len(words) == 1 else None
        )
        for task_type in TASK_TYPE.values()
    }
    return Plan(listing=_JOBS, partitions=_partitions(walks), filters=filters)


def _refuse_job_filters(query: JobQuery) -> None:
    if query.products is not None:
        raise InvalidQueryError(
            "products is given, but IoTDA's tasks do not say for which product they are: leave it out, "
            "or give firmware_ids, the packages of these products",
            names=("products", "firmware_ids"),
        )
    if query.firmware_versions is not None:
        raise InvalidQueryError(
            "firmware_versions is given, but IoTDA's tasks name packages, not versions: give firmware_ids instead",
            names=("firmware_versions", "firmware_ids"),
        )
    if query.firmware_name_contains is not None:
        raise InvalidQueryError(
            "firmware_name_contains is given, but IoTDA's packages have no names: give firmware_ids instead",
            names=("firmware_ids",),
        )
    if query.kind not in {None, JobKind.UPGRADE}:
        raise InvalidQueryError(
            f"kind is {str(query.kind)!r}, but all upgrade tasks of IoTDA are of the kind upgrade: leave it out"
        )
    if query.locale is not None and query.name_contains is None:
        raise InvalidQueryError(
            f"locale is {query.locale!r}, but there is nothing to look for in it: add name_contains, or leave it out"
        )
    if query.locale not in {None, DEFAULT_LOCALE}:
        raise InvalidQueryError(
            f"locale is {query.locale!r}, but IoTDA's task names have no translations: leave it out"
        )


def plan_tasks(query: DeviceTaskQuery) -> Plan[DeviceTask]:
    """Return how a query for the device tasks of a job is answered: one walk through the details of its batch task.

    The vendor takes one status and one device. Several statuses are filtered here, because a device goes from one to
    the next: two walks could both miss it. Several devices are filtered here, too.

    Raises:
        InvalidQueryError: IoTDA cannot answer it, nor can it be filtered here.
    """
    checks.TASK_ID.check(query.job_id, "job_id")
    for name in ("from_versions", "to_versions"):
        if getattr(query, name) is not None:
            raise InvalidQueryError(
                f"{name} is given, but IoTDA's task details name no versions: leave it out", names=(name,)
            )
    for device in query.devices or ():
        checks.DEVICE_ID.check(device, "one of devices")
    unknown = [status for status in query.statuses or () if status not in TASK_STATUS_WORDS]
    if unknown:
        known = ", ".join(TASK_STATUS_WORDS)
        raise InvalidQueryError(
            f"statuses holds {', '.join(unknown)}: IoTDA only knows {known}; leave out the others", names=("statuses",)
        )
    filters: dict[str, Callable[[DeviceTask], bool]] = {}
    status = target = None
    if query.statuses is not None:
        statuses = frozenset(query.statuses)
        if len(statuses) == 1:
            status = TASK_STATUS_WORDS[query.statuses[0]]
        else:
            filters["statuses"] = lambda task: task.status in statuses
    if query.devices is not None:
        devices = frozenset(query.devices)
        if len(devices) == 1:
            target = query.devices[0]
        else:
            filters["devices"] = lambda task: task.device_id in devices
    pairs = requests.detail_filters(target=target, status=status)
    return Plan(listing=_tasks_of(query.job_id), partitions=_partitions({"": pairs}), filters=filters)


def plan_modules(*, product_id: str | None = None, app_id: str | None = None) -> Plan[OtaModule]:
    """Return how to list the OTA modules: in one walk.

    Raises:
        InvalidQueryError: A value cannot be one of this vendor's.
    """
    pairs = requests.module_filters(product_id=product_id, app_id=app_id)
    return Plan(listing=_MODULES, partitions=_partitions({"": pairs}), filters={})


def plan_open_jobs(*, app_id: str | None = None) -> Plan[Job]:
    """Return how to find the jobs that may be upgrading devices: one walk for each state and type of upgrade task.

    Raises:
        InvalidQueryError: The resource space cannot be one.
    """
    walks = {
        _label(status, task_type): requests.task_filters(task_type=task_type, app_id=app_id, status=status)
        for status in OPEN_TASK_STATUSES
        for task_type in TASK_TYPE.values()
    }
    return Plan(listing=_JOBS, partitions=_partitions(walks), filters={})


def plan_open_details(job_id: JobId) -> Plan[DeviceTask]:
    """Return how to find the devices that a job has not done with: one walk for each state."""
    walks = {status: requests.detail_filters(status=status) for status in OPEN_DETAIL_STATUSES}
    return Plan(listing=_tasks_of(job_id), partitions=_partitions(walks), filters={})


def plan_devices(query: DeviceUpgradeQuery, *, app_id: str | None = None) -> Plan[DeviceUpgrade]:
    """Return how a device query is answered: one walk for each product asked for, else one.

    The times of registration are widened to whole seconds, see :func:`otaclient_iotda.requests.device_filters`.

    Args:
        query: What is asked.
        app_id: The resource space, unless the query names one as ``owner_id``.

    Raises:
        InvalidQueryError: IoTDA cannot answer it, nor can it be filtered here.
    """
    if query.upgrading is not None and not query.resolve_upgrading:
        raise InvalidQueryError(
            "upgrading is given, but IoTDA's devices do not say whether they are being upgraded: "
            "resolve_upgrading=True is needed to find out",
            names=("resolve_upgrading",),
        )
    filters: dict[str, Callable[[DeviceUpgrade], bool]] = {}
    if query.versions is not None:
        versions = frozenset(query.versions)
        filters["versions"] = lambda device: device.firmware_version in versions
    if query.upgrading is not None:
        filters["upgrading"] = lambda device: device.upgrading is query.upgrading
    partitions = tuple(
        _device_walk(query, product, app_id=query.owner_id or app_id, alone=len(query.products or ()) < 2)
        for product in query.products or (None,)
    )
    return Plan(listing=_DEVICES, partitions=partitions, filters=filters)


def _device_walk(query: DeviceUpgradeQuery, product: str | None, *, app_id: str | None, alone: bool) -> Partition:
    """Return the walk over one product; the vendor can list ranges of registration time, which never changes."""
    label = "" if alone else _label(product)
    own_after, own_before = query.registered_after, query.registered_before

    def registered(after: datetime | None, before: datetime | None) -> Filters:
        return requests.device_filters(
            product_id=product,
            app_id=app_id,
            registered_after=max(filter(None, (after, own_after)), default=None),
            registered_before=min(filter(None, (before, own_before)), default=None),
        )

    return Partition(
        label=label,
        filters=registered(None, None),
        between=lambda after, before: Partition(label=label, filters=registered(after, before)),
        registered=(own_after, own_before),
    )


def _label(*parts: str | None) -> str:
    return " ".join(part for part in parts if part is not None)


def _partitions(walks: Mapping[str, Filters]) -> tuple[Partition, ...]:
    alone = len(walks) == 1
    return tuple(Partition(label="" if alone else label, filters=filters) for label, filters in walks.items())
