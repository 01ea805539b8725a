"""The IoTDA emulator's records, errors and settings, and the oracle that tests compare the client with."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import aiohttp
import pytest

from otaclient.emulator import Fleet
from otaclient.models import Checksum, Connection, FirmwareKind, JobStatus
from otaclient_iotda.config import AkSkCredentials, PasswordCredentials, TokenCredentials
from otaclient_iotda.emulator import AccessKey, IotdaEmulator, packages, render
from otaclient_iotda.emulator.filters import wire_time

FLEET = Fleet.generate(devices=900, seed=11)
PROJECT = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
KINDS = ("firmware", "software", "module")


@pytest.fixture
async def emulator() -> AsyncIterator[IotdaEmulator]:
    """A running emulator over the shared fleet."""
    async with IotdaEmulator(FLEET) as running:
        yield running


async def ask(
    emulator: IotdaEmulator, path: str, *, method: str = "GET", data: io.BytesIO | None = None, **parameters: str
) -> tuple[int, dict[str, Any], Mapping[str, str]]:
    """Status, body and headers of an answer."""
    headers = {"X-Auth-Token": emulator.ready_token}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, emulator.url + path, params=parameters, headers=headers, data=data) as response,
    ):
        return response.status, await response.json(content_type=None), response.headers


async def everything(emulator: IotdaEmulator, path: str, rows: str, **parameters: str) -> list[dict[str, Any]]:
    """All rows of a list."""
    found: list[dict[str, Any]] = []
    marker: dict[str, str] = {}
    while True:
        query: dict[str, Any] = {"limit": "50", **parameters, **marker}
        status, body, _ = await ask(emulator, f"/v5/iot/{PROJECT}/{path}", **query)
        assert status == 200, body
        if not body[rows]:
            return found
        found += body[rows]
        marker = {"marker": body["page"]["marker"]}


# --- devices ---------------------------------------------------------------------------------------------------------


async def test_devices_are_those_of_the_fleet(emulator: IotdaEmulator) -> None:
    """Every row says what the oracle says."""
    rows = await everything(emulator, "devices", "devices")
    expected = list(emulator.expected_devices("plant"))
    assert len(rows) == len(expected) == 900
    for row, device in zip(rows, expected, strict=True):
        assert device.backend == "plant"
        assert row["device_id"] == device.device_id == f"{device.product_id}_{device.device_key}"
        assert row["node_id"] == device.device_key
        assert row["product_id"] == device.product_id
        assert row["app_id"] == device.owner_id
        assert row.get("fw_version") == device.firmware_version
        assert row.get("sw_version") == device.software_version
        assert row["status"] == device.vendor_connection
        assert row["status"].lower() == device.connection
        assert device.upgrading is None


async def test_rows_of_devices_are_not_all_alike(emulator: IotdaEmulator) -> None:
    """Rows try what a client has to tolerate: missing and null fields, and fields that nobody knows."""
    rows = await everything(emulator, "devices", "devices")
    silent = [row for row in rows if row["status"] == "INACTIVE"]
    assert {"fw_version" in row for row in silent} == {True, False}
    assert all(row.get("fw_version") is None and row.get("sw_version") is None for row in silent)
    assert any("tags" in row and row["tags"] is None for row in rows)
    assert any("tags" not in row for row in rows)
    assert any(row.get("tags") for row in rows)
    assert {"product_name" in row for row in rows} == {True, False}
    assert any("emulated_field" in row for row in rows)
    assert any("description" in row and row["description"] is None for row in rows)
    assert any("设备" in row["device_name"] for row in rows)
    assert not any("create_time" in row or "auth_info" in row for row in rows)


async def test_device_alone_has_times_and_secrets(emulator: IotdaEmulator) -> None:
    """The show operation adds the registration time, modules and the secrets that no client may show."""
    seen: list[dict[str, Any]] = []
    for row in range(24):
        device_id = f"{FLEET.devices.product_id(row)}_{FLEET.devices.key(row)}"
        status, body, _ = await ask(emulator, f"/v5/iot/{PROJECT}/devices/{device_id}")
        assert status == 200
        assert body["device_id"] == device_id
        assert body["auth_info"]["secret"].startswith("emulated-secret-")
        assert body["create_time"] == wire_time(FLEET.devices.registered_at_s[row])
        seen.append(body)
    active = [body for body in seen if body["status"] != "INACTIVE"]
    assert all(("active_time" in body) == (body in active) for body in seen)
    assert any(body["active_time"] == "2015-12-12T12:12:122Z" for body in active)
    assert any(body["active_time"].endswith(":00.000Z") or len(body["active_time"]) == 24 for body in active)
    assert {bool(body["modules"]) for body in active} == {True, False}


async def test_children_of_a_gateway(emulator: IotdaEmulator) -> None:
    """A gateway's children are found by its id, theirs only with a cascade; a direct device is its own gateway."""

    async def below(row: int, **parameters: str) -> set[str]:
        gateway_id = f"{FLEET.devices.product_id(row)}_{FLEET.devices.key(row)}"
        rows = await everything(emulator, "devices", "devices", gateway_id=gateway_id, **parameters)
        return {each["node_id"] for each in rows}

    keys = [FLEET.devices.key(row) for row in range(40)]
    assert await below(20) == {keys[37], keys[38]}
    assert await below(20, is_cascade_query="false") == {keys[37], keys[38]}
    assert await below(20, is_cascade_query="true") == {keys[37], keys[38], keys[39]}
    assert await below(38) == {keys[39]}
    assert await below(21) == set()
    _, body, _ = await ask(emulator, f"/v5/iot/{PROJECT}/devices", node_id=keys[21])
    assert body["devices"][0]["gateway_id"] == body["devices"][0]["device_id"]


