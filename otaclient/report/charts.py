"""Charts as inline SVG: widths are shares of the room there is, so that they fit a phone as well as paper."""

from collections.abc import Sequence
from typing import Final

import attrs

from otaclient.report.text import shown

__all__ = ["Slice", "key", "share_bar", "stacked_bar"]

_HEIGHT: Final = 26
_LONGEST_LABEL: Final = 200
_NARROWEST_NUMBERED: Final = 0.04
# White letters on these colours, black ones on the others: whichever is easier to read.
_DARK: Final = frozenset({"c0", "c2", "c5"})


@attrs.frozen
class Slice:
    """A part of a bar."""

    count: int
    colour: str
    """The class that gives it its colour."""
    number: str
    """What stands in it where there is room, and beside its row in the table: colours alone are not for everybody."""


def stacked_bar(slices: Sequence[Slice], *, about: str) -> str:
    """Return a bar of parts that together are everything."""
    total = sum(part.count for part in slices)
    pieces: list[str] = []
    place = 0.0
    for part in slices:
        share = part.count / total if total else 0.0
        pieces.append(f'<rect class="{part.colour}" x="{place:.2%}" width="{share:.2%}" height="{_HEIGHT}"/>')
        if share >= _NARROWEST_NUMBERED:
            light = ' class="l"' if part.colour in _DARK else ""
            pieces.append(f'<text{light} x="{place + share / 2:.2%}" y="18">{shown(part.number)}</text>')
        place += share
    label = shown(about, longest=_LONGEST_LABEL)
    return f'<svg class="bar" role="img" aria-label="{label}" width="100%" height="{_HEIGHT}">{"".join(pieces)}</svg>'


def share_bar(count: int, of: int, *, colour: str) -> str:
    """Return a thin bar for one number beside others; the number itself stands in the table."""
    share = count / of if of else 0.0
    return (
        '<svg aria-hidden="true" width="100%" height="10"><rect class="track" width="100%" height="10"/>'
        f'<rect class="{colour}" width="{share:.2%}" height="10"/></svg>'
    )


def key(colour: str) -> str:
    """Return a small square in a colour, for the row of a table that a part of a bar belongs to."""
    square = 'width="12" height="12"'
    return f'<svg class="key" aria-hidden="true" {square}><rect class="{colour}" {square}/></svg>'
