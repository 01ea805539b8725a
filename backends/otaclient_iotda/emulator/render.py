"""The simulated fleet in the vendor's words: packages, batch tasks, their details and devices, as the wire has them.

Every field that the vendor calls optional is now and then missing or null, and some records carry a field that nobody
knows, because a client has to live with that. Which record is how depends on its number alone.

Source: Huawei Cloud IoTDA, "Query the OTA Upgrade Package List", "Query the Details of an OTA Upgrade Package",
"Query the Batch Task List", "Query a Batch Task", "Query the Device List", "Query a Device".
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

import msgspec

from otaclient.emulator import FirmwareRecord, Fleet, JobRecord
from otaclient.emulator.devices import ABSENT, CONNECTIONS
from otaclient.emulator.fleet import TASK_STATUSES
from otaclient.models import FirmwareKind, JobStatus, TaskStatus
from otaclient_iotda.emulator.filters import RecordIds, wire_time

__all__ = [
    "BUCKET",
    "DETAIL_STATUS",
    "PACKAGE_TYPE",
    "TASK_STATUS",
    "TASK_TYPE",
    "DeviceRows",
    "app_id",
    "detail_record_ids",
    "device_record_ids",
    "firmware_record_ids",
    "job_record_ids",
    "object_key",
    "package_detail",
    "package_id",
    "package_row",
    "target_progress",
    "task_detail",
    "task_name",
    "task_record",
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
_PROGRESS_FIELD: Final = {
    "Processing": "processing",
    "Success": "success",
    "Fail": "fail",
    "Waitting": "waitting",
    "FailWaitRetry": "fail_wait_retry",
    "Stopped": "stopped",
    "Removed": "removed",
}
_FAILURES: Final = (
    "Device Abnormal is not online",
    "Waiting for the device online timeout",
    "Waiting for report device firmware version timeout",
    "Integrity check failure for new downloaded package",
    "Not enough storage for the new firmware package",
    "Connection lost during downloading process",
    "Firmware update failed",
)
_FAILURE_CODE: Final = "IOTDA.005009"

BUCKET: Final = "emulated-firmware"
"""The bucket of the object storage that the packages' files are said to be in."""

# Two resource spaces, which the products belong to in turn.
_APP_IDS: Final = ("61f7e74d036aca5be29e1ed4", "64b1f0a2036aca5be29e1f0b")
_APP_NAMES: Final = ("default", "field")

# The middle 5 bytes of the record ids of each kind of record.
_DEVICE_FIXED: Final = 0x4E4405E852
_FIRMWARE_FIXED: Final = 0x3C4E4405E8

# Devices come in groups of twenty rows: the first is a gateway with two children, and the second of those has one
# itself.
_GROUP: Final = 20
_FIRST_CHILD: Final = 17
_SECOND_CHILD: Final = 18
_GRANDCHILD: Final = 19

_NO_TASK_NAME = re.compile(r"[^\w]+")
_TARGETS_A_SECOND: Final = 500


def app_id(fleet: Fleet, product_id: str) -> str:
    """Return the resource space that a product of the fleet belongs to."""
    return _APP_IDS[fleet.devices.product_ids.index(product_id) % len(_APP_IDS)]


# --- record ids ------------------------------------------------------------------------------------------------------


def device_record_ids(fleet: Fleet) -> RecordIds:
    """Return the hidden ids of the devices: they begin with the second of registration."""
    seconds = fleet.devices.registered_at_s
    return RecordIds(count=len(seconds), value=lambda row: RecordIds.made(seconds[row], _DEVICE_FIXED, row))


def firmware_record_ids(fleet: Fleet) -> RecordIds:
    """Return the hidden ids of the packages: they begin with the second of creation, and are not the package ids."""
    values = [
        RecordIds.made(record.created_at_s, _FIRMWARE_FIXED, number) for number, record in enumerate(fleet.firmware)
    ]
    return RecordIds(count=len(values), value=values.__getitem__)


