"""The bulk query over listings in memory."""

import asyncio
import json
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import DeadlineExceededError, InvalidQueryError, PayloadError, ServerError
from otaclient.events import DeviceChanged, Event, PageRead
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.scan import scan
from otaclient.fleet.scan_options import ScanProgress
from otaclient.models import DeviceUpgrade
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Paging, RawPage, Rows
from support.listing import MARKERS, PAGE_NUMBERS, ListBackend, ListSource, device, failing

QUERY = DeviceUpgradeQuery()


def scanning(*sources: ListSource, **options: Any) -> Any:
    """Return a scan of sources, each behind a backend with a label of its own."""
    targets: Any = [(ListBackend(source, label=f"b{n}"), QUERY) for n, source in enumerate(sources)]
    return scan(targets, **{"certify": False, **options})


@given(
    walks=st.lists(st.lists(st.integers(1, 300), unique=True, max_size=60), min_size=1, max_size=4),
    paging=st.sampled_from([PAGE_NUMBERS, MARKERS]),
    concurrency=st.integers(1, 20),
    dedupe=st.sampled_from(["exact", "neighbours"]),
)
async def test_every_device_once(walks: list[list[int]], paging: Paging, concurrency: int, dedupe: str) -> None:
    """Whatever the walks, the paging and the concurrency: each device of each backend once, and counts that add up."""
    walks = [[row + 1000 * n for row in walk] for n, walk in enumerate(walks)]
    one, two = ListSource(*walks, paging=paging), ListSource(walks[0], paging=PAGE_NUMBERS)
    async with scanning(one, two, concurrency=concurrency, dedupe=dedupe) as running:
        found = [row.device_id async for row in running]
    expected = [f"d{row}" for walk in [*walks, walks[0]] for row in walk]
    assert sorted(found) == sorted(expected)
    certificate = running.certificate
    assert (certificate.devices, certificate.duplicates) == (len(expected), 0)
    assert certificate.reads == certificate.requests == len(one.asked) + len(two.asked)
    assert (certificate.verdict, certificate.retries, certificate.repairs) == (Verdict.UNPROVED, 0, 0)
    assert [part.devices for part in certificate.parts] == [sum(map(len, walks)), len(walks[0])]
    assert all(part.finished for part in certificate.parts)


async def test_pages_in_flight_and_waiting_are_bounded() -> None:
    """A consumer that does not take pages stops the reading, after as many as the concurrency."""
    source = ListSource(range(400))
    async with scanning(source, concurrency=5) as running:
        pages = running.pages()
        await anext(pages)
        await anyio.wait_all_tasks_blocked()
        assert len(source.asked) <= 1 + 5
        assert len([page async for page in pages]) == 39


async def test_requests_overlap() -> None:
    """As many requests as the concurrency run at the same time."""
    source = ListSource(range(1000))
    now, most = 0, 0

    async def slow() -> None:
        nonlocal now, most
        now += 1
        most = max(most, now)
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        now -= 1

    source.before_answer = slow
    async with scanning(source, concurrency=8) as running:
        assert len([row async for row in running]) == 1000
    assert most == 8


async def test_small_targets_are_not_starved() -> None:
    """A small walk ends long before a large one that was named first."""
    large, small = ListSource(range(1000)), ListSource(range(20))
    order: list[str] = []
    async with scanning(large, small, concurrency=2) as running:
        async for page in running.pages():
            order.append("small" if len(page) and page[0].device_id in {"d0", "d10"} else "large")
            if len(small.asked) == 3:
                break
    assert len(large.asked) < 10


@pytest.mark.parametrize("how", ["break", "error", "cancel"])
async def test_leaving_early_ends_the_reading(how: str) -> None:
    """A break, an error in the consumer and a cancellation end all reading; the certificate says so."""
    source = ListSource(range(1000))
    running = scanning(source)
    with anyio.CancelScope() as scope:
        try:
            async with running:
                async for _ in running:
                    if how == "break":
                        break
                    if how == "error":
                        raise KeyError("consumer")
                    scope.cancel()
                    await anyio.lowlevel.checkpoint()
        except KeyError:
            assert how == "error"
    asked = len(source.asked)
    await anyio.wait_all_tasks_blocked()
    assert len(source.asked) == asked < 100
    reason = "interrupted" if how == "cancel" else "not finished"
    assert (running.certificate.verdict, running.certificate.reasons) == (Verdict.UNCERTAIN, (reason,))


