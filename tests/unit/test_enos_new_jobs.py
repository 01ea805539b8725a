"""What an EnOS job is created from: every rule of the reference, and that a job survives the wire."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, UnsupportedOperationError
from otaclient.models import (
    FirmwareId,
    FrozenMap,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    LocalizedText,
    NewJob,
    PolicyMode,
    RetrySchedule,
)
from otaclient_enos.mapping import job_from
from otaclient_enos.new_jobs import DEFAULT_MODE, check_target_version, job_fields
from otaclient_enos.requests import Organisation
from otaclient_enos.wire import CONVERTER, JobInfo
from otaclient_enos.write_requests import cancel_tasks, create_job, delete_job, retry_tasks, start_job, stop_job

ORG = Organisation(org_id="o1", api_version="v2.1")
NAME = LocalizedText(default="Upgrade_Job", translations={"zh_CN": "OTA_升级工作"})
START = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
DEVICES = JobScope(devices=("dk1",))

words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
texts = st.lists(words, min_size=1, max_size=4).map(tuple)
accepted = st.dictionaries(words, texts, max_size=3)
values = st.lists(words | st.booleans() | st.integers(-(2**53), 2**53), min_size=1, max_size=4).map(tuple)
names = st.builds(
    LocalizedText, default=words, translations=st.dictionaries(st.sampled_from(["zh_CN", "en_US", "ja_JP"]), words)
)
trees = st.builds(
    lambda tree, nodes: FrozenMap({"treeId": tree} | ({} if nodes is None else {"includedNotes": nodes})),
    words,
    st.none() | texts,
)
narrow_scopes = st.builds(
    JobScope,
    devices=st.lists(words, max_size=4).map(tuple),
    source_versions=st.lists(words, max_size=4).map(tuple),
    tags=accepted,
    attributes=st.dictionaries(words, values, max_size=3),
    asset_trees=st.lists(trees, max_size=2).map(tuple),
).filter(lambda scope: bool(scope.devices or scope.tags or scope.attributes or scope.asset_trees))
whole_scopes = st.builds(JobScope, everything=st.just(True), source_versions=st.lists(words, max_size=4).map(tuple))
timeouts = st.none() | st.integers(300, 172_800)
instants = st.datetimes(datetime(1970, 1, 2), datetime(2200, 1, 1), timezones=st.just(UTC)).map(  # noqa: DTZ001
    lambda instant: instant.replace(microsecond=instant.microsecond // 1000 * 1000)
)
schedules = st.builds(
    lambda start, days, repeats, offset: JobSchedule(
        start_at=start,
        end_at=None if days is None else (start or START) + timedelta(days=days),
        repeats_daily=repeats,
        utc_offset_minutes=offset,
    ),
    st.none() | instants,
    st.none() | st.integers(1, 30),
    st.none() | st.booleans(),
    st.none() | st.integers(-720, 840),
).filter(lambda schedule: schedule != JobSchedule())
pauses = st.none() | st.integers(1, 99)
retries = st.builds(RetrySchedule, count=st.integers(1, 99), interval_minutes=pauses) | st.builds(
    RetrySchedule, count=st.integers(0, 99), interval_minutes=pauses, enabled=st.just(False)
)
upgrades = st.builds(
    NewJob,
    name=names,
    firmware_ids=words.map(lambda word: (FirmwareId(word),)),
    scope=narrow_scopes | whole_scopes,
    policy=st.builds(
        JobPolicy,
        mode=st.sampled_from([PolicyMode.SNAPSHOT, PolicyMode.INCREMENTAL]),
        timeout_seconds=timeouts,
        max_concurrency=st.none() | st.integers(1, 10_000),
        retry=st.none() | retries,
        schedule=st.none() | schedules,
        device_may_request=st.booleans(),
    ),
)
verifications = st.builds(
    NewJob,
    name=names,
    firmware_ids=words.map(lambda word: (FirmwareId(word),)),
    kind=st.just(JobKind.VERIFICATION),
    scope=narrow_scopes,
    policy=st.builds(JobPolicy, timeout_seconds=timeouts),
)


def new_job(**changes: Any) -> NewJob:
    """Return a good job with some changes."""
    return NewJob(**{"name": NAME, "firmware_ids": ("f1",), "scope": DEVICES, **changes})


@given(upgrades | verifications)
def test_a_valid_job_survives_the_wire(job: NewJob) -> None:
    """What the service would store and show again is what was given."""
    sent = msgspec.json.decode(create_job(ORG, job).body)
    shown = job_from(
        CONVERTER.structure({**sent, "jobId": "j", "status": "started", "firmwareId": job.firmware_ids[0]}, JobInfo),
        backend="b",
    )
    assert (shown.name, shown.kind, shown.firmware_ids) == (job.name, job.kind, job.firmware_ids)
    assert (shown.scope, shown.policy or JobPolicy()) == (job.scope, job.policy)
    assert not shown.extra


def test_a_job_is_as_the_sample_has_it() -> None:
    """Names and shapes of the vendor's own sample, numbers as numbers."""
    job = new_job(
        scope=JobScope(devices=("dk1", "dk2"), source_versions=("1.0",)),
        policy=JobPolicy(
            mode=PolicyMode.SNAPSHOT,
            timeout_seconds=600,
            max_concurrency=10,
            retry=RetrySchedule(count=5, interval_minutes=10),
            schedule=JobSchedule(
                start_at=START.astimezone(timezone(timedelta(hours=1))),
                end_at=START + timedelta(hours=3),
                repeats_daily=True,
                utc_offset_minutes=60,
            ),
            device_may_request=True,
        ),
    )
    assert job_fields(job) == {
        "name": {"defaultValue": "Upgrade_Job", "i18nValue": {"zh_CN": "OTA_升级工作"}},
        "type": "upgrade",
        "upgradeScope": {"type": "partial", "versionNumbers": ["1.0"], "deviceKeys": ["dk1", "dk2"]},
        "upgradePolicy": "snapshot",
        "enableUpgradeRequest": True,
        "upgradeTimeout": 600,
        "retryPolicy": {"enableRetry": True, "retryInterval": 10, "retryCount": 5},
        "schedulePolicy": {
            "isRepeatDaily": True,
            "startTimestamp": 1700000000000,
            "endTimestamp": 1700010800000,
            "timezoneOffsetInMinutes": 60,
        },
        "maximumConcurrency": 10,
    }
    request = create_job(ORG, job)
    assert dict(request.query) == {"action": "create", "orgId": "o1", "firmwareId": "f1"}
    assert (request.method, request.path, request.idempotent) == ("POST", "/connect-service/v2.1/ota-jobs", False)
    assert "jobs.search" in request.how_to_check


