"""Packages and modules of an IoTDA project, over HTTP: they come and go."""

from collections.abc import AsyncIterator

import attrs
import pytest

from otaclient.errors import ConflictError, InvalidQueryError, NotFoundError, PermissionDeniedError
from otaclient.models import Checksum, FirmwareKind, NewFirmware
from otaclient.queries import FirmwareQuery
from support.iotda_site import Site, open_site

SELECT = "select * from device"
DIGEST = "0d6afb7e939f0936f40afdc759b5a354ea5427ec250a47e7b904ab1ea800a01d"


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A service with the options that the test names, and a client."""
    async with open_site(**getattr(request, "param", {})) as opened:
        yield opened


# --- packages --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE, FirmwareKind.MODULE])
async def test_a_package_comes_and_goes(site: Site, kind: FirmwareKind) -> None:
    """With everything that was said about it."""
    firmware = site.iotda.firmware
    before = [each async for each in firmware.search()]
    new = NewFirmware(
        version="V9.1",
        kind=kind,
        product_id=site.product,
        description="first line\nsecond line",
        source_versions=("V1.0", "V1.1"),
        custom_info="{}",
        checksum=Checksum(algorithm="sha256", value=DIGEST),
        location="obs://fw-bucket/fw/夜.bin?region=cn-east-3",
    )
    module_name = "radio2" if kind is FirmwareKind.MODULE else None
    firmware_id = await firmware.create(new, module_name=module_name)
    stored = await firmware.get(firmware_id)
    for field in ("version", "kind", "product_id", "description", "source_versions", "custom_info", "checksum"):
        assert getattr(stored, field) == getattr(new, field), field
    assert stored.location == "obs://fw-bucket/fw/夜.bin"
    assert stored.extra["file_location"]["obs_location"]["region_name"] == "cn-east-3"
    assert stored.extra.get("module_name") == module_name
    found = [each.firmware_id async for each in firmware.search(FirmwareQuery(version="V9.1"))]
    assert found == [firmware_id]
    await firmware.delete(firmware_id)
    with pytest.raises(NotFoundError):
        await firmware.get(firmware_id)
    with pytest.raises(NotFoundError):
        await firmware.delete(firmware_id)
    assert [each async for each in firmware.search()] == before


async def test_the_service_refuses_packages_that_do_not_fit(site: Site) -> None:
    """A version that is there, a product that is not, one that a job uses."""
    firmware_id = await site.package("V9.2")
    with pytest.raises(ConflictError):
        await site.package("V9.2")
    with pytest.raises(NotFoundError):
        await site.package("V9.3", product_id="nowhere")
    with pytest.raises(PermissionDeniedError):
        await site.iotda.with_options(owner_id="nowhere").firmware.create(
            NewFirmware(version="V9.4", product_id=site.product, location="obs://fw-bucket/a.bin?region=eu")
        )
    await site.job(firmware_id=firmware_id)
    with pytest.raises(ConflictError):
        await site.iotda.firmware.delete(firmware_id)


# --- modules ---------------------------------------------------------------------------------------------------------


async def test_a_module_comes_and_goes(site: Site) -> None:
    """Listed with the others of its product; its name stays, its texts change."""
    modules = site.iotda.modules
    before = [module.module_id async for module in modules.search(product_id=site.product)]
    made = [await modules.create(product_id=site.product, name=f"made-{number}", alias="无线") for number in range(3)]
    assert await modules.get(made[0].module_id) == made[0]
    found = [
        module async for page in modules.search(product_id=site.product).pages(page_size=1) for module in page.items
    ]
    assert found[:3] == made[::-1]
    assert [module.module_id for module in found[3:]] == before
    changed = await modules.update(made[1].module_id, description="the radio")
    assert changed == attrs.evolve(made[1], description="the radio")
    for module in made:
        await modules.delete(module.module_id)
    assert [module.module_id async for module in modules.search(product_id=site.product)] == before
    for call in (modules.get, modules.delete):
        with pytest.raises(NotFoundError):
            await call(made[0].module_id)
    with pytest.raises(NotFoundError):
        await modules.update(made[0].module_id, alias="x")


async def test_the_service_refuses_modules_that_do_not_fit(site: Site) -> None:
    """A name that is taken, and the eleventh of a product."""
    modules = site.iotda.modules
    await modules.create(product_id=site.product, name="made")
    with pytest.raises(ConflictError):
        await modules.create(product_id=site.product, name="made")
    count = len([module async for module in modules.search(product_id=site.product)])
    for number in range(count, 10):
        await modules.create(product_id=site.product, name=f"made-{number}")
    with pytest.raises(InvalidQueryError):
        await modules.create(product_id=site.product, name="one-too-many")


async def test_a_module_is_upgraded(site: Site) -> None:
    """By a task of its own type, which cannot be stopped."""
    firmware_id = await site.package("m7.0", kind=FirmwareKind.MODULE, module_name="radio")
    job_id = await site.job(2, firmware_id=firmware_id)
    job = await site.iotda.jobs.get(job_id)
    assert (job.vendor_kind, job.firmware_kind) == ("moduleUpgrade", FirmwareKind.MODULE)
    with pytest.raises(InvalidQueryError):
        await site.iotda.jobs.stop(job_id)
    assert (await site.iotda.jobs.wait(job_id)).succeeded == 2
    statement = f"{SELECT} where device_id = '{(await site.device_ids(1))[0]}'"
    (row,) = (await site.iotda.search_devices(statement)).rows
    assert {"module_name": "radio", "module_version": "m7.0"} in row["modules"]
