"""The parts of the page about products: which versions their devices run, and how many are being upgraded."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import attrs

from otaclient.report.charts import Slice, key, share_bar, stacked_bar
from otaclient.report.style import COLOURS
from otaclient.report.survey import ProductCount, Survey
from otaclient.report.text import number, share, shown

__all__ = ["products_section", "upgrading_section"]

# What keeps the page small whatever the fleet; what is left out is counted.
_MOST_PRODUCTS: Final = 30
_MOST_VERSIONS: Final = 10
_NAME: Final = 40
_SPOKEN_NAME: Final = 16
_SPOKEN: Final = 3


@attrs.frozen
class _Row:
    """The devices of one version, or of all versions that have no row of their own."""

    label: str
    count: int
    upgrading: int
    colour: str
    number: str


def products_section(survey: Survey) -> Iterator[str]:
    """Yield a chart and a table of versions for each product."""
    products = survey.products
    yield "<section><h2>Versions by product</h2>"
    for product in products[:_MOST_PRODUCTS]:
        yield f'<div class="product"><h3>{_name(product)}</h3>'
        yield from _versions(product, product.firmware, product.upgrading_to_leave, what="firmware version")
        # Most products have no software beside the firmware.
        if set(product.software) != {None}:
            yield from _versions(product, product.software, None, what="software version")
        yield "</div>"
    yield from _left_out(products[_MOST_PRODUCTS:])
    yield "</section>"


def _versions(
    product: ProductCount, counts: Counter[str | None], upgrading: Mapping[str | None, int] | None, *, what: str
) -> Iterator[str]:
    rows, total = _rows(counts, upgrading or {}), counts.total()
    most = ", ".join(f"{row.label[:_SPOKEN_NAME]} {share(row.count, total)}" for row in rows[:_SPOKEN])
    yield stacked_bar(
        [Slice(row.count, row.colour, row.number) for row in _drawn(rows)],
        about=f"{(product.product or 'no product')[:_SPOKEN_NAME]}, devices by {what}: {most}",
    )
    last = "" if upgrading is None else '<th class="n">upgrading</th>'
    heads = f'<th></th><th>{what}</th><th class="n">devices</th><th class="n">share</th>{last}'
    yield f"<table><thead><tr>{heads}</tr></thead><tbody>"
    for row in rows:
        last = "" if upgrading is None else f'<td class="n">{number(row.upgrading)}</td>'
        yield (
            f'<tr><td class="key">{key(row.colour)} {row.number}</td><td>{shown(row.label, longest=_NAME)}</td>'
            f'<td class="n">{number(row.count)}</td><td class="n">{share(row.count, total)}</td>{last}</tr>'
        )
    yield "</tbody></table>"


def _rows(counts: Counter[str | None], upgrading: Mapping[str | None, int]) -> list[_Row]:
    """Return the versions with the most devices first; one row for the rest, and one for devices that tell none."""
    told = [(version, count) for version, count in counts.items() if version is not None]
    told.sort(key=lambda each: (-each[1], each[0]))
    # One version alone in the rest is shown as itself.
    most = _MOST_VERSIONS if len(told) > _MOST_VERSIONS + 1 else len(told)
    rows = [
        _Row(version, count, upgrading.get(version, 0), f"c{rank}" if rank < COLOURS else "rest", str(rank + 1))
        for rank, (version, count) in enumerate(told[:most])
    ]
    others = told[most:]
    if others:
        label, count = f"{number(len(others))} other versions", sum(count for _, count in others)
        rows.append(_Row(label, count, sum(upgrading.get(version, 0) for version, _ in others), "rest", "…"))
    if None in counts:
        rows.append(_Row("not told by the vendor", counts[None], upgrading.get(None, 0), "none", "?"))
    return rows


def _drawn(rows: Sequence[_Row]) -> list[_Row]:
    """Return the parts of the bar: those without a colour of their own are one."""
    grey = [row for row in rows if row.colour == "rest"]
    coloured = [row for row in rows if row.colour not in {"rest", "none"}]
    if grey:
        label = grey[0].number if len(grey) == 1 else "…"
        coloured.append(_Row("", sum(row.count for row in grey), 0, "rest", label))
    return coloured + [row for row in rows if row.colour == "none"]


def upgrading_section(survey: Survey) -> Iterator[str]:
    """Yield how many devices of each product are being upgraded."""
    yield "<section><h2>Being upgraded now</h2>"
    untold = survey.upgrading_untold
    if untold == survey.devices:
        yield (
            '<p class="loud">Not known of any device: the scan did not ask. Scan with --resolve-upgrading to find '
            "out.</p></section>"
        )
        return
    yield (
        f"<p>{number(survey.upgrading.count)} of {number(survey.devices)} devices "
        f"({share(survey.upgrading.count, survey.devices)})"
        f"{f'; of {number(untold)} it is not told' if untold else ''}.</p>"
    )
    yield (
        '<table><thead><tr><th>product</th><th class="n">upgrading</th><th class="n wide">of devices</th>'
        '<th class="n wide">not told</th><th></th></tr></thead><tbody>'
    )
    products = sorted(survey.products, key=lambda each: (-each.upgrading[True], -each.devices, each.backend))
    largest = max(product.upgrading[True] for product in products)
    for product in products[:_MOST_PRODUCTS]:
        yield (
            f'<tr><td>{_name(product)}</td><td class="n">{number(product.upgrading[True])}</td>'
            f'<td class="n wide">{number(product.devices)}</td>'
            f'<td class="n wide">{number(product.upgrading[None])}</td>'
            f'<td class="chart">{share_bar(product.upgrading[True], largest, colour="c1")}</td></tr>'
        )
    yield "</tbody></table>"
    yield from _left_out(products[_MOST_PRODUCTS:])
    yield "</section>"


def _name(product: ProductCount) -> str:
    name = shown(product.product, longest=_NAME) if product.product is not None else "no product told"
    return f'<bdi>{name}</bdi> <span class="quiet">{shown(product.backend, longest=_NAME)}</span>'


def _left_out(products: Sequence[ProductCount]) -> Iterator[str]:
    if products:
        devices = sum(product.devices for product in products)
        upgrading = sum(product.upgrading[True] for product in products)
        yield (
            f"<p>And {number(len(products))} more products with {number(devices)} devices together, "
            f"{number(upgrading)} of them being upgraded.</p>"
        )
