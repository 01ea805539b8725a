"""EnOS device tasks: how they are asked for, what they become, and what they say about their job."""

from collections import Counter
from datetime import UTC, datetime
from itertools import combinations
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.models import (
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    JobId,
    JobProgress,
    JobStatus,
    TaskFailure,
    TaskId,
    TaskStatus,
)
from otaclient.queries import DeviceTaskQuery
from otaclient.reads import PageWindow
from otaclient.watching import FINAL_STATUSES
from otaclient_enos.expression import MOST_IN_VALUES
from otaclient_enos.mapping import CANCELLED_REMARK, TASK_STATUS_WORDS, device_task_from
from otaclient_enos.plans import Plan, plan_tasks
from otaclient_enos.requests import Organisation, list_versions, search_tasks
from otaclient_enos.tasks import TaskCounts, counts_of, device_keys_of, progress_from
from otaclient_enos.wire import CONVERTER, TaskInfo

ORG = Organisation(org_id="o1", api_version="v2.1")
JOB = JobId("j1")
NOW = datetime(2026, 1, 2, tzinfo=UTC)
KNOWN = [*TASK_STATUS_WORDS, TaskStatus.CANCELLED]
ROW = {
    "taskId": "6214ad3371125f2bf2b3f7b9",
    "orgId": "o15475466766371",
    "assetId": "rFFJ6j53",
    "productKey": "8UhOTwV5",
    "deviceKey": "WnszKfi8NU",
    "jobId": "6214ad2171125f2bf2b3f7b4",
    "fromVersion": "1.0",
    "toVersion": "1.1",
    "progress": 100,
    "desc": "upgrading firmware finished",
    "status": "succeeded",
    "updateTime": 1645522227000,
}


def mapped(**changes: Any) -> DeviceTask:
    """Return a row as the model."""
    return device_task_from(CONVERTER.structure({**ROW, **changes}, TaskInfo), backend="b")


def task(status: TaskStatus, device: str = "a", reason: str | None = None) -> DeviceTask:
    """Return a task."""
    failure = TaskFailure(message=reason) if status is TaskStatus.FAILED else None
    return DeviceTask(backend="b", job_id=JOB, device_id=DeviceId(device), status=status, failure=failure)


def plan(**filters: Any) -> Plan[DeviceTask]:
    """Return the plan of a query."""
    return plan_tasks(DeviceTaskQuery(job_id=JOB, **filters))


def expressions(found: Plan[Any]) -> list[str]:
    """Return what each walk asks for."""
    return [partition.filters for partition in found.partitions]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_every_documented_field_is_mapped() -> None:
    """A success has a remark, but no failure."""
    assert mapped() == DeviceTask(
        backend="b",
        job_id=JobId("6214ad2171125f2bf2b3f7b4"),
        device_id=DeviceId("rFFJ6j53"),
        status=TaskStatus.SUCCEEDED,
        vendor_status="succeeded",
        task_id=TaskId("6214ad3371125f2bf2b3f7b9"),
        device_key="WnszKfi8NU",
        product_id="8UhOTwV5",
        from_version="1.0",
        to_version="1.1",
        progress_percent=100,
        updated_at=datetime(2022, 2, 22, 9, 30, 27, tzinfo=UTC),
    )


@pytest.mark.parametrize(("status", "word"), [(status, word) for status, word in TASK_STATUS_WORDS.items()])
def test_every_status_is_known(status: TaskStatus, word: str) -> None:
    """Whatever the case may be, the vendor's word stays; what is new is unknown, not an error."""
    found = mapped(status=word)
    assert (found.status, found.vendor_status) == (status, word)
    strange = mapped(status="paused")
    assert (strange.status, strange.vendor_status) == (TaskStatus.UNKNOWN, "paused")


def test_a_cancelled_task_is_a_failed_one_with_a_remark() -> None:
    """The vendor's words stay readable; the same remark on another task says nothing."""
    found = mapped(status="failed", desc=CANCELLED_REMARK)
    assert (found.status, found.vendor_status) == (TaskStatus.CANCELLED, "failed")
    assert found.failure == TaskFailure(message="Cancelled by user")
    assert mapped(desc=CANCELLED_REMARK).status is TaskStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("changes", "percent", "failure"),
    [
        ({"status": "failed", "progress": -2, "desc": "no space"}, None, TaskFailure(message="no space", code="-2")),
        ({"status": "failed", "progress": "40", "desc": None}, 40, TaskFailure()),
        ({"status": "upgrading", "progress": "-1", "desc": None}, None, TaskFailure(code="-1")),
        ({"status": "upgrading", "progress": None}, None, None),
        ({"status": "upgrading", "progress": "much"}, None, None),
    ],
)
def test_a_progress_below_zero_is_the_code_of_a_failure(
    changes: dict[str, Any], percent: int | None, failure: TaskFailure | None
) -> None:
    """And not a percentage."""
    found = mapped(**changes)
    assert (found.progress_percent, found.failure) == (percent, failure)


