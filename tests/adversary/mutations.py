"""Faults to put into the certified scan, each of which breaks one of its rules; and how a faulty copy is loaded.

A fault is a small change to the text of one module. A text that is no longer there is an error, so that the list stays
true to the code.
"""

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType, SimpleNamespace
from typing import Any

import attrs

import otaclient

__all__ = ["MUTATIONS", "Mutation", "Rule", "loaded"]

_PACKAGE = Path(otaclient.__file__).parent
_MODULES = (
    "certified_markers", "certified_pages", "chain", "cuts", "expected", "plan", "proof", "ranges", "reader", "scan",
    "scan_options", "sightings", "walks",
)  # fmt: skip


class Rule(StrEnum):
    """What makes a certificate true, and a scan with one affordable."""

    WINDOWS = "neighbouring windows overlap, whatever the paging; what cannot overlap and get on is refused"
    FIRST_ALONE = "the first read goes alone; of markers, the first base is its marker"
    JOIN = "two rows shared by key join a read; one is weak, none is a gap"
    REPEATED = "a key twice in one read joins nothing"
    MARKER_JOIN = "at offset 0, on the marker on which a joined read that was not empty ended, a read is joined"
    START = "the first joined read is the one at row 0, or without a marker"
    END_PAGES = "a page ends a listing when it is short, not empty, and its own total agrees; else it is read again"
    ECHO = "the answer is to the question: number and size are echoed, no more rows than asked for"
    END_MARKERS = "markers end with an empty page on the marker of a joined read; counts and short pages prove nothing"
    MARKER_DOWN = "every page with rows has a marker, and it goes down"
    EMPTY = "an empty target is believed when a second read says the same"
    ORDER = "the order is watched along the whole chain, in every phase"
    CLOSING = "after the end, closing reads at the head and at the tail, joined to known rows"
    RANGES = "ranges of time overlap, with open outer ends, and each has a proof of its own"
    GAP = "at a gap, what is in flight is dropped, and the walk goes on from the last joined read"
    PACE = "at a gap the overlap grows and the flight shrinks; both recover"
    BUDGET = "repairs have a budget, growth left out; beyond it the scan ends, and says so"
    BOUND = "at most so many pages in flight and waiting"
    FIRST_SIGHTING = "a device is yielded once; a later, different sighting is counted"
    MEMORY = "neighbours are remembered, and no more"
    VERDICT = "certified only when finished, without an error, without a doubt, and asked for"


@attrs.frozen
class Mutation:
    """A change to the text of one module."""

    rule: Rule
    module: str
    """Below ``otaclient``, such as ``fleet.chain``."""
    what: str
    """What the faulty code does."""
    changes: tuple[tuple[str, str], ...]
    """Texts that stand in the module exactly once, and what takes their place."""

    @property
    def path(self) -> Path:
        """The file that is changed."""
        return _PACKAGE.joinpath(*self.module.split(".")).with_suffix(".py")

    def source(self) -> str:
        """Return the changed module.

        Raises:
            ValueError: A text stands there not exactly once.
        """
        source = self.path.read_text(encoding="utf-8")
        for old, new in self.changes:
            if source.count(old) != 1:
                raise ValueError(
                    f"{self.module} has {source.count(old)} times, not once: {old!r} (mutation {self.what})"
                )
            source = source.replace(old, new)
        return source


@contextmanager
def loaded(mutation: Mutation | None) -> Iterator[Any]:
    """Import a second copy of the scan's modules, one of them changed, and hand them out by their names.

    Whatever is imported in the meantime gets the copy, too. Afterwards everything is as before.
    """
    kept = {name: sys.modules.pop(name) for name in list(sys.modules) if _is_of_the_scan(name)}
    finder = _Finder(mutation)
    sys.meta_path.insert(0, finder)
    try:
        yield SimpleNamespace(**{name: importlib.import_module(f"otaclient.fleet.{name}") for name in _MODULES})
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if _is_of_the_scan(name)]:
            del sys.modules[name]
        sys.modules.update(kept)
        for name, module in kept.items():
            if name.count(".") == 1:
                setattr(otaclient, name.removeprefix("otaclient."), module)


