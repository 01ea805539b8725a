"""Failures of IoTDA through the whole stack: the real session and transport, the network replaced."""

import re
from collections.abc import AsyncIterator, Callable
from typing import Any

import anyio
import pytest
from aioresponses import CallbackResult, aioresponses

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
    ServerError,
)
from otaclient.events import Event, TokenRenewed
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_iotda import (
    AkSkCredentials,
    Credentials,
    IotdaBackend,
    IotdaConfig,
    PasswordCredentials,
    TokenCredentials,
)

ENDPOINT = "https://iotda.example.com"
ANY = re.compile(r"https://iotda\.example\.com/v5/iot/p1/.*")
LOGIN = "https://iam.example.com/v3/auth/tokens?nocatalog=true"
KEYS = AkSkCredentials(access_key="AK", secret_key="very-secret", security_token="sts-secret")
USER = PasswordCredentials(
    iam_endpoint="https://iam.example.com", username="u", password="very-secret", domain="d", project="cn-north-4"
)
PACKAGE = {"package_id": "f1", "version": "1.0"}
DEAD = {"error_code": "APIGW.0307", "error_msg": "The token must be updated.", "request_id": "r-1"}


@pytest.fixture
def network() -> Any:
    """Return the replaced network."""
    with aioresponses() as mocked:
        yield mocked


@pytest.fixture
def clock() -> HandClock:
    """Return the clock of the client."""
    return HandClock()


@pytest.fixture
async def connect(clock: HandClock) -> AsyncIterator[Callable[..., IotdaBackend]]:
    """Return what makes clients on the real transport; they are closed at the end."""
    made: list[IotdaBackend] = []

    def connected(credentials: Credentials = KEYS, **options: Any) -> IotdaBackend:
        transport = AiohttpTransport(TransportOptions(), max_connections=32)
        session = Session(label="iotda", transport=transport, clock=clock, roll=lambda: 0.5, **options)
        made.append(IotdaBackend(IotdaConfig(endpoint=ENDPOINT, project_id="p1", credentials=credentials), session))
        return made[-1]

    yield connected
    for backend in made:
        await backend.aclose()


@pytest.fixture
def iotda(connect: Callable[..., IotdaBackend]) -> IotdaBackend:
    """Return a client with keys."""
    return connect()


def sent(network: Any, host: str = "iotda.example.com") -> int:
    """Return how many requests went to a host."""
    return sum(len(calls) for (_, url), calls in network.requests.items() if url.host == host)


def tokens_by_number(network: Any) -> None:
    """Let each login bring another token: t1, t2, and so on."""
    count = 0

    def grant(_url: Any, **_: Any) -> CallbackResult:
        nonlocal count
        count += 1
        return CallbackResult(status=201, headers={"X-Subject-Token": f"t{count}"}, payload={"token": {}})

    network.post(LOGIN, callback=grant, repeat=True)


# --- what is final ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "IOTDA.000006", InvalidQueryError),
        (400, "IOTDA.000017", InvalidQueryError),
        (400, "IOTDA.000018", InvalidQueryError),
        (401, "IOTDA.000002", AuthenticationError),
        (401, "APIGW.0301", AuthenticationError),
        (401, "APIGW.0307", AuthenticationError),
        (403, "IOTDA.000004", AuthenticationError),
        (403, "IOTDA.000021", PermissionDeniedError),
        (403, "IOTDA.001005", PermissionDeniedError),
        (404, "IOTDA.000029", NotFoundError),
        (404, "APIGW.0101", ApiError),
        (405, "APIGW.0501", ApiError),
        (409, "IOTDA.014115", ConflictError),
        (200, "IOTDA.014111", ApiError),
    ],
)
async def test_final_codes_are_raised_after_one_request(
    iotda: IotdaBackend, network: Any, clock: HandClock, status: int, code: str, kind: type[OtaError]
) -> None:
    """With all that is known about them, and nothing is repeated."""
    network.get(ANY, status=status, payload={"error_code": code, "error_msg": "words", "request_id": "r-1"})
    with pytest.raises(kind) as caught:
        await iotda.firmware.get("f1")
    found = caught.value
    assert type(found) is kind
    assert (found.status, found.vendor_code, found.vendor_message) == (status, code, "words")
    assert (found.request_id, found.backend, found.operation, found.attempts) == ("r-1", "iotda", "firmware.get", 1)
    assert (sent(network), clock.slept) == (1, [])
    assert "very-secret" not in str(found)


