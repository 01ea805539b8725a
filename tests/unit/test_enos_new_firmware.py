"""What an EnOS firmware is created from: every rule of the reference, and the request that carries it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import InvalidQueryError
from otaclient.models import Checksum, FirmwareKind, LocalizedText, NewFirmware, Verification
from otaclient_enos.mapping import firmware_from
from otaclient_enos.multipart import multipart_body
from otaclient_enos.new_firmware import check_new_firmware, firmware_fields, sign_method_of
from otaclient_enos.requests import Organisation
from otaclient_enos.wire import CONVERTER, FirmwareInfo
from otaclient_enos.write_requests import create_firmware, delete_firmware

DIGEST = Checksum(algorithm="sha256", value="311b19e861eb8c7d4a4812fd0f90c027bedffb7466bf8b18f6514b7ed8f02bb9")
NAME = LocalizedText(default="fw", translations={"zh_CN": "固件"})
NO_FLAG: Any = 1
ORG = Organisation(org_id="o1", api_version="v2.1")

words = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=12)
tag_keys = st.text("abcXYZ019_-/", min_size=1, max_size=50)
tag_values = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=200)
names = st.builds(
    LocalizedText, default=words, translations=st.dictionaries(st.sampled_from(["zh_CN", "en_US", "es_ES"]), words)
)
counts = st.integers(1, 100)
verifications = st.builds(
    lambda required, most, least: Verification(
        required=required, max_devices=most, min_successes=None if least is None else min(least, most or least)
    ),
    st.booleans(),
    st.none() | counts,
    st.none() | counts,
)
valid_firmware = st.builds(
    NewFirmware,
    version=words,
    name=names,
    product_id=st.none() | words,
    description=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    tags=st.dictionaries(tag_keys, tag_values, max_size=5),
    verification=verifications,
)


class Body:
    """Content of a known size."""

    size_bytes = 3

    async def chunks(self) -> Any:
        """Give it."""
        yield b"abc"


def test_a_firmware_is_as_the_page_has_it() -> None:
    """Every field of the metadata's table."""
    firmware = NewFirmware(
        version="1.2",
        name=NAME,
        description="d",
        tags={"a/b": "c"},
        verification=Verification(required=True, max_devices=5, min_successes=2),
    )
    assert firmware_fields(firmware, DIGEST) == {
        "name": {"defaultValue": "fw", "i18nValue": {"zh_CN": "固件"}},
        "version": "1.2",
        "signMethod": "sha256",
        "sign": DIGEST.value,
        "enableVerification": True,
        "maxAllowedForVerification": 5,
        "minSuccessForVerified": 2,
        "desc": "d",
        "firmwareTags": {"a/b": "c"},
    }
    plain = firmware_fields(NewFirmware(version="1", name=LocalizedText(default="n")), DIGEST)
    assert plain["enableVerification"] is False
    assert set(plain) == {"name", "version", "signMethod", "sign", "enableVerification"}


@given(valid_firmware)
def test_a_valid_firmware_survives_the_wire(firmware: NewFirmware) -> None:
    """What the service would store and show again is what was given."""
    check_new_firmware(firmware)
    sent = msgspec.json.decode(msgspec.json.encode(firmware_fields(firmware, DIGEST)))
    shown = firmware_from(
        CONVERTER.structure({**sent, "firmwareId": "f", "productKey": firmware.product_id}, FirmwareInfo), backend="b"
    )
    for name in ("version", "name", "product_id", "description", "tags", "verification"):
        assert getattr(shown, name) == getattr(firmware, name), name
    assert shown.checksum == DIGEST
    assert not shown.extra


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": FirmwareKind.MODULE}, "kind is 'module': EnOS has only the kind firmware"),
        ({"source_versions": ("1",)}, "source_versions is given"),
        ({"custom_info": "x"}, "custom_info is given"),
        ({"location": "https://x"}, "location is given"),
        ({"product_id": " "}, "product_id is ' '"),
        (
            {"checksum": Checksum(algorithm="SHA1", value="x")},
            "of the algorithm 'SHA1': EnOS knows md5 and sha256",
        ),
        ({"checksum": "x"}, "checksum is a str: give a Checksum"),
        ({"checksum": Checksum(algorithm=NO_FLAG, value="x")}, "of the algorithm 1: EnOS knows"),
        ({"checksum": Checksum(algorithm="md5", value=NO_FLAG)}, "checksum is 1: give a text"),
        ({"kind": "module"}, "kind is 'module': EnOS has only the kind firmware"),
        ({"name": None}, "name is None: EnOS needs one"),
        ({"name": "fw"}, "name is 'fw'"),
        ({"name": LocalizedText(default="")}, "name is ''"),
        ({"name": LocalizedText(default="a\nb")}, "name holds"),
        ({"name": LocalizedText(default="a", translations={"zh-CN": "b"})}, "locale is 'zh-CN'"),
        ({"name": LocalizedText(default="a", translations={NO_FLAG: "b"})}, "locale is 1"),
        ({"name": LocalizedText(default="a", translations={"default": "b"})}, "a translation into 'default'"),
        ({"name": LocalizedText(default="a", translations={"zh_CN": ""})}, "name in zh_CN is ''"),
        ({"version": ""}, "version is ''"),
        ({"version": 7}, "version is 7"),
        ({"version": "1\0"}, "version holds"),
        ({"description": "\ud800"}, "description is"),
        ({"description": 7}, "description is 7"),
        ({"tags": dict.fromkeys(map(str, range(101)), "v")}, "tags has 101 entries: EnOS takes at most 100"),
        ({"tags": {"a b": "v"}}, "tags has the key 'a b'"),
        ({"tags": {"k" * 51: "v"}}, "tags has the key"),
        ({"tags": {NO_FLAG: "v"}}, "tags has the key 1"),
        ({"tags": {"k": " v"}}, "tags has the value ' v'"),
        ({"tags": {"k": "v" * 201}}, "tags has the value"),
        ({"tags": {"k": 7}}, "tags has the value 7"),
        ({"tags": {"k": "a\0b"}}, "tag 'k' holds"),
        ({"verification": {"required": True}}, "verification is a dict: give a Verification"),
        ({"verification": False}, "verification is a bool: give a Verification"),
        ({"verification": Verification(verified=True)}, r"verification\.verified is given"),
        ({"verification": Verification(required=NO_FLAG)}, r"verification\.required is 1: give True or False"),
        ({"verification": Verification(max_devices=0)}, r"verification\.max_devices is 0: .* from 1 to 2147483647"),
        ({"verification": Verification(min_successes=True)}, r"verification\.min_successes is True"),
        ({"verification": Verification(max_devices=2, min_successes=3)}, r"min_successes is 3: .* from 1 to 2"),
    ],
)
def test_what_enos_cannot_store_is_refused(changes: dict[str, Any], message: str) -> None:
    """Each message names the field, the rule and the remedy."""
    with pytest.raises(InvalidQueryError, match=message):
        check_new_firmware(NewFirmware(**{"version": "1", "name": NAME, **changes}))


