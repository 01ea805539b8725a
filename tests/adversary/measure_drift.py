"""What the proof costs, how often it closes, and how often it is wrong: tables in Markdown, from simulated vendors.

    PYTHONPATH=tests python tests/adversary/measure_drift.py [scans]      # 100 scans a line: about half an hour

Of fleets of 100,000 a fifth as many scans are made.

Rates are rows in the mean time of one answer; 32 reads in flight, answers of 50 to 150 % of the mean. Extra requests
are those beyond plain paging over as many rows as there were at the beginning. A wrong certificate is one under which a
row that was listed throughout was not seen. A scan that sends five times as many requests as plain paging
would is counted as one without an end; a line whose first scans all are is cut short.
"""

import random
import sys
from collections.abc import Sequence

import attrs

from otaclient.fleet.certified_markers import CertifiedMarkerWalk
from otaclient.fleet.certified_pages import CertifiedPageWalk
from otaclient.fleet.chain import Chain
from otaclient.fleet.proof import Findings
from otaclient.fleet.sightings import Sightings
from otaclient.reads import Markers, PageNumbers
from support.adversary import Drift, Result, Vendor, drive

PAGES = PageNumbers(largest_page=200, default_page=50)
MARKERS = Markers(largest_page=50, default_page=10, largest_offset=500)
PAGINGS: dict[str, PageNumbers | Markers] = {"page numbers": PAGES, "markers": MARKERS}
SHAPES = ((1, 1, "any"), (1, 1, "tail"), (1, 1, "head"), (1, 0, "any"), (0, 1, "head"))
RATES = (0, 16, 64)
FLEETS = (20_000, 100_000)
_HOPELESS = 5
JUMPS = (0.01, 0.1, 0.5, 2)


@attrs.frozen
class Line:
    """What some scans under the same drift came to."""

    scans: int
    certified: int
    wrong: int
    endless: int
    extra: Sequence[float]
    """Of those that ended; ascending."""

    def __str__(self) -> str:
        median, most = (f"{self.extra[place]:.0%}" if self.extra else "-" for place in (len(self.extra) // 2, -1))
        share = f"{self.certified / self.scans:.1%} of {self.scans}"
        return " | ".join((share, str(self.wrong), str(self.endless), median, most))


def scanned(paging: PageNumbers | Markers, rows: int, drift: Drift, seed: int) -> Result | None:
    """Scan one simulated vendor; ``None`` for a scan without an end."""
    rng = random.Random(seed)
    findings = Findings(2.0)
    chain = Chain(Sightings())
    walk = (
        CertifiedPageWalk(paging, chain, findings, concurrency=32)
        if isinstance(paging, PageNumbers)
        else CertifiedMarkerWalk(paging, chain, findings, concurrency=32)
    )
    try:
        return drive(walk, findings, Vendor(rows, drift, rng), rng, most=5 * -(-rows // paging.largest_page))
    except AssertionError as error:
        if "must end" in str(error):
            return None
        raise


def measured(paging: PageNumbers | Markers, rows: int, drift: Drift, scans: int) -> Line:
    """Return what so many scans came to."""
    results: list[Result] = []
    for seed in range(scans):
        result = scanned(paging, rows, drift, seed)
        if result is not None:
            results.append(result)
        elif not results and seed + 1 == _HOPELESS:
            scans = _HOPELESS
            break
    certified = [result for result in results if result.certified]
    plain = -(-rows // paging.largest_page)
    return Line(
        scans=scans,
        certified=len(certified),
        wrong=sum(result.lost > 0 for result in certified),
        endless=scans - len(results),
        extra=sorted(result.calls / plain - 1 for result in results),
    )


def row(*cells: object) -> None:
    """Print a row of a table."""
    print("|", " | ".join(map(str, cells)), "|", flush=True)


def print_drift(scans: int) -> None:
    """Print the table of drift that keeps the order."""
    row("paging", "devices", "drift", "certified", "wrong", "no end", "extra requests, median", "most")
    row(*("---",) * 8)
    for name, paging in PAGINGS.items():
        for rows in FLEETS:
            for rate in RATES:
                for leave, join, where in SHAPES if rate else SHAPES[:1]:
                    drift = Drift(leave=leave * rate, join=join * rate, join_at=where)
                    words = f"{leave * rate} leave, {join * rate} join" + (f" ({where})" if join * rate else "")
                    count = scans * FLEETS[0] // rows if rate else 1
                    row(name, f"{rows:,}", words, measured(paging, rows, drift, count))


def print_jumps(scans: int) -> None:
    """Print the table of rows that break the order."""
    row("paging", "devices", "rows that jump", "to", "certified", "wrong", "no end", "extra requests, median", "most")
    row(*("---",) * 9)
    for name, paging in PAGINGS.items():
        for where in ("head", "tail", "any"):
            for rate in JUMPS:
                line = measured(paging, FLEETS[0], Drift(jump=rate, jump_to=where), scans)
                row(name, f"{FLEETS[0]:,}", rate, where, line)


if __name__ == "__main__":
    asked = int(sys.argv[1]) if len(sys.argv) > 1 else 100
    print_drift(asked)
    print()
    print_jumps(asked)
