"""What every backend promises, whichever vendor is behind it."""

import pickle
from collections import Counter
from typing import Any

import attrs
import pytest

import otaclient
from otaclient import (
    Backend,
    Capability,
    DeviceUpgradeQuery,
    FirmwareKind,
    FirmwareQuery,
    InvalidQueryError,
    JobQuery,
    JobStatus,
    Limits,
    NotFoundError,
    RetryPolicy,
    UnsupportedOperationError,
    Verdict,
)
from otaclient.models import FrozenMap
from support.service import Service

NO_SUCH_ID = "0123456789abcdef01234567"
QUICK = RetryPolicy(base_delay_seconds=0, max_delay_seconds=0)


def bare(records: Any) -> list[Any]:
    """Return records without the vendor's extra fields, which the oracle leaves out."""
    return [attrs.evolve(record, extra=FrozenMap()) for record in records]


def by_id(records: Any, field: str) -> dict[str, Any]:
    """Return records by an identifier, which must be unique."""
    found = {getattr(record, field): record for record in records}
    assert len(found) == len(list(records))
    return found


# --- devices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 1, 7, 50])
async def test_search_yields_every_device_once(service: Service, size: int | None) -> None:
    """Paging neither skips nor repeats a device, whatever the page size, and every field is right."""
    if size == 1:
        query = DeviceUpgradeQuery(products=[service.devices[0].product_id or ""])
        wanted = [device for device in service.devices if device.product_id == service.devices[0].product_id][:40]
        pages = service.backend.devices.search(query).pages(page_size=1)
        found: list[Any] = []
        async for page in pages:
            found.extend(page.items)
            if len(found) == 40:
                break
        assert found == wanted
        return
    found = [row async for page in service.backend.devices.search().pages(page_size=size) for row in page.items]
    assert found == service.devices


async def test_a_plain_loop_crosses_all_pages(service: Service) -> None:
    """A single page is never what a loop gives."""
    assert [device async for device in service.backend.devices.search()] == service.devices


async def test_first_takes_one_request(service: Service) -> None:
    """A few devices cost one request."""
    assert list(await service.backend.devices.search().first(5)) == service.devices[:5]
    assert service.requests == 1


async def test_cursors_resume_in_another_client(service: Service) -> None:
    """A page's cursor goes on where it left off, in a client of its own, with the same total of devices."""
    seen: list[Any] = []
    cursor = None
    async for page in service.backend.devices.search().pages():
        seen.extend(page.items)
        cursor = page.cursor
        if len(seen) >= 200:
            break
    assert cursor is not None
    other = otaclient.open_backend(service.name, config=service.emulator.config(), label=service.backend.label)
    async with other:
        async for page in other.devices.search().pages(cursor=cursor):
            seen.extend(page.items)
    assert seen == service.devices


@pytest.mark.parametrize("size", [0, -1, 1000])
async def test_page_sizes_are_refused_before_any_request(service: Service, size: int) -> None:
    """A page size that the vendor does not have names the range."""
    for listing in (service.backend.devices.search(), service.backend.firmware.search(), service.backend.jobs.search()):
        with pytest.raises(InvalidQueryError, match="takes 1 to"):
            listing.pages(page_size=size)
    assert service.requests == 0


async def test_cursors_of_other_listings_are_refused(service: Service) -> None:
    """A cursor works for the query that it came from, and for nothing else."""
    async for page in service.backend.devices.search().pages():
        cursor = page.cursor
        break
    before = service.requests
    elsewhere: list[Any] = [
        service.backend.jobs.search(),
        service.backend.devices.search(DeviceUpgradeQuery(versions=["1.0"])),
    ]
    for listing in elsewhere:
        with pytest.raises(InvalidQueryError, match="cursor cannot be used"):
            listing.pages(cursor=cursor)
    assert service.requests == before


async def test_devices_by_product(service: Service) -> None:
    """One product, several, and one that does not exist."""
    products = sorted({device.product_id or "" for device in service.devices})
    for asked in ([products[0]], products[:2], products):
        query = DeviceUpgradeQuery(products=asked)
        found = [device async for device in service.backend.devices.search(query)]
        assert by_id(found, "device_id") == {
            device.device_id: device for device in service.devices if device.product_id in asked
        }
    nobody = DeviceUpgradeQuery(products=["Nobody00"])
    assert await service.backend.devices.search(nobody).collect(10) == ()


