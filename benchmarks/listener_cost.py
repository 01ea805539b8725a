"""What being watched costs a call: nothing where nobody listens, and how much where somebody does.

The wire is left out, where a listener's few microseconds would drown: an answer is there at once. What nobody's
listening is held against is the session built from the same source without a word about reports.
"""

import ast
import asyncio
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import attrs

from benchmarks.figures import Figure, Goal
from benchmarks.measuring import Benchmark, MeasurementError, Options, Read, Side, pairs_of
from benchmarks.serving import PageServer
from otaclient.events import AttemptFinished, Event, Listener
from otaclient.observability import LogListener
from otaclient.transport import session as session_module
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.session import Dialect, Session

__all__ = ["BENCHMARK", "session_without_reports"]

CALLS = 4_000
MORE_PAIRS = 5
REPORTS = "reports"
REQUEST = HttpRequest(operation="jobs.get", method="GET", path="/jobs/1")
ANSWER = HttpResponse(status=200, body=b'{"code":0,"data":{}}')


class _Removal(ast.NodeTransformer):
    """Takes everything about reports out of a session's source."""

    def __init__(self) -> None:
        self.removed = 0

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        """Leave out the argument; and of the method that asks for a listener all but the call itself."""
        node.args.args = [argument for argument in node.args.args if argument.arg != REPORTS]
        if node.name == "_run":
            node.body = ast.parse("return await self._repeat(exchange, deadline)").body
            self.removed += 1
        self.generic_visit(node)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Leave out the argument."""
        node.args = [argument for argument in node.args if not _is_about_reports(argument)]
        self.generic_visit(node)
        return node

    def visit_If(self, node: ast.If) -> ast.AST | None:
        """Leave out what is done where there are reports."""
        if any(_is_about_reports(part) for part in ast.walk(node.test)):
            self.removed += 1
            return None
        self.generic_visit(node)
        return node


def _is_about_reports(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == REPORTS


def session_without_reports() -> type[Any]:
    """Return the class of a session that cannot be watched, built from the source of the one that can.

    Raises:
        MeasurementError: The source is not as it was when this was written.
    """
    file = session_module.__file__
    assert file is not None
    with open(file, encoding="utf-8") as source:  # noqa: PTH123 - as the interpreter reads it
        tree = ast.parse(source.read())
    removal = _Removal()
    tree = ast.fix_missing_locations(removal.visit(tree))
    if removal.removed < 2 or any(_is_about_reports(node) for node in ast.walk(tree)):
        raise MeasurementError("the session's source is not as it was: reports could not be taken out of it")
    made = ModuleType("benchmarks.made_without_reports")
    sys.modules[made.__name__] = made  # attrs looks its classes up
    exec(compile(tree, file, "exec"), made.__dict__)  # noqa: S102 - our own source
    found: type[Any] = made.Session
    return found


class _AtOnce:
    """A network that has the answer already."""

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Return it."""
        del request, endpoint, timeout_seconds
        return ANSWER


def _signed(request: HttpRequest, **_how: Any) -> HttpRequest:
    return request


def _good(_request: HttpRequest, _response: HttpResponse) -> None:
    return None


def calls(kind: Callable[..., Any], listener: Listener | None, count: int) -> Callable[[], Read]:
    """Return what makes so many calls, one after the other."""

    async def main() -> Read:
        dialect = Dialect(endpoint="https://example.com", sign=_signed, classify=_good)
        session = kind(label="x", transport=_AtOnce(), on_event=listener).speaking(dialect)
        for _ in range(count):
            await session.call(REQUEST)
        return Read(count, count)

    return lambda: asyncio.run(main())


def run(_server: PageServer, options: Options) -> list[Figure]:
    """Return the processor time of a call as a multiple of that of one without."""
    count = options.sized(CALLS, smoke=50)
    seen: list[Event] = []
    calls(Session, seen.append, 1)()
    if not any(isinstance(event, AttemptFinished) for event in seen):
        raise MeasurementError("a session with a listener tells it nothing")
    quiet = logging.getLogger("benchmarks.nobody")
    quiet.setLevel(logging.ERROR)

    # The difference that is looked for is smaller than any other here, so there are more pairs, which are shorter.
    many = attrs.evolve(options, pairs=options.sized(options.pairs * MORE_PAIRS, smoke=1))

    def side(name: str, kind: Callable[..., Any], listener: Listener | None) -> Side:
        return Side(name=name, run=calls(kind, listener, count), rows=count)

    def figure(name: str, ours: Side, against: Side, goal: Goal | None = None) -> Figure:
        pairs = pairs_of(many, ours=ours, against=against)
        samples = tuple(pair["ours"].cpu_seconds / pair["against"].cpu_seconds for pair in pairs)
        return Figure(row="listener", name=name, samples=samples, goal=goal)

    unwatched = side("no listener", Session, None)
    return [
        figure(
            "no listener, against a build without reports",
            unwatched,
            side("a session built without reports", session_without_reports(), None),
            Goal(to_reach=1.03),
        ),
        figure(
            "a listener that does nothing, against none",
            side("a listener that does nothing", Session, _nothing),
            unwatched,
        ),
        figure(
            "logging with its level off, against none",
            side("a log listener whose level is off", Session, LogListener(quiet)),
            unwatched,
        ),
    ]


def _nothing(_event: Event) -> None:
    pass


BENCHMARK = Benchmark(
    name="listener-cost",
    title="A call without the wire: processor time of being watched",
    rows="listener",
    run=run,
)
