"""The IoTDA emulator's packages and modules: created, changed, deleted, and every limit of theirs."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from otaclient.emulator import Fleet, ManualClock
from otaclient.models import Checksum, FirmwareKind
from otaclient_iotda.emulator import IotdaEmulator, packages, render
from otaclient_iotda.emulator.filters import wire_time
from otaclient_iotda.emulator.modules import ModuleVersions
from support.iotda import Caller, serving

FLEET = Fleet.generate(devices=300, seed=31)
PRODUCT = FLEET.products[0].product_id
APP = render.app_id(FLEET, PRODUCT)
OTHER_APP = next(app for app in render.app_ids() if app != APP)
PACKAGES = "ota-upgrades/packages"
MODULES = "ota-upgrades/modules"
SIGN = "0d6afb7e939f0936f40afdc759b5a354ea5427ec250a47e7b904ab1ea800a01d"
LOCATION: dict[str, Any] = {"region_name": "cn-north-4", "bucket_name": "fw-bucket", "object_key": "fw/v99.bin"}
PACKAGE: dict[str, Any] = {
    "app_id": APP,
    "package_type": "firmwarePackage",
    "product_id": PRODUCT,
    "version": "V99.0",
    "file_location": {"obs_location": LOCATION},
}
MODULE: dict[str, Any] = {"app_id": APP, "product_id": PRODUCT, "module_name": "motor"}

Served = tuple[IotdaEmulator, Caller]


@pytest.fixture
async def served(clock: ManualClock) -> AsyncIterator[Served]:
    """An emulator over a fleet of its own, and a caller of it."""
    async with serving(FLEET, clock=clock) as pair:
        yield pair


def located(**fields: object) -> dict[str, object]:
    """The place of a file."""
    return {"file_location": {"obs_location": {**LOCATION, **fields}}}


# --- packages --------------------------------------------------------------------------------------------------------


async def test_package_shows_what_was_given(served: Served) -> None:
    """A new package answers with all that it was given, and shows the same ever after; lists leave out the place."""
    emulator, caller = served
    given = {
        **PACKAGE,
        "support_source_versions": ["V1.0", "V1.1"],
        "description": "",
        "custom_info": '{"reboot": true}',
        **located(sign=SIGN, sign_method="SHA256", object_key="文件/v99.tar.gz"),
    }
    status, created = await caller.send("POST", PACKAGES, {**given, "unknown": 1})
    assert status == 201
    made = {"package_id": created["package_id"], "create_time": wire_time(FLEET.now.timestamp())}
    assert created == {**given, **made}
    assert await caller.get(f"{PACKAGES}/{created['package_id']}") == created
    listed = await caller.walk(PACKAGES, "packages", package_type="firmwarePackage", limit=3)
    assert listed[0] == {name: value for name, value in created.items() if name != "file_location"}
    expected = next(emulator.expected_firmware("plant", located=True))
    assert (expected.firmware_id, expected.description) == (created["package_id"], "")
    assert expected.checksum == Checksum(algorithm="sha256", value=SIGN)
    assert expected.location == "obs://fw-bucket/文件/v99.tar.gz"
    assert expected.source_versions == ("V1.0", "V1.1")


async def test_package_of_little(served: Served) -> None:
    """What was not given is missing; null counts as not given."""
    emulator, caller = served
    status, created = await caller.send(
        "POST", PACKAGES, {**PACKAGE, "description": None, "support_source_versions": None, "module_name": None}
    )
    assert status == 201
    assert set(created) == {*PACKAGE, "package_id", "create_time"}
    assert created["file_location"] == {"obs_location": LOCATION}
    expected = next(emulator.expected_firmware("plant", located=True))
    assert (expected.checksum, expected.source_versions) == (None, ())


async def test_package_is_deleted_once(served: Served) -> None:
    """A deleted package is in no list; showing or deleting it again is a 404."""
    emulator, caller = served
    _, created = await caller.send("POST", PACKAGES, PACKAGE)
    path = f"{PACKAGES}/{created['package_id']}"
    assert await caller.send("DELETE", path) == (204, {})
    for method in ("GET", "DELETE"):
        status, body = await caller.send(method, path)
        assert (status, body["error_code"]) == (404, "IOTDA.000029")
    listed = await caller.walk(PACKAGES, "packages", package_type="firmwarePackage")
    assert created["package_id"] not in {row["package_id"] for row in listed}
    assert emulator.served["firmware.delete"] == 2


async def test_records_made_in_one_instant_are_in_order(served: Served) -> None:
    """Packages that are created while the clock stands still are listed newest first, each once."""
    _, caller = served
    made = [
        (await caller.send("POST", PACKAGES, {**PACKAGE, "version": f"V99.{number}"}))[1]["package_id"]
        for number in range(5)
    ]
    listed = await caller.walk(PACKAGES, "packages", package_type="firmwarePackage", product_id=PRODUCT, limit=2)
    assert [row["package_id"] for row in listed[:5]] == made[::-1]


async def test_package_used_by_a_task_stays(served: Served) -> None:
    """A package cannot be deleted while a task that uses it has not ended."""
    emulator, caller = served
    job = next(job for job in FLEET.jobs if job.open_tasks())
    used = emulator.fleet.firmware_record(job.firmware_ids[0])
    assert used is not None
    status, body = await caller.send("DELETE", f"{PACKAGES}/{packages.package_id(used)}")
    assert (status, body["error_code"]) == (409, packages.PACKAGE_IN_USE.code)
    assert emulator.fleet.firmware_record(job.firmware_ids[0]) is used


async def test_lists_may_lag(clock: ManualClock) -> None:
    """With a read lag a new package can be shown at once, and is listed a while later."""
    async with serving(FLEET, clock=clock, read_lag_seconds=2) as (_, caller):
        _, created = await caller.send("POST", PACKAGES, PACKAGE)
        assert await caller.get(f"{PACKAGES}/{created['package_id']}") == created

        async def newest() -> str:
            page = await caller.get(PACKAGES, package_type="firmwarePackage", limit=1)
            return str(page["packages"][0]["package_id"])

        assert await newest() != created["package_id"]
        clock.advance(2)
        assert await newest() == created["package_id"]


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        *(({name: None}, name) for name in PACKAGE),
        ({"app_id": "a b"}, "app_id"),
        ({"app_id": 7}, "app_id"),
        ({"app_id": "x" * 37}, "app_id"),
        ({"package_type": "firmware"}, "package_type"),
        ({"package_type": "modulePackage"}, "module_name"),
        ({"module_name": "radio"}, "module_name"),
        ({"package_type": "modulePackage", "module_name": "r dio"}, "module_name"),
        ({"version": "1 0"}, "version"),
        ({"version": "x" * 257}, "version"),
        ({"support_source_versions": "V1"}, "support_source_versions"),
        ({"support_source_versions": ["V 1"]}, "support_source_versions"),
        ({"support_source_versions": [7]}, "support_source_versions"),
        ({"support_source_versions": ["V"] * 21}, "support_source_versions"),
        ({"description": "x" * 1025}, "description"),
        ({"custom_info": "x" * 4097}, "custom_info"),
        ({"file_location": "obs"}, "file_location"),
        ({"file_location": {}}, "obs_location"),
        (located(region_name=None), "region_name"),
        (located(region_name="cn north"), "region_name"),
        (located(bucket_name="ab"), "bucket_name"),
        (located(bucket_name="Bucket"), "bucket_name"),
        (located(object_key=""), "object_key"),
        (located(object_key="x" * 1021 + ".bin"), "object_key"),
        (located(object_key="fw/v1.txt"), "object_key"),
        (located(sign="0" * 63), "sign"),
        (located(sign_method="MD5"), "sign_method"),
    ],
)
async def test_package_that_is_refused(served: Served, fields: dict[str, object], named: str) -> None:
    """Whatever is missing, of the wrong form or beyond a limit is refused by name, and nothing is created."""
    emulator, caller = served
    status, body = await caller.send("POST", PACKAGES, {**PACKAGE, **fields})
    assert (status, body["error_code"]) == (400, "IOTDA.000006")
    assert f"'{named}'" in body["error_msg"]
    assert len(emulator.fleet.firmware) == len(FLEET.firmware)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'"text"', b"[" * 100_000])
async def test_body_that_is_no_object(served: Served, raw: bytes) -> None:
    """A body that is no JSON object has a code of its own."""
    _, caller = served
    status, body = await caller.send("POST", PACKAGES, raw)
    assert (status, body["error_code"]) == (400, "IOTDA.000008")


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"app_id": "nosuch"}, 403, "IOTDA.001000"),
        ({"product_id": "nosuch"}, 404, "IOTDA.014204"),
        ({"app_id": OTHER_APP}, 404, "IOTDA.014204"),
        ({"version": FLEET.products[0].firmware_versions[0]}, 409, packages.PACKAGE_EXISTS.code),
    ],
)
async def test_package_that_does_not_fit(served: Served, fields: dict[str, object], status: int, code: str) -> None:
    """Unknown spaces and products, and versions that are taken, are refused."""
    _, caller = served
    answered, body = await caller.send("POST", PACKAGES, {**PACKAGE, **fields})
    assert (answered, body["error_code"]) == (status, code)


async def test_modules_have_versions_of_their_own(served: Served) -> None:
    """Two modules of one product may have packages of one version; the list names the module."""
    _, caller = served
    for name in ("radio", "motor"):
        given = {**PACKAGE, "package_type": "modulePackage", "module_name": name}
        assert (await caller.send("POST", PACKAGES, given))[0] == 201
    listed = await caller.walk(PACKAGES, "packages", package_type="modulePackage", product_id=PRODUCT)
    assert [row["module_name"] for row in listed] == ["motor", "radio"]


# --- modules ---------------------------------------------------------------------------------------------------------


async def test_modules_of_the_fleet_are_there(served: Served) -> None:
    """The modules that the fleet's packages are for exist from the start, under ids of their own."""
    _, caller = served
    listed = await caller.walk(MODULES, "modules", limit=1)
    known = {(each.product_id, each.module_name) for each in FLEET.firmware if each.kind is FirmwareKind.MODULE}
    assert {(row["product_id"], row["module_name"]) for row in listed} == known
    assert len(listed) == len(known)
    for row in listed:
        assert row["app_id"] == render.app_id(FLEET, row["product_id"])
        assert await caller.get(f"{MODULES}/{row['module_id']}") == row


