"""The IoTDA emulator's flexible search: which devices a statement means, and how it is throttled."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otaclient.emulator import Fleet, ManualClock
from otaclient_iotda.emulator import IotdaEmulator, render
from otaclient_iotda.emulator.search import DeviceSearch
from otaclient_iotda.emulator.sql import OPERATORS, Condition, Operator, Statement
from support.iotda import Caller, serving
from support.iotda_statements import EVERYTHING, FLEET, GROUPS, IDS, ROWS, TABLE, stamp, statements

SEARCH = DeviceSearch(FLEET, ROWS, IDS, GROUPS)


# --- which devices ---------------------------------------------------------------------------------------------------


def values_of(row: int, field: str) -> list[str]:
    """What a device has in a field; nothing where it has no value."""
    device: Any = ROWS.detail(row)
    if field == "group_id":
        return [group for group in GROUPS.listed if row in (GROUPS.rows(group) or ())]
    if field in {"tag_key", "tag_value"}:
        return [tag[field] for tag in device.get("tags") or ()]
    if field == "marker":
        return [IDS.text(row)]
    if field == "create_time":
        return [stamp(TABLE.registered_at_s[row] * 1000)]
    value = device.get(field)
    return [] if value is None else [value]


def meets(row: int, condition: Condition) -> bool:
    """Whether a device meets a condition, decided the slow way."""
    held = values_of(row, condition.field)
    value = condition.values[0]
    match condition.operator:
        case "like":
            return any(each.startswith(value) for each in held)
        case ">":
            return held[0] > value
        case "<":
            return held[0] < value
        case "=" | "in":
            return any(each in condition.values for each in held)
        case _:
            always = condition.field == "group_id"
            return (always or bool(held)) and not any(each in condition.values for each in held)


@given(statements)
@example(Statement(fields=None, alternatives=((Condition("create_time", "<", (stamp(0),)),),)))
def test_exactly_the_devices_that_are_meant(statement: Statement) -> None:
    """A statement means the devices that meet all conditions of one alternative, each once, in order."""
    meant = [
        row
        for row in range(len(TABLE))
        if not statement.alternatives
        or any(all(meets(row, condition) for condition in each) for each in statement.alternatives)
    ]
    assert list(SEARCH.rows(statement)) == meant


def one_of(operator: str) -> Operator:
    """An operator from the table of those that a field takes."""
    known: tuple[Operator, ...] = ("=", "!=", ">", "<", "in", "not in")
    return next(each for each in known if each == operator)


SAMPLES = {
    "app_id": render.app_id(FLEET, TABLE.product_ids[1]),
    "product_id": TABLE.product_ids[1],
    "device_id": ROWS.device_id(41),
    "gateway_id": ROWS.device_id(40),
    "device_name": ROWS.device_name(41),
    "node_id": TABLE.key(42),
    "status": "OFFLINE",
    "node_type": "GATEWAY",
    "tag_key": "site",
    "tag_value": "hall-1",
    "sw_version": TABLE.software_versions[-1],
    "fw_version": TABLE.firmware_versions[3],
    "group_id": next(iter(GROUPS.listed)),
    "create_time": stamp(TABLE.registered_at_s[300] * 1000),
    "marker": IDS.text(300),
}


@pytest.mark.parametrize(
    "condition",
    [
        *(
            Condition(field, one_of(operator), (SAMPLES[field],))
            for field, operators in OPERATORS.items()
            for operator in sorted(operators - {"like"})
        ),
        *(Condition("create_time", sign, (stamp(TABLE.registered_at_s[300] * 1000 + 1),)) for sign in ("=", ">", "<")),
        *(Condition("marker", "=", (text,)) for text in ("0" * 24, "f" * 24)),
        Condition("group_id", "in", ("0" * 32,)),
        Condition("gateway_id", "in", ("nosuch", ROWS.device_id(58))),
        Condition("device_id", "=", ("nosuch",)),
        *(Condition("node_id", "like", (text,)) for text in ("pump", "pump-", "pump-0000", "pump-00000000", "nosuch")),
        *(Condition("device_name", "like", (text,)) for text in ("pump", "设备pu", "设备pump-000")),
        *(Condition("tag_key", "like", (text,)) for text in ("site", "sites")),
        Condition("tag_value", "like", ("hall",)),
    ],
)
def test_every_condition(condition: Condition) -> None:
    """Every operator of every field selects what it says, and not everything."""
    meant = [row for row in range(len(TABLE)) if meets(row, condition)]
    assert list(SEARCH.rows(Statement(fields=None, alternatives=((condition,),)))) == meant
    assert len(meant) < len(TABLE)


@given(statements, st.integers(1, 1000))
@example(Statement(fields=None, order="asc", offset=3), 1)
@example(Statement(fields=None, order="desc", offset=3), 1)
def test_page_is_a_part_of_the_order(statement: Statement, turn: int) -> None:
    """An order by marker is cut at its limits; a random one gives each device once, and another order every time."""
    meant = SEARCH.rows(statement)
    page = list(SEARCH.page(statement, meant, turn=turn))
    asked = slice(statement.offset, statement.offset + statement.rows)
    if statement.order == "asc":
        assert page == list(meant)[asked]
    elif statement.order == "desc":
        assert page == list(meant)[::-1][asked]
    else:
        assert len(page) == len(list(meant)[asked])
        assert len(set(page)) == len(page)
        assert set(page) <= set(meant)


def test_random_order_reaches_every_device_and_changes() -> None:
    """Without an order the whole list is some permutation, and not the same one twice."""
    for count in (1, 2, 7_920, 7_921):
        whole = Statement(fields=None, rows=count)
        orders = [list(SEARCH.page(whole, range(count), turn=turn)) for turn in (1, 2)]
        assert all(sorted(order) == list(range(count)) for order in orders)
        assert orders[0] != orders[1] or count == 1


def test_record_says_what_the_list_says_and_more() -> None:
    """A found device has the fields of the list, its groups, its modules and its marker; no description."""
    for row in range(70):
        listed: Any = ROWS.detail(row)
        found: Any = SEARCH.record(row, None)
        assert found["marker"] == IDS.text(row)
        assert found["groups"] == [each for each in GROUPS.listed if row in (GROUPS.rows(each) or ())]
        assert found["modules"] == listed.get("modules", [])
        same = set(found) - {"marker", "groups", "modules"}
        assert {field: found[field] for field in same} == {field: listed[field] for field in same}
        assert "description" not in found
        assert set(SEARCH.record(row, ("fw_version", "tags"))) <= {"fw_version", "tags"}


# --- groups ----------------------------------------------------------------------------------------------------------


def test_groups_are_by_product_and_site() -> None:
    """Every product has a group for each site, and the jobs that name groups have theirs."""
    sites = {group.name: group for group in GROUPS.listed.values() if " at " in group.name}
    assert len(sites) == 3 * len(FLEET.products)
    for product in FLEET.products:
        members = [GROUPS.rows(sites[f"{product.name} at hall-{number}"].group_id) or () for number in range(3)]
        assert not set(members[0]) & set(members[1])
        assert all(TABLE.product_id(row) == product.product_id for rows_ in members for row in rows_)
    job = next(job for job in FLEET.jobs if job.group_ids)
    assert list(GROUPS.rows(job.group_ids[0]) or ()) == sorted(job.targets)
    assert GROUPS.listed[job.group_ids[0]].name.startswith("targets of ")
    assert GROUPS.rows("nosuch") is None


# --- over HTTP -------------------------------------------------------------------------------------------------------


async def searched(caller: Caller, sql: object) -> tuple[int, dict[str, Any]]:
    """Status and body of a search."""
    return await caller.send("POST", "search/query-devices", {"sql": sql})


async def test_search_by_the_visible_marker(clock: ManualClock) -> None:
    """Walking down by the marker of the last device finds every device once."""
    async with serving(FLEET, clock=clock) as (_, caller):
        found: list[str] = []
        condition = ""
        while True:
            _, body = await searched(caller, f"{EVERYTHING} {condition} order by marker desc limit 50")
            if not body["devices"]:
                break
            assert set(body) == {"devices"}
            found += [device["device_id"] for device in body["devices"]]
            condition = f"where marker < '{body['devices'][-1]['marker']}'"
            clock.advance(1)
    assert Counter(found) == Counter(map(ROWS.device_id, range(len(TABLE))))
    assert found == [ROWS.device_id(row) for row in reversed(range(len(TABLE)))]


async def test_search_counts(clock: ManualClock) -> None:
    """A count has neither devices nor a page."""
    async with serving(FLEET, clock=clock) as (_, caller):
        assert await searched(caller, "select count(*) from device") == (200, {"count": len(TABLE)})


async def test_one_search_a_second(clock: ManualClock) -> None:
    """A second search within the second is throttled by the gateway; waiting a second is enough."""
    async with serving(FLEET, clock=clock) as (emulator, caller):
        assert (await searched(caller, "select * from device"))[0] == 200
        clock.advance(0.999)
        status, body = await searched(caller, "select * from device")
        assert (status, body["error_code"]) == (429, "APIGW.0308")
        assert body["request_id"]
        clock.advance(0.001)
        assert (await searched(caller, "select * from device"))[0] == 200
        assert emulator.served["devices.query"] == 3


async def test_search_without_throttle(clock: ManualClock) -> None:
    """The throttle can be switched off."""
    async with serving(FLEET, clock=clock, search_pause_seconds=0) as (_, caller):
        assert {(await searched(caller, "select * from device"))[0] for _ in range(5)} == {200}


async def test_search_is_not_in_the_basic_edition(clock: ManualClock) -> None:
    """Only standard and enterprise editions have it."""
    async with serving(FLEET, clock=clock, edition="basic") as (_, caller):
        assert (await searched(caller, "select * from device"))[0] == 403


@pytest.mark.parametrize("sql", [None, 7, "", "select"])
async def test_search_that_is_none(clock: ManualClock, sql: object) -> None:
    """A body without a readable statement is refused."""
    async with serving(FLEET, clock=clock) as (_, caller):
        status, body = await searched(caller, sql)
        assert (status, body["error_code"]) == (400, "IOTDA.000006")


async def test_search_in_an_empty_fleet(clock: ManualClock) -> None:
    """Nothing is found where there is nothing."""
    async with serving(Fleet.generate(devices=0, jobs=0), clock=clock) as (_, caller):
        assert await searched(caller, "select * from device") == (200, {"devices": []})


def test_emulator_lists_its_groups() -> None:
    """The emulator says which groups there are."""
    groups = IotdaEmulator(FLEET).groups
    assert {group_id: group.name for group_id, group in groups.items()} == {
        group_id: group.name for group_id, group in GROUPS.listed.items()
    }
