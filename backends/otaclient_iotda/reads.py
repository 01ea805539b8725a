"""Listings: how a query splits into walks, what the vendor filters and what we do, and how rows become models."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, Generic, TypeVar

import attrs

from otaclient.errors import InvalidQueryError, OtaError, UnsupportedOperationError
from otaclient.models import DeviceUpgrade, Firmware, FirmwareKind, Job, JobKind
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import Markers, PageFacts, Partition, RawPage, Rows, Window
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session
from otaclient_iotda import requests, wire
from otaclient_iotda.mapping import (
    JOB_STATUS_WORDS,
    PACKAGE_TYPE,
    TASK_TYPE,
    device_upgrade_from,
    firmware_from,
    job_from,
)
from otaclient_iotda.requests import PAGING, Filters
from otaclient_iotda.responses import ListKey, page_facts, parse_rows

__all__ = ["IotdaReads", "Plan", "concerning", "plan_devices", "plan_firmware", "plan_jobs"]

_T = TypeVar("_T")

# The locale that stands for the name without translation, which is the only one that this vendor has.
_UNTRANSLATED: Final = "default"


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
    key=lambda device: device.device_id,
)


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


class IotdaReads(Generic[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`."""

    def __init__(self, session: Session, project_id: str, plan: Plan[_T]) -> None:
        self._session = session
        self._project_id = project_id
        self._plan = plan
        self._filters = tuple(plan.filters.values())

    @property
    def operation(self) -> str:
        """The public operation."""
        return self._plan.listing.operation

    @property
    def paging(self) -> Markers:
        """Pages below a marker: at most 50 rows, at most 500 skipped."""
        return PAGING

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, as its query parameters; the values of several walks are separated by ``|``."""
        return self._plan.pushed_down

    @property
    def filtered_here(self) -> tuple[str, ...]:
        """The names of the query's fields that the vendor cannot filter by."""
        return tuple(self._plan.filters)

    def partitions(self) -> Sequence[Partition]:
        """Return the walks that cover the query: the vendor wants one for each type, and for each product."""
        return self._plan.partitions

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one page.

        Raises:
            InvalidQueryError: The window is none of this vendor's, such as one with a malformed marker.
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        with concerning(self.operation, self._session.label):
            request = self._request(partition, window)
        response = await self._session.call(request)
        return RawPage(partition=partition, window=window, response=response)

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says about itself, without reading its rows.

        Raises:
            PayloadError: It is not a page at all.
        """
        with concerning(self.operation, self._session.label, attempts=raw.response.attempts):
            request = self._request(raw.partition, raw.window)
            return page_facts(self._plan.listing.list_key, request, raw.response)

    def decode(self, raw: RawPage, /) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented."""
        label, listing, attempts = self._session.label, self._plan.listing, raw.response.attempts
        with concerning(self.operation, label, attempts=attempts):
            request = self._request(raw.partition, raw.window)
            good, errors = parse_rows(listing.list_key, listing.struct, request, raw.response)
        for error in errors:
            error.during(operation=self.operation, backend=label, attempts=attempts)
        return Rows(good=[listing.model(row, backend=label) for row in good], errors=errors)

    def keep(self, row: _T, /) -> bool:
        """Tell whether a row matches what the vendor could not filter."""
        return all(matches(row) for matches in self._filters)

    def key(self, row: _T, /) -> str:
        """Return the row's identifier: package_id, task_id or device_id."""
        return self._plan.listing.key(row)

    def _request(self, partition: Partition, window: Window) -> HttpRequest:
        return self._plan.listing.build(self._project_id, partition.filters, window)


@contextmanager
def concerning(operation: str, label: str, *, attempts: int = 0) -> Generator[None]:
    """Let errors raised inside say which operation of which backend they are about, where they do not yet."""
    try:
        yield
    except OtaError as error:
        error.during(operation=operation, backend=label, attempts=attempts)
        raise


# --- query -> plan ---------------------------------------------------------------------------------------------------


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
            "or give firmware_ids, the packages of these products"
        )
    if query.firmware_versions is not None:
        raise InvalidQueryError(
            "firmware_versions is given, but IoTDA's tasks name packages, not versions: give firmware_ids instead"
        )
    if query.firmware_name_contains is not None:
        raise InvalidQueryError(
            "firmware_name_contains is given, but IoTDA's packages have no names: give firmware_ids instead"
        )
    if query.kind not in {None, JobKind.UPGRADE}:
        raise InvalidQueryError(
            f"kind is {query.kind}, but all upgrade tasks of IoTDA are of the kind upgrade: leave it out"
        )
    if query.locale is not None and query.name_contains is None:
        raise InvalidQueryError(
            f"locale is {query.locale!r}, but there is nothing to look for in it: add name_contains, or leave it out"
        )
    if query.locale not in {None, _UNTRANSLATED}:
        raise InvalidQueryError(
            f"locale is {query.locale!r}, but IoTDA's task names have no translations: leave it out"
        )


def plan_devices(query: DeviceUpgradeQuery, *, app_id: str | None = None) -> Plan[DeviceUpgrade]:
    """Return how a device query is answered: one walk for each product asked for, else one.

    The times of registration are widened to whole seconds, see :func:`otaclient_iotda.requests.device_filters`.

    Args:
        query: What is asked.
        app_id: The resource space, unless the query names one as ``owner_id``.

    Raises:
        InvalidQueryError: IoTDA cannot answer it, nor can it be filtered here.
        UnsupportedOperationError: It asks for what needs the tasks of all open jobs.
    """
    if query.resolve_upgrading:
        raise UnsupportedOperationError(
            "resolve_upgrading is given, but finding out from the open tasks which devices are being upgraded "
            "is not part of this version: leave it out"
        )
    if query.upgrading is not None:
        raise InvalidQueryError(
            "upgrading is given, but IoTDA's devices do not say whether they are being upgraded: "
            "resolve_upgrading=True is needed to find out"
        )
    filters: dict[str, Callable[[DeviceUpgrade], bool]] = {}
    if query.versions is not None:
        versions = frozenset(query.versions)
        filters["versions"] = lambda device: device.firmware_version in versions
    walks = {
        _label(product): requests.device_filters(
            product_id=product,
            app_id=query.owner_id or app_id,
            registered_after=query.registered_after,
            registered_before=query.registered_before,
        )
        for product in query.products or (None,)
    }
    return Plan(listing=_DEVICES, partitions=_partitions(walks), filters=filters)


def _label(*parts: str | None) -> str:
    return " ".join(part for part in parts if part is not None)


def _partitions(walks: Mapping[str, Filters]) -> tuple[Partition, ...]:
    alone = len(walks) == 1
    return tuple(Partition(label="" if alone else label, filters=filters) for label, filters in walks.items())
