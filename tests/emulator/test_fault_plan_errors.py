"""What is said of a fault plan that is wrong: the place, the rule and the remedy."""

import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient.emulator import (
    AnswerFault,
    AtOnceCapacity,
    BurstTable,
    Churn,
    ChurnTable,
    Constant,
    CutFault,
    DelayFault,
    DocumentError,
    DropFault,
    FaultPlan,
    JobPlan,
    JobTable,
    LatencyTable,
    Lognormal,
    Uniform,
)
from otaclient.emulator.documents import declared_in

DROP = '[[faults]]\nkind = "drop"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "version is missing; it must be 1: write version = 1, for example"),
        ("version = 2", "version is 2; it must be 1: write version = 1, for example"),
        (
            "version = 1\nseeed = 1",
            "seeed is not known; the keys are version, seed, latency, capacity, churn, jobs, faults: did you mean seed",
        ),
        ("version = 1\nqqq = 1", ": take one of these, or leave it out"),
        ("version = 1\nseed = true", "seed is true; it must be a whole number from 0 to"),
        ("version", "cannot be read: Expected '=' after a key"),
        ("x = " + "9" * 5000, "it must be TOML"),
        ("x = " + "[" * 100_000, "cannot be read: it is nested too deeply; it must be TOML"),
        ("version = 1\nfaults = 3", 'faults is 3; it must be a list of tables: write faults = [{ kind = "drop", share'),
        ("version = 1\nfaults = [3]", "faults[0] is 3; it must be a table with a kind, one of answer, throttle,"),
        ('version = 1\n[[faults]]\nkind = "dropp"', 'faults[0].kind is "dropp"; it must be one of answer, '),
        ('version = 1\n[[faults]]\nkind = "dropp"', ": did you mean drop?"),
        ("version = 1\n[[faults]]\nkind = 3", "faults[0].kind is 3; it must be one of answer, throttle, fail, drop, "),
        (
            "version = 1\n[[faults]]\nstatus = 3",
            "faults[0].kind is missing; it must be one of answer, throttle, fail, ",
        ),
        (
            f"version = 1\n{DROP}shar = 1",
            'faults[0].shar is not known; the keys of the kind "drop" are kind, operation, ',
        ),
        (
            f"version = 1\n{DROP}share = 0",
            "faults[0].share is 0; it must be a number above 0 and at most 1: write share =",
        ),
        (f"version = 1\n{DROP}share = nan", "faults[0].share is nan; it must be a number above 0 and at most 1"),
        (
            f"version = 1\n{DROP}{DROP}times = 0",
            "faults[1].times is 0; it must be a whole number from 1 to 1,000,000,000",
        ),
        (
            f'version = 1\n{DROP}operation = ""',
            'faults[0].operation is ""; it must be an operation such as devices.search',
        ),
        (
            f"version = 1\n{DROP}from_seconds = 9\nto_seconds = 9",
            "faults[0].to_seconds is 9; it must be after from_seconds, which is 9: swap them, or leave to_seconds out",
        ),
        (
            f'version = 1\n{DROP}name = "a"\n{DROP}name = "a"',
            'faults[1].name is "a"; faults[0] has that name already: give each fault a name of its own, or none',
        ),
        (
            'version = 1\n[[faults]]\nkind = "cut"',
            "faults[0].after_bytes is missing; it must be a whole number from 0 to",
        ),
        (
            'version = 1\n[[faults]]\nkind = "delay"\ndelay_seconds = 0',
            "it must be a number above 0 and at most 86,400",
        ),
        (
            'version = 1\n[[faults]]\nkind = "answer"\nstatus = 200\nheaders = { "a b" = "c" }',
            'faults[0].headers has the key "a b"; a key must be the name of a header: write "Content-Type", for',
        ),
        (
            'version = 1\n[[faults]]\nkind = "answer"\nstatus = 200\nheaders = { a = "b\\n" }',
            'faults[0].headers.a is "b\\n"; it must be a text of one line, in printable ASCII',
        ),
        (
            'version = 1\n[[faults]]\nkind = "answer"\nstatus = 200\nheaders = { Content-LENGTH = "3" }',
            "faults[0].headers.Content-LENGTH is given; the server itself sets this header",
        ),
        ("version = 1\nlatency = 3", "latency is 3; it must be a table of keys and values: write a table"),
        ("version = 1\n[latency.operations]\njobs = 3", "latency.operations.jobs is 3; it must be a table with a "),
        ("version = 1\n[latency]\noperations = []", "latency.operations is a list; it must be a table from operations"),
        (
            'version = 1\n[latency.default]\ndistribution = "lognormal"\nmedian_seconds = 2\np99_seconds = 1',
            "latency.default.p99_seconds is 1; it must not be below median_seconds, which is 2: swap them",
        ),
        (
            'version = 1\n[latency.default]\ndistribution = "uniform"\nfrom_seconds = 2\nto_seconds = 1',
            "latency.default.to_seconds is 1; it must not be below from_seconds, which is 2: swap them",
        ),
        (
            "version = 1\ncapacity = {}",
            "capacity.kind is missing; it must be one of at-once, queueing, per-second: write",
        ),
        ("version = 1\n[churn]\nbursts = [{}]", "churn.bursts[0].at_search is missing"),
        ('version = 1\n[churn]\njump_to = "x"', 'churn.jump_to is "x"; it must be "newest", "oldest" or "any"'),
        ("version = 1\n[jobs]\nspeed = 0", "jobs.speed is 0; it must be a number above 0 and at most 1,000,000"),
        (f'version = 1\n{DROP}name = "{"x" * 99}"', f'faults[0].name is "{"x" * 59}…; it must be 1 to 64 letters'),
    ],
)
def test_a_wrong_plan_is_refused_in_words(tmp_path: Path, text: str, said: str) -> None:
    """The message names the file, the key, the value, the rule and the remedy, on one line."""
    file = tmp_path / "storm.toml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(DocumentError) as refused:
        FaultPlan.read(file)
    message = str(refused.value)
    assert message.startswith(f"{file}")
    assert said in message
    assert len(message.splitlines()) == 1


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """Bytes that are no UTF-8 are told with their place; a mark at the beginning, as some editors write it, is fine."""
    file = tmp_path / "storm.toml"
    file.write_bytes(b"version = 1 # \xff")
    with pytest.raises(DocumentError, match=r"storm.toml cannot be read: .* at byte 14; it must be text in UTF-8"):
        FaultPlan.read(file)
    file.write_bytes(b"\xef\xbb\xbfversion = 1")
    assert FaultPlan.read(file) == FaultPlan()


