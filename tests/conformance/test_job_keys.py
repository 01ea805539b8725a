"""Jobs that are created once: the fingerprints in their names, and the keys of callers."""

from collections.abc import AsyncIterator

import attrs
import pytest

from otaclient import DeviceTaskQuery, JobQuery, LocalizedText, OutcomeUnknownError, RetryPolicy, TaskStatus
from otaclient.errors import ConflictError, NotFoundError
from support.live import Live
from support.lost_answers import CommitLater, CutAfterCommit
from support.writes import NAME, job_record, new_job, reopened, written_to


@pytest.fixture(params=["enos", "iotda"])
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[Live]:
    """Start one vendor."""
    async with written_to(request.param) as running:
        yield running


async def test_the_name_comes_back_without_its_fingerprint(vendor: Live) -> None:
    """From every read; the vendor has it."""
    job_id, _ = await new_job(vendor)
    stored = job_record(vendor, job_id).name
    assert stored.startswith(f"{NAME}_ota")
    jobs = vendor.backend.jobs
    assert (await jobs.get(job_id)).name == LocalizedText(default=NAME)
    (found,) = [job async for job in jobs.search(JobQuery(name_contains="CELL_")) if job.job_id == job_id]
    assert found.name == LocalizedText(default=NAME)


async def test_filters_do_not_see_fingerprints(vendor: Live) -> None:
    """Parts of one find nothing, a whole one its job."""
    job_id, _ = await new_job(vendor)
    fingerprint = job_record(vendor, job_id).name.removeprefix(f"{NAME}_")
    jobs = vendor.backend.jobs
    for text in (fingerprint[:12], fingerprint[5:15], f"b_{fingerprint}"):
        assert job_id not in [job.job_id async for job in jobs.search(JobQuery(name_contains=text))]
    assert [job.job_id async for job in jobs.search(JobQuery(name_contains=fingerprint))] == [job_id]


async def test_a_plain_name_is_sent_as_it_is(vendor: Live) -> None:
    """And then nothing can be looked for."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    job_id = await vendor.backend.jobs.create(new, fingerprint=False)
    assert job_record(vendor, job_id).name == NAME
    vendor.emulator.faults.add(CutAfterCommit(), "jobs.create")
    with pytest.raises(OutcomeUnknownError, match="look for its name") as caught:
        await vendor.backend.jobs.create(new, fingerprint=False)
    assert caught.value.fingerprint is None


async def test_the_same_key_creates_no_second_job(vendor: Live) -> None:
    """Also after a restart of the caller, and just after the first creation."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    first = await vendor.backend.jobs.create(new, idempotency_key="k-1")
    assert await vendor.backend.jobs.create(new, idempotency_key="k-1") == first
    restarted = reopened(vendor)
    assert await restarted.jobs.create(new, idempotency_key="k-1") == first
    assert vendor.emulator.served["jobs.create"] == 1
    assert await restarted.jobs.create(new, idempotency_key="k-2") != first


async def test_a_restart_waits_out_the_read_lag(vendor: Live) -> None:
    """A caller that breaks off and begins anew at once finds its job all the same."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    vendor.emulator.faults.add(CutAfterCommit(), "jobs.create")
    with pytest.raises(OutcomeUnknownError):
        await vendor.backend.with_options(retry=RetryPolicy.none()).jobs.create(new, idempotency_key="k-1")
    restarted = reopened(vendor)
    assert (await restarted.jobs.get(await restarted.jobs.create(new, idempotency_key="k-1"))).name == new.name
    assert vendor.emulator.served["jobs.create"] == 1


async def test_a_key_belongs_to_one_job(vendor: Live) -> None:
    """Another job with it is refused, with what differs."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    job_id = await vendor.backend.jobs.create(new, idempotency_key="k-1")
    vendor.clock.advance(5.0)
    others = {
        "name is 'cell_job' there and 'other' here": attrs.evolve(new, name=LocalizedText(default="other")),
        "scope.devices is": attrs.evolve(new, scope=attrs.evolve(new.scope, devices=new.scope.devices[:1])),
    }
    for words, other in others.items():
        with pytest.raises(ConflictError, match=words) as caught:
            await vendor.backend.jobs.create(other, idempotency_key="k-1")
        assert job_id in str(caught.value)
        assert caught.value.operation == "jobs.create"
    assert vendor.emulator.served["jobs.create"] == 1


async def test_a_late_commit_is_found_by_the_next_call_with_what_the_error_says(vendor: Live) -> None:
    """The request was not repeated; the fingerprint is a key itself."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    late = CommitLater()
    vendor.emulator.faults.add(late, "jobs.create")
    with pytest.raises(OutcomeUnknownError) as caught:
        await vendor.backend.jobs.create(new)
    assert caught.value.fingerprint is not None
    await late.commit()
    vendor.clock.advance(5.0)
    job_id = await vendor.backend.jobs.create(new, idempotency_key=caught.value.fingerprint)
    assert [job.job_id for job in vendor.emulator.fleet.jobs if job.name.startswith(NAME)] == [job_id]


async def test_of_two_jobs_the_older_is_taken(vendor: Live, caplog: pytest.LogCaptureFixture) -> None:
    """An earlier call was carried out after the next one had looked: no third, and the log says so."""
    new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    late = CommitLater()
    vendor.emulator.faults.add(late, "jobs.create")
    with pytest.raises(OutcomeUnknownError):
        await vendor.backend.jobs.create(new, idempotency_key="k")
    first = await vendor.backend.jobs.create(new, idempotency_key="k")
    vendor.clock.advance(1.0)
    await late.commit()
    vendor.clock.advance(5.0)
    assert await vendor.backend.jobs.create(new, idempotency_key="k") == first
    assert sum(job.name.startswith(NAME) for job in vendor.emulator.fleet.jobs) == 2
    assert "2 jobs have the fingerprint" in caplog.text


async def test_what_is_gone_or_never_was_is_no_success(vendor: Live) -> None:
    """A refusal is only a success after an answer that was lost."""
    jobs = vendor.backend.jobs
    job_id, new = await new_job(vendor)
    with pytest.raises(NotFoundError):
        await jobs.delete("0123456789abcdef01234567")
    await jobs.cancel_tasks(job_id, new.scope.devices[:1])
    with pytest.raises(ConflictError):
        await jobs.cancel_tasks(job_id, new.scope.devices[:1])
    states = {task.status async for task in jobs.tasks(DeviceTaskQuery(job_id=job_id))}
    assert TaskStatus.CANCELLED in states
    await jobs.stop(job_id)
    with pytest.raises(ConflictError):
        await jobs.stop(job_id)
