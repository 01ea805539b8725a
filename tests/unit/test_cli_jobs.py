"""``otaclient jobs`` over a backend in memory: what creates and steers them, what is shown, asked, sent and printed."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from otaclient.errors import OutcomeUnknownError, PermissionDeniedError
from otaclient.models import JobId
from otaclient.protocols import Capability
from otaclient.queries import DeviceTaskQuery
from support.command_line import Result, Run, terminal
from support.fake_backend import JOB, World

# --- jobs create -----------------------------------------------------------------------------------------------------

CREATE = ("jobs", "create", "--name", "Pumps", "--firmware-id", "f1")


def test_create_shows_asks_and_prints_the_identifier(run: Run, world: World, answers: Callable[[str], None]) -> None:
    """The plan is on standard error before the question; after a yes, the identifier alone is the output."""
    answers("y\n")
    result = run(*CREATE, "--everything", "--idempotency-key", "k1")
    assert (result.code, result.out) == (0, "new-job\n")
    lines = result.err.splitlines()
    assert lines[0] == "Create this upgrade job:"
    assert "  firmware  f1: version 2.4, product p1" in lines
    assert "  reaches   1 device of product p1, as of now" in lines
    assert lines[-1].startswith("Create it? [y/N]")
    ((job, key),) = world.called("jobs.create")
    assert (job.name.default, job.scope.everything, key) == ("Pumps", True, "k1")


def test_a_creation_without_an_answer_says_how_to_check(run: Run, world: World) -> None:
    """With the command that looks for the job, and the key with which to repeat this one."""
    lost = OutcomeUnknownError("the job 'Pumps' may or may not have taken effect", fingerprint="ota0123")
    world.errors["jobs.create"] = lost
    result = run(*CREATE, "--device", "d1", "--yes", "--owner", "o7", "--backend", "fake")
    assert (result.code, result.out) == (1, "")
    assert "otaclient jobs list --backend fake --owner o7 --name-contains ota0123\n" in result.err
    assert "--idempotency-key ota0123\n" in result.err
    assert result.err.splitlines()[-1] == "error: the job 'Pumps' may or may not have taken effect"
    lost.fingerprint = None
    result = run(*CREATE, "--device", "d1", "--yes", "--no-fingerprint")
    assert "Look for its name with: otaclient jobs list --backend fake\n" in result.err


def test_create_without_a_yes_creates_nothing(run: Run, world: World, answers: Callable[[str], None]) -> None:
    """The answer no ends the command with exit code 1."""
    answers("n\n")
    result = run(*CREATE, "--device", "d1")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith("error: not confirmed: nothing was done\n")
    assert world.called("jobs.create") == []


def test_create_without_a_terminal_needs_yes(run: Run, world: World) -> None:
    """Where nobody can be asked, nothing is sent, not even a read."""
    run(*CREATE, "--device", "d1").refused(2, "no terminal", "give --yes")
    assert world.calls == []
    assert run(*CREATE, "--device", "d1", "--yes").out == "new-job\n"
    assert run(*CREATE, "--device", "d1", "--owner", "o2", "-y").out == "new-job\n"
    assert world.called("with_options") == [(None, "o2")]


@pytest.mark.parametrize("chosen", ["json", "jsonl", "csv"])
def test_create_prints_a_record_for_programs(run: Run, chosen: str) -> None:
    """In the other formats the output is a record with the identifier."""
    out = run(*CREATE, "--device", "d1", "--yes", "--format", chosen).out
    found = list(csv.DictReader(io.StringIO(out))) if chosen == "csv" else [json.loads(out)]
    assert found == [{"backend": "fake", "job_id": "new-job"}]


def test_create_takes_files_and_options_override_them(run: Run, world: World) -> None:
    """A file describes the job; an option wins over its field."""
    Path("job.toml").write_text("name = 'A'\nfirmware_ids = ['f1']\nscope.devices = ['d1']\npolicy.mode = 'snapshot'\n")
    assert run("jobs", "create", "--file", "job.toml", "--name", "B", "--device", "d2", "--yes").code == 0
    ((job, _),) = world.called("jobs.create")
    assert (job.name.default, job.scope.devices, job.policy.mode) == ("B", ("d2",), "snapshot")
    Path("job.toml").write_text("nmae = 'A'\n")
    run("jobs", "create", "--file", "job.toml", "--yes").refused(2, "unknown field 'nmae'", "known fields: name")


def test_create_reads_devices_from_standard_input(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list of devices can be piped in."""
    monkeypatch.setattr("sys.stdin", io.StringIO("d7\nd8\n"))
    assert run(*CREATE, "--devices-file", "-", "--yes").code == 0
    assert world.called("jobs.create")[0][0].scope.devices == ("d7", "d8")


def test_create_refuses_what_the_backend_has_not(run: Run, world: World) -> None:
    """A backend without jobs, or without held ones, is asked nothing."""
    world.capabilities -= {Capability.JOBS_HOLD}
    run(*CREATE, "--device", "d1", "--hold", "--yes").refused(2, "fake jobs.hold", "leave --hold out")
    world.capabilities = frozenset()
    run(*CREATE, "--device", "d1", "--yes").refused(2, "fake jobs.create", "no such operation")
    assert set(world.calls) == {("aclose",)}


