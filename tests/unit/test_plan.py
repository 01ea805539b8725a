"""What a scan says before it begins: its plan, and that a run without drift takes the requests that it names."""

import random
from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError, ServerError
from otaclient.fleet.expected import walk_reads
from otaclient.fleet.plan import ProofOptions, TargetPlan, budget_error
from otaclient.fleet.scan import plan, scan
from otaclient.models import JobId
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery
from otaclient.reads import Markers, PageFacts, PageNumbers, Paging, RawPage
from otaclient_enos.plans import plan_devices, plan_tasks
from support.listing import ListBackend, ListSource, failing
from support.registered import RegisteredSource, rows_of, spread

ENOS = PageNumbers(largest_page=200, default_page=50)
IOTDA = Markers(largest_page=50, default_page=50, largest_offset=500)
QUERY = DeviceUpgradeQuery()


def scanning(*sources: ListSource, **options: Any) -> Any:
    """Return a scan of sources, each behind a backend with a label of its own."""
    targets: Any = [(ListBackend(source, label=f"b{n}"), QUERY) for n, source in enumerate(sources)]
    return scan(targets, **options)


def planned(source: ListSource, **options: Any) -> TargetPlan:
    """Return the plan for a source."""
    backend: Any = ListBackend(source, label="plant")
    return plan(backend, QUERY, **options)


# --- as many requests as it says -------------------------------------------------------------------------------------


def borders(page: int) -> st.SearchStrategy[int]:
    """Return totals around the borders of pages."""
    near = st.builds(lambda pages, more: max(0, pages * page + more), st.integers(0, 30), st.integers(-2, 2))
    return st.one_of(near, st.integers(0, 30 * page))


def with_totals(paging: Paging) -> st.SearchStrategy[tuple[Paging, list[int]]]:
    """Return a way of paging with the totals of some walks."""
    return st.tuples(st.just(paging), st.lists(borders(paging.largest_page), min_size=1, max_size=3))


@settings(deadline=None)
@given(
    paged=st.one_of(with_totals(ENOS), with_totals(IOTDA)),
    certify=st.booleans(),
    overlap=st.sampled_from([None, 2, 3, 7]),
    concurrency=st.sampled_from([1, 2, 11, 32]),
    told=st.booleans(),
)
async def test_a_run_without_drift_takes_the_requests_of_its_plan(
    paged: tuple[Paging, list[int]], certify: bool, overlap: int | None, concurrency: int, told: bool
) -> None:
    """Both ways of paging, with a proof or without, for any totals of any number of walks."""
    paging, totals = paged
    source = ListSource(*(range(10_000 * n, 10_000 * n + rows) for n, rows in enumerate(totals)), paging=paging)
    if isinstance(paging, PageNumbers) and not certify and not told:
        source.total = lambda rows: None  # plain page numbers take as many without a total
    options: Any = {"certify": certify, "overlap": overlap, "concurrency": concurrency}
    expected = planned(source, **options).expected_requests(totals)
    async with scanning(source, **options) as running:
        assert len([row async for row in running]) == sum(totals)
    assert len(source.asked) == running.certificate.requests == expected


@pytest.mark.parametrize("kind", ["uniform", "bursts"])
@pytest.mark.parametrize("certify", [True, False])
async def test_a_walk_that_is_split_takes_about_as_many(kind: str, certify: bool) -> None:
    """Equal ranges are assumed and counts come on top; nothing of that is much."""
    rows, paging = rows_of(spread(kind, 20_000, random.Random(1))), IOTDA
    source = RegisteredSource(rows, paging=paging)
    async with scanning(source, concurrency=32, certify=certify) as running:
        assert len([row async for row in running]) == 20_000
    (split_plan,) = running.plans
    counts = sum(window.size == 1 for _, window in source.asked)
    assert split_plan.split is not None
    assert (split_plan.ranges(20_000), split_plan.is_exact(20_000)) == (4, False)
    assert 0 < counts <= split_plan.split.most_counts(20_000)
    assert abs(len(source.asked) - counts - split_plan.expected_requests([20_000])) <= 8


@pytest.mark.parametrize("paging", [ENOS, IOTDA])
@pytest.mark.parametrize("certify", [True, False])
def test_any_total_has_a_price_at_once(paging: Paging, certify: bool) -> None:
    """What a vendor claims may be absurd; the price grows with it, and a negative one is that of nothing."""
    prices = [walk_reads(rows, paging, certify=certify) for rows in (-7, 0, 999_999, 1_000_000, 1_000_001, 10**15)]
    assert prices == sorted(prices)
    assert prices[0] == prices[1] == (2 if certify else 1)
    assert prices[-1] == pytest.approx(prices[3] * 10**9, rel=0.01)


def test_a_plan_of_pages_that_are_too_small_for_a_proof_comes_to_an_end() -> None:
    """A scan refuses them; a plan made by hand may be printed all the same."""
    small = ListSource([1], paging=PageNumbers(largest_page=10, default_page=10))
    assert "1,000 rows" in str(TargetPlan.of("plant", small))
    with pytest.raises(InvalidQueryError, match="cannot overlap"):
        planned(small)


