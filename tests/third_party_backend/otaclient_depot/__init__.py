"""The Depot API as a backend of otaclient.

Depot is a small API made up for this example. ``GET /v1/devices?page=2&size=100`` answers
``{"total": 617, "items": [...]}``, so does ``/v1/firmware``; ``GET /v1/devices/ID`` answers one record. It filters
nothing. Every request carries ``X-Api-Key``; errors are ``{"error": {"code": ..., "message": ...}}``.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final, Self, cast
from urllib.parse import quote

import attrs

from otaclient.conditions import conditions_of
from otaclient.errors import InvalidQueryError, PayloadError
from otaclient.models import Checksum, DeviceId, DeviceUpgrade, Firmware, FirmwareId, FirmwareKind
from otaclient.paging import Paged
from otaclient.protocols import Capability, Query
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery, FirmwareQuery, JobQuery
from otaclient.reads import PageFacts, PageNumbers, PageWindow, Partition, RawPage, Rows, Window
from otaclient.secret import Secret
from otaclient.session_backend import SessionBackend, SessionPlugin
from otaclient.session_reads import SessionReads, concerning
from otaclient.structuring import decode_json, structure, structure_rows, wire_converter
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.retry import Failure
from otaclient.transport.session import Dialect, Session
from otaclient.transport.statuses import failure_of_status
from otaclient.unsupported import UnsupportedDevices, UnsupportedFirmware, UnsupportedJobs

CONVERTER: Final = wire_converter()
CAPABILITIES: Final = ("devices.get", "devices.search", "devices.upgrading", "firmware.get", "firmware.search")


@attrs.frozen(kw_only=True)
class DepotConfig:
    endpoint: str
    api_key: Secret = attrs.field(converter=Secret.of)  # type: ignore[misc]  # mypy knows no bound converters


@attrs.frozen
class WireDevice:
    serial: str
    product: str | None = None
    firmware: str | None = None
    updating: bool | None = None

    def model(self, backend: str) -> DeviceUpgrade:
        return DeviceUpgrade(
            backend=backend,
            device_id=DeviceId(self.serial),
            product_id=self.product,
            firmware_version=self.firmware,
            upgrading=self.updating,
        )


@attrs.frozen
class WireFirmware:
    id: str
    version: str
    kind: str | None = None
    product: str | None = None
    size: int | None = None
    sha256: str | None = None

    def model(self, backend: str) -> Firmware:
        return Firmware(
            backend=backend,
            firmware_id=FirmwareId(self.id),
            version=self.version,
            kind=FirmwareKind(self.kind) if self.kind in set(FirmwareKind) else FirmwareKind.UNKNOWN,
            product_id=self.product,
            size_bytes=self.size,
            checksum=None if self.sha256 is None else Checksum(algorithm="sha256", value=self.sha256),
        )


@attrs.frozen
class Collection:
    name: str
    record: Any
    key: Callable[[Any], str]
    filters: Mapping[str, str]


DEVICES: Final = Collection(
    "devices",
    WireDevice,
    key=lambda device: device.device_id,
    filters={"products": "product_id", "versions": "firmware_version", "upgrading": "upgrading"},
)
FIRMWARE: Final = Collection(
    "firmware",
    WireFirmware,
    key=lambda firmware: firmware.firmware_id,
    filters={"products": "product_id", "version": "version", "kinds": "kind"},
)


class DepotReads(SessionReads[Any]):
    def __init__(self, session: Session, of: Collection, query: Query) -> None:
        operation = f"{of.name}.search"
        with concerning(operation, session.label):
            filters = conditions_of(query, here=of.filters, vendor="Depot")
        paging = PageNumbers(largest_page=100, default_page=100)
        super().__init__(session, operation=operation, paging=paging, key=of.key, filters=filters)
        self._of = of

    def request(self, partition: Partition, window: Window) -> HttpRequest:
        assert isinstance(window, PageWindow)
        query = (("page", str(window.number)), ("size", str(window.size)))
        return HttpRequest(operation=self.operation, method="GET", path=f"/v1/{self._of.name}", query=query)

    def facts_of(self, raw: RawPage) -> PageFacts:
        page = self._page(raw)
        return PageFacts(rows=len(page["items"]), total=page.get("total"))

    def rows_of(self, raw: RawPage) -> Rows[Any]:
        request, items = self.request(raw.partition, raw.window), self._page(raw)["items"]
        good, errors = structure_rows(
            CONVERTER, items, self._of.record, path="$.items", request=request, response=raw.response
        )
        return Rows(good=[record.model(self._session.label) for record in good], errors=errors)

    def _page(self, raw: RawPage) -> dict[str, Any]:
        page = decode_json(self.request(raw.partition, raw.window), raw.response)
        if isinstance(page, dict) and isinstance(page.get("items"), list):
            return page
        raise PayloadError("the answer is no page of items", status=raw.response.status)


async def one(session: Session, of: Collection, identifier: str, subject: str) -> Any:
    operation = f"{of.name}.get"
    with concerning(operation, session.label):
        if not identifier.strip() or not identifier.isprintable():
            raise InvalidQueryError(f"{identifier!r} cannot name a {subject}: give an identifier of the depot's")
    path = f"/v1/{of.name}/{quote(identifier, safe='')}"
    request = HttpRequest(operation=operation, method="GET", path=path, subject=f"{subject} {identifier!r}")
    response = await session.call(request)
    with concerning(operation, session.label, attempts=response.attempts, redact=session.redact):
        body = decode_json(request, response)
        return structure(CONVERTER, body, of.record, request=request, response=response).model(session.label)


class Repository:
    def __init__(self, session: Session) -> None:
        self._session, self._label = session, session.label


class DepotDevices(Repository, UnsupportedDevices):
    def search(self, query: DeviceUpgradeQuery = DeviceUpgradeQuery(), /) -> Paged[DeviceUpgrade]:
        return Paged(DepotReads(self._session, DEVICES, query), backend="depot", query=query)

    async def get(self, device_id: DeviceId | str, /) -> DeviceUpgrade:
        return cast("DeviceUpgrade", await one(self._session, DEVICES, device_id, "device"))


class DepotFirmware(Repository, UnsupportedFirmware):
    def search(self, query: FirmwareQuery = FirmwareQuery(), /) -> Paged[Firmware]:
        return Paged(DepotReads(self._session, FIRMWARE, query), backend="depot", query=query)

    async def get(self, firmware_id: FirmwareId | str, /) -> Firmware:
        return cast("Firmware", await one(self._session, FIRMWARE, firmware_id, "firmware"))


class DepotBackend(SessionBackend[DepotConfig]):
    name = "depot"
    capabilities = frozenset(map(Capability, CAPABILITIES))

    def __init__(self, config: DepotConfig, session: Session) -> None:
        sign = lambda request, **_: request.with_headers({"X-Api-Key": config.api_key.reveal()})  # noqa: E731
        super().__init__(config, session.speaking(Dialect(endpoint=config.endpoint, sign=sign, classify=classify)))
        self.devices = DepotDevices(self._session)
        self.firmware = DepotFirmware(self._session)
        self.jobs = UnsupportedJobs(label=session.label)

    def reads(self, query: Query, /) -> DepotReads:
        if isinstance(query, JobQuery):
            self.jobs.search(query)
        if isinstance(query, DeviceTaskQuery):
            self.jobs.tasks(query)
        return DepotReads(self._session, FIRMWARE if isinstance(query, FirmwareQuery) else DEVICES, query)

    def with_options(self, *, owner_id: str | None = None, **options: Any) -> Self:
        return type(self)(self._config, self._session.with_options(**options))


def classify(request: HttpRequest, response: HttpResponse, /) -> Failure | None:
    said: Any = {}
    if response.status >= 400:
        with suppress(PayloadError, LookupError, TypeError):  # a proxy's page, say: then the status says it all
            error = decode_json(request, response)["error"]
            said = {"code": str(error["code"]), "message": str(error["message"])}
    return failure_of_status(request, response, request_id=response.headers.get("x-request-id"), **said)


plugin = SessionPlugin(DepotBackend, config_type=DepotConfig)
