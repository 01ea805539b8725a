"""The digests of EnOS: every published and computed vector, byte for byte, and timestamps that never repeat."""

import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otaclient.secret import Secret
from otaclient.transport.http import HttpRequest
from otaclient_enos import signing
from otaclient_enos.signing import (
    EnosSigner,
    TokenSigner,
    encryption_of,
    epoch_ms,
    signature_of,
    unused_timestamp_ms,
)

APP_KEY = "5acb82e7-a11e-4300-9164-c8b20b638e8b"
APP_SECRET = "11112222-3333-4444-5555-666677778888"
TOKEN = "APP_PORTAL_S_T0KEN"
TIMESTAMP_MS = 1572574909697
NOW = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=TIMESTAMP_MS)
ORG = ("orgId", "o15475466766371")
FIRMWARE = ("firmwareId", "5ede13577072bf001f23de83")

VECTORS: dict[str, tuple[tuple[tuple[str, str], ...], str, str]] = {
    "S1": ((("action", "get"), ORG, FIRMWARE), "", "0df980eb6ac66a3b6185576e70fe80cc65c1f2b25fdec2f60f32cfaa519f4cf4"),
    "S2": (
        (("action", "searchDeviceUpgrade"), ORG),
        '{"expression":"productKey=\'yourProductKey\'","pagination":{"pageNo":1,"pageSize":5}}',
        "c19143fe487fd5cd2e977843b07726647a9261c531627ee9e2418263cfcfca82",
    ),
    "S3": (
        (ORG, ("action", "search")),
        '{"expression":"name.zh_CN like \'固件\'"}',
        "3f0df46de0f622ee2a6843c4e0c19bc198c5fcb73ad60fd69e0eb8cb5d22640b",
    ),
    "S4": (
        (("action", "delete"), ORG, FIRMWARE),
        "",
        "5ce041ed96868bebac99d69cdcfa1d7a7ab9a20ae334055aaa379430d005d01c",
    ),
    "S5": (
        (
            ("action", "download"),
            ORG,
            ("fileUri", "enos-connect://2325a9b338800000.zip"),
            ("category", "ota"),
            ("assetId", "a b"),
        ),
        "",
        "49da68a46aee71a11d823d263b89c9cc8e843b94d6b18def443490fa3cf79086",
    ),
    "S6": (
        (("b", "1"), ("A", "2"), ("a", "3"), ("B", "4")),
        "",
        "9188093c1cb9054350117fcbc987e49a0d00ebb0b3ff117c1690bdb396e1a063",
    ),
    "S7": (
        (("action", "create"), ORG, ("productKey", "BXwU4kMk")),
        "",
        "4ac946f92c29b7cf9fad97190e6edc3bea94eaa00bbbe2bd76f6b0d8ba6e4850",
    ),
}
VENDOR_BODIES = {
    "描述": "59828328f6c1f9771015dc74e4929ae30f518a35a3d2353972c2ea46556fc981",
    "description": "ad6dc6fc97f4290f3724e94eab38168d8613c41c3a4569b4b8b0efbce96a816c",
}


@pytest.fixture(autouse=True)
def nothing_was_sent_before() -> None:
    """Forget the timestamps that this process has used, so that a test can run twice in it."""
    signing._last_timestamp_ms.clear()


def request(query: tuple[tuple[str, str], ...] = (), body: str = "", **headers: str) -> HttpRequest:
    """Return a request to sign."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return HttpRequest(operation="test", method="POST", path="/p", query=query, body=body.encode(), headers=named)


def signed(value: HttpRequest) -> HttpRequest:
    """Return the request as the client signs it."""
    return EnosSigner(Secret(APP_SECRET))(value, endpoint="https://any.example", token=TOKEN, now=NOW)


def test_encryption_matches_its_vector() -> None:
    """T1: the digest of a token request."""
    encryption = encryption_of(app_key=APP_KEY, app_secret=APP_SECRET, timestamp_ms=TIMESTAMP_MS)
    assert encryption == "32754c4604cb2ed1285224fb6d45f7d0f17f07f9bec65cf9e28efbc2cfae078a"


@pytest.mark.parametrize("name", VECTORS)
def test_signatures_match_their_vectors(name: str) -> None:
    """S1 to S7: query, body and order of parameters, byte for byte."""
    query, body, expected = VECTORS[name]
    headers = signed(request(query, body)).headers
    assert headers["apim-signature"] == expected
    assert headers["apim-accesstoken"] == TOKEN
    assert headers["apim-timestamp"] == str(TIMESTAMP_MS)


@pytest.mark.parametrize("description", VENDOR_BODIES)
def test_the_vendors_own_example_matches(description: str) -> None:
    """The vendor's Chinese example gives its published digest; the body of the English page gives another one."""
    body = f'{{\n  "count": 20,\n  "page": 1,\n  "desc": "{description}"\n}}'
    signature = signature_of(
        token="xxxxaaaxxxx",
        query=(("k3", "v3"), ("k1", "v1"), ("k2", "v2")),
        body=body.encode(),
        timestamp_ms=TIMESTAMP_MS,
        app_secret="xxxappSecretxxx",
    )
    assert signature == VENDOR_BODIES[description]


