"""The vendor's own Python client of IoTDA, both ways that it offers: one call after another, and eight threads."""

import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.clients import ACCESS_KEY, SECRET_KEY, project_of
from benchmarks.measuring import Read

__all__ = ["LARGEST_PAGE", "OfficialClient", "official_client"]

LARGEST_PAGE = 50


class OfficialClient:
    """The vendor's client of one project of the page server."""

    def __init__(self, endpoint: str, devices: int) -> None:
        sdk: Any = importlib.import_module("huaweicloudsdkiotda.v5")
        credentials: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials")
        self._request = sdk.ListDevicesRequest
        self._sync, self._async = (
            client.new_builder()
            .with_credentials(credentials.BasicCredentials(ACCESS_KEY, SECRET_KEY, project_of(devices)))
            .with_endpoint(endpoint)
            .build()
            for client in (sdk.IoTDAClient, sdk.IoTDAAsyncClient)
        )

    def markers(self, pages: int) -> Sequence[str | None]:
        """Return where so many pages begin."""
        found: list[str | None] = [None]
        while len(found) < pages:
            found.append(self._sync.list_devices(self._request(limit=LARGEST_PAGE, marker=found[-1])).page.marker)
        return found

    def one_by_one(self, pages: int) -> Read:
        """Walk the first pages."""
        rows, marker = 0, None
        for _ in range(pages):
            answer = self._sync.list_devices(self._request(limit=LARGEST_PAGE, marker=marker))
            rows += len(answer.devices)
            marker = answer.page.marker
        return Read(rows, pages)

    def in_threads(self, markers: Sequence[str | None]) -> Read:
        """Read pages whose markers are known, which is more than a user of this client could do."""
        futures = [
            self._async.list_devices_async(self._request(limit=LARGEST_PAGE, marker=marker)) for marker in markers
        ]
        return Read(sum(len(future.result().devices) for future in futures), len(markers))


@contextmanager
def official_client(endpoint: str, devices: int) -> Iterator[OfficialClient]:
    """Make the vendor's client, which writes an identifier of its own into the home folder: into one that goes away."""
    before = {name: os.environ.get(name) for name in ("HOME", "NO_PROXY", "no_proxy")}
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(HOME=folder, NO_PROXY="127.0.0.1", no_proxy="127.0.0.1")
        try:
            yield OfficialClient(endpoint, devices)
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value
