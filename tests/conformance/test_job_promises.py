"""What every backend promises of jobs that live: created, followed, stopped, tried again, deleted."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import otaclient
from otaclient import (
    Capability,
    ConflictError,
    DeviceTaskQuery,
    DeviceUpgradeQuery,
    FirmwareQuery,
    InvalidQueryError,
    JobQuery,
    JobScope,
    JobStatus,
    LocalizedText,
    NotFoundError,
    OutcomeUnknownError,
    RetryPolicy,
    TaskStatus,
    UnsupportedOperationError,
    Verdict,
)
from otaclient.emulator import Fleet, JobPlan, remarks
from support.live import Live, live

FLEET = Fleet.generate(devices=700, seed=21)
NO_SUCH_ID = "0123456789abcdef01234567"
LONG_ENOUGH = 3600.0


@pytest.fixture(params=["enos", "iotda"])
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[Live]:
    """Start one vendor, with a plan in which every device succeeds."""
    async with live(request.param, FLEET) as running:
        yield running


@pytest.fixture(params=["enos", "iotda"])
async def frail(request: pytest.FixtureRequest) -> AsyncIterator[Live]:
    """Start one vendor on which every device fails."""
    plan = JobPlan(failing_share=1.0, failures=(remarks.DOWNLOAD_FAILED,))
    async with live(request.param, FLEET, plan=plan) as running:
        yield running


async def test_a_job_lives_from_creation_to_its_end(vendor: Live) -> None:
    """Created, listed as asked for, one task a device, counted to the end; then the devices have the version."""
    new, firmware, devices = await vendor.new_job(7)
    jobs = vendor.backend.jobs
    job_id = await jobs.create(new)
    job = await jobs.get(job_id)
    assert (job.job_id, job.name and job.name.default, job.firmware_ids) == (job_id, "rollout_7", new.firmware_ids)
    assert job.scope is not None
    assert sorted(job.scope.devices) == sorted(new.scope.devices)
    assert job_id in {listed.job_id async for page in jobs.search().pages(settled=True) for listed in page.items}

    tasks = await jobs.tasks(DeviceTaskQuery(job_id=job_id)).collect(100)
    assert sorted(task.device_id for task in tasks) == sorted(device.device_id for device in devices)
    assert list(vendor.emulator.expected_tasks(vendor.backend.label, job_id)) == list(tasks)
    before = await jobs.progress(job_id)
    assert before.total == 7
    assert before.status in {JobStatus.PENDING, JobStatus.RUNNING}

    done = await jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)
    assert (done.status, done.total, done.succeeded, done.failed or 0) == (JobStatus.SUCCEEDED, 7, 7, 0)
    assert done.failures == {}
    query = DeviceUpgradeQuery(products=[firmware.product_id or ""], versions=[firmware.version])
    upgraded = {device.device_id async for device in vendor.backend.devices.search(query)}
    assert {device.device_id for device in devices} <= upgraded


async def test_watching_shows_progress_that_only_grows(vendor: Live) -> None:
    """Each reading differs from the one before, finished devices never become fewer, the last is final."""
    new, _, _ = await vendor.new_job(6)
    job_id = await vendor.backend.jobs.create(new)
    shown = [progress async for progress in vendor.backend.jobs.watch(job_id, interval_seconds=5)]
    finished = [(progress.succeeded or 0) + (progress.failed or 0) for progress in shown]
    assert finished == sorted(finished)
    assert (shown[-1].status, finished[-1]) == (JobStatus.SUCCEEDED, 6)
    assert len(shown) > 2


async def test_failures_are_grouped_by_reason(frail: Live) -> None:
    """A job whose devices fail ends as failed, and says how many failed for which reason."""
    new, _, _ = await frail.new_job(5)
    job_id = await frail.backend.jobs.create(new)
    done = await frail.backend.jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)
    assert (done.status, done.failed) == (JobStatus.FAILED, 5)
    assert list(done.failures.values()) == [5]
    failed = await frail.backend.jobs.tasks(DeviceTaskQuery(job_id=job_id, statuses=["failed"])).collect(10)
    assert len(failed) == 5
    assert all(task.failure is not None and task.status is TaskStatus.FAILED for task in failed)


async def test_waiting_has_an_end(vendor: Live) -> None:
    """A job that takes longer than one wants to wait is an error that says how far it is; it goes on."""
    new, _, _ = await vendor.new_job(4)
    job_id = await vendor.backend.jobs.create(new)
    with pytest.raises(otaclient.DeadlineExceededError, match="goes on"):
        await vendor.backend.jobs.wait(job_id, timeout_seconds=3)
    assert (await vendor.backend.jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)).status is JobStatus.SUCCEEDED


async def test_failed_devices_are_tried_again(frail: Live) -> None:
    """A chosen part of the failed devices is tried again, and only that."""
    new, _, devices = await frail.new_job(5)
    jobs = frail.backend.jobs
    job_id = await jobs.create(new)
    await jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)
    failed = await jobs.tasks(DeviceTaskQuery(job_id=job_id, statuses=["failed"])).collect(10)
    await jobs.retry_tasks(job_id, failed[:2])
    states = {task.device_id: task.status for task in await jobs.tasks(DeviceTaskQuery(job_id=job_id)).collect(10)}
    again = {device for device, status in states.items() if status is not TaskStatus.FAILED}
    assert again == {task.device_id for task in failed[:2]}
    assert len(states) == len(devices)


async def test_devices_that_wait_are_cancelled(vendor: Live) -> None:
    """A part of the devices is taken out before its turn; the others go on."""
    new, _, devices = await vendor.new_job(6)
    jobs = vendor.backend.jobs
    job_id = await jobs.create(new)
    await jobs.cancel_tasks(job_id, devices[:2])
    done = await jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)
    assert done.succeeded == 4
    assert done.status is not JobStatus.RUNNING
    cancelled = await jobs.tasks(DeviceTaskQuery(job_id=job_id, statuses=["cancelled"])).collect(10)
    assert {task.device_id for task in cancelled} == {device.device_id for device in devices[:2]}


async def test_stop_and_delete(vendor: Live) -> None:
    """A running job cannot be deleted; a stopped one can, and is gone then."""
    new, _, _ = await vendor.new_job(5)
    jobs = vendor.backend.jobs
    job_id = await jobs.create(new)
    with pytest.raises(ConflictError):
        await jobs.delete(job_id)
    await jobs.stop(job_id)
    vendor.clock.advance(600)
    assert (await jobs.get(job_id)).status is JobStatus.STOPPED
    with pytest.raises(ConflictError):
        await jobs.stop(job_id)
    await jobs.delete(job_id)
    with pytest.raises(NotFoundError):
        await jobs.get(job_id)
    assert job_id not in {job.job_id async for page in jobs.search().pages(settled=True) for job in page.items}


async def test_a_firmware_comes_and_goes(vendor: Live) -> None:
    """Created once, found by its identifier and by a search, refused a second time, deleted for good."""
    firmware = vendor.backend.firmware
    if vendor.name == "iotda":  # a package belongs to a resource space, which its creator names
        owner = (await firmware.search().first(1))[0].owner_id
        firmware = vendor.backend.with_options(owner_id=owner).firmware
    new, content = await vendor.new_firmware("77.1")
    firmware_id = await firmware.create(new, content)
    found = await firmware.get(firmware_id)
    assert (found.version, found.product_id) == ("77.1", new.product_id)
    pages = firmware.search(FirmwareQuery(version="77.1")).pages(settled=True)
    assert [item.firmware_id async for page in pages for item in page.items] == [firmware_id]
    with pytest.raises(ConflictError):
        await firmware.create(new, content)
    await firmware.delete(firmware_id)
    with pytest.raises(NotFoundError):
        await firmware.get(firmware_id)
    with pytest.raises(NotFoundError):
        await firmware.delete(firmware_id)


async def test_a_stopped_job_is_started_again_or_refused(vendor: Live) -> None:
    """Where stopped jobs can go on they do, to the end; where they cannot, that is a conflict."""
    new, _, _ = await vendor.new_job(3)
    jobs = vendor.backend.jobs
    job_id = await jobs.create(new)
    await jobs.stop(job_id)
    vendor.clock.advance(60)
    if vendor.name == "iotda":
        with pytest.raises(ConflictError):
            await jobs.start(job_id)
        return
    await jobs.start(job_id)
    with pytest.raises(ConflictError):
        await jobs.start(job_id)
    assert (await jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)).succeeded == 3


async def test_fetch_each_over_devices(vendor: Live) -> None:
    """Bounded fan-out over single devices, where the vendor can look one up; else every outcome is the refusal."""
    _, devices = await vendor.choose(20)
    keys = [device.device_id for device in devices]
    async with otaclient.fetch_each(keys, vendor.backend.devices.get, concurrency=5) as outcomes:
        found = {outcome.key: outcome async for outcome in outcomes}
    assert set(found) == set(keys)
    if Capability.DEVICES_GET in vendor.backend.capabilities:
        assert {key: outcome.unwrap() for key, outcome in found.items()} == {d.device_id: d for d in devices}
    else:
        assert all(isinstance(outcome.error, UnsupportedOperationError) for outcome in found.values())


async def test_a_held_job_waits_for_its_start(vendor: Live) -> None:
    """A held job does nothing until it is started, where the vendor has that; else it is refused before any request."""
    new, _, _ = await vendor.new_job(3, hold=True)
    before = vendor.requests
    if Capability.JOBS_HOLD not in vendor.backend.capabilities:
        with pytest.raises(UnsupportedOperationError):
            await vendor.backend.jobs.create(new)
        assert vendor.requests == before
        return
    job_id = await vendor.backend.jobs.create(new)
    vendor.clock.advance(600)
    assert (await vendor.backend.jobs.progress(job_id)).succeeded == 0
    await vendor.backend.jobs.start(job_id)
    assert (await vendor.backend.jobs.wait(job_id, timeout_seconds=LONG_ENOUGH)).succeeded == 3


@pytest.mark.parametrize("operation", ["start", "stop", "delete", "progress"])
async def test_jobs_that_do_not_exist(vendor: Live, operation: str) -> None:
    """Each operation names the job that there is not."""
    with pytest.raises(NotFoundError, match=NO_SUCH_ID):
        await getattr(vendor.backend.jobs, operation)(NO_SUCH_ID)


@pytest.mark.parametrize("operation", ["cancel_tasks", "retry_tasks"])
async def test_an_empty_list_of_devices_is_refused(vendor: Live, operation: str) -> None:
    """Nothing is sent for nobody: one vendor would take it for everybody."""
    with pytest.raises(InvalidQueryError):
        await getattr(vendor.backend.jobs, operation)(NO_SUCH_ID, [])
    assert vendor.requests == 0


async def test_jobs_without_a_target_are_refused(vendor: Live) -> None:
    """A job that reaches nobody is refused before it is created."""
    new, _, _ = await vendor.new_job(2)
    for wrong in (JobScope(), JobScope(devices=("no such device !",) * 2)):
        with pytest.raises((InvalidQueryError, NotFoundError, ConflictError)):
            await vendor.backend.jobs.create(
                otaclient.NewJob(name=new.name, firmware_ids=new.firmware_ids, scope=wrong)
            )


Action = Callable[[Live, Any], Any]
WRITES: dict[str, Action] = {
    "start": lambda vendor, job: vendor.backend.jobs.start(job),
    "stop": lambda vendor, job: vendor.backend.jobs.stop(job),
    "delete": lambda vendor, job: vendor.backend.jobs.delete(job),
}


@pytest.mark.parametrize("write", list(WRITES))
@pytest.mark.parametrize("fault", ["drop", "gateway"])
async def test_an_unclear_write_is_sent_again_and_said(vendor: Live, write: str, fault: str) -> None:
    """A write whose answers are all lost ends with its retries; the error says how to find out."""
    new, _, _ = await vendor.new_job(2)
    job_id = await vendor.backend.jobs.create(new)
    await vendor.backend.authenticate()
    before = vendor.requests
    if fault == "drop":
        vendor.emulator.faults.drop(times=None)
    else:
        vendor.emulator.faults.inject(times=None, status=502, body=b"<html>bad gateway</html>")
    with pytest.raises(OutcomeUnknownError) as caught:
        await WRITES[write](vendor, job_id)
    vendor.emulator.faults.clear()
    assert vendor.requests == before + RetryPolicy().max_attempts
    assert job_id in str(caught.value)


async def test_creating_without_an_answer_is_unclear(vendor: Live) -> None:
    """A creation whose answer is lost is sent once."""
    new, _, _ = await vendor.new_job(2, name=LocalizedText(default="unclear_9"))
    await vendor.backend.authenticate()
    vendor.emulator.faults.drop("jobs.create", times=None)
    with pytest.raises(OutcomeUnknownError):
        await vendor.backend.jobs.create(new)
    assert vendor.emulator.served["jobs.create"] == 1


async def test_scanning_the_tasks_of_several_jobs(vendor: Live) -> None:
    """The bulk query reads the tasks of many jobs at once, each once, with a certificate."""
    ids = []
    for count in (3, 60):
        new, _, _ = await vendor.new_job(count)
        ids.append(await vendor.backend.jobs.create(new))
    targets = [(vendor.backend, DeviceTaskQuery(job_id=job_id)) for job_id in ids]
    async with otaclient.scan(targets) as scan:
        tasks = [task async for task in scan]
    assert sorted(task.job_id for task in tasks) == sorted([ids[0]] * 3 + [ids[1]] * 60)
    assert scan.certificate.verdict is Verdict.CERTIFIED


async def test_what_a_vendor_lacks_is_refused_before_any_request(vendor: Live) -> None:
    """Every operation without its capability raises at once."""
    calls: dict[Capability, Callable[[], Any]] = {
        Capability.DEVICES_GET: lambda: vendor.backend.devices.get("d"),
        Capability.FIRMWARE_REPORTED_VERSIONS: lambda: vendor.backend.firmware.reported_versions("p"),
        Capability.FIRMWARE_DOWNLOAD: lambda: vendor.backend.firmware.download(
            otaclient.Firmware(backend="x", firmware_id=otaclient.FirmwareId("f"), version="1"), "nowhere"
        ),
    }
    for capability, call in calls.items():
        if capability not in vendor.backend.capabilities:
            with pytest.raises(UnsupportedOperationError):
                await call()
    assert vendor.requests == 0


async def test_searching_after_writing_can_wait_out_the_lag(vendor: Live) -> None:
    """A search that is to show one's own writes waits as long as is left of the vendor's lag, and no longer."""
    new, _, _ = await vendor.new_job(2)
    await vendor.backend.jobs.create(new)
    slept = len(vendor.clock.slept)
    _ = [page async for page in vendor.backend.jobs.search(JobQuery()).pages(settled=True)]
    waited = sum(vendor.clock.slept[slept:])
    assert waited <= 2.0
    _ = [page async for page in vendor.backend.jobs.search(JobQuery()).pages(settled=True)]
    assert sum(vendor.clock.slept[slept:]) == waited


async def test_a_retry_policy_does_not_change_writes(vendor: Live) -> None:
    """Throttled writes were not executed, so they are repeated; nothing is created twice."""
    new, _, _ = await vendor.new_job(2)
    patient = vendor.backend.with_options(retry=RetryPolicy(base_delay_seconds=0.1))
    await patient.authenticate()
    before = {job.job_id async for job in patient.jobs.search()}
    vendor.emulator.faults.inject("jobs.create", times=2, status=429, headers={"Retry-After": "1"})
    job_id = await patient.jobs.create(new)
    after = {job.job_id async for page in patient.jobs.search().pages(settled=True) for job in page.items}
    assert after - before == {job_id}
