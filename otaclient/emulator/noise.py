"""Seeded noise that is the same on every machine and every Python: the simulated fleet is drawn from it."""

import hashlib
from collections.abc import Sequence

__all__ = ["Noise", "weighted_table"]

_DIGEST_BYTES = 8


class Noise:
    """Named streams of pseudo-random bytes; what one name gives never depends on what another was asked."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def stream(self, name: str, length: int) -> bytes:
        """Return ``length`` bytes; a longer request of the same name begins with the shorter one."""
        return hashlib.shake_256(f"{self._seed}/{name}".encode()).digest(length)

    def number(self, name: str, bound: int) -> int:
        """Return a whole number in ``[0, bound)``."""
        return int.from_bytes(self.stream(name, _DIGEST_BYTES), "little") % bound

    def hexadecimal(self, name: str, digits: int) -> str:
        """Return lower-case hexadecimal digits."""
        return self.stream(name, (digits + 1) // 2).hex()[:digits]


def weighted_table(weights: Sequence[int]) -> bytes:
    """Return a table for ``bytes.translate`` that turns uniform bytes into indices with about these frequencies.

    Every index gets at least one of the 256 places, however small its weight. Whole numbers keep the table exact.
    """
    total = sum(weights)
    spare = 256 - len(weights)
    places = [1 + spare * weight // total for weight in weights]
    places[max(range(len(weights)), key=weights.__getitem__)] += 256 - sum(places)
    return b"".join(bytes([index]) * count for index, count in enumerate(places))
