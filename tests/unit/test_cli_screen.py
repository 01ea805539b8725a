"""What people see on a terminal: colours only where they belong, times as seen from now, and sums that add up."""

import io
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from otaclient.cli import kinds
from otaclient.cli.app import app
from otaclient.cli.cells import ago, shown
from otaclient.cli.failures import _OPTIONS, one_line
from otaclient.cli.listing import Tally, say_what_is_missing
from otaclient.cli.output import Format, details, record, renderer
from otaclient.cli.screen import UNSEEN, Screen, Tone, has_colours, screen_of
from otaclient.errors import InvalidQueryError
from otaclient.models import (
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FirmwareKind,
    Job,
    JobId,
    JobKind,
    JobStatus,
    LocalizedText,
    TaskStatus,
    Verification,
)
from otaclient.testing.clock import HandClock

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SGR = re.compile(r"\x1b\[\d*m")


def job(number: int = 0, **fields: Any) -> Job:
    """Make a job."""
    given = {"status": JobStatus.RUNNING, "vendor_status": "x", "kind": JobKind.UPGRADE, **fields}
    return Job(backend="enos", job_id=JobId(f"j{number}"), **given)


class Stream(io.StringIO):
    """A stream that may be a terminal."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """Tell whether it is one."""
        return self._terminal


# --- colours ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terminal", "environ", "expected"),
    [
        (True, {"TERM": "xterm-256color"}, True),
        (True, {}, True),
        (True, {"TERM": "dumb"}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1", "FORCE_COLOR": "1"}, False),
        (False, {"TERM": "xterm-256color"}, False),
        (False, {"FORCE_COLOR": "1"}, True),
        (False, {"FORCE_COLOR": ""}, False),
    ],
)
def test_colours_are_for_terminals(terminal: bool, environ: dict[str, str], expected: bool) -> None:
    """``NO_COLOR`` forbids them anywhere, ``FORCE_COLOR`` asks for them anywhere."""
    assert has_colours(Stream(terminal=terminal), environ) is expected


def test_a_table_in_colours_is_the_same_table() -> None:
    """Colours add nothing but escapes that this program makes; columns and words stay where they are."""
    jobs = [job(1, status=JobStatus.FAILED), job(2, name=LocalizedText(default="\x1b[31mred")), job(3)]
    jobs.append(job(4, status=JobStatus.PENDING))
    plain, coloured = (
        renderer(Format.TABLE, fields=(), columns=kinds.JOBS.columns, screen=screen).block(jobs)
        for screen in (UNSEEN, Screen(colours=True))
    )
    assert SGR.sub("", coloured) == plain
    assert f"{Tone.BAD.value}failed\x1b[0m" in coloured
    assert f"{Tone.BUSY.value}running\x1b[0m" in coloured
    assert "\x1b" not in plain
    lines = SGR.sub("", details(jobs[1], screen=Screen(colours=True))).splitlines()
    assert lines == details(jobs[1]).splitlines()


# --- widths ----------------------------------------------------------------------------------------------------------


def test_a_screen_is_as_wide_as_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """``COLUMNS`` counts on a terminal, unless for ``--wide``; what is no terminal has no width and no now."""
    monkeypatch.setenv("COLUMNS", "57")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    clock = HandClock(NOW - timedelta(seconds=1000))
    assert screen_of(Stream(terminal=True), clock=clock) == Screen(width=57, colours=True, now=NOW)
    assert screen_of(Stream(terminal=True), wide=True, clock=clock) == Screen(width=None, colours=True, now=NOW)
    assert screen_of(Stream(terminal=False), clock=clock) == UNSEEN


def test_a_table_where_only_ascii_can_be_shown() -> None:
    """Lines and ellipses are drawn with what there is, rather than told as escapes."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
    assert screen_of(stream) == Screen(ascii_only=True)
    assert screen_of(io.TextIOWrapper(io.BytesIO(), encoding="utf-8")) == UNSEEN
    jobs = [job(name=LocalizedText(default="n" * 90))]
    table = renderer(Format.TABLE, fields=(), columns=kinds.JOBS.columns, screen=Screen(width=60, ascii_only=True))
    text = table.block(jobs)
    assert text.isascii()
    assert text.splitlines()[1].startswith("------")
    assert "nnn~" in text
    assert table.shortened == ("name",)


