"""An emulated vendor that lives: jobs run on a clock which the client and the service share, and a test drives."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from otaclient.emulator import Fleet, JobPlan
from otaclient.models import (
    DeviceUpgrade,
    Firmware,
    FirmwareKind,
    JobPolicy,
    JobScope,
    LocalizedText,
    NewFirmware,
    NewJob,
)
from otaclient.protocols import Capability
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery
from otaclient.testing import HandClock, Service, emulator_of, serve


@attrs.define
class Live(Service):
    """A vendor that a test may write to."""

    clock: HandClock

    def named(self, device: DeviceUpgrade) -> str:
        """Return the text by which the vendor's jobs name a device."""
        return str(device.device_key if self.name == "enos" else device.device_id)

    async def choose(self, count: int) -> tuple[Firmware, list[DeviceUpgrade]]:
        """Return a firmware, and as many devices that can be upgraded to it."""
        async for firmware in self.backend.firmware.search(FirmwareQuery(kinds=["firmware"])):
            unverified = firmware.verification is not None and firmware.verification.required
            if firmware.kind is not FirmwareKind.FIRMWARE or unverified or firmware.product_id is None:
                continue
            query = DeviceUpgradeQuery(products=[firmware.product_id])
            fit = [device async for device in self.backend.devices.search(query) if _fits(device, firmware)]
            if len(fit) >= count:
                return firmware, fit[:count]
        raise AssertionError("the fleet has no firmware that fits so many devices")

    async def new_firmware(self, version: str) -> tuple[NewFirmware, bytes | None]:
        """Return a firmware that does not exist yet, and its content where the vendor takes that."""
        firmware, _ = await self.choose(1)
        new = NewFirmware(version=version, product_id=firmware.product_id)
        if Capability.FIRMWARE_UPLOAD in self.backend.capabilities:
            return attrs.evolve(new, name=LocalizedText(default=f"new_{version}")), b"bytes of a firmware" * 100
        return attrs.evolve(new, location="obs://bucket/folder/new.bin?region=cn-north-4"), None

    async def new_job(self, count: int, **fields: Any) -> tuple[NewJob, Firmware, list[DeviceUpgrade]]:
        """Return a job over so many devices, not created yet."""
        firmware, devices = await self.choose(count)
        scope = JobScope(devices=tuple(self.named(device) for device in devices))
        fields = {"name": LocalizedText(default="rollout_7"), "scope": scope, "policy": JobPolicy(), **fields}
        return NewJob(firmware_ids=(firmware.firmware_id,), **fields), firmware, devices


def _fits(device: DeviceUpgrade, firmware: Firmware) -> bool:
    version = device.firmware_version
    return (
        version not in {None, firmware.version}
        and not device.upgrading
        and (not firmware.source_versions or version in firmware.source_versions)
    )


@asynccontextmanager
async def live(name: str, fleet: Fleet, **options: Any) -> AsyncIterator[Live]:
    """Start one vendor's emulator over a copy of the fleet, and open a client of it on the same clock."""
    clock = HandClock()
    emulator = emulator_of(name, fleet, clock=clock.service, **{"plan": JobPlan(failing_share=0.0), **options})
    async with serve(name, emulator, label=f"{name}-7", clock=clock) as service:
        yield Live(**attrs.asdict(service, recurse=False))