def test_create_says_how_to_follow_the_job(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal, the next command is told."""
    terminal(monkeypatch)
    result = run(*CREATE, "--device", "d1", "--yes")
    assert result.err.endswith("Follow it with: otaclient jobs watch new-job --backend fake\n")


def test_create_with_an_unclear_answer_fails_with_how_to_check(run: Run, world: World) -> None:
    """Where it is not known whether the job exists, the error says how to find out, and nothing is printed."""
    world.errors["jobs.create"] = OutcomeUnknownError("it may or may not exist; list the jobs")
    result = run(*CREATE, "--device", "d1", "--yes")
    assert (result.code, result.out) == (1, "")
    assert result.err.endswith("error: it may or may not exist; list the jobs\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--idempotency-key", ""), "--idempotency-key is an empty text"),
        (("--idempotency-key", "k1", "--no-fingerprint"), "leave it or --no-fingerprint out"),
        (("--everything",), "--everything and --device are given"),
        (("--name", " "), "--name is an empty text"),
        (("--name", "Pumps_ota1f0c9d2b7a3e4d5c6b7a"), "ends with a fingerprint"),
        (("--firmware-id", ""), "--firmware-id is an empty text"),
        (("--timeout-seconds", "0"), "--timeout-seconds is 0: give a whole number, at least 1"),
        (("--max-concurrency", "-1"), "--max-concurrency is -1: give a whole number, at least 1"),
        (("--retry-count", "-1"), "--retry-count is -1: give a whole number, at least 0"),
        (("--retry-count", "1", "--retry-interval-minutes", "-5"), "--retry-interval-minutes is -5"),
        (
            ("--start-at", "2026-01-31T08:00:00Z", "--end-at", "2026-01-31T09:00:00+02:00"),
            "--end-at 2026-01-31T09:00:00+02:00 is not later than --start-at 2026-01-31T08:00:00+00:00: swap them",
        ),
    ],
)
def test_create_refuses_what_no_vendor_can_do_before_it_asks_anybody(
    run: Run, world: World, answers: Callable[[str], None], words: tuple[str, ...], said: str
) -> None:
    """Not after a look at the firmware, a plan and the question: neither the backend nor the user is bothered."""
    answers("y\n")
    named = [] if words[0] == "--name" else ["--name", "Pumps"]
    firmware = [] if words[0] == "--firmware-id" else ["--firmware-id", "f1"]
    run("jobs", "create", *named, *firmware, "--device", "d1", *words).refused(2, said)
    assert world.calls == []


def test_create_refuses_what_this_vendor_cannot_do_before_it_asks_anybody(run: Run, world: World) -> None:
    """The backend knows, and sends nothing for it: no look at the firmware, no plan."""
    run(*CREATE, "--device", "d1", "--max-concurrency", "1001", "--yes").refused(2, "more than 1000")
    assert world.calls == [("aclose",)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("firmware_ids = []", "firmware_ids is an empty list"),
        ("firmware_ids = ['f1']\npolicy.schedule = {}", "the schedule says nothing"),
    ],
)
def test_create_checks_files_as_it_checks_options(run: Run, world: World, text: str, said: str) -> None:
    """Before any request."""
    Path("job.toml").write_text(f"name = 'A'\nscope.devices = ['d1']\n{text}\n")
    run("jobs", "create", "--file", "job.toml", "--yes").refused(2, said)
    assert world.calls == []


# --- steering --------------------------------------------------------------------------------------------------------


def test_start_asks_nobody(run: Run, world: World) -> None:
    """To start a job destroys nothing."""
    assert run("jobs", "start", "j1") == Result(0, "", "job j1: started\n")
    assert world.called("jobs.start") == [("j1",)]


@pytest.mark.parametrize(
    ("words", "operation", "question", "said"),
    [
        (("stop", "j1"), "jobs.stop", "Stop job j1 'Pumps' (running) on fake?", "told to stop"),
        (("delete", "j1"), "jobs.delete", "Delete job j1 'Pumps' (running) on fake, for good?", "deleted"),
        (
            ("cancel", "j1", "d1", "d2"),
            "jobs.cancel_tasks",
            "Cancel the upgrade of 2 devices of job j1 'Pumps' (running) on fake?",
            "2 devices cancelled",
        ),
    ],
)
def test_what_cannot_be_undone_is_asked(
    run: Run,
    world: World,
    answers: Callable[[str], None],
    words: tuple[str, ...],
    operation: str,
    question: str,
    said: str,
) -> None:
    """Stopping, deleting and cancelling name the job and ask; ``--yes`` saves both question and look-up."""
    run("jobs", *words).refused(2, "give --yes")
    assert world.calls == []
    answers("no\n")
    declined = run("jobs", *words)
    assert declined.code == 1
    assert question in declined.err
    assert world.called(operation) == []
    answers("y\n")
    assert run("jobs", *words).err.endswith(f"job j1: {said}\n")
    world.calls.clear()
    assert run("jobs", *words, "--yes") == Result(0, "", f"job j1: {said}\n")
    assert [call[0] for call in world.calls] == [operation, "aclose"]


def test_questions_about_jobs_without_a_name(run: Run, world: World, answers: Callable[[str], None]) -> None:
    """A job without a name is asked about by its identifier; one that is not there is no question."""
    world.jobs = [attrs.evolve(JOB, name=None)]
    answers("y\n")
    assert "Stop job j1 (running) on fake?" in run("jobs", "stop", "j1").err
    run("jobs", "stop", "j2").refused(1, "there is no 'j2'")


def test_retry_and_cancel_take_devices_from_words_and_files(run: Run, world: World) -> None:
    """Devices come as words, from a file, or both."""
    Path("devices.txt").write_text("d2\nd3\n")
    assert run("jobs", "retry", "j1", "d1").err == "job j1: 1 device to be tried again\n"
    assert run("jobs", "retry", "j1", "d1", "--devices-file", "devices.txt").code == 0
    assert run("jobs", "cancel", "j1", "--devices-file", "devices.txt", "--yes").code == 0
    assert world.called("jobs.retry_tasks") == [("j1", ("d1",)), ("j1", ("d1", "d2", "d3"))]
    assert world.called("jobs.cancel_tasks") == [("j1", ("d2", "d3"))]


@pytest.mark.parametrize("words", [("retry", "j1"), ("cancel", "j1", "--yes")])
def test_empty_device_lists_are_refused(run: Run, world: World, words: tuple[str, ...]) -> None:
    """No device is an error, never all devices."""
    run("jobs", *words).refused(2, "no device is named", "--devices-file")
    assert world.calls == []


@pytest.mark.parametrize("operation", ["stop", "delete", "cancel"])
def test_steering_needs_the_operation(run: Run, world: World, operation: str) -> None:
    """What the backend cannot do is refused before anything is asked of it."""
    world.capabilities = frozenset()
    run("jobs", operation, "j1", *(["d1"] if operation == "cancel" else []), "--yes").refused(2, "no such operation")


# --- jobs tasks ------------------------------------------------------------------------------------------------------


def test_tasks_are_listed_in_every_format(run: Run, world: World) -> None:
    """Filters reach the query; every format has the same tasks."""
    words = ("jobs", "tasks", "j1", "--status", "failed", "--device", "d1", "--device", "d2", "--limit", "5")
    found = json.loads(run(*words, "--format", "json").out)
    assert [one["device_id"] for one in found] == ["d0", "d1", "d2", "d3", "d4"]
    assert found[0]["failure"] == {"message": "no room", "code": "9"}
    rows = list(csv.DictReader(io.StringIO(run(*words, "--format", "csv").out)))
    assert [row["device_id"] for row in rows] == [one["device_id"] for one in found]
    table = run(*words)
    assert "no room" in table.out
    assert table.err == "5 device tasks, all failed (as many as --limit allows)\n"
    (query,) = world.called("tasks query")[0]
    assert query == DeviceTaskQuery(job_id=JobId("j1"), statuses=["failed"], devices=["d1", "d2"])
    versions = ("--from-version", "1", "--to-version", "2")
    assert len(run("jobs", "tasks", "j1", *versions, "--format", "jsonl").out.splitlines()) == 6
    (query,) = world.called("tasks query")[-1]
    assert (query.from_versions, query.to_versions) == (("1",), ("2",))


@pytest.mark.parametrize("chosen", ["json", "csv", "table"])
def test_tasks_of_a_job_that_does_not_exist_are_refused(run: Run, world: World, chosen: str) -> None:
    """Where the vendor's list is empty for such a job, too, the job is looked up: nothing must look like a job."""
    world.tasks = []
    run("jobs", "tasks", "j2", "--format", chosen).refused(1, "there is no 'j2'")
    empty = run("jobs", "tasks", "j1")
    assert (empty.code, empty.err) == (0, "0 device tasks\n")


def test_tasks_are_listed_without_a_look_at_the_job(run: Run, world: World) -> None:
    """What has tasks exists; and where jobs cannot be looked up, an empty list stays one."""
    assert run("jobs", "tasks", "j1").code == 0
    world.tasks, world.capabilities = [], world.capabilities - {Capability.JOBS_GET}
    assert run("jobs", "tasks", "j2").err == "0 device tasks\n"
    assert world.called("jobs.get") == []


def test_tasks_of_a_job_that_may_not_be_looked_up_are_still_listed(run: Run, world: World) -> None:
    """The list itself was good; that nobody knows whether there is such a job is told."""
    world.tasks, world.errors["jobs.get"] = [], PermissionDeniedError("not for you", status=403)
    result = run("jobs", "tasks", "j1", "--format", "json")
    assert (result.code, json.loads(result.out)) == (0, [])
    assert result.err.startswith("whether there is a job j1 is not known: not for you")
