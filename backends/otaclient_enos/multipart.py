"""The body that uploads a firmware: its metadata, then its bytes, streamed.

Source: EnOS Connection Service, "V2.1 Create Firmware File".
"""

import secrets
from collections.abc import AsyncIterator
from typing import Any, Final

import attrs

from otaclient.structuring import encode_json
from otaclient.transport.http import BodyStream

__all__ = ["MultipartBody", "multipart_body"]

METADATA_PART: Final = "metadata"
FILE_PART: Final = "file"
# The types of the parts are not documented; these are what the parts are.
METADATA_TYPE: Final = "application/json; charset=UTF-8"
FILE_TYPE: Final = "application/octet-stream"

# What would end the quoted name, or the line; browsers write them like this.
_ESCAPES: Final = {ord('"'): "%22"} | {code: f"%{code:02X}" for code in (*range(32), 127)}


@attrs.frozen(kw_only=True)
class MultipartBody:
    """A ``multipart/form-data`` body; a :class:`~otaclient.transport.http.BodyStream`."""

    boundary: str
    head: bytes = attrs.field(repr=False)
    content: BodyStream
    tail: bytes = attrs.field(repr=False)

    @property
    def content_type(self) -> str:
        """The value of the header ``Content-Type``."""
        return f"multipart/form-data; boundary={self.boundary}"

    @property
    def size_bytes(self) -> int:
        """The exact number of bytes in all."""
        return len(self.head) + self.content.size_bytes + len(self.tail)

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the whole body from the beginning."""
        yield self.head
        async for piece in self.content.chunks():
            yield piece
        yield self.tail


def multipart_body(metadata: dict[str, Any], *, file_name: str, content: BodyStream) -> MultipartBody:
    """Return the body with these metadata and this file."""
    # 192 random bits: that they occur in the content is as good as impossible, so nobody has to look.
    boundary = f"otaclient-{secrets.token_hex(24)}"
    shown_name = file_name.translate(_ESCAPES)
    head = b"".join(
        (
            _part_head(boundary, METADATA_TYPE, name=METADATA_PART),
            encode_json(metadata),
            b"\r\n",
            _part_head(boundary, FILE_TYPE, name=FILE_PART, filename=shown_name),
        )
    )
    return MultipartBody(boundary=boundary, head=head, content=content, tail=f"\r\n--{boundary}--\r\n".encode())


def _part_head(boundary: str, content_type: str, **parameters: str) -> bytes:
    disposition = "".join(f'; {name}="{value}"' for name, value in parameters.items())
    text = f"--{boundary}\r\nContent-Disposition: form-data{disposition}\r\nContent-Type: {content_type}\r\n\r\n"
    return text.encode("utf-8", "replace")
