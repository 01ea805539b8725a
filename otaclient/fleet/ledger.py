"""The certificate: what a scan proved and what it did not, and what it cost."""

from enum import StrEnum
from typing import Any

import attrs
import msgspec

from otaclient.counted import counted

__all__ = ["Certificate", "CertificatePart", "Verdict"]


class Verdict(StrEnum):
    """How much a scan's result can be trusted."""

    CERTIFIED = "certified"
    """Every row that was listed throughout was seen."""
    UNCERTAIN = "uncertain"
    """Something kept the proof from closing; the reasons say what."""
    UNPROVED = "unproved"
    """The whole listing was read, without a proof that no row moved past the reader."""


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
    """Rows left out because a filter that the vendor cannot apply did not match, of whichever target saw them."""
    duplicates: int
    """Rows seen again, most of them because neighbouring reads overlap for the proof."""
    changed: int
    """Those of them that differed from the first sighting."""
    bad_rows: int
    """Rows that were not as documented (with ``on_error="collect"``; else the first one is raised)."""
    reads: int
    """Pages consumed; not those that were dropped, because rows had moved, and read anew."""
    repairs: int
    """Reads made only to close a gap."""
    requests: int
    """Requests sent, repeats and those of dropped pages included; not those still under way when a scan is left."""
    retries: int
    throttles: int
    bytes: int
    """Of decompressed bodies."""
    seconds: float

    def __str__(self) -> str:
        head = f"{self.verdict.value}: {counted(self.devices, 'device')} in {self.seconds:.2f} s"
        reasons = "".join(f"\n  - {reason}" for reason in self.reasons)
        cost = (
            f"{counted(self.reads, 'page')}, {counted(self.requests, 'request')} "
            f"({counted(self.retries, 'retry', 'retries')}, {counted(self.throttles, 'throttle')}, "
            f"{counted(self.repairs, 'repair')}), {counted(self.bytes, 'byte')}"
        )
        rows = (
            f"{counted(self.duplicates, 'row')} seen again ({self.changed:,} changed), "
            f"{self.filtered:,} filtered here, {counted(self.bad_rows, 'bad row')}"
        )
        return f"{head}{reasons}\n  {cost}\n  {rows}"

    def to_json(self) -> str:
        """Return the certificate as indented JSON."""
        plain: dict[str, Any] = attrs.asdict(self)
        return msgspec.json.format(msgspec.json.encode(plain).decode(), indent=2)
