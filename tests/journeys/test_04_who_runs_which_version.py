"""Journey 4: who runs which version, over a million devices, with a certificate."""

import json
from collections import Counter
from typing import Final

import pytest

from support.doc_blocks import commands_in
from support.reader import FULL, Reader, expected_of, section

DEVICES: Final = 1_000_000 if FULL else 20_000


@pytest.mark.timeout(900 if FULL else 60)
@pytest.mark.parametrize("vendor", ["enos", "iotda"] if FULL else ["enos"])
def test_who_runs_which_version(reader: Reader, vendor: str) -> None:
    """The numbers that the program of the page prints are those of the fleet, and the certificate says so."""
    start, scan, program, count = section("docs/guides/versions.md", "A million devices")
    (command,) = commands_in(start)
    reader.start(command.line.replace("1000000", str(DEVICES)).replace(" enos ", f" {vendor} "))
    (command,) = commands_in(scan)
    printed = reader.run(command.line.replace("--backend enos", f"--backend {vendor}"))
    assert printed.startswith(f"certified: {DEVICES:,} devices")

    assert program.file_name is not None
    (reader.folder / program.file_name).write_text(program.text, encoding="utf-8")
    (command,) = commands_in(count)
    *lines, verdict = reader.run(command.line).splitlines()
    assert verdict == "certified"
    told = {(product, version): int(number.replace(",", "")) for number, product, version in map(str.split, lines)}
    fleet = expected_of(vendor, devices=DEVICES).expected_devices(vendor)
    counts = Counter((device.product_id, device.firmware_version or "not reported") for device in fleet)
    assert told == dict(counts.most_common(5))
    if FULL and vendor == "enos":  # the size and the vendor of the page
        assert command.shown == "\n".join([*lines, verdict, ""])

    certificate = json.loads((reader.folder / "million.json").read_text(encoding="utf-8"))
    assert (certificate["verdict"], certificate["devices"]) == ("certified", DEVICES)
