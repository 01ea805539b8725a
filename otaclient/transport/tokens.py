"""One token for all callers: fetched once however many ask, renewed before it expires, never twice for one death."""

import copy
import math
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import anyio
import attrs

from otaclient.errors import DeadlineExceededError, OtaError
from otaclient.secret import Revealed
from otaclient.transport.clock import Clock

__all__ = ["Token", "TokenCache"]

# A token is renewed this long before its end, or after nine tenths of its life if that is later.
_MARGIN = timedelta(minutes=5)
_LEAST_SHARE_OF_LIFE = 0.9


def _fresh_until(token: "Token") -> datetime | None:
    if token.expires_at is None:
        return None
    life = token.expires_at - token.obtained_at
    return max(token.expires_at - _MARGIN, token.obtained_at + _LEAST_SHARE_OF_LIFE * life)


@attrs.frozen(kw_only=True)
class Token:
    """An access token and its life span."""

    text: str = attrs.field(repr=False, converter=Revealed)
    obtained_at: datetime
    expires_at: datetime | None
    """``None``: for ever, as far as is known."""
    _fresh_until: datetime | None = attrs.field(
        default=attrs.Factory(_fresh_until, takes_self=True), init=False, eq=False, repr=False
    )

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether it can still be used without a thought of renewal."""
        return self._fresh_until is None or now < self._fresh_until


@attrs.define(eq=False)
class _Waiter:
    """A caller that waits for the flight of another one, and what it is told in the end."""

    deadline: float
    told: anyio.Event = attrs.field(factory=anyio.Event)
    token: Token | None = None
    failure: Exception | None = None
    """With neither of them, it leads the next flight."""


class TokenCache:
    """Hands out one token; a single flight renews it, whatever the number of callers.

    The caller that leads the flight may give up, or have less time than others. Then the one with the most time leads
    the next: it is the likeliest to bring it to an end, so that a service which does not answer is asked seldom.

    Args:
        fetch: Gets a new token; it is given the old one where there is one that was not declared dead. It gets
            the deadline of the caller that leads the flight, in seconds of the clock's ``monotonic``.
        clock: Tells whether a token is still fresh.
        on_renewed: Called after each successful fetch.
    """

    def __init__(
        self,
        fetch: Callable[[Token | None, float], Awaitable[Token]],
        clock: Clock,
        *,
        on_renewed: Callable[[], None] | None = None,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._on_renewed = on_renewed
        self._token: Token | None = None
        self._is_flying = False
        self._waiting: dict[_Waiter, None] = {}
        self._not_before = -math.inf

    @property
    def current(self) -> Token | None:
        """The token that was fetched last, fresh or not; ``None`` where there is none, or it was declared dead."""
        return self._token

    async def get(self, *, deadline: float) -> Token:
        """Return a token that is fresh.

        Raises:
            OtaError: The token service refused or failed; all who waited for that flight get the same answer.
            DeadlineExceededError: ``deadline`` passed before there was a token, or would pass during a pause that the
                token service asked for.
        """
        token = self._token
        if token is not None and token.is_fresh(self._clock.now()):
            return token
        if not self._is_flying:
            return await self._lead(deadline)
        waiter = _Waiter(deadline)
        await self._wait(waiter)
        if waiter.token is not None:
            return waiter.token
        if waiter.failure is not None:
            # Not from the failure itself: its traceback goes through the frames of the caller that led.
            raise _own(waiter.failure) from waiter.failure.__cause__
        return await self._lead(deadline)

    def invalidate(self, token: Token) -> None:
        """Declare a token dead. A late report about an earlier one changes nothing, also where both are the same text.

        A service may hand out a token again that a gateway has refused; so it is the fetch that counts.
        """
        if self._token is token:
            self._token = None

    async def _wait(self, waiter: _Waiter) -> None:
        """Wait until the flight has landed, or for the turn to lead the next one."""
        self._waiting[waiter] = None
        try:
            with anyio.move_on_after(waiter.deadline - self._clock.monotonic()):
                await waiter.told.wait()
        except BaseException:
            self._leave(waiter)
            raise
        if not waiter.told.is_set():
            self._leave(waiter)
            raise _out_of_time()

    def _leave(self, waiter: _Waiter) -> None:
        if not waiter.told.is_set():
            del self._waiting[waiter]
        elif waiter.token is None and waiter.failure is None:  # it was to lead, and gave up in just that moment
            self._hand_over()

    async def _lead(self, deadline: float) -> Token:
        self._is_flying = True
        try:
            token = self._token = await self._fetched(deadline)
        except DeadlineExceededError as error:
            # It says nothing about those who have more time; the others are no better off.
            self._note_pause(error)
            self._tell([waiter for waiter in self._waiting if waiter.deadline <= deadline], failure=error)
            self._hand_over()
            raise
        except Exception as error:
            # Asking again, once for each of a thousand waiters, would hammer a service that is in trouble.
            self._note_pause(error)
            self._tell(list(self._waiting), failure=error)
            self._is_flying = False
            raise
        except BaseException:
            self._hand_over()
            raise
        self._tell(list(self._waiting), token=token)
        self._is_flying = False
        if self._on_renewed is not None:
            self._on_renewed()
        return token

    async def _fetched(self, deadline: float) -> Token:
        with anyio.move_on_after(deadline - self._clock.monotonic()):
            pause = self._not_before - self._clock.monotonic()
            if self._not_before > deadline:
                raise DeadlineExceededError(
                    f"the token service asked for a pause, which ends in {pause:.1f} s, beyond timeout_seconds",
                    retry_after_seconds=pause,
                )
            if pause > 0:
                await self._clock.sleep(pause)
            return await self._fetch(self._token, deadline)
        raise _out_of_time()

    def _note_pause(self, error: Exception) -> None:
        advised: float | None = getattr(error, "retry_after_seconds", None)
        if advised is not None:
            self._not_before = max(self._not_before, self._clock.monotonic() + advised)

    def _hand_over(self) -> None:
        """Let the waiter with the most time lead the next flight."""
        self._is_flying = bool(self._waiting)
        if self._is_flying:
            self._tell([max(self._waiting, key=lambda waiter: waiter.deadline)])

    def _tell(self, waiters: list[_Waiter], *, token: Token | None = None, failure: Exception | None = None) -> None:
        for waiter in waiters:
            del self._waiting[waiter]
            waiter.token, waiter.failure = token, failure
            waiter.told.set()


def _own(failure: Exception) -> Exception:
    """Return a failure for another caller: an error of its own, which may be filled in."""
    return copy.copy(failure) if isinstance(failure, OtaError) else failure


def _out_of_time() -> DeadlineExceededError:
    return DeadlineExceededError("timeout_seconds ran out while waiting for an access token")
