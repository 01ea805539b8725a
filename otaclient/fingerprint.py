"""Fingerprints: the end of a job's name by which it is found again when the answer to its creation was lost.

Neither vendor has idempotency keys, but both keep a job's name. So ``create`` adds a fingerprint to it, as in
``Pumps to 2.4_ota1f0c9d2b7a3e4d5c6b7a``, and every read takes it out again. Its characters suit the rules of both
vendors: letters, digits and ``_``. Pure functions, but for the random one.
"""

import hashlib
import re
import secrets
from typing import Any, Final

import msgspec

from otaclient.checks import check_encodable
from otaclient.errors import InvalidQueryError

__all__ = [
    "SUFFIX_LENGTH",
    "check_unmarked",
    "chosen_fingerprint",
    "fingerprint_of",
    "how_to_check",
    "is_fingerprint",
    "marked",
    "random_fingerprint",
    "unmarked",
]

_PREFIX: Final = "ota"
# 80 bits: a name that ends like this by chance, or two alike, need not be reckoned with.
_DIGITS: Final = 20
_SEPARATOR: Final = "_"
SUFFIX_LENGTH: Final = len(_SEPARATOR) + len(_PREFIX) + _DIGITS
"""How much longer a name gets."""

_FORM: Final = re.compile(rf"{_PREFIX}[0-9a-f]{{{_DIGITS}}}")
_MARKED: Final = re.compile(rf"(?s:(.*)){_SEPARATOR}({_FORM.pattern})")


def random_fingerprint() -> str:
    """Return a fingerprint that nothing else has."""
    return _PREFIX + secrets.token_hex(_DIGITS // 2)


def fingerprint_of(key: Any, *account: str) -> str:
    """Return the fingerprint of a caller's key: today, tomorrow and in another process the same one.

    Args:
        key: The caller's text. A fingerprint, such as an error has named it, stands for itself.
        account: Whose key it is: the same text of another account has another fingerprint.

    Raises:
        InvalidQueryError: The key is no text, or an empty one.
    """
    if not isinstance(key, str) or not key.strip():
        raise InvalidQueryError(f"idempotency_key is {key!r}: give a text that is not empty, or leave it out")
    if is_fingerprint(key):
        return key
    check_encodable(key, name="idempotency_key")
    # As JSON, so that where one text ends and the next begins makes a difference.
    identity = msgspec.json.encode([*account, key])
    return _PREFIX + hashlib.sha256(identity).hexdigest()[:_DIGITS]


def chosen_fingerprint(key: Any, *account: str, wanted: Any) -> str | None:
    """Return the fingerprint of a new job: of the caller's key, else a random one; ``None`` where none is wanted.

    Raises:
        InvalidQueryError: There is a key, but no fingerprint is wanted; or one of them is something else.
    """
    if not isinstance(wanted, bool):
        raise InvalidQueryError(f"fingerprint is {wanted!r}: give True or False")
    if not wanted and key is not None:
        raise InvalidQueryError(
            "idempotency_key is given, but fingerprint is False: a key works through the fingerprint in the job's "
            "name; leave one of them out"
        )
    if not wanted:
        return None
    return random_fingerprint() if key is None else fingerprint_of(key, *account)


def is_fingerprint(text: str) -> bool:
    """Tell whether a text is a whole fingerprint, and nothing else."""
    return _FORM.fullmatch(text) is not None


def marked(name: str, fingerprint: str | None) -> str:
    """Return a name with a fingerprint at its end; as it is without one."""
    return name if fingerprint is None else f"{name}{_SEPARATOR}{fingerprint}"


def unmarked(name: str) -> tuple[str, str | None]:
    """Return a name without its fingerprint, and the fingerprint; ``None`` where it has none."""
    found = _MARKED.fullmatch(name)
    return (name, None) if found is None else (found[1], found[2])


def how_to_check(fingerprint: str | None) -> str:
    """Return how to find out whether a job was created, for people."""
    if fingerprint is None:
        return "look for its name with jobs.search before you create it again"
    return (
        f"look for it with jobs.search(JobQuery(name_contains={fingerprint!r})), or create it again with "
        f"idempotency_key={fingerprint!r}, which looks for it first"
    )


def check_unmarked(name: str) -> None:
    """Refuse a name that would not come back as it is.

    Raises:
        InvalidQueryError: It ends with a fingerprint already.
    """
    plain, fingerprint = unmarked(name)
    if fingerprint is not None:
        raise InvalidQueryError(
            f"name is {name!r}, which ends with a fingerprint, as create adds it: give {plain!r}, and to find a job "
            f"that exists already, idempotency_key={fingerprint!r}"
        )