async def test_devices_by_version(service: Service) -> None:
    """Versions are matched exactly, whoever does the filtering; together with a product both must hold."""
    counts = Counter(device.firmware_version for device in service.devices if device.firmware_version)
    versions = [version for version, _ in counts.most_common(2)]
    found = await service.backend.devices.search(DeviceUpgradeQuery(versions=versions)).collect(1000)
    assert by_id(found, "device_id") == {
        device.device_id: device for device in service.devices if device.firmware_version in versions
    }
    product = found[0].product_id or ""
    both = DeviceUpgradeQuery(versions=versions, products=[product])
    assert {device.device_id for device in await service.backend.devices.search(both).collect(1000)} == {
        device.device_id for device in found if device.product_id == product
    }


async def test_one_device(service: Service) -> None:
    """A device by its identifier, where the vendor can; a refusal before any request, where it cannot."""
    device = service.devices[17]
    if Capability.DEVICES_GET not in service.backend.capabilities:
        with pytest.raises(UnsupportedOperationError):
            await service.backend.devices.get(device.device_id)
        assert service.requests == 0
        return
    assert await service.backend.devices.get(device.device_id) == device
    with pytest.raises(NotFoundError) as caught:
        await service.backend.devices.get("nobody")
    assert "nobody" in str(caught.value)


# --- firmware and jobs -----------------------------------------------------------------------------------------------


async def test_all_firmware(service: Service) -> None:
    """Every firmware that the vendor shows, with every field."""
    found = await service.backend.firmware.search().collect(1000)
    assert by_id(bare(found), "firmware_id") == by_id(bare(service.firmware), "firmware_id")


async def test_firmware_filters(service: Service) -> None:
    """Each filter finds exactly what it describes."""
    some = service.firmware[1]
    queries: list[tuple[FirmwareQuery, Any]] = [
        (FirmwareQuery(version=some.version), lambda record: record.version == some.version),
        (FirmwareQuery(kinds=["firmware"]), lambda record: record.kind is FirmwareKind.FIRMWARE),
    ]
    if some.product_id is not None:
        queries.append((FirmwareQuery(products=[some.product_id]), lambda record: record.product_id == some.product_id))
    for query, matches in queries:
        found = await service.backend.firmware.search(query).collect(1000)
        assert {record.firmware_id for record in found} == {
            record.firmware_id for record in service.firmware if matches(record)
        }


async def test_one_firmware(service: Service) -> None:
    """A firmware by its identifier shows at least what the search shows."""
    listed = service.firmware[0]
    found = await service.backend.firmware.get(listed.firmware_id)
    for field in attrs.fields(type(listed)):
        shown = getattr(listed, field.name)
        if field.name != "extra" and shown is not None and shown != ():
            assert getattr(found, field.name) == shown


async def test_all_jobs(service: Service) -> None:
    """Every job that the vendor shows, with every field."""
    found = await service.backend.jobs.search().collect(1000)
    assert by_id(bare(found), "job_id") == by_id(bare(service.jobs), "job_id")


async def test_job_filters(service: Service) -> None:
    """Status and firmware find exactly the jobs that they describe."""
    for status in (JobStatus.RUNNING, JobStatus.STOPPED):
        found = await service.backend.jobs.search(JobQuery(status=status)).collect(1000)
        assert {job.job_id for job in found} == {job.job_id for job in service.jobs if job.status is status}
    firmware = service.jobs[0].firmware_ids[0]
    found = await service.backend.jobs.search(JobQuery(firmware_ids=[firmware])).collect(1000)
    assert {job.job_id for job in found} == {job.job_id for job in service.jobs if firmware in job.firmware_ids}


async def test_one_job(service: Service) -> None:
    """A job by its identifier is the one of the search, as far as the vendor shows it."""
    listed = service.jobs[0]
    found = await service.backend.jobs.get(listed.job_id)
    for name in ("job_id", "status", "vendor_status", "kind", "firmware_ids", "owner_id", "created_at", "backend"):
        assert getattr(found, name) == getattr(listed, name)


