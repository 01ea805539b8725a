"""Fault plans: how slow an emulated service is, how much it bears, and what goes wrong with its requests.

A plan is a value. It is read from a file in TOML, from JSON, or made in Python, with the same rules.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from otaclient.emulator.documents import (
    ListOf,
    OneOf,
    Record,
    Table,
    declared,
    document_from_toml,
    in_document,
    not_utf8,
    record_in,
    record_schema,
)
from otaclient.emulator.latency import SECONDS, LatencyTable
from otaclient.emulator.patterns import OPERATION_PATTERN, first_match
from otaclient.emulator.planned_capacity import CAPACITY, COUNT, RETRY_AFTER, RETRY_AFTER_MEANING, CapacityTable
from otaclient.emulator.planned_fleet import ChurnTable, JobTable
from otaclient.emulator.shapes import DocumentError, MapOf, Number, Text, suggestion
from otaclient.models import FrozenMap

__all__ = [
    "FAULT",
    "AnswerFault",
    "CutFault",
    "DelayFault",
    "DripFault",
    "DropFault",
    "ExpireTokensFault",
    "FailFault",
    "FaultPlan",
    "LoseFault",
    "PlannedFault",
    "ThrottleFault",
    "check_operation",
    "with_name",
]

_MOMENT: Final = Number(at_least=0, at_most=1_000_000_000, example=60)


# --- faults ----------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class PlannedFault(Record):
    """Something that goes wrong with some of the requests: all that its keys say must hold."""

    operation: str = declared(
        OPERATION_PATTERN, "Which requests: an operation, or a pattern. `*` is all, those for tokens too.", default="*"
    )
    name: str | None = declared(
        Text(
            words="1 to 64 letters, digits, dots, dashes and underscores, the first a letter or a digit",
            example="bad-gateway",
            pattern=re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}"),
        ),
        "What it is called in the counters and in the control API; its kind and a number unless given.",
        default=None,
    )
    share: float = declared(
        Number(at_least=0, at_most=1, beyond=True, example=0.01),
        "Which share of these requests it strikes, drawn from the plan's seed.",
        default=1.0,
    )
    times: int | None = declared(COUNT, "How many it strikes in all; without it, no end.", default=None)
    after_requests: int = declared(
        Number(at_least=0, at_most=1_000_000_000, whole=True, example=100),
        "How many of these requests go unharmed first.",
        default=0,
    )
    from_seconds: float = declared(
        _MOMENT, "It begins so long after the plan (or this fault, where it came alone).", default=0.0
    )
    to_seconds: float | None = declared(_MOMENT, "And ends before this moment; without it, never.", default=None)
    delay_seconds: float = declared(SECONDS, "How long a request is held before it is struck.", default=0.0)

    def __attrs_post_init__(self) -> None:
        if self.to_seconds is not None and self.to_seconds <= self.from_seconds:
            raise DocumentError(
                key="to_seconds",
                found=f"is {self.to_seconds}",
                rule=f"it must be after from_seconds, which is {self.from_seconds}",
                remedy="swap them, or leave to_seconds out",
            )


_OWN_HEADERS: Final = frozenset({"connection", "content-length", "date", "transfer-encoding"})


@attrs.frozen(kw_only=True)
class AnswerFault(PlannedFault):
    """The request is answered with this, and never reaches the service."""

    kind: ClassVar[str] = "answer"
    # An answer of the hundreds only announces another one, which would never come.
    status: int = declared(Number(at_least=200, at_most=599, whole=True, example=503), "The HTTP status.")
    headers: Mapping[str, str] = declared(
        MapOf(
            words="a table from names of headers to texts of one line",
            example={"Content-Type": "text/html"},
            keys=Text(
                words="the name of a header", example="Content-Type", pattern=re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
            ),
            values=Text(
                words="a text of one line, in printable ASCII", example="text/html", pattern=re.compile("[ -~]*")
            ),
        ),
        "The headers.",
        default=FrozenMap(),
        converter=FrozenMap,
    )
    body: str = declared(
        Text(words="a text", example="<html>bad gateway</html>", pattern=re.compile(r"[^\ud800-\udfff]*")),
        "The body, sent in UTF-8.",
        default="",
    )

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        for name in self.headers:
            if name.lower() in _OWN_HEADERS:
                raise DocumentError(
                    key=f"headers.{name}",
                    found="is given",
                    rule="the server itself sets this header, to what is true",
                    remedy="leave it out; a fault of the kind cut breaks an answer off",
                )


@attrs.frozen(kw_only=True)
class ThrottleFault(PlannedFault):
    """The request is refused as one too many, in the vendor's words."""

    kind: ClassVar[str] = "throttle"
    retry_after_seconds: int | None = declared(RETRY_AFTER, RETRY_AFTER_MEANING, default=None)


