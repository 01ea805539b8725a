"""Both vendors state their conformance; the suite is the public one."""

import attrs

from otaclient.models import NewJob
from otaclient.testing import Service
from otaclient.testing.conformance import BackendConformance
from support.live import Live


class TestEnos(BackendConformance):
    backend = "enos"

    async def new_job(self, service: Service) -> NewJob:
        """Return a job for some devices that fit."""
        return await job_over_three(service)


class TestIotda(BackendConformance):
    backend = "iotda"

    async def new_job(self, service: Service) -> NewJob:
        """Return a job for some devices that fit, to be created in the resource space of its firmware."""
        job = await job_over_three(service)
        firmware = await service.backend.firmware.get(job.firmware_ids[0])
        service.backend = service.backend.with_options(owner_id=str(firmware.owner_id))
        return job


async def job_over_three(service: Service) -> NewJob:
    """Return a job for three devices."""
    job, _, _ = await Live(**attrs.asdict(service, recurse=False)).new_job(3)
    return job
