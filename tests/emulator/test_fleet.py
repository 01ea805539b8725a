"""The simulated fleet: the same everywhere, consistent in itself, and quick to select from."""

import hashlib
import json
from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import Fleet, ManualClock, SystemClock
from otaclient.emulator.clock import epoch_ms
from otaclient.emulator.conditions import EVERYTHING, AllOf, AnyOf, Condition, InColumn, RegisteredBetween
from otaclient.emulator.devices import ABSENT, DeviceTable
from otaclient.emulator.fleet import DEFAULT_NOW
from otaclient.emulator.noise import Noise, weighted_table
from otaclient.models import Connection, FirmwareKind, JobKind, JobStatus, TaskStatus

FLEET = Fleet.generate(devices=1_500)
DEVICES = FLEET.devices

# Of the fleet of 300 devices, on the interpreter that this was written with.
SERIAL_KEY_RECORD = ("i6cvpsMw", "inverter-0000000", "65a6aecf00008d450129621e")
COLUMNS = "3933ffc28cdb61aaaaa00f71cf0a68062d58c573d62d9ccdd4afa1a262111471"


def fingerprint(fleet: Fleet) -> str:
    """A digest of everything that a fleet says."""
    table = fleet.devices
    digest = hashlib.sha256()
    for column in (
        table.product_column,
        table.firmware_version_column,
        table.software_version_column,
        table.connection_column,
        table.upgrading_column,
    ):
        digest.update(column)
    digest.update(
        json.dumps([[table.serial(row), table.key(row), table.record_id(row)] for row in range(len(table))]).encode()
    )
    digest.update(repr([fleet.products, fleet.firmware, fleet.jobs]).encode())
    return digest.hexdigest()


# --- generating ------------------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_fleet() -> None:
    """Two generations with equal arguments are equal in every byte, and another seed is not."""
    assert fingerprint(Fleet.generate(devices=300)) == fingerprint(Fleet.generate(devices=300))
    assert fingerprint(Fleet.generate(devices=300)) != fingerprint(Fleet.generate(devices=300, seed=8))


def test_the_fleet_does_not_depend_on_the_interpreter() -> None:
    """A generated fleet has the serials and columns that it had when this was written."""
    table = Fleet.generate(devices=300).devices
    columns = hashlib.sha256(bytes(table.firmware_version_column + table.connection_column + table.upgrading_column))
    assert (table.serial(0), table.key(0), table.record_id(0)) == SERIAL_KEY_RECORD
    assert columns.hexdigest() == COLUMNS


@pytest.mark.parametrize("devices", [0, 1, 2, 40])
@pytest.mark.parametrize(("products", "versions"), [(1, 2), (16, 64), (4, 3)])
def test_fleets_of_any_size_can_be_generated(devices: int, products: int, versions: int) -> None:
    """Tiny fleets, many products and many versions all come out, with one device a row."""
    fleet = Fleet.generate(devices=devices, products=products, versions=versions, jobs=3)
    assert len(fleet.devices) == devices
    assert len({product.product_id for product in fleet.products}) == products
    assert len({product.key_prefix for product in fleet.products}) == products
    assert all(len(product.firmware_versions) == versions for product in fleet.products)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"devices": -1}, "devices is -1; a fleet takes 0 to 10000000"),
        ({"products": 17}, "products is 17; a fleet takes 1 to 16"),
        ({"versions": 1}, "versions is 1; a fleet takes 2 to 64"),
        ({"jobs": -3}, "jobs is -3; a fleet takes 0 to 10000"),
    ],
)
def test_a_number_out_of_range_is_refused(arguments: dict[str, int], message: str) -> None:
    """The message names the argument, the value and the range."""
    with pytest.raises(ValueError, match=message):
        Fleet.generate(**arguments)  # type: ignore[arg-type]


