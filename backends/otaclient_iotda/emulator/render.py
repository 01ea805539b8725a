"""The simulated fleet in the vendor's words: record ids, types and states, and devices as the wire has them.

Every field that the vendor calls optional is now and then missing or null, and some records carry a field that nobody
knows, because a client has to live with that. Which device is how depends on its row alone.

Source: Huawei Cloud IoTDA, "Query the Device List", "Query a Device".
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from otaclient.emulator import FirmwareRecord, Fleet, JobRecord
from otaclient.emulator.devices import ABSENT, CONNECTIONS
from otaclient.models import FirmwareKind, JobStatus, TaskStatus
from otaclient_iotda.emulator.filters import RecordIds, wire_time

__all__ = [
    "CHINESE_NAMES",
    "CHINESE_WORD",
    "DETAIL_STATUS",
    "NODE_TYPES",
    "PACKAGE_TYPE",
    "SITES",
    "TAG_KEY",
    "TASK_STATUS",
    "TASK_TYPE",
    "DeviceRows",
    "app_id",
    "app_ids",
    "detail_record_ids",
    "device_record_ids",
    "firmware_record_ids",
    "job_record_ids",
]

PACKAGE_TYPE: Final = {
    FirmwareKind.FIRMWARE: "firmwarePackage",
    FirmwareKind.SOFTWARE: "softwarePackage",
    FirmwareKind.MODULE: "modulePackage",
}
TASK_TYPE: Final = {
    FirmwareKind.FIRMWARE: "firmwareUpgrade",
    FirmwareKind.SOFTWARE: "softwareUpgrade",
    FirmwareKind.MODULE: "moduleUpgrade",
}
TASK_STATUS: Final = {
    JobStatus.PENDING: "Waitting",
    JobStatus.RUNNING: "Processing",
    JobStatus.STOPPING: "Stopping",
    JobStatus.STOPPED: "Stopped",
    JobStatus.SUCCEEDED: "Success",
    JobStatus.PARTIALLY_SUCCEEDED: "PartialSuccess",
    JobStatus.FAILED: "Fail",
    JobStatus.UNKNOWN: "Initializing",
}
DETAIL_STATUS: Final = {
    TaskStatus.PENDING: "Waitting",
    TaskStatus.PUBLISHED: "Processing",
    TaskStatus.UPGRADING: "Processing",
    TaskStatus.SUCCEEDED: "Success",
    TaskStatus.FAILED: "Fail",
    TaskStatus.RETRYING: "FailWaitRetry",
    TaskStatus.CANCELLED: "Stopped",
    TaskStatus.REMOVED: "Removed",
    TaskStatus.UNKNOWN: "Waitting",
}
# Two resource spaces, which the products belong to in turn.
_APP_IDS: Final = ("61f7e74d036aca5be29e1ed4", "64b1f0a2036aca5be29e1f0b")
_APP_NAMES: Final = ("default", "field")

# The middle 5 bytes of the devices' record ids.
_DEVICE_FIXED: Final = 0x4E4405E852

# Devices come in groups of twenty rows: the first is a gateway with two children, and the second of those has one
# itself.
_GROUP: Final = 20
_FIRST_CHILD: Final = 17
_SECOND_CHILD: Final = 18
_GRANDCHILD: Final = 19

NODE_TYPES: Final = tuple("GATEWAY" if place in {0, _SECOND_CHILD} else "ENDPOINT" for place in range(_GROUP))
"""What a device is, by its row modulo the length."""

CHINESE_WORD: Final = "设备"
CHINESE_NAMES: Final = (False, True, False, False)
"""Whether a device's name begins with the Chinese word, by its row modulo the length."""

TAG_KEY: Final = "site"
"""The key of the one tag that some devices have."""
SITES: Final = tuple(f"hall-{place % 3}" if place % 5 in {0, 4} else None for place in range(35))
"""The value of a device's tag, by its row modulo the length; ``None`` where it has no tag."""

_TARGETS_A_SECOND: Final = 500


