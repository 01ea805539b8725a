"""The load tests that the documentation shows: run as a reader runs them, for a moment, against an emulator."""

import asyncio
import json
import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest

from otaclient.emulator import Fleet
from otaclient_enos.emulator import EnosEmulator
from otaclient_iotda.emulator import IotdaEmulator

EXAMPLES: Final = Path(__file__).parents[2] / "docs" / "examples"
EMULATORS: Final[dict[str, Any]] = {"enos": EnosEmulator, "iotda": IotdaEmulator}
NEEDS_LOCUST: Final = pytest.mark.skipif(
    find_spec("locust") is None and not os.environ.get("OTACLIENT_REQUIRE_LOCUST"),
    reason="needs the extra: pip install -e '.[load]'",
)


@pytest.fixture(scope="module")
def fleet() -> Fleet:
    """A small one."""
    return Fleet.generate(devices=300, seed=3)


async def started(emulator: Any, folder: Path, *words: str, **environment: str) -> asyncio.subprocess.Process:
    """Start a program with the settings of an emulator, and with those alone; without one, there are none."""
    settings = {} if emulator is None else emulator.environment()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTACLIENT_")}
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *words,
        cwd=folder,
        env={**kept, **settings, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def ended(program: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    """Return its exit code and what it printed."""
    out, errors = await program.communicate()
    return program.returncode, out.decode(), errors.decode()


def served_by(emulator: Any, *names: str) -> dict[str, int]:
    """Return how many requests of these operations came in."""
    return {name: emulator.served[name] for name in names}


@pytest.mark.parametrize("name", ["enos", "iotda"])
async def test_the_open_model(name: str, fleet: Fleet, tmp_path: Path) -> None:
    """It sends what it reports, and reports what it sent, with times that fit together."""
    async with EMULATORS[name](fleet.copy()) as emulator:
        options = ["--backend", name, "--rate", "120", "--seconds", "1", "--seed", "7"]
        files = ["--json", "report.json", "--results", "results.jsonl"]
        program = await started(emulator, tmp_path, str(EXAMPLES / "open_model.py"), *options, *files)
        code, out, errors = await ended(program)
        assert (code, errors) == (0, "")
        counts = served_by(emulator, "jobs.get", "firmware.get", "devices.search")
    assert out.startswith("Calls at random, 120/s for 1 s; seed 7. ")
    report = json.loads((tmp_path / "report.json").read_text())
    operations = report["operations"]
    assert {each: figures["requests"] for each, figures in operations.items()} == {
        **counts,
        "devices.search": counts["devices.search"] - 2,  # before the test: which products are there?
    }
    assert sum(figures["due"] for figures in operations.values()) > 80
    assert all(figures["failed"] == figures["unseen"] == figures["not_begun"] == 0 for figures in operations.values())
    lines = [json.loads(line) for line in (tmp_path / "results.jsonl").read_text().splitlines()]
    assert sorted(line["number"] for line in lines) == list(range(len(lines)))
    assert len(lines) == sum(figures["requests"] for figures in operations.values())
    # An event loop may be early by the resolution of its clock.
    assert all(line["due"] - 1e-6 <= line["began"] <= line["sent"] < line["ended"] for line in lines)
    # One reading of the clock begins both; what is subtracted from it is rounded.
    assert all(0 < line["service_seconds"] <= line["ended"] - line["sent"] + 1e-6 for line in lines)


async def test_the_open_model_is_interrupted(fleet: Fleet, tmp_path: Path) -> None:
    """Ctrl-C ends it, and it tells what it knows."""
    async with EnosEmulator(fleet.copy()) as emulator:
        program = await started(
            emulator, tmp_path, str(EXAMPLES / "open_model.py"), "--rate", "100", "--seconds", "600"
        )
        async with asyncio.timeout(30):
            while emulator.served["jobs.get"] < 5:  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.01)
        program.send_signal(signal.SIGINT)
        code, out, _ = await ended(program)
    assert code != 0
    assert "Calls at random, 100/s for 600 s; seed 1. " in out
    assert "jobs.get" in out


async def test_the_open_model_refuses_what_cannot_be(fleet: Fleet, tmp_path: Path) -> None:
    """With a line that says what to do, and no traceback."""
    async with EnosEmulator(fleet.copy()) as emulator:
        program = await started(emulator, tmp_path, str(EXAMPLES / "open_model.py"), "--rate", "0")
        assert await ended(program) == (1, "", "error: rate is 0.0: it must be a finite number above 0\n")


@pytest.mark.parametrize("option", ["--json", "--results"])
async def test_the_open_model_refuses_a_file_that_cannot_be_written(tmp_path: Path, option: str) -> None:
    """Before the test, not after it, and in words."""
    program = await started(None, tmp_path, str(EXAMPLES / "open_model.py"), option, "no/folder/report")
    code, out, errors = await ended(program)
    assert (code, out) == (2, "")
    assert errors.endswith("error: no/folder/report cannot be written: No such file or directory\n")


@NEEDS_LOCUST
async def test_locust(fleet: Fleet, tmp_path: Path) -> None:
    """Its statistics count what came in, and what failed, with the service times of the requests."""
    async with EnosEmulator(fleet.copy()) as emulator:
        emulator.faults.inject("jobs.get", status=503, times=3)
        words = ["-m", "locust", "-f", str(EXAMPLES / "locustfile.py"), "--headless", "--json", "--stop-timeout", "5"]
        size = ["--users", "10", "--spawn-rate", "10", "--run-time", "2s"]
        program = await started(emulator, tmp_path, *words, *size, OTACLIENT_LOAD_SEED="7")
        code, out, errors = await ended(program)
        assert code == 1, errors  # something failed
        counts = served_by(emulator, "jobs.get", "token.get")
    (statistics,) = json.loads(out)
    assert (statistics["method"], statistics["name"]) == ("enos", "jobs.get")
    assert (statistics["num_requests"], statistics["num_failures"]) == (counts["jobs.get"], 3)
    assert counts["jobs.get"] >= 10
    assert counts["token.get"] == 1
    assert 0 < statistics["min_response_time"] <= statistics["max_response_time"]


@NEEDS_LOCUST
async def test_locust_without_settings(tmp_path: Path) -> None:
    """It says what is missing, sends nothing, and ends at once, though no end was set, with an exit code of its own."""
    words = ["-m", "locust", "-f", str(EXAMPLES / "locustfile.py"), "--headless", "--users", "1"]
    program = await started(None, tmp_path, *words)
    code, _, errors = await ended(program)
    assert code == 2
    assert "error: enos: missing settings endpoint" in errors
    assert "Traceback" not in errors
