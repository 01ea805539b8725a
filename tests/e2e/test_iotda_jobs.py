"""Jobs of an IoTDA project, over HTTP: they live and end, and what was given comes back."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import otaclient
from otaclient.emulator import JobPlan
from otaclient.errors import ConflictError, InvalidQueryError, NotFoundError
from otaclient.models import (
    FirmwareId,
    FirmwareKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    JobStatus,
    LocalizedText,
    NewJob,
    RetrySchedule,
    TaskStatus,
)
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, JobQuery
from otaclient_iotda import TargetsRefusedError
from support.iotda_site import Site, open_site
from support.site import FLEET

SELECT = "select * from device"
COUNT = "select count(*) from device"


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A service with the options that the test names, and a client."""
    async with open_site(**getattr(request, "param", {})) as opened:
        yield opened


# --- jobs ------------------------------------------------------------------------------------------------------------


async def test_a_job_lives_and_ends(site: Site) -> None:
    """Its tasks are those of the service at every moment; in the end its devices run the new version."""
    job_id = await site.job(5)
    seen: list[JobStatus] = []
    async for progress in site.iotda.jobs.watch(job_id, interval_seconds=7):
        seen.append(progress.status)
        expected = tuple(site.emulator.expected_tasks("site", job_id))
        assert await site.tasks(job_id) == expected
        for status in {task.status for task in expected}:
            matching = tuple(task for task in expected if task.status is status)
            assert await site.tasks(job_id, statuses=[status]) == matching
            assert await site.tasks(job_id, statuses=[status], devices=[matching[0].device_id]) == matching[:1]
        some = [expected[0].device_id, expected[3].device_id]
        assert await site.tasks(job_id, devices=some) == (expected[0], expected[3])
    assert (seen[-1], progress.succeeded, progress.total) == (JobStatus.SUCCEEDED, 5, 5)
    upgraded = site.iotda.devices.search(DeviceUpgradeQuery(products=[site.product], versions=["V9.9"]))
    assert {device.device_id async for device in upgraded} == {task.device_id for task in expected}
    with pytest.raises(ConflictError):
        await site.iotda.jobs.stop(job_id)
    await site.iotda.jobs.delete(job_id)
    for call in (site.iotda.jobs.get, site.iotda.jobs.delete, site.iotda.jobs.stop, site.iotda.jobs.start):
        with pytest.raises(NotFoundError):
            await call(job_id)


@pytest.mark.parametrize("site", [{}, {"lists_all_targets": True}], indirect=True, ids=["silent", "all listed"])
async def test_a_job_is_stopped(site: Site) -> None:
    """All devices that have not ended; before that it cannot be deleted."""
    job_id = await site.job(3)
    with pytest.raises(ConflictError):
        await site.iotda.jobs.delete(job_id)
    await site.iotda.jobs.stop(job_id)
    ended = await site.iotda.jobs.wait(job_id)
    assert (ended.status, ended.cancelled) == (JobStatus.STOPPED, 3)
    await site.iotda.jobs.delete(job_id)


async def test_a_held_job_is_confirmed_in_part_and_as_a_whole(site: Site) -> None:
    """What is refused is said of each device, and is no error of the rest."""
    job_id = await site.job(3, hold=True)
    await site.clock.sleep(600)
    tasks = await site.tasks(job_id)
    assert {task.status for task in tasks} == {TaskStatus.PENDING}
    first = tasks[0].device_id
    (outcome,) = await site.iotda.confirm_job(job_id, [first])
    assert (outcome.device_id, outcome.accepted) == (first, True)
    await site.clock.sleep(1)
    again, stranger = await site.iotda.confirm_job(job_id, [tasks[0], "nobody"])
    assert (again.accepted, stranger.accepted) == (False, False)
    assert again.code
    assert stranger.message
    await site.clock.sleep(600)
    assert {task.device_id for task in await site.tasks(job_id, statuses=["succeeded"])} == {first}
    assert (await site.iotda.jobs.progress(job_id)).pending == 2
    await site.iotda.jobs.start(job_id)
    assert (await site.iotda.jobs.wait(job_id)).succeeded == 3


async def test_many_devices_are_cancelled_with_several_requests(site: Site) -> None:
    """Those that the service refuses are an error that names them; all others are cancelled."""
    devices = await site.device_ids(250)
    job_id = await site.job(scope=JobScope(devices=devices))
    with pytest.raises(TargetsRefusedError, match="2 of 242 devices were refused") as caught:
        await site.iotda.jobs.cancel_tasks(job_id, ["nobody", *devices[:120], "no-one", *devices[120:240]])
    assert [outcome.device_id for outcome in caught.value.outcomes] == ["nobody", "no-one"]
    cancelled = await site.tasks(job_id, statuses=["cancelled"])
    assert {task.device_id for task in cancelled} == set(devices[:240])
    assert site.emulator.served["jobs.stop"] == 3
    await site.iotda.jobs.retry_tasks(job_id, cancelled)
    assert (await site.iotda.jobs.wait(job_id)).succeeded == 250


