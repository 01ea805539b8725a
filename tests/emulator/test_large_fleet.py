"""A million devices fit into little memory, and deep pages come without a walk over all of them."""

import subprocess
import sys

SCRIPT = """
import resource, sys
from otaclient.emulator import Fleet

fleet = Fleet.generate(devices=1_000_000)
table = fleet.devices
assert len(table) == 1_000_000
assert len({table.serial(row) for row in range(0, 1_000_000, 97)}) == len(range(0, 1_000_000, 97))
assert table.row_of_serial(table.serial(987_654)) == 987_654
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024))
"""


def test_a_million_devices_need_less_than_a_gibibyte() -> None:
    """The whole process, interpreter included, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", SCRIPT], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 2**30
