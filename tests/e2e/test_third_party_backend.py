"""A backend that is installed from elsewhere: found, conformant, and at home in scans and in the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "third_party_backend"
MOST_LINES = 200
SCRIPT = """
import asyncio, otaclient
from otaclient.emulator import Fleet
from otaclient.testing import emulator_of

async def main():
    fleet = Fleet.generate(devices=321, seed=5)
    async with emulator_of("depot", fleet) as emulator:
        for name, value in emulator.environment().items():
            print(f"{name}={value}", flush=True)
        targets = []
        for vendor in ("enos", "depot"):
            running = emulator if vendor == "depot" else await enter(emulator_of("enos", fleet))
            targets.append((otaclient.open_backend(vendor, config=running.config()), otaclient.DeviceUpgradeQuery()))
        async with otaclient.scan(targets) as scan:
            rows = [row async for row in scan]
        print(scan.certificate.verdict.value, len(rows), sorted({row.backend for row in rows}), flush=True)
        for client, _ in targets:
            await client.aclose()
        await asyncio.to_thread(input)

async def enter(context):
    return await context.__aenter__()

asyncio.run(main())
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Install the distribution into a folder of its own, and return the environment in which it is found."""
    place = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--no-build-isolation", "--target", str(place), str(SOURCE)], check=True, timeout=120)
    return {**os.environ, "PYTHONPATH": str(place)}


def otaclient(*words: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = "import sys; from otaclient.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", command, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_it_is_small() -> None:
    """The whole backend, without its emulator, in less than 200 lines."""
    assert len((SOURCE / "otaclient_depot" / "__init__.py").read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_it_conforms(installed: dict[str, str], tmp_path: Path) -> None:
    """The public conformance suite passes, in a run of pytest that knows nothing of this project."""
    (tmp_path / "test_depot.py").write_bytes((SOURCE / "conformance.py").read_bytes())
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\nfilterwarnings = error\n"
    )
    words = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)]
    ran = subprocess.run(words, cwd=tmp_path, env=installed, capture_output=True, text=True, check=False, timeout=100)
    assert ran.returncode == 0, ran.stdout
    assert "passed" in ran.stdout


def test_it_is_at_home(installed: dict[str, str]) -> None:
    """It is listed, shares a certified scan with another vendor, and answers the command."""
    assert "depot" in otaclient("backends", environment=installed).stdout
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], env=installed, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as service:
        assert service.stdin is not None
        assert service.stdout is not None
        lines = [service.stdout.readline().strip() for _ in range(3)]
        assert lines[2] == "certified 642 ['depot', 'enos']"
        settings = dict(line.split("=", 1) for line in lines[:2])
        scanned = otaclient(
            "devices", "scan", "--backend", "depot", "--format", "csv", environment=installed | settings
        )
        wrong = otaclient(
            "devices",
            "list",
            "--backend",
            "depot",
            environment={**installed, **settings, "OTACLIENT_DEPOT_API_KEY": "no"},
        )
        service.communicate("\n", timeout=30)
    assert len(scanned.stdout.splitlines()) == 322
    assert scanned.stderr.splitlines()[0].startswith("certified: 321 devices")
    assert wrong.returncode != 0
    assert "The API key is not known" in wrong.stderr
