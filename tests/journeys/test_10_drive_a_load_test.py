"""Journey 10: drive a load test with one request a call, from asyncio and from Locust."""

import json
import re
import shutil
import subprocess
from typing import Any, Final

import pytest

from support.doc_blocks import ROOT, commands_in
from support.reader import PYTHON, Reader, section

PAGE: Final = "docs/guides/load-test.md"


def command_of(heading: str, name: str) -> str:
    """Return the section's command that begins like this, for fewer seconds than the page takes its time."""
    commands = [each for block in section(PAGE, heading) if block.language == "sh" for each in commands_in(block)]
    (line,) = [each.line for each in commands if each.line.startswith(name)]
    # Locust counts the time in which it starts.
    return re.sub(r"--seconds \d+", "--seconds 2", re.sub(r"--run-time \d+", "--run-time 6", line))


def test_from_asyncio(clouds: Reader) -> None:
    """Each call is one request, and the same seed makes the same calls in the same order."""
    clouds.follow(PAGE, "One request a call")

    shutil.copy(ROOT / "docs" / "examples" / "open_model.py", clouds.folder)
    line = command_of("A whole program", "python open_model.py")
    reports = [clouds.run(f"{line} --results {name}.jsonl --json {name}.json") for name in ("first", "second")]
    assert all("jobs.get" in report for report in reports)
    first, second = (
        [json.loads(result) for result in (clouds.folder / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("first", "second")
    )
    assert planned(first) == planned(second)
    assert len(first) > 100
    assert all(result["requests"] == 1 for result in first)


def planned(results: list[dict[str, Any]]) -> list[tuple[int, str]]:
    """Return which call was what, in the order in which they were due."""
    return sorted((result["number"], result["operation"]) for result in results)


@pytest.mark.skipif(
    subprocess.run([PYTHON, "-c", "import locust"], capture_output=True, check=False).returncode != 0,
    reason="the extra load is not installed: pip install 'otaclient[load]'",
)
def test_from_locust(clouds: Reader) -> None:
    """Locust's users share a client; its statistics count requests, and none has failed."""
    shutil.copy(ROOT / "docs" / "examples" / "locustfile.py", clouds.folder)
    printed = clouds.run(command_of("With Locust", "locust"))
    totals = re.findall(r"^ *enos +jobs\.get +(\d+) +(\d+)\(", printed, re.MULTILINE)
    assert totals, printed
    assert int(totals[-1][0]) > 0
    assert int(totals[-1][1]) == 0