@attrs.frozen(kw_only=True)
class FailFault(PlannedFault):
    """The service fails at the request, in the vendor's words."""

    kind: ClassVar[str] = "fail"


@attrs.frozen(kw_only=True)
class DropFault(PlannedFault):
    """The request arrives, and the connection is cut: the service has not seen it."""

    kind: ClassVar[str] = "drop"


@attrs.frozen(kw_only=True)
class LoseFault(PlannedFault):
    """The service does what it was asked, and the connection is cut before its answer."""

    kind: ClassVar[str] = "lose"


@attrs.frozen(kw_only=True)
class CutFault(PlannedFault):
    """The service answers, and the connection is cut in the middle of the body."""

    kind: ClassVar[str] = "cut"
    after_bytes: int = declared(
        Number(at_least=0, at_most=1_000_000_000, whole=True, example=150),
        "How much of the body arrives, as it is sent; bodies that are not longer arrive whole.",
    )


@attrs.frozen(kw_only=True)
class DripFault(PlannedFault):
    """The service answers, and the body comes a little at a time."""

    kind: ClassVar[str] = "drip"
    piece_bytes: int = declared(
        Number(at_least=1, at_most=1_000_000_000, whole=True, example=256), "How much comes at once."
    )
    piece_seconds: float = declared(SECONDS, "How long each piece lets itself be waited for.")


@attrs.frozen(kw_only=True)
class DelayFault(PlannedFault):
    """The request is held, and then goes on to the service."""

    kind: ClassVar[str] = "delay"
    # Without a delay it would do nothing.
    delay_seconds: float = declared(attrs.evolve(SECONDS, beyond=True, example=2), "How long it is held.")


@attrs.frozen(kw_only=True)
class ExpireTokensFault(PlannedFault):
    """All tokens that were issued so far end, and the request goes on to the service."""

    kind: ClassVar[str] = "expire-tokens"


FAULT: Final = OneOf(
    by="kind",
    records=(
        AnswerFault,
        ThrottleFault,
        FailFault,
        DropFault,
        LoseFault,
        CutFault,
        DripFault,
        DelayFault,
        ExpireTokensFault,
    ),
    noun="fault",
    example={"kind": "drop", "share": 0.01},
)


