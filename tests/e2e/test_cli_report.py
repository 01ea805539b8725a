"""``devices scan --out`` and ``report``, as a user types them: from an emulated fleet to a page, and each mistake."""

import asyncio
import csv
import importlib
import inspect
import json
import os
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from otaclient import export
from otaclient.cli import devices, firmware, jobs
from otaclient.cli.completion import completion
from otaclient.cli.demo import demo
from otaclient.cli.emulator import emulator as run_emulator
from otaclient.cli.report import report
from otaclient.emulator import EmulatorServer, Fleet
from otaclient.registry import emulator_class
from support.command_line import Run, emptied, run_here, served_aside
from support.exports import CERTIFICATE, UNCERTAIN, device, written

DEVICES = 600
ROOT = Path(__file__).parents[2]
MEMORY_DEVICES = int(os.environ.get("OTACLIENT_EXPORT_DEVICES", "3000"))
"""For the whole proof: OTACLIENT_EXPORT_DEVICES=1000000 pytest tests/e2e/test_cli_report.py -k memory --timeout 900"""
MEMORY = [
    # Arrow's libraries take 40 of them; the scan remembers a million devices in 100.
    ("parquet", "exact", 200),
    ("parquet", "neighbours", 120),
    ("csv", "exact", 175),
    ("jsonl", "exact", 175),
]
"""Formats, what the scan remembers, and the most MiB of resident memory, for a million devices."""


@pytest.fixture(scope="module")
def emulator() -> Iterator[EmulatorServer]:
    """An emulator on a thread of its own: the command brings its own event loop."""
    server = emulator_class("enos")(Fleet.generate(devices=DEVICES, seed=11))
    with served_aside(server):
        yield server


