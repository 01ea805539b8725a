"""Checks of whole scans: each takes the code under test, and fails where a rule is broken."""

import asyncio
import random
from datetime import timedelta
from typing import Any

import anyio.lowlevel

from adversary.following import PAGES, EndlessError
from otaclient.queries import DeviceUpgradeQuery
from otaclient.reads import Window
from support.listing import ListBackend, ListSource
from support.registered import FIRST, RegisteredSource, rows_of, spread

__all__ = ["bounded", "each_device_is_handed_out_once", "ranges_are_whole", "scanning", "verdicts_are_earned"]


def scanning(code: Any, *sources: Any, **options: Any) -> Any:
    """Return a scan by the code under test."""
    targets: Any = [(ListBackend(source, label=f"b{n}"), DeviceUpgradeQuery()) for n, source in enumerate(sources)]
    return code.scan.scan(targets, **options)


def bounded(source: Any, most: int = 900) -> Any:
    """Let a source end a scan that asks too much of it, and answer one read sooner than another."""
    rng = random.Random(most)

    async def count() -> None:
        for _ in range(rng.randrange(1, 30)):
            await anyio.lowlevel.checkpoint()
        if len(source.asked) > most:
            raise EndlessError

    source.before_answer = count
    return source


def verdicts_are_earned(code: Any) -> None:
    """Breaks, doubts of a later walk, and scans without a proof."""

    async def verdicts() -> None:
        for leave_after in (0, 1, 100, 149):
            running = scanning(code, bounded(ListSource(range(150), paging=PAGES)))
            async with running:
                rows = aiter(running)
                for _ in range(leave_after):
                    await anext(rows)
                assert running.certificate.reasons == ("not finished",)
            assert (running.certificate.verdict, running.certificate.reasons) == ("uncertain", ("not finished",))
        lying = bounded(ListSource(range(120), paging=PAGES))
        lying.total = lambda rows: rows + 1000
        good = bounded(ListSource(range(500, 560), paging=PAGES))
        for sources, verdict in (((good,), "certified"), ((good, lying), "uncertain"), ((lying, good), "uncertain")):
            async with scanning(code, *sources) as running:
                assert len([row async for row in running]) == sum(len(source.walks[0]) for source in sources)
            assert running.certificate.verdict == verdict
        bad = bounded(ListSource(range(120), paging=PAGES))
        bad.bad = {40}
        async with scanning(code, bad, on_error="collect") as running:
            assert len([row async for row in running]) == 119
        assert running.certificate.verdict == "uncertain"

    asyncio.run(asyncio.wait_for(verdicts(), 30))


def each_device_is_handed_out_once(code: Any) -> None:
    """Rows leave while they are read: nobody is told of twice, and whoever was there is told of."""

    async def told() -> None:
        for dedupe in ("exact", "neighbours"):
            source = bounded(ListSource(range(1500), paging=PAGES))
            count = source.before_answer

            async def leave(source: Any = source, count: Any = count) -> None:
                await count()
                del source.walks[0][10:22]

            source.before_answer = leave
            async with scanning(code, source, dedupe=dedupe) as running:
                found = [row.device_id async for row in running]
            assert (running.certificate.verdict, running.certificate.repairs > 0) == ("certified", True)
            assert len(found) == len(set(found))
            assert {f"d{row}" for row in source.walks[0]} <= set(found)

    asyncio.run(asyncio.wait_for(told(), 30))


def ranges_are_whole(code: Any) -> None:
    """Every device of a listing read in ranges: in the second of a cut, beyond all bounds; and doubts of any range."""
    code.ranges._LEAST_ROWS = 60
    begin = 1_000_000
    ends = (FIRST + timedelta(seconds=begin), FIRST + timedelta(seconds=begin + 701))

    async def whole() -> None:
        for inclusive in (True, False):
            # One device in each second, so that every cut meets one.
            each = RegisteredSource(rows_of(range(begin + 1, begin + 701)), own=ends, inclusive=inclusive)
            async with scanning(code, bounded(each), concurrency=16) as running:
                assert len([row async for row in running]) == 700
            assert len(set(each.asked_between)) > 6
        outer = rows_of([-5_000_000, *range(10**9, 10**9 + 30)])
        # What has registered in one second cannot be cut: one range is much longer than the others.
        rows = [*outer, *rows_of([*spread("uniform", 500, random.Random(2)), *([10**8] * 500)])]
        async with scanning(code, bounded(RegisteredSource(rows)), concurrency=16) as running:
            assert {row.device_id async for row in running} == {f"d{row}" for row in rows}
        assert all(part.walk.finished for part in running._walkers[0].walk._parts)
        assert (running.certificate.verdict, running.certificate.duplicates > 0) == ("certified", True)
        async with scanning(code, bounded(_TwiceOnceCut(rows)), concurrency=16) as running:
            _ = [row async for row in running]
        assert running.certificate.verdict == "uncertain"

    asyncio.run(asyncio.wait_for(whole(), 30))


class _TwiceOnceCut(RegisteredSource):
    """Repeats a row of every large page as soon as ranges are read."""

    def _page(self, rows: list[int], window: Window) -> dict[str, Any]:
        page = super()._page(rows, window)
        found = page["rows"]
        if len(found) > 2 and self.asked_between[-1] != (None, None):
            page["rows"] = [found[0], *found[:-1]]
        return page
