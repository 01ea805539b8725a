"""What the commands print, as pure functions of records."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from otaclient.cli.cells import plain, plain_lines
from otaclient.cli.output import Format, details, record, renderer
from otaclient.cli.screen import Screen
from otaclient.cli.table import Column, aligned
from otaclient.models import (
    Checksum,
    DeviceId,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FirmwareKind,
    JobScope,
    LocalizedText,
    Verification,
)

FIRMWARE = Firmware(
    backend="enos",
    firmware_id=FirmwareId("f1"),
    version="1.2",
    kind=FirmwareKind.SOFTWARE,
    product_id="p1",
    name=LocalizedText(default="Pump", translations={"zh_CN": "泵"}),
    source_versions=("1.0", "1.1"),
    checksum=Checksum(algorithm="md5", value="abc"),
    size_bytes=1234567,
    verification=Verification(required=True, verified=False),
    tags={"site": "north"},
    created_at=datetime(2026, 1, 2, 3, 4, 5, 600000, tzinfo=timezone(timedelta(hours=8))),
    extra={"nested": {"a": [1, None]}, "when": datetime(2026, 1, 1, tzinfo=UTC)},
)
COLUMNS = (
    Column("id", "firmware_id"),
    Column("bytes", "size_bytes", right=True),
    Column("verified", "verification.verified"),
    Column("from", "source_versions"),
    Column("created", "created_at"),
)


def rendered(chosen: Format, *blocks: list[Any], width: int | None = None, columns: Any = COLUMNS) -> str:
    """Render blocks of firmware to the end."""
    fields = tuple(field.name for field in attrs.fields(Firmware))
    lines = renderer(chosen, fields=fields, columns=columns, screen=Screen(width=width))
    return lines.head() + "".join(lines.block(block) for block in blocks) + lines.tail()


def device(number: int, **fields: Any) -> DeviceUpgrade:
    """Make a device."""
    return DeviceUpgrade(backend="enos", device_id=DeviceId(f"d{number}"), **fields)


def test_record_is_plain_values_under_the_models_names() -> None:
    """Instants are ISO 8601 UTC, enums their text, nested records dictionaries, tuples lists."""
    plain_record = record(FIRMWARE)
    assert list(plain_record) == [field.name for field in attrs.fields(Firmware)]
    assert plain_record["created_at"] == "2026-01-01T19:04:05.600000Z"
    assert plain_record["kind"] == "software"
    assert plain_record["name"] == {"default": "Pump", "translations": {"zh_CN": "泵"}}
    assert plain_record["source_versions"] == ["1.0", "1.1"]
    assert plain_record["extra"] == {"nested": {"a": [1, None]}, "when": "2026-01-01T00:00:00Z"}
    assert plain_record["custom_info"] is None


@pytest.mark.parametrize("blocks", [[], [[]], [[FIRMWARE]], [[], [FIRMWARE, FIRMWARE], [], [FIRMWARE]]])
def test_formats_for_programs_agree(blocks: list[list[Firmware]]) -> None:
    """JSON, JSON Lines and CSV hold the same records, however they come in blocks; also none."""
    expected = [json.loads(json.dumps(record(model))) for block in blocks for model in block]
    assert json.loads(rendered(Format.JSON, *blocks)) == expected
    lines = rendered(Format.JSONL, *blocks).splitlines()
    assert [json.loads(line) for line in lines] == expected
    rows = list(csv.DictReader(io.StringIO(rendered(Format.CSV, *blocks))))
    assert [row["firmware_id"] for row in rows] == [one["firmware_id"] for one in expected]
    for row in rows:
        assert json.loads(row["name"])["default"] == "Pump"
        assert row["custom_info"] == ""
        assert row["size_bytes"] == "1234567"


def test_csv_has_its_header_line_without_records() -> None:
    """An empty listing is one header line."""
    assert rendered(Format.CSV).splitlines() == [",".join(field.name for field in attrs.fields(Firmware))]


def test_table_lines_up_numbers_at_their_right_end() -> None:
    """A table has a heading, a rule and a line a record; what is unknown is blank."""
    small = attrs.evolve(FIRMWARE, firmware_id=FirmwareId("f22"), size_bytes=7, verification=None, source_versions=())
    assert rendered(Format.TABLE, [FIRMWARE, small]).splitlines() == [
        "id       bytes  verified  from      created",
        "───  ─────────  ────────  ────────  ────────────────────",
        "f1   1,234,567  no        1.0, 1.1  2026-01-01 19:04:05Z",
        "f22          7                      2026-01-01 19:04:05Z",
    ]


def test_table_without_records_is_its_heading() -> None:
    """An empty listing shows what it would have shown."""
    assert rendered(Format.TABLE).splitlines()[0].split() == ["id", "bytes", "verified", "from", "created"]


def test_later_blocks_keep_the_widths_of_the_first() -> None:
    """The heading comes once; on a terminal, longer cells of later blocks are visibly cut."""
    later = attrs.evolve(FIRMWARE, firmware_id=FirmwareId("f" * 30))
    wide = rendered(Format.TABLE, [FIRMWARE], [later])
    assert wide.count("verified") == 1
    assert "f" * 30 in wide
    cut = rendered(Format.TABLE, [FIRMWARE], [later], width=80)
    assert "f" * 30 not in cut
    assert "…" in cut


@given(
    cells=st.lists(st.tuples(st.text(max_size=40), st.text(max_size=40)), min_size=1, max_size=5),
    width=st.integers(min_value=14, max_value=60),
)
def test_tables_fit_the_terminal(cells: list[tuple[str, str]], width: int) -> None:
    """No line is wider than the terminal, whatever the vendor's texts, and none steers it."""
    models = [device(0, device_key=key, product_id=product) for key, product in cells]
    columns = (Column("key", "device_key"), Column("product", "product_id"))
    lines = rendered(Format.TABLE, models, width=width, columns=columns).split("\n")
    assert len(lines) == len(models) + 3  # a heading, a rule, and nothing behind the last line
    assert all(cell_len(line) <= width for line in lines)
    assert all(line.isprintable() for line in lines)


