"""What an EnOS user writes today: ``requests.Session``, a token, a signature for each call, dicts.

Answers are parsed by the standard library's ``json``, as they are wherever ``requests`` is installed alone:
``response.json()`` would take ``simplejson`` here, which another peer brings along.
"""

import hashlib
import json
import time
from typing import Any

import requests

from benchmarks.bare_loop import PAGE_SIZE
from benchmarks.clients import APP_KEY, APP_SECRET
from benchmarks.measuring import Read

__all__ = ["read_with_requests"]


def read_with_requests(endpoint: str, devices: int) -> Read:
    """Read all device pages, one after the other."""
    parameters = {"action": "searchDeviceUpgrade", "orgId": f"o{devices}"}
    signed_parameters = "".join(name + value for name, value in sorted(parameters.items()))
    rows = pages = 0
    with requests.Session() as session:
        token = _token(session, endpoint)
        while rows < devices:
            pages += 1
            body = json.dumps({"pagination": {"pageNo": pages, "pageSize": PAGE_SIZE}}, separators=(",", ":"))
            timestamp = str(time.time_ns() // 1_000_000)
            signed = f"{token}{signed_parameters}{body}{timestamp}{APP_SECRET}"
            response = session.post(
                f"{endpoint}/connect-service/v2.1/ota-firmwares",
                params=parameters,
                data=body,
                headers={
                    "Content-Type": "application/json",
                    "apim-accesstoken": token,
                    "apim-signature": hashlib.sha256(signed.encode()).hexdigest(),
                    "apim-timestamp": timestamp,
                },
                timeout=30,
            )
            response.raise_for_status()
            found = json.loads(response.content)["data"]
            if not found:
                break
            rows += len(found)
    return Read(rows, pages)


def _token(session: requests.Session, endpoint: str) -> str:
    timestamp = time.time_ns() // 1_000_000
    encryption = hashlib.sha256(f"{APP_KEY}{timestamp}{APP_SECRET}".encode()).hexdigest()
    body: Any = {"appKey": APP_KEY, "encryption": encryption, "timestamp": timestamp}
    response = session.post(f"{endpoint}/apim-token-service/v2.0/token/get", json=body, timeout=30)
    response.raise_for_status()
    token: str = response.json()["data"]["accessToken"]
    return token
