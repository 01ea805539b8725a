"""Finding and opening backends."""

from importlib.metadata import EntryPoint
from typing import Any

import attrs
import pytest

import otaclient
from otaclient import registry
from otaclient.errors import ConfigurationError, UnsupportedOperationError
from otaclient.models import Firmware, FirmwareId, JobId, LocalizedText, NewFirmware, NewJob
from otaclient.queries import DeviceTaskQuery
from otaclient.transport.clock import SystemClock
from otaclient.transport.limits import Limits
from otaclient.transport.session import Session
from otaclient.unsupported import UnsupportedDevices, UnsupportedFirmware, UnsupportedJobs


@attrs.frozen(kw_only=True)
class ToyConfig:
    """A configuration."""

    endpoint: str


class ToyPlugin:
    """A plug-in whose backend is just what it was given."""

    name = "toy"
    config_type = ToyConfig

    def open(self, config: ToyConfig, session: Session, /) -> Any:
        """Return the arguments."""
        return config, session


plugin = ToyPlugin()


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Install the toy, and one that cannot be loaded."""
    group = "otaclient.backends"
    found = {
        "toy": EntryPoint("toy", f"{__name__}:plugin", group),
        "broken": EntryPoint("broken", "no_such_module_anywhere:plugin", group),
    }
    monkeypatch.setattr(EntryPoint, "load", lambda self: plugin if self.name == "toy" else __import__(self.module))
    monkeypatch.setattr(registry, "_entry_points", lambda _group: found)


def open_toy(name: str, **options: Any) -> Any:
    """Open the toy backend, which is just a pair."""
    return otaclient.open_backend(name, **options)


def test_backends_open_with_their_options() -> None:
    """The plug-in gets its configuration and a session with the caller's options; nothing is sent."""
    config = ToyConfig(endpoint="https://x")
    given, session = open_toy("toy", config=config, timeout_seconds=7, limits=Limits(concurrency=3))
    assert given is config
    assert (session.label, session.timeout_seconds, session.limits.concurrency) == ("toy", 7, 3)
    _, named = open_toy("toy", config=config, label="plant-7")
    assert named.label == "plant-7"


def test_settings_fill_a_missing_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a configuration, the environment gives it."""
    monkeypatch.setenv("OTACLIENT_TOY_ENDPOINT", "https://from-env")
    config, _ = open_toy("toy")
    assert config == ToyConfig(endpoint="https://from-env")


def test_unknown_backends_list_the_known_ones() -> None:
    """A typing error shows what there is."""
    assert otaclient.available_backends() == ("broken", "toy")
    with pytest.raises(ConfigurationError, match="there is no backend 'tay'; known backends: broken, toy"):
        otaclient.open_backend("tay")


def test_a_backend_that_cannot_be_loaded_says_why() -> None:
    """A plug-in with a missing dependency is named, with the reason."""
    with pytest.raises(ConfigurationError, match="the backend 'broken' .* cannot be loaded: No module named"):
        otaclient.open_backend("broken")


def test_emulators_are_found_as_backends_are() -> None:
    """By their own entry points, in the same words."""
    assert registry.available_emulators() == ("broken", "toy")
    assert registry.emulator_class("toy") is plugin
    with pytest.raises(ConfigurationError, match="there is no emulator 'tay'; known emulators: broken, toy"):
        registry.emulator_class("tay")
    with pytest.raises(ConfigurationError, match="the emulator 'broken' .* cannot be loaded: No module named"):
        registry.emulator_class("broken")


def test_contradicting_arguments_are_refused() -> None:
    """A configuration and a profile, or another backend's configuration, cannot both be meant."""
    with pytest.raises(ConfigurationError, match="leave profile out"):
        open_toy("toy", config=ToyConfig(endpoint="x"), profile="plant-7")
    with pytest.raises(ConfigurationError, match="config is of the type str: the backend 'toy' takes ToyConfig"):
        open_toy("toy", config="https://x")


async def _asynchronous(_event: Any) -> None:
    """Would never run."""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"retry": 3}, "retry is of the type int: give RetryPolicy"),
        ({"retry": None}, "retry is of the type NoneType"),
        ({"limits": 8}, "limits is of the type int: give Limits"),
        ({"transport": {"proxy": "http://p:1"}}, "transport is of the type dict: give TransportOptions"),
        ({"session": 5}, "session is of the type int: give an aiohttp.ClientSession"),
        ({"on_event": "print"}, "on_event is of the type str: give a function"),
        ({"timeout_seconds": "5"}, "timeout_seconds is '5': it must be above 0"),
        ({"timeout_seconds": True}, "timeout_seconds is True: it must be above 0"),
        ({"on_event": _asynchronous}, "on_event is an asynchronous function, which nobody would await"),
        ({"label": 5}, "label is of the type int: give a text"),
    ],
)
def test_options_of_another_kind_are_refused_at_once(options: dict[str, Any], words: str) -> None:
    """Not when they are needed, such as a policy of retries at the first failure."""
    with pytest.raises(ConfigurationError, match=words):
        open_toy("toy", config=ToyConfig(endpoint="x"), **options)


async def test_what_is_unsupported_refuses_before_any_request() -> None:
    """Every method of the bare repositories names its operation and the backend."""
    firmware, jobs = UnsupportedFirmware(label="toy"), UnsupportedJobs(label="toy")
    devices = UnsupportedDevices(label="toy")
    record = Firmware(backend="toy", firmware_id=FirmwareId("f"), version="1")
    job = NewJob(name=LocalizedText(default="n"), firmware_ids=(FirmwareId("f"),))
    calls: dict[str, Any] = {
        "firmware.get": lambda: firmware.get("f"),
        "firmware.search": firmware.search,
        "firmware.create": lambda: firmware.create(NewFirmware(version="1")),
        "firmware.delete": lambda: firmware.delete("f"),
        "firmware.reported_versions": lambda: firmware.reported_versions("p"),
        "firmware.download": lambda: firmware.download(record, "x"),
        "jobs.get": lambda: jobs.get("j"),
        "jobs.search": jobs.search,
        "jobs.create": lambda: jobs.create(job),
        "jobs.start": lambda: jobs.start("j"),
        "jobs.stop": lambda: jobs.stop("j"),
        "jobs.delete": lambda: jobs.delete("j"),
        "jobs.tasks": lambda: jobs.tasks(DeviceTaskQuery(job_id=JobId("j"))),
        "jobs.cancel_tasks": lambda: jobs.cancel_tasks("j", ["d"]),
        "jobs.retry_tasks": lambda: jobs.retry_tasks("j", ["d"]),
        "jobs.progress": lambda: jobs.progress("j"),
        "devices.search": devices.search,
        "devices.get": lambda: devices.get("d"),
    }
    features = {
        "jobs.hold",
        "devices.upgrading",
        "firmware.upload",
    }  # of operations that have a capability of their own
    assert set(calls) | features == {capability.value for capability in otaclient.Capability}
    for operation, call in calls.items():
        with pytest.raises(UnsupportedOperationError, match=f"toy {operation}: this backend has no such operation"):
            await call()
    with pytest.raises(UnsupportedOperationError):
        jobs.check(job)
    with pytest.raises(UnsupportedOperationError):
        jobs.watch("j")
    with pytest.raises(UnsupportedOperationError):
        await jobs.wait("j")


async def test_the_systems_clock() -> None:
    """The real clock grows, knows UTC, and sleeps."""
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0)
    assert clock.monotonic() >= before
    assert clock.now().utcoffset() is not None
