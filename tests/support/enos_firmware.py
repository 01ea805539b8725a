"""An EnOS client for firmware and files, and a network that answers it from a script."""

from typing import Any

import msgspec

from otaclient.errors import ResponseLostError
from otaclient.models import Checksum, Firmware, FirmwareId
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse, Sink
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend, EnosConfig
from support.network import ScriptedTransport

CONFIG = EnosConfig(endpoint="https://apim.example.com", org_id="o1", app_key="firmware-test", app_secret="the-secret")
CONTENT = b"EnOS firmware test vector\n"
MD5 = "eb75c43ae76196f8c57cabff7b1f3f61"
SHA256 = "311b19e861eb8c7d4a4812fd0f90c027bedffb7466bf8b18f6514b7ed8f02bb9"
TOKEN = HttpResponse(status=200, body=b'{"status":0,"data":{"accessToken":"t-1","expire":7200}}')


def answer(data: Any, code: int = 0, status: int = 200) -> HttpResponse:
    """Return an answer of the service."""
    body = {"code": code, "msg": "words", "requestId": "r-1", "data": data}
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=msgspec.json.encode(body))


def stored(**changes: Any) -> HttpResponse:
    """Return the record of the firmware that was uploaded."""
    fields = {"firmwareId": "f1", "version": "1.2", "signMethod": "sha256", "sign": SHA256, "fileSize": len(CONTENT)}
    return answer({**fields, **changes})


class Network(ScriptedTransport):
    """Reads streamed bodies to their end, and remembers them and the hosts that were asked."""

    def __init__(self, answers: Any) -> None:
        super().__init__(answers)
        self.bodies: list[bytes] = []
        self.hosts: list[str] = []

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Read the body, then play the next answer."""
        self.hosts.append(endpoint)
        self.bodies.append(request.body)
        if request.content is not None:
            self.bodies[-1] = b"".join([chunk async for chunk in request.content.chunks()])
            assert len(self.bodies[-1]) == request.content.size_bytes
        return await super().send(request, endpoint=endpoint, timeout_seconds=timeout_seconds)

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Play the next answer into the sink; an error behind it breaks the connection."""
        response = await self.send(request, endpoint=endpoint, timeout_seconds=idle_seconds)
        if await sink.begin(response.status, response.headers):
            await sink.write(response.body)
            if self.answers and isinstance(self.answers[0], ResponseLostError):
                raise self.answers.pop(0)  # type: ignore[misc]
        return response


class Stage:
    """A client, its network and its clock."""

    def __init__(self, *answers: Any, config: EnosConfig = CONFIG, **options: Any) -> None:
        self.clock = HandClock()
        self.network = Network([TOKEN, *answers])
        session = Session(label="plant-7", transport=self.network, clock=self.clock, roll=lambda: 0.5, **options)
        self.enos = EnosBackend(config, session)

    def query(self, number: int) -> dict[str, str]:
        """Return the query of a business request."""
        return dict(self.network.sent[1 + number].query)


def firmware(**changes: Any) -> Firmware:
    """Return the record of a firmware."""
    fields = {
        "backend": "plant-7",
        "firmware_id": FirmwareId("f1"),
        "version": "1.2",
        "product_id": "p1",
        "owner_id": "o1",
        "location": "enos-connect://1.bin",
        "size_bytes": len(CONTENT),
        "checksum": Checksum(algorithm="SHA256", value=SHA256),
    }
    return Firmware(**{**fields, **changes})
