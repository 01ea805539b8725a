"""The EnOS emulator's reading of ``expression``: what the documentation allows, and nothing else."""

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.emulator import Fleet
from otaclient_enos.emulator import filters
from otaclient_enos.emulator.filters import (
    DEVICE_FIELDS,
    FIRMWARE_FIELDS,
    JOB_FIELDS,
    Both,
    Comparison,
    Either,
    ExpressionError,
    Kind,
    Node,
    device_condition,
    matches,
    parse,
)

FLEET = Fleet.generate(devices=800)
DEVICES = FLEET.devices
FIRST, SECOND = FLEET.products[0].product_id, FLEET.products[1].product_id


# --- reading ---------------------------------------------------------------------------------------------------------

texts = st.text(max_size=20).filter(lambda text: not ("'" in text and '"' in text))


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    name, field = draw(st.sampled_from(sorted(JOB_FIELDS.by_name.items() | DEVICE_FIELDS.by_name.items(), key=str)))
    operator = draw(st.sampled_from(field.operators))
    if field.kind is Kind.FLAG:
        return Comparison(name, operator, (draw(st.booleans()),))
    most = 4 if operator == "in" else 1
    return Comparison(name, operator, tuple(draw(st.lists(texts, min_size=1, max_size=most))))


ANY_FIELDS = filters.Fields({**JOB_FIELDS.by_name, **DEVICE_FIELDS.by_name})


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    """Comparisons joined by ``and``, these joined by ``or``: what can be written without parentheses."""
    groups: list[Node] = []
    for _ in range(draw(st.integers(1, 3))):
        parts = draw(st.lists(comparisons(), min_size=1, max_size=3))
        groups.append(parts[0] if len(parts) == 1 else Both(tuple(parts)))
    return groups[0] if len(groups) == 1 else Either(tuple(groups))


@st.composite
def expressions(draw: st.DrawFn, node: Node) -> str:
    """The node as somebody could write it: either quote, either case, more or less space."""
    match node:
        case Both(parts):
            return draw(st.sampled_from([" and ", "\nAND ", " And\t"])).join(draw(expressions(part)) for part in parts)
        case Either(parts):
            return draw(st.sampled_from([" or ", "  OR "])).join(draw(expressions(part)) for part in parts)
        case Comparison(field, operator, values):
            literals = [literal(draw, value) for value in values]
            if operator == "in":
                spelled = draw(st.sampled_from(["in", "IN ", "In  "]))
                return f"{field} {spelled}({','.join(literals)})"
            space = draw(st.sampled_from(["", " "])) if operator == "=" else " "
            return f"{field}{space}{operator}{space}{literals[0]}"


def literal(draw: st.DrawFn, value: str | bool) -> str:
    if isinstance(value, bool):
        return draw(st.sampled_from([str(value), str(value).lower()]))
    quote = draw(st.sampled_from([quote for quote in "'\"" if quote not in value]))
    return f"{quote}{value}{quote}"


@given(st.data())
def test_what_is_written_is_what_is_read(data: st.DataObject) -> None:
    """Any expression comes back as it was meant, however it is quoted, spaced and spelled."""
    node = data.draw(nodes())
    assert parse(data.draw(expressions(node)), ANY_FIELDS) == node


