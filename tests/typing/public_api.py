"""Public calls as users write them, for mypy and pyright to check: this file is read by type checkers and never run."""

from datetime import UTC, datetime
from typing import assert_type

import aiohttp

import otaclient
from otaclient import (
    Backend,
    Capability,
    DeviceTask,
    DeviceTaskQuery,
    DeviceUpgrade,
    DeviceUpgradeQuery,
    Firmware,
    FirmwareId,
    FirmwareQuery,
    Job,
    JobId,
    JobProgress,
    JobQuery,
    JobScope,
    JobStatus,
    Limits,
    LocalizedText,
    NewFirmware,
    NewJob,
    Outcome,
    Page,
    Paged,
    RetryPolicy,
    Scan,
    TransportOptions,
)
from otaclient_enos import EnosBackend, EnosConfig
from otaclient_iotda import (
    AkSkCredentials,
    DeviceSearchResult,
    IotdaBackend,
    IotdaConfig,
    OtaModule,
    PasswordCredentials,
    TargetOutcome,
    TokenCredentials,
)


async def open_clients(session: aiohttp.ClientSession) -> None:
    """Open clients in every way there is."""
    async with otaclient.open_backend("enos", profile="plant-7") as enos:
        assert_type(enos, Backend)
        assert_type(enos.with_options(timeout_seconds=5, retry=RetryPolicy.none(), limits=Limits.unlimited()), Backend)
        await enos.authenticate()
    config = EnosConfig(endpoint="https://apim.example", org_id="o1", app_key="k", app_secret="s")
    async with EnosBackend.open(config, label="plant", session=session, transport=TransportOptions()) as typed:
        assert_type(typed, EnosBackend)
        assert_type(typed.with_options(owner_id="o2"), EnosBackend)
    for credentials in (
        AkSkCredentials(access_key="a", secret_key="s", security_token=None, region="cn-north-4", derived=True),
        PasswordCredentials(iam_endpoint="https://iam.example", username="u", password="p", domain="d", project="x"),
        TokenCredentials(token="t"),
    ):
        async with IotdaBackend.open(
            IotdaConfig(endpoint="https://iotda.example", project_id="p", credentials=credentials)
        ) as iotda:
            assert_type(iotda, IotdaBackend)
            assert_type(await iotda.confirm_job("65d31bf2581ed33a42a58d76", ["d1"]), tuple[TargetOutcome, ...])
            assert_type(await iotda.search_devices("select * from device"), DeviceSearchResult)
            assert_type(await iotda.modules.get("m"), OtaModule)


async def write(backend: Backend, content: bytes) -> None:
    """Create, follow, end."""
    firmware_id = await backend.firmware.create(NewFirmware(version="2.0", product_id="p"), content)
    assert_type(firmware_id, FirmwareId)
    new = NewJob(name=LocalizedText(default="n"), firmware_ids=(firmware_id,), scope=JobScope(devices=("d",)))
    job_id = await backend.jobs.create(new)
    assert_type(job_id, JobId)
    async for progress in backend.jobs.watch(job_id, interval_seconds=5):
        assert_type(progress, JobProgress)
    assert_type(await backend.jobs.wait(job_id, timeout_seconds=60), JobProgress)
    async for task in backend.jobs.tasks(DeviceTaskQuery(job_id=job_id, statuses=["failed"])):
        assert_type(task, DeviceTask)
        await backend.jobs.retry_tasks(job_id, [task])
    await backend.jobs.cancel_tasks(job_id, ["d"])


async def read(backend: Backend) -> None:
    """Read one, some, all, pages."""
    assert_type(await backend.firmware.get("5ed0dd4a646542001b3d113f"), Firmware)
    assert_type(backend.jobs.search(JobQuery(products=["a"], status="running")), Paged[Job])
    assert_type(await backend.jobs.search(JobQuery(status=JobStatus.STOPPED)).first(3), tuple[Job, ...])
    assert_type(await backend.firmware.search(FirmwareQuery(kinds=["firmware"])).collect(10), tuple[Firmware, ...])
    async for device in backend.devices.search(DeviceUpgradeQuery(products={"a", "b"}, versions=("1", "2"))):
        assert_type(device, DeviceUpgrade)
        assert_type(device.upgrading, bool | None)
    async for page in backend.devices.search().pages(cursor=None, page_size=50, settled=True):
        assert_type(page, Page[DeviceUpgrade])
        assert_type(page.cursor, str | None)
    assert_type(Capability.DEVICES_GET in backend.capabilities, bool)
    DeviceUpgradeQuery(registered_after=datetime(2026, 1, 1, tzinfo=UTC))


async def read_in_bulk(one: Backend, two: Backend) -> None:
    """Scan and fan out."""
    targets = [(one, DeviceUpgradeQuery()), (two, DeviceUpgradeQuery(products=["a"]))]
    async with otaclient.scan(targets, concurrency=8, on_error="collect", dedupe="neighbours") as scan:
        assert_type(scan, Scan[DeviceUpgrade])
        assert_type(await scan.explain(), str)
        async for device in scan:
            assert_type(device, DeviceUpgrade)
    assert_type(scan.certificate.devices, int)
    assert_type(otaclient.scan([(one, DeviceTaskQuery(job_id=JobId("j")))]), Scan[DeviceTask])
    async with otaclient.fetch_each([JobId("j")], one.jobs.get, concurrency=4) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, Outcome[JobId, Job])
            assert_type(outcome.unwrap(), Job)
