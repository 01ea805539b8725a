"""The library, as its users have it: signed, with retries, with a deadline for each call."""

from typing import Literal, TypedDict, Unpack

import otaclient
from benchmarks.measuring import MeasurementError, Read
from otaclient import Backend, Certificate, DeviceUpgradeQuery, Limits, Verdict
from otaclient_enos import EnosConfig
from otaclient_iotda import AkSkCredentials, IotdaConfig

__all__ = [
    "ACCESS_KEY",
    "APP_KEY",
    "APP_SECRET",
    "SECRET_KEY",
    "enos",
    "iotda",
    "project_of",
    "scan_pages",
    "scan_rows",
]

# The page server looks at no signature; the lengths are the vendors'.
APP_KEY = "1f3a0c52-0a1b-4f0e-9d57-5a0f6d3b8c11"
APP_SECRET = "2b4d6c8e-7d2a-4c55-8a0e-93a1f0c4d7e2"  # noqa: S105
ACCESS_KEY = "BENCHMARKACCESSKEY00"
SECRET_KEY = "benchmark-secret-key-of-forty-characters"  # noqa: S105


def project_of(devices: int) -> str:
    """Return the IoTDA project that has so many devices on the page server."""
    return f"p{devices:031d}"


def enos(endpoint: str, devices: int, *, concurrency: int) -> Backend:
    """Return a client of the EnOS organisation that has so many devices on the page server."""
    config = EnosConfig(endpoint=endpoint, org_id=f"o{devices}", app_key=APP_KEY, app_secret=APP_SECRET)
    return otaclient.open_backend("enos", config=config, limits=Limits(concurrency=concurrency))


def iotda(endpoint: str, devices: int, *, concurrency: int) -> Backend:
    """Return a client of the IoTDA project that has so many devices on the page server."""
    credentials = AkSkCredentials(access_key=ACCESS_KEY, secret_key=SECRET_KEY)
    config = IotdaConfig(endpoint=endpoint, project_id=project_of(devices), credentials=credentials)
    return otaclient.open_backend("iotda", config=config, limits=Limits(concurrency=concurrency))


class How(TypedDict, total=False):
    """How to scan."""

    certify: bool
    dedupe: Literal["exact", "neighbours"]


async def scan_pages(backend: Backend, *, concurrency: int, **how: Unpack[How]) -> Read:
    """Scan everything to models, which are dropped, and close the client.

    Raises:
        MeasurementError: See :func:`_undisturbed`.
    """
    rows = 0
    async with backend:
        targets = [(backend, DeviceUpgradeQuery())]
        async with otaclient.scan(targets, concurrency=concurrency, **how) as scan:
            async for page in scan.pages():
                rows += len(page)
    return _undisturbed(scan.certificate, rows, how)


async def scan_rows(backend: Backend, *, concurrency: int, **how: Unpack[How]) -> Read:
    """Do the same as :func:`scan_pages`, record by record."""
    rows = 0
    async with backend:
        targets = [(backend, DeviceUpgradeQuery())]
        async with otaclient.scan(targets, concurrency=concurrency, **how) as scan:
            async for _ in scan:
                rows += 1
    return _undisturbed(scan.certificate, rows, how)


def _undisturbed(certificate: Certificate, rows: int, how: How) -> Read:
    """Return what was read.

    Raises:
        MeasurementError: It was not proved, or something had to be repeated: the figure would be of another thing.
    """
    wanted = Verdict.CERTIFIED if how.get("certify", True) else Verdict.UNPROVED
    if certificate.verdict is not wanted or certificate.retries or certificate.repairs:
        raise MeasurementError(f"the scan did not run undisturbed: {certificate}")
    return Read(rows, certificate.requests)
