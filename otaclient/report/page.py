"""The page: one file of HTML that opens anywhere, offline, without a script, and asks nobody for anything.

It says so to the browser too: its content security policy forbids every request and script, so that not even a mistake
in what is written here could make one.
"""

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Final

from otaclient.fleet.ledger import Certificate
from otaclient.report.charts import share_bar
from otaclient.report.comparison import MEANINGS, Change, Changes
from otaclient.report.listing import Listed, Listing, State
from otaclient.report.making import Report
from otaclient.report.products import products_section, upgrading_section
from otaclient.report.source import Source, comparison_doubts, trust_in
from otaclient.report.style import STYLE
from otaclient.report.text import number, shown

__all__ = ["page"]

_NAME: Final = 120
_SENTENCE: Final = 500
_IDENTIFIER: Final = 256
_MOST_PARTS: Final = 10
_MOST_ERRORS: Final = 3
_QUESTION: Final = 200
_COLOURS: Final[Mapping[Change, str]] = {
    Change.UPGRADED: "c2",
    Change.STUCK: "c1",
    Change.ROLLED_BACK: "c5",
    Change.CHANGED: "c3",
    Change.APPEARED: "c0",
    Change.VANISHED: "rest",
}


def page(report: Report) -> str:
    """Return a report as HTML."""
    digest = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; base-uri 'none'; form-action 'none'"
    name = shown(report.source.name, longest=_NAME)
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="referrer" content="no-referrer">',
            # Without it, a browser asks a server for one.
            '<link rel="icon" href="data:,">',
            f"<title>Fleet report: {name}</title>",
            f"<style>{STYLE}</style>",
            "</head>",
            "<body>",
            *_body(report),
            "</body>",
            "</html>",
            "",
        ]
    )


def _body(report: Report) -> Iterator[str]:
    source, survey = report.source, report.survey
    yield "<header>"
    yield "<h1>Fleet report</h1>"
    yield f'<p class="quiet"><code>{shown(source.name, longest=_NAME)}</code>, scanned {shown(source.when)}</p>'
    yield "</header>"
    yield from _trust(source, "What the numbers below rest on")
    if not survey.devices:
        yield from _empty(source)
    yield _tiles(report)
    if report.changes is not None and report.since is not None:
        yield from _changes(report.since, source, report.changes)
    if survey.devices:
        yield from products_section(survey)
        yield from upgrading_section(survey)
    yield from _lists(report)
    yield from _words(report)
    yield f'<footer class="quiet"><p>Made by otaclient {shown(version("otaclient"))}.</p></footer>'


def _empty(source: Source) -> Iterator[str]:
    yield '<div class="box bad"><h2>The file holds no devices</h2>'
    reason = (
        "The scan proved that the vendor listed none that match what was asked for. Are filter and account right?"
        if source.is_certified
        else "Whether there really are none is not proved."
    )
    yield f"<p>{reason}</p></div>"


# --- the certificate -------------------------------------------------------------------------------------------------


def _trust(source: Source, about: str) -> Iterator[str]:
    trust = trust_in(source)
    yield f'<section class="box {trust.tone.value}" aria-label="{about}">'
    yield f"<h2>{shown(trust.headline, longest=_SENTENCE)}</h2>"
    yield from (f"<p>{shown(sentence, longest=_SENTENCE)}</p>" for sentence in trust.sentences)
    if trust.reasons:
        yield "<ul>"
        yield from (f"<li>{shown(reason, longest=_SENTENCE)}</li>" for reason in trust.reasons)
        yield "</ul>"
    if source.certificate is not None:
        yield from _proof(source.certificate)
    yield "</section>"


def _proof(certificate: Certificate) -> Iterator[str]:
    yield (
        f'<p class="quiet">{number(certificate.devices)} devices in {number(certificate.reads)} pages and '
        f"{certificate.seconds:,.1f} seconds, {number(certificate.requests)} requests "
        f"({number(certificate.retries)} repeated, {number(certificate.throttles)} throttled by the vendor). "
        f"{number(certificate.duplicates)} rows were seen again, {number(certificate.changed)} of them changed "
        f"while the scan ran; {number(certificate.filtered)} did not match the filter.</p>"
    )
    yield '<ul class="quiet">'
    for part in certificate.parts[:_MOST_PARTS]:
        end = "" if part.finished else ' <span class="loud">not read to its end</span>'
        yield (
            f"<li>{shown(part.backend)}: {number(part.devices)} devices; asked for: "
            f"{shown(part.query, longest=_QUESTION)}{end}"
        )
        yield from (f'<br><span class="loud">{shown(e, longest=_QUESTION)}</span>' for e in part.errors[:_MOST_ERRORS])
        if len(part.errors) > _MOST_ERRORS:
            yield f"<br>and {number(len(part.errors) - _MOST_ERRORS)} more errors"
        yield "</li>"
    if len(certificate.parts) > _MOST_PARTS:
        yield f"<li>and {number(len(certificate.parts) - _MOST_PARTS)} more parts</li>"
    yield "</ul>"


# --- the numbers on top ----------------------------------------------------------------------------------------------


def _tiles(report: Report) -> str:
    survey = report.survey
    versions = {name for product in survey.products for name in product.firmware if name is not None}
    tiles = [
        (survey.devices, "devices"),
        (len(survey.products), "products"),
        (len(versions), "firmware versions"),
        (survey.upgrading.count, "upgrading now"),
    ]
    if report.changes is not None:
        looked_at = (Change.UPGRADED, Change.STUCK, Change.ROLLED_BACK)
        tiles += [(report.changes.count(change), change.value) for change in looked_at]
    items = "".join(f"<li><b>{number(count)}</b> {what}</li>" for count, what in tiles)
    return f'<ul class="tiles">{items}</ul>'