def test_a_row_needs_no_more_than_job_device_and_status() -> None:
    """Everything else may be missing or null."""
    few = {"jobId": "j", "assetId": "a", "status": "init"}
    nulls = dict.fromkeys(set(ROW) - set(few))
    for row in (few, {**few, **nulls, "new": 1}):
        found = device_task_from(CONVERTER.structure(row, TaskInfo), backend="b")
        assert found == DeviceTask(
            backend="b",
            job_id=JobId("j"),
            device_id=DeviceId("a"),
            status=TaskStatus.PENDING,
            vendor_status="init",
        )


# --- queries ---------------------------------------------------------------------------------------------------------


def test_all_filters_are_pushed_down() -> None:
    """One expression in one walk."""
    found = plan(devices=["d1"], statuses=["succeeded", "published"], from_versions=["1.0", "1.1"], to_versions=["2.0"])
    assert found.pushed_down == (
        "deviceKey = 'd1' and jobId = 'j1' and status in ('succeeded', 'published') and "
        "fromVersion in ('1.0', '1.1') and toVersion = '2.0'"
    )
    assert expressions(found) == [found.pushed_down]
    assert not found.filters
    assert expressions(plan()) == ["jobId = 'j1'"]


@pytest.mark.parametrize("size", range(1, len(KNOWN) + 1))
def test_any_choice_of_statuses_gives_exactly_those(size: int) -> None:
    """What the vendor gives for the expression, filtered here, is what was asked for: failed or cancelled or both."""
    tasks = {
        **{status: (word, "words") for status, word in TASK_STATUS_WORDS.items()},
        TaskStatus.CANCELLED: ("failed", CANCELLED_REMARK),
    }
    for chosen in combinations(KNOWN, size):
        found = plan(statuses=chosen)
        expression = expressions(found)[0].removeprefix("jobId = 'j1' and status ")
        matching = [
            status
            for status, (word, remark) in tasks.items()
            if f"'{word}'" in expression and ("desc" not in expression or remark == CANCELLED_REMARK)
        ]
        kept = {
            status
            for status in matching
            if all(keep(mapped(status=tasks[status][0], desc=tasks[status][1])) for keep in found.filters.values())
        }
        assert kept == set(chosen)
        assert expression.count("failed") <= 1


def test_cancelled_tasks_alone_are_found_by_the_vendor() -> None:
    """By their remark, without reading the failed ones."""
    found = plan(statuses=["cancelled"])
    assert expressions(found) == ["jobId = 'j1' and status = 'failed' and desc = 'Cancelled by user'"]
    assert not found.filters
    assert set(plan(statuses=["failed"]).filters) == {"statuses"}


@pytest.mark.parametrize("statuses", [["retrying"], ["failed", "removed"]])
def test_a_status_that_enos_does_not_have_is_refused(statuses: list[str]) -> None:
    """It is named, and so are those that there are."""
    with pytest.raises(InvalidQueryError, match=f"statuses holds {statuses[-1]}: EnOS only knows pending, published"):
        plan(statuses=statuses)


def test_a_job_that_cannot_be_named_is_refused() -> None:
    """As everywhere."""
    with pytest.raises(InvalidQueryError, match="job_id"):
        plan_tasks(DeviceTaskQuery(job_id=JobId("a\nb")))


def test_long_lists_split_or_are_filtered_here() -> None:
    """Devices never change, so that walks can be split by them; versions are filtered here instead."""
    many = [f"x{number}" for number in range(MOST_IN_VALUES + 1)]
    found = plan(devices=many, from_versions=many, to_versions=many)
    assert [partition.label for partition in found.partitions] == ["devices 1/2", "devices 2/2"]
    assert all("Version" not in expression for expression in expressions(found))
    assert set(found.filters) == {"from_versions", "to_versions"}
    assert found.filters["from_versions"](mapped(fromVersion="x1"))
    assert not found.filters["from_versions"](mapped(fromVersion="1.0"))
    assert found.filters["to_versions"](mapped(toVersion="x1"))
    assert not found.filters["to_versions"](mapped(toVersion=None))


def test_rows_are_told_apart_across_jobs() -> None:
    """A key names job and device, so that the tasks of several jobs can be read as one fleet."""
    key = plan().listing.key
    assert key(mapped()) == "6214ad2171125f2bf2b3f7b4/rFFJ6j53"
    assert key(mapped(jobId="other")) != key(mapped())


