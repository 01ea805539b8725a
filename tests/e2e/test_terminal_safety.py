"""A vendor whose every text is an attack: on the terminal, on a spreadsheet, on whoever reads a line for what it is."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest
from rich.console import Console

from otaclient.cli import main
from otaclient.cli.listing import say
from otaclient.cli.progress import ProgressBar
from otaclient.emulator import EmulatorServer, Fleet
from otaclient.registry import emulator_class
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest, HttpResponse
from support.command_line import emptied, served_aside

VENDORS = ("enos", "iotda")
EVIL = "=1+1;@x\x1b[2J\x1b]0;title\x07\x9b31m\u202e\u2066\u200b\u2028\r\nerror: forged\t\x00\x7f\U000e0041"
"""A formula, one behind a semicolon, escape sequences of both kinds, bidirectional overrides, line ends, a tag."""
UNTOUCHED = frozenset({"marker", "accessToken", "create_time", "expires_at", "issued_at", "package_type", "task_type"})
"""What the wire itself lives by; ``status`` words are told apart by it as well, so these get their tail elsewhere."""


def poisoned(value: Any, key: str = "") -> Any:
    """Return a JSON value in which every text is an attack."""
    if isinstance(value, dict):
        return {name: poisoned(inner, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [poisoned(inner, key) for inner in value]
    return EVIL + value if isinstance(value, str) and key not in UNTOUCHED else value


@pytest.fixture(scope="module")
def emulators() -> Iterator[Mapping[str, EmulatorServer]]:
    """Both emulators on a thread of their own: the command brings its own event loop."""
    servers = {name: emulator_class(name)(Fleet.generate(devices=60, seed=11)) for name in VENDORS}
    with served_aside(*servers.values()):
        yield servers


@attrs.frozen
class Ran:
    """What one run of the command came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(
    emulators: Mapping[str, EmulatorServer],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    """Run the command in this process against vendors that poison every answer; check all that it prints."""
    emptied(monkeypatch, tmp_path, columns=160)
    for server in emulators.values():
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
    honest = AiohttpTransport.send

    async def send(
        self: AiohttpTransport, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None
    ) -> HttpResponse:
        response = await honest(self, request, endpoint=endpoint, timeout_seconds=timeout_seconds)
        body = msgspec.json.decode(response.body) if response.body else {}
        headers = {**response.headers, "x-request-id": "\x1b[2Jrequest"}
        return attrs.evolve(response, headers=headers, body=msgspec.json.encode(poisoned(body)))

    monkeypatch.setattr(AiohttpTransport, "send", send)

    def call(*words: str) -> Ran:
        capsys.readouterr()
        code = main(words)
        printed = capsys.readouterr()
        for text in printed:
            check_safe(text)
        return Ran(code, printed.out, printed.err)

    return call


def check_safe(text: str) -> None:
    """Check that a text steers no terminal: line ends, which are the command's own, and what can be seen."""
    check_printable(text)
    assert "\nerror: forged" not in text


def check_printable(text: str) -> None:
    """Check that all of a text but its line ends can be seen."""
    assert text.replace("\n", "").isprintable(), [letter for letter in text if not letter.isprintable()]


LISTINGS = (("firmware", "list"), ("jobs", "list"), ("devices", "list"), ("devices", "scan"))


@pytest.mark.parametrize("chosen", ["table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("vendor", VENDORS)
def test_listings_steer_nothing(run: Run, vendor: str, chosen: str) -> None:
    """Every record is printed, harmless; formats for programs other than CSV keep the very value."""
    for words in LISTINGS:
        ran = run(*words, "--backend", vendor, "--format", chosen)
        assert ran.code in {0, 3}, ran
        assert "x1b[2J" in ran.out or "u001b[2J" in ran.out
        if chosen in {"json", "jsonl"}:
            found = json.loads(ran.out) if chosen == "json" else [json.loads(line) for line in ran.out.splitlines()]
            names = [one.get("firmware_id") or one.get("job_id") or one.get("device_id") for one in found]
            assert names
            assert all(name.startswith(EVIL) for name in names)
        if chosen == "csv":
            check_spreadsheet(ran.out)


def check_spreadsheet(text: str) -> None:
    """Check that no cell is a formula, whatever separates the cells."""
    for separator in ",;\t":
        for row in csv.reader(io.StringIO(text), delimiter=separator):
            for cell in row:
                assert not cell.lstrip().startswith(("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")), cell


@pytest.mark.parametrize("vendor", VENDORS)
def test_single_records_steer_nothing(run: Run, emulators: Mapping[str, EmulatorServer], vendor: str) -> None:
    """Nor does a record by itself, in any format, nor what it takes to watch a job or to list its tasks."""
    firmware: Any = next(iter(emulators[vendor].expected_firmware(vendor)))
    job: Any = next(iter(emulators[vendor].expected_jobs(vendor)))
    for chosen in ("table", "json", "jsonl", "csv"):
        for words in (
            ("firmware", "show", firmware.firmware_id),
            ("jobs", "show", job.job_id),
            ("jobs", "tasks", job.job_id),
        ):
            ran = run(*words, "--backend", vendor, "--format", chosen)
            assert ran.code == 0, ran
            if chosen == "csv":
                check_spreadsheet(ran.out)


@pytest.mark.parametrize("verbose", [(), ("--verbose",)])
@pytest.mark.parametrize("vendor", VENDORS)
def test_refusals_steer_nothing(run: Run, vendor: str, verbose: tuple[str, ...]) -> None:
    """A vendor's complaint is one line, and its words are only words."""
    for words in (("firmware", "show", "0" * 24), ("jobs", "stop", "0" * 24, "--yes"), ("jobs", "show", "0" * 24)):
        ran = run(*words, "--backend", vendor, *verbose)
        assert ran.code == 1
        assert len(ran.err.splitlines()) == 1
        assert ran.err.startswith("error: ")


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_diagnosis_steers_nothing(run: Run, vendor: str) -> None:
    """The doctor says what it saw."""
    for chosen in ("table", "json", "csv"):
        assert run("doctor", "--backend", vendor, "--format", chosen).code in {0, 1}


@pytest.mark.parametrize("vendor", VENDORS)
def test_questions_steer_nothing(
    run: Run, emulators: Mapping[str, EmulatorServer], vendor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What somebody says yes to is what it looks like."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    firmware: Any = next(iter(emulators[vendor].expected_firmware(vendor)))
    job: Any = next(iter(emulators[vendor].expected_jobs(vendor)))
    for words in (("firmware", "delete", firmware.firmware_id), ("jobs", "delete", job.job_id)):
        monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
        ran = run(*words, "--backend", vendor)
        assert ran.code == 1
        assert "[y/N]" in ran.err
        assert "x1b[2J" in ran.err


def test_the_words_of_the_command_line_steer_nothing(run: Run) -> None:
    """Other programs may have filled them in."""
    for words in (("firmware", "show", EVIL), ("jobs", "show", "x", f"--{EVIL}"), ("devices", "list", "--limit", EVIL)):
        ran = run(*words, "--backend", "enos")
        assert ran.code == 2
        assert ran.out == ""
    explained = run("devices", "scan", "--backend", "enos", "--explain", "--version", EVIL)
    assert explained.code == 2  # a control character is no version
    assert run("devices", "scan", "--backend", "enos", "--explain", "--version", "=1+1;\u202e").code == 0


def test_files_hold_no_formulas(run: Run, tmp_path: Path) -> None:
    """A file may be opened in a spreadsheet later; and a certificate shown on a terminal."""
    ran = run("devices", "scan", "--backend", "iotda", "--out", "all.csv", "--certificate", "proof.json")
    assert ran.code in {0, 3}
    check_spreadsheet((tmp_path / "all.csv").read_text(encoding="utf-8"))
    check_safe((tmp_path / "proof.json").read_text(encoding="utf-8"))


def test_a_traceback_steers_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The variable that brings tracebacks back does not bring escape sequences along."""
    monkeypatch.setenv("OTACLIENT_TRACEBACK", "1")
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back afterwards
    with pytest.raises(Exception, match="forged") as caught:
        run("firmware", "show", "0" * 24, "--backend", "iotda")
    capsys.readouterr()
    sys.excepthook(caught.type, caught.value, caught.tb)
    printed = capsys.readouterr().err
    check_printable(printed)
    assert "Traceback" in printed


def test_messages_and_bars_steer_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    """What is said of a record, and what a bar says goes on, hold a vendor's or a file's words."""
    say(f"first\n{EVIL}")
    printed = capsys.readouterr().err
    check_printable(printed)
    assert printed.startswith("first\n")
    screen = io.StringIO()
    bar = ProgressBar(EVIL, unit=EVIL, console=Console(file=screen, force_terminal=True, width=400))
    bar.update(1, 2)
    bar._bar.start()
    bar.update(1, 2, what=EVIL + "again")
    bar._bar.stop()
    drawn = screen.getvalue()
    assert "again" in drawn
    assert not any(attack in drawn for attack in ("\x1b[2J", "\x1b]0", "\x9b", "\u202e", "\u2066", "\x07", "\x00"))