# --- packages --------------------------------------------------------------------------------------------------------


async def test_packages_are_those_of_the_fleet(emulator: IotdaEmulator) -> None:
    """Every package says what the oracle says, and no list has the place of a file."""
    rows: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        listed = await everything(emulator, "ota-upgrades/packages", "packages", package_type=f"{kind}Package")
        rows |= {row["package_id"]: row for row in listed}
    expected = list(emulator.expected_firmware("plant"))
    assert len(rows) == len(expected) == len(FLEET.firmware)
    for firmware in expected:
        row = rows[firmware.firmware_id]
        assert row["package_type"] == firmware.vendor_kind == f"{firmware.kind}Package"
        assert (row["product_id"], row["app_id"], row["version"]) == (
            firmware.product_id,
            firmware.owner_id,
            firmware.version,
        )
        assert tuple(row.get("support_source_versions") or ()) == firmware.source_versions
        assert row.get("description") == firmware.description
        assert row.get("custom_info") == firmware.custom_info
        assert firmware.created_at is not None
        assert row["create_time"] == firmware.created_at.strftime("%Y%m%dT%H%M%SZ")
        assert ("module_name" in row) == (firmware.kind is FirmwareKind.MODULE)
        assert "file_location" not in row
    assert sorted(expected, key=lambda each: str(each.created_at), reverse=True) == expected
    spelled = {json.dumps(row.get("support_source_versions", "missing")) for row in rows.values()}
    assert {'"missing"', "null", "[]"} <= spelled
    assert any("emulated_field" in row for row in rows.values())
    assert {"product_name" in row for row in rows.values()} == {True, False}


async def test_package_alone_has_its_location(emulator: IotdaEmulator) -> None:
    """The show operation adds where the file is and its digest, as the oracle says."""
    expected = {firmware.firmware_id: firmware for firmware in emulator.expected_firmware("plant", located=True)}
    for record in FLEET.firmware[:4]:
        status, body, _ = await ask(emulator, f"/v5/iot/{PROJECT}/ota-upgrades/packages/{packages.package_id(record)}")
        assert status == 200
        location = body["file_location"]["obs_location"]
        firmware = expected[body["package_id"]]
        assert location["object_key"].endswith(record.file_name)
        assert firmware.location == f"obs://{location['bucket_name']}/{location['object_key']}"
        assert firmware.checksum == Checksum(algorithm="sha256", value=location["sign"])
        assert location["sign"] == hashlib.sha256(record.content()).hexdigest()
        assert body["version"] == record.version


async def test_filters_of_packages(emulator: IotdaEmulator) -> None:
    """Product, version and resource space narrow the list; all of them together too."""
    record = next(each for each in FLEET.firmware if each.kind is FirmwareKind.FIRMWARE)
    filters = {
        "product_id": record.product_id,
        "version": record.version,
        "app_id": render.app_id(FLEET, record.product_id),
    }
    common = {"package_type": "firmwarePackage"}
    everywhere = await everything(emulator, "ota-upgrades/packages", "packages", **common)
    for name, value in filters.items():
        found = await everything(emulator, "ota-upgrades/packages", "packages", **common, **{name: value})
        assert found == [row for row in everywhere if row[name] == value]
        assert found != everywhere
    found = await everything(emulator, "ota-upgrades/packages", "packages", **common, **filters)
    assert [row["package_id"] for row in found] == [packages.package_id(record)]


