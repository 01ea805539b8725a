"""A client whose clock is off: the vendor's refusal says so, and it can be made up for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import pytest

from otaclient import FirmwareQuery, RetryPolicy
from otaclient.emulator import Fleet, ManualClock
from otaclient.errors import AuthenticationError, ConfigurationError
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, emulator_class
from otaclient.settings import load_config
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from otaclient_enos import EnosConfig
from otaclient_iotda import AkSkCredentials, IotdaConfig

FLEET: Final = Fleet.generate(devices=60, seed=3)
TOLERATED_SECONDS: Final = 900.0
HOUR: Final = timedelta(hours=1)


class SkewedClock(HandClock):
    """A hand-driven clock whose wall-clock time is off."""

    def __init__(self, skew: timedelta) -> None:
        super().__init__()
        self.skew = skew

    def now(self) -> datetime:
        """Return the wrong time."""
        return super().now() + self.skew


@attrs.define
class Skewed:
    """A vendor, and a client with a clock of its own."""

    name: str
    emulator: Any
    backend: Backend
    clock: SkewedClock

    @property
    def tokens(self) -> int:
        """How many token requests came in."""
        return sum(count for operation, count in self.emulator.served.items() if operation.startswith("token."))

    @property
    def business(self) -> int:
        """How many other requests came in."""
        return int(self.emulator.served.total()) - self.tokens


@asynccontextmanager
async def skewed(
    name: str, skew: timedelta, *, correct: bool = False, auth: str = "aksk", **options: Any
) -> AsyncIterator[Skewed]:
    """Start a vendor that tolerates a quarter of an hour, and a client whose clock is off by so much."""
    clock = SkewedClock(skew)
    tolerance = {"largest_clock_skew_seconds": TOLERATED_SECONDS} if name == "enos" else {}
    async with emulator_class(name)(FLEET.copy(), clock=ManualClock(HandClock().now()), **tolerance) as emulator:
        config = emulator.config() if name == "enos" else emulator.config(auth=auth)
        network = AiohttpTransport(TransportOptions(), max_connections=8)
        session = Session(label=name, transport=network, clock=clock, roll=lambda: 0.5, **options)
        async with backend_plugin(name).open(attrs.evolve(config, correct_clock_skew=correct), session) as backend:
            yield Skewed(name, emulator, backend, clock)


VENDORS: Final = ["enos", "iotda"]


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("skew", [HOUR, -HOUR])
async def test_the_error_says_how_far_the_clock_is_off(name: str, skew: timedelta) -> None:
    """In seconds, which way, and what to do about it."""
    async with skewed(name, skew) as vendor:
        way = "ahead of" if skew > timedelta() else "behind"
        told = f"this machine's clock is 3,[56][0-9]{{2}} s {way} the server's, .* set the clock, .* correct_clock_skew"
        with pytest.raises(AuthenticationError, match=told) as caught:
            await vendor.backend.firmware.search().first(1)
        assert str(caught.value).count("clock is") == 1
        assert (caught.value.attempts, vendor.clock.slept) == (1, [])


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("skew", [HOUR, -HOUR])
async def test_the_time_is_made_up_for_where_that_is_asked_for(name: str, skew: timedelta) -> None:
    """The refused request goes out once more with the server's time, and all that follow need no second one."""
    async with skewed(name, skew, correct=True) as vendor:
        assert await vendor.backend.firmware.search().first(1)
        sent = sum(vendor.emulator.served.values())
        assert sent == (3 if name == "enos" else 2)  # for EnOS the token requests are what was refused
        assert await vendor.backend.firmware.search().first(1)
        assert sum(vendor.emulator.served.values()) == sent + 1


@pytest.mark.parametrize("name", VENDORS)
async def test_without_retries_the_next_call_has_the_right_time(name: str) -> None:
    """One request is one request: the refusal is raised, says that it was learnt from, and does not come again."""
    async with skewed(name, HOUR, correct=True, retry=RetryPolicy.none()) as vendor:
        with pytest.raises(AuthenticationError, match="made up for in what is signed from now on"):
            await vendor.backend.firmware.search().first(1)
        assert sum(vendor.emulator.served.values()) == 1
        assert await vendor.backend.firmware.search().first(1)


@pytest.mark.parametrize("name", VENDORS)
async def test_a_clock_that_goes_wrong_meanwhile_is_made_up_for(name: str) -> None:
    """A business request is refused, by both vendors: it is repeated with the right time, and no token is asked for."""
    async with skewed(name, timedelta(), correct=True) as vendor:
        assert await vendor.backend.firmware.search().first(1)
        tokens = vendor.tokens
        vendor.clock.skew = timedelta(minutes=20)
        vendor.emulator.served.clear()
        assert await vendor.backend.firmware.search().first(1)
        assert (vendor.business, vendor.tokens) == (2, 0)
        assert tokens == (1 if name == "enos" else 0)