async def test_module_lives_and_goes(served: Served) -> None:
    """A module is created, shown, changed and deleted; what it has no text for is missing."""
    _, caller = served
    status, created = await caller.send("POST", MODULES, {**MODULE, "alias_name": "电机"})
    assert status == 201
    made = {
        "module_id": created["module_id"],
        "product_name": FLEET.products[0].name,
        "create_time": wire_time(FLEET.now.timestamp()),
    }
    assert created == {**MODULE, "alias_name": "电机", **made}
    path = f"{MODULES}/{created['module_id']}"
    assert await caller.get(path) == created
    status, changed = await caller.send("PUT", path, {"description": "drives the rotor"})
    assert (status, changed) == (200, {**created, "description": "drives the rotor"})
    status, changed = await caller.send("PUT", path, {"alias_name": "转子", "module_name": "x", "description": None})
    assert changed == {**created, "alias_name": "转子", "description": "drives the rotor"}
    assert await caller.get(path) == changed
    assert (await caller.get(MODULES, product_id=PRODUCT, app_id=APP))["modules"][0] == changed
    assert (await caller.get(MODULES, product_id=PRODUCT, app_id=OTHER_APP))["modules"] == []
    assert await caller.send("DELETE", path) == (204, {})
    for method, body in (("GET", None), ("PUT", {}), ("DELETE", None)):
        answered, answer = await caller.send(method, path, body)
        assert (answered, answer["error_code"]) == (404, "IOTDA.000029")


