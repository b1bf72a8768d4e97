"""The page of a conversion: figures, charts and a table that can be searched, in one file.

It needs no network and no script; the script there is (`report_style`) sorts and searches.
Invariant: whatever comes from outside passes through `escaped`, and nothing of it is in the script,
the style sheet or the name of an attribute; besides, the page forbids everything but its own two.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING

from ocifast._version import __version__
from ocifast.cli.convert_table import image_labels
from ocifast.cli.output import printable
from ocifast.cli.quantity import duration_text, ratio_text, size_text
from ocifast.cli.report_charts import charts
from ocifast.cli.report_style import SCRIPT, STYLE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ocifast.ops.conversion import ConvertedImage, ConvertedLayer, ConvertReport

__all__ = ["report_page"]

COLUMNS = {
    "image": "",
    "before": "stored bytes of its layers at the source",
    "after": "stored bytes of its layers now",
    "ratio": "after as a part of before",
    "layers": "",
    "shared": "layers another image has done the work for",
    "time": "until the image was complete",
}


def report_page(report: ConvertReport) -> str:
    """Make the page."""
    return "\n".join(_page(report)) + "\n"


def escaped(text: str) -> str:
    r"""Make text from outside fit for HTML, in elements and in quoted attributes.

    Example:
        >>> escaped('</script><img src="x">\x1b')
        '&lt;/script&gt;&lt;img src=&quot;x&quot;&gt;\\033'
    """
    return escape(printable(text))


def _page(report: ConvertReport) -> Iterator[str]:
    yield "<!doctype html>"
    yield '<html lang="en">'
    yield "<head>"
    yield '<meta charset="utf-8">'
    yield f'<meta http-equiv="Content-Security-Policy" content="{_policy()}">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield '<meta name="color-scheme" content="light dark">'
    yield "<title>ocifast convert: report</title>"
    yield f"<style>{STYLE}</style>"
    yield "</head>"
    yield "<body>"
    yield "<main>"
    yield "<header>"
    yield "<h1>Conversion report</h1>"
    yield f"<p>{_summary(report)}</p>"
    yield "</header>"
    yield from _figures(report)
    labels = [escaped(label) for label in image_labels(report.images)]
    yield from _failures(report, labels)
    yield from charts(report, labels)
    yield from _table(report, labels)
    yield f"<footer>ocifast {escaped(__version__)}</footer>"
    yield "</main>"
    yield f"<script>{SCRIPT}</script>"
    yield "</body>"
    yield "</html>"


def _policy() -> str:
    script, style = (b64encode(sha256(text.encode()).digest()).decode() for text in (SCRIPT, STYLE))
    return f"default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'"


def _summary(report: ConvertReport) -> str:
    done = len(report.images) - len(report.failed)
    images = f"{done} of {len(report.images)} image{'' if len(report.images) == 1 else 's'}"
    return f"{images} converted, with recipe <code>{escaped(report.recipe)}</code>."


def _figures(report: ConvertReport) -> Iterator[str]:
    speed = report.bytes_read / report.seconds if report.seconds > 0 else 0.0
    workers = f"{report.workers} worker{'' if report.workers == 1 else 's'}"
    figures = [
        ("Size", size_text(report.size_after), f"was {size_text(report.size_before)}"),
        ("Ratio", ratio_text(report.ratio), "after to before"),
        ("Time", duration_text(report.seconds), workers),
        ("Read", size_text(report.bytes_read), f"{size_text(speed)}/s"),
        ("Written", size_text(report.bytes_written), "without what is linked"),
        ("Layers", str(report.layers_distinct), f"{report.layers_shared} more shared"),
    ]
    yield '<dl class="figures">'
    for name, value, note in figures:
        yield f"<div><dt>{name}</dt><dd><strong>{value}</strong><span>{note}</span></dd></div>"
    yield "</dl>"


def _failures(report: ConvertReport, labels: list[str]) -> Iterator[str]:
    if not report.failed:
        return
    yield '<section class="failures">'
    yield f"<h2>{len(report.failed)} failed</h2>"
    yield "<ul>"
    for label, image in zip(labels, report.images, strict=True):
        if image.error is not None:
            kind = f" <span>{escaped(image.error_type)}</span>" if image.error_type else ""
            yield f"<li><strong>{label}</strong>{kind}<br>{escaped(image.error)}</li>"
    yield "</ul>"
    yield "</section>"


def _table(report: ConvertReport, labels: list[str]) -> Iterator[str]:
    yield "<section>"
    yield "<h2>Images</h2>"
    yield '<p class="tools" id="tools" hidden>'
    yield '<input type="search" id="search" placeholder="Search names, digests, sources">'
    yield '<label><input type="checkbox" id="failed"> only failed</label>'
    yield '<button type="button" id="all">Show all layers</button>'
    yield '<output id="count"></output>'
    yield "</p>"
    yield '<div class="scroll">'
    yield '<table id="images">'
    heads = (f'<th scope="col" title="{note}">{name}</th>' for name, note in COLUMNS.items())
    yield f"<thead><tr>{''.join(heads)}</tr></thead>"
    for label, image in zip(labels, report.images, strict=True):
        yield from _image(label, image)
    yield "</table>"
    yield "</div>"
    yield "</section>"


def _image(label: str, image: ConvertedImage) -> Iterator[str]:
    failed = image.error is not None
    ratio = -1.0 if image.ratio is None else image.ratio
    numbers: list[tuple[float, str]] = [
        (image.size_before, size_text(image.size_before)),
        (image.size_after, size_text(image.size_after)),
        (ratio, ratio_text(image.ratio)),
        (len(image.layers), str(len(image.layers))),
        (image.shared_layers, str(image.shared_layers)),
    ]
    if failed:
        numbers = [(-1.0, "-")] * len(numbers)
    numbers.append((image.seconds, duration_text(image.seconds)))
    platform = f" <span>{escaped(image.platform)}</span>" if image.platform else ""
    mark = ' <span class="bad">failed</span>' if failed else ""
    yield f'<tbody class="{"failed" if failed else "done"}">'
    yield f'<tr class="image"><th scope="row">{label}{platform}{mark}</th>'
    yield "".join(f'<td data-value="{value!r}">{text}</td>' for value, text in numbers) + "</tr>"
    yield f'<tr class="details"><td colspan="{len(COLUMNS)}">'
    yield from _details(image)
    yield "</td></tr>"
    yield "</tbody>"


def _details(image: ConvertedImage) -> Iterator[str]:
    facts = {
        "source": image.source,
        "names": ", ".join(image.names),
        "destination": image.destination,
        "digest": image.digest,
        "image id": image.image_id,
        "error": image.error,
    }
    yield '<dl class="facts">'
    for name, text in facts.items():
        if text:
            yield f"<dt>{name}</dt><dd>{escaped(text)}</dd>"
    yield "</dl>"
    if image.layers:
        heads = ("layer (diff_id)", "digest now", "before", "after", "uncompressed", "how", "time")
        yield '<table class="layers"><thead><tr>'
        yield "".join(f'<th scope="col">{head}</th>' for head in heads)
        yield "</tr></thead><tbody>"
        yield from (_layer(layer) for layer in image.layers)
        yield "</tbody></table>"


def _layer(layer: ConvertedLayer) -> str:
    sizes = (layer.source_size, layer.size, layer.uncompressed_size)
    made = f"{layer.media_type}; {layer.recipe or 'bytes as they were'}"
    how = f'<td class="word" title="{escaped(made)}">{escaped(layer.how)}</td>'
    seconds = duration_text(layer.seconds) if layer.seconds else "-"
    row = _digest(layer.diff_id) + _digest(layer.digest)
    row += "".join(f"<td>{size_text(size)}</td>" for size in sizes)
    row = f"<tr>{row}{how}<td>{seconds}</td></tr>"
    if layer.findings:
        text = "; ".join(layer.findings)
        row += f'<tr class="findings"><td colspan="7">tolerated: {escaped(text)}</td></tr>'
    return row


def _digest(digest: str) -> str:
    """Show the beginning; all of it is in the title, and found by a search."""
    start = digest.partition(":")[2][:16] or digest[:16]
    return f'<td class="word" title="{escaped(digest)}"><code>{escaped(start)}</code></td>'
