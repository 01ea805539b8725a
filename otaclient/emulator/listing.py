"""What searches do not show yet: a service whose reads lag behind its writes."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

__all__ = ["RecentWrites"]

_Record = TypeVar("_Record")


class RecentWrites(Generic[_Record]):
    """Remembers what was created and deleted of late, and shows a listing as it was some time ago.

    Covered are whole records: a new one is not listed yet, a deleted one still is, in its old place. What changes
    inside a record (the status of a job, the state of a task, the version of a device) shows at once.
    """

    def __init__(self, identify: Callable[[_Record], str]) -> None:
        self._identify = identify
        self._added: dict[str, int] = {}
        self._removed: list[tuple[int, _Record]] = []

    def added(self, record: _Record, at_ms: int) -> None:
        """Remember that a record was created."""
        self._added[self._identify(record)] = at_ms

    def removed(self, record: _Record, at_ms: int) -> None:
        """Remember that a record was deleted."""
        self._removed.append((at_ms, record))

    def listing(self, records: Sequence[_Record], as_of_ms: int) -> Sequence[_Record]:
        """Return the records as they were listed at an instant, in order of their identifiers.

        Args:
            records: Those that exist now, in the order of their identifiers.
            as_of_ms: The instant. What was written up to then is forgotten: later calls never go further back.
        """
        self._added = {identifier: at_ms for identifier, at_ms in self._added.items() if at_ms > as_of_ms}
        self._removed = [(at_ms, record) for at_ms, record in self._removed if at_ms > as_of_ms]
        if not self._added and not self._removed:
            return records
        listed = [*records, *(record for _, record in self._removed)]
        return sorted((each for each in listed if self._identify(each) not in self._added), key=self._identify)
