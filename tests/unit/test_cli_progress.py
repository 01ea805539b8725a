"""How the command shows that it goes on."""

import asyncio
import io

import pytest
from rich.console import Console

from otaclient.cli import progress
from otaclient.cli.progress import ProgressBar, error_console
from otaclient.cli.sink import print_text


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    """Return a console and what it prints into."""
    text = io.StringIO()
    return Console(file=text, force_terminal=terminal, width=100), text


async def turn_the_loop() -> None:
    """Let timers that are due run."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_bar_appears_when_the_work_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the patience has run out there is a bar with count and percentage, and none is left at the end."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    target, text = console(terminal=True)
    async with ProgressBar("Scanning", unit="devices", console=target) as bar:
        bar.update(2_500, 10_000)
        bar.update(20_000, 10_000)
        bar.update(2_500, 10_000)
        await turn_the_loop()
    assert "2,500 devices" in text.getvalue()
    assert "25%" in text.getvalue()


async def test_data_does_not_go_where_the_bar_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is written to standard output while a bar is on the terminal goes on to its file, or pipe."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    target, text = console(terminal=True)
    async with ProgressBar("Scanning", unit="devices", console=target):
        await turn_the_loop()
        print_text("a device\n")
    assert capsys.readouterr().out == "a device\n"
    assert "Scanning" in text.getvalue()
    assert "a device" not in text.getvalue()


async def test_short_work_shows_no_bar() -> None:
    """Within a second, nothing is shown."""
    target, text = console(terminal=True)
    async with ProgressBar("Scanning", unit="devices", console=target) as bar:
        bar.update(1)
    assert "Scanning" not in text.getvalue()


@pytest.mark.parametrize(("terminal", "shown"), [(False, True), (True, False)])
async def test_no_bar_where_nobody_watches(monkeypatch: pytest.MonkeyPatch, terminal: bool, shown: bool) -> None:
    """Without a terminal, or where rows would run into it, there is no bar."""
    monkeypatch.setattr(progress, "PATIENCE_SECONDS", 0.0)
    target, text = console(terminal=terminal)
    async with ProgressBar("Scanning", unit="devices", console=target, shown=shown) as bar:
        bar.update(1, 2)
        await turn_the_loop()
    assert text.getvalue() == ""


def test_messages_go_to_standard_error() -> None:
    """The console for messages writes to standard error."""
    assert error_console().stderr
