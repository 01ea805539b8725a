"""What comes as JSON in the body of a request to an emulator: whatever it is, it is read or refused."""

from collections.abc import Mapping
from typing import Any, cast

import msgspec

__all__ = ["NoJsonObjectError", "json_object"]


class NoJsonObjectError(ValueError):
    """A body is no JSON object; the text says why, without a subject, such as ``it is not a JSON object``."""


def json_object(body: bytes) -> Mapping[str, Any]:
    """Return the members of a JSON object.

    Raises:
        NoJsonObjectError: The body is something else, or nothing.
    """
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NoJsonObjectError(f"it is not JSON ({error})") from None
    except RecursionError:
        raise NoJsonObjectError("it is not JSON that can be read (it is nested too deeply)") from None
    if not isinstance(found, dict):
        raise NoJsonObjectError("it is not a JSON object")
    return cast("dict[str, Any]", found)
