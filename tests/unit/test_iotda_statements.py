"""What is known of a flexible search before it is sent: its limits, and that it names its devices."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient_iotda.statements import checked_statement
from support.messages import whole

ALL = "select * from device"
EXAMPLE = "select * from device where fw_version = 'V1.0' order by marker desc limit 50"
NO_ID = (
    "the statement does not select device_id, so that its answer would not say which devices it found: add device_id, "
    "or select *"
)
LESS = "ask for less at a time, or filter devices.search"
AS_ONE = "several values of one field are one condition with in ('...', '...')"
GO_ON = "go on with where marker < '<the last one>' order by marker desc"
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
        ("select fw_version, device_id from device", False),
        ("select 'from', device_id from device", False),
        ("select device_id, limit from device where node_id = 99", False),
        ("select device_id from device where node_id = 'a\nb or c'", False),
        (f"{ALL} limit 500, 50", False),
        (f"{ALL} limit 501, 7, 0, 50", False),
        (f"{ALL} where fw_version = 99 limit \u0665\u0661", False),
        ("select a and b and c and d and e and f, device_id from device", False),
        (EXAMPLE, False),
    ],
)
def test_statements_within_the_limits(sql: str, counts: bool) -> None:
    """They go out as they are; what stands in quotes is no keyword."""
    statement = checked_statement(sql)
    assert (statement.text, statement.counts) == (sql, counts)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("", f"the statement is '': give a text such as {EXAMPLE!r}"),
        (" \n", f"the statement is ' \\n': give a text such as {EXAMPLE!r}"),
        (7, f"the statement is 7: give a text such as {EXAMPLE!r}"),
        (
            f"{ALL} where node_id = '{'x' * 362}'",
            f"the statement has 401 characters: IoTDA takes at most 400; {LESS}",
        ),
        ("select \ud800", "the statement is 'select \\ud800': remove the halves of surrogate pairs"),
        *(
            (sql, f"the statement is {sql!r}: a text in it has no closing quote")
            for sql in ("select * from device where node_id = 'x", "select * from device where node_id = 'x' and a = '")
        ),
        *(
            (sql, f"the statement is {sql!r}: give one of the form {EXAMPLE!r}")
            for sql in ("delete from device", "select *", "select 'from' , device_id", "from select *")
        ),
        ("select fw_version from device", NO_ID),
        ("select fw_version, count from device where device_id = '*'", NO_ID),
        (
            f"{ALL} where {FIVE} OR app_id = 'y'",
            f"the statement has 6 conditions: IoTDA takes at most 5; {AS_ONE}",
        ),
        *(
            (
                f"{ALL} limit {limit}",
                f"the statement asks for {limit[-2:]} devices: IoTDA gives at most 50 at once; {GO_ON}",
            )
            for limit in ("51", "10, 51", "10,99")
        ),
        *(
            (f"{ALL} limit {limit}", f"the statement skips 501 devices: IoTDA skips at most 500; {GO_ON}")
            for limit in ("501,10", "1, 501, 50")
        ),
    ],
)
def test_statements_beyond_the_limits(sql: Any, message: str) -> None:
    """One error that names the limit and what to do."""
    with pytest.raises(InvalidQueryError, match=whole(message)):
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
