"""EnOS firmware over a scripted network: uploads, deletions, reported versions."""

import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import attrs
import msgspec
import pytest

from otaclient.errors import (
    ConflictError,
    IntegrityError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
)
from otaclient.models import Checksum, LocalizedText, NewFirmware
from otaclient.protocols import FirmwareContent
from otaclient.transport.http import HttpResponse
from otaclient.transport.retry import RetryPolicy
from support.enos_firmware import CONTENT, MD5, SHA256, Stage, answer, stored
from support.network import cut

NEW = NewFirmware(version="1.2", name=LocalizedText(default="fw"), product_id="p1")

CREATED = answer({"firmwareId": "f1"})


def found(**changes: Any) -> HttpResponse:
    """Return a listing with the firmware that was uploaded, or one that differs in something."""
    return answer([msgspec.json.decode(stored(**changes).body)["data"]])


# --- uploads ---------------------------------------------------------------------------------------------------------


async def pieces() -> AsyncIterator[bytes]:
    """Give the content in two."""
    yield CONTENT[:7]
    yield CONTENT[7:]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (lambda _: CONTENT, b"firmware.bin"),
        (lambda folder: folder / "fw.tar.gz", b"fw.tar.gz"),
        (lambda folder: str(folder / "fw.tar.gz"), b"fw.tar.gz"),
        (lambda _: pieces(), b"firmware.bin"),
    ],
)
async def test_an_upload_is_one_multipart_request(
    content: Callable[[Path], FirmwareContent], name: bytes, tmp_path: Path
) -> None:
    """With the digest of the content in it; then the record is read and compared."""
    (tmp_path / "fw.tar.gz").write_bytes(CONTENT)
    stage = Stage(CREATED, stored())
    assert await stage.enos.firmware.create(NEW, content(tmp_path)) == "f1"
    assert stage.query(0) == {"action": "create", "orgId": "o1", "productKey": "p1"}
    assert stage.query(1) == {"action": "get", "orgId": "o1", "firmwareId": "f1"}
    body = stage.network.bodies[1]
    assert b'"sign":"' + SHA256.encode() in body
    assert b'filename="' + name + b'"' in body
    assert CONTENT in body
    assert stage.network.sent[1].headers["apim-accesstoken"] == "t-1"


@pytest.mark.parametrize("value", [MD5, MD5.upper()])
async def test_a_checksum_of_the_callers_chooses_the_digest(value: str) -> None:
    """And the content must have it."""
    stage = Stage(CREATED, stored(signMethod="MD5", sign=MD5.upper()))
    firmware = NewFirmware(version="1", name=NEW.name, checksum=Checksum(algorithm="MD5", value=value))
    await stage.enos.firmware.create(firmware, CONTENT)
    assert b'"signMethod":"md5","sign":"' + MD5.encode() in stage.network.bodies[1]


async def test_content_without_the_announced_checksum_is_not_sent() -> None:
    """Both digests are named, and nothing was sent, not even for a token."""
    stage = Stage()
    firmware = NewFirmware(version="1", name=NEW.name, checksum=Checksum(algorithm="md5", value=MD5))
    with pytest.raises(IntegrityError, match=f"but checksum says '{MD5}'; nothing was uploaded") as caught:
        await stage.enos.firmware.create(firmware, CONTENT + b"x")
    assert hashlib.md5(CONTENT + b"x", usedforsecurity=False).hexdigest() in caught.value.message
    assert (caught.value.operation, caught.value.backend) == ("firmware.create", "plant-7")
    assert not stage.network.sent


@pytest.mark.parametrize(
    ("firmware", "content", "message"),
    [
        (NEW, None, "content is missing: EnOS stores the file itself"),
        (NEW, b"", "the content is empty"),
        (NEW, "none.bin", "there is no such file"),
        (NEW, "fw.exe", r"none of the endings \.bin, \.tar, \.gz, \.zip"),
        (NewFirmware(version="1"), CONTENT, "name is None"),
    ],
)
async def test_what_cannot_be_uploaded_sends_nothing(firmware: NewFirmware, content: Any, message: str) -> None:
    """The error is about the creation."""
    stage = Stage()
    with pytest.raises(InvalidQueryError, match=message) as caught:
        await stage.enos.firmware.create(firmware, content)
    assert (caught.value.operation, caught.value.backend) == ("firmware.create", "plant-7")
    assert not stage.network.sent


