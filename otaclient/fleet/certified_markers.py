"""The certified walk over markers: a chain of bases, and below each base overlapping offsets at the same time.

A read that starts, at offset 0, on the marker on which a joined read ended is joined without a shared row: nothing lies
between. Below one marker the offsets shift when records vanish, so there neighbours overlap, as page numbers do. The
first read goes alone and its marker is the first base: from the ceiling, new records would shift every offset.
"""

from collections.abc import Sequence
from enum import Enum

from otaclient.errors import InvalidQueryError
from otaclient.fleet.chain import SAFE_JOIN_ROWS, Chain
from otaclient.fleet.proof import Doubt, Findings
from otaclient.fleet.walks import Ticket, Tickets
from otaclient.paging import next_window
from otaclient.reads import Markers, MarkerWindow, PageFacts

__all__ = ["DEFAULT_MARKER_OVERLAP", "CertifiedMarkerWalk", "expected_marker_reads"]

DEFAULT_MARKER_OVERLAP = 2

_SECOND_LOOKS = 2
_MOST_HEAD_READS = 1000
_MOST_CHASES = 200


def expected_marker_reads(total: int, paging: Markers, *, overlap: int = DEFAULT_MARKER_OVERLAP) -> int:
    """Return how many reads a certified walk over ``total`` rows takes while nothing moves."""
    if total <= 0:
        return 2
    reads, above = 1, min(total, paging.largest_page)
    while above < total:
        offsets = paging.offsets(total - above, overlap=overlap)
        reads += len(offsets)
        above = min(total, above + offsets[-1] + paging.largest_page)
    return reads + 3  # the empty page at the end, the closing reads at the head and at the tail


class _Phase(Enum):
    FIRST = "the read without a marker, alone"
    BODY = "from there to an empty page"
    HEAD = "the closing read without a marker, until it meets known rows"
    TAIL = "the closing read at the end"
    DONE = "nothing more"


