"""The EnOS emulator's writes over real HTTP: firmware, files, jobs and tasks, with every documented error code."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any
from urllib.parse import urlencode

import aiohttp
import attrs
import pytest

from otaclient.emulator import FirmwareOrder, FirmwareRecord, Fleet, JobPlan, ManualClock
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.refusals import NoSuchJobError
from otaclient.emulator.remarks import DOWNLOAD_FAILED, IGNORED, OFFLINE, Remark
from otaclient.emulator.store import ContentWriter
from otaclient.models import (
    FirmwareKind,
    FrozenMap,
    JobScope,
    JobStatus,
    LocalizedText,
    PolicyMode,
    RetrySchedule,
    TaskStatus,
)
from otaclient_enos.emulator import EnosEmulator, firmware, new_job
from otaclient_enos.emulator.auth import signature_of
from otaclient_enos.emulator.files import Part, part_of
from otaclient_enos.emulator.selection import STATUS_WORDS

FLEET = Fleet.generate(devices=400, jobs=8)
PRODUCT = FLEET.products[0].product_id
ORG = "o15475466766371"
FIRMWARES = "/connect-service/v2.1/ota-firmwares"
JOBS = "/connect-service/v2.1/ota-jobs"
FILES = "/connect-service/v2.1/files"
SURE = JobPlan(pending_seconds=1, published_seconds=5, upgrading_seconds=60, spread=0, failing_share=0)
CONTENT = b"EnOS firmware test vector\n"
METADATA = {
    "name": {"defaultValue": "fw", "i18nValue": {"zh_CN": "固件"}},
    "version": "X1",
    "signMethod": "md5",
    "sign": "eb75c43ae76196f8c57cabff7b1f3f61",
    "enableVerification": False,
}
UPGRADE = {
    "name": {"defaultValue": "Upgrade_Job", "i18nValue": {"zh_CN": "OTA_升级工作"}},
    "type": "upgrade",
    "upgradeScope": {"type": "total", "versionNumbers": []},
    "upgradePolicy": "snapshot",
    "enableUpgradeRequest": True,
}


def parts_of(*parts: tuple[str, bytes]) -> bytes:
    """A body in several parts: each with the parameters of its disposition."""
    pieces = [
        b"--xyz\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + body + b"\r\n"
        for head, body in parts
    ]
    return b"".join([*pieces, b"--xyz--\r\n"])


class Client:
    """A client of a few lines, so that the emulator is not judged by the SDK it judges."""

    def __init__(self, emulator: EnosEmulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.token = ""
        self.secret = emulator.environment()["OTACLIENT_ENOS_APP_SECRET"]
        self.devices = emulator.fleet.devices

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.emulator.clock, ManualClock)
        return self.emulator.clock

    async def log_in(self) -> None:
        at = self.clock.now_ms()
        digest = hashlib.sha256(f"{self.emulator.app_key}{at}{self.secret}".encode()).hexdigest()
        fields = {"appKey": self.emulator.app_key, "encryption": digest, "timestamp": at}
        async with self.session.post("/apim-token-service/v2.0/token/get", json=fields) as response:
            self.token = (await response.json())["data"]["accessToken"]

    async def call(
        self,
        path: str,
        action: str,
        body: Any = None,
        *,
        method: str = "POST",
        headers: Mapping[str, str] | None = None,
        **query: str,
    ) -> dict[str, Any]:
        """Send a signed request and return the envelope; a body in several parts is not signed."""
        text = urlencode({"action": action, "orgId": ORG, **query})
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        in_parts = headers is not None and headers.get("Content-Type", "").startswith("multipart/")
        signature = signature_of(
            token=self.token, query=text, body=b"" if in_parts else sent, timestamp="17", app_secret=self.secret
        )
        signed = {"apim-accesstoken": self.token, "apim-timestamp": "17", "apim-signature": signature}
        url = f"{self.emulator.url}{path}?{text}"
        async with self.session.request(
            method, url, data=sent, headers={"Content-Type": "application/json", **signed, **(headers or {})}
        ) as response:
            answer: dict[str, Any] = await response.json()
            return answer

    async def upload(self, metadata: Any = METADATA, content: bytes = CONTENT, **query: str) -> dict[str, Any]:
        body = parts_of(
            ('name="metadata"', metadata if isinstance(metadata, bytes) else json.dumps(metadata).encode()),
            ('name="file"; filename="fw.bin"', content),
        )
        return await self.send_parts(body, **query)

    async def send_parts(self, body: bytes, **query: str) -> dict[str, Any]:
        headers = {"Content-Type": "multipart/form-data; boundary=xyz"}
        return await self.call(FIRMWARES, "create", body, headers=headers, **{"productKey": PRODUCT, **query})

    async def new_firmware(self, version: str = "X1", **fields: Any) -> str:
        metadata = {**METADATA, "name": {"defaultValue": f"fw {version}"}, "version": version, **fields}
        answer = await self.upload(metadata)
        assert answer["code"] == 0, answer
        return str(answer["data"]["firmwareId"])

    async def create(self, firmware_id: str, **fields: Any) -> dict[str, Any]:
        definition = {name: value for name, value in {**UPGRADE, **fields}.items() if value is not ...}
        return await self.call(JOBS, "create", definition, firmwareId=firmware_id)

    async def new_job(self, keys: list[str] | int = 3, **fields: Any) -> str:
        named = self.keys(keys) if isinstance(keys, int) else keys
        scope = {"type": "partial", "deviceKeys": named}
        firmware_id = await self.new_firmware(f"X{len(self.emulator.fleet.firmware)}")
        answer = await self.create(firmware_id, **{"upgradeScope": scope, **fields})
        assert answer["code"] == 0, answer
        return str(answer["data"]["jobId"])

    async def job(self, action: str, job_id: str, body: Any = None) -> dict[str, Any]:
        return await self.call(JOBS, action, body, jobId=job_id)

    async def tasks(self, expression: str, **fields: Any) -> list[dict[str, Any]]:
        answer = await self.call(JOBS, "searchTask", {"expression": expression, **fields})
        assert answer["code"] == 0, answer
        found: list[dict[str, Any]] = answer["data"]
        return found

    async def statuses(self, job_id: str) -> list[str]:
        return [task["status"] for task in await self.tasks(f"jobId = '{job_id}'")]

    def rows(self, count: int) -> list[int]:
        return list(self.emulator.engine.eligible([PRODUCT], [], FirmwareKind.FIRMWARE))[:count]

    def keys(self, count: int) -> list[str]:
        return [self.devices.key(row) for row in self.rows(count)]

    def record(self, firmware_id: str) -> FirmwareRecord:
        record = self.emulator.fleet.firmware_record(firmware_id)
        assert record is not None
        return record


async def opened(**options: Any) -> AsyncIterator[Client]:
    options = {"clock": ManualClock(DEFAULT_NOW), "plan": SURE, **options}
    async with EnosEmulator(FLEET.copy(), **options) as emulator, aiohttp.ClientSession(emulator.url) as session:
        client = Client(emulator, session)
        await client.log_in()
        yield client


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    async for each in opened():
        yield each


def shown(answer: dict[str, Any]) -> tuple[int, str]:
    assert answer["data"] is None
    assert answer["requestId"]
    return answer["code"], answer["msg"]


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
        ({"name": "fw"}, "name: it is not an object of object values"),
        ({"name": {}}, "name.defaultValue: defaultValue is missing"),
        ({"name": {"defaultValue": ""}}, "name.defaultValue: it is empty"),
        ({"name": {"defaultValue": 3}}, "name.defaultValue: it is not a string"),
        ({"name": {"defaultValue": "x", "i18nValue": {"zh_CN": 3}}}, "name.i18nValue: it is not an object of str"),
        ({"version": None}, "version: version is missing"),
        ({"version": ""}, "version: it is empty"),
        ({"sign": None}, "sign: sign is missing"),
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
        ({"firmwareTags": {"a": 1}}, "firmwareTags: it is not an object of str values"),
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


# --- files -----------------------------------------------------------------------------------------------------------


class Download:
    """Asks for a file with the token alone."""

    def __init__(self, client: Client, record: FirmwareRecord) -> None:
        self.client = client
        self.query = {
            "action": "download",
            "orgId": ORG,
            "fileUri": f"enos-connect://{record.firmware_id[8:]}.{record.file_name.rpartition('.')[2]}",
            "category": "ota",
            "assetId": client.devices.serial(0),
        }

    async def get(self, *, range_: str | None = None, **changes: str | None) -> tuple[int, Mapping[str, str], bytes]:
        query = {name: value for name, value in {**self.query, **changes}.items() if value is not None}
        headers = {"apim-accesstoken": self.client.token} | ({"Range": range_} if range_ else {})
        async with self.client.session.get(FILES, params=query, headers=headers) as response:
            return response.status, response.headers, await response.read()


async def test_the_bytes_of_firmware_come_back(client: Client) -> None:
    """Of uploaded and of generated firmware, for a device by either of its names."""
    uploaded = client.record(await client.new_firmware())
    status, headers, body = await Download(client, uploaded).get()
    assert (status, body, headers["Content-Length"], headers["Accept-Ranges"]) == (200, CONTENT, "26", "bytes")
    generated = FLEET.firmware[0]
    named = {"productKey": client.devices.product_id(3), "deviceKey": client.devices.key(3), "assetId": None}
    _, _, body = await Download(client, generated).get(**named)
    assert hashlib.sha256(body).hexdigest() == generated.sha256
    assert client.emulator.served["firmware.download"] == 2


@pytest.mark.parametrize(
    ("header", "status", "body", "content_range"),
    [
        ("bytes=5-12", 206, CONTENT[5:13], "bytes 5-12/26"),
        ("bytes=20-", 206, CONTENT[20:], "bytes 20-25/26"),
        ("bytes=20-99", 206, CONTENT[20:], "bytes 20-25/26"),
        ("bytes=-4", 206, CONTENT[-4:], "bytes 22-25/26"),
        ("bytes=26-", 416, b"", "bytes */26"),
        ("bytes=1-2,5-6", 200, CONTENT, None),
        ("lines=1-2", 200, CONTENT, None),
    ],
)
async def test_a_file_can_be_had_from_its_middle(
    client: Client, header: str, status: int, body: bytes, content_range: str | None
) -> None:
    """One range is answered with 206, none of the file with 416, and what cannot be read with the whole."""
    found = await Download(client, client.record(await client.new_firmware())).get(range_=header)
    assert (found[0], found[2], found[1].get("Content-Range")) == (status, body, content_range)


@pytest.mark.parametrize(
    ("size", "header", "part"),
    [
        (10, None, Part(0, 10, 10)),
        (0, None, Part(0, 0, 0)),
        (0, "bytes=0-", None),
        (10, "bytes=-", Part(0, 10, 10)),
        (10, "bytes=7-3", Part(0, 10, 10)),
        (10, "bytes=-99", Part(0, 10, 10)),
        (10, "bytes=-0", None),
    ],
)
def test_odd_ranges(size: int, header: str | None, part: Part | None) -> None:
    """What no client should send is answered as HTTP has it."""
    assert part_of(size, header) == part


async def test_ranges_can_be_switched_off() -> None:
    """Then every answer is the whole file."""
    async for client in opened(files_know_ranges=False):
        status, headers, body = await Download(client, client.record(await client.new_firmware())).get(
            range_="bytes=5-"
        )
        assert (status, body) == (200, CONTENT)
        assert "Accept-Ranges" not in headers


async def test_a_download_can_be_cut(client: Client) -> None:
    """The fault strikes in the middle of the body; what was missing can be had after."""
    download = Download(client, client.record(await client.new_firmware()))
    client.emulator.faults.cut_body("firmware.download", after_bytes=10)
    with pytest.raises(aiohttp.ClientPayloadError):
        await download.get()
    assert (await download.get(range_="bytes=10-"))[2] == CONTENT[10:]


@pytest.mark.parametrize(
    ("changes", "code", "message"),
    [
        ({"action": None}, 99400, "Invalid Argument action:action is missing"),
        ({"action": "getFileInfo"}, 99400, "Invalid Argument action:action getFileInfo is not supported"),
        ({"orgId": None}, 99400, "Invalid Argument orgId:orgId is missing"),
        ({"orgId": "o1"}, 99403, "Denied resource:  orgId o1"),
        ({"fileUri": None}, 99400, "Invalid Argument fileUri:fileUri is missing"),
        ({"fileUri": "enos-connect://x.bin"}, 99404, "file enos-connect://x.bin does not exist"),
        ({"category": None}, 99400, "Invalid Argument category:category is missing"),
        ({"category": "music"}, 99400, "Invalid Argument category: music is not one of ota, feature"),
        ({"category": "feature"}, 99404, "does not exist"),
        ({"assetId": None}, 99400, "Invalid Argument assetId:assetId or productKey and deviceKey is missing"),
        ({"assetId": None, "deviceKey": "x"}, 99400, "assetId or productKey"),
        ({"assetId": "x"}, 99404, "the device does not exist"),
    ],
)
async def test_a_download_that_cannot_be(
    client: Client, changes: dict[str, str | None], code: int, message: str
) -> None:
    """An envelope says why, instead of bytes."""
    _, _, body = await Download(client, FLEET.firmware[0]).get(**changes)
    answer = json.loads(body)
    assert (answer["code"], answer["data"]) == (code, None)
    assert message in answer["msg"]


async def test_a_download_needs_a_live_token(client: Client) -> None:
    """401 for a token that never was, the documented number for one that has expired."""
    download = Download(client, FLEET.firmware[0])
    client.token, token = "none", client.token
    assert (await download.get())[0] == 401
    client.token = token
    client.emulator.expire_tokens()
    assert json.loads((await download.get())[2])["status"] == 1203


async def test_a_device_need_not_be_named_where_that_is_switched_off() -> None:
    """The documentation demands one; services may not."""
    async for client in opened(files_need_device=False):
        assert (await Download(client, FLEET.firmware[0]).get(assetId=None))[0] == 200


# --- creating jobs ---------------------------------------------------------------------------------------------------


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
        ({"upgradeScope": {"type": "partial", "tags": {"a": "b"}}}, "tags: it is not an object of list values"),
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


# --- the life of jobs ------------------------------------------------------------------------------------------------


async def test_starting_and_stopping(client: Client) -> None:
    """Each is refused where the job stands there already; bodies may be missing or empty; tasks wait meanwhile."""
    job_id = await client.new_job(2, maximumConcurrency=1)
    assert shown(await client.job("start", job_id)) == (24615, "Job has started")
    client.clock.advance(1)
    assert (await client.job("stop", job_id, {}))["code"] == 0
    assert shown(await client.job("stop", job_id)) == (24616, "Job has stopped")
    client.clock.advance(500)
    assert await client.statuses(job_id) == ["succeeded", "init"]
    assert next(client.emulator.expected_jobs("x")).status is JobStatus.STOPPED
    assert (await client.job("start", job_id, {}))["code"] == 0
    client.clock.advance(500)
    assert await client.statuses(job_id) == ["succeeded", "succeeded"]
    # EnOS knows no finished jobs: it is still started.
    assert shown(await client.job("start", job_id, {})) == (24615, "Job has started")
    for action in ("start", "stop", "delete"):
        assert shown(await client.job(action, job_id, b"{"))[0] == 99400


async def test_deleting(client: Client) -> None:
    """A job is stopped first; after, it and its tasks are gone."""
    job_id = await client.new_job(1)
    assert shown(await client.job("delete", job_id)) == (24618, "Not allowed to delete running job")
    await client.job("stop", job_id)
    assert (await client.job("delete", job_id))["code"] == 0
    assert await client.tasks(f"jobId = '{job_id}'") == []
    assert shown(await client.job("delete", job_id)) == (24404, "Job not found")


@pytest.mark.parametrize("action", ["start", "stop", "delete", "cancelTask", "retryTask"])
async def test_a_job_that_does_not_exist(client: Client, action: str) -> None:
    """24404, also for jobs with what EnOS does not call firmware; 99400 without an identifier."""
    software = next(job for job in FLEET.jobs if job.firmware_kind is not FirmwareKind.FIRMWARE)
    for job_id in ("nothing", software.job_id):
        assert shown(await client.job(action, job_id, {"deviceKeys": ["x"]})) == (24404, "Job not found")
    assert shown(await client.call(JOBS, action))[0] == 99400


async def test_whether_a_new_job_begins_by_itself_is_a_switch() -> None:
    """Switched off, it waits for its start."""
    async for client in opened(create_starts_job=False):
        job_id = await client.new_job(1)
        assert (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]["status"] == "stopped"
        client.clock.advance(100)
        assert await client.statuses(job_id) == ["init"]
        await client.job("start", job_id)
        client.clock.advance(100)
        assert await client.statuses(job_id) == ["succeeded"]


async def test_a_schedule_is_kept(client: Client) -> None:
    """Nothing is pushed before it; without a beginning it begins at once."""
    start = client.clock.now_ms() + 60_000
    later = await client.new_job(1, schedulePolicy={"startTimestamp": start, "endTimestamp": start + 1000})
    ends = await client.new_job(1, schedulePolicy={"endTimestamp": start})
    client.clock.advance(30)
    assert (await client.statuses(later), await client.statuses(ends)) == (["init"], ["upgrading"])
    client.clock.advance(31)
    assert await client.statuses(later) == ["published"]


# --- tasks -----------------------------------------------------------------------------------------------------------


async def test_a_task_in_the_services_words(client: Client) -> None:
    """Every member of the table, from the first state to the last; the oracle agrees."""
    (key,) = client.keys(1)
    (row,) = client.rows(1)
    before = client.devices.firmware_version(row)
    job_id = await client.new_job([key])
    record = client.record(client.emulator.engine.job(job_id).firmware_ids[0])
    began = client.clock.now_ms()
    seen = []
    for seconds in (0, 1, 5, 30, 30):
        client.clock.advance(seconds)
        (task,) = await client.tasks(f"jobId = '{job_id}'")
        seen.append((task["status"], task["progress"], task["desc"], task["updateTime"] - began))
        (expected,) = client.emulator.expected_tasks("x", job_id)
        assert expected.vendor_status == task["status"]
        assert (expected.task_id, expected.progress_percent) == (task["taskId"], task["progress"])
    assert seen == [
        ("init", 0, None, 0),
        ("published", 0, None, 1_000),
        ("upgrading", 0, None, 6_000),
        ("upgrading", 50, None, 6_000),
        ("succeeded", 100, "upgrading firmware finished", 66_000),
    ]
    del task["taskId"]
    assert task == {
        "orgId": ORG,
        "assetId": client.devices.serial(row),
        "productKey": PRODUCT,
        "deviceKey": key,
        "jobId": job_id,
        "fromVersion": before,
        "toVersion": record.version,
        "progress": 100,
        "desc": "upgrading firmware finished",
        "status": "succeeded",
        "updateTime": began + 66_000,
    }
    found = await client.call(FIRMWARES, "searchDeviceUpgrade", {"expression": f"firmwareVersion='{record.version}'"})
    assert [(each["deviceKey"], each["isUpgrading"]) for each in found["data"]] == [(key, False)]
    assert found["data"][0]["firmwareVersion"] == record.version


async def test_failed_tasks_name_a_reason(client: Client) -> None:
    """Progress is the device's number of the failure, below 0; a device that never reported has no version before."""
    rows = client.rows(4)
    plan = [[DOWNLOAD_FAILED], [IGNORED], [OFFLINE], [Remark("own", "out of milk")]]
    client.emulator.engine.plan = attrs.evolve(SURE, outcomes=dict(zip(rows, plan, strict=True)))
    silent = next(
        row
        for row in range(len(client.devices))
        if client.devices.product_id(row) == PRODUCT and client.devices.firmware_version(row) is None
    )
    job_id = await client.new_job([client.devices.key(row) for row in [*rows, silent]])
    client.clock.advance(100)
    tasks = await client.tasks(f"jobId = '{job_id}'")
    assert [(task["status"], task["progress"], task["desc"]) for task in tasks] == [
        ("failed", -2, "download failed"),
        ("failed", -5, "the device ignored the upgrade"),
        ("failed", -1, "the device is not online"),
        ("failed", -1, "out of milk"),
        ("succeeded", 100, "upgrading firmware finished"),
    ]
    assert tasks[4]["fromVersion"] is None
    expected = list(client.emulator.expected_tasks("x", job_id))
    assert [each.failure and each.failure.code for each in expected] == ["-2", "-5", "-1", "-1", None]
    assert [each.status for each in expected] == [TaskStatus.FAILED] * 4 + [TaskStatus.SUCCEEDED]


