"""Which records of the fleet a checked query means: numbers in ascending order, ready to be cut into pages."""

from collections.abc import Sequence

from otaclient.emulator import Fleet, JobRecord
from otaclient.emulator.fleet import TASK_STATUSES
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.filters import DetailFilter, DeviceFilter, PackageFilter, RecordIds, TaskFilter

__all__ = ["device_rows", "packages", "positions", "rows_registered", "tasks"]


def packages(fleet: Fleet, wanted: PackageFilter) -> list[int]:
    """Return the numbers of the packages that a query means."""
    return [
        number
        for number, record in enumerate(fleet.firmware)
        if render.PACKAGE_TYPE[record.kind] == wanted.package_type
        and wanted.product_id in {None, record.product_id}
        and wanted.version in {None, record.version}
        and wanted.app_id in {None, render.app_id(fleet, record.product_id)}
    ]


def tasks(fleet: Fleet, wanted: TaskFilter) -> list[int]:
    """Return the numbers of the batch tasks that a query means."""
    return [
        number
        for number, job in enumerate(fleet.jobs)
        if render.TASK_TYPE[job.firmware_kind] == wanted.task_type
        and wanted.status in {None, render.TASK_STATUS[job.status]}
        and wanted.app_id in {None, render.app_id(fleet, job.product_id)}
    ]


def positions(devices: render.DeviceRows, job: JobRecord, wanted: DetailFilter) -> Sequence[int]:
    """Return the places among a job's targets that a query for its details means."""
    states = {
        index for index, status in enumerate(TASK_STATUSES) if wanted.status in {None, render.DETAIL_STATUS[status]}
    }
    if wanted.target is not None:
        row = devices.row_of_device(wanted.target)
        if row is None or row not in job.targets:
            return []
        position = job.targets.index(row)
        return [position] if job.task_states[position] in states else []
    everything = range(len(job.targets))
    return everything if wanted.status is None else [at for at in everything if job.task_states[at] in states]


def rows_registered(ids: RecordIds, wanted: DeviceFilter, *, inclusive: bool) -> tuple[int | None, int | None]:
    """Return the first row inside the range of time that a query names, and the first above it; ``None`` is open."""
    first = stop = None
    if wanted.start_time is not None:
        first = ids.below(RecordIds.made(wanted.start_time + (not inclusive), 0, 0))
    if wanted.end_time is not None:
        stop = ids.below(RecordIds.made(wanted.end_time + inclusive, 0, 0))
    return first, stop


def device_rows(fleet: Fleet, devices: render.DeviceRows, wanted: DeviceFilter) -> Sequence[int]:
    """Return the rows that a query means, apart from its range of time.

    Named devices are looked up; the rest is one selection, which the device table keeps.
    """
    table = fleet.devices
    products = [
        product_id
        for product_id in table.product_ids
        if wanted.product_id in {None, product_id} and wanted.app_id in {None, render.app_id(fleet, product_id)}
    ]
    named = _named_rows(devices, wanted)
    if named is not None:
        return [row for row in named if table.product_id(row) in products]
    return table.matching() if len(products) == len(table.product_ids) else table.matching(table.of_products(products))


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
