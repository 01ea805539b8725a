"""The EnOS emulator's files over real HTTP: whole, from their middle, cut, and those that cannot be had."""

import hashlib
import json
from collections.abc import Mapping

import aiohttp
import pytest

from otaclient.emulator import FirmwareRecord
from otaclient_enos.emulator.files import Part, part_of
from support.enos import ORG
from support.enos_writes import CONTENT, FLEET, Client, opened

FILES = "/connect-service/v2.1/files"


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
    async with opened(files_know_ranges=False) as client:
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
    async with opened(files_need_device=False) as client:
        assert (await Download(client, FLEET.firmware[0]).get(assetId=None))[0] == 200