def job_record_ids(fleet: Fleet) -> RecordIds:
    """Return the record ids of the tasks. A task's id has the same form, and is taken to be the record id."""
    values = [int(job.job_id, 16) for job in fleet.jobs]
    return RecordIds(count=len(values), value=values.__getitem__)


def detail_record_ids(job: JobRecord) -> RecordIds:
    """Return the hidden ids of a task's details: all made within seconds of the task."""
    fixed = int(hashlib.sha256(job.job_id.encode()).hexdigest()[:10], 16)
    start = job.created_at_s + 1
    return RecordIds(
        count=len(job.targets),
        value=lambda position: RecordIds.made(start + position // _TARGETS_A_SECOND, fixed, position),
    )


# --- packages --------------------------------------------------------------------------------------------------------


def package_id(record: FirmwareRecord) -> str:
    """Return the identifier of a package on the wire: 32 hexadecimal digits, nothing like its record id."""
    return hashlib.md5(f"package/{record.firmware_id}".encode(), usedforsecurity=False).hexdigest()


def object_key(record: FirmwareRecord) -> str:
    """Return where in the bucket the file of a package is."""
    return f"ota/{record.file_name}"


def package_row(fleet: Fleet, number: int) -> dict[str, object]:
    """Return a row of the package list."""
    record = fleet.firmware[number]
    row: dict[str, object] = {
        "package_id": package_id(record),
        "app_id": app_id(fleet, record.product_id),
        "package_type": PACKAGE_TYPE[record.kind],
        "product_id": record.product_id,
        "version": record.version,
        "create_time": wire_time(record.created_at_s),
    }
    product = fleet.product(record.product_id)
    if product is not None and number % 3 == 0:
        row["product_name"] = product.name
    if record.module_name is not None:
        row["module_name"] = record.module_name
    # "Every source version" is said in three ways.
    if record.source_versions or number % 3 == 1:
        row["support_source_versions"] = list(record.source_versions)
    elif number % 3 == 2:
        row["support_source_versions"] = None
    # What a package has no text for is missing in one row and null in the next.
    texts = {"description": record.description, "custom_info": record.custom_info}
    row |= {field: text for field, text in texts.items() if text is not None or number % 2}
    if number % 5 == 3:
        row["emulated_field"] = {"since": number}
    return row


def package_detail(fleet: Fleet, number: int) -> dict[str, object]:
    """Return a package as the show operation gives it: with the place of its file, which no list has."""
    record = fleet.firmware[number]
    location = {
        "region_name": "cn-north-4",
        "bucket_name": BUCKET,
        "object_key": object_key(record),
        "sign": record.sha256,
    }
    if number % 2:
        location["sign_method"] = "SHA256"
    return {**package_row(fleet, number), "file_location": {"obs_location": location}}


# --- batch tasks -----------------------------------------------------------------------------------------------------


def task_name(job: JobRecord) -> str:
    """Return a job's name in the characters that the vendor allows in one."""
    return _NO_TASK_NAME.sub("_", job.name)


def target_progress(job: JobRecord) -> dict[str, int]:
    """Return how many targets of a job are in each state, by the vendor's field names."""
    progress = dict.fromkeys(_PROGRESS_FIELD.values(), 0)
    for index, status in enumerate(TASK_STATUSES):
        progress[_PROGRESS_FIELD[DETAIL_STATUS[status]]] += job.task_states.count(index)
    return progress


def task_record(fleet: Fleet, number: int) -> dict[str, object]:
    """Return a batch task, the same in the list and alone."""
    job = fleet.jobs[number]
    progress = {"total": len(job.targets), **target_progress(job)}
    if number % 4 == 1:
        del progress["removed"]  # as older services answer; it is 0 there
    packages = [package_id(record) for record in map(fleet.firmware_record, job.firmware_ids) if record is not None]
    # The newer documents say `package_ids`, the older ones `package_id`.
    document: dict[str, object] = {"package_id": packages[0]} if number % 3 == 2 else {"package_ids": packages}
    task: dict[str, object] = {
        "task_id": job.job_id,
        "task_name": task_name(job),
        "task_type": TASK_TYPE[job.firmware_kind],
        "document": document,
        "status": TASK_STATUS[job.status],
        "task_progress": progress,
        "create_time": wire_time(job.created_at_s),
    }
    if job.group_ids:
        task["targets_filter"] = {"group_ids": list(job.group_ids)}
    else:
        task["targets"] = [f"{fleet.devices.product_id(row)}_{fleet.devices.key(row)}" for row in job.targets]
    if number % 2:
        task["need_confirm"] = False
    if policy := _task_policy(job):
        task["task_policy"] = policy
    elif number % 3:
        task["task_policy"] = None
    if job.status is JobStatus.FAILED:
        task["status_desc"] = "All subtasks failed."
    if number % 5 == 0:
        task["task_ext_info"] = {"note": "emulated"}
    if number % 6 == 2:
        task["emulated_field"] = [number]
    return task


def _task_policy(job: JobRecord) -> dict[str, object]:
    policy: dict[str, object] = {}
    if job.scheduled_at_ms is not None:
        policy["schedule_time"] = wire_time(job.scheduled_at_ms // 1000)
    if job.retry_count:
        policy |= {"retry_count": job.retry_count, "retry_interval": job.retry_interval_minutes}
    return policy


def task_detail(fleet: Fleet, job: JobRecord, position: int) -> dict[str, object]:
    """Return what a job does on one of its targets."""
    row = job.targets[position]
    status = DETAIL_STATUS[TASK_STATUSES[job.task_states[position]]]
    detail: dict[str, object] = {
        "target": f"{fleet.devices.product_id(row)}_{fleet.devices.key(row)}",
        "status": status,
    }
    if position % 3:
        detail["output"] = "" if position % 3 == 1 else None
    if status in {"Fail", "FailWaitRetry"}:
        text = _FAILURES[position % len(_FAILURES)]
        detail["error"] = {"error_code": _FAILURE_CODE, "error_msg": text}
    return detail


# --- devices ---------------------------------------------------------------------------------------------------------


class DeviceRows:
    """Renders devices, and finds them by what identifies them.

    A row of the list is put together from ready pieces of JSON, because lists are read by the thousand pages.
    """

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._devices = fleet.devices
        self._products = [self._product_pieces(index) for index in range(len(fleet.products))]
        self._states: dict[tuple[int, int, int, int], str] = {}

    def device_id(self, row: int) -> str:
        """Return the identifier of a device: its product's, an underscore, and its node id."""
        return f"{self._devices.product_id(row)}_{self._devices.key(row)}"

    def device_name(self, row: int) -> str:
        """Return the name of a device; some names are partly Chinese."""
        return f"设备{self._devices.key(row)}" if row % 4 == 1 else self._devices.key(row)

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
        return [child for child in found if child < len(self._devices)]

    def row_of_device(self, device_id: str) -> int | None:
        """Return the row of the device with this identifier, or ``None``."""
        product_id, _, node_id = device_id.partition("_")
        return self._devices.row_of_key(node_id, product_id)

    def row_of_node(self, node_id: str) -> int | None:
        """Return the row of the device with this node id, or ``None``."""
        return self._devices.row_of_key(node_id)

    def row_of_name(self, name: str) -> int | None:
        """Return the row of the device with exactly this name, or ``None``."""
        row = self._devices.row_of_key(name.removeprefix("设备"))
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
        node_type = "GATEWAY" if row % _GROUP in {0, _SECOND_CHILD} else "ENDPOINT"
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
            detail["modules"] = [{"module_name": "radio", "module_version": "m1.0"}] if row % 2 else []
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
    if place % 5 != 2:
        tags = [{"tag_key": "site", "tag_value": f"hall-{place % 3}"}]
        fields["tags"] = (tags, None, [], [], tags)[place % 5]
    if place % 7 == 3:
        fields["description"] = None
    if place % 7 == 4:
        fields["device_sdk_version"] = "C_v1.2.0"
    if place % 7 == 6:
        fields["emulated_field"] = {"place": place}
    return f",{_fields(fields)}" if fields else ""


_ODDITIES: Final = tuple(_oddity(place) for place in range(35))
