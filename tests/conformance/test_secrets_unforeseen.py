"""No credential turns up where nobody thought of it: new headers, new settings, faults of our own."""

import attrs
import pytest

from otaclient.errors import ServerError
from otaclient.secret import Secret, credentials_in
from otaclient.transport.http import HttpRequest, HttpResponse
from otaclient.transport.redaction import secrets_of_request, without_secrets
from support.canaries import Canaries, credential_fields, rendered_error
from support.watched_secrets import WORLDS, outcome_of, watched

pytestmark = pytest.mark.blocks_loop("searches all that was said for secrets, between the calls")


# --- an allow-list, not a list of suspects ---------------------------------------------------------------------------


def test_headers_that_nobody_knows_are_taken_for_secrets() -> None:
    """A header that a vendor, or a plug-in, adds tomorrow is hidden without a word about it here."""
    words = "an-unheard-of-credential-1234567"
    request = HttpRequest(
        operation="o",
        method="GET",
        path="/p",
        headers={"X-Tomorrow": f"Scheme key={words}", "X-Sdk-Date": "20260102T030405Z"},
    )
    found = secrets_of_request(request, endpoint="https://h")
    assert words in found
    assert not {"20260102T030405Z", "Scheme"} & {*found}
    error = ServerError(f"it says {words} at 20260102T030405Z", vendor_message=words)
    error.unknown_attribute = words  # type: ignore[attr-defined]
    without_secrets(error, found)
    assert words not in repr((error, vars(error), error.args))
    assert error.message == "it says *** at 20260102T030405Z"


def test_requests_and_answers_do_not_show_what_they_hold() -> None:
    """Neither headers nor bodies nor the values of a query are part of how they show."""
    canary = Canaries().new("anything")
    request = HttpRequest(
        operation="o",
        method="GET",
        path="/p",
        query=(("X-Signature", canary),),
        headers={"X": canary},
        body=canary.encode(),
    )
    response = HttpResponse(status=200, headers={"x": canary}, body=canary.encode())
    assert canary not in repr((request, response))
    assert "X-Signature" in repr(request), "names may be seen"


@attrs.frozen(kw_only=True)
class _NewConfig:
    """What a backend of tomorrow is configured with."""

    endpoint: str = "https://h"
    one_time_code: Secret
    nested: object = None


def test_a_new_credential_is_found_by_its_type() -> None:
    """Also deep inside a configuration."""
    inner = _NewConfig(one_time_code=Secret("inner-code"))
    found = credentials_in(_NewConfig(one_time_code=Secret("code-of-tomorrow"), nested=inner))
    assert [secret.reveal() for secret in found] == ["code-of-tomorrow", "inner-code"]
    assert credential_fields(_NewConfig) == ("one_time_code",)


# --- faults of our own -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("world", WORLDS)
async def test_a_fault_while_signing_shows_no_credential(world: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variables of what signs, and of what calls it, are secrets while they are used, and hide all the same."""

    def fail(_request: HttpRequest, _headers: object) -> HttpRequest:
        raise RuntimeError("a fault in the signer")

    async with watched(world) as vendor:
        await vendor.backend.firmware.search().first(1)  # so that its token has been seen
        monkeypatch.setattr(HttpRequest, "with_headers", fail)
        error = await outcome_of(lambda: vendor.backend.firmware.search().first(1))
        assert isinstance(error, RuntimeError)
        said = rendered_error(error)
        assert "headers = " in repr(said) or "token = '***'" in repr(said), "the variables were collected"
        identifiers = {"access_key"} if world.startswith("iotda") else set[str]()
        assert {name for text in said.values() for name in vendor.canaries.found_in(text)} <= identifiers


@pytest.mark.parametrize(("world", "module"), [("enos", "signing"), ("iotda password", "requests")])
async def test_a_fault_while_a_login_is_written_shows_no_credential(
    world: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor do the variables of what writes the body."""

    def fail(_value: object) -> bytes:
        raise RuntimeError("a fault in the encoder")

    async with watched(world) as vendor:
        monkeypatch.setattr(f"otaclient_{vendor.name}.{module}.encode_json", fail)
        error = await outcome_of(vendor.backend.authenticate)
        assert isinstance(error, RuntimeError)
        said = rendered_error(error)
        found = {name for text in said.values() for name in vendor.canaries.found_in(text)}
        assert found <= {"app_key", "username"}, "identifiers may be seen by whoever looks inside"
