"""``otaclient demo`` and ``otaclient emulator``: how they start, what they say, and how they stop."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import pytest
from rich.console import ConsoleOptions

from otaclient.cli.emulator import _is_loopback
from otaclient.cli.listing import say
from otaclient.cli.progress import ProgressBar
from otaclient.emulator import EmulatorServer
from otaclient.registry import available_emulators, emulator_class
from support.command_line import VENDORS, Run, uncertain


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


@pytest.mark.parametrize(("columns", "told"), [("40", True), ("60", True), ("61", False)])
def test_demo_says_what_a_very_narrow_terminal_does_not_show(
    run: Run, monkeypatch: pytest.MonkeyPatch, columns: str, told: bool
) -> None:
    """Versions are shown as long as one fits on a line, and missed in words where none does."""
    monkeypatch.setenv("COLUMNS", columns)
    result = run("demo", "--devices", "300", "--seed", "5")
    assert ("no room for: firmware versions\n" in result.out) is told
    assert (" others " in result.out) is not told
    assert "upgrading\n───" in result.out
    assert "…" not in result.out


def test_demo_where_only_ascii_can_be_shown(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes as an escape."""
    monkeypatch.setattr(ConsoleOptions, "ascii_only", True)
    out = run("demo", "--devices", "300", "--seed", "5").out
    assert out.isascii()
    assert re.search(r"V3\.1 \d+, V\d", out)


def test_demo_of_tiny_fleets_works(run: Run) -> None:
    """No device is no error, and a few versions are shown without a rest."""
    none = run("demo", "--devices", "0").out
    assert "hold 0 devices" in none
    assert [line.split()[:3] for line in none.splitlines() if " all " in line] == [
        ["enos", "all", "0"],
        ["iotda", "all", "0"],
    ]
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


def test_emulator_names_are_the_entry_points() -> None:
    """Both emulators are found without importing them."""
    assert available_emulators() == VENDORS


@pytest.mark.usefixtures("settings")
def test_emulator_refuses_an_address_that_is_taken(run: Run, emulators: Mapping[str, EmulatorServer]) -> None:
    """A port in use is one line, with the remedy."""
    port = str(emulators["enos"].port)
    run("emulator", "enos", "--port", port, "--devices", "0").refused(
        2, f"cannot listen on 127.0.0.1 port {port}", "--port"
    )


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize(
    ("host", "why"),
    [
        ("203.0.113.7", "that is no address of this machine"),  # reserved for documentation
        ("256.1.1.1.1", "the host cannot be resolved"),
        ("a..b", "the host cannot be resolved"),
        ("", "--host is an empty text"),
    ],
)
def test_emulator_refuses_a_host_that_is_not_here(run: Run, host: str, why: str) -> None:
    """The remedy names --host, not a port that would not help; and the address is told once."""
    result = run("emulator", "enos", "--host", host, "--port", "0", "--devices", "0")
    result.refused(2, why, "give --host an address of this machine")
    assert "--port" not in result.err
    assert host == "" or result.err.count(host) == 1


@pytest.mark.usefixtures("settings")
def test_emulator_tells_both_remedies_where_the_reason_is_unclear(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Later Pythons try every address of a name, and then name no single reason: both remedies are told."""

    async def start(_self: EmulatorServer) -> None:
        raise OSError("could not bind on any address out of []")

    monkeypatch.setattr(EmulatorServer, "start", start)
    run("emulator", "enos", "--devices", "0").refused(2, "could not bind on any address", "--host", "--port")
