"""The rows that a scan has seen: which are new, which were seen where, and whether they have changed since.

A row is remembered once, by its key, and belongs to the batch of new rows of the read that saw it first. Its place in
that batch stands for its place in the order of the listing (:mod:`otaclient.fleet.chain`), and beside it lies a short
digest of what the row said. So a remembered device costs a key, an entry in one dictionary, and 12 bytes.
"""

import sys
from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import repeat
from operator import attrgetter
from typing import Any, Final, TypeVar

import attrs

from otaclient.models import DeviceTask, DeviceUpgrade

__all__ = ["Batch", "Look", "Sightings", "content_of"]

_T = TypeVar("_T")

_CONTENT: Final[dict[type[Any], Callable[[Any], Hashable]]] = {
    DeviceUpgrade: attrgetter("firmware_version", "software_version", "upgrading"),
    DeviceTask: attrgetter("vendor_status", "progress_percent", "failure", "from_version", "to_version", "updated_at"),
}
"""What counts as a change of a row: that of its versions and its state, not of its connection."""
_HALF: Final = 0xFFFF_FFFF
"""What is kept of a hash: one change in four thousand million goes uncounted, and a million devices cost 4 MB less."""
_LOWER: Final = 0 if sys.byteorder == "little" else 1


def content_of(rows: Sequence[Any]) -> Callable[[Any], Hashable]:
    """Return the function that gives what counts as a change of rows of this kind."""
    return _CONTENT.get(rows[0].__class__, _whole) if rows else _whole


def _whole(row: Any) -> Hashable:
    content: Hashable = row
    return content


@attrs.define(kw_only=True, eq=False)
class Batch:
    """The rows that one read saw first, in its order."""

    keys: Sequence[str] = ()
    owner: object = None
    """The chain that they joined; ``None`` where nothing is proved."""
    first_rank: int = 0
    ranks: Sequence[int] | None = None
    """The rank of each row; ``None`` where they go up by one from ``first_rank``."""
    digests: "array[int] | None" = None
    withheld: set[int] = attrs.field(factory=set[int])
    """The places of rows that no target has wanted so far, where another one may."""
    seen_by: object = None
    """The target whose read saw them first."""
    seen_in: int = 0
    """The number of the read that showed one of them last."""

    def rank(self, place: int) -> int:
        """Return the rank of the row at a place of the batch."""
        return self.first_rank + place if self.ranks is None else self.ranks[place]

    def has_changed(self, place: int, content: Hashable) -> bool:
        """Tell whether a row now says something else than at first."""
        return self.digests is not None and self.digests[place] != hash(content) & _HALF

    def remember(self, contents: Iterable[Hashable]) -> None:
        """Keep a digest of what each row said."""
        # An array grows slowly, item by item; a list it takes at once. Half of each hash is dropped in one stroke, too.
        halves = memoryview(array("q", list(map(hash, contents)))).cast("B").cast("I")
        self.digests = array("I", halves[_LOWER::2].tobytes())


@attrs.frozen(eq=False)
class Look:
    """What is known about the rows of one read."""

    keys: Sequence[str]
    batches: Sequence[Batch]
    """To which batch each belongs."""
    fresh: Batch
    """The batch of those that are new."""
    places: Sequence[int]
    """For the rows that are known, in their order: the place in its batch."""
    repeated: bool
    """Whether a key comes twice."""

    @property
    def known(self) -> Iterable[tuple[int, Batch, int]]:
        """Return, for each row that is known, its place in the read, its batch and its place there."""
        rows: Iterable[tuple[int, Batch]] = enumerate(self.batches)
        if not self._new_rows_follow:
            rows = ((place, batch) for place, batch in rows if batch is not self.fresh)
        return ((place, batch, there) for (place, batch), there in zip(rows, self.places, strict=False))

    def new(self, values: Sequence[_T]) -> list[_T]:
        """Return those of one value a row that belong to new rows; of a key that comes twice, the first."""
        if self._new_rows_follow and not self.repeated:
            return list(values[len(self.places) :])
        new: dict[str, _T] = {}
        for key, value, batch in zip(self.keys, values, self.batches, strict=True):
            if batch is self.fresh:
                new.setdefault(key, value)
        return list(new.values())

    @property
    def _new_rows_follow(self) -> bool:
        return self.fresh not in self.batches[: len(self.places)]


