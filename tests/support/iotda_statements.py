"""Statements of the flexible search of IoTDA, drawn at random over a fleet."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from otaclient.emulator import Fleet
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.groups import DeviceGroups
from otaclient_iotda.emulator.modules import ModuleVersions
from otaclient_iotda.emulator.sql import OPERATORS, SELECTABLE, Condition, Statement

FLEET = Fleet.generate(devices=613, seed=29)
TABLE = FLEET.devices
ROWS = render.DeviceRows(FLEET, ModuleVersions(FLEET).of_device)
IDS = render.device_record_ids(FLEET)
GROUPS = DeviceGroups(FLEET)
EVERYTHING = "select * from device"


def stamp(milliseconds: int) -> str:
    """A time as conditions have it."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def versions(kind: Sequence[str]) -> st.SearchStrategy[str]:
    """Versions that devices have, and one that none has."""
    return st.sampled_from([*kind, "nosuch"])


rows = st.integers(0, len(TABLE) - 1)
markers = rows.map(IDS.text) | st.sampled_from(["0" * 24, "f" * 24, f"{IDS.value(5) + 1:024x}"])
times = st.builds(
    lambda row, more: stamp(TABLE.registered_at_s[row] * 1000 + more), rows, st.sampled_from([0, 0, 1, -1, 999])
)
VALUES: dict[str, st.SearchStrategy[str]] = {
    "app_id": st.sampled_from(sorted(render.app_ids())) | st.just("nosuch"),
    "product_id": st.sampled_from([*TABLE.product_ids, "nosuch"]),
    "device_id": rows.map(ROWS.device_id) | st.just("nosuch"),
    "gateway_id": st.integers(0, 60).map(ROWS.device_id) | st.just("nosuch"),
    "device_name": rows.map(ROWS.device_name) | st.just("it's"),
    "node_id": rows.map(TABLE.key) | st.just("nosuch"),
    "status": st.sampled_from(["ONLINE", "OFFLINE", "ABNORMAL", "INACTIVE", "FROZEN", "online"]),
    "node_type": st.sampled_from(["GATEWAY", "ENDPOINT", "UNKNOWN"]),
    "tag_key": st.sampled_from(["site", "nosuch"]),
    "tag_value": st.sampled_from(["hall-0", "hall-1", "hall-2", "nosuch"]),
    "sw_version": versions(TABLE.software_versions),
    "fw_version": versions(TABLE.firmware_versions),
    "group_id": st.sampled_from([*GROUPS.listed, "0" * 32]),
    "create_time": times,
    "marker": markers,
}
PREFIXES: dict[str, st.SearchStrategy[str]] = {
    "device_name": st.builds(lambda row, size: ROWS.device_name(row)[:size], rows, st.integers(4, 16)),
    "node_id": st.builds(lambda row, size: TABLE.key(row)[:size], rows, st.integers(4, 16))
    | st.sampled_from(["pump-00000000", "pump-00x", "nosuch", "设备pump"]),
    "tag_key": st.sampled_from(["site", "sites"]),
    "tag_value": st.sampled_from(["hall", "hall-1", "hall-1x", "none"]),
}


@st.composite
def conditions(draw: st.DrawFn) -> Condition:
    """Any condition that the language knows."""
    field = draw(st.sampled_from(sorted(OPERATORS)))
    operator: Any = draw(st.sampled_from(sorted(OPERATORS[field])))
    if operator == "like":
        return Condition(field, operator, (draw(PREFIXES[field]),))
    most = 2 if operator in {"in", "not in"} else 1
    return Condition(field, operator, tuple(draw(st.lists(VALUES[field], min_size=1, max_size=most))))


statements = st.builds(
    lambda fields, counts, parts, order, offset, count: Statement(
        fields=None if counts else fields,
        counts=counts,
        alternatives=tuple(map(tuple, parts)),
        order=order,
        offset=offset,
        rows=count,
    ),
    st.none() | st.lists(st.sampled_from(SELECTABLE), min_size=1, max_size=3).map(tuple),
    st.booleans(),
    st.lists(st.lists(conditions(), min_size=1, max_size=2), max_size=2),
    st.sampled_from([None, "asc", "desc"]),
    st.integers(0, 500),
    st.integers(0, 50),
)
