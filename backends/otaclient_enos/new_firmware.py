"""What to create a firmware from, checked and as the wire has it. Pure functions.

Sources: EnOS Connection Service, "V2.1 Create Firmware File"; EnOS Device Connection, "Limitations"; EnOS "API FAQs".
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from otaclient.checks import check_encodable, check_kind, checked_algorithm, checked_count, checked_flag
from otaclient.errors import InvalidQueryError
from otaclient.models import Checksum, FirmwareKind, NewFirmware, Verification
from otaclient_enos.checks import LARGEST_INTEGER, checked_text, name_fields

__all__ = ["check_new_firmware", "firmware_fields", "sign_method_of"]

SIGN_METHODS: Final = ("md5", "sha256")
DEFAULT_SIGN_METHOD: Final = "sha256"
"""The digest that is stored unless the caller's checksum is of the other method."""

# Limits of tags: the "Limitations" page; of keys and values the longest allowed, where the FAQ says "less than".
MOST_TAGS: Final = 100
LONGEST_TAG_VALUE: Final = 200
_TAG_KEY: Final = re.compile(r"[A-Za-z0-9_/-]{1,50}")


def check_new_firmware(firmware: NewFirmware) -> None:
    """Refuse what EnOS cannot store.

    Raises:
        InvalidQueryError: Names the field, the rule and the remedy.
    """
    check_kind(firmware, NewFirmware, name="the firmware")
    if firmware.kind != FirmwareKind.FIRMWARE:
        raise InvalidQueryError(f"kind is {str(firmware.kind)!r}: EnOS has only the kind firmware")
    for name, value in (
        ("source_versions", firmware.source_versions),
        ("custom_info", firmware.custom_info),
        ("location", firmware.location),
    ):
        if value:
            raise InvalidQueryError(f"{name} is given, but EnOS does not store it with a firmware: leave it out")
    if firmware.product_id is not None:
        checked_text(firmware.product_id, name="product_id")
    sign_method_of(firmware)
    if firmware.checksum is not None:
        checked_text(firmware.checksum.value, name="checksum")
    _fields(firmware)


def sign_method_of(firmware: NewFirmware) -> str:
    """Return the digest to store: that of the caller's checksum, else SHA-256.

    Raises:
        InvalidQueryError: It is no checksum, or EnOS does not know its algorithm.
    """
    if firmware.checksum is None:
        return DEFAULT_SIGN_METHOD
    return checked_algorithm(firmware.checksum, SIGN_METHODS, vendor="EnOS")


def firmware_fields(firmware: NewFirmware, digest: Checksum) -> dict[str, Any]:
    """Return the part ``metadata`` of the request: what EnOS is to store beside the file with this digest.

    Raises:
        InvalidQueryError: See :func:`check_new_firmware`.
    """
    return {**_fields(firmware), "signMethod": digest.algorithm, "sign": digest.value}


def _fields(firmware: NewFirmware) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "name": name_fields(firmware.name, name="name"),
        "version": checked_text(firmware.version, name="version"),
        **_verification_fields(Verification() if firmware.verification is None else firmware.verification),
    }
    if firmware.description is not None:
        fields["desc"] = _description(firmware.description)
    if firmware.tags:
        fields["firmwareTags"] = _tags(firmware.tags)
    return fields


def _verification_fields(verification: Verification) -> dict[str, Any]:
    check_kind(verification, Verification, name="verification")
    if verification.verified is not None:
        raise InvalidQueryError("verification.verified is given, but only a verification job can say so: leave it out")
    required = False if verification.required is None else verification.required
    fields: dict[str, Any] = {"enableVerification": checked_flag(required, name="verification.required")}
    most = LARGEST_INTEGER
    if verification.max_devices is not None:
        most = checked_count(verification.max_devices, name="verification.max_devices", least=1, most=most)
        fields["maxAllowedForVerification"] = most
    if verification.min_successes is not None:
        fields["minSuccessForVerified"] = checked_count(
            verification.min_successes, name="verification.min_successes", least=1, most=most
        )
    return fields


def _description(text: Any) -> str:
    if not isinstance(text, str):
        raise InvalidQueryError(f"description is {text!r}: give a text")
    # It may have several lines, so that control characters are not looked for.
    check_encodable(text, name="description")
    return text


def _tags(tags: Mapping[Any, Any]) -> dict[str, str]:
    if len(tags) > MOST_TAGS:
        raise InvalidQueryError(f"tags has {len(tags)} entries: EnOS takes at most {MOST_TAGS}")
    for key, value in tags.items():
        if not isinstance(key, str) or not _TAG_KEY.fullmatch(key):
            raise InvalidQueryError(
                f"tags has the key {key!r}: EnOS takes 1 to 50 letters, digits, underscores, hyphens and slashes"
            )
        if not isinstance(value, str) or value != value.strip() or len(value) > LONGEST_TAG_VALUE:
            raise InvalidQueryError(
                f"tags has the value {value!r} for {key!r}: EnOS takes texts of at most {LONGEST_TAG_VALUE} characters "
                "that neither begin nor end with a space"
            )
        if value:
            checked_text(value, name=f"tag {key!r}")
    return dict(tags)
