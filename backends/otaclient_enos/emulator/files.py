"""The files service: the bytes of firmware, whole or from somewhere in the middle.

Source: EnOS Connection Service, "V2.1 Download File". Neither errors nor ranges are documented: errors come in the
envelope of all other operations, and ``Range`` is understood as HTTP has it, for one range.
"""

import re
from collections.abc import Mapping
from typing import Final

import attrs

from otaclient.emulator import FirmwareRecord
from otaclient_enos.emulator import render
from otaclient_enos.emulator.calls import NO_SUCH_OBJECT, Service, mandatory
from otaclient_enos.emulator.requests import INVALID_ARGUMENT, RefusalError

__all__ = ["Part", "part_of", "wanted_file"]

_CATEGORIES: Final = ("ota", "feature")
_RANGE: Final = re.compile(r"bytes\s*=\s*(\d{0,18})\s*-\s*(\d{0,18})")


@attrs.frozen
class Part:
    """Which bytes of a file are sent: from ``start`` up to and without ``stop``."""

    start: int
    stop: int
    size_bytes: int
    """Of the whole file."""

    @property
    def content_range(self) -> str:
        """What the header of a partial answer says."""
        return f"bytes {self.start}-{self.stop - 1}/{self.size_bytes}"


def wanted_file(service: Service, query: Mapping[str, str], *, device_needed: bool) -> FirmwareRecord:
    """Return the firmware whose file ``files?action=download`` asks for.

    Args:
        service: Has the firmware.
        query: The parameters.
        device_needed: Whether the request must name a device, as the documentation has it.

    Raises:
        RefusalError: A parameter is missing or wrong, or there is no such file.
    """
    uri = mandatory(query, "fileUri")
    category = mandatory(query, "category")
    if category not in _CATEGORIES:
        raise RefusalError(INVALID_ARGUMENT, f"Invalid Argument category: {category} is not one of ota, feature")
    if device_needed:
        _check_device(service, query)
    for record in service.server.fleet.firmware if category == "ota" else ():
        if render.file_url(record) == uri:
            return record
    raise RefusalError(NO_SUCH_OBJECT, f"file {uri} does not exist")


def _check_device(service: Service, query: Mapping[str, str]) -> None:
    devices = service.server.fleet.devices
    if query.get("assetId"):
        row = devices.row_of_serial(query["assetId"])
    elif query.get("productKey") and query.get("deviceKey"):
        row = devices.row_of_key(query["deviceKey"], query["productKey"])
    else:
        raise RefusalError(INVALID_ARGUMENT, "Invalid Argument assetId:assetId or productKey and deviceKey is missing")
    if row is None:
        raise RefusalError(NO_SUCH_OBJECT, "the device does not exist")


def part_of(size_bytes: int, header: str | None) -> Part | None:
    """Return which part of a file a ``Range`` header asks for; ``None`` where no byte of the file is in it.

    What cannot be read, or asks for several parts, asks for the whole file, as HTTP has it.
    """
    whole = Part(0, size_bytes, size_bytes)
    match = _RANGE.fullmatch(header or "")
    if match is None or not any(match.groups()):
        return whole
    first, last = match.groups()
    if not first:
        start, stop = max(size_bytes - int(last), 0), size_bytes
    else:
        start, stop = int(first), min(int(last) + 1 if last else size_bytes, size_bytes)
        if last and int(last) < int(first):
            return whole
    return Part(start, stop, size_bytes) if start < stop else None
