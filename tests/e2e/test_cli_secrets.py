"""The command and secrets: none is printed, none is asked for where a shell's history keeps it."""

import json
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient.cli import main
from otaclient.cli.app import app
from otaclient.cli.failures import short_warnings
from otaclient.emulator import Fleet
from otaclient.registry import backend_plugin, emulator_class
from otaclient.settings import settings_of, variable_name
from otaclient_iotda.emulator.auth import AccessKey
from otaclient_iotda.emulator.identity import IamUser
from support.canaries import Canaries, logged
from support.command_line import served_aside
from support.echo import ECHOES

pytestmark = pytest.mark.blocks_loop("searches all that was logged for secrets")

VENDORS = ("enos", "iotda")
COMMANDS = (
    "backends",
    "backends --format json",
    "doctor",
    "doctor --format json --verbose",
    "firmware list --limit 3 --backend {name}",
    "firmware list --limit 3 --format json --backend {name} --verbose",
    "jobs list --limit 3 --backend {name}",
    "devices list --limit 3 --format csv --backend {name}",
    "devices scan --backend {name} --explain",
    "devices scan --backend {name} --format jsonl",
    "firmware show no-such-firmware --backend {name} --verbose",
    "jobs show no-such-job --backend {name}",
)

# None that is tried again, for which the command would wait.
KINDS = ("enos", "enos token", "iotda", "identity service", "no json", "no object", "redirect", "base64", "not found")


@attrs.define
class World:
    """Both vendors, with credentials that can be recognised, and the settings that reach them."""

    canaries: Canaries
    emulators: dict[str, Any]
    environment: dict[str, str]


@pytest.fixture(scope="module")
def running() -> Iterator[World]:
    """Both emulators, on a thread of their own: the command brings its own event loop."""
    canaries = Canaries()
    new = canaries.new
    options: dict[str, dict[str, Any]] = {
        "enos": {"app_key": new("app_key"), "app_secret": new("app_secret")},
        "iotda": {
            "keys": {new("access_key"): AccessKey(secret_key=new("secret_key"), security_token=new("security_token"))},
            "users": (IamUser(name=new("username"), password=new("password"), domain="plant-7"),),
            "ready_token": new("token"),
        },
    }
    emulators = {name: emulator_class(name)(Fleet.generate(devices=60, seed=3), **options[name]) for name in VENDORS}
    with served_aside(*emulators.values()):
        environment: dict[str, str] = {}
        for emulator in emulators.values():
            environment |= emulator.environment()
        environment["OTACLIENT_IOTDA_SECURITY_TOKEN"] = new("security_token")
        # All that a setting could hold, whether or not the chosen way to authenticate looks at it.
        for name in VENDORS:
            plugin = backend_plugin(name)
            for setting in settings_of(name, plugin.config_type, environ={}, folders=[]):
                if setting.secret or setting.name in {"app_key", "access_key", "username"}:
                    environment.setdefault(variable_name(name, setting.name), new(setting.name))
        yield World(canaries, emulators, environment)


@pytest.fixture
def run(
    running: World, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Any
) -> Callable[[str], str]:
    """Return how a command is run: what it prints and logs is searched for canaries, and returned."""
    for name in list(os.environ):
        if name.startswith("OTACLIENT_"):
            monkeypatch.delenv(name)
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def run(words: str) -> str:
        with logged() as log:
            main(words.split())
        captured = capfd.readouterr()
        said = {f"output of {words}": captured.out, f"messages of {words}": captured.err, "log": log.getvalue()}
        running.canaries.check(said)
        return captured.out + captured.err

    return run


def test_the_settings_hold_every_canary(running: World) -> None:
    """Or else the tests below would find nothing, whatever was printed."""
    given = set(running.environment.values())
    assert set(running.canaries.texts.values()) <= given
    assert len(running.canaries.texts) == 8


