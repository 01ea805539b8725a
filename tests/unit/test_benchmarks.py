"""The parts of the benchmarks that measure nothing: quartiles, verdicts, tables, and what the page server lists."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.figures import Figure, Goal, Unit, Verdict, as_json, quartiles, table
from benchmarks.listings import EnosListing, IotdaListing, record_ids

AT_MOST = Goal(to_reach=2.75, stretch=2.05)
AT_LEAST = Goal(to_reach=20, stretch=26, at_least=True)


def figure(*samples: float, **fields: Any) -> Figure:
    return Figure(row="1", name="pages", samples=samples, **fields)


# --- quartiles -------------------------------------------------------------------------------------------------------


def test_quartiles_of_one_sample() -> None:
    """A single sample is all three: a smoke run has no more."""
    assert quartiles([3.0]) == (3.0, 3.0, 3.0)


def test_quartiles_of_many() -> None:
    """The order of the samples plays no part, and the ends belong to the data."""
    assert quartiles([5.0, 1.0, 3.0, 2.0, 4.0]) == (2.0, 3.0, 4.0)


@given(st.lists(st.floats(min_value=0, max_value=1e6), min_size=1, max_size=40))
def test_quartiles_are_in_order(samples: list[float]) -> None:
    """They never leave the range of the samples."""
    low, middle, high = quartiles(samples)
    slack = 1e-9 * max(samples)
    assert min(samples) - slack <= low <= middle + slack
    assert middle <= high + slack <= max(samples) + 2 * slack


def test_figure_without_samples() -> None:
    """Nothing measured is an error, not a figure."""
    with pytest.raises(ValueError, match="needs at least one sample"):
        figure()


# --- verdicts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "value", "verdict"),
    [
        (AT_MOST, 2.76, Verdict.MISSED),
        (AT_MOST, 2.75, Verdict.REACHED),
        (AT_MOST, 2.05, Verdict.STRETCH),
        (AT_LEAST, 19.9, Verdict.MISSED),
        (AT_LEAST, 20, Verdict.REACHED),
        (AT_LEAST, 26, Verdict.STRETCH),
        (Goal(to_reach=1.3), 0.1, Verdict.REACHED),
    ],
)
def test_verdict(goal: Goal, value: float, verdict: Verdict) -> None:
    """A value on the line is on its good side; without a stretch there is none to reach."""
    assert goal.verdict(value) is verdict


def test_figure_is_judged_by_its_median() -> None:
    """One bad pair does not spoil a figure, and one good pair does not save it."""
    assert figure(2.0, 2.1, 9.0, goal=AT_MOST).verdict is Verdict.REACHED
    assert figure(1.0, 2.9, 9.0, goal=AT_MOST).verdict is Verdict.MISSED
    assert figure(2.0).verdict is None


# --- tables ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [
        (Unit.TIMES, 2.0512, "2.05 x"),
        (Unit.TIMES, 25.04, "25.0 x"),
        (Unit.SHARE, 1 / 8.9, "1/8.9"),
        (Unit.SHARE, 1 / 2.5, "1/2.5"),
        (Unit.SHARE, 0.0, "0.00"),
        (Unit.MEBIBYTES, 1.96, "2.0 MiB"),
        (Unit.BYTES, 31.6, "32 bytes"),
    ],
)
def test_text_of_a_value(unit: Unit, value: float, text: str) -> None:
    """Each unit is written as the goals are."""
    assert unit.text(value) == text


def test_table() -> None:
    """Goal and stretch stand beside the figure; a figure without a goal leaves them empty."""
    shown = table([figure(2.0, 2.4, 2.2, goal=AT_MOST), figure(20.0, goal=AT_LEAST), figure(3.0)])
    head, ruler, first, second, third = shown.splitlines()
    assert head == "| row | what | median | quartiles | pairs | to reach | stretch | verdict |"
    assert ruler.count("---") == head.count("|") - 1
    assert first == "| 1 | pages | 2.20 x | 2.10 x to 2.30 x | 3 | <= 2.75 x | 2.05 x | reached |"
    assert second == "| 1 | pages | 20.0 x | 20.0 x to 20.0 x | 1 | >= 20.0 x | 26.0 x | reached |"
    assert third == "| 1 | pages | 3.00 x | 3.00 x to 3.00 x | 1 |  |  |  |"


def test_table_without_verdicts() -> None:
    """The figures of a smoke run are not judged."""
    assert "missed" not in table([figure(9.0, goal=AT_MOST)], judged=False)


def test_json_of_a_figure() -> None:
    """It holds every sample, and survives being written."""
    written = json.loads(json.dumps(as_json(figure(2.0, 3.0, goal=AT_MOST))))
    assert written == {
        "row": "1",
        "name": "pages",
        "unit": "times",
        "lower_quartile": 2.25,
        "median": 2.5,
        "upper_quartile": 2.75,
        "pairs": 2,
        "samples": [2.0, 3.0],
        "goal": {"to_reach": 2.75, "stretch": 2.05, "at_least": False},
        "verdict": "reached",
    }
    assert as_json(figure(1.0))["goal"] is None


# --- listings --------------------------------------------------------------------------------------------------------


def test_enos_pages_hold_every_device_once() -> None:
    """Any page size covers the fleet, which may be smaller than what is listed."""
    listing = EnosListing(450)
    pages = [json.loads(listing.page(number, 100, 420)) for number in range(1, 7)]
    assert [len(page["data"]) for page in pages] == [100, 100, 100, 100, 20, 0]
    assert len({row["assetId"] for page in pages for row in page["data"]}) == 420
    assert pages[4]["pagination"] == {"sortedBy": None, "pageNo": 5, "pageSize": 100, "totalSize": 420}


def test_iotda_walk_by_marker() -> None:
    """Records come newest first; the last page is empty and has no marker."""
    listing, marker, found = IotdaListing(130), "f" * 24, []
    while marker is not None:
        page = json.loads(listing.page({"limit": "50", "marker": marker}, 130))
        assert page["page"]["count"] == 130
        found += [row["device_id"] for row in page["devices"]]
        marker = page["page"]["marker"]
    assert len(found) == len(set(found)) == 130


def test_iotda_offset_skips_below_the_marker() -> None:
    """An offset of one page is the page behind; the default limit is the vendor's."""
    listing = IotdaListing(130)
    first = json.loads(listing.page({"limit": "50"}, 130))
    behind = listing.page({"limit": "50", "marker": first["page"]["marker"]}, 130)
    assert listing.page({"limit": "50", "offset": "50"}, 130) == behind
    assert len(json.loads(listing.page({}, 130))["devices"]) == 10


