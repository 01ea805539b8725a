"""The options that describe a new job, and how they become its fields."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from otaclient.cli.job_file import Fields
from otaclient.cli.options import JobKindWord, device_list, instant, pairs, whole_number
from otaclient.models import FirmwareId, FrozenMap, JobKind, LocalizedText, PolicyMode

__all__ = ["JobOptions"]

_SCOPE = "Scope: which devices"
_POLICY = "Policy: how it runs"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class JobOptions:
    """A new job, or what differs from the file; what is not given is ``None``."""

    name: Annotated[str | None, Parameter(help="The job's name.")] = None
    firmware_id: Annotated[
        list[str] | None, Parameter(negative="", help="The firmware to bring; several times for several.")
    ] = None
    kind: Annotated[
        JobKindWord | None,
        Parameter(help="Upgrade devices (the default), or verify the firmware on a few first."),
    ] = None
    hold: Annotated[
        bool | None, Parameter(negative="--no-hold", help="Let the job wait for 'otaclient jobs start'.")
    ] = None

    device: Annotated[
        list[str] | None,
        Parameter(
            group=_SCOPE, negative="", help="A device, as the vendor's jobs name it: EnOS device key, IoTDA device id."
        ),
    ] = None
    devices_file: Annotated[
        Path | None,
        Parameter(group=_SCOPE, allow_leading_hyphen=True, help="A file with a device a line; - is standard input."),
    ] = None
    source_version: Annotated[
        list[str] | None, Parameter(group=_SCOPE, negative="", help="Only devices that have this version.")
    ] = None
    group: Annotated[
        list[str] | None, Parameter(group=_SCOPE, negative="", help="The devices of this group, by its identifier.")
    ] = None
    tag: Annotated[
        list[str] | None,
        Parameter(group=_SCOPE, negative="", help="Devices with this tag, as KEY=VALUE; any of several values."),
    ] = None
    attribute: Annotated[
        list[str] | None,
        Parameter(
            group=_SCOPE,
            negative="",
            help="Devices with this text in an attribute, as NAME=VALUE. For numbers, use --file.",
        ),
    ] = None
    everything: Annotated[
        bool | None,
        Parameter(group=_SCOPE, negative="--not-everything", help="All devices of the firmware's product."),
    ] = None

    mode: Annotated[
        Literal["snapshot", "incremental"] | None,
        Parameter(group=_POLICY, help="The devices of now, or also those that match later."),
    ] = None
    timeout_seconds: Annotated[
        int | None, Parameter(group=_POLICY, converter=whole_number, help="How long one device may take.")
    ] = None
    max_concurrency: Annotated[
        int | None, Parameter(group=_POLICY, converter=whole_number, help="How many devices upgrade at once.")
    ] = None
    retry_count: Annotated[
        int | None, Parameter(group=_POLICY, converter=whole_number, help="How often a failed device tries again.")
    ] = None
    retry_interval_minutes: Annotated[
        int | None, Parameter(group=_POLICY, converter=whole_number, help="The pause before it does.")
    ] = None
    start_at: Annotated[
        str | None, Parameter(group=_POLICY, help="Not before this instant, such as 2026-01-31T08:00:00Z.")
    ] = None
    end_at: Annotated[str | None, Parameter(group=_POLICY, help="Not after this instant.")] = None
    repeats_daily: Annotated[
        bool | None, Parameter(group=_POLICY, negative="--not-daily", help="Whether the times are those of each day.")
    ] = None
    utc_offset_minutes: Annotated[
        int | None,
        Parameter(group=_POLICY, converter=whole_number, help="The time zone of the days, such as 480 for +08:00."),
    ] = None
    device_may_request: Annotated[
        bool | None,
        Parameter(group=_POLICY, negative="--device-may-not-request", help="Whether a device may ask for it itself."),
    ] = None

    def fields(self) -> Fields:
        """Return the fields that were given, as a file gives them.

        Raises:
            UsageError: A value cannot be right; names the option.
        """
        return _given(
            name=None if self.name is None else LocalizedText(default=self.name),
            firmware_ids=None if self.firmware_id is None else tuple(FirmwareId(text) for text in self.firmware_id),
            kind=None if self.kind is None else JobKind(self.kind),
            hold=self.hold,
            scope=_given(
                devices=self._devices(),
                source_versions=_tuple(self.source_version),
                groups=_tuple(self.group),
                tags=_conditions(self.tag, option="--tag"),
                attributes=_conditions(self.attribute, option="--attribute"),
                everything=self.everything,
            ),
            policy=_given(
                mode=None if self.mode is None else PolicyMode(self.mode),
                timeout_seconds=self.timeout_seconds,
                max_concurrency=self.max_concurrency,
                retry=_given(count=self.retry_count, interval_minutes=self.retry_interval_minutes),
                schedule=_given(
                    start_at=instant(self.start_at, option="--start-at"),
                    end_at=instant(self.end_at, option="--end-at"),
                    repeats_daily=self.repeats_daily,
                    utc_offset_minutes=self.utc_offset_minutes,
                ),
                device_may_request=self.device_may_request,
            ),
        )

    def _devices(self) -> tuple[str, ...] | None:
        if self.device is None and self.devices_file is None:
            return None
        return device_list(self.device or (), self.devices_file)


def _given(**fields: Any) -> Fields:
    return {name: value for name, value in fields.items() if value is not None and value != {}}


def _tuple(values: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if values is None else tuple(values)


def _conditions(texts: Sequence[str] | None, *, option: str) -> FrozenMap | None:
    return None if texts is None else FrozenMap(pairs(texts, option=option))
