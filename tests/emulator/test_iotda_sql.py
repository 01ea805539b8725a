"""The language of the IoTDA emulator's flexible search: what it allows, and nothing else."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient_iotda.emulator.filters import ParameterError
from otaclient_iotda.emulator.sql import Condition, Statement, create_time_ms, parse
from support.iotda_statements import EVERYTHING, statements


def quoted(value: str) -> str:
    """A text in a statement."""
    doubled = value.replace("'", "''")
    return f"'{doubled}'"


def written(statement: Statement, *, shout: bool = False) -> str:
    """A statement as text; ``shout`` writes the keywords in capitals."""

    def word(text: str) -> str:
        return text.upper() if shout else text

    def condition(each: Condition) -> str:
        if each.operator == "like":
            return f"{each.field} {word('like')} {quoted(each.values[0] + '%')}"
        if each.operator in {"in", "not in"}:
            return f"{each.field} {word(each.operator)} ({', '.join(map(quoted, each.values))})"
        return f"{each.field}{each.operator}{quoted(each.values[0])}"

    selection = word("count(*)") if statement.counts else ",".join(statement.fields or ("*",))
    text = f"{word('select')} {selection} {word('from device')}"
    if statement.alternatives:
        parts = (f" {word('and')} ".join(map(condition, each)) for each in statement.alternatives)
        text += f" {word('where')} " + f" {word('or')} ".join(parts)
    if statement.order is not None:
        text += f" {word(f'order by marker {statement.order}')}"
    return f"{text} {word('limit')} {statement.offset}, {statement.rows}"


@given(statements, st.booleans())
def test_statement_is_read_as_it_was_written(statement: Statement, shout: bool) -> None:
    """Whatever is written in the language means what it says, keywords in any case."""
    text = written(statement, shout=shout)
    if len(text) > 400:
        with pytest.raises(ParameterError, match="400 characters"):
            parse(text)
    else:
        assert parse(text) == statement


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("select * from device", Statement(fields=None)),
        ("  Select count(1) From DEVICE  ", Statement(fields=None, counts=True)),
        ("select marker,device_id from device limit 0", Statement(fields=("marker", "device_id"), rows=0)),
        ("select * from device order by marker", Statement(fields=None, order="asc")),
        ("select * from device order by marker desc limit 50", Statement(fields=None, order="desc", rows=50)),
        (
            "select * from device where status='A' or status='B' and node_id!='C'",
            Statement(
                fields=None,
                alternatives=(
                    (Condition("status", "=", ("A",)),),
                    (Condition("status", "=", ("B",)), Condition("node_id", "!=", ("C",))),
                ),
            ),
        ),
    ],
)
def test_forms_of_a_statement(text: str, meant: Statement) -> None:
    """Clauses may be left out; AND binds tighter than OR."""
    assert parse(text) == meant


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected select, found its end"),
        (EVERYTHING + " " * 400 + "limit 1", "400 characters"),
        ("delete * from device", "expected select"),
        ("select * from devices", "expected device"),
        ("select from device", "from is no field to select"),
        ("select create_time from device", "create_time is no field to select"),
        ("select count(2) from device", "expected 1"),
        ("select *, marker from device", "expected from"),
        ("select * from device where", "its end is no field"),
        ("select * from device where size = '1'", "size is no field"),
        ("select * from device where status", "does not take the operator its end"),
        ("select * from device where status > 'A'", "status does not take the operator >"),
        ("select * from device where tag_key in ('site')", "tag_key does not take the operator in"),
        ("select * from device where fw_version like 'V1.0%'", "fw_version does not take the operator like"),
        ("select * from device where status not = 'A'", "expected in"),
        ("select * from device where status = ONLINE", "expected a text in single quotes"),
        ("select * from device where status = null", "expected a text"),
        ("select * from device where status = ''", "an empty text"),
        ("select * from device where status in ()", "expected a text"),
        ("select * from device where status in ('A'", "expected )"),
        ("select * from device where (status = 'A')", "( is no field"),
        ("select * from device where status = 'A' limit", "expected a number, found its end"),
        ("select * from device limit x", "expected a number, found x"),
        ("select * from device limit 51", "51 is more than 50"),
        ("select * from device limit 501,10", "501 is more than 500"),
        ("select * from device limit 10,51", "51 is more than 50"),
        ("select * from device order by device_id", "expected marker"),
        ("select * from device limit 10 order by marker", "expected its end, found order"),
        ("select * from device where node_id like 'pum%'", "like takes"),
        ("select * from device where node_id like 'pump'", "like takes"),
        ("select * from device where node_id like '%pump%'", "like takes"),
        ("select * from device where node_id like 'pu p-%'", "like takes"),
        (EVERYTHING + " where fw_version = '" + "x" * 65 + "'", "64 characters"),
        ("select * from device where status = 'A", "cannot be read from position 35 on"),
        ("select * from device; drop", "cannot be read"),
        (" or ".join(["select * from device where node_id = '1'", *["node_id = '1'"] * 5]), "more than 5 conditions"),
    ],
)
def test_statement_that_is_refused(text: str, why: str) -> None:
    """Whatever is outside the language, or beyond its limits, is refused with a reason."""
    with pytest.raises(ParameterError, match=re.escape(why)) as caught:
        parse(text)
    assert caught.value.code == "IOTDA.000006"


@pytest.mark.parametrize(
    ("condition", "code"),
    [
        ("marker < 'fff'", "IOTDA.000018"),
        ("create_time > '20260102T030405Z'", "IOTDA.000009"),
        ("create_time > '2026-02-30T03:04:05.000Z'", "IOTDA.000009"),
    ],
)
def test_value_that_is_refused(condition: str, code: str) -> None:
    """A marker or a time of the wrong form has its own code."""
    with pytest.raises(ParameterError) as caught:
        parse(f"{EVERYTHING} where {condition}")
    assert caught.value.code == code


def test_five_conditions_are_allowed() -> None:
    """Five conditions are the most, however they are joined."""
    text = EVERYTHING + " where " + " and ".join(["status = 'ONLINE'"] * 5)
    assert [len(each) for each in parse(text).alternatives] == [5]


def test_time_of_a_condition() -> None:
    """Times have milliseconds."""
    assert create_time_ms("1970-01-02T00:00:01.250Z") == 86_401_250
