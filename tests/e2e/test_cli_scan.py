"""``otaclient devices scan`` against both emulators, over real HTTP: what it prints and writes, and how it ends."""

import csv
import io
import json
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from otaclient.cli import progress
from otaclient.cli.progress import ProgressBar
from otaclient.emulator import EmulatorServer
from support.command_line import DEVICES, VENDORS, Run, as_json, uncertain


def by_device(records: list[Any]) -> list[Any]:
    """Return device records in an order that does not depend on the network."""
    return sorted(records, key=lambda one: (one["backend"], one["device_id"]))


@pytest.mark.usefixtures("settings")
def test_scan_reads_all_configured_fleets(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """Without ``--backend`` all backends with settings are scanned; the certificate is on standard error."""
    result = run("devices", "scan", "--format", "jsonl")
    assert result.code == 0
    expected = [one for name in VENDORS for one in as_json(emulators[name].expected_devices(name))]
    assert by_device(result.records) == by_device(expected)
    assert result.err.startswith(f"certified: {2 * DEVICES:,} devices")
    table = run("devices", "scan").out.splitlines()
    assert table[0].split()[0] == "backend"
    assert len(table) == 2 * DEVICES + 2


@pytest.mark.parametrize("words", [["scan"], ["list"]])
@pytest.mark.usefixtures("settings")
def test_data_and_a_progress_bar_do_not_mix(run: Run, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    """With messages on a terminal and data in a file, every record is in the file, also behind the first second."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")  # what rich takes for a terminal
    result = run("devices", *words, "--backend", "enos", "--format", "jsonl")
    assert "Scanning" in result.err or "Reading devices" in result.err, "there was a bar"
    assert len(result.records) == DEVICES
    assert "device_id" not in result.err


@pytest.mark.usefixtures("settings")
def test_scan_writes_files_whole(run: Run, clean: Path) -> None:
    """Data and certificate go into files that appear at the end; existing ones are kept unless forced."""
    words = ("devices", "scan", "--backend", "enos", "--out", "fleet.csv", "--certificate", "proof.json")
    first = run(*words)
    assert (first.code, first.out) == (0, "")
    rows = list(csv.DictReader(io.StringIO((clean / "fleet.csv").read_text(encoding="utf-8"))))
    proof = json.loads((clean / "proof.json").read_text(encoding="utf-8"))
    assert len(rows) == proof["devices"] == DEVICES
    assert proof["verdict"] == "certified"
    assert sorted(path.name for path in clean.iterdir()) == ["fleet.csv", "fleet.csv.certificate.json", "proof.json"]
    run(*words).refused(2, "proof.json exists already", "--force")
    run("devices", "scan", "--backend", "enos", "--out", "fleet.csv").refused(2, "fleet.csv exists already")
    assert run(*words, "--force").code == 0


@pytest.mark.usefixtures("settings")
def test_explain_says_what_a_scan_would_do(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """``--explain`` prints the plan and sends nothing."""
    before = [server.served.total() for server in emulators.values()]
    result = run("devices", "scan", "--explain", "--concurrency", "3")
    assert (result.code, result.err) == (0, "")
    assert "at most 3 pages at once" in result.out
    assert [server.served.total() for server in emulators.values()] == before


@pytest.mark.usefixtures("settings")
def test_interrupted_scan_keeps_what_it_has(run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C ends a scan with exit code 130; the devices so far and an honest certificate stay."""
    monkeypatch.setattr(ProgressBar, "update", lambda *arguments: signal.raise_signal(signal.SIGINT))
    result = run("devices", "scan", "--backend", "enos", "--out", "fleet.jsonl", "--certificate", "proof.json")
    assert result.code == 130
    assert "devices so far, kept in fleet.jsonl.part" in result.err
    assert result.err.splitlines()[-1] == "interrupted"
    assert not (clean / "fleet.jsonl").exists()
    assert all(json.loads(line)["device_id"] for line in (clean / "fleet.jsonl.part").read_text().splitlines())
    proof = json.loads((clean / "proof.json").read_text(encoding="utf-8"))
    assert (proof["verdict"], proof["reasons"]) == ("uncertain", ["interrupted"])


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("ignored", [False, True])
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_scan_that_is_told_to_end_keeps_what_it_has(
    run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch, name: str, ignored: bool
) -> None:
    """``kill``, ``timeout`` or a terminal that goes away: as Ctrl-C, with exit code 143, also where that is ignored."""
    number = signal.Signals[name]
    before = signal.signal(signal.SIGINT, signal.SIG_IGN) if ignored else signal.getsignal(signal.SIGINT)
    monkeypatch.setattr(ProgressBar, "update", lambda *arguments: signal.raise_signal(number))
    try:
        result = run("devices", "scan", "--backend", "enos", "--out", "fleet.csv", "--certificate", "proof.json")
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.code == 143
    assert result.err.splitlines()[-1] == "told to end"
    assert not (clean / "fleet.csv").exists()
    proof = json.loads((clean / "proof.json").read_text(encoding="utf-8"))
    assert (proof["verdict"], proof["reasons"]) == ("uncertain", ["interrupted"])
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.usefixtures("settings")
def test_what_nohup_ignores_stays_ignored(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal that goes away does not end what was started to outlive it."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    monkeypatch.setattr(ProgressBar, "update", lambda *arguments: signal.raise_signal(signal.SIGHUP))
    try:
        assert run("devices", "scan", "--backend", "enos", "--out", "fleet.csv").code == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("where", ["standard output", "file"])
@pytest.mark.parametrize("form", ["table", "json", "jsonl", "csv", "parquet"])
def test_interrupted_scan_flushes_what_it_has(
    run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch, form: str, where: str
) -> None:
    """In every format: each row that is there is whole, and the certificate says why there are no more."""
    if form == "parquet" and where == "standard output":
        pytest.skip("goes to files only")
    shown = 0

    def interrupt(*_arguments: object) -> None:
        nonlocal shown
        shown += 1
        if shown == 3:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ProgressBar, "update", interrupt)
    words = ["devices", "scan", "--backend", "enos", "--certificate", "proof.json"]
    words += ["--out", f"fleet.{form}"] if where == "file" else ["--format", form]
    if (form, where) == ("table", "file"):
        words[-1:] = ["fleet.txt", "--format", "table"]
    result = run(*words)
    assert result.code == 130
    assert result.err.splitlines()[-1] == "interrupted"
    proof = json.loads((clean / "proof.json").read_text(encoding="utf-8"))
    assert (proof["verdict"], proof["reasons"]) == ("uncertain", ["interrupted"])
    if where == "file":
        (part,) = [path for path in clean.iterdir() if path.name.startswith("fleet") and "certificate" not in path.name]
        assert part.suffix == ".part"
        assert _rows_of(part.read_bytes(), form) >= 1
    else:
        assert _rows_of(result.out.encode(), form) >= 1


def _rows_of(content: bytes, form: str) -> int:
    """Return how many whole rows there are of what may lack its end."""
    if form == "parquet":
        parquet = pytest.importorskip("pyarrow.parquet")
        return int(parquet.read_table(io.BytesIO(content)).num_rows)
    lines = content.decode().splitlines()
    if form == "jsonl":
        return len([json.loads(line) for line in lines])
    if form == "json":
        return len([json.loads(line.strip().rstrip(",")) for line in lines if line.strip().startswith("{")])
    if form == "csv":
        rows = list(csv.reader(lines))
        assert len({len(row) for row in rows}) == 1
        return len(rows) - 1
    return len(lines) - 1


@pytest.mark.usefixtures("settings")
def test_reader_that_has_seen_enough_ends_the_command_quietly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """``| head`` is no error."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", encoding="utf-8") as closed_pipe:
        monkeypatch.setattr(sys, "stdout", closed_pipe)
        result = run("devices", "scan", "--format", "jsonl", "--backend", "enos")
    assert (result.code, result.err) == (0, "")


@pytest.mark.usefixtures("settings")
def test_uncertain_scan_has_an_exit_code_of_its_own(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that ended uncertain exits 3."""
    uncertain(monkeypatch)
    result = run("devices", "scan", "--format", "csv")
    assert result.code == 3
    assert result.err.startswith("uncertain: ")


@pytest.mark.usefixtures("settings")
def test_interrupted_scan_to_standard_output_counts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a file, the message says how many devices were printed."""
    monkeypatch.setattr(ProgressBar, "update", lambda *arguments: signal.raise_signal(signal.SIGINT))
    result = run("devices", "scan", "--backend", "enos", "--format", "jsonl")
    assert result.code == 130
    assert "devices so far\ninterrupted\n" in result.err


@pytest.mark.usefixtures("settings")
def test_scan_that_fails_at_once_leaves_nothing(run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first device there is nothing to keep, so nothing stands in the way of the next run."""
    monkeypatch.setenv("OTACLIENT_ENOS_APP_SECRET", "hunter2")
    run("devices", "scan", "--backend", "enos", "--out", "fleet.csv").refused(1, "app_secret")
    assert list(clean.iterdir()) == []


@pytest.mark.usefixtures("settings")
def test_a_scan_in_a_table_ends_with_sums(run: Run) -> None:
    """The line before the certificate says how many are being upgraded; programs get the records alone."""
    result = run("devices", "scan", "--backend", "enos", "--format", "table")
    found = re.fullmatch(r"700 devices: (\d+) not upgrading, (\d+) upgrading", result.err.splitlines()[0])
    assert found is not None
    assert int(found[1]) + int(found[2]) == DEVICES
    assert run("devices", "scan", "--backend", "enos", "--format", "jsonl").err.startswith("certified: 700 devices")
