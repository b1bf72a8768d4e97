"""What of a tree differs from what is below it: the rows to pack, whiteouts among them.

It compares what tables say (type, mode, owner, size, time, link, device, xattrs, hard links), as
Docker does, and reads no content: a change that keeps size and time is not seen; `diff` with
``--layer-out`` sees it. Invariant: applied on top of the base, what is given makes the tree, in
which a directory's own time does not count as a change.
"""

from __future__ import annotations

import contextlib
from bisect import bisect_left
from typing import TYPE_CHECKING, Final

from ocifast._native import tree_join
from ocifast.engine import default_engine
from ocifast.formats.tar import DIRECTORY, HARDLINK, EntryTable
from ocifast.ops.changeset_rows import changeset_of, changeset_table
from ocifast.ops.columns import joined
from ocifast.ops.diff_options import DiffOptions
from ocifast.ops.diff_side import open_side
from ocifast.ops.effective_tree import of_folder, of_layers
from ocifast.ops.side_layers import tables_of

if TYPE_CHECKING:
    from ocifast.limits import Limits

__all__ = ["changed", "lower_of"]

COUNTED: Final = (
    tree_join.TYPE
    | tree_join.MODE
    | tree_join.OWNER
    | tree_join.SIZE
    | tree_join.MTIME
    | tree_join.LINK
    | tree_join.DEVICE
    | tree_join.XATTRS
    | tree_join.LINKS
)


def lower_of(base: str, limits: Limits) -> EntryTable:
    """Give what a base comes to: an image or a layer, which are verified, an index, or a folder.

    Raises:
        StoreError: A layer of the image is not there.
        OcifastError: A layer is malformed, or not what is promised of it.
        OSError: It cannot be read.
    """
    with contextlib.ExitStack() as stack:
        options = DiffOptions(limits=limits)
        side = open_side(base, None, options, stack)
        if side.root is not None:
            return of_folder(side.root, side.name).table
        layers = tables_of(side.layers, default_engine(), options, contents=False)
        return of_layers(layers, limits).table


def changed(table: EntryTable, lower: EntryTable, prefix: bytes = b"") -> EntryTable:
    """Give the rows that turn `lower` into the tree; both are in the order of a tree.

    Parents of what has changed are in it too, with their metadata; so are all names of an inode of
    which one has changed. Below a prefix only that folder of `lower` is compared.
    """
    import numpy as np

    known = _below(lower, prefix) if prefix else lower
    pairs, masks, _ = joined(known, table)
    masks &= COUNTED
    is_folder = np.append(table.array["type"] == DIRECTORY, False)[pairs[:, 1]]
    masks[is_folder] &= ~np.uint16(tree_join.MTIME)
    differ = np.flatnonzero((pairs < 0).any(axis=1) | (masks != 0))
    return changeset_table(table, changeset_of(known, table, pairs, differ))


def _below(table: EntryTable, prefix: bytes) -> EntryTable:
    """The part of a table that is in a folder, with paths relative to it."""
    wanted, cut = _key(prefix) + b"\0", len(prefix) + 1
    start = bisect_left(table, wanted, key=lambda entry: _key(entry.path) + b"\0") + 1
    end = bisect_left(table, wanted[:-1] + b"\1", key=lambda entry: _key(entry.path))
    rows = table.array[start : max(start, end)].copy()
    rows["path_offset"] += cut
    rows["path_size"] -= cut
    for row in rows[rows["type"] == HARDLINK]:  # views: what is set of one is set in `rows`
        at = int(row["link_offset"])
        if bytes(table.heap[at : at + cut]) == prefix + b"/":
            row["link_offset"] += cut
            row["link_size"] -= cut
    return EntryTable(rows.tobytes(), table.heap)


def _key(path: bytes) -> bytes:
    """What sorts as a tree does: a slash before every other byte."""
    return path.rstrip(b"/").replace(b"/", b"\0")