# What a type checker would not let through.
NOTHING: Any = None
THREE: Any = 3


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: DropFault(share=2), "share is 2; it must be a number above 0"),
        (lambda: DropFault(operation=NOTHING), "operation is null; it must be an operation such as"),
        (lambda: AnswerFault(status=99), "status is 99; it must be a whole number from 200 to 599"),
        (
            lambda: AnswerFault(status=200, headers={"a": THREE}),
            "headers is a table; it must be a table from names of headers to",
        ),
        (lambda: AnswerFault(status=200, headers={"a b": "1"}), 'headers is "a b"; it must be the name of a header'),
        (lambda: FaultPlan(faults=[THREE]), "faults is a list; it must be a list of tables"),
        (lambda: FaultPlan(capacity=THREE), "capacity is 3; it must be a table with a kind"),
    ],
)
def test_python_code_is_refused_by_the_same_rules(make: Any, said: str) -> None:
    """A value that no file may have is an error where it is made."""
    with pytest.raises(DocumentError, match=re.escape(said)):
        make()


def test_a_plan_is_read_whole() -> None:
    """Every table becomes its record."""
    plan = FaultPlan.from_toml(
        """
        version = 1
        seed = 3
        [latency.default]
        distribution = "lognormal"
        median_seconds = 0.02
        p99_seconds = 0.3
        [latency.operations."jobs.*"]
        distribution = "uniform"
        from_seconds = 0
        to_seconds = 1
        [capacity]
        kind = "at-once"
        limit = 3
        retry_after_seconds = 1
        [churn]
        leave = 0.5
        bursts = [{ at_search = 3, leave = 0.25 }]
        [jobs]
        speed = 10
        [[faults]]
        kind = "cut"
        after_bytes = 20
        share = 0.1
        [[faults]]
        kind = "delay"
        delay_seconds = 2
        """
    )
    assert plan == FaultPlan(
        seed=3,
        latency=LatencyTable(
            default=Lognormal(median_seconds=0.02, p99_seconds=0.3),
            operations={"jobs.*": Uniform(from_seconds=0, to_seconds=1)},
        ),
        capacity=AtOnceCapacity(limit=3, retry_after_seconds=1),
        churn=ChurnTable(leave=0.5, bursts=[BurstTable(at_search=3, leave=0.25)]),
        jobs=JobTable(speed=10),
        faults=[CutFault(after_bytes=20, share=0.1), DelayFault(delay_seconds=2)],
    )
    assert [fault.name for fault in plan.named().faults] == ["cut-1", "delay-1"]


def test_names_that_are_taken_are_not_given_again() -> None:
    """A fault without a name gets its kind and the first number that is free."""
    plan = FaultPlan(faults=[DropFault(), DropFault(name="drop-2"), DropFault(), DropFault(name="x")])
    assert [fault.name for fault in plan.named().faults] == ["drop-1", "drop-2", "drop-3", "x"]


def test_patterns_that_fit_nothing_are_refused() -> None:
    """A latency or a fault for an operation that the vendor does not have would never count."""
    known = {"devices.search", "jobs.get"}
    FaultPlan(faults=[DropFault(operation="jobs.*"), DropFault()]).check_operations(known)
    with pytest.raises(
        DocumentError, match=r'faults\[1\].operation is "devices.serch"; .*: did you mean devices.search'
    ):
        FaultPlan(faults=[DropFault(), DropFault(operation="devices.serch")]).check_operations(known)
    with pytest.raises(DocumentError, match=r'"device.\*"; .*: did you mean devices.\*'):
        FaultPlan(faults=[DropFault(operation="device.*")]).check_operations(known)
    table = LatencyTable(operations={"tokn.*": Constant(seconds=1)})
    with pytest.raises(DocumentError, match=r'latency.operations is "tokn.\*"; .*take one of these, or a pattern'):
        FaultPlan(latency=table).check_operations(known)


def test_the_tables_of_the_fleet_know_all_that_there_is() -> None:
    """What a churn or a plan of jobs can say, a file can say too; rows and remarks are for Python alone."""
    churn = {field.name for field in attrs.fields(Churn)} - {"seed"}
    assert {one.name for one in declared_in(ChurnTable)} == churn
    jobs = {field.name for field in attrs.fields(JobPlan)} - {"failures", "outcomes"}
    assert {one.name for one in declared_in(JobTable)} == jobs
    made = ChurnTable(leave=2, join_at="any", bursts=[BurstTable(at_search=1, join=3)]).churn(5)
    assert (made.seed, made.leave, made.join_at, made.bursts[0].join) == (5, 2, "any", 3)
    plan = JobTable(speed=3, spread=0).plan(JobPlan(pending_seconds=9))
    assert (plan.speed, plan.spread, plan.pending_seconds) == (3, 0, 9)