def app_id(fleet: Fleet, product_id: str) -> str:
    """Return the resource space that a product of the fleet belongs to."""
    return _APP_IDS[fleet.devices.product_ids.index(product_id) % len(_APP_IDS)]


def app_ids() -> frozenset[str]:
    """Return the resource spaces that exist."""
    return frozenset(_APP_IDS)


# --- record ids ------------------------------------------------------------------------------------------------------


def device_record_ids(fleet: Fleet) -> RecordIds:
    """Return the hidden ids of the devices: they begin with the second of registration."""
    seconds = fleet.devices.registered_at_s
    return RecordIds(value=lambda row: RecordIds.made(seconds[row], _DEVICE_FIXED, row))


def firmware_record_ids(records: Sequence[FirmwareRecord]) -> RecordIds:
    """Return the hidden ids of packages, oldest first: they begin with the second of creation, and no answer has them.

    The identifier of the simulated fleet serves, of which a package's own is made.
    """
    return RecordIds(value=lambda number: int(records[number].firmware_id, 16))


def job_record_ids(jobs: Sequence[JobRecord]) -> RecordIds:
    """Return the record ids of tasks, oldest first. A task's id has the same form, and is taken to be the record id."""
    return RecordIds(value=lambda number: int(jobs[number].job_id, 16))