def _is_of_the_scan(name: str) -> bool:
    return name in {"otaclient.paging", "otaclient.fleet"} or name.startswith("otaclient.fleet.")


class _Finder(MetaPathFinder):
    def __init__(self, mutation: Mutation | None) -> None:
        self._mutation = mutation

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None, /
    ) -> ModuleSpec | None:
        mutation = self._mutation
        if mutation is None or fullname != f"otaclient.{mutation.module}":
            return None
        loader = _Mutated(fullname, str(mutation.path))
        loader.mutated = mutation.source()
        return importlib.util.spec_from_file_location(fullname, mutation.path, loader=loader)


class _Mutated(SourceFileLoader):
    mutated: str

    def get_code(self, fullname: str) -> CodeType:
        """Return the changed code; under another name, so that no tracer takes it for the module's own lines."""
        return compile(self.mutated, f"{fullname} (mutated)", "exec", dont_inherit=True)


def _changed(rule: Rule, module: str, what: str, *texts: str) -> Mutation:
    """Return a mutation; texts are the old one, the new one, and perhaps more of these pairs."""
    return Mutation(rule, module, what, tuple(zip(texts[::2], texts[1::2], strict=True)))


_PAGES, _MARKERS, _CHAIN = "fleet.certified_pages", "fleet.certified_markers", "fleet.chain"
_PROOF, _RANGES, _SCAN, _SEEN = "fleet.proof", "fleet.ranges", "fleet.running_scan", "fleet.sightings"
_WALKS, _READER, _PAGING = "fleet.walks", "fleet.reader", "paging"