@pytest.mark.parametrize("name", VENDORS)
async def test_many_calls_with_the_wrong_time_all_get_through(name: str) -> None:
    """The first refusal corrects the clock; those that were signed before it know that the fault was not theirs."""
    async with skewed(name, timedelta(), correct=True) as vendor:
        (firmware,) = await vendor.backend.firmware.search().first(1)
        vendor.clock.skew = -HOUR
        vendor.emulator.served.clear()
        hold = vendor.emulator.faults.delay("firmware.get", times=8)
        calls = [asyncio.create_task(vendor.backend.firmware.get(firmware.firmware_id)) for _ in range(8)]
        while vendor.emulator.served["firmware.get"] < 8:  # noqa: ASYNC110 - it is the emulator that counts
            await asyncio.sleep(0)
        hold.release()
        assert {found.firmware_id for found in await asyncio.gather(*calls)} == {firmware.firmware_id}
        assert (vendor.business, vendor.tokens) == (16, 0)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize("correct", [False, True])
async def test_a_small_drift_is_no_reason(name: str, correct: bool) -> None:
    """What the vendor tolerates is not corrected, and a refusal for another reason is not blamed on it."""
    async with skewed(name, timedelta(seconds=55), correct=correct) as vendor:
        assert await vendor.backend.firmware.search().first(1)
        body = b'{"code":1002}' if name == "enos" else b'{"error_code":"IOTDA.000002"}'
        vendor.emulator.faults.inject("firmware.search", status=401, body=body)
        vendor.emulator.served.clear()
        with pytest.raises(AuthenticationError) as caught:
            await vendor.backend.firmware.search().first(1)
        assert "s ahead" not in str(caught.value)
        assert vendor.business == 1


@pytest.mark.parametrize("correct", [False, True])
async def test_a_token_needs_no_clock(correct: bool) -> None:
    """IAM tokens hold no time of ours, and their life is counted from when they came: nothing is asked twice."""
    async with skewed("iotda", timedelta(days=2), auth="password", correct=correct) as vendor:
        assert await vendor.backend.firmware.search(FirmwareQuery(kinds=["firmware"])).first(1)
        assert await vendor.backend.firmware.search(FirmwareQuery(kinds=["firmware"])).first(1)
        assert (vendor.tokens, vendor.business) == (1, 2)
        vendor.emulator.faults.inject("firmware.search", status=401, body=b'{"error_code":"IOTDA.000002"}')
        with pytest.raises(AuthenticationError) as caught:
            await vendor.backend.firmware.search().first(1)
        assert "clock is" not in str(caught.value)


@pytest.mark.parametrize("name", VENDORS)
@pytest.mark.parametrize(
    "date",
    ["some day", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2300", "Mon, 01 Jan 0001 00:00:00"],
)
async def test_a_date_that_is_none_says_nothing(name: str, date: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the server's time is not known, or no clock's, the clock is neither blamed nor changed."""
    monkeypatch.setattr("otaclient.emulator.server.formatdate", lambda *_arguments, **_options: date)
    async with skewed(name, HOUR, correct=True) as vendor:
        with pytest.raises(AuthenticationError) as caught:
            await vendor.backend.firmware.search().first(1)
        assert "clock is" not in str(caught.value)


@pytest.mark.parametrize("name", VENDORS)
def test_settings_have_it_too(name: str) -> None:
    """The environment and profiles set it like any other setting."""
    needed = {
        "enos": {"ENDPOINT": "https://x", "ORG_ID": "o", "APP_KEY": "k", "APP_SECRET": "s"},
        "iotda": {"ENDPOINT": "https://x", "PROJECT_ID": "p", "ACCESS_KEY": "A", "SECRET_KEY": "s"},
    }
    environ = {f"OTACLIENT_{name.upper()}_{field}": value for field, value in needed[name].items()}
    config_type = backend_plugin(name).config_type
    assert load_config(name, config_type, environ=environ, folders=[]).correct_clock_skew is False
    environ[f"OTACLIENT_{name.upper()}_CORRECT_CLOCK_SKEW"] = "true"
    assert load_config(name, config_type, environ=environ, folders=[]).correct_clock_skew is True


def test_it_is_yes_or_no() -> None:
    """Anything else is refused where the configuration is made."""
    wrong: Any = "yes"
    with pytest.raises(ConfigurationError, match="correct_clock_skew is 'yes': it must be True or False"):
        EnosConfig(endpoint="https://x", org_id="o", app_key="k", app_secret="s", correct_clock_skew=wrong)
    with pytest.raises(ConfigurationError, match="correct_clock_skew is 'yes': it must be True or False"):
        IotdaConfig(
            endpoint="https://x",
            project_id="p",
            credentials=AkSkCredentials(access_key="A", secret_key="s"),
            correct_clock_skew=wrong,
        )
