"""Whoever is not watched pays nothing for it: what the benchmark shows in time, here told by what is made."""

from typing import Any

import pytest

from benchmarks.listener_cost import ANSWER, REQUEST, session_without_reports
from otaclient.errors import RequestNotSentError
from otaclient.events import Event
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Dialect, Session
from support.network import ScriptedTransport

KINDS = [Session, session_without_reports()]


def opened(kind: Any, *answers: Any, **options: Any) -> Any:
    """Return a session of a network that answers so."""
    dialect = Dialect(
        endpoint="https://example.com", sign=lambda request, **_: request, classify=lambda _request, _response: None
    )
    return kind(label="x", transport=ScriptedTransport(answers), retry=RetryPolicy.none(), **options).speaking(dialect)


async def test_nothing_is_made_where_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    """No report of a call, which alone makes its events."""

    def made(*_: Any, **__: Any) -> None:
        raise AssertionError("something was made that nobody wants")

    monkeypatch.setattr("otaclient.transport.session.CallReports", made)
    assert await opened(Session, ANSWER).call(REQUEST) == ANSWER
    with pytest.raises(AssertionError, match="nobody wants"):
        await opened(Session, ANSWER, on_event=print).call(REQUEST)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_it_is_held_against_is_a_session(kind: Any) -> None:
    """The one that is built without reports does what the other does: it answers, and fails with the same words."""
    assert await opened(kind, ANSWER).call(REQUEST) == ANSWER
    with pytest.raises(RequestNotSentError, match="x jobs.get: refused"):
        await opened(kind, RequestNotSentError("refused")).call(REQUEST)


async def test_it_cannot_be_watched() -> None:
    """It tells a listener nothing, where the other tells everything."""
    told: dict[Any, list[Event]] = {kind: [] for kind in KINDS}
    for kind, events in told.items():
        await opened(kind, ANSWER, on_event=events.append).call(REQUEST)
    assert [len(events) for events in told.values()] == [4, 0]