@given(st.text(max_size=40) | st.text("productKey='\"()in=and or,.truefalse ", max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but the service's own refusal comes out of a wrong expression."""
    with suppress(ExpressionError):
        parse(text, JOB_FIELDS)


@pytest.mark.parametrize(
    ("expression", "node"),
    [
        ("", None),
        (" \n ", None),
        ("productKey='yourProductKey'", Comparison("productKey", "=", ("yourProductKey",))),
        ('productKey in ("abc")', Comparison("productKey", "in", ("abc",))),
        (
            "isUpgrading = false AND productKey = 'x'",
            Both((Comparison("isUpgrading", "=", (False,)), Comparison("productKey", "=", ("x",)))),
        ),
        ("isUpgrading=True", Comparison("isUpgrading", "=", (True,))),
        ("firmwareVersion='it\"s'", Comparison("firmwareVersion", "=", ('it"s',))),
    ],
)
def test_documented_expressions_over_devices(expression: str, node: Node | None) -> None:
    """The samples of the documentation and of the vendor's code are read as they are meant."""
    assert parse(expression, DEVICE_FIELDS) == node


def test_documented_expressions_over_jobs() -> None:
    """The page's third sample joins two names."""
    assert parse("name like 'name' and firmwareName like 'firmware1'", JOB_FIELDS) == Both(
        (Comparison("name", "like", ("name",)), Comparison("firmwareName", "like", ("firmware1",)))
    )


def test_and_binds_tighter_than_or() -> None:
    """Without parentheses, ``a or b and c`` is ``a or (b and c)``."""
    a, b, c = (Comparison("productKey", "=", (text,)) for text in "abc")
    assert parse("productKey='a' or productKey='b' and productKey='c'", DEVICE_FIELDS) == Either((a, Both((b, c))))


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("name = 'x'", "Do not allow operator op =, allowed op [like]"),
        ("productKey like 'x'", "Do not allow operator op like, allowed op [=, in]"),
        ("type in ('upgrade')", "Do not allow operator op in, allowed op [=]"),
        ("status != 'started'", "Do not allow operator op !=, allowed op [=]"),
        ("createTime > 5", "Invalid Argument expression: field createTime is not supported"),
        ("name.fr_FR like 'x'", "Invalid Argument expression: field name.fr_FR is not supported"),
        ("productKey = x", "Invalid Argument expression: productKey takes a quoted text, not x"),
        ("productKey = 7", "Invalid Argument expression: productKey takes a quoted text, not 7"),
        ("productKey = \u2018x\u2019", "Invalid Argument expression: cannot read it from '\u2018x\u2019' on"),
        ("productKey = 'x", "Invalid Argument expression: cannot read it from ''x' on"),
        ("productKey in 'x'", "Invalid Argument expression: unexpected 'x'"),
        ("productKey in ()", "Invalid Argument expression: productKey takes a quoted text, not )"),
        ("productKey in ('x' 'y')", "Invalid Argument expression: unexpected 'y'"),
        ("productKey in ('x'", "Invalid Argument expression: it ends too early"),
        ("productKey", "Invalid Argument expression: it ends too early"),
        ("productKey ,", "Invalid Argument expression: unexpected ,"),
        ("productKey is 'x'", "Invalid Argument expression: unexpected is"),
        ("productKey = 'x' productKey = 'y'", "Invalid Argument expression: unexpected productKey"),
        ("productKey = 'x' and", "Invalid Argument expression: it ends too early"),
        ("'x' = productKey", "Invalid Argument expression: unexpected 'x'"),
        ("(productKey = 'x')", "Invalid Argument expression: unexpected ("),
    ],
)
def test_what_the_operation_does_not_allow_is_refused(expression: str, message: str) -> None:
    """The refusal says what was wrong; for operators, in the documented words."""
    with pytest.raises(ExpressionError) as caught:
        parse(expression, JOB_FIELDS)
    assert str(caught.value) == message


@pytest.mark.parametrize("value", ["'true'", "1", "yes"])
def test_a_flag_is_true_or_false(value: str) -> None:
    """A quoted or any other value is no boolean."""
    with pytest.raises(ExpressionError, match="isUpgrading takes true or false, not"):
        parse(f"isUpgrading = {value}", DEVICE_FIELDS)


