"""Journey 11: a nightly export to Parquet, and a page of what changed since yesterday."""

import re
from pathlib import Path

from otaclient import export
from support.reader import Reader

PAGE = "docs/guides/nightly.md"


def devices_of(path: Path) -> dict[str, str | None]:
    """Return the version of each device in a file; its scan is certified."""
    fleet = export.read(path)
    assert fleet.certificate is not None
    assert fleet.certificate.verdict == "certified"
    return {device.device_id: device.firmware_version for device in fleet}


def test_every_night(reader: Reader) -> None:
    """The page counts what the two files differ in; a night that goes wrong leaves nothing that looks like a fleet."""
    folder = reader.folder
    *_, told = reader.follow(PAGE, "Two nights by hand")
    monday, tuesday = (devices_of(folder / f"{day}.parquet") for day in ("monday", "tuesday"))
    counts = {name: int(number) for number, name in re.findall(r"(\d+) (upgraded|rolled back|appeared|vanished)", told)}
    both = monday.keys() & tuesday.keys()
    moved = sum(1 for each in both if monday[each] != tuesday[each])
    assert counts["appeared"] == len(tuesday.keys() - monday.keys())
    assert counts["vanished"] == len(monday.keys() - tuesday.keys())
    assert counts["upgraded"] + counts["rolled back"] <= moved
    assert moved > 0

    printed = reader.follow(PAGE, "By itself")[-1]
    assert "since then" in printed
    nights = {f"fleet-2026-02-0{day}.{suffix}" for day in (2, 3) for suffix in ("html", "parquet")}
    assert {path.name for path in folder.glob("fleet-*")} == nights
    page = (folder / "fleet-2026-02-03.html").read_text(encoding="utf-8")
    assert f"{len(devices_of(folder / 'fleet-2026-02-03.parquet')):,}" in page

    assert "exists already" in reader.run("sh nightly.sh 2026-02-03", ends_with=2)
    reader.environment["OTACLIENT_ENOS_APP_SECRET"] = "wrong"
    assert "app_secret" in reader.run("sh nightly.sh 2026-02-04", ends_with=1)
    assert {path.name for path in folder.glob("fleet-*")} == nights
