"""Listings: how a query splits into walks, what the vendor filters and what we do, and how rows become models."""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, Final, Generic, TypeVar

import attrs

from otaclient.errors import InvalidQueryError, OtaError
from otaclient.models import DeviceUpgrade, Firmware, FirmwareKind, Job, JobStatus, LocalizedText
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import PageFacts, PageNumbers, PageWindow, Partition, RawPage, Rows, Window
from otaclient.transport.http import HttpRequest
from otaclient.transport.session import Session
from otaclient_enos import requests
from otaclient_enos.expression import (
    DEVICES,
    FIRMWARE,
    JOBS,
    MAX_IN_VALUES,
    Comparison,
    Grammar,
    batches,
    check_locale,
    render,
)
from otaclient_enos.mapping import JOB_KIND_WORDS, JOB_STATUS_WORDS, device_upgrade_from, firmware_from, job_from
from otaclient_enos.requests import Organisation
from otaclient_enos.responses import page_facts, parse_rows
from otaclient_enos.wire import DeviceFirmware, FirmwareRecord, JobRecord

__all__ = ["EnosReads", "Plan", "concerning", "plan_devices", "plan_firmware", "plan_jobs"]

_T = TypeVar("_T")

PAGING: Final = PageNumbers(largest_page=requests.LARGEST_PAGE_SIZE, default_page=requests.DEFAULT_PAGE_SIZE)


@attrs.frozen(kw_only=True)
class _Listing(Generic[_T]):
    """What one operation lists."""

    operation: str
    build: Callable[..., HttpRequest]
    struct: type[Any]
    model: Callable[..., _T]
    key: Callable[[_T], str]


_FIRMWARE: Final = _Listing[Firmware](
    operation="firmware.search",
    build=requests.search_firmware,
    struct=FirmwareRecord,
    model=firmware_from,
    key=lambda firmware: firmware.firmware_id,
)
_JOBS: Final = _Listing[Job](
    operation="jobs.search",
    build=requests.search_jobs,
    struct=JobRecord,
    model=job_from,
    key=lambda job: job.job_id,
)
_DEVICES: Final = _Listing[DeviceUpgrade](
    operation="devices.search",
    build=requests.search_devices,
    struct=DeviceFirmware,
    model=device_upgrade_from,
    key=lambda device: device.device_id,
)


@attrs.frozen(kw_only=True)
class Plan(Generic[_T]):
    """How a query is answered."""

    listing: _Listing[_T] = attrs.field(repr=False)
    partitions: tuple[Partition, ...]
    pushed_down: str
    filters: Mapping[str, Callable[[_T], bool]]
    """What is applied here, by the name of the query's field."""


class EnosReads(Generic[_T]):
    """The raw reads behind one query; see :class:`otaclient.reads.ReadSource`."""

    def __init__(self, session: Session, organisation: Organisation, plan: Plan[_T]) -> None:
        self._session = session
        self._organisation = organisation
        self._plan = plan
        self._filters = tuple(plan.filters.values())

    @property
    def org_id(self) -> str:
        """The organisation that is asked."""
        return self._organisation.org_id

    @property
    def operation(self) -> str:
        """The public operation."""
        return self._plan.listing.operation

    @property
    def paging(self) -> PageNumbers:
        """Pages by number: any size up to 200, of which the vendor recommends no more than 50."""
        return PAGING

    @property
    def pushed_down(self) -> str:
        """What the vendor filters, as an expression; long lists are counted instead of written out."""
        return self._plan.pushed_down

    @property
    def filtered_here(self) -> tuple[str, ...]:
        """The names of the query's fields that the vendor cannot filter by."""
        return tuple(self._plan.filters)

    def partitions(self) -> Sequence[Partition]:
        """Return the walks that cover the query: one, unless a list is too long for one expression."""
        return self._plan.partitions

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return one page.

        Raises:
            OtaError: See :meth:`otaclient.transport.session.Session.call`.
        """
        response = await self._session.call(self._request(partition, window))
        return RawPage(partition=partition, window=window, response=response)

    def facts(self, raw: RawPage, /) -> PageFacts:
        """Return what the page says about itself, without reading its rows.

        Raises:
            PayloadError: It is not a page at all.
        """
        with concerning(self.operation, self._session.label, attempts=raw.response.attempts):
            return page_facts(self._request(raw.partition, raw.window), raw.response)

    def decode(self, raw: RawPage, /) -> Rows[_T]:
        """Return all rows of the page, and an error for each that is not as documented."""
        label, listing = self._session.label, self._plan.listing
        with concerning(self.operation, label, attempts=raw.response.attempts):
            good, errors = parse_rows(self._request(raw.partition, raw.window), raw.response, listing.struct)
        for error in errors:
            error.during(operation=self.operation, backend=label, attempts=raw.response.attempts)
        return Rows(good=[listing.model(row, backend=label) for row in good], errors=errors)

    def keep(self, row: _T, /) -> bool:
        """Tell whether a row matches what the vendor could not filter."""
        return all(matches(row) for matches in self._filters)

    def key(self, row: _T, /) -> str:
        """Return the row's identifier: firmwareId, jobId or assetId."""
        return self._plan.listing.key(row)

    def _request(self, partition: Partition, window: Window) -> HttpRequest:
        if not isinstance(window, PageWindow):
            raise InvalidQueryError(
                "EnOS pages by number, not by marker: ask with a PageWindow", operation=self.operation
            )
        return self._plan.listing.build(
            self._organisation, expression=partition.filters, number=window.number, size=window.size
        )


@contextmanager
def concerning(operation: str, label: str, *, attempts: int = 0) -> Generator[None]:
    """Let errors raised inside say which operation of which backend they are about, where they do not yet."""
    try:
        yield
    except OtaError as error:
        error.during(operation=operation, backend=label, attempts=attempts)
        raise


# --- query -> plan ---------------------------------------------------------------------------------------------------


def plan_firmware(query: FirmwareQuery) -> Plan[Firmware]:
    """Return how a firmware query is answered.

    Raises:
        InvalidQueryError: EnOS cannot answer it, nor can it be filtered here.
    """
    if query.kinds is not None and FirmwareKind.FIRMWARE not in query.kinds:
        raise InvalidQueryError(f"kinds is {', '.join(query.kinds)}: EnOS has only the kind firmware; leave kinds out")
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
        if len(query.versions) <= MAX_IN_VALUES:
            whole.append(DEVICES.one_of("firmwareVersion", query.versions, filter_name="versions"))
        else:
            versions = frozenset(query.versions)
            filters["versions"] = lambda device: device.firmware_version in versions
    if query.upgrading is not None:
        whole.append(DEVICES.equals("isUpgrading", query.upgrading, filter_name="upgrading"))
    partitions, pushed_down = _partitions(DEVICES, {"productKey": ("products", query.products)}, whole)
    return Plan(listing=_DEVICES, partitions=partitions, pushed_down=pushed_down, filters=filters)


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
            f"status is {status}: EnOS only knows {known} jobs; whether one has ended shows in its tasks"
        )
    return word
