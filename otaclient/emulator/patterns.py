"""Operations, and patterns of them."""

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase
from typing import Final

from otaclient.emulator.shapes import Text

__all__ = ["OPERATIONS", "OPERATION_PATTERN", "first_match"]

OPERATIONS: Final = frozenset(
    {
        *(f"firmware.{name}" for name in ("get", "search", "create", "delete", "reported_versions", "download")),
        *(f"jobs.{name}" for name in ("get", "search", "create", "start", "confirm", "stop", "delete")),
        *(f"jobs.{name}" for name in ("tasks", "cancel_tasks", "retry_tasks")),
        *(f"devices.{name}" for name in ("get", "search")),
        *(f"token.{name}" for name in ("get", "refresh")),
        "other",
    }
)
"""The operations that a vendor may have, by the names under which requests are counted."""

OPERATION_PATTERN: Final = Text(
    words="an operation such as devices.search, or a pattern such as jobs.* or *",
    example="devices.search",
    pattern=re.compile(r"[A-Za-z0-9_.*-]+"),
)


def first_match(operation: str, patterns: Iterable[str]) -> str | None:
    """Return the first of the patterns that an operation fits; ``None`` where it fits none."""
    return next((pattern for pattern in patterns if fnmatchcase(operation, pattern)), None)