def test_the_requests_are_as_the_pages_have_them() -> None:
    """SearchTask is an action of the jobs, listVersion one of the firmware."""
    request = search_tasks(ORG, "jobId = 'j1'", PageWindow(2, 200))
    assert dict(request.query) == {"action": "searchTask", "orgId": "o1"}
    assert (request.method, request.path, request.idempotent) == ("POST", "/connect-service/v2.1/ota-jobs", True)
    assert msgspec.json.decode(request.body) == {
        "expression": "jobId = 'j1'",
        "pagination": {"pageNo": 2, "pageSize": 200},
    }
    versions = list_versions(ORG, "p1")
    assert (versions.method, versions.path) == ("GET", "/connect-service/v2.1/ota-firmwares")
    assert dict(versions.query) == {"action": "listVersion", "orgId": "o1", "productKey": "p1"}
    with pytest.raises(InvalidQueryError, match="product_id is ''"):
        list_versions(ORG, "")


# --- what they say about their job -----------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([*KNOWN, TaskStatus.UNKNOWN])), st.sampled_from(list(JobStatus)))
def test_progress_is_counted(statuses: list[TaskStatus], job_status: JobStatus) -> None:
    """Every task counts once; a job only ends when it is started, has tasks, and all of them have ended."""
    found = progress_from(job_status, counts_of([task(status) for status in statuses]), as_of=NOW)
    counted = Counter(statuses)
    assert found.total == len(statuses)
    assert found.pending == counted[TaskStatus.PENDING] + counted[TaskStatus.PUBLISHED]
    assert (found.upgrading, found.succeeded) == (counted[TaskStatus.UPGRADING], counted[TaskStatus.SUCCEEDED])
    assert (found.failed, found.cancelled) == (counted[TaskStatus.FAILED], counted[TaskStatus.CANCELLED])
    assert (found.retrying, found.removed, found.as_of) == (None, None, NOW)
    ended = {TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.CANCELLED}
    if job_status is JobStatus.RUNNING and statuses and set(statuses) <= ended:
        assert found.status in FINAL_STATUSES - {JobStatus.STOPPED}
    else:
        assert found.status is job_status


@pytest.mark.parametrize(
    ("statuses", "status"),
    [
        (["succeeded", "succeeded"], JobStatus.SUCCEEDED),
        (["succeeded", "failed"], JobStatus.PARTIALLY_SUCCEEDED),
        (["succeeded", "cancelled"], JobStatus.PARTIALLY_SUCCEEDED),
        (["failed", "cancelled"], JobStatus.FAILED),
    ],
)
def test_how_a_job_ended_shows_in_its_tasks(statuses: list[str], status: JobStatus) -> None:
    """All, some, or none succeeded."""
    tasks = [task(TaskStatus(word)) for word in statuses]
    assert progress_from(JobStatus.RUNNING, counts_of(tasks), as_of=NOW).status is status


@pytest.mark.parametrize("succeeded", [2, 4])
def test_numbers_that_do_not_add_up_end_nothing(succeeded: int) -> None:
    """They were read while devices moved on."""
    counts = TaskCounts(total=3, by_status={TaskStatus.SUCCEEDED: succeeded})
    assert progress_from(JobStatus.RUNNING, counts, as_of=NOW) == JobProgress(
        status=JobStatus.RUNNING,
        total=3,
        pending=0,
        upgrading=0,
        succeeded=succeeded,
        failed=0,
        cancelled=0,
        as_of=NOW,
    )


def test_devices_are_named_by_records_or_texts() -> None:
    """Each once, in the order given."""
    upgrade = DeviceUpgrade(backend="b", device_id=DeviceId("a2"), device_key="d2")
    run = DeviceTask(backend="b", job_id=JOB, device_id=DeviceId("a1"), device_key="d1", status=TaskStatus.FAILED)
    assert device_keys_of([run, "d3", upgrade, "d1"], job_id=JOB) == ("d1", "d3", "d2")


@pytest.mark.parametrize(
    ("devices", "message"),
    [
        ([], "devices is an empty list: name at least one device"),
        ("d1", "devices is 'd1': give a list of devices"),
        (task(TaskStatus.FAILED), "devices is a DeviceTask: give a list"),
        ({"d1"}, "devices is a set: give a list"),
        ([""], "devices is ''"),
        ([7], "devices is 7: give a text"),
        ([task(TaskStatus.FAILED)], "the record of 'a' without a device_key, by which EnOS jobs name devices"),
        ([mapped()], "a task of job '6214ad2171125f2bf2b3f7b4', not of 'j1'"),
    ],
)
def test_devices_that_cannot_be_named_are_refused(devices: Any, message: str) -> None:
    """Before anything is sent."""
    with pytest.raises(InvalidQueryError, match=message):
        device_keys_of(devices, job_id=JOB)
