"""Values as people read them, in one cell or line that steers no terminal."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

__all__ = ["ago", "plain", "plain_lines", "shown"]

_SECONDS: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))
_LONGEST: Final = timedelta(days=30)
"""Nobody counts back 200 days: what is farther away is told by its date."""


def plain(text: str) -> str:
    """Return text that is one line and moves no cursor: a vendor's text must not steer the terminal."""
    if text.isprintable():
        return text
    return "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)


def plain_lines(text: str) -> str:
    """Return text of ours in several lines, in which what others said steers nothing."""
    return "\n".join(map(plain, text.split("\n")))


def shown(value: Any, *, now: datetime | None = None) -> str:
    """Return a value as people read it; nothing for what is not known.

    Args:
        value: The value of a field.
        now: The present, for whoever looks at once: instants are told by how long ago they were.
    """
    if value is None or value == ():
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, datetime):
        return _instant(value, now)
    if isinstance(value, tuple):
        return ", ".join(shown(inner, now=now) for inner in cast(Sequence[Any], value))
    return plain(str(value))


def _instant(instant: datetime, now: datetime | None) -> str:
    zoned = instant.astimezone(UTC)
    if now is None:
        return zoned.strftime("%Y-%m-%d %H:%M:%SZ")
    return ago(instant, now) or zoned.strftime("%Y-%m-%d")


def ago(instant: datetime, now: datetime) -> str | None:
    """Return an instant as seen from another, such as ``3 min ago`` or ``in 2 h``; ``None`` where it is far away."""
    distance = abs(now - instant)
    if distance >= _LONGEST:
        return None
    seconds = int(distance.total_seconds())
    for unit, length in _SECONDS:
        if seconds >= length:
            words = f"{seconds // length} {unit}"
            return f"{words} ago" if instant < now else f"in {words}"
    return "now"