# --- tasks -----------------------------------------------------------------------------------------------------------


async def test_tasks_are_those_of_the_fleet(emulator: IotdaEmulator) -> None:
    """Every task says what the oracle says, in the newer or the older spelling."""
    rows: dict[str, dict[str, Any]] = {}
    for kind in KINDS:
        listed = await everything(emulator, "batchtasks", "batchtasks", task_type=f"{kind}Upgrade")
        rows |= {row["task_id"]: row for row in listed}
    expected = list(emulator.expected_jobs("plant"))
    assert len(rows) == len(expected) == len(FLEET.jobs)
    for job in expected:
        row = rows[job.job_id]
        document = row["document"]
        assert tuple(document.get("package_ids") or [document["package_id"]]) == job.firmware_ids
        assert row["task_name"] == str(job.name)
        assert row["status"] == job.vendor_status
        assert row.get("status_desc") == job.status_description
        assert (row.get("status_desc") is not None) == (job.status is JobStatus.FAILED)
        assert job.scope is not None
        assert tuple(row.get("targets", ())) == job.scope.devices
        assert tuple(row.get("targets_filter", {}).get("group_ids", ())) == job.scope.groups
        assert job.policy is not None
        assert row.get("need_confirm") == job.policy.hold
        policy = row.get("task_policy") or {}
        assert policy.get("retry_count") == (job.policy.retry.count if job.policy.retry else None)
        assert ("schedule_time" in policy) == (job.policy.schedule is not None)
        progress = row["task_progress"]
        assert job.progress is not None
        assert progress["total"] == job.progress.total == sum(progress.values()) - progress["total"]
        assert progress["processing"] == job.progress.upgrading
        assert progress["waitting"] == job.progress.pending
        assert progress["stopped"] == job.progress.cancelled
        assert progress.get("removed") == job.progress.removed
    assert {"package_ids" in row["document"] for row in rows.values()} == {True, False}
    assert {"removed" in row["task_progress"] for row in rows.values()} == {True, False}
    assert {"targets" in row for row in rows.values()} == {True, False}
    assert any(row.get("task_policy", 0) is None for row in rows.values())


async def test_task_alone_is_the_task_of_the_list(emulator: IotdaEmulator) -> None:
    """The show operation gives the same task, with details that say why a device failed."""
    listed = await everything(emulator, "batchtasks", "batchtasks", task_type="firmwareUpgrade")
    texts: list[str] = []
    for row in listed:
        details = await everything(emulator, f"batchtasks/{row['task_id']}", "task_details")
        status, body, _ = await ask(emulator, f"/v5/iot/{PROJECT}/batchtasks/{row['task_id']}")
        assert status == 200
        assert body["batchtask"] == row
        assert len(details) == row["task_progress"]["total"]
        texts += [detail["error"]["error_msg"] for detail in details if detail["status"] == "Fail"]
        assert all(("error" in detail) == (detail["status"] in {"Fail", "FailWaitRetry"}) for detail in details)
    assert len(set(texts)) > 1