def test_what_is_not_said_is_the_vendors_default_where_it_has_one() -> None:
    """Only two mandatory fields get a value of ours."""
    fields = job_fields(new_job())
    assert (fields["upgradePolicy"], fields["enableUpgradeRequest"]) == ("snapshot", False)
    assert set(fields) == {"name", "type", "upgradeScope", "upgradePolicy", "enableUpgradeRequest"}
    assert DEFAULT_MODE is PolicyMode.SNAPSHOT


def test_a_verification_job_has_little_to_say() -> None:
    """Name, type, scope and time-out."""
    fields = job_fields(new_job(kind=JobKind.VERIFICATION, policy=JobPolicy(timeout_seconds=300)))
    scope = {"type": "partial", "deviceKeys": ["dk1"]}
    assert {key: value for key, value in fields.items() if key != "name"} == {
        "type": "verify",
        "upgradeScope": scope,
        "upgradeTimeout": 300,
    }


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"firmware_ids": ()}, "firmware_ids holds 0: a job of EnOS has exactly one"),
        ({"firmware_ids": "abc"}, r"firmware_ids is the bare text 'abc': give a tuple, such as \('abc',\)"),
        ({"firmware_ids": None}, "firmware_ids is None: give a tuple"),
        ({"firmware_ids": ("a", "b")}, "firmware_ids holds 2"),
        ({"firmware_ids": ("",)}, "firmware_ids is ''"),
        ({"kind": JobKind.UNKNOWN}, "kind is 'unknown': EnOS knows upgrade and verification"),
        ({"name": None}, "name is None"),
        ({"policy": JobPolicy(mode="sometimes")}, "policy.mode is 'sometimes': EnOS knows snapshot"),  # type: ignore[arg-type]
        ({"name": LocalizedText(default="a", translations={"chinese": "b"})}, "locale is 'chinese'"),
    ],
)
def test_a_job_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    """Each message names the field, the rule and the remedy."""
    with pytest.raises(InvalidQueryError, match=message):
        create_job(ORG, new_job(**changes))


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({}, "the job reaches no device: give scope"),
        ({"source_versions": ("1",)}, "the job reaches no device: .* or set scope.everything"),
        ({"groups": ("g",), "devices": ("d",)}, "scope.groups is given, but EnOS has no device groups"),
        ({"everything": True, "devices": ("d",)}, "scope.everything is set beside a filter"),
        ({"everything": True, "tags": {"k": ("v",)}}, "scope.everything is set beside a filter"),
        ({"devices": "dk1"}, "scope.devices is the bare text 'dk1': give a tuple"),
        ({"devices": ("",)}, "scope.devices is ''"),
        ({"devices": ("d",), "source_versions": "1.0"}, "scope.source_versions is the bare text '1.0': give a tuple"),
        ({"tags": {"k": "v"}}, r"scope\.tags\['k'\] is the bare text 'v': give a tuple"),
        ({"tags": {"k": ()}}, r"scope\.tags\['k'\] has no accepted value"),
        ({"tags": {"k": (1,)}}, r"scope\.tags\['k'\] is 1: give a text"),
        ({"tags": {"": ("v",)}}, r"scope\.tags is ''"),
        ({"attributes": {"k": (None,)}}, r"scope\.attributes\['k'\] holds None: give texts, numbers"),
        ({"attributes": {"k": (float("nan"),)}}, r"scope\.attributes\['k'\] holds nan"),
        ({"attributes": {"k": (2**63,)}}, r"scope\.attributes\['k'\] holds 9223372036854775808"),
        ({"attributes": {"k": ("",)}}, r"scope\.attributes\['k'\] is ''"),
        ({"asset_trees": ("t",)}, "scope.asset_trees holds 't': give mappings with treeId"),
        ({"asset_trees": ({},)}, "scope.asset_trees holds {}"),
        ({"asset_trees": ({"treeId": "t", "includedNodes": ()},)}, "includedNodes.*: give mappings with treeId, and"),
        ({"asset_trees": ({"treeId": ""},)}, "asset_trees treeId is ''"),
        ({"asset_trees": ({"treeId": "t", "includedNotes": "n"},)}, "includedNotes is the bare text 'n': give a tuple"),
    ],
)
def test_a_scope_that_cannot_be_is_refused(scope: dict[str, Any], message: str) -> None:
    """Each message names the field, the rule and the remedy."""
    with pytest.raises(InvalidQueryError, match=message):
        job_fields(new_job(scope=JobScope(**scope)))


