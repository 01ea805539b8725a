"""IoTDA's structures as shared models: field by field, and whatever the vendor leaves out or adds."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.models import (
    Checksum,
    Connection,
    DeviceUpgrade,
    Firmware,
    FirmwareKind,
    FrozenMap,
    Job,
    JobKind,
    JobPolicy,
    JobProgress,
    JobSchedule,
    JobScope,
    JobStatus,
    LocalizedText,
    RetrySchedule,
)
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient_iotda import wire
from otaclient_iotda.mapping import (
    JOB_STATUS_WORDS,
    device_upgrade_from,
    firmware_from,
    instant_from,
    job_from,
    module_from,
)
from otaclient_iotda.responses import parse_device, parse_module, parse_package, parse_rows, parse_task

SAMPLES = Path(__file__).parents[1] / "samples"
SHA256 = "0d6afb7e939f0936f40afdc759b5a354ea5427ec250a47e7b904ab1ea800a01d"


def sample(name: str) -> dict[str, Any]:
    """Return a sample."""
    value: dict[str, Any] = msgspec.json.decode((SAMPLES / name).read_bytes())
    return value


def parsed(parse: Callable[[HttpRequest, HttpResponse], Any], value: Any) -> Any:
    """Return what a payload parses to."""
    request = HttpRequest(operation="test", method="GET", path="/")
    return parse(request, HttpResponse(status=200, body=msgspec.json.encode(value)))


def firmware(value: Mapping[str, Any]) -> Firmware:
    """Map a package."""
    return firmware_from(parsed(parse_package, value), backend="north")


def job(value: Mapping[str, Any]) -> Job:
    """Map a task."""
    return job_from(parsed(parse_task, {"batchtask": value}), backend="north")


def device(value: Mapping[str, Any]) -> DeviceUpgrade:
    """Map a device."""
    return device_upgrade_from(parsed(parse_device, value), backend="north")


# --- the samples, field by field -------------------------------------------------------------------------------------


def test_the_sample_of_a_package_list() -> None:
    """Each field of the vendor's own example has its place."""
    body = msgspec.json.encode(sample("iotda-list-packages.json"))
    request = HttpRequest(operation="firmware.search", method="GET", path="/")
    rows, errors = parse_rows(request, HttpResponse(status=200, body=body), "packages", wire.OtaPackage)
    assert errors == []
    assert [firmware_from(row, backend="north") for row in rows] == [
        Firmware(
            backend="north",
            firmware_id="28f61af50fc9452aa0ed5ea25c3cc3d3",  # type: ignore[arg-type]
            owner_id="61f7e74d036aca5be29e1ed4",
            kind=FirmwareKind.FIRMWARE,
            vendor_kind="firmwarePackage",
            product_id="5ba24f5ebbe8f56f5a14f605",
            version="V2.0",
            source_versions=("V1.0", "V1.1"),
            description="package for version V1.0 and V1.1",
            custom_info="Updated the XX function and fixed the XXXX issue.",
            created_at=datetime(2023, 2, 11, 12, 12, 12, tzinfo=UTC),
        )
    ]


def test_a_package_with_every_field() -> None:
    """What newer services add and what only the query of one package shows: location, digest, names in ``extra``."""
    location = sample("iotda-show-package.json")["file_location"]["obs_location"]
    assert firmware(sample("iotda-show-package.json")) == Firmware(
        backend="north",
        firmware_id="b1c6a2f04f0d4a0b9b3a7c2f7d1e5a10",  # type: ignore[arg-type]
        owner_id="61f7e74d036aca5be29e1ed4",
        kind=FirmwareKind.MODULE,
        vendor_kind="modulePackage",
        product_id="5ba24f5ebbe8f56f5a14f605",
        version="V2.0",
        source_versions=("V1.0",),
        description="",
        checksum=Checksum(algorithm="sha256", value=SHA256),
        location="obs://fw-bucket/fw/v2.bin",
        custom_info="{}",
        created_at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        extra=FrozenMap(
            {
                "product_name": "pump",
                "module_name": "radio",
                "file_location": FrozenMap({"obs_location": FrozenMap(location)}),
            }
        ),
    )