FLEXIBLE = (
    Column("id", "firmware_id"),
    Column("text", "checksum.value"),
    Column("nothing", "custom_info"),
    Column("about", "description", flexible=True),
    Column("bytes", "size_bytes", right=True),
)


@pytest.mark.parametrize(
    ("width", "left_out", "about"),
    [
        (None, [], "some prose here that is long"),
        (60, [], "some prose here that is long"),
        (50, ["nothing"], "some prose here that is long"),
        (33, ["nothing"], "some prose …"),
        (32, ["nothing", "bytes"], "some prose here that …"),
        (22, ["nothing", "bytes"], "some prose …"),
        (21, ["nothing", "about", "bytes"], ""),
        (1, ["text", "nothing", "about", "bytes"], ""),
    ],
)
def test_what_there_is_no_room_for_is_left_out_and_named(width: int | None, left_out: list[str], about: str) -> None:
    """Blank columns go first, prose is cut, then columns go from the right; identifiers stay whole."""
    model = attrs.evolve(FIRMWARE, description="some prose here that is long")
    long_id = attrs.evolve(model, firmware_id=FirmwareId("i" * 20))
    assert "i" * 20 in renderer(Format.TABLE, fields=(), columns=FLEXIBLE, screen=Screen(width=36)).block([long_id])
    lines = renderer(Format.TABLE, fields=(), columns=FLEXIBLE, screen=Screen(width=width))
    text = lines.block([model])
    assert list(lines.left_out) == left_out
    assert about in text
    assert ("abc" in text) == ("text" not in left_out)
    assert "f1" in text


def test_wide_letters_count_as_two_cells() -> None:
    """Columns line up behind letters that are two cells wide."""
    assert aligned(["泵", "x"], [4, 2], [False, True]) == "泵     x"


@given(st.text())
def test_plain_text_is_one_line_that_can_be_shown(text: str) -> None:
    """Control characters become visible escapes; everything else stays."""
    assert plain(text).isprintable()
    if text.isprintable():
        assert plain(text) == text


def test_details_show_what_is_known_a_field_a_line() -> None:
    """One record is a line a field, nested fields under dotted names; what is not known is left out."""
    lines = dict(line.split(maxsplit=1) for line in details(FIRMWARE).splitlines())
    assert lines["firmware_id"] == "f1"
    assert lines["name.default"] == "Pump"
    assert lines["name.translations.zh_CN"] == "泵"
    assert lines["verification.verified"] == "no"
    assert lines["size_bytes"] == "1,234,567"
    assert lines["extra.nested"] == '{"a": [1, null]}'
    assert lines["extra.when"] == "2026-01-01 00:00:00Z"
    assert "custom_info" not in lines
    assert "location" not in lines


def test_details_of_a_record_with_nothing_in_it_are_empty() -> None:
    """There is no line to show."""
    assert details(JobScope()) == "everything  no\n"
    assert details(RecordOfNothing()) == ""


@attrs.frozen
class RecordOfNothing:
    """All that it has is not known."""

    field: str | None = None


def test_details_show_vendor_text_without_its_control_characters() -> None:
    """A vendor's text cannot clear the screen."""
    assert "\\x1b[2J" in details(attrs.evolve(FIRMWARE, description="\x1b[2J"))


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\uff1d1", "a;=1", "a; @x", "x;-1;+2"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str) -> None:
    """Neither for spreadsheets that part cells at commas nor for those that do at semicolons; numbers stay numbers."""
    model = attrs.evolve(FIRMWARE, description=text, extra={"x": text}, size_bytes=-7)
    (row,) = csv.DictReader(io.StringIO(rendered(Format.CSV, [model])))
    for part in [*row["description"].split(";"), *row["extra"].split(";")]:
        assert not part.strip().startswith(("=", "+", "-", "@", "\uff1d"))
    assert row["description"].replace("'", "") == text
    assert json.loads(row["extra"]) == {"x": text}
    assert row["size_bytes"] == "-7"


@given(st.text(st.characters(codec=None)))
def test_nothing_printed_steers_a_terminal_and_json_keeps_the_value(text: str) -> None:
    """Escapes, overrides of the direction of writing, halves of surrogate pairs."""
    model = attrs.evolve(FIRMWARE, version=text, extra={"x": text})
    for chosen in (Format.JSON, Format.JSONL, Format.CSV):
        printed = rendered(chosen, [model])
        assert printed.replace("\n", "").isprintable()
        printed.encode()
        if chosen is not Format.CSV:
            (found,) = json.loads(printed) if chosen is Format.JSON else map(json.loads, printed.splitlines())
            assert (found["version"], found["extra"]) == (text, {"x": text})
    assert plain_lines(f"one\n{text}").replace("\n", "").isprintable()
    assert plain_lines("one\ntwo") == "one\ntwo"
