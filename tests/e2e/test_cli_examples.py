"""Every example of every ``--help`` is run as it stands there, on emulators in which what it names exists."""

import asyncio
import io
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App

from otaclient.cli import main
from otaclient.cli.app import app
from otaclient.emulator import EmulatorServer, Fleet, JobPlan
from otaclient.registry import emulator_class
from support.command_line import emptied, loop_aside

SPACE = "61f7e74d036aca5be29e1ed4"
DEVICES = 60
FAILING = JobPlan(speed=1e6, failing_share=1)
# Longer than any test: what is pending stays so.
NEVER = JobPlan(pending_seconds=1e6)
EXAMPLE = re.compile(r"^  otaclient ((?:.*\\\n)*.*)$", re.MULTILINE)
FILE = re.compile(r"Such a file:\n((?:  .*\n?)+)")
FAILS = {"jobs watch": 1}
"""What ends otherwise than with 0, although it is right: the job that is watched here fails."""


def commands(within: App, *path: str) -> Iterator[tuple[tuple[str, ...], App]]:
    """Yield every command with the words that lead to it, those that have further ones included."""
    yield path, within
    for name in within:
        if not name.startswith("-"):
            yield from commands(within[name], *path, name)


def examples() -> list[tuple[str, str]]:
    """Return every example, with the command that shows it."""
    found: list[tuple[str, str]] = []
    for path, command in commands(app):
        calls = EXAMPLE.findall(str(command.help_epilogue))
        assert calls, f"{' '.join(path)} has no example"
        found += [(" ".join(path), call) for call in calls]
    return found


class Stage:
    """Both emulators, with what the examples name, and the settings that lead there."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        call: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self._loop = loop
        self._capsys = capsys
        self.call = call
        self.servers: dict[str, EmulatorServer] = {}
        self.vendor = "iotda" if "--backend iotda" in call else "enos"
        plan = FAILING if "watch" in call or "retry" in call else NEVER
        names = ("enos", "iotda") if "scan" in call or "doctor" in call else (self.vendor,)
        for name in names:
            server = emulator_class(name)(Fleet.generate(devices=DEVICES, seed=11), plan=plan)
            asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
            self.servers[name] = server
            for variable, value in server.environment().items():
                monkeypatch.setenv(variable, value)
        if "iotda" in names:
            monkeypatch.setenv("OTACLIENT_IOTDA_APP_ID", SPACE)

    def close(self) -> None:
        """Stop the emulators."""
        for server in self.servers.values():
            asyncio.run_coroutine_threadsafe(server.stop(), self._loop).result(10)

    def words(self) -> list[str]:
        """Return the words of the example, with what exists here in place of what it names."""
        server = self.servers[self.vendor]
        product = server.fleet.products[0].product_id
        devices = [one for one in server.expected_devices(self.vendor) if one.product_id == product]
        keys = [str(one.device_key if self.vendor == "enos" else one.device_id) for one in devices]
        firmware = self._firmware(product)
        version = next(one.firmware_version for one in devices if one.firmware_version)
        known = {
            "8UhOTwV5": product,
            "5ba24f5e": product,
            "5ba24f5e_pump_1": devices[0].device_id,
            "5ed0a1f2": firmware,
            "b1c6a2f0": firmware,
            "2.3": version,
            "pump_1": keys[0],
            "pump_2": keys[1],
            "sha256:0d6afb7e...": f"sha256:{'0d' * 32}",
            "obs://bucket/pump-2.4.bin": "obs://bucket/pump-2.4.bin?region=cn-north-4",
            "obs://bucket/radio-7.bin": "obs://bucket/radio-7.bin?region=cn-north-4",
            # As it stands there, but not as large and not as long.
            "2000": "30",
            "5": "0.05",
        }
        Path("pumps.txt").write_text("\n".join(keys[:2]), encoding="utf-8")
        if "upload" in self.call:
            Path("pump-2.4.bin").write_bytes(b"\x7fELF" * 1000)
        Path("otaclient.toml").write_text("[plant-7.enos]\norg_id = 'o1'\n", encoding="utf-8")
        if "6214ad21" in self.call:
            known["6214ad21"] = self._job(firmware, keys)
        words = [known.get(word, word) for word in shlex.split(self.call.replace("\\\n", " ").partition(" <")[0])]
        return words + (["--devices", "30"] if words == ["demo"] else [])

    def write_job_file(self, content: str) -> None:
        """Write the file of a job that the help shows, for a firmware and devices that exist."""
        server = self.servers[self.vendor]
        product = server.fleet.products[0].product_id
        keys = [one.device_key for one in server.expected_devices("enos") if one.product_id == product]
        content = content.replace("5ed0a1f2", self._firmware(product))
        content = content.replace("pump_1", str(keys[0])).replace("pump_2", str(keys[1]))
        # A job cannot begin in the past.
        Path("job.toml").write_text(content.replace("2026-", "2099-"), encoding="utf-8")

    def _firmware(self, product: str) -> str:
        for one in self.servers[self.vendor].expected_firmware(self.vendor):
            is_ready = one.verification is None or one.verification.verified or not one.verification.required
            if one.product_id == product and one.kind == "firmware" and is_ready:
                return str(one.firmware_id)
        raise AssertionError("no firmware of this product may be used")

    def _job(self, firmware: str, keys: list[str]) -> str:
        """Create a job for what an example does with one."""
        if "jobs delete" in self.call:
            shown = self.servers[self.vendor].expected_jobs(self.vendor)
            return str(next(one.job_id for one in shown if one.status == "stopped"))
        words = ["jobs", "create", "--name", "X", "--firmware-id", firmware, "--backend", self.vendor]
        assert main([*words, "--device", keys[0], "--device", keys[1], "--yes"]) == 0
        job = self._capsys.readouterr().out.strip()
        if "jobs start" in self.call:
            assert main(["jobs", "stop", job, "--yes", "--backend", self.vendor]) == 0
        if "jobs retry" in self.call:
            assert main(["jobs", "watch", job, "--backend", self.vendor, "--interval", "0.05"]) == 1
        return job


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop on a thread of its own: the command brings its own."""
    with loop_aside() as running:
        yield running


