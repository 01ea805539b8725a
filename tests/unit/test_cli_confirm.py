"""Asking before what cannot be undone."""

import asyncio
import io
import signal
import threading
from collections.abc import Callable

import pytest

from otaclient.cli.confirm import check_can_ask, confirm
from otaclient.cli.failures import DeclinedError, UsageError


class Terminal:
    """Standard input with somebody at it, who types what is prepared."""

    def __init__(self, answer: str, *, meanwhile: Callable[[], object] = bool) -> None:
        self._answer = answer
        self._meanwhile = meanwhile

    def isatty(self) -> bool:
        """Say yes."""
        return True

    def readline(self) -> str:
        """Return the answer, after something happened."""
        self._meanwhile()
        return self._answer


@pytest.mark.parametrize("answer", ["y\n", "Y\n", " yes \n", "YES\n", "y"])
def test_yes_goes_on(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str) -> None:
    """A yes in any form goes on; the question is on standard error, where it spoils no data."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    asyncio.run(confirm("Delete \x1b[2J?", yes=False))
    printed = capsys.readouterr()
    assert (printed.out, printed.err.rstrip("\n")) == ("", "Delete \\x1b[2J? [y/N] ")


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yep\n", "ye", "no y\n"])
def test_anything_else_does_not(monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    """No, nothing, and the end of input all mean no."""
    monkeypatch.setattr("sys.stdin", Terminal(answer))
    with pytest.raises(DeclinedError):
        asyncio.run(confirm("Delete?", yes=False))


@pytest.mark.parametrize("stream", [io.StringIO("y\n"), None])
def test_without_a_terminal_nobody_is_asked(monkeypatch: pytest.MonkeyPatch, stream: io.StringIO | None) -> None:
    """A yes that somebody piped in is none: ``--yes`` says it."""
    monkeypatch.setattr("sys.stdin", stream)
    with pytest.raises(UsageError, match="no terminal to ask on: give --yes"):
        check_can_ask(yes=False)
    with pytest.raises(UsageError, match="no terminal to ask on: give --yes"):
        asyncio.run(confirm("Delete?", yes=False))
    check_can_ask(yes=True)
    asyncio.run(confirm("Delete?", yes=True))


def test_interrupt_ends_the_question_at_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C at the question ends the program, also inside an event loop, which would wait for an answer."""
    monkeypatch.setattr("sys.stdin", Terminal("y\n", meanwhile=lambda: signal.raise_signal(signal.SIGINT)))
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(confirm("Delete?", yes=False))
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err == "Delete? [y/N] \n", "what is said next has a line of its own"


def test_interrupt_just_before_the_question_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Ctrl-C that the event loop has noted but not yet acted on counts."""
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))

    async def ask() -> None:
        signal.raise_signal(signal.SIGINT)
        await confirm("Delete?", yes=False)

    with pytest.raises(KeyboardInterrupt):
        asyncio.run(ask())


def test_other_threads_can_ask_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the main thread may set signal handlers: elsewhere the question goes without."""
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    caught: list[BaseException] = []

    def ask() -> None:
        try:
            asyncio.run(confirm("Delete?", yes=False))
        except DeclinedError as error:
            caught.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join(10)
    assert len(caught) == 1