class CertifiedMarkerWalk:
    """Reads one partition by markers, and proves that it missed nothing, or notes why it could not.

    Args:
        paging: The vendor's limits.
        chain: Takes the joined reads.
        findings: Takes the doubts.
        concurrency: The most reads in flight.
        overlap: Rows that neighbouring offsets share; ``None`` for a good choice.

    Raises:
        InvalidQueryError: The overlap leaves nothing of a page.
    """

    def __init__(
        self, paging: Markers, chain: Chain, findings: Findings, *, concurrency: int, overlap: int | None = None
    ) -> None:
        self._overlap = DEFAULT_MARKER_OVERLAP if overlap is None else overlap
        if not 1 <= self._overlap < paging.largest_page:
            raise InvalidQueryError(
                f"scan(): pages of at most {paging.largest_page} rows cannot overlap by {self._overlap} and still get "
                "on: give a smaller overlap, or ask for no proof (certify=False)"
            )
        # To overlap by more than usual is the caller's wish, and no repair.
        wider = self._overlap if self._overlap > DEFAULT_MARKER_OVERLAP else 0
        self._advance = paging.largest_page - wider
        self._paging = paging
        self._chain = chain
        self._findings = findings
        self._concurrency = concurrency
        self._tickets = Tickets()
        self.next_arrived = self._tickets.next_arrived
        self._phase = _Phase.FIRST
        self._wave: list[MarkerWindow] = [MarkerWindow(None, paging.largest_page)]
        self._hop: MarkerWindow | None = None
        self._marker: str | None = None
        """Of the last joined read: everything above it is accounted for."""
        self._base: str | None = None
        """Below which the latest wave reads."""
        self._rows_above = 0
        """How many lie above the base."""
        self._total: int | None = None
        self._surplus = 0
        """By how much the vendor's count was seen to be too high."""
        self._repairing = False
        self._second_looks = 0
        self._head_reads = 0
        self._head_known = 0
        self._head_marker: str | None = None
        self._head_keys: frozenset[str] = frozenset()
        self._chases = 0
        self._empty_with_total_0 = False

    @property
    def finished(self) -> bool:
        """Whether nothing more will be read."""
        return self._phase is _Phase.DONE

    # --- what may be read ------------------------------------------------------------------------------------------

    def ready(self) -> Ticket | None:
        """Return the next window that may be read now."""
        if not self._wave or len(self._tickets) >= self._concurrency:
            return None
        self._findings.read(repair=self._repairing)
        return self._tickets.hand_out(self._wave.pop(0))

    def wants_facts(self, ticket: Ticket, /) -> bool:
        """Tell whether the next wave begins on its marker."""
        return self._phase is not _Phase.BODY or ticket.window is self._hop

    def arrived(self, ticket: Ticket, /) -> None:
        """Take in a page; behind the last offset of a wave the next wave begins at once.

        Raises:
            PayloadError: Its marker is missing or does not go down.
        """
        self._learn(ticket)

    def _learn(self, ticket: Ticket) -> None:
        window, facts = ticket.window, ticket.take_facts()
        assert isinstance(window, MarkerWindow)
        if facts is None:
            return
        following = next_window(window, facts)
        if facts.total is not None:
            self._total = facts.total
        self._findings.expect_plain(facts.total, seen=self._chain.size, largest_page=self._advance)
        if window is self._hop and isinstance(following, MarkerWindow):
            self._rows_above += window.offset + facts.rows
            self._begin_wave(following.marker, left=self._left)

    @property
    def _left(self) -> int | None:
        """How many rows the vendor's count leaves for the reads to come; ``None`` where it does not say."""
        if self._total is None or self._phase is _Phase.HEAD:
            return None
        return max(0, self._total - self._surplus - self._rows_above)

    def _begin_wave(self, base: str | None, *, left: int | None) -> None:
        size = self._paging.largest_page
        offsets = self._paging.offsets(left, overlap=self._overlap)
        self._wave = [MarkerWindow(base, size, offset) for offset in offsets]
        self._hop = self._wave[-1]
        self._base = base

    def _nothing_lies_at(self, window: MarkerWindow) -> None:
        """Go by what is listed, whatever the vendor counts: at the end, waves that are too wide would not get there."""
        if window.marker != self._base:
            return
        self._rows_above += window.offset
        if self._total is None:
            self._total = self._rows_above
        self._surplus = max(0, self._total - self._rows_above)
        self._findings.end_is_near()

    def _restart(self, marker: str | None) -> None:
        """Drop whatever is under way, and go on with one read on a marker."""
        self._tickets.drop_all()
        self._wave = [MarkerWindow(marker, self._paging.largest_page)]
        self._hop = self._wave[0] if self._phase is _Phase.BODY else None
        self._base = marker

    # --- what came -------------------------------------------------------------------------------------------------

    def judge(self, ticket: Ticket, keys: Sequence[str], /) -> bool:
        """Tell whether the rows of the next read count.

        Raises:
            PayloadError: Its marker is missing or does not go down.
        """
        self._tickets.judged(ticket)
        self._learn(ticket)
        window, facts = ticket.window, ticket.facts
        assert isinstance(window, MarkerWindow)
        assert facts is not None
        if self._phase is _Phase.FIRST:
            return self._judge_first(keys, facts)
        if self._phase is _Phase.HEAD:
            return self._judge_head(window, keys, facts)
        return self._judge_body(window, keys, facts)

    def _judge_first(self, keys: Sequence[str], facts: PageFacts) -> bool:
        if not facts.rows:
            self._judge_empty(facts.total)
            return False
        if len(set(keys)) != len(keys):
            self._findings.note(Doubt.REPEATED)
        self._chain.add(keys)
        self._marker = facts.marker
        self._rows_above = facts.rows
        self._phase = _Phase.BODY
        self._begin_wave(facts.marker, left=self._left)
        return True

    def _judge_empty(self, total: int | None) -> None:
        """An empty target is believed when a second read says the same."""
        if total == 0 and self._empty_with_total_0:
            self._phase = _Phase.DONE
        elif total == 0 or self._second_looks < _SECOND_LOOKS:
            self._empty_with_total_0 = total == 0
            self._second_looks += total != 0
            self._restart(None)
        else:
            self._findings.note(Doubt.END)
            self._phase = _Phase.DONE

    def _judge_body(self, window: MarkerWindow, keys: Sequence[str], facts: PageFacts) -> bool:
        match = self._chain.match(keys)
        if not match.in_order:
            self._findings.note(Doubt.ORDER)
        on_marker = window.offset == 0 and window.marker == self._marker
        if on_marker and not facts.rows:
            self._ended()
            return False
        if match.repeated:
            self._findings.note(Doubt.REPEATED)
        if not on_marker and not match.joins:
            if not facts.rows:
                self._nothing_lies_at(window)
            if not facts.rows or not self._findings.is_spent:
                self._chain.refuse(keys)
                # On its own marker the next read is joined without a shared row, so a gap closes with one read.
                self._repairing = True
                self._restart(self._marker)
                return False
            self._findings.note(Doubt.BUDGET)
            self._findings.note(Doubt.GAP)
        self._repairing = False
        self._chain.add(keys)
        self._marker = facts.marker
        is_full = facts.rows == self._paging.largest_page
        self._chases = self._chases + 1 if on_marker and not is_full else 0
        if self._chases > _MOST_CHASES or self._findings.is_exhausted:
            self._findings.note(Doubt.CLOSING)
            self._phase = _Phase.TAIL
            self._ended()
        elif not self._tickets and not self._wave:
            # Rows came where the end was expected: as many as fit, perhaps more behind them.
            if is_full:
                self._begin_wave(facts.marker, left=self._left)
            else:
                self._restart(facts.marker)
        return True

    def _ended(self) -> None:
        self._tickets.drop_all()
        self._wave.clear()
        self._repairing = False
        if self._phase is _Phase.TAIL:
            self._phase = _Phase.DONE
        else:
            self._chain.hold()
            self._phase = _Phase.HEAD
            self._second_looks, self._empty_with_total_0 = 0, False
            self._restart(None)

    def _judge_head(self, window: MarkerWindow, keys: Sequence[str], facts: PageFacts) -> bool:
        """Records that joined at the head come to light here, and any known one that jumped there."""
        if not facts.rows and window.marker is None:
            self._judge_empty(facts.total)
            return False
        match = self._chain.match(keys)
        if not match.in_order:
            self._findings.note(Doubt.ORDER)
        if match.repeated:
            self._findings.note(Doubt.REPEATED)
        on_marker = window.offset == 0 and window.marker == self._head_marker
        if not on_marker and len(self._head_keys.intersection(keys)) < SAFE_JOIN_ROWS and not self._findings.is_spent:
            self._chain.refuse(keys)
            self._restart(self._head_marker)
            return False
        self._chain.add(keys, at_head=True, closing=True)
        self._head_marker, self._head_keys = facts.marker, frozenset(keys)
        self._head_reads += 1
        self._head_known += match.shared
        if self._chain.may_forget(self._head_known):
            self._findings.note(Doubt.FORGOTTEN)
        if not facts.rows:
            self._phase = _Phase.DONE  # read from the newest record to the end: whatever is listed was seen
            self._wave.clear()
        elif match.tail_known:
            self._begin_tail()
        elif self._head_reads < _MOST_HEAD_READS and not self._findings.is_spent:
            if not self._tickets and not self._wave:
                # Many at once: more may join than one read after another sees.
                self._begin_wave(facts.marker, left=None)
        else:
            self._findings.note(Doubt.CLOSING)
            self._begin_tail()
        return True

    def _begin_tail(self) -> None:
        self._phase = _Phase.TAIL
        self._restart(self._marker)
