"""The page of a diff: totals, a treemap of growth by directory, and a table of changes to search.

One file that needs no network; without its script all but searching and zooming is still there.
It knows nothing of images: it is given rows. Invariant: memory is bounded however many rows come,
and totals count all of them; whatever comes from outside passes through `shown` or `printable`, so
the page is UTF-8, and through `escape` or `_json`, so it is never markup.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from heapq import heappush, heapreplace
from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast._version import __version__
from ocifast.cli.diff_page_script import SCRIPT
from ocifast.cli.diff_page_style import STYLE
from ocifast.cli.output import encode, printable, shown
from ocifast.cli.quantity import size_text
from ocifast.cli.treemap import MOST_CELLS, Growth, change_text, drawn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocifast.cli.treemap import Tile

__all__ = ["PageRow", "page"]

MOST_ROWS: Final = 20_000
FIRST_ROWS: Final = 200  # these are there without the script
MARKS: Final = {"A": "added", "M": "modified", "D": "deleted", "R": "renamed"}
COLUMNS: Final = {
    "mark": ("kind", "word", "A added, M modified, D deleted, R renamed"),
    "path": ("path", "word", "old path \u21d2 new path of what was renamed"),
    "before": ("old size", "", ""),
    "after": ("new size", "", ""),
    "delta": ("change", "", "new size less old size"),
    "fields": ("what changed", "word", ""),
}
_UNSAFE: Final = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}


class PageRow(NamedTuple):
    r"""A change; names are decoded with surrogateescape, and may hold anything.

    `mark` is "A" added, "M" modified, "D" deleted or "R" renamed. `path` has no slash in front;
    `old_path` is that of a rename, else "". Sizes are bytes, 0 where there is none. `fields` say
    what changed: "mode", "owner", "content".

    Example:
        >>> PageRow("M", "etc/passwd", "", 900, 960, ("content",)).delta
        60
    """

    mark: str
    path: str
    old_path: str
    old_size: int
    new_size: int
    fields: tuple[str, ...]

    @property
    def delta(self) -> int:
        """Bytes it grew, below zero when it shrank."""
        return self.new_size - self.old_size


class _Tally:
    """What is kept of the rows: counts, growth by directory, and those that weigh most."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(MARKS, 0)
        self.net = dict.fromkeys(MARKS, 0)
        self.grown = self.shrunk = self.total = 0
        self._growth = Growth()
        self._heap: list[tuple[int, int, PageRow]] = []

    def add(self, row: PageRow) -> None:
        delta = row.delta
        self.counts[row.mark] += 1
        self.net[row.mark] += delta
        self.total += 1
        if delta:
            self.grown += max(delta, 0)
            self.shrunk += max(-delta, 0)
            self._growth.add(row.path, delta)
        item = (abs(delta), -self.total, row)  # of equals, those that came first are kept
        if len(self._heap) < MOST_ROWS:
            heappush(self._heap, item)
        elif item > self._heap[0]:
            heapreplace(self._heap, item)

    def end(self) -> tuple[list[PageRow], Tile]:
        """Give the rows, largest change first, and the treemap."""
        rows = [row for _, _, row in sorted(self._heap, reverse=True)]
        self._heap.clear()
        return rows, self._growth.tiles((row.path, row.delta) for row in rows[:MOST_CELLS])


def page(
    title_a: str, title_b: str, rows: Iterable[PageRow], notes: Sequence[str]
) -> Iterator[str]:
    r"""Make the page, as pieces of text; nothing comes until all rows are read.

    At most 20,000 rows are held, those that grew or shrank most, and 65,536 directories.

    Args:
        title_a: What was compared.
        title_b: What it was compared to.
        rows: The changes, in any order.
        notes: Sentences to stand below the heading.

    Raises:
        KeyError: A row's mark is none of the four.

    Example:
        >>> rows = [PageRow("A", "usr/bin/tool", "", 0, 1200, ())]
        >>> text = "".join(page("app:1", "app:2", rows, []))
        >>> "<strong>+1.2 kB</strong>" in text, "http" in text.replace("http-equiv", "")
        (True, False)
    """
    tally = _Tally()
    for row in rows:
        tally.add(row)
    kept, root = tally.end()
    for part in (
        _head(title_a, title_b, notes),
        _figures(tally),
        _treemap(root),
        _table(kept, tally),
        _foot(kept),
    ):
        for piece in part:
            yield piece + "\n"


def _head(title_a: str, title_b: str, notes: Sequence[str]) -> Iterator[str]:
    before, after = escape(printable(title_a)), escape(printable(title_b))
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield f"<title>ocifast diff: {before} \u2192 {after}</title>"
    yield f"<style>{STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    yield "<header>"
    yield "<h1>What changed</h1>"
    yield f"<p>from <code>{before}</code> to <code>{after}</code></p>"
    for note in notes:
        yield f"<p>{escape(printable(note))}</p>"
    yield "</header>"


