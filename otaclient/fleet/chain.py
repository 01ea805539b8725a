"""The joined reads of one walk: which rows are known, in which order, and whether another read joins them.

The proof that a scan missed nothing is an induction over joined reads. Let X be a row that was listed throughout and is
in none of the joined reads so far; then X lies behind every row of each of them. The first read starts at row 0, so X
lies behind all of it. A read that shares a row Z with a joined read has X behind Z; it is a window without holes, so X
is in it, or behind all of it. When a joined read reaches the end, nothing is behind it: there is no such X. All this
holds as long as two rows keep their order whenever both are listed, which is watched here along the whole chain.
"""

from collections import deque
from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import attrs

__all__ = ["SAFE_JOIN_ROWS", "Chain", "ExactRanks", "Match", "NeighbourRanks", "Ranks"]

# One shared row proves as much as two; two in the same order also show that the order held between the reads.
SAFE_JOIN_ROWS = 2


@attrs.frozen
class Match:
    """What a read has in common with the joined reads."""

    shared: int
    """How many of its rows are known."""
    in_order: bool
    """Whether those stand in the order in which they are known."""
    repeated: bool
    """Whether a key comes twice: then the read joins nothing."""
    tail_known: bool
    """Whether its last rows are known, as many as a safe join takes."""

    @property
    def joins(self) -> bool:
        """Whether the read is safely joined; another order is a doubt of its own, but the reads are connected."""
        return self.shared >= SAFE_JOIN_ROWS and not self.repeated

    @property
    def is_weak(self) -> bool:
        """Whether it is joined, but by a single row."""
        return self.shared == 1 and not self.repeated


class Ranks(Protocol):
    """Remembers each row's place in the order."""

    def get(self, key: str, /) -> int | None:
        """Return a row's place, or ``None`` for a row that is not known (any more)."""
        ...

    def put(self, key: str, rank: int, /) -> None:
        """Remember a row."""
        ...

    def turn_page(self) -> None:
        """Take in that a read ended."""
        ...


class ExactRanks:
    """Remembers every row."""

    def __init__(self) -> None:
        self._ranks: dict[str, int] = {}
        self.get = self._ranks.get
        self.put = self._ranks.__setitem__

    def turn_page(self) -> None:
        """Nothing: a read's end changes nothing here."""


class NeighbourRanks:
    """Remembers the rows of the latest reads, and those of the first one, to which the closing read is joined."""

    def __init__(self, reads: int) -> None:
        self._first: dict[str, int] | None = None
        self._latest: deque[dict[str, int]] = deque([{}], maxlen=reads)

    def get(self, key: str, /) -> int | None:
        """Return a row's place, or ``None``."""
        for page in reversed(self._latest):
            rank = page.get(key)
            if rank is not None:
                return rank
        return None if self._first is None else self._first.get(key)

    def put(self, key: str, rank: int, /) -> None:
        """Remember a row for a while."""
        self._latest[-1][key] = rank

    def turn_page(self) -> None:
        """Forget the oldest read."""
        if self._first is None:
            self._first = self._latest[-1]
        self._latest.append({})


class Chain:
    """The rows of the joined reads, each with a rank: of two rows seen together, the earlier has no higher one."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._highest = -1
        self._size = 0
        self._frontier = 0  # the lowest rank in the read that reached farthest

    @property
    def size(self) -> int:
        """How many rows were new when they were added."""
        return self._size

    def match(self, keys: Sequence[str]) -> Match:
        """Return what a read has in common with the joined ones."""
        ranks = [self._ranks.get(key) for key in keys]
        known = [rank for rank in ranks if rank is not None]
        in_order = all(before <= behind for before, behind in pairwise(known))
        tail = ranks[-SAFE_JOIN_ROWS:]
        return Match(
            shared=len(known),
            in_order=in_order,
            repeated=len(set(keys)) != len(keys),
            tail_known=bool(tail) and None not in tail,
        )

    def add(self, keys: Sequence[str], *, at_head: bool = False) -> None:
        """Take in a joined read; one that begins at row 0, or behind such a one, is ``at_head``.

        A new row between known ones gets the rank of the one before it, a new row before all known ones that of the one
        behind it: ranks may be equal, but never contradict what was seen. New rows behind the last known one extend the
        order, if the read overlaps the one that reached farthest; else they lie somewhere before its rows.
        """
        ranks = [self._ranks.get(key) for key in keys]
        self._size += ranks.count(None)
        known = [(place, rank) for place, rank in enumerate(ranks) if rank is not None]
        last_known, last_rank = known[-1] if known else (-1, -1)
        lowest = rank = known[0][1] if known else self._highest + 1
        if at_head and not known:
            rank = -1
        for key, before in zip(keys[: last_known + 1], ranks, strict=False):
            rank = rank if before is None else max(rank, before)
            self._ranks.put(key, rank if before is None else before)
        extends = last_rank >= self._frontier if known else not at_head
        for key in keys[last_known + 1 :]:
            if extends:
                rank = self._highest = self._highest + 1
            self._ranks.put(key, rank)
        if extends:
            self._frontier = lowest
        self._ranks.turn_page()
