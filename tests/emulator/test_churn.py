"""Churn: devices come, go, upgrade and move between searches, always the same way, and a watch knows which stayed."""

from collections.abc import Sequence
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.cli import emulator as command
from otaclient.emulator import Burst, Churn, EmulatorServer, Fleet
from otaclient.emulator.conditions import EVERYTHING, RegisteredBetween
from otaclient.emulator.devices import ABSENT, DeviceTable
from otaclient.models import Connection
from otaclient.queries import DeviceUpgradeQuery
from otaclient_iotda.emulator import IotdaEmulator, render, selection
from otaclient_iotda.emulator.filters import DeviceFilter
from otaclient_iotda.emulator.groups import DeviceGroups
from otaclient_iotda.emulator.modules import ModuleVersions
from otaclient_iotda.emulator.search import DeviceSearch
from otaclient_iotda.emulator.sql import parse
from support.lies import Adversary, behind


def churning(devices: int, churn: Churn, searches: int = 0) -> Fleet:
    """Return a fleet in which so many searches were served."""
    fleet = Fleet.generate(devices=devices, jobs=0)
    fleet.start_churn(churn)
    for _ in range(searches):
        fleet.pass_search()
    return fleet


def in_order(table: DeviceTable) -> bool:
    """Whether the listing is in order of registration, and holds exactly what is there."""
    listing = list(table.listing)
    places = [(table.registered_at_s[row], row) for row in listing]
    return places == sorted(places) and sorted(listing) == [row for row in range(len(table)) if table.is_listed(row)]


RATES = st.sampled_from([0.0, 0.3, 1.0, 2.5])
PLACES: Any = st.sampled_from(["newest", "oldest", "any"])


@given(
    devices=st.integers(0, 40),
    churn=st.builds(
        Churn,
        seed=st.integers(0, 99),
        upgrade=RATES,
        leave=RATES,
        join=RATES,
        join_at=PLACES,
        rejoin=RATES,
        register_again=RATES,
        jump=RATES,
        jump_to=PLACES,
        bursts=st.lists(st.builds(Burst, at_search=st.integers(0, 9), leave=st.just(0.5), join=RATES), max_size=2),
    ),
)
def test_whatever_moves_the_listing_is_in_order(devices: int, churn: Churn) -> None:
    """After every search the listing is in order of registration, twice the same, and the watch agrees with it."""
    fleet, again = churning(devices, churn), churning(devices, churn)
    watch = fleet.devices.watch()
    throughout, ever = set(fleet.devices.listing), set(fleet.devices.listing)
    for _ in range(10):
        fleet.pass_search()
        again.pass_search()
        assert in_order(fleet.devices)
        throughout &= set(fleet.devices.listing)
        ever |= set(fleet.devices.listing)
    assert (set(watch.throughout), set(watch.ever)) == (throughout, ever)
    assert list(fleet.devices.listing) == list(again.devices.listing)
    assert fleet.devices.firmware_version_column == again.devices.firmware_version_column


def test_without_churn_nothing_moves() -> None:
    """A fleet that was not told to churn stands still, and so does one whose churn was ended."""
    fleet = Fleet.generate(devices=50, jobs=0)
    fleet.pass_search()
    fleet.start_churn(Churn(leave=3))
    fleet.start_churn(Churn())
    fleet.pass_search()
    assert fleet.devices.listing == range(50)
    assert fleet.devices.revision == Fleet.generate(devices=50, jobs=0).devices.revision


@pytest.mark.parametrize(("rate", "least", "most"), [(0.25, 15, 35), (1.0, 100, 100), (1.5, 135, 165)])
def test_rates_are_devices_a_search(rate: float, least: int, most: int) -> None:
    """A rate below one is a chance, and a broken one a whole number and a chance."""
    fleet = churning(400, Churn(leave=rate), searches=100)
    assert least <= 400 - len(fleet.devices.listing) <= most


@pytest.mark.parametrize(("place", "at"), [("newest", -1), ("oldest", 0)])
def test_devices_join_and_jump_where_they_are_told(place: Any, at: int) -> None:
    """New devices, those registered again and those that jump stand at the named end of the listing."""
    joined = churning(30, Churn(join=1, join_at=place), searches=1).devices
    assert joined.listing[at] == 30
    assert joined.registered_at_s[30] == joined.registered_at_s[joined.listing[(1, -2)[at]]] + (-1, 1)[at]
    jumped = churning(30, Churn(jump=1, jump_to=place), searches=1)
    others = list(jumped.devices.listing)
    moved = others.pop(at)
    assert [*others, moved] != list(range(30))
    assert others == [row for row in range(30) if row != moved]
    again = churning(30, Churn(leave=1, register_again=1, join_at=place), searches=1).devices
    assert sorted(again.listing) == list(range(30))


