"""Whoever breaks a rule of the certified scan breaks a test: faults are put in one by one, and each must be noticed.

The checks are examples of each rule, existing tests called as functions, and then scans against the adversary, of which
``OTACLIENT_MUTATION_SCANS`` makes more.
"""

import asyncio
import inspect
import os
import random
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import otaclient.fleet.scan  # noqa: F401 - so that there is something to come back to
from adversary.faulty_code import Mutation, Rule, loaded
from adversary.following import BOTH, PAGES, Listing, walk_of
from adversary.mutations_in_chains import CHAIN_MUTATIONS
from adversary.mutations_in_scans import SCAN_MUTATIONS
from adversary.mutations_in_walks import WALK_MUTATIONS
from adversary.rules_of_ends import (
    answers_to_other_questions_are_errors,
    budgets_end_what_never_closes,
    empty_targets_are_asked_twice,
    ends_are_read_again_and_then_said,
    growth_at_the_head_is_followed_or_said,
    growth_at_the_tail_comes_to_an_end,
    little_memory_forgets_nothing_that_matters,
    no_reading_goes_on_for_ever,
    pages_that_repeat_come_to_an_end,
)
from adversary.rules_of_joins import (
    a_repeated_row_joins_nothing,
    contradictions_are_said_in_every_phase,
    gaps_slow_the_walk_down_and_joins_speed_it_up,
    gaps_weak_joins_and_repeats_are_repaired_or_said,
    joins_are_to_the_last_joined_read,
    markers_join_at_offset_0_only,
    quiet_listings_are_certified_at_the_planned_price,
    rows_that_jump_to_an_end_are_seen_or_said,
    what_cannot_get_on_is_refused,
)
from adversary.rules_of_scans import each_device_is_handed_out_once, ranges_are_whole, verdicts_are_earned
from otaclient.reads import Window
from support.adversary import Drift, Vendor, drive

SCANS = int(os.environ.get("OTACLIENT_MUTATION_SCANS", "200"))


MUTATIONS = (*WALK_MUTATIONS, *CHAIN_MUTATIONS, *SCAN_MUTATIONS)
pytestmark = pytest.mark.timeout(300)


_UNIT = Path(__file__).parents[1] / "unit"


def the_tests_of(name: str) -> Callable[[Any], None]:
    """Return the check that the tests of a module hold, those that take no arguments."""

    def check(_code: Any) -> None:
        for label, test in runpy.run_path(str(_UNIT / name)).items():
            if not label.startswith("test_") or hasattr(test, "hypothesis"):
                continue
            if not inspect.signature(test).parameters:
                outcome = test()
                if inspect.iscoroutine(outcome):
                    asyncio.run(asyncio.wait_for(outcome, 20))

    check.__name__ = name
    return check


def adversary_scans(code: Any) -> None:
    """Rows come, go, jump to the ends and come back, totals lie and pages are cut: no wrong certificate, and an end."""
    certified = 0
    for seed in range(SCANS):
        rng = random.Random(seed)
        paging = BOTH[seed % 2]
        rows, rate = rng.choice([30, 90, 240, 400]), rng.choice([0.0, 0.5, 2.0, 5.0])
        drift = Drift(
            leave=rate,
            join=rng.choice([0.0, rate]),
            join_at=rng.choice(["head", "tail", "any"]),
            rejoin=rng.choice([0.0, rate / 2]),
            jump=rate if paging is PAGES and seed % 6 == 0 else 0,
            jump_to=rng.choice(["head", "tail"]),
            bursts=((rng.uniform(0, 6), rng.choice(["shrink", "grow head", "grow any"]), 0.3),) * (seed % 5 == 0),
        )
        short = 0.1 * (seed % 11 == 0 and paging is PAGES)
        walk, findings = walk_of(code, paging, concurrency=rng.choice([1, 4, 12]), budget=2.0)
        end = drive(
            walk, findings, Vendor(rows, drift, rng), rng,
            lie=(lambda total: total // 2) if seed % 7 == 0 else (lambda total: total),
            cut=_cutting(rng, short),
            most=3000,
        )  # fmt: skip
        certified += end.certified
        assert end.doubled == 0
        assert end.lost == 0 or not end.certified
        if drift == Drift(join_at=drift.join_at, jump_to=drift.jump_to) and seed % 7 and not short:
            # Nothing moves: the order of the answers costs nothing.
            assert (end.certified, end.calls) == (True, code.expected.walk_reads(rows, paging, certify=True))
    assert certified > 0.5 * SCANS


def _cutting(rng: random.Random, share: float) -> Callable[[Window, Listing], Listing]:
    return lambda _window, rows: rows[:-3] if rng.random() < share else rows


# In the order that notices most faults in the least time; what notices nothing that the others miss comes last.
CHECKS: tuple[Callable[[Any], None], ...] = (
    joins_are_to_the_last_joined_read,
    markers_join_at_offset_0_only,
    what_cannot_get_on_is_refused,
    empty_targets_are_asked_twice,
    the_tests_of("test_chain.py"),
    no_reading_goes_on_for_ever,
    a_repeated_row_joins_nothing,
    answers_to_other_questions_are_errors,
    growth_at_the_tail_comes_to_an_end,
    little_memory_forgets_nothing_that_matters,
    gaps_slow_the_walk_down_and_joins_speed_it_up,
    pages_that_repeat_come_to_an_end,
    verdicts_are_earned,
    contradictions_are_said_in_every_phase,
    the_tests_of("test_sightings.py"),
    gaps_weak_joins_and_repeats_are_repaired_or_said,
    ranges_are_whole,
    the_tests_of("test_scan.py"),
    each_device_is_handed_out_once,
    growth_at_the_head_is_followed_or_said,
    ends_are_read_again_and_then_said,
    adversary_scans,
    budgets_end_what_never_closes,
    rows_that_jump_to_an_end_are_seen_or_said,
    quiet_listings_are_certified_at_the_planned_price,
    the_tests_of("test_certified_scan.py"),
)


def noticed(code: Any) -> str | None:
    """Return the name of the first check that fails."""
    for check in CHECKS:
        try:
            check(code)
        except (Exception, pytest.fail.Exception):  # noqa: BLE001 - a fault may show in any way
            return check.__name__
    return None


def test_the_rules_as_they_are_pass_every_check() -> None:
    """The checks notice nothing where nothing is broken."""
    with loaded(None) as code:
        for check in CHECKS:
            check(code)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: f"{mutation.rule.name}: {mutation.what}")
def test_a_broken_rule_is_noticed(mutation: Mutation) -> None:
    """Some check fails."""
    with loaded(mutation) as code:
        assert noticed(code) is not None, f"nothing fails although the code has this fault: {mutation.what}"


def test_every_rule_is_broken_in_some_way() -> None:
    """The list of faults has one for each rule."""
    assert {mutation.rule for mutation in MUTATIONS} == set(Rule)