async def test_a_certificate_says_at_once_that_its_scan_is_being_cancelled() -> None:
    """Whoever keeps what there is while the cancellation passes keeps the right certificate with it; so does Ctrl-C."""
    running = scanning(ListSource(range(1000)))
    reasons: list[tuple[str, ...]] = []

    async def consume() -> None:
        async with running:
            try:
                async for _ in running:
                    await anyio.sleep_forever()
            finally:
                reasons.append(running.certificate.reasons)

    task = asyncio.create_task(consume())
    await anyio.wait_all_tasks_blocked()
    assert running.certificate.reasons == ("not finished",)
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), reasons, running.certificate.reasons) == (True, [("interrupted",)], ("interrupted",))
    running = scanning(ListSource(range(10)))
    with pytest.raises(KeyboardInterrupt):
        async with running:
            raise KeyboardInterrupt
    assert running.certificate.reasons == ("interrupted",)


async def test_what_cancelled_a_scan_goes_on_as_it_is() -> None:
    """With the notes that somebody added on its way."""
    running = scanning(ListSource(range(1000)))
    notes: list[str] = []

    async def consume() -> None:
        try:
            async with running:
                try:
                    async for _ in running:
                        await anyio.sleep_forever()
                except asyncio.CancelledError as error:
                    error.add_note("kept")
                    raise
        except asyncio.CancelledError as error:
            notes.extend(error.__notes__)
            raise

    task = asyncio.create_task(consume())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    await asyncio.wait([task])
    assert (task.cancelled(), notes) == (True, ["kept"])


async def test_the_first_error_is_raised_as_it_is() -> None:
    """One error, not a group, with the backend and operation; the rest of the scan ends."""
    one, two = ListSource(range(1000)), ListSource(range(50), range(50))
    two.fail = failing(ServerError("down", attempts=3), label="list 1")
    async with scanning(one, two) as running:
        with pytest.raises(ServerError, match=r"b1 devices\.search: down"):
            async for _ in running:
                pass
    assert running.certificate.verdict is Verdict.UNCERTAIN


async def test_errors_can_be_collected() -> None:
    """A walk that fails does not stop the others; the scan is then uncertain, and says why."""
    one, two = ListSource(range(30)), ListSource(range(50), range(100, 107))
    one.fail = failing(ServerError("down", attempts=3), label="list 0")
    two.bad = {3}
    async with scanning(one, two, on_error="collect") as running:
        found = [row.device_id async for row in running]
    assert len(found) == 49 + 7
    certificate = running.certificate
    assert (certificate.verdict, certificate.bad_rows) == (Verdict.UNCERTAIN, 1)
    assert "2 errors were collected" in certificate.reasons[0]
    assert [(error.backend, error.partition) for error in running.errors] == [("b0", "list 0"), ("b1", "list 0")]
    assert [part.finished for part in certificate.parts] == [False, True]
    assert certificate.requests == certificate.reads + 3


async def test_a_walk_that_fails_twice_is_one_error() -> None:
    """Pages of one walk that were under way together fail once."""
    source = ListSource(range(100))
    source.fail = lambda _, window: ServerError("down") if window.number > 1 else None  # type: ignore[union-attr]
    source.before_answer = anyio.lowlevel.checkpoint
    async with scanning(source, on_error="collect") as running:
        assert len([row async for row in running]) == 10
    assert len(running.errors) == 1


async def test_bad_rows_are_raised_by_default() -> None:
    """A record that is not as documented is an error unless errors are collected."""
    source = ListSource(range(30))
    source.bad = {17}
    async with scanning(source) as running:
        with pytest.raises(PayloadError, match=r"b0 devices\.search: bad row"):
            _ = [row async for row in running]


async def test_a_bug_in_a_backend_is_raised_as_it_is() -> None:
    """What is no error of the library is not swallowed and not wrapped."""
    source = ListSource(range(30))
    source.fail = lambda _label, _window: ZeroDivisionError("bug")
    async with scanning(source, on_error="collect") as running:
        with pytest.raises(ZeroDivisionError, match="bug"):
            _ = [row async for row in running]


async def test_duplicates_are_counted_and_changes_reported() -> None:
    """A device seen again is not yielded again; one that differs is an event."""

    class Changing(ListSource):
        def decode(self, raw: RawPage, /) -> Rows[DeviceUpgrade]:
            version = raw.partition.label if raw.partition.filters < 2 else "list 0"
            return Rows(good=[device(row.device_id[1:], firmware_version=version) for row in super().decode(raw).good])

    events: list[Event] = []
    source = Changing([1, 2], [2, 3], [1])
    targets: Any = [(ListBackend(source, on_event=events.append), QUERY)]
    async with scan(targets, concurrency=1, certify=False) as running:
        assert sorted([row.device_id async for row in running]) == ["d1", "d2", "d3"]
    certificate = running.certificate
    assert (certificate.devices, certificate.duplicates, certificate.changed) == (3, 2, 1)
    assert [event.device_id for event in events if isinstance(event, DeviceChanged)] == ["d2"]
    assert sum(event.rows for event in events if isinstance(event, PageRead)) == 3


