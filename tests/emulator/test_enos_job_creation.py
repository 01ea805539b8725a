"""The EnOS emulator's new jobs over real HTTP: what was defined comes back, whom they reach, what is refused."""

from collections.abc import Callable
from typing import Any

import pytest

from otaclient.emulator.devices import ABSENT
from otaclient.models import FirmwareKind, FrozenMap, JobScope, PolicyMode, RetrySchedule
from otaclient_enos.emulator import new_job
from support.enos import FIRMWARES, JOBS, ORG
from support.enos_writes import FLEET, PRODUCT, UPGRADE, Client, shown


async def test_a_job_comes_back_as_it_was_defined(client: Client) -> None:
    """Get and search show the definition; numbers may have come as text; the oracle agrees."""
    scope = {
        "type": "partial",
        "versionNumbers": ["1.0"],
        "deviceKeys": client.keys(2),
        "tags": {"firmwarekey": ["a", "b"]},
        "attributes": {"Int_Attribute": [100, 1000]},
        "assetTrees": [{"treeId": "t", "includedNotes": ["n"]}],
    }
    retry = {"enableRetry": True, "retryInterval": "10", "retryCount": 5}
    schedule = {
        "isRepeatDaily": True,
        "startTimestamp": 1_800_000_000_000,
        "endTimestamp": 1_800_010_800_000,
        "timezoneOffsetInMinutes": -60,
    }
    fields = {"upgradeScope": scope, "retryPolicy": retry, "schedulePolicy": schedule}
    firmware_id = await client.new_firmware()
    answer = await client.create(firmware_id, upgradeTimeout="600", maximumConcurrency="10", **fields)
    job_id = answer["data"]["jobId"]
    found = (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]
    assert found == {
        "orgId": ORG,
        "productKey": PRODUCT,
        "jobId": job_id,
        "name": UPGRADE["name"],
        "firmwareId": firmware_id,
        "firmwareVersion": "X1",
        "firmwareName": {"defaultValue": "fw X1", "i18nValue": {}},
        "type": "upgrade",
        "enableUpgradeRequest": True,
        "upgradePolicy": "snapshot",
        "upgradeScope": scope,
        "upgradeTimeout": 600,
        "startSchedule": None,
        "endSchedule": None,
        "status": "started",
        "createTime": client.clock.now_ms(),
        "retryPolicy": {**retry, "retryInterval": 10},
        "schedulePolicy": schedule,
        "maximumConcurrency": 10,
    }
    assert (await client.call(JOBS, "search"))["data"][0] == found
    expected = next(client.emulator.expected_jobs("x"))
    assert expected.scope == JobScope(
        devices=tuple(client.keys(2)),
        source_versions=("1.0",),
        tags=FrozenMap({"firmwarekey": ("a", "b")}),
        attributes=FrozenMap({"Int_Attribute": (100, 1000)}),
        asset_trees=(FrozenMap({"treeId": "t", "includedNotes": ("n",)}),),
    )
    assert expected.policy
    assert expected.policy.retry == RetrySchedule(count=5, interval_minutes=10)
    assert (expected.policy.mode, expected.policy.max_concurrency) == (PolicyMode.SNAPSHOT, 10)
    assert expected.policy.schedule
    assert expected.policy.schedule.utc_offset_minutes == -60


async def test_the_service_fills_in_what_is_left_out(client: Client) -> None:
    """Timeout and concurrency have defaults; the rest is not there."""
    answer = await client.create(await client.new_firmware(), name=None, schedulePolicy={}, upgradeTimeout=...)
    found = (await client.call(JOBS, "get", method="GET", jobId=answer["data"]["jobId"]))["data"]
    assert (found["upgradeTimeout"], found["maximumConcurrency"], found["name"]) == (7_200, 300, None)
    assert found["schedulePolicy"] == {}
    assert "retryPolicy" not in found
    expected = next(client.emulator.expected_jobs("x"))
    assert (expected.name, expected.scope) == (None, JobScope(everything=True))
    assert expected.policy
    assert expected.policy.retry is None


@pytest.mark.parametrize(
    ("given", "retries", "model"),
    [
        ({"enableRetry": False, "retryCount": 3}, 0, RetrySchedule(count=3, enabled=False)),
        ({"enableRetry": False}, 0, RetrySchedule(count=0, enabled=False)),
        ({"enableRetry": True}, 0, None),
        ({"enableRetry": True, "retryCount": 10**6}, 60_000, RetrySchedule(count=10**6)),
    ],
)
async def test_retries_can_be_switched_off(
    client: Client, given: dict[str, Any], retries: int, model: RetrySchedule | None
) -> None:
    """The definition comes back as given; what runs is what is meant."""
    job_id = await client.new_job(retryPolicy=given)
    assert client.emulator.engine.job(job_id).retry_count == retries
    found = (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]
    assert found["retryPolicy"] == given
    expected = next(client.emulator.expected_jobs("x"))
    assert expected.policy
    assert expected.policy.retry == model


