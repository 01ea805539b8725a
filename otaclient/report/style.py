"""How the page looks: on a screen, light and dark, on a phone, and on paper. No font, no picture, no script."""

from typing import Final

__all__ = ["COLOURS", "STYLE"]

COLOURS: Final = 6
"""So many versions have a colour of their own in a chart; the rest is grey."""

STYLE: Final = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de; --soft: #f6f8fa;
  --good: #116329; --good-soft: #dafbe1; --bad: #a40e26; --bad-soft: #ffebe9;
  --c0: #0072b2; --c1: #e69f00; --c2: #009e73; --c3: #cc79a7; --c4: #56b4e9; --c5: #d55e00; --rest: #9aa4af;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #14181d; --ink: #e6edf3; --quiet: #9da7b3; --line: #353c45; --soft: #1d232a;
    --good: #7ee2a0; --good-soft: #10301c; --bad: #ff9d94; --bad-soft: #41161a; --rest: #77818c;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.3rem; margin: 2.5rem 0 .5rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .4rem; }
p, dl, ul { margin: .4rem 0; max-width: 46rem; }
ul { padding-left: 1.2rem; }
h1, h3, p, td, th, dt, dd, li { overflow-wrap: anywhere; }
a { color: inherit; }
.quiet, caption { color: var(--quiet); }
.box { border: 1px solid; border-left-width: .4rem; border-radius: .4rem; padding: .6rem 1rem; margin: 1rem 0; }
.box p, .box ul { max-width: none; }
.box h2 { border: 0; margin: 0; padding: 0; }
.good { border-color: var(--good); background: var(--good-soft); }
.good h2 { color: var(--good); }
.bad { border-color: var(--bad); background: var(--bad-soft); }
.bad h2, .loud { color: var(--bad); font-weight: 700; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.2rem, 1fr)); gap: .6rem; }
.tiles { margin: 1rem 0; padding: 0; list-style: none; max-width: none; }
.tiles li { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem .8rem; background: var(--soft); }
.tiles b { display: block; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; }
caption { text-align: left; padding: .2rem 0; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line); }
th { font-weight: 600; color: var(--quiet); }
th.n, td.n { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.key { white-space: nowrap; width: 3rem; color: var(--quiet); }
td.chart { width: 40%; vertical-align: middle; }
.list table { table-layout: fixed; }
.list th:first-child { width: 36%; }
.list th:nth-child(2) { width: 28%; }
th:last-child, td:last-child { padding-right: 0; }
code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: .92em; }
dt { font-weight: 600; margin-top: .4rem; }
dd { margin: 0; }
svg { display: block; }
svg.key { display: inline-block; vertical-align: -.1em; }
.bar rect { stroke: var(--paper); stroke-width: 1px; }
.bar text { font: 700 13px system-ui, sans-serif; text-anchor: middle; fill: #000; }
.bar text.l { fill: #fff; }
.c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); }
.c4 { fill: var(--c4); } .c5 { fill: var(--c5); } .rest { fill: var(--rest); } .none { fill: var(--line); }
.track { fill: var(--line); }
@media (max-width: 36rem) {
  body { padding: 1rem .75rem 3rem; }
  h1 { font-size: 1.45rem; }
  td.chart { width: 24%; }
  .wide { display: none; }
}
@media print {
  :root {
    color-scheme: light; --paper: #fff; --ink: #000; --quiet: #444; --line: #bbb; --soft: #fff;
    --good: #0b4f20; --good-soft: #fff; --bad: #8b0000; --bad-soft: #fff; --rest: #9aa4af;
  }
  @page { margin: 15mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  h2, h3 { break-after: avoid; }
  .box, .tiles, .product, section:not(.list) > table, tr { break-inside: avoid; }
  .list > p, .list tr:nth-child(-n+2) { break-after: avoid; }
  thead { display: table-header-group; }
}
"""
