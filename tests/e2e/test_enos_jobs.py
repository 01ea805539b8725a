"""Jobs of an EnOS organisation, over HTTP: they live and end, and what was given comes back."""

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import otaclient
from otaclient.emulator import JobPlan
from otaclient.errors import ConflictError, NotFoundError
from otaclient.models import (
    FirmwareId,
    Job,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    JobStatus,
    LocalizedText,
    NewJob,
    PolicyMode,
    RetrySchedule,
    TaskStatus,
    Verification,
)
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, JobQuery
from support.enos_site import NAME, Site, open_site
from support.site import FLEET


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A service with the options that the test names, and a client."""
    async with open_site(**getattr(request, "param", {})) as opened:
        yield opened


async def test_a_job_lives_and_ends(site: Site) -> None:
    """Its tasks are those of the service at every moment; in the end its devices run the new version."""
    job_id = await site.job(5)
    seen: list[JobStatus] = []
    async for progress in site.enos.jobs.watch(job_id, interval_seconds=7):
        seen.append(progress.status)
        expected = tuple(site.emulator.expected_tasks("site", job_id))
        assert await site.tasks(job_id) == expected
        for status in {task.status for task in expected}:
            matching = tuple(task for task in expected if task.status is status)
            assert await site.tasks(job_id, statuses=[status]) == matching
    assert set(seen[:-1]) == {JobStatus.RUNNING}
    assert (seen[-1], progress.succeeded, progress.total) == (JobStatus.SUCCEEDED, 5, 5)
    keys = {task.device_key for task in expected}
    upgraded = site.enos.devices.search(DeviceUpgradeQuery(products=[site.product], versions=["9.9"]))
    assert {device.device_key async for device in upgraded} == keys
    await site.enos.jobs.stop(job_id)
    await site.enos.jobs.delete(job_id)
    with pytest.raises(NotFoundError):
        await site.enos.jobs.get(job_id)


@pytest.mark.parametrize("site", [{"plan": JobPlan(failing_share=1)}], indirect=True)
async def test_waiting_tells_the_reasons_and_failed_devices_can_be_tried_again(site: Site) -> None:
    """Grouped, in the vendor's words; after a retry the job runs again."""
    job_id = await site.job(9)
    ended = await site.enos.jobs.wait(job_id)
    assert (ended.status, ended.failed) == (JobStatus.FAILED, 9)
    assert sum(ended.failures.values()) == 9
    failed = await site.tasks(job_id, statuses=["failed"])
    assert {task.failure.message for task in failed if task.failure} == set(ended.failures)
    await site.enos.jobs.retry_tasks(job_id, failed[:2])
    assert (await site.enos.jobs.progress(job_id)).status is JobStatus.RUNNING


async def test_devices_are_cancelled_and_tried_again(site: Site) -> None:
    """By record or by key; cancelled devices are told from failed ones."""
    job_id = await site.job(4)
    tasks = await site.tasks(job_id)
    await site.enos.jobs.cancel_tasks(job_id, [tasks[0], tasks[1].device_key or ""])
    cancelled = await site.tasks(job_id, statuses=["cancelled"])
    assert {task.device_key for task in cancelled} == {tasks[0].device_key, tasks[1].device_key}
    assert {(task.vendor_status, task.failure.message if task.failure else None) for task in cancelled} == {
        ("failed", "Cancelled by user")
    }
    assert not await site.tasks(job_id, statuses=["failed"])
    assert (await site.enos.jobs.progress(job_id)).cancelled == 2
    await site.enos.jobs.retry_tasks(job_id, cancelled)
    assert (await site.enos.jobs.wait(job_id)).succeeded == 4


async def code_of(call: Any) -> str | None:
    """Return the code with which the service refuses."""
    with pytest.raises(ConflictError) as caught:
        await call
    return caught.value.vendor_code


async def test_the_service_refuses_what_does_not_fit_the_state(site: Site) -> None:
    """Every documented code of a job's and a task's state."""
    jobs = site.enos.jobs
    job_id = await site.job(2)
    device = (await site.tasks(job_id))[0]
    assert await code_of(jobs.start(job_id)) == "24615"
    assert await code_of(jobs.delete(job_id)) == "24618"
    assert await code_of(jobs.retry_tasks(job_id, [device])) == "24621"
    await site.clock.sleep(30)
    assert {task.status for task in await site.tasks(job_id)} == {TaskStatus.UPGRADING}
    assert await code_of(jobs.cancel_tasks(job_id, [device])) == "24620"
    await jobs.stop(job_id)
    assert (await jobs.progress(job_id)).status is JobStatus.STOPPED
    assert await code_of(jobs.stop(job_id)) == "24616"
    assert await code_of(jobs.cancel_tasks(job_id, [device])) == "24617"
    assert await code_of(jobs.retry_tasks(job_id, [device])) == "24617"
    await jobs.start(job_id)
    for call in (jobs.start, jobs.stop, jobs.delete, jobs.progress):
        with pytest.raises(NotFoundError):
            await call("0" * 24)
    for change in (jobs.cancel_tasks, jobs.retry_tasks):
        with pytest.raises(NotFoundError):
            await change("0" * 24, ["d"])


