"""Options, targets, sources and answers that cannot be right: an error that says so, or an uncertain verdict.

Never an endless loop, and never a gap that nobody is told of. What is marked as an expected failure is not so yet.
"""

import asyncio
import math
from typing import Any

import attrs
import pytest

from otaclient.emulator import Fleet
from otaclient.errors import InvalidQueryError, PayloadError, TransportError
from otaclient.fleet.scan import scan
from otaclient.queries import FirmwareQuery, JobQuery
from otaclient.reads import Markers, PageFacts, PageNumbers, Paging, Partition, RawPage
from support.bounded_scans import MARKERS, PAGES, QUERY, scanned
from support.listing import ListBackend, ListSource
from support.live import live

# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("concurrency", value) for value in (0, -1, math.nan, 10_001, 10**20)),
        *(("overlap", value) for value in (1, 0, -1, True, math.nan)),
        *(("repair_budget", value) for value in (-0.5, math.nan, -math.inf)),
        *(("max_requests", value) for value in (0, -1, math.nan)),
        *(("timeout_seconds", value) for value in (0, -1, math.nan)),
        *(("dedupe", value) for value in ("all", None, True)),
        *(("on_error", value) for value in ("ignore", None)),
        *(("concurrency", value) for value in (True, 2.5, math.inf, "3", None)),
        *(("overlap", value) for value in (2.5, "4")),
        *(("repair_budget", value) for value in ("1", None, True)),
        *(("max_requests", value) for value in (True, 2.5, "3")),
        *(("timeout_seconds", value) for value in ("3", True)),
        *(("certify", value) for value in ("no", None, 1)),
        *(("on_progress", value) for value in ("print", 3, asyncio.sleep)),
    ],
)
async def test_an_option_that_cannot_be_meant_is_refused_by_name(option: str, value: Any) -> None:
    """Whatever is wrong about it: the error names option, value and rule, and nothing is sent."""
    source = ListSource(range(200), paging=PAGES)
    with pytest.raises(InvalidQueryError) as caught:
        scan([(ListBackend(source), QUERY)], **{option: value})  # type: ignore[list-item]
    assert str(caught.value).startswith(f"scan(): {option} is {value!r}: it must be ")
    assert source.asked == []


@pytest.mark.parametrize(("paging", "overlap"), [(PAGES, 50), (PAGES, 49), (PAGES, 10**9), (MARKERS, 20)])
def test_an_overlap_as_large_as_a_page_is_refused_with_the_remedy(paging: Paging, overlap: int) -> None:
    """The error says how large a page is, what was asked for, and what to do."""
    source = ListSource(range(200), paging=paging)
    with pytest.raises(InvalidQueryError) as caught:
        scan([(ListBackend(source), QUERY)], overlap=overlap)  # type: ignore[list-item]
    assert str(caught.value) == (
        f"scan(): pages of at most {paging.largest_page} rows cannot overlap by {overlap} and still get on: give a "
        "smaller overlap, or ask for no proof (certify=False)"
    )


# --- targets ---------------------------------------------------------------------------------------------------------

_BACKEND = ListBackend(ListSource(range(9), paging=PAGES))


@pytest.mark.parametrize(
    "targets",
    [
        [],
        (),
        *(
            targets
            for targets in (
                None, 5, [None], [QUERY], [_BACKEND], [(_BACKEND,)], [(_BACKEND, QUERY, QUERY)], (_BACKEND, QUERY),
                ["ab"], [(QUERY, _BACKEND)], [("enos", QUERY)],
            )
        ),
        *(([(_BACKEND, query)]) for query in (None, "everything", JobQuery(), FirmwareQuery())),
    ],
)  # fmt: skip
def test_targets_that_are_none_are_refused(targets: Any) -> None:
    """No targets, what is no pair of a backend and a query, and queries of what is no device and no task."""
    with pytest.raises(InvalidQueryError, match=r"^scan\(\).*target"):
        scan(targets)


@pytest.mark.parametrize("name", ["enos", "iotda"])
async def test_a_closed_backend_is_an_error(name: str) -> None:
    """A client that was closed says so; with other targets beside it, these are read."""
    async with live(name, Fleet.generate(devices=300, jobs=0)) as vendor:
        await vendor.backend.aclose()
        async with scan([(vendor.backend, QUERY)]) as running:
            with pytest.raises(TransportError, match="the client is closed: open a new one"):
                _ = [row async for row in running]
        targets: Any = [(vendor.backend, QUERY), (ListBackend(ListSource(range(90), paging=PAGES)), QUERY)]
        async with scan(targets, on_error="collect") as running:
            assert len([row async for row in running]) == 90
        assert (running.certificate.verdict, len(running.errors)) == ("uncertain", 1)


# --- what a source says of itself ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("paging", "certify"),
    [
        *(
            (paging, True)
            for paging in (
                PageNumbers(largest_page=0, default_page=1), PageNumbers(largest_page=-5, default_page=1),
                Markers(largest_page=0, default_page=1, largest_offset=100),
            )
        ),
        *(
            (paging, certify)
            for paging, certify in (
                (PageNumbers(largest_page=0, default_page=1), False),
                (PageNumbers(largest_page=-5, default_page=1), False),
                (Markers(largest_page=0, default_page=1, largest_offset=100), False),
                (Markers(largest_page=-2, default_page=1, largest_offset=100), False),
                (Markers(largest_page=20, default_page=20, largest_offset=-1), True),
                (Markers(largest_page=20, default_page=20, largest_offset=-1), False),
            )
        ),
    ],
)  # fmt: skip
def test_impossible_page_sizes_are_refused(paging: Paging, certify: bool) -> None:
    """A plug-in whose pages have no rows is named, before anything is read, with or without a proof."""
    source = ListSource(range(200), paging=paging)
    with pytest.raises(InvalidQueryError, match=r"largest_(page|offset)"):
        scan([(ListBackend(source), QUERY)], certify=certify)  # type: ignore[list-item]


