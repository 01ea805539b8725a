"""Runs of one write against a vendor with which things go wrong, each from a seed, and a judgement of what came of it.

What counts is what the service did, once it has done whatever it is ever going to do: an answer that nobody waited for,
a search that came too early, a request that is carried out a minute later.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from otaclient import OtaError, OutcomeUnknownError, RetryPolicy
from otaclient.models import LocalizedText, NewJob
from otaclient.protocols import Backend
from support.simulated_network import StuckError
from support.write_faults import LONGEST_DELAY_SECONDS, FaultScript
from support.write_laboratory import CREATED_VERSIONS, Laboratory, ViolationError
from support.writes import NAME, WRITES, may_be_sent_again, on_wire

__all__ = ["Outcome", "Run", "run_once"]

MOST_REQUESTS: Final = 120
"""No call needs more, with all retries of all the pages that it reads."""
MOST_TURNS: Final = 40_000
"""Of the loop, in one run; a run takes some hundreds."""
_SLACK_SECONDS: Final = 0.001
_TIMEOUTS: Final = (30.0, 30.0, 30.0, 120.0, 5.0, 2.5, 0.5)
_POLICIES: Final = (
    RetryPolicy(),
    RetryPolicy(),
    RetryPolicy(),
    RetryPolicy(max_attempts=2),
    RetryPolicy(max_attempts=3),
    RetryPolicy.none(),
)
_LOST_AFTER: Final = frozenset({"cut after", "half an answer", "gateway after"})
_LOST_BEFORE: Final = frozenset({"dropped unread", "dropped before", "gateway before"})


@attrs.frozen(kw_only=True)
class Draw:
    """What a run tries."""

    policy: RetryPolicy
    timeout_seconds: float
    cancel_after_turns: int | None
    cancel_after_seconds: float | None
    key: str | None
    marked: bool
    """Whether a job's name gets a fingerprint."""
    refusals: int
    """How many attempts to connect are refused at the beginning."""
    again_at_once: bool
    """Whether the second call with the key does not wait until the service has done everything."""

    @classmethod
    def of(cls, rng: random.Random, operation: str) -> "Draw":
        """Draw one."""
        how = rng.random()
        keyed = operation == "jobs.create" and rng.random() < 0.5
        return cls(
            policy=rng.choice(_POLICIES),
            timeout_seconds=rng.choice(_TIMEOUTS),
            cancel_after_turns=rng.randrange(1, 90) if how < 0.15 else None,
            cancel_after_seconds=rng.choice((0.01, 0.3, 1.0, 5.0)) * rng.random() if 0.15 <= how < 0.25 else None,
            key="key" if keyed else None,
            marked=keyed or rng.random() < 0.8,
            refusals=rng.choice((0, 0, 0, 0, 0, 0, 0, 1, 2, 6)),
            again_at_once=rng.random() < 0.5,
        )

    @property
    def is_cancelled(self) -> bool:
        """Whether the caller gives up."""
        return self.cancel_after_turns is not None or self.cancel_after_seconds is not None


@attrs.define
class Outcome:
    """What came of a call."""

    result: Any = None
    error: OtaError | None = None
    cancelled: bool = False
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """One word for it."""
        if self.cancelled:
            return "cancelled"
        return "done" if self.error is None else type(self.error).__name__


@attrs.define
class Run:
    """One run, while it lasts."""

    lab: Laboratory
    operation: str
    rng: random.Random
    script: FaultScript
    draw: Draw
    calls: list[Outcome] = attrs.field(factory=list)

    def broken(self, words: str) -> ViolationError:
        """Return the error that says which promise was broken, and all that led to it."""
        said = [f"{call.name} after {call.seconds:.3f} s: {call.error or call.result}" for call in self.calls]
        done = [f"{effect.name} at {effect.at - 1000:.3f}" for effect in self.lab.effects.done]
        return ViolationError(
            f"{words}\n  drawn: {self.draw}\n  struck: {list(map(str, self.script.struck))}\n  calls: {said}\n"
            f"  effects: {done}, now {self.lab.loop.time() - 1000:.3f}"
        )


