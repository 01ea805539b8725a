"""The IoTDA emulator's reading of windows, markers and filters: what the documentation allows, and nothing else."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import Fleet
from otaclient_iotda.emulator import packages, render, selection
from otaclient_iotda.emulator.filters import (
    CEILING,
    DeviceFilter,
    ParameterError,
    RecordIds,
    Window,
    cut,
    detail_filter,
    device_filter,
    package_filter,
    query_parameters,
    task_filter,
)
from otaclient_iotda.emulator.modules import ModuleVersions

FLEET = Fleet.generate(devices=1_234, seed=5)
ROWS = render.DeviceRows(FLEET, ModuleVersions(FLEET).of_device)
SELECTION = selection.DeviceSelection(FLEET, ROWS)


# --- parameters ------------------------------------------------------------------------------------------------------


def refusal(reader: Any, query: str) -> str:
    """The code with which an operation refuses a query."""
    with pytest.raises(ParameterError) as caught:
        reader(query_parameters(query))
    return caught.value.code


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("limit=0", "IOTDA.000017"),
        ("limit=51", "IOTDA.000017"),
        ("limit=-1", "IOTDA.000017"),
        (f"limit={'9' * 4_000}", "IOTDA.000017"),
        ("limit=ten", "IOTDA.000006"),
        ("limit=", "IOTDA.000006"),
        ("offset=-1", "IOTDA.000006"),
        ("offset=501", "IOTDA.000006"),
        ("offset=1e2", "IOTDA.000006"),
        ("marker=", "IOTDA.000018"),
        ("marker=zz", "IOTDA.000018"),
        ("marker=5c90fa7d3c4e4405e85250790", "IOTDA.000018"),
        ("marker=5c90fa7d3c4e4405e852507g", "IOTDA.000018"),
        ("limit=1&limit=2", "IOTDA.000006"),
        ("limit=1&%6cimit=2", "IOTDA.000006"),
    ],
)
@pytest.mark.parametrize(
    ("reader", "mandatory"),
    [
        (package_filter, "package_type=firmwarePackage&"),
        (task_filter, "task_type=firmwareUpgrade&"),
        (detail_filter, ""),
        (device_filter, ""),
    ],
)
def test_window_out_of_range(reader: Any, mandatory: str, query: str, code: str) -> None:
    """Every list refuses the same limits, offsets and markers."""
    assert refusal(reader, mandatory + query) == code


@pytest.mark.parametrize(
    ("reader", "query", "code"),
    [
        (package_filter, "", "IOTDA.000006"),
        (package_filter, "package_type=", "IOTDA.000006"),
        (package_filter, "package_type=firmware", "IOTDA.000006"),
        (package_filter, "package_type=firmwarePackage&app_id=", "IOTDA.000006"),
        (package_filter, f"package_type=firmwarePackage&product_id={'x' * 37}", "IOTDA.000006"),
        (package_filter, "package_type=firmwarePackage&version=V1%2F2", "IOTDA.000006"),
        (task_filter, "status=Success", "IOTDA.000006"),
        (task_filter, "task_type=upgrade", "IOTDA.000006"),
        (task_filter, "task_type=firmwareUpgrade&status=Waiting", "IOTDA.000006"),
        (detail_filter, "task_detail_status=PartialSuccess", "IOTDA.000006"),
        (detail_filter, "target=a.b", "IOTDA.000006"),
        (device_filter, "node_id=a%20b", "IOTDA.000006"),
        (device_filter, "device_name=a%20b", "IOTDA.000006"),
        (device_filter, "gateway_id=a%2Fb", "IOTDA.000006"),
        (device_filter, "gateway_id=a&is_cascade_query=yes", "IOTDA.000006"),
        (device_filter, "is_cascade_query=true", "IOTDA.000006"),
        (device_filter, "start_time=2026-01-02T03:04:05Z", "IOTDA.000009"),
        (device_filter, "end_time=20261332T030405Z", "IOTDA.000009"),
        (device_filter, "start_time=20260102T030405Z&end_time=20260102T030404Z", "IOTDA.000010"),
        (device_filter, "start_time=20260102T030405Z&end_time=20260102T030405Z", "IOTDA.000010"),
    ],
)
def test_wrong_filter(reader: Any, query: str, code: str) -> None:
    """A filter that is mandatory and missing, or has a wrong form, is refused with the vendor's code."""
    assert refusal(reader, query) == code


