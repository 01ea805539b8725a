"""A progress bar on standard error: only on a terminal, and only for what takes longer than a second."""

import asyncio
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn

from otaclient.cli.cells import plain

__all__ = ["PATIENCE_SECONDS", "ProgressBar", "error_console"]

PATIENCE_SECONDS = 1.0


def error_console() -> Console:
    """Return the console for messages; it honours ``NO_COLOR`` and the terminal's width."""
    return Console(stderr=True, highlight=False)


class ProgressBar:
    """One line that says how far something is. ``async with`` shows it when the work takes long, and removes it."""

    def __init__(
        self,
        what: str,
        *,
        unit: str,
        console: Console | None = None,
        shown: bool = True,
        prominent: bool = False,
    ) -> None:
        """Prepare a bar.

        Args:
            what: What goes on, such as ``Reading devices``.
            unit: What is counted, such as ``devices``.
            console: Where it is shown; standard error unless given.
            shown: Whether to show anything; never, where the console is no terminal.
            prominent: Show it at once, and leave it standing at the end.
        """
        self._console = error_console() if console is None else console
        self._shown = shown and self._console.is_terminal
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            TaskProgressColumn(show_speed=False),
            TextColumn("{task.fields[count]:>20}", markup=False),
            TimeElapsedColumn(),
            console=self._console,
            transient=not prominent,
            # Data is no message: rich would print it above the bar, on standard error, instead of where it is to go.
            redirect_stdout=False,
        )
        self._unit = plain(unit)
        self._patience = 0.0 if prominent else PATIENCE_SECONDS
        self._task = self._bar.add_task(plain(what), total=None, count="")
        self._timer: asyncio.TimerHandle | None = None

    def update(self, done: int, total: int | None = None, *, what: str | None = None) -> None:
        """Say how much is done, of how much where that is known, and what goes on now where that has changed."""
        if self._shown:
            known = max(done, total) if total is not None else None
            told = None if what is None else plain(what)
            self._bar.update(self._task, completed=done, total=known, count=f"{done:,} {self._unit}", description=told)

    async def __aenter__(self) -> Self:
        if self._shown:
            self._timer = asyncio.get_running_loop().call_later(self._patience, self._bar.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # Where it never began, rich would print an empty line.
        if self._bar.live.is_started:
            self._bar.stop()
