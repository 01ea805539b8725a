"""What becomes of every write of every backend, whatever happens to its request or to its answer."""

from collections.abc import AsyncIterator
from typing import Any, Final

import attrs
import pytest

from otaclient import LocalizedText, OtaError, OutcomeUnknownError, RetryPolicy
from otaclient.errors import PermissionDeniedError
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.options import TransportOptions
from support.live import Live
from support.lost_answers import AnswerAfterCommit, CutAfterCommit, CutAnswer
from support.writes import (
    NAME,
    WRITES,
    body_for,
    may_be_sent_again,
    prepare,
    reopened,
    session_of,
    space_of,
    written_to,
)


@pytest.fixture(params=["enos", "iotda"])
async def vendor(request: pytest.FixtureRequest) -> AsyncIterator[Live]:
    """Start one vendor."""
    async with written_to(request.param) as running:
        yield running


@pytest.mark.parametrize("operation", WRITES)
async def test_not_sent_is_sent_again(vendor: Live, operation: str) -> None:
    """The service is away for a moment: refused connections reach nobody, and are tried again."""
    prepared, wire = await prepare(vendor, operation)
    session: Any = session_of(vendor)
    await vendor.emulator.stop()
    vendor.emulator._requested_port = int(session.dialect.endpoint.rpartition(":")[2])
    # Without connections that are still open to the service as it was.
    transport = AiohttpTransport(TransportOptions(), max_connections=4)
    vendor.backend = reopened(vendor, session=attrs.evolve(session, transport=transport))
    sleep = vendor.clock.sleep

    async def come_back(seconds: float) -> None:
        await sleep(seconds)
        if vendor.emulator._port is None:
            await vendor.emulator.start()

    vendor.clock.sleep = come_back  # type: ignore[method-assign]
    await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire]) == (1, 1)
    await transport.aclose()


LOST_AFTER: Final = {
    "cut": CutAfterCommit(),
    "half": CutAnswer(),
    "502": AnswerAfterCommit(),
    "504": AnswerAfterCommit(504, b""),
    "html": AnswerAfterCommit(200, b"<html>maintenance</html>"),
}


@pytest.mark.parametrize("fault", LOST_AFTER)
@pytest.mark.parametrize("operation", WRITES)
async def test_an_answer_lost_after_it_took_effect_is_a_success(vendor: Live, operation: str, fault: str) -> None:
    """It is found, or the vendor refuses to do it twice; it was done once."""
    prepared, wire = await prepare(vendor, operation)
    vendor.emulator.faults.add(LOST_AFTER[fault], wire)
    result = await prepared.call()
    assert prepared.effects() == 1
    if operation == "jobs.create":
        assert vendor.emulator.served[wire] == 1
        job = await vendor.backend.jobs.get(result)
        assert job.name == LocalizedText(default=NAME)
    if operation == "firmware.create":
        assert vendor.emulator.served[wire] == 1
        assert (await vendor.backend.firmware.get(result)).version == "V9.7"


@pytest.mark.parametrize("fault", ["cut", "500", "502", "503", "504"])
@pytest.mark.parametrize("operation", WRITES)
async def test_an_answer_lost_before_it_took_effect(vendor: Live, operation: str, fault: str) -> None:
    """What the vendor refuses to do twice is sent again; a job is not, and the error says what to look for."""
    prepared, wire = await prepare(vendor, operation)
    if fault == "cut":
        vendor.emulator.faults.drop(wire)
    else:
        vendor.emulator.faults.inject(wire, status=int(fault), body=b"<html>gateway</html>")
    if may_be_sent_again(vendor, operation):
        await prepared.call()
        assert (prepared.effects(), vendor.emulator.served[wire]) == (1, 2)
        return
    with pytest.raises(OutcomeUnknownError, match="not to be found, but may still appear") as caught:
        await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire]) == (0, 1)
    _is_whole(caught.value, vendor, operation)
    assert (caught.value.fingerprint is not None) == (operation == "jobs.create")


@pytest.mark.parametrize("operation", WRITES)
async def test_without_retries_a_lost_answer_is_said_after_one_request(vendor: Live, operation: str) -> None:
    """Nobody looks, nothing is repeated."""
    prepared, wire = await prepare(vendor, operation)
    vendor.backend = vendor.backend.with_options(retry=RetryPolicy.none())
    vendor.emulator.faults.add(CutAfterCommit(), wire)
    with pytest.raises(OutcomeUnknownError) as caught:
        await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire]) == (1, 1)
    assert not {"jobs.search", "firmware.search", "jobs.tasks"} & set(vendor.emulator.served)
    _is_whole(caught.value, vendor, operation)


@pytest.mark.parametrize("operation", WRITES)
async def test_nothing_but_lost_answers_ends_within_the_retries(vendor: Live, operation: str) -> None:
    """As many requests of the write as the policy allows, and no more."""
    prepared, wire = await prepare(vendor, operation)
    vendor.emulator.faults.drop(wire, times=None)
    with pytest.raises(OutcomeUnknownError) as caught:
        await prepared.call()
    sent = RetryPolicy().max_attempts if may_be_sent_again(vendor, operation) else 1
    assert (vendor.emulator.served[wire], caught.value.attempts) == (sent, sent)
    _is_whole(caught.value, vendor, operation)


