"""What to create a package from, checked and as the wire has it. Pure functions.

Source: Huawei Cloud IoTDA API reference, "Create an OTA Upgrade Package".
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otaclient.checks import check_encodable, check_kind, checked_algorithm
from otaclient.errors import InvalidQueryError
from otaclient.models import Checksum, FirmwareKind, NewFirmware
from otaclient_iotda import checks
from otaclient_iotda.mapping import PACKAGE_TYPE
from otaclient_iotda.wire import ObsLocation, OtaPackage

__all__ = ["FILE_NAME_ENDINGS", "is_made_from", "package_fields"]

MOST_SOURCE_VERSIONS: Final = 20
LONGEST_DESCRIPTION: Final = 1024
LONGEST_CUSTOM_INFO: Final = 4096
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

# Our form of what the vendor has as three fields. An object key may hold anything, so the region stands at the end.
_LOCATION: Final = re.compile(r"(?s:obs://(?P<bucket>[^/]*)/(?P<key>.*?)(?:\?region=(?P<region>[^?/]*))?)")
_FORM: Final = "obs://bucket/object/key, or obs://bucket/object/key?region=cn-north-4"


_COMPARED: Final = ("product_id", "package_type", "version", "module_name", "description", "custom_info")


def package_fields(
    firmware: NewFirmware, *, app_id: str | None, region: str | None, module_name: str | None = None
) -> dict[str, Any]:
    """Return the body of the request that creates a package.

    Args:
        firmware: What to create it from.
        app_id: The resource space.
        region: Where the object storage is, unless the location names a region.
        module_name: The module that a package of the kind module is for.

    Raises:
        InvalidQueryError: IoTDA cannot store that; names the field, the rule and the remedy.
    """
    check_kind(firmware, NewFirmware, name="the firmware")
    _refuse_unknown(firmware)
    if app_id is None:
        raise InvalidQueryError(
            "the resource space is missing, without which IoTDA creates no package: set app_id of the configuration, "
            "or use with_options(owner_id=...)",
            names=("app_id", "owner_id"),
        )
    if firmware.product_id is None:
        raise InvalidQueryError(
            "product_id is missing: IoTDA creates no package without a product", names=("product_id",)
        )
    fields: dict[str, Any] = {
        "app_id": app_id,
        "package_type": PACKAGE_TYPE[firmware.kind],
        "product_id": checks.PRODUCT_ID.check(firmware.product_id, "product_id"),
        "version": checks.VERSION.check(firmware.version, "version"),
        "file_location": {"obs_location": _obs_location(firmware, region)},
        **_module(firmware.kind, module_name),
    }
    versions = checks.checked_list(
        firmware.source_versions, checks.VERSION, name="source_versions", most=MOST_SOURCE_VERSIONS
    )
    if versions:
        fields["support_source_versions"] = versions
    for name, text, longest in (
        ("description", firmware.description, LONGEST_DESCRIPTION),
        ("custom_info", firmware.custom_info, LONGEST_CUSTOM_INFO),
    ):
        if text is not None:
            fields[name] = checks.checked_prose(text, name=name, longest=longest)
    return fields


def is_made_from(package: OtaPackage, fields: Mapping[str, Any]) -> bool:
    """Tell whether a package is all that these fields ask for, from the same file."""
    wanted = fields["file_location"]["obs_location"]
    place = (package.file_location.obs_location if package.file_location else None) or ObsLocation()
    same_file = (place.bucket_name, place.object_key, (place.sign or "").lower()) == (
        wanted["bucket_name"],
        wanted["object_key"],
        wanted.get("sign", "").lower(),
    )
    told = {name: getattr(package, name) for name in _COMPARED}
    if package.module_name is None:  # older services do not say it
        del told["module_name"]
    versions = set(package.support_source_versions or ()) == set(fields.get("support_source_versions", ()))
    return same_file and versions and all((text or "") == fields.get(name, "") for name, text in told.items())


def _refuse_unknown(firmware: NewFirmware) -> None:
    if str(firmware.kind) not in PACKAGE_TYPE:
        raise InvalidQueryError(f"kind is {str(firmware.kind)!r}: IoTDA knows {', '.join(PACKAGE_TYPE)}")
    for name in ("name", "tags", "verification"):
        if getattr(firmware, name):
            raise InvalidQueryError(f"{name} is given, but IoTDA does not store it with a package: leave it out")


def _module(kind: FirmwareKind, module_name: str | None) -> dict[str, str]:
    if kind == FirmwareKind.MODULE:
        if module_name is None:
            raise InvalidQueryError("module_name is missing: a package of the kind module names its module")
        return {"module_name": checks.MODULE_NAME.check(module_name, "module_name")}
    if module_name is not None:
        raise InvalidQueryError(
            f"module_name is given, but kind is {kind}: leave it out, or make it a package of the kind module"
        )
    return {}


def _obs_location(firmware: NewFirmware, region: str | None) -> dict[str, str]:
    location: Any = firmware.location
    if location is None:
        raise InvalidQueryError(
            f"location is missing: IoTDA takes the file from the object storage; give it as {_FORM}"
        )
    found = _LOCATION.fullmatch(location) if isinstance(location, str) else None
    if found is None:
        raise InvalidQueryError(f"location is {location!r}: give it as {_FORM}")
    named = found["region"] if found["region"] is not None else region
    if named is None:
        raise InvalidQueryError(
            f"location is {location!r}, and neither it nor the endpoint says in which region: add ?region=..."
        )
    key = checks.OBJECT_KEY.check(found["key"], "the object key of location")
    check_encodable(key, name="the object key of location")
    if not key.lower().endswith(FILE_NAME_ENDINGS):
        raise InvalidQueryError(f"location ends with {key[-12:]!r}: IoTDA takes files of {' '.join(FILE_NAME_ENDINGS)}")
    fields = {
        "region_name": checks.REGION.check(named, "the region of location"),
        "bucket_name": checks.BUCKET.check(found["bucket"], "the bucket of location"),
        "object_key": key,
    }
    return fields if firmware.checksum is None else {**fields, "sign": _sign(firmware.checksum)}


def _sign(checksum: Checksum) -> str:
    checked_algorithm(checksum, ("sha256",), vendor="IoTDA")
    return checks.SHA256.check(checksum.value, "checksum")
