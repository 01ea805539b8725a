"""What the place that output goes to can show: how wide it is, colours, and whether somebody looks at it right now."""

import os
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from shutil import get_terminal_size
from typing import Any, Final

import attrs

from otaclient.transport.clock import SYSTEM_CLOCK, Clock

__all__ = ["UNSEEN", "Screen", "Tone", "has_colours", "painted", "screen_of"]

_RESET: Final = "\x1b[0m"
_WITHOUT_COLOURS: Final = frozenset({"dumb", "unknown"})


class Tone(StrEnum):
    """A meaning that a terminal can show, and how it is switched on there."""

    HEADING = "\x1b[1m"
    FAINT = "\x1b[2m"
    BAD = "\x1b[31m"
    GOOD = "\x1b[32m"
    DOUBTFUL = "\x1b[33m"
    BUSY = "\x1b[36m"


@attrs.frozen(kw_only=True)
class Screen:
    """Where output goes."""

    width: int | None = None
    """How many cells a line has; ``None`` for as many as it takes."""
    colours: bool = False
    ascii_only: bool = False
    """Whether a line, or an ellipsis, would come as an escape."""
    now: datetime | None = None
    """The present, where somebody looks at once: ``3 min ago`` is of no use in a file."""

    def painted(self, text: str, tone: Tone | None) -> str:
        """Return text in a tone, where this can be shown."""
        return painted(text, tone) if self.colours and tone is not None else text


UNSEEN: Final = Screen()
"""A file, or another program."""


def screen_of(
    stream: Any, *, wide: bool = False, environ: Mapping[str, str] | None = None, clock: Clock = SYSTEM_CLOCK
) -> Screen:
    """Return what a stream shows; ``wide`` lets lines get as long as they are, beyond the edge of the terminal."""
    seen = Screen(colours=has_colours(stream, environ), ascii_only=_is_ascii_only(stream))
    if not stream.isatty():
        return seen
    return attrs.evolve(seen, width=None if wide else get_terminal_size().columns, now=clock.now())


def _is_ascii_only(stream: Any) -> bool:
    try:
        "─…".encode(getattr(stream, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        return True
    return False


def has_colours(stream: Any, environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether a stream takes colours: a terminal, unless ``NO_COLOR`` is set; anything, where ``FORCE_COLOR`` is.

    See https://no-color.org and https://force-color.org: both count when they are set and not empty.
    """
    variables = os.environ if environ is None else environ
    if variables.get("NO_COLOR"):
        return False
    if variables.get("FORCE_COLOR"):
        return True
    return bool(stream.isatty()) and variables.get("TERM", "").lower() not in _WITHOUT_COLOURS


def painted(text: str, tone: Tone) -> str:
    """Return text in a tone; blanks around it stay as they are."""
    body = text.strip()
    return text.replace(body, f"{tone.value}{body}{_RESET}", 1) if body else text
