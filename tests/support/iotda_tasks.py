"""Batch tasks of the IoTDA emulator: what they need, and bare calls that create, read and steer them."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

from otaclient.emulator import Fleet, JobPlan
from otaclient.models import Connection
from otaclient_iotda.emulator import IotdaEmulator, render
from support.iotda import Caller

FLEET = Fleet.generate(devices=400, seed=37)
TABLE = FLEET.devices
PRODUCT = FLEET.products[0].product_id
TASKS = "batchtasks"
QUICK = JobPlan(pending_seconds=2, published_seconds=4, upgrading_seconds=10, spread=0, failing_share=0)

Served = tuple[IotdaEmulator, Caller]


def device_id(row: int) -> str:
    """The identifier of a device."""
    return f"{TABLE.product_id(row)}_{TABLE.key(row)}"


def idle(product: int = 0, *, version: str | None = None) -> list[int]:
    """Devices of a product that run nothing, of one version if asked."""
    return [
        row
        for row in range(len(TABLE))
        if TABLE.product_column[row] == product
        and TABLE.connection(row) is Connection.ONLINE
        and not TABLE.upgrading(row)
        and version in {None, TABLE.firmware_version(row)}
    ]


ROWS = idle()[:4]
TARGETS = [device_id(row) for row in ROWS]
STRANGER = device_id(idle(1)[0])


async def packaged(caller: Caller, product: int = 0, **fields: object) -> str:
    """Create a package; returns its identifier."""
    product_id = FLEET.products[product].product_id
    given = {
        "app_id": render.app_id(FLEET, product_id),
        "package_type": "firmwarePackage",
        "product_id": product_id,
        "version": "V99.0",
        "file_location": {
            "obs_location": {"region_name": "cn-north-4", "bucket_name": "fw-bucket", "object_key": "fw/v99.bin"}
        },
        **fields,
    }
    status, body = await caller.send("POST", "ota-upgrades/packages", given)
    assert status == 201, body
    return str(body["package_id"])


def order(*package_ids: str, **fields: object) -> dict[str, object]:
    """A batch task to create."""
    given = {
        "task_name": "升级_2026",
        "task_type": "firmwareUpgrade",
        "document": {"package_ids": list(package_ids)},
        "targets": TARGETS,
    }
    return {name: value for name, value in {**given, **fields}.items() if value is not None}


async def ordered(caller: Caller, *package_ids: str, **fields: object) -> dict[str, Any]:
    """Create a batch task."""
    status, task = await caller.send("POST", TASKS, order(*package_ids, **fields))
    assert status == 201, task
    return task


async def details(caller: Caller, task: dict[str, Any], **filters: object) -> dict[str, dict[str, Any]]:
    """The details of a task by their targets."""
    found = await caller.walk(f"{TASKS}/{task['task_id']}", "task_details", limit=3, **filters)
    assert len({each["target"] for each in found}) == len(found)
    return {each["target"]: each for each in found}


async def state(caller: Caller, task: dict[str, Any]) -> tuple[str, Counter[str]]:
    """The status of a task, and how many of its details are in which; its progress says the same."""
    shown = (await caller.get(f"{TASKS}/{task['task_id']}", limit=1))["batchtask"]
    counts = Counter(each["status"] for each in (await details(caller, task)).values())
    fields = {"FailWaitRetry": "fail_wait_retry"}
    progress = dict.fromkeys(shown["task_progress"], 0) | {
        fields.get(word, word.lower()): count for word, count in counts.items()
    }
    assert shown["task_progress"] == {**progress, "total": counts.total()}
    return shown["status"], counts


async def act(
    caller: Caller, verb: str, task: dict[str, Any], targets: Sequence[str] | None = None
) -> tuple[int, list[tuple[str, str]]]:
    """Stop, retry or confirm; the status of the answer, and each target's."""
    body = {} if targets is None else {"targets": list(targets)}
    status, answer = await caller.send("POST", f"{TASKS}/{task['task_id']}/{verb}", body)
    results = answer.get("targets", [])
    assert all(("error_code" in each and "error_msg" in each) == (each["status"] == "failure") for each in results)
    return status, [(each["target"], each["status"]) for each in results]


def plan_fields() -> dict[str, Any]:
    """The times of the quick plan."""
    return {"pending_seconds": 2, "published_seconds": 4, "upgrading_seconds": 10, "spread": 0, "failing_share": 0}
