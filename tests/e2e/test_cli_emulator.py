"""``otaclient emulator`` as a target of load tests: fault plans, the control API and the counters, as commands."""

import asyncio
import io
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from otaclient.cli import main
from otaclient.cli.emulator_counters import LiveCounters
from otaclient.emulator import Fleet, JobTable
from otaclient.testing import emulator_of

VENDORS = ("enos", "iotda")
COMMAND = (sys.executable, "-c", "import sys; from otaclient.cli import main; sys.exit(main())")
PLAN = """
version = 1
seed = 7

[latency.default]
distribution = "uniform"
from_seconds = 0.001
to_seconds = 0.002

[[faults]]
name = "gone"
kind = "drop"
operation = "other"
times = 1

[[faults]]
name = "teapot"
kind = "answer"
operation = "other"
status = 418
body = "short and stout"
"""


class Emulator:
    """The command in a process of its own, and what it prints."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.url = process.stdout.readline().decode().split()[-1]
        self.messages: list[str] = []
        while "Ctrl-C stops it" not in (self.messages or [""])[-1]:
            self.messages.append(process.stderr.readline().decode())

    def ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> tuple[int, str]:
        """Send one request; return the status, 0 for none, and the answer."""
        asked = urllib.request.Request(self.url + path, data=body, method=method)  # noqa: S310 - our own server
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:  # noqa: S310 - likewise
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def stop(self) -> list[str]:
        """Press Ctrl-C; return what is printed at the end."""
        self.process.send_signal(signal.SIGINT)
        _, rest = self.process.communicate(timeout=20)
        assert self.process.returncode == 130
        return rest.decode().splitlines()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Emulator]]:
    """A function that starts the command."""
    processes: list[subprocess.Popen[bytes]] = []

    def begin(*words: str) -> Emulator:
        arguments = [*COMMAND, "emulator", *words, "--port", "0", "--devices", "50"]
        processes.append(subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path))
        return Emulator(processes[-1])

    (tmp_path / "storm.toml").write_text(PLAN, encoding="utf-8")
    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_plan_is_followed_and_changed_while_it_runs(start: Callable[..., Emulator]) -> None:
    """The faults of the file strike; the control API tells, changes and resets; the summary at the end adds up."""
    emulator = start("enos", "--faults", "storm.toml", "--counters", "0.1")
    assert emulator.messages[0].startswith(
        "Counters, and faults while it runs, for clients on this machine: http://127"
    )
    assert [emulator.ask("/x") for _ in range(3)] == [(0, ""), (418, "short and stout"), (418, "short and stout")]
    state = json.loads(emulator.ask("/__emulator__/state")[1])
    assert (state["requests"]["total"], state["answers"], state["requests"]["unanswered"]) == (3, {"418": 2}, 1)
    assert emulator.ask("/__emulator__/faults/teapot", method="DELETE")[0] == 200
    assert emulator.ask("/x")[0] == 404
    assert emulator.ask("/__emulator__/faults", method="POST", body=b'{"kind": "fail"}')[0] == 201
    assert emulator.ask("/x")[0] == 500
    assert emulator.process.stderr is not None
    while "5 in all" not in (line := emulator.process.stderr.readline().decode()):
        assert re.fullmatch(r"\d+ requests/s \| .*\n", line)
    assert "answers 404: 1, 418: 2, 500: 1 | faults answer: 2, drop: 1, fail: 1" in line
    rest = emulator.stop()
    summary = [line for line in rest if " in all | " not in line]
    assert summary[:4] == [
        "5 requests = 4 answered + 1 cut or left",
        "answered: 404: 1, 418: 2, 500: 1",
        "operations: other: 5",
        "faults: answer: 2, drop: 1, fail: 1",
    ]
    assert re.fullmatch(r"answered within: p50 [\d.]+ ms, p99 [\d.]+ ms, longest [\d.]+ ms", summary[4])
    assert summary[5:] == ["interrupted"]


@pytest.mark.parametrize(
    ("words", "is_told"),
    [
        ([], False),
        (["--counters", "60"], True),
        (["--faults", "storm.toml"], True),
        (["--faults", "storm.toml", "--no-control"], False),
    ],
)
def test_the_control_api_is_told_to_those_who_load_it(
    served: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str], is_told: bool
) -> None:
    """Who only wants a vendor is not bothered with it; who does not want it does not get it."""
    (tmp_path / "storm.toml").write_text(PLAN, encoding="utf-8")
    assert served("iotda", *words).control is ("--no-control" not in words)
    messages: list[str] = []

    def say(message: str) -> None:
        messages.append(message)
        if "Ctrl-C stops it" in message:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("otaclient.cli.emulator.say", say)
    assert main(["emulator", "enos", "--port", "0", "--devices", "5", *words]) == 130
    assert any("/__emulator__/" in message for message in messages) is is_told
    # The counters have the last word, and only they.
    assert ("0 requests = 0 answered + 0 cut or left" in messages) is ("--counters" in words)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words", "said"),
    [
        ("version = 1\nseeed = 2", [], "--faults storm.toml: seeed is not known; the keys are version, seed, latency"),
        ("version = 1", ["--faults", "no.toml"], "--faults no.toml cannot be read: No such file or directory"),
        ("version", [], "--faults storm.toml cannot be read: Expected '=' after a key"),
        (
            'version = 1\n[[faults]]\nkind = "drop"\noperation = "modules.get"',
            [],
            '--faults storm.toml: faults[0].operation is "modules.get"; it must fit an operation of this emulator: dev',
        ),
        (
            "version = 1\n[jobs]\nspeed = 3",
            ["--speed", "2"],
            "--speed 2: the fault plan storm.toml says jobs.speed too",
        ),
        ("version = 1\n[churn]", ["--churn", "0.5"], "--churn 0.5: the fault plan storm.toml says churn too"),
        ("version = 1", ["--counters", "0"], "--counters"),
        ("version = 1", ["--speed", "inf"], 'Invalid value "inf" for --speed. Must be <= 1000000.'),
    ],
)
def test_wrong_words_and_files_are_refused_in_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    text: str,
    words: list[str],
    said: str,
) -> None:
    """Before anything is bound: with the exit code 2, the file, the key, the value, the rule and the remedy."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "storm.toml").write_text(text, encoding="utf-8")
    given = words if "--faults" in words else ["--faults", "storm.toml", *words]
    assert main(["emulator", "enos", "--port", "0", "--devices", "5", *given]) == 2
    printed = capsys.readouterr()
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
    assert printed.err.startswith(f"error: {said}") or said == "--counters"
    assert said in printed.err


