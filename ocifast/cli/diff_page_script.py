"""The script of the page of differences: zooms into the treemap; searches and sorts the table.

It is a constant: the page allows exactly this one, by its hash. Invariant: nothing from outside
becomes markup; names reach the document as text only, and no more rows are drawn than were asked
for.
"""

from __future__ import annotations

from typing import Final

__all__ = ["SCRIPT"]

SCRIPT: Final = """
"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const made = (tag, text, title) => {
    const element = document.createElement(tag);
    element.append(text);
    if (title) element.title = title;
    return element;
  };
  const button = (text, act) => {
    const element = made("button", text);
    element.type = "button";
    element.addEventListener("click", act);
    return element;
  };
  const WORDS = { A: "added", M: "modified", D: "deleted", R: "renamed" };
  const sized = (size) => {
    if (size < 1000) return `${size} B`;
    for (const unit of ["kB", "MB", "GB", "TB"]) {
      size /= 1000;
      if (size < 999.95) return `${size.toFixed(1)} ${unit}`;
    }
    return `${(size / 1000).toFixed(1)} PB`;
  };
  const signed = (size) =>
    (size > 0 ? "+" : size < 0 ? "\\u2212" : "") + sized(Math.abs(size));
  const exact = (size) => `${size.toLocaleString("en")} bytes`;

  // ---- the table ----

  const rows = JSON.parse(byId("data").textContent).map(
    ([mark, path, old, before, after, fields]) => ({
      mark, path, old, before, after, fields, delta: after - before,
      text: `${old}\\n${path}\\n${fields}`.toLowerCase(),
    }));
  const table = byId("changes"), search = byId("search"), count = byId("count");
  const only = byId("only"), more = byId("more");
  const marks = [...document.querySelectorAll("[name=mark]")];
  const STEP = 200;
  let within = "", limit = STEP, order = null, fitting = rows;

  const line = (row) => {
    const tr = document.createElement("tr");
    const mark = document.createElement("td"), name = document.createElement("td");
    mark.append(made("abbr", row.mark, WORDS[row.mark]));
    if (row.old) name.append(made("code", row.old), " \\u21d2 ");
    name.append(made("code", row.path));
    tr.append(mark, name);
    const size = (there, size) =>
      there ? made("td", sized(size), exact(size)) : made("td", "-");
    tr.append(size(row.mark !== "A", row.before), size(row.mark !== "D", row.after));
    tr.append(made("td", signed(row.delta), exact(row.delta)), made("td", row.fields));
    return tr;
  };
  const draw = () => {
    table.tBodies[0].replaceChildren(...fitting.slice(0, limit).map(line));
    const shown = Math.min(limit, fitting.length).toLocaleString("en");
    count.textContent = `${shown} of ${fitting.length.toLocaleString("en")} shown`;
    more.hidden = limit >= fitting.length;
  };
  const filter = () => {
    const words = search.value.toLowerCase().split(/\\s+/).filter(Boolean);
    const wanted = new Set(marks.filter((mark) => mark.checked).map((mark) => mark.value));
    const below = (path) => path === within || path.startsWith(`${within}/`);
    fitting = rows.filter((row) =>
      wanted.has(row.mark) && words.every((word) => row.text.includes(word)) &&
      (!within || below(row.path) || (row.old && below(row.old))));
    if (order) fitting.sort(order);
    limit = STEP;
    draw();
  };
  const narrow = (path) => {
    within = path;
    only.hidden = !path;
    only.replaceChildren("only in ", made("code", path), " ",
      button("show all", () => { zoom(null); narrow(""); }));
    filter();
  };

  const compared = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head) => {
    const key = head.dataset.key, words = head.className === "word";
    const sort = button("", () => {
      const was = head.getAttribute("aria-sort");
      const first = words ? "ascending" : "descending";
      const now = !was ? first : was !== first ? null : words ? "descending" : "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      if (now) head.setAttribute("aria-sort", now);
      const sign = now === "ascending" ? 1 : -1;
      order = now && ((a, b) => sign * compared(a[key], b[key]));
      filter();
    });
    sort.replaceChildren(...head.childNodes);
    head.append(sort);
  });
  more.append(button("Show more", () => { limit *= 2; draw(); }));
  search.addEventListener("input", filter);
  for (const mark of marks) mark.addEventListener("change", filter);

  // ---- the treemap ----

  const map = byId("map"), crumbs = byId("crumbs");
  const HEAD = 20, PAD = 3, SPLIT = 16000, TINY = [34, 18], LINE = 15, CHAR = 7;
  const SIDES = ["x", "y", "width", "height"];
  const parent = (cell) => cell.parentNode.closest(".cell");
  const part = (cell, name) => cell.querySelector(`:scope > ${name}`);
  const inside = (cell) => part(cell, ".inside");
  const cells = map ? [...map.querySelectorAll(".cell")] : [];
  const names = new Map(cells.map((cell) => [cell, part(cell, ".name").textContent]));
  const lengths = new Map(cells.map((cell) =>
    [cell, [...part(cell, ".change").children].map((line) => line.textContent.length)]));
  const places = new Map(cells.map((cell) =>
    [cell, SIDES.map((side) => parseFloat(cell.getAttribute(side)))]));
  const put = (element, place, unit) =>
    SIDES.forEach((side, at) => element.setAttribute(side, place[at] + unit));
  let focus = null;

  const label = (cell, across, down, split) => {
    const name = names.get(cell), room = Math.max(Math.floor(across / CHAR) - 1, 1);
    const text = name.length > room ? `${name.slice(0, room - 1)}\u2026` : name;
    const parts = lengths.get(cell);
    const wide = split ? parts.reduce((a, b) => a + b, name.length + 3) : Math.max(...parts) + 2;
    const high = split ? HEAD : 6 + LINE * (1 + parts.length);
    cell.classList.toggle("bare", across < wide * CHAR || down < high);
    part(cell, split ? ".head > tspan" : ".name").textContent = text;
  };
  const fit = (frame, width, height) => {
    for (const cell of frame.children) {
      const place = places.get(cell), own = inside(cell);
      const across = width * place[2] / 100, down = height * place[3] / 100;
      const split = Boolean(own) && across * down >= SPLIT;
      cell.classList.toggle("split", split);
      cell.classList.toggle("tiny", across < TINY[0] || down < TINY[1]);
      label(cell, across, down, split);
      if (!split) continue;
      const room = [Math.max(across - 2 * PAD, 0), Math.max(down - HEAD - PAD, 0)];
      put(own, [PAD, HEAD, ...room], "");
      fit(own, ...room);
    }
  };
  const visible = () => cells.filter((cell) =>
    !cell.classList.contains("open") && cell.getClientRects().length);
  const tabbable = (cell) => {
    for (const other of cells) other.setAttribute("tabindex", other === cell ? "0" : "-1");
  };
  const zoom = (target) => {
    if (!map) return;
    for (const cell of map.querySelectorAll(".open")) {
      put(cell, places.get(cell), "%");
      cell.classList.remove("open");
    }
    for (const frame of document.querySelectorAll(".zoomed")) frame.classList.remove("zoomed");
    const path = [];
    for (let cell = target; cell; cell = parent(cell)) {
      put(cell, [0, 0, 100, 100], "%");
      cell.classList.add("open");
      cell.parentNode.classList.add("zoomed");
      put(inside(cell), [0, 0, 100, 100], "%");
      path.unshift(cell);
    }
    focus = target;
    const box = map.getBoundingClientRect();
    fit(target ? inside(target) : map, box.width, box.height);
    crumbs.replaceChildren(...[null, ...path].map((cell) => {
      const go = () => { zoom(cell); narrow(cell ? cell.dataset.path : ""); };
      const crumb = button(cell ? names.get(cell) : "all", go);
      if (cell === target) crumb.setAttribute("aria-current", "true");
      return crumb;
    }));
    tabbable(visible()[0]);
  };
  const enter = (cell) => {
    const keyboard = document.activeElement === cell;
    if (inside(cell)) zoom(cell);
    narrow(cell.dataset.path);
    if (keyboard && inside(cell)) visible()[0]?.focus();
  };
  const keyed = (event) => {
    const cell = event.target.closest(".cell");
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (event.key === "Escape" && focus) {
      const left = focus, up = parent(focus);
      zoom(up);
      narrow(up ? up.dataset.path : "");
      tabbable(left);
      left.focus();
    } else if (cell && (event.key === "Enter" || event.key === " ")) {
      enter(cell);
    } else if (cell && step) {
      const all = visible(), next = all[all.indexOf(cell) + step];
      if (next) { tabbable(next); next.focus(); }
    } else return;
    event.preventDefault();
  };
  if (map) {
    for (const cell of cells) cell.setAttribute("role", "button");
    map.addEventListener("click", (event) => {
      const cell = event.target.closest(".cell");
      if (cell) enter(cell);
    });
    map.addEventListener("keydown", keyed);
    window.addEventListener("resize", () => zoom(focus));
    zoom(null);
  }
  byId("tools").hidden = false;
  filter();
})();
"""
