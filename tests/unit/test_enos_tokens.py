"""Tokens of the EnOS client: got once, refreshed in time, replaced when they die."""

import anyio
import anyio.lowlevel
import pytest

from otaclient.errors import AuthenticationError, PayloadError, RateLimitedError
from otaclient.events import TokenRenewed
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.limits import Limits
from otaclient.transport.retry import RetryPolicy
from otaclient_enos.signing import encryption_of
from support.enos_backend import FIRMWARE, Stage, answer, refusal, token
from support.network import ScriptedTransport


async def test_authenticate_gets_the_token_once() -> None:
    """After it a call is one request; the body of the token request proves the secret and does not hold it."""
    stage = Stage(token(), answer(FIRMWARE))
    await stage.enos.authenticate()
    assert stage.paths == ["get"]
    body = stage.body(0)
    expected = encryption_of(app_key="backend-test", app_secret="the-secret", timestamp_ms=body["timestamp"])
    assert body == {"appKey": "backend-test", "encryption": expected, "timestamp": body["timestamp"]}
    assert [type(event) for event in stage.events][-1] is TokenRenewed
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "ota-firmwares"]


async def test_a_repeated_token_request_has_another_timestamp() -> None:
    """The service refuses an encryption that it has seen: a lost answer and a refusal are both met with a new one."""
    broken = HttpResponse(status=500)
    stage = Stage(broken, refusal(1001), token())
    await stage.enos.authenticate()
    stamps = [stage.body(number)["timestamp"] for number in range(3)]
    assert sorted(set(stamps)) == stamps
    assert len({stage.body(number)["encryption"] for number in range(3)}) == 3


async def test_two_clients_never_send_the_same_encryption() -> None:
    """Even where both ask in the same millisecond."""
    first, second = Stage(token()), Stage(token())
    await first.enos.authenticate()
    await second.enos.authenticate()
    assert first.clock.now() == second.clock.now()
    assert first.body(0)["encryption"] != second.body(0)["encryption"]


async def test_before_its_end_a_token_is_refreshed() -> None:
    """The refresh names the old token, and the new one is used from then on."""
    stage = Stage(token("t-1", 7200), token("t-2", 7200), answer(FIRMWARE))
    await stage.enos.authenticate()
    stage.clock.seconds += 7200 - 100
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "refresh", "ota-firmwares"]
    assert stage.body(1)["accessToken"] == "t-1"
    assert stage.transport.sent[2].headers["apim-accesstoken"] == "t-2"


async def test_after_its_end_a_token_is_got_anew() -> None:
    """There is nothing left to refresh."""
    stage = Stage(token("t-1", 7200), token("t-2"), answer(FIRMWARE))
    await stage.enos.authenticate()
    stage.clock.seconds += 7200
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "get", "ota-firmwares"]


@pytest.mark.parametrize(
    "refused",
    [
        refusal(1204),
        refusal(1203),
        refusal(1002),
        HttpResponse(status=404),
        HttpResponse(status=200, body=b"<html>"),
    ],
    ids=["1204", "1203", "1002", "404", "html"],
)
async def test_where_refreshing_fails_a_token_is_got_anew(refused: HttpResponse) -> None:
    """Whatever speaks against the refresh, the other endpoint is asked."""
    stage = Stage(token("t-1", 7200), refused, token("t-2"), answer(FIRMWARE))
    await stage.enos.authenticate()
    stage.clock.seconds += 7200 - 100
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "refresh", "get", "ota-firmwares"]
    assert "accessToken" not in stage.body(2)


async def test_a_throttled_refresh_is_not_followed_by_more_requests() -> None:
    """The other endpoint stands behind the same gateway."""
    throttled = HttpResponse(status=429)
    stage = Stage(token("t-1", 7200), throttled, retry=RetryPolicy.none())
    await stage.enos.authenticate()
    stage.clock.seconds += 7200 - 100
    with pytest.raises(RateLimitedError) as caught:
        await stage.enos.firmware.get("f1")
    assert caught.value.operation == "authenticate"
    assert stage.paths == ["get", "refresh"]


async def test_a_token_without_a_known_end_is_used_until_it_dies() -> None:
    """Then it is got anew, once, and the call repeated."""
    dead = HttpResponse(status=200, body=b'{"status":1203,"msg":"expired"}')
    stage = Stage(token("t-1", None), answer(FIRMWARE), dead, token("t-2", None), answer(FIRMWARE))
    await stage.enos.firmware.get("f1")
    stage.clock.seconds += 1e6
    await stage.enos.firmware.get("f1")
    assert stage.paths == ["get", "ota-firmwares", "ota-firmwares", "get", "ota-firmwares"]


class Gateway(ScriptedTransport):
    """Hands out the token that it then accepts, and lets other requests set out before it answers one."""

    def __init__(self) -> None:
        super().__init__()
        self.live = "t-1"

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Answer after everybody else had a turn."""
        self.sent.append(request)
        for _ in range(100):
            await anyio.lowlevel.checkpoint()
        if request.operation == "authenticate":
            return token(self.live)
        if request.headers["apim-accesstoken"] == self.live:
            return answer(FIRMWARE)
        return HttpResponse(status=200, body=b'{"apim_status":4011}')


async def test_a_dead_token_is_replaced_once_for_all_callers() -> None:
    """Many calls that meet its death at once cause one token request, and each is repeated once."""
    gateway = Gateway()
    stage = Stage(transport=gateway, limits=Limits.unlimited())
    await stage.enos.authenticate()
    gateway.live = "t-2"
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(stage.enos.firmware.get, "f1")
    assert stage.paths.count("get") == 2
    assert stage.paths.count("ota-firmwares") == 200


async def test_a_token_that_stays_dead_is_an_error() -> None:
    """It is replaced once, not for ever."""
    dead = HttpResponse(status=200, body=b'{"code":1203,"msg":"expired"}')
    stage = Stage(token("t-1"), dead, token("t-2"), dead)
    with pytest.raises(AuthenticationError) as caught:
        await stage.enos.firmware.get("f1")
    assert (caught.value.vendor_code, caught.value.attempts) == ("1203", 2)


async def test_wrong_credentials_are_an_error_of_the_first_call() -> None:
    """One token request, no business request, no secret in the message."""
    stage = Stage(refusal(1003))
    with pytest.raises(AuthenticationError, match="app_secret does not belong to app_key") as caught:
        await stage.enos.firmware.get("f1")
    assert (caught.value.operation, caught.value.backend) == ("authenticate", "plant-7")
    assert "the-secret" not in f"{caught.value!r}{caught.value}{caught.value.__dict__}"
    assert stage.paths == ["get"]


async def test_a_token_answer_without_a_token_names_backend_and_operation() -> None:
    """As every other error."""
    stage = Stage(HttpResponse(status=200, body=b"{}"))
    with pytest.raises(PayloadError) as caught:
        await stage.enos.authenticate()
    assert (caught.value.operation, caught.value.backend, caught.value.attempts) == ("authenticate", "plant-7", 1)
