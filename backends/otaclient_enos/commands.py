"""Carrying out what starts, stops, deletes, cancels and tries again, until what became of it is known."""

from collections.abc import Callable, Sequence

import attrs

from otaclient.errors import ApiError, DeadlineExceededError
from otaclient.models import DeviceTask, JobId
from otaclient.queries import DeviceTaskQuery
from otaclient.reads import ReadSource
from otaclient.reconcile import Write, walk
from otaclient.transport.http import HttpRequest
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_enos.account import Account
from otaclient_enos.effects import SAYS_DONE, TASKS_TELL, are_done

__all__ = ["carry_out"]


async def carry_out(
    account: Account, request: HttpRequest, *, job_id: str = "", device_keys: Sequence[str] = ()
) -> None:
    """Send a command, and after an unclear answer again: the vendor refuses what is done already.

    Args:
        account: Whose it is.
        request: The request.
        job_id: The job, for what is done to some of its devices.
        device_keys: Those devices.

    Raises:
        OutcomeUnknownError: It may or may not have been done.
        OtaError: It was not done.
    """
    deadline = account.session.deadline()

    async def send(retry: RetryPolicy) -> bool:
        await account.write(request, deadline=deadline, retry=retry)
        return True

    async def took_effect(refusal: ApiError) -> bool | None:
        if refusal.vendor_code in SAYS_DONE.get(request.operation, ()):
            return True
        if refusal.vendor_code not in TASKS_TELL.get(request.operation, ()):
            return None
        # An earlier request may have been carried out only now, so that searches need their time from now on.
        if not await account.lag.settle_by(deadline, least_seconds=account.lag.seconds):
            raise DeadlineExceededError("timeout_seconds left no time to read the tasks")
        query = DeviceTaskQuery(job_id=JobId(job_id), devices=tuple(device_keys))
        tasks = [task async for task in walk(_tasks(account, query), session=account.session, deadline=deadline)]
        return are_done(request.operation, tasks, device_keys) or None

    await Write(
        request=request,
        session=account.session,
        lag=account.lag,
        deadline=deadline,
        send=send,
        repeats=True,
        took_effect=took_effect,
    ).carry_out()


def _tasks(account: Account, query: DeviceTaskQuery) -> Callable[[Session], ReadSource[DeviceTask]]:
    return lambda session: attrs.evolve(account, session=session).tasks(query)
