"""Content on its way to a vendor: measured and hashed first, then streamed, and never sent whole where it changed."""

import hashlib
import os
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.errors import IntegrityError, InvalidQueryError
from otaclient.files import PIECE_BYTES, ContentRules, Upload, as_digest, opened_content
from otaclient.models import Checksum

RULES = ContentRules(largest_bytes=3 * PIECE_BYTES, suffixes=(".bin", ".gz"), name_of_bytes="firmware.bin")
LARGE = os.urandom(2 * PIECE_BYTES + 1234)


async def pieces(*parts: Any) -> AsyncIterator[Any]:
    """Give the parts one by one."""
    for part in parts:
        yield part


async def sent(upload: Upload) -> bytes:
    """Return what a request would send."""
    return b"".join([chunk async for chunk in upload.chunks()])


def at(folder: Path, content: bytes = LARGE, name: str = "fw.bin") -> Path:
    """Write a file."""
    path = folder / name
    path.write_bytes(content)
    return path


def forms(content: bytes, folder: Path) -> list[Any]:
    """Return the content in every form in which it can be given."""
    path = at(folder, content)
    return [content, path, str(path), pieces(content[:5], b"", content[5:])]


@pytest.fixture(autouse=True)
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let temporary files be where a test can see them."""
    folder = tmp_path / "spool"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def names_in(folder: Path) -> list[str]:
    """Return what lies in a folder."""
    return [entry.name for entry in folder.iterdir()]


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
@pytest.mark.parametrize("content", [b"x", LARGE, LARGE[: 2 * PIECE_BYTES]], ids=["tiny", "odd", "whole pieces"])
async def test_content_is_sent_as_it_was_hashed(
    form: int, algorithm: str, content: bytes, tmp_path: Path, spool: Path
) -> None:
    """Whatever form it comes in: size and digest are known before the first byte goes, and it can be sent again."""
    async with opened_content(forms(content, tmp_path)[form], algorithm=algorithm, rules=RULES) as upload:
        assert upload.size_bytes == len(content)
        assert upload.digest == Checksum(algorithm=algorithm, value=hashlib.new(algorithm, content).hexdigest())
        assert upload.name == ("fw.bin" if form in {1, 2} else "firmware.bin")
        assert await sent(upload) == content
        assert await sent(upload) == content
        assert max([len(chunk) async for chunk in upload.chunks()]) <= PIECE_BYTES
    assert not names_in(spool)


@given(st.lists(st.binary(max_size=50), min_size=1).filter(any))
async def test_pieces_of_any_size_come_out_whole(parts: list[bytes]) -> None:
    """How content is cut plays no part."""
    content = b"".join(parts)
    async with opened_content(pieces(*parts), algorithm="sha256", rules=RULES) as upload:
        assert (await sent(upload), upload.size_bytes) == (content, len(content))


@pytest.mark.parametrize(
    "changed",
    [LARGE[:-1], LARGE + b"x", LARGE[:-1] + bytes([LARGE[-1] ^ 1]), bytes([LARGE[0] ^ 1]) + LARGE[1:], b"", LARGE * 2],
    ids=["shorter", "longer", "last byte", "first byte", "empty", "twice"],
)
async def test_a_file_that_changes_is_never_sent_whole(changed: bytes, tmp_path: Path) -> None:
    """Fewer bytes go out than were announced, so that no request with it is complete; both digests are named."""
    path = at(tmp_path)
    async with opened_content(path, algorithm="sha256", rules=RULES) as upload:
        path.write_bytes(changed)
        went = 0
        with pytest.raises(IntegrityError, match="changed while it was uploaded") as caught:
            async for chunk in upload.chunks():
                went += len(chunk)
        assert went < upload.size_bytes
        assert upload.digest.value in caught.value.message


async def test_a_file_that_changes_in_the_middle_of_the_way_is_never_sent_whole(tmp_path: Path) -> None:
    """Replaced after its first piece went out."""
    path = at(tmp_path)
    async with opened_content(path, algorithm="sha256", rules=RULES) as upload:
        chunks = upload.chunks()
        went = len(await anext(chunks))
        at(tmp_path, os.urandom(len(LARGE)), "other").replace(path)
        with pytest.raises(IntegrityError):
            async for chunk in chunks:
                went += len(chunk)
        assert went < upload.size_bytes


async def test_a_file_that_goes_away_is_an_error_of_ours(tmp_path: Path) -> None:
    """Not an OSError, which would look like a broken connection."""
    path = at(tmp_path)
    async with opened_content(path, algorithm="sha256", rules=RULES) as upload:
        path.unlink()
        with pytest.raises(IntegrityError, match="can no longer be read, so the upload was broken off: No such file"):
            await sent(upload)


def broken_paths(folder: Path) -> dict[str, tuple[Any, str]]:
    """Return what cannot be uploaded, with the words that say why."""
    (folder / "folder.bin").mkdir()
    os.mkfifo(folder / "pipe.bin")
    return {
        "missing": (folder / "none.bin", "none.bin: there is no such file"),
        "folder": (folder / "folder.bin", "is a folder"),
        "pipe": (folder / "pipe.bin", "is no regular file"),
        "empty file": (at(folder, b"", "empty.bin"), "empty.bin is empty"),
        "large file": (at(folder, b"x" * (RULES.largest_bytes + 1), "large.bin"), "large.bin has 3145729 bytes, more"),
        "ending": (at(folder, b"x", "fw.exe"), r"fw.exe has none of the endings \.bin, \.gz"),
        "below a file": (at(folder, b"x", "file") / "fw.bin", "cannot be read: Not a directory"),
        "no path": ("", "the content is ''"),
        "zero": ("a\0.bin", "the content is 'a"),
        "bytes path": (_BytesPath(), "the content is b'fw.bin'"),
        "empty bytes": (b"", "the content is empty"),
        "large bytes": (b"x" * (RULES.largest_bytes + 1), "the content has 3145729 bytes, more than the 3145728"),
        "empty pieces": (pieces(b"", b""), "the content is empty"),
        "no pieces": (pieces(), "the content is empty"),
        "large pieces": (pieces(*[b"x" * PIECE_BYTES] * 4), "the content has 4194304 bytes, more"),
        "texts": (pieces("text"), "the content gave a str"),
        "number": (7, "the content is of the type int"),
        "array": (bytearray(b"x"), "the content is of the type bytearray"),
    }


class _BytesPath(os.PathLike[bytes]):
    def __fspath__(self) -> bytes:
        return b"fw.bin"


async def test_what_cannot_be_uploaded_is_refused_with_the_reason(tmp_path: Path, spool: Path) -> None:
    """Before anything is handed out, and without a trace in the folder of temporary files."""
    for name, (content, words) in broken_paths(tmp_path).items():
        with pytest.raises(InvalidQueryError, match=words):
            async with opened_content(content, algorithm="sha256", rules=RULES):
                pytest.fail(f"{name} was taken")
    assert not names_in(spool)


async def test_a_file_that_is_emptied_while_it_is_measured_is_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its size is what was read, not what the folder said."""
    path = at(tmp_path, b"")
    full = at(tmp_path, b"x", "full").stat()
    monkeypatch.setattr(Path, "stat", lambda self, **_: full)
    with pytest.raises(InvalidQueryError, match="is empty"):
        async with opened_content(path, algorithm="md5", rules=RULES):
            pytest.fail("an empty file was taken")


