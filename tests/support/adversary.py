"""A vendor whose rows come, go and jump while it is read, on a simulated clock; and a driver for certified walks.

The rates are rows in the mean time of one answer, which is what decides. An oracle knows which rows were listed
throughout.
"""

import heapq
import random
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable
from itertools import accumulate
from operator import itemgetter
from typing import Any

import attrs

from otaclient.fleet.proof import Findings
from otaclient.fleet.walks import Ticket, Walk
from otaclient.reads import MarkerWindow, PageFacts, PageWindow, Window
from otaclient.transport.http import HttpResponse

_BODY: Any = HttpResponse(status=200)
_SPACE = 2**60
"""Room for rows that join between two others."""
_ORDER: Any = itemgetter(0)


@attrs.define(kw_only=True)
class Drift:
    """How rows move, in rows an answer time."""

    leave: float = 0
    join: float = 0
    join_at: str = "any"
    """``head``, ``tail`` or ``any``."""
    rejoin: float = 0
    """Rows that left and come back to their old place."""
    jump: float = 0
    jump_to: str = "head"
    """``head``, ``tail`` or ``any``: breaks the order."""
    bursts: tuple[tuple[float, str, float], ...] = ()
    """(time, what, share of the rows): ``shrink``, ``grow head``, ``grow tail`` or ``grow any``."""


class Vendor:
    """Rows with an order value; listed in that order."""

    def __init__(self, rows: int, drift: Drift, rng: random.Random) -> None:
        self.rows = [(number * _SPACE, number) for number in range(rows)]
        self.always = {number for _, number in self.rows}
        self.time = 0.0
        self.calls = 0
        self._drift = drift
        self._rng = rng
        self._next = rows
        self._gone: list[tuple[int, int]] = []
        self._bursts = sorted(drift.bursts)
        self._low, self._high = -_SPACE, rows * _SPACE
        self._changes = (self._leave, self._join, self._rejoin, self._jump)
        self._rates = list(accumulate((drift.leave, drift.join, drift.rejoin, drift.jump)))

    def read(self, start: int, size: int, time: float) -> tuple[list[int], int]:
        """Return the rows of a window and the total, as they are at a time."""
        self._advance(time)
        self.calls += 1
        return [number for _, number in self.rows[start : start + size]], len(self.rows)

    def place_of(self, order: int) -> int:
        """Return how many rows lie before an order value or at it."""
        return bisect_right(self.rows, order, key=_ORDER)

    def order_at(self, place: int) -> int:
        """Return the order value of the row at a place."""
        return self.rows[place][0]

    def _advance(self, time: float) -> None:
        rate = self._rates[-1]
        while True:
            step = self._rng.expovariate(rate) if rate else float("inf")
            if self._bursts and self._bursts[0][0] <= min(time, self.time + step):
                at, what, share = self._bursts.pop(0)
                self.time = max(self.time, at)
                self._burst(what, share)
                continue
            if self.time + step > time:
                break
            self.time += step
            self._rng.choices(self._changes, cum_weights=self._rates)[0]()
        self.time = max(self.time, time)

    def _leave(self) -> None:
        if self.rows:
            row = self.rows.pop(self._rng.randrange(len(self.rows)))
            self.always.discard(row[1])
            self._gone.append(row)

    def _join(self) -> None:
        self._insert(self._drift.join_at, self._next)
        self._next += 1

    def _rejoin(self) -> None:
        if self._gone:
            row = self._gone.pop(self._rng.randrange(len(self._gone)))
            self.rows.insert(self.place_of(row[0]), row)

    def _jump(self) -> None:
        if self.rows:
            _, number = self.rows.pop(self._rng.randrange(len(self.rows)))
            self._insert(self._drift.jump_to, number)

    def _insert(self, where: str, number: int) -> None:
        ends = {"head": 0, "tail": len(self.rows)}
        place = ends[where] if where in ends else self._rng.randrange(len(self.rows) + 1)
        for order in self._orders_at(place, 1):
            self.rows.insert(place, (order, number))

    def _burst(self, what: str, share: float) -> None:
        count = int(len(self.rows) * share)
        if what == "shrink":
            gone = self._rng.sample(self.rows, min(count, len(self.rows)))
            self.always.difference_update(number for _, number in gone)
            self.rows = sorted(set(self.rows).difference(gone))
            self._gone += gone
            return
        # All at once: thousands of rows, one after the other, would take most of the time of all scans.
        numbers = range(self._next, self._next + count)
        self._next += count
        self.rows = sorted([*self.rows, *zip(self._orders(what.removeprefix("grow "), count), numbers, strict=False)])

    def _orders(self, where: str, count: int) -> list[int]:
        """Return the order values of so many rows that join; of fewer, where no room is left between two."""
        if where == "any":
            places = Counter(self._rng.choices(range(len(self.rows) + 1), k=count)) if count else {}
            return [order for place, rows in places.items() for order in self._orders_at(place, rows)]
        return self._orders_at(0 if where == "head" else len(self.rows), count)

    def _orders_at(self, place: int, count: int) -> list[int]:
        if place == 0:
            self._low = min(self._low, self.rows[0][0] if self.rows else self._low) - count * _SPACE
            return [self._low + number * _SPACE for number in range(count)]
        if place == len(self.rows):
            self._high = max(self._high, self.rows[-1][0]) + count * _SPACE
            return [self._high - number * _SPACE for number in range(count)]
        before, behind = self.rows[place - 1][0], self.rows[place][0]
        if behind - before <= 2 * count:
            return []
        return list({self._rng.randrange(before + 1, behind) for _ in range(count)})


