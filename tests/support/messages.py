"""Errors by their whole text: people read all of it, so a test that knows a part of it misses half of the faults."""

import re

__all__ = ["whole"]


def whole(text: str) -> str:
    """Return the pattern for ``pytest.raises(match=...)`` that only this text matches."""
    return rf"\A{re.escape(text)}\Z"
