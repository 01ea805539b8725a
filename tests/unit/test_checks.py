"""What every backend refuses alike: the error names the input, the rule and the remedy."""

from typing import Any

import pytest

from otaclient.checks import check_encodable, check_kind, checked_count, checked_flag
from otaclient.device_references import checked_references
from otaclient.errors import InvalidQueryError
from otaclient.models import DeviceId, DeviceTask, DeviceUpgrade, JobId, NewJob, TaskStatus

UPGRADE = DeviceUpgrade(backend="b", device_id=DeviceId("d1"))


def task(job_id: str = "j1") -> DeviceTask:
    """Return what a job does on a device."""
    return DeviceTask(backend="b", job_id=JobId(job_id), device_id=DeviceId("d2"), status=TaskStatus.FAILED)


def test_a_value_of_another_class_is_refused() -> None:
    """And one of the right class taken."""
    check_kind("x", str, name="the job")
    with pytest.raises(InvalidQueryError, match="the job is a dict: give a NewJob"):
        check_kind({}, NewJob, name="the job")


@pytest.mark.parametrize("value", [0, 1, None, "true"])
def test_a_flag_is_true_or_false(value: Any) -> None:
    """Nothing is taken for one of them."""
    assert checked_flag(True, name="hold") is True
    assert checked_flag(False, name="hold") is False
    with pytest.raises(InvalidQueryError, match=f"hold is {value!r}: give True or False"):
        checked_flag(value, name="hold")


@pytest.mark.parametrize("value", [0, 6, True, 2.0, "3", None])
def test_a_count_is_a_whole_number_within_its_range(value: Any) -> None:
    """Both ends count."""
    assert [checked_count(number, name="n", least=1, most=5) for number in (1, 5)] == [1, 5]
    with pytest.raises(InvalidQueryError, match=f"n is {value!r}: give a whole number, from 1 to 5"):
        checked_count(value, name="n", least=1, most=5)


def test_a_text_without_utf8_is_refused() -> None:
    """Half a surrogate pair cannot be sent; a whole character of any plane can."""
    check_encodable("pump \U0001f600", name="description")
    with pytest.raises(InvalidQueryError, match="description is 'a.ud83d': remove the halves of surrogate pairs"):
        check_encodable("a\ud83d", name="description")


def test_devices_are_named_by_records_and_texts() -> None:
    """As they come, in any sequence."""
    named = (task(), "d3", UPGRADE)
    assert checked_references(named, job_id="j1") == named
    assert checked_references(list(named), job_id="j1") == list(named)


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        ([], "an empty list: name at least one device; jobs.start and jobs.stop are for all of a job"),
        ("d1", "devices is 'd1': give a list of devices"),
        (task(), "devices is a DeviceTask: give a list"),
        (UPGRADE, "devices is a DeviceUpgrade: give a list"),
        ({"d1"}, "devices is a set: give a list"),
        (None, "devices is a NoneType: give a list"),
        (["d1", task("j2")], "devices holds a task of job 'j2', not of 'j1'"),
    ],
)
def test_what_names_no_devices_of_a_job_is_refused(devices: Any, words: str) -> None:
    """An empty list above all, which a vendor may take for all devices."""
    with pytest.raises(InvalidQueryError, match=words):
        checked_references(devices, job_id="j1")
