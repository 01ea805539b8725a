"""Journey 9: a FastAPI service with two tenants, health, metrics and a graceful stop."""

import json
import re
import signal
import socket
import subprocess
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final

import pytest

from support.reader import PYTHON, Reader, expected_of, section

PAGE: Final = "docs/guides/microservice.md"
TENANTS: Final = {"north": "enos", "east": "iotda"}
SECONDS: Final = 30.0


@pytest.fixture
def service(clouds: Reader) -> Reader:
    """The page's two files, with the settings of the emulators in the profiles and none in the environment."""
    settings, program, *_ = section(PAGE, "In a FastAPI microservice")
    for block in (settings, program):
        assert block.file_name is not None
        clouds.do(block)
    tables: list[str] = []
    for tenant, vendor in TENANTS.items():
        prefix = f"OTACLIENT_{vendor.upper()}_"
        names = [name for name in clouds.environment if name.startswith(prefix)]
        given = {name.removeprefix(prefix).lower(): clouds.environment.pop(name) for name in names}
        assert f"[{tenant}.{vendor}]" in settings.text
        tables.append(f"[{tenant}.{vendor}]\n" + "".join(f'{name} = "{value}"\n' for name, value in given.items()))
    (clouds.folder / "otaclient.toml").write_text("\n".join(tables), encoding="utf-8")
    return clouds


def test_the_test_of_the_page(service: Reader) -> None:
    """The service runs in FastAPI's own test client, each tenant with the cloud of its profile."""
    service.follow(PAGE, "Test it against the emulators")


class Gate:
    """Stands between the service and a cloud, and holds every request back until it is opened."""

    def __init__(self, cloud: str) -> None:
        host, port = cloud.removeprefix("http://").split(":")
        self._cloud = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.asked = threading.Event()
        self.open = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._cloud) as cloud, suppress(OSError):
            begun = client.recv(65536)
            self.asked.set()
            self.open.wait(SECONDS)
            cloud.sendall(begun)
            threading.Thread(target=_pipe, args=(client, cloud), daemon=True).start()
            _pipe(cloud, client)

    def close(self) -> None:
        """Accept nothing more."""
        self._listener.close()


def _pipe(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


@contextmanager
def serving(service: Reader) -> Iterator[tuple["subprocess.Popen[str]", str]]:
    """Run the page's command on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (command,) = (block.text.strip() for block in section(PAGE, "In a FastAPI microservice") if block.language == "sh")
    process = subprocess.Popen(
        ["bash", "-c", "exec " + re.sub(r"--port \d+", f"--port {port}", command)],  # noqa: S607
        cwd=service.folder, env=service.environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if "Uvicorn running" in line:
                break
        yield process, f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.communicate()


def ask(address: str) -> tuple[int, str]:
    """Return status and body."""
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer:  # noqa: S310 - on this machine
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.skipif(
    subprocess.run([PYTHON, "-c", "import uvicorn"], capture_output=True, check=False).returncode != 0,
    reason="uvicorn, which the page names, is not installed here",
)
def test_a_graceful_stop(service: Reader) -> None:
    """What was begun before SIGTERM is answered, nothing new is accepted, and the process ends well."""
    settings = service.folder / "otaclient.toml"
    text = settings.read_text(encoding="utf-8")
    (cloud,) = re.findall(r'\[north\.enos\]\nendpoint = "([^"]+)"', text)
    gate = Gate(cloud)
    settings.write_text(text.replace(cloud, gate.address), encoding="utf-8")
    with serving(service) as (process, address), ThreadPoolExecutor(1) as pool:
        gate.open.set()
        assert ask(f"{address}/health/live") == (200, '{"status":"ok"}')
        assert ask(f"{address}/health/ready") == (200, '{"north":"ok","east":"ok"}')
        assert ask(f"{address}/west/versions?product=E4nuSUg8")[0] == 404

        gate.open.clear()
        gate.asked.clear()
        under_way = pool.submit(ask, f"{address}/north/versions?product=E4nuSUg8")
        assert gate.asked.wait(SECONDS) or under_way.done()
        process.send_signal(signal.SIGTERM)
        gate.open.set()
        status, body = under_way.result(SECONDS)
        rest, _ = process.communicate(timeout=SECONDS)
    gate.close()
    fleet = expected_of("enos", devices=2000).expected_devices("enos")
    counts = Counter(each.firmware_version or "not reported" for each in fleet if each.product_id == "E4nuSUg8")
    assert (status, json.loads(body)) == (200, {"versions": counts, "certified": True})
    assert "Application shutdown complete" in rest
    assert "Traceback" not in rest
    assert "Unclosed" not in rest
