"""A call of the service as values: what was asked, what is answered, and how it is refused."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final, Literal

import attrs
import msgspec

from otaclient_iotda.emulator.filters import ErrorCode, ParameterError, RecordIds, Slice, Window, cut
from otaclient_iotda.emulator.refusals import Refusal

__all__ = [
    "DEVICE_ID",
    "NO_CONTENT",
    "UNKNOWN_PRODUCT",
    "UNKNOWN_RESOURCE",
    "UNKNOWN_SPACE",
    "Answer",
    "Call",
    "Paging",
    "Refused",
]

# The vendor answers 404 for a package, module, task or device that does not exist; with which code is not known: our
# choice.
UNKNOWN_RESOURCE: Final = Refusal(
    status=HTTPStatus.NOT_FOUND, code="IOTDA.000029", message="The requested resource does not exist."
)

UNKNOWN_SPACE: Final = Refusal(
    status=HTTPStatus.FORBIDDEN, code="IOTDA.001000", message="The resource space does not exist."
)
UNKNOWN_PRODUCT: Final = Refusal(
    status=HTTPStatus.NOT_FOUND, code="IOTDA.014204", message="The product does not exist in this resource space."
)

DEVICE_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")


@attrs.frozen(kw_only=True)
class Call:
    """A request that has passed the gateway."""

    identifiers: Mapping[str, str]
    """The parts of the path that vary, decoded."""
    parameters: Mapping[str, str]
    body: bytes = attrs.field(repr=False)
    now: datetime

    def identifier(self, name: str, pattern: re.Pattern[str]) -> str:
        """Return an identifier from the path.

        Raises:
            ParameterError: It has a form that no identifier of its kind has.
        """
        value = self.identifiers[name]
        if not pattern.fullmatch(value):
            raise ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' has a wrong form.")
        return value

    @property
    def now_s(self) -> int:
        """The present as whole Unix seconds."""
        return int(self.now.timestamp())


@attrs.frozen
class Answer:
    """What the service answers when it does what it was asked."""

    body: bytes = b""
    status: int = HTTPStatus.OK

    @classmethod
    def of(cls, content: Any, *, status: int = HTTPStatus.OK) -> "Answer":
        """Return an answer with this content, as JSON."""
        return cls(msgspec.json.encode(content), status)


NO_CONTENT: Final = Answer(status=HTTPStatus.NO_CONTENT)


class Refused(Exception):  # noqa: N818 - an answer, not a failure of the emulator
    """The service does not do what it was asked."""

    def __init__(self, refusal: Refusal) -> None:
        self.refusal = refusal
        super().__init__(refusal.message)


@attrs.frozen(kw_only=True)
class Paging:
    """How pages speak about what the vendor leaves open."""

    count_follows_marker: bool = False
    """Whether ``page.count`` leaves out what the marker leaves out."""
    empty_page_marker: Literal["null", "absent"] = "null"
    """How an empty page says that it has no last record."""

    def cut(
        self,
        numbers: Sequence[int],
        window: Window,
        ids: RecordIds,
        *,
        first: int | None = None,
        stop: int | None = None,
    ) -> Slice:
        """Return the page that a window asks for."""
        return cut(numbers, window, ids, first=first, stop=stop, count_follows_marker=self.count_follows_marker)

    def info(self, page: Slice, ids: RecordIds) -> dict[str, object]:
        """Return what a page says about itself."""
        info: dict[str, object] = {"count": page.count}
        if page.numbers:
            info["marker"] = ids.text(page.numbers[-1])
        elif self.empty_page_marker == "null":
            info["marker"] = None
        return info
