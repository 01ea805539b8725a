"""The devices of the simulated fleet: columns, not objects, so that a million of them stay small and fast."""

from array import array
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import compress
from typing import Final

from otaclient.emulator.conditions import EVERYTHING, AllOf, AnyOf, Condition, InColumn
from otaclient.emulator.masks import all_of, any_of, between, column, places
from otaclient.emulator.watch import DeviceWatch
from otaclient.models import Connection, FirmwareKind

__all__ = ["ABSENT", "CONNECTIONS", "DeviceTable"]

ABSENT: Final = 255
"""The byte of a version column that stands for "never reported"."""

CONNECTIONS: Final = (
    Connection.ONLINE,
    Connection.OFFLINE,
    Connection.ABNORMAL,
    Connection.INACTIVE,
    Connection.FROZEN,
)
"""What the bytes of the connection column stand for."""

_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGIT: Final = {character: value for value, character in enumerate(_ALPHABET)}
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_SERIAL_LENGTH: Final = 8
_SERIALS: Final = 62**_SERIAL_LENGTH
# The serial of row i is (i * multiplier + shift) modulo 62^8: a bijection, as the multiplier shares no factor with 62.
_SERIAL_MULTIPLIER: Final = 87_178_291_199_991
_KEY_DIGITS: Final = 7
_CACHED_SELECTIONS: Final = 16
_END_OF_TIME_S: Final = 2**32 - 1
_LISTED: Final = InColumn("listed", frozenset({1}))


