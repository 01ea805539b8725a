"""What a caller asks to list: query parameters to checked filters, and pages cut by hidden record ids.

Every list of the service is ordered by a record id of 24 hexadecimal digits, newest first. The emulated ids have the
form that the vendor's samples suggest: 4 bytes of Unix time, 5 bytes that are the same for one kind of record, 3
bytes that count. A page is a few binary searches and a slice, wherever in the list it lies.

Source: Huawei Cloud IoTDA, "Query the OTA Upgrade Package List", "Query the Batch Task List", "Query a Batch
Task", "Query the Device List".
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final
from urllib.parse import unquote

import attrs

__all__ = [
    "DetailFilter",
    "DeviceFilter",
    "ErrorCode",
    "ModuleFilter",
    "PackageFilter",
    "ParameterError",
    "RecordIds",
    "Slice",
    "TaskFilter",
    "Window",
    "cut",
    "detail_filter",
    "device_filter",
    "module_filter",
    "package_filter",
    "query_parameters",
    "task_filter",
    "wire_time",
]

LARGEST_LIMIT: Final = 50
DEFAULT_LIMIT: Final = 10
LARGEST_OFFSET: Final = 500
CEILING: Final = (1 << 96) - 1
"""The marker that stands for "from the newest record": 24 times ``f``."""

PACKAGE_TYPES: Final = ("softwarePackage", "firmwarePackage", "modulePackage")
UPGRADE_TASK_TYPES: Final = ("softwareUpgrade", "firmwareUpgrade", "moduleUpgrade")
OTHER_TASK_TYPES: Final = (
    "createDevices",
    "updateDevices",
    "deleteDevices",
    "freezeDevices",
    "unfreezeDevices",
    "createCommands",
    "createAsyncCommands",
    "createMessages",
    "updateDeviceShadows",
    "changeGateway",
)
TASK_STATUSES: Final = (
    "Initializing",
    "Waitting",
    "Processing",
    "Success",
    "Fail",
    "PartialSuccess",
    "Stopped",
    "Stopping",
)
DETAIL_STATUSES: Final = ("Success", "Fail", "Processing", "FailWaitRetry", "Stopped", "Waitting", "Removed")

_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"

_ID_36 = re.compile(r"[A-Za-z0-9_-]{1,36}")
_ID_128 = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NODE_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VERSION = re.compile(r"[A-Za-z0-9_.-]{1,256}")
# The vendor names Chinese, letters, digits and these signs; every letter of any script passes here.
_DEVICE_NAME = re.compile(r"[\w?'#().,&%@!-]{1,256}")
_MARKER = re.compile(r"[0-9a-fA-F]{24}")
# Out of range is what is too large for any range, too; longer numbers Python itself does not read.
_INTEGER = re.compile(r"-?[0-9]{1,4000}")
_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")


class ErrorCode:
    """The service's codes for a wrong parameter, with its messages."""

    INVALID_INPUT: Final = ("IOTDA.000006", "Invalid input data.")
    INVALID_FORMAT: Final = ("IOTDA.000008", "Invalid request format.")
    INVALID_TIME: Final = ("IOTDA.000009", "Invalid time format.")
    TIME_ORDER: Final = ("IOTDA.000010", "Invalid input. The start time must be earlier than the end time.")
    LIMIT_RANGE: Final = ("IOTDA.000017", "Invalid input. The specified parameter 'limit' is out of range.")
    MARKER_RANGE: Final = ("IOTDA.000018", "Invalid input. The specified parameter 'marker' is out of range.")
    # The vendor's code for an offset out of range is not known; this one is our choice.
    OFFSET_RANGE: Final = INVALID_INPUT


class ParameterError(Exception):
    """A parameter that the service refuses with status 400."""

    def __init__(self, code: tuple[str, str], detail: str = "") -> None:
        self.code, message = code
        # What follows the vendor's sentence is ours: which parameter, and why.
        self.message = f"{message} {detail}" if detail else message
        super().__init__(self.message)


@attrs.frozen(kw_only=True)
class Window:
    """Which records of a list: at most ``limit``, after skipping ``offset``, of those with an id below ``marker``."""

    marker: int = CEILING
    offset: int = 0
    limit: int = DEFAULT_LIMIT


@attrs.frozen(kw_only=True)
class PackageFilter:
    """A checked query for OTA packages."""

    package_type: str
    app_id: str | None = None
    product_id: str | None = None
    version: str | None = None
    window: Window = Window()