@pytest.mark.parametrize("repository", ["firmware", "jobs"])
async def test_what_does_not_exist_is_not_found(service: Service, repository: str) -> None:
    """The error names the identifier, the operation, the backend and the vendor's request."""
    with pytest.raises(NotFoundError) as caught:
        await getattr(service.backend, repository).get(NO_SUCH_ID)
    error = caught.value
    assert NO_SUCH_ID in str(error)
    assert (error.operation, error.backend, error.attempts) == (f"{repository}.get", service.backend.label, 1)
    assert error.request_id
    assert pickle.loads(pickle.dumps(error)).request_id == error.request_id  # noqa: S301 - our own bytes


@pytest.mark.parametrize("identifier", ["", " ", "a\nb", "a\x00b"])
async def test_identifiers_that_cannot_be_right(service: Service, identifier: str) -> None:
    """Nothing is sent for an identifier that no vendor can have given out."""
    with pytest.raises(InvalidQueryError):
        await service.backend.firmware.get(identifier)
    with pytest.raises(InvalidQueryError):
        await service.backend.jobs.get(identifier)
    assert service.requests == 0


@pytest.mark.parametrize("product", ["it's", 'say "hi"', "both ' and \"", "' or '1'='1", "a\nb"])
async def test_a_product_with_a_quote_finds_nothing_or_is_refused(service: Service, product: str) -> None:
    """A value can never turn into part of a query: it is matched as it is, or refused before any request."""
    try:
        found = await service.backend.devices.search(DeviceUpgradeQuery(products=[product])).collect(10)
    except InvalidQueryError as error:
        assert "product" in str(error)
        assert service.requests == 0
    else:
        assert found == ()


# --- the client ------------------------------------------------------------------------------------------------------


async def test_records_say_where_they_come_from(service: Service) -> None:
    """Every record carries the label of its client, and survives pickling."""
    for listing in (service.backend.devices.search(), service.backend.firmware.search(), service.backend.jobs.search()):
        (record,) = await listing.first(1)
        assert record.backend == service.backend.label == f"{service.name}-7"
        assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301 - our own bytes


async def test_a_backend_is_a_backend(service: Service) -> None:
    """The client offers what the protocol asks for, and shows no secret in its representation."""
    assert isinstance(service.backend, Backend)
    assert service.backend.name == service.name
    assert "secret" not in repr(service.backend).lower().replace("secret('***')", "")
    for capability in service.backend.capabilities:
        assert isinstance(capability, Capability)


async def test_one_call_is_one_request(service: Service) -> None:
    """After ``authenticate()``, without retries and limits, each call is exactly one request on the wire."""
    plain = service.backend.with_options(retry=RetryPolicy.none(), limits=Limits.unlimited())
    await plain.authenticate()
    assert service.requests == 0
    calls: list[Any] = [
        lambda: plain.firmware.get(service.firmware[0].firmware_id),
        lambda: plain.jobs.get(service.jobs[0].job_id),
        lambda: plain.devices.search().first(1),
    ]
    for number, call in enumerate(calls, start=1):
        await call()
        assert service.requests == number
    for fault in (503, 429, 404):
        service.emulator.faults.inject(status=fault)
        before = service.requests
        with pytest.raises(otaclient.OtaError):
            await plain.jobs.get(service.jobs[0].job_id)
        assert service.requests == before + 1


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_reads_survive_passing_faults(service: Service, status: int) -> None:
    """A read is repeated until the fault has passed, and counts how often it asked."""
    patient = service.backend.with_options(retry=QUICK)
    await patient.authenticate()
    service.emulator.faults.inject(times=2, status=status, headers={"Retry-After": "0"}, body=b"<html>busy</html>")
    page = await anext(patient.devices.search().pages())
    assert page.response.attempts == 3
    assert service.requests == 3


async def test_reads_survive_a_cut_connection(service: Service) -> None:
    """A connection cut before the answer is asked again."""
    patient = service.backend.with_options(retry=QUICK)
    await patient.authenticate()
    service.emulator.faults.drop("devices.search", times=2)
    assert len(await patient.devices.search().first(3)) == 3


