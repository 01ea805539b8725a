"""EnOS firmware over a scripted network: uploads, deletions, reported versions, downloads."""

import hashlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import anyio
import attrs
import msgspec
import pytest

from otaclient.errors import (
    ApiError,
    ConflictError,
    IntegrityError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    OutcomeUnknownError,
    PayloadError,
    PermissionDeniedError,
    ResponseLostError,
)
from otaclient.models import Checksum, DeviceId, DeviceUpgrade, Firmware, FirmwareId, LocalizedText, NewFirmware
from otaclient.protocols import FirmwareContent
from otaclient.testing import HandClock
from otaclient.transport.http import HttpRequest, HttpResponse, Sink
from otaclient.transport.retry import RetryPolicy
from otaclient.transport.session import Session
from otaclient_enos import EnosBackend, EnosConfig
from support.network import ScriptedTransport

CONFIG = EnosConfig(endpoint="https://apim.example.com", org_id="o1", app_key="firmware-test", app_secret="the-secret")
FILES = "https://files.example.com"
CONTENT = b"EnOS firmware test vector\n"
MD5 = "eb75c43ae76196f8c57cabff7b1f3f61"
SHA256 = "311b19e861eb8c7d4a4812fd0f90c027bedffb7466bf8b18f6514b7ed8f02bb9"
TOKEN = HttpResponse(status=200, body=b'{"status":0,"data":{"accessToken":"t-1","expire":7200}}')
NEW = NewFirmware(version="1.2", name=LocalizedText(default="fw"), product_id="p1")


def answer(data: Any, code: int = 0, status: int = 200) -> HttpResponse:
    """Return an answer of the service."""
    body = {"code": code, "msg": "words", "requestId": "r-1", "data": data}
    return HttpResponse(status=status, headers={"content-type": "application/json"}, body=msgspec.json.encode(body))


CREATED = answer({"firmwareId": "f1"})
BYTES = {"content-type": "application/octet-stream"}


def stored(**changes: Any) -> HttpResponse:
    """Return the record of the firmware that was uploaded."""
    fields = {"firmwareId": "f1", "version": "1.2", "signMethod": "sha256", "sign": SHA256, "fileSize": len(CONTENT)}
    return answer({**fields, **changes})


class Network(ScriptedTransport):
    """Reads streamed bodies to their end, and remembers them and the hosts that were asked."""

    def __init__(self, answers: Any) -> None:
        super().__init__(answers)
        self.bodies: list[bytes] = []
        self.hosts: list[str] = []

    async def send(self, request: HttpRequest, /, *, endpoint: str, timeout_seconds: float | None) -> HttpResponse:
        """Read the body, then play the next answer."""
        self.hosts.append(endpoint)
        self.bodies.append(request.body)
        if request.content is not None:
            self.bodies[-1] = b"".join([chunk async for chunk in request.content.chunks()])
            assert len(self.bodies[-1]) == request.content.size_bytes
        return await super().send(request, endpoint=endpoint, timeout_seconds=timeout_seconds)

    async def fetch(
        self, request: HttpRequest, sink: Sink, /, *, endpoint: str, idle_seconds: float | None
    ) -> HttpResponse:
        """Play the next answer into the sink; an error behind it breaks the connection."""
        response = await self.send(request, endpoint=endpoint, timeout_seconds=idle_seconds)
        if await sink.begin(response.status, response.headers):
            await sink.write(response.body)
            if self.answers and isinstance(self.answers[0], ResponseLostError):
                raise self.answers.pop(0)  # type: ignore[misc]
        return response


class Stage:
    """A client, its network and its clock."""

    def __init__(self, *answers: Any, config: EnosConfig = CONFIG, **options: Any) -> None:
        self.clock = HandClock()
        self.network = Network([TOKEN, *answers])
        session = Session(label="plant-7", transport=self.network, clock=self.clock, roll=lambda: 0.5, **options)
        self.enos = EnosBackend(config, session)

    def query(self, number: int) -> dict[str, str]:
        """Return the query of a business request."""
        return dict(self.network.sent[1 + number].query)


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


def cut(_: HttpRequest) -> HttpResponse:
    """Lose the answer."""
    raise ResponseLostError("cut")


def found(**changes: Any) -> HttpResponse:
    """Return a listing with the firmware that was uploaded, or one that differs in something."""
    return answer([msgspec.json.decode(stored(**changes).body)["data"]])


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


