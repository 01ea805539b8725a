"""Files on their way from a vendor: the destination is replaced at once when all is right, and untouched otherwise."""

import errno
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from otaclient import downloads
from otaclient.downloads import PartialFile, receiving
from otaclient.errors import IntegrityError, InvalidQueryError, OtaError, PayloadError
from otaclient.models import Checksum, DownloadedFirmware

CONTENT = os.urandom(100_000)
SHA256 = Checksum(algorithm="sha256", value=hashlib.sha256(CONTENT).hexdigest())
MD5 = Checksum(algorithm="md5", value=hashlib.md5(CONTENT, usedforsecurity=False).hexdigest())
BYTES = {"content-type": "application/octet-stream"}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return a destination that holds something already."""
    path = tmp_path / "fw.bin"
    path.write_bytes(b"old")
    return path


def left(place: Path) -> list[str]:
    """Return what lies in the folder of the destination."""
    return sorted(entry.name for entry in place.parent.iterdir())


def held(place: Path) -> bytes:
    """Return what the destination holds."""
    return place.read_bytes()


def is_link(place: Path) -> bool:
    """Tell whether there is a link."""
    return place.is_symlink()


def replace_by_link(place: Path, other: Path) -> None:
    """Put a link to another file there."""
    place.unlink()
    place.symlink_to(other)


def replace_by_folder(place: Path) -> None:
    """Put an empty folder there."""
    place.unlink()
    place.mkdir()


async def fill(part: PartialFile, content: bytes = CONTENT, status: int = 200, **headers: str) -> bool:
    """Give the part an answer."""
    begun = await part.begin(status, {**BYTES, **{name.replace("_", "-"): value for name, value in headers.items()}})
    if begun:
        for start in range(0, len(content), 30_000):
            await part.write(content[start : start + 30_000])
    return begun


async def test_a_good_file_takes_the_place(place: Path) -> None:
    """With its size, its SHA-256 and the word that it was verified; until then what was there stays."""
    seen: list[tuple[int, int | None]] = []
    async with receiving(place, expected_bytes=len(CONTENT), progress=lambda *now: seen.append(now)) as part:
        assert await fill(part)
        assert part.begun
        received = await part.check(SHA256)
        assert held(place) == b"old"
        await part.keep()
    assert received == DownloadedFirmware(path=str(place), size_bytes=len(CONTENT), sha256=SHA256.value, verified=True)
    assert held(place) == CONTENT
    assert left(place) == ["fw.bin"]
    assert seen == [(size, 100_000) for size in (30_000, 60_000, 90_000, 100_000)]


async def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    """Those that any new file gets, not those of a temporary one; the size may be unknown, the digest an MD5."""
    place, usual = tmp_path / "new.bin", tmp_path / "usual"
    usual.touch()
    async with receiving(str(place), expected_bytes=None) as part:
        await fill(part)
        assert (await part.check(MD5)).sha256 == SHA256.value
        await part.keep()
    assert place.stat().st_mode == usual.stat().st_mode


async def test_without_a_digest_nothing_is_verified(place: Path) -> None:
    """But the SHA-256 of what came is told."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part)
        received = await part.check(None)
    assert (received.verified, received.sha256) == (False, SHA256.value)


async def test_what_is_not_kept_is_removed(place: Path) -> None:
    """After an error, and after no error."""
    async with receiving(place, expected_bytes=None) as part:
        await fill(part)
        assert len(left(place)) == 2
    with pytest.raises(ZeroDivisionError):
        async with receiving(place, expected_bytes=None) as part:
            await fill(part)
            raise ZeroDivisionError
    assert (left(place), held(place)) == (["fw.bin"], b"old")


