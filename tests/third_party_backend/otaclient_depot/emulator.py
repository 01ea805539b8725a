"""The Depot API over a simulated fleet: what a third party writes to test its backend, and to demonstrate it."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from aiohttp import web

from otaclient.emulator import EmulatorServer, FirmwareRecord
from otaclient.models import Checksum, DeviceId, DeviceTask, DeviceUpgrade, Firmware, FirmwareId, Job
from otaclient_depot import DepotConfig

API_KEY: Final = "an-api-key-of-the-depot"


class DepotEmulator(EmulatorServer):
    """Serves the devices and the firmware of a fleet."""

    vendor = "depot"

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        """Return the routes of the API."""
        yield web.get("/v1/{collection:devices|firmware}", self._search)
        yield web.get("/v1/{collection:devices|firmware}/{id}", self._get)

    def operation(self, request: web.Request) -> str:
        """Return the name under which a request is counted."""
        match request.path.strip("/").split("/"):
            case ["v1", collection]:
                return f"{collection}.search"
            case ["v1", collection, _]:
                return f"{collection}.get"
            case _:
                return "other"

    def no_route(self, request: web.Request, status: int) -> web.Response:
        """Return the answer to a request that nothing takes."""
        return self._refuse(request, status, "no_such_address", "There is nothing here")

    def internal_error(self, request: web.Request) -> web.Response:
        """Return the answer when the service failed."""
        return self._refuse(request, 500, "broken", "The depot is broken")

    def environment(self) -> dict[str, str]:
        """Return the variables that point the client at this emulator."""
        return {"OTACLIENT_DEPOT_ENDPOINT": self.url, "OTACLIENT_DEPOT_API_KEY": API_KEY}

    def config(self) -> DepotConfig:
        """Return the configuration with which the backend reaches this emulator."""
        return DepotConfig(endpoint=self.url, api_key=API_KEY)

    def expected_devices(self, label: str) -> Iterator[DeviceUpgrade]:
        """Yield what a client ought to report of every device."""
        table = self.fleet.devices
        for row in range(len(table)):
            yield DeviceUpgrade(
                backend=label,
                device_id=DeviceId(table.serial(row)),
                product_id=table.product_id(row),
                firmware_version=table.firmware_version(row),
                upgrading=table.upgrading(row),
            )

    def expected_firmware(self, label: str) -> Iterator[Firmware]:
        """Yield what a client ought to report of every firmware, newest first."""
        for record in reversed(self.listed_firmware()):
            yield Firmware(
                backend=label,
                firmware_id=FirmwareId(record.firmware_id),
                version=record.version,
                kind=record.kind,
                product_id=record.product_id or None,
                size_bytes=record.size_bytes,
                checksum=Checksum(algorithm="sha256", value=record.sha256),
            )

    def expected_jobs(self, label: str) -> Iterator[Job]:
        """Yield nothing: the depot has no jobs."""
        yield from ()

    def expected_tasks(self, label: str, job_id: str) -> Iterator[DeviceTask]:
        """Yield nothing: the depot has no jobs."""
        yield from ()

    async def _search(self, request: web.Request) -> web.Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        page, size = int(request.query["page"]), int(request.query["size"])
        count, render = self._collection(request)
        rows = range((page - 1) * size, min(page * size, count))
        return self._reply(request, 200, {"total": count, "items": [render(row) for row in rows]})

    async def _get(self, request: web.Request) -> web.Response:
        if (refusal := self._refused(request)) is not None:
            return refusal
        count, render = self._collection(request)
        wanted = request.match_info["id"]
        for item in map(render, range(count)):
            if wanted in {item.get("serial"), item.get("id")}:
                return self._reply(request, 200, item)
        return self._refuse(request, 404, "not_found", f"{wanted} is unknown")

    def _collection(self, request: web.Request) -> tuple[int, Callable[[int], dict[str, Any]]]:
        """Return how many records a collection has, and what renders one."""
        if request.match_info["collection"] == "devices":
            return len(self.fleet.devices), self._device
        firmware = list(reversed(self.listed_firmware()))
        return len(firmware), lambda row: _firmware(firmware[row])

    def _device(self, row: int) -> dict[str, Any]:
        table = self.fleet.devices
        return {
            "serial": table.serial(row),
            "product": table.product_id(row),
            "firmware": table.firmware_version(row),
            "updating": table.upgrading(row),
        }

    def _refused(self, request: web.Request) -> web.Response | None:
        if request.headers.get("X-Api-Key") == API_KEY:
            return None
        return self._refuse(request, 401, "unknown_key", "The API key is not known")

    def _refuse(self, request: web.Request, status: int, code: str, message: str) -> web.Response:
        return self._reply(request, status, {"error": {"code": code, "message": message}})

    def _reply(self, request: web.Request, status: int, body: Any) -> web.Response:
        headers = {"X-Request-Id": f"r-{sum(self.served.values())}"}
        return self.answer(request, msgspec.json.encode(body), status=status, headers=headers)


def _firmware(record: FirmwareRecord) -> dict[str, Any]:
    return {
        "id": record.firmware_id,
        "version": record.version,
        "kind": record.kind.value,
        "product": record.product_id or None,
        "size": record.size_bytes,
        "sha256": record.sha256,
    }
