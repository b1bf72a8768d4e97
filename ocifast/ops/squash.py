"""Squash: several layers of an image become one, without being unpacked.

What the new layer is, is decided by `squash_rows`; how an image is made over, by `make_over`.
Invariant: the new image comes to the same tree as the old one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ocifast.ops.make_over import MakeOver, SquashOptions, engine_for
from ocifast.ops.splice_run import NewLayer
from ocifast.ops.squash_rows import applied, rows_between, with_root

if TYPE_CHECKING:
    from ocifast.engine import Engine
    from ocifast.limits import Limits
    from ocifast.ops.image_layers import ImageLayers
    from ocifast.ops.make_over import Given, Made
    from ocifast.ops.progress import Progress
    from ocifast.ops.squashing import SquashReport

__all__ = ["flatten", "squash"]


def squash(  # noqa: PLR0913 - all but two by keyword only
    source: Given,
    dest: str,
    *,
    from_layer: int | None = None,
    last: int | None = None,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> SquashReport:
    """Make one layer of the upper ones of an image, or of all, and keep those below as they are.

    Args:
        source: A reference or path, as `open_image` takes it, or an image.
        dest: ``format:PATH[:NAME]``, as `convert` takes it.
        from_layer: The first layer that is merged; the base is number 0.
        last: How many layers are merged, from the top; without either, all.
        engine: Where to work; by default one is made for this call.
        workers: Worker processes of that engine; 0 works in this process.
        progress: Called with each `ocifast.ops.progress.Event`, in this thread.
        **options: The fields of `ocifast.ops.make_over.SquashOptions`.

    Raises:
        ValueError: There are not so many layers, or both numbers are given.
        OcifastError: The image is malformed, refused, or not what it promises.
        OSError: Something cannot be read or written.
    """
    if from_layer is not None and last is not None:
        raise ValueError("give the first layer that is merged or how many, not both")
    chosen = SquashOptions(**options)
    with engine_for(engine, workers) as used:
        run = MakeOver("squash", source, dest, chosen, used, progress)
        first = first_of(len(run.image.layers), from_layer, last)
        return run.run(first, lambda layers: squashed(layers, first, chosen.limits))


def flatten(
    source: Given,
    dest: str,
    *,
    engine: Engine | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> SquashReport:
    """Make one layer of all layers of an image; takes what `squash` takes, and raises the same."""
    chosen = SquashOptions(**options)
    with engine_for(engine, workers) as used:
        run = MakeOver("flatten", source, dest, chosen, used, progress)
        return run.run(0, lambda layers: squashed(layers, 0, chosen.limits))


def first_of(count: int, from_layer: int | None, last: int | None) -> int:
    """The first layer that is merged.

    Raises:
        ValueError: There is no such layer.

    Example:
        >>> first_of(5, None, None), first_of(5, 3, None), first_of(5, None, 1)
        (0, 3, 4)
    """
    if from_layer is not None and not 0 <= from_layer < count:
        msg = f"there is no layer {from_layer}: they are 0 to {count - 1}"
        raise ValueError(msg)
    if last is not None and not 1 <= last <= count:
        msg = f"there are no {last} layers to merge, but {count}"
        raise ValueError(msg)
    return from_layer if from_layer is not None else 0 if last is None else count - last


def squashed(layers: ImageLayers, first: int, limits: Limits) -> Made:
    """The layer that stands for all from `first` on, and what is odd about them.

    Raises:
        FormatError: A path leads nowhere.
        LimitExceeded: The tree has too many entries.
    """
    tables = layers.tables
    whole = applied(tables, limits)
    rows = with_root(rows_between(applied(tables[:first], limits), whole), tables[first:])
    return [NewLayer(rows.table, rows.origin)], whole.findings
