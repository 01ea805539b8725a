"""Churn: devices that come, go, upgrade and move while somebody reads their listing.

It is driven by the searches for devices that are served, not by a clock: the same searches meet the same devices.
Vendors that list by page number lose rows to readers when devices go; this is how to try whether a reader notices.
"""

from collections.abc import Sequence
from typing import Any, Final, Literal

import attrs

from otaclient.emulator.devices import ABSENT, CONNECTIONS, DeviceTable
from otaclient.emulator.noise import Noise
from otaclient.models import Connection

__all__ = ["Burst", "Churn", "Place", "Turnover"]

Place = Literal["newest", "oldest", "any"]
"""Where among the registrations of a fleet: after the last, before the first, or anywhere between."""

_PLACES: Final = ("newest", "oldest", "any")
_ONLINE: Final = CONNECTIONS.index(Connection.ONLINE)
# Chances are drawn as whole numbers below this.
_CERTAIN: Final = 2**32


def _not_negative(_instance: Any, field: "attrs.Attribute[Any]", value: float) -> None:
    if not 0 <= value < float("inf"):
        raise ValueError(f"churn: {field.name} is {value!r}; it must be 0 or more")


def _known_place(_instance: Any, field: "attrs.Attribute[Any]", value: str) -> None:
    if value not in _PLACES:
        raise ValueError(f"churn: {field.name} is {value!r}; it must be one of {', '.join(_PLACES)}")


@attrs.frozen(kw_only=True)
class Burst:
    """What happens all at once, before one search; shares are of the devices that exist then."""

    at_search: int = attrs.field(validator=_not_negative)
    """Before which search since the churn began; the first is 0."""
    leave: float = attrs.field(default=0.0, validator=[_not_negative, attrs.validators.le(1)])
    """The share that is removed; 1 for all."""
    join: float = attrs.field(default=0.0, validator=_not_negative)
    """The share that is added; 9 makes ten times as many."""


@attrs.frozen(kw_only=True)
class Churn:
    """How much a fleet moves. The numbers are devices a search, on average; 0.5 is one every other search.

    A client with 32 reads in flight has 32 searches answered in the time of one answer: 0.5 a search is then 16 devices
    in the time of one answer.
    """

    seed: int = 0
    """What is drawn from: equal seeds let the same devices move."""
    upgrade: float = attrs.field(default=0.0, validator=_not_negative)
    """Devices that report another version of their product's firmware: they leave or enter searches by version."""
    leave: float = attrs.field(default=0.0, validator=_not_negative)
    """Devices that are removed."""
    join: float = attrs.field(default=0.0, validator=_not_negative)
    """New devices that are registered."""
    join_at: Place = attrs.field(default="newest", validator=_known_place)
    """As when new devices, and those of ``register_again``, are registered."""
    rejoin: float = attrs.field(default=0.0, validator=_not_negative)
    """Removed devices that come back to their old place in the listing."""
    register_again: float = attrs.field(default=0.0, validator=_not_negative)
    """Removed devices that are registered anew, with the key that they had."""
    jump: float = attrs.field(default=0.0, validator=_not_negative)
    """Devices that move to another place in the listing, as if registered at another time: the order is not kept."""
    jump_to: Place = attrs.field(default="newest", validator=_known_place)
    bursts: Sequence[Burst] = attrs.field(default=(), converter=tuple[Burst, ...])


class Turnover:
    """The churn of one fleet, as it goes on."""

    def __init__(
        self, devices: DeviceTable, versions: Sequence[Sequence[str]], churn: Churn, *, first_second: int
    ) -> None:
        """Begin.

        Args:
            devices: What moves.
            versions: What the devices of each product can report, in the order of the table's products.
            churn: How much moves.
            first_second: As when a device registers where there is no other.
        """
        self.searches = 0
        """How many searches were served."""
        self._devices = devices
        self._versions = versions
        self._churn = churn
        self._first_second = first_second
        self._noise = Noise(churn.seed)
        self._draws = 0
        self._removed: list[int] = []

    def pass_search(self) -> None:
        """Let happen what happens before the next search is answered."""
        churn = self._churn
        before = self._draws
        for burst in churn.bursts:
            if burst.at_search == self.searches:
                self._burst(burst)
        for rate, move in (
            (churn.upgrade, self._upgrade),
            (churn.leave, self._leave),
            (churn.join, self._join),
            (churn.rejoin, self._rejoin),
            (churn.register_again, self._register_again),
            (churn.jump, self._jump),
        ):
            for _ in range(self._how_many(rate)):
                move()
        self.searches += 1
        if self._draws > before:
            self._devices.touch()

    def _burst(self, burst: Burst) -> None:
        count = len(self._devices.listing)
        for _ in range(int(count * burst.leave)):
            self._leave()
        for _ in range(int(count * burst.join)):
            self._join()

    # --- what can happen to a device ---------------------------------------------------------------------------------

    def _upgrade(self) -> None:
        row = self._any_row()
        if row is None:
            return
        devices = self._devices
        now = devices.firmware_version_column[row]
        versions = [version for version in self._versions_of(devices.product_column[row]) if version != now]
        devices.firmware_version_column[row] = versions[self._draw(len(versions))]
        if now == ABSENT:  # what reports a version has been online
            devices.connection_column[row] = _ONLINE

    def _leave(self) -> None:
        row = self._any_row()
        if row is not None:
            self._devices.remove(row)
            self._removed.append(row)

    def _join(self) -> None:
        product = self._draw(len(self._versions))
        versions = self._versions_of(product)
        self._devices.add(
            product=product,
            firmware_version=versions[self._draw(len(versions))],
            connection=_ONLINE,
            registered_at_s=self._second(self._churn.join_at),
        )

    def _rejoin(self) -> None:
        row = self._removed_row()
        if row is not None:
            self._devices.restore(row, self._devices.registered_at_s[row])

    def _register_again(self) -> None:
        row = self._removed_row()
        if row is not None:
            self._devices.restore(row, self._second(self._churn.join_at))

    def _jump(self) -> None:
        row = self._any_row()
        if row is not None:
            second = self._second(self._churn.jump_to)
            self._devices.remove(row)
            self._devices.restore(row, second)

    # --- drawing -----------------------------------------------------------------------------------------------------

    def _draw(self, bound: int) -> int:
        self._draws += 1
        return self._noise.number(f"churn/{self._draws}", bound)

    def _how_many(self, rate: float) -> int:
        whole = int(rate)
        if rate == whole:
            return whole
        # Counted by searches: how often a rate is drawn does not change which devices move.
        chance = self._noise.number(f"churn/rate/{self._draws}/{self.searches}/{rate}", _CERTAIN)
        return whole + (chance < (rate - whole) * _CERTAIN)

    def _any_row(self) -> int | None:
        listing = self._devices.listing
        return listing[self._draw(len(listing))] if listing else None

    def _removed_row(self) -> int | None:
        return self._removed.pop(self._draw(len(self._removed))) if self._removed else None

    def _versions_of(self, product: int) -> list[int]:
        texts = self._devices.firmware_versions
        return [texts.index(version) for version in self._versions[product]]

    def _second(self, place: Place) -> int:
        """The second of registration of a device that is to stand at a place."""
        listing, registered_at_s = self._devices.listing, self._devices.registered_at_s
        if not listing:
            return self._first_second
        first, last = registered_at_s[listing[0]], registered_at_s[listing[-1]]
        if place == "newest":
            return last + 1
        return first - 1 if place == "oldest" else first + self._draw(last - first + 1)
