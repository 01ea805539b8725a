"""An EnOS service over HTTP, and a client of it that shares its clock."""

from collections.abc import AsyncIterator
from typing import Any

import attrs

from otaclient.emulator import Fleet, JobPlan
from otaclient.models import DeviceTask, FirmwareId, JobId, JobScope, JobStatus, LocalizedText, NewFirmware, NewJob
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend
from otaclient_enos.emulator import EnosEmulator

FLEET = Fleet.generate(devices=900, seed=5)
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


async def open_site(**options: Any) -> AsyncIterator[Site]:
    """Run a service with a fleet of its own, and a client that shares its clock."""
    clock = HandClock()
    options.setdefault("plan", JobPlan(failing_share=0))
    async with EnosEmulator(FLEET.copy(), clock=clock.service, **options) as emulator:
        transport = AiohttpTransport(TransportOptions(), max_connections=4)
        session = Session(label="site", transport=transport, clock=clock, roll=lambda: 0.5)
        async with EnosBackend(emulator.config(), session) as enos:
            yield Site(emulator, enos, clock)
