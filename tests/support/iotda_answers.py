"""Requests to IoTDA, answers to them, and what failures they classify to."""

from typing import Any

import msgspec

from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import Failure
from otaclient_iotda.failures import classify

PLAIN = {"Authorization": "SDK-HMAC-SHA256 Access=AK, SignedHeaders=host, Signature=00", "Host": "iotda.example.com"}
TOKEN = {"X-Auth-Token": "the-token"}


def request(operation: str = "devices.search", headers: Any = PLAIN, subject: str = "") -> HttpRequest:
    """Return a signed request."""
    return HttpRequest(operation=operation, method="GET", path="/", headers=headers, subject=subject)


def response(status: int, body: Any = b"", **headers: str) -> HttpResponse:
    """Return an answer; a body that is no bytes becomes JSON."""
    raw = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return HttpResponse(
        status=status, body=raw, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


def failed(status: int, body: Any = b"", *, asked: HttpRequest | None = None, **headers: Any) -> Failure:
    """Return what an answer that is a failure classifies to."""
    failure = classify(asked or request(), response(status, body, **headers))
    assert failure is not None
    return failure