async def run_once(lab: Laboratory, operation: str, seed: str) -> Run:
    """Carry out one run, and judge it.

    Raises:
        ViolationError: A promise was broken.
    """
    rng = random.Random(seed)
    vendor, loop = lab.vendor, lab.loop
    vendor.backend = lab.admin
    draw = Draw.of(rng, operation)
    new: NewJob | None = None
    if operation == "jobs.create":
        new, _, _ = await vendor.new_job(3, name=LocalizedText(default=NAME))
    prepared = await WRITES[operation](vendor)
    vendor.emulator.engine.settle()
    assert prepared.effects() == 0
    lab.effects.done.clear()
    script = FaultScript(vendor.emulator, loop, vendor=vendor.name, write=on_wire(vendor, operation), rng=rng)
    vendor.emulator.faults.add(script, times=None)
    run = Run(lab, operation, rng, script, draw)
    loop.turns_allowed = loop.turns + MOST_TURNS
    loop.refusals = draw.refusals
    try:
        if new is None:
            await _plain(run, prepared.call)
        else:
            await _creation(run, new)
        if prepared.effects() != len(lab.effects.done):
            raise run.broken(f"{prepared.effects()} effects are to be seen")
    except StuckError as error:
        raise run.broken(str(error)) from error
    finally:
        loop.turns_allowed = None
        script.calm = True
        await script.settled()
        lab.clear()
    return run


async def _plain(run: Run, call: Callable[[], Awaitable[Any]]) -> None:
    lab, draw = run.lab, run.draw
    async with lab.client(run.rng, timeout_seconds=draw.timeout_seconds, retry=draw.policy) as client:
        lab.vendor.backend = client
        outcome = await _called(run, call)
        _check_budget(run, outcome)
        await _settled(run)
        await _check_usable(run, client)
    await _judge(run, outcome)


async def _creation(run: Run, new: NewJob) -> None:
    """Create a job; with a key, or after an unclear outcome, a program that begins anew creates it again."""
    lab, draw = run.lab, run.draw
    key = draw.key

    def create(key: str | None) -> Callable[[], Awaitable[Any]]:
        jobs: Any = lab.vendor.backend.jobs
        return lambda: jobs.create(new, idempotency_key=key, fingerprint=draw.marked)

    async with lab.client(run.rng, timeout_seconds=draw.timeout_seconds, retry=draw.policy) as client:
        lab.vendor.backend = client
        outcome = await _called(run, create(key))
        _check_budget(run, outcome)
        if not (draw.again_at_once and key):
            await _settled(run)
            await _check_usable(run, client)
            await _judge(run, outcome)
    if isinstance(outcome.error, OutcomeUnknownError):
        key = outcome.error.fingerprint
    if key is None:
        return
    if draw.key is not None:
        # A request that is carried out after this call has looked cannot be found by it.
        may_double, existed = run.script.doing_later, len(lab.effects.done)
        async with lab.client(run.rng, timeout_seconds=120.0) as client:
            lab.vendor.backend = client
            again = await _called(run, create(key), cancellable=False)
            await _settled(run)
            await _check_usable(run, client)
        await _judge(run, again, may_double=may_double, may_be_other=may_double or existed > 0)
        await _judge(run, outcome, may_double=may_double, may_be_other=True)
        if outcome.result is not None and again.result not in (None, outcome.result):
            raise run.broken("the same key stands for two jobs")
    run.script.calm, lab.loop.refusals = True, 0
    existed = len(lab.effects.done)
    async with lab.client(run.rng) as client:
        lab.vendor.backend = client
        last = await _called(run, create(key), cancellable=False)
    if last.error is not None or last.result != _oldest_job(lab):
        raise run.broken("a later creation with the same key does not find the oldest job")
    if len(lab.effects.done) != max(1, existed):
        raise run.broken("a later creation with the same key creates another")


async def _called(run: Run, call: Callable[[], Awaitable[Any]], *, cancellable: bool = True) -> Outcome:
    loop, draw, outcome = run.lab.loop, run.draw, Outcome()
    others = asyncio.all_tasks()
    began = loop.time()
    task = asyncio.ensure_future(call())
    if cancellable and draw.cancel_after_turns is not None:
        loop.after_turns(draw.cancel_after_turns, task.cancel)
    if cancellable and draw.cancel_after_seconds is not None:
        loop.call_later(draw.cancel_after_seconds, task.cancel)
    await asyncio.wait([task])
    loop.forget_alarm()
    outcome.seconds = loop.time() - began
    run.calls.append(outcome)
    if task.cancelled():
        outcome.cancelled = True
    elif isinstance(error := task.exception(), OtaError):
        outcome.error = error
    elif error is not None:
        raise run.broken(f"no error of ours: {error!r}") from error
    else:
        outcome.result = task.result()
    await asyncio.sleep(0)
    left = asyncio.all_tasks() - others - run.script.tasks
    if left := {each for each in left if "RequestHandler." not in repr(each.get_coro())}:
        raise run.broken(f"tasks are left: {left}")
    return outcome


