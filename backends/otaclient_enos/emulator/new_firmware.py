"""The metadata of a firmware that is to be created: what the service reads in it, and what it refuses.

Sources: EnOS Connection Service, "V2.1 Create Firmware File"; EnOS Device Connection, "Limitations" (tags).
"""

import re
from collections.abc import Mapping
from typing import Final

from otaclient.emulator import FirmwareOrder
from otaclient_enos.emulator.members import Members
from otaclient_enos.emulator.requests import json_object

__all__ = ["MOST_TAGS", "firmware_order"]

MOST_TAGS: Final = 100
_TAG_KEY: Final = re.compile(r"[A-Za-z0-9_/\-]{1,50}")
_LONGEST_TAG_VALUE: Final = 200
_MOST_DEVICES: Final = 1_000_000
# In any case: another product's sample has them in capitals.
_SIGN_METHODS: Final = ("md5", "sha256")


def firmware_order(metadata: bytes, *, product_id: str, file_name: str) -> FirmwareOrder:
    """Return what to create from the ``metadata`` part of a request.

    Args:
        metadata: The JSON text.
        product_id: The product of the query; empty where it names none, which is allowed since 2.4.4.
        file_name: The name that the file was sent under.

    Raises:
        RefusalError: A member is missing or not as documented.
    """
    members = Members(json_object(metadata, name="metadata"))
    members.must("name", "enableVerification")
    name = members.name("name") or {}
    version, sign, method = members.text("version"), members.text("sign"), members.text("signMethod")
    for member, text in (("version", version), ("sign", sign)):
        if not text:
            members.refuse(member, "it is empty")
    if method.lower() not in _SIGN_METHODS:
        members.refuse("signMethod", f"{method} is not one of {', '.join(_SIGN_METHODS)}")
    most = members.number("maxAllowedForVerification", least=1, most=_MOST_DEVICES)
    least = members.number("minSuccessForVerified", least=1, most=_MOST_DEVICES if most is None else most)
    tags = members.mapping("firmwareTags", str) or {}
    _check_tags(members, tags)
    return FirmwareOrder(
        version=version,
        product_id=product_id,
        name=name["defaultValue"],
        translations=name["i18nValue"],
        description=members.text("desc") if members.has("desc") else None,
        file_name=file_name,
        verification_required=members.flag("enableVerification") is True,
        max_verification_devices=most or 0,
        min_verified_successes=least or 1,
        tags=tags,
        vendor={
            # Whether the service compares it with the file is not documented; the vendor's samples send any text.
            "signMethod": method,
            "sign": sign,
            "maxAllowedForVerification": most,
            "minSuccessForVerified": least,
        },
    )


def _check_tags(members: Members, tags: Mapping[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        members.refuse("firmwareTags", f"{len(tags)} are more than {MOST_TAGS}")
    for key, value in tags.items():
        if not _TAG_KEY.fullmatch(key):
            members.refuse("firmwareTags", f"key {key} is not 1 to 50 letters, digits and _ - /")
        if len(value) > _LONGEST_TAG_VALUE or value != value.strip():
            members.refuse("firmwareTags", f"the value of {key} is longer than 200 characters, or begins or ends blank")
