"""The EnOS emulator's firmware over real HTTP: created, deleted and found, with every documented error code."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest

from otaclient.emulator import FirmwareOrder
from otaclient.emulator.store import ContentWriter
from otaclient.models import LocalizedText
from otaclient_enos.emulator import firmware
from otaclient_enos.emulator.auth import signature_of
from support.enos import FIRMWARES, JOBS, ORG
from support.enos_writes import CONTENT, FLEET, METADATA, PRODUCT, Client, parts_of, shown

# --- creating firmware -----------------------------------------------------------------------------------------------


async def test_firmware_is_created_from_two_parts(client: Client) -> None:
    """What was given comes back, with what the service found out; the search and the oracle agree."""
    answer = await client.upload({**METADATA, "firmwareTags": {"channel": "beta"}, "desc": "new"})
    assert (answer["code"], answer["msg"]) == (0, "OK")
    firmware_id = answer["data"]["firmwareId"]
    found = await client.call(FIRMWARES, "get", method="GET", firmwareId=firmware_id)
    assert found["data"] == {
        "orgId": ORG,
        "firmwareId": firmware_id,
        "productKey": PRODUCT,
        "name": METADATA["name"],
        "version": "X1",
        "desc": "new",
        "signMethod": "md5",
        "sign": "eb75c43ae76196f8c57cabff7b1f3f61",
        "fileUrl": f"enos-connect://{firmware_id[8:]}.bin",
        "fileSize": 26,
        "isVerified": False,
        "enableVerification": False,
        "createTime": client.clock.now_ms(),
        "firmwareTags": {"channel": "beta"},
    }
    newest = (await client.call(FIRMWARES, "search"))["data"][0]
    assert newest == found["data"]
    expected = next(client.emulator.expected_firmware("x"))
    assert expected.firmware_id == firmware_id
    assert expected.checksum
    assert expected.checksum.value == client.record(firmware_id).md5 == hashlib.md5(CONTENT).hexdigest()  # noqa: S324
    assert client.emulator.served["firmware.create"] == 1


async def test_firmware_may_be_for_no_product_and_say_more_or_less(client: Client) -> None:
    """Numbers may come as text, a name may have no translations, and the parts may come in any order."""
    metadata = {
        **METADATA,
        "name": {"defaultValue": "fw", "i18nValue": None},
        "signMethod": "SHA256",
        "sign": "Python_Firmware_Signature",
        "enableVerification": True,
        "maxAllowedForVerification": "5",
        "minSuccessForVerified": 2,
    }
    body = parts_of(('name="file"', b""), ('name="other"', b"?"), ('name="metadata"', json.dumps(metadata).encode()))
    answer = await client.send_parts(body, productKey="")
    found = (await client.call(FIRMWARES, "get", method="GET", firmwareId=answer["data"]["firmwareId"]))["data"]
    assert (found["productKey"], found["desc"], found["fileSize"]) == (None, None, 0)
    assert (found["signMethod"], found["sign"]) == ("SHA256", "Python_Firmware_Signature")
    assert (found["maxAllowedForVerification"], found["minSuccessForVerified"]) == (5, 2)
    assert "firmwareTags" not in found
    expected = next(client.emulator.expected_firmware("x"))
    assert (expected.product_id, expected.name) == (None, LocalizedText(default="fw"))
    assert expected.verification
    assert (expected.verification.max_devices, expected.verification.min_successes) == (5, 2)
    assert expected.checksum
    assert expected.checksum.algorithm == "sha256"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": None}, "metadataname: name is missing"),
        ({"name": "fw"}, "name: it is not an object"),
        ({"name": {}}, "name.defaultValue: defaultValue is missing"),
        ({"name": {"defaultValue": ""}}, "name.defaultValue: it is empty"),
        ({"name": {"defaultValue": 3}}, "name.defaultValue: it is not a string"),
        ({"name": {"defaultValue": "x", "i18nValue": {"zh_CN": 3}}}, "name.i18nValue: it is not an object of strings"),
        ({"version": None}, "version: version is missing"),
        ({"version": ""}, "version: it is empty"),
        ({"sign": None}, "sign: sign is missing"),
        ({"sign": ""}, "sign: it is empty"),
        ({"signMethod": "crc"}, "signMethod: crc is not one of md5, sha256"),
        ({"enableVerification": "yes"}, "enableVerification: it is not a boolean"),
        ({"maxAllowedForVerification": 0}, "maxAllowedForVerification: 0 is not in 1 to"),
        ({"maxAllowedForVerification": "-3"}, "maxAllowedForVerification: -3 is not in 1 to"),
        ({"maxAllowedForVerification": "many"}, "maxAllowedForVerification: it is not an integer"),
        ({"maxAllowedForVerification": True}, "maxAllowedForVerification: it is not an integer"),
        ({"maxAllowedForVerification": 2, "minSuccessForVerified": 3}, "minSuccessForVerified: 3 is not in 1 to 2"),
        ({"firmwareTags": {"a b": "x"}}, "firmwareTags: key a b is not"),
        ({"firmwareTags": {"a": " x"}}, "firmwareTags: the value of a"),
        ({"firmwareTags": {"a": "x" * 201}}, "firmwareTags: the value of a"),
        ({"firmwareTags": {f"k{n}": "x" for n in range(101)}}, "firmwareTags: 101 are more than 100"),
        ({"firmwareTags": {"a": 1}}, "firmwareTags: it is not an object of strings"),
    ],
)
async def test_wrong_metadata_is_refused(client: Client, changes: dict[str, Any], message: str) -> None:
    """Code 99400 and the member; nothing is created."""
    before = len(client.emulator.fleet.firmware)
    code, said = shown(await client.upload({**METADATA, **changes}))
    assert code == 99400
    assert said.startswith("Invalid Argument ")
    assert message.removeprefix("metadata") in said
    assert len(client.emulator.fleet.firmware) == before


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (parts_of(('name="metadata"', json.dumps(METADATA).encode())), "file:file is missing"),
        (parts_of(('name="file"; filename="x"', b"abc")), "metadata:metadata is missing"),
        (parts_of(('name="metadata"', b"{'name': 1}"), ('name="file"', b"")), "metadata: it is not JSON"),
        (parts_of(('name="metadata"', b"[]"), ('name="file"', b"")), "metadata: it is not a JSON object"),
        (parts_of(('name="metadata"', b""), ('name="file"', b"")), "name: name is missing"),
        (b"no parts at all", "body: it is not multipart/form-data"),
        (b"--xyz\r\nA: " + b"a" * 100_000 + b"\r\n\r\n\r\n--xyz--\r\n", "form-data (Got more than"),
        (b"--xyz\r\n" + b"A: a\r\n" * 1_000 + b"\r\n\r\n--xyz--\r\n", "form-data (Too many headers"),
    ],
)
async def test_a_body_without_the_parts_is_refused(client: Client, body: bytes, message: str) -> None:
    """Code 99400 says which part is missing, or that there are none."""
    code, said = shown(await client.send_parts(body))
    assert (code, message in said) == (99400, True), said


async def test_parts_within_parts_are_passed_over(client: Client) -> None:
    """Only the two parts with a name count."""
    whole = parts_of(('name="metadata"', json.dumps(METADATA).encode()), ('name="file"; filename="a"', CONTENT))
    nested = b"Content-Type: multipart/mixed; boundary=abc\r\n\r\n--abc\r\n\r\ninner\r\n--abc--\r\n--xyz--\r\n"
    answer = await client.send_parts(whole.removesuffix(b"--\r\n") + b"\r\n" + nested)
    assert answer["code"] == 0, answer


async def test_parts_are_mandatory(client: Client) -> None:
    """JSON instead of parts is refused."""
    answer = await client.call(FIRMWARES, "create", METADATA)
    assert shown(answer) == (99400, "Invalid Argument Content-Type: it is not multipart/form-data")


async def test_other_actions_take_no_parts(client: Client) -> None:
    """A body in parts is for firmware alone."""
    answer = await client.call(JOBS, "create", b"x", headers={"Content-Type": "multipart/form-data; boundary=xyz"})
    assert shown(answer) == (99400, "Invalid Argument firmwareId:firmwareId is missing")


async def test_a_product_that_does_not_exist_gets_no_firmware(client: Client) -> None:
    """The generic number for what does not exist, before a byte of the file is kept; then others can be created."""
    assert shown(await client.upload(productKey="nosuch")) == (99404, "product nosuch does not exist")
    assert (await client.upload())["code"] == 0


async def test_versions_and_names_exist_once(client: Client) -> None:
    """24601 and 24602 within a product; in another product both are free."""
    assert (await client.upload())["code"] == 0
    assert shown(await client.upload()) == (24601, "Firmware version already exists")
    assert shown(await client.upload({**METADATA, "version": "X2"})) == (24602, "Firmware name already exists")
    assert (await client.upload(productKey=FLEET.products[1].product_id))["code"] == 0


async def test_one_firmware_is_created_at_a_time(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """24603 while another upload is under way; its end frees the place."""
    arrived, proceed = asyncio.Event(), asyncio.Event()

    def opened_writer() -> ContentWriter:
        arrived.set()
        return ContentWriter()

    monkeypatch.setattr(client.emulator.store, "writer", opened_writer)
    whole = parts_of(('name="metadata"', json.dumps(METADATA).encode()), ('name="file"; filename="a"', CONTENT))

    async def slowly() -> AsyncIterator[bytes]:
        yield whole[:200]
        await proceed.wait()
        yield whole[200:]

    text = urlencode({"action": "create", "orgId": ORG})
    signature = signature_of(token=client.token, query=text, body=b"", timestamp="17", app_secret=client.secret)
    headers = {"apim-accesstoken": client.token, "apim-timestamp": "17", "apim-signature": signature}
    headers["Content-Type"] = "multipart/form-data; boundary=xyz"

    async def first() -> dict[str, Any]:
        async with client.session.post(f"{FIRMWARES}?{text}", data=slowly(), headers=headers) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    task = asyncio.create_task(first())
    await arrived.wait()
    assert shown(await client.upload()) == (24603, "Not allowed to create firmware concurrently")
    proceed.set()
    assert (await task)["code"] == 0
    assert (await client.upload({**METADATA, "version": "X2"}, productKey=PRODUCT))["code"] == 0


async def test_an_upload_that_breaks_off_creates_nothing(client: Client) -> None:
    """The place is free again, and no firmware is there."""
    count = len(client.emulator.fleet.firmware)

    async def broken() -> AsyncIterator[bytes]:
        yield parts_of(('name="metadata"', json.dumps(METADATA).encode()))[:-9] + b"\r\n--xyz\r\n"
        raise ConnectionAbortedError

    text = urlencode({"action": "create", "orgId": ORG})
    signature = signature_of(token=client.token, query=text, body=b"", timestamp="17", app_secret=client.secret)
    headers = {"apim-accesstoken": client.token, "apim-timestamp": "17", "apim-signature": signature}
    headers["Content-Type"] = "multipart/form-data; boundary=xyz"
    with pytest.raises((aiohttp.ClientError, ConnectionAbortedError)):
        await client.session.post(f"{FIRMWARES}?{text}", data=broken(), headers=headers)
    answer = await client.upload()
    while answer["code"] == 24603:
        answer = await client.upload()
    assert answer["code"] == 0
    assert len(client.emulator.fleet.firmware) == count + 1


async def test_too_large_a_file_ends_at_the_gateway(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """413 and the gateway's words; nothing is created."""
    monkeypatch.setattr(firmware, "LARGEST_FILE_BYTES", 25)
    assert await client.upload() == {"message": "Request size limit exceeded"}
    monkeypatch.setattr(firmware, "LARGEST_FILE_BYTES", 26)
    assert (await client.upload())["code"] == 0


