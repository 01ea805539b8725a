"""The certified walk over page numbers: overlapping windows, joined one by one, repaired where rows moved.

A page-number API serves ``[(n-1)s, ns)`` for any page size ``s`` up to its maximum, so windows can overlap although it
knows only pages. Rows that leave move the rows behind them up; where neighbours then share too little, what is in
flight is dropped and the walk goes on from the last joined read, with more overlap and less in flight; both recover.
"""

from collections.abc import Sequence
from enum import Enum

import attrs

from otaclient.fleet.chain import SAFE_JOIN_ROWS, Chain, Match
from otaclient.fleet.page_windows import begin_of, check_advance, end_of, mean_advance, widest_window
from otaclient.fleet.proof import Doubt, Findings
from otaclient.fleet.walks import Ticket, Tickets
from otaclient.paging import next_window
from otaclient.reads import PageNumbers, PageWindow

__all__ = ["DEFAULT_PAGE_OVERLAP", "CertifiedPageWalk"]

DEFAULT_PAGE_OVERLAP = 4

_LEAST_FLIGHT = 4
_LARGEST_OVERLAP_SHARE = 0.55
# How far a repair reaches back beyond the overlap: a little first, then twice as far each time, because rows may move
# faster than one read after another can follow. At row 0 at the latest it is joined: there a read needs no neighbour.
_STEP_BACK = 20
# How often what disagrees is read again before it becomes a doubt.
_SECOND_LOOKS = 2
# Rows that come at the head faster than one can read never end.
_MOST_HEAD_READS = 200
_MOST_IDLE_READS = 10


@attrs.frozen
class _Read:
    """A read that came."""

    window: PageWindow
    keys: Sequence[str]
    rows: int
    """How many rows came; more than there are keys where some could not be read."""
    total: int | None

    @property
    def is_end(self) -> bool:
        """Whether it ends the listing: not empty, shorter than its window, and its own total agrees."""
        return 0 < self.rows < self.window.size and begin_of(self.window) + self.rows == self.total


class _Phase(Enum):
    FIRST = "the read at row 0, alone: it tells how much there is"
    BODY = "from there to the end"
    HEAD = "the closing read at row 0, until it meets known rows"
    TAIL = "the closing read at the end"
    DONE = "nothing more"


