"""``otaclient firmware`` over a backend in memory: what goes up, comes down and goes away, and what is asked before."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from otaclient.models import Checksum, FirmwareKind, LocalizedText, NewFirmware, Verification
from otaclient.protocols import Capability
from support.command_line import Result, Run
from support.fake_backend import FIRMWARE, World

CONTENT = b"firmware" * 200_000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
MD5 = hashlib.md5(CONTENT, usedforsecurity=False).hexdigest()


def test_upload_shows_what_is_sent_and_prints_the_identifier(run: Run, world: World) -> None:
    """Product, version, size and digest are shown; the identifier is the output; every option has its field."""
    Path("pump.bin").write_bytes(CONTENT)
    result = run(
        *("firmware", "upload", "pump.bin", "--version", "2.4", "--product", "p1", "--name", "Pump"),
        *("--kind", "software", "--description", "better", "--checksum", f"MD5:{MD5.upper()}"),
        *("--source-version", "2.3", "--source-version", "2.2", "--tag", "site=north", "--custom-info", "{}"),
        *("--must-be-verified", "--verification-max-devices", "5", "--verification-min-successes", "3"),
        *("--timeout", "90", "--owner", "o2"),
    )
    assert (result.code, result.out) == (0, "new-firmware\n")
    assert result.err.splitlines() == [
        "product   p1",
        "version   2.4",
        "file      pump.bin",
        "size      1,600,000 bytes",
        f"sha256    {SHA256}",
    ]
    expected = NewFirmware(
        version="2.4",
        kind=FirmwareKind.SOFTWARE,
        product_id="p1",
        name=LocalizedText(default="Pump"),
        description="better",
        checksum=Checksum(algorithm="md5", value=MD5),
        source_versions=("2.3", "2.2"),
        tags={"site": "north"},
        verification=Verification(required=True, max_devices=5, min_successes=3),
        custom_info="{}",
    )
    assert world.called("firmware.create") == [(expected, CONTENT)]
    assert world.called("with_options") == [(90.0, "o2")]


def test_upload_of_a_location_sends_no_bytes(run: Run, world: World) -> None:
    """A file that the vendor finds itself is named, with its digest."""
    words = ("firmware", "upload", "--location", "obs://b/k", "--version", "1", "--checksum", f"sha256:{SHA256}")
    result = run(*words, "--format", "json")
    assert json.loads(result.out) == {"backend": "fake", "firmware_id": "new-firmware"}
    assert result.err.splitlines() == ["version   1", "location  obs://b/k", f"sha256    {SHA256}"]
    checksum = Checksum(algorithm="sha256", value=SHA256)
    assert world.called("firmware.create") == [
        (NewFirmware(version="1", location="obs://b/k", checksum=checksum), None)
    ]
    plain = run("firmware", "upload", "--location", "obs://b/k", "--version", "1")
    assert plain.err.splitlines() == ["version   1", "location  obs://b/k"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "give either a file to upload, or with --location"),
        (("pump.bin", "--location", "obs://b/k"), "give either a file to upload, or with --location"),
        (("none.bin",), "none.bin: there is no such file"),
        ((".",), "it is no regular file"),
        (("pump.bin", "--checksum", f"sha256:{MD5}"), "is no digest: write sha256: and 64 hexadecimal digits"),
        (("pump.bin", "--checksum", "crc32:00000000"), "is no digest"),
        (("pump.bin", "--checksum", f"sha256:{'x' * 64}"), "is no digest"),
        (("pump.bin", "--checksum", f"sha256:{'0' * 64}"), f"pump.bin has the sha256 {SHA256}, not the one"),
        (("pump.bin", "--tag", "a=1", "--tag", "a=2"), "--tag a is given twice"),
        (("pump.bin", "--tag", "a"), "--tag 'a' is no pair"),
        (("pump.bin", "--kind", "toy"), "toy"),
    ],
)
def test_upload_refuses_what_cannot_be(run: Run, world: World, words: tuple[str, ...], said: str) -> None:
    """Wrong words and wrong files are one line, and nothing is sent."""
    Path("pump.bin").write_bytes(CONTENT)
    run("firmware", "upload", *words, "--version", "1").refused(2, said)
    assert world.called("firmware.create") == []


def test_upload_of_a_file_that_cannot_be_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that the system does not give is named with the system's reason."""
    Path("pump.bin").write_bytes(b"x")

    async def refuse(*arguments: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("otaclient.cli.upload.anyio.open_file", refuse)
    run("firmware", "upload", "pump.bin", "--version", "1").refused(2, "pump.bin cannot be read: Permission denied")


def test_upload_needs_a_vendor_that_takes_files(run: Run, world: World) -> None:
    """Where the vendor takes no bytes, the way that works is told."""
    Path("pump.bin").write_bytes(b"x")
    world.capabilities -= {Capability.FIRMWARE_UPLOAD}
    run("firmware", "upload", "pump.bin", "--version", "1").refused(2, "fake firmware.upload", "give --location")
    assert run("firmware", "upload", "--location", "obs://b/k", "--version", "1").code == 0
    world.capabilities = frozenset()
    run("firmware", "upload", "pump.bin", "--version", "1").refused(2, "fake firmware.create")


def test_download_prints_what_came(run: Run) -> None:
    """Path, size, digest and whether it was verified; an existing file stays without ``--force``."""
    result = run("firmware", "download", "f1", "pump.bin", "--format", "json")
    assert json.loads(result.out) == {"path": "pump.bin", "size_bytes": 3, "sha256": "ba78", "verified": False}
    Path("pump.bin").write_text("old")
    run("firmware", "download", "f1", "pump.bin").refused(2, "pump.bin exists already", "--force")
    assert Path("pump.bin").read_text() == "old"
    assert "verified    no" in run("firmware", "download", "f1", "pump.bin", "--force").out
    assert Path("pump.bin").read_text() == "abc"


def test_download_refuses_places_and_backends_that_cannot(run: Run, world: World) -> None:
    """A folder, a missing folder, a backend without files: nothing is asked."""
    run("firmware", "download", "f1", ".").refused(2, "is a folder")
    run("firmware", "download", "f1", "none/pump.bin").refused(2, "there is no folder")
    world.capabilities = frozenset()
    run("firmware", "download", "f1", "pump.bin").refused(2, "fake firmware.download", "no such operation")
    assert world.called("firmware.get") == []


def test_delete_of_firmware_is_asked(run: Run, world: World, answers: Callable[[str], None]) -> None:
    """The question names version and product; ``--yes`` saves it."""
    run("firmware", "delete", "f1").refused(2, "give --yes")
    answers("n\n")
    assert "Delete firmware f1, version 2.4 of product p1, on fake, for good?" in run("firmware", "delete", "f1").err
    world.firmware = [attrs.evolve(FIRMWARE, product_id=None)]
    answers("y\n")
    result = run("firmware", "delete", "f1")
    assert "Delete firmware f1, version 2.4, on fake, for good?" in result.err
    assert result.err.endswith("firmware f1: deleted\n")
    assert run("firmware", "delete", "f1", "--yes") == Result(0, "", "firmware f1: deleted\n")
    assert world.called("firmware.delete") == [("f1",), ("f1",)]
