"""Calls of the EnOS emulator that write: firmware, jobs, and what becomes of their tasks."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import aiohttp

from otaclient.emulator import FirmwareRecord, Fleet, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.models import FirmwareKind
from otaclient_enos.emulator import EnosEmulator
from support.enos import FIRMWARES, JOBS, ORG, Caller
from support.job_engine import SURE

FLEET = Fleet.generate(devices=400, jobs=8)
PRODUCT = FLEET.products[0].product_id
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


class Client(Caller):
    """A caller that writes, in a few words."""

    def __init__(self, emulator: EnosEmulator, session: aiohttp.ClientSession) -> None:
        super().__init__(emulator, session)
        self.devices = emulator.fleet.devices

    @property
    def clock(self) -> ManualClock:
        assert isinstance(self.emulator.clock, ManualClock)
        return self.emulator.clock

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
        """Send a signed request and return the envelope."""
        text = urlencode({"action": action, "orgId": ORG, **query})
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return (await self.send(method, path, text, sent, headers))[1]

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


@asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[Client]:
    """Run an emulator over a fleet of its own whose devices all succeed, and give a client of it."""
    options = {"clock": ManualClock(DEFAULT_NOW), "plan": SURE, **options}
    async with EnosEmulator(FLEET.copy(), **options) as emulator, aiohttp.ClientSession(emulator.url) as session:
        client = Client(emulator, session)
        await client.log_in()
        yield client


def shown(answer: dict[str, Any]) -> tuple[int, str]:
    assert answer["data"] is None
    assert answer["requestId"]
    return answer["code"], answer["msg"]
