"""Firmware of an EnOS organisation, over HTTP: it goes up and comes down."""

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import attrs
import pytest

import otaclient
from otaclient.errors import ConflictError, IntegrityError, NotFoundError, OutcomeUnknownError
from otaclient.models import Checksum, LocalizedText, NewFirmware, Verification
from otaclient.queries import DeviceUpgradeQuery, FirmwareQuery
from support.enos_site import NAME, Site, open_site

CONTENT = os.urandom(3 * 1024 * 1024 + 77)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
async def site(request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    """A service with the options that the test names, and a client."""
    async with open_site(**getattr(request, "param", {})) as opened:
        yield opened


def path_of(folder: Path, name: str = "fw.bin", content: bytes = CONTENT) -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path


def held(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder."""
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
async def test_a_firmware_goes_up_and_comes_down(site: Site, tmp_path: Path, algorithm: str) -> None:
    """Byte for byte, with everything that was said about it; then it is deleted."""
    digest = hashlib.new(algorithm, CONTENT).hexdigest()
    new = NewFirmware(
        version="9.9.1",
        name=NAME,
        product_id=site.product,
        description="first line\nsecond line",
        tags={"stage": "test", "a/b": "x"},
        verification=Verification(required=False, max_devices=5, min_successes=2),
        checksum=Checksum(algorithm=algorithm, value=digest),
    )
    firmware_id = await site.enos.firmware.create(new, path_of(tmp_path))
    stored = await site.enos.firmware.get(firmware_id)
    for field in ("version", "name", "product_id", "description", "tags", "checksum"):
        assert getattr(stored, field) == getattr(new, field), field
    assert (stored.size_bytes, stored.verification) == (
        len(CONTENT),
        Verification(required=False, verified=False, max_devices=5, min_successes=2),
    )
    (tmp_path / "down").mkdir()
    received = await site.enos.firmware.download(stored, tmp_path / "down" / "fw.bin")
    assert held(tmp_path / "down") == {"fw.bin": CONTENT}
    assert (received.sha256, received.size_bytes, received.verified) == (SHA256, len(CONTENT), True)
    await site.enos.firmware.delete(firmware_id)
    with pytest.raises(NotFoundError):
        await site.enos.firmware.get(firmware_id)
    with pytest.raises(NotFoundError):
        await site.enos.firmware.delete(firmware_id)


async def test_generated_firmware_can_be_downloaded(site: Site, tmp_path: Path) -> None:
    """Of every product, and of none."""
    for firmware in await site.enos.firmware.search().first(8):
        received = await site.enos.firmware.download(firmware, tmp_path / "fw.bin")
        assert (received.verified, received.size_bytes) == (True, firmware.size_bytes)


@pytest.mark.parametrize("site", [{}, {"files_know_ranges": False}], indirect=True, ids=["ranges", "no ranges"])
async def test_a_broken_download_ends_well(site: Site, tmp_path: Path) -> None:
    """It goes on where it broke, or begins anew where the service knows no ranges."""
    stored = await site.enos.firmware.get(
        await site.enos.firmware.create(NewFirmware(version="9", name=NAME, product_id=site.product), CONTENT)
    )
    for cut in (1_000_000, 200_000, 0):
        site.emulator.faults.cut_body("firmware.download", after_bytes=cut)
    received = await site.enos.firmware.download(stored, tmp_path / "fw.bin")
    assert (received.verified, held(tmp_path)) == (True, {"fw.bin": CONTENT})
    assert site.emulator.served["firmware.download"] == 4


async def test_a_download_that_cannot_end_leaves_nothing(site: Site, tmp_path: Path) -> None:
    """Neither a part nor a changed file."""
    stored = await site.enos.firmware.get(await site.upload())
    path_of(tmp_path, content=b"old")
    changed = attrs.evolve(stored, checksum=Checksum(algorithm="sha256", value="0" * 64))
    with pytest.raises(IntegrityError, match=r"0{64}"):
        await site.enos.firmware.download(changed, tmp_path / "fw.bin")
    with pytest.raises(NotFoundError):
        await site.enos.firmware.download(attrs.evolve(stored, location="enos-connect://no.bin"), tmp_path / "fw.bin")
    site.emulator.faults.drop("firmware.download", times=None)
    with pytest.raises(otaclient.ResponseLostError):
        await site.enos.firmware.download(stored, tmp_path / "fw.bin")
    assert held(tmp_path) == {"fw.bin": b"old"}


async def test_a_file_that_changes_while_it_is_uploaded_creates_nothing(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is broken off before it is whole."""
    path = path_of(tmp_path)
    before = [firmware.firmware_id async for firmware in site.enos.firmware.search()]
    wrote = site.emulator.store.writer

    def writer() -> Any:
        path_of(tmp_path, content=os.urandom(len(CONTENT)))
        return wrote()

    monkeypatch.setattr(site.emulator.store, "writer", writer)
    with pytest.raises(IntegrityError, match="changed while it was uploaded"):
        await site.enos.firmware.create(NewFirmware(version="9", name=NAME, product_id=site.product), path)
    assert [firmware.firmware_id async for firmware in site.enos.firmware.search()] == before


async def test_the_service_refuses_what_is_there_already(site: Site) -> None:
    """A version or a name twice; a firmware that a job uses cannot go."""
    firmware_id = await site.upload("7.1")
    with pytest.raises(ConflictError) as caught:
        await site.upload("7.1", name=NAME)
    assert caught.value.vendor_code == "24601"
    with pytest.raises(ConflictError) as caught:
        await site.upload("7.2", name=LocalizedText(default="fw 7.1"))
    assert caught.value.vendor_code == "24602"
    await site.job(firmware_id=firmware_id)
    with pytest.raises(ConflictError) as caught:
        await site.enos.firmware.delete(firmware_id)
    assert caught.value.vendor_code == "24604"


async def test_a_lost_answer_to_an_upload_is_looked_for_and_asked_again(site: Site) -> None:
    """The product takes each version once; where all answers are lost, the error says how to find out."""
    site.emulator.faults.drop("firmware.create")
    assert await site.upload()
    assert (site.emulator.served["firmware.create"], site.emulator.served["firmware.search"]) == (2, 1)
    site.emulator.faults.drop("firmware.create", times=None)
    with pytest.raises(OutcomeUnknownError, match=r"firmware\.search"):
        await site.upload("9.8")


async def test_reported_versions_are_those_of_the_devices(site: Site) -> None:
    """Of one product, each once."""
    devices = site.enos.devices.search(DeviceUpgradeQuery(products=[site.product]))
    running = {device.firmware_version async for device in devices} - {None}
    assert set(await site.enos.firmware.reported_versions(site.product)) == running


@pytest.mark.parametrize("site", [{"read_lag_seconds": 2.0}], indirect=True)
async def test_settled_searches_show_what_was_written(site: Site) -> None:
    """They wait out the rest of the lag, and no more."""
    firmware_id = await site.upload("7.7")
    query = FirmwareQuery(version="7.7")
    assert not [firmware async for firmware in site.enos.firmware.search(query)]
    found = [page async for page in site.enos.firmware.search(query).pages(settled=True)]
    assert [firmware.firmware_id for page in found for firmware in page.items] == [firmware_id]
    assert sum(site.clock.slept) == 2.0
    [page async for page in site.enos.firmware.search(query).pages(settled=True)]
    assert sum(site.clock.slept) == 2.0
