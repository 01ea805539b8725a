"""The listings of the page server: rows encoded beforehand, so that a page is one slice of bytes.

The rows have the fields and the sizes of the vendors' documented samples; their contents are invented.
"""

import calendar
import random
import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping
from functools import lru_cache

__all__ = ["EnosListing", "IotdaListing", "record_ids"]

_ENOS_ROW = (
    '{"orgId":"o15475466766371","assetId":"%08x","productKey":"p%07d","deviceKey":"pump-%07d",'
    '"firmwareVersion":"%d.%d.%d","isUpgrading":%s},'
)
_IOTDA_ROW = (
    '{"app_id":"61f7e74d036aca5be29e1ed4","app_name":"testAPP01","device_id":"%s_pump-%07d","node_id":"pump-%07d",'
    '"gateway_id":"%s_pump-%07d","device_name":"dianadevice","node_type":"%s","description":"watermeter device",'
    '"fw_version":"1.%d.0","sw_version":"1.1.0","device_sdk_version":"C_v0.5.0","product_id":"%s",'
    '"product_name":"Thermometer","status":"%s","tags":[{"tag_key":"testTagName","tag_value":"testTagValue"}]},'
)
_PRODUCT = "5ba24f5ebbe8f56f5a14f605"
_NODE_TYPES = ("GATEWAY", "ENDPOINT")
_STATUSES = ("ONLINE", "OFFLINE", "INACTIVE", "ABNORMAL")
_FIRST_SECOND = 1_600_000_000
_DAYS = 900
_BURSTS = 20
_BURST_SECONDS = 3600
_BURST_SHARE = 0.7
"""Devices are enrolled in batches: this share of them within the bursts, the others evenly over the days."""


class _Rows:
    """Encoded rows, one behind the other."""

    def __init__(self, rows: Iterable[str]) -> None:
        encoded = [row.encode() for row in rows]
        self._text = b"".join(encoded)
        self._begins = array("Q", [0])
        begin = 0
        for row in encoded:
            begin += len(row)
            self._begins.append(begin)

    def __len__(self) -> int:
        return len(self._begins) - 1

    def between(self, first: int, stop: int) -> bytes:
        """Return rows without the comma behind the last."""
        if first >= stop:
            return b""
        return self._text[self._begins[first] : self._begins[stop] - 1]


class EnosListing:
    """Devices by page number and page size."""

    def __init__(self, devices: int) -> None:
        self._rows = _Rows(_enos_row(number) for number in range(devices))

    def page(self, number: int, size: int, devices: int) -> bytes:
        """Return the body of one page of a fleet that has so many of the devices."""
        total = min(devices, len(self._rows))
        first = min((number - 1) * size, total)
        return b'{"code":0,"msg":"OK","requestId":"r-%d","data":[%b],"pagination":%b}' % (
            number,
            self._rows.between(first, min(first + size, total)),
            b'{"sortedBy":null,"pageNo":%d,"pageSize":%d,"totalSize":%d}' % (number, size, total),
        )


class IotdaListing:
    """Devices by marker and offset, newest first, and by the time at which they registered."""

    def __init__(self, devices: int) -> None:
        self._ids = record_ids(devices)
        draw = random.Random(devices)
        self._rows = _Rows(_iotda_row(number, draw) for number in range(devices))

    def page(self, wanted: Mapping[str, str], devices: int) -> bytes:
        """Return the body of one page of a fleet that has so many of the devices, the newest.

        Args:
            wanted: The query: ``limit``, ``marker``, ``offset``, ``start_time``, ``end_time``.
            devices: How many devices the fleet has.
        """
        first, stop = self._registered(wanted, min(devices, len(self._ids)))
        count = max(0, stop - first)
        begin = max(first, self._place_below(wanted.get("marker", "f" * 24))) + int(wanted.get("offset", "0"))
        end = min(begin + int(wanted.get("limit", "10")), stop)
        marker = f'"{self._ids[len(self._ids) - end]}"' if begin < end else "null"
        return b'{"devices":[%b],"page":{"count":%d,"marker":%b}}' % (
            self._rows.between(begin, end),
            count,
            marker.encode(),
        )

    def _place_below(self, marker: str) -> int:
        """Return the place of the first record with a smaller id, counted from the newest."""
        return len(self._ids) - bisect_left(self._ids, marker)

    def _registered(self, wanted: Mapping[str, str], devices: int) -> tuple[int, int]:
        """Return the places that a range of time leaves; both its ends belong to it, which the vendor leaves open."""
        first, stop = 0, devices
        if "end_time" in wanted:
            first = len(self._ids) - bisect_right(self._ids, f"{_seconds(wanted['end_time']):08x}" + "f" * 16)
        if "start_time" in wanted:
            stop = min(stop, self._place_below(f"{_seconds(wanted['start_time']):08x}" + "0" * 16))
        return first, stop


def record_ids(devices: int) -> list[str]:
    """Return distinct record ids, ascending: the second of registration, a process and a counter, in 24 digits."""
    draw = random.Random(0)
    bursts = [_FIRST_SECOND + draw.randrange(_DAYS * 86_400) for _ in range(_BURSTS)]
    processes = [f"{draw.getrandbits(40):010x}" for _ in range(6)]
    ids: list[str] = []
    for number in range(devices):
        if draw.random() < _BURST_SHARE:
            second = draw.choice(bursts) + draw.randrange(_BURST_SECONDS)
        else:
            second = _FIRST_SECOND + draw.randrange(_DAYS * 86_400)
        ids.append(f"{second:08x}{draw.choice(processes)}{number % 2**24:06x}")
    return sorted(ids)


def _enos_row(number: int) -> str:
    version = (1 + number % 9, number % 21, number % 100)
    asset = number * 2654435761 % 2**32  # odd, so that no two are the same
    return _ENOS_ROW % (asset, number % 97, number, *version, "true" if number % 5 == 0 else "false")


def _iotda_row(number: int, draw: random.Random) -> str:
    named = (_PRODUCT, number)
    status = draw.choice(_STATUSES)
    node_type = draw.choice(_NODE_TYPES)
    return _IOTDA_ROW % (*named, number, *named, node_type, draw.randrange(10), _PRODUCT, status)


@lru_cache(maxsize=4096)
def _seconds(wire_time: str) -> int:
    return calendar.timegm(time.strptime(wire_time, "%Y%m%dT%H%M%SZ"))
