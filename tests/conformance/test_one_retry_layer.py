"""One layer repeats, and no other: requests are counted on the wire, for every operation and every way to fail.

How many there must be is read off the table of what is retried, not off the code::

    what happened                                 reads   writes the vendor does once   other writes
    rejected before execution (429, 403 of IoTDA)  all     all                           all
    24603 (one firmware creation at a time)        -       all                           all
    5xx, 24500, 99500, connection cut              all     all                           1
    a 200 that is none of the vendor's             1       all                           1
    token expired                                  2       2                             2
    any other refusal                              1       1                             1

With ``RetryPolicy.none()`` it is one, whatever happens.

In the short form every operation meets every kind of failure, and the ways of a kind take turns;
``OTACLIENT_EVERY_CASE=1`` has every operation meet every way.
"""

import asyncio
from typing import Any, Final, Literal

import attrs
import pytest
from aiohttp import web

from otaclient import RetryPolicy
from otaclient.emulator.faults import DropConnection
from otaclient.errors import OtaError
from otaclient.load.watching import Watched, watched
from support.operations import EVERY_CASE, WRITE_REQUESTS, Operation, Preparation, opened, operations_of
from support.write_laboratory import Laboratory, laboratory, simulate

pytestmark = pytest.mark.blocks_loop("threads have no place in simulated time: what they do is done at once")

VENDORS: Final = ("enos", "iotda")
ATTEMPTS: Final = 3
NO_SUCH_FIRMWARE: Final = b'{"code":24404}'
HTML: Final = b"<html>something before the vendor</html>"

Kind = Literal["rejected", "busy", "broken", "not the vendor's", "dead token", "refused"]


@attrs.frozen
class Failing:
    """A way to fail; without a status, the connection is cut."""

    kind: Kind
    status: int | None
    body: bytes = HTML

    def __str__(self) -> str:
        return f"{self.status or 'cut'} {self.body!r}"


COMMON: Final = (
    *(Failing("refused", status) for status in (400, 403, 404, 405, 408, 409, 413, 418, 422)),
    Failing("rejected", 429),
    *(Failing("broken", status) for status in (500, 502, 503, 504, None)),
    Failing("not the vendor's", 200),
)
FAILINGS: Final[dict[str, tuple[Failing, ...]]] = {
    "enos": (
        *COMMON,
        # How the gateway reports a token that it does not know is not documented; so one that says no more is taken so.
        Failing("dead token", 401),
        *(Failing("dead token", 200, b'{"code":%d}' % code) for code in (1203, 4011, 4012)),
        *(Failing("broken", 200, b'{"code":%d}' % code) for code in (24500, 99500)),
        Failing("busy", 200, b'{"code":24603}'),
        *(Failing("refused", 200, b'{"code":%d}' % code) for code in (99400, 99403, 24604, 24617, 24621, 31337)),
        Failing("refused", 401, b'{"code":1003}'),
        Failing("refused", 200, NO_SUCH_FIRMWARE),
    ),
    "iotda": (
        *COMMON,
        Failing("refused", 401),
        Failing("refused", 401, b'{"error_code":"APIGW.0301","error_msg":"Incorrect IAM authentication information"}'),
        *(
            Failing("rejected", 403, b'{"error_code":"%s"}' % code)
            for code in (b"APIGW.0308", b"IOTDA.021101", b"IOTDA.021102")
        ),
        Failing("refused", 403, b'{"error_code":"IOTDA.000021"}'),
        Failing("refused", 400, b'{"error_code":"IOTDA.000006"}'),
        # Some calls report an error in a 200.
        Failing("refused", 200, b'{"error_code":"IOTDA.014116","error_msg":"no"}'),
        Failing("broken", 503, b'{"error_code":"IOTDA.000001"}'),
    ),
}
WITH_TOKENS: Final = (
    Failing("dead token", 401, b'{"error_code":"APIGW.0307","error_msg":"The token must be updated."}'),
    Failing("dead token", 403, b'{"error_code":"IOTDA.000004"}'),
    Failing("dead token", 401, b'{"error_code":"APIGW.0301"}'),
    Failing("refused", 401),
)


def failings_of(what: Operation, vendor: str, place: int) -> list[Failing]:
    """Return in which ways the requests of an operation are to fail."""
    found = list(FAILINGS[vendor])
    if what.auth == "password":
        found = [failing for failing in found if failing.status != 401] + list(WITH_TOKENS)
    if EVERY_CASE:
        return found
    kinds: dict[str, list[Failing]] = {}
    for failing in found:
        kinds.setdefault(failing.kind, []).append(failing)
    taken = [ways[place % len(ways)] for ways in kinds.values()]
    always = [way for way in found if way.body == NO_SUCH_FIRMWARE and what.name == "firmware.create"]
    return taken + [way for way in always if way not in taken]