def _policy() -> str:
    """Forbid everything but the page's own script and style sheet."""
    script, style = (b64encode(sha256(text.encode()).digest()).decode() for text in (SCRIPT, STYLE))
    rules = ("default-src 'none'", "base-uri 'none'", "form-action 'none'")
    return "; ".join((*rules, f"script-src 'sha256-{script}'", f"style-src 'sha256-{style}'"))


def _figures(tally: _Tally) -> Iterator[str]:
    figures = [
        ("Net", _signed(tally.grown - tally.shrunk), _counted(tally.total, "change")),
        ("Grown", _signed(tally.grown), "all gains"),
        ("Shrunk", _signed(-tally.shrunk), "all losses"),
    ]
    for mark, word in MARKS.items():
        figures.append((word.capitalize(), f"{tally.counts[mark]:,}", _signed(tally.net[mark])))
    yield '<dl class="figures">'
    for name, value, note in figures:
        yield f"<div><dt>{name}</dt><dd><strong>{value}</strong><span>{note}</span></dd></div>"
    yield "</dl>"


def _treemap(root: Tile) -> Iterator[str]:
    yield '<section aria-labelledby="growth">'
    yield '<h2 id="growth">Growth by directory</h2>'
    if not root.weight:
        yield '<p class="left">No file has another size than before.</p></section>'
        return
    yield '<p class="legend">'
    for tone, words in (("grown", "+ grown"), ("shrunk", "\u2212 shrunk")):
        swatch = f'<rect class="{tone}" width="12" height="12" rx="3"/>'
        yield f'<span><svg width="12" height="12" aria-hidden="true">{swatch}</svg> {words}</span>'
    yield "<span>An area is the bytes added and taken away. What was renamed counts where it is now"
    yield "by what it grew.</span></p>"
    yield '<nav id="crumbs" aria-label="Directory that is shown"></nav>'
    yield from drawn(root)
    yield "</section>"


def _table(rows: list[PageRow], tally: _Tally) -> Iterator[str]:
    yield '<section aria-labelledby="listed">'
    yield '<h2 id="listed">Changes</h2>'
    if left := tally.total - len(rows):
        listed = f"The table has the {len(rows):,} changes that grew or shrank most."
        yield f'<p class="left" id="left">{listed} {left:,} more were left out of it; '
        yield "the figures and areas above count them all.</p>"
    yield '<div class="tools" id="tools" hidden>'
    yield '<input type="search" id="search" aria-label="Search paths and what changed"'
    yield ' placeholder="Search paths and what changed" autocomplete="off">'
    yield "<fieldset><legend>Show</legend>"
    for mark, word in MARKS.items():
        box = f'<input type="checkbox" name="mark" value="{mark}" checked>'
        yield f"<label>{box} {mark} {word}</label>"
    yield "</fieldset>"
    yield '<output id="count"></output>'
    yield '<span id="only" hidden></span>'
    yield "</div>"
    yield '<div class="scroll"><table id="changes"><thead><tr>'
    for key, (name, kind, note) in COLUMNS.items():
        title = f' title="{note}"' if note else ""
        yield f'<th scope="col" class="{kind}" data-key="{key}"{title}>{name}</th>'
    yield "</tr></thead><tbody>"
    yield from map(_line, rows[:FIRST_ROWS])
    yield "</tbody></table></div>"
    yield '<p id="more" hidden></p>'
    if len(rows) > FIRST_ROWS:
        yield f"<noscript><p>Without its script the page shows {FIRST_ROWS} rows.</p></noscript>"
    yield "</section>"


def _line(row: PageRow) -> str:
    """A row as the script draws it, too."""
    old = f"<code>{escape(shown(row.old_path))}</code> \u21d2 " if row.old_path else ""
    before = "<td>-</td>" if row.mark == "A" else _size(row.old_size, size_text(row.old_size))
    after = "<td>-</td>" if row.mark == "D" else _size(row.new_size, size_text(row.new_size))
    fields = escape(shown(", ".join(row.fields)))
    return (
        f'<tr><td><abbr title="{MARKS[row.mark]}">{row.mark}</abbr></td>'
        f"<td>{old}<code>{escape(shown(row.path))}</code></td>{before}{after}"
        f"{_size(row.delta, _signed(row.delta))}<td>{fields}</td></tr>"
    )


def _foot(rows: list[PageRow]) -> Iterator[str]:
    yield f"<footer>ocifast {escape(printable(__version__))}</footer>"
    yield "</main>"
    yield '<script type="application/json" id="data">['
    last = len(rows) - 1
    for at, row in enumerate(rows):
        yield _json(row) + ("," if at < last else "")
    yield "]</script>"
    yield f"<script>{SCRIPT}</script>"
    yield "</body>"
    yield "</html>"


def _json(row: PageRow) -> str:
    """Give what the script needs, in ASCII and without a character that HTML gives a meaning."""
    names = shown(row.path), shown(row.old_path), shown(", ".join(row.fields))
    values = (row.mark, *names[:2], row.old_size, row.new_size, names[2])
    return encode(values).translate(_UNSAFE)


def _size(size: int, text: str) -> str:
    return f'<td title="{size:,} bytes">{text}</td>'


def _signed(size: int) -> str:
    return change_text(max(size, 0), max(-size, 0))


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