@settings(max_examples=40)
@given(width=st.integers(min_value=30, max_value=90), name=st.text("泵車ab 全", max_size=60))
def test_wide_letters_fit_too_and_a_cut_is_told(width: int, name: str) -> None:
    """No line is wider than the terminal, and a name that is not whole is named as one that was cut."""
    jobs = [job(name=LocalizedText(default=name or "x"))]
    table = renderer(Format.TABLE, fields=(), columns=kinds.JOBS.columns, screen=Screen(width=width))
    lines = table.block(jobs).splitlines()
    assert all(cell_len(line) <= width for line in lines)
    whole = (name or "x").strip() in lines[-1]
    assert whole or "name" in [*table.shortened, *table.left_out]
    assert ("name" in table.shortened) <= lines[-1].count("…")


def test_what_a_table_does_not_show_is_told_with_the_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    """A message names the columns, and how to see them; without any there is none."""
    jobs = [job(name=LocalizedText(default="n" * 90), product_id="p")]
    narrow = renderer(Format.TABLE, fields=(), columns=kinds.JOBS.columns, screen=Screen(width=40))
    narrow.block(jobs)
    say_what_is_missing(narrow)
    told = capsys.readouterr().err
    assert told.startswith("no room for: version, devices, succeeded, kind, created; cut to fit: name (--wide ")
    assert "--format jsonl" in told
    for chosen, screen in ((Format.TABLE, UNSEEN), (Format.CSV, Screen(width=40))):
        complete = renderer(chosen, fields=(), columns=kinds.JOBS.columns, screen=screen)
        complete.block(jobs)
        say_what_is_missing(complete)
    assert capsys.readouterr().err == ""


# --- times -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("back", "words"),
    [
        (timedelta(0), "now"),
        (timedelta(milliseconds=999), "now"),
        (timedelta(seconds=1), "1 s ago"),
        (timedelta(seconds=59.9), "59 s ago"),
        (timedelta(minutes=3), "3 min ago"),
        (timedelta(minutes=59, seconds=59), "59 min ago"),
        (timedelta(hours=23, minutes=59), "23 h ago"),
        (timedelta(days=1), "1 d ago"),
        (timedelta(days=29, hours=23), "29 d ago"),
        (timedelta(days=30), None),
        (-timedelta(minutes=5), "in 5 min"),
        (-timedelta(days=31), None),
    ],
)
def test_how_long_ago(back: timedelta, words: str | None) -> None:
    """The largest unit that fits, rounded down; what is far away is told by its date."""
    assert ago(NOW - back, NOW) == words
    assert shown(NOW - back, now=NOW) == (words or (NOW - back).strftime("%Y-%m-%d"))


def test_times_are_relative_for_eyes_alone() -> None:
    """A terminal shows how long ago; a table in a file, and every format for programs, the instant."""
    old, new = job(created_at=NOW - timedelta(days=90)), job(created_at=NOW - timedelta(minutes=3))
    seen = renderer(Format.TABLE, fields=(), columns=kinds.JOBS.columns, screen=Screen(now=NOW)).block([old, new])
    assert "2025-12-01\n" in seen
    assert seen.endswith("3 min ago\n")
    assert "2026-03-01 11:57:00Z" in renderer(Format.TABLE, fields=(), columns=kinds.JOBS.columns).block([new])
    for chosen in (Format.JSON, Format.JSONL, Format.CSV):
        text = renderer(chosen, fields=(), columns=kinds.JOBS.columns, screen=Screen(now=NOW)).block([new])
        assert "2026-03-01T11:57:00Z" in text
    assert "created_at     2026-03-01 11:57:00Z (3 min ago)\n" in details(new, screen=Screen(now=NOW))
    assert "created_at     2025-12-01 12:00:00Z\n" in details(old, screen=Screen(now=NOW))
    assert record(new)["created_at"] == "2026-03-01T11:57:00Z"