def wanted(vendor: str, name: str, wire: str, failing: Failing) -> int:
    """Return how many requests the table asks for, with retries."""
    if failing.body == NO_SUCH_FIRMWARE and name.startswith("firmware.create") and wire == "firmware.get":
        return 2  # what was just created may not be there at once: after the read lag it is looked at again
    is_write = wire in WRITE_REQUESTS
    may_repeat = not is_write or (WRITE_REQUESTS[wire] == "again" and (vendor, wire) != ("iotda", "firmware.create"))
    match failing.kind:
        case "rejected" | "busy":
            return ATTEMPTS
        case "broken":
            return ATTEMPTS if may_repeat else 1
        case "not the vendor's":
            return ATTEMPTS if is_write and may_repeat else 1
        case "dead token":
            # A token request has no token that could be dead.
            return 1 if wire.startswith("token.") else 2
        case "refused":
            return 1


@attrs.define
class Failure:
    """Answers requests of one kind in one way, and lets nobody else be struck."""

    failing: Failing
    cut: DropConnection = attrs.field(factory=DropConnection)

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Give the answer."""
        if self.failing.status is None:
            return await self.cut.strike(request)
        kind = "application/json" if self.failing.body.startswith(b"{") else "text/html"
        return web.Response(status=self.failing.status, body=self.failing.body, content_type=kind)


async def requests_of(lab: Laboratory, what: Operation) -> list[str]:
    """Return which requests a call makes where nothing goes wrong."""
    lab.vendor.backend = lab.admin
    call = await what.prepare(lab)
    async with opened(lab, what) as client:
        lab.vendor.emulator.served.clear()
        await call(client)
        return list(lab.vendor.emulator.served)


async def counted(
    lab: Laboratory, what: Operation, ready: Preparation, wire: str, failing: Failing, retry: RetryPolicy
) -> dict[str, int]:
    """Return how many requests of each kind a call makes, of which one fails."""
    lab.vendor.emulator.faults.clear()
    call = await ready.call()
    async with opened(lab, what, timeout_seconds=1000.0, retry=retry) as client:
        if not wire.startswith("token."):
            await client.authenticate()
        lab.vendor.emulator.served.clear()
        lab.vendor.emulator.faults.add(Failure(failing), wire, times=None)
        try:
            await call(client)
        except OtaError as error:
            is_only = error.attempts <= lab.vendor.emulator.served[wire] and error.attempts >= 1
            assert is_only, f"{what.name} {wire} {failing}: {error.attempts} attempts are told"
        return dict(lab.vendor.emulator.served)


# Several at a time are read in these, each with its own attempts; their first request is looked at elsewhere.
_SIDE_BY_SIDE: Final = {("devices.search (resolved)", "jobs.tasks"), ("scan", "devices.search")}


async def _all(vendor: str, retry: RetryPolicy) -> list[str]:
    wrong: list[str] = []
    checked: set[str] = set()
    async with laboratory(vendor) as lab:
        for place, what in enumerate(operations_of(vendor)):
            lab.clear()
            wires, ready = await requests_of(lab, what), Preparation(lab, what)
            for wire in wires:
                # The tokens of all operations are the same.
                if (wire.startswith("token.") and what.name != "authenticate") or (what.name, wire) in _SIDE_BY_SIDE:
                    continue
                for failing in failings_of(what, vendor, place):
                    if failing.kind == "busy" and wire not in WRITE_REQUESTS:
                        continue
                    found = await counted(lab, what, ready, wire, failing, retry)
                    right = 1 if retry.max_attempts == 1 else wanted(vendor, what.name, wire, failing)
                    if found[wire] != right:
                        wrong.append(f"{what.name}: {found[wire]} x {wire} for {failing}, and not {right}")
                    if retry.max_attempts == 1 and (more := _more(found, wire, failing)):
                        wrong.append(f"{what.name}: {more} after {failing} for {wire}")
                    checked.add(what.name)
    assert checked == {what.name for what in operations_of(vendor)} - {"scan"}
    return wrong


def _more(found: dict[str, int], wire: str, failing: Failing) -> dict[str, int]:
    """Return what was asked for after the request that failed, although nobody was to ask again."""
    order = list(found)
    after = order[order.index(wire) + 1 :]
    # A body that is none of the vendor's may do for one.
    return {} if failing.kind == "not the vendor's" else {name: found[name] for name in after}


@pytest.mark.parametrize("vendor", VENDORS)
def test_with_retries(vendor: str) -> None:
    """As many requests as the policy allows where the table says so, and else one; two where a token has died."""
    wrong = simulate(_all(vendor, RetryPolicy(max_attempts=ATTEMPTS)))
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("vendor", VENDORS)
def test_without_retries(vendor: str) -> None:
    """One request, whatever it comes to: nothing is repeated, looked for, renewed or read again."""
    wrong = simulate(_all(vendor, RetryPolicy.none()))
    assert not wrong, "\n".join(wrong)


# --- in bare mode ----------------------------------------------------------------------------------------------------

KEYED: Final = "jobs.create (keyed)"
NEEDS_MORE: Final = {
    "enos": {
        KEYED,
        "firmware.create",  # and firmware.get: was it stored whole?
        "firmware.create (pieces)",
        "firmware.download",  # the firmware, and its file
        "jobs.progress",  # tasks are counted, status by status
        "jobs.wait",
        "jobs.watch",
        "scan",
    },
    "iotda": {
        KEYED,
        "devices.search (resolved)",  # the open jobs first
        "firmware.search",  # to its end; and there is a listing for each kind
        "jobs.cancel_tasks (parts)",
        "jobs.create",  # the packages first, unless firmware_kind says what they are
        "jobs.tasks",
        "scan",
    },
}
"""Calls that need more than one request: in bare mode those after the first are not sent, and the call says so."""


async def bare_requests(
    lab: Laboratory, what: Operation, ready: Preparation, failing: Failing | None
) -> tuple[dict[str, int], Watched, OtaError | None]:
    """Return which requests a call sends where one is allowed, what was seen of it, and what it raised."""
    lab.vendor.emulator.faults.clear()
    call = await ready.call()
    failure: OtaError | None = None
    async with opened(lab, what, timeout_seconds=1000.0, bare=True) as client:
        await client.authenticate()
        lab.vendor.emulator.served.clear()
        if failing is not None:
            lab.vendor.emulator.faults.add(Failure(failing), times=None)
        began = lab.vendor.clock.monotonic()
        with watched(1) as seen:
            try:
                await call(client)
            except OtaError as error:
                failure = error
        waited = lab.vendor.clock.monotonic() - began
        assert waited == 0, f"{what.name} waits for {waited} s after {failing}, {failure}"
        return dict(lab.vendor.emulator.served), seen, failure


async def _bare(vendor: str) -> tuple[list[str], dict[str, OtaError]]:
    wrong: list[str] = []
    refused: dict[str, OtaError] = {}
    async with laboratory(vendor) as lab:
        for place, what in enumerate(operations_of(vendor)):
            lab.clear()
            if what.name == "authenticate":
                continue  # before the block of a bare client begins
            ready = Preparation(lab, what)
            for failing in [None, *failings_of(what, vendor, place)]:
                found, seen, failure = await bare_requests(lab, what, ready, failing)
                right = 0 if what.name == KEYED else 1
                if not sum(found.values()) == seen.requests == len(seen.attempts) == right or seen.token_attempts:
                    wrong.append(
                        f"{what.name}: {found or 'nothing'} after {failing}, of which {seen.requests} are seen"
                    )
                if failing is None and failure is not None:
                    refused[what.name] = failure
    return wrong, refused


@pytest.mark.parametrize("vendor", VENDORS)
def test_in_bare_mode(vendor: str) -> None:
    """Every call is one request in all and takes no time by itself, whatever comes of it; that one is what is seen."""
    wrong, refused = simulate(_bare(vendor))
    assert not wrong, "\n".join(wrong)
    assert set(refused) == NEEDS_MORE[vendor]
    for name, error in refused.items():
        words = (
            "makes one request a call: leave it out" if name == KEYED else "was to be one request, and needs another"
        )
        assert words in str(error), name


@pytest.mark.parametrize("policy", [RetryPolicy(max_attempts=ATTEMPTS), RetryPolicy.none()])
@pytest.mark.parametrize(
    ("failing", "refreshes", "gets"),
    [
        (Failing("broken", 503), ATTEMPTS, 0),
        (Failing("rejected", 429), ATTEMPTS, 0),
        (Failing("broken", None), ATTEMPTS, 0),
        # Whatever speaks against refreshing this token does not speak against another one.
        (Failing("refused", 200, b'{"status":1204}'), 1, 1),
        (Failing("refused", 404), 1, 1),
        (Failing("not the vendor's", 200), 1, 1),
    ],
)
def test_a_token_is_refreshed_or_got_anew(policy: RetryPolicy, failing: Failing, refreshes: int, gets: int) -> None:
    """The service's failures are repeated once over, at one of its addresses; only a refusal leads to the other."""

    async def course() -> dict[str, int]:
        async with laboratory("enos") as lab:
            (login,) = [each for each in operations_of("enos") if each.name == "authenticate"]
            async with opened(lab, login, retry=policy, timeout_seconds=1000.0) as client:
                await client.authenticate()
                await asyncio.sleep(7200.0 - 200.0)  # it lives on, but not for much longer
                lab.vendor.emulator.served.clear()
                lab.vendor.emulator.faults.add(Failure(failing), "token.refresh", times=None)
                try:
                    await client.authenticate()
                except OtaError:
                    assert not gets
            return dict(lab.vendor.emulator.served)

    found: Any = simulate(course())
    assert found.get("token.refresh") == min(refreshes, policy.max_attempts)
    assert found.get("token.get", 0) == gets
