"""The ``otaclient`` command against both emulators, over real HTTP: what it prints, and how it ends."""

import csv
import io
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient.cli import main
from otaclient.cli.emulator import _is_loopback, emulator_class, emulator_names
from otaclient.cli.listing import say
from otaclient.cli.output import record
from otaclient.cli.progress import ProgressBar
from otaclient.emulator import EmulatorServer, Fleet
from otaclient.fleet.ledger import Verdict
from otaclient.fleet.running_scan import Scan
from support.command_line import emptied, served_aside

VENDORS = ("enos", "iotda")
DEVICES = 700


@attrs.frozen(kw_only=True)
class Result:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[Any]:
        """The records of JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    def refused(self, code: int, *words: str) -> None:
        """Check that the command complained in exactly one line, with these words and this exit code."""
        assert self.code == code, self
        assert self.out == ""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("error: ")
        assert "Traceback" not in self.err
        for word in words:
            assert word in lines[0]


Run = Callable[..., Result]


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

    def call(*words: str) -> Result:
        capsys.readouterr()
        code = main(words)
        printed = capsys.readouterr()
        return Result(code=code, out=printed.out, err=printed.err)

    return call


@pytest.fixture
def settings(clean: Path, emulators: Mapping[str, EmulatorServer], monkeypatch: pytest.MonkeyPatch) -> None:
    """Point the environment at both emulators."""
    for server in emulators.values():
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)


def as_json(models: Any) -> list[Any]:
    """Return records as a reader of JSON gets them."""
    return [json.loads(json.dumps(record(model))) for model in models]


def by_device(records: list[Any]) -> list[Any]:
    """Return device records in an order that does not depend on the network."""
    return sorted(records, key=lambda one: (one["backend"], one["device_id"]))


# --- listings --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("vendor", VENDORS)
def test_listings_hold_every_record_of_every_page(
    run: Run, emulators: Mapping[str, EmulatorServer], vendor: str
) -> None:
    """Firmware, jobs and devices come complete and under the models' field names."""
    expected: Mapping[str, list[Any]] = {
        "firmware": as_json(emulators[vendor].expected_firmware(vendor)),
        "jobs": as_json(emulators[vendor].expected_jobs(vendor)),
        "devices": as_json(emulators[vendor].expected_devices(vendor)),
    }
    for what, records in expected.items():
        result = run(what, "list", "--backend", vendor, "--format", "jsonl")
        assert (result.code, result.err) == (0, "")
        found = result.lines
        id_name = next(name for name in ("firmware_id", "job_id", "device_id") if name in found[0])
        assert sorted(one[id_name] for one in found) == sorted(one[id_name] for one in records)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("vendor", VENDORS)
def test_formats_hold_the_same_devices(run: Run, vendor: str) -> None:
    """JSON, JSON Lines, CSV and the table show the same devices; the table counts them on standard error."""
    words = ("devices", "list", "--backend", vendor, "--limit", "5", "--format")
    from_json = json.loads(run(*words, "json").out)
    from_lines = run(*words, "jsonl").lines
    from_csv = list(csv.DictReader(io.StringIO(run(*words, "csv").out)))
    table = run(*words, "table")
    assert from_json == from_lines
    assert [row["device_id"] for row in from_csv] == [one["device_id"] for one in from_json]
    assert [line.split()[0] for line in table.out.splitlines()[2:]] == [one["device_id"] for one in from_json]
    sums = {"enos": "5 devices: 3 not upgrading, 2 upgrading", "iotda": "5 devices"}
    assert table.err == f"{sums[vendor]} (as many as --limit allows)\n"
    assert len(from_json) == 5


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("what", ["firmware", "jobs"])
def test_show_gives_the_record_that_list_named(run: Run, vendor: str, what: str) -> None:
    """One record comes as lines for people, as one object, or as one row."""
    listed = run(what, "list", "--backend", vendor, "--format", "jsonl", "--limit", "1").lines[0]
    id_name = "firmware_id" if what == "firmware" else "job_id"
    words = (what, "show", listed[id_name], "--backend", vendor)
    assert json.loads(run(*words, "--format", "json").out)[id_name] == listed[id_name]
    assert f"{id_name} " in run(*words).out
    rows = list(csv.DictReader(io.StringIO(run(*words, "--format", "csv").out)))
    assert [row[id_name] for row in rows] == [listed[id_name]]