def test_iotda_fleet_is_the_newest_devices() -> None:
    """A project with fewer devices ends sooner."""
    listing = IotdaListing(130)
    page = json.loads(listing.page({"limit": "50"}, 20))
    assert page["page"]["count"] == len(page["devices"]) == 20
    assert page["devices"] == json.loads(listing.page({"limit": "20"}, 130))["devices"]


def test_iotda_ranges_of_time_cover_the_fleet() -> None:
    """Both ends of a range belong to it, and the counts say how many devices it holds."""
    listing, ids = IotdaListing(300), record_ids(300)
    middle = int(ids[150][:8], 16)
    at = {second: _wire_time(second) for second in (middle - 1, middle, middle + 1)}
    older = json.loads(listing.page({"end_time": at[middle - 1]}, 300))["page"]["count"]
    newer = json.loads(listing.page({"start_time": at[middle + 1]}, 300))["page"]["count"]
    within = json.loads(listing.page({"start_time": at[middle], "end_time": at[middle]}, 300))["page"]["count"]
    assert within == sum(int(record[:8], 16) == middle for record in ids) >= 1
    assert older + within + newer == 300
    assert json.loads(listing.page({"start_time": at[middle + 1], "end_time": at[middle]}, 300))["page"]["count"] == 0


def test_record_ids() -> None:
    """They are distinct, ascending, of 24 digits, and most of them in few hours."""
    ids = record_ids(5_000)
    assert ids == sorted(set(ids))
    assert {len(record) for record in ids} == {24}
    hours = {int(record[:8], 16) // 3600 for record in ids}
    assert len(hours) < 2_000


def _wire_time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y%m%dT%H%M%SZ")
