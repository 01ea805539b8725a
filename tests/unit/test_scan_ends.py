"""Scans that are left in the middle: each ends at once, and leaves nothing behind."""

import asyncio
import gc
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import anyio
import anyio.lowlevel
import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from otaclient.emulator import Fleet
from otaclient.errors import DeadlineExceededError, InvalidQueryError, OtaError
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.scan import scan
from otaclient.fleet.scan_options import ScanProgress
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Markers, PageNumbers
from otaclient.testing import HandClock
from support.listing import ListBackend, ListSource
from support.live import Live, live
from support.registered import RegisteredSource, rows_of, spread

PAGES = PageNumbers(largest_page=50, default_page=50)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
QUERY = DeviceUpgradeQuery()
ROWS = 400

# Until whoever was told to end has ended: turns of the event loop, not seconds.
_TURNS = 40


class ConsumerError(Exception):
    """What the consumer's own code raises."""


async def turns(count: int = _TURNS) -> None:
    """Let the event loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    """Fail when a task is left, when something was never awaited or retrieved, or when garbage complains."""
    loop = asyncio.get_running_loop()
    tasks, complaints = asyncio.all_tasks(), list[Any]()
    loop.set_exception_handler(lambda _loop, context: complaints.append(context))
    hook, sys.unraisablehook = sys.unraisablehook, complaints.append
    gc.freeze()  # what was there before need not be looked at again
    try:
        yield
        await turns()
        gc.collect()
        await turns()
        # The service lives in this event loop, too: it has a task for each idle connection.
        left = {task for task in asyncio.all_tasks() - tasks if "RequestHandler" not in repr(task.get_coro())}
    finally:
        loop.set_exception_handler(None)
        sys.unraisablehook = hook
        gc.unfreeze()
    assert not left
    assert not complaints


@attrs.define(kw_only=True)
class Leaving:
    """How and when a scan is left."""

    how: str
    after: int
    """After so many requests, or rows where the consumer leaves."""
    pages: bool = False
    """Whether the consumer takes pages."""
    asked_at_end: int | None = None

    async def consume(self, running: Any, clock: HandClock) -> None:
        """Take what comes, until it is time; raises what leaving raises."""
        running._options = attrs.evolve(running._options, clock=clock, timeout_seconds=50.0)
        async with running:
            taken = 0
            rows = running.pages() if self.pages else running
            async for _ in rows:
                taken += 1
                if taken >= self.after and self.how == "break":
                    break
                if taken >= self.after and self.how == "error":
                    raise ConsumerError

    def on_request(self, source: Any, clock: HandClock, rng: random.Random, cancel: Callable[[], Any]) -> None:
        """Let the nth request be the last: whoever cancels does so now, or the time is over."""

        async def answer() -> None:
            if self.asked_at_end is None and len(source.asked) >= self.after:
                if self.how in {"task", "scope"}:
                    self.asked_at_end = len(source.asked)
                    cancel()
                if self.how == "deadline":
                    clock.seconds += 100
            for _ in range(rng.randrange(1, 6)):
                await anyio.lowlevel.checkpoint()

        source.before_answer = answer


def source_of(kind: str, rng: random.Random) -> ListSource:
    """Return a listing by pages, by markers, or in ranges."""
    if kind == "ranges":
        return RegisteredSource(rows_of(spread("uniform", ROWS, rng)))
    return ListSource(range(ROWS), range(1000, 1100), paging=PAGES if kind == "pages" else MARKERS)


async def leave(leaving: Leaving, kind: str, *, concurrency: int, certify: bool, seed: int) -> None:
    """Leave a scan; check that it ended at once, and that the same backend can be scanned again."""
    rng, clock = random.Random(seed), HandClock()
    source = source_of(kind, rng)
    backend: Any = ListBackend(source)
    scope = anyio.CancelScope()
    running: Any = scan([(backend, QUERY)], concurrency=concurrency, certify=certify)
    async with nothing_left():
        if leaving.how == "scope":
            leaving.on_request(source, clock, rng, scope.cancel)
            with scope:
                await leaving.consume(running, clock)
            assert scope.cancelled_caught == (leaving.asked_at_end is not None)
        else:
            task = asyncio.create_task(leaving.consume(running, clock))
            leaving.on_request(source, clock, rng, task.cancel)
            with suppress(ConsumerError, DeadlineExceededError, asyncio.CancelledError):
                await task
        asked = len(source.asked)
        await turns()
        assert len(source.asked) == asked
        if leaving.asked_at_end is not None:
            # Whoever was about to ask in this very turn of the loop may still do so.
            assert asked <= leaving.asked_at_end + concurrency
        del running._reader  # so that nothing keeps the pages alive for longer than a caller would
    running._reader = None
    _check_end(running.certificate)
    source.before_answer = None
    async with nothing_left():
        async with scan([(backend, QUERY)], concurrency=concurrency, certify=certify) as again:
            found = [row.device_id async for row in again]
    assert len(found) == len(set(found)) == (ROWS if kind == "ranges" else ROWS + 100)
    assert again.certificate.verdict is (Verdict.CERTIFIED if certify else Verdict.UNPROVED)


def _check_end(certificate: Any) -> None:
    assert certificate.verdict is Verdict.UNCERTAIN
    assert certificate.reasons in {("not finished",), ("interrupted",)}
    assert not any(part.finished for part in certificate.parts)


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(
    how=st.sampled_from(["break", "error", "task", "scope", "deadline"]),
    after=st.integers(1, 12),
    kind=st.sampled_from(["pages", "markers", "ranges"]),
    pages=st.booleans(),
    concurrency=st.sampled_from([1, 2, 7, 16]),
    certify=st.booleans(),
    seed=st.integers(0, 2**16),
)
async def test_wherever_a_scan_is_left_nothing_is_left(
    how: str, after: int, kind: str, pages: bool, concurrency: int, certify: bool, seed: int
) -> None:
    """Breaks, errors of the consumer, cancellations and deadlines, at any point, whatever the paging."""
    after = min(after, 5) if pages else after
    await leave(Leaving(how=how, after=after, pages=pages), kind, concurrency=concurrency, certify=certify, seed=seed)


@pytest.mark.parametrize("how", ["error", "deadline", "task", "scope"])
async def test_leaving_raises_what_it_was_left_with(how: str) -> None:
    """The consumer's own error, the cancellation and the deadline come out as they are, and alone."""
    clock, source = HandClock(), ListSource(range(ROWS), paging=PAGES)
    running: Any = scan([(ListBackend(source), QUERY)])  # type: ignore[list-item]
    leaving = Leaving(how=how, after=3)
    raised = {"error": ConsumerError, "deadline": DeadlineExceededError}.get(how, asyncio.CancelledError)
    scope = anyio.CancelScope()

    async def consume() -> None:
        with scope:
            await leaving.consume(running, clock)
        raise asyncio.CancelledError  # the scope caught its own

    task = asyncio.create_task(consume())
    leaving.on_request(source, clock, random.Random(1), scope.cancel if how == "scope" else task.cancel)
    with pytest.raises(raised) as caught:
        await task
    assert type(caught.value) is raised


