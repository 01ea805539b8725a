"""An emulated vendor, a client of it, and what the client ought to report."""

from typing import Any

import attrs

from otaclient.events import Event
from otaclient.models import DeviceUpgrade, Firmware, Job
from otaclient.protocols import Backend


@attrs.define
class Service:
    """An emulated vendor, a client of it, and what the client ought to report."""

    name: str
    emulator: Any
    backend: Backend
    events: list[Event]

    @property
    def devices(self) -> list[DeviceUpgrade]:
        """Every device, in the order of the listing."""
        return list(self.emulator.expected_devices(self.backend.label))

    @property
    def firmware(self) -> list[Firmware]:
        """Every firmware that the vendor shows, as a search shows it."""
        return list(self.emulator.expected_firmware(self.backend.label))

    @property
    def jobs(self) -> list[Job]:
        """Every job that the vendor shows."""
        return list(self.emulator.expected_jobs(self.backend.label))

    @property
    def requests(self) -> int:
        """How many requests came in, those for tokens left out."""
        return sum(count for name, count in self.emulator.served.items() if not name.startswith("token."))