def test_an_instant_without_a_time_zone_is_refused() -> None:
    """A naive ``now`` is an error instead of a guess."""
    with pytest.raises(ValueError, match="has no time zone"):
        Fleet.generate(devices=1, now=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_the_fleet_prints_briefly() -> None:
    """Its representation names sizes, not a million devices."""
    assert repr(FLEET) == "Fleet(seed=7, products=3, devices=1500)"


def test_versions_spread_as_in_a_real_fleet() -> None:
    """Of each product the newest versions lead, and a few stragglers report a version nobody uploaded."""
    fleet = Fleet.generate(devices=6_000, jobs=0)
    table = fleet.devices
    for product in fleet.products:
        rows = table.matching(table.of_products([product.product_id]))
        counts = Counter(filter(None, map(table.firmware_version, rows)))
        assert counts.most_common(1)[0][0] == product.firmware_versions[-1]
        assert counts[product.firmware_versions[0]] < counts[product.firmware_versions[-1]] / 10
        assert 1 <= sum(counts[version] for version in ("7777", "AOTA")) <= 3


def test_inactive_devices_never_reported_anything() -> None:
    """A device has no firmware version exactly when it was never active."""
    for row in range(len(DEVICES)):
        assert (DEVICES.firmware_version(row) is None) == (DEVICES.connection(row) is Connection.INACTIVE)


def test_products_without_software_have_devices_without_software() -> None:
    """Software versions are reported only where the product has software."""
    without = {each.product_id for each in FLEET.products if FirmwareKind.SOFTWARE not in each.kinds}
    assert without
    for row in range(len(DEVICES)):
        if DEVICES.product_id(row) in without:
            assert DEVICES.software_version(row) is None


def test_devices_registered_one_after_another_and_in_the_past() -> None:
    """Registration times and record identifiers strictly increase with the row and end before now."""
    times = list(DEVICES.registered_at_s)
    records = [DEVICES.record_id(row) for row in range(len(DEVICES))]
    assert times == sorted(set(times))
    assert records == sorted(set(records))
    assert times[-1] < epoch_ms(FLEET.now) // 1000
    assert all(len(record) == 24 and int(record[:8], 16) == at for record, at in zip(records, times, strict=True))


def test_the_columns_stay_small() -> None:
    """A device costs at most sixteen bytes, whatever the number of devices."""
    columns = [value for value in vars(DEVICES).values() if isinstance(value, bytearray)]
    assert sum(map(len, columns)) + DEVICES.registered_at_s.itemsize * len(DEVICES) <= 16 * len(DEVICES)


# --- firmware and jobs -----------------------------------------------------------------------------------------------


def test_firmware_is_listed_by_creation_and_found_by_its_identifier() -> None:
    """Identifiers sort as creation does, one a second, and each leads back to its record."""
    identifiers = [record.firmware_id for record in FLEET.firmware]
    assert identifiers == sorted(set(identifiers))
    assert all(record.created_at_ms < epoch_ms(FLEET.now) for record in FLEET.firmware)
    for record in FLEET.firmware:
        assert FLEET.firmware_record(record.firmware_id) is record
        assert int(record.firmware_id[:8], 16) == record.created_at_s
    assert FLEET.firmware_record("0" * 24) is None


def test_firmware_digests_are_those_of_its_content() -> None:
    """Size, MD5 and SHA-256 speak of the bytes that the record gives."""
    for record in FLEET.firmware[:5]:
        content = record.content()
        assert len(content) == record.size_bytes
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == record.md5
        assert hashlib.sha256(content).hexdigest() == record.sha256


def test_firmware_covers_every_kind_and_liberty() -> None:
    """Kinds, missing descriptions, hidden products, tags, verification and source versions all occur."""
    records = FLEET.firmware
    assert {record.kind for record in records} == {FirmwareKind.FIRMWARE, FirmwareKind.SOFTWARE, FirmwareKind.MODULE}
    for occurs in (
        [record.description is None for record in records],
        [record.product_shown for record in records],
        [bool(record.tags) for record in records],
        [record.verified for record in records],
        [bool(record.source_versions) for record in records],
        [bool(record.translations) for record in records],
    ):
        assert set(occurs) == {True, False}


def test_jobs_reach_devices_that_they_can_upgrade() -> None:
    """Targets are devices of the job's product that were registered when the job was created."""
    assert {job.status for job in FLEET.jobs} >= {JobStatus.RUNNING, JobStatus.STOPPED, JobStatus.SUCCEEDED}
    assert {job.kind for job in FLEET.jobs} == {JobKind.UPGRADE, JobKind.VERIFICATION}
    for job in FLEET.jobs:
        assert FLEET.job_record(job.job_id) is job
        assert int(job.job_id[:8], 16) == job.created_at_s
        assert sum(job.task_counts().values()) == len(job.targets)
        for row in job.targets:
            assert DEVICES.product_id(row) == job.product_id
            assert DEVICES.registered_at_s[row] <= job.created_at_s
    assert FLEET.job_record("0" * 24) is None


def test_a_device_is_upgrading_exactly_while_one_task_upgrades_it() -> None:
    """The column and the tasks agree, and no device has two such tasks."""
    busy = Counter(
        row
        for job in FLEET.jobs
        for row, state in zip(job.targets, job.task_states, strict=True)
        if list(TaskStatus)[state] is TaskStatus.UPGRADING
    )
    assert busy
    assert set(busy.values()) == {1}
    assert sorted(busy) == [row for row in range(len(DEVICES)) if DEVICES.upgrading(row)]


def test_a_product_is_found_by_its_identifier() -> None:
    """A known identifier gives the product, an unknown one nothing."""
    assert FLEET.product(FLEET.products[1].product_id) is FLEET.products[1]
    assert FLEET.product("nothing") is None


# --- who is who ------------------------------------------------------------------------------------------------------

rows = st.integers(0, len(DEVICES) - 1)


@given(rows)
def test_serials_and_keys_lead_back_to_their_device(row: int) -> None:
    """Serial and key are inverted by computation; the product, where given, must be the device's."""
    assert DEVICES.row_of_serial(DEVICES.serial(row)) == row
    assert DEVICES.row_of_key(DEVICES.key(row)) == row
    assert DEVICES.row_of_key(DEVICES.key(row), DEVICES.product_id(row)) == row
    assert DEVICES.row_of_key(DEVICES.key(row), "another") is None


def test_serials_are_unique_letters_and_digits() -> None:
    """Every device has its own eight letters and digits."""
    serials = {DEVICES.serial(row) for row in range(len(DEVICES))}
    assert len(serials) == len(DEVICES)
    assert all(len(serial) == 8 and serial.isascii() and serial.isalnum() for serial in serials)


@given(st.text(max_size=12) | st.from_regex(r"\A[a-z]{1,8}-[0-9]{5,9}\Z") | st.from_regex(r"\A[0-9A-Za-z]{8}\Z"))
def test_what_names_no_device_is_found_nowhere(text: str) -> None:
    """Any other text is no serial and no key."""
    by_serial, by_key = DEVICES.row_of_serial(text), DEVICES.row_of_key(text)
    assert by_serial is None or DEVICES.serial(by_serial) == text
    assert by_key is None or DEVICES.key(by_key) == text


# --- selecting -------------------------------------------------------------------------------------------------------

VERSIONS = (*DEVICES.firmware_versions, "unheard-of")
leaves = st.one_of(
    st.lists(st.sampled_from([*DEVICES.product_ids, "unknown"]), max_size=3).map(DEVICES.of_products),
    st.lists(st.sampled_from(VERSIONS), max_size=4).map(DEVICES.with_firmware_versions),
    st.lists(st.sampled_from(DEVICES.software_versions), max_size=3).map(DEVICES.with_software_versions),
    st.booleans().map(DEVICES.with_upgrading),
    st.tuples(
        st.none() | st.sampled_from(DEVICES.registered_at_s), st.none() | st.sampled_from(DEVICES.registered_at_s)
    ).map(lambda ends: RegisteredBetween(first_s=ends[0], last_s=ends[1])),
)
conditions: st.SearchStrategy[Condition] = st.recursive(
    leaves,
    lambda parts: (
        st.lists(parts, max_size=3).map(lambda some: AllOf(tuple(some)))
        | st.lists(parts, max_size=3).map(lambda some: AnyOf(tuple(some)))
    ),
    max_leaves=5,
)


def holds(table: DeviceTable, condition: Condition, row: int) -> bool:
    """The slow and obvious reading of a condition."""
    match condition:
        case AllOf(parts):
            return all(holds(table, part, row) for part in parts)
        case AnyOf(parts):
            return any(holds(table, part, row) for part in parts)
        case InColumn(column, values):
            return getattr(table, f"{column}_column")[row] in values
        case RegisteredBetween(first_s=first, last_s=last):
            at = table.registered_at_s[row]
            return (first is None or at >= first) and (last is None or at <= last)


@given(conditions)
def test_selecting_is_the_same_as_looking_at_every_device(condition: Condition) -> None:
    """Any combination of conditions selects the devices that meet it, oldest first."""
    assert list(DEVICES.matching(condition)) == [row for row in range(len(DEVICES)) if holds(DEVICES, condition, row)]


def test_a_selection_is_kept_until_the_fleet_changes() -> None:
    """Asking again costs nothing; after a change the answer is new."""
    table = Fleet.generate(devices=50, jobs=0).devices
    idle = table.with_upgrading(False)
    before = table.matching(idle)
    assert table.matching(idle) is before
    table.upgrading_column[7] = 1
    table.touch()
    assert 7 in before
    assert 7 not in table.matching(idle)


def test_only_so_many_selections_are_kept() -> None:
    """A stream of different filters does not fill the memory: the least recently used one is forgotten."""
    table = Fleet.generate(devices=50, jobs=0).devices
    first = table.matching(table.with_upgrading(False))
    for at in table.registered_at_s[:20]:
        table.matching(RegisteredBetween(first_s=at))
    again = table.matching(table.with_upgrading(False))
    assert list(again) == list(first)
    assert again is not first


def test_everything_is_selected_without_a_copy() -> None:
    """The whole fleet is a range, not an array."""
    assert DEVICES.matching() == DEVICES.matching(EVERYTHING) == range(len(DEVICES))


def test_versions_that_were_never_reported_match_nothing() -> None:
    """An unknown version selects nobody, and never the devices without a version."""
    assert list(DEVICES.matching(DEVICES.with_firmware_versions(["unheard-of"]))) == []
    assert ABSENT in DEVICES.firmware_version_column


# --- noise and clock -------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 10**40), min_size=1, max_size=64))
def test_weights_fill_the_whole_table(weights: list[int]) -> None:
    """Every weight gets a place, all 256 are filled, and the heaviest gets the most."""
    table = weighted_table(weights)
    counts = Counter(table)
    assert len(table) == 256
    assert set(counts) == set(range(len(weights)))
    assert counts[weights.index(max(weights))] == max(counts.values())


def test_streams_of_noise_are_independent() -> None:
    """A name always gives the same bytes, and a longer stream begins with the shorter one."""
    noise = Noise(3)
    assert noise.stream("a", 40).startswith(noise.stream("a", 8))
    assert noise.stream("a", 8) != noise.stream("b", 8)
    assert noise.hexadecimal("a", 5) == noise.stream("a", 8).hex()[:5]


def test_a_manual_clock_moves_only_when_told() -> None:
    """It stands still, goes on by what it is told, and never back."""
    clock = ManualClock(DEFAULT_NOW)
    assert clock.now_ms() == clock.now_ms() == epoch_ms(DEFAULT_NOW)
    clock.advance(1.5)
    assert clock.now_ms() == epoch_ms(DEFAULT_NOW) + 1500
    with pytest.raises(ValueError, match="never runs backwards"):
        clock.advance(-1)


def test_the_system_clock_tells_epoch_milliseconds() -> None:
    """It lies between two readings of the machine's own time."""
    before = epoch_ms(datetime.now(UTC))
    assert before <= SystemClock().now_ms() <= epoch_ms(datetime.now(UTC))
