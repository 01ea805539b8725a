"""What a walk is to the reader: it says what may be read next, and judges what came, in order.

A walk is one partition of one target. Tickets are its reads. They are handed out in window order, may come back in any
order, and are judged in the order in which they were handed out, one by one, as the consumer takes them.
"""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence
from typing import Protocol

import attrs

from otaclient.errors import PayloadError
from otaclient.paging import next_window
from otaclient.reads import (
    Markers,
    MarkerWindow,
    PageFacts,
    PageNumbers,
    PageWindow,
    Paging,
    Partition,
    RawPage,
    Window,
)

__all__ = ["PlainMarkerWalk", "PlainPageWalk", "Ticket", "Tickets", "Walk", "plain_walk"]


@attrs.define(eq=False)
class Ticket:
    """One read of a walk."""

    window: Window
    partition: Partition | None = None
    """What to read it from, where that is not the walk's whole partition."""
    raw: RawPage | None = None
    """What came; ``None`` while it is under way, and after it was taken."""
    facts: PageFacts | None = None
    dropped: bool = False
    """Whether the walk has no more use for it."""
    _is_news: bool = True

    def take_facts(self) -> PageFacts | None:
        """Return its facts once, as soon as they are there: when it arrives, or when it is judged."""
        if self.facts is None or not self._is_news:
            return None
        self._is_news = False
        return self.facts


class Walk(Protocol):
    """The reading of one partition."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will be read, and everything was judged."""
        ...

    def ready(self) -> Ticket | None:
        """Return the next read that may begin now; ``None`` to wait."""
        ...

    def wants_facts(self, ticket: Ticket, /) -> bool:
        """Tell whether what comes next depends on what this page says about itself; else there is time to judge it."""
        ...

    def arrived(self, ticket: Ticket, /) -> None:
        """Take in that a read has come back; its ``raw`` is set, and its ``facts`` if they are wanted now.

        Raises:
            PayloadError: The vendor's answer does not let one go on without losing rows.
        """
        ...

    def next_arrived(self) -> Ticket | None:
        """Return the next read to be judged, once it is there."""
        ...

    def judge(self, ticket: Ticket, keys: Sequence[str], /) -> bool:
        """Tell whether the rows of the next read count; its ``facts`` are set. Other reads may be dropped for it.

        Raises:
            PayloadError: As for :meth:`arrived`.
        """
        ...


_MOST_REPEATS = 3


class Tickets:
    """The reads of a walk that were handed out and not judged yet, in order."""

    def __init__(self) -> None:
        self._order: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._order)

    def hand_out(self, window: Window) -> Ticket:
        """Return a new ticket at the end of the order."""
        ticket = Ticket(window)
        self._order.append(ticket)
        return ticket

    def next_arrived(self) -> Ticket | None:
        """Return the first of the order, once it is there."""
        return self._order[0] if self._order and self._order[0].raw is not None else None

    def judged(self, ticket: Ticket) -> None:
        """Take the first of the order out."""
        assert self._order[0] is ticket
        self._order.popleft()

    def drop_all(self) -> None:
        """Declare whatever is in the order useless."""
        for ticket in self._order:
            ticket.dropped = True
        self._order.clear()


class _Repeats:
    """Notices a vendor that sends the same rows for whatever it is asked: without a proof nothing else would."""

    def __init__(self) -> None:
        self._rows: Sequence[str] = ()
        self._times = 1

    def take(self, keys: Sequence[str]) -> None:
        """Take in the rows of the next page.

        Raises:
            PayloadError: They came too often in a row.
        """
        self._times = self._times + 1 if keys and keys == self._rows else 1
        self._rows = keys
        if self._times > _MOST_REPEATS:
            raise PayloadError(f"{self._times} different pages hold the same {len(keys)} rows: it would not end")


def plain_walk(paging: Paging) -> Walk:
    """Return the walk that proves nothing, for a vendor's way of paging."""
    return PlainPageWalk(paging.largest_page) if isinstance(paging, PageNumbers) else PlainMarkerWalk(paging)


