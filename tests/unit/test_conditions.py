"""Filters that are applied on our side, and those that cannot be."""

from datetime import UTC, datetime

import attrs
import pytest

from otaclient import DeviceUpgradeQuery, InvalidQueryError, JobQuery
from otaclient.conditions import conditions_of


@attrs.frozen(kw_only=True)
class Record:
    product_id: str = "p1"
    firmware_ids: tuple[str, ...] = ()
    upgrading: bool | None = None


HERE = {"products": "product_id", "firmware_ids": "firmware_ids", "upgrading": "upgrading"}


def test_lists_ask_for_one_of_their_values() -> None:
    """Of an attribute with several values, for one in common."""
    conditions = conditions_of(JobQuery(products=["p1", "p2"], firmware_ids=["f1"]), here=HERE, vendor="Acme")
    assert set(conditions) == {"products", "firmware_ids"}
    assert [conditions["products"](Record(product_id=product)) for product in ("p1", "p2", "p3")] == [True, True, False]
    assert conditions["firmware_ids"](Record(firmware_ids=("f0", "f1")))
    assert not conditions["firmware_ids"](Record(firmware_ids=("f0",)))
    assert not conditions["firmware_ids"](Record())


@pytest.mark.parametrize("wanted", [True, False])
def test_flags_are_compared(wanted: bool) -> None:
    """False asks for False: not for what nobody knows."""
    (condition,) = conditions_of(DeviceUpgradeQuery(upgrading=wanted), here=HERE, vendor="Acme").values()
    assert [condition(Record(upgrading=value)) for value in (wanted, not wanted, None)] == [True, False, False]


def test_a_query_without_a_filter_has_no_condition() -> None:
    """Also where nothing could be filtered."""
    assert conditions_of(DeviceUpgradeQuery(), here={}, vendor="Acme") == {}


def test_what_cannot_be_filtered_is_refused() -> None:
    """The error says what can."""
    query = DeviceUpgradeQuery(registered_after=datetime(2026, 1, 1, tzinfo=UTC))
    with pytest.raises(InvalidQueryError, match=r"registered_after .* Acme cannot filter by it: it takes .*products"):
        conditions_of(query, here=HERE, vendor="Acme")
    with pytest.raises(InvalidQueryError, match="it takes no filter at all"):
        conditions_of(query, here={}, vendor="Acme")
