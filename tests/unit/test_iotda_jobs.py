"""What the IoTDA client sends to create, steer and follow jobs, and what it makes of the answers."""

import re
from collections.abc import Awaitable
from typing import Any

import attrs
import pytest

from otaclient.errors import ConflictError, InvalidQueryError, NotFoundError
from otaclient.models import DeviceId, FirmwareId, FirmwareKind, JobProgress, JobScope, JobStatus, LocalizedText
from otaclient.testing import HandClock
from otaclient_iotda import TargetOutcome, TargetsRefusedError
from otaclient_iotda.write_requests import act_on_task
from support.iotda_writes import JOB, NO_SUCH, asked, opened, package, reply, results, task

# --- jobs: creation --------------------------------------------------------------------------------------------------


async def test_the_packages_are_read_to_know_the_type_of_a_task() -> None:
    """One request each, then one that creates."""
    kind = {"package_type": "softwarePackage"}
    first, second = (package(name, support_source_versions=[name], **kind) for name in ("f1", "f2"))
    iotda, network = opened(first, second, reply({"task_id": "a1"}, 201))
    job = attrs.evolve(JOB, firmware_ids=(FirmwareId("f1"), FirmwareId("f2")))
    assert await iotda.jobs.create(job) == "a1"
    method, path, body = asked(network.sent[-1])
    assert (method, path, len(network.sent)) == ("POST", "batchtasks", 3)
    assert re.fullmatch("night_ota[0-9a-f]{20}", body.pop("task_name"))
    assert body == {
        "app_id": "space",
        "task_type": "softwareUpgrade",
        "targets": ["d1", "d2"],
        "document": {"package_ids": ["f1", "f2"]},
    }


async def test_who_knows_the_kind_saves_the_requests() -> None:
    """One request in all, with what only this vendor has."""
    iotda, network = opened(reply({"task_id": "a1"}, 201), app_id=None)
    await iotda.jobs.create(
        attrs.evolve(JOB, hold=True),
        firmware_kind=FirmwareKind.FIRMWARE,
        gateway_mode=True,
        extra_info={"note": "x"},
    )
    (request,) = network.sent
    body = asked(request)[2]
    assert (body["task_type"], body["task_mode"], body["need_confirm"]) == ("firmwareUpgrade", "GATEWAY", True)
    assert (body["task_ext_info"], "app_id" in body) == ({"note": "x"}, False)


async def test_jobs_that_cannot_be_create_nothing() -> None:
    """Wrong fields send nothing; packages that do not fit, or are not there, are read and no more."""
    module = package("f1", package_type="modulePackage")
    iotda, network = opened(module, package("f1", package_type="odd"), reply(NO_SUCH, 404))
    with pytest.raises(InvalidQueryError, match="reaches no device") as caught:
        await iotda.jobs.create(attrs.evolve(JOB, scope=JobScope()))
    assert (caught.value.operation, caught.value.backend) == ("jobs.create", "north")
    with pytest.raises(InvalidQueryError, match="of which the fingerprint takes 24; give at most 104, or set"):
        await iotda.jobs.create(attrs.evolve(JOB, name=LocalizedText(default="n" * 105)))
    assert network.sent == []
    with pytest.raises(InvalidQueryError, match="gateways upgrade no modules"):
        await iotda.jobs.create(JOB, gateway_mode=True)
    with pytest.raises(InvalidQueryError, match="f1 is odd"):
        await iotda.jobs.create(JOB)
    with pytest.raises(NotFoundError, match="there is no firmware 'f1'"):
        await iotda.jobs.create(JOB)
    assert {request.method for request in network.sent} == {"GET"}


# --- jobs: acting ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer", [{}, {"targets": None}, {"targets": []}, {"targets": [{"target": "d", "status": "success"}]}]
)
async def test_a_whole_job_is_stopped_or_confirmed_with_an_empty_body(answer: Any) -> None:
    """Whatever the answer lists."""
    iotda, network = opened(reply(answer), reply(answer))
    await iotda.jobs.stop("a1")
    await iotda.jobs.start("a1")
    assert list(map(asked, network.sent)) == [
        ("POST", "batchtasks/a1/stop", {}),
        ("POST", "batchtasks/a1/confirm", {}),
    ]


async def test_a_job_that_was_stopped_on_some_devices_only_is_an_error() -> None:
    """It names those that were refused, and the operation."""
    refused = {"target": "d7", "status": "failure", "error_code": "IOTDA.1", "error_msg": "Not now."}
    iotda, _ = opened(reply({"targets": [refused, {"target": "d8", "status": "success"}]}))
    with pytest.raises(TargetsRefusedError, match="1 of 2 devices were refused: d7: IOTDA.1 Not now.") as caught:
        await iotda.jobs.stop("a1")
    assert (caught.value.operation, caught.value.backend) == ("jobs.stop", "north")


@pytest.mark.parametrize(("call", "deed"), [("cancel_tasks", "stop"), ("retry_tasks", "retry")])
async def test_long_lists_go_out_in_parts(call: str, deed: str) -> None:
    """Of 100 devices; all parts are sent before the refused devices are an error."""
    devices = [f"d{number}" for number in range(201)]
    iotda, network = opened(results("d3"), results(), results("d200"))
    with pytest.raises(TargetsRefusedError) as caught:
        await getattr(iotda.jobs, call)("a1", devices)
    assert [outcome.device_id for outcome in caught.value.outcomes] == ["d3", "d200"]
    error = caught.value
    assert (error.operation, error.status, error.attempts) == (f"jobs.{call}", 200, 3)
    assert {asked(request)[1] for request in network.sent} == {f"batchtasks/a1/{deed}"}
    assert [target for request in network.sent for target in asked(request)[2]["targets"]] == devices
    accepting, _ = opened(results(), results(), results())
    await getattr(accepting.jobs, call)("a1", devices)


