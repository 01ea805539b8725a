"""Configuration of a backend from files, the environment and arguments.

A file ``otaclient.toml`` holds profiles; a profile holds one table for each backend::

    [default.enos]
    endpoint = "https://apim.example.com"
    org_id = "o15475466766371"
    app_key = "..."
    app_secret = "..."

    [plant-7.iotda]
    endpoint = "https://iotda.example.com"
    project_id = "..."

Where a setting comes from, the last that has it wins:

1. The profile's table, from ``otaclient.toml`` in the current folder; where that file has no such table, from the one
   in the user's configuration folder. One table counts, whole: two files are never mixed, so that a file in some folder
   cannot send the user's secrets to an address of its own.
2. The environment: ``OTACLIENT_<BACKEND>_<FIELD>``, such as ``OTACLIENT_ENOS_ORG_ID``.
3. Arguments.

The profile is the one that the caller names, else ``OTACLIENT_PROFILE``, else ``default``. A profile inherits nothing
from another. Messages name settings and places, never values: any value may be a secret.
"""

import os
import shlex
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import attrs

from otaclient.endpoint import warn_of_insecurity
from otaclient.errors import ConfigurationError
from otaclient.profiles import (
    FILE_NAME,
    ReadableSecretsWarning,
    check_profile,
    chosen_profile,
    default_folders,
    is_open_to_others,
    read_document,
    shown_path,
    state_of,
    table_key,
    table_of,
)
from otaclient.secret import Secret
from otaclient.setting_values import converted, members_of
from otaclient.transport.redaction import without_variables

__all__ = ["Setting", "load_config", "settings_of", "variable_name"]

C = TypeVar("C")


@attrs.frozen(kw_only=True)
class Setting:
    """One setting of a backend, and whether it is set; never its value."""

    name: str
    variable: str
    """The environment variable that sets it."""
    secret: bool
    required: bool
    """Whether the backend cannot be opened without it."""
    source: str | None
    """Where its value comes from; ``None`` when it is not set."""


def load_config(
    plugin_name: str,
    config_type: type[C],
    *,
    profile: str | None = None,
    overrides: Mapping[str, object] | None = None,
    environ: Mapping[str, str] | None = None,
    folders: Sequence[Path] | None = None,
) -> C:
    """Return the configuration of a backend, filled from file, environment and ``overrides``; later wins.

    Fields are filled by name. A configuration type with a nested attrs class ``Settings`` is filled through that flat
    class and its ``to_config()`` instead, for configurations that are not flat themselves.

    Args:
        plugin_name: The backend's name in the registry, such as ``enos``.
        config_type: The attrs class to fill.
        profile: The profile; ``OTACLIENT_PROFILE`` or ``default`` unless given.
        overrides: Values that win over file and environment; ``None`` as a value means that there is none.
        environ: The environment; the process's own unless given.
        folders: Where to look for ``otaclient.toml``; :func:`otaclient.profiles.default_folders` unless given.

    Warns:
        ReadableSecretsWarning: The table that counts holds a secret, and every user of this machine can read its file.

    Raises:
        ConfigurationError: A setting is missing, empty, unknown or of the wrong type; the profile is unknown; a file
            cannot be read. The message names the setting, where it was looked for, and the remedy.
    """
    target = _target(config_type)
    with _hidden_values():
        found = _gather(plugin_name, target, profile=profile, environ=environ, folders=folders)
        if found.file_of_secrets is not None and is_open_to_others(found.file_of_secrets):
            shown = shown_path(found.file_of_secrets)
            warn_of_insecurity(
                f"{shown} holds secrets, and every user of this machine can read it: chmod 600 {shlex.quote(shown)}",
                ReadableSecretsWarning,
            )
        found = _with_overrides(found, target, plugin_name, overrides or {})
        missing = [name for name, field in _fields(target).items() if _is_required(field) and name not in found.values]
        if missing:
            raise ConfigurationError(_missing_message(plugin_name, missing, found))
        return _build(plugin_name, config_type, target, found)


def settings_of(
    plugin_name: str,
    config_type: type[Any],
    *,
    profile: str | None = None,
    environ: Mapping[str, str] | None = None,
    folders: Sequence[Path] | None = None,
) -> tuple[Setting, ...]:
    """Return the settings of a backend in the order of their declaration, and where each one is set.

    Raises:
        ConfigurationError: As :func:`load_config`, but a setting that is missing is no error here.
    """
    target = _target(config_type)
    with _hidden_values():
        found = _gather(plugin_name, target, profile=profile, environ=environ, folders=folders)
    return tuple(
        Setting(
            name=name,
            variable=variable_name(plugin_name, name),
            secret=_is_secret(field),
            required=_is_required(field),
            source=found.sources.get(name),
        )
        for name, field in _fields(target).items()
    )


def variable_name(plugin_name: str, field_name: str) -> str:
    """Return the environment variable of a setting, such as ``OTACLIENT_ENOS_ORG_ID``."""
    return f"OTACLIENT_{plugin_name}_{field_name}".upper().replace("-", "_")


# --- gathering -------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class _Found:
    """What was found, and enough about the search to explain what was not."""

    values: dict[str, Any] = attrs.field(repr=False)
    sources: dict[str, str]
    places: str
    """Where files were looked for, for messages."""
    strays: tuple[str, ...]
    """Environment variables of this backend that no setting reads."""
    file_of_secrets: Path | None
    """The file whose table was taken, where that holds a secret."""


