"""Carrying out what stops, confirms, tries again and deletes, until what became of it is known."""

from collections.abc import Sequence
from typing import Final

import attrs

from otaclient.errors import ApiError, NotFoundError, OtaError
from otaclient.models import DeviceId, DeviceTask, JobId
from otaclient.protocols import DeviceReference
from otaclient.queries import DeviceTaskQuery
from otaclient.reads import Rows
from otaclient.reconcile import Write, walk
from otaclient.transport.http import HttpRequest
from otaclient.transport.retry import RetryPolicy
from otaclient_iotda import requests
from otaclient_iotda.account import Account
from otaclient_iotda.effects import is_done, is_done_to
from otaclient_iotda.mapping import job_from
from otaclient_iotda.records import TargetOutcome
from otaclient_iotda.responses import parse_targets, parse_task
from otaclient_iotda.tasks import device_ids_of, in_parts, interrupted, outcomes_from
from otaclient_iotda.write_requests import Deed, act_on_task

__all__ = ["act", "act_on_some", "carry_out"]

_PURPOSE: Final = "read how things stand"


async def carry_out(account: Account, request: HttpRequest) -> None:
    """Send a deletion, and after an unclear answer again: what is not there any more was deleted.

    Raises:
        OutcomeUnknownError: It may or may not have been deleted.
        OtaError: It was not deleted.
    """

    async def is_gone(refusal: ApiError) -> bool:
        return isinstance(refusal, NotFoundError)

    await account.for_one_call().command(request, is_gone)


async def act(
    account: Account, deed: Deed, job_id: str, targets: Sequence[DeviceId] | None, *, operation: str
) -> tuple[TargetOutcome, ...]:
    """Stop, confirm or retry a job or some devices of it, and return what became of each device.

    After an unclear answer the request goes out again: the vendor refuses what is done already.

    Args:
        account: Whose job it is.
        deed: Which of them.
        job_id: The job.
        targets: The devices; ``None`` for all.
        operation: The public operation.

    Raises:
        OutcomeUnknownError: It may or may not have been done.
        OtaError: It was not done.
    """
    request = account.build(operation, act_on_task, account.project_id, deed, job_id, targets, operation=operation)
    command = _Command(account=account.for_one_call(), request=request, deed=deed, job_id=job_id, targets=targets)
    return await command.carry_out()


@attrs.define(kw_only=True)
class _Command:
    account: Account
    request: HttpRequest
    deed: Deed
    job_id: str
    targets: Sequence[DeviceId] | None
    _rounds: int = attrs.field(default=0, init=False)

    async def carry_out(self) -> tuple[TargetOutcome, ...]:
        account = self.account
        write = Write(
            request=self.request,
            session=account.session,
            lag=account.lag,
            send=self._send,
            repeats=True,
            took_effect=self._took_effect,
        )
        return await write.carry_out()

    async def _send(self, retry: RetryPolicy) -> tuple[TargetOutcome, ...]:
        account = self.account
        self._rounds += 1
        response = await account.write(self.request, retry=retry)
        outcomes = outcomes_from(account.parse(self.request, response, parse_targets), self.targets or ())
        refused = [outcome.device_id for outcome in outcomes if not outcome.accepted]
        if self._rounds == 1 or not refused:
            return outcomes
        # An earlier request may have done it, after which the vendor refuses to do it again.
        done = await self._done_to(refused)
        return tuple(_accepted(each.device_id) if each.device_id in done else each for each in outcomes)

    async def _took_effect(self, refusal: ApiError) -> tuple[TargetOutcome, ...] | None:
        if isinstance(refusal, NotFoundError):
            return None
        if self.targets is not None:
            done = await self._done_to(self.targets)
            return tuple(map(_accepted, self.targets)) if done == set(self.targets) else None
        account = self.account
        await account.settle_anew(_PURPOSE)
        request = account.build(self.request.operation, requests.get_task, account.project_id, self.job_id)
        response = await account.session.call(request)
        job = job_from(account.parse(request, response, parse_task), backend=account.label)
        return () if is_done(self.deed, job.status) else None

    async def _done_to(self, devices: Sequence[DeviceId]) -> set[DeviceId]:
        """Return the devices to which it was done, by how their targets stand now."""
        wanted = set(devices)
        await self.account.settle_anew(_PURPOSE)
        query = DeviceTaskQuery(job_id=JobId(self.job_id), devices=tuple(devices))
        seen: set[DeviceId] = set()
        done: set[DeviceId] = set()

        def enough(rows: Rows[DeviceTask]) -> bool:
            return wanted <= seen | {task.device_id for task in rows.good}

        async for task in walk(self.account.tasks(query), enough=enough):
            if task.device_id in wanted:
                seen.add(task.device_id)
                done |= {task.device_id} if is_done_to(self.deed, task.status) else set()
        return done


def _accepted(device_id: DeviceId) -> TargetOutcome:
    return TargetOutcome(device_id=device_id, accepted=True)


async def act_on_some(
    account: Account, deed: Deed, job_id: str, devices: Sequence[DeviceReference], *, operation: str
) -> tuple[TargetOutcome, ...]:
    """Return what was said of each device, after all parts of the list were sent.

    Raises:
        InvalidQueryError: There is no device in the list, or one that cannot be right; nothing was sent.
        OtaError: A part was refused, or what became of it is not known; says how far it came.
    """
    device_ids = account.build(operation, device_ids_of, devices, job_id=job_id)
    account = account.for_one_call()
    outcomes: tuple[TargetOutcome, ...] = ()
    asked = 0
    for part in in_parts(device_ids):
        asked += len(part)
        try:
            outcomes += await act(account, deed, job_id, part, operation=operation)
        except OtaError as error:
            if outcomes:
                said = interrupted(outcomes, asked=asked, total=len(device_ids))
                error.message = f"{error.message}; {said}"
            raise
    return outcomes
