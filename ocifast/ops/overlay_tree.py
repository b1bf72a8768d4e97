"""Layers as folders for overlayfs, a folder each: whiteouts become devices, opaque ones an xattr.

Folders that a layer implies and does not name look as those below do, which they would hide
otherwise. Invariant: a mount of all the folders shows the tree that the layers come to.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

from ocifast._native.tree_place import MARK_HIDES, MARK_OPAQUE, MARK_THERE
from ocifast.errors import TreeError
from ocifast.formats.tar import FLAG_IMPLIED, FLAG_OPAQUE, FLAG_WHITEOUT, EntryTable
from ocifast.ops.columns import joined, kinship_of
from ocifast.ops.staging import FOLDER
from ocifast.ops.tree_on_disk import MadeTree, MergedTree, merged, opaque_xattr, place

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ocifast.ops.columns import Array
    from ocifast.ops.unpack_options import UnpackOptions

__all__ = ["overlaid"]

DEVICE: Final = ord("3")
LINK: Final = ord("1")


def overlaid(
    tables: Sequence[EntryTable],
    contents: list[int],
    root: int,
    options: UnpackOptions,
    path: str,
) -> MadeTree:
    """Make a folder for each layer: ``0`` is the base. Raises as `place`.

    Raises:
        TreeError: A hard link leads into a layer below, where no link can from another folder; or
            a device is what overlayfs takes for a whiteout.
    """
    total = MadeTree()
    for number in range(len(tables)):
        name = str(number)
        os.mkdir(name, 0o755, dir_fd=root)
        folder = os.open(name, FOLDER, dir_fd=root)
        with contextlib.ExitStack() as stack:
            stack.callback(os.close, folder)
            tree = _layer(tables[: number + 1], options)
            tree.marks, opaque = _marks(tree.table)
            made = place(tree, [contents[number]], folder, options, f"{path}/{name}")
            if opaque:
                os.setxattr(folder, opaque_xattr(options), b"y")
        total.entries += made.entries
        total.size += made.size
        total.findings += made.findings
    return total


def _layer(tables: Sequence[EntryTable], options: UnpackOptions) -> MergedTree:
    """Give the uppermost layer as a tree, whiteouts as entries, implied folders as they look."""
    own = merged(tables[-1:], options, as_entries=True)
    _refuse_links(own.table)
    implied = own.table.array["flags"] & FLAG_IMPLIED
    if implied.any() and len(tables) > 1:
        _look_alike(own, merged(tables[:-1], options), implied != 0)
    return own


def _refuse_links(table: EntryTable) -> None:
    """Refuse hard links whose target is no name of the layer."""
    array = table.array
    links = array["type"] == LINK
    if not links.any():
        return
    import numpy as np

    inodes = kinship_of(table).inodes
    for row in np.flatnonzero(links & (array["type"][inodes] == LINK)).tolist():
        reason = "it is a hard link into a layer below, which a folder for overlayfs cannot have"
        raise TreeError(os.fsdecode(table[row].path), reason)


def _look_alike(own: MergedTree, below: MergedTree, implied: Array) -> None:
    """Give implied folders the mode, owner and time of the folders below them."""
    pairs = joined(own.table, below.table).pairs
    both = pairs[(pairs >= 0).all(axis=1)]
    both = both[implied[both[:, 0]]]
    rows = own.table.array.copy()
    for name in ("mode", "uid", "gid", "mtime_ns"):
        rows[name][both[:, 0]] = below.table.array[name][both[:, 1]]
    own.table = EntryTable(rows.view("u1").data, own.table.heap)


def _marks(table: EntryTable) -> tuple[bytes, bool]:
    """Mark whiteouts and opaque folders; says also whether the root is opaque."""
    import numpy as np

    array = table.array
    devices = (array["type"] == DEVICE) & (array["dev_major"] == 0) & (array["dev_minor"] == 0)
    if devices.any():
        row = int(np.flatnonzero(devices)[0])
        raise TreeError(os.fsdecode(table[row].path), "overlayfs would take this for a whiteout")
    marks = np.zeros(len(array), dtype=np.uint8)
    marks[(array["flags"] & FLAG_WHITEOUT) != 0] = MARK_HIDES
    opaque = np.flatnonzero((array["flags"] & FLAG_OPAQUE) != 0)
    if not len(opaque):
        return marks.tobytes(), False
    marks[opaque] = MARK_THERE  # the file itself is nowhere
    folders = kinship_of(table).parents[opaque]
    marks[folders[folders >= 0]] = MARK_OPAQUE
    return marks.tobytes(), bool((folders < 0).any())