def test_devices_come_back_to_their_old_place() -> None:
    """A device that rejoins is listed where it was."""
    fleet = churning(30, Churn(leave=1), searches=10)
    fleet.start_churn(Churn(rejoin=1))
    fleet.pass_search()
    assert len(fleet.devices.listing) == 20  # what an earlier churn removed stays away
    together = churning(30, Churn(leave=2, rejoin=1), searches=10)
    assert len(together.devices.listing) == 20
    assert list(together.devices.listing) == sorted(together.devices.listing)


def test_a_burst_empties_a_fleet_and_another_fills_it() -> None:
    """Shrinking to nothing and growing tenfold happen before the search that was named."""
    fleet = churning(20, Churn(bursts=[Burst(at_search=1, join=9), Burst(at_search=2, leave=1)]))
    sizes: list[int] = []
    for _ in range(4):
        fleet.pass_search()
        sizes.append(len(fleet.devices.listing))
    assert sizes == [20, 200, 0, 0]


def test_an_empty_fleet_gets_devices() -> None:
    """Where there is no other device, one registers when the fleet's past ends."""
    churn = Churn(upgrade=1, leave=1, join=1, join_at="oldest", rejoin=0, register_again=1, jump=0)
    fleet = churning(0, churn, searches=2)
    now_s = int(fleet.now.timestamp())
    assert list(fleet.devices.registered_at_s) == [now_s - 1, now_s]
    churning(0, Churn(rejoin=1, jump=1), searches=1)


def test_upgrades_change_what_a_search_by_version_finds() -> None:
    """A device takes another version of its own product; one that never reported any comes online."""
    fleet = churning(60, Churn(upgrade=30))
    table = fleet.devices
    before = bytes(table.firmware_version_column)
    watch = table.watch(table.with_firmware_versions(fleet.products[0].firmware_versions[-3:]))
    began = set(watch.ever)
    for _ in range(20):
        fleet.pass_search()
    assert before != table.firmware_version_column
    assert set(watch.throughout) < began < set(watch.ever)
    for row in table.listing:
        product = fleet.product(table.product_id(row))
        assert product is not None
        assert table.firmware_version(row) in {None, "7777", "AOTA", *product.firmware_versions}
        if before[row] == ABSENT != table.firmware_version_column[row]:
            assert table.connection(row) is Connection.ONLINE


def test_a_watch_ends() -> None:
    """What happens after its end a watch does not see."""
    fleet = churning(10, Churn(leave=1))
    watch = fleet.devices.watch()
    fleet.pass_search()
    fleet.devices.unwatch(watch)
    fleet.pass_search()
    assert (len(watch.throughout), len(watch.ever)) == (9, 10)


def test_a_copy_churns_on_its_own() -> None:
    """A fleet and its copy move apart, their watches with them."""
    fleet = churning(10, Churn(leave=1))
    watch = fleet.devices.watch()
    copy = fleet.copy()
    copy.pass_search()
    assert (len(fleet.devices.listing), len(copy.devices.listing), len(watch.throughout)) == (10, 9, 10)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"leave": -1}, "churn: leave is -1; it must be 0 or more"),
        ({"upgrade": float("nan")}, "churn: upgrade is nan; it must be 0 or more"),
        ({"join": float("inf")}, "churn: join is inf; it must be 0 or more"),
        ({"join_at": "head"}, "churn: join_at is 'head'; it must be one of newest, oldest, any"),
        ({"jump_to": "head"}, "churn: jump_to is 'head'; it must be one of newest, oldest, any"),
    ],
)
def test_rates_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    """A wrong setting is named, with what it may be."""
    with pytest.raises(ValueError, match=message):
        Churn(**options)
    with pytest.raises(ValueError, match="leave"):
        Burst(at_search=0, leave=1.5)


# --- what depends on the order of rows -------------------------------------------------------------------------------

MOVED = churning(400, Churn(seed=3, leave=1, join=1, join_at="any", jump=1, jump_to="any"), searches=60)
TABLE = MOVED.devices
ROWS = render.DeviceRows(MOVED, ModuleVersions(MOVED).of_device)


def test_removed_devices_are_not_found() -> None:
    """Neither a key, a serial, a version nor a selection leads to a device that was removed."""
    gone = [row for row in range(len(TABLE)) if not TABLE.is_listed(row)]
    assert gone
    for row in gone:
        assert TABLE.row_of_key(TABLE.key(row)) is None
        assert TABLE.row_of_serial(TABLE.serial(row)) is None
    assert set(TABLE.matching(TABLE.of_products(TABLE.product_ids))) == set(TABLE.listing)
    only = churning(1, Churn(leave=1), searches=1).devices
    assert [only.reported_versions(product_id) for product_id in only.product_ids] == [(), (), ()]
    assert not TABLE.is_listed(-1)
    assert not TABLE.is_listed(len(TABLE))


