"""What tests of the ``otaclient`` command start from: a backend in memory, and somebody at a terminal.

The command is imported where it is wanted: most tests of this folder do without, and start sooner.
"""

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.command_line import Run
    from support.fake_backend import World


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> "World":
    """Return what the only installed backend holds, in an empty folder."""
    from support.fake_backend import furnished, install

    held = furnished()
    install(monkeypatch, held)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OTACLIENT_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    return held


@pytest.fixture
def run(world: "World", capsys: pytest.CaptureFixture[str]) -> "Run":
    """Run the command in this process."""
    from support.command_line import run_here

    return run_here(capsys)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let somebody at a terminal give this answer."""

    def give(answer: str) -> None:
        stream = io.StringIO(answer)
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdin", stream)

    return give
