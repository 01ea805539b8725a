"""The vendor's official Python client against the IoTDA emulator: devices, listed and searched."""

from itertools import pairwise
from typing import Any, Final

from otaclient.emulator import Fleet
from otaclient.models import Connection
from vendor_client.official_client import Running, app_of, by_offset, device_id, refused, running, sdk, walk, wire_time

EVERYTHING: Final = "select * from device"


def check_device(fleet: Fleet, device: Any, row: int) -> None:
    """A device says what its row says, field by field."""
    table = fleet.devices
    assert device.device_id == device_id(fleet, row)
    assert device.node_id == table.key(row)
    assert device.product_id == table.product_id(row)
    assert device.app_id == app_of(fleet, table.product_id(row))
    assert device.fw_version == table.firmware_version(row)
    assert device.sw_version == table.software_version(row)
    assert device.status == table.connection(row).value.upper()
    assert device.device_name == ("设备" if row % 4 == 1 else "") + table.key(row)


def test_devices_are_those_of_the_emulator(service_and_client: tuple[Running, Any]) -> None:
    """Listed by markers and by all offsets that the vendor allows, and shown, each device equals its row."""
    service, client = service_and_client
    fleet = service.fleet
    listed = walk(
        lambda marker, limit: client.list_devices(sdk.ListDevicesRequest(limit=limit, marker=marker)), "devices"
    )
    assert len(listed) == len(fleet.devices)
    for row, device in zip(reversed(range(len(fleet.devices))), listed, strict=True):
        check_device(fleet, device, row)
    reached = by_offset(lambda offset: client.list_devices(sdk.ListDevicesRequest(limit=50, offset=offset)), "devices")
    assert [each.device_id for each in reached] == [each.device_id for each in listed[:550]]
    for row in range(24):
        shown = client.show_device(sdk.ShowDeviceRequest(device_id=device_id(fleet, row)))
        check_device(fleet, shown, row)
        assert shown.create_time == wire_time(fleet.devices.registered_at_s[row])
        assert shown.auth_info.secret == f"emulated-secret-{fleet.devices.serial(row)}"
    missing = sdk.ShowDeviceRequest(device_id="nosuch")
    refused(client.show_device, missing, status=404, code="IOTDA.000029")


def test_devices_are_filtered(service: Running) -> None:
    """Product, name, gateway and time of registration narrow the list."""
    client, fleet = service.client(), service.fleet

    def ids(**filters: Any) -> list[str]:
        def page(marker: str | None, limit: int) -> Any:
            return client.list_devices(sdk.ListDevicesRequest(limit=limit, marker=marker, **filters))

        return [each.device_id for each in walk(page, "devices")]

    product_id = fleet.products[1].product_id
    meant = [device_id(fleet, row) for row in fleet.devices.matching(fleet.devices.of_products([product_id]))]
    assert ids(product_id=product_id) == meant[::-1]
    assert ids(device_name=f"设备{fleet.devices.key(41)}") == [device_id(fleet, 41)]
    gateway = device_id(fleet, 40)
    assert set(ids(gateway_id=gateway)) == {device_id(fleet, 57), device_id(fleet, 58)}
    assert set(ids(gateway_id=gateway, is_cascade_query=True)) == {device_id(fleet, row) for row in (57, 58, 59)}
    seconds = fleet.devices.registered_at_s
    times = {"start_time": wire_time(seconds[100]), "end_time": wire_time(seconds[199])}
    assert ids(**times) == [device_id(fleet, row) for row in range(199, 99, -1)]


def search(service: Running, client: Any, sql: str) -> Any:
    """Search devices, a second after the last search."""
    service.pass_time(1)
    return client.search_devices(sdk.SearchDevicesRequest(body=sdk.SearchSql(sql=sql)))


def test_devices_are_searched() -> None:
    """The flexible search pages by the visible marker, counts, selects fields, and compares as documented."""
    with running(edition="standard") as service:
        client, fleet = service.client(derived=True), service.fleet
        table = fleet.devices
        found: list[Any] = []
        condition = ""
        while True:
            sql = f"{EVERYTHING} {condition} order by marker desc limit 50"
            batch = search(service, client, sql).devices
            if not batch:
                break
            found += batch
            condition = f"where marker < '{batch[-1].marker}'"
        assert len(found) == len(table)
        for row, device in zip(reversed(range(len(table))), found, strict=True):
            check_device(fleet, device, row)
        markers = [device.marker for device in found]
        assert all(later < earlier for earlier, later in pairwise(markers))

        online = sum(table.connection(row) is Connection.ONLINE for row in range(len(table)))
        assert search(service, client, "SELECT count(*) FROM device WHERE status = 'ONLINE'").count == online
        version = table.firmware_version(3)
        chosen = EVERYTHING.replace("*", "device_id,fw_version")
        some = search(service, client, f"{chosen} where fw_version = '{version}' order by marker asc limit 2,5").devices
        rows = [row for row in range(len(table)) if table.firmware_version(row) == version]
        assert [(each.device_id, each.fw_version) for each in some] == [
            (device_id(fleet, row), version) for row in rows[2:7]
        ]
        assert all(each.status is None and each.marker is None for each in some)
        near = search(service, client, f"{EVERYTHING} where node_id like '{table.key(7)}%'").devices
        assert [each.node_id for each in near] == [table.key(7)]
        group_id = next(iter(service.emulator.groups))
        members = search(service, client, f"{EVERYTHING} where group_id = '{group_id}' limit 50").devices
        assert members
        assert all(group_id in each.groups for each in members)

        busy = sdk.SearchDevicesRequest(body=sdk.SearchSql(sql="select * from device"))
        refused(client.search_devices, busy, status=429, code="APIGW.0308")
        for wrong in ("select * from devices", "select * from device where fw_version > '1'", f"{'x' * 401}"):
            refused(search, service, client, wrong, status=400)
