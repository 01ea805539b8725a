"""Bare calls of the IoTDA emulator."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from otaclient.emulator import Fleet
from otaclient_iotda.emulator import IotdaEmulator


class Caller:
    """Sends requests with the ready token, and returns what came back, undecoded by any client of ours."""

    def __init__(self, emulator: IotdaEmulator, session: aiohttp.ClientSession) -> None:
        self._emulator = emulator
        self._session = session

    async def send(
        self, method: str, path: str, body: object = None, **parameters: object
    ) -> tuple[int, dict[str, Any]]:
        """Return status and body, an empty one as an empty object; a body of bytes is sent as it is."""
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        async with self._session.request(
            method,
            f"{self._emulator.url}/v5/iot/{self._emulator.project_id}/{path}",
            params={name: str(value) for name, value in parameters.items()},
            headers={"X-Auth-Token": self._emulator.ready_token, "Content-Type": "application/json"},
            data=data,
        ) as response:
            content = await response.read()
            return response.status, json.loads(content) if content else {}

    async def get(self, path: str, **parameters: object) -> dict[str, Any]:
        """Return the body of a good answer."""
        status, body = await self.send("GET", path, **parameters)
        assert status == 200, body
        return body

    async def walk(self, path: str, rows: str, *, limit: int = 50, **parameters: object) -> list[dict[str, Any]]:
        """Return all rows of a list, by markers."""
        found: list[dict[str, Any]] = []
        marker: dict[str, object] = {}
        while True:
            page = await self.get(path, limit=limit, **parameters, **marker)
            if not page[rows]:
                return found
            found += page[rows]
            assert page["page"]["marker"] < str(marker.get("marker", "f" * 24))
            marker = {"marker": page["page"]["marker"]}


@asynccontextmanager
async def serving(fleet: Fleet, **options: Any) -> AsyncIterator[tuple[IotdaEmulator, Caller]]:
    """Run an emulator over a copy of a fleet, and give a caller of it."""
    async with IotdaEmulator(fleet.copy(), **options) as emulator, aiohttp.ClientSession() as session:
        yield emulator, Caller(emulator, session)