async def test_a_file_above_the_limit_sends_nothing(tmp_path: Path) -> None:
    """It is not even read: a sparse file of 100 MiB and one byte."""
    with (tmp_path / "fw.bin").open("wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)
    stage = Stage()
    with pytest.raises(InvalidQueryError, match="104857601 bytes, more than the 104857600"):
        await stage.enos.firmware.create(NEW, tmp_path / "fw.bin")
    assert not stage.network.sent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fileSize": 25}, r"26 bytes were uploaded, but firmware 'f1' has 25; .* firmware.delete\('f1'\)"),
        ({"sign": "0" * 64}, f"the sha256 {SHA256} was uploaded, but firmware 'f1' has the sha256 {'0' * 64}"),
        ({"signMethod": "md5", "sign": MD5}, f"has the md5 {MD5}"),
    ],
)
async def test_what_was_stored_otherwise_is_an_error_that_names_the_firmware(
    changes: dict[str, Any], message: str
) -> None:
    """So that it can be deleted."""
    stage = Stage(CREATED, stored(**changes))
    with pytest.raises(IntegrityError, match=message) as caught:
        await stage.enos.firmware.create(NEW, CONTENT)
    assert caught.value.operation == "firmware.create"


@pytest.mark.parametrize("changes", [{"fileSize": None}, {"fileSize": "26"}, {"sign": None}, {"signMethod": "SHA256"}])
async def test_what_the_service_does_not_say_cannot_differ(changes: dict[str, Any]) -> None:
    """Sizes as text, no size, no digest: all of them are documented or seen."""
    assert await Stage(CREATED, stored(**changes)).enos.firmware.create(NEW, CONTENT) == "f1"


async def test_a_record_that_is_not_there_yet_is_waited_for() -> None:
    """Once, for as long as searches and reads may lag behind a write."""
    stage = Stage(CREATED, answer(None, 24404), stored())
    assert await stage.enos.firmware.create(NEW, CONTENT) == "f1"
    assert stage.clock.slept == [2.0]


@pytest.mark.parametrize("failure", [answer(None, 99403), answer(None, 24404), HttpResponse(status=200)])
async def test_a_creation_that_cannot_be_checked_does_not_lose_the_firmware(failure: HttpResponse) -> None:
    """The error names it, and what spoke against the check."""
    stage = Stage(CREATED, failure, failure)
    with pytest.raises(OutcomeUnknownError, match="firmware 'f1' was created, but whether it was stored") as caught:
        await stage.enos.firmware.create(NEW, CONTENT)
    assert isinstance(caught.value.__cause__, OtaError)
    assert caught.value.operation == "firmware.create"


LOST = pytest.mark.parametrize(
    "lost",
    [HttpResponse(status=503), answer(None, 24500), cut, HttpResponse(status=200, body=b"<html>"), answer(None)],
    ids=["503", "24500", "cut", "html", "no identifier"],
)


@LOST
async def test_an_unclear_upload_is_looked_for(lost: Any) -> None:
    """After the read lag, in its product; found, it is taken."""
    stage = Stage(lost, found(), stored())
    assert await stage.enos.firmware.create(NEW, CONTENT) == "f1"
    assert [stage.query(number)["action"] for number in range(3)] == ["create", "search", "get"]
    assert stage.clock.slept == [2.0]


@LOST
async def test_an_upload_that_is_not_found_is_sent_again(lost: Any) -> None:
    """The vendor takes each version once: its refusal then means that the first one took effect."""
    stage = Stage(lost, answer([]), CREATED, stored())
    assert await stage.enos.firmware.create(NEW, CONTENT) == "f1"
    assert stage.network.bodies[1] == stage.network.bodies[3]
    for code in (24601, 24602):
        stage = Stage(lost, answer([]), answer(None, code), found(), stored())
        assert await stage.enos.firmware.create(NEW, CONTENT) == "f1"
    with pytest.raises(ConflictError) as caught:
        await Stage(lost, answer([]), answer(None, 24602), answer([])).enos.firmware.create(NEW, CONTENT)
    assert (caught.value.attempts, caught.value.operation) == (2, "firmware.create")
    with pytest.raises(OutcomeUnknownError, match=r"then a repeat failed"):
        await Stage(lost, answer([]), answer(None, 99403)).enos.firmware.create(NEW, CONTENT)
    with pytest.raises(ConflictError) as caught:
        await Stage(lost, answer([]), answer(None, 24604)).enos.firmware.create(NEW, CONTENT)
    assert caught.value.vendor_code == "24604"


