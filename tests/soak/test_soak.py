"""The soak in its short form, in processes of its own; and that what it looks for would be found."""

import asyncio
import os
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from soak.windows import Window, growing

TESTS = Path(__file__).resolve().parents[1]


async def run(vendor: str) -> tuple[int | None, str]:
    """Run the command for one vendor; returns how it ended, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "soak", "--short", "--backend", vendor),
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.timeout(300)  # a few seconds of work, and machines that have other things to do
async def test_nothing_is_lost_nothing_leaks_nothing_blocks() -> None:
    """Both vendors, beside each other: 64 tasks on one client each, in bad weather."""
    for code, said in await asyncio.gather(run("enos"), run("iotda")):
        assert code == 0, said
        assert said.rstrip().endswith("all holds")


def windows(**series: Any) -> list[Window]:
    """Return twelve windows; what is not given stays as it is."""
    made = []
    for number in range(12):
        values = {"objects": 50_000, "tasks": 66, "files": 10, "blocks": 200_000, "resident_bytes": 60 * 2**20}
        values |= {name: each(number) for name, each in series.items()}
        objects = Counter({"builtins.dict": values.pop("objects"), "builtins.list": 1000})
        made.append(Window(seconds=number * 60.0, calls=number * 2000, objects=objects, **values))
    return made


def test_what_is_flat_is_not_growing() -> None:
    """Nor is what wobbles, what warmed up, or what took one step."""
    assert growing(windows()) == []
    assert growing(windows(objects=lambda number: 50_000 + 900 * (number % 2))) == []
    assert growing(windows(resident_bytes=lambda number: (40 + 10 * min(number, 4)) * 2**20)) == []
    assert growing(windows(objects=lambda number: 50_000 + 5000 * (number > 9))) == []
    assert growing(windows(blocks=lambda number: 200_000 + 1500 * (number % 3))) == []
    assert growing(windows(tasks=lambda number: 66 + (number == 7), files=lambda number: 10 + 5 * (number == 6))) == []


@pytest.mark.parametrize(
    ("name", "values", "words"),
    [
        ("objects", lambda number: 50_000 + 100 * number, "objects of builtins.dict: risen by 700"),
        ("objects", lambda number: 50_000 + 100 * number + 150 * (number % 2), "objects of builtins.dict"),
        ("tasks", lambda number: 66 + number // 2, "tasks: risen"),
        ("files", lambda number: 10 + number // 2, "file descriptors: risen"),
        ("blocks", lambda number: 200_000 + 500 * number, "blocks of memory: risen by 3,500"),
        ("resident_bytes", lambda number: (60 + number) * 2**20, "resident bytes: risen"),
    ],
)
def test_what_grows_is_named(name: str, values: Any, words: str) -> None:
    """By its kind, from where to where, in how many calls; chance on top of it hides nothing."""
    (found,) = growing(windows(**{name: values}))
    assert found.startswith(words)
    assert "in 14,000 calls" in found


def test_too_few_windows_prove_nothing() -> None:
    """A soak that was cut short is no success."""
    (found,) = growing(windows()[:4])
    assert "too few" in found