# fmt: off
MUTATIONS: tuple[Mutation, ...] = (
    # --- what is read ------------------------------------------------------------------------------------------------
    _changed(
        Rule.WINDOWS, _PAGES, "pages that do not overlap",
        "window = widest_window(max(0, self._covered - overlap), self._largest)",
        "window = widest_window(max(0, self._covered), self._largest)",
    ),
    _changed(
        Rule.WINDOWS, _PAGES, "windows that begin behind the row they should begin at",
        "return PageWindow(start_at_most // size + 1, size)", "return PageWindow(start_at_most // size + 2, size)",
    ),
    _changed(
        Rule.WINDOWS, _PAGES, "pages that are too small to overlap and get on are taken",
        "1 <= overlap < largest >= _LEAST_PAGE and all(", "True or all(",
    ),
    _changed(
        Rule.WINDOWS, _MARKERS, "offsets that do not overlap",
        "left, overlap=self._overlap)", "left)",
    ),
    _changed(
        Rule.WINDOWS, _MARKERS, "an overlap as large as a page is taken",
        "if not 1 <= self._overlap < paging.largest_page:", "if not 1 <= self._overlap:",
    ),
    _changed(
        Rule.FIRST_ALONE, _MARKERS, "offsets below the newest record from the start",
        "self._wave: list[MarkerWindow] = [MarkerWindow(None, paging.largest_page)]",
        "self._wave = [MarkerWindow(None, paging.largest_page, n) for n in (0, paging.largest_page - self._overlap)]",
    ),
    _changed(
        Rule.FIRST_ALONE, _PAGES, "reading ahead before the first answer",
        "self._phase is _Phase.BODY\n            and self._total is not None\n            and len", "True and len",
        "and self._covered <= self._total", "and self._covered <= (self._total or 100)",
    ),
    _changed(
        Rule.START, _PAGES, "the first read is not at row 0",
        "if self._phase is _Phase.FIRST:\n            return PageWindow(1, self._largest)",
        "if self._phase is _Phase.FIRST:\n            return PageWindow(2, self._largest)",
    ),
    # --- joins -------------------------------------------------------------------------------------------------------
    _changed(Rule.JOIN, _CHAIN, "a join on one row is taken as safe", "SAFE_JOIN_ROWS = 2", "SAFE_JOIN_ROWS = 1"),
    _changed(
        Rule.JOIN, _CHAIN, "a gap is taken as a join",
        "return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor and not self.repeated",
        "return not self.repeated",
    ),
    _changed(
        Rule.JOIN, _CHAIN, "a weak join is called a gap",
        "return self.at_anchor == 1 and not self.repeated", "return False",
    ),
    _changed(
        Rule.JOIN, _CHAIN, "rows count as shared before they are known",
        "at_anchor=len(recent),", "at_anchor=len(keys),",
    ),
    _changed(
        Rule.JOIN, _MARKERS, "a gap below a marker is taken as a join",
        "if not on_marker and not match.joins:", "if False:",
    ),
    _changed(
        Rule.JOIN, _MARKERS, "one shared row below a marker is taken as safe",
        "if not on_marker and not match.joins:", "if not on_marker and match.shared < 1:",
    ),
    _changed(
        Rule.REPEATED, _CHAIN, "a key that comes twice is ignored",
        "repeated=self._sightings.look(keys).repeated,", "repeated=False,",
    ),
    _changed(
        Rule.REPEATED, _CHAIN, "a read with a key twice joins",
        "return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor and not self.repeated",
        "return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor",
    ),
    _changed(
        Rule.JOIN, _CHAIN, "rows that jumped to the tail join a read",
        "at_anchor=len(recent),", "at_anchor=len(known),",
    ),
    _changed(
        Rule.JOIN, _CHAIN, "few shared rows behind many new ones join",
        "and self.leading <= self.at_anchor and not", "and not",
    ),
    _changed(
        Rule.REPEATED, _PAGES, "a key that comes twice in a page is ignored",
        "if match.repeated or not (match.joins or is_behind or window.number == 1):",
        "if not (match.shared >= SAFE_JOIN_ROWS or window.number == 1):",
    ),
    _changed(
        Rule.REPEATED, _PAGES, "a key that comes twice in the first page is ignored",
        "if len(set(keys)) != len(keys):", "if False:",
    ),
    _changed(
        Rule.REPEATED, _PAGES, "a key that comes twice at the head is ignored",
        "if match.repeated:\n            self._findings.note(Doubt.REPEATED)\n"
        "        self._chain.add(read.keys, at_head=True, closing=True)",
        "self._chain.add(read.keys, at_head=True, closing=True)",
    ),
    _changed(
        Rule.REPEATED, _MARKERS, "a key that comes twice in the first page is ignored",
        "if len(set(keys)) != len(keys):", "if False:",
    ),
    _changed(
        Rule.REPEATED, _MARKERS, "a key that comes twice below a marker is ignored",
        "if match.repeated:\n            self._findings.note(Doubt.REPEATED)\n        if not on_marker",
        "if not on_marker",
    ),
    _changed(
        Rule.REPEATED, _MARKERS, "a key that comes twice at the head is ignored",
        "if match.repeated:\n            self._findings.note(Doubt.REPEATED)\n        on_marker = window.offset",
        "on_marker = window.offset",
    ),
    _changed(
        Rule.MARKER_JOIN, _MARKERS, "a join without the offset rule",
        "on_marker = window.offset == 0 and window.marker == self._marker", "on_marker = window.marker == self._marker",
    ),
    _changed(
        Rule.MARKER_JOIN, _MARKERS, "a join on any marker",
        "on_marker = window.offset == 0 and window.marker == self._marker", "on_marker = window.offset == 0",
    ),
    _changed(
        Rule.MARKER_JOIN, _MARKERS, "a join on a marker is not known as one",
        "on_marker = window.offset == 0 and window.marker == self._marker", "on_marker = False",
    ),
    _changed(
        Rule.MARKER_JOIN, _MARKERS, "an empty read counts as joined",
        "if not facts.rows or not self._findings.is_spent:", "if facts.rows and not self._findings.is_spent:",
    ),
    # --- the end -----------------------------------------------------------------------------------------------------
    _changed(
        Rule.END_PAGES, _PAGES, "a short page alone is the end",
        "return 0 < self.rows < self.window.size and _begin(self.window) + self.rows == self.total",
        "return 0 < self.rows < self.window.size",
    ),
    _changed(
        Rule.END_PAGES, _PAGES, "a total alone is the end",
        "return 0 < self.rows < self.window.size and _begin(self.window) + self.rows == self.total",
        "return _begin(self.window) + self.rows == self.total",
    ),
    _changed(
        Rule.END_PAGES, _PAGES, "an empty page is the end",
        "return 0 < self.rows < self.window.size and", "return self.rows < self.window.size and",
    ),
    _changed(
        Rule.END_PAGES, _PAGES, "an end whose total disagrees is accepted",
        "self._findings.note(Doubt.END)\n            self._ended()", "self._ended()",
    ),
    _changed(Rule.END_PAGES, _PAGES, "what disagrees is not read again", "_SECOND_LOOKS = 2", "_SECOND_LOOKS = 0"),
    _changed(
        Rule.END_PAGES, _PAGES, "what disagrees is read again for ever",
        "if self._second_looks < _SECOND_LOOKS:\n            self._second_looks += 1\n"
        "            self._tickets.drop_all()",
        "if True:\n            self._tickets.drop_all()",
    ),
    _changed(
        Rule.END_PAGES, _PAGES, "pages that repeat are read for ever",
        "if self._idle_reads > _MOST_IDLE_READS or self._findings.is_exhausted:", "if False:",
    ),
    _changed(
        Rule.ECHO, _PAGING, "another page number is accepted",
        "if facts.number not in (None, window.number) or", "if",
    ),
    _changed(Rule.ECHO, _PAGING, "another page size is accepted", "or facts.size not in (None, window.size):", ":"),
    _changed(Rule.ECHO, _PAGING, "more rows than asked for", "if facts.rows > size:", "if False:"),
    _changed(
        Rule.ECHO, _PAGES, "nobody looks whether the answer is to the question",
        "next_window(ticket.window, facts)", "None",
    ),
    _changed(
        Rule.END_MARKERS, _MARKERS, "a short page is the end",
        "if on_marker and not facts.rows:", "if facts.rows < window.size:",
    ),
    _changed(
        Rule.END_MARKERS, _MARKERS, "the count is the end",
        "if on_marker and not facts.rows:", "if not facts.rows or self._chain.size >= (self._total or 10**9):",
    ),
    _changed(
        Rule.END_MARKERS, _MARKERS, "any empty page is the end",
        "if on_marker and not facts.rows:", "if not facts.rows:",
    ),
    _changed(
        Rule.END_MARKERS, _MARKERS, "rows where the end was expected are not followed",
        "if is_full:\n                self._begin_wave(facts.marker, left=None)\n            else:\n"
        "                self._restart(facts.marker)",
        "self._ended()",
    ),
    _changed(
        Rule.MARKER_DOWN, _PAGING, "a page without a marker is the end",
        'raise PayloadError("a page with rows came without the marker of its last row: the walk cannot go on")',
        "return None",
    ),
    _changed(
        Rule.MARKER_DOWN, _PAGING, "a marker may go up",
        "if window.marker is not None and facts.marker.lower() >= window.marker.lower():", "if False:",
    ),
    _changed(
        Rule.MARKER_DOWN, _MARKERS, "nobody looks whether the marker goes down",
        "following = next_window(window, facts)",
        "following = MarkerWindow(facts.marker, window.size) if facts.rows else None",
    ),
    _changed(
        Rule.EMPTY, _PAGES, "an empty target is believed at once",
        "if self._empty_with_total_0:\n                self._phase = _Phase.DONE", "self._phase = _Phase.DONE",
    ),
    _changed(Rule.EMPTY, _PAGES, "an empty target is believed whatever its total", "if total == 0:", "if True:"),
    _changed(
        Rule.EMPTY, _PAGES, "an empty page whose total disagrees is accepted",
        "self._findings.note(Doubt.END)\n            self._phase = _Phase.DONE", "self._phase = _Phase.DONE",
    ),
    _changed(
        Rule.EMPTY, _MARKERS, "an empty target is believed at once",
        "if total == 0 and self._empty_with_total_0:", "if total == 0:",
    ),
    _changed(
        Rule.EMPTY, _MARKERS, "an empty target is believed whatever its count",
        "if total == 0 and self._empty_with_total_0:", "if self._empty_with_total_0:",
        "self._empty_with_total_0 = total == 0", "self._empty_with_total_0 = True",
    ),
    _changed(
        Rule.EMPTY, _MARKERS, "an empty page whose count disagrees is accepted",
        "self._findings.note(Doubt.END)\n            self._phase = _Phase.DONE", "self._phase = _Phase.DONE",
    ),
    # --- the order, and the closing reads ----------------------------------------------------------------------------
    _changed(
        Rule.ORDER, _CHAIN, "a contradiction is ignored",
        "in_order=all(before <= behind for (_, before), (_, behind) in pairwise(known))", "in_order=True",
    ),
    _changed(
        Rule.ORDER, _CHAIN, "a contradiction is ignored but with the read before",
        "in_order=all(before <= behind for (_, before), (_, behind) in pairwise(known))",
        "in_order=all(a <= b for a, b in pairwise(rank for _, rank in known if rank >= self._frontier))",
    ),
    _changed(
        Rule.ORDER, _CHAIN, "a read that did not join contradicts nothing",
        "            and not any(map(partial(_in_another_order, keys), self._refused)),", ",",
    ),
    _changed(
        Rule.ORDER, _PAGES, "a read that did not join is forgotten",
        "self._chain.refuse(read.keys)\n", "\n",
    ),
    _changed(
        Rule.ORDER, _MARKERS, "an offset that did not join is forgotten",
        "self._chain.refuse(keys)\n                # On its own", "# On its own",
    ),
    _changed(
        Rule.ORDER, _CHAIN, "ranks begin anew with every read",
        "self._highest += len(tail)", "self._highest = len(tail)",
    ),
    _changed(
        Rule.ORDER, _CHAIN, "new rows at the head are taken for the farthest",
        "if at_head and not known:", "if False:",
        "extends = last_rank >= self._frontier if known else not at_head", "extends = True",
    ),
    _changed(
        Rule.ORDER, _PAGES, "a contradiction in the body is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        # Rows", "# Rows",
    ),
    _changed(
        Rule.ORDER, _PAGES, "a contradiction at the head is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        if match.repeated:",
        "if match.repeated:",
    ),
    _changed(
        Rule.ORDER, _MARKERS, "a contradiction in the body is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        on_marker", "on_marker",
    ),
    _changed(
        Rule.ORDER, _MARKERS, "a contradiction at the head is ignored",
        "if not match.in_order:\n            self._findings.note(Doubt.ORDER)\n        if match.repeated:",
        "if match.repeated:",
    ),
    _changed(
        Rule.CLOSING, _PAGES, "no closing read at the head",
        "self._phase = _Phase.HEAD\n            self._second_looks, self._empty_with_total_0 = 0, False\n"
        "            self._next_head = PageWindow(1, self._largest)",
        "self._begin_tail()",
    ),
    _changed(
        Rule.EMPTY, _PAGES, "an empty closing read at the head is believed at once",
        "if not read.rows:\n            self._judge_empty(read.total)\n            self._next_head",
        "if not read.rows:\n            self._phase = _Phase.DONE\n            self._next_head",
    ),
    _changed(
        Rule.CLOSING, _PAGES, "no closing read at the tail",
        "elif match.tail_known:\n            self._begin_tail()",
        "elif match.tail_known:\n            self._phase = _Phase.DONE",
    ),
    _changed(
        Rule.CLOSING, _PAGES, "the closing read at the head does not go on to known rows",
        "elif match.tail_known:", "elif True:",
    ),
    _changed(
        Rule.CLOSING, _PAGES, "closing reads that are not joined to each other are accepted",
        "if self._head_reads > 1 and match.shared < SAFE_JOIN_ROWS:", "if False:",
    ),
    _changed(
        Rule.CLOSING, _PAGES, "a closing read that comes to no end is no doubt",
        "self._findings.note(Doubt.CLOSING)\n            self._begin_tail()", "self._begin_tail()",
    ),
    _changed(
        Rule.CLOSING, _PAGES, "the head is read for ever",
        "elif self._head_reads < _MOST_HEAD_READS and not self._findings.is_spent:", "elif True:",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "no closing read at the head",
        "self._phase = _Phase.HEAD\n            self._second_looks, self._empty_with_total_0 = 0, False\n"
        "            self._restart(None)",
        "self._begin_tail()",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "no closing read at the tail",
        "elif match.tail_known:\n            self._begin_tail()",
        "elif match.tail_known:\n            self._phase = _Phase.DONE",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "the closing read at the head does not go on to known rows",
        "elif match.tail_known:", "elif True:",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "closing reads that are not joined to each other are accepted",
        "if not on_marker and len(self._head_keys.intersection(keys)) < SAFE_JOIN_ROWS and not",
        "if False and not",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "a closing read that comes to no end is no doubt",
        "self._findings.note(Doubt.CLOSING)\n            self._begin_tail()", "self._begin_tail()",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "the head is read for ever",
        "elif self._head_reads < _MOST_HEAD_READS and not self._findings.is_spent:", "elif True:",
    ),
    _changed(
        Rule.CLOSING, _MARKERS, "the tail is chased for ever",
        "if self._chases > _MOST_CHASES or self._findings.is_exhausted:", "if False:",
    ),
    # --- ranges ------------------------------------------------------------------------------------------------------
    _changed(
        Rule.RANGES, _RANGES, "ranges that do not overlap",
        "RANGES_OVERLAP: Final = timedelta(seconds=2)", "RANGES_OVERLAP: Final = timedelta(seconds=0)",
    ),
    _changed(
        Rule.RANGES, _RANGES, "a gap between ranges",
        "after = None if cut.after is None else cut.after - RANGES_OVERLAP / 2",
        "after = None if cut.after is None else cut.after + RANGES_OVERLAP / 2",
    ),
    _changed(
        Rule.RANGES, _RANGES, "the oldest range has an end",
        "after = None if cut.after is None else", "after = _EARLIEST if cut.after is None else",
    ),
    _changed(
        Rule.RANGES, _RANGES, "the newest range has an end",
        "before = None if cut.before is None else", "before = self._now() if cut.before is None else",
    ),
    _changed(
        Rule.RANGES, _PROOF, "the doubts of a range are not the whole's",
        "self.doubts[doubt] += 1\n        if self._whole is not None:", "self.doubts[doubt] += 1\n        if False:",
    ),
    _changed(
        Rule.RANGES, _RANGES, "finished with the first range",
        "all(part.walk.finished for part in self._parts)", "any(part.walk.finished for part in self._parts)",
    ),
    _changed(
        Rule.RANGES, _RANGES, "the rows that come with a count are taken for a range's",
        "if len(slices) > 1:\n                self._parts =",
        "if len(slices) > 1:\n                slices = slices[1:]\n                self._parts =",
    ),
    # --- repairs -----------------------------------------------------------------------------------------------------
    _changed(
        Rule.GAP, _PAGES, "what is in flight at a gap is kept",
        "self._tickets.drop_all()\n                self._pace.missed()", "self._pace.missed()",
    ),
    _changed(
        Rule.GAP, _PAGES, "after a gap the walk goes on where it was",
        "self._covered = self._reached\n                return False", "return False",
    ),
    _changed(
        Rule.GAP, _PAGES, "the rows behind a gap are handed out at once",
        "self._covered = self._reached\n                return False",
        "self._covered = self._reached\n                return True",
    ),
    _changed(
        Rule.GAP, _PAGES, "a repair does not reach back",
        "widest_window(max(0, reached - pace.overlap - pace.back), self._largest)",
        "widest_window(max(0, reached), self._largest)",
    ),
    _changed(
        Rule.GAP, _MARKERS, "after a gap the walk goes on where it was",
        "self._restart(self._marker)\n                return False", "return False",
    ),
    _changed(
        Rule.GAP, _MARKERS, "after a gap the walk begins anew",
        "self._restart(self._marker)\n                return False",
        "self._restart(None)\n                return False",
    ),
    _changed(
        Rule.GAP, _WALKS, "reads are judged as they come",
        "return self._order[0] if self._order and self._order[0].raw is not None else None",
        "return next((ticket for ticket in self._order if ticket.raw is not None), None)",
        "assert self._order[0] is ticket\n        self._order.popleft()", "self._order.remove(ticket)",
    ),
    _changed(Rule.GAP, _WALKS, "dropped reads are not told so", "ticket.dropped = True", "pass"),
    _changed(
        Rule.PACE, _PAGES, "the overlap does not grow",
        "self.overlap = min(self.largest_overlap, self.overlap * 2 + 8)", "pass",
    ),
    _changed(
        Rule.PACE, _PAGES, "the flight does not shrink",
        "self.flight = max(min(_LEAST_FLIGHT, self.concurrency), self.flight // 2)", "pass",
    ),
    _changed(
        Rule.PACE, _PAGES, "the flight does not recover",
        "self.flight = min(self.concurrency, self.flight + 1)", "pass",
    ),
    _changed(
        Rule.PACE, _PAGES, "the overlap does not recover",
        "self.overlap = max(self.least_overlap, min(self.largest_overlap, int(wanted)))", "pass",
    ),
    _changed(Rule.BUDGET, _PAGES, "the budget's end is no doubt", "self._findings.note(Doubt.BUDGET)\n", "pass\n"),
    _changed(
        Rule.BUDGET, _PAGES, "a gap beyond the budget is no doubt",
        "self._findings.note(Doubt.BUDGET)\n            self._findings.note(_doubt_of(match))", "pass",
    ),
    _changed(
        Rule.BUDGET, _PAGES, "gaps are closed for ever",
        "if not self._findings.is_spent:\n                self._chain", "if True:\n                self._chain",
    ),
    _changed(
        Rule.BUDGET, _MARKERS, "a gap beyond the budget is no doubt",
        "self._findings.note(Doubt.BUDGET)\n            self._findings.note(Doubt.GAP)", "pass",
    ),
    _changed(Rule.BUDGET, _PROOF, "no budget is ever spent", "return self.reads > self._limit", "return False"),
    _changed(Rule.BUDGET, _PROOF, "every budget is spent", "return self.reads > self._limit", "return True"),
    _changed(
        Rule.BUDGET, _PROOF, "no reading is ever too much",
        "return self.reads > min(_UNREPAIRED * self._limit + _UNREPAIRED_READS, sensible)", "return False",
    ),
    _changed(
        Rule.BUDGET, _PROOF, "growth is held against the budget",
        "self._plain_reads = max(self._plain_reads, min(wanted, self._most_plain_reads))", "pass",
    ),
    _changed(Rule.BUDGET, _PROOF, "repairs are not counted", "self.repairs += repair", "pass"),
    # --- what is handed out ------------------------------------------------------------------------------------------
    _changed(
        Rule.BOUND, _READER, "pages that wait do not count",
        "self._in_flight + len(self._held) >= self._concurrency", "self._in_flight >= self._concurrency",
    ),
    _changed(
        Rule.BOUND, _READER, "a page that waits counts half",
        "self._in_flight + len(self._held) >= self._concurrency",
        "self._in_flight + len(self._held) // 2 >= self._concurrency",
    ),
    _changed(
        Rule.FIRST_SIGHTING, _SEEN, "a row that is known is new again",
        "if batch is self.fresh:", "if True:",
        "return list(values[len(self.places) :])", "return list(values)",
    ),
    _changed(
        Rule.FIRST_SIGHTING, _SEEN, "no row has ever changed",
        "return self.digests is not None and self.digests[place] != hash(content)", "return False",
    ),
    _changed(
        Rule.FIRST_SIGHTING, _SCAN, "rows of a read that does not count are handed out",
        "if not walker.walk.judge(ticket, keys):\n            return []", "walker.walk.judge(ticket, keys)",
    ),
    _changed(
        Rule.MEMORY, _SEEN, "what was not seen for long is forgotten never",
        "while self._latest and self._latest[0].seen_in < oldest:", "while False:",
    ),
    _changed(
        Rule.MEMORY, _SEEN, "neighbours are forgotten at once",
        "oldest = self._read - (self.reads or 0)", "oldest = self._read",
    ),
    _changed(
        Rule.MEMORY, _PAGES, "the rows at the end are forgotten before the closing read at the tail",
        "self._chain.hold()", "pass",
    ),
    _changed(
        Rule.MEMORY, _MARKERS, "the rows at the end are forgotten before the closing read at the tail",
        "self._chain.hold()", "pass",
    ),
    _changed(
        Rule.MEMORY, _PAGES, "rows that were forgotten in the body are no doubt",
        "if self._chain.may_forget(self._pace.overlap + self._pace.back if self._pace.back else 0):", "if False:",
    ),
    _changed(
        Rule.MEMORY, _PAGES, "rows that were forgotten at the head are no doubt",
        "if self._chain.may_forget(self._head_known):", "if False:",
    ),
    _changed(
        Rule.MEMORY, _MARKERS, "rows that were forgotten at the head are no doubt",
        "if self._chain.may_forget(self._head_known):", "if False:",
    ),
    # --- the verdict -------------------------------------------------------------------------------------------------
    _changed(Rule.VERDICT, _SCAN, "a break counts as finished", "if not self._finished:", "if False:"),
    _changed(
        Rule.VERDICT, _SCAN, "finished before the last page",
        "rows = self._take(walker, ticket)", "self._finished = True\n                rows = self._take(walker, ticket)",
    ),
    _changed(
        Rule.VERDICT, _SCAN, "a collected error is still certified",
        "if self._errors:\n            return", "if False:\n            return",
    ),
    _changed(
        Rule.VERDICT, _SCAN, "a bad row that was collected is still certified",
        "self._counts.bad_rows += 1\n        self._collect(walker, error)", "self._counts.bad_rows += 1",
    ),
    _changed(
        Rule.VERDICT, _SCAN, "doubts are ignored",
        "return (Verdict.UNCERTAIN if doubts else Verdict.CERTIFIED), tuple(doubts)",
        "return Verdict.CERTIFIED, tuple(doubts)",
    ),
    _changed(
        Rule.VERDICT, _SCAN, "only the first walk's doubts count",
        "for walker in self._walkers for doubt in walker.findings.doubts}",
        "for walker in self._walkers[:1] for doubt in walker.findings.doubts}",
    ),
    _changed(
        Rule.VERDICT, _SCAN, "what nobody asked for is certified",
        "if not self._options.proof.certify:\n            return", "if False:\n            return",
    ),
    _changed(
        Rule.VERDICT, _READER, "a walk that failed ends the others without an error",
        "self._fatal = self._fatal or error", "self._active.clear()",
    ),
)
# fmt: on
