"""What a caller asks to create or change: JSON bodies to checked values.

A field that an operation does not know is ignored, and null counts as absent; whether the vendor does so is not known.

Source: Huawei Cloud IoTDA, "Create an OTA Upgrade Package", "Create an OTA Module", "Update an OTA Module", "Create a
Batch Task", "Stop a Batch Task", "Retry a Batch Task", "Confirm a Batch Task", "Query Device List Flexibly".
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import attrs
import msgspec

from otaclient.emulator.json_bodies import NoJsonObjectError, json_object
from otaclient_iotda.emulator.filters import PACKAGE_TYPES, UPGRADE_TASK_TYPES, ErrorCode, ParameterError

__all__ = [
    "ModuleChange",
    "NewModule",
    "NewPackage",
    "NewTask",
    "module_change",
    "new_module",
    "new_package",
    "new_task",
    "search_statement",
    "targets_meant",
]

MOST_SOURCE_VERSIONS: Final = 20
MOST_PACKAGES: Final = 10
MOST_TARGETS: Final = 30_000
MOST_TARGETS_OF_AN_ACTION: Final = 100
MOST_RETRIES: Final = 5
LONGEST_RETRY_INTERVAL: Final = 1440
LONGEST_EXTRA_INFO: Final = 512
LATEST_START: Final = timedelta(days=7)
FILE_NAME_ENDINGS: Final = (
    ".bin",
    ".dav",
    ".tar",
    ".gz",
    ".zip",
    ".gzip",
    ".apk",
    ".tar.gz",
    ".tar.xz",
    ".pack",
    ".exe",
    ".bat",
    ".img",
)

_ID_36 = re.compile(r"[A-Za-z0-9_-]{1,36}")
_DEVICE_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_MODULE_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_ALIAS = re.compile(r"[\w.-]{1,64}")
_VERSION = re.compile(r"[A-Za-z0-9_.-]{1,256}")
# The vendor names Chinese, letters, digits and _; every letter of any script passes here.
_TASK_NAME = re.compile(r"\w{1,128}")
_REGION = re.compile(r"[A-Za-z0-9-]{1,256}")
_BUCKET = re.compile(r"[a-z0-9.-]{3,63}")
_OBJECT_KEY = re.compile(r"(?s:.{1,1024})")
_SHA256 = re.compile(r"[a-fA-F0-9]{64}")
_SIGN_METHOD = re.compile(r"SHA256")
_GROUP_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
_PACKAGE_ID = re.compile(r"[A-Za-z0-9-]{1,36}")
_TASK_MODE = re.compile(r"GATEWAY")
_TIME = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_TIME_FORMAT: Final = "%Y%m%dT%H%M%SZ"


@attrs.frozen(kw_only=True)
class NewPackage:
    """A checked package to create."""

    app_id: str
    package_type: str
    product_id: str
    module_name: str | None
    version: str
    support_source_versions: tuple[str, ...] | None
    description: str | None
    custom_info: str | None
    obs_location: Mapping[str, str]
    """As it was given: the service stores the digest that it is told."""


@attrs.frozen(kw_only=True)
class NewModule:
    """A checked OTA module to create."""

    app_id: str
    product_id: str
    module_name: str
    alias_name: str | None
    description: str | None


@attrs.frozen(kw_only=True)
class ModuleChange:
    """What to change of a module; ``None`` leaves a text as it is."""

    alias_name: str | None
    description: str | None


@attrs.frozen(kw_only=True)
class NewTask:
    """A checked batch task to create."""

    app_id: str | None
    task_name: str
    task_type: str
    task_mode: str | None
    need_confirm: bool | None
    task_ext_info: Mapping[str, object] | None
    targets: tuple[str, ...]
    """Device ids; empty where groups were named."""
    group_ids: tuple[str, ...]
    package_ids: tuple[str, ...]
    document: Mapping[str, object]
    """As it was given, in the newer or the older form."""
    schedule_time: str | None
    """As it was given."""
    scheduled_at: datetime | None
    retry_count: int
    retry_interval: int
    policy: Mapping[str, object] | None
    """As it was given."""


def search_statement(body: bytes) -> str:
    """Return the statement of ``POST search/query-devices``.

    Raises:
        ParameterError: There is none.
    """
    return _Fields.read(body).mandatory("sql", re.compile(r"(?s:.+)"))


def new_module(body: bytes) -> NewModule:
    """Return the module of ``POST ota-upgrades/modules``.

    Raises:
        ParameterError: Something is missing or wrong.
    """
    fields = _Fields.read(body)
    return NewModule(
        app_id=fields.mandatory("app_id", _ID_36),
        product_id=fields.mandatory("product_id", _ID_36),
        module_name=fields.mandatory("module_name", _MODULE_NAME),
        alias_name=fields.text("alias_name", _ALIAS),
        description=fields.prose("description", 1024),
    )


def module_change(body: bytes) -> ModuleChange:
    """Return the change of ``PUT ota-upgrades/modules/{module_id}``.

    Raises:
        ParameterError: Something is wrong.
    """
    fields = _Fields.read(body)
    return ModuleChange(alias_name=fields.text("alias_name", _ALIAS), description=fields.prose("description", 1024))


def new_package(body: bytes) -> NewPackage:
    """Return the package of ``POST ota-upgrades/packages``.

    Raises:
        ParameterError: Something is missing or wrong.
    """
    fields = _Fields.read(body)
    package_type = fields.choice("package_type", PACKAGE_TYPES)
    module_name = fields.text("module_name", _MODULE_NAME)
    if (module_name is not None) != (package_type == "modulePackage"):
        # That other packages may not name a module is our reading of "only with modulePackage".
        raise _wrong("module_name", "belongs to a modulePackage, and only to one")
    return NewPackage(
        app_id=fields.mandatory("app_id", _ID_36),
        package_type=package_type,
        product_id=fields.mandatory("product_id", _ID_36),
        module_name=module_name,
        version=fields.mandatory("version", _VERSION),
        support_source_versions=fields.texts("support_source_versions", _VERSION, MOST_SOURCE_VERSIONS),
        description=fields.prose("description", 1024),
        custom_info=fields.prose("custom_info", 4096),
        obs_location=_obs_location(fields),
    )


def _obs_location(fields: "_Fields") -> Mapping[str, str]:
    location = fields.inner("file_location").inner("obs_location")
    object_key = location.mandatory("object_key", _OBJECT_KEY)
    if not object_key.endswith(FILE_NAME_ENDINGS):
        raise _wrong("object_key", f"ends with none of {' '.join(FILE_NAME_ENDINGS)}")
    given = {
        "region_name": location.mandatory("region_name", _REGION),
        "bucket_name": location.mandatory("bucket_name", _BUCKET),
        "object_key": object_key,
        "sign_method": location.text("sign_method", _SIGN_METHOD),
        "sign": location.text("sign", _SHA256),
    }
    return {name: text for name, text in given.items() if text is not None}


def new_task(body: bytes, *, now: datetime) -> NewTask:
    """Return the task of ``POST batchtasks``: one that upgrades, as no other kind is emulated.

    Raises:
        ParameterError: Something is missing or wrong.
    """
    fields = _Fields.read(body)
    task_type = fields.choice("task_type", UPGRADE_TASK_TYPES)
    task_mode = fields.text("task_mode", _TASK_MODE)
    if task_mode is not None and task_type == "moduleUpgrade":
        raise _wrong("task_mode", "is for firmware and software upgrades")
    targets, group_ids = _reached(fields)
    document = fields.inner("document")
    policy = fields.optional("task_policy")
    schedule_time, scheduled_at = _schedule(policy, now)
    retry_count, retry_interval = _retries(policy)
    return NewTask(
        app_id=fields.text("app_id", _ID_36),
        task_name=fields.mandatory("task_name", _TASK_NAME),
        task_type=task_type,
        task_mode=task_mode,
        need_confirm=fields.flag("need_confirm"),
        task_ext_info=_extra_info(fields),
        targets=targets,
        group_ids=group_ids,
        package_ids=_package_ids(document),
        document=document.values,
        schedule_time=schedule_time,
        scheduled_at=scheduled_at,
        retry_count=retry_count,
        retry_interval=retry_interval,
        policy=policy.values or None,
    )


def _reached(fields: "_Fields") -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The device ids or the groups: where both are there, the groups have no effect."""
    targets = fields.texts("targets", _DEVICE_ID, MOST_TARGETS)
    if targets:
        if len(set(targets)) < len(targets):
            # What the vendor makes of a device that is named twice is not known: our choice.
            raise _wrong("targets", "names a device twice")
        return targets, ()
    groups = fields.optional("targets_filter").texts("group_ids", _GROUP_ID, MOST_TARGETS)
    if not groups:
        raise _wrong("targets", "names no device, and targets_filter no group")
    return (), groups


