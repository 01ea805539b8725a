"""The vendor's official Python client against the IoTDA emulator: packages and modules."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from otaclient.emulator import FirmwareRecord, Fleet
from otaclient.models import FirmwareKind
from vendor_client.official_client import (
    Running,
    app_of,
    by_offset,
    created_package,
    package_body,
    refused,
    said,
    sdk,
    walk,
    wire_time,
)

PACKAGE_TYPES: Final = {
    "firmwarePackage": FirmwareKind.FIRMWARE,
    "softwarePackage": FirmwareKind.SOFTWARE,
    "modulePackage": FirmwareKind.MODULE,
}
SIGN: Final = "0d6afb7e939f0936f40afdc759b5a354ea5427ec250a47e7b904ab1ea800a01d"


# --- packages --------------------------------------------------------------------------------------------------------


def check_package(fleet: Fleet, package: Any, record: FirmwareRecord) -> None:
    """A package says what the record says, field by field."""
    assert package.app_id == app_of(fleet, record.product_id)
    assert PACKAGE_TYPES[package.package_type] is record.kind
    assert package.product_id == record.product_id
    assert package.version == record.version
    assert package.module_name == record.module_name
    assert tuple(package.support_source_versions or ()) == record.source_versions
    assert package.description == record.description
    assert package.custom_info == record.custom_info
    assert package.create_time == wire_time(record.created_at_s)
    product = fleet.product(record.product_id)
    assert product is not None
    assert package.product_name in {None, product.name}


def packages_of(client: Any, package_type: str, **filters: str) -> list[Any]:
    """All packages of a type."""

    def page(marker: str | None, limit: int) -> Any:
        return client.list_ota_package_info(
            sdk.ListOtaPackageInfoRequest(package_type=package_type, limit=limit, marker=marker, **filters)
        )

    return walk(page, "packages", limit=7)


def test_packages_are_those_of_the_emulator(service_and_client: tuple[Running, Any]) -> None:
    """Listed by markers and by offsets, and shown one by one, each package equals its record."""
    service, client = service_and_client
    for package_type, kind in PACKAGE_TYPES.items():
        records = [record for record in reversed(service.fleet.firmware) if record.kind is kind]
        listed = packages_of(client, package_type)
        assert len(listed) == len(records)
        for package, record in zip(listed, records, strict=True):
            check_package(service.fleet, package, record)
            shown = client.show_ota_package(sdk.ShowOtaPackageRequest(package_id=package.package_id))
            check_package(service.fleet, shown, record)
            place = shown.file_location.obs_location
            assert (place.region_name, place.bucket_name) == ("cn-north-4", "emulated-firmware")
            assert place.object_key == f"ota/{record.file_name}"
            assert place.sign == record.sha256
            assert place.sign_method in {None, "SHA256"}

        def page(offset: int, asked: str = package_type) -> Any:
            request = sdk.ListOtaPackageInfoRequest(package_type=asked, limit=10, offset=offset)
            return client.list_ota_package_info(request)

        offsets = by_offset(page, "packages", limit=10)
        assert [each.package_id for each in offsets] == [each.package_id for each in listed]


def test_packages_are_filtered(service: Running) -> None:
    """Resource space, product and version narrow the list."""
    client = service.client()
    record = next(each for each in service.fleet.firmware if each.kind is FirmwareKind.FIRMWARE)
    space = app_of(service.fleet, record.product_id)
    found = packages_of(client, "firmwarePackage", product_id=record.product_id, version=record.version, app_id=space)
    assert [each.version for each in found] == [record.version]
    assert packages_of(client, "firmwarePackage", version="nosuch") == []


def test_package_is_created_and_deleted(service_and_client: tuple[Running, Any]) -> None:
    """What is created is what was given, listed first; what is deleted is gone, once."""
    service, client = service_and_client
    place = sdk.ObsLocation(
        region_name="cn-north-4", bucket_name="fw-bucket", object_key="固件/v99.tar.gz", sign_method="SHA256", sign=SIGN
    )
    body = package_body(
        service.fleet,
        support_source_versions=["V1.0", "V1.1"],
        description="für alle; 给所有人",
        custom_info='{"reboot": true}',
        file_location=sdk.FileLocation(obs_location=place),
    )
    created = created_package(client, body)
    assert created.status_code == 201
    asked = said(body)
    answered = said(created)
    identifiers = {"package_id": created.package_id, "create_time": wire_time(service.clock.now_ms() // 1000)}
    assert answered == {**asked, **identifiers}
    check_package(service.fleet, created, service.fleet.firmware[-1])
    shown = client.show_ota_package(sdk.ShowOtaPackageRequest(package_id=created.package_id))
    assert said(shown) == answered
    assert packages_of(client, "firmwarePackage")[0].package_id == created.package_id

    gone = client.delete_ota_package(sdk.DeleteOtaPackageRequest(package_id=created.package_id))
    assert gone.status_code == 204
    again = sdk.DeleteOtaPackageRequest(package_id=created.package_id)
    refused(client.delete_ota_package, again, status=404, code="IOTDA.000029")
    missing = sdk.ShowOtaPackageRequest(package_id=created.package_id)
    refused(client.show_ota_package, missing, status=404, code="IOTDA.000029")


def test_packages_that_cannot_be_created(service: Running) -> None:
    """Every limit of a package has its refusal, and nothing is created."""
    client, fleet = service.client(), service.fleet
    before = len(fleet.firmware)

    def place(**fields: str) -> Any:
        given = {"region_name": "cn-north-4", "bucket_name": "fw-bucket", "object_key": "fw/v99.bin"}
        return sdk.FileLocation(obs_location=sdk.ObsLocation(**{**given, **fields}))

    wrong: Sequence[Mapping[str, Any]] = [
        {"package_type": "firmware"},
        {"package_type": "modulePackage"},
        {"module_name": "radio"},
        {"version": "1 0"},
        {"version": "x" * 257},
        {"support_source_versions": [f"V{number}" for number in range(21)]},
        {"description": "x" * 1025},
        {"custom_info": "x" * 4097},
        {"file_location": None},
        {"file_location": place(object_key="fw/v99.txt")},
        {"file_location": place(bucket_name="Bucket")},
        {"file_location": place(sign="0" * 63)},
        {"file_location": place(sign_method="MD5")},
    ]
    for fields in wrong:
        refused(created_package, client, package_body(fleet, **fields), status=400)
    refused(created_package, client, package_body(fleet, app_id="nosuch"), status=403, code="IOTDA.001000")
    refused(created_package, client, package_body(fleet, product_id="nosuch"), status=404, code="IOTDA.014204")
    taken = fleet.products[0].firmware_versions[0]
    refused(created_package, client, package_body(fleet, version=taken), status=409)
    assert len(fleet.firmware) == before


# --- modules ---------------------------------------------------------------------------------------------------------


def modules_of(client: Any, **filters: str) -> list[Any]:
    """All modules."""
    return walk(
        lambda marker, limit: client.list_ota_modules(sdk.ListOtaModulesRequest(limit=limit, marker=marker, **filters)),
        "modules",
        limit=1,
    )


def test_modules_live_and_go(service_and_client: tuple[Running, Any]) -> None:
    """A module is created, listed, shown, changed and deleted; a product has at most ten, each with its own name."""
    service, client = service_and_client
    product = service.fleet.products[2]
    known = {
        (record.product_id, record.module_name)
        for record in service.fleet.firmware
        if record.kind is FirmwareKind.MODULE
    }
    assert {(each.product_id, each.module_name) for each in modules_of(client)} == known
    body = sdk.CreateOtaModule(
        app_id=app_of(service.fleet, product.product_id),
        product_id=product.product_id,
        module_name="motor-0",
        alias_name="电机",
        description="drives the rotor",
    )
    created = client.create_ota_module(sdk.CreateOtaModuleRequest(body=body))
    assert created.status_code == 201
    answered = said(created)
    assert answered == {
        **said(body),
        "module_id": created.module_id,
        "product_name": product.name,
        "create_time": wire_time(service.clock.now_ms() // 1000),
    }
    assert said(client.show_ota_module(sdk.ShowOtaModuleRequest(module_id=created.module_id))) == answered
    change = sdk.UpdateOtaModule(alias_name="转子", description="")
    updated = client.update_ota_module(sdk.UpdateOtaModuleRequest(module_id=created.module_id, body=change))
    assert said(updated) == {**answered, "alias_name": "转子", "description": ""}

    refused(client.create_ota_module, sdk.CreateOtaModuleRequest(body=body), status=409)
    for number in range(1, 10):
        body.module_name = f"motor-{number}"
        client.create_ota_module(sdk.CreateOtaModuleRequest(body=body))
    body.module_name = "motor-10"
    refused(client.create_ota_module, sdk.CreateOtaModuleRequest(body=body), status=400)
    mine = modules_of(client, product_id=product.product_id)
    assert [each.module_name for each in mine] == [f"motor-{number}" for number in reversed(range(10))]
    paged = client.list_ota_modules(sdk.ListOtaModulesRequest(product_id=product.product_id, limit=3, offset=8))
    assert [each.module_name for each in paged.modules] == ["motor-1", "motor-0"]

    request = sdk.DeleteOtaModuleRequest(module_id=created.module_id)
    assert client.delete_ota_module(request).status_code == 204
    refused(client.delete_ota_module, request, status=404, code="IOTDA.000029")
    missing = sdk.ShowOtaModuleRequest(module_id=created.module_id)
    refused(client.show_ota_module, missing, status=404, code="IOTDA.000029")