def test_a_missing_name_is_named_for_those_who_call_it_otherwise() -> None:
    """The command says ``--name`` by it."""
    with pytest.raises(InvalidQueryError, match="name is None") as caught:
        check_new_firmware(NewFirmware(version="1"))
    assert caught.value.names == ("name",)


def test_a_kind_may_be_given_as_a_text() -> None:
    """As in queries."""
    kind: Any = "firmware"
    check_new_firmware(NewFirmware(version="1", name=NAME, kind=kind))


def test_something_else_than_a_firmware_is_refused() -> None:
    """By its type."""
    wrong: Any = {"version": "1"}
    with pytest.raises(InvalidQueryError, match="the firmware is a dict: give a NewFirmware"):
        check_new_firmware(wrong)


def test_the_digest_is_that_of_the_callers_checksum() -> None:
    """Otherwise the stronger one."""
    firmware = NewFirmware(version="1", name=NAME)
    assert sign_method_of(firmware) == "sha256"
    assert sign_method_of(NewFirmware(version="1", checksum=Checksum(algorithm="MD5", value="x"))) == "md5"


@pytest.mark.parametrize("product_id", [None, "p1"])
def test_the_upload_is_a_write_that_says_how_to_check(product_id: str | None) -> None:
    """One request that is never repeated blindly; the product goes into the query, the length is exact."""
    body = multipart_body({"a": 1}, file_name="fw.bin", content=Body())
    request = create_firmware(ORG, NewFirmware(version="1", name=NAME, product_id=product_id), body)
    query = {"action": "create", "orgId": "o1"} | ({} if product_id is None else {"productKey": product_id})
    assert (request.method, dict(request.query)) == ("POST", query)
    assert request.path == "/connect-service/v2.1/ota-firmwares"
    assert request.headers["Content-Type"] == body.content_type
    assert (request.content, request.body, request.idempotent) == (body, b"", False)
    assert "firmware.search" in request.how_to_check


def test_a_deletion_has_no_body() -> None:
    """It is a POST with everything in the query."""
    request = delete_firmware(ORG, "f1")
    assert (request.method, dict(request.query)) == ("POST", {"action": "delete", "orgId": "o1", "firmwareId": "f1"})
    assert (request.body, request.idempotent, request.operation) == (b"", False, "firmware.delete")
    with pytest.raises(InvalidQueryError, match="firmware_id is ''"):
        delete_firmware(ORG, "")


# --- the multipart body ----------------------------------------------------------------------------------------------


async def test_the_body_is_metadata_and_then_the_file() -> None:
    """As the page's sample has it, to the byte, and exactly as long as announced."""
    body = multipart_body({"name": "固件"}, file_name="fw.bin", content=Body())
    sent = b"".join([chunk async for chunk in body.chunks()])
    mark = body.boundary.encode()
    assert sent == (
        b"--" + mark + b'\r\nContent-Disposition: form-data; name="metadata"\r\n'
        b"Content-Type: application/json; charset=UTF-8\r\n\r\n"
        + '{"name":"固件"}'.encode()
        + b"\r\n--"
        + mark
        + b'\r\nContent-Disposition: form-data; name="file"; filename="fw.bin"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\nabc\r\n--" + mark + b"--\r\n"
    )
    assert len(sent) == body.size_bytes
    assert body.content_type == f"multipart/form-data; boundary={body.boundary}"


def test_every_boundary_is_another() -> None:
    """And short enough for the standard, which allows 70 characters."""
    boundaries = {multipart_body({}, file_name="f", content=Body()).boundary for _ in range(20)}
    assert len(boundaries) == 20
    assert all(len(boundary) <= 70 for boundary in boundaries)


@given(st.text(min_size=1))
def test_a_files_name_cannot_break_out_of_its_header(name: str) -> None:
    """Quotes, line ends and controls are escaped; other letters go as UTF-8."""
    body = multipart_body({}, file_name=name, content=Body())
    disposition = body.head.split(b"\r\n")[-4]
    assert disposition.startswith(b'Content-Disposition: form-data; name="file"; filename="')
    assert disposition.count(b'"') == 4
    assert disposition.endswith(b'"')
    assert min(disposition) >= 32
