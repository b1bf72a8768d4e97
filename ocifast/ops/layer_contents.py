"""Files of a tree that lie in layers: met in one more pass over each layer that has some of them.

Invariant: every layer is read front to back, at most once, and no further than to its last file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast.ops.tar_stream import TarStream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ocifast.ops.columns import Array
    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.diff_side import SideLayer
    from ocifast.ops.effective_tree import EffectiveTree
    from ocifast.tree.entry import Entry

__all__ = ["met_in_layers"]


def met_in_layers(
    tree: EffectiveTree, rows: Array, layers: Sequence[SideLayer], options: DiffOptions
) -> Iterator[tuple[int, Entry, TarStream]]:
    """Give rows in the order they are met, their entries, and the stream, which stands at each.

    Layers of which only an index was given are passed over.

    Raises:
        StateError: A layer can be read only once.
        OSError: One cannot be read.
    """
    import numpy as np

    assert tree.origin is not None
    places = tree.table.array["payload_offset"]
    for number in np.unique(tree.origin[rows]).tolist():
        source = layers[number].source
        if source is None:
            continue
        here = rows[tree.origin[rows] == number]
        with TarStream(source, options.limits, options.profile) as stream:
            for row in here[np.argsort(places[here], kind="stable")].tolist():
                entry = tree.table[row]
                stream.skip_to(entry.payload_offset)
                yield row, entry, stream
