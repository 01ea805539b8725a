"""What every backend promises to bulk work."""

from typing import Any, Final

import pytest

import otaclient
from otaclient import (
    Capability,
    DeviceUpgradeQuery,
    NotFoundError,
    RetryPolicy,
    Verdict,
)
from otaclient.testing.conformance.suite import NO_SUCH_ID, ServedSuite, by_id

__all__ = ["BulkPromises"]

QUICK: Final = RetryPolicy(base_delay_seconds=0, max_delay_seconds=0)


class BulkPromises(ServedSuite):
    """Scans see every device once, count what they cost, and keep to their plan."""

    @pytest.mark.parametrize("concurrency", [1, 8, 40])
    async def test_a_scan_sees_every_device_once(self, concurrency: int) -> None:
        """The bulk query gives what paging gives, with counts that match the requests on the wire."""
        async with self.service() as service:
            targets = [(service.backend, DeviceUpgradeQuery())]
            async with otaclient.scan(targets, concurrency=concurrency) as running:
                found = [device async for device in running]
            assert by_id(found, "device_id") == by_id(service.devices, "device_id")
            certificate = running.certificate
            assert certificate.devices == len(service.devices)
            assert certificate.requests == service.requests
            assert (certificate.verdict, certificate.repairs) == (Verdict.CERTIFIED, 0)

    @pytest.mark.parametrize("certify", [True, False])
    @pytest.mark.parametrize("concurrency", [1, 16])
    async def test_the_requests_are_those_of_the_plan(self, certify: bool, concurrency: int) -> None:
        """A scan takes as many requests as its plan says, to the last one, while nothing changes."""
        async with self.service() as service:
            options: Any = {"certify": certify, "concurrency": concurrency}
            planned = otaclient.plan(service.backend, DeviceUpgradeQuery(), **options)
            assert service.requests == 0
            async with otaclient.scan([(service.backend, DeviceUpgradeQuery())], **options) as running:
                found = [device async for device in running]
            assert running.certificate.requests == service.requests == planned.expected_requests([len(found)])

    async def test_overlapping_targets_give_each_device_once(self) -> None:
        """A device that two targets of one client list is yielded once."""
        async with self.service() as service:
            product = service.devices[0].product_id or ""
            targets = [
                (service.backend, DeviceUpgradeQuery()),
                (service.backend, DeviceUpgradeQuery(products=[product])),
            ]
            async with otaclient.scan(targets) as running:
                found = [device async for device in running]
            assert len(found) == len({device.device_id for device in found}) == len(service.devices)
            assert running.certificate.duplicates >= sum(device.product_id == product for device in service.devices)
            assert running.certificate.verdict is Verdict.CERTIFIED

    async def test_a_scan_counts_its_retries(self) -> None:
        """Repeated requests show in the certificate."""
        async with self.service() as service:
            patient = service.backend.with_options(retry=QUICK)
            await patient.authenticate()
            service.faults.inject(times=3, status=429, headers={"Retry-After": "0"})
            async with otaclient.scan([(patient, DeviceUpgradeQuery())], concurrency=1) as running:
                assert len([device async for device in running]) == len(service.devices)
            certificate = running.certificate
            assert (certificate.retries, certificate.throttles, certificate.requests) == (3, 3, service.requests)

    async def test_fetch_each_over_jobs_and_firmware(self) -> None:
        """Bounded fan-out works over any call, and a missing key is an outcome."""
        async with self.service() as service:
            self.needs(service, Capability.FIRMWARE_GET, Capability.JOBS_GET)
            keys = [*(job.job_id for job in service.jobs), NO_SUCH_ID]
            async with otaclient.fetch_each(keys, service.backend.jobs.get, concurrency=4) as outcomes:
                found = {outcome.key: outcome async for outcome in outcomes}
            assert set(found) == set(keys)
            assert isinstance(found[NO_SUCH_ID].error, NotFoundError)
            assert all(found[job.job_id].value for job in service.jobs)
            firmware = [record.firmware_id for record in service.firmware]
            async with otaclient.fetch_each(firmware, service.backend.firmware.get) as records:
                assert {record.unwrap().firmware_id async for record in records} == set(firmware)
