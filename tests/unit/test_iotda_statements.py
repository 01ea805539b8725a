"""What is known of a flexible search before it is sent: its limits, and that it names its devices."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient_iotda.statements import checked_statement

ALL = "select * from device"
FIVE = " and ".join(f"app_id = '{n}'" for n in range(5))


@pytest.mark.parametrize(
    ("sql", "counts"),
    [
        ("select * from device", False),
        ("SELECT device_id, fw_version FROM device WHERE status = 'ONLINE' ORDER BY marker DESC LIMIT 500,50", False),
        ("select count(*) from device where fw_version != 'V1'", True),
        ("select Count(1) from device", True),
        (f"{ALL} where {FIVE}", False),
        ("select * from device where device_name = 'and or limit 99 where' limit 50", False),
        ("select * from device where device_name in ('a or b','c and d', 'it''s')", False),
        (f"{ALL} where node_id = '{'x' * 361}'", False),
    ],
)
def test_statements_within_the_limits(sql: str, counts: bool) -> None:
    """They go out as they are; what stands in quotes is no keyword."""
    statement = checked_statement(sql)
    assert (statement.text, statement.counts) == (sql, counts)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("", "give a text such as"),
        ("  ", "give a text such as"),
        (7, "the statement is 7"),
        (f"{ALL} where node_id = '{'x' * 362}'", "has 401 characters.*at most 400"),
        ("select * from device where node_id = '\ud800'", "surrogate"),
        ("select * from device where node_id = 'x", "no closing quote"),
        ("select * from device where node_id = 'x' and app_id = '", "no closing quote"),
        ("delete from device", "of the form"),
        ("select *", "of the form"),
        ("select 'from' , device_id", "of the form"),
        ("select fw_version from device", "does not select device_id"),
        (f"{ALL} where {FIVE} OR app_id = 'y'", "has 6 conditions.*at most 5"),
        ("select * from device limit 51", "asks for 51 devices.*at most 50"),
        ("select * from device limit 10, 51", "asks for 51 devices"),
        ("select * from device limit 501,10", "skips 501 devices.*at most 500"),
    ],
)
def test_statements_beyond_the_limits(sql: Any, words: str) -> None:
    """One error that names the limit and what to do."""
    with pytest.raises(InvalidQueryError, match=words):
        checked_statement(sql)


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="'"), max_size=15), max_size=8))
def test_conditions_are_counted_whatever_they_compare_with(values: list[str]) -> None:
    """Five pass and six do not; nothing in quotes counts."""
    conditions = " or ".join(f"app_id = '{value}'" for value in values)
    sql = ALL + (f" where {conditions}" if values else "")
    if len(values) <= 5:
        assert checked_statement(sql).text == sql
    else:
        with pytest.raises(InvalidQueryError, match=f"has {len(values)} conditions"):
            checked_statement(sql)


def test_a_limit_without_a_number_is_left_to_the_vendor() -> None:
    """Only limits are checked here, not the grammar."""
    assert checked_statement("select * from device limit").counts is False