def test_a_multipart_body_is_not_signed() -> None:
    """S7 again, with the file that the digest leaves out."""
    query, _, expected = VECTORS["S7"]
    for content_type in ("multipart/form-data; boundary=xyz", "Multipart/Form-Data; boundary=xyz"):
        headers = signed(request(query, "--xyz...", Content_Type=content_type)).headers
        assert headers["apim-signature"] == expected
    headers = signed(request(query, "--xyz...", Content_Type="application/x-multipart/form-data")).headers
    assert headers["apim-signature"] != expected


def test_signing_changes_nothing_but_headers() -> None:
    """Method, path, query and body go out as they came, and no secret is added or shown."""
    query, body, _ = VECTORS["S2"]
    before = request(query, body, Content_Type="application/json")
    after = signed(before)
    assert (after.method, after.path, after.query, after.body) == (
        before.method,
        before.path,
        before.query,
        before.body,
    )
    assert after.headers["Content-Type"] == "application/json"
    assert APP_SECRET not in repr((after, after.headers, EnosSigner(Secret(APP_SECRET))))


def test_a_timestamp_counts_whole_milliseconds() -> None:
    """Fractions of a millisecond are cut off, without the rounding of floating point."""
    assert epoch_ms(NOW) == TIMESTAMP_MS
    assert epoch_ms(NOW + timedelta(microseconds=999)) == TIMESTAMP_MS


def test_a_token_request_is_written_by_its_signer() -> None:
    """The body holds key, timestamp and their digest; nothing is signed in headers."""
    sign = TokenSigner(app_key="key-of-a-body", app_secret=Secret("s"))
    body: dict[str, Any] = msgspec.json.decode(sign(request(), endpoint="", token=None, now=NOW).body)
    expected = encryption_of(app_key="key-of-a-body", app_secret="s", timestamp_ms=TIMESTAMP_MS)
    assert body == {"appKey": "key-of-a-body", "encryption": expected, "timestamp": TIMESTAMP_MS}


def test_a_refresh_names_the_old_token_and_hides_it() -> None:
    """The old token is in the body, and in no representation."""
    sign = TokenSigner(app_key="key-of-a-refresh", app_secret=Secret("s"), old_token="old-token")
    out = sign(request(), endpoint="", token=None, now=NOW)
    assert msgspec.json.decode(out.body)["accessToken"] == "old-token"
    assert "old-token" not in repr((sign, out))


@given(st.lists(st.integers(0, 50), min_size=1, max_size=40))
def test_timestamps_only_grow(offsets: list[int]) -> None:
    """Whatever the clock does, an application's timestamps strictly increase and never lag behind it."""
    seen: list[int] = []
    for offset in offsets:
        now = NOW + timedelta(milliseconds=offset)
        stamp = unused_timestamp_ms("key-of-a-property", now)
        assert stamp >= epoch_ms(now)
        seen.append(stamp)
    assert all(later > earlier for earlier, later in pairwise(seen))


def test_a_clock_that_was_put_right_is_believed() -> None:
    """A time that was far ahead is not kept up: the service would refuse it for ever."""
    ahead = NOW + timedelta(hours=1)
    assert unused_timestamp_ms("key-set-back", ahead) == epoch_ms(ahead)
    assert [unused_timestamp_ms("key-set-back", NOW) for _ in range(2)] == [TIMESTAMP_MS, TIMESTAMP_MS + 1]
    assert unused_timestamp_ms("key-set-back", NOW - timedelta(seconds=59)) == TIMESTAMP_MS + 2
    assert unused_timestamp_ms("key-a-minute-back", NOW) == TIMESTAMP_MS
    assert unused_timestamp_ms("key-a-minute-back", NOW - timedelta(minutes=1)) == TIMESTAMP_MS + 1
    assert unused_timestamp_ms("key-a-minute-back", NOW - timedelta(minutes=1)) == TIMESTAMP_MS - 60_000


def test_clients_in_several_threads_never_share_a_timestamp() -> None:
    """Two clients of one application on two event loops still send different digests."""
    bodies: list[bytes] = []

    def ask() -> None:
        sign = TokenSigner(app_key="key-of-threads", app_secret=Secret("s"))
        bodies.extend(sign(request(), endpoint="", token=None, now=NOW).body for _ in range(200))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(bodies)) == len(bodies) == 800


def test_applications_do_not_disturb_each_other() -> None:
    """Another application's timestamps are its own."""
    unused_timestamp_ms("key-one", NOW)
    assert unused_timestamp_ms("key-two", NOW) == TIMESTAMP_MS
    for app_key in ("key-three", "key-four"):
        sign = TokenSigner(app_key=app_key, app_secret=Secret("s"))
        sent = msgspec.json.decode(sign(request(), endpoint="", token=None, now=NOW).body)
        assert sent["timestamp"] == TIMESTAMP_MS


def test_a_signer_of_token_requests_shows_whose_it_is() -> None:
    """Of the key the end, which tells it from others; of the token nothing."""
    shown = repr(TokenSigner(app_key=APP_KEY, app_secret=Secret("s"), old_token="old"))
    assert APP_KEY[-4:] in shown
    assert APP_KEY[:8] not in shown
    assert "old" not in shown
