"""What this vendor has and the shared models have not."""

from datetime import datetime
from typing import Any

import attrs

from otaclient.errors import ConflictError
from otaclient.models import DeviceId, DeviceUpgrade, FrozenMap

__all__ = ["DeviceSearchResult", "OtaModule", "TargetOutcome", "TargetsRefusedError"]


def _frozen_map(value: Any) -> FrozenMap:
    return value if isinstance(value, FrozenMap) else FrozenMap(value)


@attrs.frozen(kw_only=True)
class OtaModule:
    """A module of a product: a part of its devices that is upgraded apart from their firmware and software."""

    backend: str
    module_id: str
    name: str
    """Unique within the product, and for ever the same."""
    product_id: str | None = None
    product_name: str | None = None
    owner_id: str | None = None
    """The resource space that it belongs to."""
    alias: str | None = None
    description: str | None = None
    created_at: datetime | None = None
    """Aware, UTC."""
    extra: FrozenMap = attrs.field(factory=FrozenMap, converter=_frozen_map)


@attrs.frozen(kw_only=True)
class TargetOutcome:
    """What the vendor said of one device when it was asked to stop, try again or confirm its upgrade."""

    device_id: DeviceId
    accepted: bool
    code: str | None = None
    """The vendor's own error code, or ``None``."""
    message: str | None = None
    """Why it was refused, in the vendor's words where it gave any."""

    def __str__(self) -> str:
        if self.accepted:
            return f"{self.device_id}: accepted"
        reason = " ".join(part for part in (self.code, self.message) if part)
        return f"{self.device_id}: {reason or 'refused without a reason'}"


class TargetsRefusedError(ConflictError):
    """The vendor answered well, but refused some of the devices.

    Attributes:
        outcomes: What it said of each device that it refused; all others were accepted.
    """

    def __init__(self, message: str, *, outcomes: tuple[TargetOutcome, ...] = (), **facts: Any) -> None:
        super().__init__(message, **facts)
        self.outcomes = outcomes


@attrs.frozen(kw_only=True)
class DeviceSearchResult:
    """What one statement found."""

    devices: tuple[DeviceUpgrade, ...] = ()
    """In the order of the answer. A field that the statement did not select is ``None``."""
    rows: tuple[FrozenMap, ...] = ()
    """The same devices with all that the vendor sent: their tags, modules, groups, names and markers, too."""
    marker: str | None = None
    """The record id of the last device, where the statement selected it: ``where marker < '...' order by marker desc``
    goes on behind it."""
    count: int | None = None
    """The answer to ``select count(*)``; ``None`` for every other statement."""
