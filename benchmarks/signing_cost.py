"""What a signature with an access key costs, against the vendor's own signer, for one and the same request."""

import importlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from benchmarks.clients import ACCESS_KEY, SECRET_KEY, project_of
from benchmarks.figures import Figure, Goal, Unit
from benchmarks.measuring import Benchmark, MeasurementError, Options, Read, Side, pairs_of
from benchmarks.serving import PageServer
from otaclient.secret import Secret
from otaclient.transport.http import HttpRequest
from otaclient_iotda.signing import KeySigner, sdk_date

__all__ = ["BENCHMARK"]

HOST = "iotda.cn-north-4.myhuaweicloud.com"
PROJECT = project_of(1)
PATH = f"/v5/iot/{PROJECT}/devices"
SIGNATURES = 5_000


class Official:
    """The vendor's signer. It writes into the request, so each signature needs a new one, as in the vendor's client."""

    def __init__(self) -> None:
        signers: Any = importlib.import_module("huaweicloudsdkcore.signer.signer")
        requests: Any = importlib.import_module("huaweicloudsdkcore.sdk_request")
        credentials: Any = importlib.import_module("huaweicloudsdkcore.auth.credentials")
        self._signer = signers.Signer(credentials.BasicCredentials(ACCESS_KEY, SECRET_KEY, PROJECT))
        self._request = requests.SdkRequest

    def headers(self, marker: str, date: str | None = None) -> dict[str, str]:
        """Return the headers of a signed page request."""
        headers = {"Content-Type": "application/json", "X-Project-Id": PROJECT}
        if date is not None:
            headers["X-Sdk-Date"] = date
        request = self._request(
            method="GET",
            schema="https",
            host=HOST,
            resource_path=PATH,
            query_params=[("limit", 50), ("marker", marker), ("offset", 100)],
            header_params=headers,
        )
        signed: dict[str, str] = self._signer.sign(request).header_params
        return signed

    def sign_all(self, markers: Sequence[str]) -> Read:
        """Sign a request for each marker."""
        return Read(len([self.headers(marker) for marker in markers]), 0)


class Ours:
    """Our signer, given a new request and the time for each signature, as the session does."""

    def __init__(self) -> None:
        self._sign = KeySigner(access_key=ACCESS_KEY, secret_key=Secret(SECRET_KEY), project_id=PROJECT)

    def headers(self, marker: str, now: datetime | None = None) -> dict[str, str]:
        """Return the headers of a signed page request."""
        request = HttpRequest(
            operation="devices.search",
            method="GET",
            path=PATH,
            query=(("limit", "50"), ("marker", marker), ("offset", "100")),
        )
        signed = self._sign(request, endpoint=f"https://{HOST}", token=None, now=now or datetime.now(UTC))
        return dict(signed.headers)

    def sign_all(self, markers: Sequence[str]) -> Read:
        """Sign a request for each marker."""
        return Read(len([self.headers(marker) for marker in markers]), 0)


def run(_server: PageServer, options: Options) -> list[Figure]:
    """Return our processor time as a share of the vendor's, after both gave the same signature."""
    ours, official = Ours(), Official()
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    marker = "5c90fa7d3c4e4405e8525079"
    mine, its = ours.headers(marker, now), official.headers(marker, sdk_date(now))
    if mine["Authorization"] != its["Authorization"]:
        raise MeasurementError("our signature is not the official one")
    markers = [f"{number:024x}" for number in range(options.sized(SIGNATURES, smoke=50))]
    pairs = pairs_of(
        options,
        ours=Side(name="our signer", run=lambda: ours.sign_all(markers), rows=len(markers), times=2),
        official=Side(name="the official signer", run=lambda: official.sign_all(markers), rows=len(markers)),
    )
    samples = tuple(pair["ours"].cpu_seconds / pair["official"].cpu_seconds for pair in pairs)
    goal = Goal(to_reach=1 / 4, stretch=1 / 7)
    return [
        Figure(
            row="11", name="signing, same signature as the official one", samples=samples, unit=Unit.SHARE, goal=goal
        )
    ]


BENCHMARK = Benchmark(
    name="signing-cost",
    title="Signing an IoTDA request with an access key (HMAC): processor time against the official signer",
    rows="11",
    run=run,
    needs=("huaweicloudsdkcore",),
)
