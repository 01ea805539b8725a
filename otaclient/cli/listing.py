"""Printing records: many of one kind as they come, or one."""

import sys
from collections.abc import AsyncIterable, Callable, Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import Any, TypeVar

import attrs

from otaclient.cli.options import chosen_format
from otaclient.cli.output import Column, Format, Renderer, details, plain, plain_lines, renderer
from otaclient.cli.progress import ProgressBar, error_console
from otaclient.cli.sink import Sink, StandardOutput, sink_for
from otaclient.paging import Paged

__all__ = ["Kind", "Printer", "print_listing", "print_made", "print_one", "printer", "say"]

_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of record, as the commands show it."""

    model: type[Any]
    noun: str
    """What one counts, such as ``jobs``."""
    columns: Sequence[Column]

    @property
    def fields(self) -> tuple[str, ...]:
        """The names of the record's fields."""
        return tuple(field.name for field in attrs.fields(self.model))


@attrs.frozen(kw_only=True)
class Printer:
    """Prints records of one kind in the chosen format, to the chosen place. Use it within the block of its sink."""

    kind: Kind
    format: Format
    sink: Sink
    renderer: Renderer

    async def run(self, blocks: AsyncIterable[Sequence[Any]], *, printed: Callable[[int], object] | None = None) -> int:
        """Print blocks of records as they come and return how many records there were."""
        count = 0
        # The head waits for the first block: a listing that fails at once has printed nothing.
        head = self.renderer.head()
        async for block in blocks:
            await self.sink.write(head + self.renderer.block(block))
            head = ""
            count += len(block)
            if printed is not None:
                printed(count)
        await self.sink.write(head + self.renderer.tail())
        if self.renderer.left_out:
            say(f"no room for the columns {', '.join(self.renderer.left_out)}; --format json shows everything")
        return count


def printer(
    kind: Kind,
    given: Format | None,
    *,
    out: Path | None = None,
    force: bool = False,
    several_backends: bool = False,
) -> Printer:
    """Return a printer; a table names the backend of each record only where there are several.

    Raises:
        UsageError: The file exists, without ``force``; or its folder does not.
    """
    chosen = chosen_format(given, out)
    columns = [Column("backend", "backend"), *kind.columns] if several_backends else kind.columns
    width = get_terminal_size().columns if out is None and sys.stdout.isatty() else None
    return Printer(
        kind=kind,
        format=chosen,
        sink=sink_for(out, force=force),
        renderer=renderer(chosen, fields=kind.fields, columns=columns, width=width),
    )


async def print_listing(kind: Kind, listing: Paged[_T], given: Format | None, *, limit: int | None) -> None:
    """Print a listing, all of it or its first records, page by page as it is read."""
    printing = printer(kind, given)
    # On one terminal, the bar and the rows would run into each other.
    async with printing.sink, ProgressBar(f"Reading {kind.noun}", unit=kind.noun, shown=not sys.stdout.isatty()) as bar:
        count = await printing.run(_blocks(listing, limit), printed=bar.update)
    if printing.format is Format.TABLE:
        say(f"{count:,} {kind.noun}{' (as many as --limit allows)' if count == limit else ''}")


async def _blocks(listing: Paged[_T], limit: int | None) -> AsyncIterable[Sequence[_T]]:
    if limit is not None:
        yield await listing.first(limit)
        return
    async for page in listing.pages():
        yield page.items


async def print_one(kind: Kind, model: Any, given: Format | None) -> None:
    """Print one record: as lines of fields, or as one record of the chosen format."""
    chosen = chosen_format(given, None)
    sink = StandardOutput()
    if chosen is Format.TABLE:
        await sink.write(details(model))
        return
    if chosen is Format.JSON:
        # One record asked for is one object, not an array of one.
        chosen = Format.JSONL
    single = renderer(chosen, fields=kind.fields, columns=kind.columns, width=None)
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