async def test_tasks_of_a_resource_space(emulator: IotdaEmulator) -> None:
    """The resource space narrows the list of tasks."""
    found: set[str] = set()
    for app_id in {render.app_id(FLEET, product.product_id) for product in FLEET.products}:
        rows = await everything(emulator, "batchtasks", "batchtasks", task_type="firmwareUpgrade", app_id=app_id)
        assert not found & {row["task_id"] for row in rows}
        found |= {row["task_id"] for row in rows}
    firmware_jobs = {job.job_id for job in FLEET.jobs if job.firmware_kind is FirmwareKind.FIRMWARE}
    assert found == firmware_jobs


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/v5/iot/{PROJECT}/ota-upgrades/packages/nosuch", 404, "IOTDA.000029"),
        (f"/v5/iot/{PROJECT}/batchtasks/0123456789abcdef01234567", 404, "IOTDA.000029"),
        (f"/v5/iot/{PROJECT}/devices/nosuch_device", 404, "IOTDA.000029"),
        (f"/v5/iot/{PROJECT}/devices/{FLEET.devices.product_id(0)}_nosuch", 404, "IOTDA.000029"),
        (f"/v5/iot/{PROJECT}/ota-upgrades/packages/a.b", 400, "IOTDA.000006"),
        (f"/v5/iot/{PROJECT}/batchtasks/NOT-A-TASK", 400, "IOTDA.000006"),
        (f"/v5/iot/{PROJECT}/devices/a.b", 400, "IOTDA.000006"),
        ("/v5/iot/ffffffffffffffffffffffffffffffff/devices", 403, "IOTDA.000021"),
        (f"/v5/iot/{PROJECT}/nosuch", 404, "APIGW.0101"),
    ],
)
async def test_what_does_not_exist(emulator: IotdaEmulator, path: str, status: int, code: str) -> None:
    """Unknown things, foreign projects and unknown paths have their own answers, each with a request id."""
    answered, body, headers = await ask(emulator, path)
    assert (answered, body["error_code"]) == (status, code)
    assert headers["X-Request-Id"]
    assert body.get("request_id") == (headers["X-Request-Id"] if code.startswith("APIGW") else None)


@pytest.mark.blocks_loop("encodes 12 MiB inside the loop")
async def test_wrong_method_and_large_body(emulator: IotdaEmulator) -> None:
    """The gateway knows no other method for a path, and limits the size of a body."""
    status, body, _ = await ask(emulator, f"/v5/iot/{PROJECT}/devices", method="DELETE")
    assert (status, body["error_code"]) == (404, "APIGW.0101")
    largest = b" " * (12 * 1024 * 1024)
    status, body, _ = await ask(emulator, "/v3/auth/tokens", method="POST", data=io.BytesIO(largest))
    assert (status, body["error"]["code"]) == (400, 400)
    status, body, _ = await ask(emulator, "/v3/auth/tokens", method="POST", data=io.BytesIO(largest + b" "))
    assert (status, body["error_code"]) == (413, "APIGW.0201")


@pytest.mark.parametrize(("length", "status"), [(36, 200), (37, 400)])
async def test_instance_id(emulator: IotdaEmulator, length: int, status: int) -> None:
    """The header that names an instance has at most 36 characters."""
    headers = {"X-Auth-Token": emulator.ready_token, "Instance-Id": "i" * length}
    async with aiohttp.ClientSession(emulator.url, headers=headers) as session:
        async with session.get(f"/v5/iot/{PROJECT}/devices") as response:
            assert response.status == status
            assert ("Instance-Id" in await response.text()) is (status == 400)


@pytest.mark.parametrize(
    ("method", "content_type", "status", "code"),
    [
        ("POST", "application/json", 400, "IOTDA.000006"),
        ("POST", "application/json;charset=utf8", 400, "IOTDA.000006"),
        ("POST", None, 400, "IOTDA.000006"),
        ("POST", "text/plain", 400, "IOTDA.000008"),
        ("POST", "json", 400, "IOTDA.000008"),
        ("DELETE", "text/plain", 404, "IOTDA.000029"),
    ],
)
async def test_media_type(
    emulator: IotdaEmulator, method: str, content_type: str | None, status: int, code: str
) -> None:
    """A body that is read must not say that it is something else than JSON; what is not read may say anything."""
    headers = {"X-Auth-Token": emulator.ready_token} | ({} if content_type is None else {"Content-Type": content_type})
    url = f"{emulator.url}/v5/iot/{PROJECT}/ota-upgrades/packages{'' if method == 'POST' else '/nosuch'}"
    async with aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session:
        async with session.request(method, url, headers=headers, data=b"{}") as response:
            assert (response.status, (await response.json())["error_code"]) == (status, code)