@pytest.mark.parametrize("site", [{"plan": JobPlan(failing_share=1)}], indirect=True)
async def test_waiting_tells_the_reasons(site: Site) -> None:
    """Grouped, in the vendor's words; failed devices can be tried again, also over and over by the job itself."""
    job_id = await site.job(9, policy=JobPolicy(retry=RetrySchedule(count=1, interval_minutes=5)))
    await site.clock.sleep(120)
    waiting = await site.tasks(job_id, statuses=["retrying"])
    assert waiting
    assert all(task.failure for task in waiting)
    ended = await site.iotda.jobs.wait(job_id)
    assert (ended.status, ended.failed, sum(ended.failures.values())) == (JobStatus.FAILED, 9, 9)
    failed = await site.tasks(job_id, statuses=["failed"])
    assert {task.failure.message for task in failed if task.failure} == set(ended.failures)
    await site.iotda.jobs.retry_tasks(job_id, failed[:2])
    assert (await site.iotda.jobs.progress(job_id)).status is JobStatus.RUNNING


async def test_a_scheduled_job_waits(site: Site) -> None:
    """Until its start, in whole seconds."""
    start = (site.clock.now() + timedelta(days=1)).replace(microsecond=0)
    job_id = await site.job(policy=JobPolicy(schedule=JobSchedule(start_at=start)))
    job = await site.iotda.jobs.get(job_id)
    assert job.policy is not None
    assert job.policy.schedule == JobSchedule(start_at=start)
    await site.clock.sleep(3600)
    assert (await site.iotda.jobs.progress(job_id)).status is JobStatus.PENDING
    await site.clock.sleep(86_400)
    assert (await site.iotda.jobs.wait(job_id)).succeeded == 3


async def test_a_job_reaches_a_group_with_several_packages(site: Site) -> None:
    """Each device gets the one for its version."""
    running = [
        device.firmware_version
        async for device in site.iotda.devices.search(DeviceUpgradeQuery(products=[site.product]))
    ]
    versions = sorted({version for version in running if version})[:10]
    packages = [
        await site.package(f"V9.{number}", source_versions=(version,)) for number, version in enumerate(versions)
    ]
    name = next(product.name for product in FLEET.products if product.product_id == site.product)
    group = next(each.group_id for each in site.emulator.groups.values() if each.name.startswith(f"{name} at "))
    new = NewJob(name=LocalizedText(default="group"), firmware_ids=tuple(packages), scope=JobScope(groups=(group,)))
    job_id = await site.iotda.jobs.create(new)
    job = await site.iotda.jobs.get(job_id)
    assert (job.scope, job.firmware_ids) == (JobScope(groups=(group,)), tuple(packages))
    ended = await site.iotda.jobs.wait(job_id)
    assert ended.total
    assert ended.succeeded
    overlapping = attrs.evolve(new, firmware_ids=(packages[0], await site.package("V9.99")))
    with pytest.raises(InvalidQueryError, match="must not overlap"):
        await site.iotda.jobs.create(overlapping)


async def test_jobs_that_the_service_refuses(site: Site) -> None:
    """An unknown package, and a device of another product."""
    with pytest.raises(NotFoundError, match="there is no firmware"):
        await site.job(firmware_id=FirmwareId("0" * 32))
    with pytest.raises(NotFoundError, match="the job '夜间_job': there is no such thing"):
        await site.job(scope=JobScope(devices=("nobody",)))
    firmware_id = await site.package("V9.8")
    with pytest.raises(InvalidQueryError):
        new = NewJob(name=LocalizedText(default="x"), firmware_ids=(firmware_id,), scope=JobScope(devices=("nobody",)))
        await site.iotda.jobs.create(new, firmware_kind=FirmwareKind.SOFTWARE)


# --- devices ---------------------------------------------------------------------------------------------------------


def open_targets(site: Site) -> set[str]:
    """Return the devices of open jobs that have not ended, as the service knows it."""
    final = {JobStatus.SUCCEEDED, JobStatus.PARTIALLY_SUCCEEDED, JobStatus.FAILED, JobStatus.STOPPED}
    ongoing = {TaskStatus.PENDING, TaskStatus.UPGRADING, TaskStatus.RETRYING}
    return {
        task.device_id
        for job in site.emulator.expected_jobs("site")
        if job.status not in final
        for task in site.emulator.expected_tasks("site", job.job_id)
        if task.status in ongoing
    }


