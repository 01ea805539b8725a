"""No write is done twice, and none that was done is reported as undone, whatever goes wrong: seeded runs of each.

A run that fails is named with the seed that repeats it, turn by turn::

    OTACLIENT_WRITE_SEED=1021 pytest tests/adversary/test_writes_never_double.py -k "seeded and enos-firmware.create]"

The full number, on all cores, in about an hour::

    OTACLIENT_WRITE_RUNS=10000 pytest tests/adversary/test_writes_never_double.py -k seeded -n auto
"""

import asyncio
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from otaclient import OutcomeUnknownError
from otaclient.errors import ServerError
from otaclient.job_creation import JobCreation
from otaclient.reconcile import Write
from otaclient.transport import aiohttp_transport, session
from otaclient.transport.limits import Limiter
from otaclient.transport.retry import Failure, Remedy
from otaclient.transport.settling import WriteLag
from support.write_laboratory import ViolationError, laboratory, simulate
from support.write_runs import run_once
from support.writes import WRITES

RUNS: Final = int(os.environ.get("OTACLIENT_WRITE_RUNS", "30"))
SEED: Final = os.environ.get("OTACLIENT_WRITE_SEED")
pytestmark = [
    pytest.mark.timeout(60 + RUNS),
    pytest.mark.blocks_loop("time is simulated, and what would run in threads runs at once"),
]