def _package_ids(document: "_Fields") -> tuple[str, ...]:
    """The packages, in the newer form (a list) or the older one (a text)."""
    package_ids = document.texts("package_ids", _PACKAGE_ID, MOST_PACKAGES)
    if package_ids is None:
        package_ids = (document.mandatory("package_id", _PACKAGE_ID),)
    if not package_ids or len(set(package_ids)) < len(package_ids):
        raise _wrong("document", "names no package, or one twice")
    return package_ids


def _extra_info(fields: "_Fields") -> Mapping[str, object] | None:
    info = fields.optional("task_ext_info").values or None
    if info is not None and len(msgspec.json.encode(info).decode()) > LONGEST_EXTRA_INFO:
        raise _wrong("task_ext_info", f"has more than {LONGEST_EXTRA_INFO} characters")
    return info


def _schedule(policy: "_Fields", now: datetime) -> tuple[str | None, datetime | None]:
    text = policy.text("schedule_time", re.compile(r".*"))
    if text is None:
        return None, None
    try:
        if not _TIME.fullmatch(text):
            raise ValueError(text)
        start = datetime.strptime(text, _TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise ParameterError(ErrorCode.INVALID_TIME) from None
    # Whether a start in the past is refused the vendor does not say. Our choice: it is not, and means now.
    if start > now + LATEST_START:
        raise _wrong("schedule_time", "is more than 7 days ahead")
    return text, start


def _retries(policy: "_Fields") -> tuple[int, int]:
    count = policy.whole("retry_count", 0, MOST_RETRIES)
    interval = policy.whole("retry_interval", 0, LONGEST_RETRY_INTERVAL)
    if (count is None) != (interval is None):
        raise _wrong("task_policy", "has one of retry_count and retry_interval, which go together")
    return count or 0, interval or 0


def targets_meant(body: bytes) -> tuple[str, ...] | None:
    """Return the devices that a stop, retry or confirm names; ``None`` for ``{}``, which means all.

    Raises:
        ParameterError: A device id is wrong, there are more than 100, or the list is empty.
    """
    targets = _Fields.read(body).texts("targets", _DEVICE_ID, MOST_TARGETS_OF_AN_ACTION)
    if targets == ():
        # What the vendor makes of an empty list is not known; that it might mean all is too dangerous a choice.
        raise _wrong("targets", "is empty")
    return targets


def _wrong(name: str, detail: str) -> ParameterError:
    return ParameterError(ErrorCode.INVALID_INPUT, f"The parameter '{name}' {detail}.")


@attrs.frozen
class _Fields:
    """A JSON object whose fields are taken with their rules."""

    values: Mapping[str, object]

    @classmethod
    def read(cls, body: bytes) -> "_Fields":
        try:
            return cls(json_object(body))
        except NoJsonObjectError:
            raise ParameterError(ErrorCode.INVALID_FORMAT) from None

    def text(self, name: str, pattern: re.Pattern[str]) -> str | None:
        value = self.values.get(name)
        return None if value is None else _matching(name, value, pattern)

    def mandatory(self, name: str, pattern: re.Pattern[str]) -> str:
        value = self.text(name, pattern)
        if value is None:
            raise _wrong(name, "is mandatory")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        value = self.mandatory(name, re.compile(r"(?s:.*)"))
        if value not in choices:
            raise _wrong(name, f"is none of {', '.join(choices)}")
        return value

    def prose(self, name: str, longest: int) -> str | None:
        return self.text(name, re.compile(rf"(?s:.{{0,{longest}}})"))

    def texts(self, name: str, pattern: re.Pattern[str], most: int) -> tuple[str, ...] | None:
        values = self.values.get(name)
        if values is None:
            return None
        if not isinstance(values, list):
            raise _wrong(name, "is no array")
        items = cast("list[object]", values)
        if len(items) > most:
            raise _wrong(name, f"has more than {most} entries")
        return tuple(_matching(name, item, pattern) for item in items)

    def flag(self, name: str) -> bool | None:
        value = self.values.get(name)
        if value is not None and not isinstance(value, bool):
            raise _wrong(name, "is neither true nor false")
        return value

    def whole(self, name: str, least: int, most: int) -> int | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _wrong(name, f"is no whole number from {least} to {most}")
        return value

    def optional(self, name: str) -> "_Fields":
        """An inner object; an empty one where there is none."""
        value = self.values.get(name)
        if value is None:
            return _Fields({})
        if not isinstance(value, dict):
            raise _wrong(name, "is no object")
        return _Fields(cast("dict[str, object]", value))

    def inner(self, name: str) -> "_Fields":
        if self.values.get(name) is None:
            raise _wrong(name, "is mandatory")
        return self.optional(name)


def _matching(name: str, value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise _wrong(name, "has a wrong form")
    return value
