"""Two trees joined: which pairs of rows differ, and in what, once files were read that have to be.

Of two folders, xattrs are not listed beforehand: a file that is open to be compared says for a
fifth of the cost whether it has any, and paths are asked only of what is not opened, or differs.
Invariant: the same trees give the same differences, whichever way they were found.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ocifast._native import tree_join
from ocifast._native.tree_walk import add_xattrs
from ocifast.formats.tar import HARDLINK, EntryTable
from ocifast.ops.columns import joined, kinship_of
from ocifast.ops.diff_content import compare_contents
from ocifast.ops.diff_options import MASKS
from ocifast.ops.difference import TreeDiff
from ocifast.ops.renames import find_renames

if TYPE_CHECKING:
    from ocifast.ops.columns import Array
    from ocifast.ops.diff_options import DiffOptions
    from ocifast.ops.effective_tree import EffectiveTree
    from ocifast.ops.path_filter import PathFilter

__all__ = ["join_trees"]


def join_trees(
    a: EffectiveTree, b: EffectiveTree, options: DiffOptions, paths: PathFilter
) -> TreeDiff:
    """Compare two trees; `paths` says which do not count.

    Raises:
        TreeError: A file of a folder changed since it was listed.
        OSError: One cannot be read.
    """
    import numpy as np

    counted = options.mask
    pairs, masks, unread = joined(a.table, b.table, a.contents, b.contents)
    alone = np.asarray((pairs < 0).any(axis=1))
    lacking = not (a.has_xattrs and b.has_xattrs)
    maybe = alone | ((masks & (counted | tree_join.UNREAD)) != 0) | lacking
    if paths:
        maybe &= paths.in_folders(a.table, b.table, pairs)
    differs = np.zeros(len(pairs), dtype=bool)
    if options.reads_content:
        unread = unread[maybe[unread[:, 0]]]
        flags = compare_contents(a, b, unread[:, 1:], xattrs=lacking)
        differs[unread[flags.differ, 0]] = True
        if lacking:
            needed = maybe.copy()
            needed[unread[~flags.differ & ~flags.xattrs, 0]] = False
            needed |= maybe & ((masks & ~np.uint16(tree_join.UNREAD)) != 0)
            with ThreadPoolExecutor(2, "ocifast-xattrs") as pool:
                found = pool.map(_list_xattrs, (a, b), pairs[needed].T)
                grown = sum(found)
            if grown:
                masks = joined(a.table, b.table, a.contents, b.contents).masks
    masks[differs] |= MASKS["content"]
    masks &= counted
    changed = np.flatnonzero(maybe & (alone | (masks != 0)))
    if paths:
        changed = changed[paths.kept(a.table, b.table, pairs[changed])]
    result = TreeDiff(a, b, pairs, masks, changed)
    if options.renames:
        find_renames(result, counted)
    return result


def _list_xattrs(tree: EffectiveTree, rows: Array) -> int:
    """List those of some rows of a folder; gives how many bytes of them there are."""
    if tree.has_xattrs or tree.root is None:
        return 0
    import numpy as np

    _, old, heap = tree.table.to_buffers()
    rows = rows[rows >= 0]
    if (tree.table.array["type"][rows] == HARDLINK).any():  # compared as the file they name
        rows = np.union1d(rows, kinship_of(tree.table).inodes[rows])
    which = np.ascontiguousarray(rows, dtype=np.uint32)
    try:
        table = EntryTable(*add_xattrs(tree.root, old, heap, which.data))
    except OSError as error:
        tree.put_in_front(error)
        raise
    grown = table.heap.nbytes - heap.nbytes
    tree.table, tree.has_xattrs = table, True
    return grown
