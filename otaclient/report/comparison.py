"""What changed between two files of devices.

A device is the same in both where backend and device identifier are. Of every device in either file exactly one of
these is true, so that the numbers add up to the devices of each file:

- **upgraded**: in both, and its version now is the later one.
- **rolled back**: in both, and its version now is the earlier one.
- **changed**: in both, and its version is another one, but which is the later is not told by their texts, one of them
  is not known, or the product is another one too.
- **stuck**: in both with the same version (or in both with none told), and being upgraded in both.
- **unchanged**: in both with the same version (or in both with none told), and not stuck.
- **appeared**: only in the later file.
- **vanished**: only in the earlier file.

The version is the firmware version; where that is the same in both files, the software version decides. Which of two
versions is the later one: :mod:`otaclient.report.version_order`.

Two files say nothing about the time between them: a device that was upgraded and rolled back again is unchanged.
"""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache
from typing import Final

import attrs

from otaclient.models import DeviceUpgrade
from otaclient.report.listing import Listed, Listing, State
from otaclient.report.version_order import later_of

__all__ = ["MEANINGS", "Change", "Changes", "Comparison", "change_of"]


class Change(StrEnum):
    """What became of a device."""

    UPGRADED = "upgraded"
    ROLLED_BACK = "rolled back"
    CHANGED = "changed"
    STUCK = "stuck"
    UNCHANGED = "unchanged"
    APPEARED = "appeared"
    VANISHED = "vanished"


MEANINGS: Final[Mapping[Change, str]] = {
    Change.UPGRADED: "In both files, and its version now is the later one.",
    Change.STUCK: "Being upgraded in both files, and in both with the same version, or in both with none told.",
    Change.ROLLED_BACK: "In both files, and its version now is the earlier one.",
    Change.CHANGED: (
        "In both files with another version, but which of the two is the later one their texts do not tell, one of "
        "them is not known, or the product is another one too."
    ),
    Change.UNCHANGED: "In both files with the same version, or in both with none told, and not stuck.",
    Change.APPEARED: "Only in the later file.",
    Change.VANISHED: "Only in the earlier file.",
}
"""What each word means, for people; in the order in which they matter."""


@attrs.frozen(kw_only=True)
class Changes:
    """What became of the devices of two files."""

    listings: Mapping[Change, Listing]
    """How many each change has, and the first of them; nothing is listed of what is unchanged."""
    repeated: int
    """Rows of either file that name a device which that file named before; left out."""

    def count(self, change: Change) -> int:
        """Return how many devices a change has."""
        return self.listings[change].count


class Comparison:
    """Compares an earlier file, which it remembers, with a later one as its devices come.

    Args:
        earlier: The devices of the earlier file.
        list_limit: How many devices of each change are listed by name.
    """

    def __init__(self, earlier: Iterable[Sequence[DeviceUpgrade]], *, list_limit: int) -> None:
        self._listings = {change: Listing(0 if change is Change.UNCHANGED else list_limit) for change in MEANINGS}
        self._repeated = 0
        # ``None`` where the later file has the device too, and it was compared.
        self._earlier: dict[str, dict[str, State | None]] = {}
        for devices in earlier:
            for device in devices:
                known = self._earlier.setdefault(device.backend, {})
                self._repeated += device.device_id in known
                known[device.device_id] = State.of(device)

    def add(self, devices: Sequence[DeviceUpgrade]) -> None:
        """Compare devices of the later file."""
        for device in devices:
            known = self._earlier.setdefault(device.backend, {})
            now = State.of(device)
            before = known.get(device.device_id, _NOT_THERE)
            known[device.device_id] = None
            if before is None:
                self._repeated += 1
                continue
            if before is _NOT_THERE:
                before = None
            change = Change.APPEARED if before is None else change_of(before, now)
            listing = self._listings[change]
            if listing.most:
                listing.add(Listed(device.backend, device.device_id, before, now))
            else:
                listing.count += 1

    def changes(self) -> Changes:
        """Return what was found; the later file is at its end."""
        vanished = Listing(self._listings[Change.VANISHED].most)
        for backend, known in self._earlier.items():
            for device_id, before in known.items():
                if before is not None:
                    vanished.add(Listed(backend, device_id, before, None))
        return Changes(listings={**self._listings, Change.VANISHED: vanished}, repeated=self._repeated)


_NOT_THERE: Final = State(None, None, None, None)


@lru_cache(maxsize=65_536)
def change_of(before: State, now: State) -> Change:
    """Return what became of a device that is in both files."""
    if (before.firmware, before.software) == (now.firmware, now.software):
        return Change.STUCK if before.upgrading and now.upgrading else Change.UNCHANGED
    old, new = before.firmware, now.firmware
    if old == new:
        old, new = before.software, now.software
    if old is None or new is None or before.product != now.product:
        return Change.CHANGED
    return {1: Change.UPGRADED, -1: Change.ROLLED_BACK, 0: Change.CHANGED}[later_of(new, old)]
