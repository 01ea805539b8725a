"""How the devices of an IoTDA job are named, counted and answered for."""

import pickle
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import ConflictError, InvalidQueryError
from otaclient.models import (
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    Job,
    JobId,
    JobProgress,
    JobStatus,
    TaskFailure,
    TaskStatus,
)
from otaclient_iotda import TargetOutcome, TargetsRefusedError, wire
from otaclient_iotda.tasks import (
    check_accepted,
    device_ids_of,
    in_parts,
    interrupted,
    outcomes_from,
    progress_from,
)

AT = datetime(2026, 1, 2, tzinfo=UTC)


def task(device_id: str = "d1", *, job_id: str = "a1", failure: TaskFailure | None = None) -> DeviceTask:
    """Return a device task."""
    return DeviceTask(
        backend="b", job_id=JobId(job_id), device_id=DeviceId(device_id), status=TaskStatus.FAILED, failure=failure
    )


def result(target: str, status: str | None, code: str | None = None, message: str | None = None) -> wire.TargetResult:
    """Return what an answer says of one target."""
    return wire.TargetResult(target=target, status=status, error_code=code, error_msg=message)


REFUSED = TargetOutcome(device_id=DeviceId("d2"), accepted=False, code="IOTDA.1", message="Not now.")


def test_devices_are_named_by_record_or_text() -> None:
    """Each once, in the order given."""
    found = device_ids_of(
        ["d2", task("d1"), DeviceUpgrade(backend="b", device_id=DeviceId("d3")), task("d2")], job_id="a1"
    )
    assert found == ("d2", "d1", "d3")


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ([], "empty list"),
        ((), "empty list"),
        ("d1", "devices is 'd1': give a list"),
        (task(), "devices is a DeviceTask: give a list"),
        ({"d1"}, "devices is a set"),
        (None, "devices is a NoneType"),
        (["a b"], "one of devices is 'a b'"),
        ([7], "one of devices is 7"),
        ([task(job_id="b2")], "a task of job 'b2', not of 'a1'"),
    ],
)
def test_lists_of_devices_that_are_refused(devices: Any, words: str) -> None:
    """An empty one above all: for the vendor it means all devices."""
    with pytest.raises(InvalidQueryError, match=words):
        device_ids_of(devices, job_id="a1")


@given(st.integers(1, 350))
def test_parts_hold_all_devices_in_order(count: int) -> None:
    """At most 100 each, no more parts than needed."""
    devices = tuple(DeviceId(f"d{number}") for number in range(count))
    parts = in_parts(devices)
    assert tuple(device for part in parts for device in part) == devices
    assert len(parts) == -(-count // 100)
    assert max(map(len, parts)) <= 100


def test_each_device_has_an_outcome() -> None:
    """Of those asked for and those that the answer names beyond; a strange status is no success."""
    asked = [DeviceId(text) for text in ("d1", "d2", "d3", "d4")]
    results = [
        result("d3", "failure", "", None),
        result("d1", "success"),
        result("d2", "failure", "IOTDA.1", "Not now."),
        result("d9", "pending"),
    ]
    found = outcomes_from(results, asked)
    assert [(outcome.device_id, outcome.accepted) for outcome in found] == [
        ("d1", True),
        ("d2", False),
        ("d3", False),
        ("d4", False),
        ("d9", False),
    ]
    assert list(map(str, found)) == [
        "d1: accepted",
        "d2: IOTDA.1 Not now.",
        "d3: refused without a reason",
        "d4: the answer says nothing of this device, but of others",
        "d9: status 'pending'",
    ]


def test_an_answer_that_names_nobody_speaks_for_all() -> None:
    """Whether the vendor lists targets when all went well is not documented."""
    assert [outcome.accepted for outcome in outcomes_from([], [DeviceId("d1")])] == [True]
    assert outcomes_from([]) == ()


def test_refused_devices_are_an_error_that_names_them() -> None:
    """With all of them as values; it can be pickled, and is a conflict."""
    accepted = TargetOutcome(device_id=DeviceId("d1"), accepted=True)
    check_accepted(())
    check_accepted([accepted])
    with pytest.raises(
        TargetsRefusedError, match=r"1 of 2 devices were refused: d2: IOTDA.1 Not now\. \(HTTP 200\)$"
    ) as caught:
        check_accepted([accepted, REFUSED])
    error = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert issubclass(TargetsRefusedError, ConflictError)
    assert isinstance(error, TargetsRefusedError)
    assert error.outcomes == (REFUSED,)


def test_many_refused_devices_are_counted_in_the_message() -> None:
    """And all there as values."""
    refused = [TargetOutcome(device_id=DeviceId(f"d{number}"), accepted=False) for number in range(12)]
    with pytest.raises(TargetsRefusedError, match="d9: refused without a reason; and 2 more, see the") as caught:
        check_accepted(refused)
    assert len(caught.value.outcomes) == 12


def test_what_was_done_before_a_part_failed() -> None:
    """Accepted, refused, and never asked for."""
    accepted = TargetOutcome(device_id=DeviceId("d1"), accepted=True)
    assert interrupted([accepted], asked=3, total=5) == (
        "before that, 1 of 5 devices were accepted; 2 were not asked for"
    )
    assert interrupted([accepted, REFUSED], asked=3, total=3) == (
        "before that, 1 of 3 devices were accepted and 1 refused (d2: IOTDA.1 Not now.)"
    )


def test_progress_is_what_the_vendor_reports() -> None:
    """What it leaves out stays unknown."""
    progress = JobProgress(status=JobStatus.RUNNING, total=3, failed=1)
    job = Job(backend="b", job_id=JobId("a1"), status=JobStatus.RUNNING, progress=progress)
    assert progress_from(job, as_of=AT) == JobProgress(status=JobStatus.RUNNING, total=3, failed=1, as_of=AT)
    bare = Job(backend="b", job_id=JobId("a1"), status=JobStatus.STOPPED)
    assert progress_from(bare, as_of=AT) == JobProgress(status=JobStatus.STOPPED, as_of=AT)
