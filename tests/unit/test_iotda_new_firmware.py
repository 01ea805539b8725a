"""What an IoTDA package is created from: every limit of the vendor, and every field that it has no place for."""

import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.models import Checksum, FirmwareKind, LocalizedText, NewFirmware, Verification
from otaclient_iotda.new_firmware import FILE_NAME_ENDINGS, package_fields

DIGEST = "0d6afb7e939f0936f40afdc759b5a354ea5427ec250a47e7b904ab1ea800a01d"
NO_TEXT: Any = 7
PLAIN = NewFirmware(version="V2.0", product_id="5ba24f5ebbe8f56f5a14f605", location="obs://fw-bucket/fw/v2.bin")


def fields(firmware: NewFirmware = PLAIN, /, module_name: str | None = None, **changes: Any) -> dict[str, Any]:
    """Return the body for a firmware with some changes."""
    return package_fields(
        attrs.evolve(firmware, **changes), app_id="space", region="cn-north-4", module_name=module_name
    )


def test_a_package_as_the_vendor_documents_it() -> None:
    """Every field has its place; the checksum goes with the place of the file."""
    found = fields(
        source_versions=("V1.0",),
        description="",
        custom_info="{}",
        checksum=Checksum(algorithm="SHA256", value=DIGEST),
    )
    assert found == {
        "app_id": "space",
        "package_type": "firmwarePackage",
        "product_id": "5ba24f5ebbe8f56f5a14f605",
        "version": "V2.0",
        "support_source_versions": ["V1.0"],
        "description": "",
        "custom_info": "{}",
        "file_location": {
            "obs_location": {
                "region_name": "cn-north-4",
                "bucket_name": "fw-bucket",
                "object_key": "fw/v2.bin",
                "sign": DIGEST,
            }
        },
    }


def test_what_is_not_given_is_not_sent() -> None:
    """Only what the vendor demands."""
    assert set(fields()) == {"app_id", "package_type", "product_id", "version", "file_location"}
    assert "sign" not in fields()["file_location"]["obs_location"]


def test_a_module_package_names_its_module() -> None:
    """And no other package does."""
    assert fields(kind=FirmwareKind.MODULE, module_name="radio")["module_name"] == "radio"
    assert "module_name" not in fields(kind=FirmwareKind.SOFTWARE)


@pytest.mark.parametrize(
    ("location", "region", "key"),
    [
        ("obs://fw-bucket/a/b.bin?region=cn-east-3", "cn-east-3", "a/b.bin"),
        ("obs://fw-bucket/b?region=x/c.BIN", "cn-north-4", "b?region=x/c.BIN"),
        ("obs://fw-bucket//odd\n.bin", "cn-north-4", "/odd\n.bin"),
        ("obs://fw-bucket/?region=a.bin?region=b", "b", "?region=a.bin"),
    ],
)
def test_a_location_may_end_with_its_region(location: str, region: str, key: str) -> None:
    """Whatever the object's key holds."""
    found = fields(location=location)["file_location"]["obs_location"]
    assert (found["region_name"], found["object_key"]) == (region, key)


@given(
    st.from_regex(re.compile(r"[a-z0-9.-]{3,63}"), fullmatch=True),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=60),
    st.sampled_from(FILE_NAME_ENDINGS),
    st.from_regex(re.compile(r"[A-Za-z0-9-]{1,20}"), fullmatch=True),
)
def test_every_object_can_be_named(bucket: str, key: str, ending: str, region: str) -> None:
    """Bucket, key and region come out as they went in."""
    found = fields(location=f"obs://{bucket}/{key}{ending}?region={region}")["file_location"]["obs_location"]
    assert found == {"region_name": region, "bucket_name": bucket, "object_key": key + ending}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": LocalizedText(default="x")}, "^name is given"),
        ({"tags": {"a": "b"}}, "^tags is given"),
        ({"verification": Verification(required=True)}, "^verification is given"),
        ({"kind": FirmwareKind.UNKNOWN}, "^kind is 'unknown': IoTDA knows firmware, software, module"),
        ({"kind": FirmwareKind.MODULE}, "module_name is missing"),
        ({"kind": "module"}, "module_name is missing"),
        ({"kind": ["module"]}, "kind is .*: IoTDA knows firmware, software, module"),
        ({"checksum": DIGEST}, "checksum is a str: give a Checksum"),
        ({"checksum": Checksum(algorithm=NO_TEXT, value=DIGEST)}, "of the algorithm 7: IoTDA knows sha256"),
        ({"product_id": None}, "product_id is missing"),
        ({"product_id": "a b"}, "product_id is 'a b'"),
        ({"version": "1 0"}, "version is '1 0'"),
        ({"version": "1" * 257}, "1 to 256"),
        ({"source_versions": tuple(f"{n}" for n in range(21))}, "source_versions has 21 entries.*at most 20"),
        ({"source_versions": ("a b",)}, "one of source_versions is 'a b'"),
        ({"source_versions": ("1", "1")}, "source_versions names '1' twice"),
        ({"source_versions": "1"}, "source_versions is the bare text '1': give a tuple"),
        ({"description": "x" * 1025}, "description is 1025 characters long"),
        ({"description": 7}, "description is 7"),
        ({"custom_info": "x" * 4097}, "custom_info is 4097 characters long"),
        ({"custom_info": "\ud800"}, "surrogate"),
        ({"location": None}, "location is missing"),
        ({"location": 7}, "location is 7"),
        ({"location": "https://x/y.bin"}, "obs://bucket/object/key"),
        ({"location": "obs://fw-bucket"}, "obs://bucket/object/key"),
        ({"location": "obs://fw-bucket/"}, "object key of location"),
        ({"location": "obs://FW/y.bin"}, "the bucket of location is 'FW'"),
        ({"location": "obs://fw-bucket/" + "x" * 1024 + ".bin"}, "1 to 1024 characters"),
        ({"location": "obs://fw-bucket/\ud800.bin"}, "surrogate"),
        ({"location": "obs://fw-bucket/y.txt"}, "IoTDA takes files of .bin"),
        ({"location": "obs://fw-bucket/y.bin?region="}, "the region of location is ''"),
        ({"checksum": Checksum(algorithm="md5", value="0" * 32)}, "IoTDA knows sha256"),
        ({"checksum": Checksum(algorithm="sha256", value="0" * 63)}, "checksum is '0+': it takes 64"),
    ],
)
def test_what_iotda_cannot_store_is_refused(changes: dict[str, Any], words: str) -> None:
    """One error that names the field and the rule."""
    with pytest.raises(InvalidQueryError, match=words):
        fields(**changes)


def test_more_that_is_refused() -> None:
    """A missing resource space or region, a module's name for another package, and what is no firmware at all."""
    with pytest.raises(InvalidQueryError, match="set app_id of the configuration"):
        package_fields(PLAIN, app_id=None, region="r")
    with pytest.raises(InvalidQueryError, match=r"add \?region="):
        package_fields(PLAIN, app_id="a", region=None)
    with pytest.raises(InvalidQueryError, match="module_name is given, but kind is firmware"):
        fields(module_name="radio")
    with pytest.raises(InvalidQueryError, match="module_name is 'a b'"):
        fields(kind=FirmwareKind.MODULE, module_name="a b")
    nothing: Any = {"version": "1"}
    with pytest.raises(InvalidQueryError, match="the firmware is a dict"):
        package_fields(nothing, app_id="a", region="r")
