"""Fingerprints in the names of jobs, and what makes one job another than was asked for."""

from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.fingerprint import (
    SUFFIX_LENGTH,
    check_unmarked,
    chosen_fingerprint,
    fingerprint_of,
    how_to_check,
    is_fingerprint,
    marked,
    random_fingerprint,
    unmarked,
)
from otaclient.job_creation import differences
from otaclient.models import (
    FirmwareId,
    FrozenMap,
    Job,
    JobId,
    JobKind,
    JobScope,
    JobStatus,
    LocalizedText,
    NewJob,
)


@given(st.text(), st.text(min_size=1).filter(lambda key: bool(key.strip())))
def test_a_name_comes_back_without_its_fingerprint(name: str, key: str) -> None:
    """Whatever it is; and with it, the fingerprint."""
    fingerprint = fingerprint_of(key, "enos", "o1")
    assert is_fingerprint(fingerprint)
    assert unmarked(marked(name, fingerprint)) == (name, fingerprint)
    assert len(marked(name, fingerprint)) == len(name) + SUFFIX_LENGTH
    assert marked(name, None) == name


def test_a_fingerprint_is_that_of_its_key_and_account() -> None:
    """For ever the same, which a change of this number would break; that of another account is another."""
    assert fingerprint_of("rollout-7", "enos", "o1") == "ota0b7b0f9965b31f4056bf"
    others = {fingerprint_of("rollout-7", *account) for account in (("enos", "o2"), ("iotda", "o1"), ("enoso", "1"))}
    assert len(others | {fingerprint_of("rollout-7", "enos", "o1")}) == 4
    assert random_fingerprint() != random_fingerprint()


def test_a_fingerprint_stands_for_itself() -> None:
    """So that what an error names can be given as the key."""
    fingerprint = random_fingerprint()
    assert fingerprint_of(fingerprint, "enos", "o1") == fingerprint
    assert fingerprint in how_to_check(fingerprint)


@pytest.mark.parametrize("name", ["", "rollout", "rollout_ota", "x_ota0123456789abcdef012", "xota" + "0" * 20, "_OTA1"])
def test_other_names_are_left_alone(name: str) -> None:
    """They hold no fingerprint, and may be given."""
    assert unmarked(name) == (name, None)
    check_unmarked(name)


def test_a_name_that_has_a_fingerprint_is_refused() -> None:
    """It would not come back as it is."""
    with pytest.raises(InvalidQueryError, match=r"give 'n', and to find .* idempotency_key='ota0{20}'"):
        check_unmarked("n_ota" + "0" * 20)


@pytest.mark.parametrize(
    ("key", "wanted"), [("", True), (" ", True), (7, True), ("\ud800", True), ("k", False), (None, 1)]
)
def test_choices_that_cannot_be(key: Any, wanted: Any) -> None:
    """A key that is none, or one without a fingerprint."""
    with pytest.raises(InvalidQueryError, match="idempotency_key|fingerprint"):
        chosen_fingerprint(key, "enos", wanted=wanted)


def test_the_choice_is_of_the_key_or_random_or_none() -> None:
    """As the caller wants it."""
    assert chosen_fingerprint("k", "enos", wanted=True) == fingerprint_of("k", "enos")
    assert chosen_fingerprint(None, "enos", wanted=True) != chosen_fingerprint(None, "enos", wanted=True)
    assert chosen_fingerprint(None, "enos", wanted=False) is None


# --- differences -----------------------------------------------------------------------------------------------------

NEW = NewJob(
    name=LocalizedText(default="n"),
    firmware_ids=(FirmwareId("f1"),),
    scope=JobScope(devices=("d1", "d2"), attributes=FrozenMap({"size": (1, 2)})),
)
SCOPE = JobScope(devices=("d2", "d1"), attributes=FrozenMap({"size": ("2", "1")}))
FOUND = Job(
    backend="b",
    job_id=JobId("j1"),
    status=JobStatus.RUNNING,
    name=NEW.name,
    firmware_ids=NEW.firmware_ids,
    scope=SCOPE,
)


@pytest.mark.parametrize(
    "changes", [{}, {"name": None, "firmware_ids": (), "scope": None}, {"kind": JobKind.UNKNOWN}, {"policy": None}]
)
def test_what_the_vendor_does_not_show_cannot_differ(changes: dict[str, Any]) -> None:
    """Nor does an order, or a number that came back as a text."""
    assert differences(NEW, attrs.evolve(FOUND, **changes)) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"kind": JobKind.VERIFICATION}, "kind is 'verification' there and 'upgrade' here"),
        ({"name": LocalizedText(default="m")}, "name is 'm' there and 'n' here"),
        ({"firmware_ids": (FirmwareId("f2"),)}, "firmware_ids is 'f2' there and 'f1' here"),
        ({"scope": attrs.evolve(SCOPE, everything=True)}, "scope.everything is 'True' there and 'False' here"),
        ({"scope": attrs.evolve(SCOPE, devices=())}, "scope.devices is empty there and 'd1', 'd2' here"),
        (
            {"scope": attrs.evolve(SCOPE, devices=tuple(f"d{number}" for number in range(8)))},
            "scope.devices is 'd0', 'd1', 'd2', 'd3', 'd4' and 3 more there and 'd1', 'd2' here",
        ),
    ],
)
def test_what_differs_is_named(changes: dict[str, Any], words: str) -> None:
    """With both values, long lists cut."""
    assert differences(NEW, attrs.evolve(FOUND, **changes)) == [words]
