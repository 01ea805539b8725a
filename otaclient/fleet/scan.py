"""The bulk query, as it is asked for: checked, planned, and ready to run. Nothing is sent here."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Unpack, cast, overload

from otaclient.errors import InvalidQueryError
from otaclient.fleet.plan import Dedupe, ProofOptions, TargetPlan
from otaclient.fleet.reader import Target
from otaclient.fleet.running_scan import Scan
from otaclient.fleet.scan_options import OnError, ScanOptions, ScanProgress, ScanSettings, check_options
from otaclient.models import DeviceTask, DeviceUpgrade
from otaclient.protocols import Backend
from otaclient.queries import DeviceTaskQuery, DeviceUpgradeQuery

__all__ = ["plan", "scan"]


@overload
def scan(
    targets: Iterable[tuple[Backend, DeviceUpgradeQuery]], **options: Unpack[ScanOptions]
) -> "Scan[DeviceUpgrade]": ...


@overload
def scan(targets: Iterable[tuple[Backend, DeviceTaskQuery]], **options: Unpack[ScanOptions]) -> "Scan[DeviceTask]": ...


def scan(
    targets: Iterable[tuple[Backend, Any]],
    *,
    concurrency: int = 16,
    certify: bool = True,
    overlap: int | None = None,
    dedupe: Dedupe = "exact",
    repair_budget: float = 2.0,
    max_requests: int | None = None,
    timeout_seconds: float | None = None,
    on_error: OnError = "raise",
    on_progress: Callable[[ScanProgress], object] | None = None,
) -> "Scan[Any]":
    """Return a scan of many targets: every row of each, read in parallel, each device once.

    ::

        async with otaclient.scan([(enos, DeviceUpgradeQuery()), (iotda, DeviceUpgradeQuery())]) as scan:
            async for upgrade in scan:
                ...
        print(scan.certificate)

    Nothing is sent before the first row or page is asked for.

    Args:
        targets: Pairs of a backend and a device query or device task query.
        concurrency: The most pages in flight and waiting, over all targets; at most 10,000. Keep it within each
            backend's ``Limits``.
        certify: Prove that no row was missed that was listed throughout.
        overlap: Rows that neighbouring windows share, for the proof; ``None`` to let the scan choose.
        dedupe: ``exact`` remembers every device; ``neighbours`` only the latest pages, in flat memory: for targets
            that share no devices.
        repair_budget: The most requests beyond plain paging that the proof may cost, as a share of those.
        max_requests: End with an error instead of sending more requests than this, repeats not counted; at once, when
            the first answers tell that there are too many rows.
        timeout_seconds: The time for the whole scan; ``None`` for no limit. Each request has its backend's own.
        on_error: ``raise`` the first error, or ``collect`` errors in ``scan.errors`` and go on with the other walks.
        on_progress: Called after every page that was consumed; its exceptions are logged, never raised.

    Raises:
        InvalidQueryError: No target, an option out of range, or a filter that a vendor cannot apply. Nothing is sent.
        UnsupportedOperationError: A backend cannot list what the query asks for.
    """
    check_options(
        concurrency=concurrency,
        certify=certify,
        overlap=overlap,
        dedupe=dedupe,
        repair_budget=repair_budget,
        max_requests=max_requests,
        timeout_seconds=timeout_seconds,
        on_error=on_error,
        on_progress=on_progress,
    )
    pairs = _pairs_of(targets)
    options = ScanSettings(
        concurrency=concurrency,
        proof=ProofOptions(
            certify=certify, overlap=overlap, dedupe=dedupe, repair_budget=repair_budget, concurrency=concurrency
        ),
        max_requests=max_requests,
        timeout_seconds=timeout_seconds,
        on_error=on_error,
        on_progress=on_progress,
    )
    return Scan(
        [Target(backend=backend, query=query, source=backend.reads(query)) for backend, query in pairs], options
    )


def _pairs_of(targets: Any) -> list[tuple[Backend, Any]]:
    """Return the targets, checked.

    Raises:
        InvalidQueryError: There is none, or one that is no pair of a backend and a device or device task query.
    """
    is_many = isinstance(targets, Iterable) and not isinstance(targets, str)
    pairs: list[Any] = list(cast("Iterable[Any]", targets)) if is_many else [targets]
    if not pairs:
        raise InvalidQueryError("scan() has no targets: give at least one pair of a backend and a query")
    for target in pairs:
        pair: tuple[Any, ...] = tuple(cast("Sequence[Any]", target)) if isinstance(target, tuple | list) else ()
        if len(pair) != 2 or not hasattr(pair[0], "reads"):
            raise InvalidQueryError(
                f"scan(): {target!r} is no target: give pairs of an open backend and a query, such as "
                "[(enos, DeviceUpgradeQuery())]"
            )
        if not isinstance(pair[1], DeviceUpgradeQuery | DeviceTaskQuery):
            raise InvalidQueryError(
                f"scan(): the query of a target is {pair[1]!r}: give a DeviceUpgradeQuery or a DeviceTaskQuery"
            )
    return [(backend, query) for backend, query in pairs]


def plan(backend: Backend, query: DeviceUpgradeQuery | DeviceTaskQuery, **options: Unpack[ScanOptions]) -> TargetPlan:
    """Return what a scan of one target would do; nothing is sent.

    Args:
        backend: The backend.
        query: A device query or device task query.
        options: Those of :func:`scan`.

    Raises:
        InvalidQueryError: As :func:`scan`.
        UnsupportedOperationError: As :func:`scan`.
    """
    planned = cast("Callable[..., Scan[Any]]", scan)([(backend, query)], **options)
    return planned.plans[0]
