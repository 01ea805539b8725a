"""The code blocks of the pages: found, and told apart by what is to be done with them."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import dedent

import attrs

__all__ = ["PAGES", "ROOT", "Block", "Command", "blocks_of", "commands_in", "is_output_like", "rewrite"]

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *sorted((ROOT / "docs").rglob("*.md")))

_FENCE = re.compile(
    r"(?P<indent> *)```(?P<language>[a-z]*)(?P<rest>[^\n`]*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL
)
_TITLE = re.compile(r'title="([^"]*)"')
_INCLUDED = re.compile(r"^--8<--\n(.+)\n--8<--$", re.MULTILINE)
_FILE_NAME = re.compile(r"[\w-]+\.\w+")

# What differs from run to run, and says nothing.
_VOLATILE = (
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)"), "<instant>"),
    (re.compile(r"datetime\.datetime\([^)]*\)"), "<instant>"),
    (re.compile(r"127\.0\.0\.1:\d+"), "<address>"),
    (re.compile(r"\d+(\.\d+)?(?= s\b)"), "<seconds>"),
    (re.compile(r"[\d,]+(?= (requests|devices)/s)"), "<rate>"),
    (re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"), "<request>"),
    (re.compile(r"\bota[0-9a-f]{20}\b"), "<fingerprint>"),
)


@attrs.frozen(kw_only=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    """Of its first line of text, from 1."""
    language: str
    title: str | None
    text: str

    @property
    def place(self) -> str:
        """Where it stands, for people and tracebacks."""
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def is_output(self) -> bool:
        """Whether it shows what the block before it prints."""
        return self.language == "text" and self.title == "Output"

    @property
    def file_name(self) -> str | None:
        """The name of the file that it shows, if it shows one."""
        return self.title if self.title is not None and _FILE_NAME.fullmatch(self.title) else None


def blocks_of(page: Path) -> list[Block]:
    """Return the fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    found: list[Block] = []
    for match in _FENCE.finditer(text):
        title = _TITLE.search(match["rest"])
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start("text")) + 1,
                language=match["language"],
                title=None if title is None else title[1],
                text=_INCLUDED.sub(_file_named, dedent(match["text"])),
            )
        )
    return found


def _file_named(included: re.Match[str]) -> str:
    """Return what the site shows in the place of such a line: a file under ``docs/``."""
    return (ROOT / "docs" / included[1]).read_text(encoding="utf-8").rstrip("\n")


@attrs.frozen(kw_only=True)
class Command:
    """One command for a shell."""

    raw: str
    """As it stands on the page."""
    line: str
    """On one line, without a comment behind it."""
    shown: str | None
    """What the page says that it prints; ``None`` where it does not say."""


def commands_in(block: Block) -> Iterator[Command]:
    """Yield the commands of a block for a shell (``sh``), or of one that shows a terminal (``console``)."""
    if block.language == "console":
        for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            head = re.match(r"(?:.*\\\n)*.*\n?", part)
            assert head is not None
            yield Command(raw=head[0], line=_command(_joined(head[0])), shown=part[head.end() :])
        return
    for line in _joined(block.text).splitlines():
        if line.strip() and not line.lstrip().startswith("#"):
            yield Command(raw=line, line=_command(line), shown=None)


def _command(line: str) -> str:
    return re.sub(r"\s+#.*", "", line).strip()


def _joined(text: str) -> str:
    return re.sub(r"\\\n\s*", "", text).strip("\n")


def normalised(text: str) -> str:
    """Return an output without what differs from run to run, and without spaces at the ends of lines."""
    # Columns are as wide as what they hold.
    return "\n".join(re.sub(r" {2,}", "  ", line).rstrip() for line in _lasting(text.strip("\n")).splitlines())


def _lasting(text: str) -> str:
    for pattern, word in _VOLATILE:
        text = pattern.sub(word, text)
    return text


def is_output_like(expected: str, actual: str) -> bool:
    """Tell whether an output is what the page shows; ``...`` there stands for anything."""
    pattern = ".*".join(re.escape(piece) for piece in normalised(expected).split("..."))
    return re.fullmatch(pattern, normalised(actual), re.DOTALL) is not None


def rewrite(changes: Sequence[tuple[Block, str]]) -> None:
    """Put what was printed into its page, in the place of what that shows."""
    for block, text in sorted(changes, key=lambda change: -change[0].line):
        # In the same columns only, and each in its turn: two commands of a block may print lines that differ in a time.
        kept: dict[str, list[str]] = {}
        for line in reversed(block.text.splitlines()):
            kept.setdefault(_lasting(line), []).append(line)
        printed = [same.pop() if (same := kept.get(_lasting(line).rstrip())) else line for line in text.splitlines()]
        page = block.page.read_text(encoding="utf-8")
        lines = page.splitlines(keepends=True)
        count = len(block.text.splitlines())
        indent = " " * (len(lines[block.line - 2]) - len(lines[block.line - 2].lstrip(" ")))
        lines[block.line - 1 : block.line - 1 + count] = [f"{indent}{line}".rstrip() + "\n" for line in printed]
        block.page.write_text("".join(lines), encoding="utf-8")
