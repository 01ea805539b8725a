"""Printing records: many of one kind as they come, or one."""

import sys
from collections import Counter
from collections.abc import AsyncIterable, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import attrs

from otaclient.cli.cells import plain, plain_lines
from otaclient.cli.options import chosen_format
from otaclient.cli.output import Format, Renderer, details, renderer
from otaclient.cli.progress import ProgressBar, error_console
from otaclient.cli.screen import UNSEEN, screen_of
from otaclient.cli.sink import Sink, StandardOutput, sink_for
from otaclient.cli.table import Column
from otaclient.paging import Paged

__all__ = [
    "Kind",
    "Printer",
    "Tally",
    "print_listing",
    "print_made",
    "print_one",
    "printer",
    "say",
    "say_what_is_missing",
]

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of record, as the commands show it."""

    model: type[Any]
    noun: str
    """What one counts, such as ``jobs``."""
    columns: Sequence[Column]
    state: Callable[[Any], str | None] | None = None
    """Of a record, under which word a summary counts it; ``None`` where the vendor does not tell."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the record's fields."""
        return tuple(field.name for field in attrs.fields(self.model))


@attrs.define(kw_only=True)
class Tally:
    """How many records were printed, and of which state: the states add up to the count."""

    kind: Kind
    count: int = 0
    states: Counter[str | None] = attrs.field(factory=Counter[str | None])

    def add(self, models: Sequence[Any]) -> None:
        """Count records."""
        self.count += len(models)
        if self.kind.state is not None:
            self.states.update(map(self.kind.state, models))

    def __str__(self) -> str:
        """Return the summary line, such as ``10 jobs: 9 running, 1 stopped``."""
        noun = self.kind.noun.removesuffix("s") if self.count == 1 else self.kind.noun
        total = f"{self.count:,} {noun}"
        told = [(state, count) for state, count in self.states.most_common() if state is not None]
        if not told:
            return total
        pieces = [f"{count:,} {state}" for state, count in told]
        if self.states[None]:
            pieces.append(f"{self.states[None]:,} not told")
        return f"{total}: {', '.join(pieces)}" if len(pieces) > 1 else f"{total}, all {told[0][0]}"


@attrs.frozen(kw_only=True)
class Printer:
    """Prints records of one kind in the chosen format, to the chosen place. Use it within the block of its sink."""

    kind: Kind
    format: Format
    sink: Sink
    renderer: Renderer

    async def run(
        self, blocks: AsyncIterable[Sequence[Any]], *, printed: Callable[[int], object] | None = None
    ) -> Tally:
        """Print blocks of records as they come and return how many records there were."""
        tally = Tally(kind=self.kind)
        # The head waits for the first block: a listing that fails at once has printed nothing.
        head = self.renderer.head()
        async for block in blocks:
            await self.sink.write(head + self.renderer.block(block))
            head = ""
            tally.add(block)
            if printed is not None:
                printed(tally.count)
        await self.sink.write(head + self.renderer.tail())
        say_what_is_missing(self.renderer)
        return tally


def say_what_is_missing(rendered: Renderer) -> None:
    """Say what a table does not show, and how to see it: nothing is cut in silence."""
    facts = (("no room for", rendered.left_out), ("cut to fit", rendered.shortened))
    missing = [f"{what}: {', '.join(columns)}" for what, columns in facts if columns]
    if missing:
        say(f"{'; '.join(missing)} (--wide shows them whole, --format jsonl every field)")


def printer(
    kind: Kind,
    given: Format | None,
    *,
    out: Path | None = None,
    force: bool = False,
    several_backends: bool = False,
    wide: bool = False,
) -> Printer:
    """Return a printer; a table names the backend of each record only where there are several.

    Raises:
        UsageError: The file exists, without ``force``; or its folder does not.
    """
    chosen = chosen_format(given, out)
    columns = [Column("backend", "backend"), *kind.columns] if several_backends else kind.columns
    screen = screen_of(sys.stdout, wide=wide) if out is None else UNSEEN
    return Printer(
        kind=kind,
        format=chosen,
        sink=sink_for(out, force=force),
        renderer=renderer(chosen, fields=kind.fields, columns=columns, screen=screen),
    )


async def print_listing(
    kind: Kind,
    listing: Paged[_T],
    given: Format | None,
    *,
    limit: int | None,
    wide: bool,
    on_nothing: Callable[[], Awaitable[None]] | None = None,
) -> None:
    """Print a listing, all of it or its first records, page by page as it is read; after a table, a summary.

    Args:
        kind: What it lists.
        listing: The records.
        given: The format that was asked for.
        limit: How many to print at most.
        wide: Whether a table has every column.
        on_nothing: Called where the listing is empty, before anything is printed.
    """
    printing = printer(kind, given, wide=wide)
    # On one terminal, the bar and the rows would run into each other.
    async with printing.sink, ProgressBar(f"Reading {kind.noun}", unit=kind.noun, shown=not sys.stdout.isatty()) as bar:
        tally = await printing.run(_blocks(listing, limit, on_nothing), printed=bar.update)
    if printing.format is Format.TABLE:
        say(f"{tally}{' (as many as --limit allows)' if tally.count == limit else ''}")


async def _blocks(
    listing: Paged[_T], limit: int | None, on_nothing: Callable[[], Awaitable[None]] | None
) -> AsyncIterable[Sequence[_T]]:
    blocks = (page.items async for page in listing.pages()) if limit is None else _first(listing, limit)
    is_empty = True
    async for block in blocks:
        if block:
            is_empty = False
            yield block
    if is_empty and on_nothing is not None:
        await on_nothing()


async def _first(listing: Paged[_T], limit: int) -> AsyncIterable[Sequence[_T]]:
    yield await listing.first(limit)


async def print_one(kind: Kind, model: Any, given: Format | None) -> None:
    """Print one record: as lines of fields, or as one record of the chosen format."""
    chosen = chosen_format(given, None)
    sink = StandardOutput()
    if chosen is Format.TABLE:
        await sink.write(details(model, screen=screen_of(sys.stdout)))
        return
    if chosen is Format.JSON:
        # One record asked for is one object, not an array of one.
        chosen = Format.JSONL
    single = renderer(chosen, fields=kind.fields, columns=kind.columns)
    await sink.write(single.head() + single.block([model]) + single.tail())


async def print_made(kind: Kind, model: Any, identifier: str, given: Format | None) -> None:
    """Print what was just made: for people and shells its identifier alone, in the other formats a record."""
    if chosen_format(given, None) is Format.TABLE:
        await StandardOutput().write(f"{plain(identifier)}\n")
    else:
        await print_one(kind, model, given)


def say(message: str) -> None:
    """Print a message to standard error."""
    error_console().print(plain_lines(message), markup=False, soft_wrap=True)
