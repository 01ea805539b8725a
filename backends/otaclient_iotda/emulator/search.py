"""The flexible device search: which devices a statement means, and what it says of them.

A device that has never reported a version, or that has no tag, meets no condition on it, ``!=`` and ``not in``
included: the vendor says that null cannot be matched, and not more. That is standard SQL, and our choice.

Source: Huawei Cloud IoTDA, "Query Device List Flexibly".
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

import msgspec

from otaclient.emulator import Fleet
from otaclient.emulator.devices import ABSENT, CONNECTIONS
from otaclient.emulator.masks import all_of, any_of, between, column, inverted, marked, periodic, places
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.filters import RecordIds
from otaclient_iotda.emulator.groups import DeviceGroups
from otaclient_iotda.emulator.sql import Condition, Statement, create_time_ms

__all__ = ["DeviceSearch"]

_KEY_DIGITS: Final = 7
# Steps through a selection whose order is said to be random: coprime to nearly every length, and made so to all.
_STRIDE: Final = 7_919


class DeviceSearch:
    """Answers statements about the devices of one fleet."""

    def __init__(self, fleet: Fleet, devices: render.DeviceRows, ids: RecordIds, groups: DeviceGroups) -> None:
        self._fleet = fleet
        self._table = fleet.devices
        self._devices = devices
        self._ids = ids
        self._groups = groups
        self._matching: Mapping[str, Callable[[Collection[str]], bytes]] = {
            "app_id": self._apps,
            "product_id": self._products,
            "status": self._statuses,
            "fw_version": self._firmware_versions,
            "sw_version": self._software_versions,
            "device_id": lambda values: self._named(values, self._devices.row_of_device),
            "node_id": lambda values: self._named(values, self._devices.row_of_node),
            "device_name": lambda values: self._named(values, self._devices.row_of_name),
            "marker": lambda values: self._named(values, self._row_of_marker),
            "create_time": lambda values: self._named(values, self._row_created),
            "gateway_id": self._gateways,
            "group_id": self._members,
            "node_type": lambda values: self._repeating([each in values for each in render.NODE_TYPES]),
            "tag_key": lambda values: self._tagged(render.TAG_KEY in values),
            "tag_value": lambda values: self._repeating([site in values for site in render.SITES]),
        }

    def rows(self, statement: Statement) -> Sequence[int]:
        """Return the rows of the devices that a statement means, in order of registration."""
        if not statement.alternatives:
            return self._table.listing
        count = len(self._table)
        masks = [all_of(map(self._mask, conditions), count) for conditions in statement.alternatives]
        return self._table.selected(any_of(masks, count))

    def page(self, statement: Statement, rows: Sequence[int], *, turn: int) -> Sequence[int]:
        """Return the rows that a statement's order and limits leave.

        Args:
            statement: What was asked.
            rows: All rows that it means.
            turn: What a random order depends on: another number gives another order.
        """
        stop = statement.offset + statement.rows
        if statement.order == "asc":
            return rows[statement.offset : stop]
        if statement.order == "desc":
            return rows[::-1][statement.offset : stop]
        count = len(rows)
        if not count:
            return ()
        stride = _STRIDE + turn
        while math.gcd(stride, count) > 1:
            stride += 1
        return [rows[(turn + place * stride) % count] for place in range(statement.offset, min(stop, count))]

    def record(self, row: int, fields: Collection[str] | None) -> dict[str, object]:
        """Return a device as the search gives it; ``fields=None`` means every field."""
        listed: dict[str, object] = msgspec.json.decode(self._devices.json(row))
        listed.pop("description", None)
        listed["groups"] = self._groups.of_device(row)
        listed["modules"] = [] if listed["status"] == "INACTIVE" else self._devices.modules(row)
        listed["marker"] = self._ids.text(row)
        return listed if fields is None else {field: listed[field] for field in fields if field in listed}

    # --- conditions to masks ------------------------------------------------------------------------------------------

    def _mask(self, condition: Condition) -> bytes:
        count = len(self._table)
        if condition.operator == ">":
            return self._span(self._bound(condition, after=True), count)
        if condition.operator == "<":
            return self._span(0, self._bound(condition, after=False))
        if condition.operator == "like":
            return self._beginning(condition.field, condition.values[0])
        equal = self._matching[condition.field](condition.values)
        if condition.operator in {"=", "in"}:
            return equal
        return all_of([inverted(equal), *self._present(condition.field)], count)

    def _present(self, field: str) -> list[bytes]:
        """Where a field has a value, for the fields that not every device has."""
        if field == "fw_version":
            return [inverted(column(self._table.firmware_version_column, {ABSENT}))]
        if field == "sw_version":
            return [inverted(column(self._table.software_version_column, {ABSENT}))]
        if field in {"tag_key", "tag_value"}:
            return [self._tagged()]
        return []

    def _bound(self, condition: Condition, *, after: bool) -> int:
        """The first place that is not below a marker or a time, or with ``after`` the first that is above it."""
        value = condition.values[0]
        listing = self._table.listing
        if condition.field == "marker":
            return self._ids.below(listing, int(value, 16) + after)
        # Devices are registered on whole seconds.
        moment, registered_at_s = create_time_ms(value), self._table.registered_at_s.__getitem__
        if after:
            return bisect_right(listing, moment // 1000, key=registered_at_s)
        return bisect_left(listing, -(-moment // 1000), key=registered_at_s)

    def _span(self, first: int, stop: int) -> bytes:
        """The devices at these places of the listing."""
        listing, count = self._table.listing, len(self._table)
        # Places are rows until the first device comes or goes.
        return between(first, stop, count) if isinstance(listing, range) else marked(listing[first:stop], count)

    def _repeating(self, pattern: Sequence[bool]) -> bytes:
        return periodic(pattern, len(self._table))

    def _tagged(self, meant: bool = True) -> bytes:
        """The devices that have the one tag, where that tag is meant."""
        return self._repeating([meant and site is not None for site in render.SITES])

    def _named(self, values: Collection[str], row_of: Callable[[str], int | None]) -> bytes:
        found = map(row_of, values)
        return marked([row for row in found if row is not None], len(self._table))

    def _row_of_marker(self, marker: str) -> int | None:
        listing = self._table.listing
        place = self._ids.below(listing, int(marker, 16))
        found = place < len(listing) and self._ids.value(listing[place]) == int(marker, 16)
        return listing[place] if found else None

    def _row_created(self, text: str) -> int | None:
        second, millisecond = divmod(create_time_ms(text), 1000)
        listing, registered_at_s = self._table.listing, self._table.registered_at_s
        place = bisect_left(listing, second, key=registered_at_s.__getitem__)
        found = place < len(listing) and registered_at_s[listing[place]] == second and not millisecond
        return listing[place] if found else None

    def _apps(self, values: Collection[str]) -> bytes:
        owned = (render.app_id(self._fleet, product_id) for product_id in self._table.product_ids)
        return column(self._table.product_column, [index for index, owner in enumerate(owned) if owner in values])

    def _products(self, values: Collection[str]) -> bytes:
        return column(self._table.product_column, places(self._table.product_ids, values))

    def _statuses(self, values: Collection[str]) -> bytes:
        return column(self._table.connection_column, places([each.value.upper() for each in CONNECTIONS], values))

    def _firmware_versions(self, values: Collection[str]) -> bytes:
        return column(self._table.firmware_version_column, places(self._table.firmware_versions, values))

    def _software_versions(self, values: Collection[str]) -> bytes:
        return column(self._table.software_version_column, places(self._table.software_versions, values))

    def _gateways(self, values: Collection[str]) -> bytes:
        """A gateway's own children, and a device that is its own gateway."""
        rows: list[int] = []
        for row in map(self._devices.row_of_device, values):
            if row is not None:
                own = [row] if self._devices.gateway(row) == row else []
                rows += [*own, *self._devices.children(row, cascade=False)]
        return marked(rows, len(self._table))

    def _members(self, values: Collection[str]) -> bytes:
        groups = filter(None, map(self._groups.rows, values))
        return marked([row for rows in groups for row in rows], len(self._table))

    # --- prefixes -----------------------------------------------------------------------------------------------------

    def _beginning(self, field: str, prefix: str) -> bytes:
        if field == "tag_key":
            return self._tagged(render.TAG_KEY.startswith(prefix))
        if field == "tag_value":
            return self._repeating([site is not None and site.startswith(prefix) for site in render.SITES])
        if field == "node_id":
            return self._keys(prefix)
        count = len(self._table)
        chinese = self._repeating(render.CHINESE_NAMES)
        plain = all_of([inverted(chinese), self._keys(prefix)], count)
        word = render.CHINESE_WORD
        if not prefix.startswith(word):
            return plain  # no prefix of four characters begins a word of two
        return all_of([chinese, self._keys(prefix.removeprefix(word))], count)

    def _keys(self, prefix: str) -> bytes:
        """The devices whose key begins so: a product's prefix, and the row in seven digits."""
        count = len(self._table)
        masks: list[bytes] = []
        for index, product in enumerate(self._fleet.products):
            begin = f"{product.key_prefix}-"
            digits = prefix.removeprefix(begin)
            of_product = column(self._table.product_column, {index})
            if begin.startswith(prefix):
                masks.append(of_product)
            elif prefix.startswith(begin) and digits.isascii() and digits.isdigit() and len(digits) <= _KEY_DIGITS:
                size = 10 ** (_KEY_DIGITS - len(digits))
                first = int(digits) * size
                masks.append(all_of([of_product, between(first, first + size, count)], count))
        return any_of(masks, count)