@attrs.define
class _Pace:
    """How much overlap and how much in flight: both follow how fast rows move."""

    concurrency: int
    least_overlap: int
    largest_overlap: int
    overlap: int
    flight: int
    back: int = 0

    def joined(self, *, nominal: int, shared: int) -> None:
        """Take in a join: what it shares differs from what it would share without drift by as much as rows moved."""
        if not self.back:
            drift = abs(nominal - shared)
            wanted = max(1.5 * drift + self.least_overlap, self.overlap * 0.98)
            self.overlap = max(self.least_overlap, min(self.largest_overlap, int(wanted)))
        self.back = 0
        self.flight = min(self.concurrency, self.flight + 1)

    def missed(self) -> None:
        """Take in a gap."""
        self.overlap = min(self.largest_overlap, self.overlap * 2 + 8)
        self.flight = max(min(_LEAST_FLIGHT, self.concurrency), self.flight // 2)
        self.back = 2 * self.back + _STEP_BACK


class CertifiedPageWalk:
    """Reads one partition by page numbers, and proves that it missed nothing, or notes why it could not.

    Args:
        paging: The vendor's limits.
        chain: Takes the joined reads.
        findings: Takes the doubts.
        concurrency: The most reads in flight.
        overlap: Rows that neighbouring windows share; ``None`` for a good choice.

    Raises:
        InvalidQueryError: Pages this small cannot overlap by as much and still get on.
    """

    def __init__(
        self, paging: PageNumbers, chain: Chain, findings: Findings, *, concurrency: int, overlap: int | None = None
    ) -> None:
        least = DEFAULT_PAGE_OVERLAP if overlap is None else overlap
        self._largest = paging.largest_page
        check_advance(self._largest, least)
        # To overlap by more than usual is the caller's wish, and no repair.
        self._advance = self._largest if least <= DEFAULT_PAGE_OVERLAP else mean_advance(self._largest, least)
        self._chain = chain
        self._findings = findings
        largest_overlap = max(least, int(self._largest * _LARGEST_OVERLAP_SHARE))
        self._pace = _Pace(concurrency, least, largest_overlap, overlap=least, flight=concurrency)
        self._tickets = Tickets()
        self.next_arrived = self._tickets.next_arrived
        self._phase = _Phase.FIRST
        self._next_head: PageWindow | None = None
        self._covered = 0
        self._reached = 0
        self._total: int | None = None
        self._total_at_end = 0
        self._second_looks = 0
        self._idle_reads = 0
        self._head_reads = 0
        self._head_known = 0
        self._head_reached = 0
        self._head_keys: frozenset[str] = frozenset()
        self._empty_with_total_0 = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will be read."""
        return self._phase is _Phase.DONE

    # --- what may be read ------------------------------------------------------------------------------------------

    def ready(self) -> Ticket | None:
        """Return the next window that may be read now."""
        if self._phase is _Phase.DONE or (self._tickets and not self._may_run_ahead()):
            return None
        repair = self._pace.back > 0 and not self._tickets
        window = self._next_window()
        self._covered = end_of(window)
        self._findings.read(repair=repair)
        return self._tickets.hand_out(window)

    def _may_run_ahead(self) -> bool:
        return (
            self._phase is _Phase.BODY
            and self._total is not None
            and len(self._tickets) < self._pace.flight
            and self._covered <= self._total
        )

    def _next_window(self) -> PageWindow:
        if self._phase is _Phase.FIRST:
            return PageWindow(1, self._largest)
        if self._phase is _Phase.HEAD and self._next_head is not None:
            return self._next_head
        pace = self._pace
        if pace.back and not self._tickets:
            reached = self._covered
            if self._total is not None:
                reached = min(reached, max(self._total, 0))  # a fleet that has shrunk has its rows before its end
            return self._window_back_from(reached)
        return self._window_behind(self._covered)

    def _window_behind(self, covered: int) -> PageWindow:
        # Of few rows and page sizes, none may begin early enough and still get on: then with less overlap.
        for overlap in (self._pace.overlap, self._pace.least_overlap, 2):
            window = widest_window(max(0, covered - overlap), self._largest)
            if end_of(window) > covered:
                return window
        return widest_window(covered, self._largest)

    def _window_back_from(self, reached: int) -> PageWindow:
        return widest_window(max(0, reached - self._pace.overlap - self._pace.back), self._largest)

    # --- what came -------------------------------------------------------------------------------------------------

    def wants_facts(self, ticket: Ticket, /) -> bool:
        """Tell whether the page says how far to read ahead: the first, those about the end, and the closing reads."""
        assert isinstance(ticket.window, PageWindow)
        return self._phase is not _Phase.BODY or self._total is None or end_of(ticket.window) >= self._total

    def arrived(self, ticket: Ticket, /) -> None:
        """Take in a page.

        Raises:
            PayloadError: It is the answer to another question.
        """
        self._learn(ticket)

    def _learn(self, ticket: Ticket) -> None:
        facts = ticket.take_facts()
        if facts is None:
            return
        next_window(ticket.window, facts)
        if facts.total is not None:
            self._total = facts.total
        self._findings.expect_plain(facts.total, seen=self._chain.size, largest_page=self._advance)

    def judge(self, ticket: Ticket, keys: Sequence[str], /) -> bool:
        """Tell whether the rows of the next read count.

        Raises:
            PayloadError: It is the answer to another question.
        """
        self._tickets.judged(ticket)
        self._learn(ticket)
        window, facts = ticket.window, ticket.facts
        assert isinstance(window, PageWindow)
        assert facts is not None
        read = _Read(window, keys, facts.rows, facts.total)
        if self._phase is _Phase.FIRST:
            return self._judge_first(read)
        if self._phase is _Phase.HEAD:
            return self._judge_head(read)
        return self._judge_body(read)

    def _judge_first(self, read: _Read) -> bool:
        keys = read.keys
        if not read.rows:
            self._judge_empty(read.total)
            return False
        if len(set(keys)) != len(keys):
            self._findings.note(Doubt.REPEATED)
        self._phase = _Phase.BODY
        self._accept(read)
        return True

    def _judge_empty(self, total: int | None) -> None:
        """An empty target is believed when a second read says the same."""
        if total == 0:
            if self._empty_with_total_0:
                self._phase = _Phase.DONE
            self._empty_with_total_0 = True
        elif self._second_looks < _SECOND_LOOKS:
            self._second_looks += 1
        else:
            self._findings.note(Doubt.END)
            self._phase = _Phase.DONE

    def _judge_body(self, read: _Read) -> bool:
        window = read.window
        match = self._chain.match(read.keys)
        if not match.in_order:
            self._findings.note(Doubt.ORDER)
        # Rows in another order than before contradict the assumption, but the read is connected all the same.
        is_behind = match.is_behind and self._pace.back > 0 and not read.is_end
        if match.repeated or not (match.joins or is_behind or window.number == 1):
            if not self._findings.is_spent:
                self._chain.refuse(read.keys)
                self._tickets.drop_all()
                self._pace.missed()
                self._covered = self._reached
                return False
            self._findings.note(Doubt.BUDGET)
            self._findings.note(_doubt_of(match))
        if self._chain.may_forget(self._pace.overlap + self._pace.back if self._pace.back else 0):
            self._findings.note(Doubt.FORGOTTEN)
        self._pace.joined(nominal=min(self._reached - begin_of(window), self._largest), shared=match.shared)
        before = self._chain.size
        self._accept(read)
        # Where a total is reached and nothing new comes, there must be an end; a vendor that repeats a page has none.
        is_idle = self._chain.size == before and self._reached >= (self._total or 0)
        self._idle_reads = self._idle_reads + 1 if is_idle else 0
        if self._idle_reads > _MOST_IDLE_READS or self._findings.is_exhausted:
            self._findings.note(Doubt.ENDLESS)
            self._ended()
        return True

    def _accept(self, read: _Read) -> None:
        window = read.window
        self._chain.add(read.keys, at_head=window.number == 1 and self._chain.size > 0)
        self._reached = end_of(window)
        if not self._tickets:
            self._covered = self._reached
        if read.is_end:
            self._ended()
        elif read.rows < window.size:
            self._judge_short(begin_of(window) + read.rows)

    def _judge_short(self, reached: int) -> None:
        """A short page whose answer does not agree with itself is read again before it is called the end."""
        if self._second_looks < _SECOND_LOOKS:
            self._second_looks += 1
            self._tickets.drop_all()
            self._reached = self._covered = reached
        else:
            self._findings.note(Doubt.END)
            self._ended()

    # --- the closing reads -----------------------------------------------------------------------------------------

    def _ended(self) -> None:
        self._tickets.drop_all()
        self._pace.back = 0
        if self._phase is _Phase.TAIL:
            self._phase = _Phase.DONE
        else:
            self._chain.hold()
            self._total_at_end = self._total or 0
            self._phase = _Phase.HEAD
            self._second_looks, self._empty_with_total_0 = 0, False
            self._next_head = PageWindow(1, self._largest)

    def _judge_head(self, read: _Read) -> bool:
        """Rows that jumped to the head, or joined there, come to light before known rows do."""
        if not read.rows:
            self._judge_empty(read.total)
            self._next_head = PageWindow(1, self._largest)
            return False
        match = self._chain.match(read.keys)
        if not match.in_order:
            self._findings.note(Doubt.ORDER)
        self._head_reads += 1
        may_go_on = self._head_reads < _MOST_HEAD_READS and not self._findings.is_spent
        if read.window.number > 1 and len(self._head_keys.intersection(read.keys)) < SAFE_JOIN_ROWS:
            # Rows that left since the last closing read moved others, which are new as well, to where it had read.
            if may_go_on:
                self._chain.refuse(read.keys)
                self._pace.missed()
                self._next_head = self._window_back_from(self._head_reached)
                return False
            self._findings.note(Doubt.CLOSING)
        self._pace.back = 0
        if match.repeated:
            self._findings.note(Doubt.REPEATED)
        self._chain.add(read.keys, at_head=True, closing=True)
        self._head_reached, self._head_keys = end_of(read.window), frozenset(read.keys)
        self._head_known += match.shared
        if self._chain.may_forget(self._head_known):
            self._findings.note(Doubt.FORGOTTEN)
        if read.is_end:
            self._phase = _Phase.DONE  # one read of everything: whatever is listed is in it
        elif match.tail_known:
            self._begin_tail()
        elif may_go_on:
            self._next_head = self._window_behind(self._head_reached)
        else:
            self._findings.note(Doubt.CLOSING)
            self._begin_tail()
        return True

    def _begin_tail(self) -> None:
        """Rows that jumped to the tail while others were still being read come to light there."""
        self._phase = _Phase.TAIL
        total = max(self._total or 0, 0)
        # What joins at the head moves the tail. Closing reads show what came before them, and the count the rest.
        joined = self._chain.joined_late and max(self._chain.joined_late, total - self._total_at_end)
        self._covered = min(self._reached + joined, total)
        if self._chain.may_forget(total - self._covered):
            self._findings.note(Doubt.FORGOTTEN)
        self._second_looks = 0
        self._idle_reads = 0


def _doubt_of(match: Match) -> Doubt:
    if match.repeated:
        return Doubt.REPEATED
    return Doubt.WEAK_JOIN if match.is_weak else Doubt.GAP