async def test_cancelling_tasks(client: Client) -> None:
    """Only what has not begun, all of them or none; the remark says who did it."""
    keys = client.keys(3)
    job_id = await client.new_job(keys, maximumConcurrency=1)
    client.clock.advance(6)
    refused = await client.job("cancelTask", job_id, {"deviceKeys": keys[:2]})
    assert shown(refused) == (24620, "Only init or published tasks can be canceled")
    assert await client.statuses(job_id) == ["upgrading", "init", "init"]
    assert (await client.job("cancelTask", job_id, {"deviceKeys": [keys[1], keys[1]]}))["code"] == 0
    cancelled = await client.tasks("desc = 'Cancelled by user' and jobId = '" + job_id + "'")
    assert [(task["deviceKey"], task["status"], task["progress"]) for task in cancelled] == [(keys[1], "failed", -1)]
    expected = list(client.emulator.expected_tasks("x", job_id))
    assert [each.status for each in expected] == [TaskStatus.UPGRADING, TaskStatus.CANCELLED, TaskStatus.PENDING]
    await client.job("stop", job_id)
    assert shown(await client.job("cancelTask", job_id, {"deviceKeys": keys[2:]})) == (24617, "Job not running")


async def test_a_job_whose_tasks_were_all_cancelled_is_started(client: Client) -> None:
    """Only stopping it stops it."""
    job_id = await client.new_job(2)
    await client.job("cancelTask", job_id, {"deviceKeys": client.keys(2)})
    assert (await client.call(JOBS, "get", method="GET", jobId=job_id))["data"]["status"] == "started"


