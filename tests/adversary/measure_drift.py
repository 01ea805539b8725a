"""What the proof costs, and how often it is wrong when rows jump: a table, from simulated vendors.

    PYTHONPATH=tests python tests/adversary/measure_drift.py [scans]      # 100 scans a line: some minutes

Rates are rows in the mean time of one answer; 32 reads in flight, answers of 50 to 150 % of the mean, pages of 200.
"""

import random
import sys

from otaclient.fleet.certified_pages import CertifiedPageWalk
from otaclient.fleet.chain import Chain, ExactRanks
from otaclient.fleet.proof import Findings
from otaclient.reads import PageNumbers
from support.adversary import Drift, Result, Vendor, drive

PAGES = PageNumbers(largest_page=200, default_page=50)
SHAPES = ((1, 1, "any"), (1, 1, "tail"), (1, 1, "head"), (1, 0, "any"), (0, 1, "head"))


def scanned(rows: int, drift: Drift, seed: int) -> Result:
    """Scan one simulated vendor."""
    rng = random.Random(seed)
    findings = Findings(2.0)
    walk = CertifiedPageWalk(PAGES, Chain(ExactRanks()), findings, concurrency=32)
    return drive(walk, findings, Vendor(rows, drift, rng), rng)


def line(rows: int, drift: Drift, scans: int, words: str) -> None:
    """Print what so many scans came to."""
    results = [scanned(rows, drift, seed) for seed in range(scans)]
    certified = [result for result in results if result.certified]
    wrong = sum(result.lost > 0 for result in certified)
    extra = sorted(result.calls / -(-rows // PAGES.largest_page) - 1 for result in results)
    print(
        f"{rows:>7,} rows, {words:38} certified {len(certified):3}/{scans}, wrong {wrong}, "
        f"extra requests {extra[len(extra) // 2]:4.0%} (most {extra[-1]:.0%})",
        flush=True,
    )


def main(scans: int) -> None:
    """Print the table."""
    for rows in (20_000, 100_000):
        line(rows, Drift(), 3, "no drift")
        for rate in (1, 4, 16, 64):
            for leave, join, where in SHAPES:
                drift = Drift(leave=leave * rate, join=join * rate, join_at=where)
                line(
                    rows, drift, max(3, scans * 20_000 // rows), f"{leave * rate} leave, {join * rate} join at {where}"
                )
    for where in ("head", "tail", "any"):
        line(20_000, Drift(jump=0.5, jump_to=where), scans, f"0.5 jump to {where}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
