"""The tokens of the identity service (IAM): who gets one, and for how long it is taken.

Source: Huawei Cloud Identity and Access Management, "Obtaining a User Token Through Password Authentication".
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import attrs

from otaclient.emulator.json_bodies import NoJsonObjectError, json_object
from otaclient_iotda.emulator.refusals import Refusal, unauthorized

__all__ = ["IamGrant", "IamRefusal", "IamUser", "TokenDesk", "grant_token"]

TOKEN_LIFETIME: Final = timedelta(hours=24)
# The tail of the gateway's message is seen in the field; the vendor does not document it.
TAIL_BAD_TOKEN: Final = "decrypt token fail"  # noqa: S105 - words about a token, no token
GATEWAY_TOKEN_EXPIRED: Final = "APIGW.0307"  # noqa: S105 - words about a token, no token
_IAM_TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


@attrs.frozen(kw_only=True)
class IamUser:
    """A user that the identity service knows."""

    name: str
    password: str = attrs.field(repr=False)
    domain: str


@attrs.define(kw_only=True)
class TokenDesk:
    """The tokens that the service accepts, and until when.

    A new token does not invalidate an old one. Tokens are numbered texts, the same in every run, and as long as real
    ones.
    """

    _expiry: dict[str, datetime] = attrs.field(factory=dict[str, datetime], repr=False, init=False)
    _issued: int = attrs.field(default=0, init=False)

    @property
    def issued(self) -> int:
        """How many tokens the identity service has issued."""
        return self._issued

    def add(self, token: str, *, now: datetime) -> datetime:
        """Accept this token for 24 hours; returns when it ends."""
        ends = now + TOKEN_LIFETIME
        self._expiry[token] = ends
        return ends

    def issue(self, *, now: datetime) -> tuple[str, datetime]:
        """Return a new token and when it ends."""
        self._issued += 1
        number = self._issued
        blocks = (hashlib.sha512(f"emulated token {number}/{block}".encode()).hexdigest() for block in range(12))
        token = "MIIEMULATED" + "".join(blocks)
        return token, self.add(token, now=now)

    def expire_all(self) -> None:
        """End every token that is known now, as the vendor does when a user's password or permissions change."""
        past = datetime.min.replace(tzinfo=UTC)
        self._expiry = dict.fromkeys(self._expiry, past)

    def check(self, token: str, *, now: datetime) -> Refusal | None:
        """Return ``None`` for a token that is known and alive, else the gateway's answer."""
        ends = self._expiry.get(token)
        if ends is None:
            return unauthorized(TAIL_BAD_TOKEN)
        if now >= ends:
            return Refusal(status=401, code=GATEWAY_TOKEN_EXPIRED, message="The token must be updated.")
        return None


@attrs.frozen(kw_only=True)
class IamGrant:
    """A token that was issued, and the body that goes with it."""

    token: str = attrs.field(repr=False)
    body: Mapping[str, object]


@attrs.frozen(kw_only=True)
class IamRefusal:
    """The identity service's error: its status, title and message."""

    status: int
    title: str
    message: str

    @property
    def body(self) -> Mapping[str, object]:
        """The error in the identity service's shape."""
        return {"error": {"code": self.status, "message": self.message, "title": self.title}}


# The identity service's wording of a 400 and of an unknown project is our choice; the 401 is the vendor's.
_IAM_BAD_REQUEST = IamRefusal(
    status=400, title="Bad Request", message="The request body is not a password login with a project scope."
)
_IAM_WRONG_PASSWORD = IamRefusal(status=401, title="Unauthorized", message="The username or password is wrong.")
_IAM_UNKNOWN_PROJECT = IamRefusal(status=401, title="Unauthorized", message="The project of the scope does not exist.")


def _at(document: object, *path: str) -> object:
    for key in path:
        document = _object(document).get(key)
    return document


def _object(value: object) -> dict[str, object]:
    """A JSON object as it is; anything else counts as an empty one."""
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def grant_token(
    body: bytes,
    *,
    users: Sequence[IamUser],
    project_id: str,
    project_name: str,
    desk: TokenDesk,
    now: datetime,
    with_catalog: bool,
) -> IamGrant | IamRefusal:
    """Answer ``POST /v3/auth/tokens``: a token for a known user, scoped to the emulated project by its name or id.

    Source: Identity and Access Management, "Obtaining a User Token Through Password Authentication".
    """
    try:
        auth = json_object(body).get("auth")
    except NoJsonObjectError:
        return _IAM_BAD_REQUEST
    user = _object(_at(auth, "identity", "password", "user"))
    project = _object(_at(auth, "scope", "project"))
    if _at(auth, "identity", "methods") != ["password"] or not user or not project:
        return _IAM_BAD_REQUEST
    found = next((known for known in users if known.name == user.get("name")), None)
    if found is None or found.password != user.get("password") or found.domain != _at(user, "domain", "name"):
        return _IAM_WRONG_PASSWORD
    if project.get("id") != project_id and project.get("name") != project_name:
        return _IAM_UNKNOWN_PROJECT
    token, ends = desk.issue(now=now)
    domain = {"id": _stable_id("domain", found.domain), "name": found.domain}
    described: dict[str, object] = {
        "expires_at": ends.strftime(_IAM_TIME_FORMAT),
        "issued_at": now.strftime(_IAM_TIME_FORMAT),
        "methods": ["password"],
        "project": {"id": project_id, "name": project_name, "domain": domain},
        "roles": [{"id": "0", "name": "te_admin"}],
        "user": {
            "id": _stable_id("user", found.name),
            "name": found.name,
            "domain": domain,
            "password_expires_at": "",
        },
    }
    if with_catalog:
        described["catalog"] = [
            {"type": "iotda", "name": "iotda", "id": _stable_id("catalog", "iotda"), "endpoints": []}
        ]
    return IamGrant(token=token, body={"token": described})


def _stable_id(kind: str, name: str) -> str:
    return hashlib.md5(f"{kind}/{name}".encode(), usedforsecurity=False).hexdigest()
