"""What the ``otaclient`` command lists and shows, against both emulators, over real HTTP."""

import csv
import io
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from otaclient.emulator import EmulatorServer
from support.command_line import VENDORS, Run, as_json

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
        found = result.records
        id_name = next(name for name in ("firmware_id", "job_id", "device_id") if name in found[0])
        assert sorted(one[id_name] for one in found) == sorted(one[id_name] for one in records)


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("vendor", VENDORS)
def test_formats_hold_the_same_devices(run: Run, vendor: str) -> None:
    """JSON, JSON Lines, CSV and the table show the same devices; the table counts them on standard error."""
    words = ("devices", "list", "--backend", vendor, "--limit", "5", "--format")
    from_json = json.loads(run(*words, "json").out)
    from_lines = run(*words, "jsonl").records
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
    listed = run(what, "list", "--backend", vendor, "--format", "jsonl", "--limit", "1").records[0]
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
    ).records
    assert devices
    assert {(one["product_id"], one["upgrading"]) for one in devices} == {(product, True)}
    rest = run("devices", "list", "--backend", "enos", "--product", product, "--not-upgrading", "--format", "jsonl")
    assert {one["upgrading"] for one in rest.records} == {False}
    jobs = run("jobs", "list", "--backend", "enos", "--status", "stopped", "--format", "jsonl").records
    assert {one["status"] for one in jobs} == {"stopped"}
    firmware = run("firmware", "list", "--backend", "enos", "--not-verified", "--format", "jsonl").records
    assert {one["verification"]["verified"] for one in firmware} == {False}


@pytest.mark.usefixtures("settings")
def test_one_device_where_the_vendor_can_look_it_up(run: Run) -> None:
    """IoTDA shows one device; EnOS cannot, and says so before any request."""
    listed = run("--backend", "iotda", "--format", "jsonl", "devices", "list", "--limit", "1").records[0]
    shown = run("devices", "show", listed["device_id"], "--backend", "iotda", "--format", "json")
    assert json.loads(shown.out)["device_id"] == listed["device_id"]
    run("devices", "show", "x", "--backend", "enos").refused(2, "no such operation", "'otaclient devices list'")


# --- what is shown of them -------------------------------------------------------------------------------------------


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
    assert "kind is 'module'" in run(*other).err


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
    assert [one["name"] for one in lines.records] == list(VENDORS)
    assert all(one["loads"] for one in lines.records)


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


# --- where they go ---------------------------------------------------------------------------------------------------


def test_output_may_be_any_stream(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command writes to whatever stands for standard output."""
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    assert run("backends", "--format", "jsonl").code == 0
    assert len(stream.getvalue().splitlines()) == 2
