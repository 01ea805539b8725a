"""The expression language of EnOS searches: what may be compared, and how values are quoted."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient_enos import expression
from otaclient_enos.emulator import filters
from otaclient_enos.expression import DEVICES, FIRMWARE, JOBS, MOST_IN_VALUES, TASKS, Grammar, batches, quoted, render
from support.messages import whole

# What the vendor's pages allow, written down a second time.
ALLOWED = {
    "firmware.search": {
        "productKey": "= in",
        "isVerified": "=",
        "name": "like",
        "name.default": "like",
        "name.zh_CN": "like",
        "name.en_US": "like",
    },
    "devices.search": {"productKey": "= in", "firmwareVersion": "= in", "isUpgrading": "="},
    "jobs.search": {
        "productKey": "= in",
        "firmwareId": "= in",
        "firmwareVersion": "= in",
        "type": "=",
        "status": "=",
        "firmwareName": "like",
        "firmwareName.defaultValue": "like",
        "firmwareName.zh_CN": "like",
        "firmwareName.en_US": "like",
        "name": "like",
        "name.defaultValue": "like",
        "name.zh_CN": "like",
        "name.en_US": "like",
    },
    "jobs.tasks": dict.fromkeys(("jobId", "deviceKey", "fromVersion", "toVersion", "status", "desc"), "= in"),
}

sendable = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1).filter(
    lambda text: not {"'", '"'} <= set(text)
)


@pytest.mark.parametrize("grammar", [FIRMWARE, DEVICES, JOBS, TASKS], ids=lambda grammar: grammar.operation)
def test_grammars_say_what_the_pages_say(grammar: Grammar) -> None:
    """Exactly the documented fields, each with exactly its operators."""
    assert {field: " ".join(sorted(ops)) for field, ops in grammar.fields.items()} == ALLOWED[grammar.operation]


def test_comparisons_are_joined_with_and() -> None:
    """Values are quoted, truth values are not, one value is compared with an equals sign."""
    text = render(
        [
            DEVICES.one_of("productKey", ("BXwU4kMk",), filter_name="products"),
            DEVICES.one_of("firmwareVersion", ("1.0", "it's"), filter_name="versions"),
            DEVICES.equals("isUpgrading", True, filter_name="upgrading"),
        ]
    )
    assert text == "productKey = 'BXwU4kMk' and firmwareVersion in ('1.0', \"it's\") and isUpgrading = true"
    assert render([FIRMWARE.equals("isVerified", False, filter_name="verified")]) == "isVerified = false"


def test_nothing_to_compare_is_no_expression() -> None:
    """Without a filter the expression is left out."""
    assert render([]) is None


@pytest.mark.parametrize(
    ("grammar", "field", "locale", "expected"),
    [
        (FIRMWARE, "name", None, "name like 'x'"),
        (FIRMWARE, "name", "default", "name.default like 'x'"),
        (JOBS, "name", "default", "name.defaultValue like 'x'"),
        (JOBS, "firmwareName", "default", "firmwareName.defaultValue like 'x'"),
        (JOBS, "firmwareName", "zh_CN", "firmwareName.zh_CN like 'x'"),
        (FIRMWARE, "name", "en_US", "name.en_US like 'x'"),
    ],
)
def test_each_operation_spells_locales_its_own_way(
    grammar: Grammar, field: str, locale: str | None, expected: str
) -> None:
    """Firmware search says ``default`` where job search says ``defaultValue``."""
    assert grammar.knows_locale(field, locale)
    assert render([grammar.contains(field, "x", locale=locale, filter_name="name_contains")]) == expected


def test_what_is_not_allowed_is_refused() -> None:
    """An unknown field and a wrong operator are errors that name what is allowed."""
    message = (
        "firmware.search: EnOS cannot compare name.ja_JP here: it knows productKey, isVerified, name, name.default, "
        "name.zh_CN, name.en_US"
    )
    with pytest.raises(InvalidQueryError, match=whole(message)):
        FIRMWARE.contains("name", "x", locale="ja_JP", filter_name="name_contains")
    message = "jobs.search: EnOS cannot compare status with in: it allows ="
    with pytest.raises(InvalidQueryError, match=whole(message)):
        JOBS.one_of("status", ("started", "stopped"), filter_name="status")
    message = "devices.search: EnOS cannot compare productKey with like: it allows =, in"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        DEVICES.contains("productKey", "x", locale=None, filter_name="products")
    assert not FIRMWARE.knows_locale("name", "ja_JP")
    assert not DEVICES.knows_locale("name", None)


def test_both_kinds_of_quotes_are_refused() -> None:
    """No literal can hold them; the message names the filter, the value and the remedy."""
    value = """5' 7" """
    message = (
        f"products holds {value!r}, with quotes of both kinds, which no EnOS expression can say: leave it out and "
        "compare on your side"
    )
    for comparison in (
        DEVICES.one_of("productKey", (value,), filter_name="products"),
        DEVICES.one_of("productKey", ("p1", value), filter_name="products"),
        DEVICES.equals("productKey", value, filter_name="products"),
        FIRMWARE.contains("name", value, locale=None, filter_name="products"),
    ):
        with pytest.raises(InvalidQueryError, match=whole(message)):
            render([comparison])