@pytest.mark.parametrize("body", ["", "<html>login</html>", "[]", "{}", '{"package_id": "f1", "version"'])
async def test_a_200_that_is_not_documented_is_a_payload_error(iotda: IotdaBackend, network: Any, body: str) -> None:
    """For one thing and for a listing: never an empty list, with status and the request id of the header."""
    network.get(ANY, status=200, body=body, headers={"X-Request-Id": "h-1"}, repeat=True)
    with pytest.raises(PayloadError) as caught:
        await iotda.firmware.get("f1")
    assert (caught.value.status, caught.value.request_id, caught.value.attempts) == (200, "h-1", 1)
    for listing in (iotda.firmware.search(), iotda.jobs.search(), iotda.devices.search()):
        with pytest.raises(PayloadError) as caught:
            await anext(listing.pages())
        assert (caught.value.status, caught.value.request_id, caught.value.backend) == (200, "h-1", "iotda")


async def test_a_redirect_is_not_followed(iotda: IotdaBackend, network: Any) -> None:
    """The message names the host that it leads to."""
    network.get(ANY, status=302, headers={"Location": "https://console.example.com/login?x=1"})
    with pytest.raises(ApiError, match=r"redirects to console\.example\.com, .*set endpoint"):
        await iotda.firmware.get("f1")
    assert sent(network) == 1


async def test_the_request_on_the_wire_is_the_signed_one(iotda: IotdaBackend, network: Any) -> None:
    """Host and query go out as they were signed; the echo of a failed signature shows no token."""
    echo = "verify aksk signature fail, canonicalRequest:GET|/|a=b|host:h|x-security-token:sts-secret||host|00"
    network.get(ANY, status=401, payload={"error_code": "APIGW.0301", "error_msg": echo, "request_id": "r-1"})
    with pytest.raises(AuthenticationError) as caught:
        await anext(iotda.devices.search().pages())
    ((_, url),) = network.requests
    (call,) = network.requests[("GET", url)]
    assert str(url) == "https://iotda.example.com/v5/iot/p1/devices?limit=50"
    assert call.kwargs["headers"]["Host"] == "iotda.example.com"
    assert "x-security-token:***||host|00" in str(caught.value)
    assert "sts-secret" not in f"{caught.value} {caught.value.vendor_message}"


# --- what passes -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("body", ["", "<html>Bad Gateway</html>", '{"error_code":"IOTDA.000001","error_msg":"x"}'])
async def test_failures_of_the_service_are_repeated(
    iotda: IotdaBackend, network: Any, clock: HandClock, status: int, body: str
) -> None:
    """After a pause, whatever the body."""
    network.get(ANY, status=status, body=body)
    network.get(ANY, payload=PACKAGE)
    assert (await iotda.firmware.get("f1")).version == "1.0"
    assert (sent(network), clock.slept) == (2, [0.125])


async def test_a_service_that_stays_down(iotda: IotdaBackend, network: Any) -> None:
    """The last failure is raised, with the number of attempts."""
    network.get(ANY, status=503, body="<html>", repeat=True)
    with pytest.raises(ServerError) as caught:
        await iotda.firmware.get("f1")
    assert (caught.value.attempts, sent(network)) == (5, 5)


@pytest.mark.parametrize(("status", "code"), [(429, "APIGW.0308"), (403, "IOTDA.021101"), (403, "IOTDA.021102")])
@pytest.mark.parametrize("advised", [None, "7"])
async def test_throttles_are_waited_out(
    iotda: IotdaBackend, network: Any, clock: HandClock, status: int, code: str, advised: str | None
) -> None:
    """Even with 403; an advised wait is kept."""
    headers = {} if advised is None else {"Retry-After": advised}
    network.get(ANY, status=status, payload={"error_code": code, "error_msg": "slow"}, headers=headers)
    network.get(ANY, payload=PACKAGE)
    assert (await iotda.firmware.get("f1")).version == "1.0"
    assert sent(network) == 2
    assert sum(clock.slept) == (7.0 if advised else 0.5)


async def test_a_wait_beyond_the_deadline_is_raised_at_once(
    iotda: IotdaBackend, network: Any, clock: HandClock
) -> None:
    """Nobody waits for what cannot be waited for."""
    network.get(ANY, status=429, payload={"error_code": "APIGW.0308"}, headers={"Retry-After": "3600"})
    with pytest.raises(DeadlineExceededError) as caught:
        await iotda.firmware.get("f1")
    assert (caught.value.retry_after_seconds, caught.value.vendor_code) == (3600, "APIGW.0308")
    assert (sent(network), clock.slept) == (1, [])


async def test_without_retries_a_throttle_is_one_request(connect: Callable[..., IotdaBackend], network: Any) -> None:
    """The caller gets the vendor's code and message, not only the status."""
    network.get(ANY, status=429, payload={"error_code": "APIGW.0308", "error_msg": "slow", "request_id": "r"})
    with pytest.raises(RateLimitedError) as caught:
        await connect(retry=RetryPolicy.none()).firmware.get("f1")
    assert (caught.value.vendor_code, caught.value.vendor_message, sent(network)) == ("APIGW.0308", "slow", 1)


