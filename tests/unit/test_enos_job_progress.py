"""EnOS jobs over a scripted network: how their progress is counted and followed."""

import pytest

from otaclient.errors import DeadlineExceededError, InvalidQueryError, NotFoundError, PayloadError
from otaclient.models import JobStatus
from otaclient.queries import DeviceTaskQuery
from otaclient.reads import PageWindow
from support.enos_jobs import Service, Stage, answer, rows

JOB = {"jobId": "j1", "status": "started"}


async def test_tasks_are_searched() -> None:
    """Only what matches comes out: a cancelled task is no failed one."""
    stage = Stage(answer(rows("failed", "cancelled")))
    found = await stage.jobs.tasks(DeviceTaskQuery(job_id="j1", statuses=["failed"])).collect(9)  # type: ignore[arg-type]
    assert [task.device_key for task in found] == ["d0"]
    with pytest.raises(InvalidQueryError, match="the query is a str: give a DeviceTaskQuery") as caught:
        stage.jobs.tasks("j1")  # type: ignore[arg-type]
    assert caught.value.operation == "jobs.tasks"


async def test_the_raw_reads_of_tasks_are_there_for_bulk_work() -> None:
    """With keys across jobs, and what is filtered here named."""
    stage = Stage(answer(rows("failed")))
    source = stage.backend.reads(DeviceTaskQuery(job_id="j1", statuses=["failed"]))  # type: ignore[arg-type]
    raw = await source.fetch(source.partitions()[0], PageWindow(1, 50))
    assert [source.key(row) for row in source.decode(raw).good] == ["j1/a0"]
    assert source.filtered_here == ("statuses",)


MIXED = ["init", "published", "upgrading", "succeeded", "failed", "cancelled"]


@pytest.mark.parametrize("copies", [1, 33, 34, 70])
async def test_progress_counts_every_task_once(copies: int) -> None:
    """A small job by its tasks, with two requests; a large one by their numbers, with eight."""
    service = Service(*MIXED * copies)
    found = await Stage(service=service).jobs.progress("j1")
    assert (found.status, found.total) == (JobStatus.RUNNING, 6 * copies)
    assert (found.pending, found.upgrading, found.succeeded) == (2 * copies, copies, copies)
    assert (found.failed, found.cancelled) == (copies, copies)
    assert len(service.asked) == (2 if copies <= 33 else 8)


async def test_a_service_without_totals_is_counted_out() -> None:
    """Page by page."""
    service = Service(*["succeeded"] * 450, totals=False)
    found = await Stage(service=service).jobs.progress("j1")
    assert (found.status, found.total, found.succeeded) == (JobStatus.SUCCEEDED, 450, 450)


async def test_a_total_that_is_missing_later_is_no_end() -> None:
    """Numbers that do not add up leave the job running."""
    full = answer(rows(*["succeeded"] * 200), pageNo=1, pageSize=200, totalSize=201)
    none, one = answer(None), answer(rows("succeeded"))
    found = await Stage(answer(JOB), full, none, none, none, one, none, none).jobs.progress("j1")
    assert (found.status, found.total, found.succeeded, found.failed) == (JobStatus.RUNNING, 201, 1, 0)


@pytest.mark.parametrize(
    ("status", "tasks", "expected"),
    [
        ("started", [], JobStatus.RUNNING),
        ("started", ["succeeded", "init"], JobStatus.RUNNING),
        ("started", ["succeeded"], JobStatus.SUCCEEDED),
        ("started", ["failed"] * 201, JobStatus.FAILED),
        ("started", ["succeeded", "failed"] * 101, JobStatus.PARTIALLY_SUCCEEDED),
        ("stopped", ["succeeded"], JobStatus.STOPPED),
        ("paused", ["succeeded"], JobStatus.UNKNOWN),
    ],
)
async def test_the_end_of_a_job_shows_in_its_tasks(status: str, tasks: list[str], expected: JobStatus) -> None:
    """EnOS itself only says started or stopped."""
    stage = Stage(service=Service(*tasks, status=status))
    found = await stage.jobs.progress("j1")
    assert (found.status, found.as_of) == (expected, stage.clock.now())


async def test_progress_needs_a_job_and_whole_rows() -> None:
    """No job is not a job without tasks; a broken row is not left out."""
    with pytest.raises(NotFoundError):
        await Stage(answer(None, 24404)).jobs.progress("j1")
    with pytest.raises(PayloadError) as caught:
        await Stage(answer(JOB), answer([{"jobId": "j1"}])).jobs.progress("j1")
    assert caught.value.operation == "jobs.tasks"


async def test_a_watch_shows_every_change_up_to_the_end() -> None:
    """And asks again after the interval."""
    service = Service("init", "init")
    stage = Stage(service=service)
    seen: list[tuple[JobStatus, int | None]] = []
    async for progress in stage.jobs.watch("j1", interval_seconds=3):
        seen.append((progress.status, progress.succeeded))
        service.rows = rows(*["succeeded"] * len(seen), *["init"] * (2 - len(seen)))
    assert seen == [(JobStatus.RUNNING, 0), (JobStatus.RUNNING, 1), (JobStatus.SUCCEEDED, 2)]
    assert stage.clock.slept == [3.0, 3.0]


async def test_a_watch_of_nothing_is_refused_at_once() -> None:
    """At the call, not at the first reading."""
    with pytest.raises(InvalidQueryError, match="job_id is ''"):
        Stage().jobs.watch("")


async def test_waiting_returns_the_end_with_the_reasons() -> None:
    """In the vendor's words; a cancelled device has not failed."""
    service = Service("failed", "failed", "cancelled", "succeeded", "failed")
    service.rows[4]["desc"] = None
    found = await Stage(service=service).jobs.wait("j1")
    assert (found.status, found.failed, found.cancelled) == (JobStatus.PARTIALLY_SUCCEEDED, 3, 1)
    assert list(found.failures.items()) == [("no space", 2), ("(no reason given)", 1)]


async def test_waiting_has_an_end() -> None:
    """The error says how far the job is, and is about the waiting."""
    with pytest.raises(DeadlineExceededError, match="the job has not ended within 60 s") as caught:
        await Stage(service=Service("upgrading")).jobs.wait("j1", timeout_seconds=60)
    assert (caught.value.operation, caught.value.backend) == ("jobs.wait", "plant-7")
