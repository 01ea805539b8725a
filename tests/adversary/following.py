"""Walks whose answers come in the order in which they were asked for, from a vendor that a check makes up."""

from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

import attrs

from otaclient.reads import Markers, PageFacts, PageNumbers, PageWindow, Paging, Window

__all__ = [
    "BOTH",
    "MARKERS",
    "PAGES",
    "Before",
    "Change",
    "EndlessError",
    "Followed",
    "Listing",
    "answer_of",
    "falling",
    "follow",
    "walk_of",
]

PAGES = PageNumbers(largest_page=40, default_page=40)
MARKERS = Markers(largest_page=20, default_page=20, largest_offset=100)
BOTH = (PAGES, MARKERS)


class EndlessError(Exception):
    """A walk asks for more than it can need."""


@attrs.define
class Followed:
    """What came of a walk."""

    windows: list[Window]
    seen: list[int]
    counts: dict[str, int]
    repairs: int

    @property
    def doubts(self) -> set[str]:
        """The names of the doubts."""
        return set(self.counts)

    @property
    def certified(self) -> bool:
        """Whether there is no doubt."""
        return not self.counts


Listing = list[int]
Before = Callable[[int, Listing], None]
"""Changes what is listed before the nth answer, from 1."""
Change = Callable[[int, Window, Listing, PageFacts], tuple[Listing, PageFacts]]
"""Changes the nth answer."""


def walk_of(
    code: Any, paging: Paging, *, concurrency: int, budget: float = 2.0, memory: int | None = None
) -> tuple[Any, Any]:
    """Return a certified walk, and its findings; with a negative budget, no repair is allowed."""
    kind = code.proof.Findings if budget >= 0 else type("Spent", (code.proof.Findings,), {"is_spent": True})
    findings = kind(max(0.0, budget))
    chain = code.chain.Chain(code.sightings.Sightings(memory))
    if isinstance(paging, PageNumbers):
        return code.certified_pages.CertifiedPageWalk(paging, chain, findings, concurrency=concurrency), findings
    return code.certified_markers.CertifiedMarkerWalk(paging, chain, findings, concurrency=concurrency), findings


def answer_of(rows: Listing, window: Window) -> tuple[Listing, PageFacts]:
    """Return what an honest vendor answers; rows are listed in falling order, or as they stand where pages count."""
    if isinstance(window, PageWindow):
        found = rows[(window.number - 1) * window.size : window.number * window.size]
        return found, PageFacts(rows=len(found), total=len(rows), number=window.number, size=window.size)
    below = [row for row in rows if window.marker is None or row < int(window.marker, 16)]
    found = below[window.offset : window.offset + window.size]
    return found, PageFacts(rows=len(found), total=len(rows), marker=f"{found[-1]:024x}" if found else None)


def follow(
    code: Any,
    paging: Paging,
    rows: Sequence[int],
    *,
    before: Before = lambda _number, _rows: None,
    change: Change = lambda _number, _window, found, facts: (found, facts),
    concurrency: int = 1,
    budget: float = 2.0,
    memory: int | None = None,
    most: int = 400,
    on_flight: Callable[[int], None] = lambda _flight: None,
) -> Followed:
    """Run a walk whose answers come in the order in which they were asked for."""
    walk, findings = walk_of(code, paging, concurrency=concurrency, budget=budget, memory=memory)
    listed = list(rows)
    windows: list[Window] = []
    seen: list[int] = []
    waiting: deque[tuple[Any, Listing, PageFacts]] = deque()
    while not walk.finished:
        while (ticket := walk.ready()) is not None:
            windows.append(ticket.window)
            if len(windows) > most:
                raise EndlessError
            before(len(windows), listed)
            waiting.append((ticket, *change(len(windows), ticket.window, *answer_of(listed, ticket.window))))
        assert waiting, "a walk that is not finished has something to read"
        on_flight(sum(not waits.dropped for waits, _, _ in waiting))
        ticket, found, facts = waiting.popleft()
        if ticket.dropped:
            continue
        ticket.raw = True
        ticket.facts = facts if walk.wants_facts(ticket) else None
        walk.arrived(ticket)
        ticket.facts = facts
        assert walk.next_arrived() is ticket
        if walk.judge(ticket, [str(row) for row in found]):
            seen.extend(found)
    counts = {doubt.name: count for doubt, count in findings.doubts.items()}
    return Followed(windows, seen, counts, findings.repairs)


def falling(count: int) -> Listing:
    """Return rows as they are listed: the newest first."""
    return list(range(count, 0, -1))
