"""A transport that remembers what it saw: which address answered, and what time it is there."""

import attrs

from otaclient.errors import RequestNotSentError
from otaclient.transport.clock import Clock
from otaclient.transport.http import HttpRequest, HttpResponse, Sink, Transport
from otaclient.transport.skew import skew_seconds

__all__ = ["ObservingTransport", "Sighting"]


@attrs.define(kw_only=True)
class Sighting:
    """What was seen of one address."""

    endpoint: str
    answered: bool = False
    refusal: RequestNotSentError | None = None
    """Why nothing could be sent to it."""
    skew_seconds: float | None = None
    """How far the server's clock is ahead of this machine's; ``None`` where it sends no date."""


class ObservingTransport:
    """Sends through another transport, and keeps a :class:`Sighting` of each address."""

    def __init__(self, inner: Transport, clock: Clock) -> None:
        self._inner = inner
        self._clock = clock
        self.sightings: dict[str, Sighting] = {}

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send once; see :class:`~otaclient.transport.http.Transport`."""
        sighting = self.sightings.setdefault(endpoint, Sighting(endpoint=endpoint))
        before = self._clock.now()
        try:
            response = await self._inner.send(request, endpoint=endpoint, timeout_seconds=timeout_seconds)
        except RequestNotSentError as error:
            sighting.refusal = error
            raise
        sighting.answered = True
        # The server looked at its clock at some moment in between.
        sighting.skew_seconds = skew_seconds(response, before + (self._clock.now() - before) / 2)
        return response

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Fetch once, unobserved; see :class:`~otaclient.transport.http.Transport`."""
        return await self._inner.fetch(request, sink, endpoint=endpoint, idle_seconds=idle_seconds)

    async def aclose(self) -> None:
        """Release the connections."""
        await self._inner.aclose()
