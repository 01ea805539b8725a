"""Faults in what reads one listing: walks by page, and walks by marker."""

from adversary.faulty_code import Mutation, Rule, changed

__all__ = ["WALK_MUTATIONS"]

_PAGES, _MARKERS, _PAGE_WINDOWS = "fleet.certified_pages", "fleet.certified_markers", "fleet.page_windows"

# fmt: off
WALK_MUTATIONS: tuple[Mutation, ...] = (
    # --- what is read ------------------------------------------------------------------------------------------------
    changed(
        Rule.WINDOWS, _PAGES, "pages that do not overlap",
        "window = widest_window(max(0, covered - overlap), self._largest)",
        "window = widest_window(max(0, covered), self._largest)",
    ),
    changed(
        Rule.WINDOWS, _PAGE_WINDOWS, "windows that begin behind the row they should begin at",
        "return PageWindow(start_at_most // size + 1, size)", "return PageWindow(start_at_most // size + 2, size)",
    ),
    changed(
        Rule.WINDOWS, _PAGE_WINDOWS, "pages that are too small to overlap and get on are taken",
        "1 <= overlap < largest >= _LEAST_PAGE and all(", "True or all(",
    ),
    changed(
        Rule.WINDOWS, _MARKERS, "offsets that do not overlap",
        "left, overlap=self._overlap)", "left)",
    ),
    changed(
        Rule.WINDOWS, _MARKERS, "an overlap as large as a page is taken",
        "if not 1 <= self._overlap < paging.largest_page:", "if not 1 <= self._overlap:",
    ),
    changed(
        Rule.FIRST_ALONE, _MARKERS, "offsets below the newest record from the start",
        "self._wave: list[MarkerWindow] = [MarkerWindow(None, paging.largest_page)]",
        "self._wave = [MarkerWindow(None, paging.largest_page, n) for n in (0, paging.largest_page - self._overlap)]",
    ),
    changed(
        Rule.FIRST_ALONE, _PAGES, "reading ahead before the first answer",
        "self._phase is _Phase.BODY\n            and self._total is not None\n            and len", "True and len",
        "and self._covered <= self._total", "and self._covered <= (self._total or 100)",
    ),
    changed(
        Rule.START, _PAGES, "the first read is not at row 0",
        "if self._phase is _Phase.FIRST:\n            return PageWindow(1, self._largest)",
        "if self._phase is _Phase.FIRST:\n            return PageWindow(2, self._largest)",
    ),
    # --- joins -------------------------------------------------------------------------------------------------------
    changed(
        Rule.JOIN, _MARKERS, "a gap below a marker is taken as a join",
        "if not on_marker and not match.joins:", "if False:",
    ),
    changed(
        Rule.JOIN, _MARKERS, "one shared row below a marker is taken as safe",
        "if not on_marker and not match.joins:", "if not on_marker and match.shared < 1:",
    ),
    changed(
        Rule.REPEATED, _PAGES, "a key that comes twice in a page is ignored",
        "if match.repeated or not (match.joins or is_behind or window.number == 1):",
        "if not (match.shared >= SAFE_JOIN_ROWS or window.number == 1):",
    ),
    changed(
        Rule.REPEATED, _PAGES, "a key that comes twice in the first page is ignored",
        "if len(set(keys)) != len(keys):", "if False:",
    ),
    changed(
        Rule.REPEATED, _PAGES, "a key that comes twice at the head is ignored",
        "if match.repeated:\n            self._findings.note(Doubt.REPEATED)\n"
        "        self._chain.add(read.keys, at_head=True, closing=True)",
        "self._chain.add(read.keys, at_head=True, closing=True)",
    ),
    changed(
        Rule.REPEATED, _MARKERS, "a key that comes twice in the first page is ignored",
        "if len(set(keys)) != len(keys):", "if False:",
    ),
    changed(
        Rule.REPEATED, _MARKERS, "a key that comes twice below a marker is ignored",
        "if match.repeated:\n            self._findings.note(Doubt.REPEATED)\n        if not on_marker",
        "if not on_marker",
    ),
    changed(
        Rule.REPEATED, _MARKERS, "a key that comes twice at the head is ignored",
        "if match.repeated:\n            self._findings.note(Doubt.REPEATED)\n        on_marker = window.offset",
        "on_marker = window.offset",
    ),
    changed(
        Rule.MARKER_JOIN, _MARKERS, "a join without the offset rule",
        "on_marker = window.offset == 0 and window.marker == self._marker", "on_marker = window.marker == self._marker",
    ),
    changed(
        Rule.MARKER_JOIN, _MARKERS, "a join on any marker",
        "on_marker = window.offset == 0 and window.marker == self._marker", "on_marker = window.offset == 0",
    ),
    changed(
        Rule.MARKER_JOIN, _MARKERS, "a join on a marker is not known as one",
        "on_marker = window.offset == 0 and window.marker == self._marker", "on_marker = False",
    ),
    changed(
        Rule.MARKER_JOIN, _MARKERS, "an empty read counts as joined",
        "if not facts.rows or not self._findings.is_spent:", "if facts.rows and not self._findings.is_spent:",
    ),
    # --- the end -----------------------------------------------------------------------------------------------------
    changed(
        Rule.END_PAGES, _PAGES, "a short page alone is the end",
        "return 0 < self.rows < self.window.size and begin_of(self.window) + self.rows == self.total",
        "return 0 < self.rows < self.window.size",
    ),
    changed(
        Rule.END_PAGES, _PAGES, "a total alone is the end",
        "return 0 < self.rows < self.window.size and begin_of(self.window) + self.rows == self.total",
        "return begin_of(self.window) + self.rows == self.total",
    ),
    changed(
        Rule.END_PAGES, _PAGES, "an empty page is the end",
        "return 0 < self.rows < self.window.size and", "return self.rows < self.window.size and",
    ),
    changed(
        Rule.END_PAGES, _PAGES, "an end whose total disagrees is accepted",
        "self._findings.note(Doubt.END)\n            self._ended()", "self._ended()",
    ),
    changed(Rule.END_PAGES, _PAGES, "what disagrees is not read again", "_SECOND_LOOKS = 2", "_SECOND_LOOKS = 0"),
    changed(
        Rule.END_PAGES, _PAGES, "what disagrees is read again for ever",
        "if self._second_looks < _SECOND_LOOKS:\n            self._second_looks += 1\n"
        "            self._tickets.drop_all()",
        "if True:\n            self._tickets.drop_all()",
    ),
    changed(
        Rule.END_PAGES, _PAGES, "pages that repeat are read for ever",
        "if self._idle_reads > _MOST_IDLE_READS or self._findings.is_exhausted:", "if False:",
    ),
    changed(
        Rule.ECHO, _PAGES, "nobody looks whether the answer is to the question",
        "next_window(ticket.window, facts)", "None",
    ),
    changed(
        Rule.END_MARKERS, _MARKERS, "a short page is the end",
        "if on_marker and not facts.rows:", "if facts.rows < window.size:",
    ),
    changed(
        Rule.END_MARKERS, _MARKERS, "the count is the end",
        "if on_marker and not facts.rows:", "if not facts.rows or self._chain.size >= (self._total or 10**9):",
    ),
    changed(
        Rule.END_MARKERS, _MARKERS, "any empty page is the end",
        "if on_marker and not facts.rows:", "if not facts.rows:",
    ),
    changed(
        Rule.END_MARKERS, _MARKERS, "rows where the end was expected are not followed",
        "if is_full:\n                self._begin_wave(facts.marker, left=self._left)\n            else:\n"
        "                self._restart(facts.marker)",
        "self._ended()",
    ),
    changed(
        Rule.MARKER_DOWN, _MARKERS, "nobody looks whether the marker goes down",
        "following = next_window(window, facts)",
        "following = MarkerWindow(facts.marker, window.size) if facts.rows else None",
    ),
    changed(
        Rule.EMPTY, _PAGES, "an empty target is believed at once",
        "if self._empty_with_total_0:\n                self._phase = _Phase.DONE", "self._phase = _Phase.DONE",
    ),
    changed(Rule.EMPTY, _PAGES, "an empty target is believed whatever its total", "if total == 0:", "if True:"),
    changed(
        Rule.EMPTY, _PAGES, "an empty page whose total disagrees is accepted",
        "self._findings.note(Doubt.END)\n            self._phase = _Phase.DONE", "self._phase = _Phase.DONE",
    ),
    changed(
        Rule.EMPTY, _MARKERS, "an empty target is believed at once",
        "if total == 0 and self._empty_with_total_0:", "if total == 0:",
    ),
    changed(
        Rule.EMPTY, _MARKERS, "an empty target is believed whatever its count",
        "if total == 0 and self._empty_with_total_0:", "if self._empty_with_total_0:",
        "self._empty_with_total_0 = total == 0", "self._empty_with_total_0 = True",
    ),
    changed(
        Rule.EMPTY, _MARKERS, "an empty page whose count disagrees is accepted",
        "self._findings.note(Doubt.END)\n            self._phase = _Phase.DONE", "self._phase = _Phase.DONE",
    ),
    # --- the order, and the closing reads ----------------------------------------------------------------------------
    changed(
        Rule.ORDER, _PAGES, "a read that did not join is forgotten",
        "self._chain.refuse(read.keys)\n                self._tickets", "self._tickets",
    ),
    changed(
        Rule.ORDER, _MARKERS, "an offset that did not join is forgotten",
        "self._chain.refuse(keys)\n                # On its own", "# On its own",
    ),
    changed(
        Rule.ORDER, _PAGES, "a contradiction in the body is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        # Rows", "# Rows",
    ),
    changed(
        Rule.ORDER, _PAGES, "a contradiction at the head is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        self._head", "self._head",
    ),
    changed(
        Rule.ORDER, _MARKERS, "a contradiction in the body is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        on_marker", "on_marker",
    ),
    changed(
        Rule.ORDER, _MARKERS, "a contradiction at the head is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        if match.repeated:",
        "if match.repeated:",
    ),
    changed(
        Rule.CLOSING, _PAGES, "no closing read at the head",
        "self._phase = _Phase.HEAD\n            self._second_looks, self._empty_with_total_0 = 0, False\n"
        "            self._next_head = PageWindow(1, self._largest)",
        "self._begin_tail()",
    ),
    changed(
        Rule.EMPTY, _PAGES, "an empty closing read at the head is believed at once",
        "if not read.rows:\n            self._judge_empty(read.total)\n            self._next_head",
        "if not read.rows:\n            self._phase = _Phase.DONE\n            self._next_head",
    ),
    changed(
        Rule.CLOSING, _PAGES, "no closing read at the tail",
        "elif match.tail_known:\n            self._begin_tail()",
        "elif match.tail_known:\n            self._phase = _Phase.DONE",
    ),
    changed(
        Rule.CLOSING, _PAGES, "the closing read at the head does not go on to known rows",
        "elif match.tail_known:", "elif True:",
    ),
    changed(
        Rule.CLOSING, _PAGES, "closing reads that are not joined to each other are accepted",
        "if read.window.number > 1 and len(self._head_keys.intersection(read.keys)) < SAFE_JOIN_ROWS:", "if False:",
    ),
    changed(
        Rule.CLOSING, _PAGES, "a closing read that comes to no end is no doubt",
        "self._findings.note(Doubt.CLOSING)\n            self._begin_tail()", "self._begin_tail()",
    ),
    changed(
        Rule.CLOSING, _PAGES, "the head is read for ever",
        "elif may_go_on:", "elif True:",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "no closing read at the head",
        "self._phase = _Phase.HEAD\n            self._second_looks, self._empty_with_total_0 = 0, False\n"
        "            self._restart(None)",
        "self._begin_tail()",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "no closing read at the tail",
        "elif match.tail_known:\n            self._begin_tail()",
        "elif match.tail_known:\n            self._phase = _Phase.DONE",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "the closing read at the head does not go on to known rows",
        "elif match.tail_known:", "elif True:",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "closing reads that are not joined to each other are accepted",
        "if not on_marker and len(self._head_keys.intersection(keys)) < SAFE_JOIN_ROWS and not",
        "if False and not",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "a closing read that comes to no end is no doubt",
        "self._findings.note(Doubt.CLOSING)\n            self._begin_tail()", "self._begin_tail()",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "the head is read for ever",
        "elif self._head_reads < _MOST_HEAD_READS and not self._findings.is_spent:", "elif True:",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "the vendor's count is believed where nothing is listed",
        "self._nothing_lies_at(window)\n", "pass\n",
    ),
    changed(
        Rule.CLOSING, _MARKERS, "the tail is chased for ever",
        "if self._chases > _MOST_CHASES or self._findings.is_exhausted:", "if False:",
    ),
    # --- repairs -----------------------------------------------------------------------------------------------------
    changed(
        Rule.GAP, _PAGES, "what is in flight at a gap is kept",
        "self._tickets.drop_all()\n                self._pace.missed()", "self._pace.missed()",
    ),
    changed(
        Rule.GAP, _PAGES, "after a gap the walk goes on where it was",
        "self._covered = self._reached\n                return False", "return False",
    ),
    changed(
        Rule.GAP, _PAGES, "the rows behind a gap are handed out at once",
        "self._covered = self._reached\n                return False",
        "self._covered = self._reached\n                return True",
    ),
    changed(
        Rule.GAP, _PAGES, "a repair does not reach back",
        "widest_window(max(0, reached - self._pace.overlap - self._pace.back), self._largest)",
        "widest_window(max(0, reached), self._largest)",
    ),
    changed(
        Rule.GAP, _MARKERS, "after a gap the walk goes on where it was",
        "self._restart(self._marker)\n                return False", "return False",
    ),
    changed(
        Rule.GAP, _MARKERS, "after a gap the walk begins anew",
        "self._restart(self._marker)\n                return False",
        "self._restart(None)\n                return False",
    ),
    changed(
        Rule.PACE, _PAGES, "the overlap does not grow",
        "self.overlap = min(self.largest_overlap, self.overlap * 2 + 8)", "pass",
    ),
    changed(
        Rule.PACE, _PAGES, "the flight does not shrink",
        "self.flight = max(min(_LEAST_FLIGHT, self.concurrency), self.flight // 2)", "pass",
    ),
    changed(
        Rule.PACE, _PAGES, "the flight does not recover",
        "self.flight = min(self.concurrency, self.flight + 1)", "pass",
    ),
    changed(
        Rule.PACE, _PAGES, "the overlap does not recover",
        "self.overlap = max(self.least_overlap, min(self.largest_overlap, int(wanted)))", "pass",
    ),
    changed(Rule.BUDGET, _PAGES, "the budget's end is no doubt", "self._findings.note(Doubt.BUDGET)\n", "pass\n"),
    changed(
        Rule.BUDGET, _PAGES, "a gap beyond the budget is no doubt",
        "self._findings.note(Doubt.BUDGET)\n            self._findings.note(_doubt_of(match))", "pass",
    ),
    changed(
        Rule.BUDGET, _PAGES, "gaps are closed for ever",
        "if not self._findings.is_spent:\n                self._chain.refuse(read.keys)\n                self._tickets",
        "if True:\n                self._tickets",
    ),
    changed(
        Rule.BUDGET, _PAGES, "gaps between closing reads are closed for ever",
        "if may_go_on:\n                self._chain", "if True:\n                self._chain",
    ),
    changed(
        Rule.BUDGET, _MARKERS, "a gap beyond the budget is no doubt",
        "self._findings.note(Doubt.BUDGET)\n            self._findings.note(Doubt.GAP)", "pass",
    ),
    # --- what is handed out ------------------------------------------------------------------------------------------
    changed(
        Rule.MEMORY, _PAGES, "the rows at the end are forgotten before the closing read at the tail",
        "self._chain.hold()", "pass",
    ),
    changed(
        Rule.MEMORY, _MARKERS, "the rows at the end are forgotten before the closing read at the tail",
        "self._chain.hold()", "pass",
    ),
    changed(
        Rule.MEMORY, _PAGES, "a tail that moved farther than is remembered is no doubt",
        "if self._chain.may_forget(total - self._covered):", "if False:",
    ),
    changed(
        Rule.MEMORY, _PAGES, "the tail is read where it was before rows joined at the head",
        "min(self._reached + joined, total)", "min(self._reached, total)",
    ),
    changed(
        Rule.MEMORY, _PAGES, "rows that were forgotten in the body are no doubt",
        "if self._chain.may_forget(self._pace.overlap + self._pace.back if self._pace.back else 0):", "if False:",
    ),
    changed(
        Rule.MEMORY, _PAGES, "rows that were forgotten at the head are no doubt",
        "if self._chain.may_forget(self._head_known):", "if False:",
    ),
    changed(
        Rule.MEMORY, _MARKERS, "rows that were forgotten at the head are no doubt",
        "if self._chain.may_forget(self._head_known):", "if False:",
    ),
)
# fmt: on
