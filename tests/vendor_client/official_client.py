"""The vendor's official Python client, as it is, against the IoTDA emulator: every operation, both signatures.

What the client receives is compared with the records that the emulator holds. The package ``huaweicloudsdkiotda`` is
not a dependency of this project, so ``.ci/vendor_client`` runs these checks in an environment of their own.
"""

import asyncio
import importlib
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from otaclient.emulator import Fleet, JobPlan, ManualClock
from otaclient_iotda.emulator import IotdaEmulator

sdk: Any = importlib.import_module("huaweicloudsdkiotda.v5")
core_credentials: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials")
core_exceptions: Any = importlib.import_module("huaweicloudsdkcore.exceptions.exceptions")
core_region: Any = importlib.import_module("huaweicloudsdkcore.region.region")

FLEET: Final = Fleet.generate(devices=700, seed=23)
PROJECT: Final = "0a1b2c3d4e5f60718293a4b5c6d7e8f9"
QUICK: Final = JobPlan(pending_seconds=2, published_seconds=4, upgrading_seconds=10, spread=0, failing_share=0)

served: Counter[str] = Counter()
"""What all emulators of this run were asked."""


class Running:
    """An emulator that runs in a thread of its own, and clients of it."""

    def __init__(self, emulator: IotdaEmulator, clock: ManualClock) -> None:
        self.emulator = emulator
        self.clock = clock
        self.fleet = emulator.fleet

    def client(
        self,
        *,
        derived: bool = False,
        access_key: str = "EMULATORACCESSKEY",
        secret_key: str = "emulator-secret-key",
        security_token: str | None = None,
        project_id: str = PROJECT,
    ) -> Any:
        """Return a client of the vendor's, made as its documentation says."""
        credentials = core_credentials.BasicCredentials(access_key, secret_key, project_id)
        if security_token is not None:
            credentials = credentials.with_security_token(security_token)
        builder = sdk.IoTDAClient.new_builder()
        if derived:
            always = core_credentials.DerivedCredentials.get_default_derived_predicate()
            credentials = credentials.with_derived_predicate(always)
            builder = builder.with_region(core_region.Region("cn-north-4", self.emulator.url))
        else:
            builder = builder.with_endpoint(self.emulator.url)
        return builder.with_credentials(credentials).build()

    def pass_time(self, seconds: float) -> None:
        """Let time pass; nothing that is signed then is too old, as long as it stays under a quarter of an hour."""
        self.clock.advance(seconds)
        self.emulator.engine.settle()


@contextmanager
def running(**options: Any) -> Iterator[Running]:
    """Run an emulator over a fleet of its own."""
    clock = ManualClock(datetime.now(UTC))
    emulator = IotdaEmulator(FLEET.copy(), clock=clock, **{"plan": QUICK, **options})
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(emulator.start(), loop).result()
        yield Running(emulator, clock)
    finally:
        asyncio.run_coroutine_threadsafe(emulator.stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        served.update(emulator.served)


def walk(page_of: Callable[[str | None, int], Any], rows: str, *, limit: int = 50) -> list[Any]:
    """All rows of a list, by markers; ``count`` is the number of them on every page."""
    found: list[Any] = []
    marker: str | None = None
    counts: set[int] = set()
    while True:
        page = page_of(marker, limit)
        batch = list(getattr(page, rows))
        counts.add(page.page.count)
        if not batch:
            assert counts == {len(found)}
            assert page.page.marker is None
            return found
        assert len(batch) <= limit
        found += batch
        assert marker is None or page.page.marker < marker
        marker = page.page.marker


def by_offset(page_of: Callable[[int], Any], rows: str, *, limit: int = 50) -> list[Any]:
    """The rows of a list that offsets reach."""
    found: list[Any] = []
    for offset in range(0, 501, limit):
        found += list(getattr(page_of(offset), rows))
    return found


def wire_time(seconds: float) -> str:
    """The vendor's form of a time."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def device_id(fleet: Fleet, row: int) -> str:
    """The identifier of a device."""
    return f"{fleet.devices.product_id(row)}_{fleet.devices.key(row)}"


def said(model: Any) -> Any:
    """What a model of the client's holds, whatever is set; its own ``to_dict`` is deprecated."""
    if isinstance(model, list):
        return [said(item) for item in model]
    if not hasattr(model, "openapi_types"):
        return model
    held = {name: getattr(model, name) for name in model.openapi_types}
    return {name: said(value) for name, value in held.items() if value is not None}


def refused(call: Callable[..., Any], *arguments: Any, status: int, code: str | None = None) -> Any:
    """What the client raises."""
    with pytest.raises(core_exceptions.ServiceResponseException) as caught:
        call(*arguments)
    error = caught.value
    assert error.status_code == status
    if code is not None:
        assert error.error_code == code
    assert len(error.request_id) == 32
    assert error.error_msg
    return error


def app_of(fleet: Fleet, product_id: str) -> str:
    """The resource space of a product: they alternate."""
    return ("61f7e74d036aca5be29e1ed4", "64b1f0a2036aca5be29e1f0b")[fleet.devices.product_ids.index(product_id) % 2]


def package_body(fleet: Fleet, product: int = 0, **fields: Any) -> Any:
    """A package to create, with as little as it takes."""
    product_id = fleet.products[product].product_id
    place = sdk.ObsLocation(region_name="cn-north-4", bucket_name="fw-bucket", object_key="fw/v99.bin")
    given: dict[str, Any] = {
        "app_id": app_of(fleet, product_id),
        "package_type": "firmwarePackage",
        "product_id": product_id,
        "version": "V99.0",
        "file_location": sdk.FileLocation(obs_location=place),
    }
    return sdk.CreateOtaPackage(**{**given, **fields})


def created_package(client: Any, body: Any) -> Any:
    """Create a package."""
    return client.create_ota_package(sdk.CreateOtaPackageRequest(body=body))
