"""An EnOS client, and a network that answers it from a script."""

from typing import Any

import msgspec

from otaclient.events import Event
from otaclient.testing import HandClock
from otaclient.transport.http import HttpResponse
from otaclient.transport.session import Session
from otaclient_enos import EnosConfig, plugin
from support.network import ScriptedTransport

CONFIG = EnosConfig(endpoint="https://apim.example.com", org_id="o1", app_key="backend-test", app_secret="the-secret")
FIRMWARE = {"firmwareId": "f1", "version": "1.0"}


def answer(data: Any, code: int = 0, status: int = 200, **pagination: int) -> HttpResponse:
    """Return an answer of the service."""
    body = {"code": code, "msg": "words", "requestId": "r-1", "data": data, "pagination": pagination or None}
    return HttpResponse(status=status, body=msgspec.json.encode(body))


def token(text: str = "t-1", expire: int | None = 7200) -> HttpResponse:
    """Return an answer of the token service."""
    return HttpResponse(
        status=200, body=msgspec.json.encode({"status": 0, "data": {"accessToken": text, "expire": expire}})
    )


def refusal(number: int) -> HttpResponse:
    """Return a refusal of the token service."""
    return HttpResponse(status=200, body=msgspec.json.encode({"status": number, "msg": "words"}))


class Stage:
    """A client, its network and its clock."""

    def __init__(self, *answers: Any, **options: Any) -> None:
        self.clock = HandClock()
        self.transport = options.pop("transport", None) or ScriptedTransport(answers)
        self.events: list[Event] = []
        session = Session(
            label="plant-7",
            transport=self.transport,
            clock=self.clock,
            roll=lambda: 0.5,
            on_event=self.events.append,
            **options,
        )
        self.enos = plugin.open(CONFIG, session)

    @property
    def paths(self) -> list[str]:
        """The last parts of the paths that were asked, in order."""
        return [request.path.rsplit("/", 1)[1] for request in self.transport.sent]

    def body(self, number: int) -> dict[str, Any]:
        """Return the body of a request."""
        found: dict[str, Any] = msgspec.json.decode(self.transport.sent[number].body)
        return found
