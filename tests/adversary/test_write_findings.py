"""What the seeded runs of writes have found, each as one small test: it fails where the mend is taken out."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

import attrs
import pytest
from aiohttp import web

from otaclient import ConflictError, OutcomeUnknownError
from otaclient.errors import DeadlineExceededError, PayloadError
from otaclient.models import LocalizedText
from support.lost_answers import CommitFirst, CommitLater, CutAfterCommit
from support.write_laboratory import Laboratory, laboratory, simulate
from support.writes import NAME, new_job

_T = TypeVar("_T")

pytestmark = pytest.mark.blocks_loop("time is simulated, and what would run in threads runs at once")


def _in_laboratory(vendor: str, course: Callable[[Laboratory], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        async with laboratory(vendor) as lab:
            return await course(lab)

    running: Coroutine[Any, Any, _T] = run()
    return simulate(running)


@attrs.frozen
class Slow:
    """The service takes its time."""

    seconds: float

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        await asyncio.sleep(self.seconds)
        return None


def test_an_upload_that_is_carried_out_just_before_its_repeat_is_found() -> None:
    """Searches do not show it yet when the repeat is refused: they get their time once more."""

    async def course(lab: Laboratory) -> None:
        new, content = await lab.vendor.new_firmware("V9.7")
        late = CommitLater()
        faults = lab.vendor.emulator.faults
        faults.add(late, "firmware.create")
        faults.add(CommitFirst(late), "firmware.create")
        firmware_id = await lab.admin.firmware.create(new, content)
        assert (await lab.admin.firmware.get(firmware_id)).version == "V9.7"
        assert sum(each.version == "V9.7" for each in lab.vendor.emulator.fleet.firmware) == 1

    _in_laboratory("enos", course)


def test_without_time_for_another_search_it_stays_unclear() -> None:
    """That the repeat was refused does not say that nothing was done."""

    async def course(lab: Laboratory) -> None:
        new, content = await lab.vendor.new_firmware("V9.7")
        lab.vendor.emulator.faults.add(late := CommitLater(), "firmware.create")
        lab.vendor.emulator.faults.add(CommitFirst(late), "firmware.create")
        with pytest.raises(OutcomeUnknownError, match="left no time to look for it"):
            await lab.admin.with_options(timeout_seconds=3.0).firmware.create(new, content)

    _in_laboratory("enos", course)


def test_without_time_to_read_the_tasks_it_stays_unclear() -> None:
    """The same for what is done to devices."""

    async def course(lab: Laboratory) -> None:
        job_id, new = await new_job(lab.vendor)
        lab.vendor.emulator.faults.add(CutAfterCommit(), "jobs.cancel_tasks")
        with pytest.raises(OutcomeUnknownError, match="left no time to read the tasks"):
            await lab.admin.with_options(timeout_seconds=1.9).jobs.cancel_tasks(job_id, new.scope.devices[:2])

    _in_laboratory("enos", course)


def test_a_version_that_exists_and_cannot_be_found_leaves_it_unclear() -> None:
    """Searches may lag longer than documented: then it is not said that nothing was created."""

    async def course(lab: Laboratory) -> None:
        new, content = await lab.vendor.new_firmware("V9.7")
        emulator = lab.vendor.emulator
        emulator.read_lag_seconds = 60.0
        emulator.faults.add(CutAfterCommit(), "firmware.create")
        with pytest.raises(OutcomeUnknownError, match="searches do not show it"):
            await lab.admin.firmware.create(new, content)

    _in_laboratory("enos", course)


def test_a_name_that_another_firmware_has_is_a_conflict() -> None:
    """Also where that is learned by a repeat: the version itself is not there."""

    async def course(lab: Laboratory) -> None:
        new, content = await lab.vendor.new_firmware("V9.7")
        await lab.admin.firmware.create(new, content)
        lab.vendor.emulator.faults.drop("firmware.create")
        with pytest.raises(ConflictError) as caught:
            await lab.admin.firmware.create(attrs.evolve(new, version="V9.8"), content)
        assert caught.value.vendor_code == "24602"

    _in_laboratory("enos", course)


def test_the_check_of_an_upload_ends_by_the_deadline_of_the_whole() -> None:
    """It has no time of its own."""

    async def course(lab: Laboratory) -> None:
        new, content = await lab.vendor.new_firmware("V9.7")
        faults = lab.vendor.emulator.faults
        faults.add(Slow(8.0), "firmware.create")
        faults.add(Slow(8.0), "firmware.get")
        began = lab.loop.time()
        with pytest.raises(OutcomeUnknownError, match="was created, but whether it was stored whole"):
            await lab.admin.with_options(timeout_seconds=10.0).firmware.create(new, content)
        assert lab.loop.time() - began == pytest.approx(10.0)

    _in_laboratory("enos", course)


def test_a_firmware_that_is_not_there_yet_is_not_waited_for_beyond_the_deadline() -> None:
    """The lag is not waited out where there is no time for it."""

    async def course(lab: Laboratory) -> None:
        new, content = await lab.vendor.new_firmware("V9.7")
        lab.vendor.emulator.faults.inject("firmware.get", status=200, body=b'{"code":24404,"msg":"Firmware not found"}')
        began = lab.loop.time()
        with pytest.raises(OutcomeUnknownError, match="whether it was stored whole"):
            await lab.admin.with_options(timeout_seconds=1.0).firmware.create(new, content)
        assert lab.loop.time() == began

    _in_laboratory("enos", course)


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
def test_nonsense_of_the_token_service_is_no_unclear_write(vendor: str) -> None:
    """Nothing was sent, and the error says what it is about."""

    async def course(lab: Laboratory) -> None:
        new, _, _ = await lab.vendor.new_job(3, name=LocalizedText(default=NAME))
        emulator = lab.vendor.emulator
        config = emulator.config() if vendor == "enos" else emulator.config(auth="password")
        async with lab.opened(config) as client:
            emulator.faults.inject("token.get", status=200, body=b"{}", times=None)
            with pytest.raises(PayloadError) as caught:
                await client.jobs.create(new, **({} if vendor == "enos" else {"firmware_kind": "firmware"}))  # type: ignore[arg-type]
        assert caught.value.operation == "authenticate"
        assert not emulator.served["jobs.create"]

    _in_laboratory(vendor, course)


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
def test_a_good_answer_without_an_identifier_leaves_it_unclear(vendor: str) -> None:
    """Also where nothing can be looked for: the job may well be there."""

    async def course(lab: Laboratory) -> None:
        new, _, _ = await lab.vendor.new_job(3, name=LocalizedText(default=NAME))
        lab.vendor.emulator.faults.inject("jobs.create", status=200, body=b'{"code":0}')
        jobs: Any = lab.admin.jobs
        with pytest.raises(OutcomeUnknownError, match="look for its name"):
            await jobs.create(new, fingerprint=False)

    _in_laboratory(vendor, course)


@pytest.mark.parametrize("vendor", ["enos", "iotda"])
def test_a_call_waits_for_another_with_its_key_no_longer_than_it_may(vendor: str) -> None:
    """And sends nothing then; the other goes on, and one that waits long enough finds its job."""

    async def course(lab: Laboratory) -> None:
        new, _, _ = await lab.vendor.new_job(3, name=LocalizedText(default=NAME))
        emulator = lab.vendor.emulator
        emulator.faults.add(Slow(20.0), "jobs.create")
        first = asyncio.ensure_future(lab.admin.jobs.create(new, idempotency_key="k"))
        await asyncio.sleep(5.0)
        began = lab.loop.time()
        third = asyncio.ensure_future(lab.admin.jobs.create(new, idempotency_key="k"))
        with pytest.raises(DeadlineExceededError, match="another call with this idempotency_key") as caught:
            await lab.admin.with_options(timeout_seconds=4.0).jobs.create(new, idempotency_key="k")
        assert lab.loop.time() - began == pytest.approx(4.0)
        assert (caught.value.operation, caught.value.backend) == ("jobs.create", "admin")
        assert await first == await third
        assert emulator.served["jobs.create"] == 1

    _in_laboratory(vendor, course)