class Sightings:
    """Remembers rows by their keys.

    Args:
        reads: Remember what the latest so many reads showed, besides what is kept for good; ``None`` for everything.
            A few are enough to tell the duplicates that shifting pages make, which are near each other.
    """

    def __init__(self, reads: int | None = None) -> None:
        self._of: dict[str, Batch] = {}
        self.reads = reads
        self._read = 0
        self._kept = self._held = 0
        self.has_forgotten = False
        """Whether a row that was seen is no longer remembered."""
        self.is_shared = False
        """Whether rows were seen that another target had seen before."""
        self._latest: deque[Batch] = deque()
        self._looked: Look | None = None
        self._is_open = False

    def another(self) -> "Sightings":
        """Return an empty one of the same kind."""
        return Sightings(self.reads)

    def look(self, keys: Sequence[str]) -> Look:
        """Return what is known about the rows of a read; free of charge when asked again.

        The new ones are remembered at once, which spares a second search for each, and forgotten with the next look
        unless they are settled.
        """
        if self._looked is None or self._looked.keys is not keys:
            self._forget_open()
            fresh, before = Batch(), len(self._of)
            batches = list(map(self._of.setdefault, keys, repeat(fresh)))
            new = batches.count(fresh)
            places = _places(keys, batches, fresh, known=len(keys) - new)
            repeated = len(self._of) - before < new or (bool(places) and len(set(keys)) < len(keys))
            if self.reads is not None:
                self._turn(batches, fresh)
            self._looked, self._is_open = Look(keys, batches, fresh, places, repeated), new > 0
        return self._looked

    def settle(self, look: Look, *, keep: bool = False) -> None:
        """Remember the new rows of the last look; with ``keep``, whatever comes after them."""
        look.fresh.keys = look.new(look.keys)
        self._is_open = False
        if keep:
            self._kept += len(look.fresh.keys)
        elif self.reads is not None:
            look.fresh.seen_in = self._read
            self._latest.append(look.fresh)

    def hold(self) -> None:
        """Keep for good what is remembered of the latest reads."""
        self._held += sum(len(batch.keys) for batch in self._latest)
        self._latest.clear()

    def may_forget(self, rows: int) -> bool:
        """Tell whether more than a safe share of so many rows, back from the latest or on from the first, is gone."""
        latest = self._held + sum(len(batch.keys) for batch in self._latest)
        return self.has_forgotten and rows > max(self._kept, latest) // 2

    def _forget_open(self) -> None:
        if self._is_open and self._looked is not None:
            for key in self._looked.new(self._looked.keys):
                del self._of[key]
        self._is_open = False

    def _turn(self, batches: Sequence[Batch], fresh: Batch) -> None:
        """Take in the next read, and forget what was not seen for long."""
        self._read += 1
        for batch in {*batches, fresh}:
            batch.seen_in = self._read
        oldest = self._read - (self.reads or 0)
        while self._latest and self._latest[0].seen_in < oldest:
            self.has_forgotten = True
            for key in self._latest.popleft().keys:
                del self._of[key]
        if self._latest and self._latest[0].seen_in == self._read:
            self._latest.rotate(-1)


def _places(keys: Sequence[str], batches: Sequence[Batch], fresh: Batch, *, known: int) -> Sequence[int]:
    """Return the place of each known row in its batch."""
    if not known:
        return ()
    # As a rule the first rows are the last ones of the read before.
    batch = batches[0]
    if batch is not fresh and batches[:known].count(batch) == known and batch.keys[-known:] == keys[:known]:
        return range(len(batch.keys) - known, len(batch.keys))
    tables: dict[int, dict[str, int]] = {}
    places: list[int] = []
    for key, found in zip(keys, batches, strict=True):
        if found is fresh:
            continue
        table = tables.get(id(found))
        if table is None:
            table = tables[id(found)] = {key: place for place, key in enumerate(found.keys)}
        places.append(table[key])
    return places
