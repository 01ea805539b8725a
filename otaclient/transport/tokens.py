"""One token for all callers: fetched once however many ask, renewed before it expires, never twice for one death."""

import copy
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import anyio
import attrs

from otaclient.errors import DeadlineExceededError, OtaError
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

    text: str = attrs.field(repr=False)
    obtained_at: datetime
    expires_at: datetime | None
    """``None``: for ever, as far as is known."""
    _fresh_until: datetime | None = attrs.field(
        default=attrs.Factory(_fresh_until, takes_self=True), init=False, eq=False, repr=False
    )

    def is_fresh(self, now: datetime) -> bool:
        """Tell whether it can still be used without a thought of renewal."""
        return self._fresh_until is None or now < self._fresh_until


class TokenCache:
    """Hands out one token; a single flight renews it, whatever the number of callers.

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
        self._lock: anyio.Lock | None = None
        self._landed = 0
        self._last_failure: tuple[int, OtaError] | None = None

    async def get(self, *, deadline: float) -> str:
        """Return a token that is fresh.

        Raises:
            OtaError: The token service refused or failed; all who waited for that flight get the same answer.
            DeadlineExceededError: ``deadline`` passed while another caller's flight was under way.
        """
        token = self._token
        if token is not None and token.is_fresh(self._clock.now()):
            return token.text
        if self._lock is None:
            self._lock = anyio.Lock()
        asked_after = self._landed
        with anyio.move_on_after(deadline - self._clock.monotonic()):
            async with self._lock:
                return await self._get_in_turn(asked_after, deadline)
        raise DeadlineExceededError("timeout_seconds ran out while waiting for an access token")

    def invalidate(self, text: str) -> None:
        """Declare a token dead. A late report about an earlier token changes nothing."""
        if self._token is not None and self._token.text == text:
            self._token = None

    async def _get_in_turn(self, asked_after: int, deadline: float) -> str:
        token = self._token
        if token is not None and token.is_fresh(self._clock.now()):
            return token.text
        if self._last_failure is not None and self._last_failure[0] > asked_after:
            # The flight that this caller waited for has failed: its answer is this caller's too. Asking again, once for
            # each of a thousand waiters, would hammer a service that is in trouble.
            raise copy.copy(self._last_failure[1]) from self._last_failure[1]
        try:
            self._token = await self._fetch(token, deadline)
        except DeadlineExceededError:
            raise  # the leader's own time ran out, which says nothing about the next caller's
        except OtaError as error:
            self._landed += 1
            self._last_failure = (self._landed, error)
            raise
        self._landed += 1
        if self._on_renewed is not None:
            self._on_renewed()
        return self._token.text