async def test_a_verification_job_has_less(client: Client) -> None:
    """No policy, retries, schedule or concurrency; enough successes verify the firmware, which upgrades wait for."""
    firmware_id = await client.new_firmware(
        "X1", enableVerification=True, maxAllowedForVerification=2, minSuccessForVerified=2
    )
    scope = {"type": "partial", "deviceKeys": client.keys(2)}
    fields: dict[str, Any] = {"type": "verify", "upgradePolicy": ..., "enableUpgradeRequest": ...}
    refused = await client.create(firmware_id)
    assert shown(refused) == (99400, "Invalid Argument firmwareId: the firmware has not been verified")
    too_many = {"type": "partial", "deviceKeys": client.keys(3)}
    assert shown(await client.create(firmware_id, **fields, upgradeScope=too_many))[0] == 99400
    answer = await client.create(firmware_id, **fields, upgradeScope=scope)
    found = (await client.call(JOBS, "get", method="GET", jobId=answer["data"]["jobId"]))["data"]
    assert (found["type"], found["enableUpgradeRequest"], found["upgradePolicy"]) == ("verify", None, None)
    assert "maximumConcurrency" not in found
    expected = next(client.emulator.expected_jobs("x"))
    assert expected.policy
    assert (expected.policy.mode, expected.policy.timeout_seconds) == (None, 7_200)
    client.clock.advance(100)
    assert (await client.call(FIRMWARES, "get", method="GET", firmwareId=firmware_id))["data"]["isVerified"] is True
    assert (await client.create(firmware_id))["code"] == 0


async def test_a_verification_without_a_limit_takes_any_number(client: Client) -> None:
    """Firmware that names no limit has none."""
    fields = {"type": "verify", "upgradeScope": {"type": "partial", "deviceKeys": client.keys(9)}}
    assert (await client.create(await client.new_firmware(), **fields))["code"] == 0


VERSION = FLEET.products[0].firmware_versions[-1]


@pytest.mark.parametrize(
    ("scope", "reached"),
    [
        ({"type": "total"}, lambda devices, row: devices.firmware_version(row) is not None),
        ({"type": "total", "versionNumbers": [VERSION]}, lambda devices, row: devices.firmware_version(row) == VERSION),
        (
            {"type": "partial", "versionNumbers": [VERSION]},
            lambda devices, row: devices.firmware_version(row) == VERSION,
        ),
        ({"type": "partial", "tags": {"a": ["b"]}}, lambda devices, row: False),
    ],
)
async def test_whom_a_job_reaches(client: Client, scope: dict[str, Any], reached: Callable[[Any, int], bool]) -> None:
    """Devices of the firmware's product with one of the versions; no simulated device has tags."""
    job_id = (await client.create(await client.new_firmware(), upgradeScope=scope))["data"]["jobId"]
    devices = client.devices
    wanted = [row for row in range(len(devices)) if devices.product_id(row) == PRODUCT and reached(devices, row)]
    assert list(client.emulator.engine.job(job_id).targets) == wanted


async def test_named_devices_are_narrowed_by_version(client: Client) -> None:
    """Those that are named and have one of the versions, each once."""
    rows = client.rows(30)
    keys = [client.devices.key(row) for row in rows]
    scope = {"type": "partial", "deviceKeys": [*keys, keys[0]], "versionNumbers": [VERSION]}
    job_id = (await client.create(await client.new_firmware(), upgradeScope=scope))["data"]["jobId"]
    wanted = [row for row in rows if client.devices.firmware_version(row) == VERSION]
    assert list(client.emulator.engine.job(job_id).targets) == wanted


async def test_an_incremental_job_takes_in_its_named_devices_later(client: Client) -> None:
    """When they reach one of its versions; others never join."""
    keys = client.keys(3)
    scope = {"type": "partial", "deviceKeys": keys[:2], "versionNumbers": ["M1"]}
    final = await client.create(await client.new_firmware("L1"), upgradeScope=scope, upgradePolicy="incremental")
    everyone = await client.create(
        await client.new_firmware("L2"),
        upgradeScope={"type": "total", "versionNumbers": ["M1"]},
        upgradePolicy="incremental",
    )
    nobody = {"type": "partial", "tags": {"a": ["b"]}, "versionNumbers": ["M1"]}
    await client.create(await client.new_firmware("L3"), upgradeScope=nobody, upgradePolicy="incremental")
    await client.create(await client.new_firmware("M1"), upgradeScope={"type": "partial", "deviceKeys": keys})
    client.clock.advance(66)
    reached = [
        [task["deviceKey"] for task in await client.tasks(f"jobId='{answer['data']['jobId']}'")]
        for answer in (final, everyone)
    ]
    assert reached == [keys[:2], keys]
    assert [task["fromVersion"] for task in await client.tasks("toVersion = 'L1'")] == ["M1", "M1"]


