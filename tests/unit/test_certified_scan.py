"""The certified scan over listings in memory, through the public interface."""

from contextlib import suppress
from typing import Any

import pytest

from otaclient.errors import InvalidQueryError, ServerError
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.plan import ProofOptions, expected_reads
from otaclient.fleet.scan import scan
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Markers, PageNumbers, Paging, Window
from support.listing import PAGE_NUMBERS, ListBackend, ListSource

PAGES = PageNumbers(largest_page=50, default_page=20)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)


def scanning(*sources: ListSource, **options: Any) -> Any:
    """Return a certified scan of sources, each behind a backend with a label of its own."""
    targets: Any = [(ListBackend(source, label=f"b{n}"), DeviceUpgradeQuery()) for n, source in enumerate(sources)]
    return scan(targets, **options)


@pytest.mark.parametrize("paging", [PAGES, MARKERS])
@pytest.mark.parametrize("rows", [0, 1, 19, 20, 21, 49, 50, 51, 100, 333])
@pytest.mark.parametrize("concurrency", [1, 8])
async def test_a_quiet_listing_is_certified_at_the_planned_price(paging: Paging, rows: int, concurrency: int) -> None:
    """Every row once, certified, with as many requests as the plan says."""
    source = ListSource(range(rows), paging=paging)
    async with scanning(source, concurrency=concurrency) as running:
        found = [row.device_id async for row in running]
    assert sorted(found) == sorted(f"d{number}" for number in range(rows))
    certificate = running.certificate
    assert (certificate.verdict, certificate.reasons, certificate.repairs) == (Verdict.CERTIFIED, (), 0)
    assert certificate.requests == len(source.asked) == expected_reads(rows, paging, ProofOptions())


@pytest.mark.parametrize("dedupe", ["exact", "neighbours"])
async def test_rows_that_leave_while_one_reads_are_repaired(dedupe: Any) -> None:
    """Rows move up while pages are read: the gaps are closed, and whoever was there throughout is seen."""
    rows = list(range(2000))
    source = ListSource(rows, paging=PAGES)

    async def leave() -> None:
        del source.walks[0][10:22]

    source.before_answer = leave
    async with scanning(source, dedupe=dedupe) as running:
        found = {row.device_id async for row in running}
    assert {f"d{number}" for number in source.walks[0]} <= found
    assert running.certificate.verdict is Verdict.CERTIFIED
    assert running.certificate.repairs > 0


async def test_an_order_that_changes_is_never_certified() -> None:
    """A listing that is turned round between two reads contradicts the assumption."""
    source = ListSource(range(300), paging=PAGES)

    async def turn() -> None:
        source.walks[0].reverse()

    source.before_answer = turn
    async with scanning(source, concurrency=1, max_requests=5000) as running:
        with suppress(InvalidQueryError):
            _ = [row async for row in running]
    assert running.certificate.verdict is Verdict.UNCERTAIN


async def test_a_total_that_lies_is_uncertain_and_ends() -> None:
    """An end that no answer agrees with is read, and said."""
    source = ListSource(range(120), paging=PAGES)
    source.total = lambda rows: rows + 1000
    async with scanning(source) as running:
        assert len([row async for row in running]) == 120
    assert running.certificate.verdict is Verdict.UNCERTAIN
    assert "does not agree with the vendor's total" in running.certificate.reasons[0]


async def test_a_failed_walk_does_not_stop_the_others() -> None:
    """What was read of a failed walk still counts; what waits behind the failure is let go."""

    def fail_late(label: str, window: Window) -> Exception | None:
        return ServerError("down") if label == "list 0" and getattr(window, "number", 0) == 3 else None

    one = ListSource(range(500), range(500, 900), paging=PAGES)
    one.fail = fail_late
    async with scanning(one, on_error="collect", concurrency=4) as running:
        found = {row.device_id async for row in running}
    assert {f"d{number}" for number in range(500, 900)} <= found
    assert running.certificate.verdict is Verdict.UNCERTAIN
    assert len(running.errors) == 1


async def test_repairs_beyond_their_budget_are_given_up_and_said() -> None:
    """Rows that move faster than the budget allows to follow: the scan ends, and says why it is no proof."""
    source = ListSource(range(3000), paging=PAGES)
    calls = 0

    async def leave() -> None:
        nonlocal calls
        calls += 1
        if calls % 7 == 0:
            del source.walks[0][:40]

    source.before_answer = leave
    async with scanning(source, concurrency=8, repair_budget=0.0) as running:
        found = {row.device_id async for row in running}
    assert len(found) > 2000
    assert running.certificate.verdict is Verdict.UNCERTAIN
    assert any("repair budget" in reason for reason in running.certificate.reasons)


@pytest.mark.parametrize("overlap", [50, 10**6])
def test_an_overlap_as_large_as_a_page_is_refused_at_once(overlap: int) -> None:
    """Nothing is sent for a proof that cannot get on; nor for pages that are too small."""
    source = ListSource(range(10), paging=PAGES)
    with pytest.raises(InvalidQueryError, match="cannot overlap"):
        scanning(source, overlap=overlap)
    with pytest.raises(InvalidQueryError, match="certify=False"):
        scanning(ListSource(range(10), paging=PAGE_NUMBERS))
    assert source.asked == []