async def test_a_job_for_an_unknown_firmware_is_refused(site: Site) -> None:
    """Whether the firmware is read first or not."""
    for scope in (JobScope(everything=True), JobScope(everything=True, source_versions=("1",))):
        with pytest.raises(NotFoundError):
            await site.enos.jobs.create(NewJob(name=NAME, firmware_ids=(FirmwareId("0" * 24),), scope=scope))


async def test_a_large_jobs_progress_is_that_of_its_tasks(site: Site) -> None:
    """Counted by the service, while it runs and when it has ended."""
    everything = JobScope(everything=True)
    job_id = await site.job(scope=everything, policy=JobPolicy(max_concurrency=5000))
    for _ in range(11):
        tasks = tuple(site.emulator.expected_tasks("site", job_id))
        found = await site.enos.jobs.progress(job_id)
        assert found.total == len(tasks) > 200
        counts = [sum(task.status.value == name for task in tasks) for name in ("upgrading", "succeeded")]
        assert [found.upgrading, found.succeeded] == counts
        await site.clock.sleep(12)
    assert found.status is JobStatus.SUCCEEDED


async def test_the_tasks_of_several_jobs_can_be_scanned(site: Site) -> None:
    """With a certificate that none was missed."""
    jobs = [await site.job(7, firmware_id=await site.upload(version)) for version in ("8.1", "8.2")]
    async with otaclient.scan([(site.enos, DeviceTaskQuery(job_id=job)) for job in jobs]) as scan:
        found = [task async for task in scan]
    expected = [task for job in jobs for task in site.emulator.expected_tasks("site", job)]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert scan.certificate.verdict is otaclient.Verdict.CERTIFIED


KEYS = [
    FLEET.devices.key(row)
    for row in range(len(FLEET.devices))
    if FLEET.devices.product_id(row) == FLEET.products[0].product_id
]
words = st.text("abcXYZ019_固件", min_size=1, max_size=8)
values = st.lists(words, min_size=1, max_size=3).map(tuple)
scopes = st.one_of(
    st.builds(JobScope, devices=st.lists(st.sampled_from(KEYS), min_size=1, max_size=4, unique=True).map(tuple)),
    st.builds(JobScope, tags=st.dictionaries(words, values, min_size=1, max_size=2)),
    st.builds(JobScope, attributes=st.dictionaries(words, values, min_size=1, max_size=2)),
    st.builds(JobScope, asset_trees=st.lists(words.map(lambda tree: {"treeId": tree}), min_size=1, max_size=2)),
    st.builds(JobScope, everything=st.just(True), source_versions=st.lists(words, max_size=3).map(tuple)),
)
policies = st.builds(
    JobPolicy,
    mode=st.sampled_from([PolicyMode.SNAPSHOT, PolicyMode.INCREMENTAL]),
    timeout_seconds=st.integers(300, 172_800),
    max_concurrency=st.integers(1, 1000),
    retry=st.none() | st.builds(RetrySchedule, count=st.integers(1, 9), interval_minutes=st.integers(1, 60)),
    device_may_request=st.booleans(),
)


@settings(max_examples=40)
@given(scopes, policies, st.dictionaries(st.sampled_from(["zh_CN", "en_US"]), words))
async def test_a_job_survives_create_and_get(scope: JobScope, policy: JobPolicy, translations: dict[str, str]) -> None:
    """Wherever the service shows it, what comes back is what was given."""
    async with open_site() as site:
        name = LocalizedText(default="job", translations=translations)
        new = NewJob(name=name, firmware_ids=(await site.upload(),), scope=scope, policy=policy)
        job_id = await site.enos.jobs.create(new)
        shown = await site.enos.jobs.get(job_id)
        assert (shown.name, shown.kind, shown.firmware_ids) == (name, JobKind.UPGRADE, new.firmware_ids)
        assert shown.scope == attrs.evolve(scope, asset_trees=tuple(scope.asset_trees))
        for field in ("mode", "timeout_seconds", "max_concurrency", "retry", "device_may_request"):
            found = None if shown.policy is None else getattr(shown.policy, field)
            assert found in {None, getattr(policy, field)}, field
        assert [job.job_id async for job in site.enos.jobs.search(JobQuery(firmware_ids=[new.firmware_ids[0]]))] == [
            job_id
        ]


async def test_a_scheduled_job_and_a_verification_job_survive(site: Site) -> None:
    """The schedule to the millisecond; a verification job says no more than it has."""
    start = site.clock.now()
    schedule = JobSchedule(start_at=start, end_at=start.replace(hour=23), repeats_daily=True, utc_offset_minutes=60)
    job_id = await site.job(policy=JobPolicy(schedule=schedule))
    shown: Job = await site.enos.jobs.get(job_id)
    assert shown.policy is None or shown.policy.schedule in {None, schedule}
    firmware_id = await site.upload("9.8", verification=Verification(required=True, max_devices=5, min_successes=1))
    keys = await site.device_keys(2)
    new = NewJob(
        name=NAME,
        firmware_ids=(firmware_id,),
        kind=JobKind.VERIFICATION,
        scope=JobScope(devices=keys),
        policy=JobPolicy(timeout_seconds=300),
    )
    shown = await site.enos.jobs.get(await site.enos.jobs.create(new))
    assert (shown.kind, shown.scope) == (JobKind.VERIFICATION, new.scope)
