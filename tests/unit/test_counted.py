"""Numbers with what they count."""

import pytest

from otaclient.counted import counted


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 walks"), (1, "1 walk"), (2, "2 walks"), (1_000, "1,000 walks"), (-1, "-1 walks")]
)
def test_one_is_counted_in_the_singular(number: int, text: str) -> None:
    """And all else in the plural, zero too."""
    assert counted(number, "walk") == text


def test_a_plural_may_be_its_own() -> None:
    """Where an s is not enough."""
    assert (counted(1, "retry", "retries"), counted(3, "retry", "retries")) == ("1 retry", "3 retries")
