"""The layers of sides as tables: each read once, whatever side and however often it is named.

An index is taken as it is. Invariant: what is read was held against what is promised of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.ops.effective_tree import TreeLayer
from ocifast.ops.layer_index import read_layers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.engine import Engine
    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.diff_side import SideLayer
    from ocifast.ops.progress import Progress

__all__ = ["distinct", "tables_of"]


def tables_of(
    layers: Sequence[SideLayer],
    engine: Engine,
    options: DiffOptions,
    *,
    contents: bool,
    tell: Progress | None = None,
) -> list[TreeLayer]:
    """Give the table of each layer, with digests of files if asked. Raises as `read_layers`."""
    work, where = distinct(layers, strict=options.profile == "strict")
    reports = read_layers(
        [layer.source for layer in work if layer.source is not None],
        engine,
        profile=options.profile,
        limits=options.limits,
        expected=[layer.descriptor for layer in work],
        diff_ids=[layer.diff_id for layer in work],
        contents=contents,
        tell=tell,
    )
    read = [TreeLayer(each.table, each.contents) for each in reports if each.table is not None]
    return [
        layer.index.as_layer() if layer.index is not None else read[number]
        for layer, number in zip(layers, where, strict=True)
    ]


def distinct(layers: Sequence[SideLayer], *, strict: bool) -> tuple[list[SideLayer], list[int]]:
    """Find out which layers have to be read, each once, and which of those each layer is.

    What an index was given of is not read; its number means nothing.
    """
    places: dict[str, int] = {}
    work: list[SideLayer] = []
    where: list[int] = []
    for layer in layers:
        keys = () if layer.index is not None else layer.keys(strict=strict)
        known = [places[key] for key in keys if key in places]
        where.append(known[0] if known else len(work))
        if not known and layer.index is None:
            work.append(layer)
        places.update(dict.fromkeys(keys, where[-1]))
    return work, where