@pytest.mark.parametrize("differing", [{"sign": "0" * 64}, {"fileSize": 1}])
async def test_another_firmware_in_its_place_is_a_conflict(differing: dict[str, Any]) -> None:
    """Whether it is found at once, or the repeat is refused for it."""
    for answers in ([cut, found(**differing)], [cut, answer([]), answer(None, 24601), found(**differing)]):
        with pytest.raises(ConflictError, match="version '1.2' already, 'f1', whose size or digest") as caught:
            await Stage(*answers).enos.firmware.create(NEW, CONTENT)
        assert (caught.value.operation, caught.value.backend) == ("firmware.create", "plant-7")


async def test_a_firmware_without_a_digest_leaves_it_unclear() -> None:
    """It may be the one, or another."""
    with pytest.raises(OutcomeUnknownError, match="does not say which digest"):
        await Stage(cut, found(sign=None)).enos.firmware.create(NEW, CONTENT)
    refused = answer(None, 24601)
    with pytest.raises(OutcomeUnknownError, match="a repeat was refused, and why could not be found out"):
        await Stage(cut, answer([]), refused, found(sign=None)).enos.firmware.create(NEW, CONTENT)


async def test_a_firmware_without_a_product_is_not_sent_again() -> None:
    """Whether its version is unique is not documented; another of that version is none of its business."""
    bare = attrs.evolve(NEW, product_id=None)
    for listing in (answer([]), found(sign="0" * 64, productKey=None), found(productKey="p9")):
        stage = Stage(cut, listing)
        with pytest.raises(OutcomeUnknownError, match="2 s later it was not to be found"):
            await stage.enos.firmware.create(bare, CONTENT)
        assert len(stage.network.sent) == 3
    assert await Stage(cut, found(productKey=None), stored()).enos.firmware.create(bare, CONTENT) == "f1"


async def test_one_creation_at_a_time() -> None:
    """Code 24603 was refused unread: the same content is sent again, whole, after a pause."""
    stage = Stage(answer(None, 24603), CREATED, stored())
    await stage.enos.firmware.create(NEW, pieces())
    assert stage.network.bodies[1] == stage.network.bodies[2]
    assert stage.clock.slept == [0.125]
    with pytest.raises(ConflictError):
        await Stage(answer(None, 24603), retry=RetryPolicy.none()).enos.firmware.create(NEW, CONTENT)


async def test_a_refused_upload_leaves_nothing_to_wait_for() -> None:
    """Searches after it are not held up."""
    stage = Stage(answer(None, 24601), answer([]))
    with pytest.raises(ConflictError, match="a firmware of this version already"):
        await stage.enos.firmware.create(NEW, CONTENT)
    async for _ in stage.enos.firmware.search().pages(settled=True):
        pass
    assert not stage.clock.slept


# --- deletions and versions ------------------------------------------------------------------------------------------


async def test_a_firmware_is_deleted() -> None:
    """Searches of every client that shares the session can wait out the lag."""
    stage = Stage(answer(None), answer([]))
    await stage.enos.firmware.delete("f1")
    assert stage.query(0) == {"action": "delete", "orgId": "o1", "firmwareId": "f1"}
    stage.clock.seconds += 0.5
    async for _ in stage.enos.with_options(timeout_seconds=9).firmware.search().pages(settled=True):
        pass
    assert stage.clock.slept == [1.5]


@pytest.mark.parametrize(("code", "error"), [(24404, NotFoundError), (24604, ConflictError)])
async def test_a_deletion_may_be_refused(code: int, error: type[OtaError]) -> None:
    """There is none, or it is used."""
    with pytest.raises(error) as caught:
        await Stage(answer(None, code)).enos.firmware.delete("f1")
    assert caught.value.operation == "firmware.delete"


async def test_deleting_nothing_sends_nothing() -> None:
    """An identifier that cannot be right is refused."""
    stage = Stage()
    with pytest.raises(InvalidQueryError):
        await stage.enos.firmware.delete("")
    assert not stage.network.sent


@pytest.mark.parametrize(("data", "versions"), [(["7.7", "2.0", "AOTA"], ("7.7", "2.0", "AOTA")), ([], ()), (None, ())])
async def test_reported_versions_are_texts(data: Any, versions: tuple[str, ...]) -> None:
    """As the vendor lists them."""
    stage = Stage(answer(data))
    assert await stage.enos.firmware.reported_versions("p1") == versions
    assert stage.query(0) == {"action": "listVersion", "orgId": "o1", "productKey": "p1"}


async def test_reported_versions_that_are_none_are_an_error() -> None:
    """And so is a product that cannot be right."""
    with pytest.raises(PayloadError):
        await Stage(answer([1])).enos.firmware.reported_versions("p1")
    with pytest.raises(InvalidQueryError, match="product_id"):
        await Stage().enos.firmware.reported_versions("")
