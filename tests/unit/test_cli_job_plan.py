"""What a new job is about to do, in words, and how many devices it reaches."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest

from otaclient.cli.job_plan import plan_text, reach
from otaclient.errors import PermissionDeniedError
from otaclient.models import (
    DeviceId,
    DeviceUpgrade,
    Firmware,
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
    Verification,
)
from otaclient.protocols import Capability
from otaclient.queries import DeviceUpgradeQuery
from support.fake_backend import FakeBackend, World

FIRMWARE = Firmware(backend="fake", firmware_id=FirmwareId("f1"), version="2.4", product_id="p1")


def job(scope: JobScope, **policy: Any) -> NewJob:
    """Return a job with this scope."""
    return NewJob(
        name=LocalizedText(default="Pumps"),
        firmware_ids=(FIRMWARE.firmware_id,),
        scope=scope,
        policy=JobPolicy(**policy),
    )


def world(devices: int = 7, **fields: Any) -> World:
    """Return a backend's world with some devices."""
    made = [DeviceUpgrade(backend="fake", device_id=DeviceId(f"d{number}")) for number in range(devices)]
    return World(firmware=[FIRMWARE], devices=made, **fields)


# --- reach -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scope", "said"),
    [
        (JobScope(devices=("a",)), "1 device, as listed"),
        (JobScope(devices=tuple(str(number) for number in range(1500))), "1,500 devices, as listed"),
        (
            JobScope(devices=("a", "b"), source_versions=("1",)),
            "at most 2 devices: those listed that have one of the source versions",
        ),
        (JobScope(groups=("g",)), "not known: devices cannot be searched by groups"),
        (
            JobScope(devices=("a",), tags={"a": ("b",)}, attributes={"c": (1,)}),
            "not known: devices cannot be searched by tags or attributes",
        ),
        (JobScope(asset_trees=(FrozenMap(),)), "not known: devices cannot be searched by asset trees"),
    ],
)
async def test_reach_without_a_request(scope: JobScope, said: str) -> None:
    """Listed devices are counted as they are; what no search can find is told as not known, and why."""
    asked = world()
    assert await reach(FakeBackend(asked), job(scope), [FIRMWARE]) == said
    assert asked.calls == []


async def test_reach_of_everything_is_the_vendors_count() -> None:
    """All devices of the firmware's product with the source versions, counted by the vendor in one request."""
    asked = world()
    said = await reach(FakeBackend(asked), job(JobScope(everything=True, source_versions=("1", "2"))), [FIRMWARE])
    assert said == "7 devices of product p1 with versions 1, 2, as of now"
    assert asked.called("devices query") == [(DeviceUpgradeQuery(products=("p1",), versions=("1", "2")),)]
    assert len(asked.called("devices.search")) == 1


@pytest.mark.parametrize("fields", [{"filtered_here": ("versions",)}, {"total": False}])
async def test_reach_is_counted_here_where_the_vendor_does_not(fields: dict[str, Any]) -> None:
    """Where the vendor's number is of something else, or there is none, the rows are counted."""
    said = await reach(FakeBackend(world(devices=9, **fields)), job(JobScope(everything=True)), [FIRMWARE])
    assert said == "9 devices of product p1, as of now"


async def test_reach_of_an_incremental_job_is_open() -> None:
    """Devices that match later are not forgotten."""
    scope = JobScope(everything=True)
    said = await reach(FakeBackend(world(devices=1)), job(scope, mode=PolicyMode.INCREMENTAL), [FIRMWARE])
    assert said == "1 device of product p1, as of now, and those that match later"


async def test_reach_that_cannot_be_counted_says_why() -> None:
    """A firmware without product, a backend without search, a search that is not allowed."""
    everything = job(JobScope(everything=True))
    nameless = attrs.evolve(FIRMWARE, product_id=None)
    said = await reach(FakeBackend(world()), everything, [FIRMWARE, nameless])
    assert said == "not known: the vendor does not say which product firmware f1 is for"
    blind = world(capabilities=frozenset(Capability) - {Capability.DEVICES_SEARCH})
    assert await reach(FakeBackend(blind), everything, [FIRMWARE]) == (
        "not known: this backend has no search for devices"
    )
    forbidden = world(errors={"devices.search": PermissionDeniedError("not allowed", status=403)})
    assert await reach(FakeBackend(forbidden), everything, [FIRMWARE]) == "not known: not allowed (HTTP 403)"


# --- the plan --------------------------------------------------------------------------------------------------------


