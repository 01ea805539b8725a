"""EnOS firmware over a scripted network: downloads."""

import logging
import re
from pathlib import Path
from typing import Any

import anyio
import pytest

from otaclient.errors import (
    ApiError,
    IntegrityError,
    InvalidQueryError,
    NotFoundError,
    OtaError,
    PayloadError,
    PermissionDeniedError,
    ResponseLostError,
)
from otaclient.models import Checksum, DeviceId, DeviceUpgrade
from otaclient.transport.http import HttpResponse
from otaclient_enos import EnosConfig
from support.enos_firmware import CONFIG, CONTENT, MD5, SHA256, Stage, answer, firmware

FILES = "https://files.example.com"
BYTES = {"content-type": "application/octet-stream"}
DEVICES = answer([{"assetId": "a1"}])


def file(content: bytes = CONTENT, status: int = 200, **headers: str) -> HttpResponse:
    """Return an answer of the files API."""
    return HttpResponse(
        status=status, headers=BYTES | {name.replace("_", "-"): text for name, text in headers.items()}, body=content
    )


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