async def test_some_devices_of_a_held_job_are_confirmed() -> None:
    """What was said of each comes back, and refused ones are no error."""
    iotda, network = opened(results("d2"))
    found = await iotda.confirm_job("a1", ["d1", "d2"])
    assert found == (
        TargetOutcome(device_id=DeviceId("d1"), accepted=True),
        TargetOutcome(device_id=DeviceId("d2"), accepted=False, code="IOTDA.1", message="Not now."),
    )
    assert asked(network.sent[0]) == ("POST", "batchtasks/a1/confirm", {"targets": ["d1", "d2"]})


async def test_a_part_that_fails_says_what_became_of_those_before() -> None:
    """The parts behind it are not sent."""
    devices = [f"d{number}" for number in range(250)]
    conflict = reply({"error_code": "IOTDA.2", "error_msg": "Ended."}, 409)
    iotda, network = opened(results("d3"), conflict)
    with pytest.raises(ConflictError) as caught:
        await iotda.jobs.cancel_tasks("a1", devices)
    assert caught.value.vendor_code == "IOTDA.2"
    assert str(caught.value).endswith("(HTTP 409, code IOTDA.2)")
    assert (
        "before that, 99 of 250 devices were accepted and 1 refused (d3: IOTDA.1 Not now.); 50 were not asked for"
        in caught.value.message
    )
    assert len(network.sent) == 2
    first, _ = opened(conflict)
    with pytest.raises(ConflictError) as caught:
        await first.jobs.cancel_tasks("a1", devices)
    assert "before that" not in caught.value.message


@pytest.mark.parametrize("bad", ["", "A1", "a/1", None])
async def test_jobs_that_cannot_be_named_send_nothing(bad: Any) -> None:
    """One error for every operation."""
    iotda, network = opened()
    jobs = iotda.jobs
    calls: list[Awaitable[Any]] = [
        jobs.start(bad),
        jobs.stop(bad),
        jobs.delete(bad),
        jobs.progress(bad),
        jobs.wait(bad),
    ]
    calls += [jobs.cancel_tasks(bad, ["d"]), jobs.retry_tasks(bad, ["d"]), iotda.confirm_job(bad, ["d"])]
    for call in calls:
        with pytest.raises(InvalidQueryError, match="job_id is") as caught:
            await call
        assert caught.value.backend == "north"
    with pytest.raises(InvalidQueryError, match="job_id is"):
        jobs.watch(bad)
    assert network.sent == []


async def test_empty_lists_are_refused() -> None:
    """For the vendor they mean all devices."""
    iotda, network = opened()
    for call in (iotda.jobs.cancel_tasks, iotda.jobs.retry_tasks, iotda.confirm_job):
        with pytest.raises(InvalidQueryError, match="empty list"):
            await call("a1", [])
    with pytest.raises(InvalidQueryError, match="for IoTDA means all"):
        act_on_task("p1", "stop", "a1", [], operation="jobs.cancel_tasks")
    assert network.sent == []


# --- jobs: following -------------------------------------------------------------------------------------------------


async def test_progress_takes_one_request() -> None:
    """What the vendor does not report is not guessed."""
    iotda, network = opened(task("Processing", total=3, success=1), task("Waitting"))
    now = HandClock().now()
    assert await iotda.jobs.progress("a1") == JobProgress(status=JobStatus.RUNNING, total=3, succeeded=1, as_of=now)
    assert await iotda.jobs.progress("a1") == JobProgress(status=JobStatus.PENDING, as_of=now)
    assert len(network.sent) == 2


async def test_a_job_is_watched_to_its_end() -> None:
    """Each change once."""
    states = [task("Processing", success=count) for count in (0, 0, 2)]
    iotda, _ = opened(*states, task("Success", success=3))
    seen = [(progress.status, progress.succeeded) async for progress in iotda.jobs.watch("a1", interval_seconds=1)]
    assert seen == [(JobStatus.RUNNING, 0), (JobStatus.RUNNING, 2), (JobStatus.SUCCEEDED, 3)]


async def test_waiting_groups_failures_by_reason() -> None:
    """The failed devices are read once, when the job has ended."""
    details = [
        {"target": "d1", "status": "Fail", "error": {"error_code": "IOTDA.005009", "error_msg": "Task Conflict"}},
        {"target": "d2", "status": "Fail", "output": "Out of memory during downloading process"},
        {"target": "d3", "status": "Fail", "error": {"error_msg": "Task Conflict"}, "output": ""},
    ]
    pages = [
        {"batchtask": {}, "task_details": rows, "page": {"marker": "a" * 24 if rows else None}}
        for rows in (details, [])
    ]
    iotda, network = opened(task("Processing"), task("Fail", fail=3), *map(reply, pages))
    found = await iotda.jobs.wait("a1")
    assert (found.status, found.failed) == (JobStatus.FAILED, 3)
    assert dict(found.failures) == {"Task Conflict": 2, "Out of memory during downloading process": 1}
    assert dict(network.sent[2].query)["task_detail_status"] == "Fail"


@pytest.mark.parametrize(
    ("targets", "said"), [(["d1"], "1 device of job 'a1'"), (["d1", "d2"], "2 devices of job 'a1'")]
)
def test_what_is_done_to_devices_counts_them_in_words(targets: list[str], said: str) -> None:
    """Errors about an unclear outcome begin with it."""
    assert (act_on_task("p1", "stop", "a1", targets, operation="jobs.cancel_tasks").subject or "").endswith(said)
