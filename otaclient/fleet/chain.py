"""The joined reads of one walk: which rows are known, in which order, and whether another read joins them.

The proof that a scan missed nothing is an induction over joined reads. Let X be a row that was listed throughout and is
in none of the joined reads so far; then X lies behind every row of each of them. The first read starts at row 0, so X
lies behind all of it. A read that shares a row Z with a joined read has X behind Z; it is a window without holes, so X
is in it, or behind all of it. When a joined read reaches the end, nothing is behind it: there is no such X. All this
holds as long as two rows keep their order whenever both are listed, which is watched here along the whole chain.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise

import attrs

from otaclient.fleet.sightings import Sightings

__all__ = ["SAFE_JOIN_ROWS", "Chain", "Match"]

# One shared row proves as much as two; two in the same order also show that the order held between the reads.
SAFE_JOIN_ROWS = 2
# So many of the latest reads that did not join are held against those that come: enough for every repair of one gap.
_REFUSED_READS = 16


@attrs.frozen
class Match:
    """What a read has in common with the joined reads."""

    rows: int
    shared: int
    """How many of its rows are known."""
    at_anchor: int
    """How many of those belong to the last joined read, or stand behind it."""
    leading: int
    """How many new rows come before the first of those."""
    in_order: bool
    """Whether those stand in the order in which they are known, also from reads that did not join."""
    repeated: bool
    """Whether a key comes twice: then the read joins nothing."""
    tail_known: bool
    """Whether its last rows are known, as many as a safe join takes, and no closing read was the first to show them."""

    @property
    def joins(self) -> bool:
        """Whether the read is safely joined to the last one.

        Rows that jumped to the tail are shared as well: they belong to reads far before, or stand behind rows that are
        all new. Another order is a doubt of its own, but the reads are connected.
        """
        return self.at_anchor >= SAFE_JOIN_ROWS and self.leading <= self.at_anchor and not self.repeated

    @property
    def is_behind(self) -> bool:
        """Whether it only shows what is known, as when many rows have joined before it: nothing is missed, or won."""
        return self.shared == self.rows >= SAFE_JOIN_ROWS and not self.repeated

    @property
    def is_weak(self) -> bool:
        """Whether it is joined, but by a single row."""
        return self.at_anchor == 1 and not self.repeated


class Chain:
    """The rows of the joined reads, each with a rank: of two rows seen together, the earlier has no higher one.

    Args:
        sightings: Remembers the rows, perhaps for several chains.
    """

    def __init__(self, sightings: Sightings) -> None:
        self._sightings = sightings
        self._beside = sightings.another()  # the rows that another chain saw first, with their ranks in this one
        self._highest = -1
        self._size = 0
        self._frontier = 0  # the lowest rank in the read that reached farthest
        self._anchor = 0  # the lowest rank in the last read that was joined, which the next one has to meet
        self._refused: deque[dict[str, int]] = deque(maxlen=_REFUSED_READS)
        self._settled = 0
        self._joined_late: set[str] = set()

    @property
    def size(self) -> int:
        """How many rows were new when they were added."""
        return self._size

    @property
    def joined_late(self) -> int:
        """How many rows a closing read was the first to show."""
        return len(self._joined_late)

    def hold(self) -> None:
        """Remember the latest reads for good: the closing read at the tail has to meet them."""
        self._sightings.hold()

    def may_forget(self, rows: int) -> bool:
        """Tell whether so many rows back, or from the head on, some may have been forgotten."""
        return self._sightings.may_forget(rows)

    def match(self, keys: Sequence[str]) -> Match:
        """Return what a read has in common with the joined ones."""
        known = self._known(keys)
        tail = range(max(0, len(keys) - SAFE_JOIN_ROWS), len(keys))
        recent = [(number, place) for number, (place, rank) in enumerate(known) if rank >= self._anchor]
        return Match(
            rows=len(keys),
            shared=len(known),
            at_anchor=len(recent),
            leading=recent[0][1] - recent[0][0] if recent else 0,
            in_order=all(before <= behind for (_, before), (_, behind) in pairwise(known))
            and not any(map(partial(_in_another_order, keys), self._refused)),
            repeated=self._sightings.look(keys).repeated,
            tail_known=bool(tail)
            and [place for place, _ in known[-len(tail) :]] == list(tail)
            and self._joined_late.isdisjoint(keys[place] for place in tail),
        )

    def refuse(self, keys: Sequence[str]) -> None:
        """Take in that a read does not join: its rows do not count, but the order in which it showed them does."""
        places = {key: place for place, key in enumerate(keys)}
        if len(places) == len(keys):  # a read in which a row comes twice says nothing of an order
            self._refused.append(places)

    def add(self, keys: Sequence[str], *, at_head: bool = False, closing: bool = False) -> None:
        """Take in a joined read; one that begins at row 0, or behind such a one, is ``at_head``.

        After a ``closing`` read the walk goes on elsewhere: the next read need not meet this one.

        A new row between known ones gets the rank of the one before it, a new row before all known ones that of the one
        behind it: ranks may be equal, but never contradict what was seen. New rows behind the last known one extend the
        order, if the read overlaps the one that reached farthest; else they lie somewhere before its rows.
        """
        known = self._known(keys)
        last_known, last_rank = known[-1] if known else (-1, -1)
        lowest = rank = known[0][1] if known else self._highest + 1
        if at_head and not known:
            rank = -1
        new_keys: list[str] = []
        new_ranks: list[int] = []
        if last_known + 1 > len(known):
            ranks = dict(known)
            for place, key in enumerate(keys[: last_known + 1]):
                before = ranks.get(place)
                rank = rank if before is None else max(rank, before)
                if before is None:
                    new_keys.append(key)
                    new_ranks.append(rank)
        elif known:
            rank = max(rank for _, rank in known)
        tail = list(keys[last_known + 1 :])
        if closing:
            self._joined_late.update(new_keys, tail)
        extends = last_rank >= self._frontier if known else not at_head
        if not closing:
            self._anchor = rank if at_head and not known else lowest
        if extends:
            self._frontier = lowest
            self._highest += len(tail)
        if extends and not new_keys:
            self._remember(keys, tail, first_rank=self._highest - len(tail) + 1)
        else:
            behind = range(self._highest - len(tail) + 1, self._highest + 1) if extends else [rank] * len(tail)
            self._remember(keys, new_keys + tail, ranks=[*new_ranks, *behind])

    def _known(self, keys: Sequence[str]) -> list[tuple[int, int]]:
        """Return the rows that are known in this chain: their places in the read, and their ranks."""
        known: list[tuple[int, int]] = []
        for place, batch, there in self._sightings.look(keys).known:
            rank = batch.rank(there) if batch.owner is self else self._rank_beside(keys[place])
            if rank is not None:
                known.append((place, rank))
        return known

    def _rank_beside(self, key: str) -> int | None:
        return next((batch.rank(there) for _, batch, there in self._beside.look([key]).known), None)

    def _remember(
        self, read: Sequence[str], new: list[str], *, first_rank: int = 0, ranks: Sequence[int] | None = None
    ) -> None:
        if not new:
            return
        keep, self._settled = self._settled < (self._sightings.reads or 0), self._settled + 1
        look = self._sightings.look(read)
        look.fresh.owner = self
        self._size += len(set(new)) if look.repeated else len(new)
        foreign = {read[place] for place, batch, _ in look.known if batch.owner is not self}
        if look.repeated or not foreign.isdisjoint(new):
            ranked = dict(zip(new, ranks or range(first_rank, first_rank + len(new)), strict=True))
            ranks = [ranked[key] for key in look.new(read)]
            self._remember_beside({key: rank for key, rank in ranked.items() if key in foreign}, keep=keep)
        look.fresh.first_rank, look.fresh.ranks = first_rank, ranks
        self._sightings.settle(look, keep=keep)

    def _remember_beside(self, ranked: dict[str, int], *, keep: bool) -> None:
        look = self._beside.look(list(ranked))
        look.fresh.ranks = list(ranked.values())
        self._beside.settle(look, keep=keep)


def _in_another_order(keys: Sequence[str], places: Mapping[str, int]) -> bool:
    """Tell whether rows stand otherwise than they stood in another read."""
    shared = [places[key] for key in keys if key in places]
    return any(before > behind for before, behind in pairwise(shared))
