"""Profiles: which of them is meant, and what the files say of it. Messages never quote a value."""

import os
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from otaclient.errors import ConfigurationError

__all__ = [
    "DEFAULT_PROFILE",
    "FILE_NAME",
    "PROFILE_VARIABLE",
    "ReadableSecretsWarning",
    "check_profile",
    "chosen_profile",
    "default_folders",
    "is_open_to_others",
    "read_document",
    "shown_path",
    "state_of",
    "table_key",
    "table_of",
]

FILE_NAME: Final = "otaclient.toml"
PROFILE_VARIABLE: Final = "OTACLIENT_PROFILE"
DEFAULT_PROFILE: Final = "default"
_MODES_TELL: Final = os.name == "posix"


class ReadableSecretsWarning(UserWarning):
    """A settings file holds secrets, and every user of this machine can read it."""


def default_folders() -> tuple[Path, ...]:
    """Return the folders that are searched for ``otaclient.toml``, first the current one."""
    user = _user_folder(sys.platform, os.environ)
    return (Path(), user) if user is not None else (Path(),)


def _user_folder(platform: str, environ: Mapping[str, str]) -> Path | None:
    """Return the platform's folder for a user's configuration, or ``None`` where there is no home."""
    if platform == "win32":
        base = environ.get("LOCALAPPDATA")
        return Path(base) / "otaclient" if base else None
    if platform != "darwin" and Path(environ.get("XDG_CONFIG_HOME", "")).is_absolute():
        return Path(environ["XDG_CONFIG_HOME"]) / "otaclient"
    home = environ.get("HOME")
    if not home:
        return None
    return (
        Path(home, "Library", "Application Support", "otaclient")
        if platform == "darwin"
        else Path(home, ".config", "otaclient")
    )


def chosen_profile(profile: str | None, environ: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the profile, and in words what named it; nothing did, when it is the default."""
    if profile is not None:
        if not profile:
            raise ConfigurationError("the profile is an empty text: name one, or leave it out")
        return profile, "given as profile"
    named = environ.get(PROFILE_VARIABLE)
    if named is None:
        return DEFAULT_PROFILE, None
    if not named:
        raise ConfigurationError(f"the environment variable {PROFILE_VARIABLE} is empty: name a profile, or unset it")
    return named, f"named by the environment variable {PROFILE_VARIABLE}"


def check_profile(chosen: str, chosen_by: str, documents: Mapping[Path, Mapping[str, Any] | None]) -> None:
    """Refuse a profile that no file has.

    Raises:
        ConfigurationError: It names the profiles that there are.
    """
    known = sorted({name for document in documents.values() for name in document or ()})
    if chosen in known:
        return
    files = " or ".join(shown_path(path) for path in documents) or "any file"
    what = (
        f"known profiles: {', '.join(map(table_key, known))}"
        if known
        else f"add a table [{table_key(chosen)}.<backend>] to one of them"
    )
    raise ConfigurationError(f"no profile {chosen!r} ({chosen_by}) in {files}; {what}")


def read_document(path: Path) -> Mapping[str, Any] | None:
    """Return the content of a file, or ``None`` where there is none."""
    import tomllib

    try:
        return tomllib.loads(path.read_bytes().decode("utf-8-sig"))  # some editors begin a file with a mark
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        return None
    except OSError as error:
        raise ConfigurationError(
            f"{shown_path(path)} cannot be read: {error.strerror or type(error).__name__}"
        ) from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        error.object, error.args = b"", (error.reason,)  # the file, with the secrets in it
        raise ConfigurationError(f"{shown_path(path)}, line {line}, is not UTF-8: save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        vars(error).pop("doc", None)  # the file again, from Python 3.14 on
        raise ConfigurationError(f"{shown_path(path)} is not valid TOML: {error}") from error
    except RecursionError as error:
        raise ConfigurationError(f"{shown_path(path)} is not valid TOML: it is nested too deeply") from error


def is_open_to_others(path: Path) -> bool:
    """Tell whether any user of this machine can read a file: its own mode lets them, and every folder on the way to it.

    It is never so where modes do not tell, as on Windows.
    """
    if not _MODES_TELL:
        return False
    try:
        whole = path.resolve()
        is_readable = whole.stat().st_mode & stat.S_IROTH
        return bool(is_readable) and all(folder.stat().st_mode & stat.S_IXOTH for folder in whole.parents)
    except OSError:
        return False  # it has been read, and is gone


def table_of(document: Mapping[str, Any], profile: str, plugin_name: str, path: Path) -> Mapping[str, Any] | None:
    """Return a backend's table in a profile, or ``None`` where there is none.

    Raises:
        ConfigurationError: Something stands outside any profile, or outside any backend.
    """
    for name, value in document.items():
        if not isinstance(value, dict):
            example = f"[{DEFAULT_PROFILE}.{table_key(plugin_name)}]"
            raise ConfigurationError(
                f"{shown_path(path)}: {name!r} stands outside any profile: put it under a table such as {example}"
            )
    tables: Mapping[str, Any] = document.get(profile, {})
    for name, value in tables.items():
        if not isinstance(value, dict):
            example = f"[{table_key(profile)}.{table_key(plugin_name)}]"
            raise ConfigurationError(
                f"{shown_path(path)}: {name!r} in [{table_key(profile)}] belongs to no backend: "
                f"put it under a table such as {example}"
            )
    return tables.get(plugin_name)


def state_of(path: Path, document: Mapping[str, Any] | None, profile: str) -> str:
    """Return in words what a file says of a profile: nothing, or for which backends."""
    if document is None:
        return f"{shown_path(path)} (no such file)"
    if profile not in document:
        return f"{shown_path(path)} (no such profile there)"
    return (
        f"{shown_path(path)} (which has for this profile: {', '.join(map(table_key, document[profile])) or 'nothing'})"
    )


def shown_path(path: Path) -> str:
    """Return a path so that it cannot be taken for a name."""
    return str(path) if path.is_absolute() else f"{os.curdir}{os.sep}{path}"


def table_key(name: str) -> str:
    """Return a name as it is written in a TOML table header."""
    bare = name and all(letter.isascii() and (letter.isalnum() or letter in "-_") for letter in name)
    if bare:
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(letter if letter.isprintable() else f"\\U{ord(letter):08x}" for letter in escaped) + '"'
