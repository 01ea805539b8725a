"""The rows that a scan has seen: which are new, which were seen where, and whether they have changed since.

A row is remembered once, by its key, and belongs to the batch of new rows of the read that saw it first. Its place in
that batch stands for its place in the order of the listing (:mod:`otaclient.fleet.chain`), and beside it lies a short
digest of what the row said. So a remembered device costs a key, an entry in one dictionary, and 16 bytes.
"""

from array import array
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Final, TypeVar

import attrs

from otaclient.models import DeviceTask, DeviceUpgrade

__all__ = ["Batch", "Look", "Sightings", "content_of"]

_T = TypeVar("_T")

_CONTENT: Final[dict[type, Callable[[Any], Hashable]]] = {
    DeviceUpgrade: attrgetter("firmware_version", "software_version", "upgrading", "vendor_connection"),
    DeviceTask: attrgetter("vendor_status", "progress_percent", "failure", "from_version", "to_version", "updated_at"),
}
"""What can change about a row; the rest belongs to its identity."""


def content_of(rows: Sequence[Any]) -> Callable[[Any], Hashable]:
    """Return the function that gives what can change about rows of this kind."""
    return _CONTENT.get(type(rows[0]), _whole) if rows else _whole


def _whole(row: Any) -> Hashable:
    content: Hashable = row
    return content


@attrs.define(kw_only=True, eq=False)
class Batch:
    """The rows that one read saw first, in its order."""

    keys: Sequence[str]
    owner: object = None
    """The chain that they joined; ``None`` where nothing is proved."""
    first_rank: int = 0
    ranks: Sequence[int] | None = None
    """The rank of each row; ``None`` where they go up by one from ``first_rank``."""
    digests: "array[int] | None" = None
    seen_in: int = 0
    """The number of the read that showed one of them last."""

    def rank(self, place: int) -> int:
        """Return the rank of the row at a place of the batch."""
        return self.first_rank + place if self.ranks is None else self.ranks[place]

    def has_changed(self, place: int, content: Hashable) -> bool:
        """Tell whether a row now says something else than at first."""
        return self.digests is not None and self.digests[place] != hash(content)

    def remember(self, contents: Iterable[Hashable]) -> None:
        """Keep a digest of what each row said."""
        self.digests = array("q", map(hash, contents))


@attrs.frozen(eq=False)
class Look:
    """What is known about the rows of one read."""

    keys: Sequence[str]
    batches: Sequence[Batch | None]
    """To which batch each belongs; ``None`` for a row that is new."""
    places: Sequence[int]
    """For the rows that are known, in their order: the place in its batch."""
    repeated: bool
    """Whether a key comes twice."""

    @property
    def known(self) -> Iterable[tuple[int, Batch, int]]:
        """Return, for each row that is known, its place in the read, its batch and its place there."""
        known = len(self.places)
        if None not in self.batches[:known]:
            found: Iterable[tuple[int, Batch | None]] = zip(range(known), self.batches, strict=False)
        else:
            found = ((place, batch) for place, batch in enumerate(self.batches) if batch is not None)
        return ((place, batch, there) for (place, batch), there in zip(found, self.places, strict=True) if batch)

    def new(self, values: Sequence[_T]) -> list[_T]:
        """Return those of one value a row that belong to new rows; of a key that comes twice, the first."""
        known = len(self.places)
        if None not in self.batches[:known] and not self.repeated:
            return list(values[known:])
        new: dict[str, _T] = {}
        for key, value, batch in zip(self.keys, values, self.batches, strict=True):
            if batch is None:
                new.setdefault(key, value)
        return list(new.values())


class Sightings:
    """Remembers rows by their keys.

    Args:
        reads: Remember what the latest so many reads showed, besides what is kept for good; ``None`` for everything.
            A few are enough to tell the duplicates that shifting pages make, which are near each other.
    """

    def __init__(self, reads: int | None = None) -> None:
        self._of: dict[str, Batch] = {}
        self._most = reads
        self._read = 0
        self._latest: deque[Batch] = deque()
        self._looked: Look | None = None
        self.newest: Batch | None = None

    def another(self) -> "Sightings":
        """Return an empty one of the same kind."""
        return Sightings(self._most)

    def look(self, keys: Sequence[str]) -> Look:
        """Return what is known about the rows of a read; free of charge when asked again before anything is added."""
        if self._looked is None or self._looked.keys is not keys:
            batches = list(map(self._of.get, keys))
            if self._most is not None:
                self._turn(batches)
            self._looked = Look(keys, batches, _places(keys, batches), repeated=len(set(keys)) != len(keys))
        return self._looked

    def add(self, batch: Batch, *, keep: bool = False) -> None:
        """Remember rows that are new, each once; with ``keep``, whatever comes after them."""
        self._looked = None
        self.newest = batch
        self._of.update(dict.fromkeys(batch.keys, batch))
        if self._most is None or keep:
            return
        batch.seen_in = self._read
        self._latest.append(batch)

    def _turn(self, batches: Sequence[Batch | None]) -> None:
        """Take in the next read, and forget what was not seen for long."""
        self._read += 1
        for batch in {*batches} - {None}:
            assert batch is not None
            batch.seen_in = self._read
        oldest = self._read - (self._most or 0)
        while self._latest and self._latest[0].seen_in < oldest:
            for key in self._latest.popleft().keys:
                del self._of[key]
        if self._latest and self._latest[0].seen_in == self._read:
            self._latest.rotate(-1)


def _places(keys: Sequence[str], batches: Sequence[Batch | None]) -> Sequence[int]:
    """Return the place of each known row in its batch."""
    known = len(batches) - batches.count(None)
    if not known:
        return ()
    batch = batches[0]
    # As a rule the first rows are the last ones of the read before.
    if batch is not None and batches[:known].count(batch) == known and batch.keys[-known:] == keys[:known]:
        return range(len(batch.keys) - known, len(batch.keys))
    tables: dict[int, dict[str, int]] = {}
    places: list[int] = []
    for key, found in zip(keys, batches, strict=True):
        if found is None:
            continue
        table = tables.get(id(found))
        if table is None:
            table = tables[id(found)] = {key: place for place, key in enumerate(found.keys)}
        places.append(table[key])
    return places
