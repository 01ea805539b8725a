"""Creating a job once, and finding it again: by the fingerprint that the vendor keeps in its name."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs

from otaclient.errors import ConflictError, DeadlineExceededError, InvalidQueryError, OtaError
from otaclient.models import Job, JobId, JobKind, NewJob
from otaclient.reads import ReadSource, Rows
from otaclient.reconcile import walk
from otaclient.session_account import Parser, SessionAccount
from otaclient.transport.http import HttpRequest

__all__ = ["JobCreation", "differences"]

_log = logging.getLogger(__name__)

OPERATION: Final = "jobs.create"
LARGEST_SKEW: Final = timedelta(days=1)
"""By how much the vendor's clock may differ from ours: a job that was created longer before the call was not by it."""
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@attrs.frozen(kw_only=True)
class JobCreation:
    """One call of ``jobs.create``: sends at most one request that may take effect, and looks for the job.

    Neither vendor refuses a second job of the same name. So a request whose answer is lost is never repeated: it is
    waited out, the job is looked for, and adopted where it is found.
    """

    account: SessionAccount
    """That of one call, see :meth:`~otaclient.session_account.SessionAccount.for_one_call`."""
    job: NewJob
    fingerprint: str | None
    keyed: bool
    """Whether the fingerprint is that of a caller's key: then it may have been used before."""
    reads: Callable[[str], ReadSource[Job]]
    """Makes the raw reads of jobs among which one with a fingerprint is."""
    fingerprint_in: Callable[[Job], str | None]
    """Returns the fingerprint in a job's name at the vendor."""

    async def create(self, build: Callable[[], Awaitable[HttpRequest]], parse: Parser[JobId]) -> JobId:
        """Return the job that was created with the same key before, or else create it.

        Args:
            build: Makes the request that creates it, after what has to be read for that.
            parse: Returns the identifier in the answer.

        Raises:
            ConflictError: The key belongs to a job that was created from something else; says what differs.
            OutcomeUnknownError: It may or may not have been created, or may still be.
        """
        async with self._turn():
            if (existing := await self.existing()) is not None:
                return existing
            request, began = await build(), self.account.session.clock.now()

            async def look() -> JobId | None:
                return await self._found(since=began)

            return await self.account.carry_out(
                request, parse, look=None if self.fingerprint is None else look, fingerprint=self.fingerprint
            )

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None]:
        """Keep other calls with the same key waiting, which would not see each other's job.

        Raises:
            DeadlineExceededError: Another call with the same key lasts longer than there is time.
        """
        if not self.keyed or self.fingerprint is None:
            yield
            return
        deadline = self.account.session.deadline()
        async with self.account.lag.turn(self.fingerprint, deadline=deadline) as is_ours:
            if not is_ours:
                raise DeadlineExceededError(
                    "timeout_seconds ran out while another call with this idempotency_key was under way; nothing was "
                    "sent",
                    operation=OPERATION,
                    backend=self.account.label,
                )
            yield

    async def existing(self) -> JobId | None:
        """Return the job that was created with the same key before; ``None`` without one, or without a key.

        Raises:
            ConflictError: It was created from something else; says what differs.
            DeadlineExceededError: Searches may not yet show what this program wrote just before.
            InvalidQueryError: The client is one for load tests, which neither waits nor looks.
        """
        if not self.keyed:
            return None
        account = self.account
        try:
            if not account.session.limiter.waits:
                raise InvalidQueryError(
                    "idempotency_key is given, for which earlier jobs are looked through, and a client for load tests "
                    "makes one request a call: leave it out; nothing was sent"
                )
            if not await account.lag.settle_by(account.session.deadline(), since_before=True):
                raise DeadlineExceededError(
                    f"searches may lag {account.lag.seconds:g} s behind an earlier creation with this idempotency_key, "
                    "and timeout_seconds ends before; nothing was sent"
                )
            return await self._found(since=None)
        except OtaError as error:
            error.operation = OPERATION
            raise

    async def _found(self, *, since: datetime | None) -> JobId | None:
        """Return the oldest job with the fingerprint.

        An earlier call with the same key may have been carried out after this one had looked: then there are two, and
        the older is the one that other callers may know.
        """
        assert self.fingerprint is not None  # what has none is not looked for
        oldest_wanted = None if since is None else since - LARGEST_SKEW

        def enough(rows: Rows[Job]) -> bool:
            return oldest_wanted is not None and any((job.created_at or _NEVER) < oldest_wanted for job in rows.good)

        found: list[Job] = []
        try:
            async for job in walk(self.reads(self.fingerprint), enough=enough):
                found += [job] if self.fingerprint_in(job) == self.fingerprint else []
        except OtaError:
            if not found:
                raise
        if not found:
            return None
        oldest, *others = sorted(found, key=lambda job: (job.created_at or _NEVER, job.job_id))
        if others:
            _log.warning(
                "%s: %d jobs have the fingerprint %s: took the oldest, %r, and left %s",
                self.account.label,
                len(found),
                self.fingerprint,
                oldest.job_id,
                ", ".join(repr(job.job_id) for job in others),
            )
        self._check_same(oldest)
        return oldest.job_id

    def _check_same(self, found: Job) -> None:
        # A random fingerprint has one owner only: what differs then is how the vendor shows it.
        if self.keyed and (listed := differences(self.job, found)):
            raise ConflictError(
                f"this idempotency_key belongs to job {found.job_id!r}, which was created from something else: "
                f"{'; '.join(listed)}; use another key for another job",
                operation=OPERATION,
                backend=self.account.label,
            )


def differences(new: NewJob, found: Job) -> list[str]:
    """Return in what a job differs from what it is to be created from, in words, as far as the vendor shows it.

    The policy is not compared, of which vendors show little, nor are asset trees, whose form is not documented.
    """
    pairs: list[tuple[str, Any, Any]] = [
        ("kind", new.kind, None if found.kind is JobKind.UNKNOWN else found.kind),
        ("name", new.name, found.name),
        ("firmware_ids", set(new.firmware_ids), set(found.firmware_ids) or None),
    ]
    if found.scope is not None:
        wanted, shown = new.scope, found.scope
        pairs += [
            ("scope.everything", wanted.everything, shown.everything),
            ("scope.devices", set(wanted.devices), set(shown.devices)),
            ("scope.source_versions", set(wanted.source_versions), set(shown.source_versions)),
            ("scope.groups", set(wanted.groups), set(shown.groups)),
            ("scope.tags", _values(wanted.tags), _values(shown.tags)),
            ("scope.attributes", _values(wanted.attributes), _values(shown.attributes)),
        ]
    return [
        f"{name} is {_shown(there)} there and {_shown(here)} here"
        for name, here, there in pairs
        if there is not None and here != there
    ]


def _values(conditions: Mapping[str, Any]) -> dict[str, set[str]]:
    # Numbers come back as numbers or as texts.
    return {name: {str(value) for value in values} for name, values in conditions.items()}


_LISTED: Final = 5


def _shown(value: Any) -> str:
    if isinstance(value, set):
        texts = sorted(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
        more = f" and {len(texts) - _LISTED} more" if len(texts) > _LISTED else ""
        return (", ".join(map(repr, texts[:_LISTED])) or "empty") + more
    return repr(str(value))
