"""How tasks end: whether a cancellation was meant for one, and which exception comes out where several failed."""

import asyncio
from typing import NoReturn

from otaclient.counted import counted

__all__ = ["is_cancelled", "raise_first"]


def is_cancelled() -> bool:
    """Tell whether somebody has cancelled the running task.

    If not, a ``CancelledError`` that reaches it is none of its own: something that it waits for was cancelled. A task
    group would take it for the quiet end of a task all the same.
    """
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def raise_first(group: BaseExceptionGroup[BaseException]) -> NoReturn:
    """Raise the first exception of a group that is being handled, as it was raised; a note tells of the others.

    So what a caller catches does not depend on how many tasks failed before they could be ended: mostly all of them,
    and in the same way.
    """
    first, *others = group.exceptions
    if others:
        kinds = ", ".join(dict.fromkeys(type(other).__name__ for other in others))
        first.add_note(f"{counted(len(others), 'more task')} failed before all could be ended: {kinds}")
    context = first.__context__
    try:
        raise first
    finally:
        first.__context__ = context  # what it came of, and not the group
