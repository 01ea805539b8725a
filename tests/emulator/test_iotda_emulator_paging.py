"""The IoTDA emulator's lists over HTTP: walked by markers and offsets, filtered, counted."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from otaclient.emulator import Fleet
from otaclient_iotda.emulator import render
from otaclient_iotda.emulator.filters import wire_time
from otaclient_iotda.emulator.modules import ModuleVersions
from support.iotda import serving

FLEET = Fleet.generate(devices=1_234, seed=5)
ROWS = render.DeviceRows(FLEET, ModuleVersions(FLEET).of_device)


def identifiers(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The device ids of rows."""
    return [row["device_id"] for row in rows]


EXPECTED = [ROWS.device_id(row) for row in reversed(range(len(FLEET.devices)))]


@pytest.mark.parametrize("limit", [1, 7, 49, 50])
async def test_marker_walk_gives_every_device_once(limit: int) -> None:
    """Markers take one through the whole list, newest first, whatever the size of a page."""
    fleet = FLEET if limit > 1 else Fleet.generate(devices=30, seed=5)
    async with serving(fleet) as (emulator, caller):
        found = await caller.walk("devices", "devices", limit=limit)
        expected = [device.device_id for device in emulator.expected_devices("iotda")]
    assert identifiers(found) == expected


async def test_offsets_reach_550_rows_from_a_marker() -> None:
    """Eleven pages of 50 can be had from one marker; page eleven's marker is the next base."""
    async with serving(FLEET) as (_, caller):
        found: list[str] = []
        marker = "f" * 24
        for _ in range(3):
            pages = [await caller.get("devices", limit=50, marker=marker, offset=at) for at in range(0, 501, 50)]
            found += [each for page in pages for each in identifiers(page["devices"])]
            marker = pages[-1]["page"].get("marker") or ""
            if not marker:
                break
    assert found == EXPECTED


async def test_markers_are_those_of_the_filtered_list() -> None:
    """A walk with filters gives exactly the devices that meet them, and counts them all on each page."""
    product_id = FLEET.products[1].product_id
    start, end = FLEET.devices.registered_at_s[100], FLEET.devices.registered_at_s[1_000]
    parameters = {"product_id": product_id, "start_time": wire_time(start), "end_time": wire_time(end)}
    expected = [ROWS.device_id(row) for row in range(1_000, 99, -1) if FLEET.devices.product_id(row) == product_id]
    async with serving(FLEET) as (_, caller):
        found = await caller.walk("devices", "devices", limit=50, **parameters)
        page = await caller.get("devices", limit=1, **parameters)
    assert identifiers(found) == expected
    assert page["page"]["count"] == len(expected)


@pytest.mark.parametrize("follows", [False, True])
async def test_count_and_the_marker(*, follows: bool) -> None:
    """Whether the total leaves out what the marker leaves out is a switch."""
    async with serving(FLEET, count_follows_marker=follows) as (_, caller):
        first = await caller.get("devices", limit=50)
        second = await caller.get("devices", limit=50, marker=first["page"]["marker"])
    assert first["page"]["count"] == 1_234
    assert second["page"]["count"] == (1_184 if follows else 1_234)


async def test_empty_page() -> None:
    """An empty page has a null marker, or none: a switch."""
    async with serving(FLEET) as (_, caller):
        page = await caller.get("devices", marker="0" * 24)
        assert page == {"devices": [], "page": {"count": 1_234, "marker": None}}
    async with serving(FLEET, empty_page_marker="absent") as (_, caller):
        page = await caller.get("devices", product_id="nosuch")
        assert page == {"devices": [], "page": {"count": 0}}


async def test_synthesised_marker_starts_at_its_second() -> None:
    """A marker need not be a record's id: eight digits of time and zeros begin below that second."""
    second = FLEET.devices.registered_at_s[600]
    async with serving(FLEET) as (_, caller):
        page = await caller.get("devices", marker=f"{second:08x}{'0' * 16}", limit=1)
        above = await caller.get("devices", marker=f"{second:08X}{'F' * 16}", limit=1)
    assert identifiers(page["devices"]) == [ROWS.device_id(599)]
    assert identifiers(above["devices"]) == [ROWS.device_id(600)]


async def test_empty_fleet_has_an_empty_list() -> None:
    """A project without devices answers an empty page."""
    async with serving(Fleet.generate(devices=0)) as (_, caller):
        page = await caller.get("devices")
    assert page["devices"] == []
    assert page["page"]["count"] == 0


@pytest.mark.parametrize("kind", ["firmware", "software", "module"])
async def test_packages_are_walked_by_type(kind: str) -> None:
    """Each package type is a list of its own, newest first."""
    async with serving(FLEET) as (emulator, caller):
        found = await caller.walk("ota-upgrades/packages", "packages", package_type=f"{kind}Package", limit=3)
        expected = [each.firmware_id for each in emulator.expected_firmware("iotda") if each.kind == kind]
    assert [row["package_id"] for row in found] == expected


async def test_tasks_are_walked_by_type_and_status() -> None:
    """Each task type is a list of its own, newest first; a status narrows it."""
    async with serving(FLEET) as (emulator, caller):
        jobs = [each for each in emulator.expected_jobs("iotda") if each.vendor_kind == "firmwareUpgrade"]
        found = await caller.walk("batchtasks", "batchtasks", task_type="firmwareUpgrade", limit=2)
        assert [row["task_id"] for row in found] == [job.job_id for job in jobs]
        status = jobs[0].vendor_status
        found = await caller.walk("batchtasks", "batchtasks", task_type="firmwareUpgrade", status=status, limit=2)
        assert [row["task_id"] for row in found] == [job.job_id for job in jobs if job.vendor_status == status]
        assert not (await caller.get("batchtasks", task_type="createDevices"))["batchtasks"]


async def test_details_of_a_task_are_paged() -> None:
    """Paging and filters apply to a task's details; the task itself is whole on every page."""
    job = max(FLEET.jobs, key=lambda each: len(set(each.task_states)))
    targets = [ROWS.device_id(row) for row in reversed(job.targets)]
    path = f"batchtasks/{job.job_id}"
    async with serving(FLEET) as (_, caller):
        found = await caller.walk(path, "task_details", limit=50)
        assert [row["target"] for row in found] == targets
        failed = await caller.walk(path, "task_details", limit=3, task_detail_status="Fail")
        assert [row["target"] for row in failed] == [row["target"] for row in found if row["status"] == "Fail"]
        page = await caller.get(path, task_detail_status="Fail", limit=1)
        assert page["page"]["count"] == page["batchtask"]["task_progress"]["fail"] == len(failed)
        one = await caller.get(path, target=failed[0]["target"])
        assert one["task_details"] == failed[:1]
        none = await caller.get(path, target=failed[0]["target"], task_detail_status="Success")
        assert none["task_details"] == []
        assert (await caller.get(path, target="nosuch_device"))["task_details"] == []


async def test_wrong_parameters_are_answered_by_the_service() -> None:
    """A wrong parameter is a 400 with the service's code; the message names the parameter."""
    async with serving(FLEET) as (_, caller):
        status, body = await caller.send("GET", "devices", limit=51)
        assert status == 400
        message = "Invalid input. The specified parameter 'limit' is out of range."
        assert body == {"error_code": "IOTDA.000017", "error_msg": message}
        status, body = await caller.send("GET", "ota-upgrades/packages", limit=50)
        assert (status, body["error_code"]) == (400, "IOTDA.000006")
        assert "package_type" in body["error_msg"]
