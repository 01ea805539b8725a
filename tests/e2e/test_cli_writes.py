"""The commands that write, watch and diagnose, against both emulators over real HTTP."""

import asyncio
import hashlib
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import trustme

from otaclient.cli import main
from otaclient.emulator import EmulatorServer, Fleet, JobPlan
from otaclient.registry import emulator_class
from support.command_line import Result, Run, emptied, loop_aside

VENDORS = ("enos", "iotda")
DEVICES = 60
AT_ONCE = JobPlan(speed=1e6, failing_share=0)
FAILING = JobPlan(speed=1e6, failing_share=1)
# Longer than any test: what is pending stays so.
NEVER = JobPlan(pending_seconds=1e6)
CONTENT = b"\x7fELF" * 50_000


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """A loop on a thread of its own: the command brings its own."""
    with loop_aside() as running:
        yield running


Served = Callable[[str, JobPlan], EmulatorServer]


@pytest.fixture
def serve(loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Served]:
    """Start an emulator and point the settings at it, which are otherwise empty."""
    emptied(monkeypatch, tmp_path)
    started: list[EmulatorServer] = []

    def start(vendor: str, plan: JobPlan = AT_ONCE) -> EmulatorServer:
        server: EmulatorServer = emulator_class(vendor)(Fleet.generate(devices=DEVICES, seed=11), plan=plan)
        asyncio.run_coroutine_threadsafe(server.start(), loop).result(10)
        started.append(server)
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        return server

    yield start
    for server in started:
        asyncio.run_coroutine_threadsafe(server.stop(), loop).result(10)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command in this process."""

    def call(*words: str, code: int = 0) -> Result:
        capsys.readouterr()
        ended = main(words)
        printed = capsys.readouterr()
        result = Result(code=ended, out=printed.out, err=printed.err)
        assert ended == code, result
        return result

    return call


def chosen(run: Run, server: EmulatorServer, count: int) -> tuple[str, list[str]]:
    """Return a new firmware's identifier, and some devices of its product, as the vendor's jobs name them."""
    product = server.fleet.products[0].product_id
    found = run("devices", "list", "--product", product, "--format", "jsonl", "--limit", str(count)).records
    field = "device_key" if server.vendor == "enos" else "device_id"
    return upload(run, server.vendor, product).out.strip(), [one[field] for one in found]


def upload(run: Run, vendor: str, product: str, *words: str) -> Result:
    """Create a firmware the way that the vendor takes it."""
    given = ("--version", "99.1", "--product", product, *words)
    if vendor == "enos":
        Path("pump.bin").write_bytes(CONTENT)
        return run("firmware", "upload", "pump.bin", "--name", "Pump", *given)
    location, space = "obs://bucket/pump.bin?region=cn-north-4", "61f7e74d036aca5be29e1ed4"
    return run("firmware", "upload", "--location", location, "--owner", space, *given)


def created(run: Run, firmware: str, devices: list[str], *words: str) -> str:
    """Create a job for these devices and return its identifier."""
    Path("devices.txt").write_text("\n".join(devices))
    return run(
        *("jobs", "create", "--name", "Canary", "--firmware-id", firmware, "--devices-file", "devices.txt"),
        *("--yes", *words),
    ).out.strip()


# --- jobs and firmware -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_whole_roll_out(run: Run, serve: Served, vendor: str) -> None:
    """Upload, create, watch until it succeeded, look at the tasks, and clear up: all by the identifiers printed."""
    server = serve(vendor, AT_ONCE)
    firmware, devices = chosen(run, server, 3)
    shown = json.loads(run("firmware", "show", firmware, "--format", "json").out)
    assert shown["version"] == "99.1"
    job = created(run, firmware, devices)
    watched = run("jobs", "watch", job, "--interval", "0.05", "--format", "jsonl").records
    assert (watched[-1]["status"], watched[-1]["succeeded"], watched[-1]["total"]) == ("succeeded", 3, 3)
    tasks = run("jobs", "tasks", job, "--status", "succeeded", "--format", "jsonl").records
    assert len(tasks) == 3
    if vendor == "enos":
        run("jobs", "stop", job, "--yes")
    assert run("jobs", "delete", job, "--yes").err == f"job {job}: deleted\n"
    assert run("firmware", "delete", firmware, "--yes").err == f"firmware {firmware}: deleted\n"
    run("firmware", "show", firmware, code=1)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_roll_out_that_fails(run: Run, serve: Served, vendor: str) -> None:
    """A job of failures exits 1, with the reasons; they can be tried again, and a healthy device cannot."""
    server = serve(vendor, FAILING)
    firmware, devices = chosen(run, server, 3)
    job = created(run, firmware, devices)
    lines = run("jobs", "watch", job, "--interval", "0.05", code=1).out.splitlines()
    place = lines.index("failed, by reason:")
    assert "failed: 3 of 3 devices done (3 failed)" in lines[place - 1]
    assert sum(int(line.split()[0]) for line in lines[place + 1 :]) == 3
    assert run("jobs", "retry", job, *devices[:2]).err == f"job {job}: 2 devices to be tried again\n"
    assert "error: " in run("jobs", "retry", job, "no-such-device", code=1).err


@pytest.mark.parametrize("vendor", VENDORS)
def test_steering_a_job(run: Run, serve: Served, vendor: str) -> None:
    """A job is started, devices are cancelled, and the rest is stopped; a watch that gives up says where it is."""
    server = serve(vendor, NEVER)
    firmware, devices = chosen(run, server, 3)
    if vendor == "iotda":
        job = created(run, firmware, devices, "--hold")
        assert run("jobs", "start", job).err == f"job {job}: started\n"
    else:
        job = created(run, firmware, devices)
        run("jobs", "stop", job, "--yes")
        assert run("jobs", "start", job).err == f"job {job}: started\n"
    waited = run("jobs", "watch", job, "--interval", "0.05", "--timeout", "0.2", code=1)
    assert f"job {job} has not ended within 0.2 s, and goes on" in waited.err
    assert run("jobs", "cancel", job, devices[0], "--yes").err == f"job {job}: 1 device cancelled\n"
    assert run("jobs", "stop", job, "--yes").err == f"job {job}: told to stop\n"
    assert "error: " in run("jobs", "delete", "0" * 24, "--yes", code=1).err


def test_a_job_for_a_part_of_the_fleet_counts_what_it_reaches(run: Run, serve: Served) -> None:
    """The number of devices shown is the vendor's, and that of the tasks that come of it."""
    server = serve("enos", NEVER)
    firmware, _ = chosen(run, server, 1)
    product = server.fleet.products[0].product_id
    found = run("devices", "list", "--product", product, "--format", "jsonl").records
    version = next(one["firmware_version"] for one in found if one["firmware_version"])
    count = sum(one["firmware_version"] == version for one in found)
    Path("job.toml").write_text(
        f"name = 'Part'\nfirmware_ids = ['{firmware}']\n[scope]\neverything = true\n"
        f"source_versions = ['{version}']\n[policy]\nretry = {{ count = 2, interval_minutes = 1 }}\n"
    )
    result = run("jobs", "create", "--file", "job.toml", "--yes", "--format", "json")
    word = "device" if count == 1 else "devices"
    assert f"reaches   {count} {word} of product {product} with version {version}, as of now" in result.err
    job = json.loads(result.out)["job_id"]
    assert json.loads(run("jobs", "show", job, "--format", "json").out)["policy"]["retry"]["count"] == 2