async def test_a_deadline_ends_a_scan_that_waits() -> None:
    """Answers that never come do not keep it: the deadline passes while everybody waits."""
    source = ListSource(range(ROWS), paging=PAGES)

    async def hang() -> None:
        if len(source.asked) > 3:
            await anyio.sleep_forever()

    source.before_answer = hang
    async with nothing_left():
        async with scan([(ListBackend(source), QUERY)], timeout_seconds=0.05) as running:  # type: ignore[list-item]
            with pytest.raises(DeadlineExceededError, match=r"the scan did not end within its timeout_seconds"):
                async for _ in running:
                    pass
    _check_end(running.certificate)


@pytest.mark.parametrize("at", ["before", "explained", "first"])
async def test_a_scan_that_is_hardly_begun_can_be_left(at: str) -> None:
    """Entered and left, explained and left, or left before the first answer: nothing is sent, or nothing more."""
    source = ListSource(range(ROWS), paging=PAGES)
    async with nothing_left():
        async with scan([(ListBackend(source), QUERY)]) as running:  # type: ignore[list-item]
            if at == "explained":
                await running.explain()
            if at == "first":
                async with aclosing(running.pages()) as pages:  # type: ignore[type-var]
                    waiting = asyncio.ensure_future(anext(pages))
                    await asyncio.sleep(0)
                    waiting.cancel()
                    with suppress(asyncio.CancelledError):
                        await waiting
    assert len(source.asked) <= 1
    _check_end(running.certificate)


@pytest.mark.parametrize("waits", [False, True])
async def test_after_the_block_nobody_waits_for_pages_that_do_not_come(waits: bool) -> None:
    """An iterator that outlives the block, perhaps in a task that waits just then, ends with an error."""
    source = ListSource(range(ROWS), paging=PAGES)

    async def hang() -> None:
        if len(source.asked) > 1:
            await anyio.sleep_forever()

    source.before_answer = hang
    async with scan([(ListBackend(source), QUERY)]) as running:  # type: ignore[list-item]
        pages = running.pages()
        await anext(pages)
        waiting = asyncio.ensure_future(anext(pages))
        if waits:
            await turns(5)
    with pytest.raises(InvalidQueryError, match="a scan is iterated inside its own block"):
        async with asyncio.timeout(5):
            await waiting
    _check_end(running.certificate)


async def test_a_cancellation_of_nobody_is_an_error() -> None:
    """A read that waits for a task that somebody else cancelled does not end the consumer as if he were cancelled."""
    source = ListSource(range(ROWS), paging=PAGES)
    elsewhere = asyncio.get_running_loop().create_future()
    elsewhere.cancel()

    async def shared() -> None:
        if len(source.asked) > 2:
            await elsewhere

    source.before_answer = shared
    with pytest.raises(OtaError, match="what a read waited for was cancelled, though nobody left the scan"):
        async with scan([(ListBackend(source), QUERY)]) as running:  # type: ignore[list-item]
            async for _ in running:
                pass
    assert running.certificate.verdict is Verdict.UNCERTAIN


