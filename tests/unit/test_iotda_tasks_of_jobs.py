"""Device tasks of IoTDA jobs: what is filtered where, how details become models."""

from typing import Any

import msgspec
import pytest

from otaclient.errors import InvalidQueryError, NotFoundError, PayloadError
from otaclient.models import DeviceId, DeviceTask, JobId, TaskFailure, TaskStatus
from otaclient.queries import DeviceTaskQuery
from otaclient.reads import MarkerWindow, PageFacts
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.session import Session
from otaclient_iotda import AkSkCredentials, IotdaConfig, plugin, wire
from otaclient_iotda.failures import classify
from otaclient_iotda.mapping import TASK_STATUS_WORDS, device_task_from, module_from
from otaclient_iotda.plans import plan_modules, plan_open_details, plan_open_jobs, plan_tasks
from otaclient_iotda.reads import IotdaReads
from otaclient_iotda.responses import page_facts
from support.network import ScriptedTransport, session_over

JOB = JobId("65d31bf2581ed33a42a58d76")
MARKER = "65d31bf3581ed33a42a58d77"
DETAIL = HttpRequest(operation="jobs.tasks", method="GET", path="/")


def plan(**filters: Any) -> Any:
    """Return the plan of a query for the tasks of a job."""
    return plan_tasks(DeviceTaskQuery(job_id=JOB, **filters))


def task(device: str = "d1", status: TaskStatus = TaskStatus.PENDING) -> DeviceTask:
    """Return a device task."""
    return DeviceTask(backend="b", job_id=JOB, device_id=DeviceId(device), status=status)


def page(*rows: Any, **more: Any) -> HttpResponse:
    """Return a page of details."""
    body = {"batchtask": {"task_id": JOB}, "task_details": rows, "page": {"count": 2, "marker": MARKER}}
    return HttpResponse(status=200, body=msgspec.json.encode(body | more))


# --- queries ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "word"), TASK_STATUS_WORDS.items())
def test_one_status_and_one_device_are_the_vendors(status: TaskStatus, word: str) -> None:
    """Nothing is left to filter here."""
    found = plan(statuses=[status], devices=["d1"])
    (walk,) = found.partitions
    assert (walk.label, walk.filters) == ("", (("task_detail_status", word), ("target", "d1")))
    assert (found.pushed_down, dict(found.filters)) == (f"task_detail_status={word}, target=d1", {})


def test_several_are_filtered_here() -> None:
    """In one walk: two could both miss a device that goes from one status to the next."""
    source = IotdaReads(
        session_over(ScriptedTransport(), HandClock()),
        "p1",
        plan(statuses=["pending", "failed"], devices=["d1", "d2"]),
    )
    assert (source.pushed_down, source.filtered_here) == ("", ("statuses", "devices"))
    kept = [
        source.keep(task(device, status))
        for device, status in (
            ("d1", TaskStatus.PENDING),
            ("d2", TaskStatus.FAILED),
            ("d1", TaskStatus.UPGRADING),
            ("d3", TaskStatus.PENDING),
        )
    ]
    assert kept == [True, True, False, False]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (DeviceTaskQuery(job_id=JobId("A/1")), "job_id is 'A/1'"),
        (DeviceTaskQuery(job_id=JOB, from_versions=["1"]), "from_versions is given.*name no versions"),
        (DeviceTaskQuery(job_id=JOB, to_versions=["1"]), "to_versions is given"),
        (DeviceTaskQuery(job_id=JOB, devices=["a b"]), "one of devices is 'a b'"),
        (DeviceTaskQuery(job_id=JOB, devices=["a", "a b"]), "one of devices is 'a b'"),
        (DeviceTaskQuery(job_id=JOB, statuses=["published"]), "statuses holds published: IoTDA only knows pending"),
    ],
)
def test_what_can_be_filtered_nowhere_is_refused(query: DeviceTaskQuery, words: str) -> None:
    """One error that names the field."""
    with pytest.raises(InvalidQueryError, match=words):
        plan_tasks(query)


def test_open_jobs_take_a_walk_for_each_state_and_type() -> None:
    """In the order in which a task goes through its states, and so do its details."""
    found = [(partition.label, dict(partition.filters)) for partition in plan_open_jobs(app_id="o").partitions]
    assert [label for label, _ in found[:4]] == [
        "Initializing firmwareUpgrade",
        "Initializing softwareUpgrade",
        "Initializing moduleUpgrade",
        "Waitting firmwareUpgrade",
    ]
    assert found[-1][1] == {"task_type": "moduleUpgrade", "app_id": "o", "status": "Stopping"}
    assert [dict(partition.filters) for partition in plan_open_details(JOB).partitions] == [
        {"task_detail_status": status} for status in ("Waitting", "Processing", "FailWaitRetry")
    ]


def test_modules_are_listed_in_one_walk() -> None:
    """Of a resource space and a product."""
    (walk,) = plan_modules(product_id="p", app_id="o").partitions
    assert walk.filters == (("app_id", "o"), ("product_id", "p"))
    with pytest.raises(InvalidQueryError, match="owner_id is 'a b'"):
        plan_modules(app_id="a b")


