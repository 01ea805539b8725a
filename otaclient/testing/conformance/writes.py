"""What every backend promises of the jobs that it creates, stops and deletes."""

from contextlib import AbstractAsyncContextManager
from typing import Any, Final

import attrs
import pytest

from otaclient import (
    Capability,
    InvalidQueryError,
    JobQuery,
    JobStatus,
    NewJob,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    RetryPolicy,
)
from otaclient.emulator.faults import AnswerWith, CutBody, DropConnection, Fault
from otaclient.models import JobId, JobScope
from otaclient.testing.clock import HandClock
from otaclient.testing.conformance.suite import ServedSuite
from otaclient.testing.service import Service, emulator_of, serve

__all__ = ["WritePromises"]

_FAULTS: Final[dict[str, Fault]] = {
    "nothing": CutBody(1_000_000),
    "done, and the answer lost": CutBody(0),
    "arrived, and no answer": DropConnection(),
    "a gateway that is in trouble": AnswerWith(status=502, headers={}, body=b"<html>bad gateway</html>"),
    "a service that is too busy": AnswerWith(status=503, headers={"Retry-After": "1"}, body=b""),
}


class WritePromises(ServedSuite):
    """Whatever becomes of a request or its answer: no job twice, and none denied that is there.

    For backends that create jobs. A subclass says in :meth:`new_job` what can be created at its vendor.
    """

    def live_service(self) -> AbstractAsyncContextManager[Service]:
        """Return the emulator and a client of it on a hand-driven clock, so that nobody waits; for ``async with``."""
        clock = HandClock()
        emulator = emulator_of(self.backend, self.fleet, clock=clock.service)
        return serve(self.backend, emulator, label=f"{self.backend}-7", clock=clock)

    async def new_job(self, service: Service) -> NewJob:
        """Return a job that can be created: override it. ``service.backend`` may be exchanged for one with options."""
        pytest.skip(f"{type(self).__name__} does not override new_job: nothing is created at {service.name}")

    async def test_a_job_that_was_created_is_there(self) -> None:
        """Under its own name, for the firmware that was asked for, in lists as by its identifier."""
        async with self.live_service() as service:
            self.needs(service, Capability.JOBS_CREATE, Capability.JOBS_GET, Capability.JOBS_SEARCH)
            new = await self.new_job(service)
            job_id = await service.backend.jobs.create(new)
            job = await service.backend.jobs.get(job_id)
            assert (job.name, job.firmware_ids) == (new.name, new.firmware_ids)
            listed = await service.backend.jobs.search(JobQuery()).collect(1000)
            assert [job.name for job in listed if job.job_id == job_id] == [new.name]

    @pytest.mark.parametrize("fault", _FAULTS)
    @pytest.mark.parametrize("retries", [True, False])
    async def test_no_job_twice_and_none_denied(self, fault: str, *, retries: bool) -> None:
        """It is one job, and its identifier is told; or the error says that nobody knows."""
        async with self.live_service() as service:
            self.needs(service, Capability.JOBS_CREATE)
            new = await self.new_job(service)
            before = {job.job_id for job in service.jobs}
            sent = service.emulator.served["jobs.create"]
            service.faults.add(_FAULTS[fault], "jobs.create")
            backend = service.backend if retries else service.backend.with_options(retry=RetryPolicy.none())
            returned: JobId | None = None
            try:
                returned = await backend.jobs.create(new)
            except OutcomeUnknownError as error:
                assert error.operation == "jobs.create"  # noqa: PT017 - one of two good ends
            except OtaError:
                # Only what was provably not carried out may end in another error.
                if retries or fault != "a service that is too busy":
                    raise
            created = {job.job_id for job in service.jobs} - before
            assert len(created) <= 1
            if returned is not None:
                assert created == {returned}
            if not retries:
                assert service.emulator.served["jobs.create"] == sent + 1

    async def test_an_idempotency_key_means_one_job(self) -> None:
        """However often, and from however many clients, it is created."""
        async with self.live_service() as service:
            self.needs(service, Capability.JOBS_CREATE)
            new = await self.new_job(service)
            before = len(service.jobs)
            create = service.backend.jobs.create
            first = await create(new, idempotency_key="rollout 7")
            again = await service.backend.with_options().jobs.create(new, idempotency_key="rollout 7")
            assert (again, len(service.jobs) - before) == (first, 1)
            other = await create(new, idempotency_key="rollout 8")
            assert (other != first, len(service.jobs) - before) == (True, 2)

    async def test_what_a_job_cannot_be_is_known_before_anything_is_sent(self) -> None:
        """By ``check``, which finds no fault in what can be created, and by ``create``, in the same words."""
        async with self.live_service() as service:
            self.needs(service, Capability.JOBS_CREATE)
            jobs = service.backend.jobs
            new = await self.new_job(service)
            sent = service.emulator.served.total()
            jobs.check(new, idempotency_key="rollout 7")
            wrong: list[tuple[NewJob, dict[str, Any]]] = [
                (attrs.evolve(new, firmware_ids=()), {}),
                (attrs.evolve(new, scope=JobScope()), {}),
                (new, {"idempotency_key": " "}),
                (new, {"idempotency_key": "rollout 7", "fingerprint": False}),
            ]
            for job, options in wrong:
                with pytest.raises(InvalidQueryError) as checked:
                    jobs.check(job, **options)
                with pytest.raises(InvalidQueryError) as refused:
                    await jobs.create(job, **options)
                assert str(checked.value) == str(refused.value)
            assert service.emulator.served.total() == sent

    @pytest.mark.parametrize("fault", _FAULTS)
    async def test_a_job_that_was_stopped_is_so(self, fault: str) -> None:
        """Also where the answer was lost: that it is stopped already is then no conflict."""
        async with self.live_service() as service:
            self.needs(service, Capability.JOBS_CREATE, Capability.JOBS_STOP, Capability.JOBS_GET)
            job_id = await service.backend.jobs.create(await self.new_job(service))
            service.faults.add(_FAULTS[fault], "jobs.stop")
            await service.backend.jobs.stop(job_id)
            job = await service.backend.jobs.get(job_id)
            assert job.status in {JobStatus.STOPPED, JobStatus.STOPPING}

    async def test_a_job_that_was_deleted_is_gone(self) -> None:
        """For good; and to delete what is not there is an error."""
        async with self.live_service() as service:
            self.needs(service, Capability.JOBS_CREATE, Capability.JOBS_STOP, Capability.JOBS_DELETE)
            jobs = service.backend.jobs
            job_id = await jobs.create(await self.new_job(service))
            await jobs.stop(job_id)
            await jobs.delete(job_id)
            with pytest.raises(NotFoundError):
                await jobs.get(job_id)
            with pytest.raises(NotFoundError):
                await jobs.delete(job_id)
