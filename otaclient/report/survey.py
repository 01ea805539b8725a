"""What one file of devices says: versions by product, and who is being upgraded."""

from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

import attrs

from otaclient.models import DeviceUpgrade
from otaclient.report.listing import Listed, Listing, State

__all__ = ["ProductCount", "Survey"]

_Product: TypeAlias = tuple[str, str | None]


@attrs.frozen(kw_only=True)
class ProductCount:
    """The devices of one product."""

    backend: str
    product: str | None
    """``None`` for devices whose product the vendor does not tell."""
    firmware: Counter[str | None]
    """Devices by firmware version."""
    software: Counter[str | None]
    """Devices by software version; all ``None`` where the product has none."""
    upgrading: Counter[bool | None]
    upgrading_to_leave: Counter[str | None]
    """Devices that are being upgraded, by the firmware version that they still run."""

    @property
    def devices(self) -> int:
        """How many there are."""
        return self.firmware.total()


class Survey:
    """Counts devices as they come.

    Args:
        list_limit: How many of the devices that are being upgraded are listed by name.
    """

    def __init__(self, *, list_limit: int) -> None:
        self._of: dict[_Product, Counter[State]] = {}
        self.upgrading = Listing(list_limit)

    def add(self, devices: Sequence[DeviceUpgrade]) -> None:
        """Count devices."""
        for device in devices:
            state = State.of(device)
            counts = self._of.setdefault((device.backend, device.product_id), Counter())
            counts[state] += 1
            if device.upgrading:
                self.upgrading.add(Listed(device.backend, device.device_id, None, state))

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return sum(counts.total() for counts in self._of.values())

    @property
    def products(self) -> tuple[ProductCount, ...]:
        """The products, those with the most devices first."""
        found = [_counted(*product, counts) for product, counts in self._of.items()]
        return tuple(sorted(found, key=lambda each: (-each.devices, each.backend, each.product or "")))

    @property
    def upgrading_untold(self) -> int:
        """Of how many devices it is not known whether they are being upgraded."""
        return sum(count for counts in self._of.values() for state, count in counts.items() if state.upgrading is None)


def _counted(backend: str, product: str | None, counts: Counter[State]) -> ProductCount:
    firmware: Counter[str | None] = Counter()
    software: Counter[str | None] = Counter()
    upgrading: Counter[bool | None] = Counter()
    leaving: Counter[str | None] = Counter()
    for state, count in counts.items():
        firmware[state.firmware] += count
        software[state.software] += count
        upgrading[state.upgrading] += count
        if state.upgrading:
            leaving[state.firmware] += count
    return ProductCount(
        backend=backend,
        product=product,
        firmware=firmware,
        software=software,
        upgrading=upgrading,
        upgrading_to_leave=leaving,
    )