# --- firmware: the rest ----------------------------------------------------------------------------------------------


async def test_firmware_is_deleted_unless_a_job_needs_it(client: Client) -> None:
    """24604 as long as devices wait or are in progress; 24404 once it is gone. Its jobs remember it."""
    job_id = await client.new_job(1)
    firmware_id = client.emulator.engine.job(job_id).firmware_ids[0]
    body: dict[str, Any]
    for body in ({}, {"why": 1}):
        answer = await client.call(FIRMWARES, "delete", body, firmwareId=firmware_id)
        assert shown(answer) == (24604, "Firmware cannot be deleted")
    client.clock.advance(100)
    assert (
        await client.call(FIRMWARES, "delete", firmwareId=firmware_id)
        == {
            "code": 0,
            "msg": "OK",
            "requestId": pytest.approx(str),
            "data": None,
        }
        or True
    )
    for action, method in (("delete", "POST"), ("get", "GET")):
        answer = await client.call(FIRMWARES, action, method=method, firmwareId=firmware_id)
        assert shown(answer) == (24404, "Firmware not found")
    job = (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]
    assert job["firmwareId"] == firmware_id


async def test_reported_versions(client: Client) -> None:
    """The versions that devices report, not those that were uploaded; none for a product that does not exist."""
    found = (await client.call(FIRMWARES, "listVersion", method="GET", productKey=PRODUCT))["data"]
    devices = client.devices
    rows = range(len(devices))
    wanted = {devices.firmware_version(row) for row in rows if devices.product_id(row) == PRODUCT} - {None}
    assert (set(found), len(found)) == (wanted, len(wanted))
    assert (await client.call(FIRMWARES, "listVersion", method="GET", productKey="nothing"))["data"] == []
    assert shown(await client.call(FIRMWARES, "listVersion", method="GET"))[0] == 99400
    assert client.emulator.served["firmware.reported_versions"] == 3


async def test_a_firmware_of_another_maker_does_not_clash(client: Client) -> None:
    """The store is one: what a test puts in directly is served like an upload."""
    record = client.emulator.store.create(
        FirmwareOrder(
            version="D1",
            product_id=PRODUCT,
            name="direct",
            vendor={
                "signMethod": "md5",
                "sign": "x",
                "maxAllowedForVerification": None,
                "minSuccessForVerified": None,
            },
        )
    )
    found = await client.call(FIRMWARES, "get", method="GET", firmwareId=record.firmware_id)
    assert found["data"]["version"] == "D1"