def test_a_verification_job_is_for_a_part_of_the_fleet() -> None:
    """Never for all of it."""
    with pytest.raises(InvalidQueryError, match=r"scope\.everything is set, but a verification job"):
        job_fields(new_job(kind=JobKind.VERIFICATION, scope=JobScope(everything=True)))


NO_INSTANT: Any = "now"
NO_FLAG: Any = 1


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"mode": PolicyMode.UNKNOWN}, "policy.mode is 'unknown': EnOS knows snapshot and incremental"),
        ({"timeout_seconds": 299}, "policy.timeout_seconds is 299: give a whole number, from 300 to 172800"),
        ({"timeout_seconds": 172_801}, "policy.timeout_seconds is 172801"),
        ({"timeout_seconds": 600.0}, r"policy.timeout_seconds is 600\.0"),
        ({"max_concurrency": 0}, "policy.max_concurrency is 0: give a whole number, from 1 to 2147483647"),
        ({"max_concurrency": 2**31}, "policy.max_concurrency is 2147483648"),
        ({"device_may_request": "yes"}, "policy.device_may_request is 'yes': give True or False"),
        ({"retry": RetrySchedule(count=0)}, "policy.retry.count is 0: give a whole number, from 1 to"),
        ({"retry": RetrySchedule(count=-1, enabled=False)}, "policy.retry.count is -1: .* from 0 to"),
        ({"retry": RetrySchedule(count=1, interval_minutes=0)}, "policy.retry.interval_minutes is 0"),
        ({"schedule": JobSchedule()}, "policy.schedule says nothing"),
        ({"schedule": JobSchedule(start_at=datetime(2026, 1, 1))}, "start_at is .* with a time zone"),  # noqa: DTZ001
        ({"schedule": JobSchedule(start_at=NO_INSTANT)}, "start_at is 'now'"),
        ({"schedule": JobSchedule(start_at=START.replace(microsecond=1))}, r"use \.replace\(microsecond=0\)"),
        ({"schedule": JobSchedule(end_at=datetime(1969, 1, 1, tzinfo=UTC))}, "end_at is .* not be before 1970"),
        ({"schedule": JobSchedule(start_at=START, end_at=START)}, "end_at is not later than start_at"),
        ({"schedule": JobSchedule(repeats_daily=NO_FLAG)}, "repeats_daily is 1"),
        ({"schedule": JobSchedule(utc_offset_minutes=841)}, "utc_offset_minutes is 841: .* from -720 to 840"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(policy: dict[str, Any], message: str) -> None:
    """Each message names the field, the rule and the remedy."""
    with pytest.raises(InvalidQueryError, match=message):
        job_fields(new_job(policy=JobPolicy(**policy)))


@pytest.mark.parametrize(
    "policy",
    [
        {"mode": PolicyMode.SNAPSHOT},
        {"device_may_request": False},
        {"max_concurrency": 1},
        {"retry": RetrySchedule(count=1)},
        {"schedule": JobSchedule(start_at=START)},
    ],
)
def test_a_verification_job_has_no_such_policy(policy: dict[str, Any]) -> None:
    """What only upgrade jobs have is refused, not dropped."""
    (name,) = policy
    with pytest.raises(InvalidQueryError, match=f"policy.{name} is given, but a verification job"):
        job_fields(new_job(kind=JobKind.VERIFICATION, policy=JobPolicy(**policy)))


@pytest.mark.parametrize("changes", [{"hold": True}, {"policy": JobPolicy(hold=True)}])
def test_no_job_of_enos_waits_for_a_confirmation(changes: dict[str, Any]) -> None:
    """The vendor has no such thing."""
    with pytest.raises(UnsupportedOperationError, match="EnOS has no jobs that wait"):
        job_fields(new_job(**changes))


def test_something_else_than_a_job_is_refused() -> None:
    """By its type."""
    wrong: Any = "job"
    with pytest.raises(InvalidQueryError, match="the job is a str: give a NewJob"):
        job_fields(wrong)


def test_a_version_is_not_upgraded_to_itself() -> None:
    """Devices that have the target version already are no devices to upgrade."""
    job = new_job(scope=JobScope(everything=True, source_versions=("1.0", "1.1")))
    check_target_version(job, "1.2")
    with pytest.raises(InvalidQueryError, match=r"scope\.source_versions holds '1\.1', which is the version of the"):
        check_target_version(job, "1.1")


@pytest.mark.parametrize(
    ("build", "action", "operation"),
    [(start_job, "start", "jobs.start"), (stop_job, "stop", "jobs.stop"), (delete_job, "delete", "jobs.delete")],
)
def test_commands_have_no_body(build: Any, action: str, operation: str) -> None:
    """Each is a POST with everything in the query, and is never repeated blindly."""
    request = build(ORG, "j1")
    assert dict(request.query) == {"action": action, "orgId": "o1", "jobId": "j1"}
    assert (request.method, request.body, request.idempotent) == ("POST", b"", False)
    assert (request.operation, bool(request.how_to_check)) == (operation, True)
    with pytest.raises(InvalidQueryError, match="job_id is ''"):
        build(ORG, "")


@pytest.mark.parametrize(
    ("build", "action", "operation"),
    [(cancel_tasks, "cancelTask", "jobs.cancel_tasks"), (retry_tasks, "retryTask", "jobs.retry_tasks")],
)
def test_devices_go_by_their_keys(build: Any, action: str, operation: str) -> None:
    """All in one request: no limit is documented."""
    request = build(ORG, "j1", ("d1", "d2"))
    assert dict(request.query) == {"action": action, "orgId": "o1", "jobId": "j1"}
    assert (request.operation, request.body, request.idempotent) == (operation, b'{"deviceKeys":["d1","d2"]}', False)
    with pytest.raises(InvalidQueryError, match="job_id is ''"):
        build(ORG, "", ("d1",))
