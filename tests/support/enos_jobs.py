"""An EnOS client for jobs, a network that answers it from a script, and a service that holds one job."""

from collections.abc import Iterable
from typing import Any

import msgspec

from otaclient.events import Event
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend, EnosConfig
from support.network import ScriptedTransport

CONFIG = EnosConfig(endpoint="https://apim.example.com", org_id="o1", app_key="jobs-test", app_secret="the-secret")
TOKEN = HttpResponse(status=200, body=b'{"status":0,"data":{"accessToken":"t-1","expire":7200}}')


def answer(data: Any, code: int = 0, **pagination: int) -> HttpResponse:
    """Return an answer of the service."""
    body = {"code": code, "msg": "words", "requestId": "r-1", "data": data, "pagination": pagination or None}
    return HttpResponse(status=200, body=msgspec.json.encode(body))


def rows(*statuses: str) -> list[dict[str, Any]]:
    """Return tasks; ``cancelled`` stands for what EnOS says of those."""
    remarks = {"cancelled": "Cancelled by user", "failed": "no space"}
    return [
        {
            "jobId": "j1",
            "assetId": f"a{number}",
            "deviceKey": f"d{number}",
            "status": "failed" if status == "cancelled" else status,
            "desc": remarks.get(status),
        }
        for number, status in enumerate(statuses)
    ]


class Service:
    """Answers get and searchTask for one job like the service; counts what it was asked."""

    def __init__(self, *statuses: str, status: str = "started", totals: bool = True) -> None:
        self.rows = rows(*statuses)
        self.status = status
        self.totals = totals
        self.asked: list[str] = []

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Answer one request."""
        if request.operation == "authenticate":
            return TOKEN
        self.asked.append(dict(request.query)["action"])
        if self.asked[-1] == "get":
            return answer({"jobId": "j1", "status": self.status})
        body = msgspec.json.decode(request.body)
        found = [row for row in self.rows if self._matches(row, body["expression"])]
        number, size = body["pagination"]["pageNo"], body["pagination"]["pageSize"]
        pagination = {"pageNo": number, "pageSize": size} | ({"totalSize": len(found)} if self.totals else {})
        return answer(found[(number - 1) * size : number * size], **pagination)

    @staticmethod
    def _matches(row: dict[str, Any], expression: str) -> bool:
        conditions = dict(condition.split(" = ") for condition in expression.split(" and "))
        return all(f"'{row[field]}'" == value for field, value in conditions.items())


class Stage:
    """A client, its network and its clock."""

    def __init__(self, *answers: Any, service: Service | None = None, **options: Any) -> None:
        self.clock = HandClock()
        script: Iterable[Any] = [TOKEN, *answers] if service is None else [service] * 5000
        self.network = ScriptedTransport(script)
        self.events: list[Event] = []
        given: dict[str, Any] = {"roll": lambda: 0.5, "on_event": self.events.append, **options}
        session = Session(label="plant-7", transport=self.network, clock=self.clock, **given)
        self.jobs = EnosBackend(CONFIG, session).jobs
        self.backend = EnosBackend(CONFIG, session)

    def query(self, number: int) -> dict[str, str]:
        """Return the query of a business request."""
        return dict(self.network.sent[1 + number].query)
