"""Checks of what a caller gave, for backends: each error names the input, the rule and the remedy. Pure functions."""

from collections.abc import Sequence
from typing import Any, Final

from otaclient.errors import ConfigurationError, InvalidQueryError
from otaclient.models import Checksum, JobKind, JobPolicy, JobSchedule, JobScope, NewJob, PolicyMode, RetrySchedule

__all__ = [
    "MOST_AT_ONCE",
    "check_encodable",
    "check_job_parts",
    "check_kind",
    "check_option",
    "checked_algorithm",
    "checked_count",
    "checked_flag",
]

MOST_AT_ONCE: Final = 10_000
"""The largest ``concurrency``: each request in flight has a task and a connection, far fewer than any machine has."""


def check_kind(value: object, kind: type[Any], *, name: str) -> None:
    """Refuse a value of another class than an argument takes.

    Raises:
        InvalidQueryError: It says which class it takes.
    """
    if not isinstance(value, kind):
        raise InvalidQueryError(f"{name} is a {type(value).__name__}: give a {kind.__name__}")


def check_job_parts(job: Any) -> None:
    """Refuse a job to create of which a part is of another class, such as a mapping in place of its scope.

    A text may stand for a label that is equal to it, such as ``"verification"``.

    Raises:
        InvalidQueryError: It says which class it takes.
    """
    check_kind(job, NewJob, name="the job")
    check_kind(job.scope, JobScope, name="scope")
    check_kind(job.policy, JobPolicy, name="policy")
    if job.policy.retry is not None:
        check_kind(job.policy.retry, RetrySchedule, name="policy.retry")
    if job.policy.schedule is not None:
        check_kind(job.policy.schedule, JobSchedule, name="policy.schedule")
    for name, label, labels in (("kind", job.kind, JobKind), ("policy.mode", job.policy.mode, PolicyMode)):
        if label is not None and not isinstance(label, str):
            raise InvalidQueryError(f"{name} is {label!r}: give a {labels.__name__}")


def checked_flag(value: Any, *, name: str) -> bool:
    """Return True or False.

    Raises:
        InvalidQueryError: It is something else.
    """
    if not isinstance(value, bool):
        raise InvalidQueryError(f"{name} is {value!r}: give True or False")
    return value


def checked_count(value: Any, *, name: str, least: int, most: int) -> int:
    """Return a whole number within its range.

    Raises:
        InvalidQueryError: It is no whole number, or out of range.
    """
    if type(value) is not int or not least <= value <= most:
        raise InvalidQueryError(f"{name} is {value!r}: give a whole number, from {least} to {most}")
    return value


def checked_algorithm(checksum: Any, known: Sequence[str], *, vendor: str) -> str:
    """Return the algorithm of a checksum, in lower case.

    Args:
        checksum: What a caller gave.
        known: The algorithms that the vendor knows.
        vendor: The vendor's name, for the message.

    Raises:
        InvalidQueryError: It is no checksum, or of another algorithm.
    """
    check_kind(checksum, Checksum, name="checksum")
    given: Any = checksum.algorithm
    algorithm = given.lower() if isinstance(given, str) else ""
    if algorithm not in known:
        raise InvalidQueryError(f"checksum is of the algorithm {given!r}: {vendor} knows {' and '.join(known)}")
    return algorithm


def check_encodable(text: str, *, name: str) -> None:
    """Refuse a text that has no UTF-8, and so cannot be sent.

    Raises:
        InvalidQueryError: It holds half a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InvalidQueryError(f"{name} is {text!r}: remove the halves of surrogate pairs") from error


def check_option(name: str, given: object, kind: type[Any]) -> None:
    """Refuse what is of another class: it would be found out only when it is needed, such as at the first failure.

    Raises:
        ConfigurationError: It is.
    """
    if not isinstance(given, kind):
        raise ConfigurationError(f"{name} is of the type {type(given).__name__}: give {kind.__name__}(...)")
