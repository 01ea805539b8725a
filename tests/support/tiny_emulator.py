"""An emulated vendor with one operation for each thing that can happen."""

from collections.abc import Iterable, Iterator
from typing import Any

from aiohttp import web

from otaclient.emulator import EmulatorServer, Fleet
from otaclient.models import DeviceTask, DeviceUpgrade, Firmware, Job

FLEET = Fleet.generate(devices=3, jobs=0)


class TinyEmulator(EmulatorServer):
    """A vendor with one operation for each thing that can happen."""

    vendor = "tiny"

    def routes(self) -> Iterable[web.AbstractRouteDef]:
        return [
            web.get("/small", self._small),
            web.post("/large", self._large),
            web.get("/broken", self._broken),
            web.get("/streamed", self._streamed),
        ]

    def operation(self, request: web.Request) -> str:
        return request.path.strip("/")

    def no_route(self, request: web.Request, status: int) -> web.Response:
        return self.answer(request, b'{"tiny":"no route"}', status=status)

    def internal_error(self, request: web.Request) -> web.Response:
        return self.answer(request, b'{"tiny":"broken"}', status=500)

    def environment(self) -> dict[str, str]:
        return {}

    def config(self) -> Any:
        return None

    def expected_devices(self, label: str) -> Iterator[DeviceUpgrade]:
        return iter(())

    def expected_firmware(self, label: str) -> Iterator[Firmware]:
        return iter(())

    def expected_jobs(self, label: str) -> Iterator[Job]:
        return iter(())

    def expected_tasks(self, label: str, job_id: str) -> Iterator[DeviceTask]:
        return iter(())

    async def _small(self, request: web.Request) -> web.Response:
        return self.answer(request, b"{}", headers={"X-Tiny": "yes"})

    async def _large(self, request: web.Request) -> web.Response:
        return self.answer(request, await request.read())

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        return await self.stream(request, [b"ab", b"cd", b"ef"], size_bytes=6, headers={"X-Tiny": "yes"})

    async def _broken(self, request: web.Request) -> web.Response:
        raise KeyError("unforeseen")