@pytest.mark.parametrize("operation", WRITES)
async def test_throttled_is_sent_again_after_a_pause(vendor: Live, operation: str) -> None:
    """It was rejected before it was executed; what the vendor advises is waited out."""
    prepared, wire = await prepare(vendor, operation)
    body = body_for(
        vendor,
        enos='{"message":"API rate limit exceeded"}',
        iotda='{"error_code":"IOTDA.021102","error_msg":"The tenant rate limit is reached."}',
    )
    status = 429 if vendor.name == "enos" else 403
    vendor.emulator.faults.inject(wire, times=2, status=status, headers={"Retry-After": "3"}, body=body)
    before = vendor.clock.seconds
    await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire]) == (1, 3)
    # Only a wait that comes with a throttled status is advice.
    assert vendor.clock.seconds - before >= (6.0 if vendor.name == "enos" else 0.5)


@pytest.mark.parametrize("operation", WRITES)
async def test_a_dead_token_is_renewed_once(vendor: Live, operation: str) -> None:
    """And the write is sent again, once."""
    if vendor.name == "iotda":
        # Requests that are signed with keys have no token.
        config = attrs.evolve(vendor.emulator.config(auth="password"), app_id=await space_of(vendor))
        vendor.backend = reopened(vendor, config=config, session=attrs.evolve(session_of(vendor), dialect=None))
    prepared, wire = await prepare(vendor, operation)
    body = body_for(vendor, enos='{"code":1203,"msg":"expired"}', iotda='{"error_code":"APIGW.0307"}')
    vendor.emulator.faults.inject(wire, status=200 if vendor.name == "enos" else 401, body=body)
    await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire]) == (1, 2)


@pytest.mark.parametrize("operation", WRITES)
async def test_a_refusal_is_raised(vendor: Live, operation: str) -> None:
    """At once, as what it is."""
    prepared, wire = await prepare(vendor, operation)
    body = body_for(
        vendor,
        enos='{"code":99403,"msg":"Denied resource","requestId":"r-7"}',
        iotda='{"error_code":"IOTDA.000022","error_msg":"No.","request_id":"r-7"}',
    )
    vendor.emulator.faults.inject(wire, status=403, body=body)
    with pytest.raises(PermissionDeniedError) as caught:
        await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire], caught.value.request_id) == (0, 1, "r-7")
    _is_whole(caught.value, vendor, operation)


@pytest.mark.parametrize("operation", WRITES)
async def test_a_refusal_after_a_lost_answer_leaves_it_unclear(vendor: Live, operation: str) -> None:
    """That the repeat was not allowed says nothing of what went before."""
    prepared, wire = await prepare(vendor, operation)
    if not may_be_sent_again(vendor, operation):
        pytest.skip("never repeated")
    vendor.emulator.faults.drop(wire)
    body = body_for(vendor, enos='{"code":99403,"msg":"Denied"}', iotda='{"error_code":"IOTDA.000022"}')
    vendor.emulator.faults.inject(wire, status=403, body=body)
    with pytest.raises(OutcomeUnknownError, match="then a repeat failed") as caught:
        await prepared.call()
    assert caught.value.attempts == 2
    _is_whole(caught.value, vendor, operation)


async def test_one_firmware_at_a_time(vendor: Live) -> None:
    """Code 24603 is waited out."""
    if vendor.name == "iotda":
        pytest.skip("EnOS alone knows this code")
    prepared, wire = await prepare(vendor, "firmware.create")
    vendor.emulator.faults.inject(wire, times=2, status=200, body=b'{"code":24603,"msg":"Not concurrently"}')
    await prepared.call()
    assert (prepared.effects(), vendor.emulator.served[wire]) == (1, 3)


@pytest.mark.parametrize("operation", WRITES)
async def test_no_time_left_is_said(vendor: Live, operation: str) -> None:
    """Neither is anything waited for beyond the deadline."""
    prepared, wire = await prepare(vendor, operation)
    vendor.backend = vendor.backend.with_options(timeout_seconds=0.01)
    vendor.emulator.faults.add(CutAfterCommit(), wire)
    before = vendor.clock.seconds
    with pytest.raises(OutcomeUnknownError) as caught:
        await prepared.call()
    assert vendor.clock.seconds - before < 0.01
    _is_whole(caught.value, vendor, operation)


def _is_whole(error: OtaError, vendor: Live, operation: str) -> None:
    """Check that an error says all it can, and no secret."""
    assert (error.operation, error.backend) == (operation, vendor.backend.label)
    assert error.attempts >= 1
    said = f"{error!r} {error} {error.__dict__}"
    assert "emulator-app-secret" not in said
    assert "emulator-secret-key" not in said
