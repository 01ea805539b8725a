"""Journey 8: find the devices that failed and those that are stuck, and try a chosen part again."""

import json
import re
from typing import Any

from support.reader import Reader

PAGE = "docs/guides/jobs.md"
OLD_JOB = "68dd2aa78082fe932b5d3afa"
"""A job of the generated fleet in which devices have failed."""


def tasks_of(reader: Reader, job_id: str) -> dict[str, dict[str, Any]]:
    """Return what a job does on each device, as the command tells."""
    printed = reader.run(f"otaclient jobs tasks {job_id} --backend enos --format json 2>/dev/null")
    return {task["device_key"]: task for task in json.loads(printed)}


def test_fix_the_stragglers(enos: Reader) -> None:
    """Only those that were chosen are tried again, in code and at a terminal, and what is stuck is named."""
    reader = enos
    before = tasks_of(reader, OLD_JOB)
    reader.follow(PAGE, "Choose firmware and devices")
    reader.follow(PAGE, "Create", differs=("jobs create",))
    reader.type_in(
        "async for progress in enos.jobs.watch(job_id, interval_seconds=0.5):\n    failed_first = progress.failed"
    )
    failed_first = int(reader.type_in("print(failed_first)"))

    differs = ("failed[:3]", "chosen", "progress.status", "waiting", "stragglers.csv")
    who, chosen, again, stuck, *_ = reader.follow(PAGE, "Fix the stragglers", differs=differs)
    assert len(who.splitlines()) == min(3, failed_first)
    found = re.fullmatch(r"(\d+) tried again; (\d+) failed\n", chosen)
    assert found is not None
    tried, left = map(int, found.groups())
    assert failed_first - tried <= left <= failed_first  # those that were not chosen have still failed
    assert re.fullmatch(r"(?:succeeded 0|partially_succeeded \d+) failed\n", again)
    assert "stuck, such as pump-" in stuck

    after = tasks_of(reader, OLD_JOB)
    chosen_keys = set((reader.folder / "again.txt").read_text(encoding="utf-8").split())
    failed = {key for key, task in before.items() if task["status"] == "failed"}
    moved = {key for key, task in after.items() if task != before[key]}
    assert set() < chosen_keys < failed
    assert moved == chosen_keys
