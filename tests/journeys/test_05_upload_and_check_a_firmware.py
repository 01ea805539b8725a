"""Journey 5: upload a firmware, and check what is stored."""

import json
import re

import pytest

from support.reader import Reader

PAGE = "docs/guides/firmware.md"


@pytest.mark.usefixtures("enos", "iotda")
def test_upload_and_check(reader: Reader) -> None:
    """What comes back is what went up, byte for byte, and a version is never replaced."""
    reader.follow(PAGE, "EnOS: from a file")
    (told,) = reader.follow(PAGE, "IoTDA: from OBS")
    package = json.loads(reader.run(f"otaclient firmware show {reader.identifier} --backend iotda --format json"))
    assert package["checksum"]["value"] in told
    assert package["location"] in told

    (refused,) = reader.follow(PAGE, "The version exists already")
    assert re.search(r"^error: .*already.*24601", refused, re.MULTILINE)
    reader.follow(PAGE, "Check what is stored")
    sent, received = ((reader.folder / name).read_bytes() for name in ("inverter-2021.01.bin", "copy.bin"))
    assert received == sent == b"the bytes of a firmware\n"
