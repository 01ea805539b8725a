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
from support.messages import whole

KNOWN = "ota0123456789abcdef0123"


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
    assert is_fingerprint(random_fingerprint())


def test_a_fingerprint_stands_for_itself() -> None:
    """So that what an error names can be given as the key."""
    assert fingerprint_of(KNOWN, "enos", "o1") == KNOWN
    assert fingerprint_of(f"{KNOWN} ", "enos", "o1") != KNOWN


def test_how_to_find_out_whether_a_job_was_created() -> None:
    """By its fingerprint, where it has one."""
    assert how_to_check(None) == "look for its name with jobs.search before you create it again"
    assert how_to_check(KNOWN) == (
        f"look for it with jobs.search(JobQuery(name_contains='{KNOWN}')), or create it again with "
        f"idempotency_key='{KNOWN}', which looks for it first"
    )


def test_the_last_fingerprint_of_several_is_the_one() -> None:
    """A name may hold whatever looks like one, and line breaks."""
    name = f"a\nb_{KNOWN}"
    assert marked(name, KNOWN) == f"a\nb_{KNOWN}_{KNOWN}"
    assert unmarked(f"{name}_{KNOWN}") == (name, KNOWN)


@pytest.mark.parametrize(
    "name",
    [
        *("", "rollout", "rollout_ota", KNOWN, f"x{KNOWN}", f"_OTA{KNOWN[3:]}", f"x_{KNOWN.upper()}"),
        *(f"x_{KNOWN[:-1]}", f"x_{KNOWN}4", f"x_{KNOWN[:-1]}g", f"x_{KNOWN}\n", f"x-{KNOWN}"),
    ],
)
def test_other_names_are_left_alone(name: str) -> None:
    """They hold no fingerprint, and may be given."""
    assert unmarked(name) == (name, None)
    check_unmarked(name)


def test_a_name_that_has_a_fingerprint_is_refused() -> None:
    """It would not come back as it is."""
    message = (
        f"name is 'n_{KNOWN}', which ends with a fingerprint, as create adds it: give 'n', and to find a job that "
        f"exists already, idempotency_key='{KNOWN}'"
    )
    with pytest.raises(InvalidQueryError, match=whole(message)):
        check_unmarked(f"n_{KNOWN}")


NO_TEXT = "idempotency_key is {}: give a text that is not empty, or leave it out"
NOT_WANTED = (
    "idempotency_key is given, but fingerprint is False: a key works through the fingerprint in the job's name; leave "
    "one of them out"
)


@pytest.mark.parametrize(
    ("key", "wanted", "message"),
    [
        ("", True, NO_TEXT.format("''")),
        (" \t", True, NO_TEXT.format("' \\t'")),
        (7, True, NO_TEXT.format("7")),
        (b"k", True, NO_TEXT.format("b'k'")),
        ("\ud800", True, "idempotency_key is '\\ud800': remove the halves of surrogate pairs"),
        ("k", False, NOT_WANTED),
        ("", False, NOT_WANTED),
        (None, 1, "fingerprint is 1: give True or False"),
        ("k", None, "fingerprint is None: give True or False"),
    ],
)
def test_choices_that_cannot_be(key: Any, wanted: Any, message: str) -> None:
    """A key that is none, or one without a fingerprint: each is told apart, with the remedy."""
    with pytest.raises(InvalidQueryError, match=whole(message)):
        chosen_fingerprint(key, "enos", wanted=wanted)


def test_the_choice_is_of_the_key_or_random_or_none() -> None:
    """As the caller wants it."""
    assert chosen_fingerprint("k", "enos", "o1", wanted=True) == fingerprint_of("k", "enos", "o1")
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
