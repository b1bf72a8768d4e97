"""The style sheet of the page of differences: that of the report, and what only this page has.

It is a constant: the page allows exactly this one, by its hash. Invariant: what grew and what
shrank differ in a sign and in a hue that everybody can tell apart (orange and blue), never in the
hue alone.
"""

from __future__ import annotations

from typing import Final

from ocifast.cli.report_style import STYLE as REPORT_STYLE

__all__ = ["STYLE"]

_OWN: Final = """
:root {
  --grown: #f5bb78; --shrunk: #9cc4f2; --grown-frame: #fbead4; --shrunk-frame: #e0edfb;
  --on-cell: #1b2430;
}
@media (prefers-color-scheme: dark) {
  :root {
    --grown: #8f4f0c; --shrunk: #23548f; --grown-frame: #38291a; --shrunk-frame: #1b2a3d;
    --on-cell: #ffffff;
  }
}
header p { margin-bottom: 4px; }
header { margin-bottom: 20px; }
.figures { grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); }
.figures strong { font-size: 20px; white-space: nowrap; }
#only { flex-basis: 100%; overflow-wrap: anywhere; }
.legend .grown { fill: var(--grown); } .legend .shrunk { fill: var(--shrunk); }
#crumbs { display: flex; flex-wrap: wrap; gap: 2px 6px; margin: 0 0 8px; min-height: 26px; }
#crumbs button, #only button {
  font: inherit; color: var(--blue); background: none; border: 0; padding: 1px 4px;
  border-radius: 4px; cursor: pointer; overflow-wrap: anywhere; text-align: left;
}
#crumbs button[aria-current] { color: var(--ink); font-weight: 600; }
#crumbs button:not(:first-child)::before { content: "/ "; color: var(--dim); font-weight: 400; }
#map { display: block; border-radius: 4px; }
.cell > rect { stroke: var(--card); stroke-width: 1.5px; }
.cell.grown > rect { fill: var(--grown); } .cell.shrunk > rect { fill: var(--shrunk); }
.cell.grown.split > rect { fill: var(--grown-frame); }
.cell.shrunk.split > rect { fill: var(--shrunk-frame); }
.cell > text { fill: var(--on-cell); font-size: 12px; pointer-events: none; }
.cell.split > text { fill: var(--ink); }
.cell .change { font-variant-numeric: tabular-nums; }
.cell > .name, .head tspan:not(.change) { font-weight: 600; }
.cell.other > .name { font-weight: 400; font-style: italic; }
.cell.tiny > text, .cell.bare > .change, .cell.bare > .head .change,
.cell:not(.split) > .head { display: none; }
.cell.split > .name, .cell.split > .change { display: none; }
.cell:not(.split):not(.open) > .inside { display: none; }
.cell.open > rect, .cell.open > text { display: none; }
.zoomed > .cell:not(.open) { display: none; }
.cell[role] { cursor: pointer; outline: none; }
.cell[role]:hover > rect { stroke: var(--ink); stroke-width: 2px; }
.cell[role]:focus-visible > rect { stroke: var(--ink); stroke-width: 5px; }
button:focus-visible, input:focus-visible { outline: 2px solid var(--blue); outline-offset: 1px; }
fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 14px; }
legend { float: left; color: var(--dim); margin-right: 14px; padding: 0; }
#left { margin: 0 0 12px; }
#more, noscript p { margin: 12px 0 0; }
#more[hidden], #only[hidden] { display: none; }
#more button {
  background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 5px 10px;
}
#changes tr > :nth-child(1) { width: 1%; }
#changes tr > :nth-child(2), #changes tr > :nth-child(6) { text-align: left; }
#changes td:nth-child(2) { white-space: normal; overflow-wrap: anywhere; min-width: 240px; }
#changes td:nth-child(6) { white-space: normal; color: var(--dim); font-size: 13px; }
#changes tbody tr { border-top: 1px solid var(--line); }
#changes tbody tr:hover { background: var(--hover); }
#changes thead th { border-bottom: 2px solid var(--line); }
#changes abbr { text-decoration: none; cursor: help; font-weight: 600; }
.more { color: var(--dim); }
@media print { #more, #crumbs, noscript { display: none; } }
"""

STYLE: Final = REPORT_STYLE + _OWN
