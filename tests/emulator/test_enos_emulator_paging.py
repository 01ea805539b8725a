"""The EnOS emulator's listings over real HTTP: devices, firmware and jobs, page by page and filtered."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from otaclient.emulator import Fleet, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.models import FirmwareKind, JobKind
from otaclient_enos.emulator import EnosEmulator, firmware
from support.enos import FIRMWARES, JOBS, Caller, calling

FLEET = Fleet.generate(devices=450)


@pytest.fixture
async def emulator() -> AsyncIterator[EnosEmulator]:
    async with EnosEmulator(FLEET, clock=ManualClock(DEFAULT_NOW)) as running:
        yield running


@pytest.fixture
async def client(emulator: EnosEmulator) -> AsyncIterator[Caller]:
    async with calling(emulator) as caller:
        yield caller


# --- devices ---------------------------------------------------------------------------------------------------------


async def all_pages(client: Caller, path: str, action: str, size: int, **fields: Any) -> list[dict[str, Any]]:
    """Every row of a search, page by page until one is empty."""
    rows: list[dict[str, Any]] = []
    number = 1
    while True:
        answer = await client.search(path, action, pagination={"pageNo": number, "pageSize": size}, **fields)
        assert answer["pagination"]["pageNo"] == number
        assert answer["pagination"]["pageSize"] == size
        assert answer["pagination"]["sortedBy"] is None
        if not answer["data"]:
            assert answer["pagination"]["totalSize"] == len(rows)
            return rows
        rows += answer["data"]
        number += 1


@pytest.mark.parametrize("size", [7, 50, 200])
async def test_every_device_is_on_exactly_one_page(client: Caller, size: int) -> None:
    """Whatever the page size, the pages give the fleet as the oracle has it, in its order."""
    rows = await all_pages(client, FIRMWARES, "searchDeviceUpgrade", size)
    found = [
        (row["assetId"], row["deviceKey"], row["productKey"], row["orgId"], row["firmwareVersion"], row["isUpgrading"])
        for row in rows
    ]
    assert found == [
        (each.device_id, each.device_key, each.product_id, each.owner_id, each.firmware_version, each.upgrading)
        for each in client.emulator.expected_devices("x")
    ]


async def test_the_order_of_devices_is_one_constant(client: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the constant on, the newest device comes first, on the wire and in the oracle."""
    oldest_first = [each.device_id for each in client.emulator.expected_devices("x")]
    monkeypatch.setattr(firmware, "NEWEST_DEVICE_FIRST", True)
    rows = await all_pages(client, FIRMWARES, "searchDeviceUpgrade", 60)
    assert [row["assetId"] for row in rows] == oldest_first[::-1]
    assert [each.device_id for each in client.emulator.expected_devices("x")] == oldest_first[::-1]


async def test_the_default_page_has_ten_rows(client: Caller) -> None:
    """Without pagination there are ten rows, and the struct says so."""
    answer = await client.search(FIRMWARES, "searchDeviceUpgrade")
    assert len(answer["data"]) == 10
    assert answer["pagination"] == {"sortedBy": None, "pageNo": 1, "pageSize": 10, "totalSize": len(FLEET.devices)}


async def test_a_page_far_beyond_the_end_is_empty(client: Caller) -> None:
    """There is no limit of depth: what is not there is an empty page."""
    answer = await client.search(FIRMWARES, "searchDeviceUpgrade", pagination={"pageNo": 10**15, "pageSize": 200})
    assert (answer["code"], answer["data"]) == (0, [])


async def test_devices_are_filtered(client: Caller) -> None:
    """The expression narrows rows and total."""
    product = FLEET.products[0].product_id
    answer = await client.search(
        FIRMWARES, "searchDeviceUpgrade", expression=f"productKey='{product}' and isUpgrading=true"
    )
    wanted = [each for each in client.emulator.expected_devices("x") if each.product_id == product and each.upgrading]
    assert wanted
    assert answer["pagination"]["totalSize"] == len(wanted)
    assert answer["data"][0]["assetId"] == wanted[0].device_id


