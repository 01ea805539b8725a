"""What a new job is about to do, in words, and how many devices it reaches, as far as that can be known."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from otaclient.cli.cells import plain
from otaclient.cli.failures import one_line
from otaclient.cli.progress import ProgressBar
from otaclient.counted import counted
from otaclient.errors import OtaError
from otaclient.models import Firmware, JobPolicy, JobSchedule, JobScope, NewJob, PolicyMode
from otaclient.protocols import Backend, Capability
from otaclient.queries import DeviceUpgradeQuery

__all__ = ["plan_text", "reach"]

_SHOWN = 5
"""So many devices or versions are named; of more, the number."""


def plan_text(job: NewJob, firmware: Sequence[Firmware], *, backend: str, reached: str) -> str:
    """Return what creating this job does, a fact a line."""
    facts = [
        ("backend", backend),
        ("name", str(job.name)),
        *(("firmware", _firmware_words(one)) for one in firmware),
        *((("scope" if number == 0 else ""), words) for number, words in enumerate(_scope_words(job.scope))),
        ("reaches", reached),
        ("policy", ", ".join(_policy_words(job.policy)) or "the vendor's defaults"),
        ("schedule", ", ".join(_schedule_words(job.policy.schedule)) or "at once"),
    ]
    if job.hold:
        facts.append(("hold", "it waits for 'otaclient jobs start'"))
    lines = "".join(f"  {name:<9} {plain(text)}\n" for name, text in facts)
    return f"Create this {job.kind.value} job:\n{lines}"


async def reach(client: Backend, job: NewJob, firmware: Sequence[Firmware]) -> str:
    """Return how many devices a job reaches, in words; where that cannot be known, that and why."""
    scope = job.scope
    later = ", and those that match later" if job.policy.mode is PolicyMode.INCREMENTAL else ""
    if scope.groups or scope.tags or scope.attributes or scope.asset_trees:
        names = ("groups", "tags", "attributes", "asset_trees")
        by = " or ".join(name.replace("_", " ") for name in names if getattr(scope, name))
        return f"not known: devices cannot be searched by {by}"
    if scope.devices:
        count = counted(len(scope.devices), "device")
        if scope.source_versions:
            return f"at most {count}: those listed that have one of the source versions"
        return f"{count}, as listed"
    return await _counted(client, scope, firmware) + later


async def _counted(client: Backend, scope: JobScope, firmware: Sequence[Firmware]) -> str:
    nameless = [one.firmware_id for one in firmware if one.product_id is None]
    if nameless:
        return f"not known: the vendor does not say which product firmware {nameless[0]} is for"
    if Capability.DEVICES_SEARCH not in client.capabilities:
        return "not known: this backend has no search for devices"
    products = tuple(dict.fromkeys(one.product_id for one in firmware if one.product_id is not None))
    query = DeviceUpgradeQuery(products=products, versions=scope.source_versions or None)
    try:
        count = await _count(client, query)
    except OtaError as error:
        # Who may create jobs may not be allowed to search devices.
        return f"not known: {one_line(error)}"
    versions = f" with {_listed('version', scope.source_versions)}" if scope.source_versions else ""
    return f"{counted(count, 'device')} of {_listed('product', products)}{versions}, as of now"


async def _count(client: Backend, query: DeviceUpgradeQuery) -> int:
    """Return how many devices match: the vendor's own number where it counts exactly them, else one by one."""
    listing, source = client.devices.search(query), client.reads(query)
    if not source.filtered_here and len(source.partitions()) == 1:
        first = await anext(listing.pages(page_size=1), None)
        if first is not None and first.total is not None:
            return first.total
    count = 0
    async with ProgressBar("Counting devices", unit="devices") as bar:
        async for page in listing.pages():
            count += len(page.items)
            bar.update(count)
    return count


# --- words -----------------------------------------------------------------------------------------------------------


def _listed(noun: str, texts: Sequence[str]) -> str:
    more = len(texts) - _SHOWN
    named = ", ".join(texts[:_SHOWN]) + (f" and {more:,} more" if more > 0 else "")
    return f"{noun}{'' if len(texts) == 1 else 's'} {named}"


def _firmware_words(firmware: Firmware) -> str:
    facts = [f"version {firmware.version}"]
    if firmware.product_id is not None:
        facts.append(f"product {firmware.product_id}")
    if firmware.size_bytes is not None:
        facts.append(counted(firmware.size_bytes, "byte"))
    verified = None if firmware.verification is None else firmware.verification.verified
    if verified is not None:
        facts.append("verified" if verified else "not verified")
    return f"{firmware.firmware_id}: {', '.join(facts)}"


def _scope_words(scope: JobScope) -> Iterator[str]:
    if scope.everything:
        yield "all devices of the firmware's product"
    if scope.devices:
        yield _listed("device", scope.devices)
    if scope.source_versions:
        yield f"only what has {_listed('version', scope.source_versions)}"
    if scope.groups:
        yield _listed("group", scope.groups)
    for noun, conditions in (("tag", scope.tags), ("attribute", scope.attributes)):
        for key, values in conditions.items():
            yield f"{noun} {key} is {' or '.join(str(value) for value in values)}"
    for tree in scope.asset_trees:
        yield f"asset tree {dict(tree)}"


def _policy_words(policy: JobPolicy) -> Iterator[str]:
    if policy.mode is not None:
        yield {
            PolicyMode.SNAPSHOT: "the devices that match now",
            PolicyMode.INCREMENTAL: "also devices that match later",
        }.get(policy.mode, policy.mode.value)
    if policy.timeout_seconds is not None:
        yield f"at most {policy.timeout_seconds:,} s a device"
    if policy.max_concurrency is not None:
        yield f"at most {counted(policy.max_concurrency, 'device')} at once"
    retry = policy.retry
    if retry is not None:
        pause = "" if retry.interval_minutes is None else f", {retry.interval_minutes:,} min apart"
        yield f"{counted(retry.count, 'retry', 'retries')}{pause}" if retry.enabled else "no retries"
    if policy.device_may_request is not None:
        yield f"devices may {'' if policy.device_may_request else 'not '}ask for it themselves"


def _schedule_words(schedule: JobSchedule | None) -> Iterator[str]:
    if schedule is None:
        return
    if schedule.start_at is not None:
        yield f"from {_shown(schedule.start_at)}"
    if schedule.end_at is not None:
        yield f"until {_shown(schedule.end_at)}"
    if schedule.repeats_daily is not None:
        yield "daily" if schedule.repeats_daily else "once"
    if schedule.utc_offset_minutes is not None:
        hours, minutes = divmod(abs(schedule.utc_offset_minutes), 60)
        yield f"days at UTC{'-' if schedule.utc_offset_minutes < 0 else '+'}{hours:02}:{minutes:02}"


def _shown(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%SZ")