async def test_the_ending_may_be_in_capitals(tmp_path: Path) -> None:
    """And there may be several."""
    for name in ("FW.BIN", "fw.tar.gz"):
        async with opened_content(at(tmp_path, b"x", name), algorithm="md5", rules=RULES) as upload:
            assert upload.name == name


async def test_a_full_disk_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where content in pieces cannot be spooled."""
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(InvalidQueryError, match="no temporary file can be made for the content: No such file"):
        async with opened_content(pieces(b"x"), algorithm="md5", rules=RULES):
            pytest.fail("it was spooled")


async def test_an_error_of_the_pieces_is_the_callers_own(spool: Path) -> None:
    """It comes out as it is, and nothing stays behind."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with opened_content(broken(), algorithm="md5", rules=RULES):
            pytest.fail("it was taken")
    assert not names_in(spool)


@pytest.mark.parametrize(
    ("algorithm", "value", "digest"),
    [
        ("SHA256", "AB" * 32, Checksum(algorithm="sha256", value="ab" * 32)),
        ("md5", " 0123456789abcdef0123456789ABCDEF ", Checksum(algorithm="md5", value="0123456789abcdef" * 2)),
        ("md5", "ab" * 32, None),
        ("sha256", "fileSig", None),
        ("sha256", "zz" * 32, None),
        ("sha1", "ab" * 20, None),
    ],
)
def test_only_what_can_be_a_digest_is_one(algorithm: str, value: str, digest: Checksum | None) -> None:
    """Known algorithm, right length, hexadecimal digits."""
    assert as_digest(Checksum(algorithm=algorithm, value=value)) == digest
    assert as_digest(None) is None