async def test_a_change_in_the_fleet_shows_at_once() -> None:
    """Nothing that was cached is served after a mutation."""
    fleet = Fleet.generate(devices=30, jobs=0)
    async with EnosEmulator(fleet) as emulator, calling(emulator) as client:
        assert (await client.search(FIRMWARES, "searchDeviceUpgrade", expression="isUpgrading=true"))["data"] == []
        fleet.devices.upgrading_column[4] = 1
        fleet.devices.touch()
        found = await client.search(FIRMWARES, "searchDeviceUpgrade", expression="isUpgrading=true")
        assert [row["assetId"] for row in found["data"]] == [fleet.devices.serial(4)]


# --- firmware and jobs -----------------------------------------------------------------------------------------------


async def test_firmware_is_listed_newest_first(client: Caller) -> None:
    """The pages give what the oracle expects, in its order: only what EnOS calls firmware."""
    rows = await all_pages(client, FIRMWARES, "search", 10)
    wanted = list(client.emulator.expected_firmware("x"))
    assert [row["firmwareId"] for row in rows] == [each.firmware_id for each in wanted]
    assert [row["createTime"] for row in rows] == sorted((row["createTime"] for row in rows), reverse=True)
    for row, each in zip(rows, wanted, strict=True):
        assert int(row["fileSize"]) == each.size_bytes
        assert row.get("productKey") == each.product_id
        assert row["desc"] == each.description
        assert row["fileUrl"] == each.location
        assert each.checksum is not None
        assert (row["signMethod"], row["sign"]) == (each.checksum.algorithm, each.checksum.value)
        assert row.get("firmwareTags", {}) == each.tags
        assert await client.get(FIRMWARES, "get", firmwareId=row["firmwareId"]) | {"requestId": ""} == {
            "code": 0,
            "msg": "OK",
            "requestId": "",
            "data": row,
        }


async def test_firmware_takes_every_liberty_of_the_documentation(client: Caller) -> None:
    """Sizes as text, missing and null products, missing tags and null descriptions all occur."""
    rows = await all_pages(client, FIRMWARES, "search", 200)
    assert {type(row["fileSize"]) for row in rows} == {int, str}
    assert {"productKey" in row for row in rows} == {True, False}
    assert {"firmwareTags" in row for row in rows} == {True, False}
    assert None in {row["desc"] for row in rows}


async def test_firmware_of_other_kinds_is_unknown_here(client: Caller) -> None:
    """Software and modules of the fleet are nothing that EnOS has."""
    software = next(record for record in FLEET.firmware if record.kind is FirmwareKind.SOFTWARE)
    assert (await client.get(FIRMWARES, "get", firmwareId=software.firmware_id))["code"] == 24404


async def test_firmware_without_a_product_is_not_found_by_product(client: Caller) -> None:
    """Firmware that is not bound to a product is in no product's list."""
    product = next(
        record.product_id
        for record in FLEET.firmware
        if record.kind is FirmwareKind.FIRMWARE and not record.product_shown
    )
    rows = await all_pages(client, FIRMWARES, "search", 200, expression=f"productKey = '{product}'")
    wanted = [each for each in client.emulator.expected_firmware("x") if each.product_id == product]
    assert [row["firmwareId"] for row in rows] == [each.firmware_id for each in wanted]
    assert len(wanted) < sum(
        record.product_id == product and record.kind is FirmwareKind.FIRMWARE for record in FLEET.firmware
    )