async def test_retrying_tasks(client: Client) -> None:
    """Only what has failed, cancelled tasks among it; a task that waits for its own next attempt is not failed."""
    rows, keys = client.rows(3), client.keys(3)
    client.emulator.engine.plan = attrs.evolve(SURE, outcomes={rows[0]: [OFFLINE, None]})
    job_id = await client.new_job(keys)
    await client.job("cancelTask", job_id, {"deviceKeys": keys[2:]})
    client.clock.advance(100)
    assert await client.statuses(job_id) == ["failed", "succeeded", "failed"]
    refused = await client.job("retryTask", job_id, {"deviceKeys": keys})
    assert shown(refused) == (24621, "Only failed tasks can be retried")
    assert (await client.job("retryTask", job_id, {"deviceKeys": [keys[0], keys[2]]}))["code"] == 0
    assert await client.statuses(job_id) == ["init", "succeeded", "init"]
    client.clock.advance(100)
    assert await client.statuses(job_id) == ["succeeded"] * 3
    await client.job("stop", job_id)
    assert shown(await client.job("retryTask", job_id, {"deviceKeys": keys[:1]})) == (24617, "Job not running")


async def test_a_task_between_two_attempts_waits_for_its_turn(client: Client) -> None:
    """It is init again, says what went wrong, and can be cancelled."""
    (row,) = client.rows(1)
    client.emulator.engine.plan = attrs.evolve(SURE, outcomes={row: [OFFLINE]})
    job_id = await client.new_job(1, retryPolicy={"enableRetry": True, "retryCount": 3, "retryInterval": 5})
    client.clock.advance(70)
    (task,) = await client.tasks(f"jobId='{job_id}'")
    assert (task["status"], task["desc"], task["progress"]) == ("init", "the device is not online", 0)
    assert shown(await client.job("retryTask", job_id, {"deviceKeys": client.keys(1)}))[0] == 24621
    assert (await client.job("cancelTask", job_id, {"deviceKeys": client.keys(1)}))["code"] == 0


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (None, "deviceKeys: deviceKeys is missing"),
        ({}, "deviceKeys: deviceKeys is missing"),
        ({"deviceKeys": []}, "deviceKeys: it is empty"),
        ({"deviceKeys": "x"}, "deviceKeys: it is not an array of strings"),
        ({"deviceKeys": ["nobody"]}, "deviceKeys: the job has no task of nobody"),
        ({"deviceKeys": ["other"]}, "deviceKeys: the job has no task of"),
        (b"[]", "body: it is not a JSON object"),
    ],
)
async def test_the_devices_of_a_task_operation(client: Client, body: Any, message: str) -> None:
    """They are mandatory, and of the job."""
    job_id = await client.new_job(1)
    if body == {"deviceKeys": ["other"]}:
        body = {"deviceKeys": client.keys(2)[1:]}
    for action in ("cancelTask", "retryTask"):
        code, said = shown(await client.job(action, job_id, body))
        assert (code, message in said) == (99400, True), said