@attrs.frozen(kw_only=True)
class ModuleFilter:
    """A checked query for OTA modules."""

    app_id: str | None = None
    product_id: str | None = None
    window: Window = Window()


@attrs.frozen(kw_only=True)
class TaskFilter:
    """A checked query for batch tasks."""

    task_type: str
    app_id: str | None = None
    status: str | None = None
    window: Window = Window()


@attrs.frozen(kw_only=True)
class DetailFilter:
    """A checked query for the details of one batch task."""

    status: str | None = None
    target: str | None = None
    window: Window = Window()


@attrs.frozen(kw_only=True)
class DeviceFilter:
    """A checked query for devices; the times are Unix seconds."""

    product_id: str | None = None
    app_id: str | None = None
    gateway_id: str | None = None
    cascade: bool = False
    node_id: str | None = None
    device_name: str | None = None
    start_time: int | None = None
    end_time: int | None = None
    window: Window = Window()


def query_parameters(query: str) -> dict[str, str]:
    """Return the parameters of a raw query.

    A parameter that the operation does not know is ignored; whether the vendor does so is not known. A repeated one
    is refused, which is our choice too.

    Raises:
        ParameterError: A parameter comes twice.
    """
    parameters: dict[str, str] = {}
    for part in query.split("&") if query else ():
        name, _, value = (unquote(text) for text in part.partition("="))
        if name in parameters:
            raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' comes twice.")
        parameters[name] = value
    return parameters


def _text(parameters: Mapping[str, str], name: str, pattern: re.Pattern[str]) -> str | None:
    value = parameters.get(name)
    if value is not None and not pattern.fullmatch(value):
        raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' has a wrong form.")
    return value


def _choice(parameters: Mapping[str, str], name: str, choices: Sequence[str]) -> str | None:
    value = parameters.get(name)
    if value is not None and value not in choices:
        raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' is none of {', '.join(choices)}.")
    return value


