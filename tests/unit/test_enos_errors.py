"""Failures of EnOS through the whole stack: the real session and transport, the network replaced."""

import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aioresponses import aioresponses

from otaclient.errors import (
    ApiError,
    AuthenticationError,
    ConflictError,
    DeadlineExceededError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    RequestNotSentError,
    ServerError,
)
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend, EnosConfig

CONFIG = EnosConfig(endpoint="https://apim.example.com", org_id="o1", app_key="errors-test", app_secret="the-secret")
TOKENS = re.compile(r"https://apim\.example\.com/apim-token-service/v2\.0/token/get$")
BUSINESS = re.compile(r"https://apim\.example\.com/connect-service/v2\.1/ota-firmwares\?")
GOOD_TOKEN = {"status": 0, "data": {"accessToken": "t-1", "expire": 7200}}
FIRMWARE = {"code": 0, "data": {"firmwareId": "f1", "version": "1.0"}}


@pytest.fixture
def network() -> Any:
    """Return the replaced network; a token is to be had."""
    with aioresponses() as mocked:
        mocked.post(TOKENS, payload=GOOD_TOKEN, repeat=True)
        yield mocked


@pytest.fixture
def clock() -> HandClock:
    """Return the clock of the client."""
    return HandClock()


@pytest.fixture
async def enos(clock: HandClock) -> AsyncIterator[EnosBackend]:
    """Return a client on the real transport."""
    transport = AiohttpTransport(TransportOptions(), max_connections=4)
    session = Session(label="enos", transport=transport, clock=clock, roll=lambda: 0.5)
    async with EnosBackend(CONFIG, session) as backend:
        yield backend


def sent(network: Any) -> int:
    """Return how many business requests went out."""
    return sum(len(calls) for (_, url), calls in network.requests.items() if "connect-service" in url.path)


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize(
    ("code", "error"),
    [
        (24404, NotFoundError),
        (24601, ConflictError),
        (24602, ConflictError),
        (24604, ConflictError),
        (24615, ConflictError),
        (24616, ConflictError),
        (24617, ConflictError),
        (24618, ConflictError),
        (24620, ConflictError),
        (24621, ConflictError),
        (99400, InvalidQueryError),
        (99403, PermissionDeniedError),
        (99404, NotFoundError),
    ],
)
async def test_final_codes_are_raised_after_one_request(
    enos: EnosBackend, network: Any, code: int, error: type[OtaError], status: int
) -> None:
    """The code decides, whatever the HTTP status, and nothing is repeated."""
    body = {"code": code, "msg": "words", "requestId": "r-1", "data": None}
    network.get(BUSINESS, payload=body, status=status)
    with pytest.raises(error) as caught:
        await enos.firmware.get("f1")
    found = caught.value
    assert type(found) is error
    assert (found.status, found.vendor_code, found.vendor_message) == (status, str(code), "words")
    assert (found.request_id, found.backend, found.operation, found.attempts) == ("r-1", "enos", "firmware.get", 1)
    assert sent(network) == 1


@pytest.mark.parametrize("code", [24500, 24603, 99500])
async def test_passing_codes_are_repeated(enos: EnosBackend, network: Any, clock: HandClock, code: int) -> None:
    """A broken service or a creation under way is asked again after a pause."""
    network.get(BUSINESS, payload={"code": code, "msg": "words", "data": None})
    network.get(BUSINESS, payload=FIRMWARE)
    assert (await enos.firmware.get("f1")).version == "1.0"
    assert (sent(network), clock.slept) == (2, [0.125])


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_outages_are_repeated_and_then_raised(enos: EnosBackend, network: Any, status: int) -> None:
    """As often as the policy says; the error counts the attempts."""
    network.get(BUSINESS, status=status, body="<html>", content_type="text/html", repeat=True)
    with pytest.raises(ServerError) as caught:
        await enos.firmware.get("f1")
    assert (caught.value.status, caught.value.attempts, sent(network)) == (status, 5, 5)


@pytest.mark.parametrize(
    ("body", "headers", "waits"),
    [
        ('{"message":"API rate limit exceeded"}', {"Retry-After": "3"}, [3.0]),
        ("", {"Retry-After": "3"}, [3.0]),
        ("<html>slow down</html>", {}, [0.125, 0.375]),
    ],
)
async def test_throttles_are_waited_out(
    enos: EnosBackend, network: Any, clock: HandClock, body: str, headers: dict[str, str], waits: list[float]
) -> None:
    """The advised wait wins; without one there is a pause all the same; with a body, without, in HTML."""
    network.get(BUSINESS, status=429, body=body, headers=headers)
    network.get(BUSINESS, payload=FIRMWARE)
    assert (await enos.firmware.get("f1")).version == "1.0"
    assert (sent(network), sum(clock.slept)) == (2, sum(waits))


