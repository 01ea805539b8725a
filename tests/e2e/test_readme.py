"""What the README shows is what works, in a process of its own; ``tests/docs`` runs all of its blocks."""

import re
import sys
from pathlib import Path

import anyio
import pytest

from otaclient.emulator import Fleet
from otaclient_enos.emulator import EnosEmulator
from otaclient_iotda.emulator import IotdaEmulator
from support.doc_blocks import blocks_of

README = Path(__file__).parents[2] / "README.md"


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in a language."""
    return [block.text for block in blocks_of(README) if block.language == language]


async def test_the_example_runs_as_it_stands(tmp_path: Path) -> None:
    """The example, unchanged, with settings from the environment, prints every device of both fleets."""
    fleet = Fleet.generate(devices=300, seed=5)
    script = tmp_path / "example.py"
    script.write_text(blocks("python")[0], encoding="utf-8")
    async with EnosEmulator(fleet) as enos, IotdaEmulator(fleet) as iotda:
        environment = {**enos.environment(), **iotda.environment(), "PYTHONWARNINGS": "error"}
        done = await anyio.run_process([sys.executable, str(script)], env=environment, cwd=tmp_path, check=False)
    output = done.stdout.decode()
    assert done.returncode == 0, done.stderr.decode()
    assert "certified: 600 devices" in output
    assert "('enos', " in output
    assert "('iotda', " in output


async def test_the_fan_out_runs_as_it_stands(tmp_path: Path) -> None:
    """The second example prints the progress of every running job."""
    script = tmp_path / "example.py"
    script.write_text(blocks("python")[1], encoding="utf-8")
    async with EnosEmulator(Fleet.generate(devices=300, seed=5)) as enos:
        environment = {**enos.environment(), "PYTHONWARNINGS": "error"}
        done = await anyio.run_process([sys.executable, str(script)], env=environment, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert "JobProgress(status=<JobStatus." in done.stdout.decode()


def test_the_example_is_short() -> None:
    """About twenty lines that do something."""
    lines = [line for line in blocks("python")[0].splitlines() if line.strip()]
    assert len(lines) <= 24


@pytest.mark.parametrize("target", ["demo", "test", "bench", "docs"])
def test_the_commands_exist(target: str) -> None:
    """The README's make targets are in the Makefile."""
    assert f"make {target}" in README.read_text(encoding="utf-8")
    assert re.search(rf"^{target}:", (README.parent / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
