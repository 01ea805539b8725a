"""From files to a report: the one place of this package that reads."""

from collections.abc import Callable, Iterator

import attrs

from otaclient.errors import InvalidQueryError
from otaclient.export import ScanFile
from otaclient.models import DeviceUpgrade
from otaclient.report.comparison import Changes, Comparison
from otaclient.report.source import Source
from otaclient.report.survey import Survey

__all__ = ["LIST_LIMIT", "Report", "made"]

LIST_LIMIT = 1000


@attrs.frozen(kw_only=True)
class Report:
    """Everything that a page shows."""

    source: Source
    survey: Survey
    list_limit: int
    since: Source | None = None
    changes: Changes | None = None
    """What changed since; ``None`` without an earlier file."""


def made(
    file: ScanFile,
    *,
    since: ScanFile | None = None,
    list_limit: int = LIST_LIMIT,
    on_progress: Callable[[int], object] | None = None,
) -> Report:
    """Return a report about a file.

    The earlier file is remembered, some 150 bytes a device; the other streams through. All of it blocks.

    Args:
        file: The file.
        since: An earlier one, to say what changed.
        list_limit: How many devices each list names.
        on_progress: Called now and then with the number of devices read, those of both files.

    Raises:
        InvalidQueryError: The earlier file is the later one.
        ResultFileError: A file is damaged.
    """
    if since is not None and file.written_at and since.written_at and since.written_at > file.written_at:
        raise InvalidQueryError(f"{since.path} was written after {file.path}, so it is the later one: swap the two")
    rows = 0

    def blocks(source: ScanFile) -> Iterator[list[DeviceUpgrade]]:
        nonlocal rows
        for block in source.blocks():
            yield block
            rows += len(block)
            if on_progress is not None:
                on_progress(rows)

    survey = Survey(list_limit=list_limit)
    comparison = None if since is None else Comparison(blocks(since), list_limit=list_limit)
    for block in blocks(file):
        survey.add(block)
        if comparison is not None:
            comparison.add(block)
    return Report(
        source=Source.of(file),
        survey=survey,
        list_limit=list_limit,
        since=None if since is None else Source.of(since),
        changes=None if comparison is None else comparison.changes(),
    )