async def test_failure_inside_is_the_services_500(emulator: IotdaEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug of the emulator is answered as the service's own failure."""

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(packages.PackageBook, "row", broken)
    status, body, headers = await ask(
        emulator, f"/v5/iot/{PROJECT}/ota-upgrades/packages", package_type="firmwarePackage"
    )
    assert (status, body) == (500, {"error_code": "IOTDA.000001", "error_msg": "Internal server error."})
    assert headers["X-Request-Id"]


async def test_request_ids_differ(emulator: IotdaEmulator) -> None:
    """No two answers share a request id."""
    answers = [await ask(emulator, f"/v5/iot/{PROJECT}/devices") for _ in range(3)]
    assert len({headers["X-Request-Id"] for _, _, headers in answers}) == 3


async def test_requests_are_counted_and_faults_strike(emulator: IotdaEmulator) -> None:
    """Requests are counted by operation, under the names by which faults find them."""
    emulator.faults.inject("devices.search", status=429, body=b'{"error_code":"APIGW.0308","error_msg":"x"}')
    assert (await ask(emulator, f"/v5/iot/{PROJECT}/devices"))[0] == 429
    assert (await ask(emulator, f"/v5/iot/{PROJECT}/devices"))[0] == 200
    await ask(emulator, f"/v5/iot/{PROJECT}/batchtasks", task_type="firmwareUpgrade")
    await ask(emulator, "/elsewhere")
    assert emulator.served == {"devices.search": 2, "jobs.search": 1, "other": 1}


async def test_many_at_once(emulator: IotdaEmulator) -> None:
    """Requests that overlap are all answered."""
    answers = await asyncio.gather(*(ask(emulator, f"/v5/iot/{PROJECT}/devices") for _ in range(20)))
    assert {status for status, _, _ in answers} == {200}


# --- settings --------------------------------------------------------------------------------------------------------


async def test_environment_and_config_of_a_plain_signature(emulator: IotdaEmulator) -> None:
    """Without a wish, the client is told to sign with the published key."""
    assert emulator.environment() == {
        "OTACLIENT_IOTDA_ENDPOINT": emulator.url,
        "OTACLIENT_IOTDA_PROJECT_ID": PROJECT,
        "OTACLIENT_IOTDA_AUTH": "aksk",
        "OTACLIENT_IOTDA_ACCESS_KEY": "EMULATORACCESSKEY",
        "OTACLIENT_IOTDA_SECRET_KEY": "emulator-secret-key",
    }
    config = emulator.config()
    assert (config.endpoint, config.project_id) == (emulator.url, PROJECT)
    assert isinstance(config.credentials, AkSkCredentials)
    assert config.credentials.derived is False


async def test_environment_and_config_of_a_derived_signature() -> None:
    """A dedicated endpoint wants a derived signature, which needs the region."""
    keys = {"TEMPORARY": AccessKey(secret_key="temporary-secret", security_token="temporary-token")}
    async with IotdaEmulator(FLEET, edition="standard", keys=keys, region="cn-east-3") as emulator:
        environment = emulator.environment()
        credentials = emulator.config().credentials
    assert environment["OTACLIENT_IOTDA_AUTH"] == "derived"
    assert environment["OTACLIENT_IOTDA_REGION"] == "cn-east-3"
    assert environment["OTACLIENT_IOTDA_SECURITY_TOKEN"] == "temporary-token"
    assert isinstance(credentials, AkSkCredentials)
    assert (credentials.derived, credentials.region, credentials.access_key) == (True, "cn-east-3", "TEMPORARY")


async def test_environment_and_config_of_a_password(emulator: IotdaEmulator) -> None:
    """The identity service is on the same address."""
    environment = emulator.environment(auth="password")
    assert environment["OTACLIENT_IOTDA_IAM_ENDPOINT"] == emulator.url
    assert environment["OTACLIENT_IOTDA_PASSWORD"] == "emulator-password"
    assert environment["OTACLIENT_IOTDA_PROJECT"] == "cn-north-4"
    credentials = emulator.config(auth="password").credentials
    assert isinstance(credentials, PasswordCredentials)
    assert (credentials.username, credentials.domain) == ("emulator-user", "emulator-domain")


async def test_environment_and_config_of_a_token(emulator: IotdaEmulator) -> None:
    """The ready token needs nothing else."""
    assert emulator.environment(auth="token")["OTACLIENT_IOTDA_TOKEN"] == emulator.ready_token
    assert isinstance(emulator.config(auth="token").credentials, TokenCredentials)


def test_oracle_covers_every_connection_and_status() -> None:
    """The fleet that tests run on has devices of each connection, and jobs in most states."""
    emulator = IotdaEmulator(FLEET)
    assert {device.connection for device in emulator.expected_devices("x")} >= {
        Connection.ONLINE,
        Connection.OFFLINE,
        Connection.INACTIVE,
    }
    assert len({job.status for job in emulator.expected_jobs("x")}) >= 6
