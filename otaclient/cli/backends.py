"""``otaclient backends``: which backends are installed, and which of their settings are set."""

import sys
from collections.abc import Iterator
from operator import attrgetter

import attrs

from otaclient.cli.listing import Kind, say, say_what_is_missing
from otaclient.cli.options import OutputFormat, Profile, Wide, chosen_format
from otaclient.cli.output import Format, renderer
from otaclient.cli.screen import screen_of
from otaclient.cli.sink import StandardOutput
from otaclient.cli.table import Column
from otaclient.errors import ConfigurationError
from otaclient.registry import available_backends, backend_plugin
from otaclient.settings import Setting, settings_of

__all__ = ["backends"]


@attrs.frozen(kw_only=True)
class _Installed:
    """One installed backend. Values of settings are not in it."""

    name: str
    loads: bool
    error: str | None
    """Why it does not load."""
    settings: tuple[Setting, ...]


@attrs.frozen(kw_only=True)
class _Row:
    """One line of the table: a setting of a backend, or a backend that has none to show."""

    name: str
    setting: str | None = None
    variable: str | None = None
    required: bool | None = None
    state: str


_KIND = Kind(
    model=_Installed,
    noun="backends",
    columns=(
        Column("backend", "name"),
        Column("setting", "setting"),
        Column("set", "state"),
        Column("required", "required"),
        Column("environment variable", "variable"),
    ),
)


async def backends(
    *,
    profile: Profile = None,
    wide: Wide = False,
    format: OutputFormat = None,  # noqa: A002 - the option's name is a contract
) -> None:
    """List the installed backends: whether each loads, its settings, and where they are set. Never their values."""
    installed = [_installed(name, profile) for name in available_backends()]
    chosen = chosen_format(format, None)
    shown: list[_Installed] | list[_Row] = installed
    if chosen is Format.TABLE:
        shown = [row for backend in installed for row in _rows(backend)]
        for message in filter(None, map(attrgetter("error"), installed)):
            say(message)
    screen = screen_of(sys.stdout, wide=wide)
    lines = renderer(chosen, fields=_KIND.fields, columns=_KIND.columns, screen=screen)
    await StandardOutput().write(lines.head() + lines.block(shown) + lines.tail())
    say_what_is_missing(lines)


def _installed(name: str, profile: str | None) -> _Installed:
    try:
        plugin = backend_plugin(name)
    except ConfigurationError as error:
        return _Installed(name=name, loads=False, error=str(error), settings=())
    settings = settings_of(plugin.name, plugin.config_type, profile=profile)
    return _Installed(name=name, loads=True, error=None, settings=settings)


def _rows(backend: _Installed) -> Iterator[_Row]:
    if not backend.settings:
        yield _Row(name=backend.name, state="it has no settings" if backend.loads else "it does not load")
    for setting in backend.settings:
        yield _Row(
            name=backend.name,
            setting=setting.name,
            variable=setting.variable,
            required=setting.required,
            state=f"by {setting.source}" if setting.source else "no",
        )