def test_registration_times_select_whatever_the_order() -> None:
    """A range of registration times holds the devices that registered in it."""
    seconds = TABLE.registered_at_s
    first, last = sorted(seconds)[50], sorted(seconds)[300]
    for condition, least, most in (
        (RegisteredBetween(first_s=first, last_s=last), first, last),
        (RegisteredBetween(first_s=first), first, 2**32),
        (RegisteredBetween(last_s=last), 0, last),
    ):
        assert list(TABLE.matching(condition)) == [row for row in TABLE.listing if least <= seconds[row] <= most]
    assert list(TABLE.matching(EVERYTHING)) == list(TABLE.listing)


def found(*condition: str) -> Sequence[int]:
    """Return what the flexible search of IoTDA finds."""
    statement = " where ".join(["select device_id from device", *condition])
    search = DeviceSearch(MOVED, ROWS, render.device_record_ids(MOVED), DeviceGroups(MOVED))
    return list(search.rows(parse(statement)))


def test_the_flexible_search_knows_the_order() -> None:
    """Markers and times mean places in the listing, not rows."""
    listing = list(TABLE.listing)
    ids = render.device_record_ids(MOVED)
    middle = listing[200]
    marker = ids.text(middle)
    assert found() == listing
    assert found(f"marker > '{marker}'") == listing[201:]
    assert found(f"marker < '{marker}'") == listing[:200]
    assert found(f"marker = '{marker}'") == [middle]
    assert found(f"marker = '{'0' * 24}'") == []
    assert found(f"marker = '{'f' * 24}'") == []
    product = TABLE.product_id(middle)
    assert found(f"product_id = '{product}'") == [row for row in listing if TABLE.product_id(row) == product]


def test_children_are_listed_in_order() -> None:
    """Children of a gateway come in order of registration, and without those that were removed."""
    chosen = selection.DeviceSelection(MOVED, ROWS)
    for gateway in range(0, 400, 20):
        if TABLE.is_listed(gateway):
            rows = list(chosen.rows(DeviceFilter(gateway_id=ROWS.device_id(gateway), cascade=True)))
            assert rows == [row for row in TABLE.listing if gateway < row < gateway + 20 and row in rows]


def test_selections_by_product_forget() -> None:
    """A selection by product is made anew when a device came or went."""
    fleet = churning(30, Churn(leave=1))
    chosen = selection.DeviceSelection(fleet, render.DeviceRows(fleet, ModuleVersions(fleet).of_device))
    products = fleet.devices.product_ids
    for _ in range(30):
        counted = [len(chosen.rows(DeviceFilter(product_id=product))) for product in products]
        assert sum(counted) == len(fleet.devices.listing)
        fleet.pass_search()


# --- over HTTP -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
async def test_a_fleet_churns_once_a_search(vendor: str) -> None:
    """Every search for devices that is served moves the fleet, and nothing else does."""
    fleet = churning(500, Churn(leave=1))
    adversary = Adversary(0)
    async with behind(adversary, vendor, fleet) as backend:
        seen = [device.device_key async for device in backend.devices.search(DeviceUpgradeQuery())]
    assert len(fleet.devices.listing) == 500 - adversary.asked
    assert len(seen) < 500


async def test_what_was_removed_is_not_shown() -> None:
    """IoTDA answers 404 for a device that was removed; what it ought to list leaves it out."""
    fleet = churning(3, Churn(leave=1), searches=1)
    (gone,) = {0, 1, 2} - set(fleet.devices.listing)
    async with IotdaEmulator(fleet) as emulator, aiohttp.ClientSession() as session:
        expected = [device.device_key for device in emulator.expected_devices("iotda")]
        path = f"{emulator.url}/v5/iot/{emulator.project_id}/devices/{ROWS.device_id(gone)}"
        async with session.get(path, headers={"X-Auth-Token": emulator.ready_token}) as response:
            assert response.status == 404
    assert expected == [fleet.devices.key(row) for row in reversed(fleet.devices.listing)]


@pytest.mark.parametrize(("churn", "left"), [(2.0, 18), (0.0, 20)])
async def test_the_command_lets_a_fleet_churn(monkeypatch: pytest.MonkeyPatch, churn: float, left: int) -> None:
    """``otaclient emulator --churn`` is how many devices upgrade, leave and join at each search."""
    served: list[Fleet] = []

    async def serve(server: EmulatorServer, _host: str, _live: object, *, is_under_load: bool) -> None:
        served.append(server.fleet)

    monkeypatch.setattr("otaclient.cli.emulator._serve", serve)
    await command.emulator("enos", port=0, devices=20, churn=churn)
    (fleet,) = served
    watch = fleet.devices.watch()
    fleet.pass_search()
    assert (len(watch.throughout), len(fleet.devices.listing)) == (left, 20)
