"""What a scan saw, counted: duplicates, and the certificate that says what was proved and what was not."""

from collections import deque
from collections.abc import Hashable
from enum import StrEnum
from typing import Any, Protocol

import attrs
import msgspec

__all__ = [
    "Certificate",
    "CertificatePart",
    "ExactSightings",
    "NeighbourSightings",
    "Sighting",
    "Sightings",
    "Verdict",
]


class Verdict(StrEnum):
    """How much a scan's result can be trusted."""

    CERTIFIED = "certified"
    """Every row that was listed throughout was seen."""
    UNCERTAIN = "uncertain"
    """Something kept the proof from closing; the reasons say what."""
    UNPROVED = "unproved"
    """The whole listing was read, without a proof that no row moved past the reader."""


class Sighting(StrEnum):
    """What a row is to those seen before it."""

    FIRST = "first"
    AGAIN = "again"
    CHANGED = "changed"


class Sightings(Protocol):
    """Remembers rows, to tell first sightings from later ones."""

    def see(self, key: str, row: Hashable, /) -> Sighting:
        """Take in a row."""
        ...

    def turn_page(self) -> None:
        """Take in that a page ended."""
        ...


class ExactSightings:
    """Remembers every key: memory grows with the fleet, no duplicate passes."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def see(self, key: str, row: Hashable, /) -> Sighting:
        """Take in a row."""
        now = hash(row)
        before = self._seen.get(key)
        if before is None:
            self._seen[key] = now
            return Sighting.FIRST
        return Sighting.AGAIN if before == now else Sighting.CHANGED

    def turn_page(self) -> None:
        """Nothing: a page's end changes nothing here."""


class NeighbourSightings:
    """Remembers the last pages only: flat memory; finds the duplicates that shifting pages make, which are near."""

    def __init__(self, pages: int) -> None:
        self._pages: deque[dict[str, int]] = deque([{}], maxlen=pages)

    def see(self, key: str, row: Hashable, /) -> Sighting:
        """Take in a row."""
        now = hash(row)
        for page in reversed(self._pages):
            before = page.get(key)
            if before is not None:
                return Sighting.AGAIN if before == now else Sighting.CHANGED
        self._pages[-1][key] = now
        return Sighting.FIRST

    def turn_page(self) -> None:
        """Forget the oldest page."""
        self._pages.append({})


@attrs.frozen(kw_only=True)
class CertificatePart:
    """The share of one target in a certificate."""

    backend: str
    query: str
    finished: bool
    devices: int
    reads: int
    errors: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Certificate:
    """What a scan proved, what it did not, and what it cost. Prints as short text; :meth:`to_json` for files."""

    verdict: Verdict
    reasons: tuple[str, ...]
    """Why it is not ``certified``."""
    parts: tuple[CertificatePart, ...]
    devices: int
    """Rows handed to the caller: each device once."""
    filtered: int
    """Rows left out because a filter that the vendor cannot apply did not match."""
    duplicates: int
    """Rows seen again, most of them because neighbouring reads overlap for the proof."""
    changed: int
    """Those of them that differed from the first sighting."""
    bad_rows: int
    """Rows that were not as documented (with ``on_error="collect"``; else the first one is raised)."""
    reads: int
    """Pages consumed."""
    repairs: int
    """Reads made only to close a gap."""
    requests: int
    """Requests sent, repeats included."""
    retries: int
    throttles: int
    bytes: int
    """Of decompressed bodies."""
    seconds: float

    def __str__(self) -> str:
        head = f"{self.verdict.value}: {self.devices:,} devices in {self.seconds:.2f} s"
        reasons = "".join(f"\n  - {reason}" for reason in self.reasons)
        cost = (
            f"{self.reads:,} pages, {self.requests:,} requests ({self.retries:,} retries, "
            f"{self.throttles:,} throttles, {self.repairs:,} repairs), {self.bytes:,} bytes"
        )
        rows = (
            f"{self.duplicates:,} rows seen again ({self.changed:,} changed), {self.filtered:,} filtered here, "
            f"{self.bad_rows:,} bad rows"
        )
        return f"{head}{reasons}\n  {cost}\n  {rows}"

    def to_json(self) -> str:
        """Return the certificate as indented JSON."""
        plain: dict[str, Any] = attrs.asdict(self)
        return msgspec.json.format(msgspec.json.encode(plain).decode(), indent=2)
