"""What an IoTDA batch task is created from: every limit of the vendor, and everything that it cannot do."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from otaclient.errors import InvalidQueryError
from otaclient.models import (
    Firmware,
    FirmwareId,
    FirmwareKind,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    LocalizedText,
    NewJob,
    PolicyMode,
    RetrySchedule,
)
from otaclient_iotda.new_jobs import check_firmware_kind, job_fields, kind_of

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN = NewJob(
    name=LocalizedText(default="升级_2026"),
    firmware_ids=(FirmwareId("28f61af50fc9452aa0ed5ea25c3cc3d3"),),
    scope=JobScope(devices=("d1", "d2")),
)


def fields(job: NewJob = PLAIN, /, options: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the body for a job with some changes."""
    return job_fields(attrs.evolve(job, **changes), app_id=None, now=NOW, **(options or {}))


def package(firmware_id: str, *source_versions: str, kind: FirmwareKind = FirmwareKind.FIRMWARE) -> Firmware:
    """Return a package."""
    return Firmware(
        backend="b", firmware_id=FirmwareId(firmware_id), version="1", kind=kind, source_versions=source_versions
    )


def test_a_task_as_the_vendor_documents_it() -> None:
    """What is not given is not sent."""
    assert fields() == {
        "task_name": "升级_2026",
        "targets": ["d1", "d2"],
        "document": {"package_ids": ["28f61af50fc9452aa0ed5ea25c3cc3d3"]},
    }


def test_everything_that_a_task_can_be_told() -> None:
    """Groups, a start in UTC, retries, a confirmation, gateways, and what the devices are told."""
    start = (NOW + timedelta(days=7)).astimezone(timezone(timedelta(hours=8)))
    policy = JobPolicy(
        schedule=JobSchedule(start_at=start), retry=RetrySchedule(count=5, interval_minutes=1440), hold=True
    )
    job = attrs.evolve(PLAIN, scope=JobScope(groups=("g1",)), policy=policy, hold=True)
    found = job_fields(
        job,
        app_id="space",
        now=NOW,
        firmware_kind=FirmwareKind.SOFTWARE,
        gateway_mode=True,
        extra_info={"note": "夜"},
    )
    assert found == {
        "task_name": "升级_2026",
        "targets_filter": {"group_ids": ["g1"]},
        "document": {"package_ids": ["28f61af50fc9452aa0ed5ea25c3cc3d3"]},
        "task_policy": {"schedule_time": "20260109T030405Z", "retry_count": 5, "retry_interval": 1440},
        "need_confirm": True,
        "app_id": "space",
        "task_mode": "GATEWAY",
        "task_ext_info": {"note": "夜"},
    }


@pytest.mark.parametrize(
    ("hold", "policy_hold", "sent"),
    [(False, None, None), (True, None, True), (False, True, True), (False, False, False), (True, True, True)],
)
def test_a_held_job_waits_for_a_confirmation(hold: bool, policy_hold: bool | None, sent: bool | None) -> None:
    """Said in one place or in both."""
    assert fields(hold=hold, policy=JobPolicy(hold=policy_hold)).get("need_confirm") is sent


def policy(**settings: Any) -> dict[str, Any]:
    """Return the change of a job's policy."""
    return {"policy": JobPolicy(**settings)}


def schedule(**settings: Any) -> dict[str, Any]:
    """Return the change of a job's schedule."""
    return policy(schedule=JobSchedule(**settings))


def retry(**settings: Any) -> dict[str, Any]:
    """Return the change of a job's retries."""
    return policy(retry=RetrySchedule(**settings))