async def _settled(run: Run) -> None:
    """Let the service do whatever it is ever going to do, and everybody's pauses end."""
    await run.script.settled()
    await asyncio.sleep(2 * LONGEST_DELAY_SECONDS)
    run.lab.vendor.emulator.engine.settle()


def _check_budget(run: Run, outcome: Outcome) -> None:
    if outcome.seconds > run.draw.timeout_seconds + _SLACK_SECONDS:
        raise run.broken(f"timeout_seconds is {run.draw.timeout_seconds}")
    if run.script.requests > MOST_REQUESTS:
        raise run.broken(f"{run.script.requests} requests")


async def _check_usable(run: Run, client: Backend) -> None:
    """The client still works, and takes no answer for one that it is not."""
    calm, run.script.calm = run.script.calm, True
    refusals, run.lab.loop.refusals = run.lab.loop.refusals, 0
    firmware, _ = await run.lab.vendor.choose(3)
    try:
        found = await client.with_options(retry=RetryPolicy()).firmware.get(firmware.firmware_id)
    except OtaError as error:
        raise run.broken(f"the client cannot be used any more: {error}") from error
    if found.firmware_id != firmware.firmware_id:
        raise run.broken(f"another firmware was got: {found.firmware_id}")
    run.script.calm, run.lab.loop.refusals = calm, refusals


# --- the judgement ----------------------------------------------------------------------------------------------------


async def _judge(run: Run, outcome: Outcome, *, may_double: bool = False, may_be_other: bool = False) -> None:
    """Compare what a call said with what the service did.

    Args:
        run: The run.
        outcome: What the call said.
        may_double: Whether two calls were made, of which neither could know of the other's effect.
        may_be_other: Whether the effect may be that of another call.
    """
    count = len(run.lab.effects.done)
    if count > (2 if may_double else 1):
        raise run.broken(f"{count} effects")
    if outcome.cancelled:
        return
    error = outcome.error
    if error is None:
        if count == 0:
            raise run.broken("said to be done, and nothing was done")
        await _check_names(run, outcome.result)
    elif isinstance(error, OutcomeUnknownError):
        _check_whole(run, error)
        if _is_clear(run):
            raise run.broken("it could have been found out")
    elif count and not may_be_other:
        raise run.broken("said not to be done, and it was done")


async def _check_names(run: Run, result: Any) -> None:
    lab = run.lab
    if run.operation == "jobs.create" and result not in {job.job_id for job in _new_jobs(lab)}:
        raise run.broken(f"{result} is none of the jobs that were created")
    if run.operation == "firmware.create":
        run.script.calm = True
        if (await lab.admin.firmware.get(result)).version not in CREATED_VERSIONS:
            raise run.broken(f"{result} is not the firmware that was created")


def _check_whole(run: Run, error: OutcomeUnknownError) -> None:
    known = (error.operation, error.backend) == (run.operation, f"{run.lab.vendor.name}-7") and error.attempts >= 1
    if not known or ("firmware." not in error.message and "jobs." not in error.message):
        raise run.broken(f"the error does not say how to check: {error!r} {error.__dict__}")
    if (error.fingerprint is not None) != (run.operation == "jobs.create" and run.draw.marked):
        raise run.broken(f"the fingerprint is {error.fingerprint}")


def _is_clear(run: Run) -> bool:
    """Whether all that went wrong is one lost answer, after which there were time and attempts enough."""
    draw, vendor = run.draw, run.lab.vendor
    if run.operation == "jobs.create" and not draw.marked:
        return False
    if draw.policy != RetryPolicy() or draw.timeout_seconds < 30 or len(run.calls) > 1:
        return False
    wire = on_wire(vendor, run.operation)
    lost = _LOST_AFTER | (_LOST_BEFORE if may_be_sent_again(vendor, run.operation) else frozenset())
    return [each.operation for each in run.script.struck] == [wire] and run.script.struck[0].fault in lost


def _new_jobs(lab: Laboratory) -> list[Any]:
    return [job for job in lab.vendor.emulator.fleet.jobs if job.name.startswith(NAME)]


def _oldest_job(lab: Laboratory) -> str | None:
    return next((job.job_id for job in _new_jobs(lab)), None)
