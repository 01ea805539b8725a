"""The EnOS emulator's tasks over real HTTP: how they live, how they are searched, and how searches lag behind."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest

from otaclient.emulator.refusals import NoSuchJobError
from otaclient.emulator.remarks import DOWNLOAD_FAILED, IGNORED, OFFLINE, Remark
from otaclient.models import FirmwareKind, TaskStatus
from otaclient_enos.emulator.selection import STATUS_WORDS
from support.enos import FIRMWARES, JOBS, ORG
from support.enos_writes import FLEET, PRODUCT, Client, opened, shown
from support.job_engine import SURE

# --- tasks -----------------------------------------------------------------------------------------------------------


async def test_a_task_in_the_services_words(client: Client) -> None:
    """Every member of the table, from the first state to the last; the oracle agrees."""
    (key,) = client.keys(1)
    (row,) = client.rows(1)
    before = client.devices.firmware_version(row)
    job_id = await client.new_job([key])
    record = client.record(client.emulator.engine.job(job_id).firmware_ids[0])
    began = client.clock.now_ms()
    seen = []
    for seconds in (0, 1, 5, 30, 30):
        client.clock.advance(seconds)
        (task,) = await client.tasks(f"jobId = '{job_id}'")
        seen.append((task["status"], task["progress"], task["desc"], task["updateTime"] - began))
        (expected,) = client.emulator.expected_tasks("x", job_id)
        assert expected.vendor_status == task["status"]
        assert (expected.task_id, expected.progress_percent) == (task["taskId"], task["progress"])
    assert seen == [
        ("init", 0, None, 0),
        ("published", 0, None, 1_000),
        ("upgrading", 0, None, 6_000),
        ("upgrading", 50, None, 6_000),
        ("succeeded", 100, "upgrading firmware finished", 66_000),
    ]
    del task["taskId"]
    assert task == {
        "orgId": ORG,
        "assetId": client.devices.serial(row),
        "productKey": PRODUCT,
        "deviceKey": key,
        "jobId": job_id,
        "fromVersion": before,
        "toVersion": record.version,
        "progress": 100,
        "desc": "upgrading firmware finished",
        "status": "succeeded",
        "updateTime": began + 66_000,
    }
    found = await client.call(FIRMWARES, "searchDeviceUpgrade", {"expression": f"firmwareVersion='{record.version}'"})
    assert [(each["deviceKey"], each["isUpgrading"]) for each in found["data"]] == [(key, False)]
    assert found["data"][0]["firmwareVersion"] == record.version


async def test_failed_tasks_name_a_reason(client: Client) -> None:
    """Progress is the device's number of the failure, below 0; a device that never reported has no version before."""
    rows = client.rows(4)
    plan = [[DOWNLOAD_FAILED], [IGNORED], [OFFLINE], [Remark("own", "out of milk")]]
    client.emulator.engine.plan = attrs.evolve(SURE, outcomes=dict(zip(rows, plan, strict=True)))
    silent = next(
        row
        for row in range(len(client.devices))
        if client.devices.product_id(row) == PRODUCT and client.devices.firmware_version(row) is None
    )
    job_id = await client.new_job([client.devices.key(row) for row in [*rows, silent]])
    client.clock.advance(100)
    tasks = await client.tasks(f"jobId = '{job_id}'")
    assert [(task["status"], task["progress"], task["desc"]) for task in tasks] == [
        ("failed", -2, "download failed"),
        ("failed", -5, "the device ignored the upgrade"),
        ("failed", -1, "the device is not online"),
        ("failed", -1, "out of milk"),
        ("succeeded", 100, "upgrading firmware finished"),
    ]
    assert tasks[4]["fromVersion"] is None
    expected = list(client.emulator.expected_tasks("x", job_id))
    assert [each.failure and each.failure.code for each in expected] == ["-2", "-5", "-1", "-1", None]
    assert [each.status for each in expected] == [TaskStatus.FAILED] * 4 + [TaskStatus.SUCCEEDED]


# --- searching tasks -------------------------------------------------------------------------------------------------

EXPRESSIONS: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("", lambda task: True),
    ("status = 'succeeded'", lambda task: task["status"] == "succeeded"),
    ("status in ('init', 'published')", lambda task: task["status"] in {"init", "published"}),
    ("status = 'nonsense'", lambda task: False),
    ("toVersion = 'nonsense' or status = 'failed'", lambda task: task["status"] == "failed"),
    ("jobId = 'nonsense' and status = 'failed'", lambda task: False),
    ("desc in ('Cancelled by user')", lambda task: task["desc"] == "Cancelled by user"),
    ("deviceKey = 'nobody' or jobId = 'nothing'", lambda task: False),
]


