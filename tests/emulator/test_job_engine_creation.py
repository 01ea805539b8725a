"""Jobs that are created: who is eligible, who joins later, and what refuses them and changes nothing."""

from array import array

import attrs
import pytest

from otaclient.emulator import Fleet, JobOrder
from otaclient.emulator.devices import ABSENT
from otaclient.emulator.refusals import MixedFirmwareError, NoSuchFirmwareError, TooManyVersionsError
from otaclient.emulator.remarks import UNSUITABLE_VERSION
from otaclient.models import FirmwareKind, JobKind, JobStatus
from support.job_engine import FAILED, NOW_MS, PUBLISHED, SUCCEEDED, World, states

PAST = Fleet.generate(devices=600, jobs=14)


# --- creating --------------------------------------------------------------------------------------------------------


def test_creation_is_refused_without_the_firmware() -> None:
    """No such firmware, or firmware that does not go together: nothing is created."""
    world = World()
    one, two = world.release("X1"), world.release("S1", kind=FirmwareKind.SOFTWARE)
    for firmware_ids, error in [
        (("nothing",), NoSuchFirmwareError),
        ((one.firmware_id, two.firmware_id), MixedFirmwareError),
    ]:
        with pytest.raises(error):
            world.engine.create(JobOrder(name="x", firmware_ids=firmware_ids, targets=[1]))
    assert world.fleet.jobs == []


def test_the_devices_report_only_so_many_versions() -> None:
    """One version more than a column holds is refused before anything is created."""
    world = World()
    devices = world.fleet.devices
    for number in range(ABSENT - len(devices.firmware_versions)):
        devices.version_index(FirmwareKind.FIRMWARE, f"filler-{number}")
    with pytest.raises(TooManyVersionsError, match="255 firmware versions"):
        world.start(1)
    assert world.fleet.jobs == []


def test_new_jobs_sort_behind_all_others() -> None:
    """Identifiers and creation times grow, also within one second and with a clock that is behind."""
    world = World(fleet=PAST)
    world.fleet.jobs[-1].created_at_ms = NOW_MS + 5_000
    newest = world.fleet.jobs[-1]
    newest.job_id = f"{NOW_MS // 1000 + 5:08x}{newest.job_id[8:]}"
    for _ in range(3):
        world.start(1)
    jobs = world.fleet.jobs[-4:]
    assert [job.job_id for job in jobs] == sorted({job.job_id for job in jobs})
    assert [job.created_at_ms for job in jobs] == [NOW_MS + 5_000 + step for step in range(4)]
    tasks = [job.task_id(position) for job in world.fleet.jobs for position in range(len(job.targets))]
    assert len(set(tasks)) == len(tasks)
    assert all(len(task) == 24 and int(task, 16) for task in tasks)


def test_who_is_eligible() -> None:
    """Product, versions of the kind, and nothing said at all."""
    world = World()
    devices, product = world.fleet.devices, world.fleet.products[0]
    version, app = product.firmware_versions[-1], product.software_versions[-1]
    everyone = range(len(devices))
    found = world.engine.eligible([product.product_id], [version], FirmwareKind.FIRMWARE)
    assert list(found) == [
        row
        for row in everyone
        if devices.product_id(row) == product.product_id and devices.firmware_version(row) == version
    ]
    assert list(world.engine.eligible([], [app], FirmwareKind.SOFTWARE)) == [
        row for row in everyone if devices.software_version(row) == app
    ]
    assert list(world.engine.eligible([], [], FirmwareKind.FIRMWARE)) == [
        row for row in everyone if devices.firmware_version(row) is not None
    ]


