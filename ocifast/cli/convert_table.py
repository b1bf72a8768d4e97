"""The table at the end of `ocifast convert`: a line an image, what failed and why, and the totals.

It makes lines and prints nothing; no other package is needed. Invariant: every line is printable,
whatever an image or a path is called.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final

from ocifast.cli.output import printable, shown
from ocifast.cli.quantity import cells, clipped, duration_text, ratio_text, size_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ocifast.ops.conversion import ConvertedImage, ConvertReport

__all__ = ["image_labels", "table_lines", "totals"]

HEAD: Final = ("image", "before", "after", "ratio", "layers", "shared", "time")
SPARED: Final = (5, 4, 3)
"""Columns that a narrow terminal goes without, from the first on: shared, layers, ratio."""
GAP: Final = "  "
FEWEST_COLUMNS: Final = 16
"""Names are not cut shorter than this, even if lines get longer than asked for."""


def table_lines(report: ConvertReport, width: int | None = None) -> Iterator[str]:
    r"""Give the table line by line; names are cut so that it fits into `width` columns.

    Example:
        >>> from ocifast.ops.conversion import ConvertedImage, ConvertReport
        >>> image = ConvertedImage("a.tar", ("a:1",), None, "oci:out:a:1", None, None, (), 2.0)
        >>> print(*table_lines(ConvertReport((image,), 2.0, 2, "keep", 0, 0)), sep="\n")
        image  before  after  ratio  layers  shared   time
        a:1       0 B    0 B      -       0       0  2.0 s
        <BLANKLINE>
        1 image, 0 layers: read 0 B and wrote 0 B in 2.0 s with 2 workers; recipe keep
    """
    rows: list[tuple[str, ...]] = [HEAD, *_rows(report)]
    widths = _widths(rows)
    if width is not None:
        for column in SPARED:
            if _spare(widths, width) >= min(widths[0], FEWEST_COLUMNS):
                break
            rows = [(*row[:column], *row[column + 1 :]) for row in rows]
            widths = _widths(rows)
        widths[0] = min(widths[0], max(_spare(widths, width), FEWEST_COLUMNS))
    yield from (_line(row, widths) for row in rows)
    yield ""
    if report.failed:
        yield "failed:"
        for label, image in zip(image_labels(report.images), report.images, strict=True):
            if image.error is not None:
                yield f"  {label}: {printable(image.error)}"
        yield ""
    yield printable(totals(report))


def image_labels(images: Sequence[ConvertedImage]) -> list[str]:
    """Name each image: by its names, by its source, or by both where one failed or names repeat.

    Example:
        >>> from ocifast.ops.conversion import ConvertedImage
        >>> a, b = (ConvertedImage(s, ("x:1",), None, "", None, None, (), 0) for s in ("a", "b"))
        >>> image_labels([a]), image_labels([a, b])
        (['x:1'], ['x:1 (a)', 'x:1 (b)'])
    """
    names = [", ".join(image.names) for image in images]
    often = Counter(names)
    return [
        shown(
            f"{name} ({image.source})"
            if name and (often[name] > 1 or image.error is not None)
            else name or image.source
        )
        for name, image in zip(names, images, strict=True)
    ]


def totals(report: ConvertReport) -> str:
    """Sum up a run in a sentence."""
    failed = len(report.failed)
    text = _many(len(report.images), "image") + (f" ({failed} failed)" if failed else "")
    text += f", {_many(report.layers_distinct, 'layer')}"
    if report.layers_shared:
        text += f" ({report.layers_shared} more shared)"
    return (
        f"{text}: read {size_text(report.bytes_read)} and wrote {size_text(report.bytes_written)} "
        f"in {duration_text(report.seconds)} with {_many(report.workers, 'worker')}; "
        f"recipe {report.recipe}"
    )


def _rows(report: ConvertReport) -> Iterator[tuple[str, ...]]:
    for label, image in zip(image_labels(report.images), report.images, strict=True):
        if image.error is not None:
            yield (label, "failed", "-", "-", "-", "-", duration_text(image.seconds))
            continue
        yield (
            label,
            size_text(image.size_before),
            size_text(image.size_after),
            ratio_text(image.ratio),
            str(len(image.layers)),
            str(image.shared_layers),
            duration_text(image.seconds),
        )
    if len(report.images) > 1:
        yield (
            "all, each layer once",
            size_text(report.size_before),
            size_text(report.size_after),
            ratio_text(report.ratio),
            str(report.layers_distinct),
            str(report.layers_shared),
            duration_text(report.seconds),
        )


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    return [max(cells(text) for text in column) for column in zip(*rows, strict=True)]


def _spare(widths: Sequence[int], width: int) -> int:
    """What is left for the names."""
    return width - sum(widths[1:]) - len(GAP) * (len(widths) - 1)


def _line(row: Iterable[str], widths: Sequence[int]) -> str:
    first, *rest = row
    first = clipped(first, widths[0])
    padded = [first + " " * (widths[0] - cells(first))]
    padded += [text.rjust(width) for text, width in zip(rest, widths[1:], strict=True)]
    return GAP.join(padded)


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