@pytest.mark.parametrize(("expression", "keep"), EXPRESSIONS)
async def test_tasks_of_all_jobs_are_searched(
    client: Client, expression: str, keep: Callable[[dict[str, Any]], bool]
) -> None:
    """Every expression gives exactly the tasks that it describes, in the order of the listing, across pages."""

    async def all_pages(said: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for number in range(1, 100):
            body = {"expression": said, "pagination": {"pageNo": number, "pageSize": 150}}
            answer = await client.call(JOBS, "searchTask", body)
            found += answer["data"]
            if number * 150 >= answer["pagination"]["totalSize"]:
                break
        return found

    everything = await all_pages("")
    assert len(everything) == sum(len(client.emulator.engine.job(job.job_id).targets) for job in firmware_jobs(client))
    assert len({task["taskId"] for task in everything}) == len(everything)
    assert await all_pages(expression) == [task for task in everything if keep(task)]
    assert await all_pages(expression) == [task for task in everything if keep(task)]


def firmware_jobs(client: Client) -> list[Any]:
    return list(client.emulator.expected_jobs("x"))


async def test_fields_of_a_task_are_compared(client: Client) -> None:
    """Version before, device and job, alone and together."""
    job_id = await client.new_job(30)
    tasks = await client.tasks(f"jobId='{job_id}'", pagination={"pageNo": 1, "pageSize": 100})
    one = tasks[0]
    expression = f"jobId = \"{job_id}\" and fromVersion = '{one['fromVersion']}'"
    found = await client.tasks(expression, pagination={"pageNo": 1, "pageSize": 100})
    assert found == [task for task in tasks if task["fromVersion"] == one["fromVersion"]]
    keys = f"'{one['deviceKey']}', '{tasks[3]['deviceKey']}', 'nobody'"
    assert await client.tasks(f"deviceKey in ({keys}) and jobId='{job_id}'") == [one, tasks[3]]
    either = f"jobId='{job_id}' and deviceKey='{one['deviceKey']}' or jobId='{job_id}' and status='init'"
    assert await client.tasks(either, pagination={"pageNo": 1, "pageSize": 100}) == tasks
    answer = await client.call(JOBS, "searchTask", {"expression": "progress = 3"})
    assert shown(answer) == (99400, "Invalid Argument expression: field progress is not supported")


async def test_many_expressions_are_answered(client: Client) -> None:
    """What is kept of earlier searches is bounded, and never stale."""
    job_id = await client.new_job(2)
    for number in range(70):
        assert await client.tasks(f"jobId='{job_id}' and desc='{number}'") == []
    assert len(await client.tasks(f"jobId='{job_id}' and status='init'")) == 2
    client.clock.advance(1)
    assert await client.tasks(f"jobId='{job_id}' and status='init'") == []


def test_every_state_has_a_word() -> None:
    """No state of the engine is without one of the five words."""
    assert set(STATUS_WORDS) == set(TaskStatus)
    assert set(STATUS_WORDS.values()) == {"init", "published", "upgrading", "succeeded", "failed"}


async def test_the_oracle_of_tasks_knows_no_other_jobs(client: Client) -> None:
    """An unknown job is an error, not an empty list."""
    software = next(job for job in FLEET.jobs if job.firmware_kind is not FirmwareKind.FIRMWARE)
    for job_id in ("nothing", software.job_id):
        with pytest.raises(NoSuchJobError, match=job_id):
            list(client.emulator.expected_tasks("x", job_id))


# --- read lag --------------------------------------------------------------------------------------------------------


async def test_searches_lag_behind_and_gets_do_not() -> None:
    """A new job and firmware are found by their identifiers at once, and listed two seconds later."""
    async with opened(read_lag_seconds=2) as client:
        old_jobs = (await client.call(JOBS, "search"))["pagination"]["totalSize"]
        job_id = await client.new_job(1)
        assert (await client.call(JOBS, "get", method="GET", jobId=job_id))["code"] == 0
        assert (await client.call(JOBS, "search"))["pagination"]["totalSize"] == old_jobs
        assert await client.tasks(f"jobId='{job_id}'") == []
        newest_firmware = client.emulator.fleet.firmware[-1].firmware_id
        assert (await client.call(FIRMWARES, "search"))["data"][0]["firmwareId"] != newest_firmware
        client.clock.advance(2)
        assert (await client.call(JOBS, "search"))["pagination"]["totalSize"] == old_jobs + 1
        assert len(await client.tasks(f"jobId='{job_id}'")) == 1
        assert (await client.call(FIRMWARES, "search"))["data"][0]["firmwareId"] == newest_firmware