async def test_filters_of_ours_are_applied_and_counted() -> None:
    """Rows that the vendor could not filter out are left out here, and counted."""
    source = ListSource(range(30))
    source.keep_if, source.filtered_here = lambda row: row.device_id.endswith("7"), ("versions",)
    async with scanning(source) as running:
        assert sorted([row.device_id async for row in running]) == ["d17", "d27", "d7"]
    assert running.certificate.filtered == 27


async def test_progress_is_reported_after_every_page() -> None:
    """The last report has everything; the expected number comes from the vendors' totals."""
    seen: list[ScanProgress] = []
    async with scanning(ListSource(range(25)), ListSource(range(5)), on_progress=seen.append) as running:
        _ = [row async for row in running]
    assert seen[-1] == ScanProgress(devices=30, expected=30, reads=4, walks_finished=2, walks=2)


async def test_totals_that_nobody_tells_are_not_guessed() -> None:
    """Without a total from the vendor the expected number is unknown."""
    source, seen = ListSource(range(5)), list[ScanProgress]()
    source.total = lambda _rows: None
    async with scanning(source, on_progress=seen.append) as running:
        _ = [row async for row in running]
    assert seen[-1].expected is None


async def test_max_requests_ends_the_scan() -> None:
    """A fleet larger than the budget is refused after the one request that tells the total, or after that many."""
    source = ListSource(range(1000))
    async with scanning(source, max_requests=5) as running:
        with pytest.raises(
            InvalidQueryError, match=r"101 requests or more for the 1,000 rows .* max_requests=5: raise"
        ):
            _ = [row async for row in running]
    assert len(source.asked) == 1
    assert running.certificate.verdict is Verdict.UNCERTAIN
    silent = ListSource(range(1000))
    silent.total = lambda rows: None
    async with scanning(silent, max_requests=5) as running:
        with pytest.raises(InvalidQueryError, match="more requests than max_requests=5"):
            _ = [row async for row in running]
    assert len(silent.asked) == 5


async def test_the_deadline_ends_the_scan() -> None:
    """A scan that takes too long ends with an error, while it waits and while it consumes."""
    source = ListSource(range(1000))
    source.before_answer = anyio.sleep_forever
    async with scanning(source, timeout_seconds=0.01) as running:
        with pytest.raises(DeadlineExceededError, match="timeout_seconds"):
            _ = [row async for row in running]


async def test_explain_sends_nothing() -> None:
    """The plan can be read without a request."""
    source = ListSource(range(3), range(4))
    async with scanning(source, concurrency=3) as running:
        words = await running.explain()
    assert "2 walks over 1 target, at most 3 pages at once, without a proof" in words
    assert "b0 devices.search: 2 walks (list 0, list 1)" in words
    assert source.asked == []


async def test_the_certificate_prints_and_serialises() -> None:
    """Short text for people, JSON for files; before the start it says not finished."""
    running = scanning(ListSource(range(25)), certify=False)
    assert running.certificate.seconds == 0
    async with running:
        _ = [row async for row in running]
    text = str(running.certificate)
    assert text.startswith("unproved: 25 devices in ")
    assert "the caller asked for no proof" in text
    assert "3 pages, 3 requests (0 retries, 0 throttles, 0 repairs)" in text
    plain = json.loads(running.certificate.to_json())
    assert (plain["verdict"], plain["devices"], plain["parts"][0]["reads"]) == ("unproved", 25, 3)


async def test_a_scan_is_iterated_once_and_inside_its_block() -> None:
    """Using a scan the wrong way says how to use it."""
    running = scanning(ListSource(range(3)))
    with pytest.raises(InvalidQueryError, match="inside its own block"):
        _ = [row async for row in running]
    async with running:
        _ = [row async for row in running]
        with pytest.raises(InvalidQueryError, match="iterated once"):
            _ = [row async for row in running]


@pytest.mark.parametrize(
    "option",
    [
        {"concurrency": 0}, {"concurrency": -3}, {"overlap": 0}, {"dedupe": "none"}, {"repair_budget": -0.1},
        {"max_requests": 0}, {"timeout_seconds": 0}, {"on_error": "ignore"},
    ],
)  # fmt: skip
def test_wrong_options_are_refused_at_once(option: dict[str, Any]) -> None:
    """Each option that cannot be meant is named, with its rule."""
    with pytest.raises(InvalidQueryError, match=f"{next(iter(option))} is "):
        scanning(ListSource([1]), **option)


def test_a_scan_needs_a_target() -> None:
    """An empty list of targets is refused: it would look like an empty fleet."""
    with pytest.raises(InvalidQueryError, match="no targets"):
        scan([])
