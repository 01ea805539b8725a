"""EnOS structs to the shared models: the vendor's samples field by field, and everything that they may lack."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.models import (
    Checksum,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FrozenMap,
    Job,
    JobId,
    JobKind,
    JobPolicy,
    JobSchedule,
    JobScope,
    JobStatus,
    LocalizedText,
    PolicyMode,
    RetrySchedule,
    Verification,
)
from otaclient_enos.mapping import (
    device_upgrade_from,
    firmware_from,
    instant_from_epoch_ms,
    job_from,
    localized_text_from,
)
from otaclient_enos.wire import (
    CONVERTER,
    DeviceFirmware,
    FirmwareInfo,
    JobInfo,
    StringI18n,
    keys_of,
)

SAMPLES = Path(__file__).parent.parent / "samples"


def sample(name: str) -> Any:
    """Return the ``data`` of a sample."""
    return msgspec.json.decode((SAMPLES / f"{name}.json").read_bytes())["data"]


def firmware(**fields: Any) -> Firmware:
    """Map a firmware that has little more than its identifier."""
    raw = {"firmwareId": "f1", "version": "1.0", **fields}
    return firmware_from(CONVERTER.structure(raw, FirmwareInfo), backend="b")


def job(**fields: Any) -> Job:
    """Map a job that has little more than its identifier."""
    raw = {"jobId": "j1", "status": "started", **fields}
    return job_from(CONVERTER.structure(raw, JobInfo), backend="b")


def test_the_firmware_sample_maps_field_by_field() -> None:
    """Every field of "V2.1 Get Firmware File" has its place."""
    record = CONVERTER.structure(sample("enos-get-firmware"), FirmwareInfo)
    assert firmware_from(record, backend="plant-7") == Firmware(
        backend="plant-7",
        firmware_id=FirmwareId("yourFirmwareId"),
        version="2.0",
        product_id="BXwU4kMk",
        owner_id="yourOrgId",
        name=LocalizedText(default="HC_TEST"),
        description=None,
        checksum=Checksum(algorithm="md5", value="fileSig"),
        size_bytes=1767,
        location="enos-connect://file.zip",
        verification=Verification(required=False, verified=False, max_devices=5, min_successes=2),
        tags=FrozenMap({"tagKey": "tagValue"}),
        created_at=datetime(2020, 5, 29, 10, 0, 42, 378000, tzinfo=UTC),
    )


def test_the_job_sample_of_get_maps_field_by_field() -> None:
    """Every field of "V2.1 Get OTA Job" has its place; deprecated nulls leave nothing behind."""
    record = CONVERTER.structure(sample("enos-get-ota-job"), JobInfo)
    assert job_from(record, backend="plant-7") == Job(
        backend="plant-7",
        job_id=JobId("yourJobId"),
        status=JobStatus.RUNNING,
        vendor_status="started",
        name=LocalizedText(default="name"),
        kind=JobKind.UPGRADE,
        vendor_kind="upgrade",
        owner_id="yourOrgId",
        product_id="yourProductKey",
        firmware_ids=(FirmwareId("5ed0dd4a646542001b3d113f"),),
        scope=JobScope(source_versions=("1.0",), everything=True),
        policy=JobPolicy(device_may_request=True),
        created_at=datetime(2020, 6, 3, 8, 1, 14, 788000, tzinfo=UTC),
    )


def test_the_job_sample_of_search_shows_more() -> None:
    """A search adds the firmware's version and name, and the time-out; translations are all kept."""
    (row,) = sample("enos-search-ota-job")
    found = job_from(CONVERTER.structure(row, JobInfo), backend="b")
    assert (found.firmware_version, found.firmware_name) == ("1.1.0", LocalizedText(default="firmware1"))
    assert found.policy == JobPolicy(timeout_seconds=7200, device_may_request=True)
    assert found.name is not None
    assert found.name.for_locale("ja_JP") == "名前"
    assert dict(found.extra) == {}


