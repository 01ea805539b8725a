"""The command's tree, and how every command ends: with an exit code and at most one line of complaint."""

import asyncio
import inspect
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from traceback import format_exception
from types import TracebackType
from typing import Any

from cyclopts import App, CycloptsError, UnknownCommandError, UnusedCliTokensError

from otaclient.cli.backends import backends
from otaclient.cli.cells import plain, plain_lines
from otaclient.cli.doctor import doctor
from otaclient.cli.failures import ExitCode, complaint, exit_code, leaf, short_warnings, whole_lines
from otaclient.cli.options import examples, moved_to_end, without_verbose
from otaclient.cli.screen import Tone, has_colours, painted
from otaclient.cli.stopping import told_to_end
from otaclient.cli.streams import OutputConsole, standard_streams

__all__ = ["app", "run"]

_TRACEBACK_VARIABLE = "OTACLIENT_TRACEBACK"

_GLOBAL_OPTIONS = """

Commands that ask a vendor take --backend, --profile and --format, also first.
--verbose shows long messages whole; OTACLIENT_TRACEBACK=1 where they arose.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 the scan ended
uncertain, 130 interrupted, 143 told to end."""

app = App(
    name="otaclient",
    help="Over-the-air firmware of device fleets on several IoT clouds: what exists, what runs, what each device has.",
    version=lambda: version("otaclient"),
    help_format="plaintext",
    help_epilogue=examples("demo", "jobs list --backend enos --help", "doctor") + _GLOBAL_OPTIONS,
)
# Imported when they are called: what a scan does not need has no place in its memory.
app.command(
    "otaclient.cli.demo:demo",
    name="demo",
    help="Start an emulator of every vendor on this machine, scan all fleets over HTTP, and check the result.\n\n"
    "Needs no account, no file and no network beyond loopback.",
    help_epilogue=examples("demo --devices 2000 --seed 7", "demo --devices 2000 --picture demo.svg"),
)
app.command(
    "otaclient.cli.emulator:emulator",
    name="emulator",
    help="Run one vendor's emulator until Ctrl-C; print its address and the variables that point the client at it.",
    help_epilogue=examples(
        "emulator enos --port 8080 --devices 20000 --speed 10",
        "emulator iotda --faults storm.toml --counters 2",
        "emulator enos --generated-jobs-run --no-control",
    ),
)
app.command(backends, help_epilogue=examples("backends --profile plant-7"))
app.command(doctor, help_epilogue=examples("doctor", "doctor --backend iotda --format json"))
app.command("otaclient.cli.firmware:app", name="firmware", help="List, show, upload, download or delete firmware.")
app.command("otaclient.cli.jobs:app", name="jobs", help="List, show, create, follow and steer upgrade jobs.")
app.command("otaclient.cli.devices:app", name="devices", help="List or scan devices with their versions, or show one.")
# Imported late as well: it is made of all the commands.
app.command(
    "otaclient.cli.completion:completion",
    name="completion",
    help="Print the script with which a shell completes this command; change nothing.",
    help_epilogue=examples("completion bash", "completion zsh", "completion fish")
    + """

To have it in every new shell:
  bash  otaclient completion bash \\
          >~/.local/share/bash-completion/completions/otaclient
  zsh   otaclient completion zsh >~/.zfunc/_otaclient
        with fpath+=~/.zfunc in ~/.zshrc, before compinit
  fish  otaclient completion fish >~/.config/fish/completions/otaclient.fish""",
)
app.command(
    "otaclient.cli.report:report",
    name="report",
    help="Make a page of a scanned fleet: versions, who is being upgraded, what changed, and what the scan proved.\n\n"
    "The page is one file of HTML that opens offline, on a phone and on paper.",
    help_epilogue=examples("report fleet.parquet -o report.html --since last-week.parquet"),
)


def run(arguments: Sequence[str]) -> int:
    """Run the command with these words and return its exit code."""
    words, verbose = without_verbose(list(arguments))
    with standard_streams(), whole_lines(wanted=verbose), short_warnings(), told_to_end() as was_told:
        try:
            command, bound, _ = app.parse_args(
                moved_to_end(words), console=OutputConsole(), exit_on_error=False, print_error=False
            )
        except CycloptsError as error:
            return _complain(_wrong_words(error), ExitCode.USAGE)
        return _finished(command, bound, was_told)


def _wrong_words(error: CycloptsError) -> str:
    """Return what is wrong with the words of the command line, and whose help says what they may be."""
    words = error.unused_tokens or ()
    if isinstance(error, UnusedCliTokensError):
        said = f"nothing takes {', '.join(map(repr, words))}: leave it out, or give it to an option."
    elif isinstance(error, UnknownCommandError) and words and words[0].startswith("-"):
        said = f"{words[0]!r} stands where a command is wanted: name one, and give its options behind it."
    else:
        said = " ".join(str(error).split())
    help_of = " ".join(["otaclient", *(error.command_chain or ()), "--help"])
    return plain(f"{said} Try '{help_of}'.")


def _finished(command: Callable[..., Any], bound: inspect.BoundArguments, was_told: Callable[[], bool]) -> int:
    try:
        result = command(*bound.args, **bound.kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        sys.stdout.flush()
    except (KeyboardInterrupt, asyncio.CancelledError):
        if was_told():
            return _complain("told to end", ExitCode.TERMINATED)
        return _complain("interrupted", ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort of a program: every failure ends as one line
        return _failed(error)
    return int(result or ExitCode.DONE)


def _failed(error: Exception) -> int:
    if os.environ.get(_TRACEBACK_VARIABLE):
        sys.excepthook = _trace
        raise error
    cause = leaf(error)
    if isinstance(cause, BrokenPipeError):
        # Whoever read our output has seen enough. Python would complain once more when it flushes the stream.
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return ExitCode.DONE
    return _complain(complaint(cause), exit_code(cause))


def _trace(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Show where an error arose; what a vendor said in it must not steer the terminal."""
    sys.stderr.write(plain_lines("".join(format_exception(kind, error, trace)).rstrip("\n")) + "\n")


def _complain(message: str, code: ExitCode) -> int:
    head = painted("error:", Tone.BAD) if has_colours(sys.stderr) else "error:"
    asked_for = code in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}
    sys.stderr.write(f"{message}\n" if asked_for else f"{head} {message}\n")
    return code
