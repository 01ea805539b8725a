"""The control API under ``/__emulator__/``: what has happened so far, and what is to go wrong from now on.

Its own requests are not counted, not delayed and never struck. Only clients on this machine may use it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from typing import Any, Final

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from otaclient.emulator.documents import document_from_json, document_from_toml, not_utf8
from otaclient.emulator.fault_plan import FAULT, FaultPlan, PlannedFault
from otaclient.emulator.planned_faults import Strikes
from otaclient.emulator.shapes import DocumentError
from otaclient.emulator.state import state_of, strikes_state
from otaclient.emulator.vendor import EmulatedVendor

__all__ = ["PATHS", "PREFIX", "ControlDesk"]

PREFIX: Final = "/__emulator__"

PATHS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {"GET": "this list"},
    "/state": {"GET": "what has happened since the start, or since the counters were reset"},
    "/schema": {"GET": "the JSON Schema of fault plans"},
    "/fault-plan": {
        "GET": "the fault plan that is followed",
        "PUT": "follow this plan from now on: JSON, or TOML with Content-Type: application/toml",
        "DELETE": "follow no plan any more",
    },
    "/faults": {
        "GET": "the faults of the plan, and how often each struck",
        "POST": "one more fault, as it stands in a plan; it begins now",
        "DELETE": "no fault any more; latency and capacity stay",
    },
    "/faults/{name}": {"GET": "one fault, and how often it struck", "DELETE": "this fault no more"},
    "/reset-counters": {"POST": "begin to count anew"},
    "/expire-tokens": {"POST": "end every token issued so far"},
}
"""The paths below the prefix, and what each method does there."""

_logger = logging.getLogger(__name__)


class _RefusedError(Exception):
    """What was asked for cannot be done; the answer says why."""

    def __init__(self, status: HTTPStatus, message: str, **also: Any) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message}, **also}


class ControlDesk:
    """Answers what is under the prefix for one emulator."""

    def __init__(self, emulator: EmulatedVendor) -> None:
        self._emulator = emulator
        self._handlers: dict[str, Callable[[web.Request], Awaitable[tuple[HTTPStatus, Any]]]] = {
            "GET ": self._index,
            "GET /state": self._state,
            "GET /schema": self._schema,
            "GET /fault-plan": self._plan,
            "PUT /fault-plan": self._follow,
            "DELETE /fault-plan": self._follow_none,
            "GET /faults": self._faults,
            "POST /faults": self._add,
            "DELETE /faults": self._remove_all,
            "GET /faults/{name}": self._fault,
            "DELETE /faults/{name}": self._remove,
            "POST /reset-counters": self._reset,
            "POST /expire-tokens": self._expire,
        }

    @web.middleware
    async def middleware(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer what is under the prefix, and leave everything else to the emulator."""
        path = request.path
        if path != PREFIX and not path.startswith(f"{PREFIX}/"):
            return await handler(request)
        headers: dict[str, str] = {}
        try:
            status, body = await self._answer(request)
        except _RefusedError as error:
            status, body = error.status, error.body
            if "methods" in body:
                headers["Allow"] = ", ".join(body["methods"])
        except DocumentError as error:
            status, body = HTTPStatus.BAD_REQUEST, {"error": _described(error)}
        except web.HTTPRequestEntityTooLarge:
            status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            body = {"error": {"message": "the body is longer than a fault plan can be: send a shorter one"}}
        except Exception as error:
            _logger.exception("%s emulator: %s %s failed", self._emulator.vendor, request.method, path)
            status = HTTPStatus.INTERNAL_SERVER_ERROR
            body = {"error": {"message": f"unexpected {type(error).__name__}; this is a fault of otaclient"}}
        encoded = msgspec.json.format(msgspec.json.encode(body), indent=2) + b"\n"
        return web.Response(status=status, body=encoded, content_type="application/json", headers=headers)

    async def _answer(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        if not _is_from_here(request.remote):
            raise _RefusedError(
                HTTPStatus.FORBIDDEN, "the control API answers clients on its own machine only: call it from there"
            )
        path = request.path.removeprefix(PREFIX).rstrip("/")
        if path.startswith("/faults/"):
            path = "/faults/{name}"
        if path not in PATHS:
            raise _RefusedError(
                HTTPStatus.NOT_FOUND, f"there is nothing at {request.path}: take one of the paths", paths=_listed()
            )
        found = self._handlers.get(f"{request.method} {path}")
        if found is None:
            methods = sorted(PATHS[path])
            raise _RefusedError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.path} does not take {request.method}: take {' or '.join(methods)}",
                methods=methods,
            )
        return await found(request)

    # --- looking -----------------------------------------------------------------------------------------------------

    async def _index(self, _request: web.Request) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, {"vendor": self._emulator.vendor, "paths": _listed()}

    async def _state(self, _request: web.Request) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, state_of(self._emulator)

    async def _schema(self, _request: web.Request) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, FaultPlan.schema()

    async def _plan(self, _request: web.Request) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, self._emulator.fault_plan.document()

    async def _faults(self, _request: web.Request) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, [self._shown(strikes) for strikes in self._emulator.planned.strikes]

    async def _fault(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        return HTTPStatus.OK, self._shown(self._strikes(request))

    # --- changing ----------------------------------------------------------------------------------------------------

    async def _follow(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        self._emulator.follow(FaultPlan.from_document(await _document(request)))
        return await self._plan(request)

    async def _follow_none(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        self._emulator.follow(FaultPlan())
        return await self._plan(request)

    async def _add(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        fault: PlannedFault = FAULT.read(await _document(request), "")
        self._emulator.check_fault(fault, "")
        return HTTPStatus.CREATED, self._shown(self._emulator.planned.add(fault))

    async def _remove(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        strikes = self._strikes(request)
        self._emulator.planned.remove(strikes)
        return HTTPStatus.OK, self._shown(strikes)

    async def _remove_all(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        self._emulator.planned.remove_all()
        return await self._faults(request)

    async def _reset(self, request: web.Request) -> tuple[HTTPStatus, Any]:
        self._emulator.reset_counters()
        return await self._state(request)

    async def _expire(self, _request: web.Request) -> tuple[HTTPStatus, Any]:
        if not self._emulator.has_tokens:
            raise _RefusedError(
                HTTPStatus.NOT_IMPLEMENTED, f"the {self._emulator.vendor} emulator has no tokens that end"
            )
        self._emulator.expire_tokens()
        return HTTPStatus.OK, {"expired": True}

    def _strikes(self, request: web.Request) -> Strikes:
        name = request.path.removeprefix(f"{PREFIX}/faults/").rstrip("/")
        known = self._emulator.planned.strikes
        for strikes in known:
            if strikes.planned.name == name:
                return strikes
        names = ", ".join(str(strikes.planned.name) for strikes in known) or "none"
        raise _RefusedError(HTTPStatus.NOT_FOUND, f'there is no fault "{name}"; the faults are: {names}')

    def _shown(self, strikes: Strikes) -> dict[str, Any]:
        return strikes_state(strikes, self._emulator.clock.now_ms())


async def _document(request: web.Request) -> Any:
    body = await request.read()
    if "toml" in request.content_type:
        try:
            return document_from_toml(body.decode())
        except UnicodeDecodeError as error:
            raise not_utf8(error) from None
    try:
        return document_from_json(body)
    except DocumentError as error:
        found, remedy = error.found, "mend it at that place, or say Content-Type: application/toml if it is TOML"
        if not body.strip():
            found, remedy = "is empty", "send some"
        raise DocumentError(key=error.key, found=found, rule=error.rule, remedy=remedy) from None


def _listed() -> dict[str, Mapping[str, str]]:
    return {f"{PREFIX}{path or '/'}": methods for path, methods in PATHS.items()}


def _described(error: DocumentError) -> dict[str, str]:
    return {
        "message": str(error) if error.key else str(error.of("the body")),
        "key": error.key,
        "found": error.found,
        "rule": error.rule,
        "remedy": error.remedy,
    }


def _is_from_here(address: str | None) -> bool:
    """Tell whether a client is on this machine: a control API that others reach would let them break a test."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        return found.ipv4_mapped.is_loopback
    return found.is_loopback
