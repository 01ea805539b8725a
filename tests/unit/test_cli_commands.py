"""The commands that write, over a backend in memory: what they show, ask, send and print, and how they end."""

import asyncio
import csv
import hashlib
import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient.cli import main
from otaclient.errors import OutcomeUnknownError
from otaclient.models import (
    Checksum,
    DeviceId,
    DeviceTask,
    DeviceUpgrade,
    Firmware,
    FirmwareId,
    FirmwareKind,
    Job,
    JobId,
    JobProgress,
    JobStatus,
    LocalizedText,
    NewFirmware,
    TaskFailure,
    TaskStatus,
    Verification,
)
from otaclient.protocols import Capability
from otaclient.queries import DeviceTaskQuery
from support.fake_backend import World, install

FIRMWARE = Firmware(backend="fake", firmware_id=FirmwareId("f1"), version="2.4", product_id="p1")
JOB = Job(backend="fake", job_id=JobId("j1"), status=JobStatus.RUNNING, name=LocalizedText(default="Pumps"))
TASKS = [
    DeviceTask(
        backend="fake",
        job_id=JobId("j1"),
        device_id=DeviceId(f"d{number}"),
        status=TaskStatus.FAILED,
        failure=TaskFailure(message="no room", code="9"),
    )
    for number in range(6)
]


@attrs.frozen
class Result:
    """What one run of the command came to."""

    code: int
    out: str
    err: str

    def refused(self, code: int, *words: str) -> None:
        """Check that the command complained in exactly one line, with these words and this exit code."""
        assert (self.code, self.out) == (code, ""), self
        assert self.err.startswith("error: ")
        assert self.err.count("\n") == 1, self.err
        for word in words:
            assert word in self.err


Run = Callable[..., Result]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> World:
    """Return what the only installed backend holds, in an empty folder."""
    held = World(
        firmware=[FIRMWARE],
        jobs=[JOB],
        tasks=TASKS,
        devices=[DeviceUpgrade(backend="fake", device_id=DeviceId("d0"))],
    )
    install(monkeypatch, held)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("OTACLIENT_TRACEBACK", raising=False)
    monkeypatch.chdir(tmp_path)
    return held


