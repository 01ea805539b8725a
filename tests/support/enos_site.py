"""An EnOS service over HTTP, and a client of it that shares its clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from otaclient.models import DeviceTask, FirmwareId, JobId, JobScope, JobStatus, LocalizedText, NewFirmware, NewJob
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery
from otaclient.testing import HandClock
from otaclient_enos import EnosBackend
from otaclient_enos.emulator import EnosEmulator
from support.site import FLEET, open_parts

NAME = LocalizedText(default="written_here", translations={"zh_CN": "固件"})


@attrs.frozen
class Site:
    """A service and a client of it."""

    emulator: EnosEmulator
    enos: EnosBackend
    clock: HandClock

    @property
    def product(self) -> str:
        """A product with devices."""
        return FLEET.products[0].product_id

    async def upload(self, version: str = "9.9", **changes: Any) -> FirmwareId:
        """Upload a small firmware of that product."""
        fields = {"version": version, "name": LocalizedText(default=f"fw {version}"), "product_id": self.product}
        return await self.enos.firmware.create(NewFirmware(**{**fields, **changes}), version.encode())

    async def device_keys(self, count: int) -> tuple[str, ...]:
        """Return some devices of that product."""
        found = await self.enos.devices.search(DeviceUpgradeQuery(products=[self.product])).first(count)
        return tuple(device.device_key or "" for device in found)

    async def job(self, count: int = 3, **changes: Any) -> JobId:
        """Create and start a job for some devices of that product."""
        firmware_id = changes.pop("firmware_id", None) or await self.upload()
        scope = JobScope(devices=await self.device_keys(count))
        fields = {"name": LocalizedText(default="job"), "firmware_ids": (firmware_id,), "scope": scope}
        job_id = await self.enos.jobs.create(NewJob(**{**fields, **changes}))
        if (await self.enos.jobs.get(job_id)).status is JobStatus.STOPPED:
            await self.enos.jobs.start(job_id)
        return job_id

    async def tasks(self, job_id: JobId, **filters: Any) -> tuple[DeviceTask, ...]:
        """Return the tasks of a job."""
        return await self.enos.jobs.tasks(DeviceTaskQuery(job_id=job_id, **filters)).collect(1000)


@asynccontextmanager
async def open_site(**options: Any) -> AsyncIterator[Site]:
    """Run a service with a fleet of its own, and a client that shares its clock."""
    async with open_parts(EnosEmulator, EnosBackend, **options) as (emulator, enos, clock):
        yield Site(emulator, enos, clock)