@pytest.mark.parametrize("value", ["a\nb", "\x00", "tab\t", "\x7f", "\x85", "half \ud83d pair"])
def test_control_characters_are_refused(value: str) -> None:
    """What the vendor might read otherwise, or what has no UTF-8, is not sent."""
    message = f"versions holds {value!r}, with a control character in it: remove that character"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        quoted(value, filter_name="versions")


@given(st.lists(sendable, min_size=1, max_size=5, unique=True), sendable, st.booleans())
def test_quoting_round_trips_through_the_emulators_parser(values: list[str], name: str, verified: bool) -> None:
    """Whatever the values hold, an independent parser reads back exactly them and no other condition."""
    text = render(
        [
            FIRMWARE.one_of("productKey", tuple(values), filter_name="products"),
            FIRMWARE.equals("isVerified", verified, filter_name="verified"),
            FIRMWARE.contains("name", name, locale="zh_CN", filter_name="name_contains"),
        ]
    )
    assert filters.parse(text or "", filters.FIRMWARE_FIELDS) == filters.Both(
        (
            filters.Comparison("productKey", "=" if len(values) == 1 else "in", tuple(values)),
            filters.Comparison("isVerified", "=", (verified,)),
            filters.Comparison("name.zh_CN", "like", (name,)),
        )
    )


@given(st.lists(sendable, max_size=3 * MOST_IN_VALUES))
def test_batches_lose_nothing(values: list[str]) -> None:
    """Long lists come apart into parts within the limit that give back the list."""
    parts = batches(values)
    assert [value for part in parts for value in part] == values
    assert all(len(part) == MOST_IN_VALUES for part in parts[:-1])
    assert all(1 <= len(part) <= MOST_IN_VALUES for part in parts)


def test_an_expression_stays_within_a_few_kilobytes() -> None:
    """A hundred values of the usual length, and no more."""
    assert [len(part) for part in batches(["BXwU4kMk"] * 201)] == [100, 100, 1]


@pytest.mark.parametrize("locale", ["default", "zh_CN", "en", "fil", "ja_JP", "zh_Hans", "zh_Hans_CN", "es_419"])
def test_locales_are_taken(locale: str) -> None:
    """The forms that the vendor uses pass."""
    expression.check_locale(locale)


@pytest.mark.parametrize(
    "locale",
    [
        *(
            "",
            "zh-CN",
            "zh_cn",
            "ZH_CN",
            "defaultValue",
            "zh_CN ",
            "zh_CN\n",
            "'",
            "z",
            "zhoo",
            "zh_hans_CN",
            "Default",
        ),
        *("zh_C", "zh_CNN", "es_41", "es_4190", "zh_CN_Hans", "zh_Hans_", "xxzh_CN"),
    ],
)
def test_what_is_no_locale_is_refused(locale: str) -> None:
    """A near miss would silently look in the default name instead."""
    message = f"locale is {locale!r}: give one with an underscore such as zh_CN, or 'default', or leave it out"
    with pytest.raises(InvalidQueryError, match=whole(message)):
        expression.check_locale(locale)
