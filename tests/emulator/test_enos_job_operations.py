"""What can be done to the EnOS emulator's jobs and tasks over real HTTP, with every documented error code."""

from typing import Any

import attrs
import pytest

from otaclient.emulator.remarks import OFFLINE
from otaclient.models import FirmwareKind, JobStatus, TaskStatus
from support.enos import FIRMWARES, JOBS
from support.enos_writes import FLEET, Client, opened, shown
from support.job_engine import SURE

# --- the life of jobs ------------------------------------------------------------------------------------------------


async def test_starting_and_stopping(client: Client) -> None:
    """Each is refused where the job stands there already; bodies may be missing or empty; tasks wait meanwhile."""
    job_id = await client.new_job(2, maximumConcurrency=1)
    assert shown(await client.job("start", job_id)) == (24615, "Job has started")
    client.clock.advance(1)
    assert (await client.job("stop", job_id, {}))["code"] == 0
    assert shown(await client.job("stop", job_id)) == (24616, "Job has stopped")
    client.clock.advance(500)
    assert await client.statuses(job_id) == ["succeeded", "init"]
    assert next(client.emulator.expected_jobs("x")).status is JobStatus.STOPPED
    assert (await client.job("start", job_id, {}))["code"] == 0
    client.clock.advance(500)
    assert await client.statuses(job_id) == ["succeeded", "succeeded"]
    # EnOS knows no finished jobs: it is still started.
    assert shown(await client.job("start", job_id, {})) == (24615, "Job has started")
    for action in ("start", "stop", "delete"):
        assert shown(await client.job(action, job_id, b"{"))[0] == 99400


async def test_deleting(client: Client) -> None:
    """A job is stopped first; after, it and its tasks are gone."""
    job_id = await client.new_job(1)
    assert shown(await client.job("delete", job_id)) == (24618, "Not allowed to delete running job")
    await client.job("stop", job_id)
    assert (await client.job("delete", job_id))["code"] == 0
    assert await client.tasks(f"jobId = '{job_id}'") == []
    assert shown(await client.job("delete", job_id)) == (24404, "Job not found")


@pytest.mark.parametrize("action", ["start", "stop", "delete", "cancelTask", "retryTask"])
async def test_a_job_that_does_not_exist(client: Client, action: str) -> None:
    """24404, also for jobs with what EnOS does not call firmware; 99400 without an identifier."""
    software = next(job for job in FLEET.jobs if job.firmware_kind is not FirmwareKind.FIRMWARE)
    for job_id in ("nothing", software.job_id):
        assert shown(await client.job(action, job_id, {"deviceKeys": ["x"]})) == (24404, "Job not found")
    assert shown(await client.call(JOBS, action))[0] == 99400


async def test_whether_a_new_job_begins_by_itself_is_a_switch() -> None:
    """Switched off, it waits for its start."""
    async with opened(create_starts_job=False) as client:
        job_id = await client.new_job(1)
        assert (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]["status"] == "stopped"
        client.clock.advance(100)
        assert await client.statuses(job_id) == ["init"]
        await client.job("start", job_id)
        client.clock.advance(100)
        assert await client.statuses(job_id) == ["succeeded"]


async def test_a_schedule_is_kept(client: Client) -> None:
    """Nothing is pushed before it; without a beginning it begins at once."""
    start = client.clock.now_ms() + 60_000
    later = await client.new_job(1, schedulePolicy={"startTimestamp": start, "endTimestamp": start + 1000})
    ends = await client.new_job(1, schedulePolicy={"endTimestamp": start})
    client.clock.advance(30)
    assert (await client.statuses(later), await client.statuses(ends)) == (["init"], ["upgrading"])
    client.clock.advance(31)
    assert await client.statuses(later) == ["published"]


# --- tasks -----------------------------------------------------------------------------------------------------------


async def test_cancelling_tasks(client: Client) -> None:
    """Only what has not begun, all of them or none; the remark says who did it."""
    keys = client.keys(3)
    job_id = await client.new_job(keys, maximumConcurrency=1)
    client.clock.advance(6)
    refused = await client.job("cancelTask", job_id, {"deviceKeys": keys[:2]})
    assert shown(refused) == (24620, "Only init or published tasks can be canceled")
    assert await client.statuses(job_id) == ["upgrading", "init", "init"]
    assert (await client.job("cancelTask", job_id, {"deviceKeys": [keys[1], keys[1]]}))["code"] == 0
    cancelled = await client.tasks("desc = 'Cancelled by user' and jobId = '" + job_id + "'")
    assert [(task["deviceKey"], task["status"], task["progress"]) for task in cancelled] == [(keys[1], "failed", -1)]
    expected = list(client.emulator.expected_tasks("x", job_id))
    assert [each.status for each in expected] == [TaskStatus.UPGRADING, TaskStatus.CANCELLED, TaskStatus.PENDING]
    await client.job("stop", job_id)
    assert shown(await client.job("cancelTask", job_id, {"deviceKeys": keys[2:]})) == (24617, "Job not running")


