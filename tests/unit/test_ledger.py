"""The certificate as people and programs read it."""

import json
from typing import Any

import attrs

from otaclient.fleet.ledger import Certificate, CertificatePart, Verdict

PART = CertificatePart(backend="plant", query="devices.search", finished=True, devices=7, reads=3)
FACTS: dict[str, Any] = {
    "verdict": Verdict.UNCERTAIN,
    "reasons": ("one reason", "another one"),
    "parts": (PART, attrs.evolve(PART, backend="mill", finished=False, errors=("ServerError: down",))),
    "devices": 1_234_567,
    "filtered": 2_345,
    "duplicates": 3_456,
    "changed": 4_567,
    "bad_rows": 5_678,
    "reads": 6_789,
    "repairs": 7_890,
    "requests": 8_901,
    "retries": 9_012,
    "throttles": 1_023,
    "bytes": 2_034_567,
    "seconds": 12.3456,
}
CERTIFICATE = Certificate(**FACTS)


def test_a_certificate_prints_as_a_few_lines() -> None:
    """The verdict with its reasons, then what it cost, then what was not handed out."""
    assert str(CERTIFICATE).splitlines() == [
        "uncertain: 1,234,567 devices in 12.35 s",
        "  - one reason",
        "  - another one",
        "  6,789 pages, 8,901 requests (9,012 retries, 1,023 throttles, 7,890 repairs), 2,034,567 bytes",
        "  3,456 rows seen again (4,567 changed), 2,345 filtered here, 5,678 bad rows",
    ]


def test_without_a_reason_there_is_none_in_the_text() -> None:
    """What is certified needs no words."""
    text = str(attrs.evolve(CERTIFICATE, verdict=Verdict.CERTIFIED, reasons=()))
    assert text.startswith("certified: 1,234,567 devices in 12.35 s\n  6,789 pages")


def test_one_of_each_is_told_in_the_singular() -> None:
    """Numbers and words agree."""
    ones = {name: 1 for name, value in FACTS.items() if isinstance(value, int | float)}
    assert str(Certificate(**FACTS | ones | {"reasons": ()})).splitlines() == [
        "uncertain: 1 device in 1.00 s",
        "  1 page, 1 request (1 retry, 1 throttle, 1 repair), 1 byte",
        "  1 row seen again (1 changed), 1 filtered here, 1 bad row",
    ]


def test_a_certificate_as_json_holds_everything() -> None:
    """Indented, so that people can read the file too."""
    text = CERTIFICATE.to_json()
    part = {"backend": "plant", "query": "devices.search", "finished": True, "devices": 7, "reads": 3, "errors": []}
    assert json.loads(text) == FACTS | {
        "reasons": ["one reason", "another one"],
        "parts": [part, part | {"backend": "mill", "finished": False, "errors": ["ServerError: down"]}],
    }
    assert text.startswith('{\n  "verdict": "uncertain",\n  "reasons": [\n    "one reason"')


def test_verdicts_are_words_that_files_may_hold() -> None:
    """People compare with them."""
    assert [verdict.value for verdict in Verdict] == ["certified", "uncertain", "unproved"]