THIS_FILE: Final = "tests/adversary/test_writes_never_double.py"
VENDORS: Final = ("enos", "iotda")
MOST_SHOWN: Final = 5
FRESH_AFTER_RUNS: Final = 500
"""So that what an emulator remembers of earlier runs does not slow later ones down."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the log of thousands of failures out of the memory."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


async def _series(vendor: str, operation: str, seeds: range) -> tuple[Counter[str], dict[int, str]]:
    """Return what came of the calls of each run, and what was broken in which."""
    outcomes: Counter[str] = Counter()
    broken: dict[int, str] = {}
    async with laboratory(vendor) as lab:
        for seed in seeds:
            try:
                run = await run_once(lab, operation, f"{vendor}/{operation}/{seed}")
            except ViolationError as violation:
                broken[seed] = str(violation)
            else:
                outcomes.update(call.name for call in run.calls)
    return outcomes, broken


@pytest.mark.parametrize("operation", WRITES)
@pytest.mark.parametrize("vendor", VENDORS)
def test_seeded_runs(vendor: str, operation: str) -> None:
    """At most one effect; what is said of it is true; nothing is left behind; every call ends in time."""
    seeds = range(RUNS) if SEED is None else range(int(SEED), int(SEED) + 1)
    outcomes: Counter[str] = Counter()
    broken: dict[int, str] = {}
    for first in range(seeds.start, seeds.stop, FRESH_AFTER_RUNS):
        part = range(first, min(first + FRESH_AFTER_RUNS, seeds.stop))
        found, bad = simulate(_series(vendor, operation, part))
        outcomes.update(found)
        broken.update(bad)
    shown = [
        f'OTACLIENT_WRITE_SEED={seed} pytest {THIS_FILE} -k "seeded and {vendor}-{operation}]"\n  {words}'
        for seed, words in list(broken.items())[:MOST_SHOWN]
    ]
    assert not broken, f"{len(broken)} of {len(seeds)} runs broke a promise:\n" + "\n".join(shown)
    if SEED is None:
        # Runs in which nothing ever succeeds, or nothing is ever unclear, would prove nothing.
        assert outcomes["done"] > sum(outcomes.values()) / 4
        assert outcomes["OutcomeUnknownError"] > 0


# --- whoever breaks a rule breaks a run -------------------------------------------------------------------------------

Patch = pytest.MonkeyPatch


def adopt_nothing(patch: Patch) -> None:
    """What is found after a lost answer is not taken for what was made."""

    async def look_away(*_arguments: Any) -> None:
        return None

    patch.setattr(Write, "_looked", look_away)


def repeat_a_lost_creation(patch: Patch) -> None:
    """A creation whose answer was lost goes out again."""
    original = Write.carry_out

    async def repeating(write: Any) -> Any:
        write.repeats, write.look = True, None
        return await original(write)

    patch.setattr(Write, "carry_out", repeating)


def search_before_the_lag(patch: Patch) -> None:
    """Nobody waits until a search can show it."""

    async def at_once(*_arguments: Any, **_options: Any) -> bool:
        return True

    patch.setattr(WriteLag, "settle_by", at_once)


def take_lost_for_refused(patch: Patch) -> None:
    """An unclear answer is raised as the failure that it looks like."""
    patch.setattr(session, "unclear_error", lambda _request, _failure: None)


def take_a_gateway_for_a_refusal(patch: Patch) -> None:
    """What a gateway answers is taken to mean that nothing was done."""

    class Rejected(Failure):
        def __init__(self, *, error: Any, remedy: Any = Remedy.RAISE, **options: Any) -> None:
            remedy = Remedy.REPEAT_REJECTED if isinstance(error, ServerError) else remedy
            super().__init__(error=error, remedy=remedy, **options)

    patch.setattr("otaclient.transport.statuses.Failure", Rejected)


def look_for_no_key(patch: Patch) -> None:
    """A key that was used before is not looked for."""

    async def nothing(_creation: Any) -> None:
        return None

    patch.setattr(JobCreation, "existing", nothing)


def forget_the_fingerprint(patch: Patch) -> None:
    """The error does not say by what to look for the job."""
    original = Write._noted

    def noted(write: Any, error: OutcomeUnknownError) -> OutcomeUnknownError:
        error = original(write, error)
        error.fingerprint = None
        return error

    patch.setattr(Write, "_noted", noted)


def take_a_second_answer(patch: Patch) -> None:
    """The pool hands out connections on which something waits."""
    patch.delattr(aiohttp_transport._Connector, "_get")


def keep_the_place(patch: Patch) -> None:
    """Whoever gives up does not give back its place in the queue."""
    original = Limiter.release

    def release(limiter: Any) -> None:
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            original(limiter)

    patch.setattr(Limiter, "release", release)


def go_on_in_the_background(patch: Patch) -> None:
    """A call that is given up goes on."""
    original = Write.carry_out

    async def shielded(write: Any) -> Any:
        return await asyncio.shield(original(write))

    patch.setattr(Write, "carry_out", shielded)


def trust_every_refusal(patch: Patch) -> None:
    """The refusal of a repeat is taken to speak of the first request, too."""

    async def raised(write: Any, error: Any, _lost: Any) -> Any:
        raise write._ours(error)

    patch.setattr(Write, "_judged", raised)


def wait_beyond_the_deadline(patch: Patch) -> None:
    """The search waits for its lag whatever the time."""
    original = WriteLag.settle_by

    async def patient(lag: Any, _deadline: float, **options: Any) -> bool:
        return await original(lag, float("inf"), **options)

    patch.setattr(WriteLag, "settle_by", patient)


def never_give_up(patch: Patch) -> None:
    """A repeat follows every lost answer, without an end."""

    async def at_once(*_arguments: Any) -> None:
        return None

    patch.setattr(Write, "_pause", at_once)
    patch.setattr(Write, "_noted", lambda _write, error: error)


MUTATIONS: Final[dict[Callable[[Patch], None], tuple[str, str]]] = {
    adopt_nothing: ("enos", "jobs.create"),
    repeat_a_lost_creation: ("iotda", "jobs.create"),
    search_before_the_lag: ("enos", "jobs.create"),
    take_lost_for_refused: ("iotda", "firmware.create"),
    take_a_gateway_for_a_refusal: ("enos", "jobs.create"),
    look_for_no_key: ("iotda", "jobs.create"),
    forget_the_fingerprint: ("enos", "jobs.create"),
    take_a_second_answer: ("enos", "jobs.stop"),
    keep_the_place: ("iotda", "jobs.stop"),
    go_on_in_the_background: ("enos", "jobs.start"),
    trust_every_refusal: ("enos", "firmware.delete"),
    wait_beyond_the_deadline: ("enos", "firmware.create"),
    never_give_up: ("enos", "firmware.delete"),
}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_is_noticed(mutation: Callable[[Patch], None], monkeypatch: Patch) -> None:
    """The runs are no check that cannot fail."""
    vendor, operation = MUTATIONS[mutation]
    mutation(monkeypatch)
    with pytest.raises(ViolationError):
        simulate(_until_broken(vendor, operation))


MOST_RUNS_TO_NOTICE: Final = 400


async def _until_broken(vendor: str, operation: str) -> None:
    async with laboratory(vendor) as lab:
        for seed in range(MOST_RUNS_TO_NOTICE):
            await run_once(lab, operation, f"{vendor}/{operation}/{seed}")
