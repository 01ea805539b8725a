"""A network between the client and an emulator that reorders, repeats and falsifies answers, by a seed."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import attrs
import msgspec
import pytest

from otaclient.emulator import Fleet
from otaclient.protocols import Backend
from otaclient.registry import backend_plugin, emulator_class
from otaclient.testing import HandClock
from otaclient.transport.aiohttp_transport import AiohttpTransport
from otaclient.transport.http import HttpRequest, HttpResponse, Sink
from otaclient.transport.options import TransportOptions
from otaclient.transport.session import Session
from otaclient_enos.emulator import firmware as enos_searches
from otaclient_enos.emulator.requests import Page, search_of
from otaclient_iotda.emulator import devices as iotda_searches
from otaclient_iotda.emulator.filters import device_filter

SEARCH = "devices.search"
# Until a client has asked for all that it is going to ask for before the next answer.
_TURNS_OF_THE_LOOP = 12


@attrs.frozen
class Wire:
    """Where a vendor's page keeps what lies are about."""

    rows: str
    info: str
    total: str

    def of(self, page: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return the rows of a page, and what it says about itself."""
        return page[self.rows], page[self.info]


WIRES = {"enos": Wire("data", "pagination", "totalSize"), "iotda": Wire("devices", "page", "count")}

Lie = Callable[[dict[str, Any], HttpRequest, random.Random], dict[str, Any]]
"""Turns a page into another."""


@attrs.define(eq=False)
class _Question:
    request: HttpRequest
    endpoint: str
    answer: "asyncio.Future[HttpResponse]"
    response: HttpResponse | None = None


class Adversary:
    """Carries the searches for devices to the service one by one, in any order, and the answers back in any order.

    Everything else passes untouched. The client's questions wait until it asks no more; then one thing happens: a
    question reaches the service, or an answer the client.

    Args:
        seed: What the order is drawn from.
        lie: What becomes of each page.
        repeats: How likely a question that was asked before is answered with the old answer.
        most: A client that asks more often than this asks for ever.
    """

    def __init__(self, seed: int, *, lie: Lie | None = None, repeats: float = 0.0, most: int = 3_000) -> None:
        self.asked = 0
        self.pages: list[dict[str, Any]] = []
        """What came to the client, in that order."""
        self._network = AiohttpTransport(TransportOptions(), max_connections=4)
        self._rng = random.Random(seed)
        self._lie = lie
        self._repeats = repeats
        self._most = most
        self._open: list[_Question] = []
        self._before: dict[bytes, HttpResponse] = {}
        self._carrier: asyncio.Task[None] | None = None

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Send once and return what the adversary makes of the answer."""
        if request.operation != SEARCH:
            return await self._network.send(request, endpoint=endpoint, timeout_seconds=timeout_seconds)
        self.asked += 1
        assert self.asked <= self._most, "a scan must end"
        question = _Question(request, endpoint, asyncio.get_running_loop().create_future())
        self._open.append(question)
        if self._carrier is None or self._carrier.done():
            self._carrier = asyncio.create_task(self._carry())
        return await question.answer

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Nothing is downloaded here."""
        raise NotImplementedError

    async def aclose(self) -> None:
        """Carry nothing more."""
        if self._carrier is not None:
            self._carrier.cancel()
            await asyncio.gather(self._carrier, return_exceptions=True)
        await self._network.aclose()

    async def _carry(self) -> None:
        while self._open:
            for _ in range(_TURNS_OF_THE_LOOP):
                await asyncio.sleep(0)
            question = self._rng.choice(self._open)
            if question.response is None:
                try:
                    question.response = await self._ask(question)
                except Exception as error:  # noqa: BLE001 - whatever it is, the client is told
                    self._open.remove(question)
                    question.answer.set_exception(error)
                continue
            self._open.remove(question)
            if not question.answer.done():
                self.pages.append(msgspec.json.decode(question.response.body))
                question.answer.set_result(question.response)

    async def _ask(self, question: _Question) -> HttpResponse:
        request = question.request
        asked = msgspec.json.encode([request.path, request.query, request.body.decode()])
        before = self._before.get(asked)
        if before is not None and self._rng.random() < self._repeats:
            return before
        response = await self._network.send(request, endpoint=question.endpoint, timeout_seconds=None)
        if self._lie is not None and response.status == 200:
            page = self._lie(msgspec.json.decode(response.body), request, self._rng)
            response = attrs.evolve(response, body=msgspec.json.encode(page))
        self._before[asked] = response
        return response


@asynccontextmanager
async def behind(adversary: Adversary, vendor: str, fleet: Fleet) -> AsyncIterator[Backend]:
    """Serve a fleet with one vendor's emulator, and open a client of it that has only this network."""
    clock = HandClock()
    async with emulator_class(vendor)(fleet, clock=clock.service, compress=False) as emulator:
        session = Session(label=vendor, transport=adversary, clock=clock, roll=lambda: 0.5)
        async with backend_plugin(vendor).open(emulator.config(), session) as backend:
            yield backend


# --- lies about what a page says of itself ---------------------------------------------------------------------------


def lying_total(wire: Wire, what: Any) -> Lie:
    """Return the lie that a page's total is ``stale`` (the first one), ``half``, ``double``, ``absent`` or a value."""
    first: list[int] = []

    def lie(page: dict[str, Any], _request: HttpRequest, _rng: random.Random) -> dict[str, Any]:
        info = page[wire.info]
        total = info.pop(wire.total)
        first.append(total)
        told = {"stale": first[0], "half": total // 2, "double": 2 * total}.get(what, what)
        return page if what == "absent" else {**page, wire.info: {**info, wire.total: told}}

    return lie


def lying_marker(what: str) -> Lie:
    """Return the lie that the marker of some pages with rows is ``absent``, ``null``, ``up`` or ``nonsense``."""
    told = {"null": None, "up": "f" * 24, "nonsense": "marker"}

    def lie(page: dict[str, Any], _request: HttpRequest, rng: random.Random) -> dict[str, Any]:
        if page["devices"] and rng.random() < 0.5:
            page["page"].pop("marker")
            if what != "absent":
                page["page"]["marker"] = told[what]
        return page

    return lie


# --- lies about rows -------------------------------------------------------------------------------------------------


def short_pages(share: float) -> Lie:
    """Return the lie that some pages of EnOS lack their last rows."""

    def lie(page: dict[str, Any], _request: HttpRequest, rng: random.Random) -> dict[str, Any]:
        rows = page["data"]
        return {**page, "data": rows[: rng.randrange(len(rows) + 1)]} if rng.random() < share else page

    return lie


def repeated_row(wire: Wire, share: float) -> Lie:
    """Return the lie that the first row of some pages comes twice, and the last one not at all."""

    def lie(page: dict[str, Any], _request: HttpRequest, rng: random.Random) -> dict[str, Any]:
        rows = page[wire.rows]
        repeated = len(rows) > 2 and rng.random() < share
        return {**page, wire.rows: [rows[0], *rows[:-1]]} if repeated else page

    return lie


def same_page() -> Lie:
    """Return the lie of a service that ignores the page's number: always rows of the first page, with a good echo."""
    first: list[Any] = []

    def lie(page: dict[str, Any], request: HttpRequest, _rng: random.Random) -> dict[str, Any]:
        asked = msgspec.json.decode(request.body)["pagination"]
        if not first:
            first.extend(page["data"])
        return {**page, "data": first[: asked["pageSize"]]}

    return lie


# --- services that do not do what they are asked ---------------------------------------------------------------------


@contextmanager
def clamped_pages(vendor: str, most: int) -> Iterator[None]:
    """Let a service give at most so many rows a page, whatever is asked; EnOS then says so in its echo."""
    with pytest.MonkeyPatch.context() as patch:
        if vendor == "enos":

            def clamped(body: bytes) -> tuple[str, Page]:
                expression, page = search_of(body)
                return expression, Page(page.number, min(page.size, most))

            patch.setattr(enos_searches, "search_of", clamped)
        else:

            def filtered(parameters: Any) -> Any:
                wanted = device_filter(parameters)
                return attrs.evolve(wanted, window=attrs.evolve(wanted.window, limit=min(wanted.window.limit, most)))

            patch.setattr(iotda_searches, "device_filter", filtered)
        yield


def denied_clamp(page: dict[str, Any], request: HttpRequest, _rng: random.Random) -> dict[str, Any]:
    """Echo the page size that was asked for, whatever was given."""
    asked = msgspec.json.decode(request.body)["pagination"]
    return {**page, "pagination": {**page["pagination"], **asked}}
