"""Bare calls of the EnOS emulator."""

import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from otaclient_enos.emulator import EnosEmulator
from otaclient_enos.emulator.auth import signature_of

ORG = "o15475466766371"
FIRMWARES = "/connect-service/v2.1/ota-firmwares"
JOBS = "/connect-service/v2.1/ota-jobs"


class Caller:
    """A client of a few lines, so that the emulator is not judged by the SDK it judges."""

    def __init__(self, emulator: EnosEmulator, session: aiohttp.ClientSession) -> None:
        self.emulator = emulator
        self.session = session
        self.token = ""
        self.secret = emulator.environment()["OTACLIENT_ENOS_APP_SECRET"]

    def token_request(self, **changes: Any) -> dict[str, Any]:
        """Return the fields that ask for a token."""
        timestamp = self.emulator.clock.now_ms()
        text = f"{self.emulator.app_key}{timestamp}{self.secret}"
        fields = {
            "appKey": self.emulator.app_key,
            "encryption": hashlib.sha256(text.encode()).hexdigest(),
            "timestamp": timestamp,
        }
        return {**fields, **changes}

    async def ask_token(self, fields: object, *, action: str = "get") -> dict[str, Any]:
        """Return the token service's answer."""
        url = f"{self.emulator.url}/apim-token-service/v2.0/token/{action}"
        async with self.session.post(url, json=fields) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer

    async def log_in(self) -> None:
        """Get a token for the calls that follow."""
        self.token = (await self.ask_token(self.token_request()))["data"]["accessToken"]

    async def send(
        self, method: str, path: str, query: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """Send a signed request; ``headers`` replace its own. A body in several parts is not signed."""
        sent = {"Content-Type": "application/json;charset=UTF-8", "apim-accesstoken": self.token}
        sent |= {"apim-timestamp": "17"} | dict(headers or {})
        signed = b"" if sent["Content-Type"].startswith("multipart/") else body
        signature = signature_of(token=self.token, query=query, body=signed, timestamp="17", app_secret=self.secret)
        sent = {"apim-signature": signature} | sent
        url = f"{self.emulator.url}{path}?{query}"
        async with self.session.request(method, url, data=body, headers=sent) as response:
            answer: dict[str, Any] = await response.json()
            return response.status, answer

    async def get(self, path: str, action: str, **query: str) -> dict[str, Any]:
        """Return the envelope of a read without a body."""
        text = "&".join(f"{name}={value}" for name, value in {"action": action, "orgId": ORG, **query}.items())
        return (await self.send("GET", path, text))[1]

    async def search(self, path: str, action: str, **fields: Any) -> dict[str, Any]:
        """Return the envelope of a search."""
        body = json.dumps(fields, ensure_ascii=False).encode()
        return (await self.send("POST", path, f"action={action}&orgId={ORG}", body))[1]


@asynccontextmanager
async def calling(emulator: EnosEmulator) -> AsyncIterator[Caller]:
    """Give a caller of an emulator, with a token."""
    async with aiohttp.ClientSession() as session:
        caller = Caller(emulator, session)
        await caller.log_in()
        yield caller
