"""Carrying out what starts, stops, deletes, cancels and tries again, until what became of it is known."""

from collections.abc import Sequence

from otaclient.errors import ApiError
from otaclient.models import JobId
from otaclient.queries import DeviceTaskQuery
from otaclient.reconcile import walk
from otaclient.transport.http import HttpRequest
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
    account = account.for_one_call()

    async def took_effect(refusal: ApiError) -> bool:
        if refusal.vendor_code in SAYS_DONE.get(request.operation, ()):
            return True
        if refusal.vendor_code not in TASKS_TELL.get(request.operation, ()):
            return False
        await account.settle_anew("read the tasks")
        query = DeviceTaskQuery(job_id=JobId(job_id), devices=tuple(device_keys))
        tasks = [task async for task in walk(account.tasks(query))]
        return are_done(request.operation, tasks, device_keys)

    await account.command(request, took_effect)