@pytest.mark.parametrize("announced", [SHA256, MD5])
async def test_another_digest_is_refused(place: Path, announced: Checksum) -> None:
    """Both digests are named."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part, bytes([CONTENT[0] ^ 1]) + CONTENT[1:])
        with pytest.raises(IntegrityError, match=rf"has the {announced.algorithm} [0-9a-f]+, but .*{announced.value}"):
            await part.check(announced)


async def test_another_size_is_refused(place: Path) -> None:
    """Fewer at the end, more as soon as they come."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part, CONTENT[:-1])
        with pytest.raises(IntegrityError, match="99999 bytes came, but the vendor announces 100000"):
            await part.check(SHA256)
        await part.begin(200, BYTES)
        with pytest.raises(IntegrityError, match="more than the 100000 bytes"):
            await part.write(CONTENT + b"x")


async def test_a_broken_download_goes_on(place: Path) -> None:
    """The rest is appended, with a Content-Range or without."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part, CONTENT[:20_000], etag='"1"')
        assert part.position == 20_000
        await fill(part, CONTENT[20_000:50_000], 206, content_range="bytes 20000-99999/100000", etag='"1"')
        await fill(part, CONTENT[50_000:], 206)
        assert (await part.check(SHA256)).verified


async def test_a_server_without_ranges_begins_anew(place: Path) -> None:
    """What was there is thrown away."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part, CONTENT[:20_000])
        await fill(part)
        assert (await part.check(SHA256)).verified


async def test_compressed_bytes_are_not_gone_on_from(place: Path) -> None:
    """Their offsets are not those of the file: the next attempt asks for everything."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part, CONTENT[:20_000], content_encoding="gzip")
        assert part.position == 0
        assert not await fill(part, CONTENT[20_000:], 206)
        await fill(part, content_encoding="identity")
        assert part.position == len(CONTENT)
        assert (await part.check(SHA256)).verified


async def test_a_break_just_at_the_end_is_none(place: Path) -> None:
    """The server has no rest to give, and says so; what it says is no part of the file."""
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part)
        assert await fill(part, b"no such range", 416)
        assert (await part.check(SHA256)).verified
    async with receiving(place, expected_bytes=None) as part:
        await fill(part)
        assert not await fill(part, b"", 416)


async def test_another_part_than_the_rest_is_refused(place: Path) -> None:
    """And so is the rest of another file."""
    async with receiving(place, expected_bytes=None) as part:
        await fill(part, CONTENT[:20_000], etag='"1"')
        with pytest.raises(PayloadError, match="from byte 20000 on was asked for, but 'bytes 0-9/10' came"):
            await fill(part, b"", 206, content_range="bytes 0-9/10")
        with pytest.raises(IntegrityError, match="the file changed on the server"):
            await fill(part, b"", 206, etag='"2"')


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (404, BYTES),
        (200, {"content-type": "application/json;charset=UTF-8"}),
        (200, {"content-type": "Text/HTML"}),
        (206, BYTES),
        (416, BYTES),
        (302, {}),
    ],
)
async def test_what_is_no_file_is_read_whole_instead(place: Path, status: int, headers: dict[str, str]) -> None:
    """An error's status, a message, and a part that nobody asked for."""
    async with receiving(place, expected_bytes=None) as part:
        assert not await part.begin(status, headers)
        assert not part.begun


async def test_the_beginning_of_a_small_file_can_be_seen(place: Path) -> None:
    """Of a large one, nothing."""
    async with receiving(place, expected_bytes=None) as part:
        await fill(part, b"{}")
        assert (await part.beginning(2), await part.beginning(1)) == (b"{}", b"")


