"""A new job from a file and from options."""

import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.cli.failures import UsageError
from otaclient.cli.job_file import JOB_FIELDS, merged, new_job, read_job_file
from otaclient.cli.job_options import JobOptions
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

TOML = """
name = { default = "Pumps", translations = { zh_CN = "泵" } }
firmware_ids = ["f1", "f2"]
kind = "verification"
hold = true

[scope]
devices = ["d1", "d2"]
source_versions = ["1.0"]
groups = ["g"]
tags = { site = ["north", "south"] }
attributes = { level = [1, 2.5, true, "x"] }
asset_trees = [{ treeId = "t", includedNotes = ["n"] }]
everything = false

[policy]
mode = "incremental"
timeout_seconds = 600
max_concurrency = 10
retry = { count = 3, interval_minutes = 5, enabled = true }
schedule = { start_at = 2026-01-31T08:00:00+08:00, end_at = "2026-02-01T00:00:00Z", repeats_daily = true, utc_offset_minutes = 480 }
device_may_request = false
"""  # noqa: E501 - TOML has its inline tables on one line
WHOLE = NewJob(
    name=LocalizedText(default="Pumps", translations={"zh_CN": "泵"}),
    firmware_ids=(FirmwareId("f1"), FirmwareId("f2")),
    kind=JobKind.VERIFICATION,
    hold=True,
    scope=JobScope(
        devices=("d1", "d2"),
        source_versions=("1.0",),
        groups=("g",),
        tags={"site": ("north", "south")},
        attributes={"level": (1, 2.5, True, "x")},
        asset_trees=(FrozenMap({"treeId": "t", "includedNotes": ("n",)}),),
        everything=False,
    ),
    policy=JobPolicy(
        mode=PolicyMode.INCREMENTAL,
        timeout_seconds=600,
        max_concurrency=10,
        retry=RetrySchedule(count=3, interval_minutes=5, enabled=True),
        schedule=JobSchedule(
            start_at=datetime(2026, 1, 31, tzinfo=UTC),
            end_at=datetime(2026, 2, 1, tzinfo=UTC),
            repeats_daily=True,
            utc_offset_minutes=480,
        ),
        device_may_request=False,
    ),
)


def written(tmp_path: Path, text: str, name: str = "job.toml") -> Path:
    """Write a file."""
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_field_of_a_new_job_can_be_in_a_file(tmp_path: Path) -> None:
    """A TOML file gives every field, under the models' own names."""
    job = new_job(read_job_file(written(tmp_path, TOML)))
    assert job == WHOLE
    assert type(job.scope.attributes["level"][0]) is int


def test_known_fields_are_those_of_the_models() -> None:
    """No field of the models is forgotten; that a job waits is said by its own field, not in the policy."""
    names = {field.name for field in attrs.fields(NewJob)}
    assert set(JOB_FIELDS) == names
    for field, model in (("scope", JobScope), ("policy", JobPolicy)):
        with pytest.raises(UsageError) as caught:
            JOB_FIELDS[field]({"x": 1}, "f")
        known = str(caught.value).partition("known fields: ")[2].split(", ")
        assert set(known) == {one.name for one in attrs.fields(model)} - ({"hold"} if model is JobPolicy else set())


