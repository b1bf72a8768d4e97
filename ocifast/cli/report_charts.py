"""The charts of the report page: rows of a label, a bar of SVG and a figure.

Bars are drawn in percent of their width, so text keeps its size on every screen.
Invariant: labels come escaped; a chart has at most `MOST_ROWS` rows, and says what it leaves out.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Final, NamedTuple

from ocifast.cli.output import printable
from ocifast.cli.quantity import duration_text, ratio_text, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocifast.ops.conversion import ConvertedImage, ConvertedLayer, ConvertReport

__all__ = ["charts"]

MOST_ROWS: Final = 20
GROUPS: Final = {
    "compressed": "compressed",
    "copied": "linked",
    "reflinked": "linked",
    "hardlinked": "linked",
    "shared": "shared",
    "resumed": "resumed",
}
WORDS: Final = {
    "compressed": "compressed for it",
    "linked": "linked or copied unchanged",
    "shared": "shared: done for another image",
    "resumed": "done by an earlier run",
}


class Bar(NamedTuple):
    """A part of a row's bar, in percent of the width; `tone` is a class of the style sheet."""

    tone: str
    start: float
    width: float
    y: int = 0
    height: int = 14


class Row(NamedTuple):
    """A line of a chart; `label`, `value` and `note` are HTML, `note` without elements."""

    label: str
    bars: list[Bar]
    value: str
    note: str


def charts(report: ConvertReport, labels: Sequence[str]) -> Iterator[str]:
    """Give the charts there is something to show in; `labels` name the images, escaped."""
    named = [
        (label, image) for label, image in zip(labels, report.images, strict=True) if image.layers
    ]
    yield '<div class="charts">'
    if named:
        yield from _sizes(named)
        yield from _origins(named)
    yield from _times(named)
    yield "</div>"


def _sizes(named: list[tuple[str, ConvertedImage]]) -> Iterator[str]:
    named = sorted(named, key=lambda pair: -pair[1].size_before)
    most = max(max(image.size_before, image.size_after) for _, image in named) or 1
    rows = []
    for label, image in named[:MOST_ROWS]:
        before, after = size_text(image.size_before), size_text(image.size_after)
        bars = [
            Bar("before", 0, image.size_before * 100 / most, 0, 8),
            Bar("after", 0, image.size_after * 100 / most, 10, 8),
        ]
        note = f"{label}: {before} before, {after} after"
        rows.append(Row(label, bars, f"{after} <small>{ratio_text(image.ratio)}</small>", note))
    legend = {"before": "before", "after": "after"}
    yield from _chart("Size before and after", legend, rows, len(named) - len(rows))


def _origins(named: list[tuple[str, ConvertedImage]]) -> Iterator[str]:
    """How each image got its layers, by size: what sharing saves is seen at once."""
    named = sorted(named, key=lambda pair: -pair[1].size_after)
    rows, used = [], set()
    for label, image in named[:MOST_ROWS]:
        sizes = dict.fromkeys(WORDS, 0)
        for layer in image.layers:
            sizes[GROUPS.get(layer.how, "linked")] += layer.size
        whole = sum(sizes.values()) or 1
        bars, start, words = [], 0.0, []
        for tone, size in sizes.items():
            if size:
                width = size * 100 / whole
                bars.append(Bar(tone, start, width))
                words.append(f"{size_text(size)} {WORDS[tone]}")
                start += width
                used.add(tone)
        value = f"{image.shared_layers} <small>of {len(image.layers)} shared</small>"
        rows.append(Row(label, bars, value, f"{label}: {', '.join(words)}"))
    legend = {tone: words for tone, words in WORDS.items() if tone in used}
    yield from _chart("Where layers came from", legend, rows, len(named) - len(rows))


def _times(named: list[tuple[str, ConvertedImage]]) -> Iterator[str]:
    """The layers that took longest, each once."""
    found: dict[str, tuple[str, ConvertedLayer]] = {}
    for label, image in named:
        for layer in image.layers:
            if layer.seconds > 0:
                found.setdefault(layer.digest, (label, layer))
    if not found:
        return
    slowest = sorted(found.values(), key=lambda pair: -pair[1].seconds)
    most = slowest[0][1].seconds
    rows = []
    for label, layer in slowest[:MOST_ROWS]:
        digest = escape(printable(layer.diff_id.partition(":")[2][:12] or layer.diff_id[:12]))
        speed = f"{size_text(layer.uncompressed_size / layer.seconds)}/s"
        note = f"{digest} of {label}: {size_text(layer.uncompressed_size)} uncompressed, {speed}"
        bars = [Bar(GROUPS.get(layer.how, "linked"), 0, layer.seconds * 100 / most)]
        value = f"{duration_text(layer.seconds)} <small>{speed}</small>"
        rows.append(Row(f"<code>{digest}</code> {label}", bars, value, note))
    tones = {bar.tone for row in rows for bar in row.bars}
    legend = {tone: words for tone, words in WORDS.items() if tone in tones}
    yield from _chart("Time per layer", legend, rows, len(found) - len(rows))


def _chart(title: str, legend: dict[str, str], rows: list[Row], left: int) -> Iterator[str]:
    yield "<section>"
    yield f"<h2>{title}</h2>"
    yield f'<p class="legend">{"".join(_key(*pair) for pair in legend.items())}</p>'
    yield '<div class="chart">'
    for row in rows:
        yield f'<div class="row" title="{row.note}"><span class="label">{row.label}</span>'
        yield f"{_drawn(row.bars)}<span>{row.value}</span></div>"
    yield "</div>"
    if left:
        yield f'<p class="left">and {left} with less, in the table below</p>'
    yield "</section>"


def _key(tone: str, words: str) -> str:
    swatch = f'<rect class="{tone}" width="12" height="12" rx="3"/>'
    return f'<span><svg width="12" height="12" aria-hidden="true">{swatch}</svg> {words}</span>'


def _drawn(bars: Iterable[Bar]) -> str:
    drawn = "".join(
        f'<rect class="{bar.tone}" x="{bar.start:.3f}%" y="{bar.y}" '
        f'width="{max(bar.width, 0.3):.3f}%" height="{bar.height}" rx="2"/>'
        for bar in bars
    )
    return f'<svg class="bar" width="100%" height="18" aria-hidden="true">{drawn}</svg>'
