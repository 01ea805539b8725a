"""What bad input gets from the ``otaclient`` command: one line and an exit code."""

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import pytest

from otaclient.emulator import EmulatorServer
from otaclient.registry import open_backend
from otaclient.transport.retry import RetryPolicy
from support.command_line import Run


@pytest.mark.usefixtures("settings")
def test_errors_speak_the_language_of_the_command(run: Run) -> None:
    """What the library calls otherwise is told as the option, or the variable, that one types."""
    run("firmware", "list", "--backend", "enos", "--kind", "module").refused(2, "; at a terminal, kinds is --kind")
    run("jobs", "list", "--backend", "iotda", "--product", "x").refused(2, "products is --product, firmware_ids is")
    run("devices", "list", "--backend", "iotda", "--upgrading").refused(2, "resolve_upgrading is --resolve-upgrading")
    words = ("firmware", "upload", "--backend", "iotda", "--location", "obs://b/x", "--version", "1")
    assert "app_id is OTACLIENT_IOTDA_APP_ID, owner_id is --owner" in run(*words, "--product", "x").err
    assert "product_id is --product" in run(*words, "--owner", "x").err
    run("jobs", "tasks", "a" * 24, "--backend", "iotda", "--status", "published").refused(2, "statuses is --status")
    run("jobs", "tasks", "a" * 24, "--backend", "iotda", "--to-version", "1").refused(2, "to_versions is --to-version")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["jobs", "list", "--backend", "aws"], ["no backend 'aws'", "known backends: enos, iotda"]),
        (["jobs", "list"], ["no backend has settings", "enos, iotda", "'otaclient backends'", "'otaclient emulator'"]),
        (["devices", "scan"], ["no backend has settings"]),
        (["devices", "scan", "--backend", "enos", "--backend", "enos"], ["--backend enos is given twice"]),
        (["jobs", "list", "--backend", "enos"], ["missing settings endpoint, org_id", "OTACLIENT_ENOS_ENDPOINT"]),
        (["jobs", "list", "--backend", "iotda"], ["iotda", "OTACLIENT_IOTDA_"]),
        (["jobs", "list", "--backend", "enos", "--profile", "p"], ["no profile 'p'", "[p.<backend>]"]),
        (["jobs", "lsit"], ["lsit", "list", "Try 'otaclient jobs --help'."]),
        (["jobs", "list", "running"], ["nothing takes 'running'", "Try 'otaclient jobs list --help'."]),
        (["--backend", "enos"], ["'--backend' stands where a command is wanted"]),
        (["--limit", "3", "jobs", "list"], ["'--limit' stands where a command is wanted"]),
        (["devices", "scan", "--explain", "--format", "json"], ["--explain", "leave out --format json"]),
        (["devices", "scan", "--out", "a.json", "--certificate", "./a.json"], ["--certificate a.json", "--out a.json"]),
        (["devices", "scan", "--out", "a.csv", "--certificate", "a.csv.certificate.json"], ["--out a.csv writes"]),
        (["devices", "scan", "--out", f"{'a' * 300}.csv"], ["cannot be written: File name too long; name another"]),
        (["devices", "list", "--registered-after", "0001-01-01T00:00+08:00"], ["outside the years 1 to 9999 in UTC"]),
        (["devices", "list", "--registered-before", "9999-12-31T23:00-08:00"], ["--registered-before", "9999"]),
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
def test_an_address_that_may_be_wrong_leads_to_the_doctor(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody answers as the vendor does, the line ends with where to look closer; a refusal says what it is."""
    monkeypatch.setattr("otaclient.cli.connect.open_backend", partial(open_backend, retry=RetryPolicy.none()))
    run("jobs", "show", "no-such-job", "--backend", "enos").refused(1, "check the identifier")
    assert "doctor" not in run("jobs", "show", "no-such-job", "--backend", "enos").err
    monkeypatch.setenv("OTACLIENT_ENOS_ENDPOINT", "http://127.0.0.1:1")
    run("jobs", "list", "--backend", "enos").refused(1, "cannot connect to", "; see what otaclient doctor says")


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
    assert {one["backend"] for one in result.records} == {"enos"}
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


@pytest.mark.parametrize("words", [["--help"], ["--version"], [], ["devices", "scan", "--help"]])
def test_help_and_version_are_data(run: Run, words: list[str]) -> None:
    """Help is asked for, so it goes to standard output and exits 0."""
    result = run(*words)
    assert (result.code, result.err) == (0, "")
    assert result.out