def test_source_versions_of_firmware_are_checked_where_the_vendor_does() -> None:
    """Each device gets the first firmware that fits its version; without one it fails."""
    world = World()
    devices = world.fleet.devices
    by_version: dict[str | None, int] = {}
    for row in world.rows(200):
        by_version.setdefault(devices.firmware_version(row), row)
    (first, second, third, *_) = by_version
    assert first
    assert second
    firmware = [world.release("Y1", source_versions=(first,)), world.release("Y2", source_versions=(second,))]
    rows = [by_version[first], by_version[second], by_version[third]]
    order = JobOrder(
        name="x",
        firmware_ids=tuple(record.firmware_id for record in firmware),
        targets=rows,
        checks_source_versions=True,
    )
    job = world.engine.create(order)
    assert list(job.choices) == [0, 1, ABSENT]
    world.after(100)
    assert states(job) == [SUCCEEDED, SUCCEEDED, FAILED]
    assert [devices.firmware_version(row) for row in rows] == ["Y1", "Y2", third]
    assert world.remarks(job)[2] == UNSUITABLE_VERSION


def test_enough_successes_verify_the_firmware() -> None:
    """A verification job makes its firmware a verified one, once; an upgrade job never does."""
    world = World()
    record = world.release("X1", verification_required=True, min_verified_successes=2)
    rows = world.rows(4)
    world.start(rows[:1], record)
    world.after(100)
    world.start(rows[1:4], record, kind=JobKind.VERIFICATION, max_concurrency=1)

    def verified() -> bool:
        found = world.fleet.firmware_record(record.firmware_id)
        assert found is not None
        return found.verified

    world.after(70)
    assert not verified()
    world.after(70)
    assert verified()
    world.after(70)
    assert verified()
    deleted = world.release("X2")
    world.start(rows[:1], deleted, kind=JobKind.VERIFICATION)
    world.fleet.remove_firmware(deleted)
    world.after(100)
    assert world.fleet.known_firmware(deleted.firmware_id) == deleted


# --- incremental jobs ------------------------------------------------------------------------------------------------


def test_devices_join_an_incremental_job_when_they_reach_its_versions() -> None:
    """It never comes to its end by itself, and takes only the devices that it is for."""
    world = World()
    middle, last = world.release("M1"), world.release("L1")
    rows = world.rows(4)
    follower = world.start(
        rows[:1], last, incremental=True, source_versions=("M1",), joining=frozenset(rows[:3]), max_concurrency=9
    )
    anyone = world.start([], last, incremental=True)
    other_kind = world.start(
        [], world.release("S1", kind=FirmwareKind.SOFTWARE), incremental=True, source_versions=("M1",)
    )
    other_versions = world.start([], world.release("L2"), incremental=True, source_versions=("nothing",))
    world.after(100)
    assert states(follower) == [SUCCEEDED]
    assert follower.status is JobStatus.RUNNING
    assert follower.position_of(rows[1]) is None
    world.start(rows[1:4], middle)
    world.after(66)
    assert list(follower.targets) == [*rows[:3]]
    assert states(follower) == [SUCCEEDED, PUBLISHED, PUBLISHED]
    assert follower.position_of(rows[2]) == 2
    assert [world.fleet.devices.firmware_versions[index] for index in follower.from_versions[1:]] == ["M1", "M1"]
    # Whoever came first upgrades; the other job's task conflicts.
    world.after(70)
    assert list(anyone.targets) == rows[1:4]
    assert {world.fleet.devices.firmware_version(row) for row in rows} == {"L1"}
    assert list(other_kind.targets) == list(other_versions.targets) == []


def test_a_product_that_is_not_the_jobs_does_not_join() -> None:
    """Firmware without a product is for all."""
    world = World()
    bound, free = world.release("L1"), world.release("L2", product_id="")
    jobs = [world.start([], record, incremental=True, source_versions=("M1",)) for record in (bound, free)]
    other = world.fleet.products[1].product_id
    rows = list(world.engine.eligible([other], [], FirmwareKind.FIRMWARE))[:1]
    world.start(rows, world.release("M1", product_id=other))
    world.after(66)
    assert [list(job.targets) for job in jobs] == [[], rows]


def test_joining_counts_after_positions_were_asked_for() -> None:
    """Whether a device was looked up before or not, it is found after it joined."""
    world = World()
    job = world.start(2)
    for asked_before in (False, True):
        fresh = attrs.evolve(job, targets=array("I", [5, 6]))
        if asked_before:
            assert fresh.position_of(9) is None
        fresh.add_target(9, version=0, choice=0, at_ms=1)
        assert fresh.position_of(9) == 2