# --- searching tasks -------------------------------------------------------------------------------------------------


EXPRESSIONS: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
    ("", lambda task: True),
    ("status = 'succeeded'", lambda task: task["status"] == "succeeded"),
    ("status in ('init', 'published')", lambda task: task["status"] in {"init", "published"}),
    ("status = 'nonsense'", lambda task: False),
    ("toVersion = 'nonsense' or status = 'failed'", lambda task: task["status"] == "failed"),
    ("jobId = 'nonsense' and status = 'failed'", lambda task: False),
    ("desc in ('Cancelled by user')", lambda task: task["desc"] == "Cancelled by user"),
    ("deviceKey = 'nobody' or jobId = 'nothing'", lambda task: False),
]


@pytest.mark.parametrize(("expression", "keep"), EXPRESSIONS)
async def test_tasks_of_all_jobs_are_searched(
    client: Client, expression: str, keep: Callable[[dict[str, Any]], bool]
) -> None:
    """Every expression gives exactly the tasks that it describes, in the order of the listing, across pages."""

    async def all_pages(said: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for number in range(1, 100):
            body = {"expression": said, "pagination": {"pageNo": number, "pageSize": 150}}
            answer = await client.call(JOBS, "searchTask", body)
            found += answer["data"]
            if number * 150 >= answer["pagination"]["totalSize"]:
                break
        return found

    everything = await all_pages("")
    assert len(everything) == sum(len(client.emulator.engine.job(job.job_id).targets) for job in firmware_jobs(client))
    assert len({task["taskId"] for task in everything}) == len(everything)
    assert await all_pages(expression) == [task for task in everything if keep(task)]
    assert await all_pages(expression) == [task for task in everything if keep(task)]


def firmware_jobs(client: Client) -> list[Any]:
    return list(client.emulator.expected_jobs("x"))


async def test_fields_of_a_task_are_compared(client: Client) -> None:
    """Version before, device and job, alone and together."""
    job_id = await client.new_job(30)
    tasks = await client.tasks(f"jobId='{job_id}'", pagination={"pageNo": 1, "pageSize": 100})
    one = tasks[0]
    expression = f"jobId = \"{job_id}\" and fromVersion = '{one['fromVersion']}'"
    found = await client.tasks(expression, pagination={"pageNo": 1, "pageSize": 100})
    assert found == [task for task in tasks if task["fromVersion"] == one["fromVersion"]]
    keys = f"'{one['deviceKey']}', '{tasks[3]['deviceKey']}', 'nobody'"
    assert await client.tasks(f"deviceKey in ({keys}) and jobId='{job_id}'") == [one, tasks[3]]
    either = f"jobId='{job_id}' and deviceKey='{one['deviceKey']}' or jobId='{job_id}' and status='init'"
    assert await client.tasks(either, pagination={"pageNo": 1, "pageSize": 100}) == tasks
    answer = await client.call(JOBS, "searchTask", {"expression": "progress = 3"})
    assert shown(answer) == (99400, "Invalid Argument expression: field progress is not supported")


async def test_many_expressions_are_answered(client: Client) -> None:
    """What is kept of earlier searches is bounded, and never stale."""
    job_id = await client.new_job(2)
    for number in range(70):
        assert await client.tasks(f"jobId='{job_id}' and desc='{number}'") == []
    assert len(await client.tasks(f"jobId='{job_id}' and status='init'")) == 2
    client.clock.advance(1)
    assert await client.tasks(f"jobId='{job_id}' and status='init'") == []


def test_every_state_has_a_word() -> None:
    """No state of the engine is without one of the five words."""
    assert set(STATUS_WORDS) == set(TaskStatus)
    assert set(STATUS_WORDS.values()) == {"init", "published", "upgrading", "succeeded", "failed"}


async def test_the_oracle_of_tasks_knows_no_other_jobs(client: Client) -> None:
    """An unknown job is an error, not an empty list."""
    software = next(job for job in FLEET.jobs if job.firmware_kind is not FirmwareKind.FIRMWARE)
    for job_id in ("nothing", software.job_id):
        with pytest.raises(NoSuchJobError, match=job_id):
            list(client.emulator.expected_tasks("x", job_id))


# --- read lag --------------------------------------------------------------------------------------------------------


async def test_searches_lag_behind_and_gets_do_not() -> None:
    """A new job and firmware are found by their identifiers at once, and listed two seconds later."""
    async for client in opened(read_lag_seconds=2):
        old_jobs = (await client.call(JOBS, "search"))["pagination"]["totalSize"]
        job_id = await client.new_job(1)
        assert (await client.call(JOBS, "get", method="GET", jobId=job_id))["code"] == 0
        assert (await client.call(JOBS, "search"))["pagination"]["totalSize"] == old_jobs
        assert await client.tasks(f"jobId='{job_id}'") == []
        newest_firmware = client.emulator.fleet.firmware[-1].firmware_id
        assert (await client.call(FIRMWARES, "search"))["data"][0]["firmwareId"] != newest_firmware
        client.clock.advance(2)
        assert (await client.call(JOBS, "search"))["pagination"]["totalSize"] == old_jobs + 1
        assert len(await client.tasks(f"jobId='{job_id}'")) == 1
        assert (await client.call(FIRMWARES, "search"))["data"][0]["firmwareId"] == newest_firmware


async def test_operations_have_names(client: Client) -> None:
    """Requests are counted under the names that all vendors share."""
    for path, action in [(JOBS, name) for name in ("start", "stop", "delete", "cancelTask", "retryTask")]:
        await client.call(path, action)
    await client.call(JOBS, "searchTask")
    await client.call(FIRMWARES, "delete")
    await client.call(FIRMWARES, "nonsense")
    assert {name: count for name, count in client.emulator.served.items() if name != "token.get"} == {
        "jobs.start": 1,
        "jobs.stop": 1,
        "jobs.delete": 1,
        "jobs.cancel_tasks": 1,
        "jobs.retry_tasks": 1,
        "jobs.tasks": 1,
        "firmware.delete": 1,
        "other": 1,
    }


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