@pytest.mark.usefixtures("settings")
def test_filters_reach_the_query(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """Options of a listing narrow it."""
    product = emulators["enos"].fleet.products[0].product_id
    devices = run(
        "devices", "list", "--backend", "enos", "--product", product, "--upgrading", "--format", "jsonl"
    ).lines
    assert devices
    assert {(one["product_id"], one["upgrading"]) for one in devices} == {(product, True)}
    rest = run("devices", "list", "--backend", "enos", "--product", product, "--not-upgrading", "--format", "jsonl")
    assert {one["upgrading"] for one in rest.lines} == {False}
    jobs = run("jobs", "list", "--backend", "enos", "--status", "stopped", "--format", "jsonl").lines
    assert {one["status"] for one in jobs} == {"stopped"}
    firmware = run("firmware", "list", "--backend", "enos", "--not-verified", "--format", "jsonl").lines
    assert {one["verification"]["verified"] for one in firmware} == {False}


@pytest.mark.usefixtures("settings")
def test_one_device_where_the_vendor_can_look_it_up(run: Run) -> None:
    """IoTDA shows one device; EnOS cannot, and says so before any request."""
    listed = run("--backend", "iotda", "--format", "jsonl", "devices", "list", "--limit", "1").lines[0]
    shown = run("devices", "show", listed["device_id"], "--backend", "iotda", "--format", "json")
    assert json.loads(shown.out)["device_id"] == listed["device_id"]
    run("devices", "show", "x", "--backend", "enos").refused(2, "enos devices.get", "no such operation")


# --- scanning --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settings")
def test_scan_reads_all_configured_fleets(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """Without ``--backend`` all backends with settings are scanned; the certificate is on standard error."""
    result = run("devices", "scan", "--format", "jsonl")
    assert result.code == 0
    expected = [one for name in VENDORS for one in as_json(emulators[name].expected_devices(name))]
    assert by_device(result.lines) == by_device(expected)
    assert result.err.startswith(f"certified: {2 * DEVICES:,} devices")
    table = run("devices", "scan").out.splitlines()
    assert table[0].split()[0] == "backend"
    assert len(table) == 2 * DEVICES + 2


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


def uncertain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every scan end uncertain."""
    original = Scan.certificate
    assert isinstance(original, property)
    certificate = original.fget
    assert certificate is not None
    monkeypatch.setattr(
        Scan, "certificate", property(lambda scan: attrs.evolve(certificate(scan), verdict=Verdict.UNCERTAIN))
    )


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
def test_tables_on_a_terminal_fit_and_say_what_is_missing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a narrow terminal some columns are left out, and a message names them."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setenv("NO_COLOR", "1")
    result = run("jobs", "list", "--backend", "iotda")
    assert all(len(line) <= 60 for line in result.out.splitlines())
    assert result.err.startswith("no room for: ")
    wide = run("jobs", "list", "--backend", "iotda", "--wide")
    assert "created" in wide.out.splitlines()[0]
    assert "no room" not in wide.err
    assert wide.err.endswith("\n")
    narrow = run("backends")
    assert all(len(line) <= 60 for line in narrow.out.splitlines())
    assert "OTACLIENT_ENOS_FILES_ENDPOINT" in run("backends", "--wide").out


@pytest.mark.usefixtures("settings")
def test_a_scan_in_a_table_ends_with_sums(run: Run) -> None:
    """The line before the certificate says how many are being upgraded; programs get the records alone."""
    result = run("devices", "scan", "--backend", "enos", "--format", "table")
    found = re.fullmatch(r"700 devices: (\d+) not upgrading, (\d+) upgrading", result.err.splitlines()[0])
    assert found is not None
    assert int(found[1]) + int(found[2]) == DEVICES
    assert run("devices", "scan", "--backend", "enos", "--format", "jsonl").err.startswith("certified: 700 devices")


@pytest.mark.usefixtures("settings")
def test_colours_on_request(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe gets none; ``FORCE_COLOR`` asks for them, and ``NO_COLOR`` wins. An error begins in red."""
    words = ("jobs", "list", "--backend", "enos", "--limit", "3")
    assert "\x1b" not in run(*words).out
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(*words).out.startswith("\x1b[1mjob id")
    assert run("jobs", "show", "--backend", "enos", "none").err.startswith("\x1b[31merror:\x1b[0m enos jobs.get: ")
    assert "\x1b[32mpassed" in run("doctor", "--backend", "enos").out
    assert "\x1b" not in run(*words, "--format", "json").out
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run(*words).out
    assert run("jobs", "show", "--backend", "enos", "none").err.startswith("error: enos jobs.get: ")


@pytest.mark.usefixtures("settings")
def test_modules_have_names_where_the_vendor_has_modules(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """``--module-name`` goes with ``--kind module``, and reaches the vendor; each mistake is a line."""
    product = emulators["iotda"].fleet.products[0].product_id
    where = ("--backend", "iotda", "--location", "obs://bucket/r.bin?region=cn-north-4")
    what = ("--version", "m77", "--product", product, "--owner", "61f7e74d036aca5be29e1ed4")
    words = ("firmware", "upload", *where, *what)
    run(*words, "--kind", "module").refused(2, "give --module-name")
    run(*words, "--module-name", "radio").refused(2, "--module-name 'radio' goes with --kind module, not with firmware")
    made = run(*words, "--kind", "module", "--module-name", "radio")
    assert made.code == 0, made
    shown = run("firmware", "show", "--backend", "iotda", made.out.strip(), "--format", "json")
    assert json.loads(shown.out)["extra"]["module_name"] == "radio"
    other = ("firmware", "upload", "--backend", "enos", "--location", "x", "--version", "1", "--kind", "module")
    run(*other, "--module-name", "radio").refused(2, "this backend has firmware without modules", "--module-name out")
    assert "kind is module" in run(*other).err


@pytest.mark.usefixtures("settings")
def test_errors_speak_the_language_of_the_command(run: Run) -> None:
    """What the library calls otherwise is told as the option, or the variable, that one types."""
    run("firmware", "list", "--backend", "enos", "--kind", "module").refused(2, "; at a terminal, kinds is --kind")
    run("jobs", "list", "--backend", "iotda", "--product", "x").refused(2, "products is --product, firmware_ids is")
    words = ("firmware", "upload", "--backend", "iotda", "--location", "obs://b/x", "--version", "1")
    assert "app_id is OTACLIENT_IOTDA_APP_ID, owner_id is --owner" in run(*words, "--product", "x").err
    assert "product_id is --product" in run(*words, "--owner", "x").err
    run("jobs", "tasks", "a" * 24, "--backend", "iotda", "--status", "published").refused(2, "statuses is --status")
    run("jobs", "tasks", "a" * 24, "--backend", "iotda", "--to-version", "1").refused(2, "to_versions is --to-version")


# --- what bad input gets ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jobs", "list", "--backend", "aws"], ["no backend 'aws'", "known backends: enos, iotda"]),
        (["jobs", "list"], ["no backend has settings", "--backend", "enos, iotda"]),
        (["devices", "scan"], ["no backend has settings"]),
        (["devices", "scan", "--backend", "enos", "--backend", "enos"], ["--backend enos is given twice"]),
        (["jobs", "list", "--backend", "enos"], ["missing settings endpoint, org_id", "OTACLIENT_ENOS_ENDPOINT"]),
        (["jobs", "list", "--backend", "iotda"], ["iotda", "OTACLIENT_IOTDA_"]),
        (["jobs", "list", "--backend", "enos", "--profile", "p"], ["no profile 'p'", "[p.<backend>]"]),
        (["jobs", "lsit"], ["lsit", "list"]),
        (["jobs", "list", "--frobnicate"], ["--frobnicate"]),
        (["jobs", "list", "--limit", "0"], ["--limit", "1"]),
        (["jobs", "list", "--status", "lost"], ["lost", "running"]),
        (["jobs", "list", "--format", "xml"], ["xml", "jsonl"]),
        (["jobs", "show"], ["JOB_ID"]),
        (["jobs", "list", "--product", ""], ["products", "empty"]),
        (["devices", "scan", "--concurrency", "0"], ["--concurrency"]),
        (["devices", "list", "--registered-after", "yesterday"], ["--registered-after", "2026-01-31T08:00:00Z"]),
        (
            [
                "devices",
                "list",
                "--registered-after",
                "2026-01-02T00:00:00Z",
                "--registered-before",
                "2026-01-01T00:00Z",
            ],
            ["registered_after", "swap"],
        ),
        (["emulator", "aws"], ["no emulator 'aws'", "known emulators: enos, iotda"]),
        (["emulator", "enos", "--port", "70000"], ["--port", "65535"]),
        (["emulator", "enos", "--devices", "60000000"], ["devices is 60000000", "a fleet takes 0 to"]),
    ],
)
def test_wrong_words_are_refused_in_one_line(run: Run, words: list[str], said: list[str]) -> None:
    """What cannot be right exits 2 with one line that names it, and sends nothing."""
    run(*words).refused(2, *said)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("vendor", "variable", "value", "code", "said"),
    [
        ("enos", "OTACLIENT_ENOS_APP_SECRET", "hunter2", 1, "app_secret"),
        ("iotda", "OTACLIENT_IOTDA_SECRET_KEY", "hunter2", 1, "secret_key"),
        ("enos", "OTACLIENT_ENOS_APP_SECRET", "", 2, "OTACLIENT_ENOS_APP_SECRET is empty"),
        ("enos", "OTACLIENT_ENOS_ENDPOINT", "127.0.0.1:80", 2, "OTACLIENT_ENOS_ENDPOINT"),
        ("iotda", "OTACLIENT_IOTDA_ENDPOINT", "http://127.0.0.1:80/v5/iot", 2, "OTACLIENT_IOTDA_ENDPOINT"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, vendor: str, variable: str, value: str, code: int, said: str
) -> None:
    """A wrong secret or address is told with what to check, and the secret is not shown."""
    monkeypatch.setenv(variable, value)
    result = run("jobs", "list", "--backend", vendor)
    result.refused(code, said)
    assert "hunter2" not in result.err


@pytest.mark.usefixtures("settings")
def test_vendor_refusals_exit_with_failure(run: Run) -> None:
    """What only the vendor can know exits 1 with the vendor's answer."""
    run("jobs", "show", "no-such-job", "--backend", "enos").refused(1, "no-such-job", "24404")
    run("jobs", "list", "--backend", "enos", "--product", "a'b\"c").refused(2, "quotes")
    run("jobs", "list").refused(2, "several backends have settings (enos, iotda)", "--backend")


def test_the_only_configured_backend_needs_no_name(
    run: Run, clean: Path, emulators: Mapping[str, EmulatorServer]
) -> None:
    """With settings for one backend, in a file here, the command needs no ``--backend``."""
    config = emulators["enos"].environment()
    fields = {name.removeprefix("OTACLIENT_ENOS_").lower(): value for name, value in config.items()}
    lines = "".join(f"{name} = {json.dumps(value)}\n" for name, value in fields.items())
    (clean / "otaclient.toml").write_text(f"[plant.enos]\n{lines}", encoding="utf-8")
    result = run("--profile", "plant", "jobs", "list", "--format", "jsonl")
    assert result.code == 0
    assert {one["backend"] for one in result.lines} == {"enos"}
    run("jobs", "list", "--profile", "north").refused(2, "known profiles: plant")
    (clean / "otaclient.toml").write_text("[plant.enos\n", encoding="utf-8")
    run("jobs", "list", "--profile", "plant").refused(2, "otaclient.toml is not valid TOML", "line 1")


def test_unexpected_faults_are_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is told as one, in one line; a variable brings the traceback back."""

    def fail() -> tuple[str, ...]:
        raise ZeroDivisionError("boom")

    monkeypatch.setattr("otaclient.cli.backends.available_backends", fail)
    run("backends").refused(1, "unexpected ZeroDivisionError: boom", "report it")
    monkeypatch.setenv("OTACLIENT_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        run("backends")


# --- backends --------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("settings")
def test_backends_are_listed_without_values(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """The list says which settings are set and by what, and never a value."""
    table, lines = run("backends"), run("backends", "--format", "jsonl")
    values = [
        value for server in emulators.values() for name, value in server.environment().items() if "SECRET" in name
    ]
    assert values
    for result in (table, lines):
        assert result.code == 0
        assert not any(value in result.out for value in values)
    assert "OTACLIENT_ENOS_APP_SECRET" in table.out
    assert [one["name"] for one in lines.lines] == list(VENDORS)
    assert all(one["loads"] for one in lines.lines)


def test_a_backend_that_does_not_load_is_told(run: Run, clean: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken plug-in is listed with the reason, and hinders nothing else."""
    info = clean / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[otaclient.backends]\nbroken = no_such_module:plugin\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(clean))
    result = run("backends")
    assert result.code == 0
    row = next(line for line in result.out.splitlines() if line.startswith("broken"))
    assert row.endswith("it does not load")
    assert "'broken' (no_such_module:plugin) cannot be loaded" in result.err
    run("jobs", "list").refused(2, "no backend has settings")


# --- emulators and demo ----------------------------------------------------------------------------------------------


def test_demo_adds_up(run: Run) -> None:
    """The demo scans all fleets, and its totals are those of the emulators."""
    result = run("demo", "--devices", "300", "--seed", "5")
    assert (result.code, result.err) == (0, "")
    assert "passed: the emulators hold 600 devices; each was read once, every record equal" in result.out
    assert "certified: 600 devices" in result.out
    totals = [int(line.split()[1]) for line in result.out.splitlines() if line.strip().startswith("all ")]
    assert totals == [300, 300, 600]


def test_demo_fits_a_narrow_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions that do not fit on one line take two, unbroken."""
    monkeypatch.setenv("COLUMNS", "80")
    result = run("demo", "--devices", "300", "--seed", "5")
    assert all(len(line) <= 80 for line in result.out.splitlines())
    assert any(re.fullmatch(r" +\d+ others \d+ *", line) for line in result.out.splitlines())


def test_demo_of_tiny_fleets_works(run: Run) -> None:
    """No device is no error, and a few versions are shown without a rest."""
    assert "hold 0 devices" in run("demo", "--devices", "0").out
    tiny = run("demo", "--devices", "2")
    assert tiny.code == 0
    assert " others " not in tiny.out


def test_demo_names_the_program_as_it_was_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What to type next works also where the program is not on the path."""
    monkeypatch.setattr(sys, "argv", [".venv/bin/otaclient"])
    monkeypatch.setenv("PATH", "")
    assert ".venv/bin/otaclient emulator enos" in run("demo", "--devices", "2").out


def test_demo_of_an_uncertain_scan_says_so(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scan that ends uncertain exits 3."""
    uncertain(monkeypatch)
    assert run("demo", "--devices", "2").code == 3


def test_demo_fails_when_the_totals_do_not_add_up(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check is real: a device that the emulators hold and the scan did not see fails it."""
    for name in VENDORS:
        server_class = emulator_class(name)
        original = server_class.expected_devices

        def altered(self: EmulatorServer, label: str, original: Any = original) -> Iterator[Any]:
            for device in original(self, label):
                yield attrs.evolve(device, firmware_version="another")

        monkeypatch.setattr(server_class, "expected_devices", altered)
    result = run("demo", "--devices", "10")
    assert result.code == 1
    assert "FAILED: the emulators hold 20 devices, 20 were read, 0 equal theirs" in result.out


def test_interrupted_demo_ends_cleanly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C stops the demo, emulators and all, with exit code 130."""
    monkeypatch.setattr(ProgressBar, "update", lambda *arguments: signal.raise_signal(signal.SIGINT))
    result = run("demo", "--devices", "300")
    assert (result.code, result.err) == (130, "interrupted\n")


COMMAND = (sys.executable, "-c", "import sys; from otaclient.cli import main; sys.exit(main())")


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("vendor", VENDORS)
def test_emulator_prints_how_to_reach_it_and_stops_on_interrupt(vendor: str) -> None:
    """The emulator's lines, read by a shell, are all that the client needs."""
    words = [*COMMAND, "emulator", vendor, "--port", "0", "--devices", "50"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        message = process.stderr.readline()
        # The exports are written before the message, and in one piece.
        exports = os.read(process.stdout.fileno(), 65536)
        script = exports.decode() + f"exec {shlex.join([*COMMAND, 'devices', 'list', '--format', 'jsonl'])}"
        listed = subprocess.run(["sh", "-c", script], capture_output=True, check=False, timeout=50)  # noqa: S607
        process.send_signal(signal.SIGINT)
        _, rest = process.communicate(timeout=20)
    assert listed.returncode == 0, listed.stderr
    assert len(listed.stdout.splitlines()) == 50
    assert message.startswith(b"50 devices")
    assert (process.returncode, rest) == (130, b"interrupted\n")


@pytest.mark.parametrize("loopback", [True, False])
def test_emulator_warns_on_an_open_address(run: Run, monkeypatch: pytest.MonkeyPatch, loopback: bool) -> None:
    """An address that others can reach is noted; Ctrl-C ends the emulator."""
    last = "Ctrl-C stops it." if loopback else "other machines may reach it"

    def interrupting(message: str) -> None:
        say(message)
        if last in message:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("otaclient.cli.emulator.say", interrupting)
    monkeypatch.setattr("otaclient.cli.emulator._is_loopback", lambda host: loopback)
    result = run("emulator", "enos", "--port", "0", "--devices", "20")
    assert result.code == 130
    assert result.err.startswith("20 devices of 3 products")
    assert ("other machines" in result.err) is not loopback
    assert result.out.startswith("# enos emulator on http://127.0.0.1:")


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("192.0.2.1", False),
        ("box", False),
    ],
)
def test_loopback_addresses_are_known(host: str, loopback: bool) -> None:
    """Only addresses of this machine need no warning."""
    assert _is_loopback(host) is loopback


@pytest.mark.parametrize("words", [["--help"], ["--version"], [], ["devices", "scan", "--help"]])
def test_help_and_version_are_data(run: Run, words: list[str]) -> None:
    """Help is asked for, so it goes to standard output and exits 0."""
    result = run(*words)
    assert (result.code, result.err) == (0, "")
    assert result.out


def test_output_may_be_any_stream(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes to whatever stands for standard output."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert run("backends", "--format", "jsonl").code == 0
    assert len(stream.getvalue().splitlines()) == 2


def test_emulator_names_are_the_entry_points() -> None:
    """Both emulators are found without importing them."""
    assert emulator_names() == VENDORS


@pytest.mark.usefixtures("settings")
def test_emulator_refuses_an_address_that_is_taken(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """A port in use is one line, with the remedy."""
    port = str(emulators["enos"].port)
    run("emulator", "enos", "--port", port, "--devices", "0").refused(
        2, f"cannot listen on 127.0.0.1 port {port}", "--port"
    )