# --- the plan --------------------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class FaultPlan(Record):
    """How an emulated service behaves under load, and what goes wrong: equal seeds and requests, equal faults."""

    version: int = declared(
        Number(at_least=1, at_most=1, whole=True, example=1),
        "Of the form of plans: so far there is one.",
        default=1,
        required=True,
    )
    seed: int = declared(
        Number(at_least=0, at_most=2**53, whole=True, example=7), "What shares and latencies are drawn from.", default=0
    )
    latency: LatencyTable = declared(  # noqa: RUF009 - a declaration, no default
        Table(record=LatencyTable), "How long the service takes.", default=LatencyTable()
    )
    capacity: CapacityTable | None = declared(  # noqa: RUF009 - a declaration, no default
        CAPACITY, "How much the service bears; without it, whatever comes. Tokens do not count.", default=None
    )
    churn: ChurnTable | None = declared(  # noqa: RUF009 - a declaration, no default
        Table(record=ChurnTable), "Which devices come and go while somebody reads their listing.", default=None
    )
    jobs: JobTable | None = declared(  # noqa: RUF009 - a declaration, no default
        Table(record=JobTable), "What devices do with jobs that are created, or go on, from then on.", default=None
    )
    faults: Sequence[PlannedFault] = declared(
        ListOf(item=FAULT),
        "What goes wrong. The first that strikes a request strikes alone.",
        default=(),
        converter=tuple,
    )

    def __attrs_post_init__(self) -> None:
        names: dict[str, int] = {}
        for position, fault in enumerate(self.faults):
            if fault.name is not None and names.setdefault(fault.name, position) != position:
                raise DocumentError(
                    key=f"faults[{position}].name",
                    found=f'is "{fault.name}"',
                    rule=f"faults[{names[fault.name]}] has that name already",
                    remedy="give each fault a name of its own, or none",
                )

    @classmethod
    def from_document(cls, document: Any) -> "FaultPlan":
        """Return the plan that a document holds: nested dictionaries and lists, as parsers of TOML and JSON give them.

        Raises:
            DocumentError: A key is unknown or missing, or a value wrong; says which, and what to do.
        """
        return record_in(cls, document)

    @classmethod
    def from_toml(cls, text: str) -> "FaultPlan":
        """Return the plan that a text in TOML holds.

        Raises:
            DocumentError: It is no TOML, a key is unknown, or a value wrong.
        """
        return cls.from_document(document_from_toml(text))

    @classmethod
    def read(cls, path: Path) -> "FaultPlan":
        """Return the plan that a file in TOML holds.

        Raises:
            OSError: The file cannot be read.
            DocumentError: It is no plan; names the file, the key, the value, the rule and the remedy.
        """
        try:
            return cls.from_toml(path.read_text(encoding="utf-8-sig"))
        except DocumentError as error:
            raise error.of(str(path)) from None
        except UnicodeDecodeError as error:
            raise not_utf8(error).of(str(path)) from None

    def document(self) -> dict[str, Any]:
        """Return the plan as a document, without what may be left out."""
        return in_document(self)

    @staticmethod
    def schema() -> dict[str, Any]:
        """Return the JSON Schema of the document."""
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Fault plan of an otaclient emulator",
            **record_schema(FaultPlan),
        }

    def named(self) -> "FaultPlan":
        """Return the plan with a name for each fault that has none."""
        faults: list[PlannedFault] = []
        taken = {fault.name for fault in self.faults}
        for fault in self.faults:
            faults.append(with_name(fault, taken))
            taken.add(faults[-1].name)
        return attrs.evolve(self, faults=faults)

    def check_operations(self, operations: Iterable[str]) -> None:
        """Check that every pattern fits some operation: a fault that could never strike is a mistake.

        Args:
            operations: Those that the vendor has.

        Raises:
            DocumentError: One fits none; names it, and those that there are.
        """
        known = sorted(operations)
        for key, pattern in self._patterns():
            check_operation(pattern, known, key)

    def _patterns(self) -> Iterator[tuple[str, str]]:
        for pattern in self.latency.operations:
            yield "latency.operations", pattern
        for position, fault in enumerate(self.faults):
            yield f"faults[{position}].operation", fault.operation


def with_name(fault: PlannedFault, taken: Iterable[str | None]) -> PlannedFault:
    """Return a fault with a name: its own, or its kind and the first number that is free."""
    if fault.name is not None:
        return fault
    names = (f"{fault.kind}-{number}" for number in count(1))
    return attrs.evolve(fault, name=next(name for name in names if name not in taken))


def check_operation(pattern: str, known: Sequence[str], key: str) -> None:
    """Check that a pattern fits one of the known operations.

    Raises:
        DocumentError: It fits none.
    """
    if not any(first_match(operation, [pattern]) for operation in known):
        families = dict.fromkeys(f"{operation.partition('.')[0]}.*" for operation in known if "." in operation)
        raise DocumentError(
            key=key,
            found=f'is "{pattern}"',
            rule=f"it must fit an operation of this emulator: {', '.join(known)}",
            remedy=suggestion(pattern, [*known, *families]).replace("leave it out", "a pattern such as *"),
        )
