"""``otaclient doctor``: does it work, and what to do where it does not."""

import sys
from collections.abc import Sequence

from otaclient.cli.cells import plain
from otaclient.cli.connect import chosen_backends
from otaclient.cli.diagnosis import Check, Result, diagnose
from otaclient.cli.failures import ExitCode, one_line
from otaclient.cli.listing import Kind
from otaclient.cli.observing import ObservingTransport
from otaclient.cli.options import BackendNames, OutputFormat, Profile, chosen_format
from otaclient.cli.output import Format, renderer
from otaclient.cli.progress import ProgressBar
from otaclient.cli.screen import Screen, Tone, screen_of
from otaclient.cli.sink import StandardOutput
from otaclient.cli.table import Column, aligned
from otaclient.errors import ConfigurationError
from otaclient.registry import backend_plugin
from otaclient.secret import credentials_in
from otaclient.settings import load_config
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.clock import SYSTEM_CLOCK
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session

__all__ = ["doctor"]

_TIMEOUT_SECONDS = 15.0
_TONES = {Result.PASSED: Tone.GOOD, Result.FAILED: Tone.BAD, Result.SKIPPED: Tone.DOUBTFUL}
_KIND = Kind(
    model=Check,
    noun="checks",
    columns=(
        Column("backend", "backend"),
        Column("check", "check"),
        Column("result", "result"),
        Column("detail", "detail"),
    ),
)


async def doctor(
    *,
    backend: BackendNames = None,
    profile: Profile = None,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> ExitCode:
    """Check each backend that has settings: address, TLS, clock, credentials, and the right to read; change nothing.

    A line a check: passed, failed and what to do, or skipped and why.
    Exit code 0: none failed. 1: one did.
    """
    checks: list[Check] = []
    for name in chosen_backends(backend, profile=profile):
        async with ProgressBar(f"Asking {name}", unit=""):
            checks += await _examined(name, profile)
    await _print(checks, chosen_format(format, None))
    return ExitCode.FAILED if any(check.result is Result.FAILED for check in checks) else ExitCode.DONE


async def _examined(name: str, profile: str | None) -> list[Check]:
    try:
        plugin = backend_plugin(name)
        config = load_config(plugin.name, plugin.config_type, profile=profile)
        transport = ObservingTransport(AiohttpTransport(TransportOptions(), max_connections=1), SYSTEM_CLOCK)
        # Each failure is to be seen as it is, not as what came of repeating it.
        session = Session(
            label=name,
            transport=transport,
            timeout_seconds=_TIMEOUT_SECONDS,
            retry=RetryPolicy.none(),
            secrets=credentials_in(config),
        )
        client = plugin.open(config, session)
    except ConfigurationError as error:
        return [Check(backend=name, check="settings", result=Result.FAILED, detail=one_line(error))]
    async with client:
        found = Check(backend=name, check="settings", result=Result.PASSED, detail="complete")
        return [found, *await diagnose(client, transport)]


async def _print(checks: Sequence[Check], chosen: Format) -> None:
    if chosen is Format.TABLE:
        text = "".join(f"{line}\n" for line in _lines(checks, screen_of(sys.stdout)))
    else:
        lines = renderer(chosen, fields=_KIND.fields, columns=_KIND.columns)
        text = lines.head() + lines.block(checks) + lines.tail()
    await StandardOutput().write(text)


def _lines(checks: Sequence[Check], screen: Screen) -> list[str]:
    """Return a line for each check; unlike in a table, nothing of what to do is ever left out."""
    rows = [(check.backend, check.check, check.result.value) for check in checks]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    heads = [aligned(row[:2], widths[:2], (False, False)) for row in rows]
    results = [screen.painted(f"{check.result.value:<{widths[2]}}", _TONES[check.result]) for check in checks]
    return [
        f"{head}  {result}  {plain(check.detail)}" for head, result, check in zip(heads, results, checks, strict=True)
    ]
