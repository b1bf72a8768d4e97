"""The style sheet and the script of the report page, as they are written into it.

Both are constants: the page allows exactly these, by their hashes. Invariant: the page can be read
in full without the script, in light and dark, on paper and on a telephone.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SCRIPT", "STYLE"]

STYLE: Final = """
:root {
  --page: #f6f7f9; --card: #ffffff; --line: #e1e5ea; --ink: #1b2430; --dim: #5c6878;
  --blue: #2f6fdb; --gray: #aab4c0; --teal: #17907f; --amber: #d08c00; --violet: #8256d0;
  --bad: #b3261e; --bad-page: #fdf1f0; --hover: #f0f4fa;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #12161c; --card: #1a2028; --line: #2e3743; --ink: #e4e9f0; --dim: #98a4b3;
    --blue: #6ea2f5; --gray: #5d6a79; --teal: #45b8a6; --amber: #e3ac3c; --violet: #a98af0;
    --bad: #ff8a80; --bad-page: #2b1b1c; --hover: #212a35;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", sans-serif;
}
main { max-width: 1200px; margin: 0 auto; padding: 24px 20px 40px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0; }
h2 { font-size: 16px; margin: 0 0 8px; }
header p { margin: 4px 0 20px; color: var(--dim); overflow-wrap: anywhere; }
code { font: 13px ui-monospace, "SF Mono", Consolas, "DejaVu Sans Mono", monospace; }
small, footer, .legend, .left { color: var(--dim); font-size: 13px; }
section, .figures > div {
  background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: 16px 18px;
}
section { margin-bottom: 16px; min-width: 0; }
.figures {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 12px;
  margin: 0 0 16px;
}
.figures dt { color: var(--dim); font-size: 13px; }
.figures dd { margin: 0; }
.figures strong { display: block; font-size: 22px; line-height: 1.3; }
.figures span { color: var(--dim); font-size: 13px; }
.failures { border-color: var(--bad); background: var(--bad-page); }
.failures h2, .bad { color: var(--bad); }
.failures ul { margin: 0; padding-left: 20px; overflow-wrap: anywhere; }
.failures span { color: var(--dim); }
.legend { display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 0 0 10px; }
.legend svg { vertical-align: -1px; }
.chart { display: grid; gap: 4px; }
.row {
  display: grid; grid-template-columns: minmax(90px, 26%) 1fr 150px; gap: 12px;
  align-items: center; border-radius: 4px;
}
.row:hover { background: var(--hover); }
.row .label { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.row span:last-child { white-space: nowrap; font-variant-numeric: tabular-nums; }
.bar { display: block; }
.left { margin: 8px 0 0; }
.before { fill: var(--gray); } .after, .compressed { fill: var(--blue); }
.linked { fill: var(--teal); } .shared { fill: var(--amber); } .resumed { fill: var(--violet); }
.compressed, .linked, .shared, .resumed { stroke: var(--card); stroke-width: 1px; }
.tools { display: flex; flex-wrap: wrap; gap: 8px 16px; align-items: center; margin: 0 0 12px; }
.tools[hidden] { display: none; }
.tools input[type=search] { flex: 1 1 240px; max-width: 420px; }
input, button { font: inherit; color: inherit; accent-color: var(--blue); }
input[type=search], .tools button {
  background: var(--page); border: 1px solid var(--line); border-radius: 6px; padding: 5px 10px;
}
output { color: var(--dim); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: 6px 10px; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; }
thead th { color: var(--dim); font-weight: 600; font-size: 13px; }
#images > thead th { border-bottom: 2px solid var(--line); }
thead button { all: unset; cursor: pointer; }
thead button:hover, .toggle:hover { color: var(--blue); }
thead button:focus-visible, .toggle:focus-visible { outline: 2px solid var(--blue); }
th[aria-sort=ascending] button::after { content: " \\2191"; }
th[aria-sort=descending] button::after { content: " \\2193"; }
.image > * { border-top: 1px solid var(--line); }
.image:hover { background: var(--hover); }
.image th { font-weight: 600; white-space: normal; overflow-wrap: anywhere; min-width: 220px; }
.image th span { font-weight: 400; font-size: 13px; color: var(--dim); }
.image th .bad { color: var(--bad); font-weight: 600; }
.toggle { all: unset; cursor: pointer; }
.toggle::before { content: "\\25B8"; color: var(--dim); display: inline-block; width: 1.2em; }
.toggle[aria-expanded=true]::before { content: "\\25BE"; }
.details > td { padding: 2px 10px 14px 28px; text-align: left; white-space: normal; }
.facts { display: grid; grid-template-columns: max-content 1fr; gap: 0 14px; margin: 0 0 8px; }
.facts dt { color: var(--dim); font-size: 13px; }
.facts dd { margin: 0; overflow-wrap: anywhere; font-size: 13px; }
.layers { font-size: 13px; background: var(--page); border-radius: 6px; }
.layers th, .layers td { padding: 3px 10px; }
.layers .word, .layers th:nth-child(2) { text-align: left; }
.layers th:nth-child(6) { text-align: left; }
.findings td { text-align: left; color: var(--dim); white-space: normal; }
@media (max-width: 640px) {
  .row { grid-template-columns: minmax(80px, 34%) 1fr; gap: 0 8px; }
  .row span:last-child { grid-column: 2; }
}
@media print { .tools { display: none; } .details[hidden] { display: table-row; } }
"""

SCRIPT: Final = """
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const table = byId("images"), search = byId("search"), failed = byId("failed");
  const all = byId("all"), count = byId("count");
  const images = [...table.tBodies].map((body, order) => {
    const [row, details] = body.rows;
    const digests = [...details.querySelectorAll("code")].map((code) => code.parentNode.title);
    const name = row.cells[0].textContent.toLowerCase();
    const text = [name, details.textContent, ...digests].join(" ").toLowerCase();
    const toggle = document.createElement("button");
    toggle.type = "button";
    toggle.className = "toggle";
    toggle.append(...row.cells[0].childNodes);
    row.cells[0].append(toggle);
    const open = (yes) => {
      details.hidden = !yes;
      toggle.setAttribute("aria-expanded", String(yes));
    };
    toggle.addEventListener("click", () => open(details.hidden));
    open(false);
    return { body, row, order, name, text, open, failed: body.className === "failed" };
  });
  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    let shown = 0;
    for (const image of images) {
      const fits = image.text.includes(wanted) && (image.failed || !failed.checked);
      image.body.hidden = !fits;
      shown += fits;
    }
    count.textContent = `${shown} of ${images.length}`;
  };
  const value = (image, column) => Number(image.row.cells[column].dataset.value);
  const compare = (a, b, column) =>
    column ? value(a, column) - value(b, column)
      : a.name.localeCompare(b.name, undefined, { numeric: true });
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      const up = was ? was === "descending" : column === 0;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const sign = up ? 1 : -1;
      images.sort((a, b) => sign * compare(a, b, column) || a.order - b.order);
      table.append(...images.map((image) => image.body));
    });
  });
  let opened = false;
  all.addEventListener("click", () => {
    opened = !opened;
    for (const image of images) image.open(opened);
    all.textContent = opened ? "Hide all layers" : "Show all layers";
  });
  search.addEventListener("input", filter);
  failed.addEventListener("change", filter);
  byId("tools").hidden = false;
  filter();
})();
"""
