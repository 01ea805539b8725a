"""What tests of the ``otaclient`` command start from: an empty folder, and both emulators if they ask for them."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from otaclient.emulator import EmulatorServer, Fleet
from otaclient.registry import emulator_class
from support.command_line import DEVICES, VENDORS, Run, emptied, run_here, served_aside


@pytest.fixture(scope="module")
def emulators() -> Iterator[Mapping[str, EmulatorServer]]:
    """Both emulators on a thread of their own: the command brings its own event loop."""
    servers = {name: emulator_class(name)(Fleet.generate(devices=DEVICES, seed=11)) for name in VENDORS}
    with served_aside(*servers.values()):
        yield servers


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Work in an empty folder, without settings."""
    emptied(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def run(clean: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process, without any settings."""
    return run_here(capsys)


@pytest.fixture
def settings(clean: Path, emulators: Mapping[str, EmulatorServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the environment at both emulators."""
    for server in emulators.values():
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