@pytest.mark.parametrize("name", VENDORS)
def test_no_command_prints_a_credential(name: str, run: Callable[[str], str]) -> None:
    """With tables and JSON, at length and in short."""
    for command in COMMANDS:
        assert run(command.format(name=name)), command


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("auth", ["aksk", "password", "token"])
def test_no_failing_command_prints_a_credential(
    name: str, auth: str, run: Callable[[str], str], running: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even where the server prints them, and whoever runs it wants to see everything."""
    if name == "enos" and auth != "aksk":
        return
    monkeypatch.setenv("OTACLIENT_IOTDA_AUTH", auth)
    if auth == "password":
        for variable, value in (("IAM_ENDPOINT", running.emulators["iotda"].url), ("DOMAIN", "plant-7")):
            monkeypatch.setenv(f"OTACLIENT_IOTDA_{variable}", value)
    prefix = f"OTACLIENT_{name.upper()}_"
    looked_at = {"aksk": ("APP_KEY", "APP_SECRET", "ACCESS_KEY", "SECRET_KEY", "SECURITY_TOKEN"), "token": ("TOKEN",)}
    names = looked_at.get(auth, ("USERNAME", "PASSWORD"))
    known = [running.environment[prefix + each] for each in names if prefix + each in running.environment]
    emulator = running.emulators[name]
    for kind in KINDS:
        echo = ECHOES[kind]
        emulator.faults.add(echo.knowing(known), times=None)
        try:
            said = run(f"firmware list --limit 1 --verbose --backend {name}")
            said += run(f"doctor --backend {name} --verbose")
        finally:
            emulator.faults.clear()
        assert "error: " in said or "failed" in said, kind


def test_a_traceback_shows_no_credential(
    run: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, running: World
) -> None:
    """Whoever wants to see where an error arose pastes it into a ticket."""
    monkeypatch.setenv("OTACLIENT_TRACEBACK", "1")
    running.emulators["iotda"].faults.add(ECHOES["iotda"], times=1)
    with pytest.raises(Exception, match="the vendor does not allow it") as caught:
        run("firmware list --limit 1 --backend iotda")
    from support.canaries import rendered_error

    error = caught.value
    trace = error.__traceback__
    while trace is not None and "/tests/" in trace.tb_frame.f_code.co_filename:
        trace = trace.tb_next
    running.canaries.check(rendered_error(error.with_traceback(trace)))


def test_a_demo_shows_no_credential(run: Callable[[str], str]) -> None:
    """It uses emulators of its own, and leaves alone what the environment holds."""
    assert "certified" in run("demo --devices 60")


def commands(tree: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command, with the words that call it."""
    yield words, tree
    for name in tree:
        if not name.startswith("-"):
            yield from commands(tree[name], (*words, name))


def test_help_shows_no_credential_and_asks_for_none(run: Callable[[str], str]) -> None:
    """An option's value would stay in the shell's history and in the list of processes."""
    found = list(commands(app))
    assert len(found) > 15
    secrets = {
        setting.name.replace("_", "-")
        for name in VENDORS
        for setting in settings_of(name, backend_plugin(name).config_type, environ={}, folders=[])
        if setting.secret
    }
    assert {"app-secret", "secret-key", "password", "token"} <= secrets
    for words, _ in found:
        text = run(" ".join((*words, "--help")))
        assert not [secret for secret in secrets if f"--{secret}" in text], words


def test_settings_show_where_they_are_set_and_not_what_to(run: Callable[[str], str]) -> None:
    """A secret setting is told to be secret."""
    rows = json.loads(run("backends --format json"))
    assert "OTACLIENT_ENOS_APP_SECRET" in json.dumps(rows)


@pytest.mark.filterwarnings("default")
def test_plain_http_is_warned_of_in_one_line(
    run: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No path and no line of source code, which say nothing to whoever runs a command."""
    monkeypatch.setenv("OTACLIENT_ENOS_ENDPOINT", "http://plant-7.invalid")
    said = run("doctor --backend enos")
    assert "warning: http://plant-7.invalid is plain http: anybody on the way can read the credentials" in said
    assert ".py" not in said


def test_other_warnings_are_shown_as_ever() -> None:
    """They are for developers."""
    with pytest.warns(UserWarning, match="something else"), short_warnings():
        warnings.warn("something else", UserWarning, stacklevel=1)