@attrs.frozen(kw_only=True)
class Result:
    """What a certified walk came to."""

    seen: set[int]
    yielded: int
    certified: bool
    doubts: dict[str, int]
    lost: int
    """Rows listed throughout that were not seen."""
    doubled: int
    calls: int


Lie = Callable[[int], int | None]
Cut = Callable[[Window, list[int]], list[int]]


def drive(
    walk: Walk,
    findings: Findings,
    vendor: Vendor,
    rng: random.Random,
    *,
    lie: Lie = lambda total: total,
    cut: Cut = lambda _window, rows: rows,
    spread: float = 0.5,
    most: int = 200_000,
) -> Result:
    """Run a walk against a vendor: answers take 1 +- ``spread``, with the snapshot half-way, and come in any order."""
    now, number = 0.0, 0
    events: list[tuple[float, int, str, Ticket]] = []
    seen: set[int] = set()
    pages: dict[int, tuple[list[int], PageFacts]] = {}
    yielded = 0
    while not walk.finished:
        while (ticket := walk.ready()) is not None:
            answer = rng.uniform(1 - spread, 1 + spread)
            number += 1
            assert number < most, "a scan must end"
            heapq.heappush(events, (now + answer / 2, number, "snapshot", ticket))
            heapq.heappush(events, (now + answer, number, "answer", ticket))
        if not events:
            assert walk.finished, "a walk that is not finished has something to read"
            break
        now, _, kind, ticket = heapq.heappop(events)
        if kind == "snapshot":
            rows, total, marker = _snapshot(vendor, ticket.window, now)
            rows = cut(ticket.window, rows)
            pages[id(ticket)] = rows, PageFacts(rows=len(rows), total=lie(total), marker=marker)
            continue
        if ticket.dropped:
            continue
        ticket.raw = _BODY
        ticket.facts = pages[id(ticket)][1] if walk.wants_facts(ticket) else None
        walk.arrived(ticket)
        while (first := walk.next_arrived()) is not None:
            rows, first.facts = pages[id(first)]
            if walk.judge(first, [str(row) for row in rows]):
                yielded += len([row for row in dict.fromkeys(rows) if row not in seen])
                seen.update(rows)
    return Result(
        seen=seen,
        yielded=yielded,
        certified=not findings.doubts,
        doubts={doubt.name: count for doubt, count in findings.doubts.items()},
        lost=len(vendor.always - seen),
        doubled=yielded - len(seen),
        calls=vendor.calls,
    )


def marker_of(order: int) -> str:
    """Return an order value as a marker: markers descend where the order ascends."""
    return f"{2**95 - order:024x}"


def _order_of(marker: str) -> int:
    return 2**95 - int(marker, 16)


def _snapshot(vendor: Vendor, window: Window, now: float) -> tuple[list[int], int, str | None]:
    if isinstance(window, PageWindow):
        rows, total = vendor.read((window.number - 1) * window.size, window.size, now)
        return rows, total, None
    assert isinstance(window, MarkerWindow)
    vendor._advance(now)
    base = 0 if window.marker is None else vendor.place_of(_order_of(window.marker))
    start = base + window.offset
    rows, total = vendor.read(start, window.size, now)
    return rows, total, marker_of(vendor.order_at(start + len(rows) - 1)) if rows else None