def test_plan_of_a_small_job_is_short() -> None:
    """What is not said is the vendor's default, and told as such."""
    text = plan_text(job(JobScope(devices=("a", "b"))), [FIRMWARE], backend="enos", reached="2 devices, as listed")
    assert text.splitlines() == [
        "Create this upgrade job:",
        "  backend   enos",
        "  name      Pumps",
        "  firmware  f1: version 2.4, product p1",
        "  scope     devices a, b",
        "  reaches   2 devices, as listed",
        "  policy    the vendor's defaults",
        "  schedule  at once",
    ]


def test_plan_tells_everything_that_was_said() -> None:
    """Scope, policy and schedule are there in words, long lists with their number, on lines that steer no terminal."""
    whole = NewJob(
        name=LocalizedText(default="Pumps\x1b[2J"),
        firmware_ids=(FirmwareId("f1"),),
        kind=JobKind.VERIFICATION,
        hold=True,
        scope=JobScope(
            devices=tuple(f"d{number}" for number in range(1234)),
            source_versions=("1.0",),
            groups=("g1", "g2"),
            tags={"site": ("north", "south")},
            attributes={"level": (1, True)},
            asset_trees=(FrozenMap({"treeId": "t"}),),
            everything=True,
        ),
        policy=JobPolicy(
            mode=PolicyMode.INCREMENTAL,
            timeout_seconds=7200,
            max_concurrency=300,
            retry=RetrySchedule(count=3, interval_minutes=10),
            device_may_request=False,
            schedule=JobSchedule(
                start_at=datetime(2026, 1, 31, 8, tzinfo=timezone(timedelta(hours=8))),
                end_at=datetime(2026, 2, 1, tzinfo=UTC),
                repeats_daily=True,
                utc_offset_minutes=-150,
            ),
        ),
    )
    firmware = attrs.evolve(FIRMWARE, product_id=None, size_bytes=3_000_000, verification=Verification(verified=False))
    text = plan_text(whole, [firmware], backend="enos", reached="not known")
    for line in (
        "Create this verification job:",
        "  name      Pumps\\x1b[2J",
        "  firmware  f1: version 2.4, 3,000,000 bytes, not verified",
        "  scope     all devices of the firmware's product",
        "            devices d0, d1, d2, d3, d4 and 1,229 more",
        "            only what has version 1.0",
        "            groups g1, g2",
        "            tag site is north or south",
        "            attribute level is 1 or True",
        "            asset tree {'treeId': 't'}",
        (
            "  policy    also devices that match later, at most 7,200 s a device, at most 300 devices at once, "
            "3 retries, 10 min apart, devices may not ask for it themselves"
        ),
        "  schedule  from 2026-01-31 00:00:00Z, until 2026-02-01 00:00:00Z, daily, days at UTC-02:30",
        "  hold      it waits for 'otaclient jobs start'",
    ):
        assert line in text.splitlines()


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (JobPolicy(mode=PolicyMode.SNAPSHOT), "the devices that match now"),
        (JobPolicy(mode=PolicyMode.UNKNOWN), "unknown"),
        (JobPolicy(retry=RetrySchedule(count=2)), "2 retries"),
        (JobPolicy(retry=RetrySchedule(count=2, enabled=False)), "no retries"),
        (JobPolicy(device_may_request=True), "devices may ask for it themselves"),
        (JobPolicy(retry=RetrySchedule(count=1), max_concurrency=1), "at most 1 device at once, 1 retry"),
    ],
)
def test_plan_words_of_policies(policy: JobPolicy, said: str) -> None:
    """Each policy has its own words."""
    planned = attrs.evolve(job(JobScope(everything=True)), policy=policy)
    firmware = attrs.evolve(FIRMWARE, verification=Verification(verified=True))
    text = plan_text(planned, [firmware], backend="enos", reached="1")
    assert f"  policy    {said}" in text.splitlines()
    assert "product p1, verified" in text


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        (JobSchedule(repeats_daily=False), "once"),
        (JobSchedule(utc_offset_minutes=480), "days at UTC+08:00"),
        (JobSchedule(end_at=datetime(2026, 2, 1, tzinfo=UTC)), "until 2026-02-01 00:00:00Z"),
    ],
)
def test_plan_words_of_schedules(schedule: JobSchedule, said: str) -> None:
    """Each schedule has its own words."""
    text = plan_text(job(JobScope(everything=True), schedule=schedule), [FIRMWARE], backend="enos", reached="1")
    assert f"  schedule  {said}" in text.splitlines()
