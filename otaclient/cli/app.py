"""The command's tree, and how every command ends: with an exit code and at most one line of complaint."""

import asyncio
import inspect
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cyclopts import App, CycloptsError

from otaclient.cli import devices, firmware, jobs
from otaclient.cli.backends import backends
from otaclient.cli.demo import demo
from otaclient.cli.doctor import doctor
from otaclient.cli.emulator import emulator
from otaclient.cli.failures import ExitCode, exit_code, leaf, one_line, whole_lines
from otaclient.cli.options import examples, moved_to_end, without_verbose

__all__ = ["app", "run"]

_TRACEBACK_VARIABLE = "OTACLIENT_TRACEBACK"

_GLOBAL_OPTIONS = """

Commands that ask a vendor take --backend, --profile and --format, also first.
--verbose shows long messages whole; OTACLIENT_TRACEBACK=1 where they arose.
Exit codes: 0 done, 1 failed, 2 wrong usage or settings, 3 the scan ended
uncertain, 130 interrupted."""

app = App(
    name="otaclient",
    help="Over-the-air firmware of device fleets on several IoT clouds: what exists, what runs, what each device has.",
    version=lambda: version("otaclient"),
    help_format="plaintext",
    help_epilogue=examples("demo", "jobs list --backend enos --help", "doctor") + _GLOBAL_OPTIONS,
)
app.command(demo, help_epilogue=examples("demo --devices 2000 --seed 7"))
app.command(emulator, help_epilogue=examples("emulator enos --port 8080 --devices 20000 --speed 10"))
app.command(backends, help_epilogue=examples("backends --profile plant-7"))
app.command(doctor, help_epilogue=examples("doctor", "doctor --backend iotda --format json"))
app.command(firmware.app)
app.command(jobs.app)
app.command(devices.app)


def run(arguments: Sequence[str]) -> int:
    """Run the command with these words and return its exit code."""
    # A terminal that cannot show a letter gets its escape rather than no output.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words, verbose = without_verbose(list(arguments))
    try:
        command, bound, _ = app.parse_args(moved_to_end(words), exit_on_error=False, print_error=False)
    except CycloptsError as error:
        return _complain(f"{' '.join(str(error).split())} Try 'otaclient --help'.", ExitCode.USAGE)
    with whole_lines(wanted=verbose):
        return _finished(command, bound)


def _finished(command: Callable[..., Any], bound: inspect.BoundArguments) -> int:
    try:
        result = command(*bound.args, **bound.kwargs)
        if inspect.iscoroutine(result):
            result = asyncio.run(result)
        sys.stdout.flush()
    except (KeyboardInterrupt, asyncio.CancelledError):
        return _complain("interrupted", ExitCode.INTERRUPTED)
    except Exception as error:  # noqa: BLE001 - the last resort of a program: every failure ends as one line
        return _failed(error)
    return int(result or ExitCode.DONE)


def _failed(error: Exception) -> int:
    if os.environ.get(_TRACEBACK_VARIABLE):
        raise error
    cause = leaf(error)
    if isinstance(cause, BrokenPipeError):
        # Whoever read our output has seen enough. Python would complain once more when it flushes the stream.
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        return ExitCode.DONE
    return _complain(one_line(cause), exit_code(cause))


def _complain(message: str, code: ExitCode) -> int:
    sys.stderr.write(f"error: {message}\n" if code is not ExitCode.INTERRUPTED else f"{message}\n")
    return code
