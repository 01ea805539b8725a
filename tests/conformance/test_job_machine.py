"""Random lives of jobs, compared with a simple model after every step."""

import asyncio
from contextlib import AsyncExitStack, suppress
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from otaclient import (
    ConflictError,
    DeviceTaskQuery,
    DeviceUpgrade,
    JobId,
    JobStatus,
    NotFoundError,
    TaskStatus,
)
from otaclient.emulator import Fleet, JobPlan
from support.live import Live, live

# Many lives of many jobs take their time, more so on a busy machine and under a coverage tracer.
pytestmark = pytest.mark.timeout(600)

FLEET = Fleet.generate(devices=500, seed=33)
OPEN = {TaskStatus.PENDING, TaskStatus.PUBLISHED, TaskStatus.UPGRADING, TaskStatus.RETRYING}


@attrs.define
class Known:
    """What the model knows of a job."""

    devices: list[DeviceUpgrade]
    cancelled: set[str]
    stopped: bool = False


class JobMachine(RuleBasedStateMachine):
    """Creates, starts, stops, cancels, retries and deletes jobs of one vendor, and lets time pass."""

    vendor_name = ""
    jobs = Bundle("jobs")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.known: dict[JobId, Known] = {}
        self.deleted: set[JobId] = set()

    @initialize(seed=st.integers(0, 3))
    def open(self, seed: int) -> None:
        """Start the vendor."""
        plan = JobPlan(failing_share=0.3, spread=0.2 * (seed % 3))
        self.live: Live = self.do(self.stack.enter_async_context(live(self.vendor_name, FLEET, plan=plan)))

    def do(self, coroutine: Any) -> Any:
        """Run a call to its end."""
        return self.runner.run(coroutine)

    def tasks(self, job_id: JobId) -> dict[str, TaskStatus]:
        """Return where each device stands."""
        found = self.do(self.live.backend.jobs.tasks(DeviceTaskQuery(job_id=job_id)).collect(1000))
        assert len({task.device_id for task in found}) == len(found)
        return {str(task.device_id): task.status for task in found}

    def is_over(self, job_id: JobId) -> bool:
        """Tell whether nothing of a job is open any more."""
        return not OPEN & set(self.tasks(job_id).values())

    @rule(target=jobs, count=st.integers(1, 6))
    def create(self, count: int) -> Any:
        """Create a job over devices that no other job has."""
        taken = {device.device_id for job in self.known.values() for device in job.devices}
        new, _, devices = self.do(self.live.new_job(40))
        free = [device for device in devices if device.device_id not in taken][:count]
        if not free:
            return multiple()
        scope = attrs.evolve(new.scope, devices=tuple(self.live.named(device) for device in free))
        job_id = self.do(self.live.backend.jobs.create(attrs.evolve(new, scope=scope)))
        assert job_id not in self.known
        self.known[job_id] = Known(free, set())
        return job_id

    @rule(seconds=st.sampled_from([1, 10, 60, 600]))
    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.live.clock.advance(seconds)

    @rule(job_id=jobs)
    def stop(self, job_id: JobId) -> None:
        """Stop: refused for a job that is stopped, or, where jobs end by themselves, over."""
        known = self.known[job_id]
        refused = known.stopped or (self.vendor_name == "iotda" and self.is_over(job_id))
        if refused:
            with pytest.raises(ConflictError):
                self.do(self.live.backend.jobs.stop(job_id))
            return
        self.do(self.live.backend.jobs.stop(job_id))
        known.stopped = True

    @rule(job_id=jobs, pick=st.integers(0, 5))
    def cancel_or_refuse(self, job_id: JobId, pick: int) -> None:
        """Cancelling one device works while its turn has not come; else it is refused, and nothing changes."""
        known = self.known[job_id]
        device = known.devices[pick % len(known.devices)]
        before = self.tasks(job_id)
        try:
            self.do(self.live.backend.jobs.cancel_tasks(job_id, [device]))
        except ConflictError:
            assert self.tasks(job_id) == before
            return
        assert before[device.device_id] in OPEN
        known.cancelled.add(device.device_id)

    @rule(job_id=jobs)
    def retry_the_failed(self, job_id: JobId) -> None:
        """Failed devices are tried again, where the job's state allows it."""
        failed = [device for device, status in self.tasks(job_id).items() if status is TaskStatus.FAILED]
        chosen = [device for device in self.known[job_id].devices if device.device_id in failed]
        if not chosen:
            return
        try:
            self.do(self.live.backend.jobs.retry_tasks(job_id, chosen))
        except ConflictError:
            assert self.known[job_id].stopped
            return
        now = self.tasks(job_id)
        assert all(now[device.device_id] in OPEN for device in chosen)

    @rule(job_id=consumes(jobs))
    def delete(self, job_id: JobId) -> Any:
        """A job that runs is not deleted; stopped, and after a while, it is, and is gone."""
        with suppress(ConflictError):
            self.do(self.live.backend.jobs.stop(job_id))
        self.live.clock.advance(3600)
        self.do(self.live.backend.jobs.delete(job_id))
        with pytest.raises(NotFoundError):
            self.do(self.live.backend.jobs.get(job_id))
        self.known.pop(job_id)
        self.deleted.add(job_id)

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        """Jobs that exist are listed and count their devices; deleted ones are not."""
        if not hasattr(self, "live"):
            return
        for job_id, known in self.known.items():
            job = self.do(self.live.backend.jobs.get(job_id))
            assert job.scope is not None
            assert len(job.scope.devices) == len(known.devices)
            if known.stopped:
                assert job.status in {JobStatus.STOPPED, JobStatus.STOPPING}
            tasks = self.tasks(job_id)
            assert set(tasks) == {device.device_id for device in known.devices}
            assert self.do(self.live.backend.jobs.progress(job_id)).total == len(known.devices)

    def teardown(self) -> None:
        """Stop the vendor."""
        try:
            self.runner.run(self.stack.aclose())
        finally:
            self.runner.close()


class EnosMachine(JobMachine):
    """EnOS."""

    vendor_name = "enos"


class IotdaMachine(JobMachine):
    """IoTDA."""

    vendor_name = "iotda"


_SLOW = [HealthCheck.too_slow, HealthCheck.filter_too_much]
_LIMITS = settings(max_examples=15, stateful_step_count=20, deadline=None, suppress_health_check=_SLOW)
TestEnosJobs = EnosMachine.TestCase
TestEnosJobs.settings = _LIMITS
TestIotdaJobs = IotdaMachine.TestCase
TestIotdaJobs.settings = _LIMITS
