"""A tree unpacked over what is there: the folder is the lowest layer, and changed in place.

Invariant: what stays is not touched, what has to go is removed before anything is made, and nothing
of another file system is entered.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ocifast._native.tree_place import MARK_HELD, MARK_STAYS, MARK_THERE, Placement
from ocifast.formats.tar import DIRECTORY, HARDLINK
from ocifast.ops.columns import joined, kinship_of
from ocifast.ops.effective_tree import of_folder
from ocifast.ops.tree_on_disk import Contents, MadeTree, MergedTree, check, merged, place
from ocifast.ops.unpack_pass import metadata_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.formats.tar import EntryTable
    from ocifast.ops.columns import Array
    from ocifast.ops.unpack_options import UnpackOptions

__all__ = ["kept"]


def kept(
    tables: Sequence[EntryTable],
    contents: Sequence[Contents],
    hold: int,
    root: int,
    options: UnpackOptions,
    path: str,
) -> MadeTree:
    """Apply tables over the folder `root`, which is called `path`; `hold` is an empty folder.

    Raises as `place`.
    """
    import numpy as np

    below = of_folder(root, path)
    tree = merged([below.table, *tables], options)
    tree.marks, gone, held = _marks(below.table, tree)
    check(tree, options)
    _, rows, heap = below.table.to_buffers()
    source = np.zeros((len(below.table), 2), dtype=np.uint32)
    there = Placement(rows, heap, source.reshape(-1).view(np.uint8).data, [], root)
    metadata = metadata_of(options.metadata)
    there.hold(metadata, held.astype(np.uint32).tobytes(), hold)
    there.remove(metadata, gone.astype(np.uint32).tobytes())
    return place(tree, [Contents(hold, rows, heap, b""), *contents], root, options, path)


def _marks(below: EntryTable, tree: MergedTree) -> tuple[bytes, Array, Array]:
    """Say of each row of the tree what of it is there, and which rows there go, or are held.

    Held is what gets a name that it had not, by a link of a layer: its own may be gone by then.
    """
    import numpy as np

    pairs = joined(below, tree.table).pairs
    both = pairs[(pairs >= 0).all(axis=1)]
    old, new = both[:, 0], both[:, 1]
    origin, inodes = tree.origin, kinship_of(below).inodes
    folders = (below.array["type"][old] == DIRECTORY) & (tree.table.array["type"][new] == DIRECTORY)
    same = (origin[new, 0] == 0) & (origin[new, 1] == inodes[old])
    marks = np.zeros(len(tree.table), dtype=np.uint8)
    marks[new[same]] = MARK_THERE
    marks[new[folders & ~same]] = MARK_STAYS
    types = tree.table.array["type"]
    moved = (origin[:, 0] == 0) & (marks == 0) & (types != DIRECTORY) & (types != HARDLINK)
    marks[moved] = MARK_HELD
    stays = np.zeros(len(below), dtype=bool)
    stays[old[same | folders]] = True
    return marks.tobytes(), np.flatnonzero(~stays), origin[moved, 1]
