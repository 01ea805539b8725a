"""A listing in memory whose devices have registered at some time, and that can list ranges of it; rows come and go."""

import random
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from otaclient.reads import Markers, MarkerWindow, Partition, RawPage, Window
from otaclient.transport.http import HttpResponse
from support.listing import ListSource

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
FIRST = datetime(2016, 1, 1, tzinfo=UTC)
SECONDS = int((NOW - FIRST).total_seconds())
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
_PER_SECOND = 10_000
_LONG_AGO = 10**8
"""Seconds before 2016; identifiers are not negative."""


def row_at(second: int, serial: int) -> int:
    """Return the number of the row that registers as the nth of a second; later ones have higher numbers."""
    return (_LONG_AGO + second) * _PER_SECOND + serial


def rows_of(seconds: Iterable[int]) -> list[int]:
    """Return rows that have registered at these seconds, counted from 2016."""
    return [row_at(second, serial) for serial, second in enumerate(sorted(seconds))]


def spread(kind: str, count: int, rng: random.Random) -> list[int]:
    """Return seconds of registration: ``uniform``, ``bursts``, ``one hour``, ``one second`` or ``young``."""
    if kind == "bursts":  # 70 % of the devices in 20 bursts of an hour
        begins = [rng.randrange(SECONDS - 3600) for _ in range(20)]
        return [
            rng.choice(begins) + rng.randrange(3600) if rng.random() < 0.7 else rng.randrange(SECONDS)
            for _ in range(count)
        ]
    if kind == "one hour":
        return [SECONDS // 3 + rng.randrange(3600) for _ in range(count)]
    if kind == "one second":
        return [SECONDS // 3] * count
    if kind == "young":
        return [SECONDS - rng.randrange(86400 * 30) for _ in range(count)]
    return [rng.randrange(SECONDS) for _ in range(count)]


class RegisteredSource(ListSource):
    """Serves rows by markers; a row's number tells when it registered.

    Args:
        rows: What is listed at first.
        inclusive: Whether the ends of a range belong to it.
        own: Between which instants the query asks.
        paging: The vendor's limits.
    """

    def __init__(
        self,
        rows: Sequence[int],
        *,
        inclusive: bool = True,
        own: tuple[datetime | None, datetime | None] = (None, None),
        paging: Markers = MARKERS,
    ) -> None:
        super().__init__((), paging=paging)
        self.rows = sorted(rows)
        self.always = set(rows)
        """What has been listed throughout."""
        self.asked_between: list[tuple[datetime | None, datetime | None]] = []
        self._inclusive = inclusive
        self._own = own

    def partitions(self) -> Sequence[Partition]:
        """Return the only one."""
        return [Partition(label="", filters=(None, None), between=self._between, registered=self._own)]

    def _between(self, after: datetime | None, before: datetime | None) -> Partition:
        assert after is None or before is None or after < before
        return Partition(label="", filters=(after, before))

    async def fetch(self, partition: Partition, window: Window, /) -> RawPage:
        """Return the window as JSON, of what is listed then."""
        self.asked.append((partition.label, window))
        self.asked_between.append(partition.filters)
        if self.before_answer is not None:
            await self.before_answer()
        first, stop = self._place(partition.filters[0], after=True), self._place(partition.filters[1], after=False)
        body = msgspec.json.encode(self._page(self.rows[first : max(first, stop)], window))
        return RawPage(partition=partition, window=window, response=HttpResponse(status=200, body=body))

    def _place(self, instant: datetime | None, *, after: bool) -> int:
        if instant is None:
            instant = self._own[0] if after else self._own[1]
        if instant is None:
            return 0 if after else len(self.rows)
        second = (instant - FIRST) // timedelta(seconds=1)
        if self._inclusive == after:
            return bisect_left(self.rows, row_at(second, 0))
        return bisect_right(self.rows, row_at(second, _PER_SECOND - 1))

    def _page(self, rows: list[int], window: Window) -> dict[str, Any]:
        assert isinstance(window, MarkerWindow)
        end = len(rows) if window.marker is None else bisect_left(rows, int(window.marker, 16))
        end = max(0, end - window.offset)
        found = rows[max(0, end - window.size) : end][::-1]
        return {"rows": found, "total": self.total(len(rows)), "marker": f"{found[-1]:024x}" if found else None}

    def drop(self, rng: random.Random) -> None:
        """Let a row go."""
        if self.rows:
            self.always.discard(self.rows.pop(rng.randrange(len(self.rows))))

    def add(self, second: int, serial: int) -> None:
        """Let a row come, anywhere."""
        row = row_at(second, serial)
        if row not in self.rows:
            insort(self.rows, row)