async def test_firmware_without_a_product_is_for_all_devices(client: Client) -> None:
    """Named devices may be of any product."""
    answer = await client.upload(productKey="")
    firmware_id = answer["data"]["firmwareId"]
    others = [
        client.devices.key(row) for row in range(len(client.devices)) if client.devices.product_id(row) != PRODUCT
    ]
    scope = {"type": "partial", "deviceKeys": others[:2]}
    job = (await client.create(firmware_id, upgradeScope=scope))["data"]["jobId"]
    assert len(await client.statuses(job)) == 2
    assert (await client.call(JOBS, "get", method="GET", jobId=job))["data"]["productKey"] is None
    everyone = (await client.create(firmware_id))["data"]["jobId"]
    reported = [row for row in range(len(client.devices)) if client.devices.firmware_version(row) is not None]
    assert list(client.emulator.engine.job(everyone).targets) == reported


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": ...}, "type: type is missing"),
        ({"type": "downgrade"}, "type: downgrade is not one of upgrade, verify"),
        ({"upgradeScope": ...}, "upgradeScope: upgradeScope is missing"),
        ({"upgradeScope": []}, "upgradeScope: it is not an object"),
        ({"upgradeScope": {}}, "upgradeScope.type: type is missing"),
        ({"upgradeScope": {"type": "some"}}, "upgradeScope.type: some is not one of total, partial"),
        ({"upgradeScope": {"type": "partial"}}, "upgradeScope.type: partial needs something"),
        ({"upgradeScope": {"type": "total", "versionNumbers": "1.0"}}, "versionNumbers: it is not an array of strings"),
        ({"upgradeScope": {"type": "total", "versionNumbers": [1]}}, "versionNumbers: it is not an array of strings"),
        ({"upgradeScope": {"type": "total", "versionNumbers": ["X1"]}}, "versionNumbers: X1 is the version of the"),
        ({"upgradeScope": {"type": "partial", "deviceKeys": ["nobody"]}}, "deviceKeys: no device nobody"),
        ({"upgradeScope": {"type": "partial", "tags": {"a": "b"}}}, "tags: it is not an object of arrays"),
        ({"upgradeScope": {"type": "partial", "assetTrees": ["a"]}}, "assetTrees: it is not an array of objects"),
        ({"type": "verify"}, "upgradeScope.type: total is not one of partial"),
        ({"upgradePolicy": ...}, "upgradePolicy: upgradePolicy is missing"),
        ({"upgradePolicy": "upgrade"}, "upgradePolicy: upgrade is not one of snapshot, incremental"),
        ({"enableUpgradeRequest": ...}, "enableUpgradeRequest: enableUpgradeRequest is missing"),
        ({"enableUpgradeRequest": "true"}, "enableUpgradeRequest: it is not a boolean"),
        ({"upgradeTimeout": 299}, "upgradeTimeout: 299 is not in 300 to 172800"),
        ({"upgradeTimeout": "172801"}, "upgradeTimeout: 172801 is not in 300 to 172800"),
        ({"upgradeTimeout": 300.5}, "upgradeTimeout: it is not an integer"),
        ({"maximumConcurrency": 0}, "maximumConcurrency: 0 is not in 1 to"),
        ({"retryPolicy": {}}, "retryPolicy.enableRetry: enableRetry is missing"),
        ({"retryPolicy": {"enableRetry": True, "retryCount": -1}}, "retryPolicy.retryCount: -1 is not in 0 to"),
        ({"schedulePolicy": {"startTimestamp": 5, "endTimestamp": 5}}, "schedulePolicy.endTimestamp: it is not after"),
        ({"schedulePolicy": {"endTimestamp": "soon"}}, "schedulePolicy.endTimestamp: it is not an integer"),
        (
            {"schedulePolicy": {"timezoneOffsetInMinutes": 1441}},
            "timezoneOffsetInMinutes: 1441 is not in -1440 to 1440",
        ),
        ({"name": {"i18nValue": {}}}, "name.defaultValue: defaultValue is missing"),
    ],
)
async def test_a_wrong_definition_is_refused(client: Client, fields: dict[str, Any], message: str) -> None:
    """Code 99400 and the member; no job is there."""
    before = len(client.emulator.fleet.jobs)
    code, said = shown(await client.create(await client.new_firmware(), **fields))
    assert (code, message in said) == (99400, True), said
    assert len(client.emulator.fleet.jobs) == before


async def test_a_job_needs_firmware_that_exists(client: Client) -> None:
    """A missing parameter, an unknown firmware, and one that is not what EnOS calls firmware."""
    software = next(record for record in FLEET.firmware if record.kind is FirmwareKind.SOFTWARE)
    assert shown(await client.call(JOBS, "create", UPGRADE))[0] == 99400
    for firmware_id in ("nothing", software.firmware_id):
        assert shown(await client.create(firmware_id)) == (24404, "Firmware not found")


async def test_unknown_devices_can_be_passed_over(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the constant off, they are left out."""
    monkeypatch.setattr(new_job, "_UNKNOWN_DEVICES_REFUSED", False)
    job_id = await client.new_job([*client.keys(1), "nobody"])
    assert len(await client.statuses(job_id)) == 1


async def test_one_version_too_many_is_a_failure_of_the_service(client: Client) -> None:
    """The simulated devices tell 255 versions apart; then the documented 24500."""
    devices = client.devices
    for number in range(ABSENT - len(devices.firmware_versions)):
        devices.version_index(FirmwareKind.FIRMWARE, f"filler-{number}")
    assert shown(await client.create(await client.new_firmware())) == (24500, "OTA service internal error")