# --- what the options do to the emulator -----------------------------------------------------------------------------


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Any]:
    """A function that runs the command in this process until it serves, and returns its emulator."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Any:
        found: list[Any] = []

        async def serve(server: Any, *arguments: Any, **options: Any) -> None:
            found.append(server)
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr("otaclient.cli.emulator._serve", serve)
            assert main(["emulator", *words, "--port", "0", "--devices", "300"]) == 130
        return found[0]

    return run


@pytest.mark.parametrize("vendor", VENDORS)
def test_the_speed_changes_nothing_else_about_jobs(served: Callable[..., Any], tmp_path: Path, vendor: str) -> None:
    """What the vendor's emulator says of failures stays, with the option and with the plan."""
    own = emulator_of(vendor, Fleet.generate(devices=3)).engine.plan
    assert served(vendor).engine.plan == own
    assert served(vendor, "--speed", "8").engine.plan == JobTable(speed=8).plan(own)
    (tmp_path / "slow.toml").write_text("version = 1\n[jobs]\nfailing_share = 1", encoding="utf-8")
    both = served(vendor, "--speed", "8", "--faults", "slow.toml").engine.plan
    assert both == JobTable(speed=8, failing_share=1).plan(own)


@pytest.mark.parametrize("vendor", VENDORS)
def test_generated_jobs_run_where_that_is_asked_for(served: Callable[..., Any], vendor: str) -> None:
    """Otherwise they stand still."""
    assert not served(vendor).engine._course._agenda
    assert served(vendor, "--generated-jobs-run").engine._course._agenda


def test_churn_comes_from_the_option_or_from_the_plan(served: Callable[..., Any], tmp_path: Path) -> None:
    """And from neither, none."""
    assert served("enos").fleet._turnover is None
    assert served("enos", "--churn", "0.5").fleet._turnover._churn.leave == 0.5
    (tmp_path / "storm.toml").write_text("version = 1\nseed = 9\n[churn]\njump = 2", encoding="utf-8")
    churn = served("enos", "--faults", "storm.toml").fleet._turnover._churn
    assert (churn.seed, churn.jump, churn.leave) == (9, 2, 0)


# --- counters on a terminal ------------------------------------------------------------------------------------------


async def test_on_a_terminal_the_line_is_written_in_place() -> None:
    """One line that changes, and is gone at the end; where it is too long for the terminal it is cut."""
    emulator = emulator_of("enos", Fleet.generate(devices=3))
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=40, legacy_windows=False)
    counters = LiveCounters(emulator, every_seconds=0, console=console)
    telling = asyncio.create_task(counters.run())
    emulator.traffic().begin("other")
    while "1 in flight" not in screen.getvalue():  # noqa: ASYNC110 - it writes to a stream
        await asyncio.sleep(0)
    telling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await telling
    assert "\x1b[2K" in screen.getvalue()
    assert "…" in screen.getvalue()
    emulator.served["other"] += 1
    assert counters.summary() == ["1 request = 0 answered + 0 cut or left + 1 in flight", "operations: other: 1"]