def test_defaults() -> None:
    """Without parameters a list begins at the newest record and has ten of them."""
    assert device_filter({}) == DeviceFilter(window=Window(marker=CEILING, offset=0, limit=10))


def test_everything_that_is_allowed() -> None:
    """The largest values of the documentation are accepted; an unknown parameter is ignored; hex digits of any case."""
    query = (
        f"product_id={'p' * 36}&app_id={'a' * 36}&gateway_id={'g' * 128}&is_cascade_query=true&node_id={'n' * 64}"
        "&device_name=%E6%B3%B5_%3F%27%23%28%29.%2C%26%25%40%21-"
        "&start_time=20260102T030405Z&end_time=20260102T030406Z"
        "&limit=50&offset=500&marker=ABCDEFabcdef0123456789ff&unknown=1"
    )
    assert device_filter(query_parameters(query)) == DeviceFilter(
        product_id="p" * 36,
        app_id="a" * 36,
        gateway_id="g" * 128,
        cascade=True,
        node_id="n" * 64,
        device_name="泵_?'#().,&%@!-",
        start_time=int(datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()),
        end_time=int(datetime(2026, 1, 2, 3, 4, 6, tzinfo=UTC).timestamp()),
        window=Window(marker=0xABCDEFABCDEF0123456789FF, offset=500, limit=50),
    )


@pytest.mark.parametrize("task_type", ["softwareUpgrade", "moduleUpgrade", "createDevices", "changeGateway"])
def test_every_task_type_can_be_listed(task_type: str) -> None:
    """Types that are no upgrades are valid too; the emulated project has no such tasks."""
    assert task_filter({"task_type": task_type}).task_type == task_type


# --- cutting ---------------------------------------------------------------------------------------------------------

IDENTIFIERS = st.integers(min_value=0, max_value=40)


@given(
    values=st.sets(IDENTIFIERS).map(sorted),
    chosen=st.sets(IDENTIFIERS),
    window=st.builds(
        Window,
        marker=IDENTIFIERS | st.just(CEILING),
        offset=st.integers(min_value=0, max_value=8),
        limit=st.integers(min_value=1, max_value=8),
    ),
    bounds=st.tuples(st.none() | IDENTIFIERS, st.none() | IDENTIFIERS),
    follows=st.booleans(),
)
def test_cut_is_what_the_documentation_says(
    values: list[int], chosen: set[int], window: Window, bounds: tuple[int | None, int | None], *, follows: bool
) -> None:
    """A page is rows offset to offset+limit of those with an id strictly below the marker, newest first."""
    ids = RecordIds(value=values.__getitem__)
    numbers = [number for number in range(len(values)) if number in chosen]
    first, stop = bounds
    page = cut(numbers, window, ids, first=first, stop=stop, count_follows_marker=follows)
    inside = [
        each for each in numbers if (first is None or values[each] >= first) and (stop is None or values[each] < stop)
    ]
    below = [each for each in reversed(inside) if values[each] < window.marker]
    assert list(page.numbers) == below[window.offset : window.offset + window.limit]
    assert page.count == (len(below) if follows else len(inside))


@given(st.integers(min_value=0, max_value=2**32 - 1), st.integers(0, 2**40 - 1), st.integers(0, 2**24 - 1))
def test_record_ids_look_like_the_vendors(second: int, fixed: int, counter: int) -> None:
    """A record id is 24 lower-case hexadecimal digits that begin with the time."""
    text = RecordIds(value=lambda _: RecordIds.made(second, fixed, counter)).text(0)
    assert len(text) == 24
    assert text == text.lower()
    assert int(text[:8], 16) == second
    assert int(text, 16) & 0xFFFFFF == counter


