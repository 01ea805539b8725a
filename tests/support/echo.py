"""Servers that repeat what they were asked, credentials included, in every place where an answer has room for text."""

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol
from urllib.parse import quote

import attrs
from aiohttp import web

__all__ = ["ECHOES", "Echo", "noting"]

Write = Callable[[str], bytes]


def _json(**fields: object) -> Write:
    """Return how an answer is written that has the repeated text in the place of each ``...``."""

    def filled(value: object, text: str) -> object:
        if value is ...:
            return text
        if isinstance(value, dict):
            return {name: filled(inner, text) for name, inner in value.items()}
        return [filled(inner, text) for inner in value] if isinstance(value, list) else value

    return lambda text: json.dumps(filled(fields, text)).encode()


@attrs.frozen
class Echo:
    """An answer that repeats the request: its line, its headers, its body, and whatever else is given."""

    status: int
    write: Write
    encode: Callable[[str], str] = str
    content_type: str = "application/json"
    others: tuple[str, ...] = ()
    """What the server knows besides."""
    with_headers: bool = True

    def knowing(self, others: Iterable[str]) -> "Echo":
        """Return it with something to say besides."""
        return attrs.evolve(self, others=tuple(others))

    async def strike(self, request: web.Request) -> web.StreamResponse | None:
        """Repeat everything."""
        values = [value for name, value in request.headers.items() if name.lower() not in _DULL]
        seen = [*self.others, *values, (await request.read()).decode("utf-8", "replace")]
        text = self.encode(" | ".join(seen))
        headers = {"Content-Type": self.content_type}
        if self.with_headers:
            # As long as a header may be.
            short = quote(self.encode(" ".join(seen)), safe=" +/=")[:4000]
            host = self.encode(seen[0])[:60].strip("=").lower()
            headers |= {
                "X-Request-Id": short,
                "Location": f"https://{quote(seen[-2], safe='')}@{host}.example/{short}?token={short}",
                "WWW-Authenticate": f"Basic realm={short}",
                "Retry-After": short,
                "Date": short,
                "ETag": short,
                "X-Unheard-Of": short,
            }
        return web.Response(status=self.status, body=self.write(text), headers=headers)


_DULL: Final = frozenset({"host", "accept", "accept-encoding", "content-type", "content-length", "user-agent"})


def _hexadecimal(text: str) -> str:
    return text.encode().hex()


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _quoted(text: str) -> str:
    return quote(text, safe="")


def _bare(text: str) -> bytes:
    return text.encode()


_ENOS: Final = _json(code=99400, msg=..., requestId=..., data=None)
_IOTDA: Final = _json(error_code=..., error_msg=..., request_id=...)
_GATEWAY: Final = _json(error={"code": ..., "message": ..., "title": ...}, request_id=...)

ECHOES: Final[dict[str, Echo]] = {
    "enos": Echo(400, _ENOS),
    "enos with code in text": Echo(200, _json(code=..., msg=..., message=..., requestId=..., status=..., data=...)),
    "enos token": Echo(200, _json(status=1003, msg=..., data={"accessToken": None, "expire": ...})),
    "iotda": Echo(403, _IOTDA),
    "iotda in a good answer": Echo(200, _IOTDA),
    "identity service": Echo(401, _GATEWAY),
    "gateway throttles": Echo(429, _GATEWAY),
    "gateway fails": Echo(503, _bare, content_type="text/html"),
    "not found": Echo(404, _bare, content_type="text/plain"),
    "no json": Echo(200, _bare),
    "no object": Echo(200, lambda text: json.dumps([text]).encode()),
    "no page": Echo(200, _json(code=0, data=..., pagination=..., devices=..., packages=..., batchtasks=..., page=...)),
    "no row": Echo(
        200, _json(code=0, data=[...], devices=[{"device_id": 1, "x": ...}], packages=[...], batchtasks=[...])
    ),
    "redirect": Echo(307, _bare),
    "base64": Echo(400, _GATEWAY, encode=_base64),
    "base64 no json": Echo(200, _bare, encode=_base64),
    "hexadecimal": Echo(400, _IOTDA, encode=_hexadecimal),
    "quoted": Echo(500, _ENOS, encode=_quoted),
    "quoted no json": Echo(502, _bare, encode=_quoted),
}


class _Asked(Protocol):
    @property
    def headers(self) -> Mapping[str, str]: ...


def noting(note: Callable[[str, str], None]) -> Callable[[_Asked], None]:
    """Return what notes the credentials in the headers of a request, as the protocols name them."""

    def noted(request: _Asked) -> None:
        for name in ("apim-accesstoken", "apim-signature", "X-Auth-Token", "X-Security-Token"):
            if name in request.headers:
                note(f"{name} header", request.headers[name])
        signature = request.headers.get("Authorization", "").partition("Signature=")[2]
        if signature:
            note("signature", signature)

    return noted