async def test_a_throttle_beyond_the_deadline_is_raised_at_once(enos: EnosBackend, network: Any) -> None:
    """Nobody waits for what cannot come in time."""
    network.get(BUSINESS, status=429, headers={"Retry-After": "3600"})
    with pytest.raises(DeadlineExceededError) as caught:
        await enos.firmware.get("f1")
    assert (caught.value.retry_after_seconds, sent(network)) == (3600.0, 1)


async def test_without_retries_a_throttle_is_one_request(enos: EnosBackend, network: Any) -> None:
    """Nothing is hidden from a load test."""
    network.get(BUSINESS, status=429, payload={"message": "API rate limit exceeded"})
    with pytest.raises(RateLimitedError) as caught:
        await enos.with_options(retry=RetryPolicy.none()).firmware.get("f1")
    assert caught.value.vendor_message == "API rate limit exceeded"
    assert sent(network) == 1


@pytest.mark.parametrize(
    ("status", "error"),
    [(400, InvalidQueryError), (403, PermissionDeniedError), (404, ApiError), (413, InvalidQueryError)],
)
async def test_the_gateways_refusals_are_raised(
    enos: EnosBackend, network: Any, status: int, error: type[OtaError]
) -> None:
    """By the HTTP status, where the body has no code."""
    network.get(BUSINESS, status=status, payload={"message": "words"})
    with pytest.raises(error) as caught:
        await enos.firmware.get("f1")
    assert type(caught.value) is error
    assert (caught.value.status, caught.value.vendor_message, sent(network)) == (status, "words", 1)


@pytest.mark.parametrize("body", [{"code": 1203}, {"status": 1203}, {"apim_status": 4011}, {"apim_status": 4012}])
async def test_a_dead_token_is_replaced_and_the_call_repeated(
    enos: EnosBackend, network: Any, clock: HandClock, body: dict[str, int]
) -> None:
    """Whichever member carries it, without a pause."""
    network.get(BUSINESS, payload=body)
    network.get(BUSINESS, payload=FIRMWARE)
    assert (await enos.firmware.get("f1")).version == "1.0"
    assert (sent(network), clock.slept) == (2, [])


async def test_a_gateway_that_does_not_know_the_token_is_asked_once_more(enos: EnosBackend, network: Any) -> None:
    """With a new token; the second refusal is final."""
    network.get(BUSINESS, status=401, payload={"message": "Invalid authentication credentials"}, repeat=True)
    with pytest.raises(AuthenticationError, match="check app_key and app_secret") as caught:
        await enos.firmware.get("f1")
    assert (caught.value.status, sent(network)) == (401, 2)


@pytest.mark.parametrize(
    "body", ["", "<html>login</html>", '{"code":0,"data":{"fir', '{"code":0, //deprecated\n"data":{}}']
)
async def test_what_is_not_json_is_an_error_with_an_excerpt(enos: EnosBackend, network: Any, body: str) -> None:
    """A good status does not make it good, and it is not asked again."""
    network.get(BUSINESS, body=body)
    with pytest.raises(PayloadError) as caught:
        await enos.firmware.get("f1")
    assert (caught.value.status, caught.value.operation, caught.value.attempts) == (200, "firmware.get", 1)
    assert caught.value.excerpt == " ".join(body.split())
    assert ("; the body is empty" if not body else "; the body begins ") in str(caught.value)
    assert ": check endpoint" in str(caught.value)
    assert sent(network) == 1


async def test_a_redirect_is_not_followed(enos: EnosBackend, network: Any) -> None:
    """The error names the host that it points to."""
    network.get(BUSINESS, status=302, headers={"Location": "https://login.example.com/x"})
    with pytest.raises(ApiError, match=r"redirects to login\.example\.com"):
        await enos.firmware.get("f1")
    assert sent(network) == 1


async def test_a_connection_that_cannot_be_made_is_tried_again(enos: EnosBackend, network: Any) -> None:
    """Then raised as an error of this library."""
    refused = aiohttp.ClientConnectionError("refused")
    network.get(BUSINESS, exception=refused, repeat=True)
    with pytest.raises(OtaError) as caught:
        await enos.firmware.get("f1")
    assert caught.value.__cause__ is refused
    assert not isinstance(caught.value, RequestNotSentError)
    assert sent(network) == 5


async def test_the_token_service_may_be_down(clock: HandClock) -> None:
    """Its outage is the outage of the call, after as many attempts as the policy allows for one request."""
    transport = AiohttpTransport(TransportOptions(), max_connections=4)
    session = Session(label="enos", transport=transport, clock=clock, roll=lambda: 0.5)
    with aioresponses() as mocked:
        mocked.post(TOKENS, status=503, repeat=True)
        async with EnosBackend(CONFIG, session) as enos:
            with pytest.raises(ServerError) as caught:
                await enos.firmware.get("f1")
    assert caught.value.operation == "authenticate"
    assert sum(map(len, mocked.requests.values())) == 5