Staged = Callable[[str], Stage]


@pytest.fixture
def staged(
    loop: asyncio.AbstractEventLoop,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Staged]:
    """Prepare a stage for an example, in an empty folder, with somebody who says yes at the terminal."""
    emptied(monkeypatch, tmp_path, columns=80)
    stages: list[Stage] = []

    def prepare(call: str) -> Stage:
        stages.append(Stage(loop, call, monkeypatch, capsys))
        return stages[-1]

    yield prepare
    for stage in stages:
        stage.close()


@pytest.mark.parametrize(("shown_by", "call"), examples())
def test_every_example_runs(
    staged: Staged, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], shown_by: str, call: str
) -> None:
    """An example that does not work is worse than none."""
    if call.startswith("emulator"):
        # It serves until Ctrl-C, which another test sends: here, that the words are right.
        app.parse_args(shlex.split(call), exit_on_error=False, print_error=False)
        return
    stage = staged(call)
    if "job.toml" in call:
        told = FILE.search(str(app["jobs"]["create"].help_epilogue))
        assert told is not None
        stage.write_job_file(told[1])
    words = stage.words()
    if call.startswith("report"):
        for name in ("last-week.parquet", "fleet.parquet"):
            assert main(["devices", "scan", "--backend", "enos", "--out", name]) == 0
    answers = Path("pumps.txt").read_text(encoding="utf-8") if call.endswith("<pumps.txt") else "yes\n"
    typed = io.StringIO(answers)
    monkeypatch.setattr(typed, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", typed)
    code = main(words)
    assert code == FAILS.get(shown_by, 0), capsys.readouterr().err