@pytest.fixture
def run(world: World, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process."""

    def call(*words: str) -> Result:
        capsys.readouterr()
        code = main(words)
        printed = capsys.readouterr()
        return Result(code, printed.out, printed.err)

    return call


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let somebody at a terminal give this answer."""

    def give(answer: str) -> None:
        stream = io.StringIO(answer)
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("sys.stdin", stream)

    return give


def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let standard output and standard error pass for a terminal."""
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)


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


# --- jobs watch ------------------------------------------------------------------------------------------------------


def progress(status: JobStatus, **counts: Any) -> JobProgress:
    """Return how far a job is."""
    return JobProgress(status=status, **counts)


STEPS = [
    progress(JobStatus.PENDING),
    progress(JobStatus.RUNNING, total=1200, pending=1000, upgrading=200, succeeded=0),
    progress(JobStatus.PARTIALLY_SUCCEEDED, total=1200, succeeded=1100, failed=90, cancelled=10),
]


def test_watch_prints_a_line_a_change_and_the_failures(run: Run, world: World) -> None:
    """Into a pipe go lines; at the end the failures by reason. A job that failed in part exits 1."""
    world.progress, world.failures = STEPS, {"no room": 1080, "lost\nline": 9}
    result = run("jobs", "watch", "j1", "--interval", "3")
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert [line.partition("  ")[2] for line in lines[:3]] == [
        "pending: 0 done",
        "running: 0 of 1,200 devices done (200 upgrading, 1,000 pending)",
        "partially succeeded: 1,200 of 1,200 devices done (1,100 succeeded, 90 failed, 10 cancelled)",
    ]
    assert lines[3:] == ["failed, by reason:", "  1,080  no room", "      9  lost\\nline"]
    assert world.called("jobs.progress") == [("j1", 3.0)]


@pytest.mark.parametrize(("status", "code"), [(JobStatus.SUCCEEDED, 0), (JobStatus.FAILED, 1), (JobStatus.STOPPED, 1)])
def test_watch_exit_code_tells_the_jobs_end(run: Run, world: World, status: JobStatus, code: int) -> None:
    """Only a job that succeeded exits 0; without failures nobody asks for reasons."""
    world.progress = [progress(status, total=1, succeeded=1)]
    assert run("jobs", "watch", "j1").code == code
    assert world.called("jobs.wait") == []


def test_watch_prints_records_for_programs(run: Run, world: World) -> None:
    """In the other formats each change is a record; the last one has the failures, where there are reasons."""
    world.progress, world.failures = STEPS, {"no room": 90}
    found = [json.loads(line) for line in run("jobs", "watch", "j1", "--format", "jsonl").out.splitlines()]
    assert [one["status"] for one in found] == ["pending", "running", "partially_succeeded", "partially_succeeded"]
    assert [one["failures"] for one in found] == [{}, {}, {}, {"no room": 90}]
    world.failures = {}
    assert len(json.loads(run("jobs", "watch", "j1", "--format", "json").out)) == 3


def test_watch_draws_on_a_terminal(run: Run, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal a bar stands for the changes; the end is left as a line."""
    terminal(monkeypatch)
    world.progress, world.failures = STEPS, {"no room": 90}
    result = run("jobs", "watch", "j1")
    assert result.code == 1
    assert result.out.splitlines() == [
        "partially succeeded: 1,200 of 1,200 devices done (1,100 succeeded, 90 failed, 10 cancelled)",
        "failed, by reason:",
        "  90  no room",
    ]


def test_watch_gives_up_in_time(run: Run, world: World) -> None:
    """After ``--timeout`` the command fails and says where the job is; before the first answer it cannot."""

    async def stand_still(_seen: JobProgress) -> None:
        await asyncio.Event().wait()

    world.progress, world.on_watch = STEPS[1:2], stand_still
    result = run("jobs", "watch", "j1", "--timeout", "0.01", "--format", "jsonl")
    assert result.code == 1
    assert result.err == (
        "error: fake jobs.watch: job j1 has not ended within 0.01 s, and goes on; it is running: 0 of 1,200 devices "
        "done (200 upgrading, 1,000 pending)\n"
    )


def test_watch_that_is_interrupted_leaves_the_job(run: Run, world: World) -> None:
    """Ctrl-C exits 130, and says that the job goes on."""

    async def interrupt(_seen: JobProgress) -> None:
        signal.raise_signal(signal.SIGINT)
        await asyncio.Event().wait()

    world.progress, world.on_watch = STEPS[1:2], interrupt
    result = run("jobs", "watch", "j1")
    assert (result.code, result.err) == (130, "job j1 goes on\ninterrupted\n")


def test_watch_of_nothing_fails(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend that shows nothing at all has not shown success."""
    assert run("jobs", "watch", "j1").code == 1
    terminal(monkeypatch)
    assert run("jobs", "watch", "j1") == Result(1, "", "")


@pytest.mark.parametrize("words", [("--interval", "0"), ("--timeout", "-1")])
def test_watch_refuses_times_that_cannot_be(run: Run, words: tuple[str, str]) -> None:
    """An interval or a time-out that is not above 0 is wrong usage."""
    run("jobs", "watch", "j1", *words).refused(2, words[0])


# --- firmware --------------------------------------------------------------------------------------------------------

CONTENT = b"firmware" * 200_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def test_upload_shows_what_is_sent_and_prints_the_identifier(run: Run, world: World) -> None:
    """Product, version, size and digest are shown; the identifier is the output; every option has its field."""
    Path("pump.bin").write_bytes(CONTENT)
    result = run(
        *("firmware", "upload", "pump.bin", "--version", "2.4", "--product", "p1", "--name", "Pump"),
        *("--kind", "software", "--description", "better", "--checksum", f"MD5:{MD5.upper()}"),
        *("--source-version", "2.3", "--source-version", "2.2", "--tag", "site=north", "--custom-info", "{}"),
        *("--must-be-verified", "--verification-max-devices", "5", "--verification-min-successes", "3"),
        *("--timeout", "90", "--owner", "o2"),
    )
    assert (result.code, result.out) == (0, "new-firmware\n")
    assert result.err.splitlines() == [
        "product   p1",
        "version   2.4",
        "file      pump.bin",
        "size      1,600,000 bytes",
        f"sha256    {SHA256}",
    ]
    expected = NewFirmware(
        version="2.4",
        kind=FirmwareKind.SOFTWARE,
        product_id="p1",
        name=LocalizedText(default="Pump"),
        description="better",
        checksum=Checksum(algorithm="md5", value=MD5),
        source_versions=("2.3", "2.2"),
        tags={"site": "north"},
        verification=Verification(required=True, max_devices=5, min_successes=3),
        custom_info="{}",
    )
    assert world.called("firmware.create") == [(expected, CONTENT)]
    assert world.called("with_options") == [(90.0, "o2")]


def test_upload_of_a_location_sends_no_bytes(run: Run, world: World) -> None:
    """A file that the vendor finds itself is named, with its digest."""
    words = ("firmware", "upload", "--location", "obs://b/k", "--version", "1", "--checksum", f"sha256:{SHA256}")
    result = run(*words, "--format", "json")
    assert json.loads(result.out) == {"backend": "fake", "firmware_id": "new-firmware"}
    assert result.err.splitlines() == ["version   1", "location  obs://b/k", f"sha256    {SHA256}"]
    checksum = Checksum(algorithm="sha256", value=SHA256)
    assert world.called("firmware.create") == [
        (NewFirmware(version="1", location="obs://b/k", checksum=checksum), None)
    ]
    plain = run("firmware", "upload", "--location", "obs://b/k", "--version", "1")
    assert plain.err.splitlines() == ["version   1", "location  obs://b/k"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either a file to upload, or with --location"),
        (("pump.bin", "--location", "obs://b/k"), "give either a file to upload, or with --location"),
        (("none.bin",), "none.bin: there is no such file"),
        ((".",), "it is no regular file"),
        (("pump.bin", "--checksum", f"sha256:{MD5}"), "is no digest: write sha256: and 64 hexadecimal digits"),
        (("pump.bin", "--checksum", "crc32:00000000"), "is no digest"),
        (("pump.bin", "--checksum", f"sha256:{'x' * 64}"), "is no digest"),
        (("pump.bin", "--checksum", f"sha256:{'0' * 64}"), f"pump.bin has the sha256 {SHA256}, not the one"),
        (("pump.bin", "--tag", "a=1", "--tag", "a=2"), "--tag a is given twice"),
        (("pump.bin", "--tag", "a"), "--tag 'a' is no pair"),
        (("pump.bin", "--kind", "toy"), "toy"),
    ],
)
def test_upload_refuses_what_cannot_be(run: Run, world: World, words: tuple[str, ...], said: str) -> None:
    """Wrong words and wrong files are one line, and nothing is sent."""
    Path("pump.bin").write_bytes(CONTENT)
    run("firmware", "upload", *words, "--version", "1").refused(2, said)
    assert world.called("firmware.create") == []


def test_upload_of_a_file_that_cannot_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the system does not give is named with the system's reason."""
    Path("pump.bin").write_bytes(b"x")

    async def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("otaclient.cli.upload.anyio.open_file", refuse)
    run("firmware", "upload", "pump.bin", "--version", "1").refused(2, "pump.bin cannot be read: Permission denied")


def test_upload_needs_a_vendor_that_takes_files(run: Run, world: World) -> None:
    """Where the vendor takes no bytes, the way that works is told."""
    Path("pump.bin").write_bytes(b"x")
    world.capabilities -= {Capability.FIRMWARE_UPLOAD}
    run("firmware", "upload", "pump.bin", "--version", "1").refused(2, "fake firmware.upload", "give --location")
    assert run("firmware", "upload", "--location", "obs://b/k", "--version", "1").code == 0
    world.capabilities = frozenset()
    run("firmware", "upload", "pump.bin", "--version", "1").refused(2, "fake firmware.create")


def test_download_prints_what_came(run: Run) -> None:
    """Path, size, digest and whether it was verified; an existing file stays without ``--force``."""
    result = run("firmware", "download", "f1", "pump.bin", "--format", "json")
    assert json.loads(result.out) == {"path": "pump.bin", "size_bytes": 3, "sha256": "ba78", "verified": False}
    Path("pump.bin").write_text("old")
    run("firmware", "download", "f1", "pump.bin").refused(2, "pump.bin exists already", "--force")
    assert Path("pump.bin").read_text() == "old"
    assert "verified    no" in run("firmware", "download", "f1", "pump.bin", "--force").out
    assert Path("pump.bin").read_text() == "abc"


def test_download_refuses_places_and_backends_that_cannot(run: Run, world: World) -> None:
    """A folder, a missing folder, a backend without files: nothing is asked."""
    run("firmware", "download", "f1", ".").refused(2, "is a folder")
    run("firmware", "download", "f1", "none/pump.bin").refused(2, "there is no folder")
    world.capabilities = frozenset()
    run("firmware", "download", "f1", "pump.bin").refused(2, "fake firmware.download", "no such operation")
    assert world.called("firmware.get") == []


def test_delete_of_firmware_is_asked(run: Run, world: World, answers: Callable[[str], None]) -> None:
    """The question names version and product; ``--yes`` saves it."""
    run("firmware", "delete", "f1").refused(2, "give --yes")
    answers("n\n")
    assert "Delete firmware f1, version 2.4 of product p1, on fake, for good?" in run("firmware", "delete", "f1").err
    world.firmware = [attrs.evolve(FIRMWARE, product_id=None)]
    answers("y\n")
    result = run("firmware", "delete", "f1")
    assert "Delete firmware f1, version 2.4, on fake, for good?" in result.err
    assert result.err.endswith("firmware f1: deleted\n")
    assert run("firmware", "delete", "f1", "--yes") == Result(0, "", "firmware f1: deleted\n")
    assert world.called("firmware.delete") == [("f1",), ("f1",)]


# --- every command ---------------------------------------------------------------------------------------------------

COMMANDS = [
    (),
    ("backends",),
    ("completion",),
    ("demo",),
    ("doctor",),
    ("emulator",),
    ("report",),
    ("devices",),
    *(("devices", name) for name in ("list", "show", "scan")),
    ("firmware",),
    *(("firmware", name) for name in ("list", "show", "upload", "download", "delete")),
    ("jobs",),
    *(
        ("jobs", name)
        for name in ("list", "show", "create", "start", "stop", "delete", "tasks", "cancel", "retry", "watch")
    ),
]


@pytest.mark.parametrize("words", COMMANDS)
def test_every_help_has_an_example_of_its_own_command(run: Run, words: tuple[str, ...]) -> None:
    """Help ends with a call that one can type, on lines that fit a narrow terminal."""
    result = run(*words, "--help")
    assert result.code == 0
    text = result.out.partition("Example")[2]
    assert f"  otaclient {' '.join(words)}" in text
    assert all(len(line) <= 80 for line in text.splitlines())


def test_no_command_is_forgotten(run: Run) -> None:
    """The list of commands above is complete."""
    for group in ("", "devices", "firmware", "jobs"):
        listed = run(*([group] if group else []), "--help").out
        for words in COMMANDS:
            if len(words) == (2 if group else 1) and (not group or words[0] == group):
                assert f"│ {words[-1]} " in listed
        count = sum(line.startswith("│ ") and line[2] not in " -" for line in listed.splitlines())
        assert count == sum(
            len(words) == (2 if group else 1) and (not group or words[0] == group) for words in COMMANDS
        )


def test_verbose_shows_long_errors_whole(run: Run, world: World) -> None:
    """A long answer of a vendor is cut, unless one wants all of it."""
    world.errors["jobs.start"] = error = OutcomeUnknownError("unclear: " + "x" * 500, status=500)
    assert str(error) not in run("jobs", "start", "j1").err
    assert run("jobs", "start", "j1").err.endswith("--verbose shows all\n")
    assert str(error) in run("jobs", "start", "j1", "--verbose").err