def test_json_says_the_same_as_toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A JSON file has the same fields, times as texts; standard input is TOML."""
    document = {
        "name": "Pumps",
        "firmware_ids": ["f1"],
        "scope": {"devices": ["d1"]},
        "policy": {"schedule": {"start_at": "2026-01-31T08:00:00+08:00"}},
    }
    fields = read_job_file(written(tmp_path, json.dumps(document), "JOB.JSON"))
    text = "name = 'Pumps'\nfirmware_ids = ['f1']\nscope.devices = ['d1']\n"
    monkeypatch.setattr("sys.stdin", io.StringIO(text + "policy.schedule.start_at = 2026-01-31T00:00:00Z\n"))
    assert new_job(fields) == new_job(read_job_file(Path("-")))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nmae = 'x'", "unknown field 'nmae'; known fields: name, firmware_ids, kind, scope, policy, hold"),
        ("[scope]\ndevice = ['x']", r": scope has the unknown field 'device'; known fields: devices, source_versions"),
        ("[policy.retry]\ntimes = 1", r"policy\.retry has the unknown field 'times'; known fields: count"),
        ("name = 3", "name is 3: give a text, or a table with default and translations"),
        ("name = { translations = {} }", "name has no default"),
        ("name = { default = 'x', translations = 'y' }", r"name\.translations is 'y': give a table"),
        ("name = { default = 'x', translations = { de = 1 } }", r"name\.translations\.de is 1: give a text"),
        ("firmware_ids = 'f'", "firmware_ids is 'f': give a list"),
        ("firmware_ids = [1]", r"firmware_ids\[0\] is 1: give a text"),
        ("kind = 'unknown'", "kind is 'unknown': give one of upgrade, verification"),
        ("kind = ['upgrade']", "kind is a list: give one of upgrade"),
        ("scope = 'all'", "scope is 'all': give a table with any of devices"),
        ("[scope]\neverything = 'yes'", r"scope\.everything is 'yes': give true or false"),
        ("[scope.tags]\nsite = 'north'", r"scope\.tags\.site is 'north': give a list"),
        ("[scope.attributes]\na = [2026-01-01]", r"scope\.attributes\.a\[0\] is 2026-01-01: give a text, a number"),
        ("[policy]\nmode = 'snap'", r"policy\.mode is 'snap': give one of snapshot, incremental"),
        ("[policy]\ntimeout_seconds = 300.0", r"policy\.timeout_seconds is 300\.0: give a whole number"),
        ("[policy]\ntimeout_seconds = true", r"policy\.timeout_seconds is True: give a whole number"),
        ("[policy.schedule]\nstart_at = 5", r"schedule\.start_at is 5: give an instant such as"),
        ("[policy.schedule]\nstart_at = 2026-01-31", r"schedule\.start_at is 2026-01-31: give an instant"),
        ("[policy.schedule]\nstart_at = 2026-01-31T08:00:00", r"no time zone: write 2026-01-31T08:00:00Z for UTC"),
        ("[policy.schedule]\nstart_at = 'soon'", r"schedule\.start_at 'soon' is no instant"),
        ("hold = 1", "hold is 1: give true or false"),
        ("policy = [1]", "policy is a list: give a table"),
        (f"hold = '{'x' * 100}'", "hold is 'xxxxx"),
        ("name = ", "is not valid TOML: "),
        ("name = 'a'\nname = 'b'", "is not valid TOML"),
    ],
)
def test_what_a_file_must_not_hold_is_named(tmp_path: Path, text: str, said: str) -> None:
    """Unknown fields, wrong types and broken files are refused with the place, the rule and the remedy."""
    with pytest.raises(UsageError, match=said) as caught:
        read_job_file(written(tmp_path, text))
    assert "job.toml" in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "is a list: give a table"),
        ('{"name": null}', "name is null"),
        ('{"name": "a", "name": "b"}', "is not valid JSON: the key 'name' is there twice"),
        ('{"scope": {"attributes": {"a": [NaN]}}}', "is not valid JSON: NaN is no number"),
        ('{"scope": {"asset_trees": [1]}}', r"scope\.asset_trees\[0\] is 1: give a table"),
        ("[" * 100_000, "is not valid JSON|is nested too deeply"),
        ("{", "is not valid JSON"),
    ],
)
def test_what_json_must_not_hold_is_named(tmp_path: Path, text: str, said: str) -> None:
    """What JSON has beyond TOML is refused too: keys that are there twice, numbers that are none."""
    with pytest.raises(UsageError, match=said):
        read_job_file(written(tmp_path, text, "job.json"))


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    """A missing file, another ending and other encodings are one line each."""
    with pytest.raises(UsageError, match=r"none\.toml cannot be read: No such file"):
        read_job_file(tmp_path / "none.toml")
    with pytest.raises(UsageError, match=r"job\.yaml: give a file that ends in \.toml or \.json"):
        read_job_file(tmp_path / "job.yaml")
    latin = tmp_path / "job.toml"
    latin.write_bytes("name = 'Größe'".encode("latin-1"))
    with pytest.raises(UsageError, match="is not UTF-8: save it as UTF-8"):
        read_job_file(latin)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "the job has no name: give --name, or name in a file"),
        ({"name": LocalizedText(default="x")}, "the job has no firmware_ids: give --firmware-id"),
        ({"scope": {}}, "the job has no targets: give --device"),
        ({"scope": {"source_versions": ("1",)}}, "the job has no targets: give --device"),
        ({"scope": {"everything": True}, "policy": {"retry": {"interval_minutes": 3}}}, "policy.retry has no count"),
    ],
)
def test_what_every_job_needs_is_asked_for(fields: dict[str, Any], said: str) -> None:
    """A job without name, firmware or targets is refused, with the option that gives it."""
    if "scope" in fields:
        fields = {"name": LocalizedText(default="x"), "firmware_ids": (FirmwareId("f"),), **fields}
    with pytest.raises(UsageError, match=said):
        new_job(fields)


# --- options ---------------------------------------------------------------------------------------------------------


def test_every_option_becomes_its_field(tmp_path: Path) -> None:
    """Options alone describe a whole job."""
    options = JobOptions(
        name="Pumps",
        firmware_id=["f1"],
        kind="verification",
        hold=True,
        device=["d1"],
        devices_file=written(tmp_path, "d2\n\n d3 \n", "devices.txt"),
        source_version=["1.0", "1.1"],
        group=["g"],
        tag=["site=north", "site=south", "line=1=2"],
        attribute=["level=high"],
        everything=False,
        mode="snapshot",
        timeout_seconds=300,
        max_concurrency=5,
        retry_count=2,
        retry_interval_minutes=1,
        start_at="2026-01-31T08:00:00Z",
        end_at="2026-02-01T08:00:00+00:00",
        repeats_daily=False,
        utc_offset_minutes=-60,
        device_may_request=True,
    )
    assert new_job(options.fields()) == NewJob(
        name=LocalizedText(default="Pumps"),
        firmware_ids=(FirmwareId("f1"),),
        kind=JobKind.VERIFICATION,
        hold=True,
        scope=JobScope(
            devices=("d1", "d2", "d3"),
            source_versions=("1.0", "1.1"),
            groups=("g",),
            tags={"site": ("north", "south"), "line": ("1=2",)},
            attributes={"level": ("high",)},
        ),
        policy=JobPolicy(
            mode=PolicyMode.SNAPSHOT,
            timeout_seconds=300,
            max_concurrency=5,
            retry=RetrySchedule(count=2, interval_minutes=1),
            schedule=JobSchedule(
                start_at=datetime(2026, 1, 31, 8, tzinfo=UTC),
                end_at=datetime(2026, 2, 1, 8, tzinfo=UTC),
                repeats_daily=False,
                utc_offset_minutes=-60,
            ),
            device_may_request=True,
        ),
    )


def test_options_that_are_not_given_say_nothing() -> None:
    """Without options, nothing of a file is replaced."""
    assert JobOptions().fields() == {}


def test_options_replace_single_fields_of_a_file(tmp_path: Path) -> None:
    """An option wins over its own field, and leaves the fields beside it."""
    fields = merged(
        read_job_file(written(tmp_path, TOML)),
        JobOptions(name="Canary", device=["d9"], hold=False, retry_count=1, end_at="2026-03-01T00:00:00Z").fields(),
    )
    schedule = WHOLE.policy.schedule
    assert schedule is not None
    assert new_job(fields) == attrs.evolve(
        WHOLE,
        name=LocalizedText(default="Canary"),
        hold=False,
        scope=attrs.evolve(WHOLE.scope, devices=("d9",)),
        policy=attrs.evolve(
            WHOLE.policy,
            retry=RetrySchedule(count=1, interval_minutes=5, enabled=True),
            schedule=attrs.evolve(schedule, end_at=datetime(2026, 3, 1, tzinfo=UTC)),
        ),
    )


_TREES = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=6,
).filter(lambda value: isinstance(value, dict))


@given(below=_TREES, above=_TREES)
def test_merging_keeps_all_of_the_upper_fields(below: Any, above: Any) -> None:
    """Merging is idempotent, changes neither side, and nothing merges to something."""
    lower, upper = json.dumps(below), json.dumps(above)
    both = merged(below, above) if _fits(below, above) else above
    assert merged({}, above) == above
    assert merged(above, {}) == above
    assert merged(both, above) == both
    assert (json.dumps(below), json.dumps(above)) == (lower, upper)


def _fits(below: dict[str, Any], above: dict[str, Any]) -> bool:
    """Tell whether both have records in the same places, as two jobs always have."""
    return all(
        isinstance(below[name], dict) == isinstance(above[name], dict)
        and (not isinstance(above[name], dict) or _fits(below[name], above[name]))
        for name in set(below) & set(above)
    )


@pytest.mark.parametrize("text", ["site", "=north", ""])
def test_tags_are_pairs(text: str) -> None:
    """A tag without key or value is refused."""
    with pytest.raises(UsageError, match="--tag .* is no pair: write --tag KEY=VALUE"):
        JobOptions(tag=[text]).fields()