def test_a_job_with_every_member_maps_field_by_field() -> None:
    """Also what only some versions send, and numbers that come as text; members without a place stay in ``extra``."""
    found = job_from(CONVERTER.structure(sample("enos-get-ota-job-every-field"), JobInfo), backend="b")
    assert found.scope == JobScope(
        devices=("dk1", "dk2"),
        source_versions=("1.0",),
        tags=FrozenMap({"firmwarekey": ("a", "b")}),
        attributes=FrozenMap({"Int_Attribute": (100, 1000)}),
        asset_trees=(FrozenMap({"treeId": "t1", "includedNotes": ("n1",)}),),
    )
    assert found.policy == JobPolicy(
        mode=PolicyMode.SNAPSHOT,
        timeout_seconds=600,
        max_concurrency=10,
        retry=RetrySchedule(count=5, interval_minutes=10),
        schedule=JobSchedule(
            start_at=datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC),
            end_at=datetime(2023, 11, 15, 1, 13, 20, tzinfo=UTC),
            repeats_daily=True,
            utc_offset_minutes=60,
        ),
        device_may_request=True,
    )
    assert dict(found.extra) == {"startSchedule": 0, "endSchedule": 86399, "startAfterCreate": True}
    assert isinstance(hash(found), int)


def test_the_device_sample_maps_field_by_field() -> None:
    """Every field of "V2.1 Search Device Upgrade" has its place."""
    rows = [CONVERTER.structure(row, DeviceFirmware) for row in sample("enos-search-device-upgrade")]
    assert len(rows) == 5
    assert device_upgrade_from(rows[1], backend="plant-7") == DeviceUpgrade(
        backend="plant-7",
        device_id="qOE2FZb5",  # type: ignore[arg-type]  # plain text equals an identifier
        device_key="ota-device2",
        product_id="BXwU4kMk",
        owner_id="o15475466766371",
        firmware_version="2.0",
        upgrading=True,
    )


def test_records_of_little_more_than_an_identifier_map() -> None:
    """What is missing is ``None`` or empty, never guessed."""
    assert firmware() == Firmware(backend="b", firmware_id=FirmwareId("f1"), version="1.0")
    assert job() == Job(
        backend="b", job_id=JobId("j1"), status=JobStatus.RUNNING, vendor_status="started", kind=JobKind.UNKNOWN
    )
    bare = CONVERTER.structure({"assetId": "a1"}, DeviceFirmware)
    assert device_upgrade_from(bare, backend="b") == DeviceUpgrade(backend="b", device_id="a1")  # type: ignore[arg-type]


@pytest.mark.parametrize(("struct", "map_"), [(FirmwareInfo, firmware), (JobInfo, job)])
def test_null_is_the_same_as_absent(struct: type[Any], map_: Any) -> None:
    """A record whose optional members are all ``null`` equals one without them."""
    required = {"firmwareId", "version", "jobId", "status"}
    assert map_(**dict.fromkeys(keys_of(struct).keys() - required)) == map_()


def test_unknown_words_are_kept() -> None:
    """Words that the vendor may add become UNKNOWN, beside the word itself."""
    found = job(status="paused", type="rollback", upgradePolicy="phased", upgradeScope={"type": "group"})
    assert (found.status, found.vendor_status) == (JobStatus.UNKNOWN, "paused")
    assert (found.kind, found.vendor_kind) == (JobKind.UNKNOWN, "rollback")
    assert found.policy == JobPolicy(mode=PolicyMode.UNKNOWN)
    assert dict(found.extra) == {"upgradePolicy": "phased", "upgradeScope": FrozenMap({"type": "group"})}
    assert job(status="stopped", type="verify").kind is JobKind.VERIFICATION
    assert job(status="stopped").status is JobStatus.STOPPED


def test_unknown_members_are_kept_at_any_depth() -> None:
    """A member that the struct does not know is in ``extra``, with what it stands in; even one called ``raw``."""
    found = job(
        groupId="g1",
        upgradeScope={"type": "total", "groups": ["a", {"b": [1]}]},
        name={"defaultValue": "n", "shortValue": "s"},
    )
    assert found.extra["groupId"] == "g1"
    assert found.extra["upgradeScope"] == {"type": "total", "groups": ("a", FrozenMap({"b": (1,)}))}
    assert found.extra["name"] == {"defaultValue": "n", "shortValue": "s"}
    assert dict(firmware(checksumType="crc", raw=[1]).extra) == {"checksumType": "crc", "raw": (1,)}


@pytest.mark.parametrize(
    "fields",
    [
        {"createTime": "yesterday"},
        {"createTime": 10**18},
        {"fileSize": "1767 bytes"},
        {"fileSize": "9" * 5000},
        {"signMethod": "md5"},
        {"sign": "abc"},
        {"maxAllowedForVerification": "five"},
        {"isVerified": True, "minSuccessForVerified": ""},
    ],
)
def test_unusable_firmware_values_stay_visible(fields: dict[str, Any]) -> None:
    """A value that is no number, no date or only half a checksum breaks nothing and is in ``extra``."""
    found = firmware(**fields)
    unusable = {name: value for name, value in fields.items() if name != "isVerified"}
    assert dict(found.extra) == unusable
    assert (found.created_at, found.size_bytes, found.checksum) == (None, None, None)