async def test_a_progress_listener_cannot_break_it(place: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its exception is logged; a broken pipe to a terminal does not look like a broken connection."""

    def progress(*_: Any) -> None:
        raise BrokenPipeError

    with caplog.at_level(logging.ERROR):
        async with receiving(place, expected_bytes=None, progress=progress) as part:
            await fill(part)
            assert (await part.check(SHA256)).verified
    assert "a progress listener raised" in caplog.text


async def test_a_full_disk_is_an_error_of_ours(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not one that looks like a broken connection, which would be tried again."""

    def full(_part: PartialFile, _chunk: bytes) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    async with receiving(place, expected_bytes=None) as part:
        monkeypatch.setattr(PartialFile, "_append", full)
        with pytest.raises(OtaError, match=r"fw\.bin cannot be written: No space left on device") as caught:
            await fill(part)
    assert type(caught.value) is OtaError


async def test_a_destination_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is handed out; each message says what is wrong."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    cases: dict[Any, str] = {
        tmp_path: "is a folder: add the name of the file",
        f"{tmp_path}/new/": "is a folder",
        tmp_path / "none" / "fw.bin": "there is no folder",
        tmp_path / "file" / "fw.bin": "there is no folder",
        tmp_path / "pipe": "is no regular file",
        "": "the destination is ''",
        7: "the destination is 7",
        "\ud800": r"the destination is '\\ud800'",
        tmp_path / ("x" * 300): "cannot be written: File name too long",
        "/proc/fw.bin": "/proc/fw.bin cannot be written",
    }
    for destination, words in cases.items():
        with pytest.raises(InvalidQueryError, match=words):
            async with receiving(destination, expected_bytes=None):
                pytest.fail("it was taken")


async def test_a_link_is_followed(tmp_path: Path) -> None:
    """The file behind it is replaced, not the link."""
    (tmp_path / "link").symlink_to("target.bin")
    async with receiving(tmp_path / "link", expected_bytes=None) as part:
        await fill(part)
        received = await part.check(None)
        await part.keep()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target.bin").read_bytes() == CONTENT
    assert received.path == str((tmp_path / "target.bin").resolve())


async def test_more_than_the_disk_takes_is_refused_before_anything_is_sent(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A size that cannot be right, or is too much here, fills no disk; where the room is not known, writing tells."""
    with pytest.raises(InvalidQueryError, match=f"announces {10**18} bytes, but there is room for"):
        async with receiving(place, expected_bytes=10**18):
            pytest.fail("it was taken")
    assert left(place) == ["fw.bin"]

    def unknown(_: object) -> None:
        raise OSError(errno.ENOSYS, "not here")

    monkeypatch.setattr("otaclient.downloads.shutil.disk_usage", unknown)
    async with receiving(place, expected_bytes=10**18) as part:
        await fill(part)


async def test_what_has_no_announced_size_ends_somewhere(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that never stops sending does not fill the disk either."""
    monkeypatch.setattr(downloads, "_MOST_UNANNOUNCED_BYTES", 50_000)
    async with receiving(place, expected_bytes=None) as part:
        with pytest.raises(IntegrityError, match="more than 50000 bytes came of a file without an announced size"):
            await fill(part)
    assert (held(place), left(place)) == (b"old", ["fw.bin"])
    async with receiving(place, expected_bytes=len(CONTENT)) as part:
        await fill(part)
        await part.keep()
    assert held(place) == CONTENT


async def test_a_link_that_appears_meanwhile_is_replaced_not_followed(place: Path, tmp_path: Path) -> None:
    """Whoever can write into the folder cannot have another file overwritten."""
    other = tmp_path / "other.bin"
    other.write_bytes(b"other")
    async with receiving(place, expected_bytes=None) as part:
        await fill(part)
        await part.check(None)
        replace_by_link(place, other)
        await part.keep()
    assert not is_link(place)
    assert (held(place), other.read_bytes()) == (CONTENT, b"other")


async def test_a_folder_that_appears_meanwhile_is_left_alone(place: Path) -> None:
    """It is an error of ours, and nothing is left behind."""
    with pytest.raises(OtaError, match="cannot be written"):
        async with receiving(place, expected_bytes=None) as part:
            await fill(part)
            await part.check(None)
            replace_by_folder(place)
            await part.keep()
    assert left(place) == ["fw.bin"]
    assert left(place / "inside") == []