# --- downloads -------------------------------------------------------------------------------------------------------


def firmware(**changes: Any) -> Firmware:
    """Return the record of a firmware."""
    fields = {
        "backend": "plant-7",
        "firmware_id": FirmwareId("f1"),
        "version": "1.2",
        "product_id": "p1",
        "owner_id": "o1",
        "location": "enos-connect://1.bin",
        "size_bytes": len(CONTENT),
        "checksum": Checksum(algorithm="SHA256", value=SHA256),
    }
    return Firmware(**{**fields, **changes})


def file(content: bytes = CONTENT, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer of the files API."""
    return HttpResponse(
        status=status, headers=BYTES | {name.replace("_", "-"): text for name, text in headers.items()}, body=content
    )


DEVICES = answer([{"assetId": "a1"}])


def left(folder: Path) -> dict[str, bytes]:
    """Return what lies in a folder."""
    return {entry.name: entry.read_bytes() for entry in folder.iterdir()}


async def test_a_download_asks_the_files_gateway_in_the_name_of_a_device(tmp_path: Path) -> None:
    """The first device of the product is looked up; the token alone goes along, no signature."""
    config = EnosConfig(
        endpoint=CONFIG.endpoint, org_id="o1", app_key="firmware-test", app_secret="s", files_endpoint=FILES
    )
    stage = Stage(DEVICES, file(), config=config)
    seen: list[tuple[int, int | None]] = []
    found = await stage.enos.firmware.download(firmware(), tmp_path / "fw.bin", progress=lambda *now: seen.append(now))
    assert (found.path, found.size_bytes, found.sha256, found.verified) == (
        str(tmp_path / "fw.bin"),
        26,
        SHA256,
        True,
    )
    assert (left(tmp_path), seen) == ({"fw.bin": CONTENT}, [(26, 26)])
    assert stage.network.hosts == [CONFIG.endpoint, CONFIG.endpoint, FILES]
    assert stage.query(0)["action"] == "searchDeviceUpgrade"
    assert b"productKey = 'p1'" in stage.network.bodies[1]
    sent = stage.network.sent[2]
    assert (sent.method, sent.path) == ("GET", "/connect-service/v2.1/files")
    assert dict(sent.query) == {
        "action": "download",
        "orgId": "o1",
        "fileUri": "enos-connect://1.bin",
        "category": "ota",
        "assetId": "a1",
    }
    assert {name for name in sent.headers if name.startswith("apim")} == {"apim-accesstoken"}
    assert sent.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("device", ["a7", DeviceUpgrade(backend="b", device_id=DeviceId("a7"), device_key="d7")])
async def test_a_device_can_be_given(tmp_path: Path, device: Any) -> None:
    """Then a download is one request; without files_endpoint, the API gateway serves files too."""
    stage = Stage(file())
    await stage.enos.firmware.download(firmware(), tmp_path / "fw.bin", device=device)
    assert stage.query(0)["assetId"] == "a7"
    assert stage.network.hosts == [CONFIG.endpoint] * 2


async def test_without_any_device_the_vendor_decides(tmp_path: Path) -> None:
    """A firmware without a product may be for any device; the record's own organisation is asked."""
    stage = Stage(answer([]), file())
    await stage.enos.firmware.download(firmware(product_id=None, owner_id="o2"), tmp_path / "fw.bin")
    assert b"expression" not in stage.network.bodies[1]
    assert stage.query(0)["orgId"] == stage.query(1)["orgId"] == "o2"
    assert "assetId" not in stage.query(1)


@pytest.mark.parametrize(
    ("checksum", "verified", "warning"),
    [
        (
            Checksum(algorithm="md5", value=MD5.upper()),
            True,
            f"an MD5 digest only.*the SHA-256 of the file is {SHA256}",
        ),
        (Checksum(algorithm="md5", value="fileSig"), False, "'f1' has no digest: its file cannot be verified"),
        (None, False, "'f1' has no digest"),
        (Checksum(algorithm="sha256", value=SHA256), True, None),
    ],
)
async def test_weak_and_missing_digests_are_taken_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, checksum: Checksum | None, verified: bool, warning: str | None
) -> None:
    """In the log; the result says what was verified, and always has the SHA-256."""
    caplog.set_level(logging.WARNING)
    found = await Stage(file()).enos.firmware.download(
        firmware(checksum=checksum, size_bytes=None), tmp_path / "fw.bin", device="a"
    )
    assert (found.verified, found.sha256) == (verified, SHA256)
    assert len(caplog.records) == (warning is not None)
    if warning is not None:
        assert re.search(warning, caplog.text)