# --- what it says ----------------------------------------------------------------------------------------------------


def test_a_plan_of_page_numbers_as_text() -> None:
    """Who filters what, how pages lie, what they cost, and what they would cost without a proof."""
    source = ListSource([1], [2], paging=ENOS)
    source.pushed_down, source.filtered_here = "productKey in ('a')", ("versions",)
    assert str(planned(source)) == (
        "plant devices.search: 2 walks (list 0, list 1)\n"
        "    the vendor filters productKey in ('a'); filtered here: versions\n"
        "    windows: pages of 200 rows that overlap by 4 or more; the first alone, then up to 16 at once; "
        "in the order of the vendor's pages\n"
        "    requests: 8 for 1,000 rows, 58 for 10,000 rows, 558 for 100,000 rows in a walk "
        "(without the proof 6, 51, 501)"
    )


def test_a_plan_of_markers_and_ranges_as_text() -> None:
    """Offsets below markers, and ranges of registration time for more reads at once than these allow."""
    source = RegisteredSource([], paging=IOTDA)
    assert str(planned(source, concurrency=32)) == (
        "plant devices.search: 1 walk\n"
        "    the vendor filters nothing; filtered here: nothing\n"
        "    windows: pages of 50 rows that overlap by 2 or more, 11 below each marker, at offsets 0 to 480; "
        "the first alone, then up to 11 at once; newest record first\n"
        "    ranges: a walk of 10,000 rows or more is split by registration time into up to 6, after some small "
        "requests that count where; they overlap by 2 s, and each is walked for itself\n"
        "    requests: 24 for 1,000 rows, about 215 for 10,000 rows, about 2,095 for 100,000 rows in a walk "
        "(without the proof 21, 201, 2,001)"
    )
    plain = planned(source, certify=False, concurrency=4)
    assert (plain.overlap, plain.offsets, plain.reads_at_once, plain.split) == (0, tuple(range(0, 501, 50)), 4, None)
    assert "pages of 50 rows, 11 below each marker, at offsets 0 to 500; the first alone, then up to 4" in str(plain)
    assert str(plain).endswith("21 for 1,000 rows, 201 for 10,000 rows, 2,001 for 100,000 rows in a walk")


def test_a_plan_is_a_value() -> None:
    """What a programmer wants of it are fields; it is made without a request, and its options are those of a scan."""
    source = ListSource([1], paging=ENOS)
    made = planned(source, overlap=7, concurrency=3, max_requests=5)
    assert (made.backend, made.operation, made.partitions, made.page_size) == (
        "plant",
        source.operation,
        ("list 0",),
        200,
    )
    assert (made.page_size, made.overlap, made.reads_at_once, made.offsets, made.ranges(10**6)) == (200, 7, 3, (), 1)
    assert made == planned(source, overlap=7, concurrency=3)
    assert source.asked == []
    with pytest.raises(InvalidQueryError, match="concurrency is 0"):
        planned(source, concurrency=0)
    with pytest.raises(InvalidQueryError, match="got 2 totals, but the plan has 1 walk"):
        made.expected_requests([1, 2])


def test_task_queries_have_plans_too() -> None:
    """As far as they can be scanned."""
    backend: Any = ListBackend(ListSource([1], paging=ENOS), label="plant")
    assert plan(backend, DeviceTaskQuery(job_id=JobId("j"))).expected_requests([5]) == 2


def test_enos_plans_say_what_is_pushed_down() -> None:
    """Expressions as they are sent; long lists are split by what cannot change, and counted."""
    short = plan_devices(DeviceUpgradeQuery(products=["a", "b"], versions=["1"], upgrading=False))
    assert short.pushed_down == "productKey in ('a', 'b') and firmwareVersion = '1' and isUpgrading = false"
    long = plan_devices(DeviceUpgradeQuery(products=[f"p{n}" for n in range(900)], versions=["1"]))
    assert len(long.partitions) > 1
    assert long.pushed_down == "productKey in (900 values) and firmwareVersion = '1'"
    assert long.partitions[0].label.startswith("products 1/")


@pytest.mark.parametrize("values", [1, 5, 5000])
def test_enos_walks_are_never_split_by_what_changes(values: int) -> None:
    """Versions and states of devices and tasks stay whole, however many are asked for: one walk, or filtered here."""
    many = tuple(str(n) for n in range(values))
    devices = plan_devices(DeviceUpgradeQuery(versions=many, upgrading=True))
    tasks = plan_tasks(DeviceTaskQuery(job_id=JobId("j"), from_versions=many, to_versions=many))
    for made in (devices, tasks):
        assert len(made.partitions) == 1
        assert bool(made.filters) == (values == 5000)


# --- explain() -------------------------------------------------------------------------------------------------------


