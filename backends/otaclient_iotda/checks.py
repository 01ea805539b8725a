"""The vendor's rules for identifiers and texts, checked before anything is sent.

Sources: Huawei Cloud IoTDA API reference, the tables of the requests in :mod:`otaclient_iotda.requests` and
:mod:`otaclient_iotda.write_requests`.
"""

import re
from typing import Any, Final

import attrs

from otaclient.checks import check_encodable
from otaclient.errors import InvalidQueryError

__all__ = [
    "BUCKET",
    "DEVICE_ID",
    "GROUP_ID",
    "MARKER",
    "MODULE_ID",
    "MODULE_NAME",
    "OBJECT_KEY",
    "OWNER_ID",
    "PACKAGE_ID",
    "PRODUCT_ID",
    "REGION",
    "SHA256",
    "TASK_ID",
    "VERSION",
    "Rule",
    "checked_list",
    "checked_prose",
]


@attrs.frozen
class Rule:
    """What a text must look like."""

    pattern: re.Pattern[str]
    words: str
    """The same for people: completes "it takes ..."."""

    def check(self, value: Any, name: str) -> str:
        """Return a text that is as it must be.

        Raises:
            InvalidQueryError: It is not; names it by ``name``.
        """
        if not isinstance(value, str) or not self.pattern.fullmatch(value):
            raise InvalidQueryError(f"{name} is {value!r}: it takes {self.words}")
        return value


def _rule(pattern: str, words: str) -> Rule:
    return Rule(re.compile(pattern), words)


PACKAGE_ID: Final = _rule(r"[A-Za-z0-9-]{1,36}", "1 to 36 letters, digits and '-'")
MODULE_ID: Final = PACKAGE_ID
TASK_ID: Final = _rule(r"[a-f0-9]{1,24}", "1 to 24 hexadecimal digits in lower case")
DEVICE_ID: Final = _rule(r"[A-Za-z0-9_-]{1,128}", "1 to 128 letters, digits, '_' and '-'")
PRODUCT_ID: Final = _rule(r"[A-Za-z0-9_-]{1,36}", "1 to 36 letters, digits, '_' and '-'")
OWNER_ID: Final = _rule(r"[A-Za-z0-9_-]{1,36}", "the id of a resource space: 1 to 36 letters, digits, '_' and '-'")
VERSION: Final = _rule(r"[A-Za-z0-9_.-]{1,256}", "1 to 256 letters, digits, '_', '.' and '-'")
MODULE_NAME: Final = _rule(r"[A-Za-z0-9_.-]{1,64}", "1 to 64 letters, digits, '_', '.' and '-'")
MARKER: Final = _rule(r"[0-9a-fA-F]{24}", "24 hexadecimal digits, as a page gave it out")
# The vendor gives no pattern for groups; all its other identifiers of this kind have this one.
GROUP_ID: Final = _rule(r"[A-Za-z0-9_-]{1,36}", "1 to 36 letters, digits, '_' and '-'")
REGION: Final = _rule(r"[A-Za-z0-9-]{1,256}", "1 to 256 letters, digits and '-', such as cn-north-4")
BUCKET: Final = _rule(r"[a-z0-9.-]{3,63}", "3 to 63 lower-case letters, digits, '.' and '-'")
OBJECT_KEY: Final = _rule(r"(?s:.{1,1024})", "1 to 1024 characters")
SHA256: Final = _rule(r"[a-fA-F0-9]{64}", "64 hexadecimal digits")


def checked_prose(value: Any, *, name: str, longest: int) -> str:
    """Return a free text within its length.

    Raises:
        InvalidQueryError: It is no text, too long, or has no UTF-8.
    """
    if not isinstance(value, str) or len(value) > longest:
        shown = f"{len(value)} characters long" if isinstance(value, str) else repr(value)
        raise InvalidQueryError(f"{name} is {shown}: IoTDA takes a text of at most {longest} characters")
    check_encodable(value, name=name)
    return value


def checked_list(values: Any, rule: Rule, *, name: str, most: int | None = None) -> list[str]:
    """Return some texts of one kind, none of them twice.

    Raises:
        InvalidQueryError: It is no tuple or list, has too many entries, or one that is wrong or there twice.
    """
    if isinstance(values, str):
        raise InvalidQueryError(f"{name} is the bare text {values!r}: give a tuple, such as ({values!r},)")
    if not isinstance(values, tuple | list):
        raise InvalidQueryError(f"{name} is {values!r}: give a tuple of texts")
    texts: list[Any] = list(values)  # pyright: ignore[reportUnknownArgumentType]
    if most is not None and len(texts) > most:
        raise InvalidQueryError(f"{name} has {len(texts)} entries: IoTDA takes at most {most}")
    seen: set[str] = set()
    for text in texts:
        if rule.check(text, f"one of {name}") in seen:
            raise InvalidQueryError(f"{name} names {text!r} twice: leave one out")
        seen.add(text)
    return texts