async def test_a_broken_download_goes_on(tmp_path: Path) -> None:
    """The rest is asked for, each time with its own token header."""
    stage = Stage(file(CONTENT[:10]), ResponseLostError("cut"), file(CONTENT[10:], 206, content_range="bytes 10-25/26"))
    found = await stage.enos.firmware.download(firmware(), tmp_path / "fw.bin", device="a")
    assert found.verified
    assert [request.headers.get("Range") for request in stage.network.sent[1:]] == [None, "bytes=10-"]


@pytest.mark.parametrize(
    ("answers", "changes", "error", "message"),
    [
        ([file(b"x" * 26)], {}, IntegrityError, f"the vendor announces {SHA256}"),
        ([file(CONTENT[:-1])], {}, IntegrityError, "25 bytes came, but the vendor announces 26"),
        ([file(CONTENT + b"x")], {}, IntegrityError, "more than the 26 bytes"),
        ([answer(None, 24404)], {}, NotFoundError, "the file of firmware 'f1'"),
        ([answer(None, 99403, 403)], {}, PermissionDeniedError, "the file of firmware 'f1'"),
        ([answer(None)], {}, PayloadError, "an envelope without an error"),
        ([file(answer(None, 99403).body)], {"size_bytes": None}, PermissionDeniedError, "EnOS says 'words'"),
        ([file(answer(None, 24404).body)], {"size_bytes": None, "checksum": None}, NotFoundError, "EnOS says 'words'"),
        ([file(b'{"no":"envelope"}')], {"size_bytes": None}, IntegrityError, "the vendor announces"),
        ([HttpResponse(status=404)], {}, ApiError, "HTTP status 404"),
        ([ResponseLostError("cut")] * 5, {}, ResponseLostError, "cut"),
    ],
)
async def test_what_is_not_the_file_leaves_what_was_there(
    tmp_path: Path, answers: list[Any], changes: dict[str, Any], error: type[OtaError], message: str
) -> None:
    """The destination is as it was, nothing else is left, and the error is about the download."""
    (tmp_path / "fw.bin").write_bytes(b"old")
    with pytest.raises(error, match=message) as caught:
        await Stage(*answers).enos.firmware.download(firmware(**changes), tmp_path / "fw.bin", device="a")
    assert type(caught.value) is error
    assert left(tmp_path) == {"fw.bin": b"old"}
    assert (caught.value.operation, caught.value.backend) == ("firmware.download", "plant-7")


async def test_a_cancelled_download_leaves_what_was_there(tmp_path: Path) -> None:
    """Whenever it is cancelled."""
    (tmp_path / "fw.bin").write_bytes(b"old")
    with anyio.CancelScope() as scope:
        await Stage(file()).enos.firmware.download(
            firmware(), tmp_path / "fw.bin", device="a", progress=lambda *_: scope.cancel()
        )
    assert scope.cancelled_caught
    assert left(tmp_path) == {"fw.bin": b"old"}


async def test_a_download_that_cannot_be_sends_nothing(tmp_path: Path) -> None:
    """The destination and the record are looked at first."""
    wrong: Any = "f1"
    cases: list[tuple[Any, Any, Any, str]] = [
        (firmware(), tmp_path, None, "is a folder"),
        (firmware(), tmp_path / "no" / "fw.bin", None, "there is no folder"),
        (firmware(location=None), tmp_path / "fw.bin", None, "firmware 'f1' has no location"),
        (wrong, tmp_path / "fw.bin", None, "the firmware is a str: give the record"),
        (firmware(), tmp_path / "fw.bin", "", "device is ''"),
    ]
    for record, destination, device, message in cases:
        stage = Stage()
        with pytest.raises(InvalidQueryError, match=message) as caught:
            await stage.enos.firmware.download(record, destination, device=device)
        assert (caught.value.operation, caught.value.backend) == ("firmware.download", "plant-7")
        assert not stage.network.sent
    assert not left(tmp_path)