# --- pages -----------------------------------------------------------------------------------------------------------


async def test_details_become_tasks() -> None:
    """With the job that they are of, by which their keys differ from those of other jobs."""
    transport = ScriptedTransport([page({"target": "d2", "status": "Processing", "output": ""}, {"target": "d1"})])
    source = IotdaReads(session_over(transport, HandClock()), "p1", plan())
    raw = await source.fetch(source.partitions()[0], MarkerWindow(MARKER, 2, 4))
    request = transport.sent[0]
    assert request.path == f"/v5/iot/p1/batchtasks/{JOB}"
    assert request.query == (("limit", "2"), ("marker", MARKER), ("offset", "4"))
    assert source.facts(raw) == PageFacts(rows=2, total=2, marker=MARKER)
    first, second = source.decode(raw).good
    assert first == DeviceTask(
        backend="test",
        job_id=JOB,
        device_id=DeviceId("d2"),
        status=TaskStatus.UPGRADING,
        vendor_status="Processing",
    )
    assert (second.status, second.vendor_status) == (TaskStatus.UNKNOWN, None)
    assert source.key(first) == f"{JOB}/d2"
    assert source.operation == "jobs.tasks"


@pytest.mark.parametrize("more", [{"task_details": None, "page": None}, {"task_details": [], "page": {}}])
def test_a_task_without_details_is_an_empty_page(more: Any) -> None:
    """As one that is being prepared."""
    assert page_facts(DETAIL, page(**more), "task_details") == PageFacts(rows=0)


@pytest.mark.parametrize("body", [b"{}", b'{"batchtask":null}', b'{"batchtask":7}', b'{"devices":[]}'])
def test_what_is_no_page_of_details(body: bytes) -> None:
    """Neither rows nor the task."""
    with pytest.raises(PayloadError, match="neither task_details nor page"):
        page_facts(DETAIL, HttpResponse(status=200, body=body), "task_details")


async def test_the_tasks_of_no_job() -> None:
    """It is named."""
    network = ScriptedTransport([HttpResponse(status=404, body=b'{"error_code":"IOTDA.000029","error_msg":"x"}')])
    keys = AkSkCredentials(access_key="AK", secret_key="very-secret")
    config = IotdaConfig(endpoint="https://iotda.example", project_id="p1", credentials=keys)
    iotda = plugin.open(config, Session(label="north", transport=network, clock=HandClock()))
    with pytest.raises(NotFoundError, match=f"there is no job '{JOB}'"):
        await iotda.jobs.tasks(DeviceTaskQuery(job_id=JOB)).first(1)


@pytest.mark.parametrize(
    "body",
    [
        {"task_details": [{"target": "d", "error": {"error_code": "IOTDA.005009"}}], "page": {}},
        {"targets": [{"target": "d", "status": "failure", "error_code": "IOTDA.1"}]},
        {"error_code": "x", "task_id": "a1"},
        {"error_code": "x", "modules": []},
        {"error_code": "x", "module_id": "m"},
    ],
)
def test_errors_inside_a_good_answer_are_not_the_answers(body: Any) -> None:
    """They are about targets, or fields that are only called so."""
    assert classify(DETAIL, HttpResponse(status=200, body=msgspec.json.encode(body))) is None


# --- models ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "failure"),
    [
        ({"status": "Success", "output": "The current version is the same"}, TaskStatus.SUCCEEDED, None),
        ({"status": "Waitting"}, TaskStatus.PENDING, None),
        ({"status": "Stopped", "output": "x"}, TaskStatus.CANCELLED, None),
        ({"status": "Removed"}, TaskStatus.REMOVED, None),
        ({"status": "Odd"}, TaskStatus.UNKNOWN, None),
        ({"status": "Fail"}, TaskStatus.FAILED, None),
        ({"status": "Fail", "output": "Task Conflict"}, TaskStatus.FAILED, TaskFailure(message="Task Conflict")),
        (
            {"status": "Fail", "output": "Invalid URI", "error": wire.TaskError(error_code="c", error_msg="m")},
            TaskStatus.FAILED,
            TaskFailure(message="m: Invalid URI", code="c"),
        ),
        (
            {"status": "FailWaitRetry", "output": "m", "error": wire.TaskError(error_code="", error_msg="m")},
            TaskStatus.RETRYING,
            TaskFailure(message="m"),
        ),
        ({"status": "Stopped", "error": wire.TaskError(error_code="c")}, TaskStatus.CANCELLED, TaskFailure(code="c")),
    ],
)
def test_what_a_detail_says(fields: dict[str, Any], status: TaskStatus, failure: TaskFailure | None) -> None:
    """The text of a failure is where the vendor put it, or in both places."""
    found = device_task_from(wire.TaskDetail(target="d1", **fields), backend="b", job_id=JOB)
    assert (found.device_id, found.status, found.vendor_status) == ("d1", status, fields["status"])
    assert found.failure == failure


def test_a_bare_module() -> None:
    """Two fields are all that it needs."""
    found = module_from(wire.OtaModule(module_id="m", module_name="radio"), backend="b")
    assert (found.module_id, found.name, found.created_at, dict(found.extra)) == ("m", "radio", None, {})
