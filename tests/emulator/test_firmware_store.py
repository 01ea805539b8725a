"""The simulated firmware store: what is unique, what can be deleted, and where the bytes are."""

import gc
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import FirmwareOrder, FirmwareStore, Fleet, JobEngine, JobOrder, ManualClock
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.refusals import FirmwareInUseError, NameExistsError, NoSuchFirmwareError, VersionExistsError
from otaclient.emulator.store import StoredContent
from otaclient.models import FirmwareKind

FLEET = Fleet.generate(devices=30, jobs=0)
PRODUCT, OTHER = FLEET.products[0].product_id, FLEET.products[1].product_id


@pytest.fixture
def fleet() -> Fleet:
    return FLEET.copy()


@pytest.fixture
def store(fleet: Fleet) -> FirmwareStore:
    return FirmwareStore(fleet, ManualClock(DEFAULT_NOW))


def written(store: FirmwareStore, *chunks: bytes) -> StoredContent:
    writer = store.writer()
    for chunk in chunks:
        writer.write(chunk)
    return writer.finish()


def test_a_copy_of_a_fleet_is_independent(fleet: Fleet, store: FirmwareStore) -> None:
    """What is written into one is not seen in the other."""
    record = store.create(FirmwareOrder(version="X1", product_id=PRODUCT))
    fleet.devices.firmware_version_column[0] = 3
    fleet.devices.touch()
    assert fleet.firmware_record(record.firmware_id) is record
    assert FLEET.firmware_record(record.firmware_id) is None
    assert len(FLEET.firmware) == len(fleet.firmware) - 1
    assert FLEET.copy().devices.firmware_version_column == FLEET.devices.firmware_version_column


def test_created_firmware_is_the_newest(fleet: Fleet, store: FirmwareStore) -> None:
    """Identifiers and times grow, also within one millisecond; the first of all is at the clock's present."""
    for number in range(3):
        store.create(FirmwareOrder(version=f"X{number}", product_id=PRODUCT))
    identifiers = [record.firmware_id for record in fleet.firmware]
    times = [record.created_at_ms for record in fleet.firmware]
    assert identifiers == sorted(set(identifiers))
    assert times == sorted(set(times))
    fleet.firmware.clear()
    assert store.create(FirmwareOrder(version="X9")).created_at_ms == ManualClock(DEFAULT_NOW).now_ms()


def test_versions_and_names_are_unique_in_a_product(store: FirmwareStore) -> None:
    """The same version of another kind, module or product is another firmware; no name equals nothing."""
    store.create(FirmwareOrder(version="X1", product_id=PRODUCT, name="one"))
    with pytest.raises(VersionExistsError):
        store.create(FirmwareOrder(version="X1", product_id=PRODUCT, name="two"))
    with pytest.raises(NameExistsError):
        store.create(FirmwareOrder(version="X2", product_id=PRODUCT, name="one"))
    store.create(FirmwareOrder(version="X1", product_id=PRODUCT, kind=FirmwareKind.SOFTWARE))
    store.create(FirmwareOrder(version="X2", product_id=PRODUCT, kind=FirmwareKind.SOFTWARE))
    store.create(FirmwareOrder(version="X1", product_id=OTHER, name="one"))
    for module in ("radio", "display"):
        store.create(FirmwareOrder(version="X1", product_id=PRODUCT, kind=FirmwareKind.MODULE, module_name=module))


def test_a_firmware_in_use_stays(fleet: Fleet, store: FirmwareStore) -> None:
    """It can be deleted once no job has devices yet to upgrade; its jobs still know it then."""
    clock = ManualClock(DEFAULT_NOW)
    engine = JobEngine(fleet, clock)
    record = store.create(FirmwareOrder(version="X1", product_id=PRODUCT))
    engine.create(JobOrder(name="x", firmware_ids=(record.firmware_id,), targets=[1, 2]))
    with pytest.raises(FirmwareInUseError):
        store.delete(record.firmware_id)
    clock.advance(100_000)
    engine.settle()
    store.delete(record.firmware_id)
    assert fleet.firmware_record(record.firmware_id) is None
    assert fleet.known_firmware(record.firmware_id) == record
    with pytest.raises(NoSuchFirmwareError):
        store.delete(record.firmware_id)


@given(st.lists(st.binary(max_size=200), max_size=6), st.integers(0, 1300), st.integers(0, 1300))
def test_any_part_of_an_upload_comes_back(chunks: list[bytes], start: int, stop: int) -> None:
    """Size and digests are those of the bytes, and a part is a slice."""
    store = FirmwareStore(FLEET.copy(), ManualClock(DEFAULT_NOW))
    whole = b"".join(chunks)
    record = store.create(FirmwareOrder(version="X1"), written(store, *chunks))
    assert (record.size_bytes, record.md5, record.sha256) == (
        len(whole),
        hashlib.md5(whole, usedforsecurity=False).hexdigest(),
        hashlib.sha256(whole).hexdigest(),
    )
    assert b"".join(store.chunks(record, start, stop)) == whole[start:stop]


def test_generated_firmware_has_bytes_too(store: FirmwareStore) -> None:
    """They are those that its size and digests speak of."""
    record = FLEET.firmware[2]
    whole = b"".join(store.chunks(record, 0, record.size_bytes))
    assert hashlib.sha256(whole).hexdigest() == record.sha256
    assert b"".join(store.chunks(record, 5, 9)) == whole[5:9]


def test_large_uploads_are_read_piece_by_piece(store: FirmwareStore) -> None:
    """No piece is larger than 64 KiB."""
    record = store.create(FirmwareOrder(version="X1"), written(store, bytes(200_000)))
    pieces = list(store.chunks(record, 10, 190_000))
    assert max(map(len, pieces)) == 65_536
    assert sum(map(len, pieces)) == 189_990


def test_the_file_goes_with_the_firmware(store: FirmwareStore) -> None:
    """Deleted firmware leaves no file behind, nor does an upload that was given up."""
    content = written(store, b"abc")
    path = content.path
    record = store.create(FirmwareOrder(version="X1"), content)
    del content
    gc.collect()
    assert path.read_bytes() == b"abc"
    store.delete(record.firmware_id)
    gc.collect()
    assert not path.exists()
    writer = store.writer()
    writer.write(b"abc")
    writer.discard()
    assert not writer.path.exists()
    finished = store.writer()
    kept = finished.finish()
    finished.discard()
    assert kept.path.exists()


def test_reported_versions_are_those_of_the_products_devices(fleet: Fleet) -> None:
    """Each once; modules have none, nor does a product that does not exist."""
    devices = fleet.devices
    for kind, version in (
        (FirmwareKind.FIRMWARE, devices.firmware_version),
        (FirmwareKind.SOFTWARE, devices.software_version),
    ):
        wanted = {version(row) for row in range(len(devices)) if devices.product_id(row) == PRODUCT} - {None}
        found = devices.reported_versions(PRODUCT, kind)
        assert len(found) == len(set(found))
        assert set(found) == wanted
    assert devices.reported_versions(PRODUCT, FirmwareKind.MODULE) == devices.reported_versions("nothing") == ()
