"""What ``otaclient doctor`` finds out about one backend: it asks, and judges what it saw. It sends reads only."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from enum import StrEnum
from typing import Any

import attrs

from otaclient.cli.failures import one_line
from otaclient.cli.observing import ObservingTransport, Sighting
from otaclient.errors import (
    AuthenticationError,
    DeadlineExceededError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    PayloadError,
    PermissionDeniedError,
    RateLimitedError,
    RequestNotSentError,
    ResponseLostError,
    ServerError,
)
from otaclient.paging import Paged
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceTaskQuery
from otaclient.transport.skew import LARGEST_SKEW_SECONDS, skew_in_words

__all__ = ["Check", "Result", "diagnose"]

_REMEDIES: tuple[tuple[type[OtaError], str], ...] = (
    (PermissionDeniedError, "ask the account's administrator to allow it"),
    (RateLimitedError, "try again later, or find out who else uses the quota"),
    (ServerError, "try again; if it lasts, quote the request to the vendor's support"),
    (DeadlineExceededError, "no answer in time: check network and proxy"),
    (ResponseLostError, "the connection broke: check network and proxy"),
    (PayloadError, "the address answers, but not as the vendor does: check endpoint"),
    (NotFoundError, "check endpoint, and the project or organisation"),
    (InvalidQueryError, "check the settings: 'otaclient backends' lists them"),
)
_CLOCK_REMEDY = "set it, best by NTP: signatures carry the time, and are refused when it is off"


class Result(StrEnum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@attrs.frozen(kw_only=True)
class Check:
    """One thing that was looked at."""

    backend: str
    check: str
    result: Result
    detail: str
    """What was seen; of a failure also what to do, of what was skipped why."""


@attrs.define
class _Asked:
    """One operation, and how it ended."""

    operation: str
    error: OtaError | None = None
    skipped: str | None = None
    found: Any = None
    """What came back; of a listing the first record."""


async def diagnose(client: Backend, transport: ObservingTransport) -> list[Check]:
    """Return what works and what does not, the address first and single operations last.

    Args:
        client: A client that sends through the transport, without retries.
        transport: Where it is seen what comes back.
    """
    asked = [asked async for asked in _ask(client)]
    checks: list[tuple[str, Result, str]] = []
    for sighting in transport.sightings.values():
        checks += _address_checks(sighting)
    if not checks:
        checks.append(("endpoint", Result.SKIPPED, "no request was sent"))
    checks.append(_credentials_check(asked))
    checks += [_operation_check(one) for one in asked if one.operation != _LOGIN]
    return [Check(backend=client.label, check=check, result=result, detail=detail) for check, result, detail in checks]


# --- asking ----------------------------------------------------------------------------------------------------------

_LOGIN = "authenticate"


async def _ask(client: Backend) -> AsyncIterator[_Asked]:
    """Ask for one record of everything; after what spoils everything else, nothing more is asked."""
    login = await _asked(_LOGIN, client.authenticate)
    yield login
    spoilt = _spoils(login.error)
    seen: dict[str, Any] = {}
    for capability, call in _reads(client, seen):
        operation = capability.value
        if capability not in client.capabilities:
            yield _Asked(operation, skipped="the vendor has no such operation")
        elif spoilt is not None:
            yield _Asked(operation, skipped=spoilt)
        elif call is None:
            yield _Asked(operation, skipped="nothing was found to ask for")
        else:
            one = await _asked(operation, call)
            seen[operation] = one.found
            spoilt = _spoils(one.error)
            yield one


def _reads(client: Backend, seen: dict[str, Any]) -> Iterator[tuple[Capability, Callable[[], Awaitable[Any]] | None]]:
    """Yield the read operations, each with a call that costs little; a later one may use what an earlier one found."""
    firmware, jobs, devices = client.firmware, client.jobs, client.devices
    yield Capability.FIRMWARE_SEARCH, lambda: _first(firmware.search())
    found = seen.get(Capability.FIRMWARE_SEARCH)
    yield Capability.FIRMWARE_GET, found and (lambda: firmware.get(found.firmware_id))
    product = found and found.product_id
    yield Capability.FIRMWARE_REPORTED_VERSIONS, product and (lambda: firmware.reported_versions(product))
    yield Capability.JOBS_SEARCH, lambda: _first(jobs.search())
    job = seen.get(Capability.JOBS_SEARCH)
    yield Capability.JOBS_GET, job and (lambda: jobs.get(job.job_id))
    yield Capability.JOBS_TASKS, job and (lambda: _first(jobs.tasks(DeviceTaskQuery(job_id=job.job_id))))
    yield Capability.DEVICES_SEARCH, lambda: _first(devices.search())
    device = seen.get(Capability.DEVICES_SEARCH)
    yield Capability.DEVICES_GET, device and (lambda: devices.get(device.device_id))


async def _first(listing: Paged[Any]) -> Any:
    return next(iter(await listing.first(1)), None)


async def _asked(operation: str, call: Callable[[], Awaitable[Any]]) -> _Asked:
    try:
        answer = await call()
    except OtaError as error:
        return _Asked(operation, error=error)
    return _Asked(operation, found=answer)


def _spoils(error: OtaError | None) -> str | None:
    """Return why nothing else can work after this; ``None`` where it may."""
    if isinstance(error, RequestNotSentError):
        return "the endpoint cannot be reached"
    if isinstance(error, AuthenticationError):
        return "the credentials are refused"
    return None


# --- judging ---------------------------------------------------------------------------------------------------------


def _address_checks(sighting: Sighting) -> Iterator[tuple[str, Result, str]]:
    endpoint, refusal = sighting.endpoint, sighting.refusal
    failed_tls = _is_of_tls(refusal)
    if not sighting.answered and not failed_tls:
        why = refusal.message if refusal else f"{endpoint} was asked, and nothing came back"
        yield "endpoint", Result.FAILED, f"{why}; check endpoint, network and proxy"
        yield "tls", Result.SKIPPED, "the endpoint cannot be reached"
        yield "clock", Result.SKIPPED, "the endpoint cannot be reached"
        return
    yield "endpoint", Result.PASSED, f"{endpoint} {'answers' if sighting.answered else 'takes connections'}"
    yield _tls_check(sighting, failed=failed_tls and not sighting.answered)
    yield _clock_check(sighting)


def _is_of_tls(error: BaseException | None) -> bool:
    """Tell whether TLS is behind an error, at whatever depth."""
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__
    return error is not None


def _tls_check(sighting: Sighting, *, failed: bool) -> tuple[str, Result, str]:
    if failed and sighting.refusal is not None:
        return "tls", Result.FAILED, sighting.refusal.message
    if not sighting.endpoint.startswith("https://"):
        return "tls", Result.SKIPPED, f"{sighting.endpoint} is plain http: anybody on the way can read and change it"
    return "tls", Result.PASSED, "the certificate is valid for this name"


def _clock_check(sighting: Sighting) -> tuple[str, Result, str]:
    skew = sighting.skew_seconds
    if skew is None:
        why = "the server sends no date" if sighting.answered else "no answer came"
        return "clock", Result.SKIPPED, why
    if abs(skew) <= LARGEST_SKEW_SECONDS:
        return "clock", Result.PASSED, f"{abs(skew):.0f} s apart from the server's"
    return "clock", Result.FAILED, f"{skew_in_words(skew)}; {_CLOCK_REMEDY}"


def _credentials_check(asked: Iterable[_Asked]) -> tuple[str, Result, str]:
    tried = [one for one in asked if one.skipped is None]
    errors = [one.error for one in tried if one.error is not None]
    refused = next((error for error in errors if isinstance(error, AuthenticationError)), None)
    if refused is not None:
        return "credentials", Result.FAILED, one_line(refused)
    unreachable = next((why for error in errors if (why := _spoils(error))), None)
    if unreachable is not None:
        return "credentials", Result.SKIPPED, unreachable
    # Where a signature is all there is to a login, only an answer shows that it was accepted.
    login, reads = tried[0], tried[1:]
    if login.error is not None:
        return "credentials", *_judged(login.error)
    if any(one.error is None or isinstance(one.error, PermissionDeniedError) for one in reads):
        return "credentials", Result.PASSED, "accepted"
    why = "no operation got as far as that" if reads else "this backend has no operation to try them on"
    return "credentials", Result.SKIPPED, why


def _operation_check(asked: _Asked) -> tuple[str, Result, str]:
    # What spoils everything is told once, by the check that it belongs to.
    skipped = asked.skipped or _spoils(asked.error)
    if skipped is not None:
        return asked.operation, Result.SKIPPED, skipped
    if asked.error is not None:
        return asked.operation, *_judged(asked.error)
    return asked.operation, Result.PASSED, "allowed"


def _judged(error: OtaError) -> tuple[Result, str]:
    remedy = next((remedy for kind, remedy in _REMEDIES if isinstance(error, kind)), None)
    said = one_line(error)
    return Result.FAILED, said if remedy is None else f"{said}; {remedy}"
