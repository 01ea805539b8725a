"""New jobs of which a part is something else: a documented error that names the part, or a job that can be."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import attrs
import pytest

from otaclient.errors import InvalidQueryError, UnsupportedOperationError
from otaclient.models import (
    FirmwareId,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    LocalizedText,
    NewJob,
    PolicyMode,
    RetrySchedule,
)
from otaclient_enos.new_jobs import job_fields as enos_fields
from otaclient_iotda.new_jobs import job_fields as iotda_fields

NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
JOB: Final = NewJob(
    name=LocalizedText(default="Pumps"),
    firmware_ids=(FirmwareId("f1"),),
    scope=JobScope(devices=("d1",)),
    policy=JobPolicy(
        retry=RetrySchedule(count=1, interval_minutes=1), schedule=JobSchedule(start_at=NOW + timedelta(days=1))
    ),
)
ODD: Final[tuple[Any, ...]] = (
    *(None, True, -1, 0, 5, 10**30, 1.5, math.nan, math.inf, object(), b"x"),
    *("", "text", "a\0b", "\ud800", "x" * 5000),
    *(["a"], [["a"]], (5,), (None,), {"a"}, [math.nan]),
    *({"a": 1}, {"a": ["x"]}, {"a": [[1]]}, {5: ("a",)}, {None: 1}, {"a": (math.nan,)}),
    *(datetime(2026, 1, 1), datetime.min.replace(tzinfo=UTC)),  # noqa: DTZ001 - without a zone is meant
    datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
)
Fields = Callable[..., dict[str, Any]]


def of_enos(job: Any) -> dict[str, Any]:
    """Return what EnOS would get."""
    return enos_fields(job)


def of_iotda(job: Any, **options: Any) -> dict[str, Any]:
    """Return what IoTDA would get."""
    return iotda_fields(job, app_id=None, now=NOW, **options)


def with_odd_parts(given: Any) -> Iterator[Any]:
    """Yield copies of a record in which one part, at any depth, is an odd value that its class takes."""
    for field in attrs.fields(type(given)):
        for odd in ODD:
            with suppress(TypeError):
                yield attrs.evolve(given, **{field.name: odd})
        part = getattr(given, field.name)
        if attrs.has(type(part)):
            for changed in with_odd_parts(part):
                yield attrs.evolve(given, **{field.name: changed})


@pytest.mark.parametrize("fields", [of_enos, of_iotda])
def test_whatever_a_part_is_the_error_is_a_documented_one(fields: Fields) -> None:
    """Never one of Python's own; and what is taken is a job still."""
    assert fields(JOB)
    refused = taken = 0
    for job in with_odd_parts(JOB):
        try:
            taken += bool(fields(job))
        except (InvalidQueryError, UnsupportedOperationError) as error:
            refused += bool(str(error))
    assert refused > 5 * taken > 0


@pytest.mark.parametrize("fields", [of_enos, of_iotda])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"scope": {"devices": ["d1"]}}, "scope is a dict: give a JobScope"),
        ({"policy": None}, "policy is a NoneType: give a JobPolicy"),
        ({"policy": JobPolicy(retry=3)}, "policy.retry is a int: give a RetrySchedule"),  # type: ignore[arg-type]
        ({"policy": JobPolicy(schedule=NOW)}, "policy.schedule is a datetime: give a JobSchedule"),  # type: ignore[arg-type]
        ({"policy": JobPolicy(mode=["snapshot"])}, "policy.mode is .'snapshot'.: give a PolicyMode"),  # type: ignore[arg-type]
        ({"kind": ["upgrade"]}, "kind is .'upgrade'.: give a JobKind"),
    ],
)
def test_a_part_of_another_class_is_named(fields: Fields, changes: dict[str, Any], words: str) -> None:
    """With the class that belongs there."""
    with pytest.raises(InvalidQueryError, match=words):
        fields(attrs.evolve(JOB, **changes))


def test_a_text_stands_for_the_label_that_is_equal_to_it() -> None:
    """What comes from a form or a file means the same as the label: a verification job stays one."""
    few = attrs.evolve(JOB, policy=JobPolicy(timeout_seconds=600))
    as_text: Any = "verification"
    assert of_enos(attrs.evolve(few, kind=as_text)) == of_enos(attrs.evolve(few, kind=JobKind.VERIFICATION))
    as_text = "upgrade"
    assert of_iotda(attrs.evolve(JOB, kind=as_text)) == of_iotda(JOB)
    as_text = "snapshot"
    labelled = attrs.evolve(few, policy=JobPolicy(mode=PolicyMode.SNAPSHOT))
    assert of_enos(attrs.evolve(few, policy=JobPolicy(mode=as_text))) == of_enos(labelled)
    as_text = "module"
    with pytest.raises(InvalidQueryError, match="gateways upgrade no modules"):
        of_iotda(JOB, firmware_kind=as_text, gateway_mode=True)


def test_numbers_without_json_are_not_handed_to_devices_as_null() -> None:
    """JSON has no infinity: what would become of it is not what was meant."""
    with pytest.raises(InvalidQueryError, match="extra_info is .*: give what JSON can hold"):
        of_iotda(JOB, extra_info={"limits": [1.0, math.inf]})
    with pytest.raises(InvalidQueryError, match="firmware_kind is .'module'."):
        of_iotda(JOB, firmware_kind=["module"])


def test_what_is_no_mapping_is_refused_where_it_is_given() -> None:
    """With its value, and not with what Python makes of it."""
    wrong: Any = ["site"]
    with pytest.raises(TypeError, match=r"\['site'\] is no mapping: give one, such as a dict"):
        JobScope(tags=wrong)
