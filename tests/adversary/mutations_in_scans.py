"""Faults in what walks share, and in the scan over all of them: proofs, ranges, memory, order and verdict."""

from adversary.faulty_code import Mutation, Rule, changed

__all__ = ["SCAN_MUTATIONS"]

_PROOF, _RANGES, _SCAN, _SEEN = "fleet.proof", "fleet.ranges", "fleet.running_scan", "fleet.sightings"
_WALKS, _READER, _PAGING = "fleet.walks", "fleet.reader", "paging"

# fmt: off
SCAN_MUTATIONS: tuple[Mutation, ...] = (
    # --- the end -----------------------------------------------------------------------------------------------------
    changed(
        Rule.ECHO, _PAGING, "another page number is accepted",
        "if facts.number not in (None, window.number) or", "if",
    ),
    changed(Rule.ECHO, _PAGING, "another page size is accepted", "or facts.size not in (None, window.size):", ":"),
    changed(Rule.ECHO, _PAGING, "more rows than asked for", "if facts.rows > size:", "if False:"),
    changed(
        Rule.MARKER_DOWN, _PAGING, "a page without a marker is the end",
        'raise PayloadError("a page with rows came without the marker of its last row: the walk cannot go on")',
        "return None",
    ),
    changed(
        Rule.MARKER_DOWN, _PAGING, "a marker may go up",
        "if window.marker is not None and facts.marker.lower() >= window.marker.lower():", "if False:",
    ),
    # --- ranges ------------------------------------------------------------------------------------------------------
    changed(
        Rule.RANGES, _RANGES, "ranges that do not overlap",
        "RANGES_OVERLAP: Final = timedelta(seconds=2)", "RANGES_OVERLAP: Final = timedelta(seconds=0)",
    ),
    changed(
        Rule.RANGES, _RANGES, "a gap between ranges",
        "after = None if cut.after is None else cut.after - RANGES_OVERLAP / 2",
        "after = None if cut.after is None else cut.after + RANGES_OVERLAP / 2",
    ),
    changed(
        Rule.RANGES, _RANGES, "the oldest range has an end",
        "after = None if cut.after is None else", "after = _EARLIEST if cut.after is None else",
    ),
    changed(
        Rule.RANGES, _RANGES, "the newest range has an end",
        "before = None if cut.before is None else", "before = self._now() if cut.before is None else",
    ),
    changed(
        Rule.RANGES, _PROOF, "the doubts of a range are not the whole's",
        "self.doubts[doubt] += 1\n        if self._whole is not None:", "self.doubts[doubt] += 1\n        if False:",
    ),
    changed(
        Rule.RANGES, _RANGES, "finished with the first range",
        "all(part.walk.finished for part in self._parts)", "any(part.walk.finished for part in self._parts)",
    ),
    changed(
        Rule.RANGES, _RANGES, "the rows that come with a count are taken for a range's",
        "if len(slices) > 1:\n                self._parts =",
        "if len(slices) > 1:\n                slices = slices[1:]\n                self._parts =",
    ),
    # --- repairs -----------------------------------------------------------------------------------------------------
    changed(
        Rule.GAP, _WALKS, "reads are judged as they come",
        "return self._order[0] if self._order and self._order[0].raw is not None else None",
        "return next((ticket for ticket in self._order if ticket.raw is not None), None)",
        "assert self._order[0] is ticket\n        self._order.popleft()", "self._order.remove(ticket)",
    ),
    changed(Rule.GAP, _WALKS, "dropped reads are not told so", "ticket.dropped = True", "pass"),
    changed(Rule.BUDGET, _PROOF, "no budget is ever spent", "return self.reads > self._limit", "return False"),
    changed(Rule.BUDGET, _PROOF, "every budget is spent", "return self.reads > self._limit", "return True"),
    changed(
        Rule.BUDGET, _PROOF, "no reading is ever too much",
        "return self.reads > min(_UNREPAIRED * self._limit + _UNREPAIRED_READS, sensible)", "return False",
    ),
    changed(
        Rule.BUDGET, _PROOF, "growth is held against the budget",
        "self._plain_reads = max(self._plain_reads, min(wanted, self._most_plain_reads or wanted))", "pass",
    ),
    changed(Rule.BUDGET, _PROOF, "repairs are not counted", "self.repairs += repair", "pass"),
    # --- what is handed out ------------------------------------------------------------------------------------------
    changed(
        Rule.BOUND, _READER, "pages that wait do not count",
        "self._in_flight + len(self._held) >= self._concurrency", "self._in_flight >= self._concurrency",
    ),
    changed(
        Rule.BOUND, _READER, "a page that waits counts half",
        "self._in_flight + len(self._held) >= self._concurrency",
        "self._in_flight + len(self._held) // 2 >= self._concurrency",
    ),
    changed(
        Rule.FIRST_SIGHTING, _SEEN, "a row that is known is new again",
        "if batch is self.fresh:", "if True:",
        "return list(values[len(self.places) :])", "return list(values)",
    ),
    changed(
        Rule.FIRST_SIGHTING, _SEEN, "no row has ever changed",
        "return self.digests is not None and self.digests[place] != hash(content)", "return False",
    ),
    changed(
        Rule.FIRST_SIGHTING, _SCAN, "rows of a read that does not count are handed out",
        "if not walker.walk.judge(ticket, keys):\n            return []", "walker.walk.judge(ticket, keys)",
    ),
    changed(
        Rule.MEMORY, _SEEN, "what was not seen for long is forgotten never",
        "while self._latest and self._latest[0].seen_in < oldest:", "while False:",
    ),
    changed(
        Rule.MEMORY, _SEEN, "neighbours are forgotten at once",
        "oldest = self._read - (self.reads or 0)", "oldest = self._read",
    ),
    # --- the verdict -------------------------------------------------------------------------------------------------
    changed(Rule.VERDICT, _SCAN, "a break counts as finished", "if not self._finished:", "if False:"),
    changed(
        Rule.VERDICT, _SCAN, "finished before the last page",
        "rows = self._take(walker, ticket)", "self._finished = True\n                rows = self._take(walker, ticket)",
    ),
    changed(
        Rule.VERDICT, _SCAN, "a collected error is still certified",
        "if self._errors:\n            collected", "if False:\n            collected",
    ),
    changed(
        Rule.VERDICT, _SCAN, "a bad row that was collected is still certified",
        "self._counts.bad_rows += 1\n        self._collect(walker, error)", "self._counts.bad_rows += 1",
    ),
    changed(
        Rule.VERDICT, _SCAN, "doubts are ignored",
        "return (Verdict.UNCERTAIN if doubts else Verdict.CERTIFIED), tuple(doubts)",
        "return Verdict.CERTIFIED, tuple(doubts)",
    ),
    changed(
        Rule.VERDICT, _SCAN, "only the first walk's doubts count",
        "for walker in self._walkers for doubt in walker.findings.doubts}",
        "for walker in self._walkers[:1] for doubt in walker.findings.doubts}",
    ),
    changed(
        Rule.VERDICT, _SCAN, "what nobody asked for is certified",
        "if not self._options.proof.certify:\n            return", "if False:\n            return",
    ),
    changed(
        Rule.VERDICT, _READER, "a walk that failed ends the others without an error",
        "self._fatal = self._fatal or error", "self._active.clear()",
    ),
)
# fmt: on