async def test_a_source_without_a_walk_is_no_empty_fleet() -> None:
    """What covers nothing is refused: it would look like an empty fleet."""

    class Nothing(ListSource):
        def partitions(self) -> list[Partition]:
            return []

    with pytest.raises(InvalidQueryError):
        await scanned(Nothing(range(200), paging=PAGES))


# --- totals ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize("paging", [PAGES, MARKERS])
@pytest.mark.parametrize("total", [-5, 0, 7, 10**18, None, math.nan, [200, 0, 10**12, -4, None, 7], "7"])
async def test_totals_that_lie_lose_nothing(total: Any, paging: Paging, certify: bool) -> None:
    """Negative, low, huge, absent, not a number, or another one each time: every row, and an end."""
    source = _Told(range(200), paging=paging)
    source.told = total if isinstance(total, list) else [total]
    try:
        found, certificate = await scanned(source, certify=certify)
    except PayloadError:
        return
    assert sorted(found) == sorted(f"d{row}" for row in range(200))
    if certify and paging is PAGES and not isinstance(total, list):
        assert certificate.verdict == "uncertain"
        assert any("does not agree with the vendor's total" in reason for reason in certificate.reasons)


class _Told(ListSource):
    """Tells totals of the test's."""

    told: list[Any]

    def facts(self, raw: RawPage, /) -> PageFacts:
        return attrs.evolve(super().facts(raw), total=self.told[len(self.asked) % len(self.told)])


@pytest.mark.parametrize("total", [-3, 0])
async def test_one_wrong_total_in_a_closing_read_costs_a_read_or_two(total: int) -> None:
    """A single answer that lies about the total is read past: certified, at a small price."""
    source = _Told(range(190), paging=PageNumbers(largest_page=40, default_page=40))
    source.told = [190, 190, 190, 190, 190, 190, 190, total, *[190] * 400]
    _, certificate = await scanned(source, concurrency=1)
    assert (certificate.verdict, certificate.reads < 30) == ("certified", True)


async def test_one_burst_at_the_head_costs_a_walk_or_two() -> None:
    """A hundred rows join at row 0 in the middle of a scan, once, and nothing moves after that: certified."""
    source = ListSource(range(100, 250), paging=PageNumbers(largest_page=40, default_page=40))

    async def grow() -> None:
        if len(source.asked) == 5:
            source.walks[0][:0] = range(100)

    source.before_answer = grow
    async with scan([(ListBackend(source), QUERY)], concurrency=1) as running:  # type: ignore[list-item]
        found = {row.device_id async for row in running}
    assert {f"d{row}" for row in range(100, 250)} <= found
    assert (running.certificate.verdict, running.certificate.reads < 50) == ("certified", True)


# --- plug-ins that fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["facts", "decode", "key", "keep"])
@pytest.mark.parametrize("certify", [True, False])
async def test_a_bug_in_a_source_ends_the_scan_as_it_is(what: str, certify: bool) -> None:
    """No error of the library: not swallowed, not wrapped, not collected."""
    source = ListSource(range(200), paging=PAGES)
    source.filtered_here = ("versions",)

    def broken(_of: Any) -> Any:
        raise ZeroDivisionError(what)

    setattr(source, what, broken)
    for on_error in ("raise", "collect"):
        with pytest.raises(ZeroDivisionError, match=what):
            await scanned(source, certify=certify, on_error=on_error)


@pytest.mark.parametrize("what", ["facts", "decode"])
async def test_a_page_that_is_none_is_the_walks_error(what: str) -> None:
    """What a source cannot read is raised with the operation, or collected; then the scan is uncertain."""
    source = ListSource(range(200), paging=PAGES)

    def unreadable(_raw: RawPage) -> Any:
        raise PayloadError("not a page")

    setattr(source, what, unreadable)
    with pytest.raises(PayloadError, match=r"^test devices\.search: not a page"):
        await scanned(source)
    found, certificate = await scanned(source, on_error="collect")
    assert (found, certificate.verdict) == ([], "uncertain")


@pytest.mark.parametrize("certify", [True, False])
@pytest.mark.parametrize("rows", [1, 200])
@pytest.mark.parametrize(
    "key",
    [
        lambda row: "",
        lambda row: None,
        lambda row: int(row.device_id[1:]),
        lambda row: [row.device_id],
    ],
)
async def test_keys_that_are_none_are_an_error(key: Any, rows: int, certify: bool) -> None:
    """An empty key, or one that is no text, says so; rows are not dropped as duplicates of each other."""
    source = ListSource(range(rows), paging=PAGES)
    source.key = key  # type: ignore[method-assign]
    with pytest.raises(PayloadError, match="key"):
        await scanned(source, certify=certify)


@pytest.mark.parametrize("rows", [2, 200])
async def test_one_key_for_all_rows_is_no_certificate(rows: int) -> None:
    """A source that cannot tell its rows apart: uncertain, with the reason."""
    source = ListSource(range(rows), paging=PAGES)
    source.key = lambda row: "same"  # type: ignore[method-assign]
    _, certificate = await scanned(source)
    assert certificate.verdict == "uncertain"
    assert "a row comes twice in one read, so the read proves nothing" in certificate.reasons
