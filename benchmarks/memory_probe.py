"""Scan a fleet of the page server, drop every row, and print how many there were and the peak of resident memory.

python -m benchmarks.memory_probe ENDPOINT DEVICES exact|neighbours
"""

import asyncio
import resource
import sys
from pathlib import Path
from typing import Any

from benchmarks.clients import enos, scan_pages

CONCURRENCY = 32


def peak_bytes() -> int:
    """Return the peak of this process.

    On Linux not ``ru_maxrss``: that one is inherited from the process that started this one.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main(endpoint: str, devices: int, dedupe: Any) -> None:
    """Scan and print."""
    read = asyncio.run(
        scan_pages(enos(endpoint, devices, concurrency=CONCURRENCY), concurrency=CONCURRENCY, dedupe=dedupe)
    )
    print(read.rows, peak_bytes())


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
