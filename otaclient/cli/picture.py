"""What a command shows on a terminal, drawn as one SVG that asks nobody for anything."""

import io
from collections.abc import Callable
from typing import Final

from rich.console import Console

__all__ = ["drawn"]

_COLUMNS: Final = 104
_FONTS: Final = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
"""Whatever the reader's machine has: the template of rich fetches a font from the web."""
_FONT_ASPECT_RATIO: Final = 0.6
"""Width to height of a letter in these fonts; each piece of text is also told its length."""
_TEMPLATE: Final = """\
<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label="What a terminal shows" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: FONTS; font-size: {char_height}px; line-height: {line_height}px }}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
""".replace("FONTS", _FONTS)


def drawn(show: Callable[[Console], None], *, command: str) -> str:
    """Return an SVG of what a function prints to a terminal; the same for the same output.

    Args:
        show: Prints to the console that it is given.
        command: What was typed.
    """
    console = Console(
        file=io.StringIO(),
        width=_COLUMNS,
        record=True,
        force_terminal=True,
        color_system="truecolor",
        highlight=False,
        legacy_windows=False,
        # Neither the reader's colours nor the maker's settings are in the picture.
        _environ={},
    )
    console.print(f"[dim]$[/dim] [bold]{command}[/bold]")
    show(console)
    svg = console.export_svg(
        title=command, code_format=_TEMPLATE, unique_id="terminal", font_aspect_ratio=_FONT_ASPECT_RATIO
    )
    return "".join(f"{line.strip()}\n" for line in svg.splitlines() if line.strip())