@pytest.mark.parametrize("vendor", VENDORS)
def test_what_a_vendor_cannot_do_is_refused_with_nothing_created(run: Run, serve: Served, vendor: str) -> None:
    """EnOS holds no job, IoTDA reaches not everything at once: each is a line, and no job comes of it."""
    server = serve(vendor, AT_ONCE)
    firmware, devices = chosen(run, server, 1)
    before = len(server.fleet.jobs)
    words = ("jobs", "create", "--name", "X", "--firmware-id", firmware, "--yes")
    wrong = ("--device", devices[0], "--hold") if vendor == "enos" else ("--everything",)
    assert run(*words, *wrong, code=2).err.splitlines()[-1].startswith("error: ")
    assert "timeout_seconds" in run(*words, "--device", devices[0], "--timeout-seconds", "1", code=2).err
    assert len(server.fleet.jobs) == before


def test_files_go_up_and_come_down(run: Run, serve: Served) -> None:
    """What EnOS hands out is what was uploaded, checked; IoTDA takes and gives no files."""
    server = serve("enos", AT_ONCE)
    firmware = upload(run, "enos", server.fleet.products[0].product_id).out.strip()
    got = json.loads(run("firmware", "download", firmware, "copy.bin", "--format", "json").out)
    assert Path("copy.bin").read_bytes() == CONTENT
    expected = {"size_bytes": len(CONTENT), "sha256": hashlib.sha256(CONTENT).hexdigest(), "verified": True}
    assert {name: got[name] for name in expected} == expected
    assert "exists already" in run("firmware", "download", firmware, "copy.bin", code=2).err
    taken = ("--name", "P", "--version", "99.1", "--product", server.fleet.products[0].product_id)
    assert "24601" in run("firmware", "upload", "pump.bin", *taken, code=1).err
    serve("iotda", AT_ONCE)
    refused = run("firmware", "upload", "pump.bin", "--version", "1", "--backend", "iotda", code=2)
    assert "give --location" in refused.err
    assert "no such operation" in run("firmware", "download", "x", "y", "--backend", "iotda", code=2).err


# --- doctor ----------------------------------------------------------------------------------------------------------


