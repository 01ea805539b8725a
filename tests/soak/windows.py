"""What a soak holds at quiet moments, and whether it grows: objects by type, tasks, file descriptors, memory."""

import asyncio
import gc
import os
import statistics
import sys
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Final

import attrs

__all__ = ["Window", "growing", "open_files", "window_now"]

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_MEBIBYTE: Final = 1024 * 1024

# What grows by less may be chance: an allocator that has not found its size yet, a cache that fills.
_LEAST_OBJECTS: Final = 200
_OBJECTS_PER_CALL: Final = 0.01
_WORTH_COUNTING: Final = 20
_LEAST_BLOCKS: Final = 3000
_BLOCKS_PER_CALL: Final = 0.1
_LEAST_BYTES: Final = 6 * _MEBIBYTE
_BYTES_PER_CALL: Final = 40.0
_LEAST_TASKS = _LEAST_FILES = 1
_FEWEST_WINDOWS: Final = 4


@attrs.frozen(kw_only=True)
class Window:
    """What there is while every caller waits, after the garbage has been collected."""

    seconds: float
    calls: int
    objects: Counter[str] = attrs.field(repr=False)
    tasks: int
    files: int
    """Open file descriptors, without those of idle connections in the pool."""
    blocks: int
    """Blocks of memory that Python holds: those of texts, numbers and bytes too, which are in no list of objects."""
    resident_bytes: int


def open_files() -> int:
    """Return how many file descriptors are open."""
    return len(list(Path("/proc/self/fd").iterdir())) - 1  # without that of the listing itself


def window_now(*, seconds: float, calls: int, pooled: int) -> Window:
    """Look at everything.

    Args:
        seconds: Since the beginning.
        calls: How many have ended.
        pooled: How many connections wait in the pool, each with a file descriptor.
    """
    gc.collect()
    # Only what there is a lot of, under names that exist once: the windows themselves must not be what grows.
    kinds = Counter(map(type, gc.get_objects()))
    counted = Counter({_type_name(kind): count for kind, count in kinds.items() if count >= _WORTH_COUNTING})
    resident = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
    return Window(
        seconds=seconds,
        calls=calls,
        objects=counted,
        tasks=len(asyncio.all_tasks()),
        files=open_files() - pooled,
        blocks=sys.getallocatedblocks(),
        resident_bytes=resident,
    )


def _type_name(kind: type) -> str:
    return sys.intern(f"{kind.__module__}.{kind.__qualname__}")


def growing(windows: Sequence[Window]) -> list[str]:
    """Return in words what grows from window to window; nothing where all is flat.

    The first third is warm-up. Of the rest the median of all slopes counts, so that neither a single reading nor a
    single step decides.
    """
    settled = windows[len(windows) // 3 :]
    if len(settled) < _FEWEST_WINDOWS:
        return [f"only {len(settled)} windows after the warm-up: too few to tell whether anything grows"]
    calls = settled[-1].calls - settled[0].calls
    found: list[str] = []

    def judge(name: str, values: Sequence[float], most: float) -> None:
        risen = _risen(values)
        if risen > most:
            found.append(
                f"{name}: risen by {risen:,.0f} in {calls:,} calls, from {values[0]:,.0f} to {values[-1]:,.0f}"
            )

    for kind in set().union(*(window.objects for window in settled)):
        judge(
            f"objects of {kind}",
            [window.objects[kind] for window in settled],
            max(_LEAST_OBJECTS, _OBJECTS_PER_CALL * calls),
        )
    judge("tasks", [window.tasks for window in settled], _LEAST_TASKS)
    judge("file descriptors", [window.files for window in settled], _LEAST_FILES)
    judge(
        "blocks of memory",
        [window.blocks for window in settled],
        max(_LEAST_BLOCKS, _BLOCKS_PER_CALL * calls),
    )
    judge(
        "resident bytes",
        [window.resident_bytes for window in settled],
        max(_LEAST_BYTES, _BYTES_PER_CALL * calls),
    )
    return found


def _risen(values: Sequence[float]) -> float:
    """Return by how much the values rise from the first to the last, by the median of the slopes of all pairs."""
    slopes = [(later - earlier) / (j - i) for (i, earlier), (j, later) in combinations(enumerate(values), 2)]
    return statistics.median(slopes) * (len(values) - 1)