def detail_record_ids(job: JobRecord) -> RecordIds:
    """Return the hidden ids of a task's details: all made within seconds of the task."""
    fixed = int(hashlib.sha256(job.job_id.encode()).hexdigest()[:10], 16)
    start = job.created_at_s + 1
    return RecordIds(
        value=lambda position: RecordIds.made(start + position // _TARGETS_A_SECOND, fixed, position),
    )


# --- devices ---------------------------------------------------------------------------------------------------------


class DeviceRows:
    """Renders devices, and finds them by what identifies them.

    A row of the list is put together from ready pieces of JSON, because lists are read by the thousand pages.
    """

    def __init__(self, fleet: Fleet, modules: Callable[[int], list[dict[str, str]]]) -> None:
        self._fleet = fleet
        self._devices = fleet.devices
        self.modules = modules
        """Returns the modules that a device has reported, by its row."""
        self._products = [self._product_pieces(index) for index in range(len(fleet.products))]
        self._states: dict[tuple[int, int, int, int], str] = {}

    def device_id(self, row: int) -> str:
        """Return the identifier of a device: its product's, an underscore, and its node id."""
        return f"{self._devices.product_id(row)}_{self._devices.key(row)}"

    def device_name(self, row: int) -> str:
        """Return the name of a device; some names are partly Chinese."""
        key = self._devices.key(row)
        return f"{CHINESE_WORD}{key}" if CHINESE_NAMES[row % len(CHINESE_NAMES)] else key

    def gateway(self, row: int) -> int:
        """Return the row of a device's gateway: itself where it is connected directly."""
        place = row % _GROUP
        if place < _FIRST_CHILD:
            return row
        return row - 1 if place == _GRANDCHILD else row - place

    def children(self, row: int, *, cascade: bool) -> list[int]:
        """Return the rows of a gateway's children, with ``cascade`` their children too; ascending."""
        place = row % _GROUP
        found: list[int] = []
        if place == 0:
            found = [row + _FIRST_CHILD, row + _SECOND_CHILD, *([row + _GRANDCHILD] if cascade else [])]
        elif place == _SECOND_CHILD:
            found = [row + 1]
        return [child for child in found if self._devices.is_listed(child)]

    def row_of_device(self, device_id: str) -> int | None:
        """Return the row of the device with this identifier, or ``None``."""
        product_id, _, node_id = device_id.partition("_")
        return self._devices.row_of_key(node_id, product_id)

    def row_of_node(self, node_id: str) -> int | None:
        """Return the row of the device with this node id, or ``None``."""
        return self._devices.row_of_key(node_id)

    def row_of_name(self, name: str) -> int | None:
        """Return the row of the device with exactly this name, or ``None``."""
        row = self._devices.row_of_key(name.removeprefix(CHINESE_WORD))
        return row if row is not None and self.device_name(row) == name else None

    def json(self, row: int) -> str:
        """Return a device as a row of the list, in JSON."""
        devices = self._devices
        firmware, software = devices.firmware_version_column[row], devices.software_version_column[row]
        state_key = (devices.connection_column[row], firmware, software, row % 2)
        state = self._states.get(state_key)
        if state is None:
            state = self._states[state_key] = self._state_piece(*state_key)
        plain, named, prefix = self._products[devices.product_column[row]]
        node_id = devices.key(row)
        device_id = prefix + node_id
        gateway = self.gateway(row)
        gateway_id = device_id if gateway == row else self.device_id(gateway)
        node_type = NODE_TYPES[row % _GROUP]
        return (
            f'{{"device_id":"{device_id}","node_id":"{node_id}","gateway_id":"{gateway_id}",'
            f'"device_name":"{self.device_name(row)}","node_type":"{node_type}",{named if row % 3 else plain},{state}'
            f"{_ODDITIES[row % len(_ODDITIES)]}}}"
        )

    def detail(self, row: int) -> dict[str, object]:
        """Return a device as the show operation gives it: with its times, modules and secrets."""
        detail: dict[str, object] = msgspec.json.decode(self.json(row))
        registered = self._devices.registered_at_s[row]
        detail["create_time"] = wire_time(registered)
        detail["auth_info"] = {
            "auth_type": "SECRET",
            "secret": f"emulated-secret-{self._devices.serial(row)}",
            "secondary_secret": f"emulated-secret-2-{self._devices.serial(row)}",
            "secure_access": True,
            "timeout": 0,
        }
        detail["extension_info"] = None
        if detail["status"] != "INACTIVE":
            # The vendor's own example has a time with three digits of seconds, such as the first.
            active = "2015-12-12T12:12:122Z" if row % 11 == 4 else f"{_iso_time(registered + 60)}.000Z"
            detail["active_time"] = active
            detail["connection_status_update_time"] = f"{_iso_time(registered + 3600)}.250Z"
            detail["modules"] = self.modules(row)
        return detail

    def _product_pieces(self, index: int) -> tuple[str, str, str]:
        product = self._fleet.products[index]
        fields = {"app_id": _APP_IDS[index % len(_APP_IDS)], "product_id": product.product_id}
        names = {"app_name": _APP_NAMES[index % len(_APP_NAMES)], "product_name": product.name}
        return _fields(fields), _fields({**fields, **names}), f"{product.product_id}_"

    def _state_piece(self, connection: int, firmware_version: int, software_version: int, variant: int) -> str:
        fields: dict[str, object] = {"status": CONNECTIONS[connection].value.upper()}
        for field, index, catalogue in (
            ("fw_version", firmware_version, self._devices.firmware_versions),
            ("sw_version", software_version, self._devices.software_versions),
        ):
            if index != ABSENT:
                fields[field] = catalogue[index]
            elif variant:  # what was never reported is null in one row and missing in the next
                fields[field] = None
        return _fields(fields)


def _fields(fields: Mapping[str, object]) -> str:
    return msgspec.json.encode(fields).decode()[1:-1]


def _iso_time(seconds: int) -> str:
    stamp = wire_time(seconds)
    return f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:11]}:{stamp[11:13]}:{stamp[13:15]}"


def _oddity(place: int) -> str:
    """What distinguishes rows for no reason but to try the client: the piece begins with a comma, or is empty."""
    fields: dict[str, object] = {}
    site = SITES[place]
    if site is not None:
        fields["tags"] = [{"tag_key": TAG_KEY, "tag_value": site}]
    elif place % 5 != 2:
        fields["tags"] = None if place % 5 == 1 else []
    if place % 7 == 3:
        fields["description"] = None
    if place % 7 == 4:
        fields["device_sdk_version"] = "C_v1.2.0"
    if place % 7 == 6:
        fields["emulated_field"] = {"place": place}
    return f",{_fields(fields)}" if fields else ""


_ODDITIES: Final = tuple(_oddity(place) for place in range(len(SITES)))