@pytest.mark.parametrize(
    ("ids", "count"),
    [
        (render.device_record_ids(FLEET), len(FLEET.devices)),
        (render.firmware_record_ids(FLEET.firmware), len(FLEET.firmware)),
        (render.job_record_ids(FLEET.jobs), len(FLEET.jobs)),
        *((render.detail_record_ids(job), len(job.targets)) for job in FLEET.jobs),
    ],
)
def test_record_ids_rise(ids: RecordIds, count: int) -> None:
    """No two records share an id, and a newer record has a larger one."""
    values = [ids.value(number) for number in range(count)]
    assert all(earlier < later for earlier, later in pairwise(values))


def test_record_ids_are_hidden() -> None:
    """Neither a package's id nor a device's is its record id."""
    ids = render.firmware_record_ids(FLEET.firmware)
    hidden = {ids.text(number) for number in range(len(FLEET.firmware))}
    assert not hidden & {packages.package_id(record) for record in FLEET.firmware}


# --- selecting -------------------------------------------------------------------------------------------------------


def row_meets(row: int, wanted: DeviceFilter) -> bool:
    """Whether a device meets a filter, decided the slow way."""
    device = ROWS.detail(row)
    if wanted.gateway_id is not None:
        above = str(device["gateway_id"])
        parents = {above} if above != device["device_id"] else set[str]()
        grand = ROWS.row_of_device(above)
        if wanted.cascade and parents and grand is not None:
            parents.add(str(ROWS.detail(grand)["gateway_id"]))
        if wanted.gateway_id not in parents:
            return False
    fields = {"product_id", "app_id", "node_id", "device_name"}
    return all(getattr(wanted, field) in {None, device[field]} for field in fields)


@given(
    st.builds(
        DeviceFilter,
        product_id=st.none() | st.sampled_from([*FLEET.devices.product_ids, "nosuch"]),
        app_id=st.none() | st.sampled_from([render.app_id(FLEET, each) for each in FLEET.devices.product_ids]),
        gateway_id=st.none() | st.sampled_from([*map(ROWS.device_id, range(40, 60)), ROWS.device_id(1220), "nosuch"]),
        cascade=st.booleans(),
        node_id=st.none() | st.sampled_from([*map(FLEET.devices.key, range(56, 61)), "nosuch"]),
        device_name=st.none() | st.sampled_from([*map(ROWS.device_name, range(56, 61)), "设备nosuch"]),
    )
)
def test_filters_together(wanted: DeviceFilter) -> None:
    """Whatever filters are combined, exactly the devices that meet all of them are meant."""
    expected = [row for row in range(len(FLEET.devices)) if row_meets(row, wanted)]
    assert list(SELECTION.rows(wanted)) == expected


@pytest.mark.parametrize("inclusive", [True, False])
def test_range_of_registration_times(*, inclusive: bool) -> None:
    """Start and end are themselves inside the range, or not: a switch, because the vendor does not say."""
    seconds = FLEET.devices.registered_at_s
    wanted = DeviceFilter(start_time=seconds[10], end_time=seconds[20])
    ids, listing = render.device_record_ids(FLEET), FLEET.devices.listing
    first, stop = selection.ids_registered(wanted, inclusive=inclusive)
    assert first is not None
    assert stop is not None
    assert (ids.below(listing, first), ids.below(listing, stop)) == ((10, 21) if inclusive else (11, 20))
    assert selection.ids_registered(DeviceFilter(), inclusive=inclusive) == (None, None)


def test_names_that_name_nothing() -> None:
    """A name with the prefix of another device's name finds nothing."""
    assert ROWS.row_of_name(f"设备{FLEET.devices.key(2)}") is None
    assert ROWS.row_of_name(FLEET.devices.key(1)) is None
    assert ROWS.row_of_name(f"设备{FLEET.devices.key(1)}") == 1
