"""What every backend promises of its firmware and its jobs."""

import pickle
from collections.abc import Callable

import attrs
import pytest

from otaclient import (
    Capability,
    DeviceUpgradeQuery,
    Firmware,
    FirmwareKind,
    FirmwareQuery,
    InvalidQueryError,
    JobQuery,
    JobStatus,
    NotFoundError,
)
from otaclient.testing.conformance.suite import NO_SUCH_ID, ServedSuite, bare, by_id

__all__ = ["RecordPromises"]


class RecordPromises(ServedSuite):
    """Firmware and jobs: listed whole, by filter, and one by one; and what cannot be asked for."""

    async def test_all_firmware(self) -> None:
        """Every firmware that the vendor shows, with every field."""
        async with self.service() as service:
            self.needs(service, Capability.FIRMWARE_SEARCH)
            found = await service.backend.firmware.search().collect(1000)
            assert by_id(bare(found), "firmware_id") == by_id(bare(service.firmware), "firmware_id")

    async def test_firmware_filters(self) -> None:
        """Each filter finds exactly what it describes."""
        async with self.service() as service:
            self.needs(service, Capability.FIRMWARE_SEARCH)
            some = service.firmware[1]
            queries: list[tuple[FirmwareQuery, Callable[[Firmware], bool]]] = [
                (FirmwareQuery(version=some.version), lambda record: record.version == some.version),
                (FirmwareQuery(kinds=["firmware"]), lambda record: record.kind is FirmwareKind.FIRMWARE),
            ]
            if some.product_id is not None:
                queries.append(
                    (FirmwareQuery(products=[some.product_id]), lambda record: record.product_id == some.product_id)
                )
            for query, matches in queries:
                found = await service.backend.firmware.search(query).collect(1000)
                assert {record.firmware_id for record in found} == {
                    record.firmware_id for record in service.firmware if matches(record)
                }

    async def test_one_firmware(self) -> None:
        """A firmware by its identifier shows at least what the search shows."""
        async with self.service() as service:
            self.needs(service, Capability.FIRMWARE_SEARCH, Capability.FIRMWARE_GET)
            listed = service.firmware[0]
            found = await service.backend.firmware.get(listed.firmware_id)
            for field in attrs.fields(type(listed)):
                shown = getattr(listed, field.name)
                if field.name != "extra" and shown is not None and shown != ():
                    assert getattr(found, field.name) == shown

    async def test_all_jobs(self) -> None:
        """Every job that the vendor shows, with every field."""
        async with self.service() as service:
            self.needs(service, Capability.JOBS_SEARCH)
            found = await service.backend.jobs.search().collect(1000)
            assert by_id(bare(found), "job_id") == by_id(bare(service.jobs), "job_id")

    async def test_job_filters(self) -> None:
        """Status and firmware find exactly the jobs that they describe."""
        async with self.service() as service:
            self.needs(service, Capability.JOBS_SEARCH)
            for status in (JobStatus.RUNNING, JobStatus.STOPPED):
                found = await service.backend.jobs.search(JobQuery(status=status)).collect(1000)
                assert {job.job_id for job in found} == {job.job_id for job in service.jobs if job.status is status}
            firmware = service.jobs[0].firmware_ids[0]
            found = await service.backend.jobs.search(JobQuery(firmware_ids=[firmware])).collect(1000)
            assert {job.job_id for job in found} == {job.job_id for job in service.jobs if firmware in job.firmware_ids}

    async def test_one_job(self) -> None:
        """A job by its identifier is the one of the search, as far as the vendor shows it."""
        async with self.service() as service:
            self.needs(service, Capability.JOBS_SEARCH, Capability.JOBS_GET)
            listed = service.jobs[0]
            found = await service.backend.jobs.get(listed.job_id)
            for name in (
                "job_id",
                "status",
                "vendor_status",
                "kind",
                "firmware_ids",
                "owner_id",
                "created_at",
                "backend",
            ):
                assert getattr(found, name) == getattr(listed, name)

    @pytest.mark.parametrize("repository", ["firmware", "jobs"])
    async def test_what_does_not_exist_is_not_found(self, repository: str) -> None:
        """The error names the identifier, the operation, the backend and the vendor's request."""
        async with self.service() as service:
            self.needs(service, Capability(f"{repository}.get"))
            with pytest.raises(NotFoundError) as caught:
                await getattr(service.backend, repository).get(NO_SUCH_ID)
            error = caught.value
            assert NO_SUCH_ID in str(error)
            assert (error.operation, error.backend, error.attempts) == (f"{repository}.get", service.backend.label, 1)
            assert bool(error.request_id) == self.names_requests
            assert pickle.loads(pickle.dumps(error)).request_id == error.request_id  # noqa: S301 - our own bytes

    @pytest.mark.parametrize("identifier", ["", " ", "a\nb", "a\x00b"])
    async def test_identifiers_that_cannot_be_right(self, identifier: str) -> None:
        """Nothing is sent for an identifier that no vendor can have given out."""
        async with self.service() as service:
            self.needs(service, Capability.FIRMWARE_GET, Capability.JOBS_GET)
            with pytest.raises(InvalidQueryError):
                await service.backend.firmware.get(identifier)
            with pytest.raises(InvalidQueryError):
                await service.backend.jobs.get(identifier)
            assert service.requests == 0

    @pytest.mark.parametrize("product", ["it's", 'say "hi"', "both ' and \"", "' or '1'='1", "a\nb"])
    async def test_a_product_with_a_quote_finds_nothing_or_is_refused(self, product: str) -> None:
        """A value can never turn into part of a query: it is matched as it is, or refused before any request."""
        async with self.service() as service:
            try:
                found = await service.backend.devices.search(DeviceUpgradeQuery(products=[product])).collect(10)
            except InvalidQueryError as error:
                assert "product" in str(error)  # noqa: PT017 - refusing is one of two good ends
                assert service.requests == 0
            else:
                assert found == ()