def _required_choice(parameters: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    value = _choice(parameters, name, choices)
    if value is None:
        raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' is mandatory.")
    return value


def _integer(parameters: Mapping[str, str], name: str, default: int) -> int:
    value = parameters.get(name)
    if value is None:
        return default
    if not _INTEGER.fullmatch(value):
        raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' is no integer.")
    return int(value)


def _time(parameters: Mapping[str, str], name: str) -> int | None:
    value = parameters.get(name)
    if value is None:
        return None
    try:
        if not _TIME.fullmatch(value):
            raise ValueError(value)
        return int(datetime.strptime(value, _TIME_FORMAT).replace(tzinfo=UTC).timestamp())
    except ValueError:
        raise ParameterError(ErrorCode.INVALID_TIME) from None


def _flag(parameters: Mapping[str, str], name: str) -> bool | None:
    value = _choice(parameters, name, ("true", "false"))
    return None if value is None else value == "true"


def _window(parameters: Mapping[str, str]) -> Window:
    limit = _integer(parameters, "limit", DEFAULT_LIMIT)
    if not 1 <= limit <= LARGEST_LIMIT:
        raise ParameterError(ErrorCode.LIMIT_RANGE)
    offset = _integer(parameters, "offset", 0)
    if not 0 <= offset <= LARGEST_OFFSET:
        raise ParameterError(ErrorCode.OFFSET_RANGE, "The specified parameter 'offset' is out of range.")
    marker = parameters.get("marker")
    if marker is not None and not _MARKER.fullmatch(marker):
        raise ParameterError(ErrorCode.MARKER_RANGE)
    return Window(marker=CEILING if marker is None else int(marker, 16), offset=offset, limit=limit)


def package_filter(parameters: Mapping[str, str]) -> PackageFilter:
    """Return the filter of ``GET ota-upgrades/packages``.

    Raises:
        ParameterError: The package type is missing, or a parameter is wrong.
    """
    return PackageFilter(
        package_type=_required_choice(parameters, "package_type", PACKAGE_TYPES),
        app_id=_text(parameters, "app_id", _ID_36),
        product_id=_text(parameters, "product_id", _ID_36),
        version=_text(parameters, "version", _VERSION),
        window=_window(parameters),
    )


def module_filter(parameters: Mapping[str, str]) -> ModuleFilter:
    """Return the filter of ``GET ota-upgrades/modules``.

    Raises:
        ParameterError: A parameter is wrong.
    """
    return ModuleFilter(
        app_id=_text(parameters, "app_id", _ID_36),
        product_id=_text(parameters, "product_id", _ID_36),
        window=_window(parameters),
    )


def task_filter(parameters: Mapping[str, str]) -> TaskFilter:
    """Return the filter of ``GET batchtasks``.

    Raises:
        ParameterError: The task type is missing, or a parameter is wrong.
    """
    return TaskFilter(
        task_type=_required_choice(parameters, "task_type", UPGRADE_TASK_TYPES + OTHER_TASK_TYPES),
        app_id=_text(parameters, "app_id", _ID_36),
        status=_choice(parameters, "status", TASK_STATUSES),
        window=_window(parameters),
    )


def detail_filter(parameters: Mapping[str, str]) -> DetailFilter:
    """Return the filter of ``GET batchtasks/{task_id}``: it narrows the details, not the task.

    Raises:
        ParameterError: A parameter is wrong.
    """
    return DetailFilter(
        status=_choice(parameters, "task_detail_status", DETAIL_STATUSES),
        target=_text(parameters, "target", _ID_128),
        window=_window(parameters),
    )


def device_filter(parameters: Mapping[str, str]) -> DeviceFilter:
    """Return the filter of ``GET devices``.

    Raises:
        ParameterError: A parameter is wrong, the times are out of order, or a cascade is asked for without a gateway.
    """
    start_time, end_time = _time(parameters, "start_time"), _time(parameters, "end_time")
    if start_time is not None and end_time is not None and start_time >= end_time:
        raise ParameterError(ErrorCode.TIME_ORDER)
    gateway_id, cascade = _text(parameters, "gateway_id", _ID_128), _flag(parameters, "is_cascade_query")
    if cascade is not None and gateway_id is None:
        raise ParameterError(ErrorCode.INVALID_INPUT, "The parameter 'is_cascade_query' needs 'gateway_id'.")
    return DeviceFilter(
        product_id=_text(parameters, "product_id", _ID_36),
        app_id=_text(parameters, "app_id", _ID_36),
        gateway_id=gateway_id,
        cascade=bool(cascade),
        node_id=_text(parameters, "node_id", _NODE_ID),
        device_name=_text(parameters, "device_name", _DEVICE_NAME),
        start_time=start_time,
        end_time=end_time,
        window=_window(parameters),
    )


def wire_time(seconds: float) -> str:
    """Return Unix seconds in the vendor's form ``yyyyMMdd'T'HHmmss'Z'``."""
    return datetime.fromtimestamp(seconds, UTC).strftime(_TIME_FORMAT)


@attrs.frozen(kw_only=True)
class RecordIds:
    """The hidden ids of one kind of record. Lists hold record numbers in the order of their ids, from the oldest."""

    value: Callable[[int], int] = attrs.field(repr=False)
    """The id of the record with this number, as a number of 96 bits."""

    @staticmethod
    def made(second: int, fixed: int, counter: int) -> int:
        """Return an id of three parts: the Unix second of creation, 5 bytes, and a counter of 3 bytes."""
        return second << 64 | fixed << 24 | counter

    def text(self, number: int) -> str:
        """Return the record's id on the wire: 24 hexadecimal digits, lower case."""
        return f"{self.value(number):024x}"

    def below(self, numbers: Sequence[int], marker: int) -> int:
        """Return how many of these records have an id strictly below this marker, which need not be the id of one."""
        return bisect_left(numbers, marker, key=self.value)


@attrs.frozen(kw_only=True)
class Slice:
    """A page of record numbers, newest first, and how many records meet the conditions."""

    numbers: Sequence[int]
    count: int


def cut(
    numbers: Sequence[int],
    window: Window,
    ids: RecordIds,
    *,
    first: int | None = None,
    stop: int | None = None,
    count_follows_marker: bool = False,
) -> Slice:
    """Return the page that a window asks for.

    Args:
        numbers: All records that meet the conditions, apart from a range of time; oldest first.
        window: The marker, offset and limit of the request.
        ids: The ids that the marker is compared with.
        first: The lowest id inside the range of time.
        stop: The lowest id above it.
        count_follows_marker: Whether the total leaves out what the marker leaves out. The vendor does not say.
    """
    low = 0 if first is None else ids.below(numbers, first)
    high = len(numbers) if stop is None else max(low, ids.below(numbers, stop))
    top = high if window.marker == CEILING else max(low, min(high, ids.below(numbers, window.marker)))
    end = top - window.offset
    start = max(low, end - window.limit)
    page = numbers[start:end][::-1] if end > start else ()
    return Slice(numbers=page, count=(top if count_follows_marker else high) - low)