def test_a_task_with_every_field() -> None:
    """Each field of a batch task has its place."""
    value = sample("iotda-show-batch-task.json")
    assert job_from(parsed(parse_task, value), backend="north") == Job(
        backend="north",
        job_id="65d31bf2581ed33a42a58d76",  # type: ignore[arg-type]
        name=LocalizedText(default="fw_2026"),
        kind=JobKind.UPGRADE,
        vendor_kind="firmwareUpgrade",
        firmware_kind=FirmwareKind.FIRMWARE,
        status=JobStatus.RUNNING,
        vendor_status="Processing",
        status_description="under way",
        firmware_ids=("b1c6a2f04f0d4a0b9b3a7c2f7d1e5a10",),  # type: ignore[arg-type]
        scope=JobScope(devices=("5ba2_dev1", "5ba2_dev2"), groups=("group-7",)),
        policy=JobPolicy(
            retry=RetrySchedule(count=3, interval_minutes=60),
            schedule=JobSchedule(start_at=datetime(2024, 2, 19, 10, tzinfo=UTC)),
            hold=True,
        ),
        progress=JobProgress(
            status=JobStatus.RUNNING,
            total=28,
            upgrading=1,
            succeeded=2,
            failed=3,
            pending=4,
            retrying=5,
            cancelled=6,
            removed=7,
        ),
        created_at=datetime(2024, 2, 19, 9, 8, 34, tzinfo=UTC),
        extra=FrozenMap({"task_mode": "GATEWAY", "task_ext_info": FrozenMap({"note": "night shift"})}),
    )


def test_a_device_with_every_field() -> None:
    """Versions, connection and owner have their place; the secrets come nowhere near the model or the wire class."""
    read = parsed(parse_device, sample("iotda-show-device.json"))
    mapped = device_upgrade_from(read, backend="north")
    assert mapped == DeviceUpgrade(
        backend="north",
        device_id="5ba24f5ebbe8f56f5a14f605_pump-1",  # type: ignore[arg-type]
        device_key="pump-1",
        product_id="5ba24f5ebbe8f56f5a14f605",
        owner_id="61f7e74d036aca5be29e1ed4",
        firmware_version="V1.0",
        software_version="1.1.0",
        upgrading=None,
        connection=Connection.ONLINE,
        vendor_connection="ONLINE",
    )
    assert "device-secret" not in f"{read!r} {mapped!r}"


@pytest.mark.parametrize("name", ["tags", "modules", "extension_info", "create_time", "active_time", "description"])
@pytest.mark.parametrize("value", [7, "text", [1], {"a": None}, [{"tag_key": 1}]])
def test_no_device_fails_for_a_field_that_nobody_reads(name: str, value: Any) -> None:
    """The vendor types its tags loosely, and malformed times are in its own examples."""
    assert device({"device_id": "d", "fw_version": "V1", name: value}).firmware_version == "V1"


# --- what is missing, odd or new -------------------------------------------------------------------------------------


def test_only_what_identifies_is_demanded() -> None:
    """A record with nothing but its identifier maps; what nobody said is None or empty."""
    assert firmware({"package_id": "p", "version": "1"}) == Firmware(
        backend="north",
        firmware_id="p",  # type: ignore[arg-type]
        version="1",
        kind=FirmwareKind.UNKNOWN,
    )
    assert job({"task_id": "t"}) == Job(
        backend="north",
        job_id="t",  # type: ignore[arg-type]
        status=JobStatus.UNKNOWN,
        kind=JobKind.UNKNOWN,
        firmware_kind=FirmwareKind.UNKNOWN,
        policy=JobPolicy(),
    )
    assert device({"device_id": "d"}) == DeviceUpgrade(backend="north", device_id="d")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("make", "name"),
    [(firmware, "iotda-show-package.json"), (device, "iotda-show-device.json")],
)
def test_null_is_as_good_as_missing(make: Callable[[Any], Any], name: str) -> None:
    """Every optional field may be null."""
    kept = {"package_id", "version", "device_id"}
    value = sample(name)
    nulls = {field: item if field in kept else None for field, item in value.items()}
    assert make(nulls) == make({field: item for field, item in value.items() if field in kept})


def test_null_in_a_task_is_as_good_as_missing() -> None:
    """Likewise for tasks, also inside their structures."""
    value = sample("iotda-show-batch-task.json")["batchtask"]
    assert job({field: item if field == "task_id" else None for field, item in value.items()}) == job(
        {"task_id": value["task_id"]}
    )
    hollow = {field: dict.fromkeys(item) for field, item in value.items() if isinstance(item, dict)}
    hollow.pop("task_ext_info")
    made = job({"task_id": "t", **hollow})
    assert (made.scope, made.policy, made.firmware_ids) == (None, JobPolicy(), ())
    assert made.progress == JobProgress(status=JobStatus.UNKNOWN)


def test_unknown_words_stay_beside_unknown() -> None:
    """A type or a state of tomorrow is UNKNOWN, and the vendor's word is kept."""
    made = firmware({"package_id": "p", "version": "1", "package_type": "rocketPackage"})
    assert (made.kind, made.vendor_kind) == (FirmwareKind.UNKNOWN, "rocketPackage")
    task = job({"task_id": "t", "task_type": "createCommands", "status": "Dreaming"})
    assert (task.kind, task.vendor_kind, task.firmware_kind) == (
        JobKind.UNKNOWN,
        "createCommands",
        FirmwareKind.UNKNOWN,
    )
    assert (task.status, task.vendor_status) == (JobStatus.UNKNOWN, "Dreaming")
    row = device({"device_id": "d", "status": "ASLEEP"})
    assert (row.connection, row.vendor_connection) == (Connection.UNKNOWN, "ASLEEP")