async def test_jobs_are_listed_newest_first(client: Caller) -> None:
    """The pages give what the oracle expects; status is one of EnOS's two words."""
    rows = await all_pages(client, JOBS, "search", 3)
    wanted = list(client.emulator.expected_jobs("x"))
    assert [row["jobId"] for row in rows] == [each.job_id for each in wanted]
    assert {row["status"] for row in rows} == {"started", "stopped"}
    assert {row["type"] for row in rows} == {"upgrade", "verify"}
    for row, each in zip(rows, wanted, strict=True):
        assert row["status"] == each.vendor_status
        assert (row["name"] is None) == (each.name is None) == (each.kind is JobKind.VERIFICATION)
        assert each.policy is not None
        assert row["upgradeTimeout"] == each.policy.timeout_seconds
        assert row.get("maximumConcurrency") == each.policy.max_concurrency
        assert row["upgradePolicy"] == each.policy.mode
        assert ("schedulePolicy" in row) == (each.policy.schedule is not None)
        assert row.get("startAfterCreate") == each.extra.get("startAfterCreate")
        assert ("retryPolicy" in row) == (each.policy.retry is not None)
        assert each.scope is not None
        assert tuple(row["upgradeScope"]["deviceKeys"] or ()) == each.scope.devices
        assert tuple(row["upgradeScope"]["versionNumbers"]) == each.scope.source_versions
    policies = [each.policy for each in wanted if each.policy is not None]
    assert {policy.schedule is None for policy in policies} == {True, False}
    assert {policy.retry is None for policy in policies} == {True, False}


async def test_a_single_job_shows_less_than_a_listed_one(client: Caller) -> None:
    """The get operation leaves out the firmware's name and version and the timeout, as its sample does."""
    listed = (await client.search(JOBS, "search"))["data"][0]
    single = (await client.get(JOBS, "get", jobId=listed["jobId"]))["data"]
    assert listed.keys() - single.keys() == {"firmwareVersion", "firmwareName", "upgradeTimeout"}
    assert single.items() <= listed.items()


async def test_an_unknown_job_is_not_found(client: Caller) -> None:
    """24404 with the documented text; a job for software counts as unknown."""
    software = next(job for job in FLEET.jobs if job.firmware_kind is FirmwareKind.SOFTWARE)
    for job_id in ("0" * 24, software.job_id):
        answer = await client.get(JOBS, "get", jobId=job_id)
        assert (answer["code"], answer["msg"]) == (24404, "Job not found")
    assert (await client.get(JOBS, "get"))["msg"] == "Invalid Argument jobId:jobId is missing"


@pytest.mark.parametrize(
    ("expression", "kept"),
    [
        ("type = 'verify'", lambda row: row["type"] == "verify"),
        ("status='stopped'", lambda row: row["status"] == "stopped"),
        ("firmwareName.zh_CN like '水泵'", lambda row: "水泵" in row["firmwareName"]["i18nValue"].get("zh_CN", "")),
        ("name like 'ROLL OUT PUMP'", lambda row: "out pump" in (row["name"] or {}).get("defaultValue", "")),
    ],
)
async def test_jobs_are_filtered(client: Caller, expression: str, kept: Callable[[dict[str, Any]], bool]) -> None:
    """Expressions select among the rows that the whole listing has."""
    everything = await all_pages(client, JOBS, "search", 200)
    wanted = [row for row in everything if kept(row)]
    assert wanted
    assert await all_pages(client, JOBS, "search", 200, expression=expression) == wanted


async def test_requests_are_counted_by_operation(client: Caller) -> None:
    """Every operation has one name, the same for all vendors."""
    await client.get(FIRMWARES, "get", firmwareId="x")
    await client.search(FIRMWARES, "search")
    await client.search(FIRMWARES, "searchDeviceUpgrade")
    await client.get(JOBS, "get", jobId="x")
    await client.search(JOBS, "search")
    await client.search(JOBS, "dance")
    assert client.emulator.served == {
        "token.get": 1,
        "firmware.get": 1,
        "firmware.search": 1,
        "devices.search": 1,
        "jobs.get": 1,
        "jobs.search": 1,
        "other": 1,
    }