async def test_explain_names_every_target() -> None:
    """Without a request: a line for the whole, some lines for each target."""
    one, two = ListSource([1], paging=ENOS), ListSource([1], [2], paging=IOTDA)
    async with scanning(one, two, concurrency=3) as running:
        words = await running.explain()
    lines = words.splitlines()
    assert lines[0] == "3 walks over 2 targets, at most 3 pages at once, proved to miss nothing"
    assert [line for line in lines if line.startswith("- ")] == [
        "- b0 devices.search: 1 walk (list 0)",
        "- b1 devices.search: 2 walks (list 0, list 1)",
    ]
    assert one.asked == two.asked == []


async def test_explain_can_ask_how_many_rows_there_are() -> None:
    """One request for each walk, with the smallest page; then the number of requests is known, and holds."""
    one, two = ListSource(range(617), paging=ENOS), ListSource(range(1000, 1090), range(2000, 2100), paging=IOTDA)
    async with scanning(one, two) as running:
        words = await running.explain(probe=True)
        assert [window.size for _, window in [*one.asked, *two.asked]] == [1, 1, 1]
        one.asked.clear()
        two.asked.clear()
        _ = [row async for row in running]
    assert "    6 requests for 617 rows (without the proof 4)" in words.splitlines()
    assert "    10 requests for 190 rows (without the proof 6)" in words.splitlines()
    assert words.endswith("in all: 16 requests for 807 rows (without the proof 10)")
    assert (len(one.asked), len(two.asked)) == (6, 10)


@pytest.mark.parametrize("total", [None, -3])
async def test_a_vendor_that_tells_no_total_is_said_so(total: int | None) -> None:
    """Nothing is guessed: of some walks it is not known what they take, or of all."""
    one, two = ListSource(range(30), paging=ENOS), ListSource(range(30), paging=IOTDA)
    one.total = lambda rows: total
    async with scanning(one, certify=False) as running:
        words = await running.explain(probe=True)
    assert words.endswith("in all: not known, for no total is told")
    async with scanning(one, two, certify=False) as running:
        words = await running.explain(probe=True)
    assert words.endswith("in all: 2 requests for 30 rows, and more for 1 walk without a total")


async def test_a_large_walk_is_told_about() -> None:
    """Where the walk will be split, the number is not exact, and says so."""
    source = RegisteredSource(rows_of(range(1, 20_001)), paging=IOTDA)
    async with scanning(source, concurrency=32) as running:
        words = await running.explain(probe=True)
    assert "in all: about 429 requests for 20,000 rows (without the proof 401)" in words


async def test_a_probe_that_fails_says_whose_it_was() -> None:
    """The error is the vendor's, with the backend's name."""
    source = ListSource([1], [2], paging=ENOS)
    source.fail = failing(ServerError("down"), label="list 1")
    async with scanning(source) as running:
        with pytest.raises(ServerError, match=r"b0 devices\.search: down"):
            await running.explain(probe=True)


async def test_what_is_no_page_fails_the_probe() -> None:
    """A total that is not a number is an error, as when it is read."""

    class Odd(ListSource):
        def facts(self, raw: RawPage, /) -> PageFacts:
            raise ServerError("total is 'many'")

    async with scanning(Odd([1], paging=ENOS)) as running:
        with pytest.raises(ServerError, match=r"b0 devices\.search: total is 'many'"):
            await running.explain(probe=True)


# --- budgets ---------------------------------------------------------------------------------------------------------


def test_a_budget_is_weighed_as_soon_as_totals_are_known() -> None:
    """Walks without a total yet count as empty; an error names rows, requests, the limit and the remedy."""
    made = planned(ListSource([1], [2], paging=ENOS))
    assert budget_error([(made, None), (made, None)], 4) is None
    assert budget_error([(made, 100), (made, None)], 4) is None
    error = budget_error([(made, None), (made, None)], 3)
    assert str(error).startswith("the scan would take 4 requests or more for the 0 rows")
    error = budget_error([(made, 100_000), (made, None)], 500)
    assert isinstance(error, InvalidQueryError)
    assert str(error) == (
        "the scan would take 560 requests or more for the 100,000 rows that the vendor counts, but max_requests=500: "
        "raise it, or narrow the query"
    )
    assert budget_error([(made, -5), (made, 0)], 4) is None
    assert budget_error([(made, 10**15), (made, 0)], 10**6) is not None


def test_options_of_a_plan_are_those_of_the_proof() -> None:
    """A plan made for the same source with other options has another price."""
    made = planned(ListSource([1], paging=ENOS))
    plain = attrs.evolve(made, options=ProofOptions(certify=False))
    assert (made.walk_requests(100_000), plain.walk_requests(100_000)) == (558, 501)


def test_own_ends_are_no_hindrance() -> None:
    """A query for a range of registration time has a plan like any other."""
    own = (datetime(2024, 1, 1, tzinfo=UTC), None)
    assert planned(RegisteredSource([], own=own, paging=IOTDA), concurrency=32).split is not None