@pytest.mark.parametrize(
    "fields",
    [
        {"createTime": ""},
        {"upgradeTimeout": "2 h"},
        {"maximumConcurrency": "many"},
        {"retryPolicy": FrozenMap({"enableRetry": True})},
        {"retryPolicy": FrozenMap({"enableRetry": False, "retryCount": "often"})},
        {"retryPolicy": FrozenMap({"retryCount": 5, "retryInterval": "soon"})},
        {"retryPolicy": FrozenMap({"retryInterval": 5})},
        {"schedulePolicy": FrozenMap({"startTimestamp": "now"})},
        {"schedulePolicy": FrozenMap({"isRepeatDaily": True, "endTimestamp": "never"})},
        {"schedulePolicy": FrozenMap({"timezoneOffsetInMinutes": "CET"})},
    ],
)
def test_unusable_job_values_stay_visible(fields: dict[str, Any]) -> None:
    """A value that could not be used breaks nothing and is in ``extra``."""
    plain = {name: dict(value) if isinstance(value, FrozenMap) else value for name, value in fields.items()}
    assert dict(job(**plain).extra) == fields


def test_retries_that_are_switched_off_need_no_count() -> None:
    """A policy that only says no means no retries."""
    policy = job(retryPolicy={"enableRetry": False}).policy
    assert policy == JobPolicy(retry=RetrySchedule(count=0, enabled=False))
    assert dict(job(retryPolicy={"enableRetry": False}).extra) == {}


def test_text_sizes_are_numbers() -> None:
    """The size of a firmware is documented as text and comes as a number: both are read."""
    assert firmware(fileSize="1767").size_bytes == firmware(fileSize=1767).size_bytes == 1767


def test_the_checksum_algorithm_is_lower_case() -> None:
    """MD5 and md5 are the same algorithm."""
    assert firmware(signMethod="MD5", sign="AB").checksum == Checksum(algorithm="md5", value="AB")


def test_one_accepted_value_alone_is_a_list_of_one() -> None:
    """Tags and attributes map to tuples, however the vendor writes them."""
    scope = job(upgradeScope={"type": "partial", "tags": {"a": "x"}, "attributes": {"n": 5}}).scope
    assert scope is not None
    assert (scope.tags["a"], scope.attributes["n"]) == (("x",), (5,))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (None, None),
        (StringI18n(), None),
        (StringI18n(default_value="n", i18n_value={"zh_CN": None}), LocalizedText(default="n")),
        (
            StringI18n(i18n_value={"zh_CN": "名"}),
            LocalizedText(default="", translations=FrozenMap({"zh_CN": "名"})),
        ),
    ],
)
def test_names_with_holes_map(name: StringI18n | None, expected: LocalizedText | None) -> None:
    """A translation that is null is none; a name without any text is none."""
    assert localized_text_from(name) == expected


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(("createTime", "fileSize", "upgradeTimeout"), st.integers() | st.text(max_size=8)),
            "startAfterCreate": json_values,
            "brandNew": json_values,
            "signMethod": st.text(max_size=8),
            "sign": st.text(max_size=8),
            "upgradePolicy": st.text(max_size=8),
            "name": st.fixed_dictionaries({}, optional={"defaultValue": st.text(), "x": json_values}),
        },
    )
)
def test_no_value_breaks_a_read(fields: dict[str, Any]) -> None:
    """Mapping is total: whatever unknown or unusable values come, a record comes out, and it can be hashed."""
    assert firmware(**fields).firmware_id == "f1"
    assert job(**fields).job_id == "j1"
    hash((firmware(**fields), job(**fields)))


@given(st.integers(0, 4_102_444_800_000))
def test_instants_are_exact(milliseconds: int) -> None:
    """No millisecond is lost, as it would be with floating point."""
    instant = instant_from_epoch_ms(milliseconds)
    assert instant is not None
    assert instant.tzinfo is UTC
    assert (instant - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1000 == pytest.approx(milliseconds, abs=1e-3)
    assert instant == instant_from_epoch_ms(str(milliseconds))
