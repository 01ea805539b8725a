"""Lists that stay short: of any number of devices, the first ones by backend, product and identifier."""

from functools import lru_cache
from typing import Final

import attrs

from otaclient.models import DeviceUpgrade

__all__ = ["Listed", "Listing", "State"]

_SLACK: Final = 1000


@attrs.frozen(cache_hash=True)
class State:
    """What a device said of its versions. A million devices have few, which they share."""

    product: str | None
    firmware: str | None
    software: str | None
    upgrading: bool | None

    @staticmethod
    def of(device: DeviceUpgrade) -> "State":
        """Return what a device says."""
        return _shared(device.product_id, device.firmware_version, device.software_version, device.upgrading)


_shared = lru_cache(maxsize=65_536)(State)


@attrs.frozen
class Listed:
    """A device in a list."""

    backend: str
    device_id: str
    before: State | None
    """``None`` where it is not in the earlier file, or there is none."""
    now: State | None
    """``None`` where it is only in the earlier file."""

    @property
    def product(self) -> str | None:
        """Its product, the present one where it has changed."""
        state = self.now or self.before
        return None if state is None else state.product


@attrs.define
class Listing:
    """Counts devices and keeps the first ones, in the same order whatever order they come in."""

    most: int
    """So many are kept."""
    count: int = 0
    _kept: list[Listed] = attrs.field(factory=list[Listed], init=False)

    def add(self, device: Listed) -> None:
        """Take a device in."""
        self.count += 1
        self._kept.append(device)
        if len(self._kept) > 2 * self.most + _SLACK:
            self._kept = self._first()

    @property
    def devices(self) -> tuple[Listed, ...]:
        """The first devices."""
        return tuple(self._first())

    def _first(self) -> list[Listed]:
        return sorted(self._kept, key=lambda each: (each.backend, each.product or "", each.device_id))[: self.most]