def scope(**settings: Any) -> dict[str, Any]:
    """Return the change of a job's scope."""
    return {"scope": JobScope(**settings)}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "x"}, "give LocalizedText"),
        ({"name": LocalizedText(default="x", translations={"zh_CN": "y"})}, "name has translations"),
        ({"name": LocalizedText(default="")}, "name is empty"),
        ({"name": LocalizedText(default="x" * 129)}, "name is 129 characters long"),
        ({"name": LocalizedText(default="a b-c d")}, "with ' ', '-': IoTDA takes Chinese"),
        ({"name": LocalizedText(default="été")}, "with 'é'"),
        ({"kind": JobKind.VERIFICATION}, "kind is 'verification'"),
        ({"firmware_ids": ()}, "firmware_ids is empty"),
        ({"firmware_ids": "abc"}, "firmware_ids is the bare text 'abc': give a tuple"),
        ({"firmware_ids": tuple(f"p{n}" for n in range(11))}, "firmware_ids has 11 entries"),
        ({"firmware_ids": ("a/b",)}, "one of firmware_ids is 'a/b'"),
        ({"firmware_ids": ("a", "a")}, "firmware_ids names 'a' twice"),
        ({"hold": 1}, "hold is 1"),
        ({"hold": True, **policy(hold=False)}, "policy.hold says False"),
        (policy(hold="yes"), "policy.hold is 'yes'"),
        (policy(mode=PolicyMode.SNAPSHOT), "policy.mode is given"),
        (policy(timeout_seconds=600), "policy.timeout_seconds is given"),
        (policy(max_concurrency=5), "policy.max_concurrency is given"),
        (policy(device_may_request=False), "policy.device_may_request is given"),
        (retry(count=6, interval_minutes=1), "policy.retry.count is 6.*from 0 to 5"),
        (retry(count=True, interval_minutes=1), "policy.retry.count is True"),
        (retry(count=1, interval_minutes=1441), "interval_minutes is 1441.*from 0 to 1440"),
        (retry(count=1), "interval_minutes is missing"),
        (retry(count=1, interval_minutes=1, enabled=False), "has no such switch"),
        (schedule(), "policy.schedule says nothing"),
        (schedule(start_at=NOW, end_at=NOW), "policy.schedule.end_at is given"),
        (schedule(start_at=NOW, repeats_daily=True), "policy.schedule.repeats_daily is given"),
        (schedule(start_at=NOW, utc_offset_minutes=60), "policy.schedule.utc_offset_minutes is given"),
        (schedule(start_at=NOW.replace(tzinfo=None)), "with a time zone"),
        (schedule(start_at="2026-01-02"), "with a time zone"),
        (schedule(start_at=NOW.replace(microsecond=1)), "whole seconds"),
        (schedule(start_at=NOW + timedelta(days=7, seconds=1)), "within 7 days"),
        (scope(), "reaches no device"),
        (scope(devices=("d",), groups=("g",)), "leave one out"),
        (scope(devices=tuple(f"d{n}" for n in range(30_001))), "scope.devices has 30001 entries"),
        (scope(devices=("a b",)), "one of scope.devices is 'a b'"),
        (scope(devices=("d", "d")), "scope.devices names 'd' twice"),
        (scope(devices="d1"), "scope.devices is the bare text 'd1'"),
        (scope(groups=("g/h",)), "one of scope.groups is 'g/h'"),
        (scope(devices=("d",), source_versions=("1",)), "scope.source_versions is given.*packages themselves"),
        (scope(tags={"a": ("b",)}), "scope.tags is given"),
        (scope(attributes={"a": ("b",)}), "scope.attributes is given"),
        (scope(asset_trees=({"treeId": "t"},)), "scope.asset_trees is given"),
        (scope(everything=True), "scope.everything is given"),
        ({"options": {"extra_info": {"a": "x" * 505}}}, "extra_info has 513 characters"),
        ({"options": {"extra_info": {"a": object()}}}, "what JSON can hold"),
        ({"options": {"extra_info": "text"}}, "give a mapping"),
        ({"options": {"gateway_mode": "GATEWAY"}}, "gateway_mode is 'GATEWAY'"),
        ({"options": {"firmware_kind": FirmwareKind.UNKNOWN}}, "give one of firmware, software, module"),
        ({"options": {"firmware_kind": FirmwareKind.MODULE, "gateway_mode": True}}, "gateways upgrade no modules"),
    ],
)
def test_what_iotda_cannot_do_is_refused(changes: dict[str, Any], words: str) -> None:
    """One error that names the field, the rule and the remedy."""
    with pytest.raises(InvalidQueryError, match=words):
        fields(**changes)


def test_a_wrong_name_is_named_for_those_who_call_it_otherwise() -> None:
    """The command says ``--name`` by it."""
    with pytest.raises(InvalidQueryError, match="name is None") as caught:
        fields(name=None)
    assert caught.value.names == ("name",)


def test_what_is_no_job_at_all() -> None:
    """It is named."""
    nothing: Any = {"name": "x"}
    with pytest.raises(InvalidQueryError, match="the job is a dict"):
        job_fields(nothing, app_id=None, now=NOW)


@pytest.mark.parametrize("kind", [FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE, FirmwareKind.MODULE])
def test_the_packages_say_what_a_job_installs(kind: FirmwareKind) -> None:
    """One package for any source version, or several that share none."""
    assert kind_of([package("a", kind=kind)]) is kind
    assert kind_of([package("a", "1", "2", kind=kind), package("b", "3", kind=kind)]) is kind
    check_firmware_kind(kind, gateway_mode=False)


@pytest.mark.parametrize(
    ("packages", "words"),
    [
        ([package("a"), package("b", kind=FirmwareKind.SOFTWARE)], "a is firmware, b is software"),
        ([package("a", kind=FirmwareKind.UNKNOWN)], "a is unknown"),
        ([package("a", "1"), package("b")], "b suits every source version"),
        ([package("a", "1", "2"), package("b", "3", "2")], "a and b, which both suit the source version '2'"),
    ],
)
def test_packages_that_do_not_go_together(packages: list[Firmware], words: str) -> None:
    """They are named."""
    with pytest.raises(InvalidQueryError, match=words):
        kind_of(packages)