class _PlainWalk(ABC):
    """Takes whatever comes until a page says that it is the last."""

    def __init__(self) -> None:
        self._ended = False
        self._repeats = _Repeats()
        self._tickets = Tickets()
        self.next_arrived = self._tickets.next_arrived

    @property
    def finished(self) -> bool:
        """Whether the end was seen and everything was judged."""
        return self._ended and not self._tickets

    def arrived(self, ticket: Ticket, /) -> None:
        """Take in a page."""
        self._learn(ticket)

    def judge(self, ticket: Ticket, keys: Sequence[str], /) -> bool:
        """Accept whatever came, unless it only repeats."""
        self._tickets.judged(ticket)
        self._learn(ticket)
        self._repeats.take(keys)
        return True

    def _learn(self, ticket: Ticket) -> None:
        facts = ticket.take_facts()
        if facts is None:
            return
        following = next_window(ticket.window, facts)
        if following is None:
            self._ended = True
        self._go_on(ticket, facts, following)

    @abstractmethod
    def _go_on(self, ticket: Ticket, facts: PageFacts, following: Window | None) -> None:
        """Take in what a page says about itself, and which one follows it."""


class PlainPageWalk(_PlainWalk):
    """Pages by number: the first alone, because it tells how many to expect; then all of those at once.

    The expected number only says what may be asked for in advance. The end is where a page says so (see
    :func:`otaclient.paging.next_window`); a walk that has not ended by then goes on page by page.
    """

    def __init__(self, size: int) -> None:
        super().__init__()
        self._size = size
        self._next = 1
        self._expected = 1
        self._under_way = 0

    def ready(self) -> Ticket | None:
        """Return the next page that may be read now."""
        beyond = self._next > self._expected
        if self._ended or (beyond and self._under_way):
            return None
        self._next += 1
        self._under_way += 1
        return self._tickets.hand_out(PageWindow(self._next - 1, self._size))

    def wants_facts(self, ticket: Ticket, /) -> bool:
        """Tell whether it is the first page, or may be the last."""
        assert isinstance(ticket.window, PageWindow)
        return ticket.window.number >= self._expected

    def arrived(self, ticket: Ticket, /) -> None:
        """Take in a page."""
        self._under_way -= 1
        super().arrived(ticket)

    def _go_on(self, ticket: Ticket, facts: PageFacts, following: Window | None) -> None:  # noqa: ARG002 - pages follow by number
        if facts.total is not None:
            self._expected = max(self._expected, -(-facts.total // self._size))


class PlainMarkerWalk(_PlainWalk):
    """Records below a marker: the first page alone, then a wave of offsets below its marker, then the next wave.

    The documented reach of one marker is its largest offset; the page there gives the next marker. The vendor's count
    only limits how many offsets are asked for in advance. The end is an empty page.
    """

    def __init__(self, paging: Markers) -> None:
        super().__init__()
        self._paging = paging
        self._size = paging.largest_page
        self._wave: list[MarkerWindow] = [MarkerWindow(None, self._size)]
        self._last = self._wave[0]
        self._rows_above = 0
        self._total: int | None = None

    def ready(self) -> Ticket | None:
        """Return the next window that may be read now."""
        if self._ended or not self._wave:
            return None
        return self._tickets.hand_out(self._wave.pop(0))

    def wants_facts(self, ticket: Ticket, /) -> bool:
        """Tell whether the next wave begins on its marker."""
        return ticket.window is self._last

    def _go_on(self, ticket: Ticket, facts: PageFacts, following: Window | None) -> None:
        window = ticket.window
        assert isinstance(window, MarkerWindow)
        self._total = facts.total if facts.total is not None else self._total
        if window is self._last and isinstance(following, MarkerWindow):
            # Hop at once: the other offsets of this wave run on behind it.
            self._rows_above += window.offset + facts.rows
            self._begin_wave(following.marker)

    def _begin_wave(self, base: str | None) -> None:
        # One row more than there are: the window behind the last row shows that it is the last.
        rows = None if self._total is None else self._total - self._rows_above + 1
        self._wave.extend(MarkerWindow(base, self._size, offset) for offset in self._paging.offsets(rows))
        self._last = self._wave[-1]