def results(run: Run, *, code: int) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what the doctor finds, by backend and check."""
    found = run("doctor", "--format", "jsonl", code=code).records
    return {(one["backend"], one["check"]): (one["result"], one["detail"]) for one in found}


def test_doctor_finds_both_vendors_well(run: Run, serve: Served) -> None:
    """Against the emulators nothing fails, and nothing but reads is sent."""
    servers = [serve(vendor, AT_ONCE) for vendor in VENDORS]
    found = results(run, code=0)
    assert {result for result, _ in found.values()} == {"passed", "skipped"}
    for vendor in VENDORS:
        assert found[vendor, "credentials"] == ("passed", "accepted")
        assert found[vendor, "clock"][0] == "passed"
        assert found[vendor, "jobs.tasks"] == ("passed", "allowed")
    asked = {name for server in servers for name in server.served}
    assert asked <= {
        *("token.get", "firmware.search", "firmware.get", "firmware.reported_versions"),
        *("jobs.search", "jobs.get", "jobs.tasks", "devices.search", "devices.get"),
    }


@pytest.mark.parametrize(
    ("vendor", "variable"), [("enos", "OTACLIENT_ENOS_APP_SECRET"), ("iotda", "OTACLIENT_IOTDA_SECRET_KEY")]
)
def test_doctor_finds_a_wrong_secret(
    run: Run, serve: Served, monkeypatch: pytest.MonkeyPatch, vendor: str, variable: str
) -> None:
    """The address and the clock pass, the credentials fail with the setting to check, shown without the secret."""
    serve(vendor, AT_ONCE)
    monkeypatch.setenv(variable, "hunter2")
    found = results(run, code=1)
    assert found[vendor, "endpoint"][0] == found[vendor, "clock"][0] == "passed"
    result, detail = found[vendor, "credentials"]
    assert result == "failed"
    assert variable.rpartition("_")[0].rpartition("_")[2].lower() in detail
    assert len(detail) < 330
    assert not any("hunter2" in said for _, said in found.values())
    whole = run("doctor", "--format", "jsonl", "--verbose", code=1).records
    if vendor == "iotda":
        assert any("canonicalRequest:GET|/v5/iot/" in one["detail"] for one in whole)


@pytest.mark.parametrize("vendor", VENDORS)
def test_doctor_finds_a_wrong_address(run: Run, serve: Served, monkeypatch: pytest.MonkeyPatch, vendor: str) -> None:
    """Where nobody listens, the address fails, and nothing else is tried."""
    serve(vendor, AT_ONCE)
    monkeypatch.setenv(f"OTACLIENT_{vendor.upper()}_ENDPOINT", "http://127.0.0.1:1")
    found = results(run, code=1)
    assert found[vendor, "endpoint"][0] == "failed"
    assert found[vendor, "endpoint"][1].endswith("check endpoint, network and proxy")
    assert found[vendor, "jobs.search"] == ("skipped", "the endpoint cannot be reached")


@pytest.fixture
def untrusted(loop: asyncio.AbstractEventLoop) -> Iterator[str]:
    """Return the address of a server whose certificate nobody vouches for."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)

    async def listen() -> asyncio.Server:
        return await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=context)

    async def close(server: asyncio.Server) -> None:
        server.close()

    server = asyncio.run_coroutine_threadsafe(listen(), loop).result(10)
    yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    asyncio.run_coroutine_threadsafe(close(server), loop).result(10)


@pytest.mark.parametrize("vendor", VENDORS)
def test_doctor_finds_a_certificate_that_nobody_vouches_for(
    run: Run, serve: Served, untrusted: str, monkeypatch: pytest.MonkeyPatch, vendor: str
) -> None:
    """A server that is there but cannot prove who it is fails the check of TLS, with the remedy."""
    serve(vendor, AT_ONCE)
    monkeypatch.setenv(f"OTACLIENT_{vendor.upper()}_ENDPOINT", untrusted)
    found = results(run, code=1)
    assert found[vendor, "endpoint"] == ("passed", f"{untrusted} takes connections")
    assert found[vendor, "tls"][0] == "failed"
    assert "is refused: unable to get local issuer certificate" in found[vendor, "tls"][1]
    assert "SSL_CERT_FILE" in found[vendor, "tls"][1]


def test_doctor_finds_a_missing_permission(run: Run, serve: Served) -> None:
    """An operation that is not allowed fails alone, with the remedy."""
    server = serve("iotda", AT_ONCE)
    body = b'{"error_code":"IOTDA.000021","error_msg":"Operation not allowed. The user does not have permission."}'
    server.faults.inject("jobs.search", times=None, status=403, body=body)
    found = results(run, code=1)
    assert found["iotda", "credentials"] == ("passed", "accepted")
    assert [check for (_, check), (result, _) in found.items() if result == "failed"] == ["jobs.search"]
    assert found["iotda", "jobs.search"][1].endswith("; ask the account's administrator to allow it")
    assert found["iotda", "jobs.get"] == ("skipped", "nothing was found to ask for")


def test_doctor_finds_clocks_apart(run: Run, serve: Served) -> None:
    """A server of another time is told, with the remedy, even where it refuses everything for it."""
    server = serve("iotda", AT_ONCE)
    body = b'{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information: expired"}'
    headers = {"Date": "Sat, 31 Jan 2026 08:00:00 GMT"}
    server.faults.inject(times=None, status=401, headers=headers, body=body)
    found = results(run, code=1)
    result, detail = found["iotda", "clock"]
    assert result == "failed"
    assert "ahead of the server's; set it, best by NTP" in detail
    assert found["iotda", "credentials"][0] == "failed"