def _gather(
    plugin_name: str,
    target: type[Any],
    *,
    profile: str | None,
    environ: Mapping[str, str] | None,
    folders: Sequence[Path] | None,
) -> _Found:
    environment = os.environ if environ is None else environ
    chosen, chosen_by = chosen_profile(profile, environment)
    paths = [folder / FILE_NAME for folder in (default_folders() if folders is None else folders)]
    documents = {path: read_document(path) for path in paths}
    if chosen_by is not None:
        check_profile(chosen, chosen_by, documents)
    table_name = f"[{table_key(chosen)}.{table_key(plugin_name)}]"
    fields = _fields(target)
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    file_of_secrets: Path | None = None
    for path, document in documents.items():
        table = table_of(document or {}, chosen, plugin_name, path)
        if table is not None:
            source = f"{table_name} of {shown_path(path)}"
            values = _from_table(table, fields, source)
            sources = dict.fromkeys(values, source)
            if any(_is_secret(fields[name]) for name in values):
                file_of_secrets = path
            break
    variables = {variable_name(plugin_name, name): name for name in fields}
    for variable, name in variables.items():
        if variable in environment:
            where = f"the environment variable {variable}"
            values[name] = converted(environment[variable], fields[name], where, from_text=True)
            sources[name] = variable
    prefix = variable_name(plugin_name, "")
    return _Found(
        values=values,
        sources=sources,
        places=f"table {table_name} of " + " and ".join(state_of(path, documents[path], chosen) for path in paths),
        strays=tuple(sorted(name for name in environment if name.startswith(prefix) and name not in variables)),
        file_of_secrets=file_of_secrets,
    )


def _from_table(table: Mapping[str, Any], fields: Mapping[str, "attrs.Attribute[Any]"], source: str) -> dict[str, Any]:
    _check_known(table, fields, source)
    return {
        name: converted(value, fields[name], f"{name} in {source}", from_text=False) for name, value in table.items()
    }


def _with_overrides(found: _Found, target: type[Any], plugin_name: str, overrides: Mapping[str, object]) -> _Found:
    fields = _fields(target)
    _check_known(overrides, fields, f"the arguments for {plugin_name}")
    given = {name: value for name, value in overrides.items() if value is not None}
    values = {
        name: converted(value, fields[name], f"the argument {name}", from_text=True)
        if isinstance(value, str)
        else value
        for name, value in given.items()
    }
    sources = dict.fromkeys(given, "argument")
    return attrs.evolve(found, values=found.values | values, sources=found.sources | sources)


def _check_known(names: Iterable[str], fields: Mapping[str, Any], source: str) -> None:
    for name in names:
        if name not in fields:
            import difflib

            near = difflib.get_close_matches(name, fields, n=1)
            hint = f"did you mean {near[0]!r}? Known" if near else "known"
            raise ConfigurationError(f"unknown setting {name!r} in {source}; {hint}: {', '.join(fields)}")


# --- building --------------------------------------------------------------------------------------------------------


def _build(plugin_name: str, config_type: type[C], target: type[Any], found: _Found) -> C:
    try:
        filled = target(**found.values)
        config: C = filled if target is config_type else filled.to_config()
    except ConfigurationError as error:
        raise ConfigurationError(_explained(error.message, plugin_name, target, found)) from error
    except (TypeError, ValueError) as error:
        raise ConfigurationError(_explained(f"{plugin_name}: {error}", plugin_name, target, found)) from error
    return config


def _explained(message: str, plugin_name: str, target: type[Any], found: _Found) -> str:
    """Add to a configuration's own complaint where the setting that it speaks of came from."""
    words = message.replace("'", " ").replace('"', " ").replace(":", " ").replace(",", " ").replace(".", " ").split()
    named = {name: field for name, field in _fields(target).items() if name in words}
    unset = [name for name, field in named.items() if name not in found.sources and field.default is None]
    origins = [f"{name} comes from {found.sources[name]}" for name in named if name in found.sources]
    if unset:
        origins.append(f"looked for {_search(plugin_name, unset, found)}")
    return f"{message} ({'; '.join(origins)})" if origins else message


def _missing_message(plugin_name: str, missing: Sequence[str], found: _Found) -> str:
    settings, variables, them = (
        ("setting", "variable", "it") if len(missing) == 1 else ("settings", "variables", "them")
    )
    return (
        f"{plugin_name}: missing {settings} {', '.join(missing)}: looked for {_search(plugin_name, missing, found)}; "
        f"set the environment {variables}, or add {them} to that table"
    )


def _search(plugin_name: str, names: Sequence[str], found: _Found) -> str:
    variables = ", ".join(variable_name(plugin_name, name) for name in names)
    strays = f" (set, but unknown: {', '.join(found.strays)})" if found.strays else ""
    return f"{variables} in the environment{strays} and for {found.places}"


# --- small things ----------------------------------------------------------------------------------------------------


@contextmanager
def _hidden_values() -> Generator[None]:
    """Let no error hold what was read: whoever collects the variables of the calls behind it would collect that."""
    try:
        yield
    except ConfigurationError as error:
        without_variables(error)
        raise


def _target(config_type: type[Any]) -> type[Any]:
    """Return the class to fill: the nested flat ``Settings`` where there is one."""
    target: type[Any] = getattr(config_type, "Settings", config_type)
    return attrs.resolve_types(target)


def _fields(target: type[Any]) -> dict[str, "attrs.Attribute[Any]"]:
    """Return the fields of the class by the names that its constructor takes."""
    return {field.alias or field.name: field for field in attrs.fields(target) if field.init}


def _is_secret(field: "attrs.Attribute[Any]") -> bool:
    return Secret in members_of(field.type)


def _is_required(field: "attrs.Attribute[Any]") -> bool:
    return field.default is attrs.NOTHING
