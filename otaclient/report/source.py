"""What a report says of a file itself, and how far its numbers can be trusted, in plain words."""

from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

import attrs

from otaclient.export import ScanFile, Stamp, stamp_path
from otaclient.fleet.ledger import Certificate, Verdict

__all__ = ["Source", "Trust", "comparison_doubts", "trust_in"]

_MOST_REASONS: Final = 10


@attrs.frozen(kw_only=True)
class Source:
    """A file that a report is about."""

    name: str
    written_at: datetime | None = None
    certificate: Certificate | None = None
    altered: bool = False
    """Whether the content is not the one that the certificate speaks of."""
    stamp_name: str | None = None
    """The name of the file in which the certificate should lie; ``None`` where it is in the file itself."""

    @classmethod
    def of(cls, file: ScanFile) -> "Source":
        """Return what is to be said of a file."""
        stamp: Stamp | None = file.stamp
        inside = stamp is not None and stamp.sha256 is None
        return cls(
            name=file.path.name,
            written_at=file.written_at,
            certificate=file.certificate,
            altered=file.altered,
            stamp_name=None if inside else stamp_path(file.path).name,
        )

    @property
    def when(self) -> str:
        """When its scan ended, in words."""
        if self.written_at is None:
            return "at a time that is not known"
        return f"{self.written_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"

    @property
    def is_certified(self) -> bool:
        """Whether it is proved that no device is missing."""
        return self.certificate is not None and not self.altered and self.certificate.verdict is Verdict.CERTIFIED


class Tone(StrEnum):
    """How a statement is to be shown."""

    GOOD = "good"
    BAD = "bad"


@attrs.frozen(kw_only=True)
class Trust:
    """How far a file can be trusted, in plain words."""

    tone: Tone
    headline: str
    sentences: Sequence[str]
    reasons: Sequence[str] = ()


def trust_in(source: Source) -> Trust:
    """Return, in plain words, what the certificate of a file says, or that there is none."""
    certificate = source.certificate
    if certificate is None:
        return Trust(
            tone=Tone.BAD,
            headline="NO CERTIFICATE: devices may be missing",
            sentences=(
                (
                    f"Nothing was stored with {source.name} that says how its devices were read, so nobody can "
                    "tell whether some were missed."
                ),
                (
                    f"'otaclient devices scan --out' stores a certificate; for this file it would be "
                    f"{source.stamp_name}, beside it. Was it left behind when the file was moved?"
                ),
            ),
        )
    if source.altered:
        return Trust(
            tone=Tone.BAD,
            headline="THE CERTIFICATE IS NOT OF THIS CONTENT: devices may be missing or wrong",
            sentences=(
                (
                    f"{source.name} is not what was written together with {source.stamp_name}: it was edited, saved by "
                    "another program, or replaced since. The certificate proves nothing about it."
                ),
            ),
        )
    return _TRUST[certificate.verdict](certificate)


def _certified(certificate: Certificate) -> Trust:
    return Trust(
        tone=Tone.GOOD,
        headline="Certified: no device was missed",
        sentences=(
            (
                "Every device that the vendor listed from the beginning to the end of the scan, and that matches what "
                "was asked for, is in the file, once. One that was added or removed in the "
                f"{_duration(certificate)} of the scan may be in it or not."
            ),
            *_bad_rows(certificate),
        ),
    )


def _uncertain(certificate: Certificate) -> Trust:
    more = len(certificate.reasons) - _MOST_REASONS
    return Trust(
        tone=Tone.BAD,
        headline="UNCERTAIN: devices may be missing",
        sentences=(
            (
                "The scan could not prove that it saw every device. What is in the file was read from the vendor; how "
                "much is missing, if anything, is not known. Scan again before you act on what is not here."
            ),
            *_bad_rows(certificate),
        ),
        reasons=(*certificate.reasons[:_MOST_REASONS], *([f"and {more:,} more reasons"] if more > 0 else [])),
    )


def _unproved(certificate: Certificate) -> Trust:
    return Trust(
        tone=Tone.BAD,
        headline="NOT PROVED: devices may be missing",
        sentences=(
            (
                "The whole listing was read, but whoever ran the scan asked for no proof: a device that moved to "
                "another page while it was read may be missing."
            ),
            *_bad_rows(certificate),
        ),
    )


_TRUST: Final = {Verdict.CERTIFIED: _certified, Verdict.UNCERTAIN: _uncertain, Verdict.UNPROVED: _unproved}


def _bad_rows(certificate: Certificate) -> Sequence[str]:
    if not certificate.bad_rows:
        return ()
    return (f"{certificate.bad_rows:,} rows could not be read and are not in the file.",)


def _duration(certificate: Certificate) -> str:
    seconds = certificate.seconds
    return f"{seconds:,.1f} seconds" if seconds < 120 else f"{seconds / 60:,.0f} minutes"


def comparison_doubts(earlier: Source, later: Source, *, repeated: int) -> tuple[str, ...]:
    """Return, in plain words, why a comparison of two files may be wrong; nothing where it is not."""
    doubts: list[str] = []
    if not later.is_certified:
        doubts.append(
            f"{later.name} is not certified. A device counted as vanished may still be there: it may merely be missing "
            "in the file."
        )
    if not earlier.is_certified:
        doubts.append(
            f"{earlier.name} is not certified. A device counted as appeared may have been there before: it may merely "
            "be missing in that file."
        )
    if _questions(earlier) != _questions(later):
        doubts.append(
            "The two files do not answer the same question (backends, products, filters). Devices may count as "
            "appeared or vanished only because one of the scans did not ask for them."
        )
    if repeated:
        doubts.append(f"{repeated:,} rows name a device that the same file named before; they are left out here.")
    return tuple(doubts)


def _questions(source: Source) -> frozenset[tuple[str, str]]:
    parts = () if source.certificate is None else source.certificate.parts
    return frozenset((part.backend, part.query) for part in parts)