async def test_errors_of_requests_in_flight_are_nobodys_after_the_end() -> None:
    """Requests that fail while they are cancelled do not replace the consumer's own error."""
    source = ListSource(range(ROWS), paging=PAGES)

    async def stubborn() -> None:
        if len(source.asked) > 1:
            try:
                await anyio.sleep_forever()
            finally:
                raise ZeroDivisionError

    source.before_answer = stubborn
    async with nothing_left():
        with pytest.raises(ConsumerError):
            async with scan([(ListBackend(source), QUERY)]) as running:  # type: ignore[list-item]
                async for _ in running.pages():
                    await turns(5)
                    raise ConsumerError
    _check_end(running.certificate)


# --- over HTTP -------------------------------------------------------------------------------------------------------


def served_connections(vendor: Live) -> int:
    """Return how many connections the service has open."""
    return len(vendor.emulator._runner.server.connections)


def pool(vendor: Live) -> tuple[int, int]:
    """Return how many connections the client has in use, and how many it keeps for later."""
    backend: Any = vendor.backend
    connector = backend._session.transport._session.connector
    return len(connector._acquired), sum(map(len, connector._conns.values()))


async def settled(vendor: Live) -> None:
    """Wait until the service knows which connections are gone; fail when it never does."""
    for _ in range(2_000):
        if served_connections(vendor) == pool(vendor)[1]:
            return
        await asyncio.sleep(0)
    raise AssertionError(f"the service has {served_connections(vendor)} connections, the client {pool(vendor)}")


async def _scan_and_leave(vendor: Live, how: str, after: int) -> Any:
    task = asyncio.current_task()
    scope = anyio.CancelScope()
    assert task is not None

    end: Callable[[], Any] = task.cancel if how == "task" else scope.cancel

    def progress(said: ScanProgress) -> None:
        if said.reads >= after and how in {"task", "scope"}:
            end()

    running = scan([(vendor.backend, QUERY)], concurrency=8, on_progress=progress)
    reads = 0
    try:
        with scope:
            async with running:
                async for _ in running.pages():
                    reads += 1
                    if reads >= after and how == "break":
                        break
                    if reads >= after and how == "error":
                        raise ConsumerError
                    await anyio.lowlevel.checkpoint()
    except ConsumerError:
        pass
    except asyncio.CancelledError:
        task.uncancel()
    return running.certificate


@pytest.mark.parametrize("name", ["enos", "iotda"])
async def test_no_connection_leaks_over_http(name: str) -> None:
    """After scans that were left in every way, only idle connections are left, no more than the limit; it goes on."""
    async with live(name, Fleet.generate(devices=2_000, jobs=0)) as vendor:
        await vendor.backend.authenticate()
        async with nothing_left():
            for number, how in enumerate(["break", "task", "error", "scope"] * 3):
                certificate = await _scan_and_leave(vendor, how, after=1 + number % 5)
                _check_end(certificate)
                await settled(vendor)
                assert pool(vendor)[0] == 0
                assert served_connections(vendor) <= 8
        async with scan([(vendor.backend, QUERY)], concurrency=8) as running:
            assert len([row async for row in running]) == 2_000
        assert running.certificate.verdict is Verdict.CERTIFIED


@pytest.mark.parametrize("how", ["task", "scope", "deadline"])
@pytest.mark.parametrize("name", ["enos", "iotda"])
async def test_requests_that_the_service_holds_are_given_up(name: str, how: str) -> None:
    """Requests under way are cut off at once: the service keeps no connection of theirs, and the client no task."""
    async with live(name, Fleet.generate(devices=2_000, jobs=0)) as vendor:
        await vendor.backend.authenticate()
        scope = anyio.CancelScope()
        limit = 0.05 if how == "deadline" else None
        running = scan([(vendor.backend, QUERY)], concurrency=8, timeout_seconds=limit)
        hold = vendor.emulator.faults.delay("devices.search", times=None)

        async def consume() -> None:
            with scope:
                async with running:
                    _ = [row async for row in running]

        async with nothing_left():
            task = asyncio.create_task(consume())
            await hold.arrived()
            assert pool(vendor)[0] == 1
            end: Callable[[], Any] = task.cancel if how == "task" else scope.cancel
            if how != "deadline":
                end()
            await asyncio.wait([task])
            assert pool(vendor)[0] == 0
            assert (task.cancelled(), isinstance(task.cancelled() or task.exception(), DeadlineExceededError)) == (
                how == "task",
                how == "deadline",
            )
            vendor.emulator.faults.clear()
            await settled(vendor)
        _check_end(running.certificate)
        async with scan([(vendor.backend, QUERY)], concurrency=8) as again:
            assert len([row async for row in again]) == 2_000