@pytest.fixture
def run(
    tmp_path: Path, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the command in an empty folder, with the emulator as the only backend that has settings."""
    emptied(monkeypatch, tmp_path)
    for name, value in emulator.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("ARROW_DEFAULT_MEMORY_POOL", "system")
    return run_here(capsys)


# --- devices scan --out ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "ndjson"])
def test_a_scan_becomes_a_file_with_its_certificate(run: Run, emulator: EmulatorServer, suffix: str) -> None:
    """What is in the file is what the emulator holds, and the certificate is stored along."""
    result = run("devices", "scan", "--out", f"fleet.{suffix}")
    assert (result.code, result.out) == (0, "")
    file = export.read(f"fleet.{suffix}")
    assert set(file) == set(emulator.expected_devices("enos"))
    assert file.certificate is not None
    assert (file.certificate.verdict.value, file.certificate.devices) == ("certified", DEVICES)
    assert result.err == f"{file.certificate}\n"


def test_formats_and_endings(run: Run, tmp_path: Path) -> None:
    """``--format`` may name the format of any ending that says none, and must not contradict one that does."""
    assert run("devices", "scan", "--out", "fleet.dat", "--format", "csv").code == 0
    assert len(list(csv.reader((tmp_path / "fleet.dat").read_text(encoding="utf-8").splitlines()))) == DEVICES + 1
    assert (tmp_path / "fleet.dat.certificate.json").exists()
    assert run("devices", "scan", "--out", "fleet.json").code == 0
    assert len(json.loads((tmp_path / "fleet.json").read_text(encoding="utf-8"))) == DEVICES
    assert run("devices", "scan", "--out", "fleet.txt", "--format", "table").code == 0
    assert len((tmp_path / "fleet.txt").read_text(encoding="utf-8").splitlines()) == DEVICES + 2
    run("devices", "scan", "--out", "x.parquet", "--format", "csv").refused(
        2, "--format csv does not fit --out x.parquet, whose ending means parquet"
    )
    run("devices", "scan", "--out", "x.xlsx").refused(
        2, "the ending '.xlsx' is not known; known are .parquet, .csv, .jsonl, .ndjson, .json; or say with --format"
    )
    run("devices", "scan", "--out", "x").refused(2, "the name has no ending; known are .parquet")
    assert not list(tmp_path.glob("x*"))


def test_flat_memory_can_be_chosen(run: Run) -> None:
    """``--dedupe neighbours`` forgets what is long past."""
    assert run("devices", "scan", "--out", "fleet.csv", "--dedupe", "neighbours").code == 0
    assert len(list(export.read("fleet.csv"))) == DEVICES


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_file_that_exists(run: Run, tmp_path: Path, suffix: str) -> None:
    """It is kept before anything is asked, unless ``--force`` is given; so is a certificate alone."""
    (tmp_path / f"fleet.{suffix}").write_text("old", encoding="utf-8")
    (tmp_path / "alone.csv.certificate.json").write_text("old", encoding="utf-8")
    run("devices", "scan", "--out", f"fleet.{suffix}").refused(2, f"fleet.{suffix} exists already", "--force")
    run("devices", "scan", "--out", "alone.csv").refused(2, "alone.csv.certificate.json exists already", "--force")
    assert run("devices", "scan", "--out", f"fleet.{suffix}", "--force").code == 0
    assert len(list(export.read(f"fleet.{suffix}"))) == DEVICES


@pytest.mark.parametrize("suffix", ["csv", "json"])
def test_a_full_disk(run: Run, tmp_path: Path, suffix: str) -> None:
    """One line says that nothing is kept, one what happened and what to do."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        result = run("devices", "scan", "--out", f"fleet.{suffix}")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (result.code, result.out) == (1, "")
    unfinished, error = result.err.splitlines()
    assert re.fullmatch(r"not finished: \d+ devices so far, none of them kept", unfinished)
    assert error == (
        f"error: fleet.{suffix} cannot be written: File too large; free some room, or name a file elsewhere"
    )
    assert list(tmp_path.iterdir()) == []


def test_a_missing_extra(run: Run, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line for pip, before anything is asked."""

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return original(name, *rest)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", without)
    before = emulator.served.total()
    run("devices", "scan", "--out", "fleet.parquet").refused(2, "pip install 'otaclient[export]'", ".csv or .jsonl")
    assert emulator.served.total() == before


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("suffix", "dedupe", "mebibytes"), MEMORY if MEMORY_DEVICES > 100_000 else MEMORY[:1])
def test_memory_of_a_whole_scan(tmp_path: Path, suffix: str, dedupe: str, mebibytes: int) -> None:
    """The resident peak of the command's process, libraries included, is bounded; for a million, set the variable."""
    from benchmarks.clients import APP_KEY, APP_SECRET
    from benchmarks.serving import page_server

    script = (
        "import sys; from otaclient.cli import main; from benchmarks.memory_probe import peak_bytes; "
        "code = main(sys.argv[1:]); print(peak_bytes()); sys.exit(code)"
    )
    with page_server(enos_devices=MEMORY_DEVICES, iotda_devices=1, delays_ms=[0]) as server:
        settings = {"ENDPOINT": server.endpoint(), "ORG_ID": f"o{MEMORY_DEVICES}", "APP_KEY": APP_KEY}
        settings["APP_SECRET"] = APP_SECRET
        environment = {name: value for name, value in os.environ.items() if not name.startswith("OTACLIENT_")}
        environment |= {f"OTACLIENT_ENOS_{name}": value for name, value in settings.items()}
        words = ["devices", "scan", "--backend", "enos", "--out", str(tmp_path / f"fleet.{suffix}")]
        words += ["--dedupe", dedupe]
        done = subprocess.run(
            [sys.executable, "-c", script, *words],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    peak = int(done.stdout) / 2**20
    print(f"{MEMORY_DEVICES:,} devices, {suffix}, {dedupe}: peak {peak:.1f} MiB")  # noqa: T201 - the figure asked for
    assert peak < mebibytes
    stamp = export.read(tmp_path / f"fleet.{suffix}").stamp
    assert stamp is not None
    assert stamp.rows == MEMORY_DEVICES


@pytest.mark.parametrize(
    ("name", "command"), [("demo", demo), ("emulator", run_emulator), ("report", report), ("completion", completion)]
)
def test_commands_that_come_late_say_what_they_do(run: Run, name: str, command: Any) -> None:
    """Their help is there before they are imported, and is theirs."""
    told = " ".join(run(name, "--help").out.split())
    assert " ".join((inspect.getdoc(command) or "").partition("\n\nParameters\n")[0].split()) in told


@pytest.mark.parametrize("group", [devices, firmware, jobs])
def test_groups_that_come_late_say_what_they_are(run: Run, group: ModuleType) -> None:
    """The list of commands describes a group as the group does itself."""
    listed = " ".join(run("--help").out.replace("│", " ").split())
    assert f"{group.app.name[0]} {group.app.help}" in listed


def test_a_scan_does_not_carry_the_emulators() -> None:
    """What the command imports for a scan is what its memory begins with."""
    script = (
        "import sys; from otaclient.cli.app import app; app.parse_args(['devices', 'scan'], exit_on_error=False); "
        "late = ('emulator', 'arrow', 'otaclient.report', 'cli.job', 'cli.firmware', 'cli.completion'); "
        "print([name for name in sys.modules if any(word in name for word in late)])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- report ----------------------------------------------------------------------------------------------------------


def test_from_two_scans_to_a_page(run: Run, tmp_path: Path) -> None:
    """The page is made of files of any format, and one line sums it up."""
    run("devices", "scan", "--out", "old.csv")
    run("devices", "scan", "--out", "new.parquet")
    result = run("report", "new.parquet", "-o", "report.html", "--since", "old.csv")
    assert (result.code, result.out) == (0, "")
    first, second = result.err.splitlines()
    assert first.startswith(f"report.html: {DEVICES} devices of ")
    assert second.startswith("since then 0 upgraded, ")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{DEVICES} devices are in both files." in page
    assert "Certified: no device was missed" in page
    assert not list(tmp_path.glob("*.part"))


def test_what_is_uncertain_is_said_on_the_terminal_too(run: Run, tmp_path: Path) -> None:
    """So that nobody forwards the page unaware."""
    asyncio.run(written(tmp_path / "old.csv", [device("a")], CERTIFICATE))
    asyncio.run(written(tmp_path / "new.jsonl", [device("a")], UNCERTAIN))
    result = run("report", "new.jsonl", "--out", "report.html", "--since", "old.csv", "--list-limit", "5")
    assert result.err.splitlines()[-1] == "new.jsonl: UNCERTAIN: devices may be missing"


def test_a_report_of_an_empty_fleet(run: Run, tmp_path: Path) -> None:
    """It is a page like any other, and the terminal says that there is nothing on it."""
    asyncio.run(written(tmp_path / "fleet.csv", []))
    result = run("report", "fleet.csv", "-o", "report.html")
    assert (result.code, result.err) == (
        0,
        "report.html: 0 devices of 0 products, 0 upgrading\nfleet.csv holds no devices\n",
    )
    assert "The file holds no devices" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_mistakes_with_a_report(run: Run, tmp_path: Path) -> None:
    """Each is one line, and leaves no page."""
    asyncio.run(written(tmp_path / "fleet.csv", [device("a"), device("b")]))
    (tmp_path / "there.html").write_text("mine", encoding="utf-8")
    run("report", "fleet.csv", "-o", "there.html").refused(2, "there.html exists already", "--force")
    run("report", "fleet.csv", "-o", "nowhere/x.html").refused(2, "there is no folder nowhere")
    run("report", "fleet.xlsx", "-o", "x.html").refused(2, "'.xlsx' is not known; known are .parquet")
    run("report", "gone.csv", "-o", "x.html").refused(1, "gone.csv cannot be read: No such file")
    (tmp_path / "jobs.csv").write_text("job_id,name\n1,2\n", encoding="utf-8")
    run("report", "jobs.csv", "-o", "x.html").refused(1, "jobs.csv: the columns are not those of scanned devices")
    run("report", "fleet.csv", "-o", "x.html", "--since", "jobs.csv").refused(1, "jobs.csv: the columns")
    content = (tmp_path / "fleet.csv").read_bytes()
    (tmp_path / "fleet.csv").write_bytes(content[:-20])
    run("report", "fleet.csv", "-o", "x.html").refused(1, "fleet.csv is cut off")
    (tmp_path / "fleet.csv").write_bytes(content)
    stamp = tmp_path / "fleet.csv.certificate.json"
    stamp.write_text(stamp.read_text(encoding="utf-8").replace('"version": 1', '"version": 9'), encoding="utf-8")
    run("report", "fleet.csv", "-o", "x.html").refused(
        1, "has version 9, from a newer otaclient", "pip install --upgrade"
    )
    assert not list(tmp_path.glob("*x.html*"))
    assert (tmp_path / "there.html").read_text(encoding="utf-8") == "mine"


def test_a_page_never_takes_the_place_of_a_fleet(run: Run, tmp_path: Path) -> None:
    """Not even with ``--force``, and by whatever name; and a fleet is not compared with itself."""
    asyncio.run(written(tmp_path / "fleet.csv", [device("a")]))
    asyncio.run(written(tmp_path / "old.csv", [device("a")]))
    (tmp_path / "link.csv").symlink_to("fleet.csv")
    before = (tmp_path / "fleet.csv").read_bytes()
    for words in (["-o", "link.csv"], ["--since", "old.csv", "-o", "./old.csv"]):
        run("report", "fleet.csv", *words, "--force").refused(2, "is a fleet that is read: name another file")
    run("report", "fleet.csv", "--since", "link.csv", "-o", "x.html").refused(2, "--since link.csv is the file to repo")
    assert (tmp_path / "fleet.csv").read_bytes() == before
    assert not (tmp_path / "x.html").exists()


def test_a_page_that_the_disk_does_not_take(run: Run, tmp_path: Path) -> None:
    """What is half written is removed; the page that was there stays."""
    asyncio.run(written(tmp_path / "fleet.csv", [device("a")]))
    (tmp_path / "report.html").write_text("old", encoding="utf-8")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        result = run("report", "fleet.csv", "-o", "report.html", "--force")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    result.refused(1, "report.html cannot be written: File too large; free some room")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == "old"
    assert not list(tmp_path.glob("*.part"))