class DeviceTable:
    """A table of devices: the row index is the device.

    The one-byte columns hold indices: of a product, of a version in the table's catalogue of versions (``ABSENT``
    where the device never reported one), of a connection in ``CONNECTIONS``; ``upgrading`` and ``listed`` are 0 or 1.
    What identifies a device is computed from its row, never stored.

    A generated table is in order of registration, which strictly increases. Devices that are added, removed or listed
    at another place later make the order of the listing another than that of the rows: by the second of registration,
    and within one by row.

    Whoever writes into a column, or changes what is listed, calls ``touch()`` afterwards.
    """

    def __init__(
        self,
        *,
        seed: int,
        product_ids: Sequence[str],
        key_prefixes: Sequence[str],
        firmware_versions: Sequence[str],
        software_versions: Sequence[str],
        product: bytearray,
        firmware_version: bytearray,
        software_version: bytearray,
        connection: bytearray,
        registered_at_s: "array[int]",
    ) -> None:
        self.product_ids = tuple(product_ids)
        self.firmware_versions = tuple(firmware_versions)
        self.software_versions = tuple(software_versions)
        self.product_column = product
        self.firmware_version_column = firmware_version
        self.software_version_column = software_version
        self.connection_column = connection
        self.upgrading_column = bytearray(len(product))
        self.listed_column = bytearray(b"\1") * len(product)
        self.registered_at_s = registered_at_s
        self.revision = 0
        self.listing_revision = 0
        """Grows whenever a device is added, removed or listed at another place."""
        self._order: array[int] | None = None
        self._watches: list[DeviceWatch] = []
        self._prefixes = tuple(f"{prefix}-" for prefix in key_prefixes)
        self._product_indices = {product_id: index for index, product_id in enumerate(self.product_ids)}
        self._shift = seed * 1_000_003 % _SERIALS
        self._inverse = pow(_SERIAL_MULTIPLIER, -1, _SERIALS)
        self._selections: OrderedDict[Condition, Sequence[int]] = OrderedDict()
        self._selections_revision = 0

    def __len__(self) -> int:
        """How many rows there are, those of removed devices included."""
        return len(self.product_column)

    def touch(self) -> None:
        """Say that something has changed: nothing selected before is valid any more."""
        self.revision += 1
        for watch in self._watches:
            watch.look()

    # --- what comes and goes -----------------------------------------------------------------------------------------

    @property
    def listing(self) -> Sequence[int]:
        """The rows of the devices that exist, in order of registration (oldest first); shared, not to be changed."""
        return range(len(self)) if self._order is None else self._order

    def is_listed(self, row: int) -> bool:
        """Return whether there is a device in this row, and it was not removed."""
        return 0 <= row < len(self) and self.listed_column[row] == 1

    def add(self, *, product: int, firmware_version: int, connection: int, registered_at_s: int) -> int:
        """Add a device, described as in the columns, without software; return its row."""
        row = len(self)
        self.product_column.append(product)
        self.firmware_version_column.append(firmware_version)
        self.software_version_column.append(ABSENT)
        self.connection_column.append(connection)
        self.upgrading_column.append(0)
        self.listed_column.append(0)
        self.registered_at_s.append(registered_at_s)
        self.restore(row, registered_at_s)
        return row

    def remove(self, row: int) -> None:
        """Remove a device that is listed; its row stays behind."""
        order = self._own_order()
        del order[self._place(order, row)]
        self.listed_column[row] = 0
        self.listing_revision += 1

    def restore(self, row: int, registered_at_s: int) -> None:
        """List a device that was removed, as if it had registered at this second."""
        order = self._own_order()
        self.registered_at_s[row] = registered_at_s
        self.listed_column[row] = 1
        order.insert(self._place(order, row), row)
        self.listing_revision += 1

    def watch(self, condition: Condition = EVERYTHING) -> DeviceWatch:
        """Return a watch over which devices meet a condition from now on, until ``unwatch``."""
        watch = DeviceWatch(partial(self._mask, AllOf((condition, _LISTED))))
        self._watches.append(watch)
        return watch

    def unwatch(self, watch: DeviceWatch) -> None:
        """End a watch; what it saw stays."""
        self._watches.remove(watch)

    def _own_order(self) -> "array[int]":
        if self._order is None:
            self._order = array("I", range(len(self.listed_column) - self.listed_column.count(0)))
        return self._order

    def _place(self, order: "array[int]", row: int) -> int:
        seconds = self.registered_at_s
        return bisect_left(order, (seconds[row], row), key=lambda other: (seconds[other], other))

    # --- what one device is ------------------------------------------------------------------------------------------

    def serial(self, row: int) -> str:
        """Return the device's serial: 8 letters and digits, unique in the fleet."""
        high, low = divmod((row * _SERIAL_MULTIPLIER + self._shift) % _SERIALS, 14_776_336)
        first, second = divmod(high, 3844)
        third, fourth = divmod(low, 3844)
        return _PAIRS[first] + _PAIRS[second] + _PAIRS[third] + _PAIRS[fourth]

    def key(self, row: int) -> str:
        """Return the key under which the product's maker registered the device, such as ``pump-0000123``."""
        return f"{self._prefixes[self.product_column[row]]}{row:07d}"

    def record_id(self, row: int) -> str:
        """Return 24 lower-case hexadecimal digits that begin with the second of registration.

        In a generated table they grow with the row.
        """
        return f"{self.registered_at_s[row]:08x}{(row * _SERIAL_MULTIPLIER + self._shift) & 0xFFFF_FFFF_FFFF_FFFF:016x}"

    def product_id(self, row: int) -> str:
        """Return the identifier of the device's product."""
        return self.product_ids[self.product_column[row]]

    def firmware_version(self, row: int) -> str | None:
        """Return the firmware version that the device last reported; ``None`` when it never has."""
        index = self.firmware_version_column[row]
        return None if index == ABSENT else self.firmware_versions[index]

    def software_version(self, row: int) -> str | None:
        """Return the software version that the device last reported; ``None`` when it never has."""
        index = self.software_version_column[row]
        return None if index == ABSENT else self.software_versions[index]

    def connection(self, row: int) -> Connection:
        """Return whether the device is connected."""
        return CONNECTIONS[self.connection_column[row]]

    def upgrading(self, row: int) -> bool:
        """Return whether a job is upgrading the device."""
        return self.upgrading_column[row] == 1

    def row_of_serial(self, serial: str) -> int | None:
        """Return the row of the device with this serial, or ``None``."""
        if len(serial) != _SERIAL_LENGTH or not _DIGIT.keys() >= set(serial):
            return None
        number = 0
        for character in serial:
            number = number * 62 + _DIGIT[character]
        row = (number - self._shift) * self._inverse % _SERIALS
        return row if self.is_listed(row) else None

    def row_of_key(self, key: str, product_id: str | None = None) -> int | None:
        """Return the row of the device with this key (of this product, if one is given), or ``None``."""
        digits = key.rpartition("-")[2]
        if len(digits) < _KEY_DIGITS or not (digits.isascii() and digits.isdigit()):
            return None
        row = int(digits)
        if not self.is_listed(row) or self.key(row) != key:
            return None
        return row if product_id is None or self.product_id(row) == product_id else None

    # --- versions ----------------------------------------------------------------------------------------------------

    def version_column(self, kind: FirmwareKind) -> bytearray | None:
        """Return the column that firmware of this kind writes; ``None`` for modules, which have none."""
        if kind is FirmwareKind.FIRMWARE:
            return self.firmware_version_column
        return self.software_version_column if kind is FirmwareKind.SOFTWARE else None

    def version_texts(self, kind: FirmwareKind) -> Sequence[str]:
        """Return what the bytes of that column stand for; of modules, nothing."""
        if kind is FirmwareKind.FIRMWARE:
            return self.firmware_versions
        return self.software_versions if kind is FirmwareKind.SOFTWARE else ()

    def version_index(self, kind: FirmwareKind, version: str) -> int:
        """Return the byte that stands for a version, which joins the end of the catalogue where it is new.

        Raises:
            ValueError: The catalogue is full.
        """
        texts = self.version_texts(kind)
        if version not in texts:
            if len(texts) == ABSENT:
                raise ValueError(f"the devices report {ABSENT} {kind} versions already; no column holds more")
            texts = (*texts, version)
            if kind is FirmwareKind.FIRMWARE:
                self.firmware_versions = texts
            else:
                self.software_versions = texts
            self.touch()  # what was selected by a version that nobody had is not valid any more
        return texts.index(version)

    def reported_versions(self, product_id: str, kind: FirmwareKind = FirmwareKind.FIRMWARE) -> tuple[str, ...]:
        """Return the versions that devices of a product have last reported, in the order of the catalogue."""
        column = self.version_column(kind)
        if column is None:
            return ()
        found = set(compress(column, self._mask(AllOf((self.of_products([product_id]), _LISTED)))))
        return tuple(text for index, text in enumerate(self.version_texts(kind)) if index in found)

    # --- conditions from what a filter names -------------------------------------------------------------------------

    def of_products(self, product_ids: Iterable[str]) -> Condition:
        """Return the condition that a device is of one of these products; unknown ones match no device."""
        wanted = (self._product_indices.get(product_id) for product_id in product_ids)
        return InColumn("product", frozenset(index for index in wanted if index is not None))

    def with_firmware_versions(self, versions: Iterable[str]) -> Condition:
        """Return the condition that a device last reported one of these firmware versions."""
        return InColumn("firmware_version", frozenset(places(self.firmware_versions, versions)))

    def with_software_versions(self, versions: Iterable[str]) -> Condition:
        """Return the condition that a device last reported one of these software versions."""
        return InColumn("software_version", frozenset(places(self.software_versions, versions)))

    def with_upgrading(self, upgrading: bool) -> Condition:
        """Return the condition that a device is, or is not, being upgraded."""
        return InColumn("upgrading", frozenset({int(upgrading)}))

    # --- selecting ---------------------------------------------------------------------------------------------------

    def matching(self, condition: Condition = EVERYTHING) -> Sequence[int]:
        """Return the rows that meet a condition, in order of registration (oldest first).

        The sequence is shared and must not be changed. Selections are kept until the table changes, so that a page of
        a large fleet costs what the page costs.
        """
        if condition == EVERYTHING:
            return self.listing
        if self._selections_revision != self.revision:
            self._selections.clear()
            self._selections_revision = self.revision
        rows = self._selections.get(condition)
        if rows is None:
            rows = self._selections[condition] = self.selected(self._mask(condition))
            if len(self._selections) > _CACHED_SELECTIONS:
                self._selections.popitem(last=False)
        self._selections.move_to_end(condition)
        return rows

    def selected(self, mask: bytes) -> Sequence[int]:
        """Return the rows of the devices that exist and whose byte is not 0, in order of registration."""
        listing = self.listing
        return array("I", compress(listing, mask if self._order is None else map(mask.__getitem__, listing)))

    def _mask(self, condition: Condition) -> bytes:
        """One byte a row, 1 where the condition holds."""
        count = len(self)
        if isinstance(condition, InColumn):
            return column(getattr(self, f"{condition.column}_column"), condition.values)
        if isinstance(condition, AllOf | AnyOf):
            combined = all_of if isinstance(condition, AllOf) else any_of
            return combined(map(self._mask, condition.parts), count)
        if self._order is not None:  # the rows are not in order of registration
            least, most = condition.first_s or 0, _END_OF_TIME_S if condition.last_s is None else condition.last_s
            return bytes(least <= second <= most for second in self.registered_at_s)
        first = 0 if condition.first_s is None else bisect_left(self.registered_at_s, condition.first_s)
        last = count if condition.last_s is None else bisect_right(self.registered_at_s, condition.last_s)
        return between(first, last, count)
