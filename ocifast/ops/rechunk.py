"""Rechunk: the files of an image in other layers, of about one size, that stay the same next time.

What goes where is decided by `rechunk_rows`; the rest is as in `squash`. Invariant: the image comes
to the same tree, and of two versions of one, a layer none of whose files has changed is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocifast.ops.make_over import MakeOver, SquashOptions, engine_for
from ocifast.ops.rechunk_rows import chunked
from ocifast.ops.splice_run import NewLayer
from ocifast.ops.squash_rows import applied, with_root

if TYPE_CHECKING:
    from ocifast.engine import Engine
    from ocifast.ops.image_layers import ImageLayers
    from ocifast.ops.make_over import Given, Made
    from ocifast.ops.progress import Progress
    from ocifast.ops.squashing import SquashReport

__all__ = ["rechunk"]


def rechunk(  # noqa: PLR0913 - all but two by keyword only
    source: Given,
    dest: str,
    *,
    layers: int | None = None,
    max_size: int | None = None,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> SquashReport:
    """Put the files of an image into layers of about one size, large files each into one alone.

    A file goes where its path says, so of the next version of the image only those layers are
    others in which something is.

    Args:
        source: A reference or path, as `open_image` takes it, or an image.
        dest: ``format:PATH[:NAME]``, as `convert` takes it.
        layers: At most so many layers; one of them has the folders.
        max_size: Or: layers of at most so many bytes of tar, unless a file alone is larger.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.
        **options: The fields of `ocifast.ops.make_over.SquashOptions`.

    Raises:
        ValueError: Not exactly one of both is given, or it is less than 1.
        OcifastError, OSError: As `ocifast.squash`.
    """
    if (layers is None) == (max_size is None):
        raise ValueError("give a number of layers or a size of layers, one of both")
    if min(layers or 1, max_size or 1) < 1 or 0 in (layers, max_size):
        raise ValueError("a number of layers, or a size, is at least 1")
    chosen = SquashOptions(**options)

    def made_of(image: ImageLayers) -> Made:
        tables = image.tables
        tree = applied(tables, chosen.limits)
        *parts, top = chunked(tree, layers=layers, max_size=max_size)
        found = [*parts, with_root(top, tables)]
        return [NewLayer(each.table, each.origin) for each in found], tree.findings

    with engine_for(engine, workers) as used:
        return MakeOver("rechunk", source, dest, chosen, used, progress).run(0, made_of)