# --- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(401, "APIGW.0307"), (403, "IOTDA.000004"), (401, "APIGW.0301")])
async def test_a_dead_token_is_renewed_once_and_the_call_repeated(
    connect: Callable[..., IotdaBackend], network: Any, clock: HandClock, status: int, code: str
) -> None:
    """At once, without a pause, and the listener is told."""
    tokens_by_number(network)
    network.get(ANY, status=status, payload={"error_code": code, "error_msg": "no"})
    network.get(ANY, payload=PACKAGE)
    events: list[Event] = []
    assert (await connect(USER, on_event=events.append).firmware.get("f1")).version == "1.0"
    assert (sent(network), sent(network, "iam.example.com"), clock.slept) == (2, 2, [])
    assert sum(isinstance(event, TokenRenewed) for event in events) == 2


async def test_a_token_that_dies_under_many_calls_is_renewed_once(
    connect: Callable[..., IotdaBackend], network: Any
) -> None:
    """Twenty calls meet the dead token; one login mends them all."""
    tokens_by_number(network)

    def answer(_url: Any, headers: Any, **_: Any) -> CallbackResult:
        dead = headers["X-Auth-Token"] == "t1"
        return CallbackResult(status=401, payload=DEAD) if dead else CallbackResult(payload=PACKAGE)

    network.get(ANY, callback=answer, repeat=True)
    iotda = connect(USER)
    await iotda.authenticate()
    async with anyio.create_task_group() as group:
        for _ in range(20):
            group.start_soon(iotda.firmware.get, "f1")
    assert sent(network, "iam.example.com") == 2
    assert sent(network) <= 40


async def test_a_token_that_stays_dead_is_raised(connect: Callable[..., IotdaBackend], network: Any) -> None:
    """The vendor refuses the new token too: one renewal, then the error."""
    tokens_by_number(network)
    network.get(ANY, status=401, payload=DEAD, repeat=True)
    with pytest.raises(AuthenticationError) as caught:
        await connect(USER).firmware.get("f1")
    assert (caught.value.vendor_code, caught.value.attempts) == ("APIGW.0307", 2)
    assert (sent(network), sent(network, "iam.example.com")) == (2, 2)


async def test_without_retries_a_dead_token_is_one_request(connect: Callable[..., IotdaBackend], network: Any) -> None:
    """This call fails; the next one begins with a new token."""
    tokens_by_number(network)
    network.get(ANY, status=401, payload=DEAD)
    network.get(ANY, payload=PACKAGE)
    iotda = connect(USER, retry=RetryPolicy.none())
    with pytest.raises(AuthenticationError):
        await iotda.firmware.get("f1")
    assert (await iotda.firmware.get("f1")).version == "1.0"
    assert (sent(network), sent(network, "iam.example.com")) == (2, 2)


async def test_keys_are_not_renewed(iotda: IotdaBackend, network: Any) -> None:
    """What means a dead token with tokens is final with keys."""
    network.get(ANY, status=401, payload=DEAD, repeat=True)
    with pytest.raises(AuthenticationError):
        await iotda.firmware.get("f1")
    assert sent(network) == 1


async def test_a_ready_token_is_not_renewed(connect: Callable[..., IotdaBackend], network: Any) -> None:
    """The error says that only a new one helps."""
    network.get(ANY, status=401, payload=DEAD, repeat=True)
    with pytest.raises(AuthenticationError, match="a ready token cannot be renewed"):
        await connect(TokenCredentials(token="very-secret")).firmware.get("f1")
    assert sent(network) == 1


async def test_a_wrong_password_fails_every_call_with_one_login_each(
    connect: Callable[..., IotdaBackend], network: Any
) -> None:
    """The vendor's words, what to check, no secret; nothing is asked of the service itself."""
    refusal = {"error": {"code": 401, "message": "The username or password is wrong.", "title": "Unauthorized"}}
    network.post(LOGIN, status=401, payload=refusal, repeat=True)
    with pytest.raises(AuthenticationError, match="The username or password is wrong") as caught:
        await connect(USER).devices.get("d")
    error = caught.value
    assert (error.status, error.vendor_code, error.operation) == (401, "401", "authenticate")
    assert "check username, password, domain and project" in error.message
    assert "very-secret" not in f"{error} {error.__dict__}"
    assert (sent(network), sent(network, "iam.example.com")) == (0, 1)


async def test_a_login_is_repeated_when_the_identity_service_fails(
    connect: Callable[..., IotdaBackend], network: Any
) -> None:
    """Its failures pass like any other."""
    network.post(LOGIN, status=503, body="<html>")
    tokens_by_number(network)
    network.get(ANY, payload=PACKAGE)
    assert (await connect(USER).firmware.get("f1")).version == "1.0"
    assert sent(network, "iam.example.com") == 2
