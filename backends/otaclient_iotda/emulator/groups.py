"""Groups of devices, which the simulated fleet itself does not have.

Every product has one group for each site that its devices are tagged with. The jobs of the generated fleet that name
groups name some of their own, whose members are just the devices that those jobs reached.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

import attrs

from otaclient.emulator import Fleet
from otaclient.emulator.masks import all_of, column, periodic, rows_of
from otaclient_iotda.emulator.render import SITES

__all__ = ["DeviceGroup", "DeviceGroups"]

_NAMED_SITES: Final = tuple(sorted({site for site in SITES if site is not None}))


@attrs.frozen(kw_only=True)
class DeviceGroup:
    """A group of devices."""

    group_id: str
    """32 hexadecimal digits, the same in every run of the same fleet."""
    name: str
    """Such as ``pump at hall-1``."""


class DeviceGroups:
    """The groups of one fleet, and who belongs to them. They never change."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._sites: dict[str, tuple[int, str]] = {}
        """Group to product index and site."""
        self._members: dict[str, Sequence[int]] = {}
        """Group to ascending rows: those of jobs from the start, the others when somebody asks, and then for good."""
        groups: list[DeviceGroup] = []
        for index, product in enumerate(fleet.products):
            for site in _NAMED_SITES:
                group_id = _site_group_id(product.product_id, site)
                self._sites[group_id] = (index, site)
                groups.append(DeviceGroup(group_id=group_id, name=f"{product.name} at {site}"))
        for job in fleet.jobs:
            for group_id in job.group_ids:
                self._members[group_id] = tuple(sorted(job.targets))
                groups.append(DeviceGroup(group_id=group_id, name=f"targets of {job.name}"))
        self._of_jobs = tuple(self._members.items())
        self.listed: Mapping[str, DeviceGroup] = MappingProxyType({group.group_id: group for group in groups})

    def rows(self, group_id: str) -> Sequence[int] | None:
        """Return the rows of a group's devices, ascending; ``None`` where there is no such group."""
        if group_id not in self._members and group_id in self._sites:
            index, site = self._sites[group_id]
            count = len(self._fleet.devices)
            at_site = periodic([each == site for each in SITES], count)
            of_product = column(self._fleet.devices.product_column, {index})
            self._members[group_id] = rows_of(all_of([of_product, at_site], count))
        return self._members.get(group_id)

    def of_device(self, row: int) -> list[str]:
        """Return the identifiers of the groups that a device belongs to."""
        found = [group_id for group_id, rows in self._of_jobs if _holds(rows, row)]
        site = SITES[row % len(SITES)]
        return found if site is None else [_site_group_id(self._fleet.devices.product_id(row), site), *found]


def _holds(rows: Sequence[int], row: int) -> bool:
    place = bisect_left(rows, row)
    return place < len(rows) and rows[place] == row


def _site_group_id(product_id: str, site: str) -> str:
    return hashlib.md5(f"group/{product_id}/{site}".encode(), usedforsecurity=False).hexdigest()
