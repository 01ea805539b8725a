"""Secrets that can be recognised wherever they turn up: whole or in part, as they are or encoded."""

import base64
import copy
import hashlib
import io
import json
import logging
import pickle
import string
import traceback
import typing
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import quote

import attrs

from otaclient.secret import Secret

__all__ = ["PLAIN_FIELDS", "Canaries", "credential_fields", "parts_of_types", "rendered_error", "renderings"]

_PART: Final = 9
PLAIN_FIELDS: Final = frozenset(
    {
        "api_version",
        "app_id",
        "auth",
        "domain",
        "endpoint",
        "files_endpoint",
        "iam_endpoint",
        "instance_id",
        "org_id",
        "project",
        "project_id",
        "proxy",
        "region",
        "user_agent_suffix",
    }
)
"""The texts in configurations that are no credentials. Whatever is not listed, and is a text, is one."""


def credential_fields(config_type: type[Any]) -> tuple[str, ...]:
    """Return the names of the fields of a configuration class that hold credentials, told by their types."""
    fields = attrs.fields(attrs.resolve_types(config_type))
    return tuple(field.name for field in fields if _is_credential(field))


def _is_credential(field: "attrs.Attribute[Any]") -> bool:
    members = set(typing.get_args(field.type)) or {field.type}
    return Secret in members or (str in members and field.name not in PLAIN_FIELDS)


def parts_of_types(config_type: type[Any]) -> Iterator[type[Any]]:
    """Yield a configuration class, and the classes that its fields can hold, however deep."""
    yield config_type
    for field in attrs.fields(attrs.resolve_types(config_type)):
        for member in typing.get_args(field.type) or (field.type,):
            if isinstance(member, type) and attrs.has(member):
                yield from parts_of_types(member)


class Canaries:
    """Secrets by name, and where they may not turn up."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self._parts: dict[str, str] = {}
        self._harmless: set[str] = set()

    def new(self, name: str) -> str:
        """Return a secret of that name, which shares no part with any other text; the same one for the same name."""
        if name not in self.texts:
            # Of letters and digits, because an access key has nothing else.
            digest = hashlib.sha256(f"canary {name}".encode()).digest()
            self.add(name, base64.b32encode(digest).decode().rstrip("=")[:40])
        return self.texts[name]

    def add(self, name: str, text: str) -> None:
        """Watch out for a secret that somebody else made."""
        if text in self.texts.values():
            return
        self.texts[name] = text
        for form in _forms(text):
            for start in range(len(form) - _PART + 1):
                self._parts[form[start : start + _PART]] = name

    def found_in(self, text: str) -> set[str]:
        """Return the secrets of which a part of more than eight characters is in a text, in whatever encoding."""
        parts = self._parts
        return {parts[part] for start in range(len(text) - _PART + 1) if (part := text[start : start + _PART]) in parts}

    def check(self, said: Mapping[str, str]) -> None:
        """Fail where a secret turns up."""
        for place, text in said.items():
            # What was said before, often by the same line of a traceback, cannot hold what has come up since.
            lines = [line for line in text.splitlines() if line not in self._harmless]
            for number, line in enumerate(lines):
                found = self.found_in(line)
                if found:
                    shown = "\n".join([*lines[max(0, number - 6) : number], line])
                    raise AssertionError(f"{sorted(found)} in {place}: ...{shown[-1500:]}...")
            self._harmless.update(lines)


def _forms(text: str) -> Iterator[str]:
    data = text.encode()
    yield text
    yield text.lower()
    yield json.dumps(text)[1:-1]
    yield quote(text, safe="")
    if not set(text) <= set(string.hexdigits):  # else, any number would look like a part of it
        yield data.hex()
        yield data.hex().upper()
    for shift in range(3):
        # What is before it moves the six bits of each character; what touches that is not only the secret's.
        encoded = base64.b64encode(b"\0" * shift + data).decode().rstrip("=")
        inner = encoded[4 if shift else 0 : -1]
        yield inner
        yield inner.translate(str.maketrans("+/", "-_"))


# --- how things are shown --------------------------------------------------------------------------------------------


def renderings(name: str, value: object) -> dict[str, str]:
    """Return how a value shows when somebody looks at it, copies it or keeps it."""
    said = {f"repr of {name}": repr(value), f"str of {name}": str(value), f"format of {name}": f"{value}"}
    try:
        said[f"repr of a copy of {name}"] = repr(copy.deepcopy(value))
    except TypeError as error:
        said[f"refusal to copy {name}"] = str(error)
    try:
        said[f"pickle of {name}"] = pickle.dumps(value, protocol=0).decode("latin-1")
        said[f"new pickle of {name}"] = pickle.dumps(value).decode("latin-1")
    except (TypeError, AttributeError, pickle.PicklingError) as error:
        said[f"refusal to pickle {name}"] = str(error)
    return said


def rendered_error(error: BaseException) -> dict[str, str]:
    """Return all that an error says of itself, and all that a crash reporter would collect."""
    kind = type(error).__name__
    said = renderings(kind, error)
    said[f"attributes of {kind}"] = repr(vars(error))
    for number, one in enumerate(_chain(error)):
        said[f"error {number} behind {kind}"] = f"{one!r} {one} {one.args!r} {getattr(one, '__notes__', ())}"
    for number, one in enumerate(_chain(error)):
        # What `TracebackException(capture_locals=True)` keeps, of suppressed errors too; it would take long to draw it.
        frames = traceback.StackSummary.extract(traceback.walk_tb(one.__traceback__), capture_locals=True)
        seen = [f"{frame.name} {name} = {value}" for frame in frames for name, value in (frame.locals or {}).items()]
        said[f"frames of error {number} behind {kind}"] = "\n".join(seen)
    said[f"end of the traceback of {kind}"] = "".join(traceback.format_exception_only(error))
    return said


def _chain(error: BaseException) -> Iterable[BaseException]:
    seen: dict[int, BaseException] = {}
    waiting: list[BaseException | None] = [error]
    while waiting:
        one = waiting.pop()
        if one is not None and id(one) not in seen:
            seen[id(one)] = one
            waiting += [one.__cause__, one.__context__]
            waiting += one.exceptions if isinstance(one, BaseExceptionGroup) else ()
    return seen.values()


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Collect all log records of all loggers and levels, with their arguments and errors."""
    stream = io.StringIO()

    class Everything(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            stream.write(f"{record.getMessage()} {record.args!r} {record.__dict__!r}\n")
            if record.exc_info and record.exc_info[1] is not None:
                stream.write("\n".join(rendered_error(record.exc_info[1]).values()))

    handler, root = Everything(), logging.getLogger()
    level = root.level
    others = {name: logging.getLogger(name) for name in ("asyncio", "aiohttp", "aiohttp.client", "otaclient")}
    levels = {name: logger.level for name, logger in others.items()}
    root.addHandler(handler)
    root.setLevel(1)
    for logger in others.values():
        logger.setLevel(1)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for name, logger in others.items():
            logger.setLevel(levels[name])