# --- what changed ----------------------------------------------------------------------------------------------------


def _changes(earlier: Source, later: Source, changes: Changes) -> Iterator[str]:
    yield "<section>"
    yield "<h2>What changed</h2>"
    yield (
        f"<p>From <code>{shown(earlier.name, longest=_NAME)}</code>, scanned {shown(earlier.when)}, to "
        f"<code>{shown(later.name, longest=_NAME)}</code>, scanned {shown(later.when)}.</p>"
    )
    doubts = comparison_doubts(earlier, later, repeated=changes.repeated)
    if doubts:
        yield '<div class="box bad"><h2>This comparison may be wrong</h2><ul>'
        yield from (f"<li>{shown(doubt, longest=_SENTENCE)}</li>" for doubt in doubts)
        yield "</ul></div>"
    if not earlier.is_certified:
        yield from _trust(earlier, "What the earlier file rests on")
    drawn = [change for change in MEANINGS if change is not Change.UNCHANGED]
    largest = max(changes.count(change) for change in drawn)
    yield '<table><thead><tr><th>Devices that</th><th class="n">devices</th><th></th></tr></thead><tbody>'
    for change in MEANINGS:
        count = changes.count(change)
        bar = share_bar(count, largest, colour=_COLOURS[change]) if change in _COLOURS else ""
        yield (f'<tr><td>{_LABELS[change]}</td><td class="n">{number(count)}</td><td class="chart">{bar}</td></tr>')
    yield "</tbody></table>"
    yield f'<p class="quiet">{_sum(changes)}</p>'
    yield "</section>"


_LABELS: Final[Mapping[Change, str]] = {
    Change.UPGRADED: "were upgraded",
    Change.STUCK: "are stuck",
    Change.ROLLED_BACK: "were rolled back",
    Change.CHANGED: "changed, order not told",
    Change.UNCHANGED: "are unchanged",
    Change.APPEARED: "appeared",
    Change.VANISHED: "vanished",
}


def _sum(changes: Changes) -> str:
    """Return how the numbers add up to the devices of both files."""
    both = sum(changes.count(change) for change in MEANINGS if change not in {Change.APPEARED, Change.VANISHED})
    appeared, vanished = changes.count(Change.APPEARED), changes.count(Change.VANISHED)
    return (
        f"{number(both)} devices are in both files. With the {number(appeared)} that appeared, these are the "
        f"{number(both + appeared)} of the later file; with the {number(vanished)} that vanished, the "
        f"{number(both + vanished)} of the earlier one."
    )


# --- lists -----------------------------------------------------------------------------------------------------------


def _lists(report: Report) -> Iterator[str]:
    if report.changes is not None:
        for change in MEANINGS:
            listing = report.changes.listings[change]
            if listing.most:
                yield from _list(f"Devices that {_LABELS[change]}", listing, compared=True)
    yield from _list("Devices being upgraded now", report.survey.upgrading, compared=False)


def _list(heading: str, listing: Listing, *, compared: bool) -> Iterator[str]:
    if not listing.count:
        return
    devices = listing.devices
    yield '<section class="list">'
    yield f"<h2>{heading}: {number(listing.count)}</h2>"
    if len(devices) < listing.count:
        yield (
            f"<p>The first {number(len(devices))} by backend, product and identifier; for all, make the report with "
            f"<code>--list-limit {listing.count}</code>.</p>"
        )
    titles = ("before", "now") if compared else ("version",)
    heads = "".join(f"<th>{title}</th>" for title in ("device", "product", *titles))
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    yield from (_row(device, compared=compared) for device in devices)
    yield "</tbody></table></section>"


def _row(device: Listed, *, compared: bool) -> str:
    states = (device.before, device.now) if compared else (device.now,)
    cells = [
        f"<code>{shown(device.device_id, longest=_IDENTIFIER)}</code>",
        f'{shown(device.product or "-")} <span class="quiet">{shown(device.backend)}</span>',
        *map(_versions, states),
    ]
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _versions(state: State | None) -> str:
    if state is None:
        return "-"
    firmware = shown(state.firmware) if state.firmware is not None else '<span class="quiet">not told</span>'
    return firmware if state.software is None else f"{firmware}, software {shown(state.software)}"


# --- what the words mean ---------------------------------------------------------------------------------------------


def _words(report: Report) -> Iterator[str]:
    yield "<section><h2>What the words mean</h2><dl>"
    yield from _defined(
        [
            ("Version", "The firmware version that the vendor tells of a device."),
            (
                "Being upgraded",
                (
                    "The vendor has an upgrade of the device under way. Not told: the scan did not ask, because for "
                    "this vendor that takes further calls (--resolve-upgrading)."
                ),
            ),
        ]
    )
    if report.changes is not None:
        yield from _defined((change.value.capitalize(), meaning) for change, meaning in MEANINGS.items())
        yield from _defined(_ORDER)
    yield "</dl></section>"


_ORDER: Final[Sequence[tuple[str, str]]] = (
    ("Same device", "Backend and device identifier are the same in both files."),
    (
        "Same version",
        "Firmware and software version are both the same. Where only the software version differs, it decides.",
    ),
    (
        "Later version",
        (
            "Vendors do not order versions, so the texts are compared part by part: a larger number is later (1.10 "
            "after 1.9), a longer version is later (1.2.1 after 1.2), and dev, alpha, beta and rc are before the final "
            "version. Anything else, such as a hash, is not ordered; such devices count as changed."
        ),
    ),
)


def _defined(words: Iterable[tuple[str, str]]) -> Iterator[str]:
    return (f"<dt>{word}</dt><dd>{meaning}</dd>" for word, meaning in words)