async def test_ten_modules_a_product(served: Served) -> None:
    """A product has at most ten modules, each with a name of its own, in the order of their creation."""
    _, caller = served
    start = len((await caller.get(MODULES, product_id=PRODUCT, limit=50))["modules"])
    for number in range(start, 10):
        assert (await caller.send("POST", MODULES, {**MODULE, "module_name": f"m{number}"}))[0] == 201
    assert (await caller.send("POST", MODULES, {**MODULE, "module_name": "m9"}))[0] == 409
    status, body = await caller.send("POST", MODULES, {**MODULE, "module_name": "m10"})
    assert (status, "10 modules" in body["error_msg"]) == (400, True)
    listed = await caller.walk(MODULES, "modules", product_id=PRODUCT, limit=3)
    assert [row["module_name"] for row in listed[: 10 - start]] == [f"m{n}" for n in reversed(range(start, 10))]
    page = await caller.get(MODULES, product_id=PRODUCT, limit=3, offset=8)
    assert [row["module_id"] for row in page["modules"]] == [row["module_id"] for row in listed[8:]]
    assert page["page"]["count"] == 10


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"app_id": None}, 400, "IOTDA.000006"),
        ({"module_name": "a b"}, 400, "IOTDA.000006"),
        ({"module_name": "x" * 65}, 400, "IOTDA.000006"),
        ({"alias_name": "x" * 65}, 400, "IOTDA.000006"),
        ({"alias_name": "a b"}, 400, "IOTDA.000006"),
        ({"description": "x" * 1025}, 400, "IOTDA.000006"),
        ({"app_id": "nosuch"}, 403, "IOTDA.001000"),
        ({"app_id": OTHER_APP}, 404, "IOTDA.014204"),
        ({"product_id": "nosuch"}, 404, "IOTDA.014204"),
    ],
)
async def test_module_that_is_refused(served: Served, fields: dict[str, object], status: int, code: str) -> None:
    """Every limit of a module has its refusal."""
    _, caller = served
    answered, body = await caller.send("POST", MODULES, {**MODULE, **fields})
    assert (answered, body["error_code"]) == (status, code)


@pytest.mark.parametrize("parameters", [{"limit": 51}, {"app_id": "a b"}, {"product_id": "x" * 37}])
async def test_list_of_modules_checks_its_parameters(served: Served, parameters: dict[str, object]) -> None:
    """The list of modules has the limits of every list."""
    _, caller = served
    assert (await caller.send("GET", MODULES, None, **parameters))[0] == 400


async def test_module_id_of_a_wrong_form(served: Served) -> None:
    """An identifier that no module can have is a bad request."""
    _, caller = served
    assert (await caller.send("GET", f"{MODULES}/a.b"))[0] == 400


def test_devices_report_the_modules_that_tasks_installed() -> None:
    """Every second device has the module of the factory; what tasks of the past installed counts more."""
    versions = ModuleVersions(FLEET)
    assert versions.of_device(0) in ([], [{"module_name": "radio", "module_version": "m1.0"}])
    jobs = [job for job in FLEET.jobs if job.firmware_kind is FirmwareKind.MODULE]
    assert jobs
    for row in range(50):
        names = [each["module_name"] for each in versions.of_device(row)]
        assert ("radio" in names) or row % 2 == 0
        assert len(set(names)) == len(names)