@pytest.mark.parametrize(
    ("word", "status"), [(word, status) for status, words in JOB_STATUS_WORDS.items() for word in words]
)
def test_all_eight_states(word: str, status: JobStatus) -> None:
    """Each state of the vendor maps to the status under whose words it is."""
    assert job({"task_id": "t", "status": word}).status is status
    assert sum(map(len, JOB_STATUS_WORDS.values())) == 8


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("firmwareUpgrade", FirmwareKind.FIRMWARE),
        ("softwareUpgrade", FirmwareKind.SOFTWARE),
        ("moduleUpgrade", FirmwareKind.MODULE),
    ],
)
def test_task_types(word: str, kind: FirmwareKind) -> None:
    """The three upgrade types are upgrades of three kinds."""
    made = job({"task_id": "t", "task_type": word})
    assert (made.kind, made.firmware_kind, made.vendor_kind) == (JobKind.UPGRADE, kind, word)


@pytest.mark.parametrize("word", ["ONLINE", "OFFLINE", "ABNORMAL", "INACTIVE", "FROZEN"])
def test_all_connections(word: str) -> None:
    """Each state of a device maps to its namesake."""
    assert device({"device_id": "d", "status": word}).connection is Connection(word.lower())


def test_unknown_fields_are_kept_and_cannot_be_changed() -> None:
    """What is new goes to ``extra``, also from inside a task's structures; even when it is called ``raw``."""
    new = {"since": {"v": [1, {"a": "b"}]}, "raw": "x"}
    made = firmware({"package_id": "p", "version": "1", **new})
    assert made.extra == {"since": FrozenMap({"v": (1, FrozenMap({"a": "b"}))}), "raw": "x"}
    assert hash(made) == hash(attrs.evolve(made))
    module = module_from(parsed(parse_module, {"module_id": "m", "module_name": "radio", **new}), backend="north")
    assert module.extra == made.extra
    task = job({"task_id": "t", "document": {"package_id": "p", "channel": "beta"}, "task_policy": {"window": None}})
    assert task.extra == {"document": {"channel": "beta"}}
    assert task.firmware_ids == ("p",)


def test_old_and_new_ways_to_name_packages_are_joined() -> None:
    """A task names its packages as one text or as a list; said in both ways, each counts once."""
    assert job({"task_id": "t", "document": {"package_id": "a", "package_ids": ["b", "a"]}}).firmware_ids == ("b", "a")


def test_locations_and_digests_that_are_not_whole() -> None:
    """Without a bucket or a key there is no location, without a digest no checksum; the method defaults."""
    base = {"package_id": "p", "version": "1"}
    assert firmware({**base, "file_location": {}}).location is None
    half = firmware({**base, "file_location": {"obs_location": {"bucket_name": "b", "sign": "ab"}}})
    assert (half.location, half.checksum) == (None, Checksum(algorithm="sha256", value="ab"))
    keyless = firmware({**base, "file_location": {"obs_location": {"object_key": "k", "sign_method": "SM3"}}})
    assert (keyless.location, keyless.checksum) == (None, None)
    other = firmware({**base, "file_location": {"obs_location": {"sign": "ab", "sign_method": "SM3"}}})
    assert other.checksum == Checksum(algorithm="sm3", value="ab")


def test_times_that_do_not_parse_stay_visible() -> None:
    """A malformed time is None in the model and readable in ``extra``."""
    made = firmware({"package_id": "p", "version": "1", "create_time": "yesterday"})
    assert made.created_at is None
    assert made.extra == {"create_time": "yesterday"}
    task = job({"task_id": "t", "create_time": "", "task_policy": {"schedule_time": "20240230T000000Z"}})
    assert task.created_at is None
    assert task.extra == {"create_time": "", "schedule_time": "20240230T000000Z"}
    assert task.policy == JobPolicy()


@pytest.mark.parametrize(
    "text", [None, "", "2023211T1212Z", "20230211T121212", "20231311T121212Z", "2023-02-11T12:12Z"]
)
def test_malformed_times(text: str | None) -> None:
    """Nothing is guessed."""
    assert instant_from(text) is None


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_none(text: str) -> None:
    """Whatever is sent as a time, reading it never fails, and a time is aware."""
    instant = instant_from(text)
    assert instant is None or instant.tzinfo is UTC
