"""Which of two versions is the later one, as far as their texts tell.

Neither vendor orders versions, and makers write them in many ways. So the order is told only where nearly all of them
agree, and otherwise it is not guessed: a device that is wrongly said to be rolled back costs somebody a night.

Case, a leading ``v`` and everything from a ``+`` on (a build's own mark) are left aside. The rest is cut at
``. - _ / :`` and spaces into parts, which are compared one by one. The first that differ decide:

- two numbers (``9`` and ``10``), or two parts that differ in their number alone (``rc2`` and ``rc10``; ``2k`` and
  ``3k``): the larger number is the later version;
- a mark of a version before the final one (``dev``, ``alpha``, ``beta``, ``rc`` and the like, with a number or not)
  against nothing, or against one of a later stage: it is the earlier version;
- a number against nothing (``1.2`` and ``1.2.1``): the longer version is the later one; zeros alone make no difference;
- anything else, such as the digits of a hash: not told.
"""

import re
from itertools import zip_longest
from typing import Final

import attrs

__all__ = ["later_of"]

_CUTS: Final = re.compile(r"[.\-_/:\s]+")
_PART: Final = re.compile(r"([a-z]*)([0-9]*)([a-z]?)\Z")
_STAGES: Final = {
    **dict.fromkeys(("dev", "snapshot", "nightly"), 0),
    **dict.fromkeys(("a", "alpha"), 1),
    **dict.fromkeys(("b", "beta"), 2),
    **dict.fromkeys(("c", "pre", "preview", "rc"), 3),
}
_FINAL: Final = 4


@attrs.frozen
class _Part:
    before: str
    digits: str
    after: str

    @property
    def number(self) -> tuple[int, str]:
        """Its number, for comparison; the digits may be too many for an integer."""
        digits = self.digits.lstrip("0")
        return len(digits), digits

    @property
    def stage(self) -> int | None:
        """How far before the final version it stands; ``None`` for what is no such mark."""
        return _STAGES.get(self.before) if self.before and not self.after else None

    @property
    def is_number(self) -> bool:
        """Whether it is digits and nothing else."""
        return bool(self.digits) and not self.before and not self.after


def later_of(one: str, other: str) -> int:
    """Return 1 where the first version is the later one, -1 where the second is, and 0 where that is not told."""
    for mine, its in zip_longest(_parts(one), _parts(other)):
        decided = _decided(mine, its) if mine != its else 0
        if decided is None:
            return 0
        if decided:
            return decided
    return 0


def _parts(version: str) -> list[str]:
    text = version.strip().lower().partition("+")[0]
    return [part for part in _CUTS.split(text.removeprefix("v")) if part]


def _decided(mine: str | None, its: str | None) -> int | None:
    """Return the order of the first parts that differ; 0 to go on with the next ones, ``None`` where it is not told."""
    if mine is None or its is None:
        return _against_nothing(mine or "") if its is None else _reversed(_against_nothing(its))
    one, other = _part(mine), _part(its)
    if one is None or other is None:
        return None
    if (one.before, one.after) == (other.before, other.after):
        return (one.number > other.number) - (one.number < other.number)
    if one.stage is not None and other.stage is not None and one.stage != other.stage:
        return 1 if one.stage > other.stage else -1
    return None


def _against_nothing(part: str) -> int | None:
    found = _part(part)
    if found is None:
        return None
    if found.is_number:
        return 1 if found.number[0] else 0
    return None if found.stage is None else -1


def _reversed(order: int | None) -> int | None:
    return None if order is None else -order


def _part(text: str) -> _Part | None:
    match = _PART.match(text)
    return None if match is None else _Part(*match.groups())