async def test_who_is_being_upgraded_is_told_by_the_jobs(site: Site) -> None:
    """For a listing and for a scan, at every moment."""
    await site.job(120)
    for seconds in (0, 20, 30, 60):
        await site.clock.sleep(seconds)
        expected = open_targets(site)
        assert expected
        listing = site.everywhere.devices.search(DeviceUpgradeQuery(resolve_upgrading=True))
        found = [device async for device in listing]
        assert len(found) == len(FLEET.devices)
        assert {device.device_id for device in found if device.upgrading} == expected
        assert {device.upgrading for device in found} == {True, False}
        query = DeviceUpgradeQuery(resolve_upgrading=True, upgrading=True)
        async with otaclient.scan([(site.everywhere, query)]) as scan:
            assert {device.device_id async for device in scan} == expected
        assert scan.certificate.verdict is otaclient.Verdict.CERTIFIED


async def test_a_walk_by_statements_finds_what_a_listing_finds(site: Site) -> None:
    """From marker to marker, at the vendor's pace: no search is throttled."""
    listing = site.iotda.devices.search(DeviceUpgradeQuery(products=[site.product]))
    expected = [device async for device in listing]
    found: list[Any] = []
    started, marker = site.clock.seconds, "f" * 24
    while True:
        page = await site.iotda.search_devices(
            f"{SELECT} where product_id = '{site.product}' and marker < '{marker}' order by marker desc limit 50"
        )
        if page.marker is None:
            break
        found += page.devices
        marker = page.marker
    assert found == expected
    searches = site.emulator.served["devices.query"]
    assert searches == -(-len(expected) // 50) + 1
    assert site.clock.seconds - started >= searches - 1
    counted = await site.iotda.search_devices(f"{COUNT} where product_id = '{site.product}'")
    assert counted.count == len(expected)
    partly = await site.iotda.search_devices("select device_id,marker from device limit 3")
    assert len(partly.devices) == 3
    assert {device.product_id for device in partly.devices} == {None}
    with pytest.raises(InvalidQueryError):
        await site.iotda.search_devices("select device_id from device where fw_version > 'V1'")


async def test_the_tasks_of_several_jobs_can_be_scanned(site: Site) -> None:
    """With a certificate that none was missed."""
    jobs = [await site.job(7, firmware_id=await site.package(version)) for version in ("V8.1", "V8.2")]
    async with otaclient.scan([(site.iotda, DeviceTaskQuery(job_id=job)) for job in jobs]) as scan:
        found = [task async for task in scan]
    expected = [task for job in jobs for task in site.emulator.expected_tasks("site", job)]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert scan.certificate.verdict is otaclient.Verdict.CERTIFIED


# --- what was given comes back ---------------------------------------------------------------------------------------

DEVICES = [
    f"{FLEET.products[0].product_id}_{FLEET.devices.key(row)}"
    for row in range(len(FLEET.devices))
    if FLEET.devices.product_id(row) == FLEET.products[0].product_id
]
names = st.text("abcXYZ019_固件㐀", min_size=1, max_size=128)
scopes = st.builds(JobScope, devices=st.lists(st.sampled_from(DEVICES), min_size=1, max_size=4, unique=True).map(tuple))
retries = st.builds(RetrySchedule, count=st.integers(0, 5), interval_minutes=st.integers(0, 1440))


@settings(max_examples=40)
@given(
    names,
    scopes,
    st.none() | retries,
    st.none() | st.booleans(),
    st.none() | st.integers(0, 7 * 86_400),
    st.none() | st.dictionaries(names.map(lambda text: text[:9]), st.integers(0, 9) | st.booleans(), max_size=3),
)
async def test_a_job_survives_create_and_get(
    name: str,
    scope: JobScope,
    retry: RetrySchedule | None,
    hold: bool | None,
    delay: int | None,
    extra_info: dict[str, Any] | None,
) -> None:
    """Wherever the service shows it, what comes back is what was given."""
    async with open_site() as site:
        start = None if delay is None else site.clock.now().replace(microsecond=0) + timedelta(seconds=delay)
        schedule = None if start is None else JobSchedule(start_at=start)
        policy = JobPolicy(retry=retry, hold=hold, schedule=schedule)
        new = NewJob(name=LocalizedText(default=name), firmware_ids=(await site.package(),), scope=scope, policy=policy)
        job_id = await site.iotda.jobs.create(new, extra_info=extra_info)
        shown = await site.iotda.jobs.get(job_id)
        for field in ("name", "kind", "firmware_ids", "scope", "policy"):
            assert getattr(shown, field) == getattr(new, field), field
        assert shown.extra.get("task_ext_info") == (extra_info or None)
        query = JobQuery(firmware_ids=new.firmware_ids)
        assert [job async for job in site.iotda.jobs.search(query)] == [shown]