@pytest.mark.parametrize("body", [b"", b"<html>login</html>", b'{"code": 0, "data": [', b"[]", b'"ok"', b"null", b"{}"])
async def test_a_good_status_with_a_bad_body_is_an_error(service: Service, body: bytes) -> None:
    """An answer that is not the documented one is never an empty list."""
    plain = service.backend.with_options(retry=RetryPolicy.none())
    await plain.authenticate()
    for listing in (plain.devices.search(), plain.firmware.search(), plain.jobs.search()):
        service.emulator.faults.inject(status=200, body=body)
        with pytest.raises(otaclient.PayloadError) as caught:
            await listing.first(1)
        assert (caught.value.status, caught.value.backend) == (200, plain.label)


async def test_redirects_are_errors(service: Service) -> None:
    """A redirect is not followed: the error says where to point the client."""
    service.emulator.faults.inject(status=302, headers={"Location": "https://elsewhere.example/login"})
    with pytest.raises(otaclient.OtaError, match=r"elsewhere\.example"):
        await service.backend.with_options(retry=RetryPolicy.none()).jobs.get(service.jobs[0].job_id)


async def test_closing_twice_and_using_after(service: Service) -> None:
    """Closing again does no harm; a closed client says that it is closed."""
    other = otaclient.open_backend(service.name, config=service.emulator.config())
    await other.aclose()
    await other.aclose()
    with pytest.raises(otaclient.TransportError, match="closed"):
        await other.with_options(retry=RetryPolicy.none()).devices.search().first(1)


# --- bulk ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("concurrency", [1, 8, 40])
async def test_a_scan_sees_every_device_once(service: Service, concurrency: int) -> None:
    """The bulk query gives what paging gives, with counts that match the requests on the wire."""
    targets = [(service.backend, DeviceUpgradeQuery())]
    async with otaclient.scan(targets, concurrency=concurrency) as running:
        found = [device async for device in running]
    assert by_id(found, "device_id") == by_id(service.devices, "device_id")
    certificate = running.certificate
    assert certificate.devices == 617
    assert certificate.requests == service.requests
    assert (certificate.verdict, certificate.repairs) == (Verdict.CERTIFIED, 0)


async def test_overlapping_targets_give_each_device_once(service: Service) -> None:
    """A device that two targets of one client list is yielded once."""
    product = service.devices[0].product_id or ""
    targets = [(service.backend, DeviceUpgradeQuery()), (service.backend, DeviceUpgradeQuery(products=[product]))]
    async with otaclient.scan(targets) as running:
        found = [device async for device in running]
    assert len(found) == len({device.device_id for device in found}) == 617
    assert running.certificate.duplicates >= sum(device.product_id == product for device in service.devices)
    assert running.certificate.verdict is Verdict.CERTIFIED


async def test_a_scan_counts_its_retries(service: Service) -> None:
    """Repeated requests show in the certificate."""
    patient = service.backend.with_options(retry=QUICK)
    await patient.authenticate()
    service.emulator.faults.inject(times=3, status=429, headers={"Retry-After": "0"})
    async with otaclient.scan([(patient, DeviceUpgradeQuery())], concurrency=1) as running:
        assert len([device async for device in running]) == 617
    certificate = running.certificate
    assert (certificate.retries, certificate.throttles, certificate.requests) == (3, 3, service.requests)


async def test_fetch_each_over_jobs_and_firmware(service: Service) -> None:
    """Bounded fan-out works over any call, and a missing key is an outcome."""
    keys = [*(job.job_id for job in service.jobs), NO_SUCH_ID]
    async with otaclient.fetch_each(keys, service.backend.jobs.get, concurrency=4) as outcomes:
        found = {outcome.key: outcome async for outcome in outcomes}
    assert set(found) == set(keys)
    assert isinstance(found[NO_SUCH_ID].error, NotFoundError)
    assert all(found[job.job_id].value for job in service.jobs)
    firmware = [record.firmware_id for record in service.firmware]
    async with otaclient.fetch_each(firmware, service.backend.firmware.get) as records:
        assert {record.unwrap().firmware_id async for record in records} == set(firmware)
