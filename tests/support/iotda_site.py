"""An IoTDA service over HTTP, and a client of it that shares its clock."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs

from otaclient.models import DeviceTask, FirmwareId, JobId, JobScope, LocalizedText, NewFirmware, NewJob
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery
from otaclient.testing import HandClock
from otaclient_iotda import IotdaBackend
from otaclient_iotda.emulator import IotdaEmulator
from support.site import FLEET, open_parts


@attrs.frozen
class Site:
    """A service, and a client of the resource space of its first product."""

    emulator: IotdaEmulator
    iotda: IotdaBackend
    everywhere: IotdaBackend
    """Of all resource spaces."""
    clock: HandClock

    @property
    def product(self) -> str:
        """A product with devices."""
        return FLEET.products[0].product_id

    async def package(self, version: str = "V9.9", *, module_name: str | None = None, **changes: Any) -> FirmwareId:
        """Create a package of that product."""
        fields: dict[str, Any] = {"product_id": self.product, "location": f"obs://fw-bucket/{version}.bin?region=eu"}
        new = NewFirmware(version=version, **(fields | changes))
        return await self.iotda.firmware.create(new, module_name=module_name)

    async def device_ids(self, count: int) -> tuple[str, ...]:
        """Return some devices of that product."""
        found = await self.iotda.devices.search(DeviceUpgradeQuery(products=[self.product])).first(count)
        return tuple(device.device_id for device in found)

    async def job(self, count: int = 3, **changes: Any) -> JobId:
        """Create a job for some devices of that product."""
        firmware_id = changes.pop("firmware_id", None) or await self.package()
        scope = JobScope(devices=await self.device_ids(count))
        fields: dict[str, Any] = {
            "name": LocalizedText(default="夜间_job"),
            "firmware_ids": (firmware_id,),
            "scope": scope,
        }
        return await self.iotda.jobs.create(NewJob(**(fields | changes)))

    async def tasks(self, job_id: JobId, **filters: Any) -> tuple[DeviceTask, ...]:
        """Return the tasks of a job."""
        return await self.iotda.jobs.tasks(DeviceTaskQuery(job_id=job_id, **filters)).collect(1000)


@asynccontextmanager
async def open_site(**options: Any) -> AsyncIterator[Site]:
    """Run a service with a fleet of its own, and a client that shares its clock."""
    async with open_parts(IotdaEmulator, IotdaBackend, **options) as (emulator, everywhere, clock):
        query = DeviceUpgradeQuery(products=[FLEET.products[0].product_id])
        (device,) = await everywhere.devices.search(query).first(1)
        yield Site(emulator, everywhere.with_options(owner_id=device.owner_id), everywhere, clock)