# --- sums ------------------------------------------------------------------------------------------------------------

UPGRADING = st.none() | st.booleans()
DEVICES = st.lists(
    st.builds(DeviceUpgrade, backend=st.just("e"), device_id=st.just(DeviceId("d")), upgrading=UPGRADING)
)
TASKS = st.lists(
    st.builds(
        DeviceTask,
        backend=st.just("e"),
        job_id=st.just(JobId("j")),
        device_id=st.just(DeviceId("d")),
        status=st.sampled_from(TaskStatus),
        vendor_status=st.just("x"),
    )
)
FIRMWARE = st.lists(
    st.builds(
        Firmware,
        backend=st.just("e"),
        firmware_id=st.just(FirmwareId("f")),
        version=st.just("1"),
        kind=st.just(FirmwareKind.FIRMWARE),
        verification=st.none() | st.builds(Verification, verified=UPGRADING),
    )
)
JOBS = st.lists(st.builds(job, status=st.sampled_from(JobStatus)))


@pytest.mark.parametrize(
    ("kind", "models"),
    [(kinds.DEVICES, DEVICES), (kinds.TASKS, TASKS), (kinds.FIRMWARE, FIRMWARE), (kinds.JOBS, JOBS)],
)
def test_the_summary_adds_up(kind: Any, models: st.SearchStrategy[list[Any]]) -> None:
    """The parts of a summary line are its whole, whatever the records, and however they come in blocks."""

    @settings(max_examples=25)
    @given(blocks=st.lists(models, max_size=4))
    def check(blocks: Sequence[Sequence[Any]]) -> None:
        tally = Tally(kind=kind)
        for block in blocks:
            tally.add(block)
        total = sum(map(len, blocks))
        head, _, parts = str(tally).partition(":")
        noun = kind.noun.removesuffix("s") if total == 1 else kind.noun
        assert head.partition(",")[0] == f"{total:,} {noun}"
        assert tally.count == total
        if parts:
            assert sum(int(part.split()[0].replace(",", "")) for part in parts.split(",")) == total

    check()


def test_a_summary_says_what_there_is() -> None:
    """The largest part first; one part alone is all; parts of which nothing is told are no parts."""
    devices = [DeviceUpgrade(backend="e", device_id=DeviceId(str(n)), upgrading=n < 3 or None) for n in range(2000)]
    tally = Tally(kind=kinds.DEVICES)
    assert str(tally) == "0 devices"
    assert str(Tally(kind=kinds.DEVICES, count=1)) == "1 device"
    assert str(Tally(kind=kinds.FIRMWARE, count=1)) == "1 firmware"
    tally.add(devices[3:])
    assert str(tally) == "1,997 devices"
    tally.add(devices[:3])
    assert str(tally) == "2,000 devices: 3 upgrading, 1,997 not told"
    assert str(Tally(kind=kinds.JOBS, count=4, states=Counter({"partially succeeded": 4}))) == (
        "4 jobs, all partially succeeded"
    )


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_of_the_library_are_told_in_those_of_the_command() -> None:
    """An error says what to type: an option, or the variable of a setting; where both have the same name, nothing."""
    error = InvalidQueryError("no", names=("app_id", "kinds", "locale"), backend="iotda")
    assert one_line(error) == "iotda: no; at a terminal, app_id is OTACLIENT_IOTDA_APP_ID, kinds is --kind"
    assert one_line(InvalidQueryError("no", names=("locale",), backend="iotda")) == "iotda: no"
    assert one_line(InvalidQueryError("no", names=("app_id",))) == "no"


def test_every_option_that_is_promised_exists() -> None:
    """A name that an error tells at a terminal is an option of some command."""
    script = app.generate_completion(shell="bash")  # noqa: S604 - the name of a shell, not a wish to run one
    assert [option for option in _OPTIONS.values() if f'"{option}"' not in script] == []
