"""What became of one call of a load test."""

import json
from collections.abc import Callable
from typing import Any, TextIO

import attrs

__all__ = ["CallResult", "write_lines"]


@attrs.frozen(kw_only=True)
class CallResult:
    """What became of one call; instants are in seconds since the beginning of the test.

    ``due`` to ``sent`` is wait, ``sent`` to ``ended`` is service, and the response time is the two together.
    """

    number: int
    """The number of the call, from 0."""
    operation: str
    due: float
    """When the plan had it begin."""
    began: float | None
    """When it did begin; ``None`` where it could not, because too many were in flight."""
    sent: float | None
    """When its request went out; ``None`` where none did."""
    ended: float | None
    """When its answer was there, or its error."""
    requests: int
    """How many it sent, those for tokens left out."""
    service_seconds: float | None
    """From sending to the whole answer, of all its requests together."""
    status: int | None
    """The HTTP status; ``None`` where no whole answer came."""
    error: str | None
    """The name of the error's class, or ``None`` on success."""
    request_id: str | None
    """The vendor's name for the request."""

    @property
    def lag_seconds(self) -> float | None:
        """How late the harness began it: a measure of the harness, not of the service."""
        return None if self.began is None else self.began - self.due

    @property
    def wait_seconds(self) -> float | None:
        """From when it was due until its request went out."""
        return None if self.sent is None else self.sent - self.due

    @property
    def response_seconds(self) -> float | None:
        """From when it was due until it ended: what whoever wanted it then has waited."""
        return None if self.ended is None else self.ended - self.due

    def as_json(self) -> dict[str, Any]:
        """Return it as values that JSON knows."""
        return attrs.asdict(self)


def write_lines(file: TextIO) -> Callable[[CallResult], object]:
    """Return what writes each result into a file as a line of JSON, for ``OpenModel(on_result=...)``.

    Lines go out through the file's buffer; with ``open(..., buffering=1 << 20)`` the disk seldom holds up the test.
    """

    def write(result: CallResult) -> None:
        file.write(json.dumps(result.as_json(), separators=(",", ":")) + "\n")

    return write
