"""An IoTDA client of one resource space, for what it writes, and a network that answers it from a script."""

from collections.abc import Callable
from typing import Any

import msgspec

from otaclient.models import FirmwareId, JobScope, LocalizedText, NewFirmware, NewJob
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.session import Session
from otaclient_iotda import AkSkCredentials, IotdaBackend, IotdaConfig, plugin
from support.network import ScriptedTransport

HOST = "https://iotda.cn-north-4.myhuaweicloud.com"
PACKAGE = NewFirmware(version="V2.0", product_id="p", location="obs://fw-bucket/fw/v2.bin")
JOB = NewJob(
    name=LocalizedText(default="night"), firmware_ids=(FirmwareId("f1"),), scope=JobScope(devices=("d1", "d2"))
)
NO_SUCH = {"error_code": "IOTDA.000029", "error_msg": "No such thing."}


def reply(body: Any = b"", status: int = 200) -> HttpResponse:
    """Return an answer."""
    return HttpResponse(status=status, body=body if isinstance(body, bytes) else msgspec.json.encode(body))


def opened(*answers: Any, **settings: Any) -> tuple[IotdaBackend, ScriptedTransport]:
    """Return a client of a resource space, and the network that answers it."""
    keys = AkSkCredentials(access_key="AK", secret_key="very-secret")
    given: dict[str, Any] = {"endpoint": HOST, "project_id": "p1", "credentials": keys, "app_id": "space"}
    network = ScriptedTransport(answers)
    session = Session(label="north", transport=network, clock=HandClock(), roll=lambda: 0.5)
    return plugin.open(IotdaConfig(**(given | settings)), session), network


def asked(request: HttpRequest) -> tuple[str, str, Any]:
    """Return the method, the path within the project, and the body."""
    path = request.path.removeprefix("/v5/iot/p1/")
    return request.method, path, msgspec.json.decode(request.body) if request.body else None


def package(firmware_id: str, **fields: Any) -> HttpResponse:
    """Return a package as it is shown."""
    return reply({"package_id": firmware_id, "version": "1", "package_type": "firmwarePackage"} | fields)


def results(*refused: str) -> Callable[[HttpRequest], HttpResponse]:
    """Return an answer that accepts every target but some."""

    def answer(request: HttpRequest) -> HttpResponse:
        entries = [
            {"target": target, "status": "failure", "error_code": "IOTDA.1", "error_msg": "Not now."}
            if target in refused
            else {"target": target, "status": "success"}
            for target in asked(request)[2]["targets"]
        ]
        return reply({"targets": entries})

    return answer


def task(status: str, **progress: int) -> HttpResponse:
    """Return a batch task as it is shown."""
    return reply({"batchtask": {"task_id": "a1", "status": status, "task_progress": progress or None}})