def test_grouping_can_be_switched_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the service turns out to allow parentheses, one constant makes them group."""
    monkeypatch.setattr(filters, "_GROUPING_ALLOWED", True)
    a, b, c = (Comparison("firmwareVersion", "=", (text,)) for text in "abc")
    read = parse("(firmwareVersion='a' or firmwareVersion='b') and firmwareVersion='c'", DEVICE_FIELDS)
    assert read == Both((Either((a, b)), c))
    with pytest.raises(ExpressionError, match="it ends too early"):
        parse("(firmwareVersion='a'", DEVICE_FIELDS)


# --- applying to devices ---------------------------------------------------------------------------------------------


def selected(expression: str) -> list[int]:
    return list(DEVICES.matching(device_condition(parse(expression, DEVICE_FIELDS), DEVICES)))


def test_without_an_expression_every_device_is_listed() -> None:
    """An empty expression filters nothing."""
    assert selected("") == list(range(len(DEVICES)))


def test_an_expression_selects_devices() -> None:
    """Products, versions and the upgrading flag select as they say, joined by ``and`` and ``or``."""
    version = DEVICES.firmware_version(next(row for row in range(len(DEVICES)) if DEVICES.firmware_version(row)))
    expression = f"productKey in ('{FIRST}','nobody') and isUpgrading=false or firmwareVersion = \"{version}\""
    wanted = [
        row
        for row in range(len(DEVICES))
        if (DEVICES.product_id(row) == FIRST and not DEVICES.upgrading(row)) or DEVICES.firmware_version(row) == version
    ]
    assert wanted
    assert selected(expression) == wanted
    assert [row for row in range(len(DEVICES)) if DEVICES.upgrading(row)] == selected("isUpgrading = True")


def test_what_nobody_is_selects_nobody() -> None:
    """An unknown product and contradicting conditions give an empty list."""
    assert selected("productKey = 'unheard'") == []
    assert selected(f"productKey = '{FIRST}' and productKey = '{SECOND}'") == []


# --- applying to records ---------------------------------------------------------------------------------------------

RECORD: dict[str, Any] = {
    "productKey": "BXwU4kMk",
    "isVerified": False,
    "name": {"defaultValue": "PV Inverter", "i18nValue": {"zh_CN": "逆变器", "ja_JP": "インバータ"}},
}


@pytest.mark.parametrize(
    ("expression", "met"),
    [
        ("", True),
        ("productKey = 'BXwU4kMk'", True),
        ("productKey in ('x', 'BXwU4kMk')", True),
        ("productKey = 'bxwu4kmk'", False),
        ("isVerified = false", True),
        ("isVerified = true", False),
        ("name like 'inverter'", True),
        ("name like '逆变'", True),
        ("name like '%inverter%'", False),
        ("name.default like 'pv'", True),
        ("name.zh_CN like '逆变'", True),
        ("name.zh_CN like 'inverter'", False),
        ("name.en_US like 'inverter'", True),
        ("name.en_US like '逆变'", False),
        ("isVerified = true or name like 'PV' and productKey = 'BXwU4kMk'", True),
    ],
)
def test_an_expression_selects_firmware(expression: str, met: bool) -> None:
    """Texts are exact, names are searched in the languages named, and a missing language means the default name."""
    assert matches(parse(expression, FIRMWARE_FIELDS), RECORD) is met


def test_an_unqualified_name_is_not_searched_in_other_languages() -> None:
    """``name like`` looks at the default, Chinese and English names; Japanese must be asked for."""
    assert not matches(parse("name like 'インバータ'", JOB_FIELDS), RECORD)
    assert matches(parse("name.ja_JP like 'インバータ'", JOB_FIELDS), RECORD)
    assert matches(parse("name.defaultValue like 'PV'", JOB_FIELDS), RECORD)


def test_a_record_without_the_field_is_not_found_by_it() -> None:
    """A missing product and a name that is null match nothing."""
    nameless: dict[str, Any] = {"name": None}
    assert not matches(parse("productKey = 'x'", JOB_FIELDS), nameless)
    assert not matches(parse("name like ''", JOB_FIELDS), nameless)