async def test_a_job_whose_tasks_were_all_cancelled_is_started(client: Client) -> None:
    """Only stopping it stops it."""
    job_id = await client.new_job(2)
    await client.job("cancelTask", job_id, {"deviceKeys": client.keys(2)})
    assert (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]["status"] == "started"


async def test_retrying_tasks(client: Client) -> None:
    """Only what has failed, cancelled tasks among it; a task that waits for its own next attempt is not failed."""
    rows, keys = client.rows(3), client.keys(3)
    client.emulator.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [OFFLINE, None]})
    job_id = await client.new_job(keys)
    await client.job("cancelTask", job_id, {"deviceKeys": keys[2:]})
    client.clock.advance(100)
    assert await client.statuses(job_id) == ["failed", "succeeded", "failed"]
    refused = await client.job("retryTask", job_id, {"deviceKeys": keys})
    assert shown(refused) == (24621, "Only failed tasks can be retried")
    assert (await client.job("retryTask", job_id, {"deviceKeys": [keys[0], keys[2]]}))["code"] == 0
    assert await client.statuses(job_id) == ["init", "succeeded", "init"]
    client.clock.advance(100)
    assert await client.statuses(job_id) == ["succeeded"] * 3
    await client.job("stop", job_id)
    assert shown(await client.job("retryTask", job_id, {"deviceKeys": keys[:1]})) == (24617, "Job not running")


async def test_a_task_between_two_attempts_waits_for_its_turn(client: Client) -> None:
    """It is init again, says what went wrong, and can be cancelled."""
    (row,) = client.rows(1)
    client.emulator.engine.plan = attrs.evolve(SURE, outcomes={row: [OFFLINE]})
    job_id = await client.new_job(1, retryPolicy={"enableRetry": True, "retryCount": 3, "retryInterval": 5})
    client.clock.advance(70)
    (task,) = await client.tasks(f"jobId='{job_id}'")
    assert (task["status"], task["desc"], task["progress"]) == ("init", "the device is not online", 0)
    assert shown(await client.job("retryTask", job_id, {"deviceKeys": client.keys(1)}))[0] == 24621
    assert (await client.job("cancelTask", job_id, {"deviceKeys": client.keys(1)}))["code"] == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "deviceKeys: deviceKeys is missing"),
        ({}, "deviceKeys: deviceKeys is missing"),
        ({"deviceKeys": []}, "deviceKeys: it is empty"),
        ({"deviceKeys": "x"}, "deviceKeys: it is not an array of strings"),
        ({"deviceKeys": ["nobody"]}, "deviceKeys: the job has no task of nobody"),
        ({"deviceKeys": ["other"]}, "deviceKeys: the job has no task of"),
        (b"[]", "body: it is not a JSON object"),
    ],
)
async def test_the_devices_of_a_task_operation(client: Client, body: Any, message: str) -> None:
    """They are mandatory, and of the job."""
    job_id = await client.new_job(1)
    if body == {"deviceKeys": ["other"]}:
        body = {"deviceKeys": client.keys(2)[1:]}
    for action in ("cancelTask", "retryTask"):
        code, said = shown(await client.job(action, job_id, body))
        assert (code, message in said) == (99400, True), said


# --- how they are counted --------------------------------------------------------------------------------------------


async def test_operations_have_names(client: Client) -> None:
    """Requests are counted under the names that all vendors share."""
    for path, action in [(JOBS, name) for name in ("start", "stop", "delete", "cancelTask", "retryTask")]:
        await client.call(path, action)
    await client.call(JOBS, "searchTask")
    await client.call(FIRMWARES, "delete")
    await client.call(FIRMWARES, "nonsense")
    assert {name: count for name, count in client.emulator.served.items() if name != "token.get"} == {
        "jobs.start": 1,
        "jobs.stop": 1,
        "jobs.delete": 1,
        "jobs.cancel_tasks": 1,
        "jobs.retry_tasks": 1,
        "jobs.tasks": 1,
        "firmware.delete": 1,
        "other": 1,
    }
