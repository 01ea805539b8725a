"""The vendor's official Python client against the IoTDA emulator: who asks, and what goes wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from otaclient_iotda.emulator import AccessKey
from vendor_client.official_client import FLEET, PROJECT, Running, refused, running, sdk


@pytest.mark.parametrize("derived", [False, True])
def test_temporary_credentials(derived: bool) -> None:
    """A temporary key is signed with its security token, and worth nothing without it."""
    keys = {"TEMPORARYKEY": AccessKey(secret_key="temporary-secret", security_token="gQpjbi1ub3J0aC00LVRFU1Q=")}
    with running(keys=keys) as service:
        mine: dict[str, Any] = {"access_key": "TEMPORARYKEY", "secret_key": "temporary-secret", "derived": derived}
        client = service.client(**mine, security_token="gQpjbi1ub3J0aC00LVRFU1Q=")
        request = sdk.ListDevicesRequest(limit=3, instance_id="4cdeb1cd-7071-4890-9ce4-e6c2299e960e")
        assert len(client.list_devices(request).devices) == 3
        body = sdk.SearchSql(sql="select count(*) from device")
        assert client.search_devices(sdk.SearchDevicesRequest(body=body)).count == len(FLEET.devices)
        other = service.client(**mine, security_token="another")
        refused(other.list_devices, request, status=401, code="APIGW.0301")
        bare = service.client(**mine)
        refused(bare.list_devices, request, status=401, code="APIGW.0301")


def test_keys_that_are_wrong(service: Running) -> None:
    """A wrong secret is answered with the server's canonical request, an unknown key with its name."""
    request = sdk.ListDevicesRequest(limit=1)
    for derived in (False, True):
        error = refused(
            service.client(secret_key="wrong", derived=derived).list_devices,
            request,
            status=401,
            code="APIGW.0301",
        )
        assert f"canonicalRequest:GET|/v5/iot/{PROJECT}/devices/|limit=1|" in error.error_msg
    error = refused(service.client(access_key="NOSUCH").list_devices, request, status=401, code="APIGW.0301")
    assert "ak:NOSUCH" in error.error_msg
    foreign = service.client(project_id="f" * 32)
    refused(foreign.list_devices, request, status=403, code="IOTDA.000021")


def test_editions_want_their_own_signatures() -> None:
    """A dedicated endpoint refuses plain signatures, a shared one derived ones; only the former has a search."""
    request = sdk.ListDevicesRequest(limit=1)
    with running(edition="standard") as service:
        refused(service.client().list_devices, request, status=401, code="IOTDA.000002")
    with running(edition="basic") as service:
        refused(service.client(derived=True).list_devices, request, status=401, code="APIGW.0301")
        sql = sdk.SearchDevicesRequest(body=sdk.SearchSql(sql="select * from device"))
        refused(service.client().search_devices, sql, status=403)


def test_parameters_that_are_wrong(service: Running) -> None:
    """The client checks nothing; the service answers with the documented codes."""
    client = service.client()
    wrong: Sequence[tuple[Mapping[str, Any], str]] = [
        ({"limit": 0}, "IOTDA.000017"),
        ({"limit": 51}, "IOTDA.000017"),
        ({"marker": "zz"}, "IOTDA.000018"),
        ({"offset": 501}, "IOTDA.000006"),
        ({"start_time": "yesterday"}, "IOTDA.000009"),
        ({"start_time": "20260102T000000Z", "end_time": "20260101T000000Z"}, "IOTDA.000010"),
    ]
    for parameters, code in wrong:
        request = sdk.ListDevicesRequest(**parameters)
        refused(client.list_devices, request, status=400, code=code)
    untyped = sdk.ListBatchTasksRequest()
    refused(client.list_batch_tasks, untyped, status=400, code="IOTDA.000006")


def test_service_that_fails(service: Running) -> None:
    """A failure inside the service reaches the caller with its code and its request id."""
    client = service.client()
    body = b'{"error_code":"IOTDA.000001","error_msg":"Internal server error."}'
    headers = {"Content-Type": "application/json", "X-Request-Id": "0" * 32}
    service.emulator.faults.inject("devices.search", status=500, headers=headers, body=body)
    refused(client.list_devices, sdk.ListDevicesRequest(), status=500, code="IOTDA.000001")
    assert client.list_devices(sdk.ListDevicesRequest()).devices
