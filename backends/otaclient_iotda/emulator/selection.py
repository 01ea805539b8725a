"""Which records of the fleet a checked query means: numbers in ascending order, ready to be cut into pages."""

from collections.abc import Sequence

from otaclient.emulator import FirmwareRecord, Fleet, JobRecord
from otaclient.emulator.records import TASK_STATUSES
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.filters import DetailFilter, DeviceFilter, PackageFilter, RecordIds, TaskFilter

__all__ = ["DeviceSelection", "ids_registered", "packages", "positions", "tasks"]


def packages(fleet: Fleet, records: Sequence[FirmwareRecord], wanted: PackageFilter) -> list[int]:
    """Return the numbers of the packages that a query means."""
    return [
        number
        for number, record in enumerate(records)
        if render.PACKAGE_TYPE[record.kind] == wanted.package_type
        and wanted.product_id in {None, record.product_id}
        and wanted.version in {None, record.version}
        and wanted.app_id in {None, render.app_id(fleet, record.product_id)}
    ]


def tasks(fleet: Fleet, jobs: Sequence[JobRecord], wanted: TaskFilter) -> list[int]:
    """Return the numbers of the batch tasks that a query means, whatever their status."""
    return [
        number
        for number, job in enumerate(jobs)
        if render.TASK_TYPE[job.firmware_kind] == wanted.task_type
        and wanted.app_id in {None, render.app_id(fleet, job.product_id)}
    ]


def positions(devices: render.DeviceRows, job: JobRecord, wanted: DetailFilter) -> Sequence[int]:
    """Return the places among a job's targets that a query for its details means."""
    states = {
        index for index, status in enumerate(TASK_STATUSES) if wanted.status in {None, render.DETAIL_STATUS[status]}
    }
    if wanted.target is not None:
        row = devices.row_of_device(wanted.target)
        position = None if row is None else job.position_of(row)
        return [] if position is None or job.task_states[position] not in states else [position]
    everything = range(len(job.targets))
    return everything if wanted.status is None else [at for at in everything if job.task_states[at] in states]


def ids_registered(wanted: DeviceFilter, *, inclusive: bool) -> tuple[int | None, int | None]:
    """Return the lowest id inside the range of time that a query names, and the lowest above it; ``None`` is open."""
    first = stop = None
    if wanted.start_time is not None:
        first = RecordIds.made(wanted.start_time + (not inclusive), 0, 0)
    if wanted.end_time is not None:
        stop = RecordIds.made(wanted.end_time + inclusive, 0, 0)
    return first, stop


class DeviceSelection:
    """Finds the devices that queries mean.

    Named devices are looked up. The rest depends on products alone, which never change, so it is selected once for as
    long as no device comes or goes: the device table forgets its selections with every device that a job upgrades.
    """

    def __init__(self, fleet: Fleet, devices: render.DeviceRows) -> None:
        self._fleet = fleet
        self._devices = devices
        self._of_products: dict[tuple[str, ...], Sequence[int]] = {}
        self._listing_revision = fleet.devices.listing_revision

    def rows(self, wanted: DeviceFilter) -> Sequence[int]:
        """Return the rows that a query means, apart from its range of time; in order of registration."""
        table = self._fleet.devices
        if self._listing_revision != table.listing_revision:
            self._listing_revision = table.listing_revision
            self._of_products.clear()
        products = tuple(
            product_id
            for product_id in table.product_ids
            if wanted.product_id in {None, product_id}
            and wanted.app_id in {None, render.app_id(self._fleet, product_id)}
        )
        named = _named_rows(self._devices, wanted)
        if named is not None:
            of_products = [row for row in named if table.product_id(row) in products]
            return sorted(of_products, key=lambda row: (table.registered_at_s[row], row))
        if len(products) == len(table.product_ids):
            return table.matching()
        if products not in self._of_products:
            self._of_products[products] = table.matching(table.of_products(products))
        return self._of_products[products]


def _named_rows(devices: render.DeviceRows, wanted: DeviceFilter) -> list[int] | None:
    """The rows that a query's node id, name and gateway leave; ``None`` where it names none of them."""
    candidates: list[Sequence[int | None]] = []
    if wanted.node_id is not None:
        candidates.append([devices.row_of_node(wanted.node_id)])
    if wanted.device_name is not None:
        candidates.append([devices.row_of_name(wanted.device_name)])
    if wanted.gateway_id is not None:
        gateway = devices.row_of_device(wanted.gateway_id)
        candidates.append([] if gateway is None else devices.children(gateway, cascade=wanted.cascade))
    if not candidates:
        return None
    first, *others = candidates
    return [row for row in first if row is not None and all(row in other for other in others)]
